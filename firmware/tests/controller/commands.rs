//! Keys, expiry, the clock, the queue, and what queries answer.

use switchyard_firmware::{Behaviour, Channel};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Answer, Body, Command, Key, PeerKind, Request, Stage, Time},
};

use crate::yard::{ADDRESS, EPOCH_MS, SCAN, TOOL, Yard, call, key, ms, set, settings};

fn outcome(yard: &mut Yard, key: Key) -> (Option<Stage>, Option<Code>, Option<bool>) {
    match yard.query(&Request::Outcome { key }) {
        Answer::Ok(Body::Outcome {
            boot,
            stage,
            reason,
            is_final,
        }) => {
            assert_eq!(boot, yard.controller.boot_id());
            (stage, reason, is_final)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_known_key_is_not_executed_again() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.command(key(1), set("RL1", 1));
    yard.run(ms(30));
    let first = yard.receipts().pop().expect("receipts");
    yard.command(key(2), set("RL1", 0));
    yard.run(ms(30));
    yard.receipts();
    let correlation = yard.command(key(1), set("RL1", 1));
    yard.run(ms(30));
    let frames = yard.take_kind(Kind::Receipt);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        frames[0].header().correlation,
        correlation,
        "told to whoever asked last"
    );
    assert_eq!(frames[0].header().destination, TOOL);
    assert_eq!(frames[0].payload(), first.encode(), "the very same receipt");
    assert_eq!(yard.controller.output(Channel::Rl1), 0);
    assert_eq!(yard.controller.executed(), 2);
}

#[test]
fn thirty_two_keys_are_remembered() {
    let mut yard = Yard::live(Behaviour::Latch);
    for number in 0..33 {
        yard.command(key(number), set("RL1", i64::from(number % 2)));
        yard.run(SCAN);
    }
    assert_eq!(
        outcome(&mut yard, key(0)),
        (None, None, None),
        "the 33rd pushed out the first"
    );
    for number in 1..33 {
        assert_eq!(
            outcome(&mut yard, key(number)),
            (Some(Stage::Executed), None, Some(true)),
            "{number}"
        );
    }
    yard.command(key(0), set("RL1", 0));
    yard.run(SCAN);
    assert_eq!(yard.controller.executed(), 34, "a forgotten key is new");
}

#[test]
fn what_is_under_way_is_not_forgotten() {
    let mut yard = Yard::live(Behaviour::Follow);
    yard.command(key(0), call("enable", &[0]));
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(ms(30));
    yard.feedback = false;
    yard.command(key(1), call("enable", &[1]));
    yard.run(SCAN);
    for number in 100..160 {
        yard.command(key(number), call("enable", &[1]));
        yard.run(SCAN);
    }
    assert_eq!(
        outcome(&mut yard, key(1)),
        (Some(Stage::Executed), None, Some(false))
    );
    yard.receipts();
    yard.feedback = true;
    yard.run(ms(30));
    let receipt = yard.receipts().pop().expect("a receipt");
    assert_eq!((receipt.key, receipt.stage), (key(1), Stage::Confirmed));
}

#[test]
fn one_command_a_scan_in_order_and_seventeen_are_too_many() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.run(SCAN);
    for number in 0..17 {
        yard.command(key(number), set("RL1", i64::from((number + 1) % 2)));
    }
    let receipts = yard.receipts();
    assert_eq!(receipts.len(), 17);
    let busy: Vec<_> = receipts
        .iter()
        .filter(|r| r.reason == Some(Code::Busy))
        .collect();
    assert_eq!(busy.len(), 1);
    assert_eq!(
        (busy[0].key, busy[0].stage, busy[0].is_final),
        (key(16), Stage::Refused, true)
    );
    for number in 0..16 {
        yard.run(SCAN);
        let receipt = yard.receipts().pop().expect("one executed in each scan");
        assert_eq!((receipt.key, receipt.stage), (key(number), Stage::Executed));
        assert_eq!(yard.deltas().len(), 1);
    }
    yard.run(ms(50));
    assert!(yard.receipts().is_empty());
    assert_eq!(yard.controller.executed(), 16);
}

#[test]
fn expiry_is_checked_right_before_executing() {
    for (ahead, expected) in [
        (
            30,
            vec![
                (Stage::Delivered, None, false),
                (Stage::Executed, None, true),
            ],
        ),
        // In the scan, 10 ms later, this one is past.
        (
            5,
            vec![
                (Stage::Delivered, None, false),
                (Stage::Expired, Some(Code::Expired), true),
            ],
        ),
    ] {
        let mut yard = Yard::live(Behaviour::Latch);
        let expiry = Time(yard.time() + ahead);
        yard.command_until(key(1), expiry, set("RL1", 1));
        yard.run(SCAN);
        assert_eq!(yard.stages(), expected, "{ahead} ms ahead");
    }
    let mut yard = Yard::live(Behaviour::Latch);
    let expiry = Time(yard.time() + 25 * 3_600_000);
    yard.command_until(key(1), expiry, set("RL1", 1));
    yard.run(SCAN);
    assert_eq!(
        yard.stages(),
        [(Stage::Refused, Some(Code::OutOfRange), true)]
    );
    let expiry = Time(yard.time() + 24 * 3_600_000);
    yard.command_until(key(2), expiry, set("RL1", 1));
    yard.run(SCAN);
    assert_eq!(yard.stages().last(), Some(&(Stage::Executed, None, true)));
}

