//! A chore: what one gateway at a time does, by a fenced lease in the config store.
//!
//! Whoever holds it renews it well before its end, and lets go of everything at once when that fails: a lease that may
//! be over is over. Whoever has it next bears a higher token, and the store refuses what is written under an older one.

use crate::{
    store::{ConfigStore, FencingToken, StoreError},
    tenure::{self, Holder, Tenure},
};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::message::Title;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How long a chore is another gateway's after the one with it has died. What one of them has under way outlives it: a
/// script's trial ten times.
const TERM: Duration = Duration::from_secs(15);
/// How long before its end the term counts as over: clocks differ, and a request may be under way.
const MARGIN: Duration = Duration::from_secs(3);
/// How often it is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(4);
/// How long a renewal may take before another one is tried.
const RENEW_TIMEOUT: Duration = Duration::from_secs(3);

/// A chore that is this gateway's.
pub(crate) struct Chore {
    store: Arc<dyn ConfigStore>,
    name: &'static str,
    holder: [u8; 16],
    token: FencingToken,
    term: Holder,
    tenure: Tenure,
}

/// What came of renewing a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It goes on.
    Renewed,
    /// The store did not answer, or not in time: the term that there is goes on, and the next renewal may be in time.
    Unanswered,
    /// It is somebody else's.
    Lost,
}

impl Chore {
    /// Has it, if nobody else has.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn acquire(
        store: &Arc<dyn ConfigStore>,
        name: &'static str,
        holder: [u8; 16],
    ) -> Result<Option<Self>, StoreError> {
        // From before the lease was asked for, which it therefore outlives.
        let asked = Instant::now();
        let Some(token) = ask(&**store, name, holder).await? else {
            return Ok(None);
        };
        let (term, tenure) = tenure::until(asked + TERM - MARGIN);
        Ok(Some(Chore {
            store: Arc::clone(store),
            name,
            holder,
            token,
            term,
            tenure,
        }))
    }

    /// Has it, if nobody else has. What this installation had before it was restarted it has again at once, and under a
    /// higher token: what it had under way then is refused.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn take_over(
        store: &Arc<dyn ConfigStore>,
        name: &'static str,
        identity: [u8; 16],
    ) -> Result<Option<Self>, StoreError> {
        let passing: [u8; 16] = rand::random();
        for holder in [identity, passing] {
            if ask(&**store, name, holder).await?.is_none() {
                return Ok(None);
            }
            store.release_lease(title(name), holder).await?;
        }
        Self::acquire(store, name, identity).await
    }

    /// What the store knows it by.
    pub(crate) fn token(&self) -> FencingToken {
        self.token
    }

    /// For how long it is this gateway's, as far as is known.
    pub(crate) fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Says when it is time to renew it; at once for the first time: between taking it and that, much may have been read.
    pub(crate) fn renewals() -> Interval {
        let mut renewals = tokio::time::interval(RENEW_INTERVAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals
    }

    /// Renews it.
    pub(crate) async fn renew(&self) -> Renewal {
        let asked = Instant::now();
        let asking = ask(&*self.store, self.name, self.holder);
        match tokio::time::timeout(RENEW_TIMEOUT, asking).await {
            Ok(Ok(Some(token))) if token == self.token => {
                self.term.prolong(asked + TERM - MARGIN);
                Renewal::Renewed
            }
            Ok(Ok(_)) => Renewal::Lost,
            failed => {
                let error = failed.ok().and_then(Result::err);
                let error = error.as_ref().map(|it| it as &dyn std::error::Error);
                tracing::warn!(chore = self.name, error, "a chore was not renewed");
                Renewal::Unanswered
            }
        }
    }

    /// Nothing may be done for it any more. Whatever is under way has to end before it is given up.
    pub(crate) fn end(&self) {
        self.term.end();
    }

    /// Lets somebody else have it at once.
    pub(crate) async fn release(&self) {
        match self
            .store
            .release_lease(title(self.name), self.holder)
            .await
        {
            Ok(_) => tracing::info!(
                chore = self.name,
                token = self.token.0,
                "a chore is given up"
            ),
            // It ends by itself then.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::info!(chore = self.name, error, "a chore was not given up");
            }
        }
    }
}

async fn ask(
    store: &dyn ConfigStore,
    name: &'static str,
    holder: [u8; 16],
) -> Result<Option<FencingToken>, StoreError> {
    let now = crate::clock::time();
    store.acquire_lease(title(name), holder, TERM, now).await
}

fn title(name: &'static str) -> Title {
    match Title::new(name) {
        Ok(title) => title,
        Err(error) => unreachable!("{name:?}: {error}"),
    }
}
