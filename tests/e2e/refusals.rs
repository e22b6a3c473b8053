//! Whoever lies or breaks the protocol is refused by a named reason that is counted, and nobody
//! else is disturbed.

use crate::{key_of, yard};
use switchyard_e2e::{
    Device, Tool, hello,
    http::{ends, wait_for_ends},
    value_in,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Answer, Body, Request, Stage},
};
use switchyard_testkit::{Controller, Program, Yard};

/// A yard with a controller that must not be disturbed, and another number for the mischief.
struct Scene {
    yard: Yard,
    victim: Controller,
    liar: Controller,
    _running: Program,
    tool: Tool,
}

impl Scene {
    fn new(flags: &[&str]) -> Self {
        let yard = yard(flags);
        let mut controllers = yard.enrol("Pump", 2).unwrap();
        let (liar, victim) = (controllers.pop().unwrap(), controllers.pop().unwrap());
        let _running = yard
            .start_controller(&victim, &["--behaviour", "latch"])
            .unwrap();
        let mut tool = Tool::connect(&yard, "operator").unwrap();
        tool.ask(Address::GATEWAY, &Request::Subscribe { controllers: None })
            .unwrap();
        Scene {
            yard,
            victim,
            liar,
            _running,
            tool,
        }
    }

    /// The reason is counted, and the victim still obeys and tells, on its first session.
    fn finish(mut self, code: Code) {
        wait_for_ends(&self.yard, code, 1).unwrap();
        let key = self
            .tool
            .set(self.victim.address, "RL1", 1, 10_000)
            .unwrap();
        let receipts = self.tool.receipts(key, |_| {}).unwrap();
        assert_eq!(receipts.last().unwrap().stage, Stage::Executed);
        assert_eq!(ends(&self.yard, Code::Replaced).unwrap(), 0);
    }
}

#[test]
fn a_forged_source() {
    let mut scene = Scene::new(&[]);
    let (tcp, key) = (scene.yard.tcp().to_owned(), key_of(&scene.liar));
    let mut liar = Device::live(&tcp, scene.liar.address, &key, 1).unwrap();
    // The liar says that the victim's relay is on.
    let true_delta = liar.delta(1, 1, 1);
    let victim = Address(scene.victim.address);
    let forged = Frame::new(
        Kind::StatusDelta,
        0,
        victim,
        Address::GATEWAY,
        true_delta.payload(),
    );
    liar.send(&[forged]).unwrap();
    assert_eq!(liar.receive_end().unwrap(), Code::ForgedSource);

    // Nobody was told so: the next snapshot shows it off.
    let answer = scene
        .tool
        .ask(Address::GATEWAY, &Request::Lookup { address: victim })
        .unwrap();
    assert!(
        matches!(answer, Answer::Ok(Body::Lookup { online: true, .. })),
        "{answer:?}"
    );
    scene.finish(Code::ForgedSource);
}

#[test]
fn a_tool_that_speaks_for_another() {
    let mut scene = Scene::new(&[]);
    let mut liar = Tool::connect(&scene.yard, "operator").unwrap();
    let payload = Request::Identify.encode();
    let other = scene.tool.address();
    liar.send(&Frame::new(
        Kind::Query,
        1,
        other,
        Address(scene.victim.address),
        &payload,
    ))
    .unwrap();
    assert_eq!(liar.receive_end().unwrap(), Code::ForgedSource);
    // The one spoken for is still there.
    let answer = scene
        .tool
        .ask(Address::GATEWAY, &Request::Identify)
        .unwrap();
    assert!(matches!(answer, Answer::Ok(Body::Identify { .. })));
    scene.finish(Code::ForgedSource);
}

