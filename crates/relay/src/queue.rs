//! A controller's lane: its commands in the order in which they were accepted, those that wait
//! and those in flight, and what brings them from one to the other.

use crate::{
    COMMAND_FRAME_BYTES_MAX, Haste, Output, Relay, ResumedCommand, Sabotage, StoreRequest,
    StoreResult, StoredCommand, Ticket, Work,
    kept::KeptFrame,
    presence::Controller,
    receipts::{Known, News, Phase, Record},
    session::{Side, Slot},
    timers::Timer,
};
use bytes::Bytes;
use std::{collections::VecDeque, hash::BuildHasher, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, FrameRef, limits,
    message::{CommandHead, Key, MessageError, Stage, Time},
};

/// One controller's commands.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Accepted and not sent, oldest first.
    pub(crate) waiting: VecDeque<Key>,
    /// Sent and not ended, oldest first.
    pub(crate) in_flight: VecDeque<Key>,
    /// Questions for outcomes that are open.
    pub(crate) asked: Vec<Asked>,
    /// The controller is back, and its commands in flight are not all accounted for: nothing new
    /// goes out.
    pub(crate) is_resolving: bool,
    pub(crate) outcomes_timer_at: Option<Duration>,
    /// When the lane is looked at: no later than the moment of any command in it.
    pub(crate) timer_at: Option<Duration>,
    /// The store failed to mark the first as sent; when it is asked again.
    pub(crate) mark_at: Option<Duration>,
}

/// What a controller has that was given no command for a while.
static NO_LANE: Lane = Lane {
    waiting: VecDeque::new(),
    in_flight: VecDeque::new(),
    asked: Vec::new(),
    is_resolving: false,
    outcomes_timer_at: None,
    timer_at: None,
    mark_at: None,
};

impl Lane {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_empty()
            && self.asked.is_empty()
            && !self.is_resolving
            && self.outcomes_timer_at.is_none()
            && self.timer_at.is_none()
            && self.mark_at.is_none()
    }
}

impl Controller {
    /// Its commands.
    pub(crate) fn lane(&self) -> &Lane {
        self.lane.as_deref().unwrap_or(&NO_LANE)
    }

    /// The same, made where there is none.
    pub(crate) fn lane_mut(&mut self) -> &mut Lane {
        self.lane.get_or_insert_default()
    }
}

/// A question for the outcome of one command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) correlation: u32,
    pub(crate) key: Key,
}

/// How long the store is left alone after a failure.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Commands that the store may still have to forget; past it no command may wait.
const FORGETS_OPEN_MAX: usize = 4_096;

/// A write to the store that is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Write {
    Queue(Key),
    Mark(Key),
    Forget(Key),
}

impl Relay {
    /// A tool's command to the controller at this place, or with the code that refuses it: the right
    /// to give it was judged.
    pub(crate) fn command_came(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: FrameRef<'_>,
        there: Result<u32, Code>,
    ) {
        let header = *frame.header();
        let head = match CommandHead::decode(frame.payload()) {
            Ok(head) => head,
            Err(MessageError::Cbor(_)) => return self.end(work, slot, Code::Malformed),
            // Without a key there can be no receipt.
            Err(error) => {
                let code = there.err().unwrap_or(error.code());
                return self.refuse_request(work, slot, frame, code);
            }
        };
        let Some(account) = self.sessions.account_of(slot) else {
            return;
        };
        let asker = (header.source, header.correlation);
        let fingerprint = self.hash.hash_one(frame.payload());
        let new = Known::new(header.destination, account, asker, fingerprint);
        if let Some((&known, _)) = self.ledger.known(head.key) {
            return self.key_repeated(work, slot, frame, head.key, (&known, &new), there);
        }
        let ahead = head.expiry.0.saturating_sub(work.now.time.0);
        let expires_at = work.now.since_start + Duration::from_millis(ahead);
        let admitted = there.and_then(|index| self.admit(index, &head, frame, ahead));
        let refusal = match admitted {
            Ok(admission) => {
                self.journal_command(work, slot, &head, frame, None);
                let record = Record::new(new, expires_at);
                return self.admitted(work, admission, &head, record, frame);
            }
            Err(refusal) => refusal,
        };
        let stage = match refusal {
            Code::Expired => Stage::Expired,
            _ => Stage::Refused,
        };
        self.journal_command(work, slot, &head, frame, Some((stage, refusal)));
        let news = News::of(work, stage, Some(refusal));
        self.turn_away(work, head.key, new, expires_at, news);
    }

