//! Commands: which are let in, how they wait, what becomes of them, and who is told.

use crate::harness::{
    BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, TIME, Yard, command, settings, title, waiting,
};
use StoreResult::{Committed, Failed, Unclear};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, limits,
    message::{Action, Answer, Body, Command, Key, Name, Receipt, Request, Stage, Time},
};
use switchyard_relay::{ConnectionId, Input, StoreRequest, StoreResult, StoredCommand};

fn refused(code: Code) -> Vec<(Stage, Option<Code>)> {
    vec![(Stage::Refused, Some(code))]
}

/// A yard with the page's operator and the pump there.
fn with_pump() -> (Yard, ConnectionId, ConnectionId) {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.inbox(pump);
    (yard, pump, page)
}

#[test]
fn a_command_is_let_in_or_refused_at_the_door() {
    let (mut yard, pump, page) = with_pump();
    let viewer = yard.tool(DESK, "wang", Role::Viewer);
    let day = 24 * 60 * 60 * 1_000;
    let expiring = |number, ahead: i64| Command {
        expiry: Time(TIME.saturating_add_signed(ahead)),
        ..command(number)
    };
    for (to, command, expected) in [
        (Address(9), command(1), refused(Code::UnknownAddress)),
        (FAN, command(2), refused(Code::Offline)),
        (
            PUMP,
            expiring(3, 0),
            vec![(Stage::Expired, Some(Code::Expired))],
        ),
        (
            PUMP,
            expiring(4, -1),
            vec![(Stage::Expired, Some(Code::Expired))],
        ),
        (PUMP, expiring(5, day + 1), refused(Code::OutOfRange)),
        (PAGE, command(6), refused(Code::NotGranted)),
        (PUMP, expiring(7, day), vec![(Stage::Sent, None)]),
    ] {
        yard.send(page, Kind::Command, 5, PAGE, to, &command.encode());
        assert_eq!(yard.receipts(page), expected, "{command:?} to {to}");
    }
    yard.command(viewer, DESK, &command(8));
    assert_eq!(yard.receipts(viewer), refused(Code::Forbidden));
    assert_eq!(yard.commands(pump), [Key([7; 16])]);
    // Without a key there is nothing that a receipt could be about.
    yard.send(page, Kind::Command, 5, PAGE, PUMP, &[0xA1, 2, 0x18, 32]);
    assert_eq!(yard.answer(page), Answer::refused(Code::BadField, 32));
    let long = Command {
        action: Action::Call {
            command: Name::new("x").unwrap(),
            arguments: vec![],
        },
        ..command(9)
    };
    let mut payload = long.encode();
    payload[0] += 1;
    payload.extend([0x18, 99, 0x59, 0x04, 0x10]);
    payload.extend([0; 1_040]);
    yard.send(page, Kind::Command, 5, PAGE, PUMP, &payload);
    assert_eq!(yard.receipts(page), refused(Code::TooLarge));
}

#[test]
fn a_command_runs_through_its_stages_in_the_very_bytes() {
    let (mut yard, pump, page) = with_pump();
    let frame = Frame::new(Kind::Command, 5, PAGE, PUMP, &command(1).encode());
    yard.frame(page, &frame);
    assert_eq!(yard.inbox(pump), [frame]);
    let key = Key([1; 16]);
    for (stage, is_final, is_told) in [
        (Stage::Delivered, false, true),
        (Stage::Delivered, false, false),
        (Stage::Queued, false, false),
        (Stage::Executed, false, true),
        (Stage::Delivered, false, false),
        (Stage::Confirmed, false, false),
        (Stage::Unknown, true, false),
        (Stage::Confirmed, true, true),
        (Stage::Confirmed, true, false),
        (Stage::Failed, true, false),
    ] {
        let before = yard.receipts(page);
        assert_eq!(
            before.len(),
            usize::from(stage == Stage::Delivered && before.len() == 1)
        );
        yard.receipt(pump, PAGE, key, stage, is_final);
        let expected = if is_told { vec![(stage, None)] } else { vec![] };
        assert_eq!(yard.receipts(page), expected, "{stage:?} {is_final}");
    }
    assert_eq!(yard.relay.gauges().commands_in_flight, 0);
    assert_eq!(yard.relay.counters().stage(Stage::Confirmed), 1);
}

