//! A backup is made while commands, alarms, log-ins and changes go on, and restored on other hosts: into SQLite, and by
//! `import` into MariaDB. What is there then is what was there at one moment, whole.

use crate::{
    key_of,
    load::{CONTROLLERS, Fleet, Load, give_waiting, hello},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use switchyard_e2e::{
    Device, Tool,
    http::{call, log_in},
};
use switchyard_protocol::{
    Address,
    message::{AlarmLevel, Answer, Body, Event, Key, Receipt, Request, Stage, Text, Verb},
};
use switchyard_testkit::{
    Controller, PASSWORD, Programs, Yard, YardOptions, services::MariaDb, wait_until,
};

/// A dump by its tables: each row by its columns.
type Dump = BTreeMap<String, Vec<BTreeMap<String, Value>>>;

fn read(text: &str) -> Dump {
    let mut dump = Dump::new();
    let (mut table, mut columns) = (String::new(), Vec::<String>::new());
    // The first line tells of the dump, the last one sums it up.
    for line in text.lines().skip(1) {
        match serde_json::from_str(line).unwrap() {
            Value::Object(head) if head.contains_key("table") => {
                table = head["table"].as_str().unwrap().into();
                columns = serde_json::from_value(head["columns"].clone()).unwrap();
                dump.insert(table.clone(), Vec::new());
            }
            Value::Array(cells) => {
                let row = columns.iter().cloned().zip(cells).collect();
                dump.get_mut(&table).unwrap().push(row);
            }
            _ => {}
        }
    }
    dump
}

/// All but the first line, which bears the moment at which it was written.
fn rows(text: &str) -> &str {
    text.split_once('\n').unwrap().1
}

/// What must be there together is there together, or not at all.
fn has_no_half_of_anything(dump: &Dump) {
    let names = |table: &str, column: &str| -> BTreeSet<String> {
        let rows = dump[table].iter();
        rows.map(|row| row[column].to_string()).collect()
    };
    let accounts = names("account", "name");
    for (table, column) in [
        ("account_role", "account"),
        ("token", "account"),
        ("ssh_key", "account"),
        ("queued_command", "account"),
    ] {
        let strange: Vec<_> = names(table, column)
            .difference(&accounts)
            .cloned()
            .collect();
        assert!(strange.is_empty(), "{table} of nobody: {strange:?}");
    }
    // Each account of these was made with a role at one site.
    let roles = names("account_role", "account");
    let made = accounts.iter().filter(|it| it.starts_with("\"made-"));
    let without: Vec<_> = made.filter(|it| !roles.contains(*it)).collect();
    assert!(without.is_empty(), "made by half: {without:?}");
    let controllers = names("controller", "address");
    for table in ["controller_tag", "event_number"] {
        let whose = names(table, "controller");
        let strange: Vec<_> = whose.difference(&controllers).collect();
        assert!(strange.is_empty(), "{table} of nobody: {strange:?}");
    }
}

/// What goes on besides commands, until the end: how often each thing was done.
struct Bustle {
    is_ending: Arc<AtomicBool>,
    log_ins: Arc<AtomicUsize>,
    alarms: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Bustle {
    fn begin(yard: &Yard, teller: &Controller, admin: &str) -> Self {
        let mut bustle = Bustle {
            is_ending: Arc::default(),
            log_ins: Arc::default(),
            alarms: Arc::default(),
            changes: Arc::default(),
            threads: Vec::new(),
        };
        let http = yard.http().to_owned();
        bustle.go(&bustle.log_ins.clone(), {
            let http = http.clone();
            move |_| drop(log_in(&http, "viewer").unwrap())
        });
        let mut device = Device::live(yard.tcp(), teller.address, &key_of(teller), 1).unwrap();
        bustle.go(&bustle.alarms.clone(), move |round| {
            // No more of them than a person reads.
            std::thread::sleep(std::time::Duration::from_millis(120));
            let number = round as u32 + 1;
            let alarm = Event::Alarm {
                number,
                time: None,
                level: AlarmLevel::High,
                text: Text::new("level too high").unwrap(),
                raised: round % 2 == 0,
                alarm: 0,
            };
            let verb = Verb::Alarm;
            let taken = Answer::Ok(Body::Taken { verb, last: number });
            assert_eq!(device.tell(number + 10, &alarm).unwrap(), taken);
        });
        let admin = admin.to_owned();
        bustle.go(&bustle.changes.clone(), move |round| {
            let done = |method: &str, path: &str, body: Value| {
                let request = (method, path);
                let (status, said) = call(&http, Some(&admin), request, Some(&body)).unwrap();
                assert!((200..300).contains(&status), "{method} {path}: {said}");
                said
            };
            let rights = json!({ "sites": [{ "site": 1, "role": "viewer" }] });
            let name = format!("made-{round}");
            let account = json!({ "name": name, "password": PASSWORD, "rights": rights });
            done("POST", "/api/accounts", account);
            let spare = json!({ "title": "Spare", "site": 1 });
            let spare = done("POST", "/api/controllers", spare)["address"].to_string();
            let tags = json!({ "tags": [format!("tag {round}"), "all"] });
            done("PATCH", &format!("/api/controllers/{spare}"), tags);
            if round % 3 == 2 {
                done("DELETE", &format!("/api/accounts/{name}"), Value::Null);
            }
        });
        bustle
    }

    fn go(&mut self, count: &Arc<AtomicUsize>, mut once: impl FnMut(usize) + Send + 'static) {
        let (is_ending, count) = (Arc::clone(&self.is_ending), Arc::clone(count));
        self.threads.push(std::thread::spawn(move || {
            while !is_ending.load(Ordering::Relaxed) {
                once(count.load(Ordering::Relaxed));
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }

    /// Everything was done a few times more.
    fn goes_on(&self) {
        let counts = [&self.log_ins, &self.alarms, &self.changes];
        let now = || counts.map(|it| it.load(Ordering::Relaxed));
        let before = now();
        wait_until("log-ins, alarms and changes", || {
            assert!(!self.threads.iter().any(|it| it.is_finished()));
            let mut both = before.iter().zip(now());
            both.all(|(before, now)| now >= before + 3).then_some(())
        })
        .unwrap();
    }

    fn end(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// The yard that is restored is the one that was backed up: people and controllers come in as ever, and what waited
/// goes out.
fn is_the_same(yard: &Yard, fleet: &Fleet, (token, away, waiting): (&str, &Controller, Key)) {
    let journal = yard.folder().join("executions");
    let running = Fleet::dial(yard, &fleet.controllers, &journal);
    let mut tool = Tool::connect_to(yard.http(), &hello(token)).unwrap();
    log_in(yard.http(), "operator").unwrap();
    let key = tool
        .set(fleet.controllers[0].address, "RL1", 1, 20_000)
        .unwrap();
    let receipts = tool.receipts(key, |_| {}).unwrap();
    assert_eq!(receipts.last().unwrap().stage, Stage::Executed);
    let late = Fleet::dial(yard, std::slice::from_ref(away), &journal);
    wait_until("the command that waited", || {
        let text = fs::read_to_string(&journal).unwrap();
        (text.matches(&waiting.to_string()).count() == 1).then_some(())
    })
    .unwrap();
    let checked = yard.manage(&["audit", "--verify"]).unwrap();
    assert!(
        checked.contains(" records hold, up to number "),
        "{checked}"
    );
    drop((running, late));
}

fn options(environment: &[(&str, String)]) -> YardOptions {
    let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    YardOptions {
        // Nothing here is about a store that does not answer, and every change waits for a busy disk.
        flags: ["--store-timeout", "30s", "--login-failures-max", "100"]
            .map(String::from)
            .into(),
        environment: environment.iter().map(owned).collect(),
        ..YardOptions::default()
    }
}

#[test]
fn a_backup_under_load_is_one_moment_on_any_host() {
    let programs = Programs::find().unwrap();
    let mut yard = Yard::start(&programs, options(&[])).unwrap();
    yard.manage(&["site", "add", "North"]).unwrap();
    let token = log_in(yard.http(), "operator").unwrap();
    let admin = log_in(yard.http(), "admin").unwrap();
    let fleet = Fleet::start(&yard);
    let others = yard.enrol("Other", 2).unwrap();
    switchyard_e2e::http::wait_until_known(&yard, CONTROLLERS as u64 + 2).unwrap();
    let (away, teller) = (&others[0], &others[1]);
    let mut tool = Tool::connect_to(yard.http(), &hello(&token)).unwrap();
    let waiting = queue(&mut tool, away);

    let load = Load::begin(&yard, &fleet, &token);
    let bustle = Bustle::begin(&yard, teller, &admin);
    load.goes_on("all is well");
    bustle.goes_on();
    let folder = yard.folder().to_owned();
    let file = |number: usize| folder.join(format!("backup-{number}"));
    for number in 0..3 {
        let told = yard
            .manage(&["backup", file(number).to_str().unwrap()])
            .unwrap();
        assert!(told.contains(" rows of schema version "), "{told}");
        load.goes_on("backups are made");
        bustle.goes_on();
    }
    load.end();
    bustle.end();
    assert!(yard.gateway().unwrap().stop().unwrap().success());

    let texts: Vec<_> = (0..3)
        .map(|number| fs::read_to_string(file(number)).unwrap())
        .collect();
    let dumps: Vec<_> = texts.iter().map(|text| read(text)).collect();
    for dump in &dumps {
        has_no_half_of_anything(dump);
        assert!(!dump["audit"].is_empty() && !dump["event_number"].is_empty());
    }
    // They are of different moments, of which each has all that the one before had of what only grows.
    for pair in dumps.windows(2) {
        let (before, after) = (&pair[0]["audit"], &pair[1]["audit"]);
        assert!(after.len() > before.len());
        assert_eq!(&after[..before.len()], &before[..], "the log was changed");
    }

    // On another host.
    let backup = file(1);
    let mut restored = Yard::start_restored(&programs, options(&[]), &yard, &backup).unwrap();
    is_the_same(&restored, &fleet, (&token, away, waiting));
    assert!(restored.gateway().unwrap().stop().unwrap().success());

    // In MariaDB, and what is in there is the backup, row by row.
    let mariadb = MariaDb::start().unwrap();
    let database = options(&[("SWITCHYARD_MYSQL_URL", mariadb.url(0))]);
    let moved = Yard::prepared(&programs, database, &yard).unwrap();
    moved.manage_with(&["import"], &texts[1]).unwrap();
    let exported = moved.manage(&["export"]).unwrap();
    assert_eq!(rows(&exported), rows(&texts[1]));
    let mut moved = moved;
    moved.start_gateway().unwrap();
    is_the_same(&moved, &fleet, (&token, away, waiting));
}

/// A command that waits for a controller that is away.
fn queue(tool: &mut Tool, away: &Controller) -> Key {
    let key = give_waiting(tool, away);
    let stage = tool.receive_until(|frame| {
        let receipt = Receipt::decode(frame.payload()).ok()?;
        (receipt.key == key).then_some(receipt.stage)
    });
    assert_eq!(stage.unwrap(), Stage::Queued);
    let answer = tool.ask(Address::GATEWAY, &Request::Receipt { key });
    assert!(matches!(answer.unwrap(), Answer::Ok(_)));
    key
}
