//! Scripts as trees. They are made, never parsed.

pub(crate) use switchyard_firmware::script::ValueType as Type;

#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) value_type: Type,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// In the unit of its type.
    Literal(i32),
    /// A name, with what follows it after a dot.
    Name(String),
    /// A whole number that joins as a `num`. Nothing of it is printed.
    Widen(Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Function(Function, Vec<Expression>),
    /// Each occurrence has a number of its own.
    Block(Block, usize, Vec<Expression>),
    /// By its number in the script.
    During(usize),
    /// In a transition alone.
    After(Box<Expression>),
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
    Slew,
}

/// `during( )`.
#[derive(Clone, Debug)]
pub(crate) struct During {
    pub(crate) windows: Vec<Window>,
    pub(crate) unsynced: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// One day or from one to another, Sunday being 0; without any, every day.
    pub(crate) days: Vec<(u8, Option<u8>)>,
    /// Minutes after midnight.
    pub(crate) from: u32,
    pub(crate) to: u32,
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
        debounce_ms: Option<i32>,
        /// From two numbers to two others.
        scale: Option<[i32; 4]>,
        bad_below: Option<i32>,
        bad_above: Option<i32>,
    },
    Output {
        name: String,
        value_type: Type,
        /// `None`: hold.
        safe: Option<i32>,
        is_manual: bool,
        /// An input, and within how many milliseconds it follows.
        confirm: Option<(String, i32)>,
        link_loss_ms: Option<i32>,
    },
    /// Outputs, and the gap in milliseconds.
    Interlock(Vec<String>, i32),
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
    Machine {
        name: String,
        states: Vec<String>,
        transitions: Vec<Transition>,
    },
    Assign(String, Expression),
    Increase(String, Expression, Option<Expression>),
    /// Each branch with the line of its `if` or `else if`.
    If(Vec<(usize, Expression, Vec<Line>)>, Option<Vec<Line>>),
    Event(Vec<String>, Expression),
    Alarm(Expression, Option<Expression>),
}

#[derive(Clone, Debug)]
pub(crate) struct Transition {
    /// The number of its line.
    pub(crate) id: usize,
    /// `None`: any.
    pub(crate) from: Option<usize>,
    pub(crate) to: usize,
    pub(crate) when: Expression,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
    pub(crate) durings: Vec<During>,
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
            What::Machine { transitions, .. } => {
                for transition in transitions {
                    visit(&mut transition.when, transition.id, is_in_branch, show);
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
        Node::Literal(_) | Node::Name(_) | Node::During(_) => (),
        Node::Widen(inner) | Node::Not(inner) | Node::Negate(inner) | Node::After(inner) => {
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
