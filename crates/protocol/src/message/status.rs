//! What a controller's points are (§7).

use super::{MessageError, Name, Time, encoded};
use crate::{
    Address,
    cbor::{after_key, plain_integer, plain_unsigned},
    fields::{Encoder, Field, Fields, MapWriter},
    limits::{POINTS_MAX, STATUS_PAGES_MAX},
};

/// What a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PointType {
    /// Reads 0 or 1.
    DigitalInput = 0,
    /// Drives 0 or 1.
    DigitalOutput = 1,
    /// Reads thousandths.
    AnalogueInput = 2,
    /// Drives thousandths.
    AnalogueOutput = 3,
}

impl PointType {
    /// The type of a number on the wire.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => PointType::DigitalInput,
            1 => PointType::DigitalOutput,
            2 => PointType::AnalogueInput,
            3 => PointType::AnalogueOutput,
            _ => return None,
        })
    }

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            PointType::DigitalInput => "digital_input",
            PointType::DigitalOutput => "digital_output",
            PointType::AnalogueInput => "analogue_input",
            PointType::AnalogueOutput => "analogue_output",
        }
    }

    /// Whether values are 0 and 1.
    pub const fn is_digital(self) -> bool {
        matches!(self, PointType::DigitalInput | PointType::DigitalOutput)
    }

    /// Whether the controller drives it.
    pub const fn is_output(self) -> bool {
        matches!(self, PointType::DigitalOutput | PointType::AnalogueOutput)
    }
}

/// Bits that qualify a value; unknown ones are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PointFlags(pub u32);

impl PointFlags {
    /// May be switched by `set`.
    pub const MANUAL: PointFlags = PointFlags(1);
    /// The value is not to be trusted.
    pub const BAD: PointFlags = PointFlags(2);
    /// The feedback disagrees.
    pub const FAULT: PointFlags = PointFlags(4);
    /// Forced by a person.
    pub const FORCED: PointFlags = PointFlags(8);
    /// Has a feedback.
    pub const CONFIRM: PointFlags = PointFlags(16);

    /// Whether all of `other` is set here.
    pub const fn contains(self, other: PointFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who or what set a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CauseKind {
    /// The start of the controller.
    Boot = 0,
    /// A line of the script.
    Script = 1,
    /// Somebody's command.
    Command = 2,
    /// A schedule.
    Schedule = 3,
    /// The loss of the gateway.
    LinkLoss = 4,
    /// The world outside.
    Input = 5,
    /// A timer that ran out.
    Timer = 6,
    /// A force.
    Force = 7,
    /// The safe state.
    Safe = 8,
}

impl CauseKind {
    /// Every kind, by number.
    pub const ALL: [CauseKind; 9] = [
        CauseKind::Boot,
        CauseKind::Script,
        CauseKind::Command,
        CauseKind::Schedule,
        CauseKind::LinkLoss,
        CauseKind::Input,
        CauseKind::Timer,
        CauseKind::Force,
        CauseKind::Safe,
    ];

    /// The kind of a number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            CauseKind::Boot => "boot",
            CauseKind::Script => "script",
            CauseKind::Command => "command",
            CauseKind::Schedule => "schedule",
            CauseKind::LinkLoss => "link_loss",
            CauseKind::Input => "input",
            CauseKind::Timer => "timer",
            CauseKind::Force => "force",
            CauseKind::Safe => "safe",
        }
    }
}

/// Why a point is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// Who or what.
    pub kind: CauseKind,
    /// Who commanded it.
    pub by: Option<Address>,
    /// The script's line, or the first four bytes of the command's key.
    pub reference: Option<u32>,
}

impl Field for Cause {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &(self.kind as u8))
            .put_some(1, &self.by)
            .put_some(2, &self.reference)
            .end();
    }
}

