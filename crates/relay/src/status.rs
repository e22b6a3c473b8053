//! The status table: what each controller's points are, merged from its full and delta frames.

use crate::{Relay, Sabotage, Work, session::Slot};
use bytes::Bytes;
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Kind, limits,
    message::{Delta, Full, MessageError, Point, Request, StatusHead, Time},
};

/// A controller's points as of one sequence number.
#[derive(Debug)]
pub(crate) struct Status {
    head: StatusHead,
    uptime_ms: u64,
    time: Option<Time>,
    layout: u32,
    /// Ascending by index.
    points: Vec<Point>,
    /// The full status frame of just this state, made when somebody wants it, dropped with the
    /// next delta.
    encoded: Option<Bytes>,
}

/// What a delta turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next one: taken.
    Next,
    /// Contained already.
    Old,
    /// Something between is missing, or it does not fit what is known.
    Gap,
}

impl Status {
    fn of(pages: Assembly) -> Self {
        let mut points = pages.points;
        points.sort_by_key(|point| point.index);
        Status {
            head: pages.head,
            uptime_ms: pages.uptime_ms,
            time: pages.time,
            layout: pages.layout,
            points,
            encoded: None,
        }
    }

    fn apply(&mut self, delta: &Delta) -> Step {
        if delta.head.boot != self.head.boot {
            return Step::Gap;
        }
        if self.head.has_passed(delta.head.sequence) {
            return Step::Old;
        }
        if !self.head.is_followed_by(delta.head.sequence) {
            return Step::Gap;
        }
        let fits =
            |point: &Point, value: i64| !point.point_type.is_digital() || (0..=1).contains(&value);
        // Judge before the first change: half a delta would be a state that never was.
        for change in &delta.changes {
            match self.place(change.index) {
                Some(at) if fits(&self.points[at], change.value) => {}
                _ => return Step::Gap,
            }
        }
        for change in &delta.changes {
            if let Some(at) = self.place(change.index) {
                let point = &mut self.points[at];
                point.value = change.value;
                point.flags = change.flags;
                point.cause = change.cause;
            }
        }
        self.head = delta.head;
        self.uptime_ms = delta.uptime_ms;
        self.time = delta.time;
        self.encoded = None;
        Step::Next
    }

    /// Where a point lies; mostly at its own index.
    fn place(&self, index: u8) -> Option<usize> {
        let at = usize::from(index);
        match self.points.get(at) {
            Some(point) if point.index == index => Some(at),
            _ => self.points.iter().position(|point| point.index == index),
        }
    }

    /// The full status as one frame: 32 points fit into one page on every tool link.
    pub(crate) fn frame(&mut self, controller: Address) -> Bytes {
        if let Some(encoded) = &self.encoded {
            return encoded.clone();
        }
        let full = Full {
            head: self.head,
            page: 0,
            pages: 1,
            uptime_ms: self.uptime_ms,
            time: self.time,
            points: std::mem::take(&mut self.points),
            layout: self.layout,
        };
        let payload = full.encode();
        self.points = full.points;
        let frame = Frame::new(Kind::StatusFull, 0, controller, Address::GATEWAY, &payload);
        self.encoded.insert(frame.into_bytes()).clone()
    }
}

/// The pages of a full status, as far as they have come.
#[derive(Debug)]
pub(crate) struct Assembly {
    head: StatusHead,
    uptime_ms: u64,
    time: Option<Time>,
    layout: u32,
    points: Vec<Point>,
    pages: u8,
    pages_here: u8,
}

impl Assembly {
    fn begin(page: Full) -> Self {
        Assembly {
            head: page.head,
            uptime_ms: page.uptime_ms,
            time: page.time,
            layout: page.layout,
            points: page.points,
            pages: page.pages,
            pages_here: 1,
        }
    }

    /// Adds the next page, if it is that.
    fn add(&mut self, page: Full) -> bool {
        let fits = (page.head, page.page, page.pages, page.layout)
            == (self.head, self.pages_here, self.pages, self.layout)
            && self.points.len() + page.points.len() <= limits::POINTS_MAX;
        if fits {
            self.points.extend(page.points);
            self.pages_here += 1;
        }
        fits
    }

