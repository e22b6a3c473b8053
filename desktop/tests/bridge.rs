//! The bridge as the page uses it, on Tauri's mock runtime: names, arguments, answers, faults and rights, with no display.
//! The capability and the configuration are the real ones.
#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "../../crates/client/tests/scripted/mod.rs"]
mod scripted;

use std::sync::mpsc;

use scripted::{ACCOUNT, Gateway, PASSWORD};
use serde_json::{Value, json};
use tauri::{
    App, Listener, Manager, WebviewWindow, WebviewWindowBuilder,
    ipc::{CallbackFn, InvokeBody},
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder},
    webview::InvokeRequest,
};
use tempfile::TempDir;

/// What the page orders of a board.
fn order() -> Value {
    json!({
        "serialPort": "/dev/no-such-board", "reset": "person", "images": [{"offset": 0, "path": "image.bin"}],
        "profile": "virtual", "wifi": "yard", "wifiPassword": "x", "gateways": ["127.0.0.1:1"],
        "title": "North pump", "site": null, "script": null, "pagePassword": null, "replace": false,
        "offMains": false,
    })
}

/// Every command of the bridge, with arguments of the right shape.
fn commands() -> Vec<(&'static str, Value)> {
    let action = json!({"kind": "set", "point": "RL1", "value": 1});
    let key = "00112233445566778899aabbccddeeff";
    let command = json!({
        "key": key, "address": 7, "action": action, "expiresInMs": 1_000, "wait": false,
    });
    vec![
        ("session", json!({})),
        (
            "log_in",
            json!({"gateway": "", "account": "li", "password": "x", "code": null}),
        ),
        ("is_setup_needed", json!({"gateway": ""})),
        (
            "set_up",
            json!({"gateway": "", "setupCode": "x", "account": "li", "password": "x"}),
        ),
        ("log_out", json!({})),
        ("link", json!({})),
        ("fleet", json!({})),
        ("send_command", json!({"command": command})),
        ("describe", json!({"address": 7})),
        ("identify", json!({"address": 7})),
        ("holder", json!({"address": 7})),
        ("send_note", json!({"address": 7, "text": "hello"})),
        (
            "api",
            json!({"request": {"method": "GET", "path": "api/alarms", "body": null, "waitMs": 0}}),
        ),
        ("count_alarms", json!({"count": 3, "language": "zh"})),
        ("serial_ports", json!({})),
        ("board", json!({})),
        ("install_board", json!({"order": order()})),
        ("stop_board", json!({})),
    ]
}

struct Desktop {
    app: App<MockRuntime>,
    _folder: TempDir,
}

impl Desktop {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().to_path_buf();
        let app = switchyard_desktop::app(mock_builder(), Some(inside)).unwrap();
        Desktop {
            app,
            _folder: folder,
        }
    }

    fn main(&self) -> WebviewWindow<MockRuntime> {
        self.app
            .get_webview_window("main")
            .expect("the window of tauri.conf.json")
    }
}

fn call(window: &WebviewWindow<MockRuntime>, command: &str, fields: Value) -> Result<Value, Value> {
    let request = InvokeRequest {
        cmd: command.to_owned(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: "tauri://localhost".parse().unwrap(),
        body: InvokeBody::Json(fields),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.to_owned(),
    };
    get_ipc_response(window, request).map(|body| body.deserialize().unwrap())
}

#[test]
fn with_nobody_logged_in_everything_answers_in_shape() {
    let desktop = Desktop::start();
    let window = desktop.main();
    assert_eq!(call(&window, "session", json!({})), Ok(Value::Null));
    let closed = json!({"state": "closed", "retryInMs": null, "code": null});
    assert_eq!(call(&window, "link", json!({})), Ok(closed));
    let nothing = json!({"synced": false, "controllers": []});
    assert_eq!(call(&window, "fleet", json!({})), Ok(nothing));
    assert_eq!(call(&window, "log_out", json!({})), Ok(Value::Null));
    let listed = call(&window, "serial_ports", json!({})).unwrap();
    assert_eq!(
        listed.as_array().unwrap().len(),
        switchyard_flasher::serial_ports().unwrap().len()
    );
}

#[test]
fn the_main_window_may_call_every_command_and_another_none() {
    let desktop = Desktop::start();
    let main = desktop.main();
    let other = WebviewWindowBuilder::new(&desktop.app, "other", Default::default());
    let other = other.build().unwrap();
    for (command, fields) in commands() {
        match call(&main, command, fields.clone()) {
            Ok(_) => {}
            // A fault of our own, with its word; Tauri's refusals are plain texts.
            Err(fault) => {
                assert!(
                    fault["code"].is_string() && fault["message"].is_string(),
                    "{fault}"
                );
            }
        }
        let refused = call(&other, command, fields).unwrap_err();
        assert!(
            refused
                .as_str()
                .is_some_and(|text| text.contains("not allowed")),
            "{refused}"
        );
    }
}

#[test]
fn the_page_may_ask_tauri_for_nothing_but_events() {
    let desktop = Desktop::start();
    let window = desktop.main();
    for command in [
        "plugin:event|emit",
        "plugin:window|close",
        "plugin:webview|create_webview_window",
        "plugin:path|resolve_directory",
        "plugin:app|version",
    ] {
        let refused = call(&window, command, json!({})).unwrap_err();
        assert!(
            refused.to_string().contains("not allowed"),
            "{command}: {refused}"
        );
    }
}

#[test]
fn faults_are_words() {
    let desktop = Desktop::start();
    let window = desktop.main();
    let fault = |command, fields| call(&window, command, fields).unwrap_err()["code"].clone();
    let asked = json!({"gateway": "ftp://yard", "account": "li", "password": "x"});
    assert_eq!(fault("log_in", asked), "bad_url");
    assert_eq!(fault("describe", json!({"address": 7})), "not_logged_in");
    assert_eq!(
        fault("install_board", json!({"order": order()})),
        "not_logged_in"
    );
    let text = "x".repeat(201);
    assert_eq!(
        fault("send_note", json!({"address": 7, "text": text})),
        "bad_field"
    );
}

/// The events' names and shapes, as the window's own script hears them.
#[test]
fn news_reach_the_window_under_their_names() {
    let desktop = Desktop::start();
    let window = desktop.main();
    let (sender, heard) = mpsc::channel();
    for name in ["session", "link"] {
        let sender = sender.clone();
        window.listen(name, move |event| {
            let payload: Value = serde_json::from_str(event.payload()).unwrap();
            let _ = sender.send((name, payload));
        });
    }
    let gateway = tauri::async_runtime::block_on(Gateway::bind());
    let url = gateway.url();
    let peer = tauri::async_runtime::spawn(async move {
        let mut peer = gateway.accept().await;
        peer.welcome(0x8000_0007, 1).await;
        peer.any_frame().await;
        peer
    });
    let asked = json!({"gateway": url, "account": ACCOUNT, "password": PASSWORD});
    let session = call(&window, "log_in", asked).unwrap();
    let expected = json!({
        "account": ACCOUNT, "role": 3, "address": 0x8000_0007_u32,
        "gateway": url.replace("http://", ""),
    });
    assert_eq!(session, expected);
    let _peer = tauri::async_runtime::block_on(peer).unwrap();
    let told: Vec<_> = (0..3)
        .map(|_| heard.recv_timeout(scripted::PATIENCE).unwrap())
        .collect();
    let link = |state| json!({"state": state, "retryInMs": null, "code": null});
    assert_eq!(
        told,
        [
            ("link", link("connecting")),
            ("session", expected),
            ("link", link("live"))
        ]
    );
}
