//! Who may do what, by tables: every frame that a tool may send, and every operation of the HTTP API, by
//! everybody, at one's own site and at another.
//!
//! What is expected stands in the documentation (`docs/protocol.md` §5.1, `docs/http.md`) and nowhere else. A verb or
//! an operation that is not in its table fails the test.

mod alarms;
mod api;
mod frames;

use crate::yard;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use switchyard_e2e::http::{call, log_in, wait_until_known};
use switchyard_protocol::{
    Role, SiteId,
    message::{Key, Name},
};
use switchyard_testkit::{Controller, PASSWORD, Program, Yard, wait_until};

/// Something of everything: a manual output, a parameter, a command.
const SCRIPT: &str = "in DI1 = DI1\n\
                      out RL1 = RL1 safe off manual\n\
                      param delay : time = 30s in 1s..10m\n\
                      var on_since : time\n\
                      command hold(t: time in 100ms..60s)\n\
                      if hold\n  on_since := hold.t\nend\n";

/// No limit that is meant for people is one for this.
const FLAGS: [&str; 8] = [
    "--api-requests-per-ip-per-minute-max",
    "1000000",
    "--api-requests-per-account-per-minute-max",
    "1000000",
    "--hellos-per-address-per-minute-max",
    "1000000",
    "--ping-interval",
    "5min",
];

/// A rights table's columns, from somebody without a log-in to an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nobody.
    NoLogIn,
    /// An account without any role.
    NoRole,
    /// Without a role where it counts, and with one elsewhere.
    NoneThere,
    /// This role counts.
    With(Role),
}

/// Somebody who asks.
#[derive(Clone, Debug)]
struct Caller {
    account: String,
    everywhere: Option<Role>,
    north: Option<Role>,
    /// `None`: nobody.
    token: Option<String>,
    /// A program's token, and no log-in.
    is_program: bool,
}

impl Caller {
    fn at(&self, place: Place) -> Standing {
        let role = match place {
            Place::North => self.everywhere.max(self.north),
            Place::South | Place::Everywhere => self.everywhere,
            Place::Anywhere => self.everywhere.max(self.north),
        };
        match role {
            _ if self.token.is_none() => Standing::NoLogIn,
            Some(role) => Standing::With(role),
            None if self.north.is_none() => Standing::NoRole,
            None => Standing::NoneThere,
        }
    }
}

/// Where a role counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    North,
    South,
    Everywhere,
    Anywhere,
}

/// A controller at a site, and all that it keeps.
struct Post {
    address: u32,
    site: SiteId,
    journal: PathBuf,
    _running: Program,
}

impl Post {
    /// How often a command was executed.
    fn executions(&self, key: Key) -> usize {
        self.all_executions().matches(&key.to_string()).count()
    }

    fn all_executions(&self) -> String {
        fs::read_to_string(&self.journal).unwrap_or_default()
    }
}

/// A gateway with two sites, a real controller at each, and everybody who may ask.
struct Cast {
    yard: Yard,
    admin: String,
    north: Post,
    south: Post,
    callers: Vec<Caller>,
}

