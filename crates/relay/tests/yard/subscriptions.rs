//! Status and presence: snapshots, the same bytes for everyone, slow subscribers, gaps.

use crate::harness::{BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, settings};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind, Role,
    message::{Answer, Body, Delta, Event, Full, Point, Request, StatusHead, Verb},
};
use switchyard_relay::{ConnectionId, Input};

impl Yard {
    /// The page subscribes to everything.
    pub(crate) fn ask_subscribe(&mut self, connection: ConnectionId) {
        let request = Request::Subscribe { controllers: None };
        let payload = request.encode();
        self.send(connection, Kind::Query, 2, PAGE, GATEWAY, &payload);
    }
}

fn kinds(frames: &[Frame]) -> Vec<Kind> {
    frames.iter().map(|frame| frame.header().kind).collect()
}

#[test]
fn a_snapshot_is_presence_and_status_of_each_and_then_the_answer() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.send_delta(pump, PUMP);
    yard.ask_subscribe(page);
    let frames = yard.inbox(page);
    let expected = [Kind::Event, Kind::StatusFull, Kind::Event, Kind::Response];
    assert_eq!(kinds(&frames), expected);
    let presence = Event::decode(frames[0].payload()).unwrap();
    assert!(matches!(
        presence,
        Event::Presence {
            controller: PUMP,
            online: true,
            boot: Some(BOOT),
            ..
        }
    ));
    let full = Full::decode(frames[1].payload()).unwrap();
    assert_eq!((full.head.sequence, full.points[0].value), (1, 1), "merged");
    let header = frames[1].header();
    assert_eq!((header.source, header.destination), (PUMP, GATEWAY));
    assert!(matches!(
        Event::decode(frames[2].payload()).unwrap(),
        Event::Presence {
            controller: FAN,
            online: false,
            ..
        }
    ));
    let answer = Answer::decode(frames[3].payload()).unwrap();
    assert_eq!(answer, Answer::Ok(Body::Subscribe { count: 2 }));
}

#[test]
fn a_chosen_controller_is_told_and_no_other() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    for (controllers, count) in [(vec![FAN], 1), (vec![FAN, PUMP], 2)] {
        let request = Request::Subscribe {
            controllers: Some(controllers),
        };
        yard.send(page, Kind::Query, 2, PAGE, GATEWAY, &request.encode());
        let last = yard.inbox(page).pop().unwrap();
        let answer = Answer::decode(last.payload()).unwrap();
        assert_eq!(answer, Answer::Ok(Body::Subscribe { count }));
        yard.send_delta(pump, PUMP);
        assert_eq!(yard.inbox(page).len(), usize::from(count == 2));
    }
    let done = Answer::Ok(Body::Done(Verb::Unsubscribe));
    assert_eq!(yard.ask(page, PAGE, &Request::Unsubscribe), done);
    yard.send_delta(pump, PUMP);
    assert!(yard.inbox(page).is_empty());
    assert_eq!(yard.relay.gauges().subscribers, 0);
    let request = Request::Snapshot {
        controller: Some(PUMP),
    };
    yard.send(page, Kind::Query, 2, PAGE, GATEWAY, &request.encode());
    let expected = [Kind::Event, Kind::StatusFull, Kind::Response];
    assert_eq!(kinds(&yard.inbox(page)), expected);
}

#[test]
fn every_subscriber_gets_the_very_same_bytes() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let tools: Vec<_> = (0..5)
        .map(|at| {
            let address = Address(PAGE.0 + at);
            let tool = yard.tool(address, "li", Role::Viewer);
            let request = Request::Subscribe { controllers: None };
            yard.send(tool, Kind::Query, 2, address, GATEWAY, &request.encode());
            yard.inbox(tool);
            tool
        })
        .collect();
    let delta = yard.next_delta(PUMP);
    let sent = yard.places_of_bytes(pump, &delta);
    let here = delta.bytes().as_ptr();
    let expected: Vec<_> = tools.into_iter().map(|tool| (tool, here)).collect();
    assert_eq!(sent, expected, "copied");
}

#[test]
fn a_slow_subscriber_loses_deltas_and_then_gets_the_truth() {
    let mut small = settings();
    small.tool_queue_bytes_max = 2_000;
    let mut yard = Yard::with(small);
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let quick = yard.tool(Address(PAGE.0 + 1), "li", Role::Viewer);
    for (tool, address) in [(page, PAGE), (quick, Address(PAGE.0 + 1))] {
        let request = Request::Subscribe { controllers: None };
        yard.send(tool, Kind::Query, 2, address, GATEWAY, &request.encode());
        yard.inbox(tool);
    }
    yard.writes = false;
    for _ in 0..200 {
        let delta = yard.send_delta(pump, PUMP);
        // The neighbour reads, and misses nothing.
        assert_eq!(yard.inbox(quick), std::slice::from_ref(&delta));
        yard.written(quick, delta.bytes().len());
    }
    let got = yard.inbox(page);
    assert!(
        got.len() < 60,
        "{} deltas for a queue of 2,000 bytes",
        got.len()
    );
    assert_eq!(yard.closed(page), None);
    assert!(yard.relay.counters().status_conflated > 140);
    let sequences: Vec<_> = got
        .iter()
        .map(|frame| Delta::decode(frame.payload()).unwrap().head.sequence)
        .collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let bytes = got.iter().map(|frame| frame.bytes().len()).sum();
    yard.written(page, bytes);
    let healed = yard.inbox(page);
    assert_eq!(kinds(&healed), [Kind::Event, Kind::StatusFull]);
    let full = Full::decode(healed[1].payload()).unwrap();
    assert_eq!((full.head.sequence, full.points[0].value), (200, 200));
    let next = yard.send_delta(pump, PUMP);
    assert_eq!(yard.inbox(page), [next], "as they come again");
}

