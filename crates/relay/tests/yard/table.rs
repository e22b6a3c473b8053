//! The table of `docs/protocol.md` §5.1, held against the relay for every combination there is: each
//! role everywhere, at the one site and at the other, each kind and verb, each destination.

use crate::harness::{BOOT, FAN, GATEWAY, PAGE, PUMP, Yard, command, title};
use std::collections::BTreeMap;
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, SiteId,
    message::{
        Action, Answer, Body, Command, Content, Event, Key, Name, Receipt, Request, Stage, Text,
        Verb,
    },
};
use switchyard_relay::{ConnectionId, Input, Rights};

const NORTH: SiteId = SiteId(7);
const SOUTH: SiteId = SiteId(8);
/// In no site.
const LAMP: Address = Address(100_044);
/// Held by nobody.
const NOBODY: Address = Address(9);

const NONE_TO_ADMIN: [Option<Role>; 5] = [
    None,
    Some(Role::Viewer),
    Some(Role::Operator),
    Some(Role::Technician),
    Some(Role::Admin),
];

/// Rights as the test sees them: said three times, and never asked what they come to.
#[derive(Clone, Copy, Debug)]
struct Held {
    everywhere: Option<Role>,
    north: Option<Role>,
    south: Option<Role>,
}

impl Held {
    fn all() -> impl Iterator<Item = Held> {
        let mut all = Vec::new();
        for everywhere in NONE_TO_ADMIN {
            for north in NONE_TO_ADMIN {
                all.extend(NONE_TO_ADMIN.map(|south| Held {
                    everywhere,
                    north,
                    south,
                }));
            }
        }
        all.into_iter()
    }

    fn rights(self) -> Rights {
        let sites = [(NORTH, self.north), (SOUTH, self.south)].into_iter();
        let sites = sites.filter_map(|(site, role)| Some((site, role?)));
        Rights::new(self.everywhere, sites)
    }

    fn at(self, site: Option<SiteId>) -> Option<Role> {
        match site {
            Some(NORTH) => self.everywhere.max(self.north),
            Some(SOUTH) => self.everywhere.max(self.south),
            _ => self.everywhere,
        }
    }

    fn best(self) -> Option<Role> {
        self.everywhere.max(self.north).max(self.south)
    }

    /// The best role at a site at which the other has one.
    fn shared(self, other: Held) -> Option<Role> {
        let sites = [Some(NORTH), Some(SOUTH), Some(SiteId(99))].into_iter();
        sites
            .filter(|&site| other.at(site).is_some())
            .filter_map(|site| self.at(site))
            .max()
    }
}

/// Whom a frame goes to.
#[derive(Clone, Copy, Debug)]
enum To {
    Gateway,
    Controller(Address, Option<SiteId>),
    /// A number that nobody holds.
    Nobody,
    Tool(Address, Held),
}

impl To {
    fn address(self) -> Address {
        match self {
            To::Gateway => GATEWAY,
            To::Nobody => NOBODY,
            To::Controller(address, _) | To::Tool(address, _) => address,
        }
    }

    fn name(self) -> &'static str {
        match self {
            To::Gateway => "gateway",
            To::Controller(..) | To::Nobody => "controller",
            To::Tool(..) => "tool",
        }
    }
}

/// The table: by frame and receiver, which role counts, and what becomes of the frame by role.
type Table = BTreeMap<(String, String), (String, [String; 5])>;

fn told() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split_once("### 5.1 Sites and roles").unwrap().1;
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| frame |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let mut table = Table::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [frames, to, counts, verdicts @ ..] = &cells[..] else {
            panic!("{row}");
        };
        let verdicts: [&str; 5] = verdicts.try_into().unwrap();
        let line = (String::from(*counts), verdicts.map(String::from));
        for frame in frames.split(", ") {
            let before = table.insert((frame.into(), String::from(*to)), line.clone());
            assert!(before.is_none(), "{frame} to {to} stands there twice");
        }
    }
    table
}

/// A frame of a tool in what the table goes by.
struct Sample {
    row: &'static str,
    kind: Kind,
    payload: Vec<u8>,
    /// The site that it names.
    site: Option<SiteId>,
}