    fn is_complete(&self) -> bool {
        self.pages_here == self.pages
    }

    fn has_twice(&self) -> bool {
        let mut seen = 0u32;
        self.points.iter().any(|point| {
            let bit = 1 << point.index;
            let twice = seen & bit != 0;
            seen |= bit;
            twice
        })
    }
}

impl Relay {
    pub(crate) fn status_came(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
    ) {
        let taken = match frame.header().kind {
            Kind::StatusDelta => {
                let mut delta = std::mem::take(&mut self.delta);
                let read = delta.read(frame.payload());
                if read.is_ok() {
                    self.delta_came(work, index, frame, &delta);
                }
                self.delta = delta;
                read
            }
            _ => Full::decode(frame.payload()).map(|page| self.page_came(work, index, frame, page)),
        };
        match taken {
            Ok(()) => {}
            Err(MessageError::Cbor(_)) => self.end(work, slot, Code::Malformed),
            Err(error) => self.counters.dropped.add(error.code()),
        }
    }

    fn delta_came(&mut self, work: &mut Work<'_>, index: u32, frame: FrameRef<'_>, delta: &Delta) {
        let controller = self.fleet.at_mut(index);
        let step = match &mut controller.status {
            Some(status) => status.apply(delta),
            None => Step::Gap,
        };
        match step {
            Step::Next => {
                self.counters.deltas_taken += 1;
                self.fan_out(work, index, frame.bytes());
            }
            Step::Old => {}
            Step::Gap => {
                if self.sabotaged(Sabotage::ForwardAcrossGaps) {
                    self.fan_out(work, index, frame.bytes());
                }
                self.ask_snapshot(work, index);
            }
        }
    }

    fn page_came(&mut self, work: &mut Work<'_>, index: u32, frame: FrameRef<'_>, page: Full) {
        let controller = self.fleet.at_mut(index);
        let single = page.pages == 1;
        if page.page == 0 {
            controller.assembly = Some(Box::new(Assembly::begin(page)));
        } else if !controller
            .assembly
            .as_mut()
            .is_some_and(|assembly| assembly.add(page))
        {
            controller.assembly = None;
            return self.counters.dropped.add(Code::BadField);
        }
        if !controller
            .assembly
            .as_ref()
            .is_some_and(|assembly| assembly.is_complete())
        {
            return;
        }
        let Some(pages) = controller.assembly.take() else {
            return;
        };
        if pages.has_twice() {
            return self.counters.dropped.add(Code::BadField);
        }
        let address = controller.address;
        let status = controller.status.insert(Box::new(Status::of(*pages)));
        controller.snapshot_asked = None;
        // One page goes on as it came. Several are joined first, so that a subscriber whose queue
        // fills up in between never holds half of them.
        if single {
            self.fan_out(work, index, frame.bytes());
        } else {
            let full = status.frame(address);
            self.fan_out(work, index, &full);
        }
    }