#[test]
fn a_wrong_key_looks_like_an_unknown_address() {
    let scene = Scene::new(&[]);
    for address in [scene.victim.address, 0x7FFF_0000] {
        let refused = Device::handshake(scene.yard.tcp(), address, &[7; 32])
            .err()
            .unwrap();
        assert!(
            refused.to_string().contains("handshake_failed"),
            "{refused}"
        );
    }
    wait_for_ends(&scene.yard, Code::HandshakeFailed, 2).unwrap();
    scene.finish(Code::HandshakeFailed);
}

#[test]
fn a_replayed_handshake() {
    let scene = Scene::new(&[]);
    let key = key_of(&scene.liar);
    let mut honest = Device::live(scene.yard.tcp(), scene.liar.address, &key, 1).unwrap();
    // Somebody on the line plays back every byte that the honest one sent.
    let mut replay = Device::connect(scene.yard.tcp(), scene.liar.address).unwrap();
    replay.write(&honest.sent.clone()).unwrap();
    assert_eq!(replay.receive_end().unwrap(), Code::ReplayedHandshake);
    // The honest session goes on.
    honest.send(&[honest.delta(1, 1, 1)]).unwrap();
    let mut scene = scene;
    let liar = scene.liar.address;
    scene
        .tool
        .receive_until(|frame| value_in(frame, liar, 0).filter(|&value| value == 1))
        .unwrap();
    scene.finish(Code::ReplayedHandshake);
}

#[test]
fn an_oversized_record() {
    let scene = Scene::new(&[]);
    let key = key_of(&scene.liar);
    let mut liar = Device::live(scene.yard.tcp(), scene.liar.address, &key, 1).unwrap();
    liar.write(&[0xFF, 0xFF]).unwrap();
    assert_eq!(liar.receive_end().unwrap(), Code::TooLarge);
    scene.finish(Code::TooLarge);
}

#[test]
fn an_oversized_frame_before_the_handshake() {
    let scene = Scene::new(&[]);
    let mut liar = Device::connect(scene.yard.tcp(), scene.liar.address).unwrap();
    let mut head = hello(Address(scene.liar.address)).header().encode();
    head[2..4].copy_from_slice(&[0xFF, 0xFF]);
    liar.write(&head).unwrap();
    assert_eq!(liar.receive_end().unwrap(), Code::TooLarge);
    scene.finish(Code::TooLarge);
}

#[test]
fn a_half_open_connection() {
    let scene = Scene::new(&["--handshake-timeout", "1s"]);
    let mut silent = Device::connect(scene.yard.tcp(), scene.liar.address).unwrap();
    assert_eq!(silent.receive_end().unwrap(), Code::HandshakeTimeout);
    // Halfway through is no better: the handshake is done, and no record ever comes.
    let key = key_of(&scene.liar);
    let mut halfway = Device::handshake(scene.yard.tcp(), scene.liar.address, &key).unwrap();
    assert_eq!(halfway.receive_end().unwrap(), Code::HandshakeTimeout);
    wait_for_ends(&scene.yard, Code::HandshakeTimeout, 2).unwrap();
    scene.finish(Code::HandshakeTimeout);
}

#[test]
fn a_live_link_that_falls_silent() {
    let scene = Scene::new(&["--ping-interval", "1s"]);
    let key = key_of(&scene.liar);
    let mut silent = Device::live(scene.yard.tcp(), scene.liar.address, &key, 1).unwrap();
    assert_eq!(silent.receive_end().unwrap(), Code::Silent);
    // The hand-made tool does not ping either, and has met the same end.
    let mut scene = scene;
    scene.tool = Tool::connect(&scene.yard, "operator").unwrap();
    scene.finish(Code::Silent);
}

#[test]
fn a_torn_record() {
    let scene = Scene::new(&[]);
    let key = key_of(&scene.liar);
    let mut liar = Device::live(scene.yard.tcp(), scene.liar.address, &key, 1).unwrap();
    liar.write(&[[0, 40].as_slice(), &[0x5A; 40]].concat())
        .unwrap();
    assert_eq!(liar.receive_end().unwrap(), Code::BadRecord);
    scene.finish(Code::BadRecord);
}
