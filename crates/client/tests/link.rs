//! The client against a scripted gateway: what happens on the wire, and what a program sees of it.

#![allow(clippy::unwrap_used, reason = "a panic here is a test's report")]

mod scripted;

use scripted::{
    ACCOUNT, CODE, GUARDED, Gateway, PASSWORD, Peer, SETUP_CODE, TIME, TOKEN, delta, full, name,
    page, ping, point, presence, soon, title,
};
use std::{sync::atomic::Ordering, time::Duration};
use switchyard_client::{
    ApiCall, ApiMethod, Client, Credentials, Error, Event, Events, FirstAccount, FleetChange,
    GatewayUrl, Installation, Interest, LinkState, Options, Order, Receipts, Token, call_api,
    is_setup_needed, log_in, log_out, set_up,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{
        Action, Answer, Body, Event as Told, PeerKind, Point, PointType, Receipt, Request, Stage,
        Text,
    },
};

const TOOL: u32 = 0x8000_0007;
const PUMP: u32 = 100_042;

fn options(gateway: &Gateway) -> Options {
    Options {
        gateway: gateway.url().parse().unwrap(),
        token: Token::new(TOKEN),
        installation: Some(Installation([9; 16])),
        software: title("test 1.0"),
        title: title("a test"),
        peer_kind: PeerKind::Console,
        interest: Interest::Everything,
    }
}

/// A client whose link is up, with the peer at the other end; the subscription is unanswered.
async fn linked(gateway: &Gateway) -> (Client, Peer) {
    let client = Client::connect(options(gateway));
    let peer = welcomed(gateway, 1).await;
    let session = soon("the welcome", client.live()).await.unwrap();
    assert_eq!(session.address, Address(TOOL));
    (client, peer)
}

async fn welcomed(gateway: &Gateway, start: u8) -> Peer {
    let mut peer = gateway.accept().await;
    peer.welcome(TOOL, start).await;
    peer
}

fn pump_points() -> Vec<Point> {
    vec![
        point(0, "DI1", PointType::DigitalInput, 0, 0),
        point(1, "RL1", PointType::DigitalOutput, 0, 1),
    ]
}

/// Answers the subscription with one pump at this sequence.
async fn subscribed(peer: &mut Peer, boot: u32, sequence: u32) {
    let (header, request) = peer.request().await;
    assert_eq!(request, Request::Subscribe { controllers: None });
    let marker = Answer::Ok(Body::Subscribe { count: 1 });
    peer.send([
        presence(peer.address, PUMP, true, "Pump house 3"),
        full(PUMP, boot, sequence, &pump_points()),
        scripted::response(&header, &marker),
    ])
    .await;
}

