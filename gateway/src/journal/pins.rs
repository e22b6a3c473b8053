//! Which segments a restart still needs: those in which a command begins that has not ended, or whose
//! last receipt is still to be kept. Pure.

use super::{
    drain::Bounds,
    format::{Record, What},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};
use switchyard_protocol::{
    Address, Frame, limits,
    message::{Key, Time, Title},
};

/// How much longer than any relay would wait for its end a command's beginning is kept.
const UNENDED_KEPT_FOR: Duration = Duration::from_secs(48 * 3600);

/// What is noted of a command from its beginning on.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    segment: u64,
    expiry: Time,
    /// Until when its last receipt is kept, once it has one.
    kept_until: Option<Time>,
    pub(super) account: Title,
    pub(super) tool: Option<Address>,
    pub(super) controller: Option<Address>,
}

/// The commands that hold segments.
#[derive(Debug, Default)]
pub(super) struct Pins {
    commands: HashMap<Key, Pin>,
    /// How many of them begin in a segment.
    counts: BTreeMap<u64, usize>,
    /// Until when, in the order of their ends.
    ended: VecDeque<(Key, Time)>,
    /// The same of those that were refused when they came. Apart from the others, as the relay has them: whoever
    /// has ever so many refused drives no receipt of what was executed out.
    turned_away: VecDeque<(Key, Time)>,
}

impl Pins {
    /// The command of a key.
    pub(super) fn get(&self, key: Key) -> Option<&Pin> {
        self.commands.get(&key)
    }

