//! What stands around a store: the time limit of every call, and the faults that tests inject.

use super::{StoreError, StoreFuture};
use std::{sync::Mutex, time::Duration};

/// Wraps every call of a store.
pub trait Guard: Send + Sync + 'static {
    /// Runs `future`, the call named `call`, or something in its stead.
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T>;
}

/// A store behind a guard; it is a store itself.
#[derive(Debug)]
pub struct Guarded<S, G> {
    pub(super) inner: S,
    pub(super) guard: G,
}

impl<S, G: Guard> Guarded<S, G> {
    /// Puts `guard` before `inner`.
    pub const fn new(inner: S, guard: G) -> Self {
        Guarded { inner, guard }
    }

    /// The guard.
    pub const fn guard(&self) -> &G {
        &self.guard
    }
}

impl<G: Guard> Guard for std::sync::Arc<G> {
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        (**self).around(call, future)
    }
}

/// Ends a call that takes too long. The work underneath may still be done later: what was asked
/// for is then *unknown*, which is why every write here can be repeated.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit(pub Duration);

impl Guard for TimeLimit {
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let limit = self.0;
        Box::pin(async move {
            tokio::time::timeout(limit, future)
                .await
                .unwrap_or(Err(StoreError::TimedOut { call, limit }))
        })
    }
}

/// What a test makes a store do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fail without doing anything.
    Fail,
    /// Do it, and then fail: the caller cannot know.
    FailAfter,
    /// Never answer.
    Hang,
}

/// Injects a fault into every call until told otherwise.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Option<Fault>>);

impl Faults {
    /// From now on every call has this fault, or none.
    pub fn set(&self, fault: Option<Fault>) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
    }
}

impl Guard for Faults {
    fn around<'a, T: Send + 'a>(
        &'a self,
        _call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let fault = *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match fault {
            None => future,
            Some(Fault::Fail) => Box::pin(async { Err(StoreError::Gone("a planted fault")) }),
            Some(Fault::FailAfter) => Box::pin(async {
                future.await?;
                Err(StoreError::Gone("a planted fault"))
            }),
            Some(Fault::Hang) => Box::pin(std::future::pending()),
        }
    }
}
