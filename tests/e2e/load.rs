//! Operators who command controllers all the time, and see that each command is executed in time, once.

use serde_json::Value;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use switchyard_e2e::{LATCH_RL1, Tool, http, value_in};
use switchyard_protocol::{
    Address, limits,
    message::{Action, Answer, Command, Key, Name, Request, Stage, Time, Title, ToolHello},
};
use switchyard_testkit::{Controller, PATIENCE, Program, Yard, wait_until};

/// Controllers that are commanded.
pub(crate) const CONTROLLERS: usize = 4;
const OPERATORS: usize = 3;
/// What a command, and the change that it makes, may take from its operator's hand and back: much on a busy machine,
/// and less than any store is waited for here.
pub(crate) const COMMAND_TIME_MAX: Duration = Duration::from_millis(2_500);
/// How long the gateway waits for a store.
pub(crate) const STORE_TIMEOUT: &str = "3s";
/// From one command to an operator's next: a load, and no flood, of which every command is looked up at the end.
const PAUSE: Duration = Duration::from_millis(20);
/// Commands of each operator that show that it goes on.
const ENOUGH: usize = 15;

/// The yard's controllers and what they wrote down.
pub(crate) struct Fleet {
    pub(crate) controllers: Vec<Controller>,
    _running: Vec<Program>,
    journal: PathBuf,
}

impl Fleet {
    /// Controllers that latch, each on line.
    pub(crate) fn start(yard: &Yard) -> Self {
        let controllers = yard.enrol("Pump", CONTROLLERS).unwrap();
        http::wait_until_known(yard, CONTROLLERS as u64).unwrap();
        let journal = yard.folder().join("executions");
        Fleet {
            _running: Self::dial(yard, &controllers, &journal),
            controllers,
            journal,
        }
    }

    /// The same controllers at a yard where they are known too.
    pub(crate) fn dial(yard: &Yard, controllers: &[Controller], journal: &Path) -> Vec<Program> {
        let journal = journal.to_str().unwrap();
        let flags = [
            "--behaviour",
            "latch",
            "--redial-within",
            "0.2",
            "--journal",
            journal,
        ];
        let start = |controller| yard.start_controller(controller, &flags).unwrap();
        controllers.iter().map(start).collect()
    }

    /// Whether the gateway has a link to each of them.
    fn is_on_line(&self, yard: &Yard, token: &str) -> bool {
        let request = ("GET", "/api/controllers");
        let (status, said) = http::call(yard.http(), Some(token), request, None).unwrap();
        assert_eq!(status, 200, "{said}");
        let known = said["items"].as_array().unwrap();
        let is_there = |mine: &Controller| {
            let mut known = known.iter();
            let known = known.find(|it| it["address"] == mine.address);
            known.is_some_and(|it| it["live"]["online"] == true)
        };
        self.controllers.iter().all(is_there)
    }

    /// How often each command was executed.
    pub(crate) fn executions(&self) -> HashMap<String, usize> {
        let mut executions = HashMap::new();
        let text = std::fs::read_to_string(&self.journal).unwrap_or_default();
        for line in text.lines() {
            let key = line.split(' ').nth(1).unwrap().to_owned();
            *executions.entry(key).or_default() += 1;
        }
        executions
    }
}

#[derive(Default)]
struct Shared {
    is_ending: AtomicBool,
    /// Commands that were executed, by operator.
    executed: [AtomicUsize; OPERATORS],
}

/// Operators at work. Whoever is not served in time panics, and with him [`Load::goes_on`].
pub(crate) struct Load {
    shared: Arc<Shared>,
    operators: Vec<JoinHandle<Vec<Key>>>,
}

