//! How far a board is: what was told of it, put in the order of its steps.

use super::Order;
use crate::{show, words};
use std::collections::VecDeque;
use switchyard_flasher::{Error, Event, Installed, Stage};
use switchyard_protocol::Address;

/// Lines of the board's log, and of what was done, that are kept.
const LINES_MAX: usize = 100;
/// Characters of one of them: what a board says has no bound of its own.
const LINE_CHARS_MAX: usize = 200;

/// A board that is worked on.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) title: String,
    pub(crate) serial_port: String,
    /// What is to be done with it, in this order.
    pub(crate) steps: Vec<Step>,
    /// The one that is being done, by its place.
    pub(crate) at: usize,
    /// How far that one is, where it tells.
    pub(crate) progress: Option<Progress>,
    /// What a person must do now.
    pub(crate) act: Option<Act>,
    /// The last lines, oldest first.
    pub(crate) lines: VecDeque<String>,
    /// A person has asked to stop.
    pub(crate) is_stopping: bool,
    /// What was enrolled is being taken back.
    pub(crate) is_rolling_back: bool,
    pub(crate) end: Option<Outcome>,
}

/// A step on a board's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Find,
    Write,
    Start,
    Set,
    Join,
    Script,
    Enrol,
    Restart,
    Reach,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) what: &'static str,
    pub(crate) bytes: u32,
    pub(crate) done: u32,
}

/// What only a person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// GPIO0 to ground, then power.
    IntoLoader,
    /// GPIO0 off ground, then power anew.
    OutOfLoader,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is a controller, and on line.
    Pass {
        address: Option<Address>,
        page: Option<String>,
        /// Who it was before.
        before: Option<Address>,
    },
    /// It ended before that because a person said so.
    Stopped {
        message: String,
        advice: Option<String>,
    },
    /// It is none.
    Fail {
        message: String,
        advice: Option<String>,
    },
}

impl Work {
    pub(crate) fn new(order: &Order) -> Self {
        let writes = !order.images.is_empty();
        let steps = [
            (writes, Step::Find),
            (writes, Step::Write),
            (true, Step::Start),
            (true, Step::Set),
            (true, Step::Join),
            (order.script.is_some(), Step::Script),
            (true, Step::Enrol),
            (true, Step::Restart),
            (true, Step::Reach),
        ];
        let steps = steps.iter().filter(|(is_wanted, _)| *is_wanted);
        Work {
            title: order.title.clone(),
            serial_port: order.serial_port.clone(),
            steps: steps.map(|(_, step)| *step).collect(),
            at: 0,
            progress: None,
            act: None,
            lines: VecDeque::new(),
            is_stopping: false,
            is_rolling_back: false,
            end: None,
        }
    }

    /// Takes what happened.
    pub(crate) fn hear(&mut self, event: &Event) {
        match *event {
            Event::WaitingForBoard => {
                self.go_to(Step::Find);
                self.act = Some(Act::IntoLoader);
            }
            Event::Found { .. } => {
                self.go_to(Step::Find);
                self.act = None;
            }
            Event::Comparing { bytes, .. } => self.go_on("comparing", bytes, 0),
            Event::BackingUp { bytes, done, .. } => self.go_on("reading", bytes, done),
            Event::Writing { bytes, done, .. } => self.go_on("writing", bytes, done),
            Event::Verifying { bytes, done, .. } => self.go_on("verifying", bytes, done),
            Event::WaitingForStart => {
                self.go_to(Step::Start);
                self.act = Some(Act::OutOfLoader);
            }
            Event::Described { .. } => self.act = None,
            Event::Stage(Stage::RollingBack) => {
                self.is_rolling_back = true;
                self.act = None;
                self.progress = None;
            }
            Event::Stage(stage) => {
                // Whatever comes after its start, the person has done what was asked.
                self.act = self.act.filter(|_| stage == Stage::Starting);
                if let Some(step) = Step::of(stage) {
                    self.go_to(step);
                }
            }
            Event::Scripting { bytes, done } => {
                self.go_to(Step::Script);
                self.progress = Some(Progress {
                    what: "sending",
                    bytes,
                    done,
                });
            }
            _ => {}
        }
        if let Some(line) = line_of(event) {
            self.say(&line);
        }
    }

