//! From a tree to a text that means it, in one of many ways: spaces, comments, parentheses that
//! nobody needs, lines broken within them, and units of time.

use crate::tree::{
    Block, During, Expression, Function, Line, Node, Operator, Script, Transition, Type, What,
};
use std::collections::HashMap;

/// The text, and on which line of it each line of the tree begins.
pub(crate) struct Printed {
    pub(crate) text: String,
    pub(crate) lines: HashMap<usize, u16>,
}

/// Prints in a way that `seed` decides. Without `breaks`, a statement is one line.
pub(crate) fn print(script: &Script, seed: u64, breaks: bool) -> Printed {
    let mut printer = Printer {
        text: String::new(),
        lines: HashMap::new(),
        line: 1,
        // Xorshift never leaves 0.
        random: seed | 1,
        breaks,
        open: 0,
        durings: &script.durings,
    };
    for line in &script.lines {
        printer.line(line);
    }
    Printed {
        text: printer.text,
        lines: printer.lines,
    }
}

struct Printer<'a> {
    text: String,
    lines: HashMap<usize, u16>,
    line: u16,
    random: u64,
    breaks: bool,
    /// Parentheses that are open.
    open: usize,
    durings: &'a [During],
}

/// How closely a node binds, from 1 (`or`) to 8 (what nothing can tear apart).
fn binding(node: &Node) -> u8 {
    match node {
        Node::Binary(operator, ..) => operator_binding(*operator),
        Node::Not(_) => 3,
        Node::Negate(_) => 7,
        Node::Literal(value) if *value < 0 => 7,
        Node::Widen(inner) => binding(&inner.node),
        _ => 8,
    }
}

fn operator_binding(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 1,
        Operator::And => 2,
        Operator::Plus | Operator::Minus => 5,
        Operator::Times | Operator::Over | Operator::Mod => 6,
        _ => 4,
    }
}

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn operator_text(operator: Operator) -> &'static str {
    match operator {
        Operator::Or => "or",
        Operator::And => "and",
        Operator::Equal => "=",
        Operator::Differs => "<>",
        Operator::Below => "<",
        Operator::AtMost => "<=",
        Operator::Above => ">",
        Operator::AtLeast => ">=",
        Operator::Plus => "+",
        Operator::Minus => "-",
        Operator::Times => "*",
        Operator::Over => "/",
        Operator::Mod => "mod",
    }
}

fn type_text(value_type: Type) -> &'static str {
    match value_type {
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Num => "num",
        Type::Time => "time",
    }
}

fn thousandths(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1000, value % 1000);
    let cut = text.trim_end_matches('0');
    if cut.ends_with('.') {
        format!("{cut}0")
    } else {
        cut.into()
    }
}

