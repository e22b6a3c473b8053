//! How connections begin, are replaced and end.

use crate::harness::{BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, title};
use std::time::Duration;
use switchyard_protocol::{
    Code, Flags, Frame, Kind, Role,
    message::{Answer, Body, ErrorMessage, Event, Ping, PingReply, Request},
};
use switchyard_relay::{ConnectionId, Input, Notice, Peer, Rights};

#[test]
fn a_forged_source_ends_its_link_and_no_other() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Admin);
    let desk = yard.tool(DESK, "li", Role::Admin);
    yard.send(
        page,
        Kind::Query,
        1,
        DESK,
        PUMP,
        &Request::Describe.encode(),
    );
    yard.assert_ended(page, Code::ForgedSource);
    assert!(yard.inbox(pump).is_empty());
    assert_eq!((yard.closed(pump), yard.closed(desk)), (None, None));
}

#[test]
fn what_breaks_the_protocol_ends_the_link() {
    for kind in [
        Kind::Hello,
        Kind::Handshake,
        Kind::StatusFull,
        Kind::StatusDelta,
        Kind::Receipt,
    ] {
        let mut yard = Yard::new();
        let page = yard.tool(PAGE, "li", Role::Admin);
        yard.send(page, kind, 1, PAGE, GATEWAY, &[0xA0]);
        yard.assert_ended(page, Code::Malformed);
    }
    for (kind, to) in [(Kind::Query, GATEWAY), (Kind::Command, PUMP)] {
        let mut yard = Yard::new();
        let page = yard.tool(PAGE, "li", Role::Admin);
        yard.send(page, kind, 1, PAGE, to, &[0xFF]);
        yard.assert_ended(page, Code::Malformed);
    }
}

#[test]
fn a_controller_announces_itself_first() {
    for kind in [Kind::Ping, Kind::StatusFull, Kind::Query, Kind::Response] {
        let mut yard = Yard::new();
        let pump = yard.dial(PUMP);
        yard.send(pump, kind, 1, PUMP, GATEWAY, &[0xA0]);
        yard.assert_ended(pump, Code::Malformed);
    }
    let mut yard = Yard::new();
    let pump = yard.dial(PUMP);
    let note = Event::Note {
        text: switchyard_protocol::message::Text::cut("me"),
    };
    yard.send(pump, Kind::Event, 0, PUMP, GATEWAY, &note.encode());
    yard.assert_ended(pump, Code::Malformed);
}

#[test]
fn another_boot_needs_another_link() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    yard.announce(pump, PUMP, BOOT);
    assert_eq!(yard.closed(pump), None);
    yard.announce(pump, PUMP, BOOT + 1);
    yard.assert_ended(pump, Code::Malformed);
}

#[test]
fn a_newer_session_replaces_the_older_and_the_third_in_a_minute_is_noticed() {
    let mut yard = Yard::new();
    let mut older = yard.controller(PUMP, BOOT);
    for turn in 1..=3 {
        let newer = yard.controller(PUMP, BOOT);
        yard.assert_ended(older, Code::Replaced);
        let expected = usize::from(turn == 3);
        assert_eq!(yard.notices.len(), expected, "turn {turn}");
        older = newer;
    }
    assert_eq!(yard.notices, [Notice::DuplicateAddress { address: PUMP }]);
    assert_eq!(yard.relay.counters().duplicate_addresses, 1);
    assert_eq!(yard.relay.gauges().controllers_online, 1);

    let first = yard.tool(DESK, "li", Role::Viewer);
    let second = yard.tool(DESK, "li", Role::Viewer);
    yard.assert_ended(first, Code::Replaced);
    assert_eq!(yard.closed(second), None);
}

