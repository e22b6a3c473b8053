//! Counters that more than one thread adds to, and the start of the log.

use crate::{bridge, config::LogFormat, proxy::ProxyFault, webhook};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use switchyard_protocol::Code;

/// What the gateway itself counts; the relay counts what happens to live sessions.
#[derive(Debug)]
pub(crate) struct Telemetry {
    refused: [AtomicU64; 256],
    proxy_faults: [AtomicU64; ProxyFault::ALL.len()],
    /// Connections taken, of every sort.
    pub(crate) connections_accepted: AtomicU64,
    /// Connections there are now.
    pub(crate) connections_open: AtomicU64,
    /// Peers of the yard that are parts of this process.
    pub(crate) peers_inside: AtomicU64,
    /// Requests to the API that bore a log-in.
    pub(crate) api_requests: AtomicU64,
    /// Requests to the API that were too many.
    pub(crate) api_limited: AtomicU64,
    /// Log-ins that succeeded.
    pub(crate) logins: AtomicU64,
    /// Log-ins with a wrong name or password.
    pub(crate) logins_failed: AtomicU64,
    /// Log-ins turned away before the password was looked at.
    pub(crate) logins_limited: AtomicU64,
    /// Store calls that failed or took too long.
    pub(crate) store_failures: AtomicU64,
    /// Controllers that have two keys.
    pub(crate) keys_pending: AtomicU64,
    /// Controllers that have another key now.
    pub(crate) keys_replaced: AtomicU64,
    /// Those that were asked to change their keys and did not.
    pub(crate) key_steps_failed: AtomicU64,
    /// What is counted of alarms.
    pub(crate) alarms: crate::alarm::Counters,
    /// 1 while the status store answers.
    pub(crate) status_store_up: AtomicU64,
    /// Calls of the status store that failed or took too long.
    pub(crate) status_store_failures: AtomicU64,
    /// Times that the status store may have lost what it had.
    pub(crate) status_store_losses: AtomicU64,
    /// Statuses that were brought to the status store.
    pub(crate) statuses_stored: AtomicU64,
    /// Leases that another gateway had a later session of.
    pub(crate) leases_fenced: AtomicU64,
    /// Samples of recent values that were brought to where they are kept.
    pub(crate) samples_stored: AtomicU64,
    /// Those that found no room while the store was away.
    pub(crate) samples_dropped: AtomicU64,
    /// Points of which recent values are kept.
    pub(crate) recent_points: AtomicU64,
    /// Times that such a point found no room.
    pub(crate) recent_points_refused: AtomicU64,
    /// Values that found no room on their way from the yard to history.
    pub(crate) history_values_dropped: AtomicU64,
    /// Minutes of history that were brought to the config store.
    pub(crate) history_minutes_stored: AtomicU64,
    /// Minutes of history that found no room while the config store was away.
    pub(crate) history_minutes_dropped: AtomicU64,
    /// Minutes of history that wait for the config store.
    pub(crate) history_minutes_waiting: AtomicU64,
    /// Minutes of history that were deleted for their age.
    pub(crate) history_minutes_swept: AtomicU64,
    /// Points that are recorded now.
    pub(crate) history_points: AtomicU64,
    /// Times that a chosen point found no room.
    pub(crate) history_points_refused: AtomicU64,
    /// 1 while roll-outs are this gateway's chore.
    pub(crate) rollouts_owned: AtomicU64,
    /// Roll-outs in this gateway's hands.
    pub(crate) rollouts_under_way: AtomicU64,
    /// Roll-outs that wait for their turn.
    pub(crate) rollouts_waiting: AtomicU64,
    /// Roll-outs that a rule has halted and nobody has resumed, broken off or rolled back.
    pub(crate) rollouts_halted: AtomicU64,
    /// Times that a rule has halted a roll-out.
    pub(crate) rollout_halts: AtomicU64,
    /// Looks at what controllers run.
    pub(crate) rollout_looks: AtomicU64,
    /// Contents sent, trials kept or ended.
    pub(crate) rollout_changes: AtomicU64,
    /// Actions that controllers refused for good.
    pub(crate) rollout_refusals: AtomicU64,
    /// Actions that came to nothing and are tried again.
    pub(crate) rollout_unreached: AtomicU64,
    /// Times that a roll-out had to wait for the store, or its lease was not renewed.
    pub(crate) rollout_store_failures: AtomicU64,
    /// Peers of roll-outs that came to nothing before they had been told who is there.
    pub(crate) rollout_observers_failed: AtomicU64,
    /// Writes, syncs and reads of the journal that failed.
    pub(crate) journal_failures: AtomicU64,
    /// Records that could not be written to the journal.
    pub(crate) journal_records_lost: AtomicU64,
    /// What was not allowed and is on no record, since the account had had too much of that.
    pub(crate) journal_denials_skipped: AtomicU64,
    /// Segments of the journal that went although they were needed.
    pub(crate) journal_segments_dropped: AtomicU64,
    /// What the journal takes on the disk.
    pub(crate) journal_bytes: AtomicU64,
    /// Of the bridge to an MQTT broker.
    pub(crate) mqtt: Arc<bridge::Counters>,
    /// Of webhooks.
    pub(crate) webhooks: Arc<webhook::Counters>,
}

