//! Calls of the store on their way to a driver's thread.

use super::Tx;
use crate::store::{StoreError, StoreFuture};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};

/// Calls that share one transaction at most, so that none waits long for its neighbours.
pub(super) const BATCH_CALLS_MAX: usize = 64;

/// One call, whatever it returns.
pub(super) trait Call: Send {
    /// Whether nobody waits for it any more. One that was given up before it began is not done: its
    /// caller was told that nobody knows, and repeats it.
    fn is_given_up(&self) -> bool;

    /// Does it, and keeps what it returns until the transaction has ended. It may be done again from
    /// the start, when the transaction was undone. Whether it went well.
    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> LocalBoxFuture<'a, bool>;

    /// Why it did not go well, where only doing the whole transaction again helps.
    fn failure(&self) -> Option<&StoreError>;

    /// Tells the caller what came of it, by how its transaction ended.
    fn answer(self: Box<Self>, end: TransactionEnd);
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionEnd {
    /// It is done.
    Committed,
    /// It did not come to its commit, so nothing of it is done, nor will be.
    NotDone,
    /// It was lost while it was being committed: nobody knows.
    Unclear,
}

/// A call that returns a `T`.
struct Pending<T, W> {
    work: W,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Call for Pending<T, W>
where
    T: Send,
    W: AsyncFn(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn is_given_up(&self) -> bool {
        self.caller.is_closed()
    }

    fn run<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> LocalBoxFuture<'a, bool> {
        Box::pin(async move {
            let result = (self.work)(tx).await;
            let went_well = result.is_ok();
            self.result = Some(result);
            went_well
        })
    }

    fn failure(&self) -> Option<&StoreError> {
        self.result.as_ref()?.as_ref().err()
    }

    fn answer(self: Box<Self>, end: TransactionEnd) {
        let result = match (self.result, end) {
            // What failed by itself did so whether or not its neighbours were committed.
            (Some(Err(error)), _) => Err(error),
            (_, TransactionEnd::NotDone) => Err(StoreError::NotDone),
            (Some(Ok(value)), TransactionEnd::Committed) => Ok(value),
            _ => Err(StoreError::Gone("the commit failed")),
        };
        // Nobody waits any more when the time limit has struck.
        let _ = self.caller.send(result);
    }
}

/// Where calls wait for their turn.
pub(super) type Queue = mpsc::Receiver<Box<dyn Call>>;

/// Puts a call into a queue at once, so that calls are done in the order in which they are made; its
/// outcome comes by the future.
pub(super) fn submit<'a, T: Send + 'static>(
    queue: Option<&mpsc::Sender<Box<dyn Call>>>,
    work: impl AsyncFn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> StoreFuture<'a, T> {
    let (caller, answered) = oneshot::channel();
    let call = Box::new(Pending {
        work,
        result: None,
        caller,
    });
    let submitted = match queue {
        None => Err(StoreError::Gone("it is closed")),
        Some(queue) => queue.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Gone("its thread ended"),
        }),
    };
    Box::pin(async move {
        submitted?;
        answered
            .await
            .unwrap_or(Err(StoreError::Gone("the call was dropped")))
    })
}

/// Those that wait, up to a batch, after the first one.
pub(super) fn batch(first: Box<dyn Call>, queue: &mut Queue) -> Vec<Box<dyn Call>> {
    let mut batch = vec![first];
    while batch.len() < BATCH_CALLS_MAX
        && let Ok(call) = queue.try_recv()
    {
        batch.push(call);
    }
    batch.retain(|call| !call.is_given_up());
    batch
}
