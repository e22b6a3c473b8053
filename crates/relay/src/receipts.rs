//! The ledger: what became of every command, and who is told.
//!
//! One record per key. It is made when the command is accepted, or refused for a reason that the
//! key has to remember, and outlives the command's end so that a repeated key, or a late question,
//! finds the last receipt instead of causing a second execution.

use crate::{
    EndedCommand, Haste, Map, Now, Relay, Sabotage, Settings, Work,
    kept::{FramePool, Kept, KeptFrame},
    session::{AccountId, Slot},
    timers::Timer,
};
use foldhash::fast::FixedState;
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Flags, FrameRef, Kind, limits,
    message::{Answer, Body, Key, MessageError, Receipt, Stage, Time},
};

/// Where a command that has not ended stands, from the gateway's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In memory only, behind others, for a controller that is there. No receipt yet.
    Held,
    /// The store was asked to keep it. No receipt yet.
    Queueing,
    /// The store was asked to forget it, and may keep it. It is refused with this code once the store
    /// has certainly forgotten it, since a restarted gateway could bring it back before.
    Unqueueing(Code),
    /// The store keeps it.
    Queued,
    /// The store was asked to mark it as sent.
    Marking,
    /// Sent, and not ended.
    InFlight,
}

/// What is known of a command while it lives, and still when it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) controller: Address,
    /// Whose command it is: nobody else may ask after it or repeat it.
    pub(crate) account: AccountId,
    /// Source and correlation id as they went to the controller, which repeats them.
    pub(crate) asked_by: (Address, u32),
    /// Who is told: the tool that gave the command, or repeated it last.
    pub(crate) reply_to: (Address, u32),
    /// Of the payload: the same key with another content is another command.
    pub(crate) fingerprint: u64,
    /// The latest receipt; `None` before the first.
    pub(crate) stage: Option<Stage>,
    pub(crate) at: Option<Time>,
    pub(crate) reason: Option<Code>,
    /// The latest receipt was the controller's own.
    by_controller: bool,
}

impl Known {
    /// Of a command that has just come.
    pub(crate) fn new(
        controller: Address,
        account: AccountId,
        asked_by: (Address, u32),
        fingerprint: u64,
    ) -> Self {
        Known {
            controller,
            account,
            asked_by,
            reply_to: asked_by,
            fingerprint,
            stage: None,
            at: None,
            reason: None,
            by_controller: false,
        }
    }

    /// Whether a controller that answers this tool's command may mean this one.
    fn was_asked_by(&self, asker: (Address, u32)) -> bool {
        self.asked_by == asker || self.reply_to == asker
    }

    /// Whether it was turned away, or withdrawn, since its account may not do that there: whoever it
    /// was may know so without any right.
    fn lacked_right(&self) -> bool {
        let reasons = [Some(Code::Forbidden), Some(Code::UnknownAddress)];
        let is_refused = self.stage == Some(Stage::Refused) && !self.by_controller;
        is_refused && reasons.contains(&self.reason)
    }

    pub(crate) fn note(&mut self, news: &News) {
        self.stage = Some(news.stage);
        self.at = news.at;
        self.reason = news.reason;
        self.by_controller = news.by_controller;
    }
}

/// A command that has not ended.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) known: Known,
    /// On the monotonic clock.
    pub(crate) expires_at: Duration,
    /// Its expiry while it waits, the end of patience afterwards.
    pub(crate) due_at: Duration,
    pub(crate) phase: Phase,
    /// The frame, until the controller is known to have it.
    pub(crate) frame: Option<KeptFrame>,
    /// The store may hold it.
    pub(crate) is_stored: bool,
    /// The boot that it was sent to.
    pub(crate) boot: u32,
}

impl Record {
    /// One that is to enter its lane.
    pub(crate) fn new(known: Known, expires_at: Duration) -> Self {
        Record {
            known,
            expires_at,
            due_at: expires_at,
            phase: Phase::Held,
            frame: None,
            is_stored: false,
            boot: 0,
        }
    }
}

/// Every command that is known.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Those that have not ended.
    pub(crate) records: Map<Key, Record>,
    ended: Kept,
    /// Those refused at the door, apart: somebody who is refused a lot must not drive out the
    /// receipts of commands that were executed.
    turned_away: Kept,
    pub(crate) frames: FramePool,
    pub(crate) waiting: usize,
    pub(crate) in_flight: usize,
}

/// A refused command's key is kept until its expiry, past which no copy of it can be executed, and
/// this long at least, while there is room.
const TURNED_AWAY_KEPT_FOR: Duration = Duration::from_secs(60);

impl Ledger {
    pub(crate) fn new(hash: &FixedState) -> Self {
        Ledger {
            records: Map::with_hasher(hash.clone()),
            ended: Kept::new(hash),
            turned_away: Kept::new(hash),
            frames: FramePool::default(),
            waiting: 0,
            in_flight: 0,
        }
    }

