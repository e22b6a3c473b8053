//! A call, as whoever answers it hears it: a PIN asked for, alarms spoken, one key that says what becomes of them.
//!
//! Pure: what is heard goes in, what is to be done comes out. Whatever is not a key that says so, such as a voicemail's
//! greeting, silence or a wrong PIN, never counts as heard.

use super::{
    book::Decision,
    model::Outcome,
    people::Language::{self, En, Zh},
};
use std::time::Duration;

/// How long a key is waited for after something was spoken.
const KEY_PATIENCE: Duration = Duration::from_secs(8);
/// How long the next digit of a PIN is waited for.
const DIGIT_PATIENCE: Duration = Duration::from_secs(6);
/// How often something is spoken before nobody is taken to be there.
const TIMES: u8 = 3;
/// How often a PIN may be wrong.
const PIN_TRIES: u8 = 3;

/// What every call says, besides the alarms: a host may have it recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phrase {
    AskPin,
    WrongPin,
    /// Which key does what.
    Keys,
    NotKept,
    Acknowledged,
    Passed,
    Muted,
}

impl Phrase {
    /// All of them, as the documentation lists them.
    #[cfg(test)]
    pub(crate) const ALL: [Phrase; 7] = [
        Phrase::AskPin,
        Phrase::WrongPin,
        Phrase::Keys,
        Phrase::NotKept,
        Phrase::Acknowledged,
        Phrase::Passed,
        Phrase::Muted,
    ];

    /// The name of its recording.
    pub(crate) const fn clip(self) -> &'static str {
        match self {
            Phrase::AskPin => "ask-pin",
            Phrase::WrongPin => "wrong-pin",
            Phrase::Keys => "keys",
            Phrase::NotKept => "not-kept",
            Phrase::Acknowledged => "acknowledged",
            Phrase::Passed => "passed",
            Phrase::Muted => "muted",
        }
    }

    /// What is spoken where it is not recorded.
    pub(crate) const fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Phrase::AskPin, En) => "This is Switchyard, with an alarm. Please type your PIN.",
            (Phrase::AskPin, Zh) => "这里是 Switchyard，有报警。请输入密码。",
            (Phrase::WrongPin, En) => "That is not your PIN. Please type it again.",
            (Phrase::WrongPin, Zh) => "密码错误。请重新输入。",
            (Phrase::Keys, En) => {
                "Press 1 if you have heard and look after it, 2 for the next person, 3 to mute it for an hour, \
                 9 to hear it again."
            }
            (Phrase::Keys, Zh) => "按1确认并处理，按2呼叫下一位，按3静音一小时，按9重听。",
            (Phrase::NotKept, En) => "That could not be noted. Please press the key again.",
            (Phrase::NotKept, Zh) => "未能记录。请再按一次。",
            (Phrase::Acknowledged, En) => "Acknowledged. Goodbye.",
            (Phrase::Acknowledged, Zh) => "已确认。再见。",
            (Phrase::Passed, En) => "The next person is called. Goodbye.",
            (Phrase::Passed, Zh) => "将呼叫下一位。再见。",
            (Phrase::Muted, En) => "Muted for one hour. Goodbye.",
            (Phrase::Muted, Zh) => "静音一小时。再见。",
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Speak this. Keys count meanwhile.
    Say(Phrase),
    /// Speak the alarms, as they are this moment, and [`Phrase::Keys`] after them. Keys count meanwhile.
    SayAlarms,
    /// Wait so long for a key.
    Listen(Duration),
    /// Have this kept, and then go on with [`Conversation::decided`].
    Decide(Decision),
    /// It is over.
    End(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    AsksPin,
    TellsAlarms,
    Decides(Decision),
    SaysGoodbye(Decision),
}

/// See the module.
pub(crate) struct Conversation {
    pin: Option<String>,
    stage: Stage,
    typed: String,
    wrong: u8,
    spoken: u8,
}

impl Conversation {
    /// One that asks for a PIN where there is one.
    pub(crate) fn new(pin: Option<String>) -> Self {
        let stage = match pin {
            Some(_) => Stage::AsksPin,
            None => Stage::TellsAlarms,
        };
        Conversation {
            pin,
            stage,
            typed: String::new(),
            wrong: 0,
            spoken: 0,
        }
    }

