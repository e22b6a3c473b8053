//! The expressions of random scripts. See `generate`.

use crate::{
    generate::{Maker, SHORT_TIMES, TYPES, value},
    tree::{Block, During, Expression, Function, Node, Operator, Type, Window},
};

/// Times of day, in minutes: some where clocks are changed.
const CLOCKS: [u32; 12] = [0, 1, 60, 90, 120, 150, 179, 180, 420, 1170, 1380, 1439];
const DAY: u32 = 1440;
const RATES: [i32; 7] = [1_000_000, 1000, 1, 333, 100_000, 0, -1000];

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
    /// Where a value of that type is expected: an `int` does for a `num`.
    pub(crate) fn any(&mut self, value_type: Type, depth: usize) -> Expression {
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
        match self.choices.below(if self.in_branch { 7 } else { 12 }) {
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
            6 => match self.in_machine {
                true if self.choices.once_in(2) => Node::After(Box::new(self.period())),
                _ => self.during(),
            },
            _ => self.condition_block(depth),
        }
    }

    fn during(&mut self) -> Node {
        let mut windows = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            let mut days = Vec::new();
            for _ in 0..self.choices.below(3) {
                let first = self.choices.below(7) as u8;
                let last = self.choices.once_in(2).then(|| self.choices.below(7) as u8);
                days.push((first, last));
            }
            let from = self.choices.of(&CLOCKS);
            let to = self.choices.of(&CLOCKS);
            let to = if to == from { DAY } else { to };
            windows.push(Window { days, from, to });
        }
        let unsynced = self.choices.once_in(2);
        self.script.durings.push(During { windows, unsynced });
        Node::During(self.script.durings.len() - 1)
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

    pub(crate) fn block(&mut self, block: Block, inputs: Vec<Expression>) -> Node {
        self.script.blocks += 1;
        Node::Block(block, self.script.blocks - 1, inputs)
    }

    /// Of `slew`: what a test sees move, rather than not.
    fn rate(&mut self) -> Expression {
        if self.choices.below(4) < 3 {
            literal(Type::Num, self.choices.of(&RATES))
        } else {
            self.any(Type::Num, 1)
        }
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
        match self.choices.below(9) {
            8 if !self.in_branch => {
                let inputs = vec![self.any(Type::Num, depth), self.rate()];
                self.block(Block::Slew, inputs)
            }
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