    /// The steps have an order, and what was lost on the cable is done again: only forwards is a step's end.
    fn go_to(&mut self, step: Step) {
        if let Some(at) = self.steps.iter().position(|it| *it == step)
            && at != self.at
        {
            self.at = at;
            self.progress = None;
        }
    }

    fn go_on(&mut self, what: &'static str, bytes: u32, done: u32) {
        self.go_to(Step::Write);
        self.progress = Some(Progress { what, bytes, done });
    }

    /// Keeps a line.
    pub(crate) fn say(&mut self, line: &str) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        // Whatever a board says, it must not move this terminal's cursor.
        let plain = words::plain(line);
        self.lines
            .push_back(plain.chars().take(LINE_CHARS_MAX).collect());
    }

    /// It is over.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.act = None;
        self.progress = None;
        self.is_rolling_back = false;
        if matches!(outcome, Outcome::Pass { .. }) {
            self.at = self.steps.len();
        }
        self.end = Some(outcome);
    }
}

/// What is worth a line, besides what the steps show.
fn line_of(event: &Event) -> Option<String> {
    Some(match event {
        Event::NoSignals => "this line has no DTR and RTS".to_owned(),
        Event::Found { chip } => format!("{}, {}", chip.name, show::mac(chip)),
        Event::WithoutStub => "by the chip's own loader alone: slower".to_owned(),
        Event::Unchanged { bytes } if *bytes > 0 => {
            format!("{} KiB are there already", bytes.div_ceil(1024))
        }
        Event::Again { why, baud } => format!("{why}; trying again at {baud} baud"),
        Event::Verified { offset, bytes } => {
            format!(
                "verified: {} KiB from {offset:#08x} on",
                bytes.div_ceil(1024)
            )
        }
        Event::Described { description } => format!(
            "{} {}, {}",
            description.software, description.version, description.profile
        ),
        Event::Log { line } => format!("| {line}"),
        _ => return None,
    })
}

impl Step {
    fn of(stage: Stage) -> Option<Self> {
        Some(match stage {
            Stage::Starting => Step::Start,
            Stage::Unlocking | Stage::Setting => Step::Set,
            Stage::Joining => Step::Join,
            Stage::Script | Stage::Trial => Step::Script,
            Stage::Enrolling => Step::Enrol,
            Stage::Restarting => Step::Restart,
            Stage::Reaching => Step::Reach,
            _ => return None,
        })
    }

    /// The step in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Step::Find => "find the board's loader",
            Step::Write => "write its program",
            Step::Start => "start its program",
            Step::Set => "give it its settings",
            Step::Join => "join its network",
            Step::Script => "give it its script",
            Step::Enrol => "enrol it at the gateway",
            Step::Restart => "restart it as who it is",
            Step::Reach => "reach its gateway",
        }
    }
}

impl Outcome {
    /// How a board's work ended, for a person.
    pub(crate) fn of(ended: Result<Installed, Error>) -> Self {
        match ended {
            Ok(installed) => {
                let provisioned = installed.provisioned;
                let ip = provisioned.description.ip;
                Outcome::Pass {
                    address: provisioned.description.address,
                    page: ip.map(|ip| format!("http://{ip}/")),
                    before: provisioned.before,
                }
            }
            Err(error) => {
                let (message, advice) = (crate::exit::with_causes(&error), error.advice());
                match is_stopped(&error) {
                    true => Outcome::Stopped { message, advice },
                    false => Outcome::Fail { message, advice },
                }
            }
        }
    }
}

fn is_stopped(error: &Error) -> bool {
    match error {
        Error::Stopped => true,
        Error::RolledBack { cause, .. } => is_stopped(cause),
        _ => false,
    }
}
