//! The procedure of a call: dialled, followed, listened to for keys, spoken into, ended.

use super::{
    attend::look,
    desk::{CallLimits, CallOrder, Command, Event, Fault, JobId, Line, Occurrence, Reply},
    report::{CallEnd, CallEvent, Capabilities, Said},
    words::{CallWord, Outcome, Told, named, number},
};
use crate::Number;
use std::{collections::VecDeque, time::Duration};

/// How often it is asked how the call stands.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// How long a call may be missing from the list of calls at its beginning.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);
/// How long the word for a call's end is waited for once it is gone from the list.
const WORD_WITHIN: Duration = Duration::from_secs(1);
const HANG_UP_TIME: Duration = Duration::from_secs(20);
/// Letters that are spoken at a time, each of which takes four digits: Quectel's modems take 543 in all.
const SPOKEN_AT_A_TIME: usize = 120;
/// Speech that does not end in this time has: a dozen letters a second are slow, and this is a tenth of that.
const SPOKEN_WITHIN: Duration = Duration::from_secs(60);
/// Text that is spoken in one call at most: ten minutes of it.
const SPOKEN_MAX: usize = 6_000;
/// Sent where nothing can be spoken. D is on no telephone, so that no menu takes it for a choice.
const TONE: char = 'D';
const TONES: usize = 3;

/// States of a call in the list (3GPP TS 27.007, 7.18).
const ACTIVE: u8 = 0;
const HELD: u8 = 1;
const ALERTING: u8 = 3;

struct Call<'a> {
    line: &'a Line,
    capabilities: &'a Capabilities,
    id: JobId,
    has_rung: bool,
    is_answered: bool,
    is_listed: bool,
    /// What is still to be spoken, and until when the piece under way has to be.
    speech: VecDeque<String>,
    speaking_until: Option<Duration>,
}

/// Makes a call, and says why it is over.
pub(super) async fn call(
    line: &Line,
    capabilities: &Capabilities,
    id: JobId,
    to: &Number,
    limits: CallLimits,
) -> Result<CallEnd, Fault> {
    // What begins with these signs or ends with a hash is an order (3GPP TS 22.030, 6.5.2).
    let number = to.as_str();
    if number.starts_with(['*', '#']) || number.ends_with('#') {
        return Ok(CallEnd::NotANumber);
    }
    line.tell(Event::Call(id, CallEvent::Trying));
    let begun = line.now();
    let command = Command::new(format!("ATD{number};")).dialling();
    let reply = line.ask(command.within(limits.ring_max)).await;
    let mut call = Call {
        line,
        capabilities,
        id,
        has_rung: false,
        is_answered: false,
        is_listed: false,
        speech: VecDeque::new(),
        speaking_until: None,
    };
    let end = match reply {
        Ok(Reply::Answer { outcome, .. }) => match outcome {
            Outcome::Ok => call.follow(begun, limits).await?,
            Outcome::CallEnded(word) => call.end_by(word),
            Outcome::Refused(cause) => CallEnd::Refused(cause),
        },
        Ok(_) => CallEnd::HungUp,
        // A modem that answers only when somebody does: nobody did.
        Err(Fault::Silent(_)) => CallEnd::NoAnswer,
        Err(fault) => return Err(fault),
    };
    hang_up(line).await?;
    look(line).await?;
    let is_network_lost = !line.state().condition.can_text();
    Ok(match end {
        CallEnd::PeerHungUp | CallEnd::Unreachable if is_network_lost => CallEnd::NetworkLost,
        end => end,
    })
}

/// Ends whatever call there is.
pub(super) async fn hang_up(line: &Line) -> Result<(), Fault> {
    let command = |text: &str| Command::new(text).within(HANG_UP_TIME);
    if !line.ask(command("AT+CHUP")).await?.is_ok() {
        line.ask(command("ATH")).await?;
    }
    Ok(())
}

