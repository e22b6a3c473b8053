//! What the yard looks after by itself: withdrawn rights, controllers enrolled by other processes,
//! and the status store.

use super::Yard;
use crate::{store::StoredStatus, telemetry::count};
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Full, Title},
};
use switchyard_relay::{ConnectionId, Input};
use tokio::sync::Notify;

/// How often the store is asked whether something changed. A withdrawn right acts on open sockets
/// within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Controllers read from the store at once.
const CONTROLLERS_PER_PAGE: u32 = 1_000;

/// What is to be put into the status store; only the latest of each controller waits.
#[derive(Default)]
pub(super) struct Statuses {
    waiting: RefCell<HashMap<Address, StoredStatus>>,
    /// Pages of a full status that is not complete yet.
    partial: RefCell<HashMap<Address, Vec<Bytes>>>,
    order: Cell<u64>,
    bell: Notify,
}

impl Statuses {
    /// A controller came or went.
    pub(super) fn presence(&self, controller: Address, online: bool) {
        let since = crate::clock::time();
        self.partial.borrow_mut().remove(&controller);
        self.change(controller, |status| {
            status.online = online;
            status.since = since;
        });
    }

    /// A controller sent a frame of its own.
    pub(super) fn saw(&self, controller: Address, frame: &Frame) {
        if frame.header().kind != Kind::StatusFull {
            return;
        }
        // What the relay will refuse is no status.
        let Ok(full) = Full::decode(frame.payload()) else {
            return;
        };
        let mut partial = self.partial.borrow_mut();
        let pages = partial.entry(controller).or_default();
        if full.page == 0 {
            pages.clear();
        }
        if pages.len() == usize::from(full.page) {
            pages.push(frame.bytes().clone());
        }
        if pages.len() == usize::from(full.pages) {
            let pages = partial.remove(&controller).unwrap_or_default();
            self.change(controller, |status| {
                status.online = true;
                status.pages = pages;
            });
        }
    }

    fn change(&self, controller: Address, change: impl FnOnce(&mut StoredStatus)) {
        self.order.set(self.order.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        let status = waiting.entry(controller).or_default();
        change(status);
        status.order = self.order.get();
        self.bell.notify_one();
    }
}

impl Yard {
    /// Brings statuses to their store, one call at a time: a slow store makes them fewer, never
    /// more.
    pub(super) async fn keep_statuses(self: Rc<Self>) {
        loop {
            self.statuses.bell.notified().await;
            let waiting = self.statuses.waiting.take();
            for (controller, status) in waiting {
                if let Err(error) = self.put_status(controller, status).await {
                    count(&self.context.telemetry.store_failures);
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "a status was not stored; the next one will be"
                    );
                }
            }
        }
    }

    async fn put_status(
        &self,
        controller: Address,
        mut status: StoredStatus,
    ) -> Result<(), crate::store::StoreError> {
        let store = &self.context.status;
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

    /// Looks for withdrawn rights and new controllers, now and then and when told to.
    pub(super) async fn keep_watch(self: Rc<Self>) {
        let mut revision = None;
        loop {
            let told = tokio::select! {
                () = self.look.notified() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            match self.context.config.access_revision().await {
                Ok(now) => {
                    let moved = revision.replace(now) != Some(now);
                    if (told || moved) && !self.check_logins(None).await {
                        // Not all could be checked: look again soon.
                        revision = None;
                    }
                }
                Err(error) => self.store_failed("whether rights changed", &error),
            }
            self.end_expired();
            self.meet_new_controllers().await;
        }
    }

    fn store_failed(&self, what: &str, error: &crate::store::StoreError) {
        count(&self.context.telemetry.store_failures);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the store did not tell {what}"
        );
    }

    /// Looks at the log-ins of all tools, or of one: those withdrawn end, changed roles are told.
    /// False when the store did not answer for some, which stay as they are.
    pub(super) async fn check_logins(self: &Rc<Self>, only: Option<ConnectionId>) -> bool {
        let tools: Vec<_> = self
            .tools
            .borrow()
            .iter()
            .filter(|(id, _)| only.is_none_or(|only| only == **id))
            .map(|(id, tool)| (*id, tool.token))
            .collect();
        let mut changed: HashMap<Title, _> = HashMap::new();
        let mut all_checked = true;
        for (id, token) in tools {
            match self.context.config.login(token, crate::clock::time()).await {
                Ok(None) => self.input(Input::End {
                    connection: id,
                    code: Code::Revoked,
                }),
                Ok(Some(login)) => {
                    if let Some(tool) = self.tools.borrow_mut().get_mut(&id)
                        && tool.role != login.role
                    {
                        tool.role = login.role;
                        changed.insert(login.account, login.role);
                    }
                }
                Err(error) => {
                    self.store_failed("whether a log-in holds", &error);
                    all_checked = false;
                }
            }
        }
        for (account, role) in changed {
            tracing::info!(%account, role = role.name(), "an account's role changed");
            self.input(Input::AccountChanged {
                account,
                role: Some(role),
            });
        }
        all_checked
    }

    fn end_expired(self: &Rc<Self>) {
        let now = crate::clock::time();
        let expired: Vec<_> = self
            .tools
            .borrow()
            .iter()
            .filter(|(_, tool)| tool.expires <= now)
            .map(|(id, _)| *id)
            .collect();
        for connection in expired {
            self.input(Input::End {
                connection,
                code: Code::Revoked,
            });
        }
    }

    async fn meet_new_controllers(self: &Rc<Self>) {
        loop {
            let after = self.known_up_to.get();
            let page = self
                .context
                .config
                .controllers(after, CONTROLLERS_PER_PAGE)
                .await;
            match page {
                Ok(page) => {
                    let is_last = page.len() < CONTROLLERS_PER_PAGE as usize;
                    for entry in page {
                        self.introduce(entry);
                    }
                    if is_last {
                        return;
                    }
                }
                Err(error) => return self.store_failed("which controllers are new", &error),
            }
        }
    }
}
