//! What was, over HTTP: who changed what of what the gateway keeps, and the history of points.

use crate::support::{
    Controller, Gateway,
    api::{NOTHING, call, code, told},
    now, title, until,
};
use serde_json::{Value, json};
use std::sync::Arc;
use switchyard_gateway::{
    history::{Minute, Part, Series, Summary},
    store::ControllerKey,
};
use switchyard_protocol::{
    Code,
    message::{Name, PointType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const MINUTE_MS: u64 = 60_000;

/// The audit log once it has so many records of changes over HTTP: what, text and code of each.
async fn changes(gateway: &Gateway, token: &str, count: usize) -> Vec<(String, String, Value)> {
    until("the log to have them", async || {
        let page = told(gateway, token, ("GET", "/api/audit"), &NOTHING, 200).await;
        let items = page["items"].as_array().unwrap();
        let changes = items.iter().filter(|item| {
            let what = item["what"].as_str().unwrap();
            matches!(what, "asked" | "answered") && item.get("tool").is_none()
        });
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        let changes: Vec<_> = changes
            .map(|item| (text(item, "what"), text(item, "text"), item["code"].clone()))
            .collect();
        (changes.len() >= count).then_some(changes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_what_is_on_record() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let admin = gateway.log_in("admin").await;
    let north = json!({ "name": "North" });
    told(&gateway, &admin, ("POST", "/api/sites"), &north, 201).await;
    code(&gateway, &admin, ("POST", "/api/sites"), &north, 409).await;
    let pump = format!("/api/controllers/{}", who.address);
    let edit = json!({ "title": "Pump 2", "site": 1, "tags": ["wet", "old"] });
    told(&gateway, &admin, ("PATCH", &pump), &edit, 204).await;
    let account = json!({
        "name": "li",
        "password": "a long password",
        "rights": { "sites": [{ "site": 1, "role": "operator" }] },
    });
    told(&gateway, &admin, ("POST", "/api/accounts"), &account, 201).await;
    let found = changes(&gateway, &admin, 8).await;
    let expected = [
        ("asked", "make site North", NOTHING),
        ("answered", "", json!("ok")),
        ("asked", "make site North", NOTHING),
        ("answered", "exists", NOTHING),
        (
            "asked",
            "edit: title Pump 2; site 1; tags wet, old",
            NOTHING,
        ),
        ("answered", "", json!("ok")),
        ("asked", "make account li, operator at 1", NOTHING),
        ("answered", "", json!("ok")),
    ];
    let expected = expected.map(|(what, text, code)| (what.to_owned(), text.to_owned(), code));
    assert_eq!(found, expected);

    // By whom and from where; of one controller; page by page.
    let of_pump = format!("/api/audit?controller={}", who.address);
    let page = told(&gateway, &admin, ("GET", &of_pump), &NOTHING, 200).await;
    let asked = &page["items"][0];
    assert_eq!(
        (&asked["account"], &asked["ip"]),
        (&json!("admin"), &json!("127.0.0.1"))
    );
    assert_eq!(asked["target"], who.address.0);
    assert_eq!(asked["correlation"], page["items"][1]["correlation"]);
    let (mut path, mut numbers) = ("/api/audit?limit=3".to_owned(), Vec::new());
    loop {
        let page = told(&gateway, &admin, ("GET", &path), &NOTHING, 200).await;
        let items = page["items"].as_array().unwrap();
        numbers.extend(items.iter().map(|item| item["number"].as_u64().unwrap()));
        let Some(next) = page.get("next") else { break };
        path = format!("/api/audit?limit=3&after={next}");
    }
    assert!(numbers.len() >= 8 && numbers.is_sorted());

    for name in ["viewer", "technician"] {
        let token = gateway.log_in(name).await;
        let refused = code(&gateway, &token, ("GET", "/api/audit"), &NOTHING, 403).await;
        assert_eq!(refused, "forbidden");
    }
    for wrong in ["limit=0", "limit=1001", "account=%20x", "what=asked"] {
        let path = format!("/api/audit?{wrong}");
        let response = call(&gateway, &admin, "GET", &path, &NOTHING).await;
        assert!((400..=422).contains(&response.status), "{wrong}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_changed_is_on_record_too() {
    let gateway = Gateway::start().await;
    let technician = gateway.log_in("technician").await;
    let rights = json!({ "everywhere": "admin" });
    let path = "/api/accounts/technician/rights";
    code(&gateway, &technician, ("PUT", path), &rights, 403).await;
    code(&gateway, &technician, ("GET", "/api/audit"), &NOTHING, 403).await;
    let admin = gateway.log_in("admin").await;
    let found = changes(&gateway, &admin, 2).await;
    let expected = [
        ("asked", "PUT /api/accounts/technician/rights"),
        ("answered", "forbidden"),
    ];
    let expected = expected.map(|(what, text)| (what.to_owned(), text.to_owned(), NOTHING));
    assert_eq!(found, expected);
    let by = "/api/audit?account=technician&controller=0";
    let page = told(&gateway, &admin, ("GET", by), &NOTHING, 200).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "both say who");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_by_an_admin() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let path = format!("/api/controllers/{}/rekey", who.address);
    let technician = gateway.log_in("technician").await;
    let now_s = json!({ "keep_old_s": 0 });
    code(&gateway, &technician, ("POST", &path), &now_s, 403).await;
    let admin = gateway.log_in("admin").await;
    let years = json!({ "keep_old_s": 99_999_999 });
    code(&gateway, &admin, ("POST", &path), &years, 400).await;
    controller.is_live().await;
    let day = json!({ "keep_old_s": 86_400 });
    let begun = told(&gateway, &admin, ("POST", &path), &day, 202).await;
    assert!(begun["old_until"].as_u64().unwrap() > now().0 + 80_000_000);
    assert_eq!(begun["is_new"], true);
    let sooner = told(&gateway, &admin, ("POST", &path), &now_s, 202).await;
    assert_eq!(sooner["is_new"], false, "the one on its way stays");
    assert!(sooner["old_until"].as_u64().unwrap() <= now().0);
    controller.ending().await;
    let stored = gateway.stores.config.controller(who.address).await;
    let keys = stored.unwrap().unwrap().1;
    assert_eq!(keys.current, ControllerKey(who.key));
    assert!(keys.next.is_some());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_is_taken_back_by_who_has_its_key() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let path = format!("/api/controllers/{}/unenrol", who.address);
    let hex = |key: [u8; 32]| key.map(|byte| format!("{byte:02x}")).concat();
    let mut other = who.key;
    other[31] ^= 1;
    let technician = gateway.log_in("technician").await;
    for (key, status) in [("short".to_owned(), 400), (hex(other), 403)] {
        let body = json!({ "key": key });
        code(&gateway, &technician, ("POST", &path), &body, status).await;
    }
    let operator = gateway.log_in("operator").await;
    let right = json!({ "key": hex(who.key) });
    code(&gateway, &operator, ("POST", &path), &right, 403).await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    told(&gateway, &technician, ("POST", &path), &right, 204).await;
    controller.ending().await;
    code(&gateway, &technician, ("POST", &path), &right, 404).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_told_to_who_may_see_the_controller() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let minute = u32::try_from(now().0 / MINUTE_MS).unwrap() - 10;
    let start_of = |minute: u32| u64::from(minute) * MINUTE_MS;
    let series = Arc::new(Series {
        controller: who.address,
        point: Name::new("level").unwrap(),
        point_type: PointType::AnalogueInput,
    });
    let minutes = (0..6).filter(|number| *number != 3).map(|number| Minute {
        series: Arc::clone(&series),
        number: minute + number,
        part: Part::FIRST,
        summary: Summary {
            min: 1_000,
            max: 5_000 + i64::from(number),
            mean: 2_000_000,
            last: 3_000,
            held: std::time::Duration::from_secs(60),
            samples: 4,
        },
    });
    let stored = gateway
        .stores
        .config
        .append_history(Arc::new(minutes.collect()));
    stored.await.unwrap();
    let viewer = gateway.log_in("viewer").await;
    let base = format!("/api/controllers/{}/history", who.address);
    let points = told(&gateway, &viewer, ("GET", &base), &NOTHING, 200).await;
    let level = json!({
        "point": "level",
        "type": "analogue_input",
        "first": start_of(minute),
        "last": start_of(minute + 5),
    });
    assert_eq!(points, json!({ "items": [level] }));

    let (from, to) = (start_of(minute), start_of(minute + 5));
    let path = format!("{base}/level?from={from}&to={to}&buckets=6");
    let chart = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
    assert_eq!(chart["bucket_ms"], 60_000);
    let buckets = chart["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 5, "the fourth is a gap");
    assert_eq!(buckets[4]["max"], 5_005);
    assert_eq!(buckets[4]["from"], to);
    let path = format!("{base}/level?from={from}&to={to}&buckets=2");
    let chart = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
    assert_eq!(chart["buckets"][1]["samples"], 8);
    // A day, unless it is said.
    let chart = told(
        &gateway,
        &viewer,
        ("GET", &format!("{base}/level")),
        &NOTHING,
        200,
    )
    .await;
    assert!(!chart["buckets"].as_array().unwrap().is_empty());

    for (path, status) in [
        (format!("{base}/depth"), 404),
        (format!("{base}/level?from={to}&to=0"), 422),
        (format!("{base}/level?buckets=5000"), 422),
        (format!("{base}/level?from=0"), 422),
        ("/api/controllers/77/history".to_owned(), 404),
        ("/api/controllers/77/history/level".to_owned(), 404),
    ] {
        code(&gateway, &viewer, ("GET", &path), &NOTHING, status).await;
    }
    // Whoever may not see the controller does not learn that there is one.
    let site = gateway
        .stores
        .config
        .add_site(title("there"), 10, now())
        .await
        .unwrap();
    let account = switchyard_gateway::store::Account {
        name: title("elsewhere"),
        rights: switchyard_relay::Rights::new(None, [(site, switchyard_protocol::Role::Admin)]),
        password_hash: switchyard_gateway::hash_password(crate::support::PASSWORD).unwrap(),
        totp: None,
        created: now(),
    };
    gateway.stores.config.add_account(account).await.unwrap();
    let elsewhere = gateway.log_in("elsewhere").await;
    code(&gateway, &elsewhere, ("GET", &base), &NOTHING, 404).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_goes_while_a_body_is_on_its_way_is_gone() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let mut tool = gateway.tool("admin").await;
    let body = r#"{"name":"North"}"#;
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    let head = format!(
        "POST /api/sites HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {admin}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{{",
        gateway.http,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    until("the head to be let in", async || {
        let admitted = gateway
            .metric(r#"api_requests_total{outcome="admitted"}"#)
            .await;
        (admitted == 1).then_some(())
    })
    .await;
    let removed = gateway.stores.config.remove_account(title("admin")).await;
    assert!(removed.unwrap());
    assert_eq!(tool.ending().await, Some(Code::Revoked));
    stream.write_all(&body.as_bytes()[1..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(gateway.stores.config.sites().await.unwrap(), []);
    gateway.stop().await;
}