async fn event(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
    soon(what, async {
        loop {
            let event = events.next().await.expect("the client ended");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

fn has_change(event: &Event, wanted: impl Fn(&FleetChange) -> bool) -> bool {
    matches!(event, Event::Fleet { changes, .. } if changes.iter().any(wanted))
}

fn switch_on() -> Order {
    let action = Action::Set {
        point: name("RL1"),
        value: 1,
    };
    Order::new(Address(PUMP), action, Duration::from_secs(10))
}

async fn next(receipts: &mut Receipts) -> Receipt {
    soon("a receipt", receipts.next())
        .await
        .expect("ended early")
}

fn credentials<'a>(account: &'a str, password: &'a str, code: Option<&'a str>) -> Credentials<'a> {
    Credentials {
        account,
        password,
        code,
    }
}

#[tokio::test]
async fn logs_in_and_out_by_http() {
    let gateway = Gateway::bind().await;
    let url = gateway.url().parse().unwrap();
    let (right, wrong) = (
        credentials(ACCOUNT, PASSWORD, None),
        credentials(ACCOUNT, "wrong", None),
    );
    let talk = async {
        let refused = log_in(&url, &wrong).await.unwrap_err();
        assert_eq!(refused.code(), "bad_credentials");
        assert!(refused.is_lasting());
        let session = log_in(&url, &right).await.unwrap();
        assert_eq!(
            (session.account.as_str(), session.token.reveal()),
            (ACCOUNT, TOKEN)
        );
        assert!(!format!("{session:?}").contains(TOKEN));
        log_out(&url, &session.token).await.unwrap();
    };
    tokio::select! {
        () = talk => {}
        _ = gateway.accept() => unreachable!("nobody upgrades"),
    }
    drop(gateway);
    let gone = log_in(&url, &right).await.unwrap_err();
    assert_eq!(gone.code(), "gateway_gone");
}

/// Reads, does, replaces and removes, as the one with the token; a refusal keeps its word and its detail.
#[tokio::test]
async fn asks_the_api() {
    let gateway = Gateway::bind().await;
    let url: GatewayUrl = gateway.url().parse().unwrap();
    let token = Token::new(TOKEN);
    let ask = |method, path: &'static str, body: Option<&str>, token: Token| {
        let (url, body) = (url.clone(), body.map(str::to_owned));
        let call = ApiCall {
            method,
            path,
            body,
            wait: Duration::from_secs(25),
        };
        let gateway = &gateway;
        async move {
            tokio::select! {
                answer = call_api(&url, &token, call) => answer,
                _ = gateway.accept() => unreachable!("nobody dials"),
            }
        }
    };
    let list = ask(ApiMethod::Get, "/api/alarms?open=true", None, token.clone()).await;
    let list = list.unwrap();
    assert_eq!(list.status, 200);
    assert!(list.body.len() > 200_000, "a page of a list is long");
    let said = r#"{"alarms":[7]}"#;
    let path = "/api/alarms/acknowledge";
    let kept = ask(ApiMethod::Post, path, Some(said), token.clone()).await;
    let kept = kept.unwrap();
    assert_eq!((kept.status, &kept.body[..]), (202, said.as_bytes()));
    let gone = ask(ApiMethod::Delete, "/api/alarm-rules/7", None, token.clone());
    let gone = gone.await.unwrap();
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    let refused = ask(ApiMethod::Put, "/api/contacts/1", Some("{}"), token.clone());
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), "bad_field");
    assert!(matches!(
        refused,
        Error::Http { detail, .. } if detail == "expected a telephone number as telephone"
    ));
    let stranger = ask(ApiMethod::Post, path, Some(said), Token::new("other"));
    assert_eq!(stranger.await.unwrap_err().code(), "not_found");
    let elsewhere = ask(ApiMethod::Get, "/metrics", None, token).await;
    assert_eq!(elsewhere.unwrap_err().code(), "bad_path");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_by_its_own_code() {
    let gateway = Gateway::bind().await;
    let url = gateway.url().parse().unwrap();
    let talk = async {
        for (code, refused) in [
            (None, Some("code_needed")),
            (Some("000000"), Some("bad_credentials")),
            (Some(CODE), None),
        ] {
            let answer = log_in(&url, &credentials(GUARDED, PASSWORD, code)).await;
            let told = answer.as_ref().err().map(|error| error.code());
            assert_eq!(told, refused, "{code:?}");
        }
        // Only whoever has the password learns that there is a second factor.
        let wrong = log_in(&url, &credentials(GUARDED, "wrong", None)).await;
        assert_eq!(wrong.unwrap_err().code(), "bad_credentials");
    };
    tokio::select! {
        () = talk => {}
        _ = gateway.accept() => unreachable!("nobody upgrades"),
    }
    let shown = format!("{:?}", credentials(ACCOUNT, PASSWORD, Some(CODE)));
    assert!(
        !shown.contains(PASSWORD) && !shown.contains(CODE),
        "{shown}"
    );
}

