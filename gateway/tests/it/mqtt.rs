//! The bridge to an MQTT broker, against Debian's: what is told there, commands from there, and what Home Assistant
//! is told.

use crate::support::{Controller, Ear, Enrolled, Gateway, now, soon, title, until};
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_gateway::{
    Settings,
    config::{MqttSettings, RawSettings},
    store::ControllerEdit,
};
use switchyard_protocol::{
    Address, Frame, Kind,
    message::{Action, AlarmLevel, Command, Event, Name, Stage, Text},
};
use switchyard_testkit::services::Mosquitto;

/// The bridge's settings, as far as a test does not say otherwise.
pub(crate) fn mqtt(url: &str, adjust: impl FnOnce(&mut RawSettings)) -> MqttSettings {
    let mut raw = RawSettings {
        mqtt_url: Some(url.into()),
        ..RawSettings::default()
    };
    adjust(&mut raw);
    raw.resolve().unwrap().mqtt.unwrap()
}

/// A gateway at a broker, which takes commands from it.
pub(crate) async fn gateway_at(tcp_port: u16) -> Gateway {
    gateway_with(tcp_port, |raw| raw.mqtt_commands = Some(true)).await
}

/// A gateway at a broker, set up otherwise.
pub(crate) async fn gateway_with(tcp_port: u16, adjust: impl FnOnce(&mut RawSettings)) -> Gateway {
    let mqtt = mqtt(&format!("mqtt://127.0.0.1:{tcp_port}"), adjust);
    Gateway::start_with(|settings: &mut Settings| settings.mqtt = Some(mqtt)).await
}

pub(crate) fn topic(who: Enrolled, what: &str) -> String {
    format!("switchyard/{}/{what}", who.address)
}

/// Waits until the broker has a controller's value of RL1.
pub(crate) async fn told(ear: &mut Ear, who: Enrolled, value: i64) -> Value {
    let is_it = |status: &Value| status["points"]["RL1"]["value"] == value;
    ear.hear_json(&topic(who, "status"), is_it).await
}

/// The next command to a controller, and what it is to do.
pub(crate) async fn commanded(pump: &mut Controller) -> (Frame, Action) {
    let frame = pump.receive_kind(Kind::Command).await;
    let action = Command::decode(frame.payload()).unwrap().action;
    (frame, action)
}

/// Demands that a controller has been given no command up to now.
pub(crate) async fn not_commanded(pump: &mut Controller) {
    let ping = switchyard_protocol::message::Ping.encode();
    let ping = Frame::new(Kind::Ping, 78, pump.address, Address::GATEWAY, &ping);
    pump.send(&[ping]).await;
    loop {
        let frame = pump.receive().await.expect("a session");
        match frame.header().kind {
            Kind::Command => panic!("a command came: {:?}", Command::decode(frame.payload())),
            Kind::Ping if frame.header().correlation == 78 => return,
            _ => {}
        }
    }
}

/// What a command's receipt says when it is the last one.
pub(crate) async fn last_receipt(ear: &mut Ear, who: Enrolled) -> Value {
    let is_final = |receipt: &Value| receipt["final"] == true;
    ear.hear_json(&topic(who, "receipt"), is_final).await
}

pub(crate) fn set_rl1(value: i64) -> Action {
    Action::Set {
        point: Name::new("RL1").unwrap(),
        value,
    }
}

