//! Answers to short messages: from whatever gateway and by whatever way they come, they are kept for the one in charge.
//!
//! A text that is none, or comes from nobody who is told of alarms, is forgotten at once, and so is what comes too often:
//! nobody fills the store by sending texts.

use super::{book::Decision, model::Medium, people::Contact};
use crate::{
    bell::Bell,
    store::{AlarmWish, ConfigStore, StoreError, WishedAlarms},
    throttle::Throttle,
};
use std::{
    collections::VecDeque,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use switchyard_telephone::Number;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Texts in a minute that are looked at. Beyond it, somebody is at play.
const PER_MINUTE_MAX: u32 = 120;
/// Of those, from one number: nobody answers more in a minute, and codes have four digits.
const PER_NUMBER_PER_MINUTE_MAX: u32 = 6;
/// Names of texts that are remembered: a provider may tell of one twice.
const NAMES_MAX: usize = 1_024;
/// Texts of a modem that may wait for the store.
const RECEIVED_MAX: usize = 64;
/// How long to wait before one is kept that could not be.
const AGAIN_PAUSE: Duration = Duration::from_secs(2);

/// A text that came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) text: String,
}

/// A way for texts that come, of those that can wait.
pub(crate) fn received() -> (mpsc::Sender<Received>, mpsc::Receiver<Received>) {
    mpsc::channel(RECEIVED_MAX)
}

/// See the module.
pub(crate) struct Answers {
    store: Arc<dyn ConfigStore>,
    bell: Bell,
    later: mpsc::Sender<Received>,
    all: Throttle<()>,
    by_number: Throttle<String>,
    names: Mutex<VecDeque<String>>,
}

impl Answers {
    /// `later` leads to [`take_all`](Self::take_all).
    pub(crate) fn new(
        store: Arc<dyn ConfigStore>,
        bell: Bell,
        later: mpsc::Sender<Received>,
    ) -> Self {
        Answers {
            store,
            bell,
            later,
            all: Throttle::new(PER_MINUTE_MAX),
            by_number: Throttle::new(PER_NUMBER_PER_MINUTE_MAX),
            names: Mutex::default(),
        }
    }

    /// Keeps a text for the gateway in charge of alarms, if it can be an answer to one of its messages. `name` is what
    /// a provider calls it: of the same twice, one counts.
    ///
    /// # Errors
    /// When it could not be kept, so that it is worth coming again.
    pub(crate) async fn take(
        &self,
        received: &Received,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(wished) = self.judge(received, name).await? else {
            return Ok(());
        };
        let kept = self.keep(wished).await;
        if kept.is_err() {
            // It may come again.
            self.release(name);
        }
        kept
    }

    /// Takes one later that could not be kept; whether there is room for it.
    pub(crate) fn put_off(&self, received: Received) -> bool {
        self.later.try_send(received).is_ok()
    }

    /// What somebody wants by a text, if it is an answer, from somebody who is told of alarms, and not one too many.
    async fn judge(
        &self,
        Received { from, text }: &Received,
        name: Option<&str>,
    ) -> Result<Option<WishedAlarms>, StoreError> {
        let Some((code, decision)) = understood(text) else {
            tracing::info!("a text that came is no answer to a message");
            return Ok(None);
        };
        if !self.all.pass((), Instant::now()) {
            tracing::warn!("too many answers to messages in a minute: one was not looked at");
            return Ok(None);
        }
        let contacts = self.store.contacts().await?;
        if !contacts.iter().any(|it| is_of(&it.contact, from)) {
            tracing::info!("an answer to a message came from nobody who is told of alarms");
            return Ok(None);
        }
        if name.is_some_and(|name| !self.reserve(name)) {
            return Ok(None);
        }
        if !self.by_number.pass(tail(from), Instant::now()) {
            tracing::warn!("too many answers in a minute from one number: one was not looked at");
            return Ok(None);
        }
        Ok(Some(WishedAlarms {
            wish: AlarmWish::Answer {
                from: from.clone(),
                code,
                key: key(decision),
            },
            comment: None,
            account: String::new(),
            at_ms: crate::clock::time().0,
        }))
    }

    async fn keep(&self, wished: WishedAlarms) -> Result<(), StoreError> {
        self.store.add_alarm_wish(wished).await?;
        self.bell.ring();
        Ok(())
    }