#[tokio::test]
async fn makes_the_first_account_once() {
    let gateway = Gateway::bind().await;
    gateway.is_new.store(true, Ordering::Relaxed);
    let url = gateway.url().parse().unwrap();
    let first = |setup_code| FirstAccount {
        setup_code,
        account: ACCOUNT,
        password: PASSWORD,
    };
    let talk = async {
        assert!(is_setup_needed(&url).await.unwrap());
        let refused = set_up(&url, &first("wrong")).await.unwrap_err();
        assert_eq!(refused.code(), "bad_setup_code");
        let session = set_up(&url, &first(SETUP_CODE)).await.unwrap();
        assert_eq!(
            (session.account.as_str(), session.token.reveal()),
            (ACCOUNT, TOKEN)
        );
        assert!(!is_setup_needed(&url).await.unwrap());
        let late = set_up(&url, &first(SETUP_CODE)).await.unwrap_err();
        assert_eq!(late.code(), "already_set_up");
    };
    tokio::select! {
        () = talk => {}
        _ = gateway.accept() => unreachable!("nobody upgrades"),
    }
    let shown = format!("{:?}", first(SETUP_CODE));
    assert!(
        !shown.contains(SETUP_CODE) && !shown.contains(PASSWORD),
        "{shown}"
    );
}

#[tokio::test]
async fn says_hello_and_mirrors_the_fleet() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    assert_eq!(peer.hello.token.as_deref(), Some(TOKEN));
    assert_eq!(peer.hello.installation, Some([9; 16]));
    subscribed(&mut peer, 1, 5).await;
    let fleet = client.synced(Duration::from_secs(10)).await.unwrap();
    let pump = fleet.controller(Address(PUMP)).unwrap();
    assert!(pump.is_live() && pump.points() == pump_points());

    let mut events = client.events();
    peer.send([delta(PUMP, 1, 6, 1, 1)]).await;
    let changed = event(&mut events, "the delta", |event| {
        has_change(event, |change| matches!(change, FleetChange::Points { .. }))
    })
    .await;
    let Event::Fleet { revision, .. } = changed else {
        unreachable!()
    };
    let fleet = client.fleet();
    assert!(revision > 0 && fleet.revision() >= revision);
    let pump = fleet.controller(Address(PUMP)).unwrap();
    assert_eq!(pump.point(&name("RL1")).unwrap().value, 1);
    assert!(client.gateway_time().unwrap() >= TIME);
    client.close().await;
}

#[tokio::test]
async fn a_gap_asks_for_a_snapshot_once() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    subscribed(&mut peer, 1, 5).await;
    client.synced(Duration::from_secs(10)).await.unwrap();
    let mut events = client.events();
    // 6 is lost; the burst behind it must make one question.
    peer.send((7..12).map(|sequence| delta(PUMP, 1, sequence, 1, 1)))
        .await;
    let (header, request) = peer.request().await;
    assert_eq!(
        request,
        Request::Snapshot {
            controller: Some(Address(PUMP))
        }
    );
    event(&mut events, "staleness", |event| {
        has_change(
            event,
            |change| matches!(change, FleetChange::Controller(pump) if pump.stale),
        )
    })
    .await;
    let two_pages = [
        page(PUMP, 1, 11, (0, 2), &pump_points()[..1]),
        page(
            PUMP,
            1,
            11,
            (1, 2),
            &[point(1, "RL1", PointType::DigitalOutput, 1, 1)],
        ),
        delta(PUMP, 1, 12, 0, 1),
    ];
    peer.send(two_pages).await;
    peer.answer(
        &header,
        Answer::Ok(Body::Done(switchyard_protocol::message::Verb::Snapshot)),
    )
    .await;
    event(&mut events, "the delta after it", |event| {
        has_change(
            event,
            |change| matches!(change, FleetChange::Points { head, .. } if head.sequence == 12),
        )
    })
    .await;
    let fleet = client.fleet();
    let pump = fleet.controller(Address(PUMP)).unwrap();
    assert!(pump.is_live());
    let values: Vec<i64> = pump.points().iter().map(|point| point.value).collect();
    assert_eq!(values, [1, 1]);
    // Nothing else was asked meanwhile: the next request is the program's own.
    let lookup = client.lookup(Address(PUMP));
    let answer = async {
        let (header, request) = peer.request().await;
        assert_eq!(
            request,
            Request::Lookup {
                address: Address(PUMP)
            }
        );
        peer.answer(&header, Answer::refused(Code::UnknownAddress, 7))
            .await;
    };
    let (refused, ()) = tokio::join!(lookup, answer);
    assert_eq!(
        refused.unwrap_err().protocol_code(),
        Some(Code::UnknownAddress)
    );
}

