//! The gateway is killed again and again under load: no accepted command is lost or run twice, each
//! ends in one last receipt, and the audit log has no gap.
//!
//! Three witnesses are compared at the end: what operators were told, what the controllers wrote down
//! that they executed, and the audit log. `SWITCHYARD_SEED=N` gives the same choices again, though
//! not the same moments.

use crate::yard;
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use switchyard_e2e::{Tool, http};
use switchyard_protocol::{
    Address, Code, Frame, Kind, limits,
    message::{
        Action, Answer, Body, Command, Key, Name, Receipt, Request, Stage, Time, Title, ToolHello,
    },
};
use switchyard_testkit::{PATIENCE, Yard, wait_until};

const KILLS: usize = 50;
const CONTROLLERS: usize = 6;
const OPERATORS: usize = 3;
/// Commands that an operator has open at most.
const OPEN_MAX: usize = 12;

/// What the operators share with the one who kills.
#[derive(Default)]
struct Scene {
    receipts: AtomicUsize,
    is_ending: AtomicBool,
}

/// One command in its operator's eyes.
struct View {
    frame: Frame,
    expiry: Time,
    latest: Option<Stage>,
    /// Its last receipt, or what the gateway said was it.
    end: Option<(Stage, Option<Code>)>,
    /// The gateway never heard of it, and its time is over.
    never_arrived: bool,
}

struct Operator {
    http: String,
    hello: ToolHello,
    controllers: Vec<Address>,
    scene: Arc<Scene>,
    rng: StdRng,
    correlation: u32,
    gateway: Option<[u8; 16]>,
    views: HashMap<Key, View>,
    open: Vec<Key>,
    asked: HashMap<u32, Key>,
}

