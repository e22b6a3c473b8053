//! Controllers as a peer inside is told of them: presence, whole statuses page by
//! page, and deltas in order (`docs/protocol.md` §7). Pure.

use crate::outward::Happening;
use std::collections::{BTreeMap, BTreeSet};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Delta, Event, Full, Name, Point, StatusHead, Time, Title},
};

/// What is known of one controller.
#[derive(Debug)]
pub(crate) struct Controller {
    /// What people call it.
    pub(crate) title: Title,
    /// Whether it is connected.
    pub(crate) online: bool,
    /// Since when it is there or away; 0 while nobody knows.
    pub(crate) since: Time,
    /// Why it went.
    pub(crate) reason: Option<Code>,
    /// Its firmware and version.
    pub(crate) software: Option<Title>,
    /// Its board.
    pub(crate) board: Option<Title>,
    /// Its points as they are or last were, by index.
    pub(crate) points: Vec<Point>,
    /// When they were so; `None` before the first status.
    pub(crate) heard_at: Option<Time>,
    head: Option<StatusHead>,
    /// A change was missed, and deltas are of no use until the next whole status.
    is_stale: bool,
    pages: Option<Box<Pages>>,
    /// The number of its latest event: a gateway that died may tell it once more.
    happened: Option<u32>,
}

/// The pages of a whole status that have come so far.
#[derive(Debug)]
struct Pages {
    head: StatusHead,
    pages: u8,
    seen: u16,
    points: BTreeMap<u8, Point>,
}

/// What is new.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    /// Nothing that matters here.
    Nothing,
    /// A controller came, went, or is called otherwise.
    Presence(Address),
    /// All of its points, which may be others than before.
    Points(Address),
    /// Values of its points.
    Values(Address),
    /// Its whole status has to be asked for.
    Missed(Address),
    /// It is not to be told of any more.
    Gone(Address),
    /// Its script said something.
    Happened(Address, Happening),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    controllers: BTreeMap<Address, Controller>,
    /// Those that alone are told of, where there is a choice.
    chosen: Option<BTreeSet<Address>>,
    /// Told of since the snapshot began: what is not in here at its end is gone.
    mentioned: BTreeSet<Address>,
    is_synced: bool,
}

impl Fleet {
    /// None yet, and later only those of `chosen` where there are any.
    pub(crate) fn new(chosen: &[Address]) -> Self {
        Fleet {
            chosen: (!chosen.is_empty()).then(|| chosen.iter().copied().collect()),
            ..Fleet::default()
        }
    }

    /// One of them.
    pub(crate) fn controller(&self, address: Address) -> Option<&Controller> {
        self.controllers.get(&address)
    }

