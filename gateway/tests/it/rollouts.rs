//! Roll-outs by a whole gateway, to controllers of the real core over real sockets: what comes of a
//! script that is good, of one that is not, and of whatever happens in between.

use crate::support::{
    Controller, Enrolled, Gateway,
    api::{NOTHING, call, code, told},
    now, soon, title, until,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use switchyard_firmware::{
    Behaviour, ControllerKey, Flash, Options, PlantSettings, Script, Settings, VirtualController,
};
use switchyard_gateway::{
    Digest,
    fleet::{executor::CHORE, rollout::ReleaseKind},
    hash_password,
    store::{Account, Content, ControllerEdit, Fault, Faults, FencingToken, Guarded, RolloutId},
};
use switchyard_protocol::{
    Address, Flags, Frame, Kind, Role,
    message::{
        Answer, Body, GapCause, Health, Request, ResetReason, ScanHealth, ScriptHealth, ScriptState,
    },
};
use switchyard_relay::Rights;

/// The shortest watch there is.
const SOAK_MS: u64 = 10_000;

const GOOD: &str = "# The lamp as it is to be\nout lamp = RL1 safe off manual\n";
/// After two seconds it divides by zero, once.
const FAULTY: &str =
    "out fan = RL2 safe off\nvar n : int\nn += 1 when n < 300\nfan := 100 / (200 - n) > 1000\n";
const NO_SCRIPT: &str = "out lamp = RL1 safe off manual\nlamp := nonsense\n";

/// A gateway and controllers that run what is built in.
struct Fleet {
    gateway: Gateway,
    controllers: Vec<VirtualController>,
    technician: String,
}

/// A controller calls its link live a moment before the yard has it.
async fn all_there(gateway: &Gateway, count: usize) {
    until("the yard to have them all", async || {
        let online = gateway.metric("controllers_online").await;
        (online == count as u64).then_some(())
    })
    .await;
}

impl Fleet {
    async fn of(count: usize) -> Self {
        Self::at(Gateway::start_with(ask_away).await, count).await
    }

    async fn at(gateway: Gateway, count: usize) -> Self {
        let mut controllers = Vec::new();
        for number in 0..count {
            let who = gateway.enrol(&"p".repeat(number + 1)).await;
            controllers.push(spawn(&gateway, who, Behaviour::Latch));
        }
        for controller in &controllers {
            soon("a controller", controller.wait_live()).await.unwrap();
        }
        all_there(&gateway, count).await;
        let technician = gateway.log_in("technician").await;
        Fleet {
            gateway,
            controllers,
            technician,
        }
    }

    fn addresses(&self) -> Vec<u32> {
        let addresses = self.controllers.iter();
        addresses.map(|controller| controller.address().0).collect()
    }

    async fn told(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        told(
            &self.gateway,
            &self.technician,
            (method, path),
            body,
            status,
        )
        .await
    }

    /// Begins one to all controllers; its number.
    async fn begin(&self, source: &str, terms: Value) -> u64 {
        let digest = self.keep(source).await;
        let order = json!({
            "digest": digest.to_string(), "controllers": self.addresses(), "terms": terms
        });
        let begun = self.told("POST", "/api/rollouts", &order, 201).await;
        begun["rollout"].as_u64().unwrap()
    }

    async fn keep(&self, source: &str) -> Digest {
        let content = Content::script(source).unwrap();
        let kept = self.gateway.stores.config.put_content(content, now()).await;
        assert_eq!(kept.unwrap(), Digest::of(source.as_bytes()));
        Digest::of(source.as_bytes())
    }

    async fn rollout(&self, number: u64) -> Value {
        let path = format!("/api/rollouts/{number}");
        self.told("GET", &path, &NOTHING, 200).await
    }

    async fn entries(&self, number: u64) -> Vec<Value> {
        let path = format!("/api/rollouts/{number}/controllers");
        let page = self.told("GET", &path, &NOTHING, 200).await;
        page["items"].as_array().unwrap().clone()
    }

    async fn comes_to(&self, number: u64, phase: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..3 {
            let waiting = async {
                loop {
                    last = self.rollout(number).await;
                    if last["phase"] == phase {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(30), waiting)
                .await
                .is_ok()
            {
                return last;
            }
        }
        panic!("never {phase}: {last}, {:?}", self.entries(number).await);
    }

    /// What a controller itself says of its script.
    async fn script_of(&self, address: u32) -> Value {
        let path = format!("/api/controllers/{address}/health");
        let path = path.as_str();
        // Its digest is worked out some seconds after it began.
        let script = format!("/api/controllers/{address}/script");
        self.told("GET", &script, &NOTHING, 200).await;
        self.told("GET", path, &NOTHING, 200).await["script"].clone()
    }

    async fn wish(&self, number: u64, want: &str, status: u16) -> Value {
        let path = format!("/api/rollouts/{number}/wishes");
        self.told("POST", &path, &json!({ "want": want }), status)
            .await
    }

    async fn end(self) {
        for controller in self.controllers {
            controller.stop().await;
        }
        self.gateway.stop().await;
    }
}

/// Tests ask more often than people.
fn ask_away(settings: &mut switchyard_gateway::Settings) {
    settings.api_requests_per_ip_per_minute_max = 1_000_000;
    settings.api_requests_per_account_per_minute_max = 1_000_000;
}

/// A controller that runs this, in flash that was blank before.
fn spawn(gateway: &Gateway, who: Enrolled, script: impl Into<Script>) -> VirtualController {
    let key = ControllerKey::new(who.key);
    VirtualController::spawn(Options {
        settings: Settings::new(who.address, key, script),
        gateways: vec![gateway.tcp.to_string()],
        plant: PlantSettings::default(),
        flash: Some(Flash::blank()),
        http: None,
        live: None,
        executions: None,
        serial: None,
        redial_within: Some(Duration::from_millis(200)),
    })
    .unwrap()
}

fn terms(canary: u32, steps: &[u8]) -> Value {
    json!({"canary": canary, "steps": steps, "soak_ms": SOAK_MS})
}

fn stages(entries: &[Value]) -> Vec<&str> {
    let stages = entries.iter();
    stages
        .map(|entry| entry["stage"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_script_comes_to_all_and_goes_back_when_a_person_wants() {
    let fleet = Fleet::of(3).await;
    let before = fleet.script_of(fleet.addresses()[0]).await;
    let digest = fleet.keep(GOOD).await.to_string();
    let order = json!({"digest": digest, "controllers": fleet.addresses()});
    let forecast = fleet
        .told("POST", "/api/rollouts/forecast", &order, 200)
        .await;
    let count = |name: &str| forecast[name].as_u64().unwrap();
    assert_eq!((count("controllers"), count("current")), (3, 0));
    assert_eq!(count("outdated") + count("unknown"), 3);
    let number = fleet.begin(GOOD, terms(1, &[100])).await;
    // At first the canary alone.
    until("the canary's trial", async || {
        let entries = fleet.entries(number).await;
        (stages(&entries) == ["on_trial", "pending", "pending"]).then_some(())
    })
    .await;
    let canary = fleet.script_of(fleet.addresses()[0]).await;
    assert_eq!(
        (&canary["state"], &canary["digest"]),
        (&json!("on_trial"), &json!(digest))
    );
    let other = fleet.script_of(fleet.addresses()[1]).await;
    assert_eq!(other["digest"], before["digest"]);
    let done = fleet.comes_to(number, "done").await;
    assert_eq!(done["stages"], json!({"kept": 3}));
    for address in fleet.addresses() {
        let script = fleet.script_of(address).await;
        assert_eq!(
            (&script["state"], &script["digest"]),
            (&json!("kept"), &json!(digest))
        );
    }
    // What was seen is known, and the same once more touches nobody.
    let forecast = fleet
        .told("POST", "/api/rollouts/forecast", &order, 200)
        .await;
    assert_eq!(forecast["current"], 3, "{forecast}");
    let again = fleet.begin(GOOD, terms(1, &[100])).await;
    let done = fleet.comes_to(again, "done").await;
    assert_eq!(done["stages"], json!({"skipped": 3}));
    // One that has ended is rolled back all the same.
    fleet.wish(number, "roll_back", 202).await;
    fleet.comes_to(number, "rolled_back").await;
    for address in fleet.addresses() {
        let script = fleet.script_of(address).await;
        assert_eq!(
            (&script["state"], &script["digest"]),
            (&json!("kept"), &before["digest"])
        );
    }
    let refused = fleet.wish(number, "pause", 409).await;
    assert_eq!(refused["code"], "wrong_state");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_compile_is_refused_with_its_line() {
    let fleet = Fleet::of(2).await;
    let number = fleet.begin(NO_SCRIPT, terms(1, &[100])).await;
    let ended = fleet.comes_to(number, "rolled_back").await;
    assert_eq!(ended["halt"]["rule"], "refused");
    let entries = fleet.entries(number).await;
    assert_eq!(stages(&entries), ["failed", "pending"]);
    let words = entries[0]["words"].as_str().unwrap();
    assert!(words.starts_with("line 2, column 1: expected "), "{words}");
    assert_eq!(fleet.gateway.metric("rollout_halts_total").await, 1);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_ends_by_itself_halts_and_all_go_back() {
    let fleet = Fleet::of(3).await;
    let before = fleet.script_of(fleet.addresses()[0]).await;
    let number = fleet.begin(FAULTY, terms(2, &[100])).await;
    let ended = fleet.comes_to(number, "rolled_back").await;
    let halt = &ended["halt"];
    assert_eq!(
        (&halt["rule"], &halt["in_canary"]),
        (&json!("failed_trials"), &json!(true))
    );
    let entries = fleet.entries(number).await;
    assert_eq!(stages(&entries), ["reverted", "reverted", "pending"]);
    assert_eq!(entries[2]["touched"], false);
    for address in fleet.addresses() {
        let script = fleet.script_of(address).await;
        assert_eq!(
            (&script["state"], &script["digest"]),
            (&json!("kept"), &before["digest"])
        );
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_pause_resume_and_abort_it() {
    let fleet = Fleet::of(2).await;
    let before = fleet.script_of(fleet.addresses()[0]).await;
    let number = fleet.begin(GOOD, terms(1, &[100])).await;
    until("the canary's trial", async || {
        let entries = fleet.entries(number).await;
        (entries[0]["stage"] == "on_trial").then_some(())
    })
    .await;
    fleet.wish(number, "pause", 202).await;
    fleet.comes_to(number, "paused").await;
    // The one that has begun goes on, and no other comes.
    until("the canary's end", async || {
        let entries = fleet.entries(number).await;
        (stages(&entries) == ["kept", "pending"]).then_some(())
    })
    .await;
    fleet.wish(number, "resume", 202).await;
    until("the next trial", async || {
        let entries = fleet.entries(number).await;
        (stages(&entries) == ["kept", "on_trial"]).then_some(())
    })
    .await;
    fleet.wish(number, "abort", 202).await;
    fleet.comes_to(number, "aborted").await;
    let entries = fleet.entries(number).await;
    assert_eq!(stages(&entries), ["kept", "reverted"]);
    let script = fleet.script_of(fleet.addresses()[1]).await;
    assert_eq!(script["digest"], before["digest"]);
    // Nothing is left to do, and so nobody owns it.
    until("the chore to be given up", async || {
        (fleet.gateway.metric("rollouts_owned").await == 0).then_some(())
    })
    .await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_its_lease_and_for_the_store() {
    let faults = Arc::new(Faults::default());
    let planted = Arc::clone(&faults);
    let gateway = Gateway::start_on_stores(ask_away, |_, mut stores| {
        stores.config = Arc::new(Guarded::new(stores.config, planted));
        stores
    })
    .await;
    // Somebody else has the chore: nothing begins here.
    let chore = title(CHORE);
    let config = Arc::clone(&gateway.stores.config);
    let hour = Duration::from_secs(3_600);
    let theirs = config.acquire_lease(chore.clone(), [9; 16], hour, now());
    let FencingToken(token) = theirs.await.unwrap().unwrap();
    let fleet = Fleet::at(gateway, 1).await;
    let number = fleet.begin(GOOD, terms(1, &[100])).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fleet.rollout(number).await["stages"], json!({"pending": 1}));
    assert!(config.release_lease(chore.clone(), [9; 16]).await.unwrap());
    until("the trial", async || {
        let entries = fleet.entries(number).await;
        (entries[0]["stage"] == "on_trial").then_some(())
    })
    .await;
    let id = RolloutId(u32::try_from(number).unwrap());
    let head = config.rollout(id).await.unwrap().unwrap().head;
    assert!(head.token() > token, "{} after {token}", head.token());
    // A while without the store changes nothing of what comes of it.
    faults.set(Some(Fault::FailAfter));
    until("the executor to miss the store", async || {
        let failures = fleet.gateway.metric("rollout_store_failures_total").await;
        (failures > 0).then_some(())
    })
    .await;
    faults.set(None);
    let done = fleet.comes_to(number, "done").await;
    assert_eq!(done["stages"], json!({"kept": 1}));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_parameters_come_to_all_and_go_back() {
    let mut fleet = Fleet::of(0).await;
    let script = "param most : num = 80 in 0..100\nparam tries : int = 3 in 1..9\nout lamp = RL1 safe off manual\n";
    for name in ["a", "bb"] {
        let who = fleet.gateway.enrol(name).await;
        let script = Script::new("tank", script).unwrap();
        let controller = spawn(&fleet.gateway, who, script);
        soon("a controller", controller.wait_live()).await.unwrap();
        fleet.controllers.push(controller);
    }
    all_there(&fleet.gateway, fleet.controllers.len()).await;
    let values = async || {
        let mut all = Vec::new();
        for address in fleet.addresses() {
            let path = format!("/api/controllers/{address}/parameters");
            let told = fleet.told("GET", &path, &NOTHING, 200).await;
            let items = told["items"].as_array().unwrap();
            all.extend(items.iter().map(|it| it["value"].as_i64().unwrap()));
        }
        all
    };
    let order = |most: i64| {
        json!({
            "parameters": [{"name": "most", "type": "num", "value": most}],
            "controllers": fleet.addresses(),
            "terms": terms(1, &[100]),
        })
    };
    let begin = async |most| {
        let begun = fleet.told("POST", "/api/rollouts", &order(most), 201).await;
        begun["rollout"].as_u64().unwrap()
    };
    assert_eq!(values().await, [80_000, 3, 80_000, 3]);
    // What they were seen to have is kept, by what it is known by.
    let seen = async |most: i64| {
        let config = &fleet.gateway.stores.config;
        let seen = config.seen(ReleaseKind::Parameters, Address::GATEWAY, 9);
        let seen = seen.await.unwrap();
        let seen: Vec<_> = seen
            .into_iter()
            .map(|it| (it.controller.0, it.running))
            .collect();
        let digest = Digest::of(format!("most num {most}\n").as_bytes());
        let all = fleet.addresses().into_iter();
        assert_eq!(seen, all.map(|it| (it, Some(digest))).collect::<Vec<_>>());
    };
    // What its script does not allow is refused before anything is set.
    let number = begin(100_001).await;
    let ended = fleet.comes_to(number, "rolled_back").await;
    assert_eq!(ended["halt"]["rule"], "refused");
    let words = fleet.entries(number).await[0]["words"].clone();
    assert_eq!(words, "its parameter most takes 0 to 100000, not 100001");
    let number = begin(55_500).await;
    let done = fleet.comes_to(number, "done").await;
    assert_eq!(
        (&done["kind"], &done["title"]),
        (&json!("parameters"), &json!("most"))
    );
    assert_eq!(done["stages"], json!({"kept": 2}));
    assert_eq!(values().await, [55_500, 3, 55_500, 3]);
    seen(55_500).await;
    fleet.wish(number, "roll_back", 202).await;
    fleet.comes_to(number, "rolled_back").await;
    seen(80_000).await;
    assert_eq!(values().await, [80_000, 3, 80_000, 3]);
    fleet.end().await;
}

/// A controller by hand, which keeps what is written to it over its sessions.
struct Keeping {
    script: Vec<u8>,
    on_trial: bool,
    coming: Vec<u8>,
    opened: Option<[u8; 32]>,
    /// Where the pieces began that it took.
    offsets: Vec<u32>,
}

impl Keeping {
    /// Answers until so many pieces have come in all, or the gateway goes; the connection is cut then.
    async fn serve(&mut self, mut controller: Controller, pieces_max: usize) {
        while self.offsets.len() < pieces_max
            && let Some(frame) = controller.receive().await
        {
            let header = *frame.header();
            if !matches!(header.kind, Kind::Query | Kind::Configure) {
                continue;
            }
            let asked = Request::decode(header.kind, frame.payload()).unwrap();
            let answer = Answer::Ok(self.answer(asked)).encode();
            let (kind, flags, to) = (Kind::Response, Flags::NONE, header.source);
            let from = controller.address;
            let answer = Frame::with_flags(kind, flags, header.correlation, from, to, &answer);
            controller.send(&[answer]).await;
        }
    }

    fn answer(&mut self, asked: Request) -> Body {
        let verb = asked.verb();
        match asked {
            Request::Health => Body::Health(Box::new(Health {
                uptime_ms: 9_000,
                boot: 7,
                reset: ResetReason::Power,
                free_bytes: None,
                scan: ScanHealth {
                    late: 0,
                    longest_gap_ms: 20,
                    gap_cause: GapCause::Erase,
                    cost_us: 300,
                },
                script: ScriptHealth {
                    state: match self.on_trial {
                        true => ScriptState::OnTrial,
                        false => ScriptState::Kept,
                    },
                    trial_left_ms: None,
                    title: None,
                    digest: Some(Digest::of(&self.script).0),
                    faults: 0,
                },
                firmware: None,
            })),
            Request::TransferRead { offset, .. } => Body::TransferRead {
                size: self.script.len() as u32,
                bytes: Bytes::copy_from_slice(&self.script[offset as usize..]),
                digest: Digest::of(&self.script).0,
            },
            Request::TransferOpen { digest, .. } => {
                if self.opened.replace(digest) != Some(digest) {
                    self.coming.clear();
                }
                let offset = self.coming.len() as u32;
                Body::TransferOpen { offset }
            }
            Request::TransferWrite { offset, bytes } => {
                assert_eq!(offset as usize, self.coming.len());
                self.offsets.push(offset);
                self.coming.extend_from_slice(&bytes);
                let offset = self.coming.len() as u32;
                Body::TransferWrite { offset }
            }
            Request::TransferCommit { keep, .. } => {
                self.script = std::mem::take(&mut self.coming);
                self.on_trial = !keep;
                Body::TransferCommit { fault: None }
            }
            Request::Trial { keep } => {
                assert!(keep, "nothing is wrong with it");
                self.on_trial = false;
                Body::Done(verb)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_was_cut_off_goes_on_where_it_was() {
    let fleet = Fleet::of(0).await;
    let pump = fleet.gateway.enrol("pump").await;
    let mut keeping = Keeping {
        script: b"RL1 := DI1".to_vec(),
        on_trial: false,
        coming: Vec::new(),
        opened: None,
        offsets: Vec::new(),
    };
    let mut controller = Controller::online(&fleet.gateway, pump).await;
    controller.is_live().await;
    let script = "# a line\n".repeat(500);
    let digest = fleet.keep(&script).await;
    let order = json!({
        "digest": digest.to_string(), "controllers": [pump.address.0], "terms": terms(1, &[100])
    });
    let begun = fleet.told("POST", "/api/rollouts", &order, 201).await;
    let number = begun["rollout"].as_u64().unwrap();
    soon("two pieces", keeping.serve(controller, 2)).await;
    assert_eq!(keeping.offsets, [0, 896]);
    let mut controller = Controller::online(&fleet.gateway, pump).await;
    controller.is_live().await;
    let serving = tokio::spawn(async move {
        keeping.serve(controller, usize::MAX).await;
        keeping
    });
    fleet.comes_to(number, "done").await;
    fleet.end().await;
    let keeping = serving.await.unwrap();
    assert_eq!(keeping.offsets[2], 2 * 896, "it went on where it was");
    assert_eq!(
        (keeping.script, keeping.on_trial),
        (script.into_bytes(), false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_overtaken_does_nothing_more() {
    let fleet = Fleet::of(1).await;
    let number = fleet.begin(GOOD, terms(1, &[100])).await;
    until("the trial", async || {
        let entries = fleet.entries(number).await;
        (entries[0]["stage"] == "on_trial").then_some(())
    })
    .await;
    // Another gateway claims it, and goes away with it.
    let config = &fleet.gateway.stores.config;
    let id = RolloutId(u32::try_from(number).unwrap());
    let claimed = config.claim_rollout(id, FencingToken(1_000)).await.unwrap();
    assert!(claimed.is_some());
    tokio::time::sleep(Duration::from_millis(SOAK_MS + 6_000)).await;
    let script = fleet.script_of(fleet.addresses()[0]).await;
    assert_eq!(script["state"], "on_trial", "nobody told it to keep it");
    assert_eq!(
        fleet.rollout(number).await["stages"],
        json!({"on_trial": 1})
    );
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_technicians_of_every_site_roll_anything_out_there() {
    let gateway = Gateway::start_with(ask_away).await;
    let config = Arc::clone(&gateway.stores.config);
    let mut sites = Vec::new();
    for name in ["river", "hill"] {
        let site = config.add_site(title(name), 10, now()).await.unwrap();
        let who = gateway.enrol(name).await;
        let edit = ControllerEdit {
            site: Some(Some(site)),
            tags: Some(vec![title("pumps")]),
            ..ControllerEdit::default()
        };
        assert!(config.edit_controller(who.address, edit).await.unwrap());
        sites.push((site, who.address));
    }
    let [(river, at_river), (hill, at_hill)] = sites[..] else {
        panic!("{sites:?}");
    };
    let hash = hash_password(crate::support::PASSWORD).unwrap();
    for (name, roles) in [
        ("local", vec![(river, Role::Technician)]),
        (
            "mixed",
            vec![(river, Role::Technician), (hill, Role::Viewer)],
        ),
    ] {
        let account = Account {
            name: title(name),
            rights: Rights::new(None, roles),
            password_hash: hash.clone(),
            totp: None,
            created: now(),
        };
        config.add_account(account).await.unwrap();
    }
    let digest = config.put_content(Content::script(GOOD).unwrap(), now());
    let digest = digest.await.unwrap().to_string();
    let order = |to: Value| {
        let mut order = json!({"digest": digest});
        order
            .as_object_mut()
            .unwrap()
            .extend(to.as_object().unwrap().clone());
        order
    };
    let at = |addresses: &[Address]| {
        let addresses: Vec<u32> = addresses.iter().map(|it| it.0).collect();
        order(json!({ "controllers": addresses }))
    };
    let (local, mixed) = (gateway.log_in("local").await, gateway.log_in("mixed").await);
    let operator = gateway.log_in("operator").await;
    let (begin, forecast) = (
        ("POST", "/api/rollouts"),
        ("POST", "/api/rollouts/forecast"),
    );
    for (who, body, status, expected) in [
        (&operator, at(&[at_river]), 403, "forbidden"),
        (&local, at(&[at_river, at_hill]), 404, "unknown_address"),
        (&mixed, at(&[at_river, at_hill]), 403, "forbidden"),
        (
            &local,
            order(json!({"site": hill.0})),
            404,
            "unknown_address",
        ),
        (&mixed, order(json!({"site": hill.0})), 403, "forbidden"),
        (&mixed, order(json!({"tag": "pumps"})), 403, "forbidden"),
        (&local, at(&[Address(999)]), 404, "unknown_address"),
        (&local, at(&[at_river, at_river]), 422, "bad_field"),
        (&local, order(json!({"tag": "none"})), 404, "not_found"),
        (
            &local,
            order(json!({"tag": "pumps", "site": 1})),
            422,
            "bad_field",
        ),
        (&local, json!({"site": river.0}), 422, "bad_field"),
        (
            &local,
            json!({"script": "none", "site": river.0}),
            404,
            "not_found",
        ),
        (
            &local,
            order(json!({"site": river.0, "terms": {"canary": 0}})),
            422,
            "bad_field",
        ),
        (
            &local,
            order(json!({"site": river.0, "terms": {"steps": [50]}})),
            422,
            "bad_field",
        ),
        (
            &local,
            order(json!({"site": river.0, "terms": {"canarys": 1}})),
            400,
            "bad_request",
        ),
    ] {
        let found = code(&gateway, who, begin, &body, status).await;
        assert_eq!(found, expected, "{body}");
    }
    // By tag it is those that one may see.
    let seen = told(
        &gateway,
        &local,
        forecast,
        &order(json!({"tag": "pumps"})),
        200,
    )
    .await;
    assert_eq!(seen["controllers"], 1);
    let technician = gateway.log_in("technician").await;
    let both = told(&gateway, &technician, begin, &at(&[at_river, at_hill]), 201).await;
    let number = both["rollout"].as_u64().unwrap();
    let overlaps = code(&gateway, &local, begin, &at(&[at_river]), 409).await;
    assert_eq!(overlaps, "overlaps");
    // Who does not see all of its controllers does not see it; who may not change all wants nothing of it.
    let one = format!("/api/rollouts/{number}");
    let wishes = format!("{one}/wishes");
    let abort = json!({"want": "abort"});
    assert_eq!(
        code(&gateway, &local, ("GET", &one), &NOTHING, 404).await,
        "not_found"
    );
    told(&gateway, &mixed, ("GET", &one), &NOTHING, 200).await;
    told(&gateway, &operator, ("GET", &one), &NOTHING, 200).await;
    assert_eq!(
        code(&gateway, &local, ("POST", &wishes), &abort, 404).await,
        "not_found"
    );
    for who in [&mixed, &operator] {
        assert_eq!(
            code(&gateway, who, ("POST", &wishes), &abort, 403).await,
            "forbidden"
        );
    }
    for (who, count) in [(&local, 0), (&mixed, 1), (&operator, 1)] {
        let page = told(
            &gateway,
            who,
            ("GET", "/api/rollouts?open=true"),
            &NOTHING,
            200,
        )
        .await;
        assert_eq!(page["items"].as_array().unwrap().len(), count);
    }
    told(&gateway, &technician, ("POST", &wishes), &abort, 202).await;
    until("the end", async || {
        let now = told(&gateway, &technician, ("GET", &one), &NOTHING, 200).await;
        (now["phase"] == "aborted").then_some(())
    })
    .await;
    let none = call(&gateway, &technician, "GET", "/api/rollouts/99", &NOTHING).await;
    assert_eq!(none.status, 404);
    gateway.stop().await;
}
