//! What tools see of a controller's inside (§6): its script's values, its log, its health, and what
//! is written to it and read from it.

use super::{Cause, MessageError, Name, Text, Time, Title};
use crate::{
    cbor::Item,
    fields::{Encoder, Field, Fields, FromField, MapWriter},
    firmware::FirmwareVersion,
};

/// Numbers of which no others are taken: an enum, its numbers and its names.
macro_rules! closed {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $type { $($(#[$variant_doc])* $variant = $number,)* }

        impl $type {
            /// Every one.
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The one of a number on the wire.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some($type::$variant),)* _ => None }
            }

            /// The stable lowercase name.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl Field for $type {
            fn write(&self, encoder: &mut Encoder<'_>) {
                (*self as u8).write(encoder);
            }
        }

        impl FromField<'_> for $type {
            fn read(item: Item<'_>) -> Option<Self> {
                u8::read(item).and_then(Self::from_number)
            }
        }
    };
}

/// Numbers of which later versions may send others: those are kept.
macro_rules! open {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
            /// One of a later version, by its number.
            Later(u8),
        }

        impl $type {
            /// Every one known here.
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u8 {
                match self {
                    $($type::$variant => $number,)*
                    $type::Later(number) => number,
                }
            }

            /// The one of a number on the wire.
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($number => $type::$variant,)*
                    later => $type::Later(later),
                }
            }

            /// The stable lowercase name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                    $type::Later(_) => "later",
                }
            }
        }

        impl Field for $type {
            fn write(&self, encoder: &mut Encoder<'_>) {
                self.number().write(encoder);
            }
        }

        impl FromField<'_> for $type {
            fn read(item: Item<'_>) -> Option<Self> {
                u8::read(item).map(Self::from_number)
            }
        }
    };
}

closed! {
    /// The type of a script's value, which says what its integer stands for.
    ValueType {
        /// 0 or 1.
        Bool = 0, "bool";
        /// A whole number.
        Int = 1, "int";
        /// Thousandths.
        Num = 2, "num";
        /// Milliseconds.
        Time = 3, "time";
    }
}

closed! {
    /// What is written to a controller or read from it. Neither way carries all of them.
    Content {
        /// A script's source; read: that of the script that runs.
        Script = 1, "script";
        /// The signed manifest of a firmware.
        FirmwareManifest = 2, "firmware_manifest";
        /// The image that a manifest is of.
        FirmwareImage = 3, "firmware_image";
        /// The flight recorder's dump.
        Recording = 4, "recording";
    }
}

impl Content {
    /// Whether it can be written to a controller.
    pub const fn is_written(self) -> bool {
        !matches!(self, Content::Recording)
    }

    /// Whether it can be read from a controller.
    pub const fn is_read(self) -> bool {
        matches!(self, Content::Script | Content::Recording)
    }
}

closed! {
    /// How an alarm ranks.
    AlarmLevel {
        /// To be looked at some time.
        Low = 0, "low";
        /// To be looked at today.
        Medium = 1, "medium";
        /// To be looked at now.
        High = 2, "high";
    }
}

closed! {
    /// How a controller stands with its script.
    ScriptState {
        /// It has none.
        None = 0, "none";
        /// It runs the one that it keeps.
        Kept = 1, "kept";
        /// It runs one on trial.
        OnTrial = 2, "on_trial";
        /// It restarted too often and runs none.
        SafeMode = 3, "safe_mode";
    }
}

open! {
    /// How a controller stands with its firmware.
    FirmwareState {
        /// It runs what it runs for good.
        Settled = 0, "settled";
        /// Another one is whole in its other slot, and is tried at the next restart.
        Waiting = 1, "waiting";
        /// It runs one on trial.
        OnTrial = 2, "on_trial";
        /// It has fallen back from the one that it tried last.
        FellBack = 3, "fell_back";
    }
}

open! {
    /// Why a controller last restarted.
    ResetReason {
        /// The power came.
        Power = 0, "power";
        /// The watchdog.
        Watchdog = 1, "watchdog";
        /// A fault of the firmware.
        Exception = 2, "exception";
        /// Somebody wanted it.
        Commanded = 3, "commanded";
        /// Anything else.
        Other = 4, "other";
    }
}

open! {
    /// What kept a controller from scanning for longest.
    GapCause {
        /// Nobody knows.
        Unknown = 0, "unknown";
        /// A sector of flash was erased.
        Erase = 1, "erase";
        /// A link's handshake.
        Handshake = 2, "handshake";
        /// A script was compiled.
        Compile = 3, "compile";
    }
}

/// A parameter of a script: what people may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the script.
    pub name: Name,
    /// Its type.
    pub value_type: ValueType,
    /// What it is now.
    pub value: i64,
    /// The least that it may be.
    pub min: i64,
    /// The most that it may be.
    pub max: i64,
}

impl Field for Parameter {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.name)
            .put(1, &self.value_type)
            .put(2, &self.value)
            .put(3, &self.min)
            .put(4, &self.max)
            .end();
    }
}

impl Parameter {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(Parameter {
            name: fields.required(0)?,
            value_type: fields.required(1)?,
            value: fields.required(2)?,
            min: fields.required(3)?,
            max: fields.required(4)?,
        })
    }
}

/// What a name of a script is worth at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    /// Its name in the script.
    pub name: Name,
    /// Its type.
    pub value_type: ValueType,
    /// What it is now.
    pub value: i64,
}

impl Field for NamedValue {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.name)
            .put(1, &self.value_type)
            .put(2, &self.value)
            .end();
    }
}

impl NamedValue {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(NamedValue {
            name: fields.required(0)?,
            value_type: fields.required(1)?,
            value: fields.required(2)?,
        })
    }
}

