//! Whether a service is set up well, as far as that can be told without calling anybody.

use super::{Provider, ProviderSettings};
use crate::{
    alarm::settings::AlarmSettings,
    endpoint::{self, Endpoint},
};
use axum::http::Uri;

/// See the module.
pub(crate) struct ProviderCheck {
    client: ProviderSettings,
    callback_url: Option<String>,
}

impl ProviderCheck {
    /// Of what is set up, if one is.
    pub(crate) fn of(settings: &AlarmSettings) -> Option<Self> {
        let provider = settings.network.provider.as_ref()?;
        Some(ProviderCheck {
            client: provider.client.clone(),
            callback_url: provider.callback_url.clone(),
        })
    }

    /// Asks the service whether it knows the account.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) async fn account(&self) -> Result<(), String> {
        // Others that follow the form name theirs as they like.
        let is_twilio = self.client.base_url.0.contains("//api.twilio.com");
        let account = &self.client.account;
        let digits = account.strip_prefix("AC").unwrap_or_default();
        let has_shape = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        if is_twilio && !has_shape {
            return Err("expected an account of AC and 32 hexadecimal digits".into());
        }
        let client = self.client.clone();
        // It reads certificates.
        let opened = tokio::task::spawn_blocking(move || Provider::open(&client)).await;
        let provider = match opened {
            Ok(Ok(provider)) => provider,
            Ok(Err(error)) => return Err(format!("{error:#}")),
            Err(error) => return Err(error.to_string()),
        };
        provider.account().await.map_err(|fault| fault.to_string())
    }

    /// Where the service is told to reach this gateway, if it is.
    pub(crate) fn callback_url(&self) -> Option<&str> {
        self.callback_url.as_deref()
    }

    /// Whom calls and texts are from.
    pub(crate) fn number(&self) -> &str {
        self.client.from.as_str()
    }

    /// Whether that leads to an address of the Internet.
    ///
    /// # Errors
    /// Where it leads otherwise.
    pub(crate) async fn is_public(&self) -> Result<(), endpoint::Fault> {
        let url: Uri = match self.callback_url.as_deref().map(str::parse) {
            Some(Ok(url)) => url,
            _ => return Ok(()),
        };
        Endpoint::unread(&url, false).addresses().await.map(drop)
    }
}