    /// A command whose key is known: the command that it was used with is told of again, if this is
    /// the very same and its account may still hear of it.
    fn key_repeated(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: FrameRef<'_>,
        key: Key,
        (known, new): (&Known, &Known),
        there: Result<u32, Code>,
    ) {
        self.counters.keys_repeated += 1;
        let fault = if known.account != new.account {
            Some(Code::NotGranted)
        } else if known.controller != new.controller || known.fingerprint != new.fingerprint {
            Some(Code::BadField)
        } else {
            None
        };
        if let Some(fault) = fault {
            let code = there.err().unwrap_or(fault);
            self.journal_denial(work, slot, frame, code);
            return self.refuse_command(work, slot, new.reply_to.1, key, code);
        }
        if !self.hears_of(slot, known) {
            // A receipt would say how it ended, and a refusal would be a lie.
            return self.refuse_request(work, slot, frame, Code::UnknownAddress);
        }
        if let Some(known) = self.ledger.known_mut(key) {
            known.reply_to = new.reply_to;
        }
        self.tell(work, key, Haste::Now);
    }

    fn admitted(
        &mut self,
        work: &mut Work<'_>,
        admission: Admission,
        head: &CommandHead,
        mut record: Record,
        frame: FrameRef<'_>,
    ) {
        if let Admission::Send = admission {
            record.frame = Some(self.ledger.frames.keep(frame.bytes()));
            self.enlist(head.key, record, Phase::Held);
            return self.transmit(work, head.key);
        }
        record.frame = Some(KeptFrame::Own(Bytes::copy_from_slice(frame.bytes())));
        if let Admission::Hold = admission {
            return self.enlist(head.key, record, Phase::Held);
        }
        record.is_stored = true;
        self.enlist(head.key, record, Phase::Queueing);
        self.store_queue(work, head.key, head.expiry);
        if self.sabotaged(Sabotage::PromiseEarly) {
            let news = News::of(work, Stage::Queued, None);
            self.advance(work, head.key, news);
        }
    }

    fn admit(
        &self,
        index: u32,
        head: &CommandHead,
        frame: FrameRef<'_>,
        ahead: u64,
    ) -> Result<Admission, Code> {
        let controller = self.fleet.at(index);
        if ahead == 0 {
            return Err(Code::Expired);
        }
        if Duration::from_millis(ahead) > limits::EXPIRY_MAX {
            return Err(Code::OutOfRange);
        }
        if frame.bytes().len() > COMMAND_FRAME_BYTES_MAX {
            return Err(Code::TooLarge);
        }
        if self.is_record_missing {
            return Err(Code::StoreUnavailable);
        }
        let lane = controller.lane();
        let is_full = lane.waiting.len() >= limits::WAITING_MAX;
        let Some(slot) = controller.session().filter(|_| controller.online) else {
            return match head.wait {
                false => Err(Code::Offline),
                true if is_full => Err(Code::Busy),
                // A store that forgets nothing is to be given nothing more.
                true if self.forgets_open >= FORGETS_OPEN_MAX => Err(Code::StoreUnavailable),
                true => Ok(Admission::Store),
            };
        };
        let session = self.sessions.at(slot);
        if let Side::Controller {
            frame_bytes_max, ..
        } = session.side
            && frame.bytes().len() > frame_bytes_max
        {
            return Err(Code::TooLarge);
        }
        if lane.is_resolving || !lane.waiting.is_empty() {
            let overtakes = self.sabotaged(Sabotage::Overtake) && !lane.is_resolving;
            return match is_full {
                _ if overtakes => Ok(Admission::Send),
                true => Err(Code::Busy),
                false => Ok(Admission::Hold),
            };
        }
        let queued_bytes = session.queued_bytes + frame.bytes().len();
        if lane.in_flight.len() >= limits::IN_FLIGHT_MAX
            || queued_bytes > self.settings.controller_queue_bytes_max
        {
            return Err(Code::Busy);
        }
        Ok(Admission::Send)
    }

