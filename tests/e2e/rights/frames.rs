//! Every frame that a tool may send over its WebSocket.

use super::{Caller, Cast, Place, Post, SCRIPT, Standing, in_seconds, name, table};
use crate::key_of;
use bytes::Bytes;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use switchyard_e2e::{Device, Keeper, Tool};
use switchyard_protocol::{
    Address, Frame, Kind, Role, SiteId, limits,
    message::{
        Action, Answer, Command, Content, Event, Key, Receipt, Request, Stage, Text, Time, Title,
        ToolHello, Verb,
    },
};
use switchyard_testkit::{Controller, wait_until};

/// A controller's address that nobody was ever given.
const NO_CONTROLLER: Address = Address(0x7FFF_FFFF);

/// What is tried at a controller instead of the script that runs.
const TRIED: &str = "out RL1 = RL1 safe off manual\nparam delay : time = 40s in 1s..10m\n";

/// Of a frame and whom it goes to: which role counts, and what becomes of it by role.
type Table = BTreeMap<(String, String), (String, [String; 5])>;

fn told() -> Table {
    let rows = table("protocol.md", "### 5.1 Sites and roles", "frame");
    let mut told = Table::new();
    for row in rows {
        let [frames, to, counts, verdicts @ ..] = &row[..] else {
            panic!("{row:?}")
        };
        let verdicts: [String; 5] = verdicts.to_vec().try_into().unwrap();
        for frame in frames.split(", ") {
            let line = (counts.clone(), verdicts.clone());
            told.insert((frame.into(), to.clone()), line);
        }
    }
    told
}

/// Whom a verb is for, by section 6.
fn receivers() -> BTreeMap<String, String> {
    let rows = table("protocol.md", "## 6. Requests", "verb");
    rows.into_iter()
        .map(|row| (row[1].clone(), row[3].clone()))
        .collect()
}

/// A controller by hand, which notes every frame that reaches it, and does nothing.
struct Witness {
    address: u32,
    frames: Arc<Mutex<Vec<(Kind, Bytes)>>>,
}

impl Witness {
    fn post(cast: &Cast, site: SiteId) -> Self {
        let wanted = json!({ "title": "Witness", "site": site.0 });
        let enrolled = cast.do_so(("POST", "/api/controllers"), wanted, &[201]);
        let controller = Controller {
            address: enrolled["address"].as_u64().unwrap() as u32,
            key: enrolled["key"].as_str().unwrap().into(),
        };
        let (tcp, key) = (cast.yard.tcp(), key_of(&controller));
        let mut device = Device::live(tcp, controller.address, &key, 1).unwrap();
        let frames = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&frames);
        // Until the gateway goes.
        std::thread::spawn(move || {
            while let Ok(received) = device.receive() {
                for frame in received {
                    let answer = answer_to(&device, &frame);
                    let header = frame.header();
                    noted
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((header.kind, frame.bytes().clone()));
                    if let Some(answer) = answer
                        && device.send(&[answer]).is_err()
                    {
                        return;
                    }
                }
            }
        });
        Witness {
            address: controller.address,
            frames,
        }
    }

    fn take(&self) -> Vec<(Kind, Bytes)> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut frames)
    }
}

/// A command is executed, as far as anybody can tell, and nothing else is known.
fn answer_to(device: &Device, frame: &Frame) -> Option<Frame> {
    let header = frame.header();
    let (kind, payload) = match header.kind {
        Kind::Command => {
            let receipt = Receipt {
                key: Command::decode(frame.payload()).ok()?.key,
                stage: Stage::Executed,
                at: None,
                reason: None,
                detail: None,
                is_final: true,
            };
            (Kind::Receipt, receipt.encode())
        }
        kind if kind.is_request() => {
            let verb = switchyard_protocol::message::verb_of(frame.payload()).ok()?;
            let code = switchyard_protocol::Code::Unsupported;
            (Kind::Response, Answer::refused(code, verb).encode())
        }
        _ => return None,
    };
    let (from, to) = (device.address(), header.source);
    Some(Frame::new(kind, header.correlation, from, to, &payload))
}