    /// Their addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.controllers.keys().copied()
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.controllers.len()
    }

    /// Whether all that there are have been told of.
    pub(crate) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// All is about to be told anew.
    pub(crate) fn begin(&mut self) {
        self.is_synced = false;
        self.mentioned.clear();
        for controller in self.controllers.values_mut() {
            controller.is_stale = true;
        }
    }

    /// All has been told; whoever is gone since it was told before.
    pub(crate) fn synced(&mut self) -> Vec<Address> {
        self.is_synced = true;
        let mentioned = std::mem::take(&mut self.mentioned);
        let gone: Vec<_> = self
            .addresses()
            .filter(|it| !mentioned.contains(it))
            .collect();
        for address in &gone {
            self.controllers.remove(address);
        }
        gone
    }

    /// Takes a frame that came unasked at a moment of gateway time.
    pub(crate) fn take(&mut self, frame: &Frame, now: Time) -> News {
        let header = frame.header();
        let source = header.source;
        match header.kind {
            Kind::Event => match Event::decode(frame.payload()) {
                Ok(event @ Event::Presence { .. }) if source == Address::GATEWAY => {
                    self.presence(event)
                }
                Ok(event) if source.is_controller() && header.destination == Address::GATEWAY => {
                    self.happened(source, &event)
                }
                // A note of another tool, or an event of a later version.
                Ok(_) | Err(_) => News::Nothing,
            },
            Kind::StatusFull => match Full::decode(frame.payload()) {
                Ok(page) => self.full(source, page, now),
                Err(_) => News::Nothing,
            },
            Kind::StatusDelta if self.controllers.contains_key(&source) => {
                match Delta::decode(frame.payload()) {
                    Ok(delta) => self.delta(source, delta, now),
                    Err(_) => News::Missed(source),
                }
            }
            _ => News::Nothing,
        }
    }

    fn presence(&mut self, event: Event) -> News {
        let Event::Presence {
            controller: address,
            online,
            since,
            title,
            boot,
            software,
            board,
            reason,
            ..
        } = event
        else {
            return News::Nothing;
        };
        let is_chosen = |chosen: &BTreeSet<Address>| chosen.contains(&address);
        if !self.chosen.as_ref().is_none_or(is_chosen) {
            return News::Nothing;
        }
        // It is out of sight, or withdrawn for ever.
        if !online && matches!(reason, Some(Code::Forbidden | Code::Revoked)) {
            self.mentioned.remove(&address);
            return match self.controllers.remove(&address) {
                Some(_) => News::Gone(address),
                None => News::Nothing,
            };
        }
        if !self.is_synced {
            self.mentioned.insert(address);
        }
        let before = self.controllers.remove(&address);
        let mut now = before.unwrap_or_else(|| Controller::new(title.clone()));
        let restarted = now
            .head
            .zip(boot)
            .is_some_and(|(head, boot)| head.boot != boot);
        now.title = title;
        (now.online, now.since, now.reason) = (online, since, reason);
        now.software = software.or(now.software);
        now.board = board.or(now.board);
        now.is_stale |= restarted;
        self.controllers.insert(address, now);
        News::Presence(address)
    }

    fn full(&mut self, address: Address, page: Full, now: Time) -> News {
        // Presence comes first; of whom there was none nothing is told.
        let Some(controller) = self.controllers.get_mut(&address) else {
            return News::Nothing;
        };
        let mut pages = match controller.pages.take() {
            Some(pages) if pages.head == page.head && pages.pages == page.pages => pages,
            _ => Box::new(Pages {
                head: page.head,
                pages: page.pages,
                seen: 0,
                points: BTreeMap::new(),
            }),
        };
        pages.seen |= 1 << page.page;
        pages
            .points
            .extend(page.points.into_iter().map(|it| (it.index, it)));
        if pages.seen.count_ones() < u32::from(pages.pages) {
            controller.pages = Some(pages);
            return News::Nothing;
        }
        controller.head = Some(pages.head);
        controller.points = pages.points.into_values().collect();
        controller.heard_at = Some(page.time.map_or(now, |time| time.min(now)));
        controller.is_stale = false;
        News::Points(address)
    }

    fn delta(&mut self, address: Address, delta: Delta, now: Time) -> News {
        let Some(controller) = self.controllers.get_mut(&address) else {
            return News::Nothing;
        };
        let head = controller.head.filter(|head| head.boot == delta.head.boot);
        match head {
            Some(head) if head.has_passed(delta.head.sequence) => return News::Nothing,
            Some(head) if head.is_followed_by(delta.head.sequence) && !controller.is_stale => {}
            _ => {
                controller.is_stale = true;
                return News::Missed(address);
            }
        }
        controller.head = Some(delta.head);
        controller.heard_at = Some(delta.time.map_or(now, |time| time.min(now)));
        for change in delta.changes {
            let points = &mut controller.points;
            if let Some(point) = points.iter_mut().find(|it| it.index == change.index) {
                point.value = change.value;
                point.flags = change.flags;
                point.cause = change.cause;
            }
        }
        News::Values(address)
    }

    fn happened(&mut self, address: Address, event: &Event) -> News {
        let controller = self.controllers.get_mut(&address);
        match controller.zip(Happening::of(event)) {
            Some((controller, happening)) if controller.happened != Some(happening.number) => {
                controller.happened = Some(happening.number);
                News::Happened(address, happening)
            }
            _ => News::Nothing,
        }
    }
}

