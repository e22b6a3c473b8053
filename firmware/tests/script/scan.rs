//! The reference of what goes on around a script: inputs, the clock, outputs and why they changed,
//! as `docs/script.md` says under "Inputs and outputs" and "Why an output changed".
//!
//! As slow and plain as the evaluator that it drives: time never wraps, and all is looked up by name.

use crate::{
    causes::{self, Hangs},
    clock::Clock,
    evaluate::{Evaluator, Offered, rounded, saturate},
    tree::{Script, Type, What},
};
use std::collections::{BTreeSet, HashMap};
use switchyard_firmware::{
    runner::{Command, Outcome, Request},
    script::Answer,
};
use switchyard_protocol::message::CauseKind;

/// What the world brings to a scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// What the pins of inputs give.
    pub(crate) raw: HashMap<String, i32>,
    pub(crate) online: bool,
    pub(crate) utc: Option<i64>,
    pub(crate) command: Option<Command>,
}

/// Why a point has its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: CauseKind,
    pub(crate) by: u32,
    pub(crate) reference: u32,
}

impl Cause {
    fn plain(kind: CauseKind) -> Self {
        Self::of_line(kind, 0)
    }

    fn of_line(kind: CauseKind, line: u16) -> Self {
        Self {
            kind,
            by: 0,
            reference: line.into(),
        }
    }
}

struct Input<'a> {
    name: &'a str,
    value_type: Type,
    debounce_ms: u64,
    scale: [i128; 4],
    good: std::ops::RangeInclusive<i32>,
    /// What the pin gives, and since when.
    seen: i32,
    since_ms: u64,
    is_bad: bool,
}

pub(crate) struct Output<'a> {
    pub(crate) name: &'a str,
    pub(crate) value_type: Type,
    pub(crate) is_manual: bool,
    safe: Option<i32>,
    /// The feedback, and the time that it has.
    pub(crate) confirm: Option<(&'a str, u64)>,
    link_loss_ms: Option<u64>,
    pub(crate) level: i32,
    pub(crate) cause: Cause,
    wanted: i32,
    /// Why it is wanted.
    wish: Cause,
    /// What speaks against that.
    overriding: Option<CauseKind>,
    changed_ms: u64,
    disagrees_since_ms: Option<u64>,
    pub(crate) is_faulty: bool,
    pub(crate) is_forced: bool,
    /// What the feedback made of the level before, in this scan.
    verdict: Option<bool>,
}

/// Either, in the order of the script.
enum Point {
    Input(usize),
    Output(usize),
}

struct Force {
    output: usize,
    value: i32,
    until_ms: u64,
}

struct Waiting {
    tag: u8,
    /// With what became of each.
    outputs: Vec<(usize, Option<bool>)>,
}

/// What a point shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) value: i32,
    pub(crate) flags: u32,
    /// Of an output.
    pub(crate) cause: Option<Cause>,
}

pub(crate) struct Reference<'a> {
    script: &'a Script,
    /// On which line of the text each line of the tree begins.
    lines: &'a HashMap<usize, u16>,
    hangs: HashMap<usize, Hangs>,
    clock: &'a Clock,
    pub(crate) evaluator: Evaluator<'a>,
    points: Vec<Point>,
    inputs: Vec<Input<'a>>,
    pub(crate) outputs: Vec<Output<'a>>,
    interlocks: Vec<(Vec<usize>, u64)>,
    forces: Vec<Force>,
    waiting: Vec<Waiting>,
    /// Outputs that the last scan's command changed, and that have a feedback.
    confirming: Vec<usize>,
    now_ms: u64,
    online_ms: u64,
    is_first: bool,
    pub(crate) is_stopped: bool,
}

impl<'a> Reference<'a> {
    pub(crate) fn start(
        script: &'a Script,
        lines: &'a HashMap<usize, u16>,
        clock: &'a Clock,
    ) -> Self {
        let mut reference = Self {
            script,
            lines,
            hangs: causes::hangs(script),
            clock,
            evaluator: Evaluator::start(script),
            points: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            interlocks: Vec::new(),
            forces: Vec::new(),
            waiting: Vec::new(),
            confirming: Vec::new(),
            now_ms: 0,
            online_ms: 0,
            is_first: true,
            is_stopped: false,
        };
        for line in &script.lines {
            reference.declare(&line.what);
        }
        // However safe that is: nobody knows what they did before.
        for (outputs, _) in &reference.interlocks {
            for output in outputs {
                reference.outputs[*output].level = 0;
            }
        }
        reference
    }