/// A line of a controller's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Rises from entry to entry.
    pub number: u32,
    /// When, where the controller knew the time.
    pub time: Option<Time>,
    /// When, since that boot.
    pub uptime_ms: u64,
    /// The name of the point that changed, or what happened.
    pub about: Text,
    /// What the point became; absent where it is about no point.
    pub value: Option<i64>,
    /// Why.
    pub cause: Cause,
}

impl Field for LogEntry {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.number)
            .put_some(1, &self.time)
            .put(2, &self.uptime_ms)
            .put(3, &self.about)
            .put_some(4, &self.value)
            .put(5, &self.cause)
            .end();
    }
}

impl LogEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(LogEntry {
            number: fields.required(0)?,
            time: fields.optional(1)?,
            uptime_ms: fields.required(2)?,
            about: fields.required(3)?,
            value: fields.optional(4)?,
            cause: Cause::read(&mut fields.map(5)?)?,
        })
    }
}

/// How a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Since its start.
    pub uptime_ms: u64,
    /// Random per boot.
    pub boot: u32,
    /// Why it last restarted.
    pub reset: ResetReason,
    /// Memory that is free, where it can tell.
    pub free_bytes: Option<u32>,
    /// Its scans.
    pub scan: ScanHealth,
    /// Its script.
    pub script: ScriptHealth,
    /// Its firmware, where a whole board tells it.
    pub firmware: Option<FirmwareHealth>,
}

/// How a controller's scans are, since its boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanHealth {
    /// Scans that came 10 ms late or later.
    pub late: u32,
    /// The longest time between two scans.
    pub longest_gap_ms: u32,
    /// What that one was for.
    pub gap_cause: GapCause,
    /// What a scan costs at most, in microseconds.
    pub cost_us: u32,
}

impl Field for ScanHealth {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.late)
            .put(1, &self.longest_gap_ms)
            .put(2, &self.gap_cause)
            .put(3, &self.cost_us)
            .end();
    }
}

impl ScanHealth {
    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(ScanHealth {
            late: fields.required(0)?,
            longest_gap_ms: fields.required(1)?,
            gap_cause: fields.required(2)?,
            cost_us: fields.required(3)?,
        })
    }
}

/// How a controller stands with its script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptHealth {
    /// Whether it runs one, and which.
    pub state: ScriptState,
    /// Until the trial ends by itself; on trial alone.
    pub trial_left_ms: Option<u32>,
    /// What the script is called.
    pub title: Option<Title>,
    /// BLAKE2b-256 of its source, where that is on the controller.
    pub digest: Option<[u8; 32]>,
    /// Divisions by zero and the like since it runs.
    pub faults: u32,
}

impl Field for ScriptHealth {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.state)
            .put_some(1, &self.trial_left_ms)
            .put_some(2, &self.title)
            .put_some(3, &self.digest)
            .put(4, &self.faults)
            .end();
    }
}

impl ScriptHealth {
    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(ScriptHealth {
            state: fields.required(0)?,
            trial_left_ms: fields.optional(1)?,
            title: fields.optional(2)?,
            digest: fields.optional(3)?,
            faults: fields.required(4)?,
        })
    }
}

/// Which firmware a controller runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareHealth {
    /// Whether for good.
    pub state: FirmwareState,
    /// The slot that it runs from: 1 or 2.
    pub slot: u8,
    /// Its version: that of its manifest.
    pub version: FirmwareVersion,
    /// The board that it is for: its manifest's.
    pub profile: Title,
}

impl Field for FirmwareHealth {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.state)
            .put(1, &self.slot)
            .put(2, &self.version.0)
            .put(3, &self.profile)
            .end();
    }
}

impl FirmwareHealth {
    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(FirmwareHealth {
            state: fields.required(0)?,
            slot: fields.required(1)?,
            version: FirmwareVersion(fields.required(2)?),
            profile: fields.required(3)?,
        })
    }
}

impl Health {
    pub(super) fn write<'a>(&self, head: MapWriter<'a>) -> MapWriter<'a> {
        head.put(3, &self.uptime_ms)
            .put(4, &self.boot)
            .put(5, &self.reset)
            .put_some(6, &self.free_bytes)
            .put(7, &self.scan)
            .put(8, &self.script)
            .put_some(9, &self.firmware)
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(Health {
            uptime_ms: fields.required(3)?,
            boot: fields.required(4)?,
            reset: fields.required(5)?,
            free_bytes: fields.optional(6)?,
            scan: ScanHealth::read(&mut fields.map(7)?)?,
            script: ScriptHealth::read(&mut fields.map(8)?)?,
            firmware: fields
                .optional_map(9)?
                .map(|mut firmware| FirmwareHealth::read(&mut firmware))
                .transpose()?,
        })
    }
}

/// What a controller's compiler does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFault {
    /// The line, from 1.
    pub line: u32,
    /// The column, in bytes, from 1.
    pub column: u32,
    /// What should stand there.
    pub expected: Text,
    /// What to do about it, where that helps.
    pub fix: Option<Text>,
    /// The line of the other, of two statements that exclude each other.
    pub other_line: Option<u32>,
}

impl Field for ScriptFault {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.line)
            .put(1, &self.column)
            .put(2, &self.expected)
            .put_some(3, &self.fix)
            .put_some(4, &self.other_line)
            .end();
    }
}

impl ScriptFault {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(ScriptFault {
            line: fields.required(0)?,
            column: fields.required(1)?,
            expected: fields.required(2)?,
            fix: fields.optional(3)?,
            other_line: fields.optional(4)?,
        })
    }
}