#[tokio::test]
async fn dials_again_subscribes_anew_and_drops_what_is_gone() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    subscribed(&mut peer, 1, 5).await;
    client.synced(Duration::from_secs(10)).await.unwrap();
    let mut events = client.events();
    drop(peer);
    let waiting = event(&mut events, "the wait", |event| {
        matches!(event, Event::Link(LinkState::Waiting { .. }))
    })
    .await;
    let Event::Link(LinkState::Waiting { why, .. }) = waiting else {
        unreachable!()
    };
    assert_eq!(why.code(), "gateway_gone");
    let fleet = client.fleet();
    assert!(!fleet.is_synced() && fleet.controller(Address(PUMP)).unwrap().stale);
    let refused = client.identify(Address(PUMP)).await.unwrap_err();
    assert_eq!(refused.code(), "gateway_gone");
    assert!(client.send(switch_on()).await.is_err());

    let mut peer = welcomed(&gateway, 1).await;
    let (header, request) = peer.request().await;
    assert_eq!(request, Request::Subscribe { controllers: None });
    peer.send([
        presence(peer.address, 7, true, "A new one"),
        full(7, 1, 1, &pump_points()),
    ])
    .await;
    peer.answer(&header, Answer::Ok(Body::Subscribe { count: 1 }))
        .await;
    event(&mut events, "the end of the snapshot", |event| {
        has_change(event, |change| *change == FleetChange::Gone(Address(PUMP)))
    })
    .await;
    let fleet = client.fleet();
    assert!(fleet.is_synced());
    let addresses: Vec<Address> = fleet.controllers().map(|it| it.address).collect();
    assert_eq!(addresses, [Address(7)]);
}

#[tokio::test]
async fn a_replaced_tool_does_not_fight_back() {
    let gateway = Gateway::bind().await;
    let (client, peer) = linked(&gateway).await;
    let mut events = client.events();
    peer.refuse(Code::Replaced).await;
    let closed = event(&mut events, "the end", |event| {
        matches!(event, Event::Link(LinkState::Closed { .. }))
    })
    .await;
    let Event::Link(LinkState::Closed { why }) = closed else {
        unreachable!()
    };
    assert_eq!(why.protocol_code(), Some(Code::Replaced));
    assert_eq!(client.live().await.unwrap_err().code(), "replaced");
    // The handle still answers, at once.
    let refused = soon("an answer", client.identify(Address(0))).await;
    assert_eq!(refused.unwrap_err().code(), "gateway_gone");
}

#[tokio::test]
async fn a_bad_token_is_told_and_not_tried_again() {
    let gateway = Gateway::bind().await;
    let client = Client::connect(options(&gateway));
    gateway.accept().await.refuse(Code::BadToken).await;
    let refused = soon("the refusal", client.live()).await.unwrap_err();
    assert_eq!(refused.code(), "bad_token");
    assert!(matches!(client.link_state(), LinkState::Closed { .. }));
}