#[test]
fn a_receipt_comes_from_the_commanded_controller_for_the_tool_that_asked() {
    let (mut yard, pump, page) = with_pump();
    let fan = yard.controller(FAN, BOOT);
    let desk = yard.tool(DESK, "li", Role::Operator);
    yard.command(page, PAGE, &command(1));
    yard.receipts(page);
    let dropped = |yard: &Yard| yard.relay.counters().dropped.of(Code::NotGranted);
    let key = Key([1; 16]);
    yard.receipt(pump, DESK, key, Stage::Executed, true);
    assert_eq!(dropped(&yard), 1, "to a tool that did not ask");
    yard.receipt(pump, PAGE, Key([2; 16]), Stage::Executed, true);
    assert_eq!(dropped(&yard), 2, "of a key that nobody used");
    let payload = Receipt {
        key,
        stage: Stage::Executed,
        at: None,
        reason: None,
        detail: None,
        is_final: true,
    }
    .encode();
    yard.send(fan, Kind::Receipt, 5, FAN, PAGE, &payload);
    assert_eq!(dropped(&yard), 3, "of another's command");
    assert!(yard.inbox(page).is_empty() && yard.inbox(desk).is_empty());
}

#[test]
fn in_flight_and_waiting_are_bounded() {
    let (mut yard, _, page) = with_pump();
    for number in 0..16 {
        yard.command(page, PAGE, &command(number));
        assert_eq!(yard.receipts(page), [(Stage::Sent, None)]);
    }
    yard.command(page, PAGE, &command(16));
    assert_eq!(yard.receipts(page), refused(Code::Busy));

    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    for number in 0..16 {
        yard.command(page, PAGE, &waiting(number));
        yard.store(Committed);
        assert_eq!(yard.receipts(page), [(Stage::Queued, None)]);
    }
    yard.command(page, PAGE, &waiting(16));
    assert_eq!(yard.receipts(page), refused(Code::Busy));
    assert!(yard.stores.is_empty());
}

#[test]
fn a_controller_that_does_not_read_is_busy() {
    let (mut yard, pump, page) = with_pump();
    yard.writes = false;
    // One field more, of a later version: key 99, a byte string.
    let long = |mut payload: Vec<u8>| {
        payload[0] += 1;
        payload.extend([0x18, 99, 0x59, 3, 0x84]);
        payload.extend([0; 900]);
        payload
    };
    for _ in 0..16 {
        let payload = long(Request::Describe.encode());
        yard.send(page, Kind::Query, 0, PAGE, PUMP, &payload);
    }
    for number in 100..108 {
        let payload = long(command(number).encode());
        yard.send(page, Kind::Command, 5, PAGE, PUMP, &payload);
    }
    yard.inbox(page);
    let payload = long(command(1).encode());
    yard.send(page, Kind::Command, 5, PAGE, PUMP, &payload);
    assert_eq!(yard.receipts(page), refused(Code::Busy));
    let bytes = yard
        .inbox(pump)
        .iter()
        .map(|frame| frame.bytes().len())
        .sum();
    yard.written(pump, bytes);
    yard.command(page, PAGE, &command(2));
    assert_eq!(yard.receipts(page), [(Stage::Sent, None)]);
}

