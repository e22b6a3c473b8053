//! Makes well-typed scripts, and what happens to them, out of a list of choices.
//!
//! The choices are proptest's. It makes them smaller and fewer, and where there is none left, 0 is
//! taken, which always chooses what is simplest; so a failing script shrinks to a short one.

use crate::tree::{
    Argument, Block, Expression, Line, Node, Operator, Script, Transition, Type, What,
};

pub(crate) struct Choices<'a> {
    rest: std::slice::Iter<'a, u32>,
}

impl<'a> Choices<'a> {
    pub(crate) fn new(choices: &'a [u32]) -> Self {
        Self {
            rest: choices.iter(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.rest.len() == 0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.rest.next().copied().unwrap_or(0) as usize % bound.max(1)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn of<T: Copy>(&mut self, what: &[T]) -> T {
        what[self.below(what.len())]
    }
}

pub(crate) const TYPES: [Type; 4] = [Type::Bool, Type::Int, Type::Num, Type::Time];
const INTS: [i32; 21] = [
    0,
    1,
    2,
    3,
    7,
    10,
    -1,
    -2,
    -3,
    -10,
    1000,
    -1000,
    46_341,
    65_536,
    2_147_483,
    2_147_484,
    -2_147_484,
    2_147_483_646,
    i32::MAX,
    -i32::MAX,
    i32::MIN,
];
const NUMS: [i32; 21] = [
    0,
    1000,
    500,
    1500,
    2000,
    -500,
    -1000,
    -2500,
    1,
    -1,
    333,
    667,
    80_000,
    20_000,
    50_000,
    -999,
    1_000_000_000,
    2_147_483_000,
    i32::MAX,
    -i32::MAX,
    i32::MIN,
];
const TIMES: [i32; 17] = [
    0,
    10,
    20,
    30,
    50,
    100,
    15,
    1,
    1000,
    1500,
    60_000,
    -10,
    -1000,
    86_400_000,
    1_000_000_000,
    i32::MAX,
    i32::MIN,
];
/// Times that come to their end within a test.
pub(crate) const SHORT_TIMES: [i32; 8] = [20, 0, 10, 30, 50, 100, 15, -10];

/// Such times above 0.
const WAITS: [i32; 6] = [30, 10, 50, 100, 1, 1000];

/// A value of a type, rather at an edge than not.
pub(crate) fn value(choices: &mut Choices<'_>, value_type: Type) -> i32 {
    match value_type {
        Type::Bool => choices.below(2) as i32,
        Type::Int if choices.below(3) > 0 => choices.below(7) as i32 - 3,
        Type::Int => choices.of(&INTS),
        Type::Num => choices.of(&NUMS),
        Type::Time => choices.of(&TIMES),
    }
}

#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) value_type: Type,
}

/// Makes one script.
pub(crate) struct Maker<'a, 'b> {
    pub(crate) choices: &'b mut Choices<'a>,
    /// Everything that an expression may name.
    pub(crate) known: Vec<Known>,
    /// What no statement assigns yet, but may.
    free: Vec<Known>,
    pub(crate) script: Script,
    names: usize,
    commands: Vec<String>,
    /// Digital ones, which outputs may be confirmed by.
    inputs: Vec<String>,
    /// Digital ones, which interlocks may be of.
    outputs: Vec<String>,
    pub(crate) in_branch: bool,
    pub(crate) in_machine: bool,
    /// `if`s that are open.
    depth: usize,
}

pub(crate) fn script(choices: &mut Choices<'_>) -> Script {
    let mut maker = Maker {
        choices,
        known: ["boot", "online", "synced"]
            .map(|name| Known {
                name: name.into(),
                value_type: Type::Bool,
            })
            .into(),
        free: Vec::new(),
        script: Script::default(),
        names: 0,
        commands: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        in_branch: false,
        in_machine: false,
        depth: 0,
    };
    for _ in 0..6 {
        let line = maker.declaration();
        maker.script.lines.push(line);
    }
    for _ in 0..24 {
        if maker.choices.is_over() {
            break;
        }
        let line = if maker.free.is_empty() || maker.choices.once_in(3) {
            maker.declaration()
        } else {
            let mut free = std::mem::take(&mut maker.free);
            let line = maker.statement(&mut free);
            maker.free = free;
            line
        };
        maker.script.lines.push(line);
    }
    maker.script
}

impl Maker<'_, '_> {
    fn line(&mut self, what: What) -> Line {
        Line {
            id: self.id(),
            what,
        }
    }

    fn id(&mut self) -> usize {
        self.script.ids += 1;
        self.script.ids
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn know(&mut self, name: &str, value_type: Type) -> Known {
        let known = Known {
            name: name.into(),
            value_type,
        };
        self.known.push(known.clone());
        known
    }

    /// Half of the times a value.
    fn perhaps(&mut self, value_type: Type) -> Option<i32> {
        let is_there = self.choices.once_in(2);
        is_there.then(|| value(self.choices, value_type))
    }

    fn declaration(&mut self) -> Line {
        let name = self.new_name();
        let value_type = self.choices.of(&TYPES);
        let what = match self.choices.below(11) {
            0 | 1 => self.variable(name, value_type, false),
            2 => self.variable(name, value_type, true),
            3 | 4 => self.input(name),
            5 | 6 => self.output(name),
            7 => {
                let value = value(self.choices, value_type);
                let range = (value_type != Type::Bool && self.choices.once_in(2))
                    .then(|| self.range(value_type, value));
                self.know(&name, value_type);
                What::Parameter {
                    name,
                    value_type,
                    value,
                    range,
                }
            }
            8 => return self.machine(name),
            9 if self.outputs.len() > 1 => self.interlock(),
            _ => return self.command(name),
        };
        self.line(what)
    }

    fn variable(&mut self, name: String, value_type: Type, is_retained: bool) -> What {
        let known = self.know(&name, value_type);
        self.free.push(known);
        What::Variable {
            name,
            value_type,
            value: self.perhaps(value_type),
            is_retained,
        }
    }

    /// The type of a pin.
    fn pin(&mut self) -> Type {
        if self.choices.below(3) < 2 {
            Type::Bool
        } else {
            Type::Num
        }
    }

    fn input(&mut self, name: String) -> What {
        let value_type = self.pin();
        let is_digital = value_type == Type::Bool;
        self.know(&format!("{name}.bad"), Type::Bool);
        self.know(&name, value_type);
        let debounces = is_digital && self.choices.once_in(3);
        let debounce_ms = debounces.then(|| self.choices.of(&WAITS));
        let scales = !is_digital && self.choices.once_in(2);
        let scale = scales.then(|| {
            let [from, low] = [0; 2].map(|_| value(self.choices, Type::Num));
            let [to, high] = [(from, 1023), (low, 100_000)].map(|(from, other)| {
                let to = value(self.choices, Type::Num);
                if to == from { from ^ other } else { to }
            });
            [from, to, low, high]
        });
        if is_digital {
            self.inputs.push(name.clone());
        }
        What::Input {
            name,
            value_type,
            debounce_ms,
            scale,
            bad_below: self.perhaps(Type::Num).filter(|_| !is_digital),
            bad_above: self.perhaps(Type::Num).filter(|_| !is_digital),
        }
    }

    fn output(&mut self, name: String) -> What {
        let value_type = self.pin();
        let known = self.know(&name, value_type);
        let is_manual = self.choices.once_in(4);
        if !is_manual {
            self.free.push(known);
        }
        let is_digital = value_type == Type::Bool;
        if is_digital {
            self.outputs.push(name.clone());
        }
        let confirms = is_digital && !self.inputs.is_empty() && self.choices.once_in(2);
        let confirm = confirms.then(|| {
            self.know(&format!("{name}.fault"), Type::Bool);
            let at = self.choices.below(self.inputs.len());
            (self.inputs[at].clone(), self.choices.of(&WAITS))
        });
        let loses = self.choices.once_in(3);
        What::Output {
            name,
            value_type,
            safe: self.perhaps(value_type),
            is_manual,
            confirm,
            link_loss_ms: loses.then(|| self.choices.of(&WAITS)),
        }
    }

    fn interlock(&mut self) -> What {
        let mut left = self.outputs.clone();
        let mut taken = Vec::new();
        for _ in 0..2 + self.choices.below(3) {
            if !left.is_empty() {
                let at = self.choices.below(left.len());
                taken.push(left.swap_remove(at));
            }
        }
        let gap_ms = if self.choices.once_in(4) {
            0
        } else {
            self.choices.of(&WAITS)
        };
        What::Interlock(taken, gap_ms)
    }

    fn machine(&mut self, name: String) -> Line {
        let count = 1 + self.choices.below(4);
        let states: Vec<_> = (0..count).map(|at| format!("s{at}")).collect();
        self.know(&name, Type::Int);
        for state in &states {
            self.know(&format!("{name}.{state}"), Type::Bool);
        }
        let id = self.id();
        self.in_machine = true;
        let mut transitions = Vec::new();
        for _ in 0..self.choices.below(5) {
            transitions.push(Transition {
                id: self.id(),
                from: (!self.choices.once_in(4)).then(|| self.choices.below(count)),
                to: self.choices.below(count),
                when: self.any(Type::Bool, 3),
            });
        }
        self.in_machine = false;
        let what = What::Machine {
            name,
            states,
            transitions,
        };
        Line { id, what }
    }

    /// A range that holds a value.
    fn range(&mut self, value_type: Type, held: i32) -> (i32, i32) {
        let (a, b) = (
            value(self.choices, value_type),
            value(self.choices, value_type),
        );
        (a.min(b).min(held), a.max(b).max(held))
    }

    fn command(&mut self, name: String) -> Line {
        let mut arguments = Vec::new();
        for at in 0..self.choices.below(5) {
            let value_type = self.choices.of(&TYPES);
            let held = value(self.choices, value_type);
            let range = (value_type != Type::Bool && self.choices.once_in(2))
                .then(|| self.range(value_type, held));
            arguments.push(Argument {
                name: format!("a{at}"),
                value_type,
                range,
            });
        }
        self.know(&name, Type::Bool);
        self.commands.push(name.clone());
        for argument in &arguments {
            self.know(&format!("{name}.{}", argument.name), argument.value_type);
        }
        let refuse = self.choices.once_in(2).then(|| {
            let bound = self.known.len();
            // Mostly it looks at an argument; else hardly anything would depend on it.
            let argument = arguments
                .first()
                .filter(|_| self.choices.once_in(2))
                .map(|_| self.known[bound - 1 - self.choices.below(arguments.len())].clone());
            match argument {
                Some(of) => self.about(&of),
                None => self.any(Type::Bool, 2),
            }
        });
        self.line(What::Command {
            name,
            arguments,
            refuse,
        })
    }

    /// A condition on a name.
    fn about(&mut self, known: &Known) -> Expression {
        let name = Expression {
            value_type: known.value_type,
            node: Node::Name(known.name.clone()),
        };
        if known.value_type == Type::Bool {
            return name;
        }
        let other = self.any(known.value_type, 1);
        Expression {
            value_type: Type::Bool,
            node: Node::Binary(Operator::AtLeast, Box::new(name), Box::new(other)),
        }
    }

    fn statement(&mut self, free: &mut Vec<Known>) -> Line {
        let kind = self.choices.below(10);
        let may_nest = self.depth < 3 && !free.is_empty();
        match kind {
            5 | 6 if may_nest => self.chain(free),
            7 if !self.in_branch => {
                let mut values = Vec::new();
                for _ in 0..self.choices.below(5) {
                    let at = self.choices.below(self.known.len());
                    // Whether a machine is in a state is worked out, and no name's value.
                    if !self.known[at].name.contains(".s") {
                        values.push(self.known[at].name.clone());
                    }
                }
                let condition = self.any(Type::Bool, 3);
                self.line(What::Event(values, condition))
            }
            8 if !self.in_branch => {
                let raised = self.any(Type::Bool, 3);
                let clear = self.choices.once_in(2).then(|| self.any(Type::Bool, 2));
                self.line(What::Alarm(raised, clear))
            }
            _ => {
                let at = self.choices.below(free.len());
                let target = free.swap_remove(at);
                if target.value_type == Type::Bool
                    && !self.in_branch
                    && !self.commands.is_empty()
                    && self.choices.once_in(3)
                {
                    let value = self.at_command();
                    return self.line(What::Assign(target.name, value));
                }
                if target.value_type != Type::Bool && self.choices.once_in(3) {
                    let value = self.any(target.value_type, 3);
                    let condition = self.choices.once_in(2).then(|| self.any(Type::Bool, 2));
                    self.line(What::Increase(target.name, value, condition))
                } else {
                    let value = self.any(target.value_type, 4);
                    self.line(What::Assign(target.name, value))
                }
            }
        }
    }

    /// What a command turns on and off: chance alone would seldom name one.
    fn at_command(&mut self) -> Expression {
        let at = self.choices.below(self.commands.len());
        let called = Expression {
            value_type: Type::Bool,
            node: Node::Name(self.commands[at].clone()),
        };
        let block = self.choices.of(&[Block::Toggle, Block::Sr, Block::Rs]);
        let mut inputs = vec![called];
        if block != Block::Toggle {
            inputs.push(self.any(Type::Bool, 1));
        }
        Expression {
            value_type: Type::Bool,
            node: self.block(block, inputs),
        }
    }

    /// An `if` takes some names, and each of its branches may assign all of them.
    fn chain(&mut self, free: &mut Vec<Known>) -> Line {
        let mut taken = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            if !free.is_empty() {
                let at = self.choices.below(free.len());
                taken.push(free.swap_remove(at));
            }
        }
        let mut branches = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            let id = self.id();
            let condition = self.any(Type::Bool, 2);
            branches.push((id, condition, self.body(&taken)));
        }
        let otherwise = self.choices.once_in(2).then(|| self.body(&taken));
        self.line(What::If(branches, otherwise))
    }

    fn body(&mut self, taken: &[Known]) -> Vec<Line> {
        let mut free = taken.to_vec();
        let was_in_branch = std::mem::replace(&mut self.in_branch, true);
        self.depth += 1;
        let mut lines = Vec::new();
        while !free.is_empty() && self.choices.below(4) != 3 && lines.len() < 3 {
            lines.push(self.statement(&mut free));
        }
        self.depth -= 1;
        self.in_branch = was_in_branch;
        lines
    }
}
