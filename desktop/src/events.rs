//! What the desktop tells its window without being asked. Changes of the fleet go in batches: the first one after a
//! quiet moment at once, what follows it together, at most every [`BATCH_INTERVAL`]; past [`CHANGES_MAX`] in one batch
//! each controller is told of once, with all that changed in it. So 500 controllers do not flood the page.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    dto::{BoardState, Controller, FleetChange, LinkStatus, Note, PointUpdate, Receipt, Session},
    tray::AlarmCount,
};

/// The least time between two batches: faster than an eye, slow enough for a page to draw.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(50);
/// Changes that are told one by one in a batch; a normal second of 500 controllers fits.
pub const CHANGES_MAX: usize = 1_024;

/// One event, as the page's `ui/src/lib/host/README.md` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The fleet changed.
    Fleet(Vec<FleetChange>),
    /// A command came a stage further.
    Receipt(Receipt),
    /// A word from another tool.
    Note(Note),
    /// The board on the bench is further.
    Board(BoardState),
    /// The link changed.
    Link(LinkStatus),
    /// Somebody is logged in, or nobody any more.
    Session(Option<Session>),
}

/// Where news go: the real window, or a test's list. Neither blocks.
pub trait Window: Send + Sync + 'static {
    /// Tells the page.
    fn tell(&self, news: News);
    /// Changes what stands in the window's title bar.
    fn entitle(&self, title: &str);
    /// Shows how many alarms there are on the program's icon and in the tray, where the desktop has them.
    fn badge(&self, alarms: AlarmCount);
}

/// Changes that wait for the next batch: as they came while they are few, folded into one per controller beyond that.
/// Bounded by [`CHANGES_MAX`] and the size of the fleet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    changes: Vec<FleetChange>,
    folded: Option<Folded>,
}