/// A frame in what the tables go by.
struct Sample {
    row: &'static str,
    kind: Kind,
    verb: Option<Verb>,
    payload: Vec<u8>,
    /// The site that it names.
    site: Option<SiteId>,
    key: Option<Key>,
}

/// What of each verb a tool may say, and a frame of each kind that has none. In the order of the verbs, in which
/// an output is forced before it is released, and a script is opened before it is written.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    let digest = Keeper::digest_of(TRIED.as_bytes());
    let key = Key(rand::random());
    for &verb in Verb::ALL {
        let point = || name("RL1");
        let content = Content::Script;
        let request = match verb {
            Verb::Identify => Request::Identify,
            Verb::Describe => Request::Describe,
            Verb::Snapshot => Request::Snapshot { controller: None },
            Verb::Outcome => Request::Outcome { key },
            Verb::Subscribe => Request::Subscribe { controllers: None },
            Verb::Unsubscribe => Request::Unsubscribe,
            Verb::Lookup => Request::Lookup {
                address: Address::GATEWAY,
            },
            Verb::Receipt => Request::Receipt { key },
            Verb::Parameters => Request::Parameters,
            Verb::Values => Request::Values { from: None },
            Verb::Log => Request::Log { before: None },
            Verb::Health => Request::Health,
            Verb::TransferRead => Request::TransferRead { content, offset: 0 },
            Verb::Force => Request::Force {
                point: point(),
                value: 1,
                duration: Duration::from_secs(600),
            },
            Verb::Release => Request::Release { point: point() },
            Verb::TransferOpen => Request::TransferOpen {
                content,
                size: TRIED.len() as u32,
                digest,
            },
            Verb::TransferWrite => Request::TransferWrite {
                offset: 0,
                bytes: TRIED.as_bytes().to_vec().into(),
            },
            Verb::TransferCommit => Request::TransferCommit {
                digest,
                keep: false,
            },
            Verb::Trial => Request::Trial { keep: false },
            Verb::Restart => Request::Restart,
            Verb::Rekey => Request::Rekey { key: None },
            Verb::Enrol => {
                for site in [None, Some(SiteId(1)), Some(SiteId(2))] {
                    let title = Title::new("Spare").unwrap();
                    samples.push(Sample {
                        row: "enrol",
                        kind: Kind::Configure,
                        verb: Some(verb),
                        payload: Request::Enrol { title, site }.encode(),
                        site,
                        key: None,
                    });
                }
                continue;
            }
            Verb::Set | Verb::Call | Verb::Adjust => {
                // Its key and expiry are those of the moment.
                samples.push(Sample {
                    row: "command",
                    kind: Kind::Command,
                    verb: Some(verb),
                    payload: Vec::new(),
                    site: None,
                    key: None,
                });
                continue;
            }
            Verb::Note => {
                let text = Text::cut("hello");
                samples.push(Sample {
                    row: "event",
                    kind: Kind::Event,
                    verb: Some(verb),
                    payload: Event::Note { text }.encode(),
                    site: None,
                    key: None,
                });
                continue;
            }
            // The gateway's and the controllers' own; from a tool they are events like any other.
            Verb::Announce | Verb::Presence | Verb::Happened | Verb::Alarm => {
                samples.push(Sample {
                    row: "event",
                    kind: Kind::Event,
                    verb: Some(verb),
                    payload: vec![0xA1, 2, 0x18, verb.number() as u8],
                    site: None,
                    key: None,
                });
                continue;
            }
        };
        let row = match verb.kind() {
            Kind::Query => "query",
            Kind::Configure => "configure",
            Kind::Admin => "admin",
            kind => panic!("a request of kind {}", kind.name()),
        };
        samples.push(Sample {
            row,
            kind: verb.kind(),
            verb: Some(verb),
            payload: request.encode(),
            site: None,
            key: None,
        });
    }
    samples.push(Sample {
        row: "response",
        kind: Kind::Response,
        verb: None,
        payload: vec![0xA0],
        site: None,
        key: None,
    });
    samples
}