    /// Notes a record of a segment.
    pub(super) fn note(&mut self, segment: u64, record: &Record, bounds: &Bounds) {
        match &record.what {
            What::Command {
                account,
                key,
                expiry,
                frame,
                refused,
                ..
            } => {
                let mut rest = frame.clone();
                let frame = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX);
                let header = frame.ok().flatten().map(|frame| *frame.header());
                let pin = Pin {
                    segment,
                    expiry: *expiry,
                    kept_until: None,
                    account: account.clone(),
                    tool: header.map(|header| header.source),
                    controller: header.map(|header| header.destination),
                };
                *self.counts.entry(segment).or_default() += 1;
                if let Some(before) = self.commands.insert(*key, pin) {
                    self.unpin(before.segment);
                }
                if refused.is_some() {
                    self.end(*key, record.time, true, bounds);
                }
            }
            What::Progress { key, receipt, .. } if receipt.is_final => {
                self.end(*key, record.time, false, bounds);
            }
            _ => {}
        }
    }

    /// A command has ended; as many of its sort are remembered as the relay remembers.
    fn end(&mut self, key: Key, time: Time, was_turned_away: bool, bounds: &Bounds) {
        let Some(pin) = self.commands.get_mut(&key) else {
            return;
        };
        if pin.kept_until.is_some() {
            return;
        }
        let until = pin.expiry.max(time.plus(bounds.receipts_kept_for));
        pin.kept_until = Some(until);
        let (queue, most) = match was_turned_away {
            false => (&mut self.ended, bounds.receipts_kept_max),
            true => (&mut self.turned_away, bounds.receipts_kept_max / 4),
        };
        queue.push_back((key, until));
        if queue.len() > most
            && let Some(oldest) = queue.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// Lets go of an ended command, unless its key has come again since.
    fn forget(&mut self, (key, until): (Key, Time)) {
        if let Entry::Occupied(pin) = self.commands.entry(key)
            && pin.get().kept_until == Some(until)
        {
            let segment = pin.remove().segment;
            self.unpin(segment);
        }
    }

    fn unpin(&mut self, segment: u64) {
        if let Some(count) = self.counts.get_mut(&segment) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&segment);
            }
        }
    }

    /// Lets go of what is not needed at `now` any more.
    pub(super) fn trim(&mut self, now: Time) {
        let mut due = Vec::new();
        for queue in [&mut self.ended, &mut self.turned_away] {
            while let Some(ended) = queue.pop_front_if(|&mut (_, until)| until <= now) {
                due.push(ended);
            }
        }
        for ended in due {
            self.forget(ended);
        }
    }

    /// Lets go of commands that must have ended although nothing tells so: what did could not be
    /// written. Looks at all of them.
    pub(super) fn give_up_lost(&mut self, now: Time) {
        let mut lost = Vec::new();
        self.commands.retain(|_, pin| {
            let is_lost = pin.kept_until.is_none() && pin.expiry.plus(UNENDED_KEPT_FOR) <= now;
            if is_lost {
                lost.push(pin.segment);
            }
            !is_lost
        });
        for segment in lost {
            self.unpin(segment);
        }
    }

    /// Lets go of a segment that is to go all the same. How many commands that had not ended began there.
    pub(super) fn drop_segment(&mut self, segment: u64) -> usize {
        let mut unended = 0;
        self.commands.retain(|_, pin| {
            let goes = pin.segment <= segment;
            unended += usize::from(goes && pin.kept_until.is_none());
            !goes
        });
        self.counts = self.counts.split_off(&(segment + 1));
        let commands = &self.commands;
        for queue in [&mut self.ended, &mut self.turned_away] {
            queue.retain(|(key, _)| commands.contains_key(key));
        }
        unended
    }

    /// Whether a restart needs a segment.
    pub(super) fn holds(&self, segment: u64) -> bool {
        self.counts.contains_key(&segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use switchyard_protocol::{Code, message::Stage};
    use switchyard_relay::KeptReceipt;

    const BOUNDS: Bounds = Bounds {
        journal_bytes_max: 0,
        receipts_kept_max: 4,
        receipts_kept_for: Duration::from_secs(60),
        audit_kept_for: None,
    };

    fn command(number: u8) -> Record {
        Record {
            time: Time(1_000),
            what: What::Command {
                account: Title::new("li").unwrap(),
                ip: None,
                key: Key([number; 16]),
                expiry: Time(11_000),
                frame: Bytes::new(),
                refused: None,
            },
        }
    }

    fn end(number: u8, time: u64) -> Record {
        Record {
            time: Time(time),
            what: What::Progress {
                key: Key([number; 16]),
                boot: 7,
                receipt: KeptReceipt {
                    stage: Stage::Executed,
                    at: None,
                    reason: None,
                    by_controller: true,
                    is_final: true,
                },
            },
        }
    }

    #[test]
    fn a_segment_is_held_until_the_last_receipt_of_its_commands_is_forgotten() {
        let mut pins = Pins::default();
        pins.note(1, &command(1), &BOUNDS);
        pins.note(2, &command(2), &BOUNDS);
        pins.note(3, &end(1, 2_000), &BOUNDS);
        assert!(pins.holds(1) && pins.holds(2) && !pins.holds(3));
        pins.trim(Time(61_999));
        assert!(pins.holds(1));
        pins.trim(Time(62_000));
        assert!(!pins.holds(1) && pins.holds(2));
        pins.give_up_lost(Time(11_000 + 48 * 3_600_000));
        assert!(!pins.holds(2));
    }

    #[test]
    fn more_than_the_relay_keeps_hold_nothing() {
        let mut pins = Pins::default();
        for number in 0..6 {
            pins.note(u64::from(number), &command(number), &BOUNDS);
            pins.note(9, &end(number, 2_000), &BOUNDS);
        }
        assert!(!pins.holds(0) && !pins.holds(1) && pins.holds(2));
        // A key that comes again is another command.
        pins.note(9, &command(2), &BOUNDS);
        assert!(!pins.holds(2) && pins.holds(9));
        // However many are refused, what was executed is remembered.
        for number in 100..120 {
            let mut refused_one = command(number);
            if let What::Command { refused, .. } = &mut refused_one.what {
                *refused = Some((Stage::Refused, Code::Busy));
            }
            pins.note(8, &refused_one, &BOUNDS);
        }
        assert!(pins.holds(3) && pins.holds(4) && pins.holds(5) && pins.holds(8));
    }

    #[test]
    fn a_segment_that_goes_takes_its_commands_along() {
        let mut pins = Pins::default();
        pins.note(1, &command(1), &BOUNDS);
        pins.note(1, &command(2), &BOUNDS);
        pins.note(2, &command(3), &BOUNDS);
        pins.note(2, &end(1, 2_000), &BOUNDS);
        assert_eq!(pins.drop_segment(1), 1);
        assert!(!pins.holds(1) && pins.holds(2));
        assert!(pins.get(Key([1; 16])).is_none());
    }
}
