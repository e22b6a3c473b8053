//! Messages over the network: e-mail, push, short messages by a provider, requests to programs.

use super::{
    Fault,
    email::{Email, EmailSettings, Mail},
    ntfy::{self, Ntfy, NtfySettings},
    provider::{self, Provider, ProviderSettings, Switchboard},
    webhook::{Webhook, WebhookSettings},
};
use crate::alarm::{
    desk::ChannelLimits,
    model::{Channel, Outcome, Severity, Step},
    people::Language,
    telling::{Errand, Teller, Telling},
    wording::Wording,
};
use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use switchyard_protocol::message::AlarmLevel;
use tokio_util::task::TaskTracker;

/// What is set up of them, each with what it may cost.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct NetworkSettings {
    pub(crate) email: Option<(EmailSettings, ChannelLimits)>,
    pub(crate) ntfy: Option<(NtfySettings, ChannelLimits)>,
    pub(crate) provider: Option<ProviderUse>,
    pub(crate) webhook: Option<(WebhookSettings, ChannelLimits)>,
    /// Where people find the page, for whoever wants to touch a message.
    pub(crate) page_url: Option<String>,
}

/// A provider and how it is used.
#[derive(Clone, PartialEq)]
pub(crate) struct ProviderUse {
    pub(crate) client: ProviderSettings,
    pub(crate) limits: ChannelLimits,
    pub(crate) calls: bool,
    pub(crate) sms: bool,
    pub(crate) ring_limit: Duration,
    /// Where the provider reaches this gateway, without a slash at its end.
    pub(crate) callback_url: Option<String>,
}

/// What was opened, and where a provider's callbacks go.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) tellers: Vec<(Arc<dyn Teller>, ChannelLimits)>,
    pub(super) switchboard: Option<Arc<Switchboard>>,
}

/// Opens them. Blocks for a moment, as it reads files. Calls are ended in `tasks`.
pub(super) fn open(settings: &NetworkSettings, tasks: &TaskTracker) -> anyhow::Result<Opened> {
    let mut switchboard = None;
    let mut opened: Vec<(Arc<dyn Teller>, ChannelLimits)> = Vec::new();
    if let Some((email, limits)) = &settings.email {
        let client = Email::open(email.clone()).context("alarms.email")?;
        opened.push((Arc::new(ByEmail(client)), limits.clone()));
    }
    if let Some((ntfy, limits)) = &settings.ntfy {
        let client = Ntfy::open(ntfy).context("alarms.ntfy")?;
        let page_url = settings.page_url.clone();
        opened.push((Arc::new(ByNtfy(client, page_url)), limits.clone()));
    }
    if let Some(wanted) = &settings.provider {
        let client = Provider::open(&wanted.client).context("alarms.provider")?;
        let client = Arc::new(client);
        let base = wanted.callback_url.clone();
        switchboard = base.map(|base| Switchboard::new(Arc::clone(&client), base, tasks.clone()));
        if let Some(switchboard) = switchboard.clone().filter(|_| wanted.calls) {
            let ring_limit = wanted.ring_limit;
            let calls = provider::Calls {
                switchboard,
                ring_limit,
            };
            opened.push((Arc::new(calls), wanted.limits.clone()));
        }
        if wanted.sms {
            let texts = provider::Texts {
                provider: client,
                switchboard: switchboard.clone(),
            };
            opened.push((Arc::new(texts), wanted.limits.clone()));
        }
    }
    if let Some((webhook, limits)) = &settings.webhook {
        let client = Webhook::open(webhook.clone()).context("alarms.webhook")?;
        opened.push((Arc::new(ByWebhook(client)), limits.clone()));
    }
    Ok(Opened {
        tellers: opened,
        switchboard,
    })
}

/// Has something sent, and tells how that went.
async fn send(
    errand: &Errand,
    sending: impl AsyncFnOnce(&Wording) -> Result<(), Fault>,
) -> Outcome {
    let Some(wording) = errand.word().await else {
        return Outcome::Withdrawn;
    };
    match sending(&wording).await {
        Ok(()) => {
            errand.step(Step::Told).await;
            Outcome::Sent
        }
        Err(fault) => {
            tracing::info!(
                attempt = errand.attempt.0,
                permanent = fault.is_permanent(),
                may_be_done = fault.may_be_done(),
                "a message was not taken"
            );
            Outcome::Failed {
                reason: fault.to_string(),
            }
        }
    }
}

/// They are looked at by using them: a server that was asked in vain is told of by the attempt.
fn in_order<'a>() -> Telling<'a, Result<(), String>> {
    Box::pin(async { Ok(()) })
}

struct ByEmail(Email);

impl Teller for ByEmail {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            send(&errand, async |wording| {
                let mail = Mail {
                    id: &format!("alarm-{}", errand.attempt),
                    to: &errand.destination,
                    subject: &wording.subject,
                    text: &wording.long,
                    language: match errand.language {
                        Language::En => "en",
                        Language::Zh => "zh",
                    },
                };
                self.0.send(&mail).await
            })
            .await
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        in_order()
    }
}

struct ByNtfy(Ntfy, Option<String>);

impl Teller for ByNtfy {
    fn channel(&self) -> Channel {
        Channel::Ntfy
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            send(&errand, async |wording| {
                let note = ntfy::Note {
                    title: &wording.subject,
                    text: &wording.long,
                    level: match wording.severity {
                        Severity::Low => AlarmLevel::Low,
                        Severity::Medium => AlarmLevel::Medium,
                        Severity::High => AlarmLevel::High,
                    },
                    tags: match wording.is_test {
                        true => &["white_check_mark"],
                        false => &["warning"],
                    },
                    click: self.1.as_deref(),
                };
                self.0.publish(&errand.destination, &note).await
            })
            .await
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        in_order()
    }
}

struct ByWebhook(Webhook);

impl Teller for ByWebhook {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            send(&errand, async |wording| {
                let id = format!("alarm-{}", errand.attempt);
                let alarms: Vec<_> = wording
                    .alarms
                    .iter()
                    .map(|it| {
                        json!({
                            "id": it.id, "severity": it.severity, "text": it.text, "value": it.value,
                            "controller": it.controller, "controller_title": it.controller_title,
                            "site": it.site, "since_ms": it.since_ms, "is_standing": it.is_standing,
                        })
                    })
                    .collect();
                let body = json!({
                    "id": id, "type": "alarms", "subject": wording.subject, "is_test": wording.is_test,
                    "alarms": alarms,
                });
                let body = Bytes::from(body.to_string());
                self.0.post(&errand.destination, &id, body).await
            })
            .await
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        in_order()
    }
}
