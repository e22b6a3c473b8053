//! The brain against the scripted modem, both without a line, in simulated time.

mod calls;
mod noise;
mod start;
mod texts;

use super::{
    desk::{CallLimits, Event, Fault, JobId, Order},
    machine::Machine,
    report::{CallEnd, CallEvent, Condition, ModemState, ReceivedText, TextEvent, TextFault},
};
use std::time::Duration;
use switchyard_testkit::modem::{ModemOptions, ScriptedModem};

/// What nothing here may take; simulated, and so for nothing.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long a line is looked at to see that nothing comes.
const MOMENT: Duration = Duration::from_millis(1);

/// A brain with a modem at its line.
struct World {
    now: Duration,
    modem: ScriptedModem,
    machine: Machine,
    events: Vec<Event>,
    state: ModemState,
    next_id: JobId,
    lost: Option<Fault>,
}

impl World {
    fn new(options: ModemOptions) -> Self {
        Self::with_pin(options, None)
    }

    fn with_pin(options: ModemOptions, pin: Option<&str>) -> Self {
        let pin = pin.map(|pin| pin.parse().unwrap());
        let mut machine = Machine::new(Duration::ZERO, pin, false);
        machine.order(Order::Room(32));
        World {
            now: Duration::ZERO,
            modem: ScriptedModem::new(options),
            machine,
            events: Vec::new(),
            state: ModemState::default(),
            next_id: 0,
            lost: None,
        }
    }

    /// One with a modem that is ready for use and has nothing to do.
    fn ready(options: ModemOptions) -> Self {
        let mut world = World::new(options);
        world.until("the modem is ready", |world| {
            world.state.condition == Condition::Ready && world.state.storage.is_some()
        });
        world.pass(Duration::from_secs(2));
        world
    }

    /// Carries bytes until both are at rest at this moment.
    fn settle(&mut self) {
        loop {
            if self.lost.is_none()
                && let Err(fault) = self.machine.advance(self.now)
            {
                self.lost = Some(fault);
            }
            self.take_events();
            let output = self.machine.take_output();
            self.modem.receive(self.now, &output);
            let said = self.modem.transmit(self.now);
            if said.is_empty() && output.is_empty() {
                return;
            }
            // As bytes may come: in pieces.
            said.chunks(7).for_each(|bytes| self.machine.receive(bytes));
        }
    }

    /// Lets the brain go on, with nobody to answer it.
    fn settle_unanswered(&mut self) {
        if let Err(fault) = self.machine.advance(self.now) {
            self.lost = Some(fault);
        }
        self.take_events();
        let output = self.machine.take_output();
        assert!(output.len() < 1_000, "{} bytes at once", output.len());
    }

    fn take_events(&mut self) {
        while let Some(event) = self.machine.next_event() {
            if let Event::State(state) = &event {
                self.state = state.clone();
            }
            self.events.push(event);
        }
    }

    /// Lets time pass until it is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&World) -> bool) {
        let begun = self.now;
        loop {
            self.settle();
            if is_so(self) {
                return;
            }
            let due = [self.modem.next_due(), self.machine.next_due()];
            let next = due.into_iter().flatten().min();
            let events = &self.events;
            assert!(
                self.lost.is_none(),
                "lost by {:?} before {what}: {events:#?}",
                self.lost
            );
            let next =
                next.unwrap_or_else(|| panic!("nothing ever happens before {what}: {events:#?}"));
            self.now = next.max(self.now + Duration::from_micros(1));
            assert!(
                self.now - begun < PATIENCE,
                "{what} never came: {events:#?}"
            );
        }
    }

    /// Lets this much time pass.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.settle();
            let due = [self.modem.next_due(), self.machine.next_due()];
            let next = due.into_iter().flatten().min().unwrap_or(until);
            if next >= until || self.now >= until {
                break;
            }
            self.now = next.max(self.now + Duration::from_micros(1));
        }
        self.now = until;
        self.settle();
    }

    fn text(&mut self, to: &str, text: &str) -> JobId {
        self.next_id += 1;
        self.machine.order(Order::Text {
            id: self.next_id,
            to: to.parse().unwrap(),
            text: text.to_owned(),
        });
        self.next_id
    }

    fn call(&mut self, to: &str) -> JobId {
        self.call_within(to, 30, 120)
    }

    fn call_within(&mut self, to: &str, ring_seconds_max: u64, length_seconds_max: u64) -> JobId {
        self.next_id += 1;
        self.machine.order(Order::Call {
            id: self.next_id,
            to: to.parse().unwrap(),
            limits: CallLimits {
                ring_max: Duration::from_secs(ring_seconds_max),
                length_max: Duration::from_secs(length_seconds_max),
            },
        });
        self.next_id
    }

    fn say(&mut self, id: JobId, text: &str) {
        self.machine.order(Order::Say {
            id,
            text: text.to_owned(),
        });
    }

    fn text_events(&self, id: JobId) -> Vec<TextEvent> {
        let of_text = |event: &Event| match event {
            Event::Text(of, event) if *of == id => Some(event.clone()),
            _ => None,
        };
        self.events.iter().filter_map(of_text).collect()
    }

    fn call_events(&self, id: JobId) -> Vec<CallEvent> {
        let of_call = |event: &Event| match event {
            Event::Call(of, event) if *of == id => Some(event.clone()),
            _ => None,
        };
        self.events.iter().filter_map(of_call).collect()
    }

    fn received(&self) -> Vec<ReceivedText> {
        let received = |event: &Event| match event {
            Event::Received(text) => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(received).collect()
    }

    fn received_texts(&self) -> Vec<String> {
        self.received().into_iter().map(|it| it.text).collect()
    }

    /// How a text came out.
    fn text_outcome(&mut self, id: JobId) -> TextEvent {
        let is_over =
            |event: &TextEvent| matches!(event, TextEvent::Sent { .. } | TextEvent::Failed(_));
        self.until("the end of the text", |world| {
            world.text_events(id).last().is_some_and(is_over)
        });
        self.text_events(id).pop().unwrap()
    }

    /// How a call came out.
    fn call_end(&mut self, id: JobId) -> CallEnd {
        self.until("the end of the call", |world| {
            matches!(world.call_events(id).last(), Some(CallEvent::Ended(_)))
        });
        match self.call_events(id).pop() {
            Some(CallEvent::Ended(end)) => end,
            other => panic!("{other:?}"),
        }
    }

    fn commands(&self, name: &str) -> usize {
        let commands = self.modem.commands().iter();
        commands.filter(|command| command.starts_with(name)).count()
    }
}

fn refused(fault: TextFault) -> TextEvent {
    TextEvent::Failed(fault)
}