#[tokio::test]
async fn what_a_controller_is_and_says_reaches_the_broker() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let gateway = gateway_at(broker.tcp_port()).await;
    ear.hear_text("switchyard/availability", "online").await;
    let who = gateway.enrol("Pump house").await;
    ear.hear_text(&topic(who, "availability"), "offline").await;
    let mut pump = Controller::online(&gateway, who).await;
    ear.hear_text(&topic(who, "availability"), "online").await;
    let status = told(&mut ear, who, 0).await;
    assert_eq!(status["title"], "Pump house");
    assert_eq!(status["points"]["RL1"]["type"], "digital_output");
    assert_eq!(status["points"]["RL1"]["manual"], true);
    assert_eq!(status["software"], "script 1");
    for value in [1, 0, 1] {
        let delta = pump.delta(value);
        pump.send(&[delta]).await;
        let status = told(&mut ear, who, value).await;
        assert_eq!(status["points"]["RL1"]["cause"], "input");
    }
    // What its script says, once, in its order.
    for (number, raised) in [(1, true), (2, false), (2, false)] {
        let alarm = Event::Alarm {
            number,
            time: None,
            level: AlarmLevel::High,
            text: Text::new("dry").unwrap(),
            raised,
            alarm: 3,
        };
        let (from, payload) = (pump.address, alarm.encode());
        let frame = Frame::new(Kind::Event, number, from, Address::GATEWAY, &payload);
        pump.send(&[frame]).await;
        pump.receive_kind(Kind::Response).await;
    }
    let first = ear.hear_json(&topic(who, "event"), |_| true).await;
    let wanted = json!({ "event_type": "alarm_raised", "number": 1, "text": "dry", "level": "high", "alarm": 3 });
    assert_eq!(first, wanted);
    let second = ear.hear_json(&topic(who, "event"), |_| true).await;
    assert_eq!(
        (&second["event_type"], &second["number"]),
        (&json!("alarm_over"), &json!(2))
    );
    // Another name is told as well, and that it goes.
    let edit = ControllerEdit {
        title: Some(title("Well")),
        ..ControllerEdit::default()
    };
    gateway
        .stores
        .config
        .edit_controller(who.address, edit)
        .await
        .unwrap();
    ear.hear_json(&topic(who, "status"), |it| it["title"] == "Well")
        .await;
    drop(pump);
    ear.hear_text(&topic(who, "availability"), "offline").await;
    assert_eq!(
        ear.count(&topic(who, "event")),
        0,
        "the same event is one event"
    );
    // Whoever comes later finds it all.
    let mut late = Ear::at(broker.tcp_port()).await;
    for (what, text) in [
        ("status", "\"title\":\"Well\""),
        ("availability", "offline"),
    ] {
        let topic = topic(who, what);
        let found = late.hear(&topic, |it| {
            let payload = String::from_utf8_lossy(&it.payload).into_owned();
            it.retain.then_some(payload)
        });
        let found = found.await;
        assert!(found.contains(text), "{found}");
    }
    assert_eq!(gateway.metric("mqtt_connected").await, 1);
    assert!(gateway.metric("mqtt_published_total").await > 6);
    // It says so before it goes.
    gateway.stop().await;
    ear.hear_text("switchyard/availability", "offline").await;
}