impl Operator {
    /// Commands until told to end and every command has.
    fn run(mut self) -> HashMap<Key, View> {
        let start = Instant::now();
        while !(self.scene.is_ending.load(Ordering::Relaxed) && self.open.is_empty()) {
            assert!(
                start.elapsed() < 5 * PATIENCE,
                "{} are open",
                self.open.len()
            );
            let Ok(mut tool) = Tool::connect_to(&self.http, &self.hello) else {
                // The gateway is away; who wants to know when it is back has to knock.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let gateway = *self.gateway.get_or_insert(tool.welcome.gateway);
            assert_eq!(tool.welcome.gateway, gateway, "its memory was lost");
            // Until it is killed.
            while self.round(&mut tool).is_ok() {
                if self.scene.is_ending.load(Ordering::Relaxed) && self.open.is_empty() {
                    break;
                }
            }
            self.asked.clear();
        }
        self.views
    }

    /// Asks after what is open, commands some more, and listens.
    fn round(&mut self, tool: &mut Tool) -> anyhow::Result<()> {
        for key in self.open.clone() {
            self.ask(tool, key)?;
        }
        let is_ending = self.scene.is_ending.load(Ordering::Relaxed);
        let mut fresh = Vec::new();
        while !is_ending && self.open.len() < OPEN_MAX {
            let key = self.command(tool)?;
            fresh.push(key);
            if self.rng.random_bool(0.05) {
                // An impatient program.
                tool.send(&self.views[&key].frame)?;
            }
        }
        // Every question is answered, and every fresh command has its first receipt.
        let is_quiet = |it: &Self| {
            let is_heard = |key| it.views.get(key).is_none_or(|view| view.latest.is_some());
            it.asked.is_empty() && fresh.iter().all(is_heard)
        };
        while !is_quiet(self) {
            let frame = tool.receive()?;
            self.hear(tool, &frame)?;
        }
        Ok(())
    }

    fn next_correlation(&mut self) -> u32 {
        self.correlation += 1;
        self.correlation
    }

    fn command(&mut self, tool: &mut Tool) -> anyhow::Result<Key> {
        let controller = self.controllers[self.rng.random_range(0..self.controllers.len())];
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let command = Command {
            key: Key(self.rng.random()),
            expiry: Time(now.as_millis() as u64 + self.rng.random_range(2_000..8_000)),
            wait: self.rng.random_bool(0.5),
            action: Action::Set {
                point: Name::new("RL1").unwrap(),
                value: self.rng.random_range(0..2),
            },
        };
        let correlation = self.next_correlation();
        let frame = Frame::new(
            Kind::Command,
            correlation,
            tool.address(),
            controller,
            &command.encode(),
        );
        let view = View {
            frame: frame.clone(),
            expiry: command.expiry,
            latest: None,
            end: None,
            never_arrived: false,
        };
        self.views.insert(command.key, view);
        self.open.push(command.key);
        tool.send(&frame)?;
        Ok(command.key)
    }

    fn ask(&mut self, tool: &mut Tool, key: Key) -> anyhow::Result<()> {
        let correlation = self.next_correlation();
        self.asked.insert(correlation, key);
        let payload = Request::Receipt { key }.encode();
        let (from, to) = (tool.address(), Address::GATEWAY);
        tool.send(&Frame::new(Kind::Query, correlation, from, to, &payload))
    }

    fn hear(&mut self, tool: &mut Tool, frame: &Frame) -> anyhow::Result<()> {
        match frame.header().kind {
            Kind::Receipt => {
                let receipt = Receipt::decode(frame.payload())?;
                self.scene.receipts.fetch_add(1, Ordering::Relaxed);
                let (key, stage) = (receipt.key, receipt.stage);
                self.told(key, stage, receipt.reason, receipt.is_final);
            }
            Kind::Response => {
                let Some(key) = self.asked.remove(&frame.header().correlation) else {
                    return Ok(());
                };
                match Answer::decode(frame.payload())? {
                    Answer::Ok(Body::Receipt {
                        stage,
                        reason,
                        is_final,
                        ..
                    }) => self.told(key, stage, reason, is_final),
                    Answer::Refused {
                        code: Code::UnknownCommand,
                        ..
                    } => self.denied(tool, key)?,
                    Answer::Refused {
                        code: Code::Busy, ..
                    } => {}
                    other => panic!("asked after {key}, the gateway answered {other:?}"),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told(&mut self, key: Key, stage: Stage, reason: Option<Code>, is_final: bool) {
        let view = self.views.get_mut(&key).expect("one of its own");
        if let Some(end) = view.end {
            // It was asked for again, or sent twice: but the end is the end.
            assert_eq!((stage, is_final), (end.0, true), "{key} ended twice");
            return;
        }
        assert!(
            Some(stage) >= view.latest,
            "{key}: {stage:?} after {:?}",
            view.latest
        );
        view.latest = Some(stage);
        if is_final {
            view.end = Some((stage, reason));
            self.open.retain(|&it| it != key);
        }
    }

    /// The gateway, whose memory is whole, never heard of it: it got lost on the way there.
    fn denied(&mut self, tool: &mut Tool, key: Key) -> anyhow::Result<()> {
        let view = self.views.get_mut(&key).expect("one of its own");
        assert_eq!(
            view.latest, None,
            "{key} had receipts, and the gateway denies it"
        );
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        if now.as_millis() as u64 >= view.expiry.0 {
            view.never_arrived = true;
            self.open.retain(|&it| it != key);
            return Ok(());
        }
        tool.send(&view.frame)
    }
}

/// What the controllers wrote down: how often each key was executed.
fn executions(path: &Path) -> HashMap<Key, u32> {
    let mut executions = HashMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        let key = line.split(' ').nth(1).unwrap();
        let byte = |at: usize| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap();
        *executions
            .entry(Key(std::array::from_fn(byte)))
            .or_default() += 1;
    }
    executions
}

/// The audit log, as the gateway's own command tells it.
struct Audit {
    by_key: HashMap<String, Vec<Value>>,
    starts: usize,
}

impl Audit {
    /// Reads all of it.
    fn read(yard: &Yard) -> Audit {
        let told = yard.manage(&["audit", "--json"]).unwrap();
        let (mut by_key, mut starts) = (HashMap::<String, Vec<Value>>::new(), 0);
        for (line, number) in told.lines().zip(1..) {
            let record: Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["number"], number, "a gap");
            assert_eq!(record["position"], number - 1, "a gap");
            match record["what"].as_str().unwrap() {
                "lost" => panic!("{record}"),
                "started" => {
                    starts += 1;
                    let expected = match starts {
                        1 => "anew",
                        _ => "with all that was known before",
                    };
                    assert_eq!(record["text"], expected);
                }
                _ => {
                    if let Some(key) = record["key"].as_str() {
                        by_key.entry(key.to_owned()).or_default().push(record);
                    }
                }
            }
        }
        Audit { by_key, starts }
    }

    fn of(&self, key: Key) -> &[Value] {
        self.by_key
            .get(&key.to_string())
            .map_or(&[][..], Vec::as_slice)
    }

    /// Whether it knows the end of every command that had one.
    fn is_whole(&self, views: &HashMap<Key, View>) -> bool {
        views.iter().all(|(&key, view)| {
            view.never_arrived || self.of(key).iter().any(|it| it["final"] == true)
        })
    }
}

#[test]
fn fifty_kills_under_load_lose_nothing_and_run_nothing_twice() {
    let seed = std::env::var("SWITCHYARD_SEED").ok();
    let seed = seed.map_or_else(rand::random, |text| text.parse::<u64>().unwrap());
    println!("SWITCHYARD_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // Everybody comes back fifty times in a minute.
    let mut yard = yard(&["--hellos-per-address-per-minute-max", "1000000"]);
    let controllers = yard.enrol("Pump", CONTROLLERS).unwrap();
    let file = yard.folder().join("executions");
    let flags = [
        "--behaviour",
        "latch",
        "--redial-within",
        "0.05",
        "--journal",
        file.to_str().unwrap(),
    ];
    let running = controllers
        .iter()
        .map(|controller| yard.start_controller(controller, &flags).unwrap());
    let running: Vec<_> = running.collect();
    let scene = Arc::new(Scene::default());
    let operators: Vec<_> = (0..OPERATORS)
        .map(|_| {
            let operator = Operator {
                http: yard.http().into(),
                hello: ToolHello {
                    version: limits::LINK_VERSION,
                    token: Some(http::log_in(yard.http(), "operator").unwrap()),
                    installation: Some(rng.random()),
                    software: Title::new("hand-made 1").unwrap(),
                },
                controllers: controllers.iter().map(|it| Address(it.address)).collect(),
                scene: Arc::clone(&scene),
                rng: StdRng::seed_from_u64(rng.next_u64()),
                correlation: 0,
                gateway: None,
                views: HashMap::new(),
                open: Vec::new(),
                asked: HashMap::new(),
            };
            std::thread::spawn(move || operator.run())
        })
        .collect();
    for kill in 0..KILLS {
        // After some receipts more, anywhere between one and many rounds.
        let wanted = scene.receipts.load(Ordering::Relaxed) + rng.random_range(1..120);
        wait_until(&format!("receipts before kill {kill}"), || {
            (scene.receipts.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .unwrap();
        yard.kill_gateway().unwrap();
        yard.start_gateway().unwrap();
    }
    scene.is_ending.store(true, Ordering::Relaxed);
    let mut views = HashMap::new();
    for operator in operators {
        views.extend(operator.join().unwrap());
    }
    let audit = wait_until("the last audit record", || {
        let audit = Audit::read(&yard);
        audit.is_whole(&views).then_some(audit)
    });
    let audit = audit.unwrap();
    assert!(yard.gateway().unwrap().stop().unwrap().success());
    drop(running);

    let executions = executions(&file);
    assert_eq!(audit.starts, 1 + KILLS);
    let checked = yard.manage(&["audit", "--verify"]).unwrap();
    assert!(
        checked.contains(" records hold, up to number "),
        "{checked}"
    );
    let mut tally = BTreeMap::<String, usize>::new();
    for (key, view) in &views {
        let times = executions.get(key).copied().unwrap_or(0);
        assert!(times <= 1, "{key} was executed {times} times");
        let records = audit.of(*key);
        let ends: Vec<_> = records.iter().filter(|it| it["final"] == true).collect();
        if view.never_arrived {
            assert_eq!((times, records.len()), (0, 0), "{key} never arrived");
            *tally.entry("never arrived".into()).or_default() += 1;
            continue;
        }
        let (stage, reason) = view.end.unwrap();
        // The audit log tells the same end, once, and before it who asked for what.
        assert_eq!(ends.len(), 1, "{key}: {records:#?}");
        assert_eq!(ends[0]["stage"], stage.name(), "{key}");
        let reason_name = reason.map_or(Value::Null, |reason| reason.name().into());
        assert_eq!(ends[0]["code"], reason_name, "{key}");
        let first = &records[0];
        let what = first["what"].as_str().unwrap();
        assert!(
            ["accepted", "refused"].contains(&what),
            "{key}: {records:#?}"
        );
        assert_eq!(first["account"], "operator");
        assert_eq!(first["ip"], "127.0.0.1");
        assert!(first["text"].as_str().unwrap().starts_with("set RL1 = "));
        let was_sent = records.iter().any(|it| it["stage"] == Stage::Sent.name());
        match stage {
            Stage::Executed => assert!(times == 1 && was_sent, "{key}: {times}, {records:#?}"),
            // The controllers have never restarted: somebody always knows.
            Stage::Refused | Stage::Expired => assert_eq!(times, 0, "{key}: {records:#?}"),
            _ => panic!("{key} ended as {stage:?}: {records:#?}"),
        }
        let name = format!("{} {}", stage.name(), reason.map_or("", Code::name));
        *tally.entry(name).or_default() += 1;
    }
    for key in executions.keys() {
        assert!(views.contains_key(key), "{key} is nobody's");
    }
    println!("{} commands: {tally:#?}", views.len());
    assert!(
        tally.get("executed ").is_some_and(|&count| count >= 100),
        "{tally:?}"
    );
}