#[test]
fn a_known_key_is_answered_and_not_executed() {
    let (mut yard, pump, page) = with_pump();
    let again = yard.tool(Address(PAGE.0 + 1), "li", Role::Operator);
    let other = yard.tool(DESK, "wang", Role::Operator);
    let key = Key([1; 16]);
    yard.command(page, PAGE, &command(1));
    yard.receipts(page);
    yard.command(other, DESK, &command(1));
    assert_eq!(yard.receipts(other), refused(Code::NotGranted));
    let changed = Command {
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 0,
        },
        ..command(1)
    };
    yard.command(page, PAGE, &changed);
    assert_eq!(yard.receipts(page), refused(Code::BadField));
    yard.receipt(pump, PAGE, key, Stage::Delivered, false);
    yard.receipts(page);
    // The same person from another page: what is known now, and what follows.
    yard.command(again, Address(PAGE.0 + 1), &command(1));
    assert_eq!(yard.receipts(again), [(Stage::Delivered, None)]);
    yard.receipt(pump, PAGE, key, Stage::Executed, true);
    assert_eq!(yard.receipts(again), [(Stage::Executed, None)]);
    assert!(yard.receipts(page).is_empty());
    yard.command(page, PAGE, &command(1));
    assert_eq!(yard.receipts(page), [(Stage::Executed, None)]);
    assert_eq!(yard.commands(pump), [key], "sent once");
    assert_eq!(yard.relay.counters().keys_repeated, 4);
}

#[test]
fn a_refused_command_stays_refused() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &command(1));
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    yard.command(page, PAGE, &command(1));
    let twice = [refused(Code::Offline), refused(Code::Offline)].concat();
    assert_eq!(yard.receipts(page), twice);
    assert!(yard.commands(pump).is_empty());
}

#[test]
fn a_refused_command_stays_refused_until_its_expiry() {
    let mut yard = Yard::new();
    let late = |number| Command {
        expiry: Time(TIME + 600_000),
        ..command(number)
    };
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &late(1));
    yard.pass(Duration::from_secs(120));
    let page = yard.tool(PAGE, "li", Role::Operator);
    // Whatever is kept no longer goes when the next one comes.
    yard.command(page, PAGE, &late(2));
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(page);
    yard.command(page, PAGE, &late(1));
    assert_eq!(yard.receipts(page), refused(Code::Offline));
    assert!(yard.commands(pump).is_empty());
}

#[test]
fn what_waits_is_small() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    let mut payload = waiting(1).encode();
    // One field more, of a later version: key 32, a byte string.
    payload[0] += 1;
    payload.extend([0x18, 32, 0x59, 4, 0]);
    payload.extend([0; 1_024]);
    yard.send(page, Kind::Command, 5, PAGE, PUMP, &payload);
    assert_eq!(yard.receipts(page), refused(Code::TooLarge));
    assert!(yard.stores.is_empty());
}

#[test]
fn a_waiting_command_is_promised_after_its_commit_and_sent_after_its_mark() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    assert!(yard.receipts(page).is_empty(), "not committed yet");
    let StoreRequest::Queue(stored) = yard.store(Committed) else {
        panic!("expected it to be queued");
    };
    assert_eq!((stored.key, stored.sent), (Key([1; 16]), None));
    assert_eq!(yard.receipts(page), [(Stage::Queued, None)]);
    let pump = yard.controller(PUMP, BOOT);
    assert!(yard.commands(pump).is_empty(), "not marked yet");
    // What comes now must not overtake.
    yard.command(page, PAGE, &command(2));
    assert!(yard.receipts(page).is_empty());
    let mark = StoreRequest::MarkSent {
        key: Key([1; 16]),
        boot: BOOT,
    };
    assert_eq!(yard.store(Failed), mark);
    assert!(yard.commands(pump).is_empty());
    yard.pass(Duration::from_secs(1));
    assert_eq!(yard.store(Unclear), mark);
    yard.pass(Duration::from_secs(1));
    assert_eq!(yard.store(Committed), mark);
    assert_eq!(yard.commands(pump), [Key([1; 16]), Key([2; 16])]);
    assert_eq!(yard.receipts(page), [(Stage::Sent, None); 2]);
    yard.receipt(pump, PAGE, Key([1; 16]), Stage::Executed, true);
    let forget = StoreRequest::Forget { key: Key([1; 16]) };
    assert_eq!(yard.store(Failed), forget);
    yard.pass(Duration::from_secs(1));
    assert_eq!(yard.store(Committed), forget, "asked until it is done");
}

