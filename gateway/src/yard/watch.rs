//! What the yard looks after by itself: withdrawn rights, and controllers that are enrolled, changed or
//! withdrawn. All of it is done on the gateway's other threads; the yard is only told.

use super::{ControllerNews, LoginToCheck, ToYard, YardHandle};
use crate::{
    keyring::{Held, Keyring},
    store::{ConfigStore, ControllerChange, Login, Revision, StoreError},
    telemetry::{Telemetry, count},
};
use futures_util::StreamExt as _;
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::{
    Address,
    message::{Time, Title},
};
use switchyard_relay::{ConnectionId, Rights};

/// How often the store is asked whether something changed. A withdrawn right acts on open sockets
/// within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Log-ins looked up at once: as many as the store does in one transaction.
const LOOKUPS_AT_ONCE: usize = 64;
/// Changes of controllers read from the store at once.
const CHANGES_PER_PAGE: u32 = 1_000;
/// Of those, the ones that the yard takes in one go: each may concern every tool.
const CHANGES_AT_ONCE: usize = 32;

/// Controllers that are told to dial again in one look: each costs the door a handshake, and a fleet whose
/// keys are all replaced would come at once.
const RECALLS_PER_LOOK: usize = 32;

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
    known: Revision,
) {
    let mut revision = None;
    let mut follower = Follower {
        config: Arc::clone(&config),
        telemetry: Arc::clone(&telemetry),
        yard: yard.clone(),
        keyring,
        known,
        looked_at: crate::clock::time(),
        to_recall: BTreeSet::new(),
    };
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
        follower.follow().await;
        follower.recall().await;
    }
}

/// Follows what becomes of controllers.
struct Follower {
    config: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    yard: YardHandle,
    keyring: Arc<Keyring>,
    /// What it has seen.
    known: Revision,
    /// Until when it has seen who may forget a key.
    looked_at: Time,
    /// Those that are to dial again, for a step that their keys want. No more than there are controllers.
    to_recall: BTreeSet<Address>,
}

impl Follower {
    async fn follow(&mut self) {
        loop {
            let page = self.config.controller_changes(self.known, CHANGES_PER_PAGE);
            let page = match page.await {
                Ok(page) => page,
                Err(error) => {
                    return store_failed(&self.telemetry, "which controllers changed", &error);
                }
            };
            let Some(last) = page.last() else {
                return;
            };
            self.known = last.revision;
            let is_last = page.len() < CHANGES_PER_PAGE as usize;
            let (gone, there): (Vec<_>, Vec<_>) = page.into_iter().partition(|it| it.now.is_none());
            // Whoever comes in by the keyring is known to the yard, and whom the yard forgets does not
            // come in any more.
            self.keyring.change(&gone);
            let news = gone.iter().chain(&there).map(|change| match &change.now {
                Some((entry, _)) => ControllerNews::Is(entry.clone()),
                None => ControllerNews::Withdrawn(change.address),
            });
            self.tell(news.collect()).await;
            let wants_step = there.iter().filter(|change| self.wants_step(change));
            let wants_step: Vec<_> = wants_step.map(|change| change.address).collect();
            self.to_recall.extend(wants_step);
            self.keyring.change(&there);
            if is_last {
                return;
            }
        }
    }

    /// Whether a controller gets a next key, or may forget its current one sooner, than was known.
    fn wants_step(&self, change: &ControllerChange) -> bool {
        let keys = change.now.as_ref().map(|(_, keys)| *keys);
        let has_next = keys.filter(|keys| keys.next.is_some());
        has_next.is_some_and(|keys| self.keyring.held(change.address) != Held::Keys(keys))
    }

    /// Has some dial again. Whoever is not there needs no telling: it comes with the keys that it has then, and
    /// one that is just coming in does not get past the yard's door with others.
    async fn recall(&mut self) {
        let now = crate::clock::time();
        let due = self.keyring.due(self.looked_at, now);
        self.to_recall.extend(due);
        self.looked_at = self.looked_at.max(now);
        let some = std::iter::from_fn(|| self.to_recall.pop_first()).take(RECALLS_PER_LOOK);
        let news = some.map(ControllerNews::Recalled).collect();
        self.tell(news).await;
        let pending = self.keyring.replacing() as u64;
        let gauge = &self.telemetry.keys_pending;
        gauge.store(pending, Ordering::Relaxed);
    }

    async fn tell(&self, mut news: Vec<ControllerNews>) {
        while !news.is_empty() {
            let later = news.split_off(news.len().min(CHANGES_AT_ONCE));
            let some = std::mem::replace(&mut news, later);
            self.yard.tell(ToYard::Changed(some)).await;
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