impl Sample {
    /// With a key and expiry of its own, where it is a command.
    fn fresh(&self) -> Sample {
        let verb = self.verb;
        let action = match verb {
            Some(Verb::Set) => Action::Set {
                point: name("RL1"),
                value: 1,
            },
            Some(Verb::Call) => Action::Call {
                command: name("hold"),
                arguments: vec![500],
            },
            Some(Verb::Adjust) => Action::Adjust {
                parameter: name("delay"),
                value: 45_000,
            },
            _ => {
                return Sample {
                    payload: self.payload.clone(),
                    ..*self
                };
            }
        };
        let command = Command {
            key: Key(rand::random()),
            expiry: Time(in_seconds(60)),
            wait: false,
            action,
        };
        Sample {
            payload: command.encode(),
            key: Some(command.key),
            ..*self
        }
    }
}

/// Whom a frame goes to.
#[derive(Clone, Copy)]
enum To<'a> {
    Gateway,
    Nobody,
    Post(&'a Post),
    Witness(&'a Witness, SiteId),
}

impl To<'_> {
    fn address(self) -> Address {
        match self {
            To::Gateway => Address::GATEWAY,
            To::Nobody => NO_CONTROLLER,
            To::Post(post) => Address(post.address),
            To::Witness(witness, _) => Address(witness.address),
        }
    }

    fn site(self) -> Option<SiteId> {
        match self {
            To::Gateway | To::Nobody => None,
            To::Post(post) => Some(post.site),
            To::Witness(_, site) => Some(site),
        }
    }
}

/// What became of a frame: in the table's words, and the answer's own code where it came from a controller.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The gateway's word.
    Gateway(String),
    /// A controller's: `ok`, a code, or the last receipt's stage.
    PassedOn(String),
    Dropped,
}

/// Sends a frame, and a ping behind it by whose reply everything has come that comes at once.
fn fate(tool: &mut Tool, correlation: u32, sample: &Sample, to: Address) -> Fate {
    let (from, ping) = (tool.address(), Address::GATEWAY);
    tool.send(&Frame::new(
        sample.kind,
        correlation,
        from,
        to,
        &sample.payload,
    ))
    .unwrap();
    let is_request = sample.kind.is_request();
    if !is_request {
        let payload = switchyard_protocol::message::Ping.encode();
        tool.send(&Frame::new(Kind::Ping, correlation, from, ping, &payload))
            .unwrap();
    }
    let judged = tool.receive_until(|frame| {
        let header = frame.header();
        if header.correlation != correlation {
            return None;
        }
        let by = |word: &str| match header.source {
            Address::GATEWAY => Fate::Gateway(word.into()),
            source => {
                assert_eq!(source, to, "an answer of somebody else's");
                Fate::PassedOn(word.into())
            }
        };
        match header.kind {
            Kind::Response => Some(match Answer::decode(frame.payload()).unwrap() {
                Answer::Ok(_) => by("ok"),
                Answer::Refused { code, .. } => by(code.name()),
            }),
            Kind::Receipt => {
                let receipt = Receipt::decode(frame.payload()).unwrap();
                assert_eq!(Some(receipt.key), sample.key);
                let reason = receipt.reason.map_or(receipt.stage.name(), |it| it.name());
                receipt.is_final.then(|| by(reason))
            }
            Kind::Ping => Some(Fate::Dropped),
            _ => None,
        }
    });
    judged.unwrap()
}

fn hello(token: Option<&str>) -> ToolHello {
    ToolHello {
        version: limits::LINK_VERSION,
        token: token.map(Into::into),
        installation: None,
        software: Title::new("hand-made 1").unwrap(),
    }
}

/// What everybody's frames are judged by.
struct Scene<'a> {
    cast: &'a Cast,
    table: Table,
    receivers: BTreeMap<String, String>,
    samples: Vec<Sample>,
    witnesses: [Witness; 2],
    seen: BTreeSet<(String, String, usize)>,
    correlation: u32,
}

