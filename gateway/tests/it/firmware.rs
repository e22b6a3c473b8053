//! Firmware by a whole gateway: into the library, and to boards by hand that restart into what they were sent,
//! or not.

use crate::support::{
    Controller, Enrolled, Gateway,
    api::{NOTHING, call, code, told},
    request, title, until,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use switchyard_gateway::Digest;
use switchyard_protocol::{
    Code, Flags, Frame, Kind,
    firmware::{FirmwareVersion, HEAD_BYTES, Manifest},
    message::{
        Answer, Body, Content, FirmwareHealth, FirmwareState, GapCause, Health, Request,
        ResetReason, ScanHealth, ScriptHealth, ScriptState, Text,
    },
};
use tokio::{task::JoinHandle, time::Instant};

/// How long the boards of these tests are on trial: a real one a minute.
const TRIAL: Duration = Duration::from_secs(3);

/// An update that nobody has signed: what boards by hand do not look at.
fn update(slot: u8, version: u32, profile: &str) -> Vec<u8> {
    let image = vec![u8::try_from(version & 0xFF).unwrap() ^ slot; 3_000];
    let mut update = b"SWF1".to_vec();
    update.extend([slot, 0, 0, 0]);
    update.extend(version.to_be_bytes());
    update.extend([0; 4]);
    update.extend((image.len() as u32).to_be_bytes());
    let mut field = [0; 20];
    field[..profile.len()].copy_from_slice(profile.as_bytes());
    update.extend(field);
    update.extend(Digest::of(&image).0);
    update.extend([5; 64]);
    update.extend(image);
    update
}

fn both(version: u32, profile: &str) -> Vec<u8> {
    [update(2, version, profile), update(1, version, profile)].concat()
}

/// A board by hand.
struct Board {
    to: SocketAddr,
    who: Enrolled,
    profile: &'static str,
    /// It falls back from this version.
    bad: Option<u32>,
    version: u32,
    slot: u8,
    state: FirmwareState,
    boot: u32,
    since: Instant,
    /// What is coming, and what was committed.
    opened: Option<(Content, [u8; 32])>,
    coming: Vec<u8>,
    manifest: Option<Manifest>,
    is_whole: bool,
}

impl Board {
    async fn spawn(
        gateway: &Gateway,
        name: &str,
        profile: &'static str,
        bad: Option<u32>,
    ) -> (u32, JoinHandle<()>) {
        let who = gateway.enrol(name).await;
        let board = Board {
            to: gateway.tcp,
            who,
            profile,
            bad,
            version: 0x0100,
            slot: 1,
            state: FirmwareState::Settled,
            boot: 7,
            since: Instant::now(),
            opened: None,
            coming: Vec::new(),
            manifest: None,
            is_whole: false,
        };
        (who.address.0, tokio::spawn(board.live()))
    }

    /// Session after session, each ended by a restart.
    async fn live(mut self) {
        loop {
            let mut controller = Controller::connect(self.to, self.who.address).await;
            controller.boot = self.boot;
            controller.go_online(self.who.key).await;
            self.since = Instant::now();
            while let Some(frame) = controller.receive().await {
                let header = *frame.header();
                if !matches!(header.kind, Kind::Query | Kind::Configure) {
                    continue;
                }
                let asked = Request::decode(header.kind, frame.payload()).unwrap();
                let is_restart = asked == Request::Restart;
                let answer = self.answer(asked).encode();
                let (kind, flags, to) = (Kind::Response, Flags::NONE, header.source);
                let from = controller.address;
                let answer = Frame::with_flags(kind, flags, header.correlation, from, to, &answer);
                controller.send(&[answer]).await;
                if is_restart {
                    self.restart();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    break;
                }
            }
        }
    }

    fn restart(&mut self) {
        self.boot += 1;
        self.state = FirmwareState::Settled;
        let Some(manifest) = self.manifest.take().filter(|_| self.is_whole) else {
            return;
        };
        self.is_whole = false;
        if self.bad == Some(manifest.version.0) {
            self.state = FirmwareState::FellBack;
            return;
        }
        self.state = FirmwareState::OnTrial;
        self.slot = manifest.slot;
        self.version = manifest.version.0;
    }

    fn answer(&mut self, asked: Request) -> Answer {
        if self.state == FirmwareState::OnTrial && self.since.elapsed() >= TRIAL {
            self.state = FirmwareState::Settled;
        }
        let verb = asked.verb();
        let refuse = |code, words: &str| Answer::Refused {
            code,
            detail: Some(Text::cut(words)),
            verb: verb.number(),
        };
        Answer::Ok(match asked {
            Request::Health => Body::Health(Box::new(self.health())),
            Request::TransferOpen {
                content, digest, ..
            } => {
                if self.opened.replace((content, digest)) != Some((content, digest)) {
                    self.coming.clear();
                }
                let offset = self.coming.len() as u32;
                Body::TransferOpen { offset }
            }
            Request::TransferWrite { bytes, .. } => {
                self.coming.extend_from_slice(&bytes);
                let offset = self.coming.len() as u32;
                Body::TransferWrite { offset }
            }
            Request::TransferCommit { digest, .. } => {
                let (content, opened) = self.opened.take().unwrap();
                let coming = Bytes::from(std::mem::take(&mut self.coming));
                assert_eq!(Digest::of(&coming).0, digest);
                assert_eq!(opened, digest);
                if content == Content::FirmwareManifest {
                    assert_eq!(coming.len(), HEAD_BYTES);
                    let manifest = Manifest::read(&coming).unwrap();
                    assert_eq!(manifest.profile, self.profile, "it was looked at");
                    assert_ne!(manifest.slot, self.slot, "the slot that does not run");
                    if self.state == FirmwareState::OnTrial {
                        return refuse(Code::Busy, "on trial");
                    }
                    if self.bad == Some(u32::MAX) {
                        return refuse(Code::OutOfRange, "nobody of ours has signed it");
                    }
                    self.manifest = Some(manifest);
                } else {
                    let manifest = self.manifest.as_ref().unwrap();
                    assert_eq!(manifest.digest, digest);
                    self.is_whole = true;
                }
                Body::TransferCommit { fault: None }
            }
            Request::Restart => Body::Done(verb),
            other => panic!("{other:?}"),
        })
    }

    fn health(&self) -> Health {
        Health {
            uptime_ms: 9_000,
            boot: self.boot,
            reset: ResetReason::Commanded,
            free_bytes: None,
            scan: ScanHealth {
                late: 0,
                longest_gap_ms: 20,
                gap_cause: GapCause::Erase,
                cost_us: 300,
            },
            script: ScriptHealth {
                state: ScriptState::None,
                trial_left_ms: None,
                title: None,
                digest: None,
                faults: 0,
            },
            firmware: Some(FirmwareHealth {
                state: self.state,
                slot: self.slot,
                version: FirmwareVersion(self.version),
                profile: title(self.profile),
            }),
        }
    }
}

/// A gateway, a technician, and boards.
struct Yard {
    gateway: Gateway,
    technician: String,
    boards: Vec<u32>,
    tasks: Vec<JoinHandle<()>>,
}

impl Yard {
    async fn of(boards: &[(&'static str, Option<u32>)]) -> Self {
        let gateway = Gateway::start_with(|settings| {
            settings.api_requests_per_ip_per_minute_max = 1_000_000;
            settings.api_requests_per_account_per_minute_max = 1_000_000;
        })
        .await;
        let mut yard = Yard {
            technician: gateway.log_in("technician").await,
            gateway,
            boards: Vec::new(),
            tasks: Vec::new(),
        };
        for (profile, bad) in boards {
            let name = format!("{profile} {}", yard.boards.len());
            let (address, task) = Board::spawn(&yard.gateway, &name, profile, *bad).await;
            yard.boards.push(address);
            yard.tasks.push(task);
        }
        until("the yard to have them all", async || {
            let online = yard.gateway.metric("controllers_online").await;
            (online == boards.len() as u64).then_some(())
        })
        .await;
        yard
    }

    async fn told(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let (gateway, token) = (&self.gateway, &self.technician);
        told(gateway, token, (method, path), body, status).await
    }

    /// Adds a firmware over HTTP: the status, and what was said.
    async fn add(&self, bytes: &[u8]) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.technician);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/octet-stream"),
        ];
        let path = "/api/firmwares?note=for%20a%20test";
        let said = request(self.gateway.http, "POST", path, &headers, bytes).await;
        (said.status, said.json())
    }

    async fn begin(&self, firmware: &str, canary: u32) -> u64 {
        let order = json!({
            "firmware": firmware,
            "controllers": self.boards,
            "terms": {"canary": canary, "steps": [100], "soak_ms": 10_000},
        });
        let begun = self.told("POST", "/api/rollouts", &order, 201).await;
        begun["rollout"].as_u64().unwrap()
    }

    async fn comes_to(&self, number: u64, phase: &str) -> (Value, Vec<Value>) {
        let path = format!("/api/rollouts/{number}");
        let mut last = Value::Null;
        let deadline = Instant::now() + Duration::from_secs(120);
        while last["phase"] != phase {
            assert!(Instant::now() < deadline, "never {phase}: {last}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A controller by hand takes silence for a fault, and a roll-out looks but every fifteen seconds.
            for address in &self.boards {
                let path = format!("/api/controllers/{address}/health");
                call(&self.gateway, &self.technician, "GET", &path, &NOTHING).await;
            }
            last = self.told("GET", &path, &NOTHING, 200).await;
        }
        let path = format!("{path}/controllers");
        let page = self.told("GET", &path, &NOTHING, 200).await;
        (last, page["items"].as_array().unwrap().clone())
    }

    /// What each board says that it runs.
    async fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for address in &self.boards {
            let path = format!("/api/controllers/{address}/health");
            let told = self.told("GET", &path, &NOTHING, 200).await;
            versions.push(told["firmware"]["version"].as_str().unwrap().to_owned());
        }
        versions
    }

    async fn end(self) {
        for task in self.tasks {
            task.abort();
        }
        self.gateway.stop().await;
    }
}