#[test]
fn a_stale_clock_executes_nothing() {
    let mut yard = Yard::live(Behaviour::Latch);
    // Pings are answered, but without the time.
    yard.answers_pings = false;
    for _ in 0..15 * 60 + 1 {
        yard.run(ms(1000));
        for ping in yard.take_kind(Kind::Ping) {
            let reply = Frame::with_flags(
                Kind::Ping,
                switchyard_protocol::Flags::REPLY,
                ping.header().correlation,
                Address::GATEWAY,
                ADDRESS,
                &[0xA0],
            );
            yard.send(&reply);
        }
    }
    yard.command(key(1), set("RL1", 1));
    yard.run(SCAN);
    let receipts = yard.receipts();
    assert_eq!(receipts[1].stage, Stage::Expired);
    assert_eq!(receipts[1].reason, Some(Code::StaleClock));
    assert_eq!(receipts[1].at, None, "it does not know when");
    assert_eq!(yard.controller.output(Channel::Rl1), 0);
    // A reply with the time makes it fresh again.
    yard.answers_pings = true;
    yard.run(ms(21_000));
    yard.command(key(2), set("RL1", 1));
    yard.run(SCAN);
    assert_eq!(yard.stages().last(), Some(&(Stage::Executed, None, true)));
}

#[test]
fn the_estimate_never_runs_backwards() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.run(ms(5000));
    yard.command(key(1), set("RL1", 1));
    yard.run(SCAN);
    let before = yard.receipts().pop().and_then(|r| r.at).expect("a time");
    assert_eq!(before, Time(yard.time()));
    yard.controller.disconnected(yard.now);
    yard.drain();
    yard.await_dial();
    yard.greet(|reply| reply.time = Time(EPOCH_MS - 3_600_000));
    yard.run(SCAN);
    yard.command_until(key(2), Time(before.0 + 10_000), set("RL1", 0));
    yard.run(SCAN);
    let after = yard.receipts().pop().and_then(|r| r.at).expect("a time");
    assert!(after >= before, "{after:?} after {before:?}");
}

#[test]
fn outcome_tells_every_end() {
    let mut yard = Yard::live(Behaviour::Latch);
    assert_eq!(outcome(&mut yard, key(9)), (None, None, None));
    yard.command(key(1), set("RL1", 1));
    assert_eq!(
        outcome(&mut yard, key(1)),
        (Some(Stage::Delivered), None, Some(false))
    );
    yard.run(SCAN);
    assert_eq!(
        outcome(&mut yard, key(1)),
        (Some(Stage::Executed), None, Some(true))
    );
    yard.command(key(2), set("RL7", 1));
    assert_eq!(
        outcome(&mut yard, key(2)),
        (Some(Stage::Refused), Some(Code::UnknownPoint), Some(true))
    );
    yard.command_until(key(3), Time(yard.time()), set("RL1", 0));
    yard.run(SCAN);
    assert_eq!(
        outcome(&mut yard, key(3)),
        (Some(Stage::Expired), Some(Code::Expired), Some(true))
    );
}

#[test]
fn outcomes_outlive_the_link_and_old_receipts_do_not() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.blocked = true;
    yard.command(key(1), set("RL1", 1));
    yard.run(SCAN);
    yard.controller.disconnected(yard.now);
    yard.blocked = false;
    yard.drain();
    assert_eq!(
        yard.controller.output(Channel::Rl1),
        1,
        "it carries on without a link"
    );
    yard.connect();
    yard.run(SCAN);
    assert!(yard.receipts().is_empty(), "the gateway asks instead");
    assert_eq!(
        outcome(&mut yard, key(1)),
        (Some(Stage::Executed), None, Some(true))
    );
    assert_eq!(yard.fulls()[0].points[1].value, 1);
}

#[test]
fn a_confirmation_comes_in_the_next_session_too() {
    let mut yard = Yard::live(Behaviour::Follow);
    yard.command(key(1), call("enable", &[0]));
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(ms(30));
    yard.receipts();
    yard.feedback = false;
    yard.command(key(2), call("enable", &[1]));
    yard.run(SCAN);
    yard.receipts();
    yard.controller.disconnected(yard.now);
    yard.connect();
    yard.run(SCAN);
    assert_eq!(
        outcome(&mut yard, key(2)),
        (Some(Stage::Executed), None, Some(false))
    );
    yard.feedback = true;
    yard.run(ms(30));
    assert_eq!(yard.stages(), [(Stage::Confirmed, None, true)]);
}

