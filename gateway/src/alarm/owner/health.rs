//! Whether channels and stores are in order, weekly tests, what is too old, and the sign of life for somebody outside.

use super::Owner;
use crate::{
    alarm::{
        book::Raising,
        model::{Channel, Medium, Severity, Source},
        people::ContactId,
        telling::Telling,
    },
    telemetry::count,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{task::JoinError, time::Instant};

/// How often channels are looked at.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How often what is too old is removed.
pub(super) const TRIM_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How soon more of it is removed, where there is more.
pub(super) const TRIM_PAUSE: Duration = Duration::from_secs(1);
/// So many times in a row, and a channel is out of order.
const FAULTS_MIN: u32 = 2;
/// So many messages, or calls by a provider, to several people that fail in a row, and their channel is out of order until
/// one does not.
const FAILED_MIN: u32 = 3;
/// The same where all of them were to one person.
const FAILED_OF_ONE_MIN: u32 = 6;
/// How long a look at a channel may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the status store may be away before that is an alarm.
const STATUS_PATIENCE: Duration = Duration::from_secs(60);
/// Alarms removed at once.
const TRIMMED_AT_ONCE: u32 = 500;
/// How long a sign of life may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Gives a sign of life to somebody outside, who tells people where it stays away.
pub(crate) struct Heartbeat {
    /// How often.
    pub(crate) interval: Duration,
    /// Gives it; what is wrong, where it is not taken.
    pub(crate) beat: Box<dyn Fn() -> Telling<'static, Result<(), String>> + Send + Sync>,
}

impl Owner<'_> {
    /// Begins to look at channels, and looks at the rest.
    pub(super) async fn check(&mut self) {
        if self.probes.is_empty() {
            for (channel, (teller, _)) in &self.context.tellers.0 {
                let (channel, teller) = (*channel, Arc::clone(teller));
                self.probes.spawn(async move {
                    let probed = tokio::time::timeout(PROBE_TIMEOUT, teller.probe()).await;
                    (
                        channel,
                        probed.unwrap_or_else(|_| Err("it does not answer".into())),
                    )
                });
            }
        }
        self.check_status_store();
        self.weekly_tests();
    }

    /// A channel was looked at.
    pub(super) fn probed(&mut self, probed: Result<(Channel, Result<(), String>), JoinError>) {
        let Ok((channel, probed)) = probed else {
            return;
        };
        let probed = match self.failed.get(&channel) {
            // Of one person alone it may be the number that is wrong.
            Some(it)
                if it.count >= FAILED_MIN && it.contacts.len() > 1
                    || it.count >= FAILED_OF_ONE_MIN =>
            {
                Err(format!("the last {} failed: {}", it.count, it.reason))
            }
            _ => probed,
        };
        let source = Source::Channel { channel };
        let now_ms = self.now_ms();
        let faults = self.faults.entry(channel).or_default();
        let fault = match probed {
            Ok(()) => {
                *faults = 0;
                self.book.over(now_ms, &source);
                None
            }
            Err(reason) => {
                *faults = faults.saturating_add(1);
                Some(reason)
            }
        };
        let is_out_of_order = *faults >= FAULTS_MIN;
        if let Some(reason) = fault.clone().filter(|_| is_out_of_order) {
            self.raise(Raising {
                source,
                severity: Severity::High,
                text: format!("nobody can be told by {}", channel.name()),
                controller: None,
                site: None,
                value: Some(reason),
                is_silence: false,
            });
        }
        self.context.standing.send_if_modified(|standing| {
            let before = standing.faults.insert(channel, fault.clone());
            before != Some(fault)
        });
    }

    fn check_status_store(&mut self) {
        if self.context.status.is_none() {
            return self.book.over(self.now_ms(), &Source::StatusStore);
        }
        let up = &self.context.telemetry.status_store_up;
        if up.load(Ordering::Relaxed) == 1 {
            self.status_down_since = None;
            return self.book.over(self.now_ms(), &Source::StatusStore);
        }
        let since = *self.status_down_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= STATUS_PATIENCE {
            self.raise(Raising {
                source: Source::StatusStore,
                severity: Severity::Medium,
                text: "the status store does not answer".into(),
                controller: None,
                site: None,
                value: None,
                is_silence: false,
            });
        }
    }

    /// Tells those that all is well whose time it is.
    fn weekly_tests(&mut self) {
        let now_ms = self.now_ms();
        let from_ms = std::mem::replace(&mut self.tested_until_ms, now_ms);
        let due: Vec<_> = self
            .book
            .desk
            .contacts
            .iter()
            .filter(|(id, it)| {
                let due_ms = it.next_test(from_ms).filter(|due_ms| *due_ms <= now_ms);
                due_ms.is_some_and(|due_ms| !self.was_tested_since(**id, due_ms))
            })
            .map(|(id, it)| {
                let is_called = it.destination(Medium::Call).is_some();
                let medium = Medium::ALL
                    .into_iter()
                    .find(|medium| it.destination(*medium).is_some());
                (
                    *id,
                    if is_called {
                        Some(Medium::Call)
                    } else {
                        medium
                    },
                )
            })
            .collect();
        for (contact, medium) in due {
            let Some(medium) = medium else {
                continue;
            };
            self.raise(Raising {
                source: Source::Test { contact, medium },
                severity: Severity::Medium,
                text: "weekly test".into(),
                controller: None,
                site: None,
                value: None,
                is_silence: false,
            });
        }
    }

    fn was_tested_since(&self, who: ContactId, since_ms: u64) -> bool {
        self.book.alarms().any(|it| {
            let is_test = matches!(it.source, Source::Test { contact, .. } if contact == who);
            is_test && it.raised_ms >= since_ms
        })
    }

    /// Gives a sign of life. It is given by an owner that keeps what it has, and by nobody else: where it stays away,
    /// somebody outside has to look.
    pub(super) fn beat(&mut self) {
        let Some(heartbeat) = &self.context.heartbeat else {
            return;
        };
        if self.looks_failed >= super::inputs::LOOKS_FAILED_MIN {
            return;
        }
        let (beat, telemetry) = ((heartbeat.beat)(), Arc::clone(&self.context.telemetry));
        tokio::spawn(async move {
            let beaten = tokio::time::timeout(BEAT_TIMEOUT, beat).await;
            match beaten {
                Ok(Ok(())) => count(&telemetry.alarms.heartbeats),
                Ok(Err(reason)) => {
                    count(&telemetry.alarms.heartbeats_failed);
                    tracing::warn!(reason, "a sign of life was not taken");
                }
                Err(_) => {
                    count(&telemetry.alarms.heartbeats_failed);
                    tracing::warn!("a sign of life was not taken in time");
                }
            }
        });
    }

    /// Removes what is too old; whether there is more of it.
    pub(super) async fn trim(&mut self) -> bool {
        let day_ms = 24 * 60 * 60 * 1_000;
        let before_ms = self
            .now_ms()
            .saturating_sub(u64::from(self.context.days) * day_ms);
        let store = Arc::clone(&self.context.store);
        let trimming = store.trim_alarms(self.chore.token(), before_ms, TRIMMED_AT_ONCE);
        match self.tenure.within(trimming).await {
            Some(Ok(count)) => count == TRIMMED_AT_ONCE,
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "alarms that are too old were not removed");
                false
            }
            None => false,
        }
    }
}
