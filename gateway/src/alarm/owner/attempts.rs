//! Telling people, and what they say.

use super::Owner;
use crate::{
    alarm::{
        answers,
        book::{Action, Decision},
        model::{Attempt, AttemptId, Channel, Medium, Outcome},
        people::Language,
        telling::{Errand, Report},
        wording,
    },
    telemetry::count,
};
use std::{sync::Arc, time::Duration};
use tokio::task::{Id, JoinError};
use tokio_util::sync::CancellationToken;

/// The longest that an attempt may take, whatever its channel: a call rings, is talked in, and is hung up.
const ATTEMPT_MAX: Duration = Duration::from_secs(15 * 60);

impl Owner<'_> {
    /// Does what was kept to be done.
    pub(super) fn act(&mut self) {
        if self.tenure.is_over() {
            return;
        }
        for action in self.book.take_actions() {
            match action {
                Action::Begin(attempt) => self.begin(&attempt),
                Action::Withdraw(attempt) => {
                    if let Some(withdrawal) = self.withdrawals.get(&attempt) {
                        withdrawal.cancel();
                    }
                }
            }
        }
    }

    fn begin(&mut self, attempt: &Attempt) {
        count(&self.context.telemetry.alarms.attempts);
        tracing::info!(
            attempt = attempt.id.0,
            channel = attempt.channel.name(),
            contact = attempt.contact.0,
            alarms = attempt.alarms.len(),
            "telling somebody of alarms"
        );
        let withdrawn = CancellationToken::new();
        self.withdrawals.insert(attempt.id, withdrawn.clone());
        let contact = self.book.desk.contacts.get(&attempt.contact);
        let errand = Errand {
            attempt: attempt.id,
            destination: attempt.destination.clone(),
            language: contact.map_or(Language::En, |it| it.language),
            pin: self.pins.get(&attempt.contact).cloned(),
            withdrawn,
            reports: self.context.reports.0.clone(),
        };
        let teller = self.context.tellers.0.get(&attempt.channel);
        let teller = teller.map(|(teller, _)| Arc::clone(teller));
        let tenure = self.tenure.clone();
        let telling = async move {
            let failed = |reason: &str| Outcome::Failed {
                reason: reason.into(),
            };
            match teller {
                None => failed("it is not set up any more"),
                Some(teller) => {
                    let telling = tokio::time::timeout(ATTEMPT_MAX, teller.tell(errand));
                    match tenure.within(telling).await {
                        Some(Ok(outcome)) => outcome,
                        Some(Err(_)) => failed("it took too long"),
                        // Whoever owns it next tells them once more.
                        None => Outcome::Interrupted,
                    }
                }
            }
        };
        let task = self.running.spawn(telling);
        self.attempts.insert(task.id(), attempt.id);
    }

    /// An attempt has come to its end.
    pub(super) fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an attempt at telling somebody broke down");
                let reason = "it broke down: a fault of the gateway".to_owned();
                (error.id(), Outcome::Failed { reason })
            }
        };
        let Some(attempt) = self.attempts.remove(&task) else {
            return;
        };
        self.withdrawals.remove(&attempt);
        if !outcome.has_told() && outcome != Outcome::Withdrawn {
            count(&self.context.telemetry.alarms.attempts_failed);
        }
        tracing::info!(
            attempt = attempt.0,
            outcome = outcome.name(),
            "an attempt has ended"
        );
        self.count_failures(attempt, &outcome);
        self.book.end(self.now_ms(), attempt, outcome);
    }

    /// A trunk is asked whether it is in order; whoever carries messages, and a provider of calls, shows it by doing so.
    fn count_failures(&mut self, attempt: AttemptId, outcome: &Outcome) {
        let Some(about) = self.book.attempt(attempt) else {
            return;
        };
        let (channel, contact) = (about.channel, about.contact);
        if channel.medium() == Medium::Call && channel != Channel::ProviderCall {
            return;
        }
        match outcome {
            Outcome::Failed { reason } => {
                let failed = self.failed.entry(channel).or_default();
                failed.count = failed.count.saturating_add(1);
                failed.contacts.insert(contact);
                failed.reason.clone_from(reason);
            }
            Outcome::Withdrawn | Outcome::Interrupted | Outcome::Limited { .. } => {}
            // Whoever is busy was called.
            _ => {
                self.failed.remove(&channel);
            }
        }
    }

    /// An attempt reports something.
    pub(super) fn reported(&mut self, report: Report) {
        let now_ms = self.now_ms();
        match report {
            Report::Word(attempt, answer) => {
                let alarms = self.book.word(attempt);
                let about = self.book.attempt(attempt);
                let wording = about.filter(|_| !alarms.is_empty()).map(|about| {
                    let contact = self.book.desk.contacts.get(&about.contact);
                    let language = contact.map_or(Language::En, |it| it.language);
                    let site_name = |site: u32| self.sites.get(&site).cloned();
                    wording::word(language, alarms, about.code, site_name)
                });
                // It may have been dropped meanwhile.
                let _ = answer.send(wording);
            }
            Report::Step(attempt, step) => self.book.step(now_ms, attempt, step),
            Report::Key(attempt, key) => self.book.key(attempt, key),
            Report::Decide(attempt, decision, answer) => {
                let concerned = self.book.decide(now_ms, attempt, decision);
                // One that somebody else was faster with is as good as one's own.
                let is_good = concerned || decision == Decision::Acknowledge;
                self.decided.push((answer, is_good));
            }
        }
    }

    /// Somebody answered a message: with its code, from the number that it was sent to.
    pub(super) fn answered(&mut self, from: &str, code: u32, key: u8) {
        let now_ms = self.now_ms();
        let Some(decision) = answers::decision(key) else {
            return tracing::info!("an answer to a message was not understood");
        };
        let attempt = self.book.by_code(now_ms, code);
        let about = attempt.and_then(|attempt| self.book.attempt(attempt));
        let Some(about) = about.filter(|it| answers::is_same_number(&it.destination, from)) else {
            return tracing::info!("an answer to a message bears no code that was sent there");
        };
        let id = about.id;
        tracing::info!(attempt = id.0, ?decision, "an answer to a message");
        self.book.key(id, char::from(b'0' + key));
        self.book.decide(now_ms, id, decision);
    }
}
