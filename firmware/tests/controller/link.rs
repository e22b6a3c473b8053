//! The link's states: handshake, records, ping, errors, back-off; bytes split anywhere.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use switchyard_firmware::{Action, Behaviour, LinkState};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    message::{
        Answer, Body, ErrorMessage, Event, HelloReply, Ping, Request, Stage, Time, features,
    },
};

use crate::yard::{
    ADDRESS, EPOCH_MS, PING_INTERVAL, SCAN, SECRET, TOOL, Yard, key, ms, responder, set, settings,
};

fn noise() -> Yard {
    Yard::live_with(settings(Behaviour::Latch))
}

/// The link failed with this error frame, and was hung up.
fn assert_failed(yard: &mut Yard, code: Code) {
    assert_eq!(yard.error(), Some(code));
    assert!(yard.hung_up());
    assert_eq!(yard.controller.link_state(), LinkState::Closed);
}

#[test]
fn the_noise_link_carries_everything() {
    let mut yard = Yard::new(settings(Behaviour::Latch), ms(0));
    yard.connect();
    yard.run(SCAN);
    let Ok(Event::Announce {
        features: announced,
        ..
    }) = Event::decode(yard.frames[0].payload())
    else {
        panic!("{:?}", yard.frames)
    };
    assert_eq!(announced, features::NOISE | features::SCRIPTS);
    yard.command(key(1), set("RL1", 1));
    yard.run(ms(30));
    assert_eq!(yard.stages().len(), 2);
    assert!(matches!(
        yard.query(&Request::Identify),
        Answer::Ok(Body::Identify { .. })
    ));
}

#[test]
fn a_record_holds_many_frames_both_ways() {
    let mut yard = noise();
    yard.records.clear();
    let request = Request::Identify.encode();
    let frames: Vec<_> = (1..=20)
        .map(|id| Frame::new(Kind::Query, id, TOOL, ADDRESS, &request))
        .collect();
    let bytes = yard.seal(&frames);
    yard.receive(&bytes);
    let answered: Vec<_> = yard
        .take_kind(Kind::Response)
        .iter()
        .map(|f| f.header().correlation)
        .collect();
    assert_eq!(answered, (1..=20).collect::<Vec<_>>(), "in order");
    assert!(yard.records.len() < 5, "{:?}", yard.records);
}

#[test]
fn a_full_record_of_requests_is_answered() {
    let mut yard = noise();
    let request = Request::Outcome { key: key(5) }.encode();
    let frames: Vec<_> = (1..=26)
        .map(|id| Frame::new(Kind::Query, id, Address::GATEWAY, ADDRESS, &request))
        .collect();
    let bytes = yard.seal(&frames);
    assert!(bytes.len() <= 1058);
    yard.receive(&bytes);
    assert_eq!(yard.take_kind(Kind::Response).len(), 26);
}

#[test]
fn a_gateway_with_another_key_is_refused() {
    let mut yard = Yard::new(settings(Behaviour::Latch), ms(0));
    yard.await_dial();
    let first = yard.hello();
    let (hello, message) = first.split_at(first.len() - 64);
    let mut buffer = [0; 512];
    assert!(
        responder(&[1; 32], hello)
            .read_message(&message[16..], &mut buffer)
            .is_err()
    );
    // One that pretends not to mind, and answers with a key of its own.
    let mut right = responder(&SECRET, hello);
    right
        .read_message(&message[16..], &mut buffer)
        .expect("message 1 opens");
    let bytes = right
        .write_message(&[0xA0], &mut buffer)
        .expect("message 2");
    buffer[bytes - 1] ^= 1;
    let frame = Frame::new(
        Kind::Handshake,
        0,
        Address::GATEWAY,
        ADDRESS,
        &buffer[..bytes],
    );
    yard.controller.receive(frame.bytes(), yard.now);
    let answer = yard
        .controller
        .take_outbound(yard.now)
        .expect("an error frame, in clear");
    let error = ErrorMessage::decode(&answer[16..]).expect("an error frame");
    assert_eq!(error.code, Code::HandshakeFailed);
    yard.drain();
    assert!(yard.hung_up());
}

#[test]
fn a_hello_reply_that_does_not_fit_is_refused() {
    type Change = fn(&mut HelloReply);
    let cases: [(Change, Code); 4] = [
        (|reply| reply.version = 2, Code::UnsupportedVersion),
        (|reply| reply.address = Address(5), Code::Malformed),
        (|reply| reply.record_bytes_max = 1057, Code::Malformed),
        (|reply| reply.record_bytes_max = 263, Code::Malformed),
    ];
    for (change, code) in cases {
        let mut settings = settings(Behaviour::Latch);
        settings.clear = true;
        let mut yard = Yard::new(settings, ms(0));
        yard.await_dial();
        yard.greet(change);
        assert_failed(&mut yard, code);
    }
}

