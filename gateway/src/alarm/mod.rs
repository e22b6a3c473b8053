//! Alarms: what is wrong, who has to know, and whether anybody does.
//!
//! What raises an alarm is a script, a rule on values, a controller's silence, or the gateway itself. It is kept in the
//! config store before anybody is told; then people are told in the order that their site has agreed on, by
//! telephone and otherwise, until one of them says that they have heard (`docs/alarms.md`).
//!
//! What does it: `channel`, the ways of telling people, set up by `settings`; `owner`, by a fenced lease; `telling`: one contact by one channel;
//! `answers`: what comes back to short messages, whichever gateway it comes to.
//!
//! Pure, with times as arguments:
//!
//! - `model`: an alarm, and what is written down about it.
//! - `people`: contacts, and when they are not to be woken. `plan`: who is on call at a site, and who is told after whom.
//! - `rule`: what raises an alarm, and the judge of values.
//! - `book`: the life of alarms. `pursuit`: who is to be told next.
//! - `watching`: what rules look at.
//! - `wording`: what they are told. `conversation`: a call, as whoever answers it hears it.

mod answers;
mod book;
mod channel;
mod conversation;
mod desk;
pub mod model;
mod owner;
pub mod people;
pub mod plan;
pub mod rule;
pub(crate) mod settings;
pub(crate) mod shape;
mod telling;
mod watching;
mod wording;

use crate::{
    bell::Bell,
    config::{Secret, Settings},
    endpoint::Endpoint,
    inside::Insides,
    store::{ConfigStore, StatusStore},
    telemetry::Telemetry,
};
use answers::{Answers, Received};
use anyhow::Context as _;
use axum::http::Uri;
use bytes::Bytes;
pub(crate) use channel::provider::Switchboard;
use model::Channel;
use owner::{Context, Heartbeat, Tellers};
use std::{sync::Arc, time::Duration};
use telling::Report;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The chore whose owner keeps alarms and tells people of them.
pub const CHORE: &str = "alarms";

pub(crate) use answers::Received as ReceivedText;
pub(crate) use channel::{
    ProviderCheck, probe_speech, probe_trunk,
    provider::{CALLBACKS_PATH, Callback, NotSigned, TEXTS_PATH},
};
pub(crate) use owner::{Counters, Standing};

/// What handlers need of alarms.
pub(crate) struct AlarmDesk {
    /// Rung when the store has something for their owner.
    pub(crate) bell: Bell,
    /// How the owner of this process stands, if it is one.
    pub(crate) standing: watch::Receiver<Standing>,
    /// By what people can be told from here.
    pub(crate) channels: Vec<Channel>,
    /// Where answers to messages go.
    pub(crate) answers: Arc<Answers>,
    /// Where a provider's callbacks go, where one is set up that reaches this gateway.
    pub(crate) provider: Option<Arc<Switchboard>>,
    /// Where the gateway in charge shows how alarms stand.
    status: Option<Arc<dyn StatusStore>>,
}

impl AlarmDesk {
    /// How alarms stand, as the gateway in charge tells it: this one, or another one of the same status store.
    pub(crate) async fn stand(&self) -> Standing {
        let own = self.standing.borrow().clone();
        match &self.status {
            Some(status) if !own.is_owner => owner::shown(&**status).await.unwrap_or(own),
            _ => own,
        }
    }
}

/// Ways of telling people that are open, before anybody is told.
pub(crate) struct Alarms {
    bell: Bell,
    tellers: Tellers,
    provider: Option<Arc<Switchboard>>,
    texts: (mpsc::Sender<Received>, mpsc::Receiver<Received>),
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    standing: watch::Sender<Standing>,
    days: u32,
    heartbeat: Option<Heartbeat>,
}

/// A sign of life to somebody outside, by a request that is to be answered well.
fn heartbeat((url, interval): (Secret, Duration)) -> anyhow::Result<Heartbeat> {
    let uri: Uri = url
        .0
        .parse()
        .context("alarms.heartbeat_url: expected a URL")?;
    let endpoint = Endpoint::open(&uri, true, None)?;
    Ok(Heartbeat {
        interval,
        beat: Box::new(move || {
            let endpoint = endpoint.clone();
            Box::pin(async move {
                let request = endpoint.request(&endpoint.path(), Bytes::new(), &[]);
                match endpoint.exchange(request, 0).await {
                    Ok(answer) if answer.status.is_success() => Ok(()),
                    Ok(answer) => Err(format!("it was answered {}", answer.status)),
                    Err(fault) => Err(fault.to_string()),
                }
            })
        }),
    })
}

impl Alarms {
    /// Opens what is set up.
    ///
    /// # Errors
    /// When something cannot be as it is set up: an unreadable certificate, no socket.
    pub(crate) async fn open(
        settings: &Settings,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let (alarms, data) = (&settings.alarms, &settings.data);
        let (texts, received) = answers::received();
        let (tellers, provider) = channel::open(alarms, data, &texts, tasks, stopping).await?;
        Ok(Alarms {
            bell: Bell::default(),
            tellers,
            provider,
            texts: (texts, received),
            reports: owner::reports(),
            standing: watch::Sender::default(),
            days: alarms.days,
            heartbeat: alarms.heartbeat.clone().map(heartbeat).transpose()?,
        })
    }

    /// What is rung when the store has something of alarms.
    pub(crate) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Owns the chore whenever it can, until the gateway stops. `identity` is that of this installation. Gives what
    /// handlers need.
    pub(crate) fn start(
        self,
        (store, status): (Arc<dyn ConfigStore>, Option<Arc<dyn StatusStore>>),
        insides: Arc<Insides>,
        telemetry: Arc<Telemetry>,
        identity: [u8; 16],
        (tasks, stopping): (&TaskTracker, &CancellationToken),
    ) -> AlarmDesk {
        let (later, received) = self.texts;
        let answers = Answers::new(Arc::clone(&store), self.bell.clone(), later);
        let answers = Arc::new(answers);
        let taking = Arc::clone(&answers).take_all(received, stopping.clone());
        tasks.spawn(taking);
        let desk = AlarmDesk {
            status: status.clone(),
            bell: self.bell.clone(),
            standing: self.standing.subscribe(),
            channels: self.tellers.0.keys().copied().collect(),
            answers,
            provider: self.provider,
        };
        if let Some(status) = &status {
            let (standing, status) = (self.standing.subscribe(), Arc::clone(status));
            tasks.spawn(owner::show(standing, status, stopping.clone()));
        }
        let context = Context {
            store,
            status,
            insides,
            telemetry,
            bell: self.bell,
            tellers: self.tellers,
            identity,
            days: self.days,
            heartbeat: self.heartbeat,
            stopping: stopping.clone(),
            standing: self.standing,
            reports: self.reports,
        };
        tasks.spawn(owner::own(context));
        desk
    }
}