    /// Ended ones.
    pub(crate) fn kept(&self) -> usize {
        self.ended.len() + self.turned_away.len()
    }

    pub(crate) fn at(&self, key: Key) -> &Record {
        self.records
            .get(&key)
            .expect("a command that has not ended")
    }

    pub(crate) fn at_mut(&mut self, key: Key) -> &mut Record {
        let record = self.records.get_mut(&key);
        record.expect("a command that has not ended")
    }

    /// What is known of a command, and whether it has ended.
    pub(crate) fn known(&self, key: Key) -> Option<(&Known, bool)> {
        if let Some(record) = self.records.get(&key) {
            return Some((&record.known, false));
        }
        let ended = self.ended.get(key).or_else(|| self.turned_away.get(key));
        ended.map(|known| (known, true))
    }

    pub(crate) fn known_mut(&mut self, key: Key) -> Option<&mut Known> {
        if let Some(record) = self.records.get_mut(&key) {
            return Some(&mut record.known);
        }
        let ended = self.ended.get_mut(key);
        ended.or_else(|| self.turned_away.get_mut(key))
    }

    /// The controller has a command's frame, or nobody needs it any more.
    pub(crate) fn drop_frame(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(&key) {
            self.frames.take_back(record.frame.take());
        }
    }

    /// Keeps an ended command for a while, and lets go of those whose while is over.
    fn keep(&mut self, key: Key, record: Record, now: Duration, settings: &Settings) {
        let until = record.expires_at.max(now + settings.receipts_kept_for);
        let max = settings.receipts_kept_max;
        self.ended.keep(key, record.known, until, max);
        self.ended.trim(now);
        self.frames.take_back(record.frame);
    }

    /// Keeps a command that ended before the gateway was started, for what is left of its while.
    pub(crate) fn restore_ended(
        &mut self,
        ended: &EndedCommand,
        known: Known,
        now: Now,
        settings: &Settings,
    ) {
        let left = |until: u64| Duration::from_millis(until.saturating_sub(now.time.0));
        let since_end = Duration::from_millis(now.time.0.saturating_sub(ended.ended.0));
        // A gateway whose clock is behind must not keep it for years.
        let expires_at = now.since_start + left(ended.expiry.0).min(limits::EXPIRY_MAX);
        let (kept, kept_for, max) = match ended.was_turned_away {
            false => (
                &mut self.ended,
                settings.receipts_kept_for,
                settings.receipts_kept_max,
            ),
            true => (
                &mut self.turned_away,
                TURNED_AWAY_KEPT_FOR,
                settings.receipts_kept_max / 4,
            ),
        };
        let until = expires_at.max(now.since_start + kept_for.saturating_sub(since_end));
        kept.keep(ended.key, known, until, max);
        kept.trim(now.since_start);
    }

    fn keep_turned_away(
        &mut self,
        key: Key,
        known: Known,
        expires_at: Duration,
        now: Duration,
        settings: &Settings,
    ) {
        let expires_at = expires_at.min(now + limits::EXPIRY_MAX);
        let until = expires_at.max(now + TURNED_AWAY_KEPT_FOR);
        let max = settings.receipts_kept_max / 4;
        self.turned_away.keep(key, known, until, max);
        self.turned_away.trim(now);
    }
}

/// What is new about a command.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) stage: Stage,
    pub(crate) at: Option<Time>,
    pub(crate) reason: Option<Code>,
    pub(crate) by_controller: bool,
}

impl News {
    /// The gateway's own, as of now.
    pub(crate) fn of(work: &Work<'_>, stage: Stage, reason: Option<Code>) -> Self {
        News {
            stage,
            at: Some(work.now.time),
            reason,
            by_controller: false,
        }
    }
}

impl Relay {
    /// Notes a stage that is not the last, and tells.
    pub(crate) fn advance(&mut self, work: &mut Work<'_>, key: Key, news: News) {
        self.note(work, key, &news);
        self.tell(work, key, Haste::Now);
    }

    /// Notes the last stage, wherever the command stood, and tells.
    pub(crate) fn finish(&mut self, work: &mut Work<'_>, key: Key, news: News) {
        self.finish_quietly(work, key, news);
        self.tell(work, key, Haste::Now);
    }