#[test]
fn the_gateway_answers_a_ping_with_its_time_and_no_reply() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.send(page, Kind::Ping, 3, PAGE, GATEWAY, &Ping.encode());
    let frames = yard.inbox(page);
    let header = frames[0].header();
    assert!(header.flags.contains(Flags::REPLY) && header.correlation == 3);
    let reply = PingReply::decode(frames[0].payload()).unwrap();
    assert_eq!(reply.time, Some(yard.time));
    let reply = Frame::with_flags(Kind::Ping, Flags::REPLY, 3, PAGE, GATEWAY, &[0xA0]);
    yard.frame(page, &reply);
    assert!(yard.inbox(page).is_empty());
}

#[test]
fn silence_for_three_intervals_ends_a_link() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.pass(Duration::from_secs(59));
    yard.send(page, Kind::Ping, 3, PAGE, GATEWAY, &Ping.encode());
    yard.pass(Duration::from_secs(59));
    assert_eq!(yard.closed(page), None);
    yard.pass(Duration::from_secs(2));
    yard.assert_ended(page, Code::Silent);
}

#[test]
fn a_jump_of_the_gateways_clock_ends_nothing() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    for jump in [i64::from(u32::MAX), -i64::from(u32::MAX)] {
        yard.time.0 = yard.time.0.saturating_add_signed(jump);
        yard.feed(Input::Tick);
        assert_eq!(yard.closed(page), None);
    }
}

#[test]
fn thirty_seconds_without_reading_end_a_link_and_progress_does_not() {
    let mut yard = Yard::new();
    yard.writes = false;
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let desk = yard.tool(DESK, "li", Role::Viewer);
    yard.pass(Duration::from_secs(10));
    for second in 0..40 {
        for (connection, address) in [(page, PAGE), (desk, DESK)] {
            if yard.closed(connection).is_none() {
                yard.send(connection, Kind::Ping, 3, address, GATEWAY, &[0xA0]);
            }
        }
        // A part of a batch is progress too.
        yard.written(desk, second % 2);
        let expected = (second >= 30).then_some(Code::SlowPeer);
        assert_eq!(yard.closed(page), expected, "second {second}");
        yard.pass(Duration::from_secs(1));
    }
    assert_eq!(yard.closed(desk), None);
    assert_eq!(yard.relay.counters().ended.of(Code::SlowPeer), 1);
}

#[test]
fn a_queue_at_its_bound_ends_the_link_that_does_not_read() {
    let mut yard = Yard::new();
    yard.writes = false;
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    // 26 bytes a reply, 32 KiB at most.
    for _ in 0..2_000 {
        if yard.closed(pump).is_none() {
            yard.send(pump, Kind::Ping, 3, PUMP, GATEWAY, &[0xA0]);
        }
    }
    assert_eq!(yard.closed(pump), Some(Code::SlowPeer));
    assert_eq!(yard.closed(page), None);
    assert_eq!(yard.relay.gauges().queued_bytes, 0);
}

#[test]
fn a_withdrawn_account_ends_and_a_changed_role_holds_at_once() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let desk = yard.tool(DESK, "wang", Role::Admin);
    let enrol = Request::Enrol {
        title: title("x"),
        site: None,
    };
    yard.send(desk, Kind::Configure, 1, DESK, GATEWAY, &enrol.encode());
    assert_eq!(yard.questions.len(), 1);
    yard.feed(Input::AccountChanged {
        account: title("wang"),
        rights: Some(Rights::everywhere(Role::Viewer)),
    });
    yard.send(desk, Kind::Configure, 1, DESK, GATEWAY, &enrol.encode());
    assert_eq!(yard.questions.len(), 1);
    yard.feed(Input::AccountChanged {
        account: title("wang"),
        rights: None,
    });
    yard.assert_ended(desk, Code::Revoked);
    assert_eq!(yard.closed(page), None);
}

