//! One attempt to tell a target something: signed, sent, and judged by the answer's status.

use super::WebhookSettings;
use crate::endpoint::{self, Endpoint};
use axum::http::StatusCode;
use base64::Engine as _;
use bytes::Bytes;
use ring::hmac;
use switchyard_protocol::message::Time;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// By which a target knows it when it comes again.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Bytes,
    /// What makes room for others first: whether a controller is there is told again when that changes.
    pub(super) is_presence: bool,
}

/// Why a target has not been told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It could not be told.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Fault),
    /// It said no, and may say yes later. Redirections are not followed: they would lead anywhere.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It said that this is nothing for it, and would say so again.
    #[error("it answered {0}, and has no use for this one")]
    Unwanted(StatusCode),
}

/// Somebody to be told.
pub(super) struct Target {
    pub(super) settings: WebhookSettings,
    pub(super) endpoint: Endpoint,
}

impl Target {
    /// One attempt, at a moment of gateway time.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub(super) async fn deliver(&self, parcel: &Parcel, now: Time) -> Result<(), Fault> {
        let Parcel { id, body, .. } = parcel;
        deliver(&self.endpoint, &self.settings.secret, id, body, now).await
    }
}

/// One attempt to tell a server something that is signed with this secret, at a moment of gateway time.
///
/// # Errors
/// Why it came to nothing.
pub(super) async fn deliver(
    endpoint: &Endpoint,
    secret: &[u8],
    id: &str,
    body: &Bytes,
    now: Time,
) -> Result<(), Fault> {
    let seconds = (now.0 / 1_000).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", &seconds),
        ("webhook-signature", &sign(secret, id, &seconds, body)),
    ];
    let request = endpoint.request(&endpoint.path(), body.clone(), &headers);
    // What it says beyond its status is for nobody.
    judge(endpoint.exchange(request, 0).await?.status)
}

/// The signature: of id, moment and body, so that none of them can be another's.
pub(super) fn sign(secret: &[u8], id: &str, seconds: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    let tag = base64::engine::general_purpose::STANDARD.encode(context.sign());
    format!("v1,{tag}")
}

fn judge(status: StatusCode) -> Result<(), Fault> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::BAD_REQUEST
        | StatusCode::GONE
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Err(Fault::Unwanted(status)),
        status => Err(Fault::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_all_three() {
        // By `openssl dgst -sha256 -hmac "0123456789abcdef" -binary | base64` of `id.1700000000.{}`.
        let signature = sign(b"0123456789abcdef", "id", "1700000000", b"{}");
        assert_eq!(signature, "v1,fLI62rljyaBYPPtwvQ1d42+e6CI0W1i/3Gy3IUFQo+k=");
        for (id, seconds, body) in [
            ("ie", "1700000000", &b"{}"[..]),
            ("id", "1700000001", b"{}"),
            ("id", "1700000000", b"{ }"),
        ] {
            assert_ne!(sign(b"0123456789abcdef", id, seconds, body), signature);
        }
    }

    #[test]
    fn what_is_tried_again_and_what_is_not() {
        for (code, expected) in [
            (200, "ok"),
            (204, "ok"),
            (301, "again"),
            (307, "again"),
            (400, "never"),
            (401, "again"),
            (404, "again"),
            (408, "again"),
            (410, "never"),
            (413, "never"),
            (422, "never"),
            (429, "again"),
            (500, "again"),
            (503, "again"),
        ] {
            let found = match judge(StatusCode::from_u16(code).unwrap()) {
                Ok(()) => "ok",
                Err(Fault::Unwanted(_)) => "never",
                Err(_) => "again",
            };
            assert_eq!(found, expected, "{code}");
        }
    }
}
