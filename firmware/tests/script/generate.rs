//! Makes well-typed scripts, and what happens to them, out of a list of choices.
//!
//! The choices are proptest's. It makes them smaller and fewer, and where there is none left, 0 is
//! taken, which always chooses what is simplest; so a failing script shrinks to a short one.

use crate::tree::{
    Argument, Block, Expression, Function, Line, Node, Operator, Script, Type, What,
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

    fn of<T: Copy>(&mut self, what: &[T]) -> T {
        what[self.below(what.len())]
    }
}

const TYPES: [Type; 4] = [Type::Bool, Type::Int, Type::Num, Type::Time];
const INTS: [i32; 20] = [
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
];
const NUMS: [i32; 20] = [
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
];
const TIMES: [i32; 16] = [
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
];
/// Times that come to their end within a test.
const SHORT_TIMES: [i32; 8] = [20, 0, 10, 30, 50, 100, 15, -10];

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
struct Known {
    name: String,
    value_type: Type,
}

/// Makes one script.
struct Maker<'a, 'b> {
    choices: &'b mut Choices<'a>,
    /// Everything that an expression may name.
    known: Vec<Known>,
    /// What no statement assigns yet, but may.
    free: Vec<Known>,
    script: Script,
    names: usize,
    in_branch: bool,
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
        in_branch: false,
        depth: 0,
    };
    for _ in 0..4 {
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

fn literal(value_type: Type, value: i32) -> Expression {
    Expression {
        value_type,
        node: Node::Literal(value),
    }
}

/// The compiler works out the sign of a literal, so what it is.
fn is_literal(expression: &Expression) -> bool {
    match &expression.node {
        Node::Literal(_) => true,
        Node::Negate(inner) => is_literal(inner),
        _ => false,
    }
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

    fn declaration(&mut self) -> Line {
        let name = self.new_name();
        let mut value_type = self.choices.of(&TYPES);
        let kind = self.choices.below(8);
        if matches!(kind, 2..=4) && matches!(value_type, Type::Int | Type::Time) {
            // A pin's.
            value_type = if value_type == Type::Int {
                Type::Num
            } else {
                Type::Bool
            };
        }
        let known = Known {
            name: name.clone(),
            value_type,
        };
        let what = match kind {
            0 | 1 | 5 => {
                self.free.push(known.clone());
                let value = self
                    .choices
                    .once_in(2)
                    .then(|| value(self.choices, value_type));
                What::Variable {
                    name,
                    value_type,
                    value,
                    is_retained: kind == 5,
                }
            }
            2 | 3 => {
                self.known.push(Known {
                    name: format!("{name}.bad"),
                    value_type: Type::Bool,
                });
                What::Input { name, value_type }
            }
            4 => {
                let is_manual = self.choices.once_in(4);
                if !is_manual {
                    self.free.push(known.clone());
                }
                let safe = self
                    .choices
                    .once_in(2)
                    .then(|| value(self.choices, value_type));
                What::Output {
                    name,
                    value_type,
                    safe,
                    is_manual,
                }
            }
            6 => {
                let value = value(self.choices, value_type);
                let range = (value_type != Type::Bool && self.choices.once_in(2))
                    .then(|| self.range(value_type, value));
                What::Parameter {
                    name,
                    value_type,
                    value,
                    range,
                }
            }
            _ => return self.command(name),
        };
        self.known.push(known);
        self.line(what)
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
            let held = value(self.choices, value_type).max(0);
            let range = (value_type != Type::Bool && self.choices.once_in(2))
                .then(|| self.range(value_type, held));
            arguments.push(Argument {
                name: format!("a{at}"),
                value_type,
                range,
            });
        }
        self.known.push(Known {
            name: name.clone(),
            value_type: Type::Bool,
        });
        for argument in &arguments {
            self.known.push(Known {
                name: format!("{name}.{}", argument.name),
                value_type: argument.value_type,
            });
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
                    values.push(self.known[at].name.clone());
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

    /// Where a value of that type is expected: an `int` does for a `num`.
    fn any(&mut self, value_type: Type, depth: usize) -> Expression {
        if value_type == Type::Num && self.choices.once_in(4) {
            self.widened(depth)
        } else {
            self.native(value_type, depth)
        }
    }

    fn widened(&mut self, depth: usize) -> Expression {
        let mut inner = self.native(Type::Int, depth);
        if is_literal(&inner) {
            // One that no `num` holds is an error.
            inner = literal(Type::Int, self.choices.below(2000) as i32 - 1000);
        }
        Expression {
            value_type: Type::Num,
            node: Node::Widen(Box::new(inner)),
        }
    }

    /// Two numbers or times that are joined to one type, of which one at least is of that type.
    fn joined(&mut self, value_type: Type, count: usize, depth: usize) -> Vec<Expression> {
        let native = self.choices.below(count);
        (0..count)
            .map(|at| {
                if at == native {
                    self.native(value_type, depth)
                } else {
                    self.any(value_type, depth)
                }
            })
            .collect()
    }

    /// An expression that is of that type by itself.
    fn native(&mut self, value_type: Type, depth: usize) -> Expression {
        if depth == 0 || self.choices.below(4) == 0 {
            return self.leaf(value_type);
        }
        let depth = depth - 1;
        let node = match value_type {
            Type::Bool => self.condition(depth),
            Type::Int => self.int(depth),
            Type::Num => self.num(depth),
            Type::Time => self.time(depth),
        };
        Expression { value_type, node }
    }

    fn leaf(&mut self, value_type: Type) -> Expression {
        let fitting: Vec<_> = self
            .known
            .iter()
            .filter(|known| known.value_type == value_type)
            .map(|known| known.name.clone())
            .collect();
        if !fitting.is_empty() && self.choices.below(3) > 0 {
            // The newest first.
            let at = fitting.len() - 1 - self.choices.below(fitting.len());
            return Expression {
                value_type,
                node: Node::Name(fitting[at].clone()),
            };
        }
        literal(value_type, value(self.choices, value_type))
    }

    fn binary(&mut self, operator: Operator, mut pair: Vec<Expression>) -> Node {
        let right = Box::new(pair.remove(1));
        Node::Binary(operator, Box::new(pair.remove(0)), right)
    }

    fn negated(&mut self, value_type: Type, depth: usize) -> Node {
        Node::Negate(Box::new(self.native(value_type, depth)))
    }

    fn condition(&mut self, depth: usize) -> Node {
        match self.choices.below(if self.in_branch { 6 } else { 11 }) {
            0 => Node::Not(Box::new(self.native(Type::Bool, depth))),
            1 => {
                let pair = self.joined(Type::Bool, 2, depth);
                self.binary(Operator::And, pair)
            }
            2 => {
                let pair = self.joined(Type::Bool, 2, depth);
                self.binary(Operator::Or, pair)
            }
            3..=5 => {
                let value_type = self.choices.of(&TYPES);
                let pair = self.joined(value_type, 2, depth);
                let operators = [
                    Operator::Equal,
                    Operator::Differs,
                    Operator::Below,
                    Operator::AtMost,
                    Operator::Above,
                    Operator::AtLeast,
                ];
                let orders = value_type != Type::Bool;
                let operator = self.choices.of(&operators[..if orders { 6 } else { 2 }]);
                self.binary(operator, pair)
            }
            _ => self.condition_block(depth),
        }
    }

    fn condition_block(&mut self, depth: usize) -> Node {
        let blocks = [
            Block::Rise,
            Block::Fall,
            Block::Toggle,
            Block::Ton,
            Block::Tof,
            Block::Tp,
            Block::Blink,
            Block::Sr,
            Block::Rs,
            Block::Ctu,
            Block::Hysteresis,
        ];
        let block = self.choices.of(&blocks);
        let mut inputs = Vec::new();
        if block == Block::Hysteresis {
            let value_type = self.choices.of(&[Type::Num, Type::Int]);
            inputs = self.joined(value_type, 3, depth);
        } else {
            inputs.push(self.native(Type::Bool, depth));
        }
        match block {
            Block::Ton | Block::Tof | Block::Tp => inputs.push(self.period()),
            Block::Blink => {
                inputs.push(self.period());
                inputs.push(self.period());
            }
            Block::Sr | Block::Rs => inputs.push(self.native(Type::Bool, depth)),
            Block::Ctu => {
                inputs.push(self.native(Type::Bool, depth));
                inputs.push(self.native(Type::Int, depth.min(1)));
            }
            _ => (),
        }
        self.block(block, inputs)
    }

    fn block(&mut self, block: Block, inputs: Vec<Expression>) -> Node {
        self.script.blocks += 1;
        Node::Block(block, self.script.blocks - 1, inputs)
    }

    fn period(&mut self) -> Expression {
        if self.choices.below(4) < 3 {
            literal(Type::Time, self.choices.of(&SHORT_TIMES))
        } else {
            self.native(Type::Time, 1)
        }
    }

    /// What numbers and times have in common.
    fn common(&mut self, value_type: Type, depth: usize) -> Node {
        match self.choices.below(6) {
            0 => self.negated(value_type, depth),
            1 => Node::Function(Function::Abs, vec![self.native(value_type, depth)]),
            2 => Node::Function(Function::Limit, self.joined(value_type, 3, depth)),
            3 => Node::Function(Function::Min, self.joined(value_type, 2, depth)),
            4 => Node::Function(Function::Max, self.joined(value_type, 2, depth)),
            _ => {
                let pair = self.joined(value_type, 2, depth);
                let operator = self.choices.of(&[Operator::Plus, Operator::Minus]);
                self.binary(operator, pair)
            }
        }
    }

    fn int(&mut self, depth: usize) -> Node {
        match self.choices.below(7) {
            0..=2 => self.common(Type::Int, depth),
            3 => Node::Function(Function::Int, vec![self.any(Type::Num, depth)]),
            4 if !self.in_branch => {
                let inputs = vec![
                    self.native(Type::Bool, depth),
                    self.native(Type::Int, depth.min(1)),
                ];
                self.block(Block::Runtime, inputs)
            }
            _ => {
                let pair = self.joined(Type::Int, 2, depth);
                let operator = self
                    .choices
                    .of(&[Operator::Times, Operator::Over, Operator::Mod]);
                self.binary(operator, pair)
            }
        }
    }

    fn num(&mut self, depth: usize) -> Node {
        match self.choices.below(8) {
            0..=2 => self.common(Type::Num, depth),
            3 => Node::Function(Function::Num, vec![self.native(Type::Int, depth)]),
            4 => Node::Function(Function::Seconds, vec![self.native(Type::Time, depth)]),
            5 => {
                let pair = self.joined(Type::Time, 2, depth);
                self.binary(Operator::Over, pair)
            }
            _ => {
                let pair = self.joined(Type::Num, 2, depth);
                let operator = self.choices.of(&[Operator::Times, Operator::Over]);
                self.binary(operator, pair)
            }
        }
    }

    fn time(&mut self, depth: usize) -> Node {
        match self.choices.below(6) {
            0..=2 => self.common(Type::Time, depth),
            way => {
                let number_type = self.choices.of(&[Type::Int, Type::Num]);
                let time = self.native(Type::Time, depth);
                let number = self.native(number_type, depth);
                match way {
                    3 => self.binary(Operator::Times, vec![time, number]),
                    4 => self.binary(Operator::Times, vec![number, time]),
                    _ => self.binary(Operator::Over, vec![time, number]),
                }
            }
        }
    }
}