#[test]
fn a_store_that_cannot_is_said_so_and_one_that_may_have_is_cleared_first() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    yard.store(Failed);
    assert_eq!(yard.receipts(page), refused(Code::StoreUnavailable));
    assert!(yard.stores.is_empty());
    yard.command(page, PAGE, &waiting(2));
    yard.store(Unclear);
    assert!(
        yard.receipts(page).is_empty(),
        "a restart could bring it back"
    );
    let ask = Request::Receipt { key: Key([2; 16]) };
    assert_eq!(yard.refusal(page, PAGE, &ask), Code::Busy);
    yard.store(Unclear);
    yard.pass(Duration::from_secs(1));
    assert_eq!(
        yard.store(Committed),
        StoreRequest::Forget { key: Key([2; 16]) }
    );
    assert_eq!(yard.receipts(page), refused(Code::StoreUnavailable));
    // Nor does it hold up what comes behind.
    yard.command(page, PAGE, &waiting(3));
    yard.store(Unclear);
    yard.pass(Duration::from_secs(10));
    assert_eq!(yard.receipts(page), [(Stage::Expired, Some(Code::Expired))]);
}

#[test]
fn a_waiting_command_expires_in_its_place() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    yard.store(Committed);
    // Gateway time jumps back an hour: its expiry was measured when it came.
    yard.time = Time(yard.time.0 - 3_600_000);
    yard.pass(Duration::from_secs(10));
    let expired = (Stage::Expired, Some(Code::Expired));
    assert_eq!(yard.receipts(page), [(Stage::Queued, None), expired]);
    assert_eq!(
        yard.store(Committed),
        StoreRequest::Forget { key: Key([1; 16]) }
    );
    let pump = yard.controller(PUMP, BOOT);
    assert!(yard.commands(pump).is_empty());
}

#[test]
fn a_held_command_whose_link_breaks_waits_in_the_store_or_is_refused() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    yard.store(Committed);
    let pump = yard.controller(PUMP, BOOT);
    yard.command(page, PAGE, &waiting(2));
    yard.command(page, PAGE, &command(3));
    yard.receipts(page);
    yard.cut(pump);
    assert_eq!(yard.receipts(page), refused(Code::Offline));
    yard.store(Committed);
    assert!(matches!(yard.store(Committed), StoreRequest::Queue(it) if it.key == Key([2; 16])));
    assert_eq!(yard.receipts(page), [(Stage::Queued, None)]);
    // Back with another boot: the mark is for that one.
    let pump = yard.controller(PUMP, BOOT + 1);
    for number in [1, 2] {
        let mark = yard.store(Committed);
        let key = Key([number; 16]);
        assert_eq!(
            mark,
            StoreRequest::MarkSent {
                key,
                boot: BOOT + 1
            }
        );
    }
    assert_eq!(yard.commands(pump), [Key([1; 16]), Key([2; 16])]);
}

/// Answers the relay's one question for an outcome.
fn tell_outcome(yard: &mut Yard, pump: ConnectionId, body: Result<Body, Code>) {
    let frames = yard.inbox(pump);
    let query = frames
        .iter()
        .find(|frame| frame.header().kind == Kind::Query);
    let query = query.expect("a question for the outcome");
    let payload = match body {
        Ok(body) => Answer::Ok(body),
        Err(code) => Answer::refused(code, 4),
    };
    let correlation = query.header().correlation;
    yard.send(
        pump,
        Kind::Response,
        correlation,
        PUMP,
        GATEWAY,
        &payload.encode(),
    );
}

