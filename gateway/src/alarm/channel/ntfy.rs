//! Push messages by ntfy, or by a server that speaks as it does: `POST` of JSON to the server's root.

use super::{Fault, cut, http_url};
use crate::{config::Secret, endpoint::Endpoint};
use serde_json::json;
use std::path::PathBuf;
use switchyard_protocol::message::AlarmLevel;

/// What the server takes as a message; longer ones become files, which nobody reads on a lock screen.
const TEXT_BYTES_MAX: usize = 4_096;
const TITLE_BYTES_MAX: usize = 250;
/// Letters of a topic.
const TOPIC_BYTES_MAX: usize = 64;
/// What is read of an answer that says why not.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Which server, and how it lets this gateway in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NtfySettings {
    /// Such as `https://ntfy.sh`, or one's own.
    pub(crate) base_url: Secret,
    /// An access token, where the server wants one.
    pub(crate) token: Option<Secret>,
    /// Whether the server may be on this host or in a private network.
    pub(crate) allow_private: bool,
    /// The authorities that are believed, in place of those that the host trusts.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A push message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// High ones ring through, low ones come without a sound.
    pub(crate) level: AlarmLevel,
    /// Words or names of emoji beside the title.
    pub(crate) tags: &'a [&'a str],
    /// What opens when it is touched.
    pub(crate) click: Option<&'a str>,
}

/// A way to send push messages.
pub(crate) struct Ntfy {
    endpoint: Endpoint,
    token: Option<Secret>,
}

impl Ntfy {
    /// By these settings. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When the URL is none, or the file with authorities is not what it should be.
    pub(crate) fn open(settings: &NtfySettings) -> anyhow::Result<Self> {
        let url = http_url(&settings.base_url.0)?;
        let ca_file = settings.ca_file.as_deref();
        Ok(Ntfy {
            endpoint: Endpoint::open(&url, settings.allow_private, ca_file)?,
            token: settings.token.clone(),
        })
    }

    /// One attempt to tell those who listen to a topic.
    ///
    /// # Errors
    /// Why the server has not taken it.
    pub(crate) async fn publish(&self, topic: &str, note: &Note<'_>) -> Result<(), Fault> {
        let is_topic = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(is_topic) {
            let wanted = "expected a topic of at most 64 letters, digits, hyphens and underscores";
            return Err(Fault::Unfit(wanted.into()));
        }
        let priority = match note.level {
            AlarmLevel::Low => 2,
            AlarmLevel::Medium => 4,
            AlarmLevel::High => 5,
        };
        let mut body = json!({
            "topic": topic,
            "title": cut(note.title, TITLE_BYTES_MAX),
            "message": cut(note.text, TEXT_BYTES_MAX),
            "priority": priority,
            "tags": note.tags,
        });
        if let Some(click) = note.click {
            body["click"] = click.into();
        }
        let mut headers = vec![("content-type", "application/json")];
        let bearer = self
            .token
            .as_ref()
            .map(|token| format!("Bearer {}", token.0));
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let request =
            self.endpoint
                .request(&self.endpoint.path(), body.to_string().into(), &headers);
        let answer = self.endpoint.exchange(request, ANSWER_BYTES_MAX).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        // {"code":40101,"http":401,"error":"unauthorized","link":…}
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let said = said["error"].as_str().unwrap_or_default();
        Err(Fault::of_status(answer.status, said))
    }
}
