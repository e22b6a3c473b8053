//! Events and alarms of controllers: each is passed on once, and answered once its number is safe.
//!
//! It is passed on before its number is stored: an alarm shall not wait for a disk. So a gateway
//! that dies in between passes it on again after its restart, and tools look at the number.

use crate::{Output, Relay, Work, session::Slot};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, FrameRef, Kind, limits,
    message::{Answer, Body, Event, MessageError, Verb, verb_of},
};

/// The time for which events are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// What is known of one controller's events and alarms.
#[derive(Debug, Default)]
pub(crate) struct Happenings {
    /// The latest number that was passed on; `None` before the first.
    last: Option<u32>,
    /// The latest number that the store has.
    stored: Option<u32>,
    /// The store is being told a number.
    is_storing: bool,
    /// Who waits for that: the correlation id of the controller's latest event, and its verb.
    asked: Option<(u32, Verb)>,
    /// When the count began.
    since: Duration,
    count: u32,
}

impl Happenings {
    /// Whether a number comes after the latest, by serial-number comparison: whatever a controller's
    /// flash made of its count, there are numbers after it.
    fn is_new(&self, number: u32) -> bool {
        self.last
            .is_none_or(|last| number != last && number.wrapping_sub(last) < 1 << 31)
    }

    /// Whether one more may come at this moment.
    fn has_room(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= WINDOW {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        self.count <= limits::EVENTS_PER_SECOND_MAX
    }

    /// The session is gone, and nobody waits any more.
    pub(crate) fn hung_up(&mut self) {
        self.asked = None;
    }
}

impl Relay {
    /// A controller's event, which it has the right to send.
    pub(crate) fn event_came(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
    ) {
        let is_online = self.fleet.at(index).online;
        match Event::decode(frame.payload()) {
            Ok(event @ Event::Announce { .. }) => self.announced(work, slot, index, event),
            Ok(event @ (Event::Happened { number, .. } | Event::Alarm { number, .. }))
                if is_online =>
            {
                self.happened(work, slot, index, frame, number, event);
            }
            Err(error) if is_online && is_of_a_script(frame.payload(), &error) => {
                self.refuse_request(work, slot, frame, error.code());
            }
            Err(MessageError::UnknownVerb(_)) if is_online => {
                self.counters.dropped.add(Code::Unsupported);
            }
            Ok(_) | Err(_) => self.end(work, slot, Code::Malformed),
        }
    }

    fn happened(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
        number: u32,
        event: Event,
    ) {
        let (correlation, verb) = (frame.header().correlation, event.verb());
        let address = self.fleet.at(index).address;
        let known = self.happenings.entry(address).or_default();
        if known.is_new(number) {
            if !known.has_room(work.now.since_start) {
                return self.refuse_request(work, slot, frame, Code::Busy);
            }
            known.last = Some(number);
            self.counters.events_taken += 1;
            let gateway = Address::GATEWAY;
            let passed_on = Frame::new(Kind::Event, 0, address, gateway, frame.payload());
            self.pass_on(work, index, passed_on.bytes());
            let event = Box::new(event);
            work.output(Output::Happened { address, event });
        } else {
            self.counters.events_repeated += 1;
        }
        let known = self.happenings.entry(address).or_default();
        known.asked = Some((correlation, verb));
        self.settle_events(work, address);
    }

    /// Answers a controller's event if its number is safe, else sees that it will be.
    fn settle_events(&mut self, work: &mut Work<'_>, address: Address) {
        let Some(known) = self.happenings.get_mut(&address) else {
            return;
        };
        let Some(last) = known.last else {
            return;
        };
        if known.stored == Some(last) {
            if let Some((correlation, verb)) = known.asked.take() {
                let answer = Answer::Ok(Body::Taken { verb, last });
                self.answer_event(work, address, correlation, &answer);
            }
        } else if !known.is_storing {
            known.is_storing = true;
            let number = last;
            work.output(Output::StoreNumber { address, number });
        }
    }

    /// The store has, or has not, the number of a controller's latest event.
    pub(crate) fn number_stored(
        &mut self,
        work: &mut Work<'_>,
        address: Address,
        number: u32,
        is_committed: bool,
    ) {
        let Some(known) = self.happenings.get_mut(&address) else {
            return;
        };
        known.is_storing = false;
        if is_committed {
            known.stored = Some(number);
            return self.settle_events(work, address);
        }
        self.counters.store_failures += 1;
        // The controller comes again with it, and then the store is asked again.
        if let Some((correlation, verb)) = known.asked.take() {
            let code = Code::StoreUnavailable;
            self.counters.refused.add(code);
            let answer = Answer::refused(code, verb.number());
            self.answer_event(work, address, correlation, &answer);
        }
    }

    fn answer_event(
        &mut self,
        work: &mut Work<'_>,
        address: Address,
        correlation: u32,
        answer: &Answer,
    ) {
        if let Some(slot) = self.sessions.slot_at(address) {
            self.respond(work, slot, correlation, answer);
        }
    }

    /// What the store knew of a controller's events when the gateway started.
    pub(crate) fn number_restored(&mut self, address: Address, number: u32) {
        if self.fleet.index_of(address).is_some() {
            let known = self.happenings.entry(address).or_default();
            (known.last, known.stored) = (Some(number), Some(number));
        }
    }
}

/// Whether it is an event or alarm with a fault in its fields, which only its sender can do without.
fn is_of_a_script(payload: &[u8], error: &MessageError) -> bool {
    let verb = verb_of(payload).ok().and_then(Verb::from_number);
    matches!(error, MessageError::BadField { .. })
        && matches!(verb, Some(Verb::Happened | Verb::Alarm))
}
