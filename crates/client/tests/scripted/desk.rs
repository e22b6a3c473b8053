//! What a scripted gateway says over HTTP besides log-ins: to each route whatever a test has set, and the alarms by long
//! poll.

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::watch;

/// A request that came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// Method, path and query.
    pub(crate) line: String,
    /// Its body, where there was one.
    pub(crate) body: Value,
    /// Whether it bore the token.
    pub(crate) is_known: bool,
}

/// Shared by whoever answers and whoever says what.
#[derive(Clone)]
pub(crate) struct Desk {
    state: Arc<Mutex<State>>,
    revision: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, (u16, Value)>,
    asked: Vec<Asked>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            state: Arc::default(),
            revision: Arc::new(watch::Sender::new(1)),
        }
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on a route, such as `GET /api/alarms`, is answered so; whoever waits for alarms hears of it.
    pub(crate) fn set(&self, route: &str, status: u16, body: Value) {
        self.state()
            .answers
            .insert(route.to_owned(), (status, body));
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The same with a refusal.
    pub(crate) fn refuse(&self, route: &str, status: u16, code: &str, detail: &str) {
        let problem = json!({ "title": "no", "status": status, "code": code, "detail": detail });
        self.set(route, status, problem);
    }

    /// What has been asked so far of a route.
    pub(crate) fn asked(&self, route: &str) -> Vec<Asked> {
        let is_of = |it: &&Asked| it.line.split('?').next() == Some(route);
        self.state().asked.iter().filter(is_of).cloned().collect()
    }

    /// Answers a request, if a test has said how.
    pub(crate) async fn answer(
        &self,
        line: &str,
        body: &str,
        is_known: bool,
    ) -> Option<(u16, String)> {
        let (route, query) = line.split_once('?').unwrap_or((line, ""));
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        let line = line.to_owned();
        self.state().asked.push(Asked {
            line,
            body,
            is_known,
        });
        let value_of = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
            pairs
                .find(|(name, _)| *name == wanted)?
                .1
                .parse::<u64>()
                .ok()
        };
        if let Some((seen, wait_s)) = value_of("revision").zip(value_of("wait_s")) {
            let mut revision = self.revision.subscribe();
            let changed = revision.wait_for(|now| *now > seen);
            let _ = tokio::time::timeout(Duration::from_secs(wait_s), changed).await;
        }
        let (status, mut body) = self.state().answers.get(route)?.clone();
        if route == "GET /api/alarms" && status == 200 {
            body["revision"] = json!(*self.revision.borrow());
        }
        Some((status, body.to_string()))
    }
}
