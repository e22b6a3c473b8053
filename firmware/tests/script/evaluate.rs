//! The reference: walks a script's tree once a scan, and knows what `docs/script.md` says.
//!
//! Slow and plain: names are looked up by their text, time is a count of milliseconds that never
//! wraps, and arithmetic is done where nothing overflows and then brought back.

use crate::tree::{
    Block, Expression, Function, Line, Node, Operator, Script, Transition, Type, What,
};
use std::collections::HashMap;
use switchyard_firmware::script::Answer;

/// A call that the scan is offered.
pub(crate) struct Offered<'a> {
    pub(crate) command: &'a str,
    pub(crate) arguments: &'a [i32],
}

#[derive(Clone, Default)]
struct State {
    /// The input in the scan before; `None` before the first.
    before: Option<bool>,
    is_on: bool,
    /// When what is going on began.
    since_ms: u64,
    count: u64,
    level: i32,
}

pub(crate) struct Evaluator<'a> {
    script: &'a Script,
    pub(crate) values: HashMap<String, i32>,
    /// What each `during` says now: whoever scans looks at the clock.
    pub(crate) durings: Vec<bool>,
    /// By which line each output has its value.
    pub(crate) assigned_by: HashMap<&'a str, usize>,
    blocks: Vec<State>,
    /// When each machine came into the state that it is in.
    entered_ms: HashMap<&'a str, u64>,
    /// Conditions of events in the scan before, by the event's number.
    conditions: Vec<bool>,
    standing: Vec<bool>,
    pub(crate) events: u32,
    pub(crate) alarms: u32,
    pub(crate) divisions_by_zero: u32,
    scan: Scan,
}

/// What is true of this scan.
#[derive(Default)]
struct Scan {
    is_first: bool,
    at_ms: u64,
    passed_ms: u64,
    /// Whether the statement stands in a branch that is taken, or in none.
    is_taken: bool,
    /// How long the machine whose transition this is has been in its state.
    age_ms: u64,
    event: usize,
    alarm: usize,
    answer: Option<Answer>,
}

pub(crate) fn saturate(value: i128) -> i32 {
    value.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32
}

/// Rounds half away from zero. The divisor is not 0.
pub(crate) fn rounded(dividend: i128, divisor: i128) -> i128 {
    let sign = dividend.signum() * divisor.signum();
    let (dividend, divisor) = (dividend.abs(), divisor.abs());
    sign * ((2 * dividend + divisor) / (2 * divisor))
}

impl<'a> Evaluator<'a> {
    pub(crate) fn start(script: &'a Script) -> Self {
        let mut values = HashMap::new();
        for flag in ["boot", "online", "synced"] {
            values.insert(flag.to_string(), 0);
        }
        for line in &script.lines {
            match &line.what {
                What::Input { name, .. } => {
                    values.insert(name.clone(), 0);
                    values.insert(format!("{name}.bad"), 0);
                }
                What::Output { name, safe, .. } => {
                    values.insert(name.clone(), safe.unwrap_or(0));
                    values.insert(format!("{name}.fault"), 0);
                }
                What::Machine { name, states, .. } => {
                    values.insert(name.clone(), 0);
                    for (at, state) in states.iter().enumerate() {
                        values.insert(format!("{name}.{state}"), (at == 0).into());
                    }
                }
                What::Variable { name, value, .. } => {
                    values.insert(name.clone(), value.unwrap_or(0));
                }
                What::Parameter { name, value, .. } => {
                    values.insert(name.clone(), *value);
                }
                What::Command {
                    name, arguments, ..
                } => {
                    values.insert(name.clone(), 0);
                    for argument in arguments {
                        let (min, max) = argument.range.unwrap_or((i32::MIN, i32::MAX));
                        values.insert(format!("{name}.{}", argument.name), 0.clamp(min, max));
                    }
                }
                _ => (),
            }
        }
        Self {
            script,
            values,
            durings: script.durings.iter().map(|it| it.unsynced).collect(),
            assigned_by: HashMap::new(),
            entered_ms: HashMap::new(),
            blocks: vec![State::default(); script.blocks],
            conditions: vec![false; 32],
            standing: vec![false; 16],
            events: 0,
            alarms: 0,
            divisions_by_zero: 0,
            scan: Scan {
                is_first: true,
                ..Scan::default()
            },
        }
    }