#[test]
fn broken_records_end_the_link_by_name() {
    let identify = Frame::new(Kind::Query, 1, TOOL, ADDRESS, &Request::Identify.encode());
    let mut yard = noise();
    let mut flipped = yard.seal(std::slice::from_ref(&identify));
    flipped[10] ^= 1;
    yard.receive(&flipped);
    assert_failed(&mut yard, Code::BadRecord);

    let mut yard = noise();
    let record = yard.seal(std::slice::from_ref(&identify));
    yard.receive(&record);
    yard.receive(&record);
    assert_failed(&mut yard, Code::BadRecord);

    let mut yard = noise();
    yard.receive(&1057u16.to_be_bytes());
    assert_failed(&mut yard, Code::TooLarge);

    let mut yard = noise();
    yard.receive(&[0, 16]);
    assert_failed(&mut yard, Code::Malformed);

    let mut yard = noise();
    let mut bad = identify.bytes().to_vec();
    bad[0] = 0x77;
    bad.extend_from_slice(&[0; 4]);
    let mut spoilt = Yard::live(Behaviour::Latch);
    spoilt.receive(&bad);
    assert_failed(&mut spoilt, Code::Malformed);
    // A hello or a handshake has no place in a session.
    let late = Frame::new(Kind::Handshake, 0, Address::GATEWAY, ADDRESS, &[0; 48]);
    yard.send(&late);
    assert_failed(&mut yard, Code::Malformed);
}

#[test]
fn a_bad_payload_costs_the_gateway_its_link_and_a_tool_nothing() {
    let mut yard = noise();
    assert_eq!(
        yard.request(Kind::Query, &[0x80]),
        Answer::refused(Code::Malformed, 0)
    );
    assert_eq!(yard.controller.link_state(), LinkState::Live);
    yard.send(&Frame::new(
        Kind::Query,
        1,
        Address::GATEWAY,
        ADDRESS,
        &[0x80],
    ));
    assert_failed(&mut yard, Code::Malformed);
}

#[test]
fn an_error_waits_behind_what_is_half_sent() {
    let mut yard = noise();
    yard.blocked = true;
    yard.command(key(1), set("RL1", 1));
    yard.run(SCAN);
    yard.receive(&[0, 1]);
    assert!(!yard.hung_up());
    yard.blocked = false;
    yard.drain();
    assert!(!yard.receipts().is_empty());
    assert_failed(&mut yard, Code::Malformed);
    // A link that takes nothing more is given a second.
    let mut yard = noise();
    yard.blocked = true;
    yard.command(key(1), set("RL1", 1));
    yard.receive(&[0, 1]);
    yard.run(ms(990));
    assert!(!yard.hung_up());
    yard.run(ms(20));
    assert!(yard.hung_up());
}

#[test]
fn the_gateways_last_word_ends_the_link() {
    for code in [Code::Replaced, Code::ShuttingDown, Code::Revoked] {
        let mut yard = noise();
        let error = ErrorMessage { code, detail: None };
        yard.send(&Frame::new(
            Kind::Error,
            0,
            Address::GATEWAY,
            ADDRESS,
            &error.encode(),
        ));
        assert!(yard.hung_up());
        assert_eq!(yard.error(), None, "it is not answered by another error");
        yard.connect();
        yard.run(SCAN);
        assert_eq!(yard.controller.link_state(), LinkState::Live);
    }
    // In the handshake, too.
    let mut yard = Yard::new(settings(Behaviour::Latch), ms(0));
    yard.await_dial();
    yard.hello();
    let error = ErrorMessage {
        code: Code::HandshakeFailed,
        detail: None,
    };
    let frame = Frame::new(Kind::Error, 0, Address::GATEWAY, ADDRESS, &error.encode());
    yard.receive(frame.bytes());
    assert!(yard.hung_up());
}

#[test]
fn pings_go_out_and_a_missing_reply_ends_the_link() {
    let mut yard = noise();
    yard.answers_pings = false;
    yard.run(PING_INTERVAL);
    let pings = yard.take_kind(Kind::Ping);
    assert_eq!(pings.len(), 1);
    assert_ne!(pings[0].header().correlation, 0);
    yard.answer_ping(&pings[0]);
    yard.run(PING_INTERVAL);
    let second = yard.take_kind(Kind::Ping);
    assert_eq!(
        second[0].header().correlation,
        pings[0].header().correlation.wrapping_add(1)
    );
    yard.answer_ping(&pings[0]);
    yard.run(ms(9_900));
    assert!(!yard.hung_up());
    yard.run(ms(200));
    assert!(yard.hung_up(), "a reply to another ping is none");
}

