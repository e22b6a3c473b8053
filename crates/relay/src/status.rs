//! The status table: what each controller's points are, merged from its full and delta frames.

use crate::{Relay, Sabotage, Work, session::Slot, shared::Recent};
use std::sync::Arc;
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Kind, limits,
    message::{
        Cause, CauseKind, Delta, Full, MessageError, Name, Point, PointFlags, PointType, Request,
        StatusHead, Time,
    },
};

/// What a controller's points are by their nature. Most controllers have the same as others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    number: u32,
    /// Ascending by index.
    points: Vec<(u8, PointType, Name)>,
}

/// A controller's points as of one sequence number.
#[derive(Debug)]
pub(crate) struct Status {
    head: StatusHead,
    uptime_ms: u64,
    time: Option<Time>,
    layout: Arc<Layout>,
    /// Of the layout's points, in their order.
    values: Box<[Value]>,
    /// The full status frame of just this state, made when somebody wants it, dropped with the
    /// next delta.
    encoded: Option<Arc<[u8]>>,
}

/// What a point is at one time. The cause lies unpacked in here, for it would be a third of it in
/// tags and gaps.
#[derive(Clone, Copy, Debug)]
struct Value {
    value: i64,
    flags: PointFlags,
    by: u32,
    reference: u32,
    cause: CauseKind,
    /// Whether `by` and `reference` are there.
    names: (bool, bool),
}

impl Value {
    fn new(value: i64, flags: PointFlags, cause: Cause) -> Self {
        Value {
            value,
            flags,
            by: cause.by.map_or(0, |by| by.0),
            reference: cause.reference.unwrap_or(0),
            cause: cause.kind,
            names: (cause.by.is_some(), cause.reference.is_some()),
        }
    }

    fn cause(&self) -> Cause {
        let (has_by, has_reference) = self.names;
        Cause {
            kind: self.cause,
            by: has_by.then_some(Address(self.by)),
            reference: has_reference.then_some(self.reference),
        }
    }
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
    pub(crate) fn of(pages: Assembly, layouts: &mut Recent<Layout>) -> Self {
        let mut points = pages.points;
        points.sort_by_key(|point| point.index);
        let values = points
            .iter()
            .map(|point| Value::new(point.value, point.flags, point.cause))
            .collect();
        let points = points
            .into_iter()
            .map(|point| (point.index, point.point_type, point.name))
            .collect();
        Status {
            head: pages.head,
            uptime_ms: pages.uptime_ms,
            time: pages.time,
            layout: layouts.share(Layout {
                number: pages.layout,
                points,
            }),
            values,
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
        // Judge before the first change: half a delta would be a state that never was.
        for change in &delta.changes {
            match self.place(change.index) {
                Some((_, point_type))
                    if !point_type.is_digital() || (0..=1).contains(&change.value) => {}
                _ => return Step::Gap,
            }
        }
        for change in &delta.changes {
            if let Some((at, _)) = self.place(change.index) {
                self.values[at] = Value::new(change.value, change.flags, change.cause);
            }
        }
        self.head = delta.head;
        self.uptime_ms = delta.uptime_ms;
        self.time = delta.time;
        self.encoded = None;
        Step::Next
    }

    /// Where a point lies, mostly at its own index, and what it is.
    #[inline]
    fn place(&self, index: u8) -> Option<(usize, PointType)> {
        let points = &self.layout.points;
        let at = usize::from(index);
        match points.get(at) {
            Some(&(found, point_type, _)) if found == index => Some((at, point_type)),
            _ => {
                let at = points.iter().position(|&(found, _, _)| found == index)?;
                Some((at, points[at].1))
            }
        }
    }

    /// The full status as one frame: 32 points fit into one page on every tool link.
    pub(crate) fn frame(&mut self, controller: Address) -> Arc<[u8]> {
        if let Some(encoded) = &self.encoded {
            return Arc::clone(encoded);
        }
        let points = self.layout.points.iter().zip(&self.values);
        let full = Full {
            head: self.head,
            page: 0,
            pages: 1,
            uptime_ms: self.uptime_ms,
            time: self.time,
            points: points
                .map(|((index, point_type, name), value)| Point {
                    index: *index,
                    name: name.clone(),
                    point_type: *point_type,
                    value: value.value,
                    flags: value.flags,
                    cause: value.cause(),
                })
                .collect(),
            layout: self.layout.number,
        };
        let (source, gateway) = (controller, Address::GATEWAY);
        let frame = Frame::new(Kind::StatusFull, 0, source, gateway, &full.encode());
        Arc::clone(self.encoded.insert(Arc::from(&frame.bytes()[..])))
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
    pub(crate) fn begin(page: Full) -> Self {
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

    pub(crate) fn is_complete(&self) -> bool {
        self.pages_here == self.pages
    }

    pub(crate) fn has_twice(&self) -> bool {
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
                self.fleet.mark_changed(index);
                if work.sink.wants_values() {
                    let controller = self.fleet.at(index).address;
                    for change in &delta.changes {
                        let (value, flags) = (change.value, change.flags);
                        work.sink.value(controller, change.index, value, flags);
                    }
                }
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
        controller.snapshot_asked = None;
        if work.sink.wants_values() {
            for point in &pages.points {
                work.sink
                    .value(address, point.index, point.value, point.flags);
            }
        }
        self.fleet.mark_changed(index);
        let status = self.fleet.set_status(index, *pages);
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
        let Some(slot) = controller.session().filter(|_| controller.online) else {
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
    use switchyard_protocol::message::Change;

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
        let pages = Assembly::begin(Full {
            head: StatusHead { boot, sequence },
            page: 0,
            pages: 1,
            uptime_ms: 1,
            time: None,
            points: vec![point(3, 30), point(0, 0)],
            layout: 9,
        });
        Status::of(pages, &mut Recent::default())
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
                assert_eq!([status.values[0].value, status.values[1].value], [0, 30]);
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
    fn what_controllers_have_alike_is_held_once() {
        let mut layouts = Recent::default();
        let mut of = |layout| {
            let pages = Assembly::begin(Full {
                head: StatusHead::default(),
                page: 0,
                pages: 1,
                uptime_ms: 0,
                time: None,
                points: (0..4).map(|index| point(index, 1)).collect(),
                layout,
            });
            Status::of(pages, &mut layouts)
        };
        let (one, same, other) = (of(1), of(1), of(2));
        assert!(Arc::ptr_eq(&one.layout, &same.layout));
        assert!(!Arc::ptr_eq(&one.layout, &other.layout));
        // Four points of an idle controller are 176 bytes.
        assert!(size_of::<Status>() <= 80, "{}", size_of::<Status>());
        assert!(size_of::<Value>() <= 24, "{}", size_of::<Value>());
    }

    #[test]
    fn a_value_keeps_its_cause() {
        for (by, reference) in [
            (None, None),
            (Some(Address(0)), None),
            (None, Some(0)),
            (Some(Address(7)), Some(8)),
        ] {
            let cause = Cause {
                kind: CauseKind::Command,
                by,
                reference,
            };
            assert_eq!(Value::new(1, PointFlags::BAD, cause).cause(), cause);
        }
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
