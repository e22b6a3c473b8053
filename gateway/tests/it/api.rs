//! The API over a real gateway: every resource, who may do what, and commands to a controller that answers.

use crate::support::{
    Controller, Enrolled, Gateway, PASSWORD,
    api::{NOTHING, call, code, told},
    now, request, title, totp_code, until,
};
use serde_json::{Value, json};
use switchyard_gateway::{hash_password, store::Account};
use switchyard_protocol::{
    Kind,
    message::{Command, Stage},
};
use switchyard_relay::Rights;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_is_wanted_and_told() {
    let gateway = Gateway::start().await;
    for path in [
        "/api/who",
        "/api/sites",
        "/api/controllers",
        "/api/accounts",
    ] {
        let response = request(gateway.http, "GET", path, &[], "").await;
        assert_eq!(response.status, 401, "{path}");
        assert_eq!(response.json()["code"], "not_logged_in");
    }
    assert_eq!(
        code(&gateway, "nobody", ("GET", "/api/who"), &NOTHING, 401).await,
        "not_logged_in"
    );
    let token = gateway.log_in("operator").await;
    let who = told(&gateway, &token, ("GET", "/api/who"), &NOTHING, 200).await;
    assert_eq!(who["account"], "operator");
    assert_eq!(who["rights"]["everywhere"], "operator");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_reads_by_itself_and_changes_things_only_from_our_own_page() {
    let gateway = Gateway::start().await;
    let token = gateway.log_in("admin").await;
    let cookie = format!("switchyard_session={token}");
    let http = gateway.http;
    let own = format!("http://{http}");
    let body = r#"{"name":"North"}"#;
    let json = ("content-type", "application/json");
    let read = request(http, "GET", "/api/who", &[("cookie", &cookie)], "").await;
    assert_eq!(read.status, 200);
    for (origin, status) in [
        (None, 403),
        (Some("http://elsewhere.example"), 403),
        (Some(&*own), 201),
    ] {
        let mut headers = vec![("cookie", &*cookie), json];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let made = request(http, "POST", "/api/sites", &headers, body).await;
        assert_eq!(made.status, status, "{origin:?}: {}", made.body);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_are_made_renamed_and_removed_by_admins() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let technician = gateway.log_in("technician").await;
    let north = json!({"name": "North"});
    let made = told(&gateway, &admin, ("POST", "/api/sites"), &north, 201).await;
    let path = format!("/api/sites/{}", made["site"]);
    assert_eq!(
        code(&gateway, &admin, ("POST", "/api/sites"), &north, 409).await,
        "exists"
    );
    for (method, path) in [("POST", "/api/sites"), ("PUT", &*path), ("DELETE", &*path)] {
        let body = if method == "DELETE" { &NOTHING } else { &north };
        let found = code(&gateway, &technician, (method, path), body, 403).await;
        assert_eq!(found, "forbidden");
    }
    let south = json!({"name": "South"});
    told(&gateway, &admin, ("PUT", &path), &south, 204).await;
    let listed = told(&gateway, &technician, ("GET", "/api/sites"), &NOTHING, 200).await;
    assert_eq!(listed["items"][0]["name"], "South");
    told(&gateway, &admin, ("DELETE", &path), &NOTHING, 204).await;
    assert_eq!(
        code(&gateway, &admin, ("DELETE", &path), &NOTHING, 404).await,
        "not_found"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_understood_says_what_was_expected() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let bearer = format!("Bearer {admin}");
    let bearer = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    for (headers, body, status, expected) in [
        (vec![bearer], r#"{"name":"x"}"#, 415, "application/json"),
        (vec![bearer, json], "{", 400, "EOF"),
        (
            vec![bearer, json],
            r#"{"title":"x"}"#,
            400,
            "expected `name`",
        ),
        (
            vec![bearer, json],
            r#"{"name":"x","more":1}"#,
            400,
            "`more`",
        ),
        (vec![bearer, json], r#"{"name":" x"}"#, 422, "white space"),
        (
            vec![bearer, json],
            r#"{"name":"a\u0007"}"#,
            422,
            "control characters",
        ),
    ] {
        let response = request(gateway.http, "POST", "/api/sites", &headers, body).await;
        assert_eq!(response.status, status, "{body}: {}", response.body);
        assert!(
            response.body.contains(expected),
            "{body}: {}",
            response.body
        );
    }
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
    let response = request(gateway.http, "POST", "/api/sites", &[bearer, json], &large).await;
    assert_eq!(response.status, 413, "{}", response.body);
    for path in [
        "/api/controllers?limit=0",
        "/api/controllers?limit=201",
        "/api/controllers?after=x",
        "/api/controllers?pumps=1",
        "/api/controllers/pump",
    ] {
        let found = code(&gateway, &admin, ("GET", path), &NOTHING, 400).await;
        assert_eq!(found, "bad_request", "{path}");
    }
    let found = code(
        &gateway,
        &admin,
        ("GET", "/api/controllers/7"),
        &NOTHING,
        404,
    )
    .await;
    assert_eq!(found, "unknown_address");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_enrolled_listed_changed_and_withdrawn() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let viewer = gateway.log_in("viewer").await;
    let north = json!({"name": "North"});
    let north = told(&gateway, &admin, ("POST", "/api/sites"), &north, 201).await["site"].clone();
    let new = json!({"title": "Pump 1", "site": north});
    assert_eq!(
        code(&gateway, &viewer, ("POST", "/api/controllers"), &new, 403).await,
        "forbidden"
    );
    let mut addresses = Vec::new();
    for number in 1..=5 {
        let new = json!({"title": format!("Pump {number}"), "site": north});
        let made = told(&gateway, &admin, ("POST", "/api/controllers"), &new, 201).await;
        assert_eq!(made["key"].as_str().unwrap().len(), 64);
        addresses.push(made["address"].clone());
    }
    let third = format!("/api/controllers/{}", addresses[2]);
    let edit = json!({"title": "Well", "site": null, "tags": ["deep", "old"]});
    assert_eq!(
        code(&gateway, &viewer, ("PATCH", &third), &edit, 403).await,
        "forbidden"
    );
    told(&gateway, &admin, ("PATCH", &third), &edit, 204).await;
    // Pages of two, until there is none left.
    let mut seen = Vec::new();
    let mut path = "/api/controllers?limit=2".to_owned();
    loop {
        let page = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["address"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/controllers?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, addresses);
    for (filter, expected) in [
        (format!("site={north}"), 4),
        ("tag=deep".into(), 1),
        ("title=pump".into(), 4),
        ("title=WELL".into(), 1),
        ("online=true".into(), 0),
        ("online=false".into(), 5),
    ] {
        let path = format!("/api/controllers?{filter}");
        let page = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
        assert_eq!(
            page["items"].as_array().unwrap().len(),
            expected,
            "{filter}"
        );
    }
    let well = told(&gateway, &viewer, ("GET", &third), &NOTHING, 200).await;
    assert_eq!(well["title"], "Well");
    assert_eq!(well["tags"], json!(["deep", "old"]));
    assert_eq!(well.get("site"), None);
    assert_eq!(well["live"]["online"], false);
    assert_eq!(
        code(&gateway, &viewer, ("DELETE", &third), &NOTHING, 403).await,
        "forbidden"
    );
    told(&gateway, &admin, ("DELETE", &third), &NOTHING, 204).await;
    assert_eq!(
        code(&gateway, &viewer, ("GET", &third), &NOTHING, 404).await,
        "unknown_address"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_another_site_is_not_there() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let mut sites = Vec::new();
    let mut addresses = Vec::new();
    for name in ["North", "South"] {
        let made = json!({ "name": name });
        let made = told(&gateway, &admin, ("POST", "/api/sites"), &made, 201).await;
        let new = json!({"title": name, "site": made["site"]});
        sites.push(made["site"].clone());
        let made = told(&gateway, &admin, ("POST", "/api/controllers"), &new, 201).await;
        addresses.push(made["address"].clone());
    }
    let li = json!({
        "name": "li", "password": PASSWORD,
        "rights": {"sites": [{"site": sites[0], "role": "technician"}]},
    });
    told(&gateway, &admin, ("POST", "/api/accounts"), &li, 201).await;
    let li = gateway.log_in("li").await;
    let listed = told(&gateway, &li, ("GET", "/api/controllers"), &NOTHING, 200).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["address"], addresses[0]);
    let listed = told(&gateway, &li, ("GET", "/api/sites"), &NOTHING, 200).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let theirs = format!("/api/controllers/{}", addresses[1]);
    let command = command(1, "set", true);
    let commands = format!("{theirs}/commands");
    for (method, path, body) in [
        ("GET", &theirs, &NOTHING),
        ("DELETE", &theirs, &NOTHING),
        ("PATCH", &theirs, &json!({"title": "mine"})),
        ("POST", &commands, &command),
    ] {
        let found = code(&gateway, &li, (method, path), body, 404).await;
        assert_eq!(found, "unknown_address", "{method} {path}");
    }
    // Their own may not go where they have no role.
    let mine = format!("/api/controllers/{}", addresses[0]);
    let moved = json!({"site": sites[1]});
    assert_eq!(
        code(&gateway, &li, ("PATCH", &mine), &moved, 403).await,
        "forbidden"
    );
    gateway.stop().await;
}

/// A command that switches RL1, or calls what there is not.
fn command(number: u8, verb: &str, queue: bool) -> Value {
    let action = match verb {
        "set" => json!({"verb": "set", "point": "RL1", "value": 1}),
        _ => json!({"verb": "call", "command": verb, "arguments": [1]}),
    };
    json!({
        "key": format!("{number:02x}").repeat(16),
        "expires": now().0 + 60_000,
        "queue": queue,
        "action": action,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_to_the_controller_and_its_receipts_come_back() {
    let gateway = Gateway::start().await;
    let pump = gateway.enrol("pump").await;
    let mut controller = Controller::online(&gateway, pump).await;
    controller.is_live().await;
    let operator = gateway.log_in("operator").await;
    let path = format!("/api/controllers/{}", pump.address);
    until("the controller", async || {
        let shown = told(&gateway, &operator, ("GET", &path), &NOTHING, 200).await;
        (shown["live"]["points"][0]["name"] == "RL1").then_some(())
    })
    .await;
    let shown = told(&gateway, &operator, ("GET", &path), &NOTHING, 200).await;
    assert_eq!(shown["live"]["online"], true);
    assert_eq!(shown["live"]["points"][0]["type"], "digital_output");
    assert_eq!(shown["live"]["points"][0]["value"], 0);
    let commands = format!("{path}/commands");
    let wanted = command(1, "set", false);
    let giving = told(&gateway, &operator, ("POST", &commands), &wanted, 200);
    let executing = async {
        let frame = controller.receive_kind(Kind::Command).await;
        let delivered = controller.receipt(&frame, Stage::Delivered, false);
        let executed = controller.receipt(&frame, Stage::Executed, true);
        controller.send(&[delivered, executed]).await;
        Command::decode(frame.payload()).unwrap()
    };
    let (given, executed) = tokio::join!(giving, executing);
    assert_eq!(executed.key.0, [1; 16]);
    let stages = given["receipts"].as_array().unwrap().iter();
    let stages: Vec<_> = stages.map(|it| it["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["sent", "delivered", "executed"]);
    assert_eq!(given["final"], true);
    // The same once more is told and not executed; of another account it is nothing.
    let again = told(&gateway, &operator, ("POST", &commands), &wanted, 200).await;
    assert_eq!(again["receipts"][0]["stage"], "executed");
    let by_key = "/api/commands/01010101010101010101010101010101";
    let told_later = told(&gateway, &operator, ("GET", by_key), &NOTHING, 200).await;
    assert_eq!(told_later["receipts"][0]["stage"], "executed");
    let technician = gateway.log_in("technician").await;
    assert_eq!(
        code(&gateway, &technician, ("GET", by_key), &NOTHING, 404).await,
        "unknown_command"
    );
    assert_eq!(
        code(&gateway, &technician, ("POST", &commands), &wanted, 403).await,
        "not_granted"
    );
    let viewer = gateway.log_in("viewer").await;
    assert_eq!(
        code(
            &gateway,
            &viewer,
            ("POST", &commands),
            &command(2, "set", false),
            403
        )
        .await,
        "forbidden"
    );
    // One that nobody answers goes on when the wait is over.
    let slow = format!("{commands}?wait_ms=0");
    let given = told(
        &gateway,
        &operator,
        ("POST", &slow),
        &command(3, "set", false),
        202,
    )
    .await;
    assert_eq!(given["receipts"][0]["stage"], "sent");
    assert_eq!(given["final"], false);
    gateway.stop().await;
}

/// Waits until the yard has heard of a controller that was enrolled behind its back.
async fn yard_knows(gateway: &Gateway, token: &str, who: Enrolled) {
    let path = format!("/api/controllers/{}/health", who.address);
    until("the yard to know it", async || {
        let found = call(gateway, token, "GET", &path, &NOTHING).await;
        (found.status == 409).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_controller_that_is_away() {
    let gateway = Gateway::start().await;
    let pump = gateway.enrol("pump").await;
    let operator = gateway.log_in("operator").await;
    yard_knows(&gateway, &operator, pump).await;
    let commands = format!("/api/controllers/{}/commands?wait_ms=0", pump.address);
    let given = told(
        &gateway,
        &operator,
        ("POST", &commands),
        &command(1, "set", false),
        200,
    )
    .await;
    assert_eq!(given["receipts"][0]["reason"], "offline");
    let given = told(
        &gateway,
        &operator,
        ("POST", &commands),
        &command(2, "set", true),
        202,
    )
    .await;
    assert_eq!(given["receipts"][0]["stage"], "queued");
    let mut late = command(3, "set", true);
    late["expires"] = json!(1);
    let given = told(&gateway, &operator, ("POST", &commands), &late, 200).await;
    assert_eq!(given["receipts"][0]["stage"], "expired");
    let health = format!("/api/controllers/{}/health", pump.address);
    assert_eq!(
        code(&gateway, &operator, ("GET", &health), &NOTHING, 409).await,
        "offline"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_kept_by_admins_and_log_ins_by_their_owners() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let li = json!({"name": "li", "password": PASSWORD, "rights": {"everywhere": "viewer"}});
    let made = told(&gateway, &admin, ("POST", "/api/accounts"), &li, 201).await;
    assert_eq!(made["rights"]["everywhere"], "viewer");
    assert_eq!(made["second_factor"], false);
    assert_eq!(
        code(&gateway, &admin, ("POST", "/api/accounts"), &li, 409).await,
        "exists"
    );
    let li = gateway.log_in("li").await;
    for (method, path, body) in [
        ("GET", "/api/accounts", NOTHING),
        ("GET", "/api/accounts/admin", NOTHING),
        ("DELETE", "/api/accounts/admin", NOTHING),
        ("GET", "/api/accounts/admin/tokens", NOTHING),
        (
            "PUT",
            "/api/accounts/li/rights",
            json!({"everywhere": "admin"}),
        ),
        (
            "PUT",
            "/api/accounts/admin/password",
            json!({"password": "a new password"}),
        ),
        ("POST", "/api/accounts/admin/second-factor", NOTHING),
    ] {
        let found = code(&gateway, &li, (method, path), &body, 403).await;
        assert_eq!(found, "forbidden", "{method} {path}");
    }
    // Their own they see, and what they log in with.
    let own = told(&gateway, &li, ("GET", "/api/accounts/li"), &NOTHING, 200).await;
    assert_eq!(own["name"], "li");
    let path = "/api/accounts/li/tokens";
    let unproven = json!({"title": "a script", "lifetime_days": 30});
    let found = code(&gateway, &li, ("POST", path), &unproven, 422).await;
    assert_eq!(found, "bad_field");
    let wanted = json!({"title": "a script", "lifetime_days": 30, "current": PASSWORD});
    let found = code(&gateway, &admin, ("POST", path), &wanted, 403).await;
    assert_eq!(found, "forbidden", "in nobody else's name");
    let made = told(&gateway, &li, ("POST", path), &wanted, 201).await;
    let program = made["token"].as_str().unwrap();
    told(&gateway, program, ("GET", "/api/who"), &NOTHING, 200).await;
    let listed = told(&gateway, &li, ("GET", path), &NOTHING, 200).await;
    let listed = listed["items"].as_array().unwrap();
    let access = listed.iter().find(|it| it["kind"] == "access").unwrap();
    let one = format!("{path}/{}", access["id"].as_str().unwrap());
    told(&gateway, &li, ("DELETE", &one), &NOTHING, 204).await;
    told(&gateway, &li, ("DELETE", &one), &NOTHING, 404).await;
    told(&gateway, program, ("GET", "/api/who"), &NOTHING, 401).await;
    // A password of one's own wants the one before.
    let path = "/api/accounts/li/password";
    for (body, status, expected) in [
        (json!({"password": "a new password"}), 422, "bad_field"),
        (
            json!({"password": "a new password", "current": "not mine at all"}),
            401,
            "bad_credentials",
        ),
        (
            json!({"password": "short", "current": PASSWORD}),
            400,
            "bad_request",
        ),
    ] {
        assert_eq!(
            code(&gateway, &li, ("PUT", path), &body, status).await,
            expected
        );
    }
    let body = json!({"password": "a new password", "current": PASSWORD});
    told(&gateway, &li, ("PUT", path), &body, 204).await;
    told(&gateway, &li, ("GET", "/api/who"), &NOTHING, 401).await;
    // The last admin stays one.
    let viewer = json!({"everywhere": "viewer"});
    for (method, path, body) in [
        ("DELETE", "/api/accounts/admin", &NOTHING),
        ("PUT", "/api/accounts/admin/rights", &viewer),
    ] {
        let found = code(&gateway, &admin, (method, path), body, 409).await;
        assert_eq!(found, "last_admin");
    }
    told(
        &gateway,
        &admin,
        ("DELETE", "/api/accounts/li"),
        &NOTHING,
        204,
    )
    .await;
    told(&gateway, &admin, ("GET", "/api/accounts/li"), &NOTHING, 404).await;
    let nowhere = json!({"sites": [{"site": 77, "role": "viewer"}]});
    assert_eq!(
        code(
            &gateway,
            &admin,
            ("PUT", "/api/accounts/viewer/rights"),
            &nowhere,
            409
        )
        .await,
        "missing"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_change_act_at_once() {
    let gateway = Gateway::start().await;
    let admin = gateway.log_in("admin").await;
    let pump = gateway.enrol("pump").await;
    yard_knows(&gateway, &admin, pump).await;
    let viewer = gateway.log_in("viewer").await;
    let commands = format!("/api/controllers/{}/commands?wait_ms=0", pump.address);
    code(
        &gateway,
        &viewer,
        ("POST", &commands),
        &command(1, "set", true),
        403,
    )
    .await;
    let more = json!({"everywhere": "operator"});
    told(
        &gateway,
        &admin,
        ("PUT", "/api/accounts/viewer/rights"),
        &more,
        204,
    )
    .await;
    told(
        &gateway,
        &viewer,
        ("POST", &commands),
        &command(2, "set", true),
        202,
    )
    .await;
    let none = json!({});
    told(
        &gateway,
        &admin,
        ("PUT", "/api/accounts/viewer/rights"),
        &none,
        204,
    )
    .await;
    assert_eq!(
        code(
            &gateway,
            &viewer,
            ("GET", "/api/controllers"),
            &NOTHING,
            403
        )
        .await,
        "forbidden"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_for_ssh_are_added_and_removed() {
    let gateway = Gateway::start().await;
    let viewer = gateway.log_in("viewer").await;
    let path = "/api/accounts/viewer/ssh-keys";
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH desk";
    let unproven = json!({ "public_key": key });
    let found = code(&gateway, &viewer, ("POST", path), &unproven, 422).await;
    assert_eq!(found, "bad_field");
    let wanted = json!({ "public_key": key, "current": PASSWORD });
    let added = told(&gateway, &viewer, ("POST", path), &wanted, 201).await;
    assert_eq!(added["title"], "desk");
    assert_eq!(
        code(&gateway, &viewer, ("POST", path), &wanted, 409).await,
        "exists"
    );
    let bad = json!({"public_key": "ssh-dss AAAA"});
    assert_eq!(
        code(&gateway, &viewer, ("POST", path), &bad, 422).await,
        "bad_field"
    );
    let listed = told(&gateway, &viewer, ("GET", path), &NOTHING, 200).await;
    assert_eq!(listed["items"][0]["fingerprint"], added["fingerprint"]);
    let fingerprint = added["fingerprint"].as_str().unwrap();
    let fingerprint = fingerprint.replace('+', "%2B");
    let one = format!("{path}?fingerprint={fingerprint}");
    told(&gateway, &viewer, ("DELETE", &one), &NOTHING, 204).await;
    told(&gateway, &viewer, ("DELETE", &one), &NOTHING, 404).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_set_once_its_app_shows_the_code() {
    let gateway = Gateway::start().await;
    let viewer = gateway.log_in("viewer").await;
    let path = "/api/accounts/viewer/second-factor";
    let offered = told(&gateway, &viewer, ("POST", path), &NOTHING, 200).await;
    assert!(
        offered["url"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/")
    );
    let wrong = json!({"secret": offered["secret"], "code": "nope", "current": PASSWORD});
    assert_eq!(
        code(&gateway, &viewer, ("PUT", path), &wrong, 422).await,
        "bad_field"
    );
    let shown = totp_code(offered["secret"].as_str().unwrap());
    let guess = json!({"secret": offered["secret"], "code": shown, "current": "not mine at all"});
    assert_eq!(
        code(&gateway, &viewer, ("PUT", path), &guess, 401).await,
        "bad_credentials"
    );
    let right = json!({"secret": offered["secret"], "code": shown, "current": PASSWORD});
    told(&gateway, &viewer, ("PUT", path), &right, 204).await;
    let own = told(
        &gateway,
        &viewer,
        ("GET", "/api/accounts/viewer"),
        &NOTHING,
        200,
    )
    .await;
    assert_eq!(own["second_factor"], true);
    code(&gateway, &viewer, ("DELETE", path), &NOTHING, 403).await;
    let admin = gateway.log_in("admin").await;
    let own = "/api/accounts/admin/second-factor";
    code(&gateway, &admin, ("DELETE", own), &NOTHING, 403).await;
    told(&gateway, &admin, ("DELETE", path), &NOTHING, 204).await;
    gateway.log_in("viewer").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_wait_by_account_and_by_address() {
    let gateway = Gateway::start_with(|settings| {
        settings.api_requests_per_account_per_minute_max = 3;
        // The two log-ins count.
        settings.api_requests_per_ip_per_minute_max = 10;
    })
    .await;
    let viewer = gateway.log_in("viewer").await;
    let operator = gateway.log_in("operator").await;
    for _ in 0..3 {
        told(&gateway, &viewer, ("GET", "/api/who"), &NOTHING, 200).await;
    }
    let refused = call(&gateway, &viewer, "GET", "/api/who", &NOTHING).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // Another account has its own count, until the address has none left.
    for _ in 0..3 {
        told(&gateway, &operator, ("GET", "/api/who"), &NOTHING, 200).await;
    }
    call(&gateway, "nobody", "GET", "/api/who", &NOTHING).await;
    let refused = call(&gateway, "nobody", "GET", "/api/who", &NOTHING).await;
    assert_eq!(refused.status, 429);
    let limited = gateway
        .metric("api_requests_total{outcome=\"rate_limited\"}")
        .await;
    assert_eq!(limited, 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_tells_of_every_route_and_every_refusal() {
    let gateway = Gateway::start().await;
    let response = request(gateway.http, "GET", "/api/openapi.json", &[], "").await;
    assert_eq!(response.status, 200);
    let document = response.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{}", paths.len());
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{what}");
            assert!(operation["summary"].is_string(), "{what}");
            for status in ["400", "401", "403", "404", "409", "429", "503"] {
                let refusal = &operation["responses"][status]["content"];
                assert!(
                    refusal["application/problem+json"].is_object(),
                    "{what} {status}"
                );
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_rights_may_only_look_after_itself() {
    let gateway = Gateway::start().await;
    let account = Account {
        name: title("li"),
        rights: Rights::new(None, []),
        password_hash: hash_password(PASSWORD).unwrap(),
        totp: None,
        created: now(),
    };
    gateway.stores.config.add_account(account).await.unwrap();
    let li = gateway.log_in("li").await;
    told(&gateway, &li, ("GET", "/api/who"), &NOTHING, 200).await;
    told(
        &gateway,
        &li,
        ("GET", "/api/accounts/li/tokens"),
        &NOTHING,
        200,
    )
    .await;
    code(&gateway, &li, ("GET", "/api/controllers"), &NOTHING, 403).await;
    assert_eq!(gateway.metric("peers_inside").await, 0);
    gateway.stop().await;
}
