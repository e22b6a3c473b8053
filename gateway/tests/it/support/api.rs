//! Requests to the HTTP API with a token, and what they are answered.

use super::{Gateway, Response, request};
use serde_json::Value;
use std::net::SocketAddr;

/// One request with a token.
pub(crate) async fn call(
    gateway: &Gateway,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Response {
    call_at(gateway.http, token, method, path, body).await
}

/// The same of any gateway.
pub(crate) async fn call_at(
    http: SocketAddr,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Response {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let body = match body {
        Value::Null => String::new(),
        body => {
            headers.push(("content-type", "application/json"));
            body.to_string()
        }
    };
    request(http, method, path, &headers, &body).await
}

/// The same, and the answer as JSON; the status must be this.
pub(crate) async fn told(
    gateway: &Gateway,
    token: &str,
    (method, path): (&str, &str),
    body: &Value,
    status: u16,
) -> Value {
    let response = call(gateway, token, method, path, body).await;
    assert_eq!(
        response.status, status,
        "{method} {path}: {}",
        response.body
    );
    match response.body.is_empty() {
        true => Value::Null,
        false => response.json(),
    }
}

/// The code of a refusal, which is a problem in due form.
pub(crate) async fn code(
    gateway: &Gateway,
    token: &str,
    (method, path): (&str, &str),
    body: &Value,
    status: u16,
) -> String {
    let response = call(gateway, token, method, path, body).await;
    assert_eq!(
        response.status, status,
        "{method} {path}: {}",
        response.body
    );
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], status);
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    problem["code"].as_str().unwrap().to_owned()
}

pub(crate) const NOTHING: Value = Value::Null;
