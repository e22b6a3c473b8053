//! The brain of the gateway: routing, presence, receipts, access.
//!
//! Pure: the gateway hands in an [`Input`] and the two clocks as [`Now`], and does the [`Output`]s
//! that come out, in their order. No socket, no clock, no chance in here, so a simulation can own
//! all three. What it does is written in `docs/protocol.md` §5–§8.

mod counters;
mod input;
mod output;
mod settings;

pub use counters::{CodeCounts, Counters, Gauges};
pub use input::{ConnectionId, Input, Now, Peer};
pub use output::{
    Asker, Notice, Output, Question, StoreRequest, StoreResult, StoredCommand, Ticket,
};
pub use settings::Settings;

use std::time::Duration;

/// The relay itself: everything that the gateway knows while it runs.
#[derive(Debug)]
pub struct Relay {
    counters: Counters,
}

impl Relay {
    /// An empty yard. Controllers follow by [`Input::ControllerKnown`], then stored commands by
    /// [`Input::Restored`], then peers.
    pub fn new(_settings: Settings) -> Self {
        Relay {
            counters: Counters::default(),
        }
    }

    /// Takes one input and appends what is to be done about it to `outputs`, which the caller
    /// empties and uses again.
    pub fn handle(&mut self, _now: Now, _input: Input, _outputs: &mut Vec<Output>) {
        self.counters
            .dropped
            .add(switchyard_protocol::Code::Internal);
        self.counters
            .add_stage(switchyard_protocol::message::Stage::Unknown);
    }

    /// When the next [`Input::Tick`] is due, on the monotonic clock.
    pub fn next_timer(&self) -> Option<Duration> {
        None
    }

    /// What has happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much there is at this moment.
    pub fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}
