//! Errors as RFC 9457 problem details.

use crate::inside::Refusal;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use std::time::Duration;
use switchyard_protocol::Code;

/// Marks an answer: the gateway itself has judged that what was asked may not be.
#[derive(Clone, Copy)]
pub(super) struct Denied;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    /// The gateway itself has judged that it may not be.
    is_denied: bool,
    /// A member of its own, where there is more to say than text.
    more: Option<Box<(&'static str, Value)>>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &str,
    ) -> Self {
        Problem {
            status,
            code,
            title,
            detail: detail.into(),
            retry_after: None,
            is_denied: false,
            more: None,
        }
    }

    /// Under one of the protocol's codes, and the HTTP status that goes with it.
    pub(super) fn of(code: Code, detail: &str) -> Self {
        let (status, title) = match code {
            Code::UnknownAddress | Code::UnknownPoint | Code::UnknownCommand => {
                (StatusCode::NOT_FOUND, "there is no such thing")
            }
            Code::Forbidden | Code::NotGranted => (StatusCode::FORBIDDEN, "not allowed"),
            Code::BadToken | Code::Revoked => (StatusCode::UNAUTHORIZED, "not logged in"),
            Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "too many attempts"),
            Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            Code::Offline => (StatusCode::CONFLICT, "the controller is not there now"),
            Code::WrongState | Code::RefusedByScript | Code::NotManual | Code::Unsupported => {
                (StatusCode::CONFLICT, "not possible as things stand")
            }
            Code::Malformed | Code::BadField | Code::OutOfRange | Code::Expired => {
                (StatusCode::UNPROCESSABLE_ENTITY, "that cannot be taken")
            }
            Code::Busy | Code::StoreUnavailable | Code::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, "not now")
            }
            Code::TimedOut | Code::LinkLost | Code::Rebooted => {
                (StatusCode::GATEWAY_TIMEOUT, "no answer in time")
            }
            _ => (StatusCode::BAD_GATEWAY, "the other side is at fault"),
        };
        let retry_after = match code {
            Code::Busy | Code::RateLimited => Some(Duration::from_secs(1)),
            Code::StoreUnavailable | Code::ShuttingDown => Some(Duration::from_secs(5)),
            _ => None,
        };
        Problem {
            retry_after,
            ..Self::new(status, code.name(), title, detail)
        }
    }

    /// The same as what the gateway itself has judged.
    pub(super) fn denied(self) -> Self {
        Problem {
            is_denied: true,
            ..self
        }
    }

    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The same with a member of its own.
    pub(super) fn with(self, name: &'static str, value: Value) -> Self {
        Problem {
            more: Some(Box::new((name, value))),
            ..self
        }
    }

    /// Whether it says what was expected, and that it was the caller's fault.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_told(&self) -> bool {
        self.status.is_client_error() && !self.detail.is_empty()
    }

    pub(super) fn conflict(code: &'static str, detail: &str) -> Self {
        let title = "not possible as things stand";
        Self::new(StatusCode::CONFLICT, code, title, detail)
    }

    pub(super) fn of_another_type(wanted: &str) -> Self {
        let detail = format!("expected a body of the type {wanted}");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let code = "unsupported_type";
        Self::new(status, code, "another type was expected", &detail)
    }

    pub(super) fn bad_credentials() -> Self {
        let detail = "no account has this name and password";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "bad_credentials",
            "wrong name or password",
            detail,
        )
    }

    pub(super) fn code_needed() -> Self {
        let detail = "this account has a second factor: expected the code that its app shows";
        let status = StatusCode::UNAUTHORIZED;
        Self::new(status, "code_needed", "a code is needed", detail)
    }

    pub(super) fn bad_setup_code() -> Self {
        let detail = "expected the code in the file setup-code of the gateway's data folder";
        let status = StatusCode::FORBIDDEN;
        Self::new(status, "bad_setup_code", "wrong set-up code", detail)
    }

    pub(super) fn already_set_up() -> Self {
        let detail = "there is an account already: log in";
        let status = StatusCode::CONFLICT;
        Self::new(status, "already_set_up", "already set up", detail)
    }

    pub(super) fn not_logged_in() -> Self {
        let detail = "expected a valid session cookie or bearer token";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not_logged_in",
            "not logged in",
            detail,
        )
    }

    pub(super) fn rate_limited(retry_after: Duration) -> Self {
        let detail = "too many attempts; wait";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(status, "rate_limited", "too many attempts", detail);
        Problem {
            retry_after: Some(retry_after),
            ..problem
        }
    }

    pub(super) fn bad_request(detail: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "bad request",
            detail,
        )
    }

    pub(super) fn too_large(detail: &str) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "too large",
            detail,
        )
    }

    pub(super) fn bad_origin() -> Self {
        let detail = "a cookie counts only for this gateway's own page";
        Self::new(
            StatusCode::FORBIDDEN,
            "bad_origin",
            "another page's origin",
            detail,
        )
    }

    pub(super) fn store_unavailable() -> Self {
        let detail = "the gateway's store does not answer";
        Self::of(Code::StoreUnavailable, detail)
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "not found", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address does not take this method";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "method not allowed",
            detail,
        )
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.detail.as_deref();
        Self::of(refusal.code, said.unwrap_or(about(refusal.code)))
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::of(code, about(code))
    }
}

/// What a code means for people, where nobody said more.
fn about(code: Code) -> &'static str {
    match code {
        Code::UnknownAddress => "there is no controller of this address, as far as you may know",
        Code::UnknownPoint => "the controller has no point of this name",
        Code::UnknownCommand => "nothing is known of a command with this key",
        Code::Forbidden => "your role there does not allow this",
        Code::NotGranted => "this key belongs to another account's command",
        Code::BadToken | Code::Revoked => "expected a valid session cookie or bearer token",
        Code::RateLimited => "too many requests at once; wait",
        Code::TooLarge => "more than the other side takes",
        Code::Offline => "the controller is not connected: try again when it is",
        Code::WrongState => "nothing there to do it with",
        Code::Unsupported => "the controller does not know this; its firmware may be older",
        Code::Busy => "too much is going on at this moment; try again",
        Code::StoreUnavailable => "the gateway's store does not answer",
        Code::ShuttingDown => "the gateway is stopping",
        Code::TimedOut => "no answer came in time",
        Code::LinkLost => "the link was lost before the answer came",
        other => other.name(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(more) = self.more {
            let (name, value) = *more;
            body[name] = value;
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        if self.is_denied {
            response.extensions_mut().insert(Denied);
        }
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if let Some(wait) = self.retry_after {
            // Rounded up: whoever comes back on the second finds the door open.
            let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
