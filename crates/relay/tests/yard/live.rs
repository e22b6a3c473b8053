//! The fleet as others see it: what has changed, what was known before, what points are.

use crate::harness::{BOOT, FAN, GATEWAY, PAGE, PUMP, TIME, Yard, title};
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Address, Frame, Kind, Role,
    message::{Event, Full, PointFlags, Request, Time},
};
use switchyard_relay::{Haste, Input, Live, Output, Sink};

/// Who has changed since the last time, and what of them there is to say: whether they are there, since when, the
/// value of their point.
fn changed(yard: &mut Yard) -> Vec<(Address, bool, u64, Option<i64>)> {
    let count = yard.relay.changed();
    let taken = yard.relay.take_changed(usize::MAX);
    assert_eq!((taken.len(), yard.relay.changed()), (count, 0));
    let told = taken.into_iter().map(|(address, live)| {
        let live = live.expect("a controller that is known");
        let value = live.frame.as_deref().map(value_of);
        (address, live.online, live.since.0 - TIME, value)
    });
    told.collect()
}

fn value_of(frame: &[u8]) -> i64 {
    let mut frame = Bytes::copy_from_slice(frame);
    let frame = Frame::decode_shared(&mut frame, 65_535).unwrap().unwrap();
    Full::decode(frame.payload()).unwrap().points[0].value
}

#[test]
fn each_that_has_changed_is_taken_once_and_as_it_is_then() {
    let mut yard = Yard::new();
    assert_eq!(changed(&mut yard), [], "enrolled is nothing to tell of");
    let pump = yard.controller(PUMP, BOOT);
    let fan = yard.dial(FAN);
    yard.announce(fan, FAN, BOOT);
    for _ in 0..5 {
        yard.send_delta(pump, PUMP);
    }
    let expected = [(PUMP, true, 0, Some(5)), (FAN, true, 0, None)];
    assert_eq!(changed(&mut yard), expected);
    assert_eq!(changed(&mut yard), []);

    // What was put off waits in its order, and some may be taken before others.
    yard.pass(Duration::from_secs(1));
    yard.cut(fan);
    yard.send_delta(pump, PUMP);
    let first = yard.relay.take_changed(1);
    let [(FAN, Some(Live { online: false, .. }))] = &first[..] else {
        panic!("{first:?}");
    };
    yard.relay.change_again(FAN);
    yard.relay.change_again(FAN);
    let expected = [(PUMP, true, 0, Some(6)), (FAN, false, 1_000, None)];
    assert_eq!(changed(&mut yard), expected);

    // Everything again: of those alone of whom there is something to tell.
    let lamp = Address(100_044);
    yard.feed(Input::ControllerKnown {
        address: lamp,
        title: title("lamp"),
        site: None,
    });
    yard.relay.change_all();
    assert_eq!(changed(&mut yard).len(), 2);
}

#[test]
fn one_that_is_forgotten_is_told_of_once() {
    let mut yard = Yard::new();
    yard.controller(PUMP, BOOT);
    yard.feed(Input::ControllerForgotten { address: PUMP });
    assert_eq!(yard.relay.take_changed(9), [(PUMP, None)]);
    yard.feed(Input::ControllerForgotten { address: FAN });
    assert_eq!(yard.relay.take_changed(9), [(FAN, None)]);
    yard.feed(Input::ControllerForgotten { address: FAN });
    yard.relay.change_all();
    assert_eq!(yard.relay.take_changed(9), []);
    yard.relay.change_again(FAN);
    assert_eq!(yard.relay.take_changed(9), [(FAN, None)]);
}

fn restore(yard: &mut Yard, address: Address, since: u64, frame: &[u8]) {
    yard.feed(Input::StatusRestored {
        address,
        since: Time(since),
        frame: Bytes::copy_from_slice(frame),
    });
}

/// The full status of the pump as another gateway told it.
fn pump_frame() -> Bytes {
    let mut before = Yard::new();
    before.sequence = 41;
    before.controller(PUMP, BOOT);
    let taken = before.relay.take_changed(1);
    let frame = taken[0].1.as_ref().unwrap().frame.as_ref().unwrap();
    Bytes::copy_from_slice(frame)
}

