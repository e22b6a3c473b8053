//! Who is told what of controllers: status and presence as they come, or, for a tool that does not
//! keep up, the latest truth when its queue drains.
//!
//! Falling behind and having just subscribed are the same thing here: a controller is *marked* for
//! a tool, nothing more of it is sent as it comes, and in its turn the tool gets its presence and
//! full status. So a slow tool costs one bit a controller, whatever the fleet does meanwhile.
//!
//! What a tool begins to see is marked likewise, and so is what it may see no more: then it gets, in
//! its turn, the word that the controller is gone. Whoever is in one of the lists that frames go out
//! by may see the controller, so sending asks nobody for a right.

use crate::{
    Haste, Relay, Rights, Sabotage, Work,
    presence::Fleet,
    session::{Side, Slot},
};
use std::collections::VecDeque;
use switchyard_protocol::{
    Address, Code,
    message::{Answer, Body, Verb},
};

/// Answers that may wait behind the controllers they end, for one tool.
const ANSWERS_DUE_MAX: u8 = 64;

/// What may be due to a tool without its room being given back at once.
const DUE_KEPT: usize = 64;

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
    answers_due: u8,
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

    /// Nothing is due any more: a snapshot of everything shall not keep its room.
    fn shrink(&mut self) {
        if self.due.capacity() > DUE_KEPT {
            self.due = VecDeque::new();
            self.marks = Bits::default();
        }
    }

    fn is_subscribed(&self) -> bool {
        self.all || self.chosen.len() > 0
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
            None => {
                let all = self.fleet.indexes();
                wanted.extend(all.filter(|&index| self.sees(slot, index)));
            }
            Some(addresses) => {
                for &address in addresses {
                    let index = self.seen_controller(slot, address);
                    wanted.push(index.ok_or(Code::UnknownAddress)?);
                }
            }
        }
        let rights = self.sessions.rights(slot).cloned().unwrap_or_default();
        let feed = Self::feed(&mut self.sessions, slot)?;
        let was_subscribed = feed.is_subscribed();
        if controllers.is_none() && !feed.all {
            feed.all = true;
            let chosen = std::mem::take(&mut feed.chosen);
            for index in chosen.iter() {
                drop_slot(&mut self.fleet.at_mut(index).subscribers, slot);
            }
            self.fleet.watch(slot, &rights);
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
        let index = self.seen_controller(slot, controller);
        let index = index.ok_or(Code::UnknownAddress)?;
        let feed = Self::feed(&mut self.sessions, slot)?;
        feed.mark(index);
        feed.answer(Due::Snapshot(correlation));
        self.pump(work, slot);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, work: &mut Work<'_>, slot: Slot) {
        let Some(mut feed) = self.unfeed(slot) else {
            return;
        };
        // Whoever asked for a snapshot before is still answered, if without what it ends.
        let count = 0;
        for due in feed.due.drain(..) {
            self.answer_due(work, slot, due, count);
        }
    }

    /// Takes a tool's feed away, if it has one.
    pub(crate) fn unfeed(&mut self, slot: Slot) -> Option<Box<Feed>> {
        let feed = self.sessions.feed_mut(slot)?.take()?;
        let rights = self.sessions.rights(slot).cloned().unwrap_or_default();
        self.drop_feed(slot, &feed, &rights);
        Some(feed)
    }

    /// A feed's tool, which had these rights, has gone, or wants no more.
    pub(crate) fn drop_feed(&mut self, slot: Slot, feed: &Feed, rights: &Rights) {
        if feed.is_subscribed() {
            self.subscribers -= 1;
        }
        if feed.all {
            self.fleet.unwatch(slot, rights);
        }
        for index in feed.chosen.iter() {
            drop_slot(&mut self.fleet.at_mut(index).subscribers, slot);
        }
    }

    /// A tool has other rights: what goes out to everybody who sees it finds it by the new ones.
    pub(crate) fn rewatch(&mut self, slot: Slot, old: &Rights, new: &Rights) {
        if let Some(Some(feed)) = self.sessions.feed_mut(slot)
            && feed.all
        {
            self.fleet.unwatch(slot, old);
            self.fleet.watch(slot, new);
        }
    }

    /// A tool begins to see each of these controllers, or sees it no more. It is told so of what it
    /// subscribed to: as part of everything, and by name where it sees one no more, by which such a
    /// subscription ends.
    pub(crate) fn view_changed(&mut self, work: &mut Work<'_>, slot: Slot, indexes: &[u32]) {
        let side = &mut self.sessions.at_mut(slot).side;
        let Side::Tool {
            rights,
            feed: Some(feed),
            ..
        } = side
        else {
            return;
        };
        let was_subscribed = feed.is_subscribed();
        for &index in indexes {
            let controller = self.fleet.at_mut(index);
            if feed.all {
                feed.mark(index);
            } else if !rights.sees(controller.site()) && feed.chosen.clear(index) {
                drop_slot(&mut controller.subscribers, slot);
                feed.mark(index);
            }
        }
        self.subscribers -= usize::from(was_subscribed && !feed.is_subscribed());
        self.pump(work, slot);
    }

    /// A controller is no more: its place may be given to another. Whoever was to get it in full
    /// still learns that it has gone.
    pub(crate) fn drop_from_feeds(&mut self, work: &mut Work<'_>, index: u32) {
        let (gone, goodbye) = (self.presence_of(index), self.goodbye_of(index));
        for slot in self.sessions.tool_slots() {
            if let Some(Some(feed)) = self.sessions.feed_mut(slot) {
                let was_subscribed = feed.is_subscribed();
                let was_marked = feed.marks.clear(index);
                feed.chosen.clear(index);
                if was_subscribed && !feed.is_subscribed() {
                    self.subscribers -= 1;
                }
                if was_marked {
                    let sees = self.sees(slot, index);
                    let frame = if sees { &gone } else { &goodbye };
                    self.send(work, slot, frame.bytes());
                }
            }
        }
        self.fleet.at_mut(index).subscribers.clear();
    }

    /// Sends one frame of a controller to everyone who takes its status as it comes. A tool whose
    /// queue is past half gets a mark instead.
    pub(crate) fn fan_out(&mut self, work: &mut Work<'_>, index: u32, frame: &[u8]) {
        let everyone = std::mem::take(&mut self.fleet.all_subscribers);
        self.forward_status(work, &everyone, index, frame);
        self.fleet.all_subscribers = everyone;
        if let Some(there) = self.fleet.watchers_there(index).map(std::mem::take) {
            self.forward_status(work, &there, index, frame);
            if let Some(watchers) = self.fleet.watchers_there(index) {
                *watchers = there;
            }
        }
        if !self.fleet.at(index).subscribers.is_empty() {
            let chosen = std::mem::take(&mut self.fleet.at_mut(index).subscribers);
            self.forward_status(work, &chosen, index, frame);
            self.fleet.at_mut(index).subscribers = chosen;
        }
    }

    fn forward_status(&mut self, work: &mut Work<'_>, to: &[Slot], index: u32, frame: &[u8]) {
        let room = self.settings.tool_queue_bytes_max;
        let forgets_marks = self.sabotaged(Sabotage::ForgetMarks);
        let mut sent = 0;
        for &slot in to {
            let session = self.sessions.at_mut(slot);
            let is_full = session.queued_bytes >= room / 2;
            let Some(feed) = session.feed_mut() else {
                continue;
            };
            if is_full && !forgets_marks {
                feed.mark(index);
            }
            if is_full || feed.marks.has(index) {
                self.counters.status_conflated += 1;
                continue;
            }
            sent += 1;
            let queued_bytes = session.queue(frame.len(), work.now);
            let connection = session.connection;
            work.sink.send(connection, frame, Haste::Now);
            if queued_bytes > room {
                self.doomed.push(connection);
            }
        }
        self.sessions.queued_bytes += sent * frame.len();
        self.counters.frames_sent += sent as u64;
    }

    /// Sends an event of a controller to everyone who takes its status. It says what no later frame
    /// says again, so a mark is no matter; a tool without room misses it.
    pub(crate) fn pass_on(&mut self, work: &mut Work<'_>, index: u32, frame: &[u8]) {
        let room = self.settings.tool_queue_bytes_max / 8 * 7;
        let mut everyone = self.fleet.at(index).subscribers.clone();
        everyone.extend(&self.fleet.all_subscribers);
        if let Some(there) = self.fleet.watchers_there(index) {
            everyone.extend(&*there);
        }
        for slot in everyone {
            if self.sessions.at(slot).queued_bytes + frame.len() <= room {
                self.send(work, slot, frame);
            } else {
                self.counters.dropped.add(Code::Busy);
            }
        }
    }

    /// Sends a tool what is due to it, while its queue is below half. One thing goes out even
    /// above that: other tools may keep the queue there for as long as they like
    /// ([`Relay::tool_to_tool`]), and no mark shall wait for them to tire.
    pub(crate) fn pump(&mut self, work: &mut Work<'_>, slot: Slot) {
        let room = self.settings.tool_queue_bytes_max;
        let mut bound = room / 4 * 3;
        while self.sessions.at(slot).queued_bytes < bound {
            let side = &mut self.sessions.at_mut(slot).side;
            let Side::Tool {
                rights,
                feed: Some(feed),
                ..
            } = side
            else {
                return;
            };
            let Some(due) = feed.due.pop_front() else {
                feed.shrink();
                return;
            };
            match due {
                Due::Controller(index) => {
                    if !feed.marks.clear(index) {
                        continue;
                    }
                    bound = room / 2;
                    if !self.sees(slot, index) {
                        let goodbye = self.goodbye_of(index);
                        self.send(work, slot, goodbye.bytes());
                        continue;
                    }
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
                    // Counted for whoever is told: it is a walk through the fleet.
                    let count = match due {
                        Due::Subscribed(_) if feed.all => self.fleet.seen_with(rights),
                        Due::Subscribed(_) => feed.chosen.len(),
                        _ => 0,
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

impl Fleet {
    /// A tool with these rights gets everything that it may see from now on.
    fn watch(&mut self, slot: Slot, rights: &Rights) {
        if rights.sees_all() {
            return self.all_subscribers.push(slot);
        }
        for site in rights.sites() {
            self.site_subscribers.entry(site).or_default().push(slot);
        }
    }

    /// And no more.
    fn unwatch(&mut self, slot: Slot, rights: &Rights) {
        if rights.sees_all() {
            return drop_slot(&mut self.all_subscribers, slot);
        }
        for site in rights.sites() {
            if let Some(there) = self.site_subscribers.get_mut(&site) {
                drop_slot(there, slot);
                if there.is_empty() {
                    self.site_subscribers.remove(&site);
                }
            }
        }
    }

    /// Who gets all that happens at a controller's site.
    #[inline]
    fn watchers_there(&mut self, index: u32) -> Option<&mut Vec<Slot>> {
        if self.site_subscribers.is_empty() {
            return None;
        }
        let site = self.at(index).site()?;
        self.site_subscribers.get_mut(&site)
    }
}

fn drop_slot(slots: &mut Vec<Slot>, slot: Slot) {
    if let Some(at) = slots.iter().position(|&it| it == slot) {
        slots.swap_remove(at);
    }
}

/// A set of places in the fleet: one by one while they are few, and from then on a bit for each
/// place there is.
#[derive(Debug)]
enum Bits {
    /// Ascending.
    Few(Vec<u32>),
    Many {
        words: Vec<u64>,
        count: u32,
    },
}

/// So many lie one by one: as much memory as bits for a thousand places.
const FEW_MAX: usize = 32;

impl Default for Bits {
    fn default() -> Self {
        Bits::Few(Vec::new())
    }
}

impl Bits {
    fn len(&self) -> u32 {
        match self {
            Bits::Few(indexes) => indexes.len() as u32,
            Bits::Many { count, .. } => *count,
        }
    }

    /// Whether it was not in there before.
    fn set(&mut self, index: u32) -> bool {
        match self {
            Bits::Few(indexes) => {
                let Err(at) = indexes.binary_search(&index) else {
                    return false;
                };
                if indexes.len() < FEW_MAX {
                    indexes.insert(at, index);
                    return true;
                }
                let mut many = Bits::Many {
                    words: Vec::new(),
                    count: 0,
                };
                for &index in &*indexes {
                    many.set(index);
                }
                *self = many;
                self.set(index)
            }
            Bits::Many { words, count } => {
                let (word, bit) = (index as usize / 64, 1 << (index % 64));
                if words.len() <= word {
                    words.resize(word + 1, 0);
                }
                let is_new = words[word] & bit == 0;
                words[word] |= bit;
                *count += u32::from(is_new);
                is_new
            }
        }
    }

    /// Whether it was in there.
    fn clear(&mut self, index: u32) -> bool {
        match self {
            Bits::Few(indexes) => {
                let at = indexes.binary_search(&index);
                at.map(|at| indexes.remove(at)).is_ok()
            }
            Bits::Many { words, count } => {
                let Some(word) = words.get_mut(index as usize / 64) else {
                    return false;
                };
                let bit = 1 << (index % 64);
                let was_in = *word & bit != 0;
                *word &= !bit;
                *count -= u32::from(was_in);
                was_in
            }
        }
    }

    fn has(&self, index: u32) -> bool {
        match self {
            // Mostly there is none at all.
            Bits::Few(indexes) => !indexes.is_empty() && indexes.binary_search(&index).is_ok(),
            Bits::Many { words, .. } => words
                .get(index as usize / 64)
                .is_some_and(|word| word & (1 << (index % 64)) != 0),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (few, words): (&[u32], &[u64]) = match self {
            Bits::Few(indexes) => (indexes, &[]),
            Bits::Many { words, .. } => (&[], words),
        };
        let many = words.iter().enumerate().flat_map(|(at, &word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at as u32 * 64 + bit)
        });
        few.iter().copied().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_a_set() {
        // Once with too many places to stay few, and once with just as many as stay so.
        for shift in [23, 27] {
            let mut bits = Bits::default();
            let mut model = std::collections::BTreeSet::new();
            for step in 0..2_000u32 {
                let index = step.wrapping_mul(2_654_435_761) >> shift;
                if step % 3 == 0 {
                    assert_eq!(bits.clear(index), model.remove(&index), "{step}");
                } else {
                    assert_eq!(bits.set(index), model.insert(index), "{step}");
                }
                assert_eq!(bits.has(index), model.contains(&index));
                assert_eq!(bits.len() as usize, model.len());
                assert!(bits.iter().eq(model.iter().copied()));
            }
            assert_eq!(matches!(bits, Bits::Few(_)), shift == 27);
        }
    }
}