fn samples() -> Vec<Sample> {
    let point = Name::new("RL1").unwrap();
    let key = Key([0xEE; 16]);
    let mut samples = Vec::new();
    let mut put = |row, kind, payload, site| {
        samples.push(Sample {
            row,
            kind,
            payload,
            site,
        });
    };
    for &verb in Verb::ALL {
        let request = match verb {
            Verb::Identify => Request::Identify,
            Verb::Describe => Request::Describe,
            Verb::Snapshot => Request::Snapshot { controller: None },
            Verb::Outcome => Request::Outcome { key },
            Verb::Subscribe => Request::Subscribe { controllers: None },
            Verb::Unsubscribe => Request::Unsubscribe,
            Verb::Lookup => Request::Lookup { address: GATEWAY },
            Verb::Receipt => Request::Receipt { key },
            Verb::Parameters => Request::Parameters,
            Verb::Values => Request::Values { from: None },
            Verb::Log => Request::Log { before: None },
            Verb::Health => Request::Health,
            Verb::TransferRead => Request::TransferRead {
                content: Content::Script,
                offset: 0,
            },
            Verb::Force => Request::Force {
                point: point.clone(),
                value: 1,
                duration: std::time::Duration::from_secs(1),
            },
            Verb::Release => Request::Release {
                point: point.clone(),
            },
            Verb::TransferOpen => Request::TransferOpen {
                content: Content::Script,
                size: 1,
                digest: [0; 32],
            },
            Verb::TransferWrite => Request::TransferWrite {
                offset: 0,
                bytes: vec![1].into(),
            },
            Verb::TransferCommit => Request::TransferCommit {
                digest: [0; 32],
                keep: true,
            },
            Verb::Trial => Request::Trial { keep: true },
            Verb::Restart => Request::Restart,
            Verb::Rekey => Request::Rekey { key: None },
            Verb::Enrol => {
                for site in [None, Some(NORTH), Some(SOUTH), Some(SiteId(99))] {
                    let title = title("x");
                    let payload = Request::Enrol { title, site }.encode();
                    put("enrol", Kind::Configure, payload, site);
                }
                continue;
            }
            Verb::Set | Verb::Call | Verb::Adjust => {
                let action = match verb {
                    Verb::Set => Action::Set {
                        point: point.clone(),
                        value: 1,
                    },
                    Verb::Call => Action::Call {
                        command: point.clone(),
                        arguments: vec![],
                    },
                    _ => Action::Adjust {
                        parameter: point.clone(),
                        value: 1,
                    },
                };
                let command = Command {
                    action,
                    ..command(0)
                };
                put("command", Kind::Command, command.encode(), None);
                continue;
            }
            // The gateway's and the controllers' own.
            Verb::Announce | Verb::Presence | Verb::Happened | Verb::Alarm => continue,
            Verb::Note => {
                let text = Text::cut("hello");
                put("event", Kind::Event, Event::Note { text }.encode(), None);
                continue;
            }
        };
        let row = match verb.kind() {
            Kind::Query => "query",
            Kind::Configure => "configure",
            Kind::Admin => "admin",
            kind => panic!("no row for {}", kind.name()),
        };
        put(row, verb.kind(), request.encode(), None);
    }
    // No verb of any kind is known by this number.
    for (row, kind) in [
        ("query", Kind::Query),
        ("configure", Kind::Configure),
        ("admin", Kind::Admin),
    ] {
        put(row, kind, vec![0xA1, 2, 23], None);
    }
    put("response", Kind::Response, vec![0xA0], None);
    samples
}

/// A yard with a controller at each place, and tools with all sorts of rights.
struct Stage5 {
    yard: Yard,
    links: Vec<(To, Option<ConnectionId>)>,
    keys: u32,
}

impl Stage5 {
    fn new() -> Self {
        let mut yard = Yard::new();
        let mut links = vec![(To::Gateway, None), (To::Nobody, None)];
        for (address, site) in [(PUMP, Some(NORTH)), (FAN, Some(SOUTH)), (LAMP, None)] {
            let title = title("any");
            yard.feed(Input::ControllerKnown {
                address,
                title,
                site,
            });
            let link = yard.controller(address, BOOT);
            links.push((To::Controller(address, site), Some(link)));
        }
        let nothing = Held {
            everywhere: None,
            north: None,
            south: None,
        };
        let viewer = Some(Role::Viewer);
        for (number, held) in [
            nothing,
            Held {
                north: viewer,
                ..nothing
            },
            Held {
                everywhere: viewer,
                ..nothing
            },
        ]
        .into_iter()
        .enumerate()
        {
            let address = Address(0x8000_0100 + number as u32);
            let link = yard.tool_with(address, &format!("neighbour {number}"), held.rights());
            links.push((To::Tool(address, held), Some(link)));
        }
        Stage5 {
            yard,
            links,
            keys: 0,
        }
    }

    /// What becomes of a frame.
    fn outcome(
        &mut self,
        page: ConnectionId,
        sample: &Sample,
        (to, link): (To, Option<ConnectionId>),
    ) -> String {
        let mut payload = sample.payload.clone();
        if sample.kind == Kind::Command {
            // Behind the map's head, the key 0 and the head of a byte string.
            self.keys += 1;
            payload[3..7].copy_from_slice(&self.keys.to_be_bytes());
        }
        let yard = &mut self.yard;
        yard.inbox(page);
        link.map(|link| yard.inbox(link));
        let frame = Frame::new(sample.kind, 4, PAGE, to.address(), &payload);
        yard.frame(page, &frame);
        let passed = link.is_some_and(|link| yard.inbox(link).contains(&frame));
        if passed {
            if let (Kind::Command, Some(link)) = (sample.kind, link) {
                let receipt = Receipt {
                    key: Command::decode(&payload).unwrap().key,
                    stage: Stage::Executed,
                    at: None,
                    reason: None,
                    detail: None,
                    is_final: true,
                };
                let payload = receipt.encode();
                yard.send(link, Kind::Receipt, 4, to.address(), PAGE, &payload);
            }
            return "passed on".into();
        }
        if let Some((ticket, _)) = yard.questions.pop() {
            let answer = Err(Code::Internal);
            yard.feed(Input::Answered { ticket, answer });
            return "answered".into();
        }
        let inbox = yard.inbox(page);
        let answer = inbox.iter().rfind(|frame| {
            let kind = frame.header().kind;
            matches!(kind, Kind::Response | Kind::Receipt)
        });
        let Some(answer) = answer else {
            return "dropped".into();
        };
        if answer.header().kind == Kind::Receipt {
            let receipt = Receipt::decode(answer.payload()).unwrap();
            assert_eq!(receipt.stage, Stage::Refused);
            return receipt.reason.unwrap().name().into();
        }
        match Answer::decode(answer.payload()).unwrap() {
            Answer::Ok(_) => "answered".into(),
            Answer::Refused { code, .. } => code.name().into(),
        }
    }
}

