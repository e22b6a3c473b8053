//! How alarms stand, for gateways that are not in charge of them: by the status store.

use super::Standing;
use crate::store::StatusStore;
use bytes::Bytes;
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long it is shown after it was told last.
const TERM: Duration = Duration::from_secs(15);
/// How often it is told without a change.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long after one telling the next one comes: in a storm it changes with every alarm.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows it to others while this gateway is in charge, until that stops. What a store does not take is told again.
pub(crate) async fn show(
    mut standing: watch::Receiver<Standing>,
    status: impl StatusStore,
    stopping: CancellationToken,
) {
    while !stopping.is_cancelled() {
        let now = standing.borrow_and_update().clone();
        if now.is_owner
            && let Ok(json) = serde_json::to_vec(&now)
            // The store's own checks tell when it is away.
            && let Err(error) = status.put_alarm_standing(Bytes::from(json), TERM).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "how alarms stand was not shown");
        }
        let told = Instant::now();
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
            changed = standing.changed() => match changed {
                Ok(()) => tokio::time::sleep_until(told + PAUSE).await,
                Err(_) => return,
            },
        }
    }
}

/// How alarms stand where another gateway is in charge; none when nobody says so.
pub(crate) async fn shown(status: &dyn StatusStore) -> Option<Standing> {
    let told = status.alarm_standing().await.ok()??;
    serde_json::from_slice(&told).ok()
}