#[tokio::test]
async fn receipts_come_in_order_and_end_once() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    subscribed(&mut peer, 1, 5).await;
    let mut receipts = client.send(switch_on()).await.unwrap();
    let (header, command) = peer.command().await;
    assert_eq!(command.key, receipts.key());
    assert!(command.expiry > TIME && command.expiry <= TIME.plus(Duration::from_secs(40)));
    for (stage, is_final) in [
        (Stage::Sent, false),
        (Stage::Delivered, false),
        (Stage::Sent, false),
        (Stage::Executed, true),
        (Stage::Failed, true),
    ] {
        peer.receipt(&header, &command, stage, None, is_final).await;
    }
    let mut stages = Vec::new();
    while let Some(receipt) = soon("a receipt", receipts.next()).await {
        stages.push((receipt.stage, receipt.is_final));
    }
    let expected = [
        (Stage::Sent, false),
        (Stage::Delivered, false),
        (Stage::Executed, true),
    ];
    assert_eq!(stages, expected);
}

/// Sends a command, loses the link after `sent`, and gives the peer that was dialled next.
async fn lost_after_sent(gateway: &Gateway, start: u8) -> (Client, Receipts, Peer) {
    let (client, mut peer) = linked(gateway).await;
    subscribed(&mut peer, 1, 5).await;
    client.synced(Duration::from_secs(10)).await.unwrap();
    let mut receipts = client.send(switch_on()).await.unwrap();
    let (header, command) = peer.command().await;
    peer.receipt(&header, &command, Stage::Sent, None, false)
        .await;
    assert_eq!(next(&mut receipts).await.stage, Stage::Sent);
    drop(peer);
    let mut peer = welcomed(gateway, start).await;
    subscribed(&mut peer, 1, 5).await;
    (client, receipts, peer)
}

#[tokio::test]
async fn after_a_lost_link_the_gateway_is_asked() {
    let gateway = Gateway::bind().await;
    let (_client, mut receipts, mut peer) = lost_after_sent(&gateway, 1).await;
    // First it is still under way, then it has ended.
    for (stage, is_final) in [(Stage::Delivered, false), (Stage::Executed, true)] {
        let (header, request) = peer.request().await;
        assert_eq!(
            request,
            Request::Receipt {
                key: receipts.key()
            }
        );
        let body = Body::Receipt {
            stage,
            at: Some(TIME),
            reason: None,
            is_final,
        };
        peer.answer(&header, Answer::Ok(body)).await;
        let receipt = next(&mut receipts).await;
        assert_eq!((receipt.stage, receipt.is_final), (stage, is_final));
    }
    assert_eq!(soon("the end", receipts.next()).await, None);
}

#[tokio::test]
async fn a_gateway_that_forgot_leads_to_the_controller() {
    for (stage, boot, expected, reason) in [
        (Some(Stage::Executed), 1, Stage::Executed, None),
        (None, 1, Stage::Unknown, Some(Code::LinkLost)),
        (None, 2, Stage::Unknown, Some(Code::Rebooted)),
    ] {
        let gateway = Gateway::bind().await;
        let (client, mut receipts, mut peer) = lost_after_sent(&gateway, 2).await;
        let (header, request) = peer.request().await;
        let verb = request.verb().number();
        assert_eq!(
            request,
            Request::Receipt {
                key: receipts.key()
            }
        );
        peer.answer(&header, Answer::refused(Code::UnknownCommand, verb))
            .await;
        let (header, request) = peer.request().await;
        assert_eq!(
            request,
            Request::Outcome {
                key: receipts.key()
            }
        );
        assert_eq!(header.destination, Address(PUMP));
        let body = Body::Outcome {
            boot,
            stage,
            reason: None,
            is_final: stage.map(|_| true),
        };
        peer.answer(&header, Answer::Ok(body)).await;
        let receipt = next(&mut receipts).await;
        assert_eq!((receipt.stage, receipt.reason), (expected, reason));
        assert!(receipt.is_final);
        assert_eq!(soon("the end", receipts.next()).await, None);
        client.close().await;
    }
}

