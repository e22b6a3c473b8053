//! Short messages by a service, which tells later how they came out where it can reach this gateway.

use super::{Provider, Switchboard};
use crate::alarm::{
    model::{Channel, Outcome, Step},
    telling::{Errand, Teller, Telling},
};
use std::{sync::Arc, time::Duration};
use switchyard_telephone::Number;

/// How long it is waited for the word that the telephone has a message, or never will. Nothing else is told to that person
/// meanwhile, so it is short: after it the message was sent, and no more is known.
const DELIVERY_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(in crate::alarm::channel) struct Texts {
    pub(in crate::alarm::channel) provider: Arc<Provider>,
    /// Where the service reaches this gateway, if it does; answers come by that as well.
    pub(in crate::alarm::channel) switchboard: Option<Arc<Switchboard>>,
}

/// Ends the waiting for how a text comes out.
struct Expected<'a>(&'a Switchboard, String);

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.0.forget_text(&self.1);
    }
}

fn failed(reason: impl ToString) -> Outcome {
    Outcome::Failed {
        reason: reason.to_string(),
    }
}

impl Texts {
    async fn send(&self, errand: &Errand) -> Outcome {
        let number: Number = match errand.destination.parse() {
            Ok(number) => number,
            Err(error) => return failed(error),
        };
        let Some(wording) = errand.word().await else {
            return Outcome::Withdrawn;
        };
        let Some(switchboard) = &self.switchboard else {
            return match self.provider.text(&number, &wording.notice, None).await {
                Ok(_) => {
                    errand.step(Step::Told).await;
                    Outcome::Sent
                }
                Err(fault) => failed(fault),
            };
        };
        let (token, delivery) = switchboard.expect_text();
        let url = switchboard.text_status_url(&token);
        let _expected = Expected(switchboard, token);
        let sent = self.provider.text(&number, &wording.short, Some(&url));
        let doubt = match sent.await {
            Ok(_) => None,
            // It may be on its way all the same: a second one would be one too many.
            Err(fault) if fault.may_be_done() => Some(fault),
            Err(fault) => return failed(fault),
        };
        let delivered = tokio::select! {
            () = errand.withdrawn.cancelled() => None,
            delivered = tokio::time::timeout(DELIVERY_MAX, delivery) => delivered.ok().and_then(Result::ok),
        };
        if let (None, Some(doubt)) = (delivered, doubt) {
            return failed(doubt);
        }
        if let Some(Err(reason)) = delivered {
            let reason = reason.map(|it| format!(" ({it})")).unwrap_or_default();
            return failed(format!(
                "the provider says that it was not delivered{reason}"
            ));
        }
        // Not before: a message that is lost has told nobody.
        errand.step(Step::Told).await;
        if delivered.is_some() {
            errand.step(Step::Delivered).await;
        }
        Outcome::Sent
    }
}

impl Teller for Texts {
    fn channel(&self) -> Channel {
        Channel::ProviderSms
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move { self.send(&errand).await })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        // It is looked at by using it.
        Box::pin(async { Ok(()) })
    }
}