    /// Somebody, or something, has answered.
    pub(crate) fn answered(&mut self) -> Next {
        self.speak()
    }

    /// What was to be spoken has been.
    pub(crate) fn said(&mut self) -> Next {
        match self.stage {
            Stage::SaysGoodbye(decision) => Next::End(outcome_of(decision)),
            Stage::AsksPin if !self.typed.is_empty() => Next::Listen(DIGIT_PATIENCE),
            _ => Next::Listen(KEY_PATIENCE),
        }
    }

    /// Nobody has pressed a key for as long as was to be listened.
    pub(crate) fn silent(&mut self) -> Next {
        match self.stage {
            Stage::SaysGoodbye(decision) => Next::End(outcome_of(decision)),
            // A PIN that is not typed to its end is a wrong one.
            Stage::AsksPin if !self.typed.is_empty() => self.pin_typed(),
            _ if self.spoken >= TIMES => Next::End(Outcome::Unanswered),
            _ => self.speak(),
        }
    }

    /// A key. `None` when it changes nothing.
    pub(crate) fn key(&mut self, key: char) -> Option<Next> {
        match self.stage {
            Stage::AsksPin => self.pin_key(key),
            Stage::TellsAlarms => match key {
                '1' => Some(self.decide(Decision::Acknowledge)),
                '2' => Some(self.decide(Decision::Pass)),
                '3' => Some(self.decide(Decision::Mute)),
                '9' => {
                    // Whoever asks for it is there.
                    self.spoken = self.spoken.saturating_sub(1);
                    Some(self.speak())
                }
                _ => None,
            },
            Stage::Decides(_) | Stage::SaysGoodbye(_) => None,
        }
    }

    /// What was decided is kept, or could not be.
    pub(crate) fn decided(&mut self, is_kept: bool) -> Next {
        let Stage::Decides(decision) = self.stage else {
            return Next::Listen(KEY_PATIENCE);
        };
        if !is_kept {
            self.stage = Stage::TellsAlarms;
            return Next::Say(Phrase::NotKept);
        }
        self.stage = Stage::SaysGoodbye(decision);
        Next::Say(match decision {
            Decision::Acknowledge => Phrase::Acknowledged,
            Decision::Pass => Phrase::Passed,
            Decision::Mute => Phrase::Muted,
        })
    }

    /// Which key, of those that were pressed, may be written down: of a PIN only that there was one.
    pub(crate) fn key_for_record(&self, key: char) -> char {
        match self.stage {
            Stage::AsksPin => '*',
            _ => key,
        }
    }

    /// How it ends when the other side hangs up.
    pub(crate) fn hung_up(&self) -> Outcome {
        match self.stage {
            Stage::SaysGoodbye(decision) => outcome_of(decision),
            _ => Outcome::Unanswered,
        }
    }

    fn speak(&mut self) -> Next {
        self.spoken += 1;
        match self.stage {
            Stage::AsksPin => Next::Say(Phrase::AskPin),
            _ => Next::SayAlarms,
        }
    }

    fn pin_key(&mut self, key: char) -> Option<Next> {
        match key {
            '#' => Some(self.pin_typed()),
            '*' => {
                self.typed.clear();
                Some(Next::Listen(DIGIT_PATIENCE))
            }
            '0'..='9' => {
                self.typed.push(key);
                let wanted = self.pin.as_ref().map_or(0, String::len);
                match self.typed.len() >= wanted {
                    true => Some(self.pin_typed()),
                    false => Some(Next::Listen(DIGIT_PATIENCE)),
                }
            }
            _ => None,
        }
    }

    fn pin_typed(&mut self) -> Next {
        let typed = std::mem::take(&mut self.typed);
        if Some(&typed) == self.pin.as_ref() {
            self.stage = Stage::TellsAlarms;
            self.spoken = 0;
            return self.speak();
        }
        self.wrong += 1;
        if self.wrong >= PIN_TRIES {
            return Next::End(Outcome::Unanswered);
        }
        Next::Say(Phrase::WrongPin)
    }

    fn decide(&mut self, decision: Decision) -> Next {
        self.stage = Stage::Decides(decision);
        Next::Decide(decision)
    }
}