fn fields<'a>(entries: &'a [Value], field: &str) -> Vec<&'a str> {
    let fields = entries.iter().map(|it| it[field].as_str());
    fields.map(Option::unwrap_or_default).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_comes_to_boards_that_it_is_for_and_goes_back() {
    let boards = [("wemos-d1", None), ("nodemcu", None), ("nodemcu", None)];
    let yard = Yard::of(&boards).await;
    for version in [0x0100, 0x0200] {
        assert_eq!(yard.add(&both(version, "nodemcu")).await.0, 201);
    }
    let order = json!({"firmware": "nodemcu", "controllers": yard.boards});
    let forecast = async || {
        let path = "/api/rollouts/forecast";
        yard.told("POST", path, &order, 200).await
    };
    assert_eq!(forecast().await["unknown"], 3);
    assert_eq!(yard.versions().await, ["0.1.0", "0.1.0", "0.1.0"]);
    assert_eq!(
        forecast().await["outdated"],
        3,
        "they have said what they run"
    );

    let number = yard.begin("nodemcu@0.2.0", 1).await;
    let (done, entries) = yard.comes_to(number, "done").await;
    assert_eq!(done["kind"], "firmware");
    assert_eq!(done["title"], "nodemcu@0.2.0");
    assert_eq!(fields(&entries, "stage"), ["skipped", "kept", "kept"]);
    assert_eq!(fields(&entries, "reason"), ["other_board", "", ""]);
    assert_eq!(yard.versions().await, ["0.1.0", "0.2.0", "0.2.0"]);
    assert_eq!(forecast().await["current"], 2);

    // What a roll-out is of, or may bring back, stays.
    let admin = yard.gateway.log_in("admin").await;
    for version in ["0.1.0", "0.2.0"] {
        let path = format!("/api/firmwares/nodemcu/{version}");
        let refused = code(&yard.gateway, &admin, ("DELETE", &path), &NOTHING, 409).await;
        assert_eq!(refused, "in_use");
    }
    let path = format!("/api/rollouts/{number}/wishes");
    yard.told("POST", &path, &json!({"want": "roll_back"}), 202)
        .await;
    let (_, entries) = yard.comes_to(number, "rolled_back").await;
    assert_eq!(
        fields(&entries, "stage"),
        ["skipped", "reverted", "reverted"]
    );
    assert_eq!(yard.versions().await, ["0.1.0", "0.1.0", "0.1.0"]);
    yard.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firmware_that_falls_back_or_is_refused_halts_it() {
    let boards = [("nodemcu", Some(0x0200)), ("nodemcu", None)];
    let yard = Yard::of(&boards).await;
    for version in [0x0100, 0x0200] {
        assert_eq!(yard.add(&both(version, "nodemcu")).await.0, 201);
    }
    let number = yard.begin("nodemcu@0.2.0", 2).await;
    let (ended, entries) = yard.comes_to(number, "rolled_back").await;
    assert_eq!(ended["halt"]["rule"], "failed_trials", "{entries:?}");
    assert_eq!(fields(&entries, "stage"), ["reverted", "reverted"]);
    assert_eq!(fields(&entries, "reason")[0], "trial_failed");
    assert_eq!(yard.versions().await, ["0.1.0", "0.1.0"]);
    yard.end().await;

    let yard = Yard::of(&[("nodemcu", Some(u32::MAX))]).await;
    for version in [0x0100, 0x0200] {
        assert_eq!(yard.add(&both(version, "nodemcu")).await.0, 201);
    }
    let number = yard.begin("nodemcu", 1).await;
    let (ended, entries) = yard.comes_to(number, "rolled_back").await;
    assert_eq!(ended["halt"]["rule"], "refused");
    let words = entries[0]["words"].as_str().unwrap();
    assert!(words.contains("nobody of ours has signed it"), "{words}");
    yard.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_firmwares_over_http() {
    let yard = Yard::of(&[]).await;
    let (status, said) = yard.add(&both(0x0301, "nodemcu")).await;
    assert_eq!(status, 201, "{said}");
    assert_eq!(
        (&said["board"], &said["version"]),
        (&json!("nodemcu"), &json!("0.3.1"))
    );
    assert_eq!(
        yard.add(&both(0x0301, "nodemcu")).await.0,
        200,
        "it is there"
    );
    // Another image of the same version could not be told apart.
    let mut other = update(1, 0x0301, "nodemcu");
    other.truncate(HEAD_BYTES);
    other.extend([9; 3_000]);
    other[40..72].copy_from_slice(&Digest::of(&[9; 3_000]).0);
    other.extend(update(2, 0x0301, "nodemcu"));
    let (status, said) = yard.add(&other).await;
    assert_eq!((status, &said["code"]), (409, &json!("exists")), "{said}");
    assert_eq!(yard.add(&both(0x0302, "nodemcu")).await.0, 201);
    let told = yard.told("GET", "/api/firmwares", &NOTHING, 200).await;
    let items = told["items"].as_array().unwrap();
    assert_eq!(fields(items, "version"), ["0.3.2", "0.3.1"]);
    assert_eq!(items[0]["note"], "for a test");
    assert_eq!(items[0]["by"], "technician");
    assert_eq!(items[0]["bytes"], 2 * 3_136);

    let (status, said) = yard.add(b"nothing of the kind").await;
    assert_eq!(
        (status, &said["code"]),
        (422, &json!("bad_field")),
        "{said}"
    );
    let (status, _) = yard.add(&update(1, 0x0303, "nodemcu")).await;
    assert_eq!(status, 422, "one slot alone");
    let (status, said) = yard.add(&vec![0; 2 * (136 + 1_048_576) + 1]).await;
    assert_eq!(
        (status, &said["code"]),
        (413, &json!("too_large")),
        "{said}"
    );
    let post = ("POST", "/api/firmwares");
    let refused = code(&yard.gateway, &yard.technician, post, &json!({}), 415).await;
    assert_eq!(refused, "unsupported_type");

    let admin = yard.gateway.log_in("admin").await;
    let path = "/api/firmwares/nodemcu/0.3.1";
    let denied = code(
        &yard.gateway,
        &yard.technician,
        ("DELETE", path),
        &NOTHING,
        403,
    )
    .await;
    assert_eq!(denied, "forbidden");
    told_by(&yard, &admin, ("DELETE", path), 204).await;
    told_by(&yard, &admin, ("DELETE", path), 404).await;
    told_by(
        &yard,
        &admin,
        ("DELETE", "/api/firmwares/nodemcu/0.300.1"),
        422,
    )
    .await;
    // What is in no library cannot be ordered.
    let order = json!({"firmware": "nodemcu@0.3.1", "controllers": [1]});
    yard.gateway.enrol("pump").await;
    yard.told("POST", "/api/rollouts/forecast", &order, 404)
        .await;
    let order = json!({"firmware": "nodemcu@3", "controllers": [1]});
    yard.told("POST", "/api/rollouts/forecast", &order, 422)
        .await;
    yard.end().await;
}

async fn told_by(yard: &Yard, token: &str, what: (&str, &str), status: u16) -> Value {
    told(&yard.gateway, token, what, &NOTHING, status).await
}
