//! Short messages and calls by an HTTP service, in the form that Twilio has introduced and others follow.
//!
//! - [`Provider`]: asks for a text, asks for a call, ends one.
//! - [`Reply`]: what the service is answered when it asks what to say in a call (TwiML).
//! - [`Callback`]: what the service tells; [`Provider::callback`] believes only what is signed.
//!
//! And people told by it: `calls` and `texts`, each of which waits at the [`Switchboard`] for what the service tells of it.

mod callback;
mod calls;
mod check;
mod reply;
mod switchboard;
mod texts;

pub(crate) use callback::{CallStatus, Callback, TextStatus};
pub(super) use calls::Calls;
pub(crate) use check::ProviderCheck;
pub(crate) use reply::{Gather, Reply};
pub(crate) use switchboard::{CALLBACKS_PATH, Switchboard, TEXTS_PATH, callback_base};
pub(super) use texts::Texts;

use super::{Fault, cut, http_url};
use crate::{config::Secret, endpoint::Endpoint};
use axum::http::{Method, Uri};
use base64::Engine as _;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use switchyard_telephone::Number;

/// Letters of a text; services refuse longer ones.
const TEXT_LETTERS_MAX: usize = 1_600;
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest account, and the longest name of a text or call.
const NAME_BYTES_MAX: usize = 64;
/// How long a call may ring, as services allow it.
const RING_SECONDS: std::ops::RangeInclusive<u64> = 5..=600;

/// Which service, and in whose name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProviderSettings {
    /// Such as `https://api.twilio.com`.
    pub(crate) base_url: Secret,
    /// The account, which is part of every URL.
    pub(crate) account: String,
    /// What the account proves itself by, and the service in turn.
    pub(crate) token: Secret,
    /// Whom texts and calls are from.
    pub(crate) from: Number,
    /// Whether the service may be on this host or in a private network.
    pub(crate) allow_private: bool,
    /// The authorities that are believed, in place of those that the host trusts.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A callback is not signed with the account's token, or was signed for another URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSigned;

/// A way to send texts and to make calls.
pub(crate) struct Provider {
    endpoint: Endpoint,
    /// Where the account is, without a slash at its end.
    account_path: String,
    authorization: String,
    token: Secret,
    from: Number,
}

impl Provider {
    /// By these settings. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When URL or account is none, or the file with authorities is not what it should be.
    pub(crate) fn open(settings: &ProviderSettings) -> anyhow::Result<Self> {
        let url: Uri = http_url(&settings.base_url.0)?;
        let account = &settings.account;
        anyhow::ensure!(
            is_name(account),
            "expected an account of letters, digits, hyphens and underscores"
        );
        let ca_file = settings.ca_file.as_deref();
        let endpoint = Endpoint::open(&url, settings.allow_private, ca_file)?;
        let pair = format!("{account}:{}", settings.token.0);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        Ok(Provider {
            account_path: format!(
                "{}/2010-04-01/Accounts/{account}",
                url.path().trim_end_matches('/')
            ),
            endpoint,
            authorization: format!("Basic {pair}"),
            token: settings.token.clone(),
            from: settings.from.clone(),
        })
    }

    /// One attempt to have a text sent; gives what the service calls it. How it comes out is told to `status_url`.
    ///
    /// # Errors
    /// Why the service has not taken it.
    pub(crate) async fn text(
        &self,
        to: &Number,
        text: &str,
        status_url: Option<&str>,
    ) -> Result<String, Fault> {
        let text = match text.char_indices().nth(TEXT_LETTERS_MAX) {
            None => text.to_owned(),
            Some((end, _)) => cut(text, end),
        };
        let mut form = vec![
            ("To", to.as_str()),
            ("From", self.from.as_str()),
            ("Body", &text),
        ];
        form.extend(status_url.map(|url| ("StatusCallback", url)));
        self.create("/Messages.json", &form).await
    }