    /// One scan, so long after the one before.
    pub(crate) fn scan(&mut self, passed_ms: u32, call: Option<&Offered<'_>>) -> Answer {
        self.scan.passed_ms = u64::from(passed_ms);
        self.scan.at_ms += self.scan.passed_ms;
        self.scan.is_taken = true;
        self.scan.event = 0;
        self.scan.alarm = 0;
        self.scan.answer = None;
        self.events = 0;
        self.alarms = 0;
        self.values.insert("boot".into(), self.scan.is_first.into());
        let script = self.script;
        for line in &script.lines {
            self.line(line, call);
        }
        self.scan.is_first = false;
        self.scan.answer.unwrap_or(Answer::NoCall)
    }

    fn line(&mut self, line: &'a Line, call: Option<&Offered<'_>>) {
        match &line.what {
            What::Assign(name, value) => {
                let value = self.value(value);
                self.store(name, value, line.id);
            }
            What::Increase(name, value, condition) => {
                let value = self.value(value);
                let sum = saturate(i128::from(self.values[name]) + i128::from(value));
                if condition.as_ref().is_none_or(|when| self.is_true(when)) {
                    self.store(name, sum, line.id);
                }
            }
            What::If(branches, otherwise) => self.chain(branches, otherwise.as_deref(), call),
            What::Machine {
                name,
                states,
                transitions,
            } => self.machine(name, states, transitions),
            What::Event(_, condition) => {
                let is_true = self.is_true(condition);
                let number = self.scan.event;
                if is_true && !self.conditions[number] {
                    self.events |= 1 << number;
                }
                self.conditions[number] = is_true;
                self.scan.event += 1;
            }
            What::Alarm(raised, clear) => {
                let raised = self.is_true(raised);
                let may_end = clear.as_ref().is_none_or(|clear| self.is_true(clear));
                let number = self.scan.alarm;
                self.standing[number] = raised || (self.standing[number] && !may_end);
                self.alarms |= u32::from(self.standing[number]) << number;
                self.scan.alarm += 1;
            }
            What::Command {
                name,
                arguments,
                refuse,
            } => {
                let call = call.filter(|call| call.command == name);
                let mut kept = Vec::new();
                for (at, argument) in arguments.iter().enumerate() {
                    let name = format!("{name}.{}", argument.name);
                    if let Some(call) = call {
                        let old = self.values.insert(name.clone(), call.arguments[at]);
                        kept.push((name, old.unwrap()));
                    }
                }
                let refuses = refuse.as_ref().is_some_and(|refuse| self.is_true(refuse));
                // Till here the name told of the scan before, as rule 1 has it.
                let is_taken = call.is_some() && !refuses;
                self.values.insert(name.clone(), is_taken.into());
                if call.is_some() {
                    if refuses {
                        self.values.extend(kept);
                    }
                    self.scan.answer = Some(if refuses {
                        Answer::Refused
                    } else {
                        Answer::Taken
                    });
                }
            }
            _ => (),
        }
    }

    fn store(&mut self, name: &'a str, value: i32, id: usize) {
        if self.scan.is_taken {
            *self.values.get_mut(name).unwrap() = value;
            self.assigned_by.insert(name, id);
        }
    }

    fn machine(&mut self, name: &'a str, states: &[String], transitions: &'a [Transition]) {
        let now_ms = self.scan.at_ms;
        let found = self.values[name];
        self.entered_ms.entry(name).or_insert(now_ms);
        for transition in transitions {
            self.scan.age_ms = now_ms - self.entered_ms[name];
            let is_true = self.is_true(&transition.when);
            // One step a scan, and only out of the state in which the scan found it.
            let is_there = self.values[name] == found;
            let from = transition.from.map_or(found, |from| from as i32);
            let to = transition.to as i32;
            if is_true && is_there && from == found && to != found {
                self.values.insert(name.into(), to);
                for (at, state) in states.iter().enumerate() {
                    let is_in = at as i32 == to;
                    self.values.insert(format!("{name}.{state}"), is_in.into());
                }
                self.entered_ms.insert(name, now_ms);
            }
        }
    }

