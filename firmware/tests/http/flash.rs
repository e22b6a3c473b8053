//! What a controller keeps in flash, over restarts, new processes and processes that are killed.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use switchyard_firmware::Flash;

use crate::{Answer, Client, Server};

const PASSWORD: &[u8] = br#"{"password":"correct horse"}"#;

const SCRIPT: &str = "out lamp = RL1 safe off manual\nretain runs : int\n\
    param delay : time = 30s in 1s..10m\nruns += 1 when rise(lamp)\n";

async fn expect(client: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    let answer = client.ask(method, path, body.as_bytes()).await;
    assert_eq!(answer.status(), "200", "{path}: {}", answer.text());
    answer
}

/// What brings a script and keeps it, request by request.
fn steps(source: &str) -> Vec<(&'static str, String, String)> {
    let mut steps = vec![(
        "POST",
        "/api/script/begin".to_owned(),
        format!(r#"{{"bytes":{}}}"#, source.len()),
    )];
    for (index, piece) in source.as_bytes().chunks(1024).enumerate() {
        let piece = String::from_utf8(piece.to_vec()).expect("a script in ASCII");
        steps.push(("PUT", format!("/api/script?at={}", index * 1024), piece));
    }
    for path in ["script/end", "trial/begin", "trial/commit"] {
        steps.push(("POST", format!("/api/{path}"), "{}".to_owned()));
    }
    steps
}

/// Logs in, and finds all that was kept.
async fn look(server: &Server) -> Client {
    let mut client = server.connect().await;
    let login = client.ask("POST", "/api/login", PASSWORD).await;
    assert_eq!(login.status(), "200", "{}", login.text());
    let script = expect(&mut client, "GET", "/api/script", "").await;
    assert_eq!(script.text(), SCRIPT);
    for (path, kept) in [
        (
            "live",
            r#""name":"runs","kind":"retained","type":"int","value":2,"#,
        ),
        (
            "live",
            r#""name":"delay","kind":"parameter","type":"time","value":45000,"#,
        ),
        // What a person has switched does not outlive the power.
        (
            "live",
            r#""name":"lamp","pin":"RL1","type":"digital_output","value":0,"#,
        ),
        ("live", r#""link":"down""#),
        (
            "why",
            r#""name":"lamp","type":"digital_output","value":1,"cause":{"kind":"command","by":7,"#,
        ),
        ("settings", r#""name":"Pump house 3""#),
        ("settings", r#""zone":"CET-1CEST,M3.5.0,M10.5.0/3""#),
    ] {
        let found = expect(&mut client, "GET", &format!("/api/{path}"), "")
            .await
            .text();
        assert!(found.contains(kept), "expected {kept} in {found}");
    }
    client
}

#[tokio::test]
async fn what_is_kept_outlives_a_restart_and_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("controller.flash");
    let server = Server::over(Flash::in_file(&file).expect("a new file")).await;
    let mut client = server.connect().await;
    let set = client.ask("POST", "/api/setup", PASSWORD).await;
    assert_eq!(set.status(), "200");
    for (method, path, body) in steps(SCRIPT) {
        expect(&mut client, method, &path, &body).await;
    }
    for (path, body) in [
        ("set", r#"{"point":"lamp","value":1}"#),
        ("set", r#"{"point":"lamp","value":0}"#),
        ("set", r#"{"point":"lamp","value":1}"#),
        ("parameter", r#"{"name":"delay","value":45000}"#),
        (
            "settings",
            r#"{"name":"Pump house 3","zone":"CET-1CEST,M3.5.0,M10.5.0/3"}"#,
        ),
    ] {
        expect(&mut client, "POST", &format!("/api/{path}"), body).await;
    }

    let before = server.controller.view().boot_id;
    expect(&mut client, "POST", "/api/restart", "{}").await;
    let begun_anew = server.controller.wait_for(|view| view.boot_id != before);
    begun_anew.await.expect("another life");
    look(&server).await;

    server.controller.stop().await;
    let server = Server::over(Flash::in_file(&file).expect("the same file")).await;
    look(&server).await;
}

#[test]
fn a_file_that_is_no_flash_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("controller.flash");
    fs::write(&file, "notes").expect("a file");
    let error = Flash::in_file(&file)
        .expect_err("it is too short")
        .to_string();
    assert_eq!(error, "expected 1048576 bytes of flash and found 5");
    let output = Command::new(env!("CARGO_BIN_EXE_virtual-controller"))
        .args(["--http", "127.0.0.1:0", "--flash"])
        .arg(&file)
        .output()
        .expect("the program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("controller.flash"),
        "{said}"
    );
    assert_eq!(fs::read(&file).expect("the file"), b"notes");
}

/// The program itself, killed when this is dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(flash: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_virtual-controller"))
            .args(["--http", "127.0.0.1:0", "--flash"])
            .arg(flash)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line
            .trim()
            .strip_prefix("its page is at http://")
            .and_then(|rest| rest.trim_end_matches('/').parse().ok());
        Self {
            child,
            address: address.unwrap_or_else(|| panic!("expected its page and read {line:?}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two pieces long, and another one for each number.
fn long_script(number: usize) -> String {
    format!(
        "# {number}\n{}out lamp = RL1 safe off manual\n",
        "# filler\n".repeat(150)
    )
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_one_script_or_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("controller.flash");
    {
        let running = Running::start(&file);
        let mut client = Client::connect(running.address).await;
        let set = client.ask("POST", "/api/setup", PASSWORD).await;
        assert_eq!(set.status(), "200");
        for (method, path, body) in steps(&long_script(0)) {
            expect(&mut client, method, &path, &body).await;
        }
    }
    let mut kept = 0;
    let count = steps(&long_script(0)).len();
    // Killed before each answer, and right behind each.
    for round in 0..2 * count {
        let (cut, is_answered) = (round / 2, round % 2 == 1);
        let running = Running::start(&file);
        let mut client = Client::connect(running.address).await;
        let login = client.ask("POST", "/api/login", PASSWORD).await;
        assert_eq!(login.status(), "200", "round {round}: {}", login.text());
        let found = expect(&mut client, "GET", "/api/script", "").await.text();
        assert_eq!(found, long_script(kept), "round {round}");
        let live = expect(&mut client, "GET", "/api/live", "").await.text();
        assert!(live.contains(r#""script":"runs""#), "round {round}: {live}");

        let steps = steps(&long_script(round + 1));
        for (method, path, body) in &steps[..cut] {
            expect(&mut client, method, path, body).await;
        }
        let (method, path, body) = &steps[cut];
        if is_answered {
            expect(&mut client, method, path, body).await;
        } else {
            client.request(method, path, body.as_bytes()).await;
        }
        drop(running);
        // Only a commit that nobody has heard the answer of may have come to either end.
        if cut == count - 1 {
            let running = Running::start(&file);
            let mut client = Client::connect(running.address).await;
            client.ask("POST", "/api/login", PASSWORD).await;
            let found = expect(&mut client, "GET", "/api/script", "").await.text();
            if is_answered || found != long_script(kept) {
                assert_eq!(found, long_script(round + 1), "round {round}");
                kept = round + 1;
            }
        }
    }
}