#[test]
fn a_boot_forgets() {
    let mut yard = Yard::live(Behaviour::Latch);
    let mut seeded = settings(Behaviour::Latch);
    seeded.clear = true;
    seeded.seed = Some(2);
    let other = Yard::live_with(seeded);
    assert_ne!(yard.controller.boot_id(), other.controller.boot_id());
    yard = other;
    assert_eq!(outcome(&mut yard, key(1)), (None, None, None));
}

#[test]
fn queries_are_answered() {
    let mut yard = Yard::live(Behaviour::Ramp);
    match yard.query(&Request::Identify) {
        Answer::Ok(Body::Identify {
            title,
            software,
            peer_kind,
        }) => {
            assert_eq!(title.as_str(), "No. 100042");
            assert!(software.as_str().starts_with("switchyard-firmware "));
            assert_eq!(peer_kind, PeerKind::Controller);
        }
        other => panic!("{other:?}"),
    }
    for (behaviour, title, signatures) in [
        (Behaviour::Latch, "latch", vec![]),
        (
            Behaviour::Pulse,
            "pulse",
            vec!["pulse(t: time in 100ms..1m)"],
        ),
        (Behaviour::Follow, "follow", vec!["enable(on: bool)"]),
        (
            Behaviour::Ramp,
            "ramp",
            vec!["ramp(target: num in 0..100, rate: num in 0.1..50)"],
        ),
    ] {
        match Yard::live(behaviour).query(&Request::Describe) {
            Answer::Ok(Body::Describe {
                behaviour,
                commands,
            }) => {
                assert_eq!(behaviour.as_str(), title);
                assert_eq!(
                    commands.iter().map(|c| c.as_str()).collect::<Vec<_>>(),
                    signatures
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    let mut yard = Yard::live(Behaviour::Latch);
    let bare = |verb: u8| vec![0xA1, 0x02, 0x18, verb];
    for (kind, payload, code, verb) in [
        (Kind::Query, bare(99), Code::Unsupported, 99),
        (Kind::Query, bare(32), Code::WrongKind, 32),
        (Kind::Query, bare(128), Code::WrongKind, 128),
        (
            Kind::Query,
            Request::Unsubscribe.encode(),
            Code::Unsupported,
            6,
        ),
        (Kind::Query, vec![0xA0], Code::BadField, 0),
        (Kind::Query, vec![0xA1, 0x02, 0x04], Code::BadField, 4),
        (Kind::Query, vec![0xA1], Code::Malformed, 0),
        (
            Kind::Configure,
            Request::Identify.encode(),
            Code::WrongKind,
            1,
        ),
        (Kind::Configure, bare(64), Code::Unsupported, 64),
        (Kind::Admin, bare(99), Code::Unsupported, 99),
        (Kind::Command, bare(32), Code::BadField, 32),
        // The verb comes before the missing key, and is a u16.
        (Kind::Command, bare(99), Code::Unsupported, 99),
        (Kind::Command, bare(64), Code::WrongKind, 64),
        (
            Kind::Command,
            vec![0xA1, 0x02, 0x1A, 0, 1, 0, 0],
            Code::BadField,
            0,
        ),
        (Kind::Command, vec![0xFF], Code::Malformed, 0),
    ] {
        assert_eq!(
            yard.request(kind, &payload),
            Answer::refused(code, verb),
            "{kind:?} {payload:?}"
        );
    }
    // With a key, a command is refused by a receipt.
    let mut payload = Command {
        key: key(1),
        expiry: Time(yard.time() + 1000),
        wait: false,
        action: set("RL1", 1),
    }
    .encode();
    let verb = payload
        .windows(3)
        .position(|w| w == [0x02, 0x18, 0x20])
        .expect("verb 32")
        + 2;
    for (value, number, code) in [(0x40, 1, Code::WrongKind), (0x63, 2, Code::Unsupported)] {
        payload[verb] = value;
        payload[3..19].copy_from_slice(&key(number).0);
        yard.send(&Frame::new(Kind::Command, 7, TOOL, ADDRESS, &payload));
        assert_eq!(yard.stages(), [(Stage::Refused, Some(code), true)]);
    }
    // No correlation id, no answer.
    yard.send(&Frame::new(
        Kind::Query,
        0,
        TOOL,
        ADDRESS,
        &Request::Identify.encode(),
    ));
    yard.run(SCAN);
    assert!(yard.frames.is_empty(), "{:?}", yard.frames);
}
