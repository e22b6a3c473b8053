//! Log-in, session and log-out.

use super::{
    Api, Client,
    api::{Refused, token_of},
    problem::Problem,
};
use crate::{
    access,
    config::Secret,
    priority::{HASHING_NICENESS, give_way},
    store::{Account, Login, NewToken, TokenHash, TokenKind},
    telemetry::count,
    totp,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::{Address, Role, message::Title};
use switchyard_relay::Rights;
use utoipa::ToSchema;

/// A log-in's body.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// How long that body may take: four kilobytes need no more on any line that carries a page.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The page's cookie.
pub(super) const COOKIE: &str = "switchyard_session";

/// What somebody proves who they are with.
#[derive(Deserialize, ToSchema)]
pub(super) struct Credentials {
    /// The account's name.
    account: String,
    /// Its password.
    #[schema(format = "password")]
    password: String,
    /// Of the second factor, where the account has one.
    code: Option<String>,
}

/// Whose log-in it is.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedIn {
    /// What a program gives as `Authorization: Bearer …`; the page has it as a cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    /// The account.
    account: String,
    /// Its best role anywhere: `viewer`, `operator`, `technician`, `admin`, or `none`.
    role: &'static str,
}

/// Logs in. With the header `X-Switchyard: page` the token comes as a cookie.
#[utoipa::path(post, path = "/api/login", tag = "session", operation_id = "log_in", security(()),
    request_body(content = Credentials, content_type = "application/json"),
    responses((status = 200, body = LoggedIn, description = "Logged in"), Refused))]
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let ip = api.client_ip(&client, &head.headers);
    let wanted = "expected {\"account\": …, \"password\": …}";
    let credentials: Credentials = read_body(body, wanted).await?;
    let checking = check(Arc::clone(&api), credentials, ip);
    // A task of its own, which ends even when the client has gone: a guess counts whether or not
    // somebody waits for the answer.
    let account = api
        .tasks
        .spawn(checking)
        .await
        .map_err(|_| Problem::store_unavailable())??;
    open_session(&api, &head.headers, &account, ip).await
}

/// A small body of JSON that a stranger sends.
async fn read_body<T: DeserializeOwned>(body: Body, wanted: &'static str) -> Result<T, Problem> {
    let body = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| Problem::bad_request("the body did not come in time"))?
        .map_err(|_| Problem::too_large("such a body is at most 4 KiB"))?;
    serde_json::from_slice(&body).map_err(|_| Problem::bad_request(wanted))
}

/// Makes a token for an account that has proven itself, and gives it: to the page as a cookie.
async fn open_session(
    api: &Api,
    headers: &HeaderMap,
    account: &Account,
    ip: IpAddr,
) -> Result<Response, Problem> {
    let token = access::new_token();
    let now = crate::clock::time();
    let lifetime = api.settings.token_lifetime;
    api.config
        .add_token(
            NewToken {
                hash: access::token_hash(&token),
                account: account.name.clone(),
                kind: TokenKind::Session,
                title: user_agent(headers),
                expires: now.plus(lifetime),
            },
            now,
        )
        .await
        .map_err(|error| unavailable(api, &error))?;
    count(&api.telemetry.logins);
    tracing::info!(%ip, account = %account.name, "logged in");
    let (name, role) = (account.name.as_str(), role_name(&account.rights));
    if headers
        .get("x-switchyard")
        .is_none_or(|kind| kind != "page")
    {
        let body = LoggedIn {
            token: Some(token),
            account: name.to_owned(),
            role,
        };
        return Ok(axum::Json(body).into_response());
    }
    let body = axum::Json(LoggedIn {
        token: None,
        account: name.to_owned(),
        role,
    });
    let cookie = cookie(&token, lifetime, api.is_secure(headers));
    Ok(([(header::SET_COOKIE, cookie)], body).into_response())
}