    fn chain(
        &mut self,
        branches: &'a [(usize, Expression, Vec<Line>)],
        otherwise: Option<&'a [Line]>,
        call: Option<&Offered<'_>>,
    ) {
        let outer = self.scan.is_taken;
        let mut is_open = outer;
        for (_, condition, body) in branches {
            // Every condition is worked out, whether or not a branch above was taken.
            let is_true = self.is_true(condition);
            self.scan.is_taken = is_open && is_true;
            is_open = is_open && !is_true;
            for line in body {
                self.line(line, call);
            }
            self.scan.is_taken = outer;
        }
        self.scan.is_taken = is_open;
        for line in otherwise.unwrap_or_default() {
            self.line(line, call);
        }
        self.scan.is_taken = outer;
    }

    fn is_true(&mut self, condition: &Expression) -> bool {
        self.value(condition) != 0
    }

    fn value(&mut self, expression: &Expression) -> i32 {
        match &expression.node {
            Node::Literal(value) => *value,
            Node::Name(name) => self.values[name],
            Node::Widen(inner) => saturate(i128::from(self.value(inner)) * 1000),
            Node::Not(inner) => (!self.is_true(inner)).into(),
            Node::Negate(inner) => saturate(-i128::from(self.value(inner))),
            Node::Binary(operator, left, right) => {
                let types = (left.value_type, right.value_type);
                let left = self.value(left);
                let right = self.value(right);
                self.binary(*operator, types, left, right)
            }
            Node::Function(function, arguments) => {
                let values: Vec<_> = arguments.iter().map(|it| self.value(it)).collect();
                self.function(*function, &values)
            }
            Node::Block(block, number, inputs) => {
                let values: Vec<_> = inputs.iter().map(|it| self.value(it)).collect();
                let mut state = self.blocks[*number].clone();
                let output = self.block(*block, &values, &mut state);
                self.blocks[*number] = state;
                output
            }
            Node::During(number) => self.durings[*number].into(),
            Node::After(time) => {
                let time_ms = self.value(time);
                (i128::from(self.scan.age_ms) >= i128::from(time_ms)).into()
            }
        }
    }

    fn binary(&mut self, operator: Operator, types: (Type, Type), left: i32, right: i32) -> i32 {
        let (a, b) = (i128::from(left), i128::from(right));
        match operator {
            Operator::Or => (a != 0 || b != 0).into(),
            Operator::And => (a != 0 && b != 0).into(),
            Operator::Equal => (a == b).into(),
            Operator::Differs => (a != b).into(),
            Operator::Below => (a < b).into(),
            Operator::AtMost => (a <= b).into(),
            Operator::Above => (a > b).into(),
            Operator::AtLeast => (a >= b).into(),
            Operator::Plus => saturate(a + b),
            Operator::Minus => saturate(a - b),
            Operator::Times => match types {
                (Type::Num, _) | (_, Type::Num) => saturate(rounded(a * b, 1000)),
                _ => saturate(a * b),
            },
            Operator::Over | Operator::Mod if b == 0 => {
                if self.scan.is_taken {
                    self.divisions_by_zero += 1;
                }
                0
            }
            Operator::Mod => saturate(a % b),
            Operator::Over => match types {
                (_, Type::Num) | (Type::Time, Type::Time) => saturate(rounded(a * 1000, b)),
                _ => saturate(a / b),
            },
        }
    }

    fn function(&mut self, function: Function, values: &[i32]) -> i32 {
        let first = values[0];
        match function {
            Function::Min => first.min(values[1]),
            Function::Max => first.max(values[1]),
            // Where the bounds are the wrong way round, the lower one's word is the last.
            Function::Limit => first.min(values[2]).max(values[1]),
            Function::Abs => saturate(i128::from(first).abs()),
            Function::Int => saturate(rounded(first.into(), 1000)),
            Function::Num => saturate(i128::from(first) * 1000),
            Function::Seconds => first,
        }
    }

