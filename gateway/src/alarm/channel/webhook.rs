//! Programs of people's own, told by signed requests as those are that `webhook` tells of events.

use super::{Fault, http_url};
use crate::{
    endpoint::Endpoint,
    tls,
    webhook::{self, Fault as WebhookFault},
};
use bytes::Bytes;
use rustls::ClientConfig;
use std::{fmt, path::PathBuf, sync::Arc};

/// How programs are told.
#[derive(Clone, PartialEq)]
pub(crate) struct WebhookSettings {
    /// What requests are signed with: the bytes themselves.
    pub(crate) secret: Vec<u8>,
    /// Whether programs may be on this host or in a private network.
    pub(crate) allow_private: bool,
    /// The authorities that are believed, in place of those that the host trusts.
    pub(crate) ca_file: Option<PathBuf>,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("allow_private", &self.allow_private)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// A way to tell programs.
pub(crate) struct Webhook {
    settings: WebhookSettings,
    tls: Arc<ClientConfig>,
}

impl Webhook {
    /// By these settings. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When the file with authorities is not what it should be.
    pub(crate) fn open(settings: WebhookSettings) -> anyhow::Result<Self> {
        let tls = tls::client_config(settings.ca_file.as_deref())?;
        Ok(Webhook { settings, tls })
    }

    /// One attempt to tell the program at a URL. The same `id` again says that it is the same again.
    ///
    /// # Errors
    /// Why it has not taken it.
    pub(crate) async fn post(&self, url: &str, id: &str, body: Bytes) -> Result<(), Fault> {
        let url = http_url(url)?;
        let endpoint = Endpoint::new(&url, self.settings.allow_private, &self.tls);
        let posted = webhook::post(&endpoint, &self.settings.secret, id, &body).await;
        posted.map_err(|fault| match fault {
            WebhookFault::Endpoint(fault) => fault.into(),
            WebhookFault::Refused(status) => Fault::PutOff(status.to_string()),
            WebhookFault::Unwanted(status) => Fault::Refused(status.to_string()),
        })
    }
}