impl Call<'_> {
    fn tell(&self, event: CallEvent) {
        self.line.tell(Event::Call(self.id, event));
    }

    /// Follows the call until it is over.
    async fn follow(&mut self, begun: Duration, limits: CallLimits) -> Result<CallEnd, Fault> {
        let rings_until = begun + limits.ring_max;
        let mut ends_at = None;
        loop {
            let was_answered = self.is_answered;
            if let Some(end) = self.poll(begun).await? {
                return Ok(end);
            }
            if self.is_answered && !was_answered {
                ends_at = Some(self.line.now() + limits.length_max);
                self.tell(CallEvent::Answered);
                self.speak_next().await?;
            }
            let next_poll = self.line.now() + POLL_EVERY;
            loop {
                let now = self.line.now();
                match ends_at {
                    Some(end) if now >= end => return Ok(CallEnd::TooLong),
                    None if now >= rings_until => return Ok(CallEnd::NoAnswer),
                    _ => {}
                }
                if self.speaking_until.is_some_and(|until| now >= until) {
                    self.spoken(false).await?;
                }
                let limit = ends_at.unwrap_or(rings_until);
                let until = next_poll
                    .min(limit)
                    .min(self.speaking_until.unwrap_or(limit));
                match self.line.occurrence(until, false).await? {
                    Occurrence::Ordered(CallOrder::HangUp) => return Ok(CallEnd::HungUp),
                    Occurrence::Ordered(CallOrder::Say(text)) => self.say(&text).await?,
                    Occurrence::Told(Told::CallEnded(word)) => return Ok(self.end_by(word)),
                    Occurrence::Told(Told::Key(key)) if self.is_answered => {
                        self.tell(CallEvent::Key(key));
                    }
                    Occurrence::Told(Told::Spoken(to_the_end)) => self.spoken(to_the_end).await?,
                    Occurrence::Due if now >= next_poll => break,
                    _ => {}
                }
                if self.line.now() >= next_poll {
                    break;
                }
            }
        }
    }

    /// Asks how the call stands. Gives why it is over, if it is.
    async fn poll(&mut self, begun: Duration) -> Result<Option<CallEnd>, Fault> {
        let reply = self.line.ask(Command::new("AT+CLCC")).await?;
        // Number in the list, direction, state, kind: ours goes out and is of voice. A few modems list data, too.
        let mut ours = named(reply.lines(), "+CLCC").filter(|fields| {
            number::<u8>(fields, 1) == Some(0) && number::<u8>(fields, 3) == Some(0)
        });
        let state = ours.next().and_then(|fields| number::<u8>(&fields, 2));
        match state {
            Some(ACTIVE | HELD) => self.is_answered = true,
            Some(ALERTING) if !self.has_rung => {
                self.has_rung = true;
                self.tell(CallEvent::Ringing);
            }
            Some(_) => {}
            None if !reply.is_ok() => return Ok(None),
            None if self.is_listed || self.line.now() >= begun + APPEARS_WITHIN => {
                return self.word().await.map(Some);
            }
            None => return Ok(None),
        }
        self.is_listed = true;
        Ok(None)
    }

    /// The call is gone: waits for the word that says why.
    async fn word(&self) -> Result<CallEnd, Fault> {
        let until = self.line.now() + WORD_WITHIN;
        loop {
            match self.line.occurrence(until, false).await? {
                Occurrence::Told(Told::CallEnded(word)) => return Ok(self.end_by(word)),
                Occurrence::Ordered(CallOrder::HangUp) => return Ok(CallEnd::HungUp),
                Occurrence::Due => return Ok(self.end_by(CallWord::NoCarrier)),
                _ => {}
            }
        }
    }

    fn end_by(&self, word: CallWord) -> CallEnd {
        match word {
            _ if self.is_answered => CallEnd::PeerHungUp,
            CallWord::Busy => CallEnd::Busy,
            CallWord::NoAnswer => CallEnd::NoAnswer,
            CallWord::NoCarrier | CallWord::NoDialTone => CallEnd::Unreachable,
        }
    }

    /// Says something, in place of what is being said.
    async fn say(&mut self, text: &str) -> Result<(), Fault> {
        if self.speaking_until.take().is_some() {
            self.line.ask_ok("AT+QWTTS=1,0,0").await?;
        }
        self.speech = pieces(text);
        match self.is_answered {
            true => self.speak_next().await,
            // Spoken once there is somebody who can hear it.
            false => Ok(()),
        }
    }

    /// A piece has been spoken, or that was broken off.
    async fn spoken(&mut self, to_the_end: bool) -> Result<(), Fault> {
        if self.speaking_until.take().is_none() {
            return Ok(());
        }
        if self.speech.is_empty() {
            self.tell(CallEvent::Said(Said::InWords));
            return Ok(());
        }
        if !to_the_end {
            tracing::debug!("the modem broke speech off; it goes on with the next piece");
        }
        self.speak_next().await
    }

    async fn speak_next(&mut self) -> Result<(), Fault> {
        let Some(piece) = self.speech.pop_front() else {
            return Ok(());
        };
        if self.capabilities.speech {
            let digits: String = piece
                .encode_utf16()
                .map(|unit| format!("{unit:04X}"))
                .collect();
            // Heard at the other end and not here; as UCS-2.
            if self
                .line
                .ask_ok(format!("AT+QWTTS=1,0,1,\"{digits}\""))
                .await?
            {
                self.speaking_until = Some(self.line.now() + SPOKEN_WITHIN);
                return Ok(());
            }
        }
        self.speech.clear();
        let mut are_sent = self.capabilities.tones;
        for _ in 0..TONES {
            are_sent = are_sent && self.line.ask_ok(format!("AT+VTS={TONE}")).await?;
        }
        let said = if are_sent {
            Said::ByTones
        } else {
            Said::NotAtAll
        };
        self.tell(CallEvent::Said(said));
        Ok(())
    }
}