impl Printer<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn end_line(&mut self) {
        if self.below(8) == 0 {
            self.put("  # (1 := \"");
        }
        self.put("\n");
        self.line += 1;
    }

    /// Space that may be there or not.
    fn gap(&mut self) {
        match self.below(8) {
            0 => self.put("  "),
            1 => self.put("\t"),
            2..=5 => self.put(" "),
            6 if self.breaks && self.open > 0 => self.end_line(),
            _ => (),
        }
    }

    /// Space between two words.
    fn space(&mut self) {
        self.put(" ");
        self.gap();
    }

    fn open(&mut self) {
        self.put("(");
        self.open += 1;
        self.gap();
    }

    fn close(&mut self) {
        self.gap();
        self.open -= 1;
        self.put(")");
    }

    fn literal(&mut self, value_type: Type, value: i32) {
        if value < 0 {
            self.put("-");
        }
        let size = u64::from(value.unsigned_abs());
        let text = match value_type {
            Type::Bool => ["false", "off", "true", "on"]
                [(value != 0) as usize * 2 + self.below(2) as usize]
                .into(),
            Type::Int => size.to_string(),
            Type::Num => thousandths(size),
            Type::Time => {
                let fitting: Vec<_> = [
                    (1, "ms"),
                    (1000, "s"),
                    (60_000, "m"),
                    (3_600_000, "h"),
                    (86_400_000, "d"),
                ]
                .into_iter()
                .filter(|(unit, _)| (size * 1000).is_multiple_of(*unit))
                .collect();
                let (unit, name) = fitting[self.below(fitting.len() as u64) as usize];
                if size.is_multiple_of(unit) && self.below(2) == 0 {
                    format!("{}{name}", size / unit)
                } else {
                    format!("{}{name}", thousandths(size * 1000 / unit))
                }
            }
        };
        self.put(&text);
    }

    /// An expression where what binds at least as closely as `least` may stand bare.
    fn expression(&mut self, expression: &Expression, least: u8) {
        let is_wrapped = binding(&expression.node) < least || self.below(7) == 0;
        if is_wrapped {
            self.open();
        }
        match &expression.node {
            Node::Literal(value) => self.literal(expression.value_type, *value),
            Node::Name(name) => self.put(name),
            Node::Widen(inner) => self.expression(inner, 0),
            Node::Not(inner) => {
                self.put("not");
                self.space();
                self.expression(inner, 3);
            }
            Node::Negate(inner) => {
                self.put("-");
                self.gap();
                self.expression(inner, 7);
            }
            Node::Binary(operator, left, right) => {
                let own = operator_binding(*operator);
                let text = operator_text(*operator);
                let is_word = text.starts_with(char::is_alphabetic);
                self.expression(left, own);
                if is_word {
                    self.space()
                } else {
                    self.gap()
                }
                self.put(text);
                if is_word {
                    self.space()
                } else {
                    self.gap()
                }
                self.expression(right, own + 1);
            }
            Node::Function(function, arguments) => {
                let name = match function {
                    Function::Min => "min",
                    Function::Max => "max",
                    Function::Limit => "limit",
                    Function::Abs => "abs",
                    Function::Int => "int",
                    Function::Num => "num",
                    Function::Seconds => "seconds",
                };
                self.call(name, arguments);
            }
            Node::Block(block, _, arguments) => {
                let name = match block {
                    Block::Rise => "rise",
                    Block::Fall => "fall",
                    Block::Toggle => "toggle",
                    Block::Ton => "ton",
                    Block::Tof => "tof",
                    Block::Tp => "tp",
                    Block::Blink => "blink",
                    Block::Sr => "sr",
                    Block::Rs => "rs",
                    Block::Ctu => "ctu",
                    Block::Hysteresis => "hysteresis",
                    Block::Runtime => "runtime",
                    Block::Slew => "slew",
                };
                self.call(name, arguments);
            }
            Node::During(number) => {
                let during = &self.durings[*number];
                self.during(during);
            }
            Node::After(time) => self.call("after", std::slice::from_ref(time)),
        }
        if is_wrapped {
            self.close();
        }
    }

    fn call(&mut self, name: &str, arguments: &[Expression]) {
        self.put(name);
        self.open();
        for (at, argument) in arguments.iter().enumerate() {
            if at > 0 {
                self.put(",");
                self.gap();
            }
            self.expression(argument, 0);
        }
        self.close();
    }

    fn during(&mut self, during: &During) {
        self.put("during");
        self.open();
        for window in &during.windows {
            for (first, last) in &window.days {
                self.put(DAYS[usize::from(*first)]);
                if let Some(last) = last {
                    self.gap();
                    self.put("-");
                    self.gap();
                    self.put(DAYS[usize::from(*last)]);
                }
                self.space();
            }
            self.clock(window.from);
            self.gap();
            self.put("-");
            self.gap();
            self.clock(window.to);
            self.gap();
            self.put(",");
            self.gap();
        }
        self.put("unsynced");
        self.space();
        self.literal(Type::Bool, during.unsynced.into());
        self.close();
    }

    fn clock(&mut self, minutes: u32) {
        let hours = minutes / 60;
        let text = match hours < 10 && self.below(2) == 0 {
            true => format!("{hours}:{:02}", minutes % 60),
            false => format!("{hours:02}:{:02}", minutes % 60),
        };
        self.put(&text);
    }

    fn condition(&mut self, word: &str, condition: &Expression) {
        self.space();
        self.put(word);
        self.space();
        self.expression(condition, 0);
    }

    fn range(&mut self, value_type: Type, range: Option<(i32, i32)>) {
        if let Some((min, max)) = range {
            self.put(" in ");
            self.literal(value_type, min);
            // `1..` is a number and two points, whatever stands around them.
            self.gap();
            self.put("..");
            self.gap();
            self.literal(value_type, max);
        }
    }

    fn line(&mut self, line: &Line) {
        while self.below(10) == 0 {
            self.end_line();
        }
        self.gap();
        self.lines.insert(line.id, self.line);
        self.what(&line.what);
        self.end_line();
    }

    /// A type, said or not since it need not be, and the pin.
    fn pin(&mut self, value_type: Type, digital: &str, analogue: &str) -> String {
        let pin = if value_type == Type::Bool {
            digital
        } else {
            analogue
        };
        match self.below(2) {
            0 => format!(" = {pin}"),
            _ => format!(" : {} = {pin}", type_text(value_type)),
        }
    }

    fn what(&mut self, what: &What) {
        match what {
            What::Input { .. } => self.input(what),
            What::Output { .. } => self.output(what),
            What::Interlock(names, gap_ms) => {
                self.put(&format!("interlock {} gap ", names.join(", ")));
                self.literal(Type::Time, *gap_ms);
            }
            What::Variable {
                name,
                value_type,
                value,
                is_retained,
            } => {
                self.put(if *is_retained { "retain " } else { "var " });
                self.put(name);
                if value.is_none() || self.below(2) == 0 {
                    self.put(&format!(" : {}", type_text(*value_type)));
                }
                if let Some(value) = value {
                    self.put(" = ");
                    self.literal(*value_type, *value);
                }
            }
            What::Parameter {
                name,
                value_type,
                value,
                range,
            } => {
                self.put(&format!("param {name}"));
                if self.below(2) == 0 {
                    self.put(&format!(" : {}", type_text(*value_type)));
                }
                self.put(" = ");
                self.literal(*value_type, *value);
                self.range(*value_type, *range);
            }
            What::Command {
                name,
                arguments,
                refuse,
            } => {
                self.put(&format!("command {name}"));
                for (at, argument) in arguments.iter().enumerate() {
                    self.put(if at == 0 { "(" } else { ", " });
                    self.put(&format!(
                        "{}: {}",
                        argument.name,
                        type_text(argument.value_type)
                    ));
                    self.range(argument.value_type, argument.range);
                }
                if !arguments.is_empty() {
                    self.put(")");
                }
                if let Some(refuse) = refuse {
                    self.put(" refuse \"not # now\"");
                    self.condition("when", refuse);
                }
            }
            What::Machine {
                name,
                states,
                transitions,
            } => self.machine(name, states, transitions),
            What::Assign(name, value) => {
                self.put(name);
                self.gap();
                self.put(":=");
                self.gap();
                self.expression(value, 0);
            }
            What::Increase(name, value, condition) => {
                self.put(name);
                self.gap();
                self.put("+=");
                self.gap();
                self.expression(value, 0);
                if let Some(condition) = condition {
                    self.condition("when", condition);
                }
            }
            What::If(branches, otherwise) => self.chain(branches, otherwise.as_deref()),
            What::Event(values, condition) => {
                self.put("event \"it happened\"");
                for (at, value) in values.iter().enumerate() {
                    self.put(if at == 0 { " " } else { ", " });
                    self.put(value);
                }
                self.condition("when", condition);
            }
            What::Alarm(raised, clear) => {
                let level = ["LOW", "MEDIUM", "HIGH"][self.below(3) as usize];
                self.put(&format!("alarm {level} \"it is wrong\""));
                self.condition("when", raised);
                if let Some(clear) = clear {
                    self.condition("clear", clear);
                }
            }
        }
    }

    fn input(&mut self, what: &What) {
        let What::Input {
            name,
            value_type,
            debounce_ms,
            scale,
            bad_below,
            bad_above,
        } = what
        else {
            return;
        };
        self.put(&format!("in {name}"));
        let pin = self.pin(*value_type, "DI1", "AI0");
        self.put(&pin);
        if let Some(time_ms) = debounce_ms {
            self.put(" debounce ");
            self.literal(Type::Time, *time_ms);
        }
        if let Some(numbers) = scale {
            for (at, number) in numbers.iter().enumerate() {
                self.put([" scale ", "..", " to ", ".."][at]);
                self.literal(Type::Num, *number);
            }
        }
        for (word, bound) in [("below", bad_below), ("above", bad_above)] {
            if let Some(bound) = bound {
                self.put(&format!(" bad {word} "));
                self.literal(Type::Num, *bound);
            }
        }
    }

    fn output(&mut self, what: &What) {
        let What::Output {
            name,
            value_type,
            safe,
            is_manual,
            confirm,
            link_loss_ms,
        } = what
        else {
            return;
        };
        self.put(&format!("out {name}"));
        let pin = self.pin(*value_type, "RL1", "AO1");
        self.put(&pin);
        self.put(" safe ");
        match safe {
            Some(value) => self.literal(*value_type, *value),
            None => self.put("hold"),
        }
        if let Some((input, within_ms)) = confirm {
            self.put(&format!(" confirm {input} within "));
            self.literal(Type::Time, *within_ms);
        }
        if let Some(time_ms) = link_loss_ms {
            self.put(" linkloss safe after ");
            self.literal(Type::Time, *time_ms);
        }
        if *is_manual {
            self.put(" manual");
        }
    }

    fn machine(&mut self, name: &str, states: &[String], transitions: &[Transition]) {
        self.put(&format!("state {name} : {}", states.join(", ")));
        self.end_line();
        for transition in transitions {
            while self.below(10) == 0 {
                self.end_line();
            }
            self.gap();
            self.lines.insert(transition.id, self.line);
            let from = transition.from.map_or("any", |state| &states[state]);
            self.put(&format!("from {from} to {}", states[transition.to]));
            self.condition("when", &transition.when);
            self.end_line();
        }
        self.put("end");
    }

    fn chain(&mut self, branches: &[(usize, Expression, Vec<Line>)], otherwise: Option<&[Line]>) {
        for (at, (id, condition, body)) in branches.iter().enumerate() {
            self.lines.insert(*id, self.line);
            self.put(if at == 0 { "if" } else { "else if" });
            self.space();
            self.expression(condition, 0);
            self.end_line();
            for line in body {
                self.line(line);
            }
        }
        if let Some(body) = otherwise {
            self.put("else");
            self.end_line();
            for line in body {
                self.line(line);
            }
        }
        self.gap();
        self.put("end");
    }
}
