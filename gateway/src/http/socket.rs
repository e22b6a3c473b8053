//! `GET /ws`: checks the upgrade, hears the tool's hello, then gives the bare socket to the yard.
//!
//! HTTP runs on the general threads and the yard on its own; so the upgraded stream is taken apart
//! into the plain socket, the TLS session if there is one, and whatever was read too much, and all
//! of it moves over.

use super::{Api, Client, login, problem::Problem, tls::Socket};
use crate::{
    access,
    hello::{Welcomed, turn_away},
    wire::{TlsWire, Wire},
    yard::{Authority, Origin, ToolArrival},
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use switchyard_protocol::Code;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The subprotocol of this link version.
const SUBPROTOCOL: &str = "switchyard.1";

/// `GET /ws`.
pub(super) async fn upgrade(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    mut request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let accept = accept_key(headers)
        .ok_or_else(|| Problem::bad_request("expected a WebSocket upgrade, version 13"))?;
    if !lists(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Problem::bad_request(
            "expected the subprotocol switchyard.1",
        ));
    }
    let cookie = match (login::session_cookie(headers), headers.get(header::ORIGIN)) {
        (Some(token), Some(origin)) => {
            if !is_own_origin(&api, headers, origin) {
                return Err(Problem::bad_origin());
            }
            Some(access::token_hash(token))
        }
        // Not a browser: a token in the hello has to say who it is.
        (Some(_), None) | (None, _) => None,
    };
    let ip = api.client_ip(&client, headers);
    let on_upgrade = hyper::upgrade::on(&mut request);
    let tasks = api.tasks.clone();
    tasks.spawn(async move {
        // A client that went away in between leaves nothing to do.
        let Ok(upgraded) = on_upgrade.await else {
            return;
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else {
            tracing::error!("an upgraded connection is not the socket that was accepted");
            return;
        };
        let Some((permit, pending)) = client.take_permit() else {
            return;
        };
        let mut stream = parts.io.into_inner();
        let rest = parts.read_buf.to_vec();
        let outcome = tokio::select! {
            outcome = api.greeter.greet(&mut stream, rest, ip, cookie) => outcome,
            () = api.stopping.cancelled() => Err(Code::ShuttingDown),
        };
        drop(pending);
        match outcome {
            Ok(mut welcomed) => {
                let (stream, tls, unread) = stream.into_parts();
                welcomed.rest.extend(unread);
                let Ok(stream) = stream.into_std() else {
                    return;
                };
                let Welcomed {
                    wire,
                    address,
                    token,
                    login,
                    looks,
                    correlation,
                    frames,
                    rest,
                } = welcomed;
                let arrival = ToolArrival {
                    stream: stream.into(),
                    wire: match tls {
                        None => Wire::Web(Box::new(wire)),
                        Some(session) => Wire::Tls(Box::new(TlsWire::new(session, wire))),
                    },
                    origin: Origin::Network { ip, permit },
                    address,
                    authority: Authority::LogIn {
                        token,
                        login,
                        looks,
                    },
                    correlation,
                    frames,
                    rest,
                };
                api.yard.tool(arrival).await;
            }
            Err(code) => {
                api.telemetry.count_refusal(code);
                tracing::info!(peer = %ip, reason = code.name(), "tool refused");
                turn_away(&mut stream, code).await;
            }
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        ),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

pub(super) fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = |name, wanted: &str| {
        headers
            .get(name)
            .is_some_and(|value| value.as_bytes() == wanted.as_bytes())
    };
    let is_upgrade = lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket")
        && is(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|_| is_upgrade)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

/// Whether a comma-separated header names this word.
fn lists(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|words| words.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

/// Whether the page that asks came from this very host, or from one that the settings name.
pub(super) fn is_own_origin(api: &Api, headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let settings = &api.settings;
    is_origin_of(
        headers,
        origin,
        settings.tls.is_some(),
        &settings.page_origins,
    )
}

/// The same of a gateway that speaks TLS, or does not, and of these other origins. Pure.
pub(super) fn is_origin_of(
    headers: &HeaderMap,
    origin: &HeaderValue,
    speaks_tls: bool,
    page_origins: &[String],
) -> bool {
    let (Ok(origin), Some(host)) = (origin.to_str(), headers.get(header::HOST)) else {
        return false;
    };
    let origin = origin.to_lowercase();
    // Who speaks TLS has no page in the clear: one that came so may be anybody's.
    let own = match origin.strip_prefix("http://") {
        Some(_) if speaks_tls => None,
        Some(own) => Some(own),
        None => origin.strip_prefix("https://"),
    };
    own.is_some_and(|own| {
        host.to_str()
            .is_ok_and(|host| host.eq_ignore_ascii_case(own))
    }) || page_origins.contains(&origin)
}
