//! What the yard looks after by itself: withdrawn rights, controllers that are enrolled, changed or
//! withdrawn, and the status store. All of it is done on the gateway's other threads; the yard is only told.

use super::{ControllerNews, LoginToCheck, ToYard, YardHandle};
use crate::{
    keyring::Keyring,
    store::{ConfigStore, Login, Revision, StatusStore, StoreError, StoredStatus},
    telemetry::{Telemetry, count},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::{
    Address, FrameRef, Kind,
    message::{Full, Title},
};
use switchyard_relay::{ConnectionId, Rights};

/// How often the store is asked whether something changed. A withdrawn right acts on open sockets
/// within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Log-ins looked up at once: as many as the store does in one transaction.
const LOOKUPS_AT_ONCE: usize = 64;
/// Changes of controllers read from the store at once.
const CHANGES_PER_PAGE: u32 = 1_000;

/// What is to be put into the status store; only the latest of each controller waits.
pub(super) struct Statuses {
    store: Arc<dyn StatusStore>,
    /// The newest session of each controller.
    sessions: HashMap<Address, ConnectionId>,
    waiting: HashMap<Address, StoredStatus>,
    /// Pages of a full status that is not complete yet.
    partial: HashMap<Address, Vec<Bytes>>,
    order: u64,
    /// One call at a time: a slow store makes them fewer, never more.
    is_storing: bool,
}

impl Statuses {
    pub(super) fn new(store: Arc<dyn StatusStore>) -> Self {
        Statuses {
            store,
            sessions: HashMap::new(),
            waiting: HashMap::new(),
            partial: HashMap::new(),
            order: 0,
            is_storing: false,
        }
    }

    /// A controller came.
    pub(super) fn arrived(&mut self, controller: Address, session: ConnectionId) {
        self.sessions.insert(controller, session);
        self.presence(controller, true);
    }

    /// A controller's session ended. It is there all the same when a newer one is.
    pub(super) fn departed(&mut self, controller: Address, session: ConnectionId) {
        if self.sessions.get(&controller) == Some(&session) {
            self.sessions.remove(&controller);
            self.presence(controller, false);
        }
    }

    fn presence(&mut self, controller: Address, online: bool) {
        let since = crate::clock::time();
        self.partial.remove(&controller);
        let status = self.change(controller);
        status.online = online;
        status.since = since;
    }

    /// A peer sent a frame of its own.
    pub(super) fn saw(&mut self, frame: FrameRef<'_>) {
        let controller = frame.header().source;
        if frame.header().kind != Kind::StatusFull || !controller.is_controller() {
            return;
        }
        // What the relay will refuse is no status.
        let Ok(full) = Full::decode(frame.payload()) else {
            return;
        };
        let pages = self.partial.entry(controller).or_default();
        if full.page == 0 {
            pages.clear();
        }
        if pages.len() == usize::from(full.page) {
            pages.push(Bytes::copy_from_slice(frame.bytes()));
        }
        if pages.len() == usize::from(full.pages) {
            let pages = self.partial.remove(&controller).unwrap_or_default();
            let status = self.change(controller);
            status.online = true;
            status.pages = pages;
        }
    }

    /// What brings that which waits to the store, if anything does and nothing is under way.
    pub(super) fn store(
        &mut self,
        telemetry: &Arc<Telemetry>,
    ) -> Option<impl Future<Output = ToYard> + Send + use<>> {
        if self.waiting.is_empty() || self.is_storing {
            return None;
        }
        self.is_storing = true;
        let (store, waiting) = (Arc::clone(&self.store), std::mem::take(&mut self.waiting));
        Some(put_statuses(store, Arc::clone(telemetry), waiting))
    }

    /// All of it is there, or has failed.
    pub(super) fn stored(&mut self) {
        self.is_storing = false;
    }

    fn change(&mut self, controller: Address) -> &mut StoredStatus {
        self.order += 1;
        let status = self.waiting.entry(controller).or_default();
        status.order = self.order;
        status
    }
}

async fn put_statuses(
    store: Arc<dyn StatusStore>,
    telemetry: Arc<Telemetry>,
    statuses: HashMap<Address, StoredStatus>,
) -> ToYard {
    for (controller, status) in statuses {
        if let Err(error) = put_status(&*store, controller, status).await {
            count(&telemetry.store_failures);
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a status was not stored; the next one will be"
            );
        }
    }
    ToYard::StatusesStored
}

