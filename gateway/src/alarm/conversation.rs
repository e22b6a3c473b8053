//! A call, as whoever answers it hears it: a PIN asked for, alarms spoken, one key that says what becomes of them.
//!
//! Pure: what is heard goes in, what is to be done comes out. Whatever is not a key that says so, such as a voicemail's
//! greeting, silence or a wrong PIN, never counts as heard.

use super::{book::Decision, model::Outcome, people::Language};
use std::time::Duration;

/// How long a key is waited for after something was spoken.
const KEY_PATIENCE: Duration = Duration::from_secs(8);
/// How long the next digit of a PIN is waited for.
const DIGIT_PATIENCE: Duration = Duration::from_secs(6);
/// How often something is spoken before nobody is taken to be there.
const TIMES: u8 = 3;
/// How often a PIN may be wrong.
const PIN_TRIES: u8 = 3;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Speak this. Keys count meanwhile.
    Say(String),
    /// Speak the alarms, as they are this moment, with what follows them. Keys count meanwhile.
    SayAlarms(String),
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
    language: Language,
    pin: Option<String>,
    stage: Stage,
    typed: String,
    wrong: u8,
    spoken: u8,
}

impl Conversation {
    /// One that asks for a PIN where there is one.
    pub(crate) fn new(language: Language, pin: Option<String>) -> Self {
        let stage = match pin {
            Some(_) => Stage::AsksPin,
            None => Stage::TellsAlarms,
        };
        Conversation {
            language,
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
            return Next::Say(match self.language {
                Language::En => "That could not be noted. Please press the key again.".into(),
                Language::Zh => "未能记录。请再按一次。".into(),
            });
        }
        self.stage = Stage::SaysGoodbye(decision);
        let text = match (self.language, decision) {
            (Language::En, Decision::Acknowledge) => "Acknowledged. Goodbye.",
            (Language::En, Decision::Pass) => "The next person is called. Goodbye.",
            (Language::En, Decision::Mute) => "Muted for one hour. Goodbye.",
            (Language::Zh, Decision::Acknowledge) => "已确认。再见。",
            (Language::Zh, Decision::Pass) => "将呼叫下一位。再见。",
            (Language::Zh, Decision::Mute) => "静音一小时。再见。",
        };
        Next::Say(text.into())
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
        match (self.stage, self.language) {
            (Stage::AsksPin, Language::En) => {
                Next::Say("This is Switchyard, with an alarm. Please type your PIN.".into())
            }
            (Stage::AsksPin, Language::Zh) => {
                Next::Say("这里是 Switchyard，有报警。请输入密码。".into())
            }
            (_, Language::En) => Next::SayAlarms(
                "Press 1 if you have heard and look after it, 2 for the next person, 3 to mute it for an hour, \
                 9 to hear it again."
                    .into(),
            ),
            (_, Language::Zh) => {
                Next::SayAlarms("按1确认并处理，按2呼叫下一位，按3静音一小时，按9重听。".into())
            }
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
        Next::Say(match self.language {
            Language::En => "That is not your PIN. Please type it again.".into(),
            Language::Zh => "密码错误。请重新输入。".into(),
        })
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

    fn say(next: Next) -> String {
        match next {
            Next::Say(text) | Next::SayAlarms(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_key_is_enough_also_while_it_is_spoken() {
        let mut call = Conversation::new(Language::En, None);
        assert!(matches!(call.answered(), Next::SayAlarms(_)));
        assert_eq!(call.key('5'), None);
        assert_eq!(call.key('1'), Some(Next::Decide(Decision::Acknowledge)));
        assert_eq!(call.key('2'), None, "one at a time");
        assert!(say(call.decided(true)).starts_with("Acknowledged"));
        assert_eq!(call.said(), Next::End(Outcome::Acknowledged));
        assert_eq!(call.hung_up(), Outcome::Acknowledged);
    }

    #[test]
    fn what_could_not_be_kept_is_not_said_to_be() {
        let mut call = Conversation::new(Language::En, None);
        call.answered();
        call.key('1');
        assert!(say(call.decided(false)).contains("could not"));
        assert_eq!(call.hung_up(), Outcome::Unanswered);
        assert_eq!(call.key('1'), Some(Next::Decide(Decision::Acknowledge)));
    }

    #[test]
    fn silence_and_voicemail_are_not_heard() {
        for pin in [None, Some("4711".to_owned())] {
            let mut call = Conversation::new(Language::En, pin);
            let mut next = call.answered();
            let mut times = 0;
            loop {
                next = match next {
                    Next::Say(_) | Next::SayAlarms(_) => {
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
        let mut call = Conversation::new(Language::En, Some("4711".into()));
        assert!(matches!(call.answered(), Next::Say(_)));
        for key in "471".chars() {
            assert_eq!(call.key_for_record(key), '*');
            assert_eq!(call.key(key), Some(Next::Listen(DIGIT_PATIENCE)));
        }
        assert!(matches!(call.key('1'), Some(Next::SayAlarms(_))));
        assert_eq!(call.key_for_record('1'), '1');
    }

    #[test]
    fn a_wrong_pin_is_asked_for_again_and_then_no_more() {
        let mut call = Conversation::new(Language::En, Some("4711".into()));
        call.answered();
        for _ in 0..2 {
            for key in "111".chars() {
                call.key(key);
            }
            assert!(say(call.key('1').unwrap()).contains("not your PIN"));
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
        let mut call = Conversation::new(Language::Zh, Some("4711".into()));
        call.answered();
        call.key('5');
        call.key('*');
        for key in "471".chars() {
            call.key(key);
        }
        assert!(matches!(call.key('1'), Some(Next::SayAlarms(_))));
    }

    #[test]
    fn nine_repeats_as_often_as_somebody_wants() {
        let mut call = Conversation::new(Language::En, None);
        call.answered();
        for _ in 0..10 {
            assert!(matches!(call.key('9'), Some(Next::SayAlarms(_))));
        }
        assert!(matches!(call.said(), Next::Listen(_)));
        assert!(matches!(call.silent(), Next::SayAlarms(_)));
    }
}
