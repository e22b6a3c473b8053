//! The fleet as its gateway tells it: presence, full status by pages, and deltas in order
//! (`docs/protocol.md` §7). Pure: frames' contents and the time go in, changes come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_protocol::{
    Address, Code,
    limits::POINTS_MAX,
    message::{Change, Delta, Event, Full, Name, Point, StatusHead, Time, Title},
};

/// Controllers that one client keeps at most. A gateway that tells of more is followed up to here,
/// and [`Fleet::overflowed`] says so: a faulty gateway must not fill a tool's memory.
pub const CONTROLLERS_MAX: usize = 65_536;

/// Everything known of one controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its number.
    pub address: Address,
    /// What people call it.
    pub title: Title,
    /// Whether it is connected to the gateway.
    pub online: bool,
    /// Since when it is there or away.
    pub since: Time,
    /// Why it went.
    pub offline_reason: Option<Code>,
    /// Features of its latest announce.
    pub features: Option<u32>,
    /// Firmware and version.
    pub software: Option<Title>,
    /// The board.
    pub board: Option<Title>,
    /// Its points, as last heard; `None` before the first whole status.
    pub status: Option<Status>,
    /// Whether `status` may have been overtaken: a delta was missed, the controller restarted, or
    /// the link to the gateway was lost since.
    pub stale: bool,
}

impl Controller {
    /// Whether what is shown is what is: there, heard of, and nothing missed.
    pub fn is_live(&self) -> bool {
        self.online && !self.stale && self.status.is_some()
    }

    /// The point of that name.
    pub fn point(&self, name: &Name) -> Option<&Point> {
        self.points().iter().find(|point| point.name == *name)
    }

    /// Its points in ascending order of index; none before the first status.
    pub fn points(&self) -> &[Point] {
        self.status.as_ref().map_or(&[], |status| &status.points)
    }
}

/// The latest of a controller's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Boot and sequence.
    pub head: StatusHead,
    /// Changes when points or commands change.
    pub layout: u32,
    /// Since the controller's start.
    pub uptime_ms: u64,
    /// When it was so, in gateway time: by the controller's own word, or else when it was heard here.
    /// A snapshot may tell what a controller said long ago.
    pub heard_at: Time,
    /// In ascending order of index.
    pub points: Vec<Point>,
}

/// One change of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetChange {
    /// Replaces everything known of a controller: presence, a full status, or that it became stale.
    Controller(Arc<Controller>),
    /// The points that a delta changed.
    Points {
        /// Whose.
        address: Address,
        /// The delta's own boot and sequence.
        head: StatusHead,
        /// When it was so, in gateway time: by the controller's own word, or else when it was heard.
        heard_at: Time,
        /// What changed.
        changes: Vec<Change>,
    },
    /// It is not to be seen any more.
    Gone(Address),
    /// The snapshot is whole; so many controllers are subscribed.
    Synced {
        /// The gateway's count.
        count: u32,
    },
}

/// The pages of a full status that have come so far.
#[derive(Clone, Debug)]
struct Pages {
    head: StatusHead,
    pages: u8,
    seen: u16,
    points: BTreeMap<u8, Point>,
}

/// The fleet at one moment. Cloning shares the controllers.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    controllers: BTreeMap<Address, Arc<Controller>>,
    synced: bool,
    revision: u64,
    overflowed: bool,
    /// Incomplete full statuses, one per controller at most.
    pages: BTreeMap<Address, Pages>,
    /// Whose full status is wanted.
    gaps: BTreeSet<Address>,
    /// Told of since the snapshot began: what is not in here at its end is gone.
    mentioned: BTreeSet<Address>,
}

impl Fleet {
    /// One controller.
    pub fn controller(&self, address: Address) -> Option<&Arc<Controller>> {
        self.controllers.get(&address)
    }

    /// All, in ascending order of address.
    pub fn controllers(&self) -> impl ExactSizeIterator<Item = &Arc<Controller>> {
        self.controllers.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.controllers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether the snapshot has come in whole since the link was last made.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Whether the gateway told of more controllers than are kept here.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Counts batches of changes: a batch that bears a greater number than a clone of the fleet is
    /// news to that clone.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Controllers whose full status must be asked for.
    pub fn gaps(&self) -> impl Iterator<Item = Address> + '_ {
        self.gaps.iter().copied()
    }