#[tokio::test]
async fn a_command_comes_and_its_receipts_go() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let gateway = gateway_at(broker.tcp_port()).await;
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(&gateway, who).await;
    told(&mut ear, who, 0).await;
    for (what, payload, wanted) in [
        ("command/set/RL1", "ON", set_rl1(1)),
        ("command/set/RL1", "{\"value\": false}", set_rl1(0)),
        (
            "command/call/pulse",
            "[5000]",
            Action::Call {
                command: Name::new("pulse").unwrap(),
                arguments: vec![5_000],
            },
        ),
        (
            "command/adjust/limit",
            "21500",
            Action::Adjust {
                parameter: Name::new("limit").unwrap(),
                value: 21_500,
            },
        ),
    ] {
        ear.say(&topic(who, what), false, payload).await;
        let (command, action) = commanded(&mut pump).await;
        assert_eq!(action, wanted);
        let done = pump.receipt(&command, Stage::Executed, true);
        pump.send(&[done]).await;
        let receipt = last_receipt(&mut ear, who).await;
        assert_eq!(receipt["stage"], "executed");
        assert_eq!(
            format!("command/{}", receipt["command"].as_str().unwrap()),
            what
        );
        assert_eq!(receipt["key"].as_str().unwrap().len(), 32);
    }
    // With a key of its own a command is one, however often it is published.
    let (digits, expires) = ("0f".repeat(16), now().plus(Duration::from_secs(30)).0);
    let payload = json!({ "value": 1, "key": digits, "expires": expires }).to_string();
    ear.say(&topic(who, "command/set/RL1"), false, &payload)
        .await;
    let (command, _) = commanded(&mut pump).await;
    let done = pump.receipt(&command, Stage::Executed, true);
    pump.send(&[done]).await;
    assert_eq!(last_receipt(&mut ear, who).await["key"], digits);
    ear.say(&topic(who, "command/set/RL1"), false, &payload)
        .await;
    assert_eq!(
        last_receipt(&mut ear, who).await["stage"],
        "executed",
        "its latest receipt"
    );
    not_commanded(&mut pump).await;
    // What makes no sense is answered, and what the relay refuses likewise.
    for (what, payload, reason) in [
        ("command/set/RL1", "TOGGLE", "bad_field"),
        ("command/set/RL9", "1", "unknown_point"),
        ("command/toggle/RL1", "1", "bad_field"),
        (
            "command/set/RL1",
            "{\"value\": 1, \"expires\": 9007199254740000}",
            "out_of_range",
        ),
    ] {
        ear.say(&topic(who, what), false, payload).await;
        let receipt = last_receipt(&mut ear, who).await;
        assert_eq!(
            (&receipt["stage"], &receipt["reason"]),
            (&json!("refused"), &json!(reason))
        );
    }
    drop(pump);
    ear.hear_text(&topic(who, "availability"), "offline").await;
    ear.say(&topic(who, "command/set/RL1"), false, "1").await;
    assert_eq!(
        last_receipt(&mut ear, who).await["reason"],
        "offline",
        "it does not wait"
    );
    assert_eq!(
        gateway
            .metric("mqtt_commands_total{outcome=\"refused\"}")
            .await,
        3
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_retained_command_is_never_executed() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let refused = "mqtt_commands_total{outcome=\"refused\"}";
    // Somebody has left one there, before the gateway came, for the first controller that there will be.
    ear.say("switchyard/1/command/set/RL1", true, "1").await;
    ear.hear_text("switchyard/1/command/set/RL1", "1").await;
    let gateway = gateway_at(broker.tcp_port()).await;
    let who = gateway.enrol("Pump").await;
    assert_eq!(who.address, Address(1));
    until("the retained command to be refused", async || {
        (gateway.metric(refused).await == 1).then_some(())
    })
    .await;
    let mut pump = Controller::online(&gateway, who).await;
    told(&mut ear, who, 0).await;
    // Clearing it is no command either, and another one is.
    ear.say("switchyard/1/command/set/RL1", true, "").await;
    ear.say("switchyard/1/command/set/RL1", false, "0").await;
    let (_, action) = commanded(&mut pump).await;
    assert_eq!(action, set_rl1(0));
    assert_eq!(gateway.metric(refused).await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn without_leave_no_command_is_taken() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let gateway = gateway_with(broker.tcp_port(), |_| {}).await;
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(&gateway, who).await;
    told(&mut ear, who, 0).await;
    ear.say(&topic(who, "command/set/RL1"), false, "1").await;
    ear.hear_text(&topic(who, "command/set/RL1"), "1").await;
    // What the pump says after it has reached the broker by the same way as a command would have come.
    let delta = pump.delta(1);
    pump.send(&[delta]).await;
    told(&mut ear, who, 1).await;
    not_commanded(&mut pump).await;
    assert_eq!(ear.count(&topic(who, "receipt")), 0);
    let config = format!("homeassistant/device/switchyard_{}/config", who.address);
    let config = ear
        .hear_json(&config, |it| it["cmps"].get("binary_sensor_RL1").is_some())
        .await;
    assert_eq!(config["cmps"].get("switch_RL1"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn home_assistant_is_told_anew_when_it_starts_and_of_what_is_gone() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    // Of an earlier life of the gateway, of a controller that is no more.
    for what in ["availability", "status"] {
        ear.say(&format!("switchyard/77/{what}"), true, "online")
            .await;
        ear.hear_text(&format!("switchyard/77/{what}"), "online")
            .await;
    }
    let gateway = gateway_at(broker.tcp_port()).await;
    let who = gateway.enrol("Pump").await;
    let _pump = Controller::online(&gateway, who).await;
    for what in ["switchyard/77/availability", "switchyard/77/status"] {
        ear.hear_text(what, "").await;
    }
    let config = format!("homeassistant/device/switchyard_{}/config", who.address);
    let has_switch = |it: &Value| it["cmps"].get("switch_RL1").is_some();
    let told = ear.hear_json(&config, has_switch).await;
    let switch = &told["cmps"]["switch_RL1"];
    assert_eq!(switch["cmd_t"], topic(who, "command/set/RL1"));
    assert_eq!(told["dev"]["name"], "Pump");
    assert_eq!(told["o"]["name"], "switchyard-gateway");
    // It is told once, whatever else is told; and once more when Home Assistant has started.
    soon("the status", super::mqtt::told(&mut ear, who, 0)).await;
    ear.forget();
    ear.say("homeassistant/status", false, "online").await;
    ear.hear_json(&config, has_switch).await;
    assert_eq!(ear.count(&config), 0);
    let revoked = gateway
        .stores
        .config
        .revoke_controller(who.address, now())
        .await;
    assert!(revoked.unwrap());
    for what in [config, topic(who, "availability"), topic(who, "status")] {
        ear.hear_text(&what, "").await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn only_what_is_chosen_is_told_and_commanded() {
    let broker = Mosquitto::start().unwrap();
    let mut ear = Ear::at(broker.tcp_port()).await;
    let site = |gateway: &Gateway| {
        let config = gateway.stores.config.clone();
        async move { config.add_site(title("North"), 64, now()).await.unwrap() }
    };
    let gateway = gateway_with(broker.tcp_port(), |raw| {
        raw.mqtt_commands = Some(true);
        raw.mqtt_sites = Some("1".into());
        raw.mqtt_controllers = Some("1 2".into());
        raw.mqtt_discovery = Some(false);
    })
    .await;
    let site = site(&gateway).await;
    let (inside, outside, other) = (
        gateway.enrol("Inside").await,
        gateway.enrol("Outside").await,
        gateway.enrol("Other").await,
    );
    let move_to = async |who: Enrolled| {
        let edit = ControllerEdit {
            site: Some(Some(site)),
            ..ControllerEdit::default()
        };
        let edited = gateway.stores.config.edit_controller(who.address, edit);
        assert!(edited.await.unwrap());
    };
    // At the site, and not among those that were chosen.
    move_to(other).await;
    let mut pumps = Vec::new();
    for who in [outside, other] {
        pumps.push(Controller::online(&gateway, who).await);
    }
    move_to(inside).await;
    let _inside = Controller::online(&gateway, inside).await;
    told(&mut ear, inside, 0).await;
    for (who, pump) in [outside, other].into_iter().zip(&mut pumps) {
        assert_eq!(ear.count(&topic(who, "status")), 0);
        ear.say(&topic(who, "command/set/RL1"), false, "1").await;
        ear.hear_text(&topic(who, "command/set/RL1"), "1").await;
        not_commanded(pump).await;
    }
    assert_eq!(ear.count("homeassistant/device/switchyard_1/config"), 0);
    // It comes to the site, and is told of; and it goes.
    move_to(outside).await;
    told(&mut ear, outside, 0).await;
    let edit = ControllerEdit {
        site: Some(None),
        ..ControllerEdit::default()
    };
    let edited = gateway.stores.config.edit_controller(outside.address, edit);
    assert!(edited.await.unwrap());
    ear.hear_text(&topic(outside, "status"), "").await;
    gateway.stop().await;
}