/// What a client calls itself, as far as it fits beside its log-in.
fn user_agent(headers: &HeaderMap) -> String {
    let told = headers.get(header::USER_AGENT);
    let told = told.and_then(|told| told.to_str().ok()).unwrap_or_default();
    told.chars().filter(char::is_ascii).take(64).collect()
}

/// What the first admin says.
#[derive(Deserialize, ToSchema)]
pub(super) struct FirstAccount {
    /// What the gateway wrote into the data folder.
    setup_code: String,
    /// 1 to 64 bytes without control characters.
    account: String,
    /// 10 to 1,024 bytes.
    #[schema(format = "password")]
    password: String,
}

/// Whether a gateway is new.
#[derive(Serialize, ToSchema)]
pub(super) struct SetUp {
    /// There is no account yet.
    needed: bool,
}

/// Whether the first account is still to be made.
#[utoipa::path(get, path = "/api/setup", tag = "session", operation_id = "setup_needed", security(()),
    responses((status = 200, body = SetUp, description = "Whether it is"), Refused))]
pub(super) async fn setup(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let needed = api.setup.is_needed() && is_empty(&api).await?;
    if !needed {
        // Made by the command line: nobody need look again.
        api.setup.done();
    }
    Ok(axum::Json(SetUp { needed }).into_response())
}

async fn is_empty(api: &Api) -> Result<bool, Problem> {
    let accounts = api.config.accounts().await;
    let accounts = accounts.map_err(|error| unavailable(api, &error))?;
    Ok(accounts.is_empty())
}

/// Makes the first account, an admin, and logs it in. Whoever can read the data folder knows the code;
/// guessing it costs what guessing a password costs.
#[utoipa::path(post, path = "/api/setup", tag = "session", operation_id = "set_up", security(()),
    request_body(content = FirstAccount, content_type = "application/json"),
    responses((status = 200, body = LoggedIn, description = "Made, and logged in"), Refused))]
pub(super) async fn set_up(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let ip = api.client_ip(&client, &head.headers);
    let wanted = "expected {\"setup_code\": …, \"account\": …, \"password\": …}";
    let first: FirstAccount = read_body(body, wanted).await?;
    let password = Secret(first.password);
    if let Some(wait) = api.logins.blocked(None, ip, Instant::now()) {
        count(&api.telemetry.logins_limited);
        return Err(Problem::rate_limited(wait));
    }
    if !api.setup.is_needed() {
        return Err(Problem::already_set_up());
    }
    if !api.setup.is_code(&first.setup_code) {
        count(&api.telemetry.logins_failed);
        api.logins.failed(None, ip, Instant::now());
        return Err(Problem::bad_setup_code());
    }
    let name = "an account's name is 1 to 64 bytes without control characters";
    let name = Title::new(first.account.trim()).map_err(|_| Problem::bad_request(name))?;
    let password_hash = hash(&api, password).await?;
    let account = Account {
        name,
        rights: Rights::everywhere(Role::Admin),
        password_hash,
        totp: None,
        created: crate::clock::time(),
    };
    let name = account.name.clone();
    let what = (Address::GATEWAY, format!("make the first account, {name}"));
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_first_account(account.clone()).await;
        let added = added.map_err(|error| unavailable(&by, &error))?;
        by.setup.done();
        added.then_some(account).ok_or_else(Problem::already_set_up)
    };
    let account = api.change((&name, ip), what, adding).await?;
    open_session(&api, &head.headers, &account, ip).await
}

/// The hash of a new password, in its turn and away from the threads that serve.
///
/// # Errors
/// When it is outside its range, or too many wait.
pub(super) async fn hash(api: &Arc<Api>, password: Secret) -> Result<String, Problem> {
    let busy = || Problem::rate_limited(Duration::from_secs(1));
    let task = Arc::clone(api);
    // Whoever hangs up does not end the work, and so must not give its turn away.
    let hashing = api.tasks.spawn(async move {
        let _waiting = task.waiting.try_acquire().map_err(|_| busy())?;
        let _turn = task.hashing.acquire().await.map_err(|_| busy())?;
        let work = move || {
            give_way(HASHING_NICENESS);
            access::hash_password(&password.0)
        };
        let hashed = tokio::task::spawn_blocking(work).await;
        let hashed = hashed.map_err(|_| busy())?;
        hashed.map_err(|error| Problem::bad_request(&error.to_string()))
    });
    hashing.await.map_err(|_| busy())?
}