#[test]
fn a_forgotten_controller_is_unknown_and_its_place_is_free() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    yard.inbox(page);
    yard.feed(Input::ControllerForgotten { address: PUMP });
    yard.assert_ended(pump, Code::Revoked);
    yard.inbox(page);
    let lookup = Request::Lookup { address: PUMP };
    assert_eq!(yard.refusal(page, PAGE, &lookup), Code::UnknownAddress);
    let other = switchyard_protocol::Address(5);
    yard.feed(Input::ControllerKnown {
        address: other,
        title: title("new"),
        site: None,
    });
    let frames = yard.inbox(page);
    let last = Event::decode(frames.last().unwrap().payload()).unwrap();
    assert!(
        matches!(last, Event::Presence { controller, online: false, .. } if controller == other)
    );
    assert_eq!(yard.relay.gauges().controllers_known, 2);
}

#[test]
fn going_away_tells_everyone() {
    let mut yard = Yard::new();
    let all = [
        yard.controller(PUMP, BOOT),
        yard.controller(FAN, BOOT),
        yard.tool(PAGE, "li", Role::Viewer),
    ];
    yard.feed(Input::ShutDown);
    for connection in all {
        yard.assert_ended(connection, Code::ShuttingDown);
    }
    assert_eq!(yard.relay.gauges().tools_online, 0);
}

#[test]
fn a_peers_own_last_word_is_counted_and_answered_by_the_close_alone() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let code = Code::Internal;
    let payload = ErrorMessage { code, detail: None }.encode();
    yard.send(page, Kind::Error, 0, PAGE, GATEWAY, &payload);
    assert_eq!(yard.closed(page), Some(code));
    assert!(yard.inbox(page).is_empty());
    // What still comes from it is ignored.
    yard.send(page, Kind::Ping, 1, PAGE, GATEWAY, &[0xA0]);
    yard.cut(page);
    assert_eq!(yard.relay.counters().ended.of(Code::LinkLost), 0);
}

#[test]
fn the_gateway_says_who_commanded_after_the_tool_has_left() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let desk = yard.tool(DESK, "wang", Role::Operator);
    let lookup = Request::Lookup { address: DESK };
    let holder = |yard: &mut Yard| match yard.ask(page, PAGE, &lookup) {
        Answer::Ok(Body::Lookup { online, title, .. }) => (online, title.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(holder(&mut yard), (true, "wang".to_owned()));
    yard.cut(desk);
    assert_eq!(holder(&mut yard), (false, "wang".to_owned()));
    // Another person sits down at the same installation.
    yard.tool(DESK, "zhao", Role::Viewer);
    assert_eq!(holder(&mut yard), (true, "zhao".to_owned()));
}

#[test]
fn an_old_life_of_a_place_is_nobody() {
    let mut yard = Yard::new();
    let tool = |address| Peer::Tool {
        address,
        account: title("li"),
        rights: Rights::everywhere(Role::Viewer),
    };
    let [old, new] = [1, 2].map(|life| ConnectionId::new(3, life));
    assert_eq!((old.place(), new.place()), (3, 3));
    yard.feed(Input::Connected {
        connection: old,
        peer: tool(PAGE),
    });
    yard.cut(old);
    yard.feed(Input::Connected {
        connection: new,
        peer: tool(DESK),
    });
    // What is still on its way for the old one.
    yard.send(old, Kind::Ping, 3, PAGE, GATEWAY, &[0xA0]);
    yard.cut(old);
    assert_eq!(yard.relay.gauges().tools_online, 1);
    yard.send(new, Kind::Ping, 3, DESK, GATEWAY, &[0xA0]);
    assert_eq!((yard.inbox(old).len(), yard.inbox(new).len()), (0, 1));
    // A place that is taken again has lost whoever held it.
    yard.feed(Input::Connected {
        connection: ConnectionId::new(3, 3),
        peer: tool(PAGE),
    });
    assert_eq!(yard.relay.gauges().tools_online, 1);
    yard.send(new, Kind::Ping, 3, DESK, GATEWAY, &[0xA0]);
    assert_eq!(yard.inbox(new), []);
}
