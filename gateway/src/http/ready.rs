//! `GET /readyz`: whether this gateway should be sent new clients.

use super::Api;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

/// How long a part may take to answer. Load balancers give up after as much.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How old an answer may be: however many ask, the store is asked once in this time.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What the gateway says of itself.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    stopping: AtomicBool,
    /// Held while the parts are asked, so that they are asked by one at a time.
    latest: Mutex<Option<(Instant, Vec<Check>)>>,
}

/// One part's answer.
#[derive(Clone, Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, ok: bool, otherwise: &'static str) -> Self {
        let detail = (!ok).then_some(otherwise);
        Check { name, ok, detail }
    }
}

impl Readiness {
    /// From now on the answer is no.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// `GET /readyz`.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let is_stopping = api.readiness.stopping.load(Ordering::Relaxed);
    let mut checks = vec![Check::new(
        "serving",
        !is_stopping,
        "the gateway is stopping",
    )];
    checks.extend(parts(&api).await);
    let ready = checks.iter().all(|check| check.ok);
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = serde_json::json!({ "ready": ready, "checks": checks });
    (status, Json(body)).into_response()
}

/// What the parts say, or said a moment ago.
async fn parts(api: &Api) -> Vec<Check> {
    let mut latest = api.readiness.latest.lock().await;
    if let Some((asked, checks)) = &*latest
        && asked.elapsed() < AGE_MAX
    {
        return checks.clone();
    }
    let store = async {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, api.config.access_revision()).await;
        matches!(answer, Ok(Ok(_)))
    };
    let yard = async {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, api.yard.report()).await;
        matches!(answer, Ok(Some(_)))
    };
    let (store, yard) = tokio::join!(store, yard);
    let checks = vec![
        Check::new("store", store, "the config store does not answer"),
        Check::new("yard", yard, "the thread of live sessions does not answer"),
    ];
    *latest = Some((Instant::now(), checks.clone()));
    checks
}