#[test]
fn a_lost_link_is_settled_by_the_outcome() {
    let outcome = |boot, stage, is_final| {
        Ok(Body::Outcome {
            boot,
            stage,
            reason: None,
            is_final,
        })
    };
    let unknown = |code| vec![(Stage::Unknown, Some(code))];
    for (delivered, answer, expected, is_resent) in [
        (false, outcome(BOOT, None, None), vec![], true),
        (
            true,
            outcome(BOOT, None, None),
            unknown(Code::LinkLost),
            false,
        ),
        (
            false,
            outcome(BOOT, Some(Stage::Executed), Some(true)),
            vec![(Stage::Executed, None)],
            false,
        ),
        (
            false,
            outcome(BOOT, Some(Stage::Delivered), Some(false)),
            vec![(Stage::Delivered, None)],
            false,
        ),
        (
            true,
            outcome(BOOT, Some(Stage::Delivered), Some(false)),
            vec![],
            false,
        ),
        (
            true,
            outcome(BOOT, Some(Stage::Failed), Some(true)),
            vec![(Stage::Failed, None)],
            false,
        ),
        (
            false,
            outcome(BOOT + 1, None, None),
            unknown(Code::Rebooted),
            false,
        ),
        (
            false,
            outcome(BOOT, Some(Stage::Queued), Some(false)),
            unknown(Code::LinkLost),
            false,
        ),
        (
            false,
            Err(Code::Unsupported),
            unknown(Code::LinkLost),
            false,
        ),
    ] {
        let (mut yard, pump, page) = with_pump();
        yard.command(page, PAGE, &command(1));
        if delivered {
            yard.receipt(pump, PAGE, Key([1; 16]), Stage::Delivered, false);
        }
        yard.cut(pump);
        yard.receipts(page);
        let pump = yard.controller(PUMP, BOOT);
        // It comes while nobody knows yet, and must not overtake.
        yard.command(page, PAGE, &command(2));
        assert!(yard.receipts(page).is_empty());
        tell_outcome(&mut yard, pump, answer.clone());
        let receipts = yard.receipts(page);
        let sent = vec![(Stage::Sent, None)];
        assert_eq!(
            receipts,
            [expected, sent].concat(),
            "{delivered} {answer:?}"
        );
        let commands = yard.commands(pump);
        let (first, second) = (Key([1; 16]), Key([2; 16]));
        let expected = if is_resent {
            vec![first, second]
        } else {
            vec![second]
        };
        assert_eq!(commands, expected, "{delivered} {answer:?}");
    }
}

#[test]
fn what_never_arrived_is_not_sent_after_its_expiry() {
    let (mut yard, pump, page) = with_pump();
    yard.command(page, PAGE, &command(1));
    yard.cut(pump);
    yard.receipts(page);
    yard.pass(Duration::from_secs(11));
    let pump = yard.controller(PUMP, BOOT);
    let body = Body::Outcome {
        boot: BOOT,
        stage: None,
        reason: None,
        is_final: None,
    };
    tell_outcome(&mut yard, pump, Ok(body));
    assert_eq!(yard.receipts(page), [(Stage::Expired, Some(Code::Expired))]);
    assert!(yard.commands(pump).is_empty());
}

#[test]
fn another_boot_leaves_it_unknown_at_once() {
    let (mut yard, pump, page) = with_pump();
    yard.command(page, PAGE, &command(1));
    yard.cut(pump);
    yard.receipts(page);
    let pump = yard.controller(PUMP, BOOT + 1);
    assert_eq!(
        yard.receipts(page),
        [(Stage::Unknown, Some(Code::Rebooted))]
    );
    yard.receipt(pump, PAGE, Key([1; 16]), Stage::Executed, true);
    assert!(
        yard.receipts(page).is_empty(),
        "the last receipt is the last"
    );
}

#[test]
fn a_controller_that_stays_away_leaves_it_unknown() {
    let (mut yard, pump, page) = with_pump();
    yard.command(page, PAGE, &command(1));
    yard.cut(pump);
    yard.receipts(page);
    for second in 0..40 {
        assert!(yard.receipts(page).is_empty(), "second {second}");
        if second % 10 == 5 {
            yard.send(page, Kind::Ping, 1, PAGE, GATEWAY, &[0xA0]);
            yard.inbox(page);
        }
        yard.pass(Duration::from_secs(1));
    }
    assert_eq!(
        yard.receipts(page),
        [(Stage::Unknown, Some(Code::LinkLost))]
    );
}

