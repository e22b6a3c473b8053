//! The fleet as others see it: what has changed of it since they last looked, and what they knew of it before
//! this gateway started.

use crate::{Relay, Work, status::Assembly};
use std::sync::Arc;
use switchyard_protocol::{
    Address, FrameRef, Kind, limits,
    message::{Full, Time},
};

/// What there is to say of one controller at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Whether it is there.
    pub online: bool,
    /// Since when it is there or away; 0 when nobody knows.
    pub since: Time,
    /// Its full status as one frame; `None` before the first.
    pub frame: Option<Arc<[u8]>>,
}

impl Relay {
    /// How many [`take_changed`](Self::take_changed) would give.
    pub fn changed(&self) -> usize {
        self.fleet.changed()
    }

    /// At most `max` of the controllers that came, went or told of themselves since they were last taken, in the
    /// order in which they first did, each as it is now; `None` for one that has been forgotten.
    ///
    /// However often a controller changes, it is in here once: whoever does not keep up gets the latest of each.
    /// To make a status's frame takes a microsecond or two, so do not take thousands at a time.
    pub fn take_changed(&mut self, max: usize) -> Vec<(Address, Option<Live>)> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(address) = self.fleet.next_changed()
        {
            let live = self.fleet.find_mut(address).map(|controller| {
                controller.is_changed = false;
                let status = controller.status.as_mut();
                Live {
                    online: controller.online,
                    since: controller.since,
                    frame: status.map(|status| status.frame(address)),
                }
            });
            taken.push((address, live));
        }
        taken
    }

    /// Has a controller taken again: what was taken did not get to where it should.
    pub fn change_again(&mut self, address: Address) {
        match self.fleet.index_of(address) {
            Some(index) => self.fleet.mark_changed(index),
            None => self.fleet.mark_forgotten(address),
        }
    }

    /// Has every controller taken again of which there is anything to say.
    pub fn change_all(&mut self) {
        let indexes: Vec<_> = self.fleet.indexes().collect();
        for index in indexes {
            let controller = self.fleet.at(index);
            if controller.online || controller.since != Time(0) || controller.status.is_some() {
                self.fleet.mark_changed(index);
            }
        }
    }

    /// What was known of a controller before this gateway started. One that has been here since is better known.
    pub(crate) fn status_restored(
        &mut self,
        work: &mut Work<'_>,
        address: Address,
        since: Time,
        frame: &[u8],
    ) {
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        let controller = self.fleet.at_mut(index);
        if controller.session().is_some() || controller.status.is_some() {
            return;
        }
        let is_news = controller.since == Time(0) && since != Time(0);
        if is_news {
            controller.since = since;
            self.tell_presence(work, index);
        }
        if let Some(pages) = restored_pages(address, frame) {
            let full = self.fleet.set_status(index, pages).frame(address);
            self.fan_out(work, index, &full);
        }
    }
}

/// A full status that this program has once made; anything else is as good as none.
fn restored_pages(address: Address, frame: &[u8]) -> Option<Assembly> {
    let (frame, rest) = FrameRef::split(frame, limits::PAYLOAD_BYTES_MAX).ok()??;
    let header = frame.header();
    if !rest.is_empty() || header.kind != Kind::StatusFull || header.source != address {
        return None;
    }
    let pages = Assembly::begin(Full::decode(frame.payload()).ok()?);
    (pages.is_complete() && !pages.has_twice()).then_some(pages)
}