#[test]
fn a_gap_asks_for_a_snapshot_once_and_is_not_passed_on() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    yard.inbox(page);
    yard.inbox(pump);
    yard.sequence += 1;
    yard.send_delta(pump, PUMP);
    yard.send_delta(pump, PUMP);
    assert!(yard.inbox(page).is_empty());
    let asked = yard.inbox(pump);
    assert_eq!(kinds(&asked), [Kind::Query]);
    assert_eq!(
        Request::decode(Kind::Query, asked[0].payload()).unwrap(),
        Request::Snapshot { controller: None }
    );
    yard.send_full(pump, PUMP, BOOT);
    let payload = Answer::Ok(Body::Done(Verb::Snapshot)).encode();
    let correlation = asked[0].header().correlation;
    yard.send(pump, Kind::Response, correlation, PUMP, GATEWAY, &payload);
    yard.send_delta(pump, PUMP);
    let expected = [Kind::StatusFull, Kind::StatusDelta];
    assert_eq!(kinds(&yard.inbox(page)), expected);
    assert_eq!(yard.relay.counters().snapshots_asked, 1);
}

#[test]
fn pages_are_joined_before_anybody_sees_them() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    let held = yard.inbox(page);
    let one = Full::decode(held[1].payload()).unwrap();
    for at in 0..2u8 {
        let full = Full {
            head: StatusHead {
                boot: BOOT,
                sequence: 9,
            },
            page: at,
            pages: 2,
            points: vec![Point {
                index: at,
                value: i64::from(at) + 50,
                ..one.points[0].clone()
            }],
            ..one.clone()
        };
        assert!(yard.inbox(page).is_empty(), "half a status");
        let flags = if at == 0 { Flags::MORE } else { Flags::NONE };
        let payload = full.encode();
        let frame = Frame::with_flags(Kind::StatusFull, flags, 0, PUMP, GATEWAY, &payload);
        yard.frame(pump, &frame);
    }
    let frames = yard.inbox(page);
    assert_eq!(kinds(&frames), [Kind::StatusFull]);
    let full = Full::decode(frames[0].payload()).unwrap();
    let values: Vec<_> = full.points.iter().map(|point| point.value).collect();
    assert_eq!((full.pages, values), (1, vec![50, 51]));
}

#[test]
fn presence_follows_the_link() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    yard.inbox(page);
    let pump = yard.dial(PUMP);
    assert!(yard.inbox(page).is_empty(), "not announced yet");
    yard.announce(pump, PUMP, BOOT);
    yard.cut(pump);
    let frames = yard.inbox(page);
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| match Event::decode(frame.payload()).unwrap() {
            Event::Presence { online, reason, .. } => (online, reason),
            other => panic!("{other:?}"),
        })
        .collect();
    let lost = Some(Code::LinkLost);
    assert_eq!(seen, [(true, None), (false, lost)]);
}

#[test]
fn nobody_says_since_when_a_controller_is_away_that_was_never_seen() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    let since = |yard: &mut Yard| {
        let events =
            yard.inbox(page)
                .into_iter()
                .filter_map(|frame| match Event::decode(frame.payload()) {
                    Ok(Event::Presence {
                        controller: PUMP,
                        online: false,
                        since,
                        ..
                    }) => Some(since.0),
                    _ => None,
                });
        events.last().unwrap()
    };
    assert_eq!(since(&mut yard), 0);
    let pump = yard.controller(PUMP, BOOT);
    yard.cut(pump);
    assert!(since(&mut yard) > 0);
}

#[test]
fn other_tools_cannot_keep_the_status_from_a_subscriber() {
    let mut small = settings();
    small.tool_queue_bytes_max = 8_000;
    let mut yard = Yard::with(small);
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let chatterbox = yard.tool(DESK, "wang", Role::Viewer);
    yard.ask_subscribe(page);
    yard.inbox(page);
    yard.writes = false;
    // However much the page reads, its queue is filled up again.
    let chatter = |yard: &mut Yard| {
        for _ in 0..200 {
            yard.send(chatterbox, Kind::Event, 0, DESK, PAGE, &[0; 84]);
        }
    };
    chatter(&mut yard);
    yard.send_delta(pump, PUMP);
    assert!(yard.relay.counters().status_conflated > 0);
    for _ in 0..3 {
        yard.written(page, 100);
        chatter(&mut yard);
    }
    assert_eq!(yard.closed(page), None);
    let frames = yard.inbox(page);
    assert!(kinds(&frames).contains(&Kind::StatusFull), "starved");
}

#[test]
fn a_forgotten_controller_is_told_to_those_who_are_behind() {
    let mut small = settings();
    small.tool_queue_bytes_max = 2_000;
    let mut yard = Yard::with(small);
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    yard.writes = false;
    while yard.relay.counters().status_conflated == 0 {
        yard.send_delta(pump, PUMP);
    }
    yard.inbox(page);
    yard.feed(Input::ControllerForgotten { address: PUMP });
    let frames = yard.inbox(page);
    let [gone] = &frames[..] else {
        panic!("expected the presence alone and found {frames:?}");
    };
    assert!(matches!(
        Event::decode(gone.payload()).unwrap(),
        Event::Presence {
            controller: PUMP,
            online: false,
            reason: Some(Code::Revoked),
            ..
        }
    ));
}
