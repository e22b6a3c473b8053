//! What says that there is something to do in the store, so that it is looked for at once.

use std::sync::Arc;
use tokio::sync::Notify;

/// Rung by whoever has put something into the store. Cloning it gives the same one.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    /// There is something to do.
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it is rung, or was since this was last waited for. Cancel-safe.
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}