impl Batch {
    pub(crate) fn add(&mut self, change: FleetChange) {
        if let Some(folded) = &mut self.folded {
            folded.add(change);
        } else {
            self.changes.push(change);
            if self.changes.len() > CHANGES_MAX {
                let mut folded = Folded::default();
                self.changes.drain(..).for_each(|change| folded.add(change));
                self.folded = Some(folded);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.folded.is_none()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Everything since the last time, and starts anew.
    pub(crate) fn take(&mut self) -> Vec<FleetChange> {
        match self.folded.take() {
            Some(folded) => folded.into_changes(),
            None => std::mem::take(&mut self.changes),
        }
    }
}

/// At most three changes per controller: a replacement, then the points that changed after it, and before both the
/// points of an earlier boot are simply dropped, since the replacement overrules them.
#[derive(Debug, Default)]
struct Folded {
    controllers: BTreeMap<u32, FleetChange>,
    synced: Option<u32>,
}

impl Folded {
    fn add(&mut self, change: FleetChange) {
        let address = match &change {
            FleetChange::Controller { controller } => controller.address,
            FleetChange::Points { address, .. } | FleetChange::Gone { address } => *address,
            // Told last: whatever of the snapshot is in this batch stands before its end then.
            FleetChange::Synced { count } => {
                self.synced = Some(*count);
                return;
            }
        };
        let FleetChange::Points {
            boot,
            sequence,
            at,
            points,
            ..
        } = change
        else {
            self.controllers.insert(address, change);
            return;
        };
        match self.controllers.get_mut(&address) {
            Some(FleetChange::Controller { controller }) => {
                lay_over(controller, boot, sequence, at, points);
            }
            Some(FleetChange::Points {
                boot: known_boot,
                sequence: known_sequence,
                at: known_at,
                points: known,
                ..
            }) if *known_boot == boot => {
                (*known_sequence, *known_at) = (sequence, at);
                for point in points {
                    match known.binary_search_by_key(&point.index, |known| known.index) {
                        Ok(at) => known[at] = point,
                        Err(at) => known.insert(at, point),
                    }
                }
            }
            _ => {
                let mut points = points;
                points.sort_by_key(|point| point.index);
                let change = FleetChange::Points {
                    address,
                    boot,
                    sequence,
                    at,
                    points,
                };
                self.controllers.insert(address, change);
            }
        }
    }

    fn into_changes(self) -> Vec<FleetChange> {
        let synced = self.synced.map(|count| FleetChange::Synced { count });
        self.controllers.into_values().chain(synced).collect()
    }
}

/// A delta over the full status that came before it in the same batch.
fn lay_over(
    controller: &mut Controller,
    boot: u32,
    sequence: u32,
    at: u64,
    points: Vec<PointUpdate>,
) {
    controller.boot = Some(boot);
    controller.sequence = Some(sequence);
    controller.heard_at = Some(at);
    for update in points {
        if let Some(point) = controller
            .points
            .iter_mut()
            .find(|it| it.index == update.index)
        {
            point.value = update.value;
            point.flags = update.flags;
            point.cause = update.cause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dto::{Cause, Point};

    const CAUSE: Cause = Cause {
        kind: 1,
        by: None,
        reference: None,
    };

    fn points(address: u32, boot: u32, sequence: u32, values: &[(u8, i64)]) -> FleetChange {
        let update = |&(index, value): &(u8, i64)| PointUpdate {
            index,
            value,
            flags: 1,
            cause: CAUSE,
        };
        let at = u64::from(sequence);
        FleetChange::Points {
            address,
            boot,
            sequence,
            at,
            points: values.iter().map(update).collect(),
        }
    }

    fn controller(address: u32, sequence: u32, value: i64) -> FleetChange {
        let point = |index| Point {
            index,
            name: format!("DI{index}"),
            point_type: 0,
            value,
            flags: 0,
            cause: CAUSE,
        };
        FleetChange::Controller {
            controller: Controller {
                address,
                title: "Pump house".to_owned(),
                online: true,
                since: 1,
                offline_reason: None,
                boot: Some(1),
                sequence: Some(sequence),
                software: None,
                board: None,
                features: None,
                heard_at: Some(0),
                points: vec![point(0), point(1)],
            },
        }
    }

    /// What a page holds after some changes: the values of each controller's points, by index.
    fn seen(changes: &[FleetChange]) -> BTreeMap<u32, (u32, Vec<i64>)> {
        let mut page: BTreeMap<u32, (u32, Vec<i64>)> = BTreeMap::new();
        for change in changes {
            match change {
                FleetChange::Controller { controller } => {
                    let values = controller.points.iter().map(|point| point.value).collect();
                    page.insert(controller.address, (controller.sequence.unwrap(), values));
                }
                FleetChange::Points {
                    address,
                    sequence,
                    points,
                    ..
                } => {
                    let (known, values) = page.get_mut(address).expect("a known controller");
                    *known = *sequence;
                    for point in points {
                        values[usize::from(point.index)] = point.value;
                    }
                }
                FleetChange::Gone { address } => _ = page.remove(address),
                FleetChange::Synced { .. } => {}
            }
        }
        page
    }

    #[test]
    fn few_changes_are_told_as_they_came() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        let changes = [
            controller(7, 1, 0),
            points(7, 1, 2, &[(1, 1)]),
            points(7, 1, 3, &[(1, 0)]),
        ];
        changes.iter().cloned().for_each(|change| batch.add(change));
        assert!(!batch.is_empty());
        assert_eq!(batch.take(), changes);
        assert!(batch.is_empty());
        assert_eq!(batch.take(), []);
    }

    #[test]
    fn a_flood_is_told_once_per_controller_and_loses_nothing() {
        let mut batch = Batch::default();
        let mut told = Vec::new();
        let before: Vec<_> = (1..=500).map(|address| controller(address, 0, 0)).collect();
        for sequence in 1..=40 {
            for address in 1..=500 {
                let index = (sequence % 2) as u8;
                told.push(points(
                    address,
                    1,
                    sequence,
                    &[(index, i64::from(sequence + address))],
                ));
            }
        }
        told.push(controller(9, 41, 5));
        told.push(points(9, 1, 42, &[(0, 6)]));
        told.push(FleetChange::Gone { address: 10 });
        told.push(FleetChange::Synced { count: 499 });
        told.iter().cloned().for_each(|change| batch.add(change));

        let taken = batch.take();
        assert_eq!(
            taken.len(),
            501,
            "one for each controller, and the end of the snapshot"
        );
        assert_eq!(taken.last(), Some(&FleetChange::Synced { count: 499 }));
        let one_by_one = seen(&[before.clone(), told].concat());
        let folded = seen(&[before, taken].concat());
        assert_eq!(one_by_one, folded);
        assert!(batch.is_empty());
    }

    #[test]
    fn another_boots_points_replace_what_waited() {
        let mut folded = Folded::default();
        folded.add(points(7, 1, 900, &[(0, 1)]));
        folded.add(points(7, 2, 1, &[(1, 1), (0, 0)]));
        let expected = points(7, 2, 1, &[(0, 0), (1, 1)]);
        assert_eq!(folded.into_changes(), [expected]);
    }

    #[test]
    fn what_came_back_is_not_gone() {
        let mut folded = Folded::default();
        folded.add(FleetChange::Gone { address: 7 });
        folded.add(controller(7, 1, 0));
        assert_eq!(folded.into_changes(), [controller(7, 1, 0)]);
    }
}