impl Cast {
    fn assemble() -> Self {
        let yard = yard(&FLAGS);
        let admin = log_in(yard.http(), "admin").unwrap();
        let done = |method: &str, path: &str, body: Value, expected: u16| {
            let (status, said) =
                call(yard.http(), Some(&admin), (method, path), Some(&body)).unwrap();
            assert_eq!(status, expected, "{method} {path}: {said}");
            said
        };
        for name in ["North", "South"] {
            done("POST", "/api/sites", json!({ "name": name }), 201);
        }
        let script = yard.folder().join("rights.script");
        fs::write(&script, SCRIPT).unwrap();
        let post = |site: u32| {
            let wanted = json!({ "title": "Pump", "site": site });
            let enrolled = done("POST", "/api/controllers", wanted, 201);
            let controller = Controller {
                address: enrolled["address"].as_u64().unwrap() as u32,
                key: enrolled["key"].as_str().unwrap().into(),
            };
            let file = |what: &str| yard.folder().join(format!("{what}-{site}"));
            let (flash, journal) = (file("flash"), file("journal"));
            let flags = [
                "--script",
                script.to_str().unwrap(),
                "--flash",
                flash.to_str().unwrap(),
                "--journal",
                journal.to_str().unwrap(),
                "--redial-within",
                "0.05",
            ];
            Post {
                address: controller.address,
                site: SiteId(site),
                _running: yard.start_controller(&controller, &flags).unwrap(),
                journal,
            }
        };
        let (north, south) = (post(1), post(2));
        wait_until_known(&yard, 2).unwrap();
        let mut callers = vec![Caller {
            account: "nobody".into(),
            everywhere: None,
            north: None,
            token: None,
            is_program: false,
        }];
        let all = Role::ALL.map(Some);
        let everywhere = all.map(|role| (role, None));
        let at_north = all.map(|role| (None, role));
        for (everywhere, north) in everywhere.into_iter().chain(at_north).chain([(None, None)]) {
            let name = |role: Option<Role>| role.map_or("none", Role::name);
            let account = format!("{}-everywhere-{}-north", name(everywhere), name(north));
            let wanted = json!({
                "name": account, "password": PASSWORD, "rights": rights_of(everywhere, north),
            });
            done("POST", "/api/accounts", wanted, 201);
            let add = ["account", "token", "add", &account, "program"];
            let program = yard.manage(&add).unwrap().trim().to_owned();
            let session = log_in(yard.http(), &account).unwrap();
            for (token, is_program) in [(session, false), (program, true)] {
                callers.push(Caller {
                    account: account.clone(),
                    everywhere,
                    north,
                    token: Some(token),
                    is_program,
                });
            }
        }
        Cast {
            admin,
            north,
            south,
            callers,
            yard,
        }
    }

    fn post(&self, place: Place) -> &Post {
        match place {
            Place::South => &self.south,
            _ => &self.north,
        }
    }

    /// What an admin is told.
    fn look(&self, path: &str) -> Value {
        let told = call(self.yard.http(), Some(&self.admin), ("GET", path), None);
        let (status, said) = told.unwrap();
        assert_eq!(status, 200, "GET {path}: {said}");
        said
    }

    /// What an admin does, whose answer is one of these.
    fn do_so(&self, (method, path): (&str, &str), body: Value, expected: &[u16]) -> Value {
        let token = Some(&*self.admin);
        let (status, said) = call(self.yard.http(), token, (method, path), Some(&body)).unwrap();
        assert!(
            expected.contains(&status),
            "{method} {path}: {status} {said}"
        );
        said
    }

    /// What a controller tells. One that is restarting is waited for.
    fn told(&self, post: &Post, what: &str) -> Value {
        let path = format!("/api/controllers/{}{what}", post.address);
        wait_until(&path, || {
            let token = Some(&*self.admin);
            let (status, said) = call(self.yard.http(), token, ("GET", &path), None).ok()?;
            (status == 200).then_some(said)
        })
        .unwrap()
    }

    /// Its output.
    fn point(&self, post: &Post) -> Value {
        let shown = self.told(post, "");
        let points = shown["live"]["points"].as_array().unwrap();
        let relay = points.iter().find(|it| it["name"] == "RL1");
        relay.expect("its output").clone()
    }

    fn health(&self, post: &Post) -> Value {
        self.told(post, "/health")
    }

    /// All of it that people change and that stays as it is otherwise.
    fn inside(&self, post: &Post) -> Value {
        let health = self.health(post);
        json!({
            "point": self.point(post),
            "boot": health["boot"],
            "state": health["script"]["state"],
            "script": self.told(post, "/script")["source"],
            "parameters": self.told(post, "/parameters"),
            "executions": post.all_executions(),
        })
    }
}

fn rights_of(everywhere: Option<Role>, north: Option<Role>) -> Value {
    let sites: Vec<_> = north
        .map(|role| json!({ "site": 1, "role": role.name() }))
        .into_iter()
        .collect();
    match everywhere {
        Some(role) => json!({ "everywhere": role.name(), "sites": sites }),
        None => json!({ "sites": sites }),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Gateway time some seconds from now.
fn in_seconds(seconds: u64) -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_millis() as u64 + seconds * 1_000
}

/// The rows of a document's table whose header's first cell is `first`, as trimmed cells without marks.
fn table(document: &str, section: &str, first: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../docs/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once(section).expect("the section");
    let header = format!("| {first} |");
    let lines = text.lines().skip_while(|line| !line.starts_with(&header));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table {first} in {document}");
    rows
}
