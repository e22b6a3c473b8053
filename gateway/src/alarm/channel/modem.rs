//! Calls and short messages by a GSM modem.

use crate::alarm::{
    model::{Channel, Outcome, Step},
    people::Language,
    settings::ModemSettings,
    telling::{Errand, Heard, Line, Report, Said, Teller, Telling, converse},
};
use std::time::Duration;
use switchyard_telephone::{
    Number,
    modem::{Call, CallEnd, CallEvent, CallLimits, Modem, TextFault},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a call may last.
const TALK_LIMIT: Duration = Duration::from_secs(300);

/// Starts a modem: what calls, and what sends short messages, as far as either is wanted. Answers to those go to
/// `reports`.
pub(super) fn open(
    settings: &ModemSettings,
    reports: &mpsc::Sender<Report>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) -> std::io::Result<(Option<Calls>, Option<Messages>)> {
    let (modem, mut received) = Modem::start(settings.modem.clone())?;
    let (reports, stopping) = (reports.clone(), stopping.clone());
    tasks.spawn(async move {
        loop {
            let text = tokio::select! {
                () = stopping.cancelled() => return,
                text = received.recv() => text,
            };
            let Some(text) = text else {
                return;
            };
            let (from, text) = (text.from.to_string(), text.text);
            // Nobody owns alarms while the gateway ends.
            let told = reports.send(Report::Answer { from, text });
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = told => {}
            }
        }
    });
    let calls = settings.calls.then(|| Calls {
        modem: modem.clone(),
        ring_limit: settings.ring_limit,
    });
    let messages = settings.sms.then_some(Messages { modem });
    Ok((calls, messages))
}

/// Calls by a modem.
pub(super) struct Calls {
    modem: Modem,
    ring_limit: Duration,
}

/// Short messages by a modem.
pub(super) struct Messages {
    modem: Modem,
}

fn failed(error: &impl ToString) -> Outcome {
    Outcome::Failed {
        reason: error.to_string(),
    }
}

impl Teller for Calls {
    fn channel(&self) -> Channel {
        Channel::ModemCall
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            let number: Number = match errand.destination.parse() {
                Ok(number) => number,
                Err(error) => return failed(&error),
            };
            let limits = CallLimits {
                ring_max: self.ring_limit,
                length_max: TALK_LIMIT,
            };
            let call = match self.modem.call(number, limits) {
                Ok(call) => call,
                Err(error) => return failed(&error),
            };
            let mut line = Spoken { call };
            let outcome = converse(&mut line, &errand).await;
            line.call.hang_up();
            line.call.ended().await;
            outcome
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        Box::pin(async {
            let state = self.modem.state().borrow().clone();
            match state.condition.can_call() {
                true => Ok(()),
                false => Err(state.condition.to_string()),
            }
        })
    }
}

/// A call, and the modem's own voice in it.
struct Spoken {
    call: Call,
}

impl Line for Spoken {
    fn say<'a>(
        &'a mut self,
        said: Said<'a>,
        language: Language,
    ) -> Telling<'a, Result<(), String>> {
        Box::pin(async move {
            let text = said.text(language);
            self.call.say(&text).map_err(|error| error.to_string())
        })
    }

    fn next(&mut self) -> Telling<'_, Heard> {
        Box::pin(async {
            loop {
                return match self.call.next().await {
                    Some(CallEvent::Ringing) => Heard::Ringing,
                    Some(CallEvent::Answered) => Heard::Answered,
                    Some(CallEvent::Key(key)) => Heard::Key(key),
                    Some(CallEvent::Said(_)) => Heard::Said,
                    Some(CallEvent::Ended(end)) => Heard::Ended(outcome_of(&end)),
                    None => Heard::Ended(Outcome::Unanswered),
                    Some(_) => continue,
                };
            }
        })
    }
}

fn outcome_of(end: &CallEnd) -> Outcome {
    match end {
        CallEnd::HungUp | CallEnd::PeerHungUp | CallEnd::TooLong => Outcome::Unanswered,
        CallEnd::Busy => Outcome::Busy,
        CallEnd::NoAnswer => Outcome::NoAnswer,
        other => failed(other),
    }
}

impl Teller for Messages {
    fn channel(&self) -> Channel {
        Channel::ModemSms
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            let number: Number = match errand.destination.parse() {
                Ok(number) => number,
                Err(error) => return failed(&error),
            };
            let Some(wording) = errand.word().await else {
                return Outcome::Withdrawn;
            };
            let pending = match self.modem.text(number, &wording.short) {
                Ok(pending) => pending,
                Err(error) => return failed(&error),
            };
            let sent: Result<_, TextFault> = pending.outcome().await;
            match sent {
                Ok(_) => {
                    errand.step(Step::Told).await;
                    Outcome::Sent
                }
                Err(fault) => failed(&fault),
            }
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        Box::pin(async {
            let state = self.modem.state().borrow().clone();
            match state.condition.can_text() {
                true => Ok(()),
                false => Err(state.condition.to_string()),
            }
        })
    }
}
