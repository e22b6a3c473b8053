//! Who is told what of controllers: status and presence as they come, or, for a tool that does not
//! keep up, the latest truth when its queue drains.
//!
//! Falling behind and having just subscribed are the same thing here: a controller is *marked* for
//! a tool, nothing more of it is sent as it comes, and in its turn the tool gets its presence and
//! full status. So a slow tool costs one bit a controller, whatever the fleet does meanwhile.

use crate::{Relay, Sabotage, Work, session::Slot};
use std::collections::VecDeque;
use switchyard_protocol::{
    Address, Code,
    message::{Answer, Body, Verb},
};

/// Answers that may wait behind the controllers they end, for one tool.
const ANSWERS_DUE_MAX: usize = 64;

/// What one tool is to be told.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Everything, those enrolled later included.
    all: bool,
    /// Those that were named, by their places in the fleet.
    chosen: Bits,
    /// Those that it will get in full.
    marks: Bits,
    /// In which order; a controller whose mark has gone is passed over.
    due: VecDeque<Due>,
    answers_due: usize,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// Presence and full status of a controller.
    Controller(u32),
    /// The answer to a subscribe with this correlation id.
    Subscribed(u32),
    /// The answer to a snapshot with this correlation id.
    Snapshot(u32),
}

impl Feed {
    fn mark(&mut self, index: u32) {
        if self.marks.set(index) {
            self.due.push_back(Due::Controller(index));
        }
    }

    fn answer(&mut self, due: Due) {
        self.due.push_back(due);
        self.answers_due += 1;
    }

    fn is_subscribed(&self) -> bool {
        self.all || self.chosen.count > 0
    }
}

impl Relay {
    pub(crate) fn subscribe(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        correlation: u32,
        controllers: Option<&[Address]>,
    ) -> Result<(), Code> {
        // First of all: being refused must cost less than being served.
        Self::feed(&mut self.sessions, slot)?;
        let mut wanted = Vec::new();
        match controllers {
            None => wanted.extend(self.fleet.indexes()),
            Some(addresses) => {
                for &address in addresses {
                    let index = self.fleet.index_of(address);
                    wanted.push(index.ok_or(Code::UnknownAddress)?);
                }
            }
        }
        let feed = Self::feed(&mut self.sessions, slot)?;
        let was_subscribed = feed.is_subscribed();
        if controllers.is_none() && !feed.all {
            feed.all = true;
            let chosen = std::mem::take(&mut feed.chosen);
            for index in chosen.iter() {
                drop_slot(&mut self.fleet.at_mut(index).subscribers, slot);
            }
            self.fleet.all_subscribers.push(slot);
        }
        for index in wanted {
            if !feed.all && feed.chosen.set(index) {
                self.fleet.at_mut(index).subscribers.push(slot);
            }
            feed.mark(index);
        }
        feed.answer(Due::Subscribed(correlation));
        if !was_subscribed && feed.is_subscribed() {
            self.subscribers += 1;
        }
        self.pump(work, slot);
        Ok(())
    }

    /// One controller's presence and full status, subscribed to or not.
    pub(crate) fn snapshot(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        correlation: u32,
        controller: Address,
    ) -> Result<(), Code> {
        let index = self.fleet.index_of(controller);
        let index = index.ok_or(Code::UnknownAddress)?;
        let feed = Self::feed(&mut self.sessions, slot)?;
        feed.mark(index);
        feed.answer(Due::Snapshot(correlation));
        self.pump(work, slot);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, work: &mut Work<'_>, slot: Slot) {
        let Some(mut feed) = self.sessions.feed_mut(slot).and_then(Option::take) else {
            return;
        };
        self.drop_feed(slot, &feed);
        // Whoever asked for a snapshot before is still answered, if without what it ends.
        let count = 0;
        for due in feed.due.drain(..) {
            self.answer_due(work, slot, due, count);
        }
    }

    /// A feed's tool has gone, or wants no more.
    pub(crate) fn drop_feed(&mut self, slot: Slot, feed: &Feed) {
        if feed.is_subscribed() {
            self.subscribers -= 1;
        }
        if feed.all {
            drop_slot(&mut self.fleet.all_subscribers, slot);
        }
        for index in feed.chosen.iter() {
            drop_slot(&mut self.fleet.at_mut(index).subscribers, slot);
        }
    }

    /// A controller is no more: its place may be given to another. Whoever was to get it in full
    /// still learns that it has gone.
    pub(crate) fn drop_from_feeds(&mut self, work: &mut Work<'_>, index: u32) {
        let gone = self.presence_of(index);
        for slot in self.sessions.tool_slots() {
            if let Some(Some(feed)) = self.sessions.feed_mut(slot) {
                let was_subscribed = feed.is_subscribed();
                let was_marked = feed.marks.clear(index);
                feed.chosen.clear(index);
                if was_subscribed && !feed.is_subscribed() {
                    self.subscribers -= 1;
                }
                if was_marked {
                    self.send(work, slot, gone.bytes());
                }
            }
        }
        self.fleet.at_mut(index).subscribers.clear();
    }

