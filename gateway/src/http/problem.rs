//! Errors as RFC 9457 problem details.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::time::Duration;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: &str) -> Self {
        Problem {
            status,
            code,
            title,
            detail: detail.into(),
            retry_after: None,
        }
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
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "store_unavailable", "store unavailable", detail)
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
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