    /// Enters a command at the end of its controller's lane.
    pub(crate) fn enlist(&mut self, key: Key, mut record: Record, phase: Phase) {
        record.phase = phase;
        if let Some(index) = self.fleet.index_of(record.known.controller) {
            self.fleet.at_mut(index).lane_mut().waiting.push_back(key);
            self.arm_lane(index, record.due_at);
        }
        self.ledger.waiting += 1;
        self.ledger.records.insert(key, record);
    }

    /// Sends a command that waits: the controller is there, and it is this one's turn.
    fn transmit(&mut self, work: &mut Work<'_>, key: Key) {
        let record = self.ledger.at_mut(key);
        let Some(index) = self.fleet.index_of(record.known.controller) else {
            return;
        };
        let controller = self.fleet.at_mut(index);
        let (Some(slot), Some(boot)) = (controller.session(), controller.boot()) else {
            return;
        };
        let Some(frame) = record.frame.take() else {
            return;
        };
        record.phase = Phase::InFlight;
        record.boot = boot;
        record.due_at = record.expires_at + limits::EXPIRY_GRACE;
        let due_at = record.due_at;
        let lane = controller.lane_mut();
        if let Some(at) = lane.waiting.iter().position(|&it| it == key) {
            lane.waiting.remove(at);
        }
        lane.in_flight.push_back(key);
        self.ledger.waiting -= 1;
        self.ledger.in_flight += 1;
        self.arm_lane(index, due_at);
        self.send(work, slot, &frame);
        let news = News::of(work, Stage::Sent, None);
        work.journal_progress(key, boot, &news, false);
        self.counters.add_stage(news.stage);
        let record = self.ledger.at_mut(key);
        record.frame = Some(frame);
        record.known.note(&news);
        // The controller's own receipt follows soon.
        self.tell(work, key, Haste::Along);
    }

    /// Gives a command in a lane another moment.
    pub(crate) fn put_off(&mut self, key: Key, at: Duration) {
        let record = self.ledger.at_mut(key);
        record.due_at = at;
        if let Some(index) = self.fleet.index_of(record.known.controller) {
            self.arm_lane(index, at);
        }
    }

    /// Has a lane looked at by `at`, or before.
    fn arm_lane(&mut self, index: u32, at: Duration) {
        let controller = self.fleet.at_mut(index);
        let armed_at = controller.lane().timer_at;
        if armed_at.is_some_and(|armed_at| armed_at <= at) {
            return;
        }
        controller.lane_mut().timer_at = Some(at);
        let timer = Timer::Lane(controller.address);
        if let Some(armed_at) = armed_at {
            self.timers.disarm(armed_at, timer);
        }
        self.timers.arm(at, timer);
    }

    /// Deals with those of a controller's commands whose moment has come.
    pub(crate) fn lane_due(&mut self, work: &mut Work<'_>, address: Address) {
        let now = work.now.since_start;
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        self.fleet.at_mut(index).lane_mut().timer_at = None;
        let mut due: Vec<_> = self.moments(index).filter(|&(at, _)| at <= now).collect();
        due.sort_unstable();
        for (_, key) in due {
            self.command_due(work, key);
        }
        // What is still due has been dealt with.
        let next = self.moments(index).map(|(at, _)| at);
        if let Some(next) = next.filter(|&at| at > now).min() {
            self.arm_lane(index, next);
        }
        let controller = self.fleet.at_mut(index);
        if controller.lane().is_idle() {
            // An idle controller shall not keep the room of its busiest minute.
            controller.lane = None;
        }
    }