async fn put_status(
    store: &dyn StatusStore,
    controller: Address,
    mut status: StoredStatus,
) -> Result<(), StoreError> {
    let known = store.status(controller).await?.unwrap_or_default();
    if status.pages.is_empty() {
        status.pages = known.pages;
    }
    if status.since.0 == 0 {
        status.since = known.since;
    }
    // A store that outlives this process may hold a higher count.
    status.order = status.order.max(known.order + 1);
    store.put_status(controller, status).await
}

/// What looking at log-ins came to.
#[derive(Default)]
pub(super) struct Checked {
    /// What each holds now; `None` for those that were withdrawn.
    pub(super) logins: Vec<(ConnectionId, Option<Login>)>,
    /// Every account and its rights, those included that nobody is logged in with: their commands may
    /// still wait. `None` when the store did not tell.
    pub(super) accounts: Option<Vec<(Title, Rights)>>,
    /// The store did not answer for some, which stay as they are and are looked at again soon.
    pub(super) is_incomplete: bool,
}

/// Looks log-ins up again, and what accounts may do.
pub(super) async fn check_logins(
    config: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    logins: Vec<LoginToCheck>,
) -> ToYard {
    let mut checked = Checked::default();
    let lookups = logins.into_iter().map(|(id, token)| {
        let config = Arc::clone(&config);
        async move { (id, config.login(token, crate::clock::time()).await) }
    });
    let mut lookups = futures_util::stream::iter(lookups).buffered(LOOKUPS_AT_ONCE);
    while let Some((id, outcome)) = lookups.next().await {
        match outcome {
            Ok(login) => checked.logins.push((id, login)),
            Err(error) => {
                store_failed(&telemetry, "whether a log-in holds", &error);
                checked.is_incomplete = true;
            }
        }
    }
    match config.accounts().await {
        Ok(accounts) => checked.accounts = Some(super::rights(accounts)),
        Err(error) => {
            store_failed(&telemetry, "what accounts may do", &error);
            checked.is_incomplete = true;
        }
    }
    ToYard::LoginsChecked(checked)
}

/// Looks for withdrawn rights and changed controllers, now and then and when told to, until the yard is
/// gone.
pub(super) async fn keep_watch(
    config: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    yard: YardHandle,
    keyring: Arc<Keyring>,
    mut known: Revision,
) {
    let mut revision = None;
    while !yard.inbox.is_closed() {
        let told = tokio::select! {
            () = yard.look.notified() => true,
            () = tokio::time::sleep(LOOK_INTERVAL) => false,
        };
        let moved = match config.access_revision().await {
            Ok(now) => revision.replace(now) != Some(now),
            Err(error) => {
                store_failed(&telemetry, "whether rights changed", &error);
                false
            }
        };
        let rights_moved = told || moved;
        if rights_moved {
            // Before the telling: a tool that arrives in between is then looked up by itself.
            yard.looks.fetch_add(1, Ordering::AcqRel);
        }
        yard.tell(ToYard::Look(rights_moved)).await;
        follow_controllers(&*config, &telemetry, &yard, &keyring, &mut known).await;
    }
}

async fn follow_controllers(
    config: &dyn ConfigStore,
    telemetry: &Telemetry,
    yard: &YardHandle,
    keyring: &Keyring,
    known: &mut Revision,
) {
    loop {
        let page = config.controller_changes(*known, CHANGES_PER_PAGE).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => return store_failed(telemetry, "which controllers changed", &error),
        };
        let Some(last) = page.last() else {
            return;
        };
        *known = last.revision;
        let is_last = page.len() < CHANGES_PER_PAGE as usize;
        let (gone, there): (Vec<_>, Vec<_>) = page.into_iter().partition(|it| it.now.is_none());
        // Whoever comes in by the keyring is known to the yard, and whom the yard forgets does not
        // come in any more.
        keyring.change(&gone);
        let news = gone.iter().chain(&there).map(|change| match &change.now {
            Some((entry, _)) => ControllerNews::Is(entry.clone()),
            None => ControllerNews::Withdrawn(change.address),
        });
        yard.tell(ToYard::Changed(news.collect())).await;
        keyring.change(&there);
        if is_last {
            return;
        }
    }
}

fn store_failed(telemetry: &Telemetry, what: &str, error: &StoreError) {
    count(&telemetry.store_failures);
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the store did not tell {what}"
    );
}
