//! A controller's key is replaced over its link: from the store by way of the watch and the door to the
//! controller, and back.

use crate::support::{
    Controller, Gateway,
    api::{NOTHING, told},
    now, until,
};
use std::time::Duration;
use switchyard_gateway::{
    keys::{Keys, NextKey},
    store::ControllerKey,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Answer, Body, LinkKey, Request, Time, Verb},
};

const NEW: [u8; 32] = [0x4E; 32];
/// So that no test waits for it.
const FAR: Duration = Duration::from_secs(30 * 24 * 3_600);

async fn replace(gateway: &Gateway, address: Address, forget_from: Time) -> NextKey {
    let next = NextKey {
        key: ControllerKey(NEW),
        forget_from,
    };
    let replaced = gateway.stores.config.replace_controller_key(address, next);
    replaced.await.unwrap().unwrap()
}

async fn keys(gateway: &Gateway, address: Address) -> Keys {
    let known = gateway.stores.config.controller(address).await.unwrap();
    known.unwrap().1
}

/// The gateway asks to change keys, and nothing else; the frame, and to which key.
async fn is_asked(controller: &mut Controller) -> (Frame, Option<LinkKey>) {
    let frame = controller.receive().await.unwrap();
    let header = frame.header();
    assert_eq!(header.source, Address::GATEWAY);
    match Request::decode(header.kind, frame.payload()).unwrap() {
        Request::Rekey { key } => (frame, key),
        other => panic!("expected a rekey and got {other:?}"),
    }
}

async fn answer(controller: &mut Controller, question: &Frame, answer: &Answer) {
    let answer = answer.encode();
    let number = question.header().correlation;
    let (own, gateway) = (controller.address, Address::GATEWAY);
    let frame = Frame::new(Kind::Response, number, own, gateway, &answer);
    controller.send(&[frame]).await;
}

const DONE: Answer = Answer::Ok(Body::Done(Verb::Rekey));

#[tokio::test]
async fn a_key_in_wrong_hands_is_gone_within_three_dials() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    replace(&gateway, who.address, Time(0)).await;
    assert_eq!(controller.ending().await, Some(Code::ShuttingDown));

    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    let (question, key) = is_asked(&mut controller).await;
    assert_eq!(key, Some(LinkKey(NEW)));
    answer(&mut controller, &question, &DONE).await;
    assert_eq!(controller.ending().await, Some(Code::ShuttingDown));

    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(NEW).await;
    let (question, key) = is_asked(&mut controller).await;
    assert_eq!(key, None);
    // What comes before the answer is not lost.
    let delta = controller.delta(1);
    controller.send(&[delta]).await;
    answer(&mut controller, &question, &DONE).await;
    controller.is_live().await;
    assert_eq!(keys(&gateway, who.address).await, ControllerKey(NEW).into());
    assert_eq!(gateway.metric("gateway_keys_replaced_total").await, 1);
    assert_eq!(gateway.metric("gateway_key_steps_failed_total").await, 0);
    let viewer = gateway.log_in("viewer").await;
    let path = format!("/api/controllers/{}", who.address);
    until("what it told meanwhile", async || {
        let shown = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
        (shown["live"]["points"][0]["value"] == 1).then_some(())
    })
    .await;

    until("the old key to be refused", async || {
        let mut stranger = Controller::connect(gateway.tcp, who.address).await;
        let refused = stranger.handshake(who.key).await.err();
        (refused == Some(Code::HandshakeFailed)).then_some(())
    })
    .await;
    controller.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_old_key_is_good_as_long_as_was_said() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let next = replace(&gateway, who.address, now().plus(FAR)).await;
    until("the door to know of it", async || {
        let mut controller = Controller::connect(gateway.tcp, who.address).await;
        controller.go_online(who.key).await;
        let frame = controller.receive().await?;
        let request = Request::decode(frame.header().kind, frame.payload()).ok()?;
        assert!(matches!(request, Request::Rekey { key: Some(_) }));
        answer(&mut controller, &frame, &DONE).await;
        // This session goes on.
        controller.is_live().await;
        Some(())
    })
    .await;
    for key in [NEW, NEW] {
        let mut controller = Controller::connect(gateway.tcp, who.address).await;
        controller.go_online(key).await;
        controller.is_live().await;
    }
    // A controller whose flash was lost, or that a backup stands in for.
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    let (question, key) = is_asked(&mut controller).await;
    assert_eq!(key, Some(LinkKey(NEW)));
    answer(&mut controller, &question, &DONE).await;
    controller.is_live().await;
    let both = Keys {
        current: ControllerKey(who.key),
        next: Some(next),
    };
    assert_eq!(keys(&gateway, who.address).await, both);

    // It is in wrong hands after all: the same next key, and the sooner.
    let hastened = replace(&gateway, who.address, Time(0)).await;
    assert_eq!((hastened.key, hastened.forget_from), (next.key, Time(0)));
    assert_eq!(controller.ending().await, Some(Code::ShuttingDown));
    let later = replace(&gateway, who.address, now().plus(FAR)).await;
    assert_eq!(later, hastened, "nothing is put off");
    gateway.stop().await;
}

#[tokio::test]
async fn a_controller_that_cannot_change_its_key_comes_in_all_the_same() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Old").await;
    let mut controller = Controller::online(&gateway, who).await;
    replace(&gateway, who.address, Time(0)).await;
    assert_eq!(controller.ending().await, Some(Code::ShuttingDown));
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    let (question, _) = is_asked(&mut controller).await;
    let refusal = Answer::Refused {
        code: Code::Unsupported,
        detail: None,
        verb: Verb::Rekey.number(),
    };
    answer(&mut controller, &question, &refusal).await;
    controller.is_live().await;
    assert_eq!(gateway.metric("gateway_key_steps_failed_total").await, 1);
    assert!(keys(&gateway, who.address).await.next.is_some());
    gateway.stop().await;
}

/// Its next key was refused meanwhile, by a gateway that was just ending, and it stays with the old one.
#[tokio::test]
async fn a_controller_that_goes_on_with_the_old_key_is_sent_back_once() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    replace(&gateway, who.address, Time(0)).await;
    assert_eq!(controller.ending().await, Some(Code::ShuttingDown));
    for is_let_in in [false, true] {
        let mut controller = Controller::connect(gateway.tcp, who.address).await;
        controller.go_online(who.key).await;
        let (question, key) = is_asked(&mut controller).await;
        assert_eq!(key, Some(LinkKey(NEW)));
        answer(&mut controller, &question, &DONE).await;
        match is_let_in {
            true => controller.is_live().await,
            false => assert_eq!(controller.ending().await, Some(Code::ShuttingDown)),
        }
    }
    assert_eq!(gateway.metric("gateway_keys_pending").await, 1);
    gateway.stop().await;
}

/// What the door knows may be behind the store: a key that has become the only one is for nobody else.
#[tokio::test]
async fn a_next_key_goes_to_nobody_once_it_is_the_only_one() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    replace(&gateway, who.address, now().plus(FAR)).await;
    until("the door to know of it", async || {
        (gateway.metric("gateway_keys_pending").await == 1).then_some(())
    })
    .await;
    // Another gateway on the same store ends it; at once somebody comes by the old key.
    let settled = gateway
        .stores
        .config
        .settle_controller_key(who.address, ControllerKey(NEW));
    assert!(settled.await.unwrap());
    let mut stranger = Controller::connect(gateway.tcp, who.address).await;
    if stranger.handshake(who.key).await.is_ok() {
        stranger.say_who().await;
        assert_eq!(stranger.ending().await, Some(Code::HandshakeFailed));
    }
    gateway.stop().await;
}