    /// Takes texts that can wait, until the gateway stops.
    pub(crate) async fn take_all(
        self: Arc<Self>,
        mut received: mpsc::Receiver<Received>,
        stopping: CancellationToken,
    ) {
        let taking = async {
            while let Some(text) = received.recv().await {
                // Each is judged once, however often it is tried to keep it.
                let judged = loop {
                    match self.judge(&text, None).await {
                        Ok(judged) => break judged,
                        Err(error) => pause(&error).await,
                    }
                };
                let Some(wished) = judged else {
                    continue;
                };
                while let Err(error) = self.keep(wished.clone()).await {
                    pause(&error).await;
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = taking => {}
        }
    }

    /// Notes the name of a text; whether it was not there before.
    fn reserve(&self, name: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.iter().any(|it| it == name) {
            return false;
        }
        if names.len() >= NAMES_MAX {
            names.pop_front();
        }
        names.push_back(name.to_owned());
        true
    }

    fn release(&self, name: Option<&str>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|it| Some(it.as_str()) != name);
    }
}

/// Waits before something is tried again that the store has not done.
async fn pause(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "an answer to a message could not be kept, and waits"
    );
    tokio::time::sleep(AGAIN_PAUSE).await;
}

/// The key that stands for a decision, in a call and in an answer.
pub(super) const fn key(decision: Decision) -> u8 {
    match decision {
        Decision::Acknowledge => 1,
        Decision::Pass => 2,
        Decision::Mute => 3,
    }
}

/// The decision that a key stands for.
pub(super) const fn decision(key: u8) -> Option<Decision> {
    match key {
        1 => Some(Decision::Acknowledge),
        2 => Some(Decision::Pass),
        3 => Some(Decision::Mute),
        _ => None,
    }
}

/// The code at its beginning and the digit behind it; the code and nothing else says that it was heard. "4711 not me" says
/// nothing, nor does what quotes the message, or "4711 3 of us are on the way": nobody has heard, and nothing is muted, by an
/// answer that may mean something else.
fn understood(text: &str) -> Option<(u32, Decision)> {
    let text: String = text.chars().map(half_width).collect();
    let is_part = |it: char| it.is_alphanumeric();
    let number = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let text = text.trim_matches(|it| !is_part(it));
    let (code, rest) = text.split_at(number(text));
    let code = code.parse().ok()?;
    if rest.is_empty() {
        return Some((code, Decision::Acknowledge));
    }
    let rest = rest.trim_start_matches(|it| !is_part(it));
    let (digit, rest) = rest.split_at(number(rest));
    let decision = decision(digit.parse().ok()?)?;
    let is_clear = match decision {
        // "4711 1 on my way", and not "4711 1st floor".
        Decision::Acknowledge => !rest.starts_with(is_part),
        Decision::Pass | Decision::Mute => !rest.contains(is_part),
    };
    is_clear.then_some((code, decision))
}

/// A digit as Chinese keyboards may write it, as one of ASCII.
fn half_width(it: char) -> char {
    match it {
        '０'..='９' => {
            char::from_u32(u32::from(it) - u32::from('０') + u32::from('0')).unwrap_or(it)
        }
        it => it,
    }
}

fn is_of(contact: &Contact, number: &str) -> bool {
    [Medium::Sms, Medium::Call]
        .into_iter()
        .filter_map(|medium| contact.destination(medium))
        .any(|own| is_same_number(own, number))
}

/// Digits by which numbers are compared.
const TAIL: usize = 8;

fn tail(number: &str) -> String {
    let digits = Number::from_str(number).map(|it| it.digits().to_owned());
    let digits = digits.unwrap_or_default();
    digits[digits.len().saturating_sub(TAIL)..].to_owned()
}

/// Whether two numbers are one: networks tell those that call with or without the country's.
pub(super) fn is_same_number(ours: &str, theirs: &str) -> bool {
    let digits = |text: &str| Number::from_str(text).map(|it| it.digits().to_owned());
    match (digits(ours), digits(theirs)) {
        (Ok(ours), Ok(theirs)) if ours.len() >= TAIL && theirs.len() >= TAIL => {
            ours[ours.len() - TAIL..] == theirs[theirs.len() - TAIL..]
        }
        (Ok(ours), Ok(theirs)) => ours == theirs,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