impl Scene<'_> {
    /// What the table says of a frame.
    fn expected(&mut self, caller: &Caller, sample: &Sample, to: To<'_>) -> String {
        let (row, receiver) = match (to, sample.row) {
            (To::Gateway, "configure") => ("other configure", "gateway"),
            (To::Gateway, row) => (row, "gateway"),
            (_, "enrol") => ("configure", "controller"),
            (_, row) => (row, "controller"),
        };
        let line = (row.to_owned(), receiver.to_owned());
        // Neither is anybody's to take: section 5, rule 4.
        if receiver == "gateway" && matches!(row, "response" | "event") {
            return "dropped".into();
        }
        let (counts, verdicts) = self
            .table
            .get(&line)
            .unwrap_or_else(|| panic!("no row {line:?}"));
        let place = |site: Option<SiteId>| match site {
            Some(SiteId(1)) => Place::North,
            Some(_) => Place::South,
            None => Place::Everywhere,
        };
        let standing = match counts.as_str() {
            "best anywhere" => caller.at(Place::Anywhere),
            "everywhere" => caller.at(Place::Everywhere),
            "at the site it names, else everywhere" => caller.at(place(sample.site)),
            "at its site" if matches!(to, To::Nobody) => Standing::NoneThere,
            "at its site" => caller.at(place(to.site())),
            other => panic!("{other:?}"),
        };
        let column = match standing {
            Standing::With(role) => 1 + Role::ALL.iter().position(|it| *it == role).unwrap(),
            _ => 0,
        };
        self.seen.insert((line.0, line.1, column));
        verdicts[column].clone()
    }

    /// One frame: judged as told, at its goal where it may be there, and nowhere otherwise.
    fn check(&mut self, tool: &mut Tool, caller: &Caller, at: usize, to: To<'_>) {
        let sample = self.samples[at].fresh();
        self.correlation += 1;
        let expected = self.expected(caller, &sample, to);
        let found = fate(tool, self.correlation, &sample, to.address());
        let verb = sample.verb.map_or("none", Verb::name);
        let what = format!(
            "{} {verb} of {} to {}",
            sample.row,
            caller.account,
            to.address()
        );
        let receiver = self.receivers.get(verb).map_or("", String::as_str);
        match expected.as_str() {
            "passed on" => {
                let Fate::PassedOn(said) = &found else {
                    panic!("{what}: expected it to be passed on, and {found:?}")
                };
                if let To::Post(post) = to {
                    self.took_effect(&what, &sample, post, said, receiver);
                }
            }
            "dropped" => assert_eq!(found, Fate::Dropped, "{what}"),
            "answered" => {
                let is_its_own = receiver.contains("gateway") || receiver.contains("any peer");
                let word = match sample.verb {
                    _ if !is_its_own => "unsupported",
                    // A snapshot of nothing, and a command that nobody gave.
                    Some(Verb::Snapshot) => "bad_field",
                    Some(Verb::Receipt) => "unknown_command",
                    _ => "ok",
                };
                assert_eq!(found, Fate::Gateway(word.into()), "{what}");
            }
            code => assert_eq!(found, Fate::Gateway(code.into()), "{what}"),
        }
        let is_passed_on = expected == "passed on";
        for witness in &self.witnesses {
            let reached = witness.take();
            let is_here = is_passed_on && to.address() == Address(witness.address);
            assert_eq!(reached.len(), usize::from(is_here), "{what}: {reached:?}");
        }
    }

    /// What a real controller did of what it was asked.
    fn took_effect(&self, what: &str, sample: &Sample, post: &Post, said: &str, receiver: &str) {
        let is_its_own = receiver.contains("controller") || receiver.contains("any peer");
        let verb = sample.verb.unwrap();
        let word = match verb {
            Verb::Set | Verb::Call | Verb::Adjust => "executed",
            // From the gateway alone: section 6.2.
            Verb::Rekey => "not_granted",
            _ if !is_its_own => "unsupported",
            _ => "ok",
        };
        assert_eq!(said, word, "{what}");
        if let Some(key) = sample.key {
            wait_until("a journal's line", || {
                (post.executions(key) == 1).then_some(())
            })
            .unwrap();
        }
        // Status follows the answer.
        let cast = self.cast;
        let becomes = |is_so: &dyn Fn() -> bool| {
            wait_until(&format!("what came of {what}"), || is_so().then_some(())).unwrap();
        };
        let is_forced = || cast.point(post)["forced"] == true;
        let state = || cast.health(post)["script"]["state"].clone();
        match verb {
            Verb::Force => becomes(&is_forced),
            Verb::Release => becomes(&|| !is_forced()),
            Verb::TransferCommit => becomes(&|| state() == "on_trial"),
            Verb::Trial => becomes(&|| state() == "kept"),
            _ => {}
        }
    }
}

