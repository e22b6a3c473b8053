//! `POST /callbacks/provider/…`: what a provider of calls and texts tells (`docs/http.md`).
//!
//! The service has no account here. It is believed what it has signed with the token that it shares with this gateway,
//! over the URL that it was given: everything else learns no more than that.

use super::{Api, Client, problem::Problem};
use crate::{
    alarm::{CALLBACKS_PATH, Callback, NotSigned, ReceivedText},
    throttle::{Network, Throttle, network_of},
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, State},
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The largest body. A text of ten messages takes a tenth of that.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long it may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Callbacks of one network in a minute. A service has few addresses; sixty calls at once are some hundreds.
const PER_NETWORK_PER_MINUTE_MAX: u32 = 3_000;
/// Of those, the ones that are not signed as they have to be.
const UNSIGNED_PER_NETWORK_PER_MINUTE_MAX: u32 = 60;
/// Lines in the log about those, in a minute.
const WARNINGS_PER_MINUTE_MAX: u32 = 1;
/// An answer that has the service do nothing.
const NOTHING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>";

/// How often somebody may come.
pub(super) struct Limits {
    all: Throttle<Network>,
    unsigned: Throttle<Network>,
    warnings: Throttle<()>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            all: Throttle::new(PER_NETWORK_PER_MINUTE_MAX),
            unsigned: Throttle::new(UNSIGNED_PER_NETWORK_PER_MINUTE_MAX),
            warnings: Throttle::new(WARNINGS_PER_MINUTE_MAX),
        }
    }
}

pub(super) fn router() -> Router<Arc<Api>> {
    let path = |rest: &str| format!("{CALLBACKS_PATH}/{rest}");
    Router::new()
        .route(&path("calls/{token}/turns/{turn}"), post(turn))
        .route(&path("calls/{token}/status"), post(call_status))
        .route(&path("texts"), post(text))
        .route(&path("texts/{token}/status"), post(text_status))
}

/// What the service tells, once it is believed. `None` for nothing that is known, which is no fault.
async fn told(
    api: &Api,
    client: &Client,
    request: Request<Body>,
) -> Result<Option<Callback>, Problem> {
    let (head, body) = request.into_parts();
    let network = network_of(api.client_ip(client, &head.headers));
    if let Some(wait) = api.callbacks.all.wait(network, Instant::now()) {
        return Err(Problem::rate_limited(wait));
    }
    let Some(provider) = &api.alarms.provider else {
        return Err(unknown());
    };
    let body = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(Problem::too_large("expected a body of at most 64 KiB")),
        Err(_) => return Err(Problem::bad_request("expected the body within 10 s")),
    };
    let signature = head.headers.get("x-twilio-signature");
    let signature = signature.and_then(|it| it.to_str().ok());
    let path = head.uri.path_and_query().map_or("", |it| it.as_str());
    let believed = provider.believed(path, &body, signature.unwrap_or_default());
    believed.map_err(|NotSigned| {
        let now = Instant::now();
        if signature.is_some() && api.callbacks.warnings.pass((), now) {
            tracing::warn!(
                expected = provider.base(),
                "a callback of the provider is not signed for the URL that is set: most likely \
                 alarms.provider.callback_url is not the URL by which the provider reaches this \
                 gateway, or the token is another one"
            );
        }
        match api.callbacks.unsigned.wait(network, now) {
            Some(wait) => Problem::rate_limited(wait),
            None => not_signed(),
        }
    })
}

fn not_signed() -> Problem {
    let detail = "expected the provider's signature of this request";
    let status = StatusCode::FORBIDDEN;
    Problem::new(status, "not_signed", "not allowed", detail)
}

fn unknown() -> Problem {
    Problem::not_found("there is nothing at this address")
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

/// The service asks what is to be said in a call, and tells which keys were pressed.
async fn turn(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Path((token, turn)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let told = told(&api, &client, request).await?;
    let turn = turn.parse().map_err(|_| unknown())?;
    let (Some(provider), Some(told)) = (&api.alarms.provider, told) else {
        return Err(unknown());
    };
    let said = provider.turn(&token, turn, &told).await;
    said.map(xml).ok_or_else(unknown)
}

/// The service tells how a call stands.
async fn call_status(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let told = told(&api, &client, request).await?;
    known(&api, told, |provider, told| {
        provider.call_status(&token, told)
    })
}

/// The service tells how a text stands that was sent.
async fn text_status(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let told = told(&api, &client, request).await?;
    known(&api, told, |provider, told| {
        provider.text_status(&token, told)
    })
}

fn known(
    api: &Api,
    told: Option<Callback>,
    tell: impl FnOnce(&crate::alarm::Switchboard, &Callback) -> bool,
) -> Result<StatusCode, Problem> {
    match (&api.alarms.provider, told) {
        (Some(provider), Some(told)) if !tell(provider, &told) => Err(unknown()),
        // A state that services have invented since is none that anything follows from.
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// The service tells of a text that has come: an answer to one that was sent, if it is that.
async fn text(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    if let Some(Callback::Text { text, from, body }) = told(&api, &client, request).await? {
        let received = ReceivedText { from, text: body };
        if let Err(error) = api.alarms.answers.take(&received, Some(&text)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an answer to a message could not be kept, and waits");
            // Few services bring it again.
            if !api.alarms.answers.put_off(received) {
                return Err(Problem::store_unavailable());
            }
        }
    }
    // Nobody is texted back.
    Ok(xml(NOTHING.to_owned()))
}
