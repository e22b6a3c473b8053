//! The controller link: what proves, what is refused, and that nothing else is disturbed.

use crate::support::{Controller, Gateway, initiator};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{ControllerHello, ErrorMessage, Ping, PingReply},
};

#[tokio::test]
async fn a_session_opens_with_what_was_agreed_and_answers_pings() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    let reply = controller.handshake(who.key).await.unwrap();
    assert_eq!((reply.version, reply.record_bytes_max), (1, 1_056));
    assert_eq!(reply.address, who.address);
    assert_eq!(reply.ping_interval, gateway.settings.ping_interval);
    controller.say_who().await;
    let ping = Frame::new(Kind::Ping, 9, who.address, Address::GATEWAY, &Ping.encode());
    controller.send(&[ping.clone(), ping]).await;
    for _ in 0..2 {
        let reply = controller.receive_kind(Kind::Ping).await;
        assert_eq!(reply.header().correlation, 9);
        assert!(PingReply::decode(reply.payload()).unwrap().time.is_some());
    }
    assert_eq!(gateway.metric("controllers_online").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn the_clear_link_carries_the_same_session() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Lab").await;
    let mut controller = Controller::connect(gateway.clear, who.address).await;
    controller.write(controller.hello().bytes()).await;
    let reply = controller.clear_frame().await.unwrap();
    assert_eq!(
        (reply.header().kind, reply.header().flags.bits()),
        (Kind::Hello, 2)
    );
    controller.say_who().await;
    controller.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_address_looks_exactly_like_a_wrong_key() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut neighbour = Controller::online(&gateway, who).await;
    let mut answers = Vec::new();
    for address in [who.address, Address(4_711)] {
        let mut stranger = Controller::connect(gateway.tcp, address).await;
        let hello = stranger.hello();
        let mut noise = initiator(hello.bytes(), &[0xEE; 32]);
        let mut message = [0; 48];
        noise.write_message(&[], &mut message).unwrap();
        let message = Frame::new(Kind::Handshake, 2, address, Address::GATEWAY, &message);
        stranger.write(hello.bytes()).await;
        stranger.write(message.bytes()).await;
        let answer = stranger.clear_frame().await.unwrap();
        assert_eq!(
            ErrorMessage::decode(answer.payload()).unwrap().code,
            Code::HandshakeFailed
        );
        assert!(
            stranger.clear_frame().await.is_none(),
            "and then the link closes"
        );
        // All but the address to which it goes.
        answers.push((answer.bytes()[..12].to_vec(), answer.payload().to_vec()));
    }
    assert_eq!(answers[0], answers[1]);
    gateway
        .counted("connections_refused_total", Code::HandshakeFailed, 2)
        .await;
    neighbour.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_replayed_handshake_opens_nothing_and_disturbs_nobody() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let transcript = controller.transcript.clone();
    let opening = controller.hello().bytes().len() + 16 + 48;

    // Message 1 alone, and everything that the controller ever said.
    for bytes in [&transcript[..opening], &transcript[..]] {
        let mut replayer = Controller::connect(gateway.tcp, who.address).await;
        replayer.write(bytes).await;
        let answer = replayer.clear_frame().await.unwrap();
        assert_eq!(
            ErrorMessage::decode(answer.payload()).unwrap().code,
            Code::ReplayedHandshake
        );
    }
    gateway
        .counted("connections_refused_total", Code::ReplayedHandshake, 2)
        .await;
    controller.is_live().await;

    // A restarted gateway has forgotten the message, yet the record does not open.
    let gateway = gateway.restart().await;
    let mut replayer = Controller::connect(gateway.tcp, who.address).await;
    replayer.write(&transcript).await;
    let answer = replayer.clear_frame().await.unwrap();
    assert_eq!(answer.header().kind, Kind::Handshake);
    gateway
        .counted("connections_refused_total", Code::BadRecord, 1)
        .await;
    assert_eq!(gateway.metric("controllers_online").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn only_a_proven_session_replaces_another() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut first = Controller::online(&gateway, who).await;
    first.is_live().await;
    let mut second = Controller::connect(gateway.tcp, who.address).await;
    second.handshake(who.key).await.unwrap();
    // The right key, and still no record.
    first.is_live().await;
    second.say_who().await;
    assert_eq!(first.ending().await, Some(Code::Replaced));
    second.is_live().await;
    gateway
        .counted("sessions_ended_total", Code::Replaced, 1)
        .await;
    assert_eq!(gateway.metric("controllers_online").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn three_replacements_in_a_minute_are_a_duplicate_address() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut last = Controller::online(&gateway, who).await;
    for _ in 0..3 {
        let mut next = Controller::online(&gateway, who).await;
        next.is_live().await;
        assert_eq!(last.ending().await, Some(Code::Replaced));
        last = next;
    }
    assert_eq!(gateway.metric("duplicate_addresses_total").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_forged_source_ends_the_link() {
    let gateway = Gateway::start().await;
    let (who, other) = (gateway.enrol("Pump").await, gateway.enrol("Lamp").await);
    let mut neighbour = Controller::online(&gateway, other).await;
    let mut controller = Controller::online(&gateway, who).await;
    let forged = Frame::new(
        Kind::Ping,
        1,
        other.address,
        Address::GATEWAY,
        &Ping.encode(),
    );
    controller.send(&[forged]).await;
    assert_eq!(controller.ending().await, Some(Code::ForgedSource));
    gateway
        .counted("sessions_ended_total", Code::ForgedSource, 1)
        .await;
    // And during the handshake.
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.write(controller.hello().bytes()).await;
    let message = Frame::new(
        Kind::Handshake,
        1,
        other.address,
        Address::GATEWAY,
        &[0; 48],
    );
    controller.write(message.bytes()).await;
    let answer = controller.clear_frame().await.unwrap();
    assert_eq!(
        ErrorMessage::decode(answer.payload()).unwrap().code,
        Code::ForgedSource
    );
    gateway
        .counted("connections_refused_total", Code::ForgedSource, 1)
        .await;
    neighbour.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_head_alone() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    // A hello of 4 KiB.
    let mut stranger = Controller::connect(gateway.tcp, who.address).await;
    let hello = Frame::new(Kind::Hello, 1, who.address, Address::GATEWAY, &[0; 4096]);
    stranger.write(&hello.bytes()[..16]).await;
    let answer = stranger.clear_frame().await.unwrap();
    assert_eq!(
        ErrorMessage::decode(answer.payload()).unwrap().code,
        Code::TooLarge
    );
    gateway
        .counted("connections_refused_total", Code::TooLarge, 1)
        .await;
    // A first record above what was agreed, and one in a live session.
    let mut stranger = Controller::connect(gateway.tcp, who.address).await;
    stranger.handshake(who.key).await.unwrap();
    stranger.write(&1_057_u16.to_be_bytes()).await;
    assert_eq!(stranger.ending().await, Some(Code::TooLarge));
    gateway
        .counted("connections_refused_total", Code::TooLarge, 2)
        .await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    controller.write(&1_057_u16.to_be_bytes()).await;
    assert_eq!(controller.ending().await, Some(Code::TooLarge));
    gateway
        .counted("sessions_ended_total", Code::TooLarge, 1)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_record_must_decrypt_and_hold_whole_frames() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut record = vec![0, 40];
    record.extend_from_slice(&[0x55; 40]);
    controller.write(&record).await;
    assert_eq!(controller.ending().await, Some(Code::BadRecord));
    gateway
        .counted("sessions_ended_total", Code::BadRecord, 1)
        .await;

    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let ping = Frame::new(Kind::Ping, 1, who.address, Address::GATEWAY, &Ping.encode());
    let mut half = bytes::BytesMut::from(&ping.bytes()[..]);
    half.extend_from_slice(&ping.bytes()[..10]);
    controller.send_plain(&half).await;
    assert_eq!(controller.ending().await, Some(Code::Malformed));
    gateway
        .counted("sessions_ended_total", Code::Malformed, 1)
        .await;

    // One byte more than any record of 1,056 holds: it can never come, so it is named at once.
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut large = ping.bytes().to_vec();
    large[2..4].copy_from_slice(&1_025u16.to_be_bytes());
    controller.send_plain(&large).await;
    assert_eq!(controller.ending().await, Some(Code::TooLarge));
    gateway
        .counted("sessions_ended_total", Code::TooLarge, 1)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_hello_of_another_sort_is_named() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let hello = |kind, source, version, record_bytes_max| {
        let payload = ControllerHello {
            version,
            record_bytes_max,
        }
        .encode();
        Frame::new(kind, 1, source, Address::GATEWAY, &payload)
    };
    for (frame, code) in [
        (
            hello(Kind::Hello, who.address, 2, 1_056),
            Code::UnsupportedVersion,
        ),
        (hello(Kind::Hello, who.address, 1, 263), Code::Malformed),
        (hello(Kind::Event, who.address, 1, 1_056), Code::Malformed),
        (
            hello(Kind::Hello, Address(0xC000_0000), 1, 1_056),
            Code::ForgedSource,
        ),
    ] {
        let mut stranger = Controller::connect(gateway.tcp, who.address).await;
        stranger.write(frame.bytes()).await;
        let answer = stranger.clear_frame().await.unwrap();
        assert_eq!(ErrorMessage::decode(answer.payload()).unwrap().code, code);
    }
    let mut stranger = Controller::connect(gateway.tcp, who.address).await;
    stranger.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = stranger.clear_frame().await.unwrap();
    assert_eq!(
        ErrorMessage::decode(answer.payload()).unwrap().code,
        Code::Malformed
    );
    gateway
        .counted("connections_refused_total", Code::Malformed, 3)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn half_open_connections_are_given_up() {
    let gateway = Gateway::start_with(|settings| {
        settings.handshake_timeout = Duration::from_secs(2);
        settings.ping_interval = Duration::from_millis(300);
    })
    .await;
    let who = gateway.enrol("Pump").await;
    // Never a word; a hello and no more; the handshake and no record.
    let mut mute = Controller::connect(gateway.tcp, who.address).await;
    let mut greeted = Controller::connect(gateway.tcp, who.address).await;
    greeted.write(greeted.hello().bytes()).await;
    let mut keyed = Controller::connect(gateway.tcp, who.address).await;
    keyed.handshake(who.key).await.unwrap();
    assert_eq!(mute.ending().await, Some(Code::HandshakeTimeout));
    assert_eq!(greeted.ending().await, Some(Code::HandshakeTimeout));
    assert_eq!(keyed.ending().await, Some(Code::HandshakeTimeout));
    gateway
        .counted("connections_refused_total", Code::HandshakeTimeout, 3)
        .await;
    // A live session that falls silent.
    let mut controller = Controller::online(&gateway, who).await;
    assert_eq!(controller.ending().await, Some(Code::Silent));
    gateway
        .counted("sessions_ended_total", Code::Silent, 1)
        .await;
    gateway.stop().await;
}
