//! Requests: which are answered here, which go on, and what becomes of the open ones.

use crate::harness::{BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, command, title};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind, Role,
    message::{Answer, Body, Event, Key, PeerKind, Request, Stage, Text, Time},
};
use switchyard_relay::{ConnectionId, Input, Question};

impl Yard {
    pub(crate) fn refusal(
        &mut self,
        connection: ConnectionId,
        from: Address,
        request: &Request,
    ) -> Code {
        match self.ask(connection, from, request) {
            Answer::Refused { code, verb, .. } => {
                assert_eq!(verb, request.verb().number());
                code
            }
            Answer::Ok(body) => panic!("expected a refusal and found {body:?}"),
        }
    }
}

#[test]
fn the_gateway_answers_for_itself() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.controller(PUMP, BOOT);
    assert_eq!(
        yard.ask(page, PAGE, &Request::Identify),
        Answer::Ok(Body::Identify {
            title: title("yard"),
            software: title("test 1"),
            peer_kind: PeerKind::Gateway,
        })
    );
    for (address, online, name) in [
        (PUMP, true, "pump"),
        (FAN, false, "fan"),
        (PAGE, true, "li"),
    ] {
        let Answer::Ok(Body::Lookup {
            online: found,
            title,
            ..
        }) = yard.ask(page, PAGE, &Request::Lookup { address })
        else {
            panic!("{address} is known");
        };
        assert_eq!((found, title.as_str()), (online, name));
    }
    let key = Key([1; 16]);
    for (request, code) in [
        (
            Request::Lookup {
                address: Address(9),
            },
            Code::UnknownAddress,
        ),
        (Request::Lookup { address: DESK }, Code::UnknownAddress),
        (Request::Describe, Code::Unsupported),
        (Request::Outcome { key }, Code::Unsupported),
        (Request::Receipt { key }, Code::UnknownCommand),
        (Request::Snapshot { controller: None }, Code::BadField),
        (
            Request::Snapshot {
                controller: Some(Address(9)),
            },
            Code::UnknownAddress,
        ),
        (
            Request::Subscribe {
                controllers: Some(vec![PUMP, Address(9)]),
            },
            Code::UnknownAddress,
        ),
        (
            Request::Enrol {
                title: title("x"),
                site: None,
            },
            Code::Forbidden,
        ),
    ] {
        let found = yard.refusal(page, PAGE, &request);
        assert_eq!(found, code, "{request:?}");
        assert!(yard.relay.counters().refused.of(code) > 0);
    }
}

#[test]
fn a_known_verb_under_another_kind_and_an_unknown_one_are_told_apart() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Admin);
    for (kind, verb, code) in [
        (Kind::Configure, 1, Code::WrongKind),
        (Kind::Query, 23, Code::Unsupported),
        (Kind::Admin, 23, Code::Unsupported),
    ] {
        yard.send(page, kind, 4, PAGE, GATEWAY, &[0xA1, 2, verb]);
        let expected = Answer::refused(code, verb.into());
        assert_eq!(yard.answer(page), expected);
    }
}

#[test]
fn a_request_reaches_its_controller_or_says_why_not() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    yard.inbox(pump);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let describe = Request::Describe.encode();
    let huge = [&[0xA1, 0x18, 99, 0x59, 0x04, 0x10][..], &[0; 1_040]].concat();
    for (kind, to, payload, code) in [
        (Kind::Query, Address(9), &describe, Code::UnknownAddress),
        (Kind::Query, FAN, &describe, Code::Offline),
        (Kind::Query, PUMP, &huge, Code::TooLarge),
        (Kind::Configure, PUMP, &describe, Code::Forbidden),
        (Kind::Query, DESK, &describe, Code::UnknownAddress),
    ] {
        yard.send(page, kind, 4, PAGE, to, payload);
        let Answer::Refused { code: found, .. } = yard.answer(page) else {
            panic!("{to} cannot be reached");
        };
        assert_eq!(found, code, "{} to {to}", kind.name());
    }
    assert!(yard.inbox(pump).is_empty());
    let frame = Frame::new(Kind::Query, 4, PAGE, PUMP, &describe);
    yard.frame(page, &frame);
    assert_eq!(yard.inbox(pump), std::slice::from_ref(&frame));
    let sent = yard.places_of_bytes(page, &frame);
    assert_eq!(sent, [(pump, frame.bytes().as_ptr())], "copied");
}

#[test]
fn an_answer_passes_while_its_request_is_open() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let describe = Request::Describe.encode();
    let dropped = |yard: &Yard| yard.relay.counters().dropped.of(Code::NotGranted);
    yard.send(pump, Kind::Response, 4, PUMP, PAGE, &[0xA0]);
    assert_eq!(
        (yard.inbox(page).len(), dropped(&yard)),
        (0, 1),
        "nobody asked"
    );
    yard.send(page, Kind::Query, 4, PAGE, PUMP, &describe);
    for (flags, expected) in [(Flags::MORE, 1), (Flags::NONE, 1), (Flags::NONE, 0)] {
        let frame = Frame::with_flags(Kind::Response, flags, 4, PUMP, PAGE, &[0xA0]);
        yard.frame(pump, &frame);
        assert_eq!(yard.inbox(page).len(), expected, "{flags:?}");
    }
    yard.send(page, Kind::Query, 4, PAGE, PUMP, &describe);
    yard.pass(Duration::from_secs(31));
    yard.send(pump, Kind::Response, 4, PUMP, PAGE, &[0xA0]);
    assert!(yard.inbox(page).is_empty(), "it came too late");
    assert_eq!(yard.relay.gauges().requests_open, 0);
}