impl Telemetry {
    /// Everything at zero.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Telemetry {
            refused: [const { AtomicU64::new(0) }; 256],
            proxy_faults: [const { AtomicU64::new(0) }; ProxyFault::ALL.len()],
            connections_accepted: AtomicU64::new(0),
            connections_open: AtomicU64::new(0),
            peers_inside: AtomicU64::new(0),
            api_requests: AtomicU64::new(0),
            api_limited: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            logins_failed: AtomicU64::new(0),
            logins_limited: AtomicU64::new(0),
            store_failures: AtomicU64::new(0),
            keys_pending: AtomicU64::new(0),
            keys_replaced: AtomicU64::new(0),
            key_steps_failed: AtomicU64::new(0),
            alarms: crate::alarm::Counters::default(),
            status_store_up: AtomicU64::new(0),
            status_store_failures: AtomicU64::new(0),
            status_store_losses: AtomicU64::new(0),
            statuses_stored: AtomicU64::new(0),
            leases_fenced: AtomicU64::new(0),
            samples_stored: AtomicU64::new(0),
            samples_dropped: AtomicU64::new(0),
            recent_points: AtomicU64::new(0),
            recent_points_refused: AtomicU64::new(0),
            history_values_dropped: AtomicU64::new(0),
            history_minutes_stored: AtomicU64::new(0),
            history_minutes_dropped: AtomicU64::new(0),
            history_minutes_waiting: AtomicU64::new(0),
            history_minutes_swept: AtomicU64::new(0),
            history_points: AtomicU64::new(0),
            history_points_refused: AtomicU64::new(0),
            rollouts_owned: AtomicU64::new(0),
            rollouts_under_way: AtomicU64::new(0),
            rollouts_waiting: AtomicU64::new(0),
            rollouts_halted: AtomicU64::new(0),
            rollout_halts: AtomicU64::new(0),
            rollout_looks: AtomicU64::new(0),
            rollout_changes: AtomicU64::new(0),
            rollout_refusals: AtomicU64::new(0),
            rollout_unreached: AtomicU64::new(0),
            rollout_store_failures: AtomicU64::new(0),
            rollout_observers_failed: AtomicU64::new(0),
            journal_failures: AtomicU64::new(0),
            journal_records_lost: AtomicU64::new(0),
            journal_denials_skipped: AtomicU64::new(0),
            journal_segments_dropped: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            mqtt: Arc::default(),
            webhooks: Arc::default(),
        })
    }

    /// Counts a connection that was refused before it became a session.
    pub(crate) fn count_refusal(&self, code: Code) {
        self.refused[usize::from(code.number())].fetch_add(1, Ordering::Relaxed);
    }

    /// How often connections were refused so before they became sessions.
    pub(crate) fn refusals(&self, code: Code) -> u64 {
        self.refused[usize::from(code.number())].load(Ordering::Relaxed)
    }

    /// Counts a connection that was refused for what a proxy said or did not say.
    pub(crate) fn count_proxy_fault(&self, fault: ProxyFault) {
        count(&self.proxy_faults[fault as usize]);
    }

    /// How often connections were refused so.
    pub(crate) fn proxy_faults(&self, fault: ProxyFault) -> u64 {
        self.proxy_faults[fault as usize].load(Ordering::Relaxed)
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Sends the log to stderr; stdout belongs to what scripts read.
///
/// Only `tracing` is listened to. Libraries that speak through the `log` crate are not: at their
/// wordiest they print the bytes that they carry, tokens and commands among them.
///
/// # Errors
/// When the filter is not understood.
pub(crate) fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .with_context(|| format!("cannot understand the log setting {filter:?}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start, as in tests, keeps the first.
    let _ = match format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            tracing::subscriber::set_global_default(log.with_ansi(is_terminal).finish())
        }
        // The event's own fields stand beside its time and level, where queries look for them; what the
        // connection's span knows follows under `spans`.
        LogFormat::Json => tracing::subscriber::set_global_default(
            log.json()
                .flatten_event(true)
                .with_current_span(false)
                .finish(),
        ),
    };
    Ok(())
}