impl Cause {
    /// A cause that names nobody.
    pub const fn plain(kind: CauseKind) -> Self {
        Cause {
            kind,
            by: None,
            reference: None,
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(Cause {
            kind: CauseKind::from_number(fields.required(0)?)
                .ok_or(MessageError::BadField { key: 0 })?,
            by: fields.optional(1)?,
            reference: fields.optional(2)?,
        })
    }
}

/// A point as a full status tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number within this layout, 0–31.
    pub index: u8,
    /// Its name in the script.
    pub name: Name,
    /// What it is.
    pub point_type: PointType,
    /// 0 or 1, or thousandths.
    pub value: i64,
    /// What qualifies the value.
    pub flags: PointFlags,
    /// Why it is so.
    pub cause: Cause,
}

/// A point as a delta tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number within this layout, 0–31.
    pub index: u8,
    /// 0 or 1, or thousandths.
    pub value: i64,
    /// What qualifies the value.
    pub flags: PointFlags,
    /// Why it is so.
    pub cause: Cause,
}

/// What both forms of status begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusHead {
    /// Random per boot.
    pub boot: u32,
    /// The delta's number, or that of the last delta which a full status contains.
    pub sequence: u32,
}

impl StatusHead {
    /// Reads the head of either form.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        Self::read(&mut Fields::open(payload)?)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(StatusHead {
            boot: fields.required(0)?,
            sequence: fields.required(1)?,
        })
    }

    /// Whether `sequence` comes right after this head's, wrapping.
    pub const fn is_followed_by(&self, sequence: u32) -> bool {
        self.sequence.wrapping_add(1) == sequence
    }

    /// Whether `sequence` is this head's or an older one, by serial-number comparison.
    pub const fn has_passed(&self, sequence: u32) -> bool {
        self.sequence.wrapping_sub(sequence) < 1 << 31
    }
}

/// One page of a full status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// Boot and sequence, the same on every page.
    pub head: StatusHead,
    /// This page, from 0.
    pub page: u8,
    /// How many pages there are, 1–16.
    pub pages: u8,
    /// Since the controller's start.
    pub uptime_ms: u64,
    /// The controller's estimate of gateway time, where it has one.
    pub time: Option<Time>,
    /// The points of this page.
    pub points: Vec<Point>,
    /// Changes when points or commands change.
    pub layout: u32,
}