/// Text in pieces that can be spoken at once, cut where a voice may rest.
fn pieces(text: &str) -> VecDeque<String> {
    let mut pieces = VecDeque::new();
    let mut piece = String::new();
    let (mut units, mut rest_at) = (0, None);
    for letter in text.chars().take(SPOKEN_MAX) {
        let letter = if letter.is_control() { ' ' } else { letter };
        if units + letter.len_utf16() > SPOKEN_AT_A_TIME {
            let after = piece.split_off(rest_at.take().unwrap_or(piece.len()));
            units = after.encode_utf16().count();
            pieces.push_back(std::mem::replace(&mut piece, after));
        }
        piece.push(letter);
        units += letter.len_utf16();
        if matches!(
            letter,
            '.' | ',' | ';' | ':' | '!' | '?' | ' ' | '。' | '，' | '；' | '！' | '？'
        ) {
            rest_at = Some(piece.len());
        }
    }
    pieces.push_back(piece);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn speech_rests_between_words() {
        let text = "Pump three is dry. ".repeat(10);
        let pieces = pieces(&text);
        assert_eq!(pieces.iter().map(String::as_str).collect::<String>(), text);
        assert!(
            pieces
                .iter()
                .all(|it| it.ends_with(' ') && it.len() <= SPOKEN_AT_A_TIME),
            "{pieces:?}"
        );
        assert_eq!(super::pieces(" \n"), VecDeque::<String>::new());
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_and_none_is_too_long(text in "[a-z .水🔥，]{0,500}") {
            let pieces = pieces(&text);
            for piece in &pieces {
                prop_assert!(piece.encode_utf16().count() <= SPOKEN_AT_A_TIME);
            }
            let whole: String = pieces.into_iter().collect();
            prop_assert_eq!(whole.replace(' ', ""), text.replace(' ', ""));
        }
    }
}