    fn declare(&mut self, what: &'a What) {
        match what {
            What::Input {
                name,
                value_type,
                debounce_ms,
                scale,
                bad_below,
                bad_above,
            } => {
                self.points.push(Point::Input(self.inputs.len()));
                self.inputs.push(Input {
                    name,
                    value_type: *value_type,
                    debounce_ms: debounce_ms.unwrap_or(0) as u64,
                    scale: scale.unwrap_or([0, 1, 0, 1]).map(i128::from),
                    good: bad_below.unwrap_or(i32::MIN)..=bad_above.unwrap_or(i32::MAX),
                    seen: 0,
                    since_ms: 0,
                    is_bad: false,
                });
            }
            What::Output {
                name,
                value_type,
                safe,
                is_manual,
                confirm,
                link_loss_ms,
            } => {
                self.points.push(Point::Output(self.outputs.len()));
                self.outputs.push(Output {
                    name,
                    value_type: *value_type,
                    is_manual: *is_manual,
                    safe: *safe,
                    confirm: confirm
                        .as_ref()
                        .map(|(input, ms)| (input.as_str(), *ms as u64)),
                    link_loss_ms: link_loss_ms.map(|ms| ms as u64),
                    level: safe.unwrap_or(0),
                    cause: Cause::plain(CauseKind::Boot),
                    wanted: safe.unwrap_or(0),
                    wish: Cause::plain(CauseKind::Boot),
                    overriding: None,
                    changed_ms: 0,
                    disagrees_since_ms: None,
                    is_faulty: false,
                    is_forced: false,
                    verdict: None,
                });
            }
            What::Interlock(names, gap_ms) => {
                let outputs = names.iter().map(|name| self.output(name)).collect();
                self.interlocks.push((outputs, *gap_ms as u64));
            }
            _ => (),
        }
    }

    fn output(&self, name: &str) -> usize {
        self.outputs.iter().position(|it| it.name == name).unwrap()
    }

    pub(crate) fn scan(&mut self, passed_ms: u32, world: &World) -> Outcome {
        self.now_ms += u64::from(passed_ms);
        for number in 0..self.inputs.len() {
            self.latch(number, world);
        }
        let moved = self.look_at_clock(world);
        self.put("online", world.online.into());
        self.put("synced", world.utc.is_some().into());
        let mut command = world.command.as_ref();
        let is_taken = !self.is_stopped && self.run(passed_ms, command);
        if !is_taken {
            command = None;
        }
        if world.online {
            self.online_ms = self.now_ms;
        }
        self.forces.retain(|force| self.now_ms < force.until_ms);
        self.confirming.clear();
        for number in 0..self.outputs.len() {
            self.drive(number, world, command, &moved);
        }
        self.is_first = self.is_first && self.is_stopped;
        match (is_taken, world.command) {
            (false, Some(_)) => Outcome::Refused,
            _ if self.confirming.is_empty() => Outcome::Executed,
            _ => Outcome::Confirming,
        }
    }

    fn put(&mut self, name: &str, value: i32) {
        *self.evaluator.values.get_mut(name).unwrap() = value;
    }

    fn latch(&mut self, number: usize, world: &World) {
        let (now_ms, is_first) = (self.now_ms, self.is_first);
        let input = &mut self.inputs[number];
        let raw = world.raw[input.name];
        let name = input.name;
        if input.value_type == Type::Bool {
            if raw != input.seen {
                input.seen = raw;
                input.since_ms = now_ms;
            }
            if is_first || now_ms - input.since_ms >= input.debounce_ms {
                self.put(name, raw);
            }
            return;
        }
        let [from, to, low, high] = input.scale;
        // On the line through both points, over one denominator.
        let over = low * (to - from) + (i128::from(raw) - from) * (high - low);
        let value = saturate(rounded(over, to - from));
        input.is_bad = !input.good.contains(&value);
        let is_bad = input.is_bad;
        if !is_bad {
            self.put(name, value);
        }
        self.put(&format!("{name}.bad"), is_bad.into());
    }

