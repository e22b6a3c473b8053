//! Events and alarms: passed on once, answered once they are safe.

use crate::harness::{BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, settings};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, limits,
    message::{AlarmLevel, Answer, Body, Event, Request, Text, ValueType, Verb},
};
use switchyard_relay::{ConnectionId, Input, Settings};

fn happened(number: u32) -> Event {
    Event::Happened {
        number,
        time: None,
        text: Text::cut("the pump ran"),
        values: vec![(ValueType::Int, 17)],
    }
}

fn alarm(number: u32) -> Event {
    Event::Alarm {
        number,
        time: None,
        level: AlarmLevel::High,
        text: Text::cut("level too high"),
        raised: true,
        alarm: 0,
    }
}

fn taken(verb: Verb, last: u32) -> Answer {
    Answer::Ok(Body::Taken { verb, last })
}

impl Yard {
    fn send_event(&mut self, connection: ConnectionId, correlation: u32, event: &Event) {
        let payload = event.encode();
        self.send(
            connection,
            Kind::Event,
            correlation,
            PUMP,
            GATEWAY,
            &payload,
        );
    }

    /// A tool that takes everything, its inbox emptied.
    fn watcher(&mut self, address: Address) -> ConnectionId {
        let tool = self.tool(address, "li", Role::Viewer);
        let payload = Request::Subscribe { controllers: None }.encode();
        self.send(tool, Kind::Query, 1, address, GATEWAY, &payload);
        self.inbox(tool);
        tool
    }

    /// The events of controllers in a tool's inbox.
    fn events(&mut self, tool: ConnectionId) -> Vec<Event> {
        let frames = self.inbox(tool);
        let events = frames.iter().filter(|frame| {
            let header = frame.header();
            header.kind == Kind::Event && header.source != GATEWAY
        });
        events
            .map(|frame| {
                let header = frame.header();
                assert_eq!(header.destination, GATEWAY);
                assert_eq!(header.correlation, 0, "it wants no answer of a tool");
                Event::decode(frame.payload()).unwrap()
            })
            .collect()
    }
}

#[test]
fn an_event_is_passed_on_at_once_and_answered_when_its_number_is_safe() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let all = yard.watcher(DESK);
    let other = yard.tool(PAGE, "bo", Role::Viewer);
    yard.ask(other, PAGE, &Request::Identify);
    yard.inbox(pump);

    yard.send_event(pump, 5, &happened(1));
    assert_eq!(yard.events(all), [happened(1)]);
    assert_eq!(yard.events(other), [], "who did not subscribe gets nothing");
    assert_eq!(yard.logged, [(PUMP, happened(1))]);
    assert_eq!(yard.inbox(pump), [], "not before it is safe");

    assert_eq!(yard.store_number(true), (PUMP, 1));
    assert_eq!(yard.answer(pump), taken(Verb::Happened, 1));
    yard.send_event(pump, 6, &alarm(2));
    assert_eq!(yard.store_number(true), (PUMP, 2));
    assert_eq!(yard.answer(pump), taken(Verb::Alarm, 2));
    assert_eq!(yard.events(all), [alarm(2)]);
    assert_eq!(yard.relay.counters().events_taken, 2);
}

#[test]
fn a_repeated_event_is_answered_and_not_passed_on() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let all = yard.watcher(DESK);
    yard.send_event(pump, 5, &happened(7));
    yard.store_number(true);
    yard.events(all);
    yard.inbox(pump);
    for number in [7, 3] {
        yard.send_event(pump, 6, &happened(number));
        // A controller that lost its count learns where to go on.
        assert_eq!(yard.answer(pump), taken(Verb::Happened, 7));
    }
    assert_eq!(yard.events(all), []);
    assert_eq!(yard.logged.len(), 1);
    assert_eq!(yard.numbers, []);
    assert_eq!(yard.relay.counters().events_repeated, 2);
}

#[test]
fn what_was_passed_on_and_not_stored_is_stored_when_it_comes_again() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let all = yard.watcher(DESK);
    yard.send_event(pump, 5, &alarm(1));
    yard.store_number(false);
    let refused = Answer::refused(Code::StoreUnavailable, Verb::Alarm.number());
    assert_eq!(yard.answer(pump), refused);

    yard.send_event(pump, 6, &alarm(1));
    assert_eq!(yard.inbox(pump), [], "it is still not safe");
    assert_eq!(yard.store_number(true), (PUMP, 1));
    assert_eq!(yard.answer(pump), taken(Verb::Alarm, 1));
    assert_eq!(yard.events(all), [alarm(1)], "once");
}

#[test]
fn a_lost_link_in_the_middle_costs_neither_the_event_nor_its_being_alone() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let all = yard.watcher(DESK);
    yard.send_event(pump, 5, &happened(1));
    yard.cut(pump);
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    yard.send_event(pump, 9, &happened(1));
    assert_eq!(yard.numbers, [(PUMP, 1)], "one write at a time");
    yard.store_number(true);
    let frames = yard.inbox(pump);
    let correlations: Vec<_> = frames.iter().map(|it| it.header().correlation).collect();
    assert_eq!(correlations, [9], "the answer is for this session's event");
    assert_eq!(yard.events(all), [happened(1)]);
}

