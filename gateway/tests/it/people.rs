//! Who comes in, and how: the first account, second factors, tokens, what commands change while the
//! gateway runs.

use crate::{
    process::{Running, enrolled, program, run},
    support::{Controller, Gateway, PASSWORD, Tool, request, soon, title, until},
};
use std::process::Stdio;
use switchyard_protocol::{Address, Code};

fn login(account: &str, code: Option<&str>) -> String {
    serde_json::json!({ "account": account, "password": PASSWORD, "code": code }).to_string()
}

/// The code of a moment (RFC 6238), some half minutes from now.
fn code(secret: &[u8], steps_from_now: i64) -> String {
    let now = crate::support::now().0 as i64 / 30_000 + steps_from_now;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &now.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let part = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
    format!("{:06}", part % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_counts_once() {
    let gateway = Gateway::start().await;
    let secret = b"20 bytes of a secret".to_vec();
    let name = title("operator");
    let config = &gateway.stores.config;
    assert!(
        config
            .set_totp(name.clone(), Some(secret.clone()))
            .await
            .unwrap()
    );
    let ask = async |code: Option<&str>| {
        let body = login("operator", code);
        request(gateway.http, "POST", "/api/login", &[], &body).await
    };
    let without = ask(None).await;
    let told = without.json()["code"].as_str().map(str::to_owned);
    assert_eq!(
        (without.status, told.as_deref()),
        (401, Some("code_needed"))
    );
    // Long gone.
    let late = ask(Some(&code(&secret, -4))).await;
    assert_eq!(late.json()["code"], "bad_credentials");
    let right = code(&secret, 0);
    assert_eq!(ask(Some(&right)).await.status, 200);
    let again = ask(Some(&right)).await;
    assert_eq!(
        again.json()["code"],
        "bad_credentials",
        "a code counts once"
    );
    // Whoever has the code and not the password learns nothing.
    let body =
        format!(r#"{{"account":"operator","password":"not the password","code":"{right}"}}"#);
    let wrong = request(gateway.http, "POST", "/api/login", &[], &body).await;
    assert_eq!(wrong.json()["code"], "bad_credentials");
    assert!(config.set_totp(name, None).await.unwrap());
    until("a log-in without a code", async || {
        (ask(None).await.status == 200).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_first_account_is_made_with_the_code_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut gateway = Running::start_with(&data, &[], stderr).await;
    let needed = async |http| request(http, "GET", "/api/setup", &[], "").await.json();
    assert_eq!(needed(gateway.http).await["needed"], true);
    let file = data.join("setup-code");
    let setup_code = std::fs::read_to_string(&file).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(
        told.contains("setup-code") && !told.contains(setup_code.trim()),
        "{told}"
    );
    let set_up = async |http, setup_code: &str, password: &str| {
        let body = serde_json::json!({
            "setup_code": setup_code, "account": "li", "password": password
        });
        request(http, "POST", "/api/setup", &[], &body.to_string()).await
    };
    let wrong = set_up(gateway.http, "AAAAA-AAAAA-AAAAA-AAAAA", PASSWORD).await;
    assert_eq!(
        (wrong.status, &wrong.json()["code"]),
        (403, &"bad_setup_code".into())
    );
    let short = set_up(gateway.http, &setup_code, "short").await;
    assert_eq!(short.status, 400);
    assert!(short.body.contains("10 to 1024 bytes"), "{}", short.body);
    let made = set_up(gateway.http, setup_code.trim(), PASSWORD).await;
    assert_eq!((made.status, &made.json()["role"]), (200, &"admin".into()));
    let token = made.json()["token"].as_str().unwrap().to_owned();
    Tool::enter(gateway.http, &token).await;
    assert!(!file.exists());
    assert_eq!(needed(gateway.http).await["needed"], false);
    let late = set_up(gateway.http, setup_code.trim(), PASSWORD).await;
    assert_eq!(
        (late.status, &late.json()["code"]),
        (409, &"already_set_up".into())
    );
    gateway.child.kill().await.unwrap();
    assert!(
        !std::fs::read_to_string(&log)
            .unwrap()
            .contains(setup_code.trim())
    );

    // Not asked for where there is an account, and guessing is slow where there is none.
    let mut gateway = Running::start(&data).await;
    assert_eq!(needed(gateway.http).await["needed"], false);
    assert!(!file.exists());
    gateway.child.kill().await.unwrap();
    let mut gateway = Running::start(&folder.path().join("other")).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(set_up(gateway.http, "guess", PASSWORD).await.status);
    }
    assert_eq!(
        (statuses[0], statuses.last()),
        (403, Some(&429)),
        "{statuses:?}"
    );
    gateway.child.kill().await.unwrap();
}

#[tokio::test]
async fn sites_tokens_and_keys_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let done = async |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let (ok, told, complaint) = run(&data, &words, PASSWORD).await;
        assert!(ok, "{words:?}: {complaint}");
        told
    };
    let refused = async |words: &str, why: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let (ok, _, complaint) = run(&data, &words, PASSWORD).await;
        assert!(!ok && complaint.contains(why), "{words:?}: {complaint}");
    };
    assert_eq!(done("site add North").await, "1\n");
    assert_eq!(done("site add South").await, "2\n");
    refused("site add North", "expected a name that is free").await;
    assert_eq!(done("site rename 2 West").await, "site 2 is now West\n");
    assert_eq!(done("site list").await, "1 North\n2 West\n");
    let add = "account add li --role operator --site 1 --password-stdin";
    assert_eq!(done(add).await, "added li, operator at 1\n");
    refused(
        "account role li viewer --site 9",
        "expected a site that there is",
    )
    .await;
    let told = done("account role li viewer").await;
    assert_eq!(told, "li is now viewer, operator at 1\n");
    assert_eq!(
        done("account role li none").await,
        "li is now operator at 1\n"
    );
    assert_eq!(done("account list").await, "operator at 1 li\n");

    done("enrol Pump --site 1").await;
    refused("enrol Lamp --site 9", "expected a site that there is").await;
    refused("site remove 1", "in use by nobody").await;
    done("controller edit 1 --title Well --site none --tags wet,deep").await;
    assert_eq!(done("controllers").await, "1 Well\n");
    assert_eq!(done("site remove 1").await, "removed site 1\n");
    assert_eq!(done("account list").await, "none       li\n");
    assert_eq!(done("controller remove 1").await, "removed 1\n");
    refused("controller remove 1", "there is no controller 1").await;
    assert_eq!(done("controllers").await, "");

    let token = done("account token add li nightly --lifetime 1d").await;
    let listed = done("account token list li").await;
    let (id, rest) = listed.trim_end().split_once(' ').unwrap();
    assert_eq!(rest, "program nightly");
    let mut gateway = Running::start(&data).await;
    let bearer = format!("Bearer {}", token.trim_end());
    let session = async || {
        let headers = [("authorization", bearer.as_str())];
        request(gateway.http, "GET", "/api/session", &headers, "")
            .await
            .status
    };
    assert_eq!(session().await, 200);
    done(&format!("account token revoke li {id}")).await;
    assert_eq!(session().await, 401);
    gateway.child.kill().await.unwrap();

    assert!(
        done("account totp li")
            .await
            .starts_with("otpauth://totp/Switchyard:li?secret=")
    );
    assert_eq!(
        done("account totp li --off").await,
        "li needs no code any more\n"
    );
    let (ok, _, complaint) =
        run(&data, &["account", "ssh-key", "add", "li", "ssh-rsa x"], "").await;
    assert!(
        !ok && complaint.contains("expected a public key"),
        "{complaint}"
    );
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH desk";
    let (ok, told, _) = run(&data, &["account", "ssh-key", "add", "li", key], "").await;
    assert!(ok && told.starts_with("added SHA256:"), "{told}");
    let fingerprint = told.trim_start_matches("added ").trim_end().to_owned();
    let listed = done("account ssh-key list li").await;
    assert_eq!(listed, format!("{fingerprint} desk\n"));
    done(&format!("account ssh-key remove li {fingerprint}")).await;
    assert_eq!(done("account ssh-key list li").await, "");
}

#[tokio::test]
async fn a_withdrawn_controller_is_cut_off_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (_, lines, _) = run(&data, &["enrol", "Pump", "--count", "2"], "").await;
    let both: Vec<_> = lines.lines().map(enrolled).collect();
    let mut gateway = Running::start(&data).await;
    let mut live = Vec::new();
    for who in &both {
        let mut controller = Controller::connect(gateway.tcp, who.address).await;
        controller.go_online(who.key).await;
        controller.is_live().await;
        live.push(controller);
    }
    assert!(run(&data, &["controller", "remove", "1"], "").await.0);
    let code = soon("the end", live[0].ending()).await;
    assert!(code.is_some(), "it is told why");
    live[1].is_live().await;
    let mut again = Controller::connect(gateway.tcp, Address(1)).await;
    let refused = again.handshake(both[0].key).await;
    assert!(
        matches!(refused, Err(Code::HandshakeFailed)),
        "as one that never was"
    );
    gateway.child.kill().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_restored_on_an_empty_host() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    let (_, line, _) = run(&data, &["enrol", "Pump"], "").await;
    let who = enrolled(line.trim_end());
    let add = [
        "account",
        "add",
        "li",
        "--role",
        "admin",
        "--password-stdin",
    ];
    assert!(run(&data, &add, PASSWORD).await.0);
    let mut gateway = Running::start(&data).await;
    let file = folder.path().join("backup.jsonl");
    let path = file.to_str().unwrap();
    let (ok, told, complaint) = run(&data, &["backup", path], "").await;
    assert!(
        ok && told.contains("rows of schema version"),
        "{told}{complaint}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let (ok, _, complaint) = run(&data, &["backup", path], "").await;
    assert!(!ok && complaint.contains("not there yet"), "{complaint}");
    for (task, input) in [(&["restore", path][..], ""), (&["import"][..], "{}")] {
        let (ok, _, complaint) = run(&data, task, input).await;
        assert!(!ok && complaint.contains("stop it first"), "{complaint}");
    }
    gateway.child.kill().await.unwrap();

    // Without its master key it is of no use, and says so.
    let (ok, _, complaint) = run(&other, &["restore", path], "").await;
    assert!(!ok && complaint.contains("master key"), "{complaint}");
    std::fs::remove_dir_all(&other).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(data.join("master.key"), other.join("master.key")).unwrap();
    let (ok, _, complaint) = run(&other, &["restore", path], "").await;
    assert!(ok, "{complaint}");
    let (ok, _, complaint) = run(&other, &["restore", path], "").await;
    assert!(!ok && complaint.contains("holds nothing"), "{complaint}");
    let mut gateway = Running::start(&other).await;
    gateway.log_in().await;
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    controller.is_live().await;
    gateway.child.kill().await.unwrap();

    // What was cut or is something else is refused before anything is touched.
    let bytes = std::fs::read(&file).unwrap();
    for (name, bytes) in [("cut", &bytes[..bytes.len() - 20]), ("no", b"{}\n")] {
        let bad = folder.path().join(name);
        std::fs::write(&bad, bytes).unwrap();
        let fresh = folder.path().join(format!("for {name}"));
        let (ok, _, complaint) = run(&fresh, &["restore", bad.to_str().unwrap()], "").await;
        assert!(!ok && complaint.contains("dump"), "{complaint}");
        assert!(!fresh.join("switchyard.db").exists());
    }
    // By a pipe it is the same.
    let exported = program(&data).arg("export").output().await.unwrap();
    assert!(exported.status.success());
    let piped = folder.path().join("piped");
    std::fs::create_dir(&piped).unwrap();
    std::fs::copy(data.join("master.key"), piped.join("master.key")).unwrap();
    let text = String::from_utf8(exported.stdout).unwrap();
    let (ok, told, complaint) = run(&piped, &["import"], &text).await;
    assert!(ok && told.starts_with("imported "), "{complaint}");
    let (_, told, _) = run(&piped, &["migrate"], "").await;
    assert!(told.contains("already"), "{told}");
}
