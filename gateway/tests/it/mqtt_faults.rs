//! The bridge to an MQTT broker when that is not as it should be: killed, hung, of another mind, delivering twice. The
//! yard never notices.

use crate::{
    mqtt::{
        commanded, gateway_at, gateway_with, last_receipt, mqtt, not_commanded, set_rl1, told,
        topic,
    },
    process::{Running, program},
    support::{Authority, Controller, Ear, Enrolled, Gateway, Tool, now, soon, title, until},
};
use bytes::BytesMut;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, Publish, QoS, SubAck, SubscribeReasonCode};
use std::{process::Stdio, time::Duration};
use switchyard_gateway::{Settings, store::ControllerEdit};
use switchyard_protocol::{
    Address, Frame, Kind,
    message::{Event, Stage, Text},
};
use switchyard_testkit::services::{Mosquitto, MosquittoOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long peers may take for what needs no broker.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(5);

async fn is_connected(gateway: &Gateway, wanted: bool) {
    until("the broker to come or go", async || {
        (gateway.metric("mqtt_connected").await == u64::from(wanted)).then_some(())
    })
    .await;
}

/// A value from a controller to an operator, and a command with its receipt back: in time, whatever the broker does.
async fn exchange(pump: &mut Controller, operator: &mut Tool, value: i64) {
    let exchange = async {
        let delta = pump.delta(value);
        pump.send(std::slice::from_ref(&delta)).await;
        let came = operator.receive_kind(Kind::StatusDelta).await;
        assert_eq!(came.bytes(), delta.bytes());
        let key = operator.command(pump.address, false).await;
        let command = pump.receive_kind(Kind::Command).await;
        let done = pump.receipt(&command, Stage::Executed, true);
        pump.send(&[done]).await;
        loop {
            let receipt = operator.receipt().await;
            assert_eq!(receipt.key, key);
            if receipt.stage == Stage::Executed {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(EXCHANGE_TIME_MAX, exchange);
    in_time.await.expect("peers that wait for no broker");
}

/// Ten values at once, and an exchange of the last one: in time as well.
async fn burst(pump: &mut Controller, operator: &mut Tool, last: i64) {
    let deltas: Vec<_> = (0..10).map(|number| pump.delta(number % 2)).collect();
    pump.send(&deltas).await;
    for delta in &deltas {
        let came = operator.receive_kind(Kind::StatusDelta).await;
        assert_eq!(came.bytes(), delta.bytes());
    }
    exchange(pump, operator, last).await;
}

/// A pump that is there, and an operator who watches it.
async fn peers(gateway: &Gateway) -> (Enrolled, Controller, Tool) {
    let who = gateway.enrol("Pump").await;
    let pump = Controller::online(gateway, who).await;
    let mut operator = gateway.tool("operator").await;
    operator.subscribe().await;
    (who, pump, operator)
}

async fn happen(pump: &mut Controller, number: u32) {
    let event = Event::Happened {
        number,
        time: None,
        text: Text::new("door").unwrap(),
        values: Vec::new(),
    };
    let (from, payload) = (pump.address, event.encode());
    let frame = Frame::new(Kind::Event, number, from, Address::GATEWAY, &payload);
    pump.send(&[frame]).await;
    pump.receive_kind(Kind::Response).await;
}

#[tokio::test]
async fn a_broker_that_dies_is_told_everything_when_it_is_back() {
    let mut broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let gateway = gateway_at(broker.tcp_port()).await;
    let (who, mut pump, mut operator) = peers(&gateway).await;
    told(&mut ear, who, 0).await;
    broker.kill().unwrap();
    is_connected(&gateway, false).await;
    ear.forget();
    for number in 1..=5 {
        exchange(&mut pump, &mut operator, i64::from(number % 2)).await;
        happen(&mut pump, number).await;
    }
    broker.start_again().unwrap();
    is_connected(&gateway, true).await;
    // What is, and is retained, for those who come later than the gateway did.
    let mut late = Ear::at(broker.tcp_port()).await;
    late.hear_text("switchyard/availability", "online").await;
    told(&mut late, who, 1).await;
    late.hear_text(&topic(who, "availability"), "online").await;
    let config = format!("homeassistant/device/switchyard_{}/config", who.address);
    late.hear_json(&config, |_| true).await;
    exchange(&mut pump, &mut operator, 0).await;
    told(&mut late, who, 0).await;
    late.say(&topic(who, "command/set/RL1"), false, "1").await;
    let (command, action) = commanded(&mut pump).await;
    assert_eq!(action, set_rl1(1));
    let done = pump.receipt(&command, Stage::Executed, true);
    pump.send(&[done]).await;
    assert_eq!(last_receipt(&mut late, who).await["stage"], "executed");
    assert_eq!(gateway.metric("mqtt_connections_total").await, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn events_wait_for_a_broker_that_is_away() {
    let mut broker = Mosquitto::start_with(MosquittoOptions {
        keeps: true,
        ..MosquittoOptions::default()
    })
    .unwrap();
    let mut ear = Ear::lasting(broker.tcp_port()).await;
    let gateway = gateway_at(broker.tcp_port()).await;
    let (who, mut pump, _operator) = peers(&gateway).await;
    is_connected(&gateway, true).await;
    broker.stop().unwrap();
    is_connected(&gateway, false).await;
    for number in 1..=5 {
        happen(&mut pump, number).await;
    }
    broker.start_again().unwrap();
    for number in 1..=5 {
        let event = ear.hear_json(&topic(who, "event"), |_| true).await;
        assert_eq!(event["number"], number, "in their order");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_broker_that_hangs_holds_nobody_up_and_is_given_up() {
    let mut broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let gateway = gateway_with(broker.tcp_port(), |raw| {
        raw.mqtt_keep_alive = Some("1s".parse().unwrap());
    })
    .await;
    let (who, mut pump, mut operator) = peers(&gateway).await;
    told(&mut ear, who, 0).await;
    broker.freeze().unwrap();
    for number in 1..=20 {
        burst(&mut pump, &mut operator, number % 2).await;
    }
    is_connected(&gateway, false).await;
    exchange(&mut pump, &mut operator, 1).await;
    broker.thaw().unwrap();
    is_connected(&gateway, true).await;
    let mut late = Ear::at(broker.tcp_port()).await;
    told(&mut late, who, 1).await;
    // Two hundred changes were far fewer messages.
    assert!(gateway.metric("mqtt_conflated_total").await > 100);
    assert!(gateway.metric("mqtt_published_total").await < 100);
    gateway.stop().await;
}

#[tokio::test]
async fn a_broker_that_reads_slowly_gets_the_latest_and_no_queue() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp_port = listener.local_addr().unwrap().port();
    let gateway = gateway_with(tcp_port, |raw| raw.mqtt_discovery = Some(false)).await;
    let (who, mut pump, mut operator) = peers(&gateway).await;
    let mut broker = Broker::accept(&listener).await;
    broker.welcome(true).await;
    for number in 1..=30 {
        burst(&mut pump, &mut operator, number % 2).await;
    }
    exchange(&mut pump, &mut operator, 1).await;
    let edit = ControllerEdit {
        title: Some(title("The end")),
        ..ControllerEdit::default()
    };
    let edited = gateway.stores.config.edit_controller(who.address, edit);
    assert!(edited.await.unwrap());
    // It reads at last: what it finds are far fewer messages than changes, and the last of them is the latest.
    let status = topic(who, "status");
    let mut count = 0;
    let last = loop {
        let publish = broker.publish_on(&status).await;
        count += 1;
        let status: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
        if status["title"] == "The end" {
            break status;
        }
    };
    assert_eq!(last["points"]["RL1"]["value"], 1);
    assert!(count < 150, "{count} messages");
    assert!(gateway.metric("mqtt_conflated_total").await > 150);
    drop(broker);
    gateway.stop().await;
}

/// A broker by script, for what none that is in order does.
struct Broker {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Broker {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = soon("the gateway to dial", listener.accept())
            .await
            .unwrap();
        Broker {
            stream,
            buffer: BytesMut::new(),
        }
    }

    async fn packet(&mut self) -> Packet {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, 1 << 20) {
                return packet;
            }
            let read = soon("a packet", self.stream.read_buf(&mut self.buffer)).await;
            assert_ne!(read.unwrap(), 0, "the gateway has gone");
        }
    }

    async fn say(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Lets the gateway in, as one that is new or that is remembered, and has it subscribed.
    async fn welcome(&mut self, is_new: bool) {
        let Packet::Connect(hello) = self.packet().await else {
            panic!("no hello");
        };
        assert!(hello.clean_session, "nothing is to wait for it");
        let will = hello.last_will.unwrap();
        assert_eq!(
            (&*will.topic, will.retain),
            ("switchyard/availability", true)
        );
        assert_eq!(will.message, "offline");
        self.say(Packet::ConnAck(ConnAck::new(
            ConnectReturnCode::Success,
            !is_new,
        )))
        .await;
        let Packet::Subscribe(subscribe) = self.packet().await else {
            panic!("no subscription");
        };
        let codes = subscribe.filters.iter();
        let codes = codes.map(|filter| SubscribeReasonCode::Success(filter.qos));
        let answer = SubAck::new(subscribe.pkid, codes.collect());
        self.say(Packet::SubAck(answer)).await;
    }

    /// Delivers a command with QoS 1, and waits until it is taken.
    async fn deliver(&mut self, topic: &str, packet_id: u16, dup: bool) {
        self.deliver_what(topic, packet_id, dup, "1").await;
    }

    async fn deliver_what(&mut self, topic: &str, packet_id: u16, dup: bool, payload: &str) {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        (publish.pkid, publish.dup) = (packet_id, dup);
        self.say(Packet::Publish(publish)).await;
        loop {
            match self.packet().await {
                Packet::PubAck(taken) if taken.pkid == packet_id => return,
                packet => self.keep(packet).await,
            }
        }
    }

    /// The next message on a topic.
    async fn publish_on(&mut self, topic: &str) -> Publish {
        loop {
            match self.packet().await {
                Packet::Publish(publish) if publish.topic == topic => {
                    if publish.pkid != 0 {
                        let taken = rumqttc::PubAck::new(publish.pkid);
                        self.say(Packet::PubAck(taken)).await;
                    }
                    return publish;
                }
                packet => self.keep(packet).await,
            }
        }
    }

    /// Does nothing until the gateway has asked so many times whether it is there.
    async fn hang(&mut self, times: usize) {
        for _ in 0..times {
            while self.packet().await != Packet::PingReq {}
        }
    }

    /// Answers what has to be answered.
    async fn keep(&mut self, packet: Packet) {
        if packet == Packet::PingReq {
            self.say(Packet::PingResp).await;
        }
    }

    async fn receipt(&mut self, who: Enrolled) -> serde_json::Value {
        loop {
            let publish = self.publish_on(&topic(who, "receipt")).await;
            let receipt: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
            if receipt["final"] == true {
                return receipt;
            }
        }
    }
}

#[tokio::test]
async fn a_command_that_is_delivered_twice_is_executed_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway_at(listener.local_addr().unwrap().port()).await;
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(&gateway, who).await;
    let mut broker = Broker::accept(&listener).await;
    broker.welcome(true).await;
    let known = topic(who, "status");
    while !broker
        .publish_on(&known)
        .await
        .payload
        .windows(3)
        .any(|it| it == b"RL1")
    {}
    let set = topic(who, "command/set/RL1");
    broker.deliver(&set, 5, false).await;
    let (command, action) = commanded(&mut pump).await;
    assert_eq!(action, set_rl1(1));
    // Once more while it is under way, and once more when it is over.
    broker.deliver(&set, 5, true).await;
    not_commanded(&mut pump).await;
    let done = pump.receipt(&command, Stage::Executed, true);
    pump.send(&[done]).await;
    let first = broker.receipt(who).await;
    assert_eq!(first["stage"], "executed");
    broker.deliver(&set, 5, true).await;
    assert_eq!(
        broker.receipt(who).await["key"],
        first["key"],
        "the same command"
    );
    not_commanded(&mut pump).await;
    // The same number and content, and new: another command.
    broker.deliver(&set, 5, false).await;
    let (command, _) = commanded(&mut pump).await;
    let done = pump.receipt(&command, Stage::Executed, true);
    pump.send(&[done]).await;
    let second = broker.receipt(who).await;
    assert_ne!(second["key"], first["key"]);
    // A broker that keeps a session in spite of what it was told delivers it on the next connection.
    drop(broker);
    let mut broker = Broker::accept(&listener).await;
    broker.welcome(false).await;
    broker.deliver(&set, 5, true).await;
    assert_eq!(broker.receipt(who).await["key"], second["key"]);
    not_commanded(&mut pump).await;
    // And of one whose first time nobody here has seen, nobody knows how old it is.
    broker.deliver(&set, 6, true).await;
    let refused = broker.receipt(who).await;
    assert_eq!(
        (&refused["stage"], &refused["reason"]),
        (&"refused".into(), &"expired".into())
    );
    not_commanded(&mut pump).await;
    drop(broker);
    gateway.stop().await;
}

#[tokio::test]
async fn what_may_have_lain_at_a_broker_that_hung_is_not_executed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway_at(listener.local_addr().unwrap().port()).await;
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(&gateway, who).await;
    let mut broker = Broker::accept(&listener).await;
    broker.welcome(true).await;
    let known = topic(who, "status");
    while !broker
        .publish_on(&known)
        .await
        .payload
        .windows(3)
        .any(|it| it == b"RL1")
    {}
    // For ten seconds: longer than a command may take, and not long enough to be given up.
    broker.hang(2).await;
    let set = topic(who, "command/set/RL1");
    broker.deliver(&set, 7, false).await;
    let refused = broker.receipt(who).await;
    assert_eq!(
        (&refused["stage"], &refused["reason"]),
        (&"refused".into(), &"expired".into())
    );
    not_commanded(&mut pump).await;
    // Whoever gives a command a key finds it in its receipt, whatever was wrong.
    let key = "000102030405060708090a0b0c0d0e0f";
    let late = now().0 + 600_000;
    for (payload, reason) in [
        (
            format!(r#"{{"value":7,"key":"{key}","expires":{late}}}"#),
            "bad_field",
        ),
        (format!(r#"{{"value":1,"key":"{key}"}}"#), "bad_field"),
    ] {
        broker.deliver_what(&set, 8, false, &payload).await;
        let refused = broker.receipt(who).await;
        assert_eq!(
            (&refused["reason"], &refused["key"]),
            (&reason.into(), &key.into()),
            "{payload}"
        );
    }
    // It answers, twice, as it was asked: what comes behind is new.
    for _ in 0..2 {
        broker.say(Packet::PingResp).await;
    }
    broker.deliver(&set, 9, false).await;
    let (command, action) = commanded(&mut pump).await;
    assert_eq!(action, set_rl1(1));
    let done = pump.receipt(&command, Stage::Executed, true);
    pump.send(&[done]).await;
    assert_eq!(broker.receipt(who).await["stage"], "executed");
    drop(broker);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_dies_is_told_of_by_its_will() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("mqtt://127.0.0.1:{}", broker.tcp_port());
    let flags = ["--log", "warn", "--mqtt-url", &url];
    let mut running = Running::start_with(folder.path(), &flags, Stdio::inherit()).await;
    ear.hear_text("switchyard/availability", "online").await;
    running.child.kill().await.unwrap();
    ear.hear_text("switchyard/availability", "offline").await;
}

#[tokio::test]
async fn tls_by_an_own_authority_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let own = Authority::new(folder.path(), "own");
    let other = Authority::new(folder.path(), "other");
    let broker = Mosquitto::start_with(MosquittoOptions {
        tls: Some((own.certificate, own.key)),
        ..MosquittoOptions::default()
    })
    .unwrap();
    let tcp_port = broker.tcp_port();
    let url = format!("mqtts://localhost:{tcp_port}");
    let at = |ca: std::path::PathBuf| mqtt(&url, |raw| raw.mqtt_ca_file = Some(ca));
    let trusted = at(own.ca.clone());
    let gateway =
        Gateway::start_with(|settings: &mut Settings| settings.mqtt = Some(trusted)).await;
    is_connected(&gateway, true).await;
    until("everything to be told", async || {
        (gateway.metric("mqtt_published_total").await > 0).then_some(())
    })
    .await;
    gateway.stop().await;
    // The doctor says why it is not let in, and starts nothing.
    for (ca, level, words) in [
        (&own.ca, "ok", "lets this gateway in"),
        (&other.ca, "error", "TLS failed"),
    ] {
        let ca = ca.to_str().unwrap();
        let flags = ["--mqtt-url", &url, "--mqtt-ca-file", ca];
        let (found_level, text) = diagnosis(folder.path(), &flags).await;
        assert!(
            found_level == level && text.contains(words),
            "{found_level}: {text}"
        );
    }
}

/// What the doctor says of the broker.
async fn diagnosis(folder: &std::path::Path, flags: &[&str]) -> (String, String) {
    let listeners = [
        "--listen-tcp",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ];
    let mut command = program(&folder.join("data"));
    command
        .args(["doctor", "--json"])
        .args(listeners)
        .args(flags);
    let output = soon("the doctor", command.output()).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let mut findings = findings.filter(|it| it["check"] == "mqtt");
    let finding = findings.next().unwrap();
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    (text("level"), text("found"))
}

#[tokio::test]
async fn a_password_is_asked_for_and_a_wrong_one_refused() {
    let broker = Mosquitto::start_with(MosquittoOptions {
        account: Some(("li".into(), "hush hush".into())),
        ..MosquittoOptions::default()
    })
    .unwrap();
    let tcp_port = broker.tcp_port();
    let log_in =
        |options: &mut rumqttc::MqttOptions| _ = options.set_credentials("li", "hush hush");
    let mut ear = Ear::with(tcp_port, log_in).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join(text.len().to_string());
        std::fs::write(&path, text).unwrap();
        path
    };
    let (right, wrong) = (file("hush hush\n"), file("wrong\n"));
    let gateway = gateway_with(tcp_port, |raw| {
        raw.mqtt_user = Some("li".into());
        raw.mqtt_password_file = Some(right.clone());
    })
    .await;
    ear.hear_text("switchyard/availability", "online").await;
    gateway.stop().await;
    ear.hear_text("switchyard/availability", "offline").await;
    let url = format!("mqtt://127.0.0.1:{tcp_port}");
    for (password, level, words) in [
        (&right, "ok", "lets this gateway in"),
        (&wrong, "error", "wrong user or password"),
    ] {
        let password = password.to_str().unwrap();
        let flags = [
            "--mqtt-url",
            &url,
            "--mqtt-user",
            "li",
            "--mqtt-password-file",
            password,
        ];
        let (found_level, text) = diagnosis(folder.path(), &flags).await;
        assert!(
            found_level == level && text.contains(words),
            "{found_level}: {text}"
        );
        assert!(!text.contains("hush"), "{text}");
    }
    // One that is not let in serves all the same, and is not told of as being there.
    let gateway = gateway_with(tcp_port, |raw| {
        raw.mqtt_user = Some("li".into());
        raw.mqtt_password_file = Some(wrong.clone());
    })
    .await;
    let (_, mut pump, mut operator) = peers(&gateway).await;
    exchange(&mut pump, &mut operator, 1).await;
    assert_eq!(gateway.metric("mqtt_connected").await, 0);
    assert_eq!(ear.count("switchyard/availability"), 0);
    gateway.stop().await;
}