#[test]
fn a_controller_that_is_there_may_take_long_to_confirm() {
    let (mut yard, pump, page) = with_pump();
    yard.command(page, PAGE, &command(1));
    yard.receipt(pump, PAGE, Key([1; 16]), Stage::Executed, false);
    yard.receipts(page);
    for round in 0..3 {
        for _ in 0..4 {
            yard.pass(Duration::from_secs(10));
            yard.send(page, Kind::Ping, 1, PAGE, GATEWAY, &[0xA0]);
            yard.send(pump, Kind::Ping, 1, PUMP, GATEWAY, &[0xA0]);
        }
        let body = Body::Outcome {
            boot: BOOT,
            stage: Some(Stage::Executed),
            reason: None,
            is_final: Some(false),
        };
        tell_outcome(&mut yard, pump, Ok(body));
        assert!(yard.receipts(page).is_empty(), "round {round}");
    }
    yard.receipt(pump, PAGE, Key([1; 16]), Stage::Confirmed, true);
    assert_eq!(yard.receipts(page), [(Stage::Confirmed, None)]);
}

#[test]
fn who_comes_back_can_ask_and_nobody_else() {
    let (mut yard, pump, page) = with_pump();
    yard.command(page, PAGE, &command(1));
    yard.cut(page);
    yard.receipt(pump, PAGE, Key([1; 16]), Stage::Executed, true);
    let back = yard.tool(Address(PAGE.0 + 1), "li", Role::Viewer);
    let ask = Request::Receipt { key: Key([1; 16]) };
    let Answer::Ok(Body::Receipt {
        stage, is_final, ..
    }) = yard.ask(back, Address(PAGE.0 + 1), &ask)
    else {
        panic!("it is known");
    };
    assert_eq!((stage, is_final), (Stage::Executed, true));
    let other = yard.tool(DESK, "wang", Role::Admin);
    assert_eq!(yard.refusal(other, DESK, &ask), Code::UnknownCommand);
}

#[test]
fn last_receipts_are_kept_for_a_while_and_in_bounds() {
    let mut small = settings();
    small.receipts_kept_max = 8;
    let mut yard = Yard::with(small);
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Operator);
    for number in 0..20 {
        yard.command(page, PAGE, &command(number));
        yard.receipt(pump, PAGE, Key([number; 16]), Stage::Executed, true);
    }
    // Refusals, however many, do not drive them out.
    for number in 100..150 {
        let payload = command(number).encode();
        yard.send(page, Kind::Command, 5, PAGE, FAN, &payload);
    }
    yard.inbox(page);
    for (number, is_kept) in [(0, false), (11, false), (12, true), (19, true)] {
        let key = Key([number; 16]);
        let answer = yard.ask(page, PAGE, &Request::Receipt { key });
        assert_eq!(matches!(answer, Answer::Ok(_)), is_kept, "{number}");
    }
    assert_eq!(yard.relay.gauges().receipts_kept, 8 + 2);
}

