//! What the compiler's child tells its parent: one JSON object, and then it ends.

use serde::{Deserialize, Serialize};
use switchyard_firmware::script::{
    self, AlarmLevel, Name, NameKind, Program, ScriptError, ValueType,
};

/// All that a child can say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Report {
    /// The script is one.
    Compiled(Summary),
    /// It is none.
    Refused(Fault),
    /// The child could not lock itself in, and so did not look at the script.
    Unconfined {
        /// What the system refused.
        why: String,
    },
}

/// What is known of a script once it has been compiled for a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Bytes of code and table in a controller's flash.
    pub program_bytes: u32,
    /// Operations of a scan: the same in every one.
    pub operations: u16,
    /// What a scan takes at most on the chip, in microseconds: proven, since programs have no jumps.
    pub scan_micros: u32,
    /// Points, variables, parameters and commands, in the order of the script; an argument comes
    /// behind its command, as `command.argument`.
    pub names: Vec<Declared>,
    /// Its alarms, in the order of the script.
    pub alarms: Vec<DeclaredAlarm>,
}

/// A name that a script declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// As the script says it.
    pub name: String,
    /// `input`, `output`, `variable`, `retained`, `parameter`, `command`, `machine`, `argument` or
    /// `flag`.
    pub kind: Kind,
    /// `bool`, `int`, `num` (thousandths) or `time` (milliseconds).
    pub value_type: Type,
    /// The least that it may be given; of parameters and arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// The most that it may be given; of parameters and arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
}

/// What a name stands for; as the firmware's `NameKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "told at `Declared::kind`")]
pub enum Kind {
    Input,
    Output,
    Variable,
    Retained,
    Parameter,
    Command,
    Machine,
    Argument,
    Flag,
}

/// The type of a value; as the firmware's `ValueType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "told at `Declared::value_type`")]
pub enum Type {
    Bool,
    Int,
    Num,
    Time,
}

/// An alarm that a script may raise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredAlarm {
    /// `low`, `medium` or `high`.
    pub level: Level,
    /// What people are told.
    pub text: String,
    /// Where it stands in the script, from 1.
    pub line: u32,
}

/// How an alarm ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "told at `DeclaredAlarm::level`")]
pub enum Level {
    Low,
    Medium,
    High,
}

/// What is wrong with a script: the first thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The line, from 1.
    pub line: u16,
    /// The column in bytes, from 1.
    pub column: u16,
    /// The words that are there; none at the end of a line or of the script.
    pub found: Option<String>,
    /// What should stand there.
    pub expected: String,
    /// What to do about it, where that can be said.
    pub fix: Option<String>,
    /// Of two things that exclude each other, the other one's line.
    pub other_line: Option<u16>,
}

impl From<&Program> for Summary {
    fn from(program: &Program) -> Self {
        let words = program.code().len() + program.table().len();
        Self {
            // The compiler writes 1,024 words of each at most.
            program_bytes: u32::try_from(4 * words).unwrap_or(u32::MAX),
            operations: program.operations(),
            scan_micros: program.scan_micros(),
            names: program.names().map(Declared::from).collect(),
            alarms: program.alarms().into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Name> for Declared {
    fn from(name: &Name) -> Self {
        let kind = match name.kind {
            NameKind::Input => Kind::Input,
            NameKind::Output => Kind::Output,
            NameKind::Variable => Kind::Variable,
            NameKind::Retained => Kind::Retained,
            NameKind::Parameter => Kind::Parameter,
            NameKind::Command => Kind::Command,
            NameKind::Machine => Kind::Machine,
            NameKind::Argument => Kind::Argument,
            NameKind::Flag => Kind::Flag,
        };
        let value_type = match name.value_type {
            ValueType::Bool => Type::Bool,
            ValueType::Int => Type::Int,
            ValueType::Num => Type::Num,
            ValueType::Time => Type::Time,
        };
        let has_range = matches!(kind, Kind::Parameter | Kind::Argument);
        Self {
            name: name.name.clone(),
            kind,
            value_type,
            min: has_range.then_some(name.value_min),
            max: has_range.then_some(name.value_max),
        }
    }
}

impl From<script::Alarm> for DeclaredAlarm {
    fn from(alarm: script::Alarm) -> Self {
        let level = match alarm.level {
            AlarmLevel::Low => Level::Low,
            AlarmLevel::Medium => Level::Medium,
            AlarmLevel::High => Level::High,
        };
        Self {
            level,
            text: alarm.text,
            line: alarm.line,
        }
    }
}

impl From<ScriptError> for Fault {
    fn from(error: ScriptError) -> Self {
        Self {
            line: error.line,
            column: error.column,
            found: error.found,
            expected: error.expected,
            fix: error.fix,
            other_line: error.other_line,
        }
    }
}
