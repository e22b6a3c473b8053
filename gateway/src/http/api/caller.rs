//! Whose request it is: the log-in that it bears, how often it may come, and how its parts are read.

use super::rights::{Deed, judge};
use crate::{
    access,
    http::{
        Api, Client, login,
        problem::{Denied, Problem},
        socket::is_own_origin,
    },
    inside::{Frames, Peer},
    store::{Login, StoreError, TokenHash},
    telemetry::count,
    throttle::network_of,
    yard::Authority,
};
use axum::{
    Extension,
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::{
    Address, Code,
    message::{Body as AnswerBody, Request as Question},
};

/// The largest body but a script's.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Below this a number with a fraction stands for one whole number alone.
const WHOLE_MAX: f64 = (1_u64 << 53) as f64;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The same of a firmware: a megabyte, from somewhere in the field.
const OCTETS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a controller may take over an answer before whoever asked by HTTP is told that none came.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Somebody whose log-in holds.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) login: Login,
    pub(super) ip: IpAddr,
    token: TokenHash,
    looks: u64,
}

impl Caller {
    /// Whether they may do it.
    ///
    /// # Errors
    /// A problem to answer with.
    pub(super) fn may(&self, deed: &Deed<'_>) -> Result<(), Problem> {
        self.judged(deed)
            .map_err(|code| Problem::from(code).denied())
    }

    /// The same, told by a code.
    ///
    /// # Errors
    /// As [`judge`].
    pub(super) fn judged(&self, deed: &Deed<'_>) -> Result<(), Code> {
        judge(&self.login.account, &self.login.rights, deed)
    }

    /// A peer that acts in the yard with their rights, and no longer than their log-in holds.
    ///
    /// # Errors
    /// A problem to answer with.
    pub(super) async fn peer(&self, api: &Api) -> Result<(Peer, Frames), Problem> {
        let authority = Authority::LogIn {
            token: self.token,
            login: self.login.clone(),
            looks: self.looks,
        };
        let opened = api.insides.open("api", Some(self.ip), authority).await;
        opened.map_err(Problem::from)
    }

    /// Has something changed that the gateway keeps, as [`Api::change`] does.
    ///
    /// # Errors
    /// As there, and where the log-in or a right has gone meanwhile.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        api: &Arc<Api>,
        what: (Address, String),
        deed: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        self.still_holds(api).await?;
        api.change((&self.login.account, self.ip), what, deed).await
    }

    /// Refuses who has lost the log-in or some right since it was looked up: a body may have been long on its
    /// way.
    async fn still_holds(&self, api: &Api) -> Result<(), Problem> {
        if api.yard.looks() == self.looks {
            return Ok(());
        }
        let login = api.config.login(self.token, crate::clock::time()).await;
        let login = login.map_err(|error| failed(api, &error))?;
        let holds = login.is_some_and(|login| login.rights == self.login.rights);
        holds.then_some(()).ok_or_else(|| Code::Revoked.into())
    }

    /// Asks somebody in the yard.
    ///
    /// # Errors
    /// The refusal as a problem.
    pub(super) async fn ask(
        &self,
        api: &Api,
        to: Address,
        question: Question,
    ) -> Result<AnswerBody, Problem> {
        let (peer, _) = self.peer(api).await?;
        ask(&peer, to, question).await
    }
}

/// Asks by a peer that is there.
///
/// # Errors
/// The refusal as a problem.
pub(super) async fn ask(
    peer: &Peer,
    to: Address,
    question: Question,
) -> Result<AnswerBody, Problem> {
    let answer = peer.ask(to, question, ANSWER_TIMEOUT).await;
    answer.map_err(Problem::from)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(Problem::not_logged_in)
    }
}

/// Lets a request in that bears a log-in, and counts it for its network and its account.
pub(super) async fn admit(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Before the store is asked anything.
    let ip = count_for_network(&api, &client, request.headers())?;
    let token = token_of(&api, request.method(), request.headers())?;
    let looks = api.yard.looks();
    let login = api.config.login(token, crate::clock::time()).await;
    let login = login.map_err(|error| failed(&api, &error))?;
    let login = login.ok_or_else(Problem::not_logged_in)?;
    let account = login.account.clone();
    limited(&api, api.requests_by_account.wait(account, Instant::now()))?;
    count(&api.telemetry.api_requests);
    let caller = Caller {
        login,
        ip,
        token,
        looks,
    };
    request.extensions_mut().insert(caller.clone());
    let changes = !request.method().is_safe();
    let asked = changes.then(|| (request.method().clone(), request.uri().path().to_owned()));
    let response = next.run(request).await;
    // What goes over the yard is judged and written down there.
    if let Some((method, path)) = asked
        && response.extensions().get::<Denied>().is_some()
    {
        let who = (&caller.login.account, ip);
        api.record_denial(who, format!("{method} {path}")).await;
    }
    Ok(response)
}

/// Lets a request in that needs no log-in, and counts it for its network.
pub(super) async fn limit_network(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    count_for_network(&api, &client, request.headers())?;
    Ok(next.run(request).await)
}