fn outcome_of(decision: Decision) -> Outcome {
    match decision {
        Decision::Acknowledge => Outcome::Acknowledged,
        Decision::Pass => Outcome::Passed,
        Decision::Mute => Outcome::Muted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_enough_also_while_it_is_spoken() {
        let mut call = Conversation::new(None);
        assert_eq!(call.answered(), Next::SayAlarms);
        assert_eq!(call.key('5'), None);
        assert_eq!(call.key('1'), Some(Next::Decide(Decision::Acknowledge)));
        assert_eq!(call.key('2'), None, "one at a time");
        assert_eq!(call.decided(true), Next::Say(Phrase::Acknowledged));
        assert_eq!(call.said(), Next::End(Outcome::Acknowledged));
        assert_eq!(call.hung_up(), Outcome::Acknowledged);
    }

    #[test]
    fn what_could_not_be_kept_is_not_said_to_be() {
        let mut call = Conversation::new(None);
        call.answered();
        call.key('1');
        assert_eq!(call.decided(false), Next::Say(Phrase::NotKept));
        assert_eq!(call.hung_up(), Outcome::Unanswered);
        assert_eq!(call.key('1'), Some(Next::Decide(Decision::Acknowledge)));
    }

    #[test]
    fn silence_and_voicemail_are_not_heard() {
        for pin in [None, Some("4711".to_owned())] {
            let mut call = Conversation::new(pin);
            let mut next = call.answered();
            let mut times = 0;
            loop {
                next = match next {
                    Next::Say(_) | Next::SayAlarms => {
                        times += 1;
                        call.said()
                    }
                    Next::Listen(_) => call.silent(),
                    Next::End(outcome) => {
                        assert_eq!((outcome, times), (Outcome::Unanswered, 3));
                        break;
                    }
                    Next::Decide(_) => panic!("nobody did"),
                };
            }
        }
    }

    #[test]
    fn nothing_is_told_before_the_pin() {
        let mut call = Conversation::new(Some("4711".into()));
        assert_eq!(call.answered(), Next::Say(Phrase::AskPin));
        for key in "471".chars() {
            assert_eq!(call.key_for_record(key), '*');
            assert_eq!(call.key(key), Some(Next::Listen(DIGIT_PATIENCE)));
        }
        assert_eq!(call.key('1'), Some(Next::SayAlarms));
        assert_eq!(call.key_for_record('1'), '1');
    }

    #[test]
    fn a_wrong_pin_is_asked_for_again_and_then_no_more() {
        let mut call = Conversation::new(Some("4711".into()));
        call.answered();
        for _ in 0..2 {
            for key in "111".chars() {
                call.key(key);
            }
            assert_eq!(call.key('1'), Some(Next::Say(Phrase::WrongPin)));
            assert_eq!(call.said(), Next::Listen(KEY_PATIENCE));
        }
        call.key('4');
        assert_eq!(
            call.silent(),
            Next::End(Outcome::Unanswered),
            "the third one"
        );
    }

    #[test]
    fn a_slip_of_the_finger_is_taken_back() {
        let mut call = Conversation::new(Some("4711".into()));
        call.answered();
        call.key('5');
        call.key('*');
        for key in "471".chars() {
            call.key(key);
        }
        assert_eq!(call.key('1'), Some(Next::SayAlarms));
    }

    #[test]
    fn nine_repeats_as_often_as_somebody_wants() {
        let mut call = Conversation::new(None);
        call.answered();
        for _ in 0..10 {
            assert_eq!(call.key('9'), Some(Next::SayAlarms));
        }
        assert!(matches!(call.said(), Next::Listen(_)));
        assert_eq!(call.silent(), Next::SayAlarms);
    }

    #[test]
    fn every_phrase_can_be_recorded_and_the_documentation_says_how() {
        let documentation = include_str!("../../../docs/alarms.md");
        for phrase in Phrase::ALL {
            for language in [En, Zh] {
                let row = format!("| `{}.wav` |", phrase.clip());
                assert!(documentation.contains(&row), "{row}");
                assert!(documentation.contains(phrase.text(language)), "{phrase:?}");
            }
        }
    }
}
