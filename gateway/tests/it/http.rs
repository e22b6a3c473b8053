//! `docs/http.md`, request by request.

use crate::support::{Gateway, PASSWORD, Tool, request, soon, tool_hello, until, web_socket};
use std::time::Duration;
use switchyard_protocol::Role;
use tokio::io::AsyncWriteExt as _;

fn credentials(account: &str, password: &str) -> String {
    format!(r#"{{"account":"{account}","password":"{password}"}}"#)
}

#[tokio::test]
async fn a_page_gets_a_cookie_and_a_program_a_token() {
    let gateway = Gateway::start().await;
    let body = credentials("operator", PASSWORD);
    let program = request(gateway.http, "POST", "/api/login", &[], &body).await;
    assert_eq!(program.status, 200);
    assert!(program.header("set-cookie").is_none());
    let json = program.json();
    assert_eq!(
        (json["account"].as_str(), json["role"].as_str()),
        (Some("operator"), Some("operator"))
    );
    let bearer = format!("Bearer {}", json["token"].as_str().unwrap());

    let page = request(
        gateway.http,
        "POST",
        "/api/login",
        &[("x-switchyard", "page")],
        &body,
    )
    .await;
    assert!(
        page.json()["token"].is_null(),
        "a page never sees its token"
    );
    let cookie = page.header("set-cookie").unwrap();
    for part in [
        "switchyard_session=",
        "HttpOnly",
        "SameSite=Strict",
        "Path=/",
    ] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "not over TLS here");
    let cookie = cookie.split(';').next().unwrap().to_owned();

    // Browsers tell where a page is from with whatever is not just read.
    let own = format!("http://{}", gateway.http);
    for headers in [
        [("authorization", bearer.as_str()), ("origin", own.as_str())],
        [("cookie", cookie.as_str()), ("origin", own.as_str())],
    ] {
        let session = request(gateway.http, "GET", "/api/session", &headers, "").await;
        assert_eq!(
            (session.status, session.json()["role"].as_str()),
            (200, Some("operator"))
        );
        let out = request(gateway.http, "POST", "/api/logout", &headers, "").await;
        assert_eq!(out.status, 204);
        let session = request(gateway.http, "GET", "/api/session", &headers, "").await;
        assert_eq!(
            (session.status, session.json()["code"].as_str()),
            (401, Some("not_logged_in"))
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_with_a_code() {
    let gateway = Gateway::start().await;
    let check = async |method: &str, path: &str, body: &str, status: u16, code: &str| {
        let response = request(gateway.http, method, path, &[], body).await;
        assert_eq!(
            (response.status, response.json()["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
    };
    check(
        "POST",
        "/api/login",
        &credentials("operator", "not the password"),
        401,
        "bad_credentials",
    )
    .await;
    check(
        "POST",
        "/api/login",
        &credentials("nobody", PASSWORD),
        401,
        "bad_credentials",
    )
    .await;
    check("POST", "/api/login", "{", 400, "bad_request").await;
    check("POST", "/api/login", &" ".repeat(4_097), 413, "too_large").await;
    check("GET", "/api/login", "", 405, "method_not_allowed").await;
    check("PUT", "/", "", 405, "method_not_allowed").await;
    check("GET", "/api/session", "", 401, "not_logged_in").await;
    check("GET", "/nothing/here", "", 404, "not_found").await;
    check("GET", "/../Cargo.toml", "", 404, "not_found").await;
    check("GET", "/ws", "", 400, "bad_request").await;
    for (path, allowed) in [
        ("/api/login", "POST"),
        ("/ws", "GET,HEAD"),
        ("/", "GET,HEAD"),
    ] {
        let response = request(gateway.http, "PUT", path, &[], "").await;
        assert_eq!(response.header("allow"), Some(allowed), "{path}");
    }
    assert_eq!(
        gateway
            .metric("logins_total{outcome=\"bad_credentials\"}")
            .await,
        2
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go() {
    let gateway = Gateway::start_with(|settings| {
        settings.slow_peer_timeout = Duration::from_millis(100);
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(gateway.http).await.unwrap();
    let question = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.http);
    // It asks until the answers fill both ends' buffers; from then on only the gateway can end it.
    soon("the gateway to let go", async {
        while stream.write_all(question.as_bytes()).await.is_ok() {}
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn guessing_gets_slower_and_says_how_long() {
    let gateway = Gateway::start_with(|settings| {
        settings.login_failures_max = 2;
        settings.login_delay_min = Duration::from_secs(60);
    })
    .await;
    let wrong = credentials("operator", "not the password");
    for _ in 0..2 {
        assert_eq!(
            request(gateway.http, "POST", "/api/login", &[], &wrong)
                .await
                .status,
            401
        );
    }
    // Now even the right one waits.
    let right = credentials("operator", PASSWORD);
    let response = request(gateway.http, "POST", "/api/login", &[], &right).await;
    assert_eq!(
        (response.status, response.json()["code"].as_str()),
        (429, Some("rate_limited"))
    );
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(
        gateway
            .metric("logins_total{outcome=\"rate_limited\"}")
            .await,
        1
    );
    gateway.stop().await;
}

#[tokio::test]
async fn guesses_made_at_once_or_given_up_count_too() {
    let gateway = Gateway::start_with(|settings| {
        settings.login_failures_max = 3;
        settings.login_delay_min = Duration::from_secs(60);
    })
    .await;
    let wrong = credentials("operator", "not the password");
    let failed = "logins_total{outcome=\"bad_credentials\"}";
    // Such as do not wait for their answer; one that went before its body was read is none.
    let head = format!(
        "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{wrong}",
        wrong.len()
    );
    until("a failure", async || {
        let mut stream = tokio::net::TcpStream::connect(gateway.http).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
        (gateway.metric(failed).await > 0).then_some(())
    })
    .await;
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let (http, wrong) = (gateway.http, wrong.clone());
            tokio::spawn(async move { request(http, "POST", "/api/login", &[], &wrong).await })
        })
        .collect();
    for guess in guesses {
        let status = guess.await.unwrap().status;
        assert!([401, 429].contains(&status), "{status}");
    }
    // Where hashing is slow, those that were given up fill the room to wait in, and bring it to three
    // by themselves.
    until("as many failures as there may be", async || {
        (gateway.metric(failed).await >= 3).then_some(())
    })
    .await;
    let late = request(gateway.http, "POST", "/api/login", &[], &wrong).await;
    assert_eq!(late.status, 429);
    // Two are hashed at once, so one may have been under way when the third failed.
    let tried = gateway.metric(failed).await;
    assert!((3..=4).contains(&tried), "{tried}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_cookie_counts_for_this_host_alone() {
    let gateway = Gateway::start_with(|settings| {
        settings.page_origins = vec!["https://yard.example.org".into()];
    })
    .await;
    let body = credentials("viewer", PASSWORD);
    let page = request(
        gateway.http,
        "POST",
        "/api/login",
        &[("x-switchyard", "page")],
        &body,
    )
    .await;
    let cookie = page
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let own = format!("http://{}", gateway.http);
    for origin in [own.as_str(), "https://yard.example.org"] {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        let socket = web_socket(gateway.http, &headers).await.unwrap();
        let tool = Tool::say_hello(socket, tool_hello(None, None))
            .await
            .unwrap();
        assert_eq!(tool.welcome.role, Role::Viewer);
    }
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example.org"),
    ];
    assert_eq!(web_socket(gateway.http, &headers).await.err(), Some(403));
    // Without an origin nobody vouches for the cookie.
    let socket = web_socket(gateway.http, &[("cookie", cookie.as_str())])
        .await
        .unwrap();
    assert!(
        Tool::say_hello(socket, tool_hello(None, None))
            .await
            .is_err()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn every_answer_is_guarded_and_the_page_is_cached_by_its_tag() {
    let gateway = Gateway::start().await;
    let response = request(gateway.http, "GET", "/", &[], "").await;
    let policy = response.header("content-security-policy").unwrap();
    assert!(policy.starts_with(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:"
    ));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    if response.status == 404 {
        // Built without npm: it says what to do.
        assert!(
            response.json()["detail"]
                .as_str()
                .unwrap()
                .contains("npm run build")
        );
    } else {
        assert_eq!(
            response.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(response.header("cache-control"), Some("no-cache"));
        let tag = response.header("etag").unwrap();
        let again = request(gateway.http, "GET", "/", &[("if-none-match", tag)], "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    }
    let health = request(gateway.http, "GET", "/healthz", &[], "").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    gateway.stop().await;
}

#[tokio::test]
async fn behind_a_proxy_its_word_counts_and_counters_are_kept_private() {
    let gateway = Gateway::start_with(|settings| settings.behind_proxy = true).await;
    let headers = [("x-forwarded-for", "127.0.0.1, 192.0.2.7")];
    let response = request(gateway.http, "GET", "/metrics", &headers, "").await;
    assert_eq!(response.status, 404);
    let body = credentials("viewer", PASSWORD);
    let headers = [("x-forwarded-proto", "https"), ("x-switchyard", "page")];
    let response = request(gateway.http, "POST", "/api/login", &headers, &body).await;
    assert!(response.header("set-cookie").unwrap().ends_with("; Secure"));
    gateway.stop().await;
}