    /// The moments of the commands in a lane.
    fn moments(&self, index: u32) -> impl Iterator<Item = (Duration, Key)> + '_ {
        let lane = self.fleet.at(index).lane();
        let keys = lane.waiting.iter().chain(&lane.in_flight);
        keys.map(|&key| (self.ledger.at(key).due_at, key))
    }

    /// Has a lane looked at once this input is dealt with.
    pub(crate) fn stir(&mut self, index: u32) {
        let lane = self.fleet.at(index).lane();
        if !lane.waiting.is_empty() && self.stirred.last() != Some(&index) {
            self.stirred.push(index);
        }
    }

    /// Sends what may be sent now, in order.
    pub(crate) fn drain(&mut self, work: &mut Work<'_>, index: u32) {
        loop {
            let controller = self.fleet.at(index);
            let lane = controller.lane();
            let Some(slot) = controller.session().filter(|_| controller.online) else {
                return;
            };
            if lane.is_resolving || lane.in_flight.len() >= limits::IN_FLIGHT_MAX {
                return;
            }
            let Some(&key) = lane.waiting.front() else {
                return;
            };
            let record = self.ledger.at(key);
            let phase = record.phase;
            let is_late = record.expires_at <= work.now.since_start;
            if is_late && phase != Phase::Marking && !self.sabotaged(Sabotage::SendLate) {
                let news = News::of(work, Stage::Expired, Some(Code::Expired));
                self.finish(work, key, news);
                continue;
            }
            if matches!(phase, Phase::Held | Phase::Queued) && !self.may_go(key, controller.site())
            {
                self.withdraw(work, key);
                continue;
            }
            let bytes = record.frame.as_ref().map_or(0, |frame| frame.len());
            let session = self.sessions.at(slot);
            if let Side::Controller {
                frame_bytes_max, ..
            } = session.side
                && bytes > frame_bytes_max
            {
                let news = News::of(work, Stage::Refused, Some(Code::TooLarge));
                self.finish(work, key, news);
                continue;
            }
            if session.queued_bytes + bytes > self.settings.controller_queue_bytes_max {
                // It is looked at again when the controller has read something.
                return;
            }
            match phase {
                Phase::Held => self.transmit(work, key),
                Phase::Queued if self.sabotaged(Sabotage::SendBeforeMark) => {
                    self.transmit(work, key);
                }
                Phase::Queued => {
                    let boot = controller.boot();
                    if lane.mark_at.is_none()
                        && let Some(boot) = boot
                    {
                        let record = self.ledger.at_mut(key);
                        record.phase = Phase::Marking;
                        record.boot = boot;
                        self.store(work, Write::Mark(key), StoreRequest::MarkSent { key, boot });
                    }
                    return;
                }
                // The store is at it; what comes behind must not overtake.
                _ => return,
            }
        }
    }

    /// A controller's link is gone: what was only held in memory for it must now find its place in
    /// the store, or be refused.
    pub(crate) fn lane_cut(&mut self, work: &mut Work<'_>, index: u32) {
        let Some(lane) = &mut self.fleet.at_mut(index).lane else {
            return;
        };
        lane.is_resolving = false;
        lane.asked.clear();
        let outcomes_timer_at = lane.outcomes_timer_at.take();
        let mark_at = lane.mark_at.take();
        let waiting: Vec<Key> = lane.waiting.iter().copied().collect();
        let in_flight: Vec<Key> = lane.in_flight.iter().copied().collect();
        let address = self.fleet.at(index).address;
        if let Some(at) = outcomes_timer_at {
            self.timers.disarm(at, Timer::Outcomes(address));
        }
        if let Some(at) = mark_at {
            self.timers.disarm(at, Timer::Mark(address));
        }
        for key in in_flight {
            // Kept in case that it never arrived, but not in memory that others could use.
            let record = self.ledger.at_mut(key);
            if let Some(frame) = record.frame.take() {
                record.frame = Some(KeptFrame::Own(frame.to_own()));
                self.ledger.frames.take_back(Some(frame));
            }
        }
        for key in waiting {
            if self.ledger.at(key).phase == Phase::Held {
                self.store_or_refuse(work, key);
            }
        }
    }

    /// A command that was only held in memory is to find its place in the store, or to be refused.
    fn store_or_refuse(&mut self, work: &mut Work<'_>, key: Key) {
        let record = self.ledger.at_mut(key);
        let head = record
            .frame
            .as_ref()
            .and_then(|frame| CommandHead::decode(&frame[limits::HEADER_BYTES..]).ok());
        match head.filter(|head| head.wait) {
            Some(head) => {
                record.phase = Phase::Queueing;
                record.is_stored = true;
                self.store_queue(work, key, head.expiry);
            }
            None => {
                let news = News::of(work, Stage::Refused, Some(Code::Offline));
                self.finish(work, key, news);
            }
        }
    }

    /// Takes a command that ends out of its lane.
    pub(crate) fn leave_lane(&mut self, work: &mut Work<'_>, index: u32, key: Key, was: Phase) {
        let lane = self.fleet.at_mut(index).lane_mut();
        let keys = match was {
            Phase::InFlight => &mut lane.in_flight,
            _ => &mut lane.waiting,
        };
        if let Some(at) = keys.iter().position(|&it| it == key) {
            keys.remove(at);
        }
        lane.asked.retain(|asked| asked.key != key);
        self.resolved_perhaps(work, index);
        self.stir(index);
    }

    /// The controller is no more: whatever it was to do ends here.
    pub(crate) fn refuse_lane(&mut self, work: &mut Work<'_>, index: u32, code: Code) {
        let lane = self.fleet.at(index).lane();
        let waiting: Vec<Key> = lane.waiting.iter().copied().collect();
        let in_flight: Vec<Key> = lane.in_flight.iter().copied().collect();
        for key in waiting {
            let news = News::of(work, Stage::Refused, Some(code));
            self.finish(work, key, news);
        }
        for key in in_flight {
            let news = News::of(work, Stage::Unknown, Some(Code::LinkLost));
            self.finish(work, key, news);
        }
    }

    fn store_queue(&mut self, work: &mut Work<'_>, key: Key, expiry: Time) {
        self.order += 1;
        let order = self.order;
        let record = self.ledger.at(key);
        let Some(frame) = record.frame.as_ref().map(KeptFrame::to_own) else {
            return;
        };
        let command = StoredCommand {
            key,
            order,
            account: self.sessions.account_name(record.known.account).clone(),
            expiry,
            frame,
            sent: None,
        };
        self.store(work, Write::Queue(key), StoreRequest::Queue(command));
    }

    /// Has the store forget a command, however long it takes.
    pub(crate) fn forget(&mut self, work: &mut Work<'_>, key: Key) {
        self.forgets_open += 1;
        self.store_forget(work, key);
    }

    pub(crate) fn store_forget(&mut self, work: &mut Work<'_>, key: Key) {
        self.store(work, Write::Forget(key), StoreRequest::Forget { key });
    }

    fn store(&mut self, work: &mut Work<'_>, write: Write, request: StoreRequest) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.writes.insert(ticket, write);
        work.output(Output::Store { ticket, request });
    }

    /// The store answers.
    pub(crate) fn stored(&mut self, work: &mut Work<'_>, ticket: Ticket, result: StoreResult) {
        let Some(write) = self.writes.remove(&ticket) else {
            return;
        };
        if result != StoreResult::Committed {
            self.counters.store_failures += 1;
        }
        match write {
            Write::Queue(key) => self.queued(work, key, result),
            Write::Mark(key) => self.marked(work, key, result),
            Write::Forget(key) => self.forgotten(work, key, result),
        }
    }

    fn queued(&mut self, work: &mut Work<'_>, key: Key, result: StoreResult) {
        let record = self.ledger.records.get_mut(&key);
        // It may have expired meanwhile; then the store has been told to forget it.
        let Some(record) = record.filter(|record| record.phase == Phase::Queueing) else {
            return;
        };
        let address = record.known.controller;
        match result {
            StoreResult::Committed => {
                record.phase = Phase::Queued;
                let news = News::of(work, Stage::Queued, None);
                self.advance(work, key, news);
                if self.sabotaged(Sabotage::LoseQueued) && key.0[0] < 16 {
                    let record = self.ledger.at_mut(key);
                    record.phase = Phase::Queueing;
                    if let Some(controller) = self.fleet.find_mut(address) {
                        controller.lane_mut().waiting.retain(|&it| it != key);
                    }
                    return;
                }
                if let Some(index) = self.fleet.index_of(address) {
                    self.stir(index);
                }
            }
            StoreResult::Failed => {
                record.is_stored = false;
                let news = News::of(work, Stage::Refused, Some(Code::StoreUnavailable));
                self.finish(work, key, news);
            }
            StoreResult::Unclear => self.unqueue(work, key, Code::StoreUnavailable),
        }
    }

    fn marked(&mut self, work: &mut Work<'_>, key: Key, result: StoreResult) {
        let record = self.ledger.records.get_mut(&key);
        let Some(record) = record.filter(|record| record.phase == Phase::Marking) else {
            return;
        };
        // Back to waiting: either the mark is on record and it goes out at once, or it is tried
        // again. A mark that holds although nothing was sent only makes a restart careful.
        record.phase = Phase::Queued;
        let (address, boot) = (record.known.controller, record.boot);
        let is_late = record.expires_at <= work.now.since_start;
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        let controller = self.fleet.at(index);
        let site = controller.site();
        let is_ready = controller.online
            && controller.boot() == Some(boot)
            && !controller.lane().is_resolving
            && controller.lane().in_flight.len() < limits::IN_FLIGHT_MAX
            && controller.lane().waiting.front() == Some(&key);
        match result {
            _ if is_late && !self.sabotaged(Sabotage::SendLate) => {
                let news = News::of(work, Stage::Expired, Some(Code::Expired));
                self.finish(work, key, news);
            }
            _ if !self.may_go(key, site) => self.withdraw(work, key),
            StoreResult::Committed if is_ready => {
                self.transmit(work, key);
                self.stir(index);
            }
            StoreResult::Committed => self.stir(index),
            _ if !controller.online => {}
            _ => {
                let at = work.now.since_start + STORE_RETRY_AFTER;
                self.fleet.at_mut(index).lane_mut().mark_at = Some(at);
                self.timers.arm(at, Timer::Mark(address));
            }
        }
    }

    fn forgotten(&mut self, work: &mut Work<'_>, key: Key, result: StoreResult) {
        if result != StoreResult::Committed {
            let at = work.now.since_start + STORE_RETRY_AFTER;
            return self.timers.arm(at, Timer::Forget(key));
        }
        self.forgets_open -= 1;
        if let Some(record) = self.ledger.records.get_mut(&key)
            && let Phase::Unqueueing(code) = record.phase
        {
            record.is_stored = false;
            let news = News::of(work, Stage::Refused, Some(code));
            self.finish(work, key, news);
        }
    }

    pub(crate) fn mark_again(&mut self, address: Address) {
        if let Some(index) = self.fleet.index_of(address) {
            self.fleet.at_mut(index).lane_mut().mark_at = None;
            self.stir(index);
        }
    }

    /// A command's moment has come: its expiry while it waits, the end of patience afterwards.
    pub(crate) fn command_due(&mut self, work: &mut Work<'_>, key: Key) {
        let Some(record) = self.ledger.records.get(&key) else {
            return;
        };
        match record.phase {
            Phase::InFlight => self.patience_ends(work, key),
            Phase::Held | Phase::Queued if self.sabotaged(Sabotage::SendLate) => {}
            Phase::Unqueueing(_) => {
                // Whether the store keeps it or not: it can no longer be executed.
                let news = News::of(work, Stage::Expired, Some(Code::Expired));
                self.ledger.at_mut(key).is_stored = false;
                self.finish(work, key, news);
            }
            _ => {
                let news = News::of(work, Stage::Expired, Some(Code::Expired));
                self.finish(work, key, news);
            }
        }
    }

    /// A command that the store held when the gateway started, and that the journal does not know.
    pub(crate) fn restored(&mut self, work: &mut Work<'_>, stored: StoredCommand) {
        self.journal_stored(work, &stored);
        let resumed = ResumedCommand {
            command: stored,
            receipt: None,
            is_stored: true,
            may_send_again: false,
        };
        self.resumed(work, resumed);
    }

    /// A command that had not ended when the gateway was killed.
    pub(crate) fn resumed(&mut self, work: &mut Work<'_>, resumed: ResumedCommand) {
        let ResumedCommand {
            command: stored,
            receipt,
            is_stored,
            may_send_again,
        } = resumed;
        let key = stored.key;
        self.order = self.order.max(stored.order);
        let mut rest = stored.frame.clone();
        let frame = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX);
        let is_usable = |frame: &Frame| CommandHead::decode(frame.payload()).is_ok();
        let frame = frame.ok().flatten().filter(is_usable);
        let Some(frame) = frame.filter(|_| self.ledger.known(key).is_none()) else {
            if is_stored {
                self.forget(work, key);
            }
            return;
        };
        let ahead = stored.expiry.0.saturating_sub(work.now.time.0);
        // No command was accepted from further ahead than this: a gateway whose clock is behind
        // must not keep it for years.
        let left = Duration::from_millis(ahead).min(limits::EXPIRY_MAX);
        let expires_at = work.now.since_start + left;
        let account = self.sessions.account(&stored.account);
        let mut record = Record::new(self.known_of(&frame, account), expires_at);
        let controller = record.known.controller;
        record.frame = Some(KeptFrame::Own(stored.frame));
        record.is_stored = is_stored;
        if let Some(receipt) = receipt {
            record.known.note(&receipt.news());
        }
        // The store may know more: the gateway was killed between its commit and the entry.
        let stage = match stored.sent {
            Some(_) => Some(Stage::Sent),
            None => is_stored.then_some(Stage::Queued),
        };
        if let Some(stage) = stage.filter(|_| record.known.stage < stage) {
            let news = News::of(work, stage, None);
            work.journal_progress(key, stored.sent.unwrap_or(0), &news, false);
            record.known.note(&news);
        }
        let phase = match is_stored {
            true => Phase::Queued,
            false => Phase::Held,
        };
        self.enlist(key, record, phase);
        let Some(index) = self.fleet.index_of(controller) else {
            let news = match stored.sent {
                Some(_) => News::of(work, Stage::Unknown, Some(Code::LinkLost)),
                None => News::of(work, Stage::Refused, Some(Code::UnknownAddress)),
            };
            return self.finish(work, key, news);
        };
        if let Some(boot) = stored.sent {
            let lane = self.fleet.at_mut(index).lane_mut();
            lane.waiting.retain(|&it| it != key);
            lane.in_flight.push_back(key);
            self.ledger.waiting -= 1;
            self.ledger.in_flight += 1;
            let record = self.ledger.at_mut(key);
            record.phase = Phase::InFlight;
            record.boot = boot;
            if !may_send_again || record.known.stage > Some(Stage::Sent) {
                // It is never sent again, even if the controller says that it never heard of it: with
                // the gateway's memory went the proof that too few commands followed for it to have
                // been forgotten there.
                record.frame = None;
            }
            // Its controller gets the time to come back and say what became of it, even where the
            // gateway was away past the expiry.
            self.put_off(key, expires_at + limits::EXPIRY_GRACE);
        } else if ahead == 0 {
            let news = News::of(work, Stage::Expired, Some(Code::Expired));
            self.finish(work, key, news);
        } else if !self.may_go(key, self.fleet.at(index).site()) {
            self.withdraw(work, key);
        } else if !is_stored {
            self.store_or_refuse(work, key);
        }
    }
}

/// What becomes of a command that is not refused.
#[derive(Clone, Copy, Debug)]
enum Admission {
    /// Its controller is there and nothing is before it.
    Send,
    /// Its controller is there, but others are before it.
    Hold,
    /// Its controller is away, and it may wait.
    Store,
}
