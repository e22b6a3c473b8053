//! Push messages to an ntfy server.

use super::*;
use crate::{
    alarm::channel::ntfy::{Note, Ntfy, NtfySettings},
    config::Secret,
};
use serde_json::json;
use switchyard_protocol::message::AlarmLevel;

const NOTE: Note<'static> = Note {
    title: "Pump house",
    text: "level low 水位低",
    level: AlarmLevel::High,
    tags: &["rotating_light"],
    click: Some("https://yard.example.org/alarms/17"),
};

fn settings(url: &str) -> NtfySettings {
    NtfySettings {
        base_url: Secret(url.to_owned()),
        token: None,
        allow_private: true,
        ca_file: None,
    }
}

#[tokio::test]
async fn a_note_is_published_as_the_server_wants_it() {
    let mut server = Server::start(&[]).await;
    let ntfy = Ntfy::open(&settings(&server.url)).unwrap();
    ntfy.publish("pump-house_1", &NOTE).await.unwrap();
    let request = server.next().await;
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/")
    );
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), "");
    let expected = json!({
        "topic": "pump-house_1",
        "title": "Pump house",
        "message": "level low 水位低",
        "priority": 5,
        "tags": ["rotating_light"],
        "click": "https://yard.example.org/alarms/17",
    });
    assert_eq!(request.json(), expected);
    // With a token, behind a path, and less urgent.
    let token = Some(Secret("tk_hush".into()));
    let behind = settings(&format!("{}/push", server.url));
    let settings = NtfySettings { token, ..behind };
    assert!(!format!("{settings:?}").contains("hush"));
    let ntfy = Ntfy::open(&settings).unwrap();
    for (level, priority) in [(AlarmLevel::Low, 2), (AlarmLevel::Medium, 4)] {
        let long = "水".repeat(4_000);
        let note = Note {
            level,
            click: None,
            text: &long,
            ..NOTE
        };
        ntfy.publish("a", &note).await.unwrap();
        let request = server.next().await;
        assert_eq!(request.path, "/push");
        assert_eq!(request.header("authorization"), "Bearer tk_hush");
        let body = request.json();
        assert_eq!(
            (body["priority"].clone(), body.get("click")),
            (priority.into(), None)
        );
        let text = body["message"].as_str().unwrap();
        assert!(text.len() <= 4_096 && text.ends_with('…'));
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let mut server = Server::start(&[
        (401, r#"{"code":40101,"http":401,"error":"unauthorized"}"#),
        (
            429,
            r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
        ),
        (507, "<html>"),
    ])
    .await;
    let ntfy = Ntfy::open(&settings(&server.url)).unwrap();
    for (expected, is_permanent) in [
        ("it was refused: 401 Unauthorized: unauthorized", true),
        (
            "it was put off: 429 Too Many Requests: limit reached: too many requests",
            false,
        ),
        ("it was put off: 507 Insufficient Storage", false),
    ] {
        let fault = ntfy.publish("a", &NOTE).await.unwrap_err();
        assert_eq!(
            (fault.to_string().as_str(), fault.is_permanent()),
            (expected, is_permanent)
        );
        server.next().await;
    }
    for topic in ["", "a/b", "a b", &"a".repeat(65)] {
        let fault = ntfy.publish(topic, &NOTE).await.unwrap_err();
        assert!(matches!(fault, Fault::Unfit(_)), "{topic}");
    }
}

#[tokio::test]
async fn a_private_server_is_told_nothing_unless_it_is_meant() {
    let mut server = Server::start(&[]).await;
    let guarded = NtfySettings {
        allow_private: false,
        ..settings(&server.url)
    };
    let fault = Ntfy::open(&guarded)
        .unwrap()
        .publish("a", &NOTE)
        .await
        .unwrap_err();
    assert!(
        fault.is_permanent() && fault.to_string().contains("allow_private"),
        "{fault}"
    );
    assert!(server.requests.try_recv().is_err());
    assert!(Ntfy::open(&settings("ftp://a/")).is_err());
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_it() {
    let flood = "x".repeat(1 << 20);
    let server = Server::start(&[(200, &flood)]).await;
    let ntfy = Ntfy::open(&settings(&server.url)).unwrap();
    let fault = ntfy.publish("a", &NOTE).await.unwrap_err();
    assert!(fault.may_be_done() && !fault.is_permanent(), "{fault}");
}