/// Whether an outcome is what the table says: of what the gateway answers, any but a want of right.
fn is_as_told(told: &str, found: &str) -> bool {
    let refusals = [
        "forbidden",
        "unknown_address",
        "not_granted",
        "dropped",
        "passed on",
    ];
    told == found || told == "answered" && !refusals.contains(&found)
}

#[test]
fn every_role_kind_verb_and_destination_is_as_the_table_says() {
    let table = told();
    let samples = samples();
    let mut stage = Stage5::new();
    let mut rows_seen = BTreeMap::<_, [u32; 5]>::new();
    for held in Held::all() {
        let page = stage.yard.tool_with(PAGE, "li", held.rights());
        for sample in &samples {
            for link in stage.links.clone() {
                let to = link.0;
                let row = match (to, sample.row) {
                    (To::Gateway, "configure") => "other configure",
                    (To::Controller(..) | To::Nobody | To::Tool(..), "enrol") => "configure",
                    (_, row) => row,
                };
                if matches!(to, To::Gateway) && matches!(row, "response" | "event") {
                    continue;
                }
                let line = (row.to_owned(), to.name().to_owned());
                let (counts, verdicts) = table.get(&line).unwrap_or_else(|| panic!("no {line:?}"));
                let role = match (counts.as_str(), to) {
                    ("best anywhere", _) => held.best(),
                    ("everywhere", _) => held.everywhere,
                    ("at the site it names, else everywhere", _) => held.at(sample.site),
                    ("at its site", To::Controller(_, site)) => held.at(site),
                    ("at its site", To::Nobody) => None,
                    ("at a site of both", To::Tool(_, other)) => held.shared(other),
                    other => panic!("{other:?}"),
                };
                let column = NONE_TO_ADMIN.iter().position(|it| *it == role).unwrap();
                let found = stage.outcome(page, sample, link);
                assert!(
                    is_as_told(&verdicts[column], &found),
                    "{row} to {to:?} with {held:?}: the table says {}, and it was {found}",
                    verdicts[column]
                );
                rows_seen.entry(line).or_default()[column] += 1;
            }
        }
    }
    for (line, (counts, _)) in &table {
        for (column, count) in rows_seen[line].iter().enumerate() {
            assert!(
                *count > 0,
                "{line:?} by {counts}, column {column}, came never up"
            );
        }
    }
}

#[test]
fn what_names_a_controller_needs_a_role_at_its_site() {
    let mut stage = Stage5::new();
    for held in Held::all().filter(|held| held.best().is_some()) {
        let yard = &mut stage.yard;
        let page = yard.tool_with(PAGE, "li", held.rights());
        for (address, site) in [(PUMP, Some(NORTH)), (FAN, Some(SOUTH)), (LAMP, None)] {
            let sees = held.at(site).is_some();
            let lookup = yard.ask(page, PAGE, &Request::Lookup { address });
            let is_found = matches!(lookup, Answer::Ok(Body::Lookup { .. }));
            assert_eq!(is_found, sees, "{held:?} looks up {address}");
            for request in [
                Request::Snapshot {
                    controller: Some(address),
                },
                Request::Subscribe {
                    controllers: Some(vec![address]),
                },
            ] {
                let payload = request.encode();
                yard.send(page, Kind::Query, 3, PAGE, GATEWAY, &payload);
                let frames = yard.inbox(page);
                let answer = Answer::decode(frames.last().unwrap().payload()).unwrap();
                match answer {
                    Answer::Ok(_) => assert!(sees && frames.len() == 3, "{held:?}: {request:?}"),
                    Answer::Refused { code, .. } => {
                        assert_eq!((code, sees), (Code::UnknownAddress, false));
                    }
                }
            }
        }
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_link_whatever_the_rights() {
    let mut stage = Stage5::new();
    for held in Held::all() {
        for kind in [
            Kind::Hello,
            Kind::Handshake,
            Kind::StatusFull,
            Kind::StatusDelta,
            Kind::Receipt,
        ] {
            let page = stage.yard.tool_with(PAGE, "li", held.rights());
            stage.yard.send(page, kind, 1, PAGE, PUMP, &[0xA0]);
            stage.yard.assert_ended(page, Code::Malformed);
        }
    }
}