/// Counts a request for the network that it comes from; where from, if it may come.
fn count_for_network(api: &Api, client: &Client, headers: &HeaderMap) -> Result<IpAddr, Problem> {
    let ip = api.client_ip(client, headers);
    let wait = api.requests_by_network.wait(network_of(ip), Instant::now());
    limited(api, wait).map(|()| ip)
}

fn limited(api: &Api, wait: Option<Duration>) -> Result<(), Problem> {
    let Some(wait) = wait else {
        return Ok(());
    };
    count(&api.telemetry.api_limited);
    Err(Problem::rate_limited(wait))
}

/// The token that a request bears: a program's, or the page's cookie.
pub(in crate::http) fn token_of(
    api: &Api,
    method: &Method,
    headers: &HeaderMap,
) -> Result<TokenHash, Problem> {
    if let Some(token) = login::bearer(headers) {
        return Ok(access::token_hash(token));
    }
    let cookie = login::session_cookie(headers).ok_or_else(Problem::not_logged_in)?;
    // Reading is safe with a cookie alone: browsers give another page nothing of what comes back, and they
    // name no origin there. Whatever changes something has to come from our own page.
    let is_own = match headers.get(header::ORIGIN) {
        Some(origin) => is_own_origin(api, headers, origin),
        None => method.is_safe(),
    };
    if !is_own {
        return Err(Problem::bad_origin());
    }
    Ok(access::token_hash(cookie))
}

/// What of the store's failures a caller is told: what is wrong with the request, or that the store is.
pub(super) fn failed(api: &Api, error: &StoreError) -> Problem {
    match error {
        StoreError::Exists(_) => Problem::conflict("exists", &error.to_string()),
        StoreError::Missing { .. } => Problem::conflict("missing", &error.to_string()),
        StoreError::LastAdmin(_) => Problem::conflict("last_admin", &error.to_string()),
        StoreError::InUse { .. } => Problem::conflict("in_use", &error.to_string()),
        StoreError::Full { .. } => Problem::conflict("full", &error.to_string()),
        StoreError::Overlaps { .. } => Problem::conflict("overlaps", &error.to_string()),
        StoreError::TooLarge { .. } => Problem::of(Code::BadField, &error.to_string()),
        StoreError::Padded(_) => Problem::bad_request(&error.to_string()),
        _ => login::unavailable(api, error),
    }
}

/// A body of JSON, of which every field is known.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_json(request, BODY_BYTES_MAX).await.map(Json)
    }
}

/// Reads a body of at most so many bytes.
///
/// # Errors
/// A problem to answer with; it says what was expected.
pub(super) async fn read_json<T: DeserializeOwned>(
    request: Request,
    bytes_max: usize,
) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    if !is_of_type(&head.headers, "application/json") {
        return Err(Problem::of_another_type("application/json"));
    }
    understand(&read_bytes(body, bytes_max, BODY_TIMEOUT).await?)
}

/// What a body says. Pure.
///
/// # Errors
/// A problem to answer with; it says what was expected.
pub(super) fn understand<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // The text names what was expected; what it quotes is the caller's own.
    let not_understood = |error: serde_json::Error| Problem::bad_request(&error.to_string());
    let mut value: Value = serde_json::from_slice(body).map_err(not_understood)?;
    make_whole(&mut value);
    T::deserialize(value).map_err(not_understood)
}

/// Whole numbers that are written with a fraction of nothing, as `13.0`: JSON has but one sort of numbers,
/// and there are writers that put it so. How deep this goes the parser has bounded.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|it| number.is_f64() && it.fract() == 0.0 && it.abs() < WHOLE_MAX);
            if let Some(whole) = whole {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

async fn read_bytes(
    body: Body,
    bytes_max: usize,
    timeout: Duration,
) -> Result<bytes::Bytes, Problem> {
    let body = tokio::time::timeout(timeout, axum::body::to_bytes(body, bytes_max)).await;
    let body = body.map_err(|_| Problem::bad_request("the body did not come in time"))?;
    body.map_err(|_| Problem::too_large(&format!("such a body has at most {bytes_max} bytes")))
}

/// Reads a body of at most so many bytes that are no text.
///
/// # Errors
/// A problem to answer with; it says what was expected.
pub(super) async fn read_octets(
    request: Request,
    bytes_max: usize,
) -> Result<bytes::Bytes, Problem> {
    let (head, body) = request.into_parts();
    if !is_of_type(&head.headers, "application/octet-stream") {
        return Err(Problem::of_another_type("application/octet-stream"));
    }
    read_bytes(body, bytes_max, OCTETS_TIMEOUT).await
}

/// What a body is said to be, whatever parameters follow.
fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let told = headers.get(header::CONTENT_TYPE);
    let told = told.and_then(|value| value.to_str().ok());
    let essence = told.and_then(|value| value.split(';').next());
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case(wanted))
}

/// Parameters behind the path, of which every one is known.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let query = query.map_err(|error| Problem::bad_request(&error.body_text()))?;
        Ok(Parameters(query.0))
    }
}

/// Parts of the path.
pub(super) struct Place<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let path = path.map_err(|error| Problem::bad_request(&error.body_text()))?;
        Ok(Place(path.0))
    }
}
