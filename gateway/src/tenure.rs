//! For how long this gateway is the owner of a chore, as far as it knows.

use std::{
    pin::pin,
    task::{Context, Poll},
};
use tokio::{sync::watch, time::Instant};

/// The owner's half: moves the end while the lease is renewed.
pub(crate) struct Holder(watch::Sender<Instant>);

/// What whoever acts for the owner looks at. On the monotonic clock, which also goes on while the process
/// is held still: after that it is over, whatever a timer has yet to say.
#[derive(Clone)]
pub(crate) struct Tenure(watch::Receiver<Instant>);

/// A tenure that ends then, unless it is prolonged.
pub(crate) fn until(end: Instant) -> (Holder, Tenure) {
    let (holder, tenure) = watch::channel(end);
    (Holder(holder), Tenure(tenure))
}

impl Holder {
    /// It ends later than was thought.
    pub(crate) fn prolong(&self, end: Instant) {
        self.0.send_replace(end);
    }

    /// It ends now.
    pub(crate) fn end(&self) {
        self.0.send_replace(Instant::now());
    }
}

impl Tenure {
    /// Whether this gateway may not act any more.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= *self.0.borrow()
    }

    /// Waits for that. Cancel-safe.
    pub(crate) async fn over(&self) {
        let mut end = self.0.clone();
        loop {
            let at = *end.borrow_and_update();
            if Instant::now() >= at {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                changed = end.changed() => {
                    if changed.is_err() {
                        // Nobody prolongs it any more.
                        tokio::time::sleep_until(at).await;
                    }
                }
            }
        }
    }

    /// Does something as long as it lasts; `None` when it is over before that is done. Each step of it is
    /// looked at anew, not only its timer.
    pub(crate) async fn within<T>(&self, acting: impl Future<Output = T>) -> Option<T> {
        let mut acting = pin!(acting);
        let mut over = pin!(self.over());
        std::future::poll_fn(|context: &mut Context<'_>| {
            if self.is_over() || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            acting.as_mut().poll(context).map(Some)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_is_done_ends_with_it() {
        let (holder, tenure) = until(Instant::now() + Duration::from_secs(10));
        assert_eq!(tenure.within(async { 7 }).await, Some(7));
        let slow = async |seconds| {
            let sleep = tokio::time::sleep(Duration::from_secs(seconds));
            tenure.within(sleep).await
        };
        assert_eq!(slow(9).await, Some(()));
        holder.prolong(Instant::now() + Duration::from_secs(10));
        assert_eq!(slow(5).await, Some(()));
        let start = Instant::now();
        assert_eq!(slow(30).await, None, "not prolonged once more");
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(tenure.within(async { 7 }).await, None);
        holder.prolong(Instant::now() + Duration::from_secs(10));
        drop(holder);
        assert_eq!(slow(9).await, Some(()));
        assert_eq!(slow(9).await, None);
    }
}