#[test]
fn what_was_known_before_is_known_again_until_the_controller_comes() {
    let frame = pump_frame();
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let all = Request::Subscribe { controllers: None };
    yard.send(page, Kind::Query, 9, PAGE, GATEWAY, &all.encode());
    yard.inbox(page);

    restore(&mut yard, PUMP, 77, &frame);
    let told = yard.inbox(page);
    let [presence, full] = &told[..] else {
        panic!("{told:?}");
    };
    let since = match Event::decode(presence.payload()).unwrap() {
        Event::Presence {
            controller: PUMP,
            online: false,
            since,
            ..
        } => since,
        other => panic!("{other:?}"),
    };
    assert_eq!((since, full.bytes()), (Time(77), &frame));
    // It came from where the changes go, so it is none.
    assert_eq!(yard.relay.changed(), 0);
    yard.relay.change_all();
    assert_eq!(yard.relay.take_changed(9).len(), 1);

    // It is known by now, and needs no telling twice; when it comes, it knows best.
    restore(&mut yard, PUMP, 78, &frame);
    let pump = yard.controller(PUMP, BOOT);
    restore(&mut yard, PUMP, 79, &frame);
    yard.inbox(page);
    yard.send_delta(pump, PUMP);
    assert_eq!(yard.inbox(page).len(), 1);
    assert_eq!(changed(&mut yard), [(PUMP, true, 0, Some(1))]);
}

#[test]
fn a_delta_that_follows_what_was_known_is_taken() {
    let frame = pump_frame();
    let mut yard = Yard::new();
    restore(&mut yard, PUMP, 0, &frame);
    let pump = yard.dial(PUMP);
    yard.announce(pump, PUMP, BOOT);
    yard.sequence = 41;
    yard.send_delta(pump, PUMP);
    assert_eq!(changed(&mut yard), [(PUMP, true, 0, Some(42))]);
    assert_eq!(yard.relay.counters().snapshots_asked, 0);
}

#[test]
fn what_is_no_status_of_a_controller_is_not_taken_for_one() {
    let frame = pump_frame();
    let mut longer = frame.to_vec();
    longer.push(0);
    let mut of_a_kind = frame.to_vec();
    of_a_kind[0] = Kind::StatusDelta as u8;
    for wrong in [
        &[][..],
        &frame[..7],
        &frame[..frame.len() - 1],
        &longer,
        &of_a_kind,
        b"anything else",
    ] {
        let mut yard = Yard::new();
        restore(&mut yard, PUMP, 0, wrong);
        yard.relay.change_all();
        assert_eq!(yard.relay.changed(), 0, "{wrong:?}");
    }
    let mut yard = Yard::new();
    restore(&mut yard, FAN, 0, &frame);
    restore(&mut yard, Address(5), 5, &frame);
    yard.relay.change_all();
    assert_eq!(yard.relay.changed(), 0, "another one's, or nobody's");
}

/// Notes values, and that they came before the frame that they are of goes on.
#[derive(Default)]
struct Values {
    wanted: bool,
    told: Vec<(Address, u8, i64, PointFlags)>,
}

impl Sink for Values {
    fn send(&mut self, _: switchyard_relay::ConnectionId, _: &[u8], _: Haste) {}

    fn output(&mut self, _: Output) {}

    fn wants_values(&self) -> bool {
        self.wanted
    }

    fn value(&mut self, controller: Address, point: u8, value: i64, flags: PointFlags) {
        self.told.push((controller, point, value, flags));
    }
}

#[test]
fn values_are_told_to_who_wants_them_each_once() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let now = yard.now();
    let mut values = Values::default();
    let delta = yard.next_delta(PUMP);
    yard.relay
        .frame(now, pump, delta.as_frame_ref(), &mut values);
    assert_eq!(values.told, []);
    values.wanted = true;
    let (second, missing, beyond) = (
        yard.next_delta(PUMP),
        yard.next_delta(PUMP),
        yard.next_delta(PUMP),
    );
    for delta in [&second, &second, &delta, &beyond] {
        yard.relay
            .frame(now, pump, delta.as_frame_ref(), &mut values);
    }
    drop(missing);
    assert_eq!(values.told, [(PUMP, 0, 2, PointFlags::MANUAL)]);
    // A full status is of every point.
    let full = Frame::decode_shared(&mut pump_frame(), 65_535)
        .unwrap()
        .unwrap();
    yard.relay
        .frame(now, pump, full.as_frame_ref(), &mut values);
    assert_eq!(values.told[1..], [(PUMP, 0, 41, PointFlags::MANUAL)]);
}
