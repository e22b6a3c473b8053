//! What lies behind a scripted modem: texts that were sent, texts that wait, and the call under way.

use super::options::{Callee, Reaction};
use super::pdu::Submitted;
use std::{collections::VecDeque, time::Duration};

/// A text that was sent, its parts joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentText {
    /// To whom.
    pub to: String,
    /// What.
    pub text: String,
    /// Messages that it took.
    pub parts: usize,
    /// Whether they were of sixteen bits a letter.
    pub is_wide: bool,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DialledCall {
    /// To whom.
    pub number: String,
    /// Somebody answered.
    pub is_answered: bool,
    /// What was said, piece by piece.
    pub spoken: Vec<String>,
    /// Tones that were sent.
    pub tones: String,
    /// The host ended it.
    pub is_hung_up: bool,
    /// It is over, for whatever reason.
    pub is_over: bool,
}

/// How a call under way stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Dialling,
    Alerting,
    Active,
}

/// What a call does to the modem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallNews {
    Answered,
    Key(char),
    Ended(&'static str),
}

/// A call under way.
#[derive(Clone, Debug)]
pub(super) struct Ongoing {
    pub(super) stage: Stage,
    begun: Duration,
    answered: Option<Duration>,
    callee: Callee,
    keys: VecDeque<(Duration, char)>,
}

/// How long it takes a call to begin to ring.
const ALERTS_AFTER: Duration = Duration::from_millis(50);

impl Ongoing {
    pub(super) fn new(now: Duration, callee: Callee) -> Self {
        let mut keys = callee.keys.clone();
        keys.sort_by_key(|(after, _)| *after);
        Ongoing {
            stage: Stage::Dialling,
            begun: now,
            answered: None,
            keys: keys.into(),
            callee,
        }
    }

    /// What happens next, and when; nothing when it rings on or is listened to.
    pub(super) fn next(&self) -> Option<(Duration, CallNews)> {
        let rings = self.begun + ALERTS_AFTER;
        let Some(answered) = self.answered else {
            return match self.callee.reaction {
                Reaction::Answers(after) => Some((rings + after, CallNews::Answered)),
                Reaction::RingsOn => None,
                Reaction::Busy(after) => Some((self.begun + after, CallNews::Ended("BUSY"))),
                Reaction::Unreachable(after) => {
                    Some((self.begun + after, CallNews::Ended("NO CARRIER")))
                }
                Reaction::NoAnswer(after) => Some((rings + after, CallNews::Ended("NO ANSWER"))),
            };
        };
        let key = self.keys.front();
        let key = key.map(|(after, key)| (answered + *after, CallNews::Key(*key)));
        let hangs_up = self.callee.hangs_up;
        let end = hangs_up.map(|after| (answered + after, CallNews::Ended("NO CARRIER")));
        key.into_iter().chain(end).min_by_key(|(when, _)| *when)
    }

    /// Goes on to this time; what happened is for the modem.
    pub(super) fn advance(&mut self, now: Duration) -> Option<CallNews> {
        let does_ring = !matches!(
            self.callee.reaction,
            Reaction::Busy(_) | Reaction::Unreachable(_)
        );
        if self.stage == Stage::Dialling && does_ring && now >= self.begun + ALERTS_AFTER {
            self.stage = Stage::Alerting;
        }
        let (when, news) = self.next().filter(|(when, _)| *when <= now)?;
        match news {
            CallNews::Answered => {
                self.stage = Stage::Active;
                self.answered = Some(when);
            }
            CallNews::Key(_) => drop(self.keys.pop_front()),
            CallNews::Ended(_) => {}
        }
        Some(news)
    }
}

/// Joins messages that were parts of one text.
pub(super) fn joined(messages: &[Submitted]) -> Vec<SentText> {
    let mut texts: Vec<SentText> = Vec::new();
    for message in messages {
        let is_further = message.part.is_some_and(|(_, _, number)| number > 1);
        match texts.last_mut().filter(|_| is_further) {
            Some(text) => {
                text.text += &message.text;
                text.parts += 1;
            }
            None => texts.push(SentText {
                to: message.to.clone(),
                text: message.text.clone(),
                parts: 1,
                is_wide: message.is_wide,
            }),
        }
    }
    texts
}
