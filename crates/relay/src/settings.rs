//! What an installation may choose; every bound with its reason.

use std::time::Duration;
use switchyard_protocol::{limits, message::Title};

/// The relay's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What people call this gateway: its answer to identify.
    pub title: Title,
    /// Its program and version: its answer to identify.
    pub software: Title,
    /// Random per start: seeds the hash maps, so that nobody can choose keys that collide, and the
    /// first correlation id. A simulation sets it.
    pub seed: u64,
    /// Told to peers in the hello; three of these without a frame end a link as `silent`.
    pub ping_interval: Duration,
    /// Bytes of frames that may wait for one tool. From half of it on status is conflated; a tool
    /// that lets it fill up is cut off as `slow_peer`.
    pub tool_queue_bytes_max: usize,
    /// Bytes of frames that may wait for one controller. A command that does not fit is refused,
    /// `busy`, and so is a request from half of it on; at twice this the controller is cut off as
    /// `slow_peer`.
    pub controller_queue_bytes_max: usize,
    /// Connections for which the relay has room from the start, of at most 65,536; more may come. Room
    /// that is never touched costs no memory, and a table that grows leaves holes as large as itself.
    pub connections_expected: usize,
    /// Controllers that the relay knows, there or not: bounds its tables.
    pub controllers_max: usize,
    /// Ended commands whose last receipt is kept, so that a repeated key or a late question finds
    /// it.
    pub receipts_kept_max: usize,
    /// Whether somebody takes what has changed of the fleet ([`Relay::take_changed`](crate::Relay::take_changed)).
    /// Otherwise nothing is noted: nobody would ever make room.
    pub follows_changes: bool,
    /// How long, at least, the last receipt of an ended command is kept, and in any case until the
    /// command's expiry, since a repeated key could be executed before. Both while there is room:
    /// past [`Settings::receipts_kept_max`] the oldest goes.
    pub receipts_kept_for: Duration,
}

impl Settings {
    /// The defaults, which a sample configuration repeats.
    pub fn new(title: Title, software: Title, seed: u64) -> Self {
        Settings {
            title,
            software,
            seed,
            ping_interval: limits::PING_INTERVAL_DEFAULT,
            tool_queue_bytes_max: 256 * 1024,
            controller_queue_bytes_max: 16 * 1024,
            connections_expected: 0,
            controllers_max: 65_536,
            receipts_kept_max: 65_536,
            follows_changes: true,
            receipts_kept_for: Duration::from_secs(60 * 60),
        }
    }
}
