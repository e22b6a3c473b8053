//! Tools address each other as they address controllers: tool ↔ page ↔ controller.

use crate::yard;
use switchyard_e2e::Tool;
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Answer, Body, Event, PeerKind, Request, Text, Title},
};
use switchyard_testkit::Program;

#[test]
fn a_tool_asks_another_and_both_ask_a_controller() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump house 3", 1).unwrap().remove(0);
    let _running = yard.start_controller(&controller, &[]).unwrap();
    let mut asker = Tool::connect(&yard, "viewer").unwrap();
    let mut asked = Tool::connect(&yard, "operator").unwrap();

    // One asks, the other answers by hand.
    let (from, to) = (asker.address(), asked.address());
    let query = Frame::new(Kind::Query, 77, from, to, &Request::Identify.encode());
    asker.send(&query).unwrap();
    let got = asked
        .receive_until(|frame| (frame.header().kind == Kind::Query).then(|| frame.clone()))
        .unwrap();
    assert_eq!(got, query, "forwarded byte for byte");
    let body = Body::Identify {
        title: Title::new("bench 2").unwrap(),
        software: Title::new("hand-made 1").unwrap(),
        peer_kind: PeerKind::Program,
    };
    let answer = Frame::new(
        Kind::Response,
        77,
        to,
        from,
        &Answer::Ok(body.clone()).encode(),
    );
    asked.send(&answer).unwrap();
    let got = asker
        .receive_until(|frame| (frame.header().kind == Kind::Response).then(|| frame.clone()))
        .unwrap();
    assert_eq!(got, answer);

    // A line for the other's person.
    let note = Event::Note {
        text: Text::new("look at the pump").unwrap(),
    };
    asker
        .send(&Frame::new(Kind::Event, 0, from, to, &note.encode()))
        .unwrap();
    let got = asked
        .receive_until(|frame| Event::decode(frame.payload()).ok())
        .unwrap();
    assert_eq!(got, note);

    // Both reach the controller and the gateway by number.
    for tool in [&mut asker, &mut asked] {
        for (address, expected) in [
            (Address(controller.address), PeerKind::Controller),
            (Address::GATEWAY, PeerKind::Gateway),
        ] {
            match tool.ask(address, &Request::Identify).unwrap() {
                Answer::Ok(Body::Identify { peer_kind, .. }) => assert_eq!(peer_kind, expected),
                other => panic!("{other:?}"),
            }
        }
    }
    // And learn who is not there.
    for (address, expected) in [
        (0x7FFF_FFFF, Code::UnknownAddress),
        (0xC123_4567, Code::UnknownAddress),
    ] {
        match asker.ask(Address(address), &Request::Identify).unwrap() {
            Answer::Refused { code, .. } => assert_eq!(code, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_console_reaches_another_console_by_its_number() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump house 3", 1).unwrap().remove(0);
    let _running = yard.start_controller(&controller, &[]).unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    let console = yard.console("viewer").unwrap();
    let (code, out, err) = console
        .run(&["ping", &controller.address.to_string()])
        .unwrap();
    assert_eq!(code, 0, "{out}{err}");
    // Before it says that the line has arrived, the console asks who is there.
    let to = tool.address().to_string();
    let mut note = Program::start(
        "note",
        &mut console.command(&["note", &to, "look at the pump"]),
    )
    .unwrap();
    let query = tool
        .receive_until(|frame| (frame.header().kind == Kind::Query).then(|| *frame.header()))
        .unwrap();
    tool.identify_to(&query).unwrap();
    let line = tool
        .receive_until(|frame| Event::decode(frame.payload()).ok())
        .unwrap();
    assert_eq!(
        line,
        Event::Note {
            text: Text::new("look at the pump").unwrap()
        }
    );
    assert_eq!(note.wait().unwrap().code(), Some(0));
}