#[test]
fn a_write_that_is_overtaken_is_followed_by_another() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    // Two at a time break the rule, and are served all the same.
    yard.send_event(pump, 5, &happened(1));
    yard.send_event(pump, 6, &happened(2));
    assert_eq!(yard.store_number(true), (PUMP, 1));
    assert_eq!(yard.inbox(pump), []);
    assert_eq!(yard.store_number(true), (PUMP, 2));
    assert_eq!(yard.answer(pump), taken(Verb::Happened, 2));
    // Without a correlation id there is no answer, but all the rest.
    yard.send_event(pump, 0, &happened(3));
    assert_eq!(yard.store_number(true), (PUMP, 3));
    assert_eq!(yard.inbox(pump), []);
}

#[test]
fn a_restarted_gateway_knows_what_it_had() {
    let mut yard = Yard::new();
    yard.feed(Input::NumberRestored {
        address: PUMP,
        number: 41,
    });
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    yard.send_event(pump, 5, &happened(41));
    assert_eq!(yard.answer(pump), taken(Verb::Happened, 41));
    assert_eq!(yard.logged, []);
    yard.send_event(pump, 6, &happened(42));
    assert_eq!(yard.store_number(true), (PUMP, 42));
    assert_eq!(yard.logged, [(PUMP, happened(42))]);
}

#[test]
fn no_number_is_the_last_one() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    // What each number is answered: a first one may be any, and there is always one after it.
    for (number, last) in [
        (3_000_000_000, 3_000_000_000),
        (2_999_999_999, 3_000_000_000),
        (u32::MAX, u32::MAX),
        (u32::MAX - 1, u32::MAX),
        (1, 1),
        // Erased flash is no number that others could not follow.
        (u32::MAX, 1),
        (2, 2),
    ] {
        yard.send_event(pump, 5, &happened(number));
        if number == last {
            assert_eq!(yard.store_number(true), (PUMP, number));
        }
        assert_eq!(yard.answer(pump), taken(Verb::Happened, last), "{number}");
    }
    assert_eq!(yard.logged.len(), 4);
}

#[test]
fn a_flood_is_held_back_and_another_controllers_events_are_not() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let fan = yard.controller(FAN, BOOT);
    let busy = Answer::refused(Code::Busy, Verb::Happened.number());
    let max = limits::EVENTS_PER_SECOND_MAX;
    for number in 1..=max {
        yard.inbox(pump);
        yard.send_event(pump, number, &happened(number));
        yard.store_number(true);
        assert_eq!(yard.answer(pump), taken(Verb::Happened, number));
    }
    for _ in 0..3 {
        yard.send_event(pump, 99, &happened(max + 1));
        assert_eq!(yard.answer(pump), busy);
    }
    // What it is asked again costs nothing.
    yard.send_event(pump, 99, &happened(max));
    assert_eq!(yard.answer(pump), taken(Verb::Happened, max));
    let payload = happened(1).encode();
    yard.inbox(fan);
    yard.send(fan, Kind::Event, 1, FAN, GATEWAY, &payload);
    assert_eq!(yard.store_number(true), (FAN, 1));
    assert_eq!(yard.answer(fan), taken(Verb::Happened, 1));
    yard.pass(Duration::from_secs(1));
    yard.send_event(pump, 100, &happened(max + 1));
    assert_eq!(yard.store_number(true), (PUMP, max + 1));
    assert_eq!(yard.answer(pump), taken(Verb::Happened, max + 1));
}

#[test]
fn a_bad_event_is_refused_and_a_bad_payload_ends_the_link() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    // No number.
    let bad = [0xA1, 0x02, 0x18, 131];
    yard.send(pump, Kind::Event, 5, PUMP, GATEWAY, &bad);
    let refused = Answer::refused(Code::BadField, Verb::Happened.number());
    assert_eq!(yard.answer(pump), refused);
    yard.send(pump, Kind::Event, 5, PUMP, GATEWAY, &[0xFF]);
    yard.assert_ended(pump, Code::Malformed);
}

#[test]
fn an_event_does_not_stand_in_for_an_announce() {
    let mut yard = Yard::new();
    let pump = yard.dial(PUMP);
    yard.send_event(pump, 5, &happened(1));
    yard.assert_ended(pump, Code::Malformed);
    assert_eq!(yard.logged, []);
}

#[test]
fn a_tool_that_is_behind_gets_events_while_it_has_room() {
    let mut yard = Yard::with(Settings {
        tool_queue_bytes_max: 8 * 1024,
        ..settings()
    });
    let pump = yard.controller(PUMP, BOOT);
    let all = yard.watcher(DESK);
    yard.writes = false;
    while yard.relay.counters().status_conflated == 0 {
        yard.send_delta(pump, PUMP);
    }
    yard.send_event(pump, 5, &alarm(1));
    assert_eq!(yard.events(all), [alarm(1)]);
    let mut number = 1;
    while yard.relay.counters().dropped.of(Code::Busy) == 0 {
        number += 1;
        yard.pass(Duration::from_millis(100));
        yard.send_event(pump, 5, &alarm(number));
        assert!(number < 200, "the queue has a bound");
    }
    assert_eq!(
        yard.closed(all),
        None,
        "nobody is cut off for another's events"
    );
}

#[test]
fn only_controllers_have_events_of_controllers() {
    let mut yard = Yard::new();
    let all = yard.watcher(DESK);
    let page = yard.tool(PAGE, "li", Role::Admin);
    let frame = Frame::new(Kind::Event, 5, PAGE, GATEWAY, &alarm(1).encode());
    yard.frame(page, &frame);
    assert_eq!(yard.events(all), []);
    assert_eq!(yard.logged, []);
    assert_eq!(yard.relay.counters().dropped.of(Code::NotGranted), 1);
}
