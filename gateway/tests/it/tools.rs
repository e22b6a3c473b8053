//! Tools among each other and with controllers: status, commands, rights, and slow readers.

use crate::support::{
    Controller, Gateway, Tool, request, soon, timed, title, tool_hello, until, web_socket,
};
use futures_util::SinkExt as _;
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    Stores,
    store::{Guard, Guarded, MemoryStatusStore, StoreFuture},
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role,
    message::{Answer, Body, Delta, Event, Full, Ping, Request, Stage, StatusHead, Text},
};
use switchyard_relay::Rights;
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_subscriber_gets_the_snapshot_and_then_every_delta() {
    let gateway = Gateway::start_on_stores(
        |_| {},
        |_, stores| Stores {
            status: Some(Arc::new(MemoryStatusStore::default())),
            ..stores
        },
    )
    .await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut tool = gateway.tool("viewer").await;
    let snapshot = tool.subscribe().await;
    let presence = snapshot
        .iter()
        .find_map(|frame| match Event::decode(frame.payload()) {
            Ok(Event::Presence {
                controller,
                online,
                title,
                ..
            }) => Some((controller, online, title)),
            _ => None,
        });
    let (address, online, title) = presence.expect("presence in the snapshot");
    assert_eq!(
        (address, online, title.as_str()),
        (who.address, true, "Pump")
    );
    let full = snapshot
        .iter()
        .find(|frame| frame.header().kind == Kind::StatusFull)
        .unwrap();
    assert_eq!(
        (full.header().source, full.header().destination),
        (who.address, Address::GATEWAY)
    );
    let full = Full::decode(full.payload()).unwrap();
    assert_eq!(full.points[0].value, 0);

    let mut expected = full.head;
    for value in [1, 0, 1] {
        let delta = controller.delta(value);
        controller.send(std::slice::from_ref(&delta)).await;
        let received = tool.receive_kind(Kind::StatusDelta).await;
        assert_eq!(received.bytes(), delta.bytes(), "the very bytes that came");
        let delta = Delta::decode(received.payload()).unwrap();
        let StatusHead { boot, sequence } = expected;
        expected = StatusHead {
            boot,
            sequence: sequence + 1,
        };
        assert_eq!((delta.head, delta.changes[0].value), (expected, value));
    }

    // Away and back is told too, and the status store has what was last seen.
    drop(controller);
    let event = tool.receive_kind(Kind::Event).await;
    let Ok(Event::Presence { online, reason, .. }) = Event::decode(event.payload()) else {
        panic!("expected presence");
    };
    assert_eq!((online, reason), (false, Some(Code::LinkLost)));
    until("the stored status", async || {
        let store = gateway.stores.status.as_ref()?;
        let stored = store.status(who.address).await.unwrap()?;
        (!stored.online && !stored.frame.is_empty()).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_command_comes_to_its_receipts_in_order() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut tool = gateway.tool("operator").await;
    tool.subscribe().await;
    let key = tool.command(who.address, false).await;
    let command = controller.receive_kind(Kind::Command).await;
    assert_eq!(command.header().source, tool.address);
    let delta = controller.delta(1);
    let delivered = controller.receipt(&command, Stage::Delivered, false);
    let executed = controller.receipt(&command, Stage::Executed, true);
    controller.send(&[delivered, executed, delta]).await;
    let mut stages = Vec::new();
    loop {
        let receipt = tool.receipt().await;
        assert_eq!(receipt.key, key);
        stages.push(receipt.stage);
        if receipt.is_final {
            break;
        }
    }
    assert_eq!(stages, [Stage::Sent, Stage::Delivered, Stage::Executed]);
    tool.receive_kind(Kind::StatusDelta).await;
    let (answer, _) = tool.ask(Address::GATEWAY, &Request::Receipt { key }).await;
    assert!(
        matches!(
            answer,
            Answer::Ok(Body::Receipt {
                stage: Stage::Executed,
                is_final: true,
                ..
            })
        ),
        "{answer:?}"
    );
    assert_eq!(
        gateway.metric("receipts_total{stage=\"executed\"}").await,
        1
    );
    gateway.stop().await;
}

#[tokio::test]
async fn refusals_say_why() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut viewer = gateway.tool("viewer").await;
    let mut operator = gateway.tool("operator").await;
    viewer.command(who.address, false).await;
    let receipt = viewer.receipt().await;
    assert_eq!(
        (receipt.stage, receipt.reason),
        (Stage::Refused, Some(Code::Forbidden))
    );
    for (address, code) in [
        (who.address, Code::Offline),
        (Address(4_711), Code::UnknownAddress),
    ] {
        operator.command(address, false).await;
        let receipt = operator.receipt().await;
        assert_eq!(
            (receipt.stage, receipt.reason),
            (Stage::Refused, Some(code))
        );
        let (answer, _) = operator.ask(address, &Request::Identify).await;
        assert!(matches!(answer, Answer::Refused { code: found, .. } if found == code));
    }
    let title = title("Lamp");
    let (answer, _) = operator
        .ask(Address::GATEWAY, &Request::Enrol { title, site: None })
        .await;
    assert!(
        matches!(
            answer,
            Answer::Refused {
                code: Code::Forbidden,
                ..
            }
        ),
        "{answer:?}"
    );
    assert_eq!(
        gateway
            .metric("requests_refused_total{reason=\"unknown_address\"}")
            .await,
        2
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_technician_enrols_over_the_wire_and_the_controller_comes() {
    let gateway = Gateway::start().await;
    let mut tool = gateway.tool("technician").await;
    let request = Request::Enrol {
        title: title("Lamp"),
        site: None,
    };
    let (answer, _) = tool.ask(Address::GATEWAY, &request).await;
    let Answer::Ok(Body::Enrol {
        controller: address,
        key,
    }) = answer
    else {
        panic!("{answer:?}");
    };
    let mut controller = Controller::connect(gateway.tcp, address).await;
    controller.go_online(key).await;
    controller.is_live().await;
    let (answer, _) = tool
        .ask(Address::GATEWAY, &Request::Lookup { address })
        .await;
    let Answer::Ok(Body::Lookup { online, title, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((online, title.as_str()), (true, "Lamp"));
    gateway.stop().await;
}

#[tokio::test]
async fn the_largest_frame_goes_from_tool_to_tool() {
    let gateway = Gateway::start().await;
    let mut one = gateway.tool("viewer").await;
    let mut other = gateway.tool("viewer").await;
    for payload_bytes in [65_520, 65_521, 65_535] {
        let payload = vec![7; payload_bytes];
        let (from, to) = (one.address, other.address);
        one.send(Frame::new(Kind::Response, 1, from, to, &payload))
            .await;
        let came = other.receive_kind(Kind::Response).await;
        assert_eq!(came.payload(), payload);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn tools_speak_to_each_other_and_for_nobody_else() {
    let gateway = Gateway::start().await;
    let mut one = gateway.tool("viewer").await;
    let mut other = gateway.tool("viewer").await;
    assert_ne!(one.address, other.address);
    let note = Event::Note {
        text: Text::new("look at the pump").unwrap(),
    }
    .encode();
    one.send(Frame::new(
        Kind::Event,
        0,
        one.address,
        other.address,
        &note,
    ))
    .await;
    let event = other.receive_kind(Kind::Event).await;
    assert_eq!(event.header().source, one.address);
    assert_eq!(event.payload(), note);
    one.send(Frame::new(
        Kind::Event,
        0,
        other.address,
        other.address,
        &note,
    ))
    .await;
    assert_eq!(one.ending().await, Some(Code::ForgedSource));
    gateway
        .counted("sessions_ended_total", Code::ForgedSource, 1)
        .await;
    other
        .send(Frame::new(
            Kind::Ping,
            3,
            other.address,
            Address::GATEWAY,
            &Ping.encode(),
        ))
        .await;
    other.receive_kind(Kind::Ping).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_installation_keeps_its_address_and_lives_once() {
    let gateway = Gateway::start().await;
    let token = gateway.log_in("viewer").await;
    let enter = async |installation: u8| {
        let socket = web_socket(gateway.http, &[]).await.unwrap();
        Tool::say_hello(socket, tool_hello(Some(&token), Some([installation; 16])))
            .await
            .unwrap()
    };
    let mut first = enter(1).await;
    let second = enter(1).await;
    assert_eq!(first.address, second.address);
    assert_eq!(first.ending().await, Some(Code::Replaced));
    assert_ne!(enter(2).await.address, second.address);
    let address = second.address;
    let gateway = gateway.restart().await;
    let socket = web_socket(gateway.http, &[]).await.unwrap();
    let hello = tool_hello(Some(&token), Some([1; 16]));
    let again = Tool::say_hello(socket, hello).await.unwrap();
    assert_eq!(again.address, address);
    // It has forgotten nothing, so it is the same one.
    assert_eq!(again.welcome.gateway, second.welcome.gateway);
    gateway.stop().await;
}

#[tokio::test]
async fn a_hello_that_fails_is_named() {
    let gateway = Gateway::start_with(|settings| {
        settings.handshake_timeout = Duration::from_secs(2);
    })
    .await;
    let hello = async |frame: Frame| {
        let socket = web_socket(gateway.http, &[]).await.unwrap();
        Tool::say_hello(socket, frame).await.err()
    };
    assert_eq!(
        hello(tool_hello(Some("nonsense"), None)).await,
        Some(Code::BadToken)
    );
    assert_eq!(hello(tool_hello(None, None)).await, Some(Code::BadToken));
    let nobody = Address::GATEWAY;
    let ping = Frame::new(Kind::Ping, 1, nobody, nobody, &Ping.encode());
    assert_eq!(hello(ping).await, Some(Code::Malformed));
    gateway
        .counted("connections_refused_total", Code::BadToken, 2)
        .await;
    // Text, too much, and nothing at all.
    for (message, code) in [
        (Some(Message::Text("hello".into())), Code::Malformed),
        (
            Some(Message::Binary(vec![1; 65_552].into())),
            Code::TooLarge,
        ),
        (None, Code::HandshakeTimeout),
    ] {
        let mut socket = web_socket(gateway.http, &[]).await.unwrap();
        if let Some(message) = message {
            socket.send(message).await.unwrap();
        }
        let mut inbox = std::collections::VecDeque::new();
        let answer = crate::support::next_frame(&mut socket, &mut inbox)
            .await
            .unwrap();
        let error = switchyard_protocol::message::ErrorMessage::decode(answer.payload()).unwrap();
        assert_eq!(error.code, code);
        gateway
            .counted(
                "connections_refused_total",
                code,
                if code == Code::Malformed { 2 } else { 1 },
            )
            .await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_oversized_message_ends_a_live_tool() {
    let gateway = Gateway::start().await;
    let mut tool = gateway.tool("viewer").await;
    let mut neighbour = gateway.tool("viewer").await;
    let _ = tool
        .socket
        .send(Message::Binary(vec![0; 65_552].into()))
        .await;
    assert_eq!(tool.ending().await, Some(Code::TooLarge));
    gateway
        .counted("sessions_ended_total", Code::TooLarge, 1)
        .await;
    let ping = Frame::new(
        Kind::Ping,
        3,
        neighbour.address,
        Address::GATEWAY,
        &Ping.encode(),
    );
    neighbour.send(ping).await;
    neighbour.receive_kind(Kind::Ping).await;
    gateway.stop().await;
}

#[tokio::test]
async fn withdrawn_rights_act_on_open_sockets_within_a_second() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let _controller = Controller::online(&gateway, who).await;
    let token = gateway.log_in("operator").await;
    let mut logged_out = Tool::enter(gateway.http, &token).await;
    let mut demoted = gateway.tool("operator").await;
    let mut removed = gateway.tool("admin").await;

    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let response = request(gateway.http, "POST", "/api/logout", &headers, "").await;
    assert_eq!(response.status, 204);
    let (code, took) = timed(logged_out.ending()).await;
    assert_eq!(code, Some(Code::Revoked));
    assert!(took < Duration::from_secs(1), "{took:?}");

    // As another process does it: by the store alone.
    let config = &gateway.stores.config;
    config.remove_account(title("admin")).await.unwrap();
    let (code, took) = timed(removed.ending()).await;
    assert_eq!(code, Some(Code::Revoked));
    assert!(took < Duration::from_secs(2), "{took:?}");
    gateway
        .counted("sessions_ended_total", Code::Revoked, 2)
        .await;

    config
        .set_rights(title("operator"), Rights::everywhere(Role::Viewer))
        .await
        .unwrap();
    until("the smaller role", async || {
        demoted.command(who.address, false).await;
        let receipt = demoted.receipt().await;
        (receipt.reason == Some(Code::Forbidden)).then_some(())
    })
    .await;
    let socket = web_socket(gateway.http, &[]).await.unwrap();
    let refused = Tool::say_hello(socket, tool_hello(Some(&token), None))
        .await
        .err();
    assert_eq!(refused, Some(Code::BadToken));
    gateway.stop().await;
}

#[tokio::test]
async fn what_waits_goes_with_the_right_to_give_it() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let waiting = async || gateway.metric("commands_waiting").await;
    let config = &gateway.stores.config;
    // The one hears of it, and the other has left before.
    let mut demoted = gateway.tool("operator").await;
    demoted.command(who.address, true).await;
    assert_eq!(demoted.receipt().await.stage, Stage::Queued);
    let mut removed = gateway.tool("admin").await;
    removed.command(who.address, true).await;
    assert_eq!(removed.receipt().await.stage, Stage::Queued);
    drop(removed);
    until("both wait", async || (waiting().await == 2).then_some(())).await;
    config
        .set_rights(title("operator"), Rights::everywhere(Role::Viewer))
        .await
        .unwrap();
    let refused = demoted.receipt().await;
    assert_eq!(refused.stage, Stage::Refused);
    assert_eq!(refused.reason, Some(Code::Forbidden));
    config.remove_account(title("admin")).await.unwrap();
    until("none waits", async || (waiting().await == 0).then_some(())).await;
    until("none is stored", async || {
        let stored = config.stored_commands().await.unwrap();
        stored.is_empty().then_some(())
    })
    .await;
    gateway.stop().await;
}

/// The newcomer brings the later news of its account, before anybody has looked for it.
#[tokio::test]
async fn a_tool_that_comes_with_fewer_rights_takes_them_from_those_that_are_there() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let config = &gateway.stores.config;
    let token = gateway.log_in("operator").await;
    let mut open = Tool::enter(gateway.http, &token).await;
    open.command(who.address, true).await;
    assert_eq!(open.receipt().await.stage, Stage::Queued);
    config
        .set_rights(title("operator"), Rights::everywhere(Role::Viewer))
        .await
        .unwrap();
    let _newcomer = Tool::enter(gateway.http, &token).await;
    let withdrawn = open.receipt().await;
    assert_eq!(withdrawn.reason, Some(Code::Forbidden));
    open.command(who.address, true).await;
    let refused = open.receipt().await;
    assert_eq!(refused.stage, Stage::Refused);
    assert_eq!(refused.reason, Some(Code::Forbidden));
    gateway.stop().await;
}

/// A store that keeps the answer to `installation`, which comes after the log-in's, for itself until
/// it is let go, and counts its answers to `access_revision`.
#[derive(Default)]
struct Holds {
    is_held: Notify,
    go: Notify,
    revisions: watch::Sender<u32>,
}

impl Guard for Holds {
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let answer = future.await;
            match call {
                "installation" => {
                    self.is_held.notify_one();
                    self.go.notified().await;
                }
                "access_revision" => self.revisions.send_modify(|count| *count += 1),
                _ => {}
            }
            answer
        })
    }
}

#[tokio::test]
async fn a_log_in_withdrawn_while_its_tool_comes_in_does_not_hold() {
    let holds = Arc::new(Holds::default());
    let guard = Arc::clone(&holds);
    let gateway = Gateway::start_on_stores(
        |_| {},
        |_, stores| Stores {
            config: Arc::new(Guarded::new(stores.config, guard)),
            ..stores
        },
    )
    .await;
    let token = gateway.log_in("operator").await;
    let socket = web_socket(gateway.http, &[]).await.unwrap();
    let coming = Tool::say_hello(socket, tool_hello(Some(&token), Some([1; 16])));
    let withdrawn = async {
        soon("the log-in to be looked up", holds.is_held.notified()).await;
        let removal = gateway.stores.config.remove_account(title("operator"));
        removal.await.unwrap();
        // The first look from here on may have begun before; the second has told the yard when the
        // third begins. None of them finds the tool.
        let mut revisions = holds.revisions.subscribe();
        let seen = *revisions.borrow() + 3;
        let looked = revisions.wait_for(|&count| count >= seen);
        soon("the gateway to look", looked).await.unwrap();
        holds.go.notify_one();
    };
    let (tool, ()) = tokio::join!(coming, withdrawn);
    assert_eq!(tool.unwrap().ending().await, Some(Code::Revoked));
    gateway.stop().await;
}

#[tokio::test]
async fn a_tool_that_stops_reading_is_cut_off_while_its_neighbours_go_on() {
    let gateway = Gateway::start_with(|settings| {
        settings.slow_peer_timeout = Duration::from_millis(700);
        settings.tool_queue_bytes_max = 64 * 1024;
    })
    .await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let token = gateway.log_in("viewer").await;
    let mut slow = Tool::enter_narrow(gateway.http, &token).await;
    slow.subscribe().await;
    let mut brisk = Tool::enter(gateway.http, &token).await;
    brisk.subscribe().await;
    let mut value = 0;
    let mut head = None;
    let start = std::time::Instant::now();
    loop {
        // The relay's own 30 s would come too late.
        assert!(start.elapsed() < Duration::from_secs(20), "still there");
        // The brisk one gets every delta of every round, in order, the slow one reads nothing.
        for _ in 0..200 {
            value = 1 - value;
            let delta = controller.delta(value);
            controller.send(&[delta]).await;
        }
        for _ in 0..200 {
            let delta =
                Delta::decode(brisk.receive_kind(Kind::StatusDelta).await.payload()).unwrap();
            let follows =
                head.is_none_or(|head: StatusHead| head.is_followed_by(delta.head.sequence));
            assert!(follows, "{head:?} then {:?}", delta.head);
            head = Some(delta.head);
        }
        let cut = "sessions_ended_total{reason=\"slow_peer\"}";
        if gateway.metric(cut).await == 1 {
            break;
        }
    }
    assert_eq!(gateway.metric("tools_online").await, 1);
    // Until then it was spared what it could not take.
    assert!(gateway.metric("status_conflated_total").await > 0);
    controller.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_controller_that_stops_reading_is_cut_off_while_its_neighbours_go_on() {
    let gateway = Gateway::start_with(|settings| {
        settings.slow_peer_timeout = Duration::from_millis(500);
    })
    .await;
    let (stuck, well) = (gateway.enrol("Stuck").await, gateway.enrol("Well").await);
    let mut deaf = Controller::connect_narrow(gateway.tcp, stuck.address).await;
    deaf.go_online(stuck.key).await;
    deaf.is_live().await;
    let mut neighbour = Controller::online(&gateway, well).await;
    neighbour.is_live().await;
    let mut tool = gateway.tool("viewer").await;
    // Queries padded with a field that nobody knows, until nothing more fits.
    let mut payload = vec![0xA2, 0x02, 0x01, 0x18, 0x63, 0x59, 0x03, 0x84];
    payload.extend_from_slice(&[0; 900]);
    let cut = "sessions_ended_total{reason=\"slow_peer\"}";
    until("the deaf controller's end", async || {
        for _ in 0..8 {
            let correlation = tool.next_correlation();
            let source = tool.address;
            let query = Frame::new(Kind::Query, correlation, source, stuck.address, &payload);
            tool.send(query).await;
        }
        neighbour.is_live().await;
        (gateway.metric(cut).await == 1).then_some(())
    })
    .await;
    let (answer, _) = tool
        .ask(
            Address::GATEWAY,
            &Request::Lookup {
                address: stuck.address,
            },
        )
        .await;
    assert!(
        matches!(answer, Answer::Ok(Body::Lookup { online: false, .. })),
        "{answer:?}"
    );
    neighbour.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_comes_together_goes_out_together() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut tool = gateway.tool("viewer").await;
    let mut message = Vec::new();
    for correlation in 1..=5 {
        let payload = Request::Identify.encode();
        let query = Frame::new(
            Kind::Query,
            correlation,
            tool.address,
            who.address,
            &payload,
        );
        message.extend_from_slice(query.bytes());
    }
    let before = controller.records;
    let sent = tool.socket.send(Message::Binary(message.into())).await;
    sent.unwrap();
    for correlation in 1..=5 {
        let query = controller.receive_kind(Kind::Query).await;
        assert_eq!(query.header().correlation, correlation);
    }
    assert_eq!(
        controller.records - before,
        1,
        "five frames of one poll round, one record"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_polite_close_is_answered() {
    use futures_util::StreamExt as _;
    let gateway = Gateway::start().await;
    let mut tool = gateway.tool("viewer").await;
    tool.socket.close(None).await.unwrap();
    let mut closed = false;
    while let Some(message) = soon("the close", tool.socket.next()).await {
        closed |= matches!(message, Ok(Message::Close(_)));
        assert!(message.is_ok(), "{message:?}");
    }
    assert!(closed);
    gateway
        .counted("sessions_ended_total", Code::LinkLost, 1)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn stopping_tells_everybody_and_takes_no_time() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let mut tool = gateway.tool("viewer").await;
    let (_, took) = timed(async {
        gateway.shut_down();
        assert_eq!(controller.ending().await, Some(Code::ShuttingDown));
        assert_eq!(tool.ending().await, Some(Code::ShuttingDown));
        drop((controller, tool));
        gateway.stop().await;
    })
    .await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}