#[tokio::test]
async fn closing_ends_open_commands_as_unknown() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    subscribed(&mut peer, 1, 5).await;
    let mut receipts = client.send(switch_on()).await.unwrap();
    peer.command().await;
    client.close().await;
    let receipt = next(&mut receipts).await;
    assert_eq!((receipt.stage, receipt.is_final), (Stage::Unknown, true));
    assert_eq!(receipts.next().await, None);
    assert!(soon("the farewell", peer.any_frame()).await.is_none());
}

#[tokio::test]
async fn answers_other_tools() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    subscribed(&mut peer, 1, 5).await;
    let mut events = client.events();
    let other = Address(0xC000_0005);
    let query = |correlation, request: Request| {
        Frame::new(
            Kind::Query,
            correlation,
            other,
            Address(TOOL),
            &request.encode(),
        )
    };
    let note = Told::Note {
        text: Text::cut("tea?"),
    };
    peer.send([
        query(70, Request::Identify),
        query(71, Request::Describe),
        Frame::new(Kind::Event, 0, other, Address(TOOL), &note.encode()),
        ping(Address(TOOL), 72),
    ])
    .await;
    let identity = peer.frame().await;
    assert_eq!(
        (identity.header().correlation, identity.header().destination),
        (70, other)
    );
    let expected = Body::Identify {
        title: title("a test"),
        software: title("test 1.0"),
        peer_kind: PeerKind::Console,
    };
    assert_eq!(
        Answer::decode(identity.payload()).unwrap(),
        Answer::Ok(expected)
    );
    let refused = peer.frame().await;
    assert_eq!(refused.header().correlation, 71);
    let refused = Answer::decode(refused.payload()).unwrap();
    assert_eq!(refused, Answer::refused(Code::Unsupported, 2));
    let pong = soon("the pong", peer.any_frame()).await.unwrap();
    assert_eq!(
        (pong.header().kind, pong.header().correlation),
        (Kind::Ping, 72)
    );
    let heard = event(&mut events, "the note", |event| {
        matches!(event, Event::Note { .. })
    })
    .await;
    assert!(
        matches!(heard, Event::Note { from, text } if from == other && text.as_str() == "tea?")
    );
}

#[tokio::test]
async fn pings_and_gives_up_on_silence() {
    let gateway = Gateway::bind().await;
    let client = Client::connect(options(&gateway));
    let mut peer = gateway.accept().await;
    peer.welcome_with(TOOL, 1, Duration::from_secs(1)).await;
    let mut events = client.events();
    subscribed(&mut peer, 1, 5).await;
    let first = soon("a ping", peer.any_frame()).await.unwrap();
    assert_eq!(first.header().kind, Kind::Ping);
    let ahead = TIME.plus(Duration::from_secs(100));
    peer.pong(first.header(), ahead).await;
    let second = soon("another ping", peer.any_frame()).await.unwrap();
    assert_eq!(second.header().kind, Kind::Ping);
    assert!(
        client.gateway_time().unwrap() >= ahead,
        "the reply's time was learnt"
    );
    // This one is not answered.
    let lost = event(&mut events, "the loss", |event| {
        matches!(event, Event::Link(LinkState::Waiting { .. }))
    })
    .await;
    assert!(
        matches!(lost, Event::Link(LinkState::Waiting { why, .. }) if why.code() == "timed_out")
    );
}

#[tokio::test]
async fn a_gateway_that_breaks_the_protocol_is_left() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let mut events = client.events();
    let frame = full(PUMP, 1, 1, &pump_points());
    let cut: Vec<u8> = frame.bytes()[..frame.bytes().len() - 1].to_vec();
    futures_util::SinkExt::send(
        &mut peer.socket,
        tokio_tungstenite::tungstenite::Message::Binary(cut.into()),
    )
    .await
    .unwrap();
    let left = event(&mut events, "the end", |event| {
        matches!(event, Event::Link(LinkState::Waiting { .. }))
    })
    .await;
    assert!(
        matches!(left, Event::Link(LinkState::Waiting { why, .. }) if why.code() == "malformed")
    );
}