/// Has somebody who is logged in prove who they are once more. A wrong password counts as a guess.
///
/// # Errors
/// As logging in.
pub(super) async fn prove(
    api: Arc<Api>,
    account: &str,
    password: String,
    code: Option<String>,
    ip: IpAddr,
) -> Result<(), Problem> {
    let credentials = Credentials {
        account: account.to_owned(),
        password,
        code,
    };
    let tasks = api.tasks.clone();
    let checking = tasks.spawn(check(api, credentials, ip)).await;
    checking.map_err(|_| Problem::store_unavailable())??;
    Ok(())
}

/// The account of this name and password. At most two passwords are hashed at once, away from the
/// threads that serve.
async fn check(api: Arc<Api>, credentials: Credentials, ip: IpAddr) -> Result<Account, Problem> {
    let password = Secret(credentials.password);
    // With white space around it, it is nobody's: otherwise one account would have many names to guess by.
    let name = Title::new(&credentials.account).ok();
    let name = name.filter(|name| name.as_str().trim() == name.as_str());
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
    let failed = || {
        count(&api.telemetry.logins_failed);
        api.logins.failed(name.as_ref(), ip, Instant::now());
        tracing::info!(%ip, "a log-in failed");
        Problem::bad_credentials()
    };
    let account = known.filter(|_| is_right).ok_or_else(failed)?;
    if let Some(secret) = &account.totp {
        // Told only to whoever has the password; it clears no failures.
        let code = credentials.code.ok_or_else(Problem::code_needed)?;
        let step = totp::step_of(secret, &code, crate::clock::time()).ok_or_else(failed)?;
        let noted = api.config.use_totp_step(account.name.clone(), step).await;
        if !noted.map_err(|error| unavailable(&api, &error))? {
            return Err(failed());
        }
    }
    api.logins.succeeded(&account.name, ip);
    Ok(account)
}

/// Whose log-in this is, in short.
#[utoipa::path(get, path = "/api/session", tag = "session", operation_id = "session",
    responses((status = 200, body = LoggedIn, description = "You"), Refused))]
pub(super) async fn session(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, login) = current(&api, &headers).await?;
    let body = LoggedIn {
        token: None,
        account: login.account.to_string(),
        role: role_name(&login.rights),
    };
    Ok(axum::Json(body).into_response())
}

/// Ends a log-in and its sockets. Whoever is not logged in is logged out already.
#[utoipa::path(post, path = "/api/logout", tag = "session", operation_id = "log_out",
    security((), ("token" = []), ("cookie" = [])),
    responses((status = 204, description = "Logged out"), Refused))]
pub(super) async fn log_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let has_one = bearer(&headers).or_else(|| session_cookie(&headers));
    if has_one.is_some() {
        let token = token_of(&api, &Method::POST, &headers)?;
        let revoked = api.config.revoke_token(token).await;
        if revoked.map_err(|error| unavailable(&api, &error))? {
            api.yard.access_changed();
        }
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

/// The highest role anywhere, as the page knows it.
fn role_name(rights: &Rights) -> &'static str {
    rights.highest().map_or("none", Role::name)
}

/// Counts and logs that the store failed, and says so to the client.
pub(super) fn unavailable(api: &Api, error: &crate::store::StoreError) -> Problem {
    count(&api.telemetry.store_failures);
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the store did not serve a request over HTTP"
    );
    Problem::store_unavailable()
}

/// A program's token.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
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