    fn block(&mut self, block: Block, inputs: &[i32], state: &mut State) -> i32 {
        let a = inputs[0] != 0;
        let b = inputs.get(1).is_some_and(|b| *b != 0);
        let time_ms = |at: usize| u64::try_from(inputs[at]).unwrap_or(0);
        let now_ms = self.scan.at_ms;
        // In the first scan there are no edges.
        let rises = a && state.before == Some(false);
        let falls = !a && state.before == Some(true);
        let began = a && state.before != Some(true);
        let output = match block {
            Block::Rise => rises,
            Block::Fall => falls,
            Block::Toggle => {
                state.is_on ^= rises;
                state.is_on
            }
            Block::Ton => {
                if began {
                    state.since_ms = now_ms;
                    state.is_on = false;
                }
                // Once it is over it no longer runs, so a longer time comes too late.
                state.is_on = a && (state.is_on || now_ms - state.since_ms >= time_ms(1));
                state.is_on
            }
            Block::Tof => {
                if falls {
                    state.since_ms = now_ms;
                }
                state.is_on = a || (state.is_on && now_ms - state.since_ms < time_ms(1));
                state.is_on
            }
            Block::Tp => {
                state.is_on = state.is_on && now_ms - state.since_ms < time_ms(1);
                if rises && !state.is_on && time_ms(1) > 0 {
                    state.is_on = true;
                    state.since_ms = now_ms;
                }
                state.is_on
            }
            Block::Blink => {
                if !a {
                    state.is_on = false;
                } else if began {
                    state.is_on = true;
                    state.since_ms = now_ms;
                } else {
                    let phase_ms = time_ms(if state.is_on { 1 } else { 2 });
                    let next_ms = time_ms(if state.is_on { 2 } else { 1 });
                    let ended_ms = state.since_ms + phase_ms;
                    if now_ms >= ended_ms {
                        state.is_on = !state.is_on;
                        // A late scan does not make the phases longer, unless it has missed one.
                        let missed = now_ms - ended_ms >= next_ms;
                        state.since_ms = if missed { now_ms } else { ended_ms };
                    }
                }
                state.is_on
            }
            Block::Sr => {
                state.is_on = a || (state.is_on && !b);
                state.is_on
            }
            Block::Rs => {
                state.is_on = (a || state.is_on) && !b;
                state.is_on
            }
            Block::Ctu => {
                state.count = if b { 0 } else { state.count + u64::from(rises) };
                i128::from(state.count) >= i128::from(inputs[2])
            }
            Block::Hysteresis => {
                let (x, on, off) = (inputs[0], inputs[1], inputs[2]);
                let (reaches_on, reaches_off) = if on < off {
                    (x <= on, x >= off)
                } else {
                    (x >= on, x <= off)
                };
                // Where both are one number, it is on.
                state.is_on = reaches_on || (state.is_on && !reaches_off);
                state.is_on
            }
            Block::Runtime => {
                if a && !self.scan.is_first {
                    state.count += self.scan.passed_ms;
                }
                let seconds = state.count / 1000;
                state.count %= 1000;
                state.before = Some(a);
                return saturate(i128::from(inputs[1]) + i128::from(seconds));
            }
            Block::Slew => return self.slew(inputs[0], inputs[1], state),
        };
        state.before = Some(a);
        output.into()
    }
    /// What it may move by adds up in millionths; what is below a thousandth is kept for later, until
    /// it has come where it goes.
    fn slew(&self, x: i32, rate: i32, state: &mut State) -> i32 {
        if self.scan.is_first {
            state.level = x;
        }
        state.count += self.scan.passed_ms * u64::try_from(rate).unwrap_or(0);
        let distance = i128::from(x) - i128::from(state.level);
        let step = i128::from(state.count / 1000);
        if step >= distance.abs() {
            state.level = x;
            state.count = 0;
        } else {
            // A step may be longer than any level.
            state.level = (i128::from(state.level) + step * distance.signum()) as i32;
            state.count %= 1000;
        }
        state.level
    }
}