    /// The schedules that began or ended.
    fn look_at_clock(&mut self, world: &World) -> BTreeSet<usize> {
        let mut moved = BTreeSet::new();
        for (number, during) in self.script.durings.iter().enumerate() {
            let is_on = match world.utc {
                Some(utc) => self.clock.is_within(during, utc),
                None => during.unsynced,
            };
            if is_on != self.evaluator.durings[number] {
                self.evaluator.durings[number] = is_on;
                moved.insert(number);
            }
        }
        moved
    }

    /// The script's turn; false if it refuses the command.
    fn run(&mut self, passed_ms: u32, command: Option<&Command>) -> bool {
        let offered = match command.map(|command| command.request) {
            Some(Request::Set(point, value)) => {
                let Point::Output(output) = self.points[usize::from(point)] else {
                    return false;
                };
                self.put(self.outputs[output].name, value);
                None
            }
            Some(Request::Call(number, arguments)) => Some((self.command_name(number), arguments)),
            // Whoever made it has given the parameter its value.
            Some(Request::Adjust(..)) | None => None,
        };
        let offered = offered
            .as_ref()
            .map(|(command, arguments)| Offered { command, arguments });
        self.evaluator.scan(passed_ms, offered.as_ref()) != Answer::Refused
    }

    fn command_name(&self, number: u8) -> &'a str {
        let mut names = self
            .script
            .lines
            .iter()
            .filter_map(|line| match &line.what {
                What::Command { name, .. } => Some(name.as_str()),
                _ => None,
            });
        names.nth(number.into()).unwrap()
    }

    /// One output's way, from what is wanted of it to its pin, and to what its feedback says.
    fn drive(
        &mut self,
        number: usize,
        world: &World,
        command: Option<&Command>,
        moved: &BTreeSet<usize>,
    ) {
        let wanted = self.evaluator.values[self.outputs[number].name];
        let is_news = wanted != self.outputs[number].wanted;
        let forced = self.forces.iter().find(|force| force.output == number);
        let forced = forced.map(|force| force.value);
        let overriding = self.overriding(number, forced.is_some(), world);
        if is_news {
            self.outputs[number].wish = self.why(number, command, moved);
            self.outputs[number].wanted = wanted;
        } else if let (Some(over), None) = (self.outputs[number].overriding, overriding) {
            self.outputs[number].wish = Cause::plain(over);
        }
        let output = &self.outputs[number];
        let mut level = match (overriding, forced) {
            (None, _) => wanted,
            (Some(CauseKind::Force), Some(value)) => value,
            _ => output.safe.unwrap_or(output.level),
        };
        if level != 0 && output.level == 0 && self.is_held_up(number) {
            level = 0;
        }
        let before = output.level;
        let cause = overriding.map_or(output.wish, Cause::plain);
        let now_ms = self.now_ms;
        let output = &mut self.outputs[number];
        output.overriding = overriding;
        output.is_forced = overriding == Some(CauseKind::Force);
        if level != before {
            output.level = level;
            output.cause = cause;
            output.changed_ms = now_ms;
        }
        if output.confirm.is_some() {
            self.confirm(number, before);
            if level != before && is_news && cause.kind == CauseKind::Command {
                self.confirming.push(number);
            }
        }
    }

    fn overriding(&self, number: usize, is_forced: bool, world: &World) -> Option<CauseKind> {
        let away_ms = self.now_ms - self.online_ms;
        let patience_ms = self.outputs[number].link_loss_ms;
        if self.is_stopped {
            Some(CauseKind::Safe)
        } else if is_forced {
            Some(CauseKind::Force)
        } else if !world.online && patience_ms.is_some_and(|patience_ms| away_ms >= patience_ms) {
            Some(CauseKind::LinkLoss)
        } else {
            None
        }
    }

    fn why(&self, number: usize, command: Option<&Command>, moved: &BTreeSet<usize>) -> Cause {
        let name = self.outputs[number].name;
        let of_command = |command: &Command| Cause {
            kind: CauseKind::Command,
            by: command.by,
            reference: command.reference,
        };
        let Some(id) = self.evaluator.assigned_by.get(name) else {
            // No assignment: a person's.
            return command.map_or(Cause::plain(CauseKind::Script), of_command);
        };
        let hangs = &self.hangs[id];
        if let Some(command) = command
            && let Request::Call(called, _) = command.request
            && hangs.commands.contains(self.command_name(called))
        {
            return of_command(command);
        }
        let is_schedule = !hangs.durings.is_disjoint(moved);
        let kind = if is_schedule {
            CauseKind::Schedule
        } else {
            CauseKind::Script
        };
        Cause::of_line(kind, self.lines[id])
    }

    fn is_held_up(&self, number: usize) -> bool {
        self.interlocks.iter().any(|(outputs, gap_ms)| {
            let holds = |other: &usize| {
                let output = &self.outputs[*other];
                let off_ms = self.now_ms - output.changed_ms;
                *other != number && (output.level != 0 || off_ms < *gap_ms)
            };
            outputs.contains(&number) && outputs.iter().any(holds)
        })
    }

    /// What the feedback says belongs to the level before.
    fn confirm(&mut self, number: usize, before: i32) {
        let now_ms = self.now_ms;
        let output = &mut self.outputs[number];
        let (input, within_ms) = output.confirm.unwrap();
        let agrees = (self.evaluator.values[input] != 0) == (before != 0);
        let has_changed = output.level != before;
        output.verdict = agrees.then_some(true);
        if has_changed {
            output.disagrees_since_ms = Some(now_ms);
            output.verdict = Some(agrees);
        } else if agrees {
            output.disagrees_since_ms = None;
            output.is_faulty = false;
        } else {
            let since_ms = *output.disagrees_since_ms.get_or_insert(now_ms);
            if now_ms - since_ms >= within_ms {
                output.is_faulty = true;
                output.verdict = Some(false);
            }
        }
        let (name, is_faulty, verdict) = (output.name, output.is_faulty, output.verdict);
        self.put(&format!("{name}.fault"), is_faulty.into());
        for waiting in &mut self.waiting {
            for (output, became) in &mut waiting.outputs {
                if *output == number && became.is_none() {
                    *became = verdict;
                }
            }
        }
    }

    /// The commands that no longer wait, and whether they are confirmed.
    pub(crate) fn settled(&mut self) -> Vec<(u8, bool)> {
        let mut settled = Vec::new();
        self.waiting.retain(|waiting| {
            let became = || waiting.outputs.iter().map(|(_, became)| *became);
            let confirmed = became().all(|it| it == Some(true));
            let failed = became().any(|it| it == Some(false));
            if confirmed || failed {
                settled.push((waiting.tag, confirmed));
            }
            !confirmed && !failed
        });
        settled.sort_unstable();
        settled
    }

    pub(crate) fn await_feedback(&mut self, tag: u8) {
        let outputs = self.confirming.drain(..).map(|output| (output, None));
        let outputs = outputs.collect();
        self.waiting.push(Waiting { tag, outputs });
    }

    /// False if too many are forced, or no script runs.
    pub(crate) fn force(&mut self, name: &str, value: i32, length_ms: u32) -> bool {
        let output = self.output(name);
        let others = self.forces.iter().filter(|it| it.output != output).count();
        if self.is_stopped || others >= 8 {
            return false;
        }
        self.forces.retain(|it| it.output != output);
        let until_ms = self.now_ms + u64::from(length_ms);
        self.forces.push(Force {
            output,
            value,
            until_ms,
        });
        true
    }

    pub(crate) fn release(&mut self, name: &str) -> bool {
        let output = self.output(name);
        let before = self.forces.len();
        self.forces.retain(|it| it.output != output);
        self.forces.len() < before
    }

    pub(crate) fn stop(&mut self) {
        self.forces.clear();
        self.is_stopped = true;
        // Those of the last scan happened once.
        self.evaluator.events = 0;
    }

    /// What each point shows, in the order of the script.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let flag = |bit: u32, is_set: bool| if is_set { bit } else { 0 };
        let show = |point: &Point| match point {
            Point::Input(number) => {
                let input = &self.inputs[*number];
                Shown {
                    value: self.evaluator.values[input.name],
                    flags: flag(2, input.is_bad),
                    cause: None,
                }
            }
            Point::Output(number) => {
                let output = &self.outputs[*number];
                Shown {
                    value: output.level,
                    flags: flag(1, output.is_manual)
                        | flag(4, output.is_faulty)
                        | flag(8, output.is_forced)
                        | flag(16, output.confirm.is_some()),
                    cause: Some(output.cause),
                }
            }
        };
        self.points.iter().map(show).collect()
    }
}