#[test]
fn requests_open_at_a_controller_are_bounded() {
    let mut yard = Yard::new();
    yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let describe = Request::Describe.encode();
    for correlation in 1..=64 {
        yard.send(page, Kind::Query, correlation, PAGE, PUMP, &describe);
    }
    assert!(yard.inbox(page).is_empty());
    yard.send(page, Kind::Query, 65, PAGE, PUMP, &describe);
    assert!(matches!(
        yard.answer(page),
        Answer::Refused {
            code: Code::Busy,
            ..
        }
    ));
    yard.pass(Duration::from_secs(30));
    yard.send(page, Kind::Query, 65, PAGE, PUMP, &describe);
    assert!(yard.inbox(page).is_empty());
}

#[test]
fn tools_reach_each_other_by_query_response_and_event() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Admin);
    let desk = yard.tool(DESK, "wang", Role::Viewer);
    let note = Event::Note {
        text: Text::cut("hello"),
    };
    for (kind, payload) in [
        (Kind::Query, Request::Identify.encode()),
        (Kind::Response, vec![0xA0]),
        (Kind::Event, note.encode()),
    ] {
        let frame = Frame::new(kind, 3, PAGE, DESK, &payload);
        yard.frame(page, &frame);
        assert_eq!(yard.inbox(desk), [frame]);
    }
    yard.send(
        page,
        Kind::Configure,
        3,
        PAGE,
        DESK,
        &Request::Identify.encode(),
    );
    assert!(matches!(
        yard.answer(page),
        Answer::Refused {
            code: Code::NotGranted,
            ..
        }
    ));
    yard.cut(desk);
    yard.send(
        page,
        Kind::Query,
        3,
        PAGE,
        DESK,
        &Request::Identify.encode(),
    );
    assert!(matches!(
        yard.answer(page),
        Answer::Refused {
            code: Code::Offline,
            ..
        }
    ));
}

#[test]
fn a_tool_cannot_have_another_cut_off() {
    let mut yard = Yard::new();
    yard.writes = false;
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let desk = yard.tool(DESK, "wang", Role::Viewer);
    for _ in 0..100 {
        yard.send(page, Kind::Event, 0, PAGE, DESK, &[0; 8_000]);
    }
    assert_eq!(yard.closed(desk), None);
    assert!(yard.relay.counters().dropped.of(Code::Busy) > 50);
}

#[test]
fn a_controller_cannot_have_whoever_asks_it_cut_off() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let payload = Request::Describe.encode();
    yard.send(page, Kind::Query, 3, PAGE, PUMP, &payload);
    yard.writes = false;
    for _ in 0..2_000 {
        let frame = Frame::with_flags(Kind::Response, Flags::MORE, 3, PUMP, PAGE, &[0; 1_000]);
        yard.frame(pump, &frame);
    }
    assert_eq!(yard.closed(page), None);
    let last = yard.inbox(page).pop().unwrap();
    let answer = Answer::decode(last.payload()).unwrap();
    assert!(matches!(
        answer,
        Answer::Refused {
            code: Code::Busy,
            ..
        }
    ));
    assert_eq!(yard.relay.gauges().requests_open, 0);
}

#[test]
fn questions_leave_room_for_commands() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let desk = yard.tool(DESK, "wang", Role::Operator);
    yard.inbox(pump);
    yard.writes = false;
    // 0 wants no answer, so these are not counted among the open ones.
    for _ in 0..1_000 {
        yard.send(page, Kind::Query, 0, PAGE, PUMP, &[0; 20]);
    }
    assert!(yard.inbox(pump).len() < 500);
    yard.command(desk, DESK, &command(1));
    assert_eq!(yard.receipts(desk), [(Stage::Sent, None)]);
}

#[test]
fn enrolment_is_the_gateways_and_its_key_goes_to_nobody_else() {
    let mut yard = Yard::new();
    let desk = yard.tool(DESK, "wang", Role::Technician);
    let enrol = Request::Enrol {
        title: title("x"),
        site: None,
    };
    let body = Body::Enrol {
        controller: Address(77),
        key: [3; 32],
    };
    yard.send(desk, Kind::Configure, 8, DESK, GATEWAY, &enrol.encode());
    let (ticket, question) = yard.questions.remove(0);
    let expected = Question::Enrol {
        title: title("x"),
        site: None,
    };
    assert_eq!(question, expected);
    yard.feed(Input::Answered {
        ticket,
        answer: Ok(body.clone()),
    });
    assert_eq!(yard.answer(desk), Answer::Ok(body.clone()));
    // The address has come to another account before the answer is there.
    yard.send(desk, Kind::Configure, 8, DESK, GATEWAY, &enrol.encode());
    let (ticket, _) = yard.questions.remove(0);
    let other = yard.tool(DESK, "li", Role::Admin);
    yard.feed(Input::Answered {
        ticket,
        answer: Ok(body),
    });
    assert!(yard.inbox(other).is_empty());
}

#[test]
fn correlation_zero_wants_no_answer() {
    let mut yard = Yard::new();
    yard.time = Time(yard.time.0 + 1);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.send(
        page,
        Kind::Query,
        0,
        PAGE,
        GATEWAY,
        &Request::Identify.encode(),
    );
    yard.send(page, Kind::Query, 0, PAGE, FAN, &Request::Describe.encode());
    assert!(yard.inbox(page).is_empty());
}