impl Load {
    /// Begins, once the whole fleet is on line: after a restart, controllers and operators come back in any order. The
    /// token is an operator's, made before any trouble.
    pub(crate) fn begin(yard: &Yard, fleet: &Fleet, token: &str) -> Self {
        let is_there = || fleet.is_on_line(yard, token).then_some(());
        wait_until("the whole fleet on line", is_there).unwrap();
        let shared = Arc::<Shared>::default();
        let operators = (0..OPERATORS).map(|number| {
            let mut tool = Tool::connect_to(yard.http(), &hello(token)).unwrap();
            let subscribe = Request::Subscribe { controllers: None };
            let answer = tool.ask(Address::GATEWAY, &subscribe).unwrap();
            assert!(matches!(answer, Answer::Ok(_)), "{answer:?}");
            let addresses: Vec<u32> = fleet.controllers.iter().map(|it| it.address).collect();
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || operate(&mut tool, number, &addresses, &shared))
        });
        Load {
            operators: operators.collect(),
            shared,
        }
    }

    /// Each operator has a number of commands more executed in time.
    pub(crate) fn goes_on(&self, meanwhile: &str) {
        let executed = || {
            let counts = self.shared.executed.iter();
            counts
                .map(|it| it.load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        let before = executed();
        wait_until(&format!("commands while {meanwhile}"), || {
            let is_over = self.operators.iter().any(JoinHandle::is_finished);
            assert!(!is_over, "an operator was not served while {meanwhile}");
            let mut both = before.iter().zip(executed());
            both.all(|(before, now)| now >= before + ENOUGH)
                .then_some(())
        })
        .unwrap();
    }

    /// Ends, and gives every command.
    pub(crate) fn end(self) -> Vec<Key> {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        let operators = self.operators.into_iter();
        operators.flat_map(|it| it.join().unwrap()).collect()
    }
}

/// One operator: switches one controller after the other, and sees it switch.
fn operate(tool: &mut Tool, number: usize, addresses: &[u32], shared: &Shared) -> Vec<Key> {
    let mut keys = Vec::new();
    for round in number.. {
        if shared.is_ending.load(Ordering::Relaxed) {
            break;
        }
        let address = addresses[round % addresses.len()];
        // Others switch it, too, so its values are told of and not compared.
        let value = (round / addresses.len() % 2) as i64;
        let begun = Instant::now();
        let key = tool.set(address, "RL1", value, 20_000).unwrap();
        let mut is_seen = false;
        let receipts = tool.receipts(key, |frame| {
            is_seen |= addresses
                .iter()
                .any(|&it| value_in(frame, it, LATCH_RL1).is_some());
        });
        let receipts = receipts.unwrap();
        let took = begun.elapsed();
        let last = receipts.last().unwrap();
        assert_eq!(last.stage, Stage::Executed, "{last:?} after {took:?}");
        assert!(took < COMMAND_TIME_MAX, "it took {took:?}");
        keys.push(key);
        std::thread::sleep(PAUSE);
        shared.executed[number].fetch_add(1, Ordering::Relaxed);
    }
    keys
}

/// Every command was executed once, and the audit log has its end.
pub(crate) fn all_were_executed_once(yard: &Yard, fleet: &Fleet, keys: &[Key]) {
    let executions = fleet.executions();
    for key in keys {
        let times = executions.get(&key.to_string()).copied().unwrap_or(0);
        assert_eq!(times, 1, "{key}");
    }
    // After a failure of the database the log is tried again every half minute at last.
    let begun = Instant::now();
    while !has_all_ends(yard, keys) {
        assert!(begun.elapsed() < 3 * PATIENCE, "the audit log lacks ends");
        std::thread::sleep(Duration::from_millis(500));
    }
    let checked = yard.manage(&["audit", "--verify"]).unwrap();
    assert!(
        checked.contains(" records hold, up to number "),
        "{checked}"
    );
}

/// Whether the audit log has the end of every command, once.
fn has_all_ends(yard: &Yard, keys: &[Key]) -> bool {
    let told = yard.manage(&["audit", "--json"]).unwrap();
    let mut ends = HashMap::<String, usize>::new();
    for line in told.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_ne!(record["what"], "lost", "{record}");
        if let (true, Some(key)) = (record["final"] == true, record["key"].as_str()) {
            *ends.entry(key.to_owned()).or_default() += 1;
        }
    }
    keys.iter()
        .all(|key| ends.get(&key.to_string()) == Some(&1))
}

/// What a tool with a token says first.
pub(crate) fn hello(token: &str) -> ToolHello {
    ToolHello {
        version: limits::LINK_VERSION,
        token: Some(token.into()),
        installation: None,
        software: Title::new("hand-made 1").unwrap(),
    }
}

/// Gives a command that may wait for a controller that is away.
pub(crate) fn give_waiting(tool: &mut Tool, controller: &Controller) -> Key {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let command = Command {
        key: Key(rand::random()),
        expiry: Time(now.as_millis() as u64 + 600_000),
        wait: true,
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        },
    };
    tool.command(controller.address, &command).unwrap();
    command.key
}