impl Controller {
    fn new(title: Title) -> Self {
        Controller {
            title,
            online: false,
            since: Time(0),
            reason: None,
            software: None,
            board: None,
            points: Vec::new(),
            heard_at: None,
            head: None,
            is_stale: false,
            pages: None,
            happened: None,
        }
    }

    /// The point of that name.
    pub(crate) fn point(&self, name: &Name) -> Option<&Point> {
        self.points.iter().find(|point| point.name == *name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use switchyard_protocol::message::{
        Cause, CauseKind, Change, PointFlags, PointType, Text, ValueType,
    };

    pub(crate) const PUMP: Address = Address(100_042);

    pub(crate) fn presence(online: bool, boot: Option<u32>) -> Frame {
        let event = Event::Presence {
            controller: PUMP,
            online,
            since: Time(1),
            title: Title::new("Pump house").unwrap(),
            boot,
            features: None,
            software: Some(Title::new("script 1").unwrap()),
            board: Some(Title::new("bench").unwrap()),
            reason: None,
        };
        Frame::new(
            Kind::Event,
            0,
            Address::GATEWAY,
            Address::GATEWAY,
            &event.encode(),
        )
    }

    fn goodbye(reason: Code) -> Frame {
        let event = Event::Presence {
            controller: PUMP,
            online: false,
            since: Time(0),
            title: Title::new("100042").unwrap(),
            boot: None,
            features: None,
            software: None,
            board: None,
            reason: Some(reason),
        };
        Frame::new(
            Kind::Event,
            0,
            Address::GATEWAY,
            Address::GATEWAY,
            &event.encode(),
        )
    }

    pub(crate) fn point(index: u8, name: &str, point_type: PointType, value: i64) -> Point {
        let flags = match point_type.is_output() {
            true => PointFlags::MANUAL,
            false => PointFlags(0),
        };
        Point {
            index,
            name: Name::new(name).unwrap(),
            point_type,
            value,
            flags,
            cause: Cause::plain(CauseKind::Boot),
        }
    }

    pub(crate) fn page(
        boot: u32,
        sequence: u32,
        (page, pages): (u8, u8),
        points: Vec<Point>,
    ) -> Frame {
        let full = Full {
            head: StatusHead { boot, sequence },
            page,
            pages,
            uptime_ms: 1,
            time: None,
            points,
            layout: 1,
        };
        Frame::new(Kind::StatusFull, 0, PUMP, Address::GATEWAY, &full.encode())
    }

    pub(crate) fn full(points: Vec<Point>) -> Frame {
        page(1, 5, (0, 1), points)
    }

    fn delta(boot: u32, sequence: u32, value: i64) -> Frame {
        let delta = Delta {
            head: StatusHead { boot, sequence },
            uptime_ms: 2,
            time: None,
            changes: vec![Change {
                index: 0,
                value,
                flags: PointFlags(0),
                cause: Cause::plain(CauseKind::Input),
            }],
        };
        Frame::new(
            Kind::StatusDelta,
            0,
            PUMP,
            Address::GATEWAY,
            &delta.encode(),
        )
    }

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new(&[]);
        assert_eq!(
            fleet.take(&presence(true, Some(1)), Time(9)),
            News::Presence(PUMP)
        );
        let points = vec![point(0, "level", PointType::AnalogueInput, 0)];
        assert_eq!(fleet.take(&full(points), Time(9)), News::Points(PUMP));
        assert_eq!(fleet.synced(), []);
        fleet
    }

    fn value(fleet: &Fleet) -> i64 {
        fleet.controller(PUMP).unwrap().points[0].value
    }

    #[test]
    fn deltas_in_order_and_what_is_missed_is_asked_for() {
        let mut fleet = fleet();
        assert_eq!(fleet.take(&delta(1, 6, 7), Time(9)), News::Values(PUMP));
        assert_eq!(
            fleet.take(&delta(1, 6, 8), Time(9)),
            News::Nothing,
            "an old one"
        );
        assert_eq!(fleet.take(&delta(1, 8, 9), Time(9)), News::Missed(PUMP));
        assert_eq!(fleet.take(&delta(1, 9, 9), Time(9)), News::Missed(PUMP));
        assert_eq!(value(&fleet), 7);
        let points = vec![point(0, "level", PointType::AnalogueInput, 9)];
        fleet.take(&page(1, 9, (0, 1), points), Time(9));
        assert_eq!(fleet.take(&delta(1, 10, 10), Time(9)), News::Values(PUMP));
        // Another boot is another story.
        assert_eq!(
            fleet.take(&presence(true, Some(2)), Time(9)),
            News::Presence(PUMP)
        );
        assert_eq!(fleet.take(&delta(1, 11, 11), Time(9)), News::Missed(PUMP));
        assert_eq!(value(&fleet), 10);
    }

    #[test]
    fn pages_count_only_together() {
        let mut fleet = fleet();
        let half = |sequence, at, value| {
            let name = format!("P{at}");
            let points = vec![point(at, &name, PointType::AnalogueInput, value)];
            page(1, sequence, (at, 2), points)
        };
        assert_eq!(fleet.take(&half(8, 0, 1), Time(9)), News::Nothing);
        assert_eq!(fleet.take(&half(9, 0, 2), Time(9)), News::Nothing);
        assert_eq!(fleet.take(&half(9, 0, 2), Time(9)), News::Nothing);
        assert_eq!(fleet.take(&half(9, 1, 3), Time(9)), News::Points(PUMP));
        let points = fleet.controller(PUMP).unwrap().points.iter();
        let values: Vec<_> = points.map(|it| it.value).collect();
        assert_eq!(values, [2, 3]);
    }

    #[test]
    fn who_goes_from_view_or_is_not_told_of_again_is_gone() {
        let mut fleet = fleet();
        for reason in [Code::Forbidden, Code::Revoked] {
            fleet.take(&presence(true, Some(1)), Time(9));
            assert_eq!(fleet.take(&goodbye(reason), Time(9)), News::Gone(PUMP));
            assert_eq!(fleet.take(&goodbye(reason), Time(9)), News::Nothing);
        }
        assert_eq!(fleet.take(&delta(1, 6, 7), Time(9)), News::Nothing);
        fleet.take(&presence(true, Some(1)), Time(9));
        fleet.begin();
        assert!(!fleet.is_synced());
        assert_eq!(fleet.synced(), [PUMP]);
        assert!(fleet.controller(PUMP).is_none());
    }

    #[test]
    fn only_those_that_were_chosen_are_known() {
        let mut fleet = Fleet::new(&[Address(7)]);
        assert_eq!(fleet.take(&presence(true, Some(1)), Time(9)), News::Nothing);
        assert_eq!(fleet.take(&full(Vec::new()), Time(9)), News::Nothing);
        assert_eq!(fleet.addresses().count(), 0);
    }

    #[test]
    fn an_event_counts_once_and_only_as_its_controllers() {
        let mut fleet = fleet();
        let event = |number| Event::Happened {
            number,
            time: None,
            text: Text::new("door").unwrap(),
            values: vec![(ValueType::Int, 3)],
        };
        let frame = |number| {
            let event = event(number).encode();
            Frame::new(Kind::Event, 0, PUMP, Address::GATEWAY, &event)
        };
        let told = Happening::of(&event(1)).unwrap();
        assert_eq!(fleet.take(&frame(1), Time(9)), News::Happened(PUMP, told));
        assert_eq!(fleet.take(&frame(1), Time(9)), News::Nothing);
        // Sent to a tool, it is nobody's event.
        let event = event(2).encode();
        let sent = Frame::new(Kind::Event, 0, PUMP, Address::LEASED_MIN, &event);
        assert_eq!(fleet.take(&sent, Time(9)), News::Nothing);
    }
}