impl Full {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.head.boot)
            .put(1, &self.head.sequence)
            .put(2, &self.page)
            .put(3, &self.pages)
            .put(4, &self.uptime_ms)
            .put_some(5, &self.time)
            .put(6, &self.points)
            .put(7, &self.layout)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`], also for a page outside its pages.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let (page, pages): (u8, u8) = (fields.required(2)?, fields.required(3)?);
        if !(1..=STATUS_PAGES_MAX).contains(&usize::from(pages)) {
            return Err(MessageError::BadField { key: 3 });
        }
        if page >= pages {
            return Err(MessageError::BadField { key: 2 });
        }
        Ok(Full {
            head: StatusHead::read(&mut fields)?,
            page,
            pages,
            uptime_ms: fields.required(4)?,
            time: fields.optional(5)?,
            points: fields.maps(6, POINTS_MAX, read_point)?,
            layout: fields.required(7)?,
        })
    }
}

impl Field for Point {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.index)
            .put(1, &self.name)
            .put(2, &(self.point_type as u8))
            .put(3, &self.value)
            .put(4, &self.flags.0)
            .put(5, &self.cause)
            .end();
    }
}

fn read_point(fields: &mut Fields<'_>) -> Result<Point, MessageError> {
    let point_type =
        PointType::from_number(fields.required(2)?).ok_or(MessageError::BadField { key: 2 })?;
    let value: i64 = fields.required(3)?;
    if point_type.is_digital() && !(0..=1).contains(&value) {
        return Err(MessageError::BadField { key: 3 });
    }
    Ok(Point {
        index: read_index(fields)?,
        name: fields.required(1)?,
        point_type,
        value,
        flags: PointFlags(fields.required(4)?),
        cause: Cause::read(&mut fields.map(5)?)?,
    })
}

fn read_index(fields: &mut Fields<'_>) -> Result<u8, MessageError> {
    let index = fields.required(0)?;
    if usize::from(index) < POINTS_MAX {
        Ok(index)
    } else {
        Err(MessageError::BadField { key: 0 })
    }
}

/// The points that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Boot, and this delta's own sequence.
    pub head: StatusHead,
    /// Since the controller's start.
    pub uptime_ms: u64,
    /// The controller's estimate of gateway time, where it has one.
    pub time: Option<Time>,
    /// What changed.
    pub changes: Vec<Change>,
}

impl Delta {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.head.boot)
            .put(1, &self.head.sequence)
            .put(4, &self.uptime_ms)
            .put_some(5, &self.time)
            .put(6, &self.changes)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut delta = Delta::default();
        delta.read(payload)?;
        Ok(delta)
    }

    /// Reads the payload into this one, using its memory again. After an error nothing is said of
    /// what is in it.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn read(&mut self, payload: &[u8]) -> Result<(), MessageError> {
        self.changes.clear();
        if self.read_plain(payload).is_none() {
            *self = Self::read_any(payload)?;
        }
        Ok(())
    }

    /// The check and all fields in one go, for a delta of just the keys known here, which is nearly
    /// every one. `None` when it is another, good or bad, for [`read_any`](Self::read_any) to say.
    fn read_plain(&mut self, payload: &[u8]) -> Option<()> {
        let (&head @ 0xA4..=0xA5, rest) = payload.split_first()? else {
            return None;
        };
        let (boot, rest) = plain_unsigned(after_key(0, rest)?)?;
        let (sequence, rest) = plain_unsigned(after_key(1, rest)?)?;
        let (uptime_ms, mut rest) = plain_unsigned(after_key(4, rest)?)?;
        let time = match head {
            0xA4 => None,
            _ => {
                let (time, after) = plain_unsigned(after_key(5, rest)?)?;
                rest = after;
                Some(Time(time))
            }
        };
        let (count, mut rest) = match *after_key(6, rest)? {
            [array @ 0x80..=0x97, ref rest @ ..] => (usize::from(array & 0x1F), rest),
            [0x98, count @ 24..=255, ref rest @ ..] => (usize::from(count), rest),
            _ => return None,
        };
        if count > POINTS_MAX {
            return None;
        }
        self.changes.reserve(count);
        for _ in 0..count {
            let (change, after) = Change::read_plain(rest)?;
            self.changes.push(change);
            rest = after;
        }
        self.head = StatusHead {
            boot: boot.try_into().ok()?,
            sequence: sequence.try_into().ok()?,
        };
        (self.uptime_ms, self.time) = (uptime_ms, time);
        rest.is_empty().then_some(())
    }

    fn read_any(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(Delta {
            head: StatusHead::read(&mut fields)?,
            uptime_ms: fields.required(4)?,
            time: fields.optional(5)?,
            changes: fields.maps(6, POINTS_MAX, |fields| {
                Ok(Change {
                    index: read_index(fields)?,
                    value: fields.required(3)?,
                    flags: PointFlags(fields.required(4)?),
                    cause: Cause::read(&mut fields.map(5)?)?,
                })
            })?,
        })
    }
}

impl Field for Change {
    fn write(&self, encoder: &mut Encoder<'_>) {
        MapWriter::new(encoder.writer_mut())
            .put(0, &self.index)
            .put(3, &self.value)
            .put(4, &self.flags.0)
            .put(5, &self.cause)
            .end();
    }
}

impl Change {
    #[inline(always)]
    fn read_plain(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let [0xA4, 0, rest @ ..] = bytes else {
            return None;
        };
        let (index, rest) = plain_unsigned(rest)?;
        let (value, rest) = plain_integer(after_key(3, rest)?)?;
        let (flags, rest) = plain_unsigned(after_key(4, rest)?)?;
        let (cause, rest) = Cause::read_plain(after_key(5, rest)?)?;
        let change = Change {
            index: u8::try_from(index)
                .ok()
                .filter(|&it| usize::from(it) < POINTS_MAX)?,
            value,
            flags: PointFlags(flags.try_into().ok()?),
            cause,
        };
        Some((change, rest))
    }
}

impl Cause {
    #[inline(always)]
    fn read_plain(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let [head @ 0xA1..=0xA3, 0, kind, rest @ ..] = bytes else {
            return None;
        };
        let mut rest = rest;
        let mut cause = Cause::plain(CauseKind::from_number(*kind)?);
        let mut left = head & 0x1F;
        if left > 1
            && let Some(by) = after_key(1, rest)
        {
            let (by, after) = plain_unsigned(by)?;
            cause.by = Some(Address(by.try_into().ok()?));
            (rest, left) = (after, left - 1);
        }
        if left > 1 {
            let (reference, after) = plain_unsigned(after_key(2, rest)?)?;
            cause.reference = Some(reference.try_into().ok()?);
            (rest, left) = (after, left - 1);
        }
        (left == 1).then_some((cause, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    fn cause() -> impl Strategy<Value = Cause> {
        let kind = proptest::sample::select(&CauseKind::ALL[..]);
        (kind, any::<(Option<u32>, Option<u32>)>()).prop_map(|(kind, (by, reference))| Cause {
            kind,
            by: by.map(Address),
            reference,
        })
    }

    fn delta() -> impl Strategy<Value = Delta> {
        let numbers = (any::<u64>(), any::<i64>(), 0..64_u32);
        let change = (0..34_u8, numbers, any::<u32>(), 0..32_u32, cause()).prop_map(
            |(index, (_, value, shift), flags, flag_shift, cause)| Change {
                index,
                value: value >> shift,
                flags: PointFlags(flags >> flag_shift),
                cause,
            },
        );
        let head = any::<(u32, u32)>().prop_map(|(boot, sequence)| StatusHead { boot, sequence });
        let times = (any::<u64>(), 0..64_u32, option::of(any::<u64>()));
        (head, times, vec(change, 0..35)).prop_map(|(head, (uptime_ms, shift, time), changes)| {
            Delta {
                head,
                uptime_ms: uptime_ms >> shift,
                time: time.map(|time| Time(time >> shift)),
                changes,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        /// Whatever the short way takes, the long way takes, and finds the same in it.
        #[test]
        fn the_short_way_finds_what_the_long_way_finds(
            delta in delta(),
            changes in vec((any::<proptest::sample::Index>(), any::<u8>(), any::<bool>()), 0..3),
            cut in option::of(any::<proptest::sample::Index>()),
        ) {
            let mut payload = delta.encode();
            for (at, byte, is_small) in changes {
                let at = at.index(payload.len());
                payload[at] = if is_small { byte % 24 } else { byte };
            }
            if let Some(cut) = cut {
                payload.truncate(cut.index(payload.len() + 1));
            }
            let long = Delta::read_any(&payload);
            let mut short = Delta::default();
            if short.read_plain(&payload).is_some() {
                prop_assert_eq!(Ok(&short), long.as_ref());
            }
            prop_assert_eq!(Delta::decode(&payload), long);
        }

        #[test]
        fn a_plain_delta_goes_the_short_way(mut delta in delta()) {
            delta.changes.truncate(POINTS_MAX);
            for change in &mut delta.changes {
                change.index %= POINTS_MAX as u8;
                let names_one_alone = change.cause.by.is_some() != change.cause.reference.is_some();
                if names_one_alone {
                    change.cause = Cause::plain(change.cause.kind);
                }
            }
            let payload = delta.encode();
            let mut short = Delta::default();
            prop_assert!(short.read_plain(&payload).is_some());
            prop_assert_eq!(short, Delta::decode(&payload).unwrap());
        }
    }
}