    /// The same without telling: the controller's own receipt is about to be forwarded.
    fn finish_quietly(&mut self, work: &mut Work<'_>, key: Key, news: News) {
        let Some(mut record) = self.ledger.records.remove(&key) else {
            return;
        };
        record.known.note(&news);
        work.journal_progress(key, record.boot, &news, true);
        self.counters.add_stage(news.stage);
        match record.phase {
            Phase::InFlight => self.ledger.in_flight -= 1,
            Phase::Unqueueing(_) => self.timers.disarm(record.due_at, Timer::Command(key)),
            _ => self.ledger.waiting -= 1,
        }
        if let Some(index) = self.fleet.index_of(record.known.controller) {
            self.leave_lane(work, index, key, record.phase);
        }
        if record.is_stored {
            self.forget(work, key);
        }
        if !self.sabotaged(Sabotage::ForgetReceipts) {
            let now = work.now.since_start;
            self.ledger.keep(key, record, now, &self.settings);
        }
    }

    pub(crate) fn note(&mut self, work: &mut Work<'_>, key: Key, news: &News) {
        let record = self.ledger.at_mut(key);
        record.known.note(news);
        work.journal_progress(key, record.boot, news, false);
        self.counters.add_stage(news.stage);
    }

    /// Tells whoever waits for it the latest receipt.
    pub(crate) fn tell(&mut self, work: &mut Work<'_>, key: Key, haste: Haste) {
        if let Some((&known, is_final)) = self.ledger.known(key) {
            self.tell_of(work, key, &known, is_final, haste);
        }
    }

    fn tell_of(
        &mut self,
        work: &mut Work<'_>,
        key: Key,
        known: &Known,
        is_final: bool,
        haste: Haste,
    ) {
        let Some(stage) = known.stage else {
            return;
        };
        let source = if known.by_controller {
            known.controller
        } else {
            Address::GATEWAY
        };
        let receipt = Receipt {
            key,
            stage,
            at: known.at,
            reason: known.reason,
            detail: None,
            is_final,
        };
        let write = |payload: &mut Vec<u8>| receipt.encode_into(payload);
        self.tell_tool(work, known, source, haste, write);
    }

    fn tell_tool(
        &mut self,
        work: &mut Work<'_>,
        known: &Known,
        source: Address,
        haste: Haste,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(slot) = self.listener(known) else {
            return;
        };
        let (address, correlation) = known.reply_to;
        let mut bytes = std::mem::take(&mut self.own_frame);
        let (kind, peers) = (Kind::Receipt, (source, address));
        let frame = FrameRef::write(&mut bytes, kind, Flags::NONE, correlation, peers, write);
        self.send_with(work, slot, frame.bytes(), haste);
        self.own_frame = bytes;
    }

    /// The tool that waits for a command's receipts, if it is there and may still be told.
    fn listener(&self, known: &Known) -> Option<Slot> {
        let (address, correlation) = known.reply_to;
        // 0 wants no answer.
        let slot = self
            .sessions
            .slot_at(address)
            .filter(|_| correlation != 0)?;
        self.hears_of(slot, known).then_some(slot)
    }

    /// Whether a tool may be told what became of a command: of its own account's, since a leased
    /// address may have come to somebody else, and while it may see the controller.
    pub(crate) fn hears_of(&self, slot: Slot, known: &Known) -> bool {
        let Some(rights) = self.sessions.rights(slot) else {
            return false;
        };
        let sees = || {
            let index = self.fleet.index_of(known.controller);
            // Of a controller that is no more there is nothing to see but this.
            index.is_none_or(|index| rights.sees(self.fleet.at(index).site()))
        };
        self.sessions.account_of(slot) == Some(known.account)
            && (rights.sees_all() || known.lacked_right() || sees())
    }

    /// Refuses a command at the door. Its key is kept, so that a copy of it that is still on its
    /// way is refused likewise and not executed after all.
    pub(crate) fn turn_away(
        &mut self,
        work: &mut Work<'_>,
        key: Key,
        mut known: Known,
        expires_at: Duration,
        news: News,
    ) {
        if let Some(reason) = news.reason {
            self.counters.refused.add(reason);
        }
        known.note(&news);
        self.counters.add_stage(news.stage);
        self.tell_of(work, key, &known, true, Haste::Now);
        let now = work.now.since_start;
        self.ledger
            .keep_turned_away(key, known, expires_at, now, &self.settings);
    }

    /// Refuses a command without a trace in the ledger: its key is none of the sender's.
    pub(crate) fn refuse_command(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        correlation: u32,
        key: Key,
        code: Code,
    ) {
        self.counters.refused.add(code);
        if correlation == 0 {
            return;
        }
        let receipt = Receipt {
            key,
            stage: Stage::Refused,
            at: Some(work.now.time),
            reason: Some(code),
            detail: None,
            is_final: true,
        };
        let kind = (Kind::Receipt, Flags::NONE);
        self.send_own(work, slot, kind, correlation, |payload| {
            receipt.encode_into(payload);
        });
    }

