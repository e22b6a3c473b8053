//! Events and alarms of controllers: a line in the log for each, and their numbers for the store.

use super::ToYard;
use crate::{
    store::ConfigStore,
    telemetry::{Telemetry, count},
};
use std::sync::Arc;
use switchyard_protocol::{
    Address,
    message::{Event, ValueType},
};

/// Numbers that one call of the store takes along, so that nobody waits long for others.
const NUMBERS_PER_CALL: usize = 1_024;

/// Numbers on their way to the store. One call is under way at most, and what comes meanwhile goes
/// with the next: so a flood of events costs few commits. The relay bounds how many wait: one for
/// each controller.
pub(super) struct Numbers {
    store: Arc<dyn ConfigStore>,
    waiting: Vec<(Address, u32)>,
    is_storing: bool,
}

impl Numbers {
    pub(super) fn new(store: Arc<dyn ConfigStore>) -> Self {
        Numbers {
            store,
            waiting: Vec::new(),
            is_storing: false,
        }
    }

    /// One more is to be stored.
    pub(super) fn add(&mut self, controller: Address, number: u32) {
        self.waiting.push((controller, number));
    }

    /// What brings those that wait to the store, if any do and nothing is under way.
    pub(super) fn store(
        &mut self,
        telemetry: &Arc<Telemetry>,
    ) -> Option<impl Future<Output = ToYard> + Send + use<>> {
        if self.waiting.is_empty() || self.is_storing {
            return None;
        }
        self.is_storing = true;
        let count = self.waiting.len().min(NUMBERS_PER_CALL);
        let numbers = self.waiting.drain(..count).collect();
        Some(put(Arc::clone(&self.store), Arc::clone(telemetry), numbers))
    }

    /// A call is done, or has failed.
    pub(super) fn stored(&mut self) {
        self.is_storing = false;
    }
}

async fn put(
    store: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    numbers: Vec<(Address, u32)>,
) -> ToYard {
    let stored = store.put_event_numbers(numbers.clone()).await;
    if let Err(error) = &stored {
        count(&telemetry.store_failures);
        let error = error as &(dyn std::error::Error + 'static);
        tracing::error!(
            error,
            "numbers of events were not stored; they will come again"
        );
    }
    ToYard::NumbersStored(numbers, stored.is_ok())
}

/// Writes an event or alarm to the log.
pub(super) fn log(address: Address, event: &Event) {
    match event {
        Event::Happened {
            number,
            text,
            values,
            ..
        } => {
            let values: Vec<_> = values.iter().map(|&it| shown(it)).collect();
            let values = values.join(", ");
            tracing::info!(%address, number, text = text.as_str(), values, "event");
        }
        Event::Alarm {
            number,
            level,
            text,
            raised,
            alarm,
            ..
        } => {
            let level = level.name();
            tracing::info!(%address, number, alarm, level, raised, text = text.as_str(), "alarm");
        }
        Event::Announce { .. } | Event::Presence { .. } | Event::Note { .. } => {}
    }
}

/// An event's value as the wire has it, with what it stands for.
fn shown((value_type, value): (ValueType, i64)) -> String {
    format!("{} {value}", value_type.name())
}