    /// One attempt to have a call made; gives what the service calls it. What is to be said it asks `answer_url` once
    /// somebody answers; how it goes is told to `status_url`. It rings for `ring_max`, and the service ends it after
    /// `talk_max`, whatever else happens.
    ///
    /// # Errors
    /// Why the service has not taken it.
    pub(crate) async fn call(
        &self,
        to: &Number,
        answer_url: &str,
        status_url: &str,
        (ring_max, talk_max): (Duration, Duration),
    ) -> Result<String, Fault> {
        let seconds = ring_max
            .as_secs()
            .clamp(*RING_SECONDS.start(), *RING_SECONDS.end());
        let (seconds, talk_seconds) = (seconds.to_string(), talk_max.as_secs().to_string());
        let mut form = vec![
            ("To", to.as_str()),
            ("From", self.from.as_str()),
            ("Url", answer_url),
            ("Timeout", &seconds),
            ("TimeLimit", &talk_seconds),
            ("StatusCallback", status_url),
        ];
        // Each by itself; without them only the end is told.
        let told = ["initiated", "ringing", "answered", "completed"];
        form.extend(told.map(|it| ("StatusCallbackEvent", it)));
        self.create("/Calls.json", &form).await
    }

    /// One attempt to have a call ended, whether it rings or was answered.
    ///
    /// # Errors
    /// Why the service has not done so.
    pub(crate) async fn end_call(&self, call: &str) -> Result<(), Fault> {
        if !is_name(call) {
            return Err(Fault::Unfit("this is the name of no call".into()));
        }
        let path = format!("/Calls/{call}.json");
        self.post(&path, &[("Status", "completed")]).await.map(drop)
    }

    /// Asks the service whether the account is one, and may do something.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn account(&self) -> Result<(), Fault> {
        let said = self.exchange(Method::GET, ".json", String::new()).await?;
        match said["status"].as_str() {
            None | Some("active") => Ok(()),
            Some(status) => {
                let status = super::words(status);
                Err(Fault::Refused(format!("the account is {status}")))
            }
        }
    }

    /// What the service tells: the body of a request that came to `url`, which is the whole of the URL as the service
    /// was given it, with its signature. `None` for nothing that is known.
    ///
    /// # Errors
    /// When it is not the service's.
    pub(crate) fn callback(
        &self,
        url: &str,
        body: &[u8],
        signature: &str,
    ) -> Result<Option<Callback>, NotSigned> {
        let form = callback::form(body);
        // Services differ, and one of them by the year, in whether they sign the URL with its TCP port.
        let is_signed = callback::spellings(url)
            .iter()
            .any(|url| callback::is_signed(&self.token.0, url, &form, signature));
        match is_signed {
            true => Ok(Callback::of(&form)),
            false => Err(NotSigned),
        }
    }

    async fn create(&self, path: &str, form: &[(&str, &str)]) -> Result<String, Fault> {
        let made = self.post(path, form).await?;
        match made["sid"].as_str() {
            Some(name) if is_name(name) => Ok(name.to_owned()),
            _ => Err(Fault::Refused("it does not say what it calls it".into())),
        }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, Fault> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.exchange(Method::POST, path, body).await
    }

    async fn exchange(&self, method: Method, path: &str, body: String) -> Result<Value, Fault> {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &*self.authorization),
        ];
        let path = format!("{}{path}", self.account_path);
        let mut request = self.endpoint.request(&path, body.into(), &headers);
        *request.method_mut() = method;
        let answer = self.endpoint.exchange(request, ANSWER_BYTES_MAX).await?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_success() {
            return Ok(said);
        }
        // {"code": 21211, "message": "…", "more_info": "…", "status": 400}
        let words = said["message"].as_str().unwrap_or_default();
        let words = match said["code"].as_u64() {
            Some(code) => format!("{words} ({code})"),
            None => words.to_owned(),
        };
        Err(Fault::of_status(answer.status, &words))
    }
}

/// What may stand in a path as it is.
fn is_name(text: &str) -> bool {
    let is_fit = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_fit)
}

#[cfg(test)]
mod tests;
