//! Log-in, session and log-out.

use super::{Api, Client, problem::Problem};
use crate::{
    access,
    config::Secret,
    priority::{HASHING_NICENESS, give_way},
    store::{Account, Login, TokenHash},
    telemetry::count,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::message::Title;

/// A log-in's body.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// How long that body may take: four kilobytes need no more on any line that carries a page.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The page's cookie.
const COOKIE: &str = "switchyard_session";

#[derive(Deserialize)]
struct Credentials {
    account: String,
    password: String,
}

/// `POST /api/login`.
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let ip = api.client_ip(&client, &head.headers);
    let body = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| Problem::bad_request("the body did not come in time"))?
        .map_err(|_| Problem::too_large("a log-in is at most 4 KiB"))?;
    let wanted = "expected {\"account\": …, \"password\": …}";
    let credentials: Credentials =
        serde_json::from_slice(&body).map_err(|_| Problem::bad_request(wanted))?;
    let password = Secret(credentials.password);
    let checking = check(Arc::clone(&api), credentials.account, password, ip);
    // A task of its own, which ends even when the client has gone: a guess counts whether or not
    // somebody waits for the answer.
    let account = api
        .tasks
        .spawn(checking)
        .await
        .map_err(|_| Problem::store_unavailable())??;
    let token = access::new_token();
    let now = crate::clock::time();
    let lifetime = api.settings.token_lifetime;
    api.config
        .add_token(
            access::token_hash(&token),
            account.name.clone(),
            now.plus(lifetime),
            now,
        )
        .await
        .map_err(|error| unavailable(&api, &error))?;
    count(&api.telemetry.logins);
    tracing::info!(%ip, account = %account.name, "logged in");
    let (name, role) = (account.name.as_str(), account.role.name());
    if head
        .headers
        .get("x-switchyard")
        .is_none_or(|kind| kind != "page")
    {
        let body = serde_json::json!({ "token": token, "account": name, "role": role });
        return Ok(axum::Json(body).into_response());
    }
    let body = axum::Json(serde_json::json!({ "account": name, "role": role }));
    let cookie = cookie(&token, lifetime, api.is_secure(&head.headers));
    Ok(([(header::SET_COOKIE, cookie)], body).into_response())
}

/// The account of this name and password. At most two passwords are hashed at once, away from the
/// threads that serve.
async fn check(
    api: Arc<Api>,
    account: String,
    password: Secret,
    ip: IpAddr,
) -> Result<Account, Problem> {
    let name = Title::new(&account).ok();
    let may_try = || match api.logins.blocked(name.as_ref(), ip, Instant::now()) {
        Some(wait) => {
            count(&api.telemetry.logins_limited);
            Err(Problem::rate_limited(wait))
        }
        None => Ok(()),
    };
    may_try()?;
    let known = match name.clone() {
        Some(name) => api
            .config
            .account(name)
            .await
            .map_err(|error| unavailable(&api, &error))?,
        None => None,
    };
    // The same work whether or not the account exists.
    let hash = known
        .as_ref()
        .map_or(&api.nobodys_hash, |account| &account.password_hash)
        .clone();
    let busy = || Problem::rate_limited(Duration::from_secs(1));
    let _waiting = api.waiting.try_acquire().map_err(|_| busy())?;
    // Held until a failure is remembered: of many guesses at once, the later ones learn of it here.
    let _turn = api.hashing.acquire().await.map_err(|_| busy())?;
    may_try()?;
    let work = move || {
        give_way(HASHING_NICENESS);
        access::verify_password(&password.0, &hash)
    };
    let is_right = tokio::task::spawn_blocking(work).await.unwrap_or(false);
    let Some(account) = known.filter(|_| is_right) else {
        count(&api.telemetry.logins_failed);
        api.logins.failed(name.as_ref(), ip, Instant::now());
        tracing::info!(%ip, "a log-in failed");
        return Err(Problem::bad_credentials());
    };
    api.logins.succeeded(&account.name, ip);
    Ok(account)
}

/// `GET /api/session`.
pub(super) async fn session(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, login) = current(&api, &headers).await?;
    let body = serde_json::json!({
        "account": login.account.as_str(),
        "role": login.role.name(),
    });
    Ok(axum::Json(body).into_response())
}

/// `POST /api/logout`. Whoever is not logged in is logged out already.
pub(super) async fn log_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = bearer(&headers).or_else(|| session_cookie(&headers)) {
        let revoked = api.config.revoke_token(access::token_hash(token)).await;
        revoked.map_err(|error| unavailable(&api, &error))?;
        api.yard.access_changed();
    }
    let gone = cookie("", Duration::ZERO, api.is_secure(&headers));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// The log-in that a request bears.
async fn current(api: &Api, headers: &HeaderMap) -> Result<(TokenHash, Login), Problem> {
    let token = bearer(headers).or_else(|| session_cookie(headers));
    let hash = access::token_hash(token.ok_or_else(Problem::not_logged_in)?);
    let login = api.config.login(hash, crate::clock::time()).await;
    let login = login.map_err(|error| unavailable(api, &error))?;
    Ok((hash, login.ok_or_else(Problem::not_logged_in)?))
}

fn unavailable(api: &Api, error: &crate::store::StoreError) -> Problem {
    count(&api.telemetry.store_failures);
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the store did not serve a log-in"
    );
    Problem::store_unavailable()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The session cookie's token.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .filter(|token| !token.is_empty())
}

fn cookie(token: &str, lifetime: Duration, secure: bool) -> HeaderValue {
    let seconds = lifetime.as_secs();
    let secure = if secure { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
    match HeaderValue::from_str(&text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            value
        }
        Err(_) => unreachable!("a token is plain text"),
    }
}