    /// Closes a batch of changes and gives its number.
    pub(crate) fn end_batch(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// The link is gone: everything is as it was last seen, and nothing is certain.
    pub fn link_lost(&mut self) -> Vec<FleetChange> {
        self.synced = false;
        self.pages.clear();
        self.gaps.clear();
        self.mentioned.clear();
        let mut changes = Vec::new();
        for controller in self.controllers.values_mut() {
            if !controller.stale {
                Arc::make_mut(controller).stale = true;
                changes.push(FleetChange::Controller(controller.clone()));
            }
        }
        changes
    }

    /// A subscription is being made: what is told from now on is its snapshot.
    pub fn snapshot_begins(&mut self) {
        self.synced = false;
        self.mentioned.clear();
    }

    /// The snapshot's end marker. With `everything` subscribed, a controller that the snapshot did
    /// not mention was taken away in the meantime.
    pub fn snapshot_ends(&mut self, count: u32, everything: bool) -> Vec<FleetChange> {
        let mut changes = Vec::new();
        if everything {
            self.controllers.retain(|address, _| {
                let stays = self.mentioned.contains(address);
                if !stays {
                    changes.push(FleetChange::Gone(*address));
                }
                stays
            });
        }
        self.synced = true;
        changes.push(FleetChange::Synced { count });
        changes
    }

    /// Presence, from the gateway; of a controller that is not to be seen any more it is the last.
    /// Other events change nothing.
    pub fn presence(&mut self, event: Event) -> Option<FleetChange> {
        let Event::Presence {
            controller: address,
            online,
            since,
            title,
            boot,
            features,
            software,
            board,
            reason,
        } = event
        else {
            return None;
        };
        if !address.is_controller() {
            return None;
        }
        if !online && reason == Some(Code::Forbidden) {
            return self.gone_from_view(address);
        }
        if !self.controllers.contains_key(&address) && self.controllers.len() >= CONTROLLERS_MAX {
            self.overflowed = true;
            return None;
        }
        self.mentioned.insert(address);
        let before = self.controllers.get(&address);
        let status = before.and_then(|controller| controller.status.clone());
        // A restart makes what was seen of the earlier boot history, until its full status comes.
        let restarted = status
            .as_ref()
            .zip(boot)
            .is_some_and(|(status, boot)| status.head.boot != boot);
        let controller = Arc::new(Controller {
            address,
            title,
            online,
            since,
            offline_reason: reason,
            features: features.or(before.and_then(|controller| controller.features)),
            software: software.or_else(|| before.and_then(|it| it.software.clone())),
            board: board.or_else(|| before.and_then(|it| it.board.clone())),
            stale: restarted || before.is_some_and(|controller| controller.stale),
            status,
        });
        if !online {
            // Nobody can answer for it now; the gateway sends a full status when it is back.
            self.gaps.remove(&address);
            self.pages.remove(&address);
        }
        self.controllers.insert(address, controller.clone());
        Some(FleetChange::Controller(controller))
    }

    /// The account may not see a controller any more: nothing of it is kept.
    fn gone_from_view(&mut self, address: Address) -> Option<FleetChange> {
        self.gaps.remove(&address);
        self.pages.remove(&address);
        self.mentioned.remove(&address);
        let known = self.controllers.remove(&address);
        known.map(|_| FleetChange::Gone(address))
    }

    /// A page of a full status. The last one to come makes it the truth.
    pub fn full(&mut self, address: Address, page: Full, now: Time) -> Option<FleetChange> {
        // Presence comes first; without it there is not even a title to show.
        let controller = self.controllers.get_mut(&address)?;
        let pages = self
            .pages
            .entry(address)
            .or_insert_with(|| Pages::of(&page));
        if pages.head != page.head || pages.pages != page.pages {
            *pages = Pages::of(&page);
        }
        pages.seen |= 1 << page.page;
        for point in page.points {
            pages.points.insert(point.index, point);
        }
        if pages.seen.count_ones() < u32::from(pages.pages) {
            return None;
        }
        let whole = self.pages.remove(&address)?;
        debug_assert!(whole.points.len() <= POINTS_MAX);
        let controller = Arc::make_mut(controller);
        controller.stale = false;
        controller.status = Some(Status {
            head: whole.head,
            layout: page.layout,
            uptime_ms: page.uptime_ms,
            heard_at: page.time.map_or(now, |time| time.min(now)),
            points: whole.points.into_values().collect(),
        });
        self.gaps.remove(&address);
        self.mentioned.insert(address);
        Some(FleetChange::Controller(Arc::new(controller.clone())))
    }

    /// A delta: taken when it is the next one, ignored when it is an old one; otherwise a gap, which
    /// [`gaps`](Self::gaps) names until a full status has filled it.
    pub fn delta(&mut self, address: Address, delta: Delta, now: Time) -> Option<FleetChange> {
        let shared = self.controllers.get_mut(&address)?;
        let verdict = shared.status.as_ref().map(|status| {
            (
                status.head.boot == delta.head.boot,
                status.head.is_followed_by(delta.head.sequence),
                status.head.has_passed(delta.head.sequence),
            )
        });
        match verdict {
            Some((true, true, _)) if !shared.stale => {}
            Some((true, _, true)) => return None,
            _ => {
                let is_new = self.gaps.insert(address) && !shared.stale;
                if !is_new {
                    return None;
                }
                Arc::make_mut(shared).stale = true;
                return Some(FleetChange::Controller(shared.clone()));
            }
        }
        let status = Arc::make_mut(shared).status.as_mut()?;
        status.head = delta.head;
        status.uptime_ms = delta.uptime_ms;
        let heard_at = delta.time.map_or(now, |time| time.min(now));
        status.heard_at = heard_at;
        for change in &delta.changes {
            if let Some(point) = status.points.iter_mut().find(|it| it.index == change.index) {
                point.value = change.value;
                point.flags = change.flags;
                point.cause = change.cause;
            }
        }
        Some(FleetChange::Points {
            address,
            head: delta.head,
            heard_at,
            changes: delta.changes,
        })
    }

    /// Forgets controllers that are not of interest any more.
    pub fn keep_only(&mut self, wanted: &[Address]) -> Vec<FleetChange> {
        let mut changes = Vec::new();
        self.controllers.retain(|address, _| {
            let stays = wanted.contains(address);
            if !stays {
                changes.push(FleetChange::Gone(*address));
            }
            stays
        });
        self.gaps.retain(|address| wanted.contains(address));
        self.pages.retain(|address, _| wanted.contains(address));
        changes
    }
}

impl Pages {
    fn of(page: &Full) -> Self {
        Pages {
            head: page.head,
            pages: page.pages,
            seen: 0,
            points: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use switchyard_protocol::message::{Cause, CauseKind, PointFlags, PointType};

    const PUMP: Address = Address(100_042);

    fn presence(online: bool, boot: Option<u32>) -> Event {
        Event::Presence {
            controller: PUMP,
            online,
            since: Time(1),
            title: Title::new("Pump").unwrap(),
            boot,
            features: None,
            software: None,
            board: None,
            reason: None,
        }
    }

    fn page(boot: u32, sequence: u32, (page, pages): (u8, u8), values: &[(u8, i64)]) -> Full {
        Full {
            head: StatusHead { boot, sequence },
            page,
            pages,
            uptime_ms: 1,
            time: None,
            points: values
                .iter()
                .map(|&(index, value)| Point {
                    index,
                    name: Name::new(&format!("P{index}")).unwrap(),
                    point_type: PointType::AnalogueInput,
                    value,
                    flags: PointFlags(0),
                    cause: Cause::plain(CauseKind::Boot),
                })
                .collect(),
            layout: 1,
        }
    }

    fn delta(boot: u32, sequence: u32, value: i64) -> Delta {
        Delta {
            head: StatusHead { boot, sequence },
            uptime_ms: 2,
            time: None,
            changes: vec![Change {
                index: 0,
                value,
                flags: PointFlags(0),
                cause: Cause::plain(CauseKind::Input),
            }],
        }
    }

    /// A fleet whose pump is at (boot 1, `sequence`).
    fn fleet(sequence: u32) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.presence(presence(true, Some(1)));
        fleet.full(PUMP, page(1, sequence, (0, 1), &[(0, 0)]), Time(5));
        fleet
    }

    fn value(fleet: &Fleet) -> i64 {
        fleet.controller(PUMP).unwrap().points()[0].value
    }

    #[test]
    fn deltas_by_boot_and_sequence() {
        for (held, boot, sequence, is_taken, is_gap) in [
            (5, 1, 6, true, false),
            (5, 1, 5, false, false),
            (5, 1, 4, false, false),
            (5, 1, 7, false, true),
            (5, 2, 6, false, true),
            (u32::MAX, 1, 0, true, false),
            (u32::MAX, 1, 1, false, true),
            (0, 1, u32::MAX, false, false),
            (5, 1, 5 + (1 << 31) - 1, false, true),
        ] {
            let mut fleet = fleet(held);
            fleet.delta(PUMP, delta(boot, sequence, 9), Time(6));
            let label = format!("{held} then ({boot}, {sequence})");
            assert_eq!(value(&fleet) == 9, is_taken, "{label}");
            assert_eq!(fleet.gaps().count() == 1, is_gap, "{label}");
            assert_eq!(fleet.controller(PUMP).unwrap().stale, is_gap, "{label}");
        }
    }

    #[test]
    fn a_full_status_fills_the_gap_even_when_it_is_older() {
        let mut fleet = fleet(5);
        assert!(fleet.delta(PUMP, delta(1, 9, 9), Time(6)).is_some());
        assert_eq!(
            fleet.delta(PUMP, delta(1, 10, 9), Time(6)),
            None,
            "told once"
        );
        fleet.full(PUMP, page(1, 3, (0, 1), &[(0, 7)]), Time(7));
        assert_eq!((value(&fleet), fleet.gaps().count()), (7, 0));
        assert!(fleet.controller(PUMP).unwrap().is_live());
    }

    #[test]
    fn pages_count_only_together() {
        let mut fleet = fleet(5);
        assert_eq!(
            fleet.full(PUMP, page(1, 8, (0, 2), &[(0, 1)]), Time(6)),
            None
        );
        // Half of another one starts afresh.
        assert_eq!(
            fleet.full(PUMP, page(1, 9, (0, 2), &[(0, 2)]), Time(6)),
            None
        );
        assert_eq!(
            fleet.full(PUMP, page(1, 9, (0, 2), &[(0, 2)]), Time(6)),
            None
        );
        assert_eq!(value(&fleet), 0, "nothing is shown of half a status");
        assert!(
            fleet
                .full(PUMP, page(1, 9, (1, 2), &[(1, 3)]), Time(6))
                .is_some()
        );
        let pump = fleet.controller(PUMP).unwrap();
        let values: Vec<i64> = pump.points().iter().map(|point| point.value).collect();
        assert_eq!(values, [2, 3]);
    }

    #[test]
    fn presence_keeps_the_last_values_and_a_restart_makes_them_stale() {
        let mut fleet = fleet(5);
        fleet.presence(presence(false, None));
        let pump = fleet.controller(PUMP).unwrap();
        assert!(!pump.is_live() && !pump.stale && pump.points().len() == 1);
        fleet.presence(presence(true, Some(1)));
        assert!(fleet.controller(PUMP).unwrap().is_live());
        fleet.presence(presence(true, Some(2)));
        assert!(fleet.controller(PUMP).unwrap().stale);
        fleet.full(PUMP, page(2, 0, (0, 1), &[(0, 4)]), Time(6));
        assert!(fleet.controller(PUMP).unwrap().is_live());
    }

    #[test]
    fn what_one_may_not_see_any_more_is_gone_at_once() {
        let goodbye = || Event::Presence {
            controller: PUMP,
            online: false,
            since: Time(0),
            title: Title::new("100042").unwrap(),
            boot: None,
            features: None,
            software: None,
            board: None,
            reason: Some(Code::Forbidden),
        };
        let mut fleet = fleet(5);
        fleet.delta(PUMP, delta(1, 9, 9), Time(6));
        fleet.full(PUMP, page(1, 9, (0, 2), &[(0, 1)]), Time(6));
        assert_eq!(fleet.presence(goodbye()), Some(FleetChange::Gone(PUMP)));
        assert!(fleet.is_empty() && fleet.gaps().count() == 0);
        // What was on its way says nothing, nor does the other half of a status.
        assert_eq!(fleet.presence(goodbye()), None);
        assert_eq!(fleet.delta(PUMP, delta(1, 10, 9), Time(6)), None);
        let half = page(1, 9, (1, 2), &[(1, 3)]);
        assert_eq!(fleet.full(PUMP, half.clone(), Time(6)), None);
        assert!(fleet.is_empty() && fleet.gaps().count() == 0);
        // It comes back as if it were new.
        fleet.presence(presence(true, Some(1)));
        assert_eq!(fleet.full(PUMP, half, Time(7)), None);
        assert!(fleet.controller(PUMP).unwrap().status.is_none());
        fleet.full(PUMP, page(1, 9, (0, 1), &[(0, 4)]), Time(7));
        assert!(fleet.controller(PUMP).unwrap().is_live());
        // In the middle of a snapshot it is as if it had not been told of.
        fleet.snapshot_begins();
        fleet.presence(presence(true, Some(1)));
        fleet.presence(goodbye());
        let end = fleet.snapshot_ends(0, true);
        assert_eq!(end, [FleetChange::Synced { count: 0 }]);
    }

    #[test]
    fn a_delta_before_any_status_is_a_gap_and_strangers_are_ignored() {
        let mut fleet = Fleet::default();
        assert_eq!(fleet.delta(PUMP, delta(1, 1, 1), Time(1)), None);
        assert_eq!(
            fleet.full(PUMP, page(1, 1, (0, 1), &[(0, 1)]), Time(1)),
            None
        );
        assert!(fleet.is_empty());
        fleet.presence(presence(true, Some(1)));
        fleet.delta(PUMP, delta(1, 1, 1), Time(1));
        assert_eq!(fleet.gaps().collect::<Vec<_>>(), [PUMP]);
    }

    #[test]
    fn a_lost_link_makes_everything_stale_until_the_snapshot() {
        let mut fleet = fleet(5);
        fleet.snapshot_ends(1, true);
        assert_eq!(fleet.link_lost().len(), 1);
        assert_eq!(fleet.link_lost().len(), 0);
        assert!(!fleet.is_synced());
        fleet.snapshot_begins();
        fleet.presence(presence(true, Some(1)));
        assert!(fleet.controller(PUMP).unwrap().stale);
        fleet.full(PUMP, page(1, 5, (0, 1), &[(0, 0)]), Time(6));
        let end = fleet.snapshot_ends(1, true);
        assert_eq!(end, [FleetChange::Synced { count: 1 }]);
        assert!(fleet.controller(PUMP).unwrap().is_live());
        fleet.link_lost();
        fleet.snapshot_begins();
        let end = fleet.snapshot_ends(0, true);
        assert_eq!(
            end,
            [FleetChange::Gone(PUMP), FleetChange::Synced { count: 0 }]
        );
    }

    /// What happens to one status frame on its way.
    #[derive(Clone, Copy, Debug)]
    enum Way {
        Through,
        Lost,
        Twice,
        /// The controller starts anew just before it.
        Reboot,
    }

    fn way() -> impl Strategy<Value = Way> {
        prop_oneof![
            6 => Just(Way::Through),
            2 => Just(Way::Lost),
            1 => Just(Way::Twice),
            1 => Just(Way::Reboot),
        ]
    }

    proptest! {
        /// Whatever is lost or repeated: a point that is called live bears the controller's own
        /// latest value told, and a snapshot whenever one is wanted heals everything.
        #[test]
        fn never_shows_a_wrong_value_as_live(
            start in prop_oneof![Just(0), Just(u32::MAX - 3), any::<u32>()],
            ways in proptest::collection::vec(way(), 1..40),
        ) {
            let (mut boot, mut sequence, mut truth) = (1, start, 0);
            let mut fleet = Fleet::default();
            fleet.presence(presence(true, Some(boot)));
            fleet.full(PUMP, page(boot, sequence, (0, 1), &[(0, truth)]), Time(1));
            let mut is_behind = false;
            for way in ways {
                if matches!(way, Way::Reboot) {
                    boot += 1;
                    sequence = 0;
                }
                sequence = sequence.wrapping_add(1);
                truth += 1;
                let times = match way {
                    Way::Lost => 0,
                    Way::Twice => 2,
                    Way::Through | Way::Reboot => 1,
                };
                is_behind |= times == 0;
                for _ in 0..times {
                    fleet.delta(PUMP, delta(boot, sequence, truth), Time(2));
                }
                if times > 0 {
                    let pump = fleet.controller(PUMP).unwrap();
                    prop_assert_eq!(pump.stale, fleet.gaps().count() == 1);
                    prop_assert!(pump.stale || (!is_behind && value(&fleet) == truth));
                }
                if sequence % 3 == 0 && fleet.gaps().count() == 1 {
                    fleet.full(PUMP, page(boot, sequence, (0, 1), &[(0, truth)]), Time(3));
                    is_behind = false;
                    prop_assert!(fleet.controller(PUMP).unwrap().is_live());
                    prop_assert_eq!(value(&fleet), truth);
                }
            }
        }
    }
}
