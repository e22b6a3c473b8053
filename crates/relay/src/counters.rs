//! What `/metrics` shows: how often each thing happened, and how much there is right now.

use switchyard_protocol::{Code, message::Stage};

/// A count for every code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCounts(Box<[u64; 256]>);

impl Default for CodeCounts {
    fn default() -> Self {
        CodeCounts(Box::new([0; 256]))
    }
}

impl CodeCounts {
    /// How often this code came up.
    pub fn of(&self, code: Code) -> u64 {
        self.0[usize::from(code.number())]
    }

    /// Every known code with its count, those that never came up included.
    pub fn iter(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        Code::ALL.iter().map(|&code| (code, self.of(code)))
    }

    pub(crate) fn add(&mut self, code: Code) {
        self.0[usize::from(code.number())] += 1;
    }
}

/// What has happened since the start. All of them only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ends of live connections, by reason.
    pub ended: CodeCounts,
    /// Requests and commands that the gateway itself refused, by reason.
    pub refused: CodeCounts,
    /// Frames that were dropped without an answer, by reason.
    pub dropped: CodeCounts,
    /// Frames that came in.
    pub frames_received: u64,
    /// Frames that went out, each subscriber's copy counted.
    pub frames_sent: u64,
    /// Status deltas that came in order and were taken.
    pub deltas_taken: u64,
    /// Status and presence frames that a subscriber was not sent as they came, since it was behind.
    pub status_conflated: u64,
    /// Times that the relay asked a controller for a full status because of a gap.
    pub snapshots_asked: u64,
    /// Receipts that repeated what was known already.
    pub receipts_repeated: u64,
    /// Commands whose key was known already.
    pub keys_repeated: u64,
    /// Commands sent again after a lost link, since they had never arrived.
    pub commands_resent: u64,
    /// Events and alarms that were passed on.
    pub events_taken: u64,
    /// Events and alarms that were passed on before.
    pub events_repeated: u64,
    /// Three replacements of one address within a minute.
    pub duplicate_addresses: u64,
    /// Writes that the store failed or left unclear.
    pub store_failures: u64,
    stages: [u64; 20],
}

impl Counters {
    /// How many commands came to this stage.
    pub fn stage(&self, stage: Stage) -> u64 {
        self.stages[stage as usize]
    }

    pub(crate) fn add_stage(&mut self, stage: Stage) {
        self.stages[stage as usize] += 1;
    }
}

/// How much there is at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Controllers that are enrolled.
    pub controllers_known: usize,
    /// Controllers that are there.
    pub controllers_online: usize,
    /// Tools that are there.
    pub tools_online: usize,
    /// Tools that take status.
    pub subscribers: usize,
    /// Commands sent and not ended.
    pub commands_in_flight: usize,
    /// Commands that wait for a controller.
    pub commands_waiting: usize,
    /// Ended commands whose last receipt is kept.
    pub receipts_kept: usize,
    /// Requests that a controller has yet to answer.
    pub requests_open: usize,
    /// Bytes of frames that wait in the queues of all peers.
    pub queued_bytes: usize,
}