#[test]
fn every_frame_of_everybody_is_judged_as_the_table_says() {
    let cast = Cast::assemble();
    let http = cast.yard.http().to_owned();
    for token in [None, Some("x".repeat(43))] {
        let refused = Tool::connect_to(&http, &hello(token.as_deref()));
        let why = format!("{:#}", refused.err().expect("nobody comes in"));
        assert!(why.contains("bad_token"), "{why}");
    }
    let witnesses = [1, 2].map(|site| Witness::post(&cast, SiteId(site)));
    let mut scene = Scene {
        cast: &cast,
        table: told(),
        receivers: receivers(),
        samples: samples(),
        witnesses,
        seen: BTreeSet::new(),
        correlation: 0,
    };
    let (north, south) = (&cast.north, &cast.south);
    for caller in &cast.callers {
        let Some(token) = &caller.token else {
            continue;
        };
        let entered = Tool::connect_to(&http, &hello(Some(token)));
        if caller.at(Place::Anywhere) == Standing::NoRole {
            let why = format!("{:#}", entered.err().expect("it has no role"));
            assert!(why.contains("forbidden"), "{why}");
            continue;
        }
        let mut tool = entered.unwrap();
        for (post, place) in [(north, Place::North), (south, Place::South)] {
            let before = cast.inside(post);
            let boot = before["boot"].clone();
            for at in 0..scene.samples.len() {
                scene.check(&mut tool, caller, at, To::Post(post));
                let is_restart = scene.samples[at].verb == Some(Verb::Restart);
                if is_restart && caller.at(place) >= Standing::With(Role::Technician) {
                    wait_until("another boot", || {
                        (cast.health(post)["boot"] != boot).then_some(())
                    })
                    .unwrap();
                }
            }
            let after = cast.inside(post);
            if caller.at(place) < Standing::With(Role::Operator) {
                assert_eq!(after, before, "{caller:?} has changed something");
            }
            assert_eq!(after["script"], SCRIPT, "{caller:?}");
        }
        for at in 0..scene.samples.len() {
            for to in [To::Gateway, To::Nobody] {
                scene.check(&mut tool, caller, at, to);
            }
            for place in 0..2 {
                let witness = Witness {
                    address: scene.witnesses[place].address,
                    frames: Arc::clone(&scene.witnesses[place].frames),
                };
                let site = SiteId(place as u32 + 1);
                scene.check(&mut tool, caller, at, To::Witness(&witness, site));
            }
        }
        // What no tool may say ends its link, whoever it is.
        for kind in [
            Kind::Hello,
            Kind::Handshake,
            Kind::StatusFull,
            Kind::StatusDelta,
            Kind::Receipt,
        ] {
            let mut tool = Tool::connect_to(&http, &hello(Some(token))).unwrap();
            let (from, to) = (tool.address(), Address(north.address));
            tool.send(&Frame::new(kind, 1, from, to, &[0xA0])).unwrap();
            let code = tool.receive_end().unwrap();
            assert_eq!(
                code,
                switchyard_protocol::Code::Malformed,
                "{}",
                kind.name()
            );
        }
    }
    for witness in &scene.witnesses {
        assert!(witness.take().is_empty());
    }
    // Every kind was sent: what is missing above is missing here.
    for &kind in Kind::ALL {
        let is_sampled = scene.samples.iter().any(|sample| sample.kind == kind);
        let is_a_links_own = matches!(
            kind,
            Kind::Hello
                | Kind::Handshake
                | Kind::StatusFull
                | Kind::StatusDelta
                | Kind::Receipt
                | Kind::Ping
                | Kind::Error
        );
        assert!(is_sampled != is_a_links_own, "no frame of {}", kind.name());
    }
    // No line of the table that is about a controller or the gateway was left out. Without any role nobody has a
    // tool there.
    for ((row, to), (counts, _)) in scene.table.iter().filter(|((_, to), _)| to != "tool") {
        for column in usize::from(counts == "best anywhere")..5 {
            let is_seen = scene.seen.contains(&(row.clone(), to.clone(), column));
            assert!(is_seen, "{row} to {to}, column {column}, came never up");
        }
    }
}
