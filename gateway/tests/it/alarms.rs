//! Alarms through a whole gateway: raised by scripts and rules, told over a telephone trunk that is a callee of
//! the test kit's own, acknowledged by keys and over the API.

use crate::{
    status_contract::{redis_settings, redis_store},
    support::{
        Controller, Enrolled, Gateway,
        api::{call, told},
        now, soon, title, until,
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_gateway::{
    Settings,
    alarm::CHORE,
    config::{RawAlarms, RawLimits, RawSettings, RawSip},
    store::{ConfigStore as _, ControllerKey, NewController, StatusStore as _},
};
use switchyard_protocol::{
    Address, Frame, Kind,
    message::{AlarmLevel, Event, Text},
};
use switchyard_testkit::{
    callee::{Behaviour, Callee, CalleeOptions, KeyWay, Press, What, When},
    services::Redis,
};
use tokio::runtime::Handle;

/// A trunk at a callee, for a gateway's settings. What is spoken is short: the text itself is not what is tested here.
fn dials(settings: &mut Settings, callee: &Callee) {
    let sip = RawSip {
        server: Some(callee.server()),
        user: Some("yard".into()),
        limits: RawLimits {
            at_once_max: Some(8),
            ..RawLimits::default()
        },
        ..RawSip::default()
    };
    let raw = RawSettings {
        alarms: Some(RawAlarms {
            sip: Some(sip),
            ..RawAlarms::default()
        }),
        ..RawSettings::default()
    };
    settings.alarms = raw.resolve().unwrap().alarms;
    // Tests ask more often than people.
    settings.api_requests_per_ip_per_minute_max = 100_000;
    settings.api_requests_per_account_per_minute_max = 100_000;
}

/// Somebody who knows the menu, and presses a key while it is still spoken.
fn at_once(keys: &str) -> Behaviour {
    let press = |key| Press {
        when: When::After(Duration::from_millis(1_500)),
        key,
        way: KeyWay::Event,
    };
    Behaviour {
        presses: keys.chars().map(press).collect(),
        ..Behaviour::default()
    }
}

fn callee(behaviour: Behaviour) -> Callee {
    let options = CalleeOptions {
        behaviour,
        ..CalleeOptions::default()
    };
    Callee::start(options).unwrap()
}

/// A gateway that calls there, and an admin's log-in.
async fn house(callee: &Callee) -> (Gateway, String) {
    let gateway = Gateway::start_with(|settings| dials(settings, callee)).await;
    let token = gateway.log_in("admin").await;
    (gateway, token)
}

/// A contact with a telephone; its number.
async fn contact(gateway: &Gateway, token: &str, name: &str, telephone: &str) -> u64 {
    let body = json!({ "contact": { "name": name, "telephone": telephone } });
    let added = told(gateway, token, ("POST", "/api/contacts"), &body, 201).await;
    added["id"].as_u64().unwrap()
}

/// A plan that calls contacts one after the other.
async fn plan(gateway: &Gateway, token: &str, site: u64, contacts: &[u64]) {
    let rung = |contact: &u64| json!({ "whom": { "contact": contact }, "medium": "call", "wait_s": 300, "attempts": 2, "pause_s": 1 });
    let chain: Vec<_> = contacts.iter().map(rung).collect();
    let body = json!({ "chain": chain, "again_s": 900 });
    let path = format!("/api/alarm-plans/{site}");
    told(gateway, token, ("PUT", &path), &body, 200).await;
}

/// Has a controller's script say something of an alarm; it is kept when this returns.
async fn say(controller: &mut Controller, number: u32, alarm: u8, raised: bool) {
    let event = Event::Alarm {
        number,
        time: None,
        level: AlarmLevel::High,
        text: Text::new("High water").unwrap(),
        raised,
        alarm,
    };
    let (from, gateway) = (controller.address, Address::GATEWAY);
    let frame = Frame::new(Kind::Event, number, from, gateway, &event.encode());
    controller.send(&[frame]).await;
    controller.receive_kind(Kind::Response).await;
}

async fn alarms(gateway: &Gateway, token: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/alarms{query}");
    let page = told(gateway, token, ("GET", &path), &Value::Null, 200).await;
    page["alarms"].as_array().unwrap().clone()
}

/// Waits until the only alarm stands so.
async fn stands(gateway: &Gateway, token: &str, state: &str) -> Value {
    let what = format!("the alarm to be {state}");
    until(&what, async || {
        let alarms = alarms(gateway, token, "").await;
        assert!(alarms.len() <= 1, "{alarms:?}");
        alarms.into_iter().find(|it| it["state"] == state)
    })
    .await
}

async fn history(gateway: &Gateway, token: &str, alarm: &Value) -> Value {
    let path = format!("/api/alarms/{}", alarm["id"]);
    told(gateway, token, ("GET", &path), &Value::Null, 200).await
}

/// Waits off the runtime's threads for what a callee does.
async fn heard(callee: &Callee, what: What, count: usize) {
    until(&format!("{what:?} × {count}"), async || {
        (callee.count(&what) >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripts_alarm_rings_a_telephone_and_a_key_acknowledges_it() {
    let callee = callee(Behaviour::pressing("1"));
    let (gateway, token) = house(&callee).await;
    let li = contact(&gateway, &token, "Li", "+49 30 1").await;
    plan(&gateway, &token, 0, &[li]).await;
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(&gateway, who).await;
    say(&mut pump, 1, 0, true).await;

    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Li");
    assert_eq!(alarm["acknowledged"]["how"], "call");
    assert_eq!(
        (&alarm["text"], &alarm["severity"]),
        (&json!("High water"), &json!("high"))
    );
    assert_eq!(alarm["controller_title"], "Pump house");
    let history = until("the call's end", async || {
        let history = history(&gateway, &token, &alarm).await;
        (history["attempts"][0]["outcome"] != Value::Null).then_some(history)
    })
    .await;
    let attempt = &history["attempts"][0];
    assert_eq!(
        (&attempt["keys"], &attempt["outcome"]["kind"]),
        (&json!("1"), &json!("acknowledged"))
    );
    let steps: Vec<_> = attempt["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["step"])
        .collect();
    assert_eq!(steps, ["begun", "ringing", "answered", "told"]);
    let kinds: Vec<_> = history["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, ["raised", "attempted", "acknowledged"]);
    assert_eq!(callee.calls(), 1);
    heard(&callee, What::HungUpByCaller, 1).await;

    say(&mut pump, 2, 0, false).await;
    stands(&gateway, &token, "cleared").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acknowledges_on_the_page_stops_the_ringing() {
    let callee = callee(Behaviour::never_taken());
    let (gateway, token) = house(&callee).await;
    let li = contact(&gateway, &token, "Li", "+49301").await;
    plan(&gateway, &token, 0, &[li]).await;
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(&gateway, who).await;
    say(&mut pump, 1, 0, true).await;
    heard(&callee, What::Rang, 1).await;
    let alarm = &alarms(&gateway, &token, "?open=true").await[0];
    assert_eq!(alarm["next"]["is_under_way"], true);

    let operator = gateway.log_in("operator").await;
    let body = json!({ "alarms": [alarm["id"]], "comment": "on my way" });
    let path = ("POST", "/api/alarms/acknowledge");
    let handled = told(&gateway, &operator, path, &body, 200).await;
    assert_eq!(handled["alarms"][0]["state"], "acknowledged");
    assert_eq!(handled["alarms"][0]["acknowledged"]["by"], "operator");
    heard(&callee, What::Withdrawn, 1).await;
    let history = history(&gateway, &token, alarm).await;
    let notes = history["notes"].as_array().unwrap();
    assert_eq!(notes.last().unwrap()["text"], "on my way");
    let viewer = gateway.log_in("viewer").await;
    let refused = call(&gateway, &viewer, "POST", "/api/alarms/acknowledge", &body).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_looks_at_values_and_the_next_one_is_called_by_two() {
    let callee = callee(at_once("1"));
    callee.behave("+492", at_once("2"));
    let (gateway, token) = house(&callee).await;
    let bo = contact(&gateway, &token, "Bo", "+492").await;
    let li = contact(&gateway, &token, "Li", "+491").await;
    plan(&gateway, &token, 0, &[bo, li]).await;
    let rule = json!({
        "name": "pump", "text": "The pump runs", "severity": "medium",
        "condition": { "kind": "is", "point": "RL1", "value": 1 },
    });
    told(&gateway, &token, ("POST", "/api/alarm-rules"), &rule, 201).await;
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(&gateway, who).await;
    let full = pump.full();
    pump.send(&[full]).await;
    let on = pump.delta(1);
    pump.send(&[on]).await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(
        (&alarm["text"], &alarm["value"]),
        (&json!("The pump runs"), &json!("on"))
    );
    assert_eq!(alarm["acknowledged"]["by"], "Li");
    let off = pump.delta(0);
    pump.send(&[off]).await;
    stands(&gateway, &token, "cleared").await;
    assert_eq!(callee.calls(), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_it_is_not_heard_and_a_pin_comes_first() {
    // A voicemail: it talks, and presses nothing.
    let callee = callee(Behaviour {
        greeting: vec![8_000; 8_000],
        hangs_up_after: Some(Duration::from_secs(4)),
        ..Behaviour::default()
    });
    let (gateway, token) = house(&callee).await;
    let bo = contact(&gateway, &token, "Bo", "+492").await;
    let body = json!({ "contact": { "name": "Li", "telephone": "+491" }, "pin": "4711" });
    let li = told(&gateway, &token, ("POST", "/api/contacts"), &body, 201).await;
    assert_eq!(li["has_pin"], true);
    assert!(!li.to_string().contains("4711"));
    callee.behave("+491", at_once("47111"));
    let chain = json!([
        { "whom": { "contact": bo }, "medium": "call", "wait_s": 1 },
        { "whom": { "contact": li["id"] }, "medium": "call", "wait_s": 1 },
    ]);
    let body = json!({ "chain": chain, "again_s": 900 });
    told(&gateway, &token, ("PUT", "/api/alarm-plans/0"), &body, 200).await;
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(&gateway, who).await;
    say(&mut pump, 1, 0, true).await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Li");
    let history = history(&gateway, &token, &alarm).await;
    let attempts = history["attempts"].as_array().unwrap();
    assert_eq!(attempts[1]["outcome"]["kind"], "unanswered");
    assert_eq!(
        attempts[0]["keys"], "****1",
        "of a PIN only that there was one"
    );
    gateway.stop().await;
}

/// Enrols controllers of a site of their own and brings them on line.
async fn site(gateway: &Gateway, token: &str, name: &str, count: usize) -> (u64, Vec<Controller>) {
    let body = json!({ "name": name });
    let site = told(gateway, token, ("POST", "/api/sites"), &body, 201).await;
    let site = site["site"].as_u64().unwrap();
    let key = [7; 32];
    let wanted = (0..count).map(|it| NewController {
        title: title(&format!("{name} {it}")),
        key: ControllerKey(key),
        site: Some(switchyard_protocol::SiteId(u32::try_from(site).unwrap())),
    });
    let config = &gateway.stores.config;
    let addresses = config.enrol(wanted.collect(), 65_536, now()).await.unwrap();
    let mut controllers = Vec::new();
    for address in addresses {
        controllers.push(Controller::online(gateway, Enrolled { address, key }).await);
    }
    (site, controllers)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_alarms_of_five_sites_are_one_call_for_each_person() {
    let mut ringing = at_once("1");
    // All of them have come by then.
    ringing.ring = Duration::from_secs(8);
    let callee = callee(ringing);
    let (gateway, token) = house(&callee).await;
    let mut controllers = Vec::new();
    for number in 1..=5 {
        let name = format!("Site {number}");
        let (site, of_site) = site(&gateway, &token, &name, 10).await;
        let telephone = format!("+49{number}");
        let person = contact(&gateway, &token, &format!("Person {number}"), &telephone).await;
        plan(&gateway, &token, site, &[person]).await;
        controllers.extend(of_site);
    }
    let raising = controllers.into_iter().map(|mut controller| {
        tokio::spawn(async move {
            for alarm in 0..10 {
                say(&mut controller, u32::from(alarm) + 1, alarm, true).await;
            }
            controller
        })
    });
    let raising: Vec<_> = raising.collect();
    let mut online = Vec::new();
    for raised in raising {
        online.push(soon("ten alarms", raised).await.unwrap());
    }
    until("everything to be acknowledged", async || {
        let alarms = alarms(&gateway, &token, "?limit=1000").await;
        let heard = alarms
            .iter()
            .filter(|it| it["state"] == "acknowledged")
            .count();
        (alarms.len() == 500 && heard == 500).then_some(())
    })
    .await;
    assert_eq!(callee.calls(), 5, "{:?}", callee.steps());
    let path = ("GET", "/api/attempts");
    let attempts = told(&gateway, &token, path, &Value::Null, 200).await;
    let attempts = attempts["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 5);
    for attempt in attempts {
        assert_eq!(attempt["alarms"].as_array().unwrap().len(), 100);
    }
    drop(online);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_news_and_a_test_rings() {
    let callee = callee(at_once("1"));
    let (gateway, token) = house(&callee).await;
    let li = contact(&gateway, &token, "Li", "+491").await;
    let page = told(&gateway, &token, ("GET", "/api/alarms"), &Value::Null, 200).await;
    let path = format!("/api/alarms?revision={}&wait_s=25", page["revision"]);
    let waiting = told(&gateway, &token, ("GET", &path), &Value::Null, 200);
    let test_path = format!("/api/contacts/{li}/test");
    let body = json!({ "medium": "call" });
    let testing = told(&gateway, &token, ("POST", &test_path), &body, 202);
    let (page, tested) = tokio::join!(waiting, testing);
    assert_eq!(page["alarms"][0]["source"]["kind"], "test");
    let alarm = json!({ "id": tested["alarm"] });
    let ended = until("the test's end", async || {
        let history = history(&gateway, &token, &alarm).await;
        (history["attempts"][0]["outcome"]["kind"] == "acknowledged").then_some(history)
    })
    .await;
    assert_eq!(ended["alarm"]["state"], "cleared");
    let body = json!({ "medium": "email" });
    let refused = call(&gateway, &token, "POST", &test_path, &body).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_outlives_its_gateway() {
    let callee = callee(at_once("1"));
    let gateway = Gateway::start_with(|settings| dials(settings, &callee)).await;
    let token = gateway.log_in("admin").await;
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(&gateway, who).await;
    // Nobody is told: there is no plan yet.
    say(&mut pump, 1, 0, true).await;
    stands(&gateway, &token, "raised").await;
    let gateway = gateway.restart().await;
    let token = gateway.log_in("admin").await;
    stands(&gateway, &token, "raised").await;
    assert_eq!(callee.calls(), 0);
    let li = contact(&gateway, &token, "Li", "+491").await;
    plan(&gateway, &token, 0, &[li]).await;
    stands(&gateway, &token, "acknowledged").await;
    assert_eq!(callee.calls(), 1);
    gateway.stop().await;
}

/// How alarms stand is told by whoever is in charge of them, and seen at every gateway of the same status store.
#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_shows_how_alarms_stand() {
    let redis = Redis::start().unwrap();
    let (store, settings) = (
        redis_store(&redis, "yard:"),
        redis_settings(&redis, "yard:"),
    );
    let with_redis = |it: &mut Settings| it.redis = Some(settings);
    // Somebody else is in charge.
    let gateway = Gateway::start_on_stores(with_redis, |_, stores| {
        let (holder, term) = ([9; 16], Duration::from_secs(3_600));
        let held = stores
            .config
            .acquire_lease(title(CHORE), holder, term, now());
        let held = tokio::task::block_in_place(|| Handle::current().block_on(held));
        held.unwrap().unwrap();
        stores
    })
    .await;
    let (admin, viewer) = (
        gateway.log_in("admin").await,
        gateway.log_in("viewer").await,
    );
    let overview = async |token: &str| {
        let path = "/api/alarm-overview";
        told(&gateway, token, ("GET", path), &Value::Null, 200).await
    };
    assert_eq!(overview(&admin).await["is_watched"], false);
    let standing = json!({ "is_owner": true, "faults": { "sip": "no answer of pbx.example" } });
    let standing = standing.to_string().into_bytes().into();
    let term = Duration::from_secs(3_600);
    store.put_alarm_standing(standing, term).await.unwrap();
    let seen = overview(&admin).await;
    assert_eq!(seen["is_watched"], true);
    assert_eq!(seen["channels"][0]["reason"], "no answer of pbx.example");
    // Who may not see contacts sees that it is so, and not why.
    let seen = overview(&viewer).await;
    let channel = json!([{ "channel": "sip", "is_in_order": false }]);
    assert_eq!(seen["channels"], channel);

    let callee = callee(at_once("1"));
    let settings = redis_settings(&redis, "other:");
    let in_charge = Gateway::start_with(|it| {
        dials(it, &callee);
        it.redis = Some(settings);
    })
    .await;
    let store = redis_store(&redis, "other:");
    let told = until("it to be shown", async || {
        let told = store.alarm_standing().await.unwrap()?;
        let told: Value = serde_json::from_slice(&told).unwrap();
        (told["faults"]["sip"].is_null() && told["faults"].as_object()?.len() == 1).then_some(told)
    })
    .await;
    assert_eq!(told["is_owner"], true, "{told}");
    drop(in_charge);
}
