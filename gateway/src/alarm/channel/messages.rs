//! Messages over the network: e-mail, push, short messages by a provider, requests to programs.

use super::{
    Fault,
    email::{Email, EmailSettings, Mail},
    ntfy::{self, Ntfy, NtfySettings},
    provider::{Provider, ProviderSettings},
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
use std::sync::Arc;
use switchyard_protocol::message::AlarmLevel;
use switchyard_telephone::Number;

/// What is set up of them, each with what it may cost.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct NetworkSettings {
    pub(crate) email: Option<(EmailSettings, ChannelLimits)>,
    pub(crate) ntfy: Option<(NtfySettings, ChannelLimits)>,
    pub(crate) provider: Option<(ProviderSettings, ChannelLimits)>,
    pub(crate) webhook: Option<(WebhookSettings, ChannelLimits)>,
    /// Where people find the page, for whoever wants to touch a message.
    pub(crate) page_url: Option<String>,
}

type Opened = Vec<(Arc<dyn Teller>, ChannelLimits)>;

/// Opens them. Blocks for a moment, as it reads files.
pub(super) fn open(settings: &NetworkSettings) -> anyhow::Result<Opened> {
    let mut opened: Opened = Vec::new();
    if let Some((email, limits)) = &settings.email {
        let client = Email::open(email.clone()).context("alarms.email")?;
        opened.push((Arc::new(ByEmail(client)), limits.clone()));
    }
    if let Some((ntfy, limits)) = &settings.ntfy {
        let client = Ntfy::open(ntfy).context("alarms.ntfy")?;
        let page_url = settings.page_url.clone();
        opened.push((Arc::new(ByNtfy(client, page_url)), limits.clone()));
    }
    if let Some((provider, limits)) = &settings.provider {
        let client = Provider::open(provider).context("alarms.provider")?;
        opened.push((Arc::new(BySms(client)), limits.clone()));
    }
    if let Some((webhook, limits)) = &settings.webhook {
        let client = Webhook::open(webhook.clone()).context("alarms.webhook")?;
        opened.push((Arc::new(ByWebhook(client)), limits.clone()));
    }
    Ok(opened)
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

struct BySms(Provider);

impl Teller for BySms {
    fn channel(&self) -> Channel {
        Channel::ProviderSms
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            let number: Number = match errand.destination.parse() {
                Ok(number) => number,
                Err(error) => {
                    return Outcome::Failed {
                        reason: format!("{error}"),
                    };
                }
            };
            send(&errand, async |wording| {
                let sent = self.0.text(&number, &wording.short, None).await;
                sent.map(drop)
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