    /// Sends one frame of a controller to everyone who takes its status as it comes. A tool whose
    /// queue is past half gets a mark instead.
    pub(crate) fn fan_out(&mut self, work: &mut Work<'_>, index: u32, frame: &[u8]) {
        let everyone = std::mem::take(&mut self.fleet.all_subscribers);
        for &slot in &everyone {
            self.forward_status(work, slot, index, frame);
        }
        self.fleet.all_subscribers = everyone;
        let chosen = std::mem::take(&mut self.fleet.at_mut(index).subscribers);
        for &slot in &chosen {
            self.forward_status(work, slot, index, frame);
        }
        self.fleet.at_mut(index).subscribers = chosen;
    }

    fn forward_status(&mut self, work: &mut Work<'_>, slot: Slot, index: u32, frame: &[u8]) {
        let half = self.settings.tool_queue_bytes_max / 2;
        let forgets_marks = self.sabotaged(Sabotage::ForgetMarks);
        let is_full = self.sessions.at(slot).queued_bytes >= half;
        let Some(Some(feed)) = self.sessions.feed_mut(slot) else {
            return;
        };
        if is_full && !forgets_marks {
            feed.mark(index);
        }
        if is_full || feed.marks.has(index) {
            self.counters.status_conflated += 1;
        } else {
            self.send(work, slot, frame);
        }
    }

    /// Sends a tool what is due to it, while its queue is below half. One thing goes out even
    /// above that: other tools may keep the queue there for as long as they like
    /// ([`Relay::tool_to_tool`]), and no mark shall wait for them to tire.
    pub(crate) fn pump(&mut self, work: &mut Work<'_>, slot: Slot) {
        let room = self.settings.tool_queue_bytes_max;
        let mut bound = room / 4 * 3;
        while self.sessions.at(slot).queued_bytes < bound {
            let Some(Some(feed)) = self.sessions.feed_mut(slot) else {
                return;
            };
            let Some(due) = feed.due.pop_front() else {
                return;
            };
            match due {
                Due::Controller(index) => {
                    if !feed.marks.clear(index) {
                        continue;
                    }
                    bound = room / 2;
                    let presence = self.presence_of(index);
                    self.send(work, slot, presence.bytes());
                    let controller = self.fleet.at_mut(index);
                    let address = controller.address;
                    if let Some(status) = &mut controller.status {
                        let full = status.frame(address);
                        self.send(work, slot, &full);
                    }
                }
                Due::Subscribed(_) | Due::Snapshot(_) => {
                    bound = room / 2;
                    feed.answers_due -= 1;
                    let count = if feed.all {
                        self.fleet.len() as u32
                    } else {
                        feed.chosen.count
                    };
                    self.answer_due(work, slot, due, count);
                }
            }
        }
    }

    fn answer_due(&mut self, work: &mut Work<'_>, slot: Slot, due: Due, count: u32) {
        match due {
            Due::Controller(_) => {}
            Due::Subscribed(correlation) => {
                let body = Body::Subscribe { count };
                self.respond(work, slot, correlation, &Answer::Ok(body));
            }
            Due::Snapshot(correlation) => {
                let body = Body::Done(Verb::Snapshot);
                self.respond(work, slot, correlation, &Answer::Ok(body));
            }
        }
    }

    /// A tool's feed, made at its first use.
    fn feed(sessions: &mut crate::session::Sessions, slot: Slot) -> Result<&mut Feed, Code> {
        let feed = sessions.feed_mut(slot).ok_or(Code::Forbidden)?;
        let feed = feed.get_or_insert_default();
        if feed.answers_due >= ANSWERS_DUE_MAX {
            return Err(Code::Busy);
        }
        Ok(feed)
    }
}

fn drop_slot(slots: &mut Vec<Slot>, slot: Slot) {
    if let Some(at) = slots.iter().position(|&it| it == slot) {
        slots.swap_remove(at);
    }
}

/// A set of places in the fleet.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    /// Whether it was not in there before.
    fn set(&mut self, index: u32) -> bool {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(is_new);
        is_new
    }

    /// Whether it was in there.
    fn clear(&mut self, index: u32) -> bool {
        let was_in = self.has(index);
        if was_in {
            self.words[index as usize / 64] &= !(1 << (index % 64));
            self.count -= 1;
        }
        was_in
    }

    fn has(&self, index: u32) -> bool {
        // Mostly there is none at all, and the words need not be touched.
        self.count > 0
            && self
                .words
                .get(index as usize / 64)
                .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at as u32 * 64 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_a_set() {
        let mut bits = Bits::default();
        let mut model = std::collections::BTreeSet::new();
        for step in 0..2_000u32 {
            let index = step.wrapping_mul(2_654_435_761) >> 23;
            if step % 3 == 0 {
                assert_eq!(bits.clear(index), model.remove(&index), "{step}");
            } else {
                assert_eq!(bits.set(index), model.insert(index), "{step}");
            }
            assert_eq!(bits.has(index), model.contains(&index));
            assert_eq!(bits.count as usize, model.len());
        }
        assert!(bits.iter().eq(model.iter().copied()));
    }
}