    /// Asks a controller for its full status, once until it comes or the question has grown old.
    fn ask_snapshot(&mut self, work: &mut Work<'_>, index: u32) {
        let now = work.now.since_start;
        let controller = self.fleet.at(index);
        let asked = controller.snapshot_asked.as_deref();
        let Some(slot) = controller.session.filter(|_| controller.online) else {
            return;
        };
        if asked.is_some_and(|&(_, until)| now < until) {
            return;
        }
        let correlation = self.next_correlation();
        let controller = self.fleet.at_mut(index);
        controller.snapshot_asked = Some(Box::new((correlation, now + limits::REQUEST_TIMEOUT)));
        self.counters.snapshots_asked += 1;
        let kind = (Kind::Query, Flags::NONE);
        self.send_own(work, slot, kind, correlation, |payload| {
            Request::Snapshot { controller: None }.encode_into(payload);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::message::{Cause, CauseKind, Change, Name, PointFlags, PointType};

    fn point(index: u8, value: i64) -> Point {
        Point {
            index,
            name: Name::new(&format!("P{index}")).unwrap(),
            point_type: if index == 0 {
                PointType::DigitalOutput
            } else {
                PointType::AnalogueInput
            },
            value,
            flags: PointFlags(0),
            cause: Cause::plain(CauseKind::Boot),
        }
    }

    fn status(boot: u32, sequence: u32) -> Status {
        Status::of(Assembly::begin(Full {
            head: StatusHead { boot, sequence },
            page: 0,
            pages: 1,
            uptime_ms: 1,
            time: None,
            points: vec![point(3, 30), point(0, 0)],
            layout: 9,
        }))
    }

    fn delta(boot: u32, sequence: u32, changes: &[(u8, i64)]) -> Delta {
        Delta {
            head: StatusHead { boot, sequence },
            uptime_ms: 2,
            time: None,
            changes: changes
                .iter()
                .map(|&(index, value)| Change {
                    index,
                    value,
                    flags: PointFlags::FAULT,
                    cause: Cause::plain(CauseKind::Input),
                })
                .collect(),
        }
    }

    #[test]
    fn deltas_are_taken_in_their_order_alone() {
        for (held, delta, expected) in [
            ((7, 5), delta(7, 6, &[(0, 1)]), Step::Next),
            ((7, 5), delta(7, 6, &[]), Step::Next),
            ((7, 5), delta(7, 5, &[(0, 1)]), Step::Old),
            ((7, 5), delta(7, 4, &[(0, 1)]), Step::Old),
            ((7, 5), delta(7, 7, &[(0, 1)]), Step::Gap),
            ((7, 5), delta(8, 6, &[(0, 1)]), Step::Gap),
            ((7, u32::MAX), delta(7, 0, &[(0, 1)]), Step::Next),
            ((7, 0), delta(7, u32::MAX, &[(0, 1)]), Step::Old),
            // What does not fit the layout would be half a truth.
            ((7, 5), delta(7, 6, &[(0, 1), (9, 1)]), Step::Gap),
            ((7, 5), delta(7, 6, &[(3, 1), (0, 2)]), Step::Gap),
        ] {
            let mut status = status(held.0, held.1);
            let found = status.apply(&delta);
            assert_eq!(found, expected, "{held:?} {delta:?}");
            let taken = expected == Step::Next;
            let sequence = if taken { delta.head.sequence } else { held.1 };
            assert_eq!(status.head.sequence, sequence);
            if !taken {
                assert_eq!([status.points[0].value, status.points[1].value], [0, 30]);
            }
        }
    }

    #[test]
    fn the_frame_is_the_merged_state_and_is_made_once() {
        let mut status = status(7, 5);
        let before = status.frame(Address(42));
        assert_eq!(before.as_ptr(), status.frame(Address(42)).as_ptr());
        status.apply(&delta(7, 6, &[(3, 31)]));
        let after = status.frame(Address(42));
        assert_ne!(before, after);
        let full = Full::decode(&after[limits::HEADER_BYTES..]).unwrap();
        assert_eq!(
            full.head,
            StatusHead {
                boot: 7,
                sequence: 6
            }
        );
        let values: Vec<_> = full.points.iter().map(|it| (it.index, it.value)).collect();
        assert_eq!(values, [(0, 0), (3, 31)]);
        assert_eq!(full.points[1].flags, PointFlags::FAULT);
    }

    #[test]
    fn pages_join_only_in_their_order() {
        let page = |page, sequence, index| Full {
            head: StatusHead { boot: 1, sequence },
            page,
            pages: 3,
            uptime_ms: 0,
            time: None,
            points: vec![point(index, 0)],
            layout: 1,
        };
        let mut assembly = Assembly::begin(page(0, 4, 0));
        assert!(!assembly.add(page(2, 4, 2)), "a page is missing");
        assert!(!assembly.add(page(1, 5, 1)), "of another full status");
        assert!(assembly.add(page(1, 4, 1)));
        assert!(!assembly.is_complete());
        assert!(assembly.add(page(2, 4, 1)));
        assert!(assembly.is_complete() && assembly.has_twice());
    }
}
