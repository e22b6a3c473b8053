//! Events and alarms of controllers: a line in the log for each, and their numbers for the store, with what they say of
//! alarms.

use super::ToYard;
use crate::{
    bell::Bell,
    store::{ConfigStore, ScriptAlarm},
    telemetry::{Telemetry, count},
};
use std::{collections::BTreeMap, sync::Arc};
use switchyard_protocol::{
    Address,
    message::{Event, Time, ValueType},
};

/// Numbers that one call of the store takes along, so that nobody waits long for others.
const NUMBERS_PER_CALL: usize = 1_024;

/// Numbers on their way to the store. One call is under way at most, and what comes meanwhile goes
/// with the next: so a flood of events costs few commits. The relay bounds how many wait: one for
/// each controller.
pub(super) struct Numbers {
    store: Arc<dyn ConfigStore>,
    /// Rung when the store has something of alarms.
    alarms: Bell,
    waiting: Vec<(Address, u32)>,
    /// What scripts said of alarms since: the latest of each alarm. It goes with the numbers.
    told: BTreeMap<(Address, u8), ScriptAlarm>,
    is_storing: bool,
}

impl Numbers {
    pub(super) fn new(store: Arc<dyn ConfigStore>, alarms: Bell) -> Self {
        Numbers {
            store,
            alarms,
            waiting: Vec::new(),
            told: BTreeMap::new(),
            is_storing: false,
        }
    }

    /// An event came: where it is about an alarm, that is to be stored with its number, which follows.
    pub(super) fn note(&mut self, controller: Address, event: &Event, now: Time) {
        if let Event::Alarm {
            number,
            level,
            text,
            raised,
            alarm,
            ..
        } = event
        {
            let told = ScriptAlarm {
                controller: controller.0,
                number: *number,
                alarm: *alarm,
                level: *level as u8,
                text: text.as_str().to_owned(),
                is_raised: *raised,
                taken_ms: now.0,
            };
            self.told.insert((controller, *alarm), told);
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
        let numbers: Vec<_> = self.waiting.drain(..count).collect();
        // Those of these controllers, so that no call is much longer than another.
        let mut told = Vec::new();
        for (controller, _) in &numbers {
            let its = (*controller, 0)..=(*controller, u8::MAX);
            let its: Vec<_> = self.told.range(its).map(|(place, _)| *place).collect();
            told.extend(its.iter().filter_map(|place| self.told.remove(place)));
        }
        let (store, telemetry) = (Arc::clone(&self.store), Arc::clone(telemetry));
        let alarms = self.alarms.clone();
        Some(async move {
            let is_told = !Vec::is_empty(&told);
            let stored = put(store, telemetry, numbers, told).await;
            if is_told {
                alarms.ring();
            }
            stored
        })
    }

    /// A call is done, or has failed: then this is to go with the next one.
    pub(super) fn stored(&mut self, again: Vec<ScriptAlarm>) {
        self.is_storing = false;
        for told in again {
            // What came since is later.
            let place = (Address(told.controller), told.alarm);
            self.told.entry(place).or_insert(told);
        }
    }
}

async fn put(
    store: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    numbers: Vec<(Address, u32)>,
    told: Vec<ScriptAlarm>,
) -> ToYard {
    let stored = store.put_event_numbers(numbers.clone(), told.clone()).await;
    if let Err(error) = &stored {
        count(&telemetry.store_failures);
        let error = error as &(dyn std::error::Error + 'static);
        tracing::error!(
            error,
            "numbers of events were not stored; they will come again"
        );
    }
    let again = match stored.is_ok() {
        true => Vec::new(),
        false => told,
    };
    ToYard::NumbersStored {
        numbers,
        is_committed: stored.is_ok(),
        again,
    }
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
