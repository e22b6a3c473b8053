//! Scripts as trees. They are made, never parsed.

pub(crate) use switchyard_firmware::script::ValueType as Type;

#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) value_type: Type,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// In the unit of its type; never `i32::MIN`, which no literal says.
    Literal(i32),
    Name(String),
    /// A whole number that joins as a `num`. Nothing of it is printed.
    Widen(Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Function(Function, Vec<Expression>),
    /// Each occurrence has a number of its own.
    Block(Block, usize, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Differs,
    Below,
    AtMost,
    Above,
    AtLeast,
    Plus,
    Minus,
    Times,
    Over,
    Mod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Min,
    Max,
    Limit,
    Abs,
    Int,
    Num,
    Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Rise,
    Fall,
    Toggle,
    Ton,
    Tof,
    Tp,
    Blink,
    Sr,
    Rs,
    Ctu,
    Hysteresis,
    Runtime,
}

#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) value_type: Type,
    pub(crate) range: Option<(i32, i32)>,
}

/// A statement or declaration, with a number by which the printer tells its line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: usize,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Input {
        name: String,
        value_type: Type,
    },
    Output {
        name: String,
        value_type: Type,
        /// `None`: hold.
        safe: Option<i32>,
        is_manual: bool,
    },
    Variable {
        name: String,
        value_type: Type,
        value: Option<i32>,
        is_retained: bool,
    },
    Parameter {
        name: String,
        value_type: Type,
        value: i32,
        range: Option<(i32, i32)>,
    },
    Command {
        name: String,
        arguments: Vec<Argument>,
        refuse: Option<Expression>,
    },
    Assign(String, Expression),
    Increase(String, Expression, Option<Expression>),
    /// Each branch with the line of its `if` or `else if`.
    If(Vec<(usize, Expression, Vec<Line>)>, Option<Vec<Line>>),
    Event(Vec<String>, Expression),
    Alarm(Expression, Option<Expression>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
    pub(crate) blocks: usize,
    /// Line numbers given out.
    pub(crate) ids: usize,
}

/// An expression that the visitor comes to.
pub(crate) struct Place<'a> {
    pub(crate) expression: &'a mut Expression,
    /// The id of the line it stands in.
    pub(crate) id: usize,
    /// Whether it stands in a branch, where no block may.
    pub(crate) is_in_branch: bool,
}

impl Script {
    /// Shows every expression, parts after the whole.
    pub(crate) fn visit(&mut self, show: &mut dyn FnMut(Place<'_>)) {
        visit_lines(&mut self.lines, false, show);
    }
}

fn visit_lines(lines: &mut [Line], is_in_branch: bool, show: &mut dyn FnMut(Place<'_>)) {
    for line in lines {
        let id = line.id;
        match &mut line.what {
            What::Assign(_, value) => visit(value, id, is_in_branch, show),
            What::Increase(_, value, condition) => {
                visit(value, id, is_in_branch, show);
                if let Some(condition) = condition {
                    visit(condition, id, is_in_branch, show);
                }
            }
            What::If(branches, otherwise) => {
                for (id, condition, body) in branches {
                    visit(condition, *id, is_in_branch, show);
                    visit_lines(body, true, show);
                }
                if let Some(body) = otherwise {
                    visit_lines(body, true, show);
                }
            }
            What::Event(_, condition) => visit(condition, id, is_in_branch, show),
            What::Alarm(raised, clear) => {
                visit(raised, id, is_in_branch, show);
                if let Some(clear) = clear {
                    visit(clear, id, is_in_branch, show);
                }
            }
            What::Command {
                refuse: Some(refuse),
                ..
            } => visit(refuse, id, is_in_branch, show),
            _ => (),
        }
    }
}

fn visit(
    expression: &mut Expression,
    id: usize,
    is_in_branch: bool,
    show: &mut dyn FnMut(Place<'_>),
) {
    show(Place {
        expression,
        id,
        is_in_branch,
    });
    match &mut expression.node {
        Node::Literal(_) | Node::Name(_) => (),
        Node::Widen(inner) | Node::Not(inner) | Node::Negate(inner) => {
            visit(inner, id, is_in_branch, show);
        }
        Node::Binary(_, left, right) => {
            visit(left, id, is_in_branch, show);
            visit(right, id, is_in_branch, show);
        }
        Node::Function(_, arguments) | Node::Block(_, _, arguments) => {
            for argument in arguments {
                visit(argument, id, is_in_branch, show);
            }
        }
    }
}