    /// A controller's receipt.
    pub(crate) fn receipt_came(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
    ) {
        let receipt = match Receipt::decode(frame.payload()) {
            Ok(receipt) => receipt,
            Err(MessageError::Cbor(_)) => return self.end(work, slot, Code::Malformed),
            Err(error) => return self.counters.dropped.add(error.code()),
        };
        let controller = self.fleet.at(index).address;
        let header = frame.header();
        let key = receipt.key;
        let asker = (header.destination, header.correlation);
        // A key of another's, or a tool that did not ask, are not the controller's to answer.
        let is_its = |known: &Known| known.controller == controller && known.was_asked_by(asker);
        let Some(record) = self.ledger.records.get(&key) else {
            return self.receipt_repeated(work, index, frame, &receipt, is_its);
        };
        if !is_its(&record.known) {
            return self.counters.dropped.add(Code::NotGranted);
        }
        if !is_controllers(receipt.stage, receipt.is_final) {
            return self.counters.dropped.add(Code::BadField);
        }
        if record.phase != Phase::InFlight {
            // It was not sent yet: a controller cannot know of it.
            return self.counters.dropped.add(Code::NotGranted);
        }
        if !receipt.is_final && Some(receipt.stage) <= record.known.stage {
            self.counters.receipts_repeated += 1;
            return;
        }
        let news = News {
            stage: receipt.stage,
            at: receipt.at,
            reason: receipt.reason,
            by_controller: true,
        };
        if receipt.is_final {
            self.finish_quietly(work, key, news);
        } else {
            self.ledger.drop_frame(key);
            self.note(work, key, &news);
        }
        self.forward_receipt(work, index, frame, key);
    }

    /// A controller's receipt for a command that has ended, if it is one.
    fn receipt_repeated(
        &mut self,
        work: &mut Work<'_>,
        index: u32,
        frame: FrameRef<'_>,
        receipt: &Receipt,
        is_its: impl Fn(&Known) -> bool,
    ) {
        let ended = self.ledger.known(receipt.key);
        if !ended.is_some_and(|(known, _)| is_its(known)) {
            return self.counters.dropped.add(Code::NotGranted);
        }
        if !is_controllers(receipt.stage, receipt.is_final) {
            return self.counters.dropped.add(Code::BadField);
        }
        self.counters.receipts_repeated += 1;
        if self.sabotaged(Sabotage::RepeatFinals) {
            self.forward_receipt(work, index, frame, receipt.key);
        }
    }

    /// Forwards a controller's receipt: the very bytes, unless somebody else asks by now.
    fn forward_receipt(&mut self, work: &mut Work<'_>, index: u32, frame: FrameRef<'_>, key: Key) {
        let Some((&known, _)) = self.ledger.known(key) else {
            return;
        };
        let header = frame.header();
        if known.reply_to != (header.destination, header.correlation) {
            let controller = self.fleet.at(index).address;
            let write = |payload: &mut Vec<u8>| payload.extend_from_slice(frame.payload());
            return self.tell_tool(work, &known, controller, Haste::Now, write);
        }
        if let Some(slot) = self.listener(&known) {
            self.send(work, slot, frame.bytes());
        }
    }

    /// A tool asks what became of a command.
    pub(crate) fn receipt_asked(&self, slot: Slot, key: Key) -> Result<Answer, Code> {
        let account = self.sessions.account_of(slot);
        let known = self.ledger.known(key);
        // Somebody else's key looks like one that nobody ever used.
        let Some((known, is_final)) = known.filter(|(known, _)| Some(known.account) == account)
        else {
            return Err(Code::UnknownCommand);
        };
        // Not `unknown_command`, by which a client would take it for one that never came.
        if !self.hears_of(slot, known) {
            return Err(Code::UnknownAddress);
        }
        match known.stage {
            Some(stage) => Ok(Answer::Ok(Body::Receipt {
                stage,
                at: known.at,
                reason: known.reason,
                is_final,
            })),
            // Accepted, and on its way to its first receipt.
            None => Err(Code::Busy),
        }
    }
}

/// Whether a controller may issue this.
pub(crate) fn is_controllers(stage: Stage, is_final: bool) -> bool {
    match stage {
        Stage::Queued | Stage::Sent | Stage::Unknown => false,
        Stage::Delivered => !is_final,
        Stage::Executed => true,
        Stage::Confirmed | Stage::Expired | Stage::Refused | Stage::Failed => is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_issues_its_own_stages_alone() {
        for (stage, as_step, as_end) in [
            (Stage::Queued, false, false),
            (Stage::Sent, false, false),
            (Stage::Delivered, true, false),
            (Stage::Executed, true, true),
            (Stage::Confirmed, false, true),
            (Stage::Expired, false, true),
            (Stage::Refused, false, true),
            (Stage::Failed, false, true),
            (Stage::Unknown, false, false),
        ] {
            let found = (is_controllers(stage, false), is_controllers(stage, true));
            assert_eq!(found, (as_step, as_end), "{}", stage.name());
        }
    }
}