#[test]
fn a_ping_that_cannot_leave_counts_as_unanswered() {
    let mut yard = noise();
    yard.blocked = true;
    yard.run(PING_INTERVAL + ms(10_100));
    assert!(yard.hung_up());
}

#[test]
fn pings_are_answered() {
    let mut yard = noise();
    yard.answers_pings = false;
    yard.send(&Frame::new(
        Kind::Ping,
        99,
        Address::GATEWAY,
        ADDRESS,
        &Ping.encode(),
    ));
    let reply = yard.take_kind(Kind::Ping).remove(0);
    assert_eq!(
        (reply.header().correlation, reply.header().flags),
        (99, Flags::REPLY)
    );
    assert_eq!(reply.payload(), [0xA0]);
}

#[test]
fn nobody_answering_ends_each_state_in_time() {
    // Dialling.
    let mut yard = Yard::new(settings(Behaviour::Latch), ms(0));
    yard.await_dial();
    yard.run(ms(14_900));
    assert!(!yard.hung_up());
    yard.run(ms(200));
    assert!(yard.hung_up());
    // Hello sent.
    yard.await_dial();
    yard.hello();
    yard.run(ms(14_900));
    assert!(!yard.hung_up());
    yard.run(ms(200));
    assert!(yard.hung_up());
}

#[test]
fn backoff_grows_within_its_range_and_alternates() {
    let mut waits = Vec::new();
    for seed in 0..40 {
        let mut settings = settings(Behaviour::Latch);
        settings.seed = Some(seed);
        settings.gateways = 2;
        let mut yard = Yard::new(settings, ms(0));
        let mut gateways = Vec::new();
        for attempt in 0..9u32 {
            let most = Duration::from_secs(1 << attempt).min(Duration::from_secs(60));
            let wait = yard.controller.backoff_wait();
            assert!(
                wait >= most / 2 && wait <= most,
                "attempt {attempt}: {wait:?}"
            );
            if attempt == 0 {
                waits.push(wait);
            }
            let began = yard.now;
            gateways.push(yard.await_dial());
            let waited = yard.now - began;
            assert!(
                waited >= wait && waited < wait + SCAN * 2,
                "{waited:?} for {wait:?}"
            );
            yard.controller.disconnected(yard.now);
        }
        assert_eq!(gateways, [0, 1, 0, 1, 0, 1, 0, 1, 0]);
    }
    waits.sort();
    assert!(waits[30] - waits[10] > ms(100), "spread out: {waits:?}");
}

#[test]
fn only_a_session_of_a_minute_resets_the_backoff() {
    let mut yard = noise();
    for (lived, most) in [
        (ms(50_000), 2),
        (ms(59_000), 4),
        (ms(61_000), 1),
        (ms(1_000), 2),
    ] {
        yard.run(lived);
        yard.controller.disconnected(yard.now);
        let wait = yard.controller.backoff_wait();
        let most = Duration::from_secs(most);
        assert!(wait >= most / 2 && wait <= most, "{wait:?} after {lived:?}");
        yard.connect();
        yard.run(SCAN);
    }
}

#[test]
fn a_settings_fault_is_refused() {
    type Change = fn(&mut switchyard_firmware::Settings);
    let changes: [Change; 5] = [
        |s| s.address = Address::GATEWAY,
        |s| s.address = TOOL,
        |s| s.gateways = 3,
        |s| s.record_bytes_max = Some(263),
        |s| s.record_bytes_max = Some(1057),
    ];
    for change in changes {
        let mut settings = settings(Behaviour::Latch);
        change(&mut settings);
        assert!(switchyard_firmware::Controller::new(settings, ms(0)).is_err());
    }
}

#[test]
fn old_bytes_do_not_leak_into_the_next_link() {
    let mut yard = noise();
    yard.blocked = true;
    yard.command(key(1), set("RL1", 1));
    yard.run(SCAN);
    yard.controller.disconnected(yard.now);
    yard.blocked = false;
    assert_eq!(yard.controller.take_outbound(yard.now), None);
    yard.connect();
    yard.run(SCAN);
    assert_eq!(yard.controller.link_state(), LinkState::Live);
}