#[test]
fn a_restart_takes_up_what_the_store_held() {
    let frame = |number| {
        let payload = waiting(number).encode();
        Frame::new(Kind::Command, 5, PAGE, PUMP, &payload).into_bytes()
    };
    let stored = |number, order, sent| {
        Input::Restored(StoredCommand {
            key: Key([number; 16]),
            order,
            account: title("li"),
            expiry: waiting(number).expiry,
            frame: frame(number),
            sent,
        })
    };
    let mut yard = Yard::new();
    yard.feed(stored(1, 4, Some(BOOT)));
    yard.feed(stored(2, 5, Some(BOOT + 1)));
    yard.feed(stored(3, 6, None));
    yard.feed(stored(4, 7, None));
    let page = yard.tool(PAGE, "li", Role::Operator);
    let pump = yard.controller(PUMP, BOOT);
    // Of another boot: unknown at once, before a word of the first.
    assert_eq!(
        yard.receipts(page),
        [(Stage::Unknown, Some(Code::Rebooted))]
    );
    assert_eq!(
        yard.store(Committed),
        StoreRequest::Forget { key: Key([2; 16]) }
    );
    // The controller knows nothing of the first; the gateway does not know that it is so.
    let body = Body::Outcome {
        boot: BOOT,
        stage: None,
        reason: None,
        is_final: None,
    };
    tell_outcome(&mut yard, pump, Ok(body));
    assert_eq!(
        yard.receipts(page),
        [(Stage::Unknown, Some(Code::LinkLost))]
    );
    assert_eq!(
        yard.store(Committed),
        StoreRequest::Forget { key: Key([1; 16]) }
    );
    for number in [3, 4] {
        let key = Key([number; 16]);
        assert_eq!(
            yard.store(Committed),
            StoreRequest::MarkSent { key, boot: BOOT }
        );
    }
    assert_eq!(yard.commands(pump), [Key([3; 16]), Key([4; 16])]);
    yard.command(page, PAGE, &waiting(3));
    assert_eq!(
        yard.receipts(page),
        [(Stage::Sent, None); 3],
        "the key is known"
    );
    // A new one that waits is ordered behind all that were stored.
    yard.cut(pump);
    yard.command(page, PAGE, &waiting(5));
    assert!(matches!(yard.store(Committed), StoreRequest::Queue(it) if it.order == 8));
}

#[test]
fn a_restart_past_the_expiry_ends_what_waited() {
    let mut yard = Yard::new();
    yard.time = Time(TIME + 10_001);
    let payload = waiting(1).encode();
    yard.feed(Input::Restored(StoredCommand {
        key: Key([1; 16]),
        order: 1,
        account: title("li"),
        expiry: waiting(1).expiry,
        frame: Frame::new(Kind::Command, 5, PAGE, PUMP, &payload).into_bytes(),
        sent: None,
    }));
    assert_eq!(
        yard.store(Committed),
        StoreRequest::Forget { key: Key([1; 16]) }
    );
    let page = yard.tool(PAGE, "li", Role::Operator);
    let ask = Request::Receipt { key: Key([1; 16]) };
    let answer = yard.ask(page, PAGE, &ask);
    assert!(matches!(
        answer,
        Answer::Ok(Body::Receipt {
            stage: Stage::Expired,
            ..
        })
    ));
    let pump = yard.controller(PUMP, BOOT);
    assert!(yard.commands(pump).is_empty());
}

#[test]
fn a_restart_with_a_clock_far_behind_keeps_nothing_for_longer_than_a_day() {
    let mut yard = Yard::new();
    yard.time = Time(0);
    let payload = waiting(1).encode();
    yard.feed(Input::Restored(StoredCommand {
        key: Key([1; 16]),
        order: 1,
        account: title("li"),
        expiry: waiting(1).expiry,
        frame: Frame::new(Kind::Command, 5, PAGE, PUMP, &payload).into_bytes(),
        sent: None,
    }));
    yard.pass(limits::EXPIRY_MAX);
    assert_eq!(yard.relay.gauges().commands_waiting, 0);
}

#[test]
fn going_away_refuses_what_was_only_held() {
    let mut yard = Yard::new();
    // It came before its controller, and is told all the same.
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    yard.store(Committed);
    yard.controller(PUMP, BOOT);
    yard.command(page, PAGE, &waiting(2));
    yard.command(page, PAGE, &command(3));
    yard.receipts(page);
    yard.feed(Input::ShutDown);
    assert_eq!(yard.receipts(page), refused(Code::Offline));
    yard.store(Committed);
    assert!(matches!(yard.store(Committed), StoreRequest::Queue(it) if it.key == Key([2; 16])));
}