#[test]
fn a_frame_for_another_address_is_not_taken() {
    let mut yard = noise();
    yard.send(&Frame::new(
        Kind::Query,
        5,
        TOOL,
        Address(7),
        &Request::Identify.encode(),
    ));
    yard.run(SCAN);
    assert!(yard.frames.is_empty());
    assert_eq!(yard.controller.link_state(), LinkState::Live);
}

#[test]
fn the_state_fits_a_chip() {
    // Pointers are twice as wide here as on the chip, so there it is less.
    let bytes = switchyard_firmware::state_bytes();
    assert!(
        bytes <= 9 * 1024,
        "{bytes} bytes besides the two link buffers"
    );
}

/// A whole session whose incoming bytes are split in one way; what came back.
fn session(split: usize, clear: bool) -> Vec<Frame> {
    let mut settings = settings(Behaviour::Latch);
    settings.clear = clear;
    let mut yard = Yard::new(settings, ms(0));
    yard.split = split;
    yard.connect();
    yard.run(SCAN);
    yard.command(key(1), set("RL1", 1));
    let frames: Vec<_> = (1..=5)
        .map(|id| Frame::new(Kind::Query, id, TOOL, ADDRESS, &Request::Describe.encode()))
        .collect();
    let mut bytes = yard.seal(&frames[..2]);
    bytes.extend(yard.seal(&frames[2..]));
    yard.receive(&bytes);
    yard.run(ms(30));
    assert_eq!(
        yard.time(),
        EPOCH_MS + u64::try_from(yard.now.as_millis()).unwrap()
    );
    yard.frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn splits_make_no_difference(split in 1usize..200, clear: bool) {
        prop_assert_eq!(session(split, clear), session(usize::MAX, clear));
    }

    #[test]
    fn arbitrary_bytes_harm_nothing(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..20),
        clear: bool,
        greeted: bool,
    ) {
        let mut settings = settings(Behaviour::Follow);
        settings.clear = clear;
        let mut yard = Yard::new(settings, ms(0));
        yard.await_dial();
        if greeted {
            yard.greet(|_| {});
        } else {
            yard.hello();
        }
        for piece in &pieces {
            yard.controller.receive(piece, yard.now);
            while yard.controller.take_outbound(yard.now).is_some() {}
            yard.now += SCAN;
            yard.controller.poll(yard.now);
        }
        // Whatever it was, the next link is as good as any.
        yard.controller.disconnected(yard.now);
        while yard.controller.next_action().is_some() {}
        yard.connect();
        yard.run(SCAN);
        prop_assert_eq!(yard.controller.link_state(), LinkState::Live);
    }

    #[test]
    fn arbitrary_payloads_are_answered_or_cut(
        kind in prop::sample::select(Kind::ALL),
        source in prop::sample::select(&[Address::GATEWAY, TOOL][..]),
        payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut yard = Yard::live(Behaviour::Latch);
        yard.answers_pings = false;
        yard.send(&Frame::new(kind, 9, source, ADDRESS, &payload));
        yard.run(ms(30));
        let live = yard.controller.link_state() == LinkState::Live;
        prop_assert!(live || yard.actions.contains(&Action::HangUp));
        if kind.is_request() && live {
            prop_assert!(!yard.frames.is_empty(), "a request is answered");
        }
    }

    #[test]
    fn every_command_ends_once_whatever_the_link_takes(
        commands in prop::collection::vec((0u32..30, 0i64..3, 0u64..40, any::<bool>()), 1..80),
    ) {
        let mut yard = Yard::live(Behaviour::Latch);
        let mut expected = BTreeMap::new();
        let mut executed = 0;
        for (number, value, ahead, blocked) in commands {
            yard.blocked = blocked;
            let expiry = Time(yard.time() + ahead);
            yard.command_until(key(number), expiry, set("RL1", value));
            // The scan comes 10 ms later. Only a key's first command counts.
            expected.entry(key(number)).or_insert_with(|| {
                let end = match (value, ahead) {
                    (2, _) => Stage::Refused,
                    (_, 0..10) => Stage::Expired,
                    _ => Stage::Executed,
                };
                executed += u32::from(end == Stage::Executed);
                end
            });
            yard.run(SCAN);
        }
        yard.blocked = false;
        yard.run(ms(100));
        prop_assert_eq!(yard.controller.executed(), executed);
        let mut ends = BTreeMap::new();
        let mut order = BTreeMap::new();
        for receipt in yard.receipts() {
            let last = order.insert(receipt.key, receipt.stage as u8);
            prop_assert!(last.is_none_or(|last| last <= receipt.stage as u8), "stages only rise");
            if receipt.is_final {
                ends.insert(receipt.key, receipt.stage);
            }
        }
        prop_assert_eq!(ends, expected);
    }
}
