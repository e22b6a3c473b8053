//! The ledger: what became of every command, and who is told.
//!
//! One record per key. It is made when the command is accepted, or refused for a reason that the
//! key has to remember, and outlives the command's end so that a repeated key, or a late question,
//! finds the last receipt instead of causing a second execution.

use crate::{
    Haste, Map, Relay, Sabotage, Settings, Work,
    session::{AccountId, Slot},
    timers::Timer,
};
use bytes::Bytes;
use foldhash::fast::FixedState;
use std::{collections::VecDeque, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, FrameRef, Kind, limits,
    message::{Answer, Body, Key, MessageError, Receipt, Stage, Time},
};

/// Where a command stands, from the gateway's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In memory only, behind others, for a controller that is there. No receipt yet.
    Held,
    /// The store was asked to keep it. No receipt yet.
    Queueing,
    /// The store left open whether it keeps it, and was asked to forget it. No receipt yet.
    Unqueueing,
    /// The store keeps it.
    Queued,
    /// The store was asked to mark it as sent.
    Marking,
    /// Sent, and not ended.
    InFlight,
    /// It has its last receipt.
    Ended,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) controller: Address,
    /// Whose command it is: nobody else may ask after it or repeat it.
    pub(crate) account: AccountId,
    /// Source and correlation id as they went to the controller, which repeats them.
    pub(crate) asked_by: (Address, u32),
    /// Who is told: the tool that gave the command, or repeated it last.
    pub(crate) reply_to: (Address, u32),
    /// Of the payload: the same key with another content is another command.
    pub(crate) fingerprint: u64,
    /// On the monotonic clock.
    pub(crate) expires_at: Duration,
    pub(crate) phase: Phase,
    /// The latest receipt; `None` before the first.
    pub(crate) stage: Option<Stage>,
    pub(crate) at: Option<Time>,
    pub(crate) reason: Option<Code>,
    /// The latest receipt was the controller's own.
    by_controller: bool,
    /// Its expiry while it waits, the end of patience afterwards.
    pub(crate) due_at: Duration,
    /// The frame, until the controller is known to have it.
    pub(crate) frame: Option<Bytes>,
    /// It may wait for its controller.
    pub(crate) wait: bool,
    /// The store may hold it.
    pub(crate) is_stored: bool,
    /// The boot that it was sent to.
    pub(crate) boot: u32,
}

impl Record {
    /// One that has just come.
    pub(crate) fn new(
        controller: Address,
        account: AccountId,
        asked_by: (Address, u32),
        fingerprint: u64,
        expires_at: Duration,
    ) -> Self {
        Record {
            controller,
            account,
            asked_by,
            reply_to: asked_by,
            fingerprint,
            expires_at,
            phase: Phase::Held,
            stage: None,
            at: None,
            reason: None,
            by_controller: false,
            due_at: Duration::ZERO,
            frame: None,
            wait: false,
            is_stored: false,
            boot: 0,
        }
    }

    fn receipt(&self, key: Key) -> Option<Receipt> {
        Some(Receipt {
            key,
            stage: self.stage?,
            at: self.at,
            reason: self.reason,
            detail: None,
            is_final: self.phase == Phase::Ended,
        })
    }
}

/// Every command that is known.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) records: Map<Key, Record>,
    /// Ended ones in the order of their ends, and until when they are kept at least.
    ended: VecDeque<(Duration, Key)>,
    /// Those refused at the door, apart: somebody who is refused a lot must not drive out the
    /// receipts of commands that were executed.
    turned_away: VecDeque<(Duration, Key)>,
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
            ended: VecDeque::new(),
            turned_away: VecDeque::new(),
            waiting: 0,
            in_flight: 0,
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.ended.len() + self.turned_away.len()
    }

    pub(crate) fn at(&self, key: Key) -> &Record {
        self.records.get(&key).expect("a command that is known")
    }

    pub(crate) fn at_mut(&mut self, key: Key) -> &mut Record {
        self.records.get_mut(&key).expect("a command that is known")
    }

    /// Keeps an ended command for a while, and lets go of those whose while is over.
    fn keep(&mut self, key: Key, now: Duration, settings: &Settings) {
        let kept_for = settings.receipts_kept_for;
        let until = self.at(key).expires_at.max(now + kept_for);
        self.ended.push_back((until, key));
        Self::trim(
            &mut self.ended,
            &mut self.records,
            now,
            settings.receipts_kept_max,
        );
    }

    fn keep_turned_away(&mut self, key: Key, now: Duration, settings: &Settings) {
        let expires_at = self.at(key).expires_at.min(now + limits::EXPIRY_MAX);
        self.turned_away
            .push_back((expires_at.max(now + TURNED_AWAY_KEPT_FOR), key));
        let max = settings.receipts_kept_max / 4;
        Self::trim(&mut self.turned_away, &mut self.records, now, max);
    }

    fn trim(
        kept: &mut VecDeque<(Duration, Key)>,
        records: &mut Map<Key, Record>,
        now: Duration,
        max: usize,
    ) {
        while kept.len() > max || kept.front().is_some_and(|&(until, _)| until <= now) {
            if let Some((_, key)) = kept.pop_front() {
                records.remove(&key);
            }
        }
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
        self.note(key, &news);
        self.tell(work, key, Haste::Now);
    }

    /// Notes the last stage, wherever the command stood, and tells.
    pub(crate) fn finish(&mut self, work: &mut Work<'_>, key: Key, news: News) {
        self.finish_quietly(work, key, news);
        self.tell(work, key, Haste::Now);
    }

    /// The same without telling: the controller's own receipt is about to be forwarded.
    fn finish_quietly(&mut self, work: &mut Work<'_>, key: Key, news: News) {
        let record = self.ledger.at_mut(key);
        let (was, due_at, is_stored) = (record.phase, record.due_at, record.is_stored);
        record.phase = Phase::Ended;
        record.frame = None;
        let controller = record.controller;
        self.note(key, &news);
        if was == Phase::Unqueueing {
            self.timers.disarm(due_at, Timer::Command(key));
        }
        if let Some(index) = self.fleet.index_of(controller) {
            self.leave_lane(work, index, key, was);
        }
        match was {
            Phase::InFlight => self.ledger.in_flight -= 1,
            Phase::Unqueueing | Phase::Ended => {}
            _ => self.ledger.waiting -= 1,
        }
        if is_stored {
            self.forget(work, key);
        }
        let now = work.now.since_start;
        if self.sabotaged(Sabotage::ForgetReceipts) {
            self.ledger.records.remove(&key);
        } else {
            self.ledger.keep(key, now, &self.settings);
        }
    }

    pub(crate) fn note(&mut self, key: Key, news: &News) {
        let record = self.ledger.at_mut(key);
        record.stage = Some(news.stage);
        record.at = news.at;
        record.reason = news.reason;
        record.by_controller = news.by_controller;
        self.counters.add_stage(news.stage);
    }

    /// Tells whoever waits for it the latest receipt.
    pub(crate) fn tell(&mut self, work: &mut Work<'_>, key: Key, haste: Haste) {
        let Some(record) = self.ledger.records.get(&key) else {
            return;
        };
        let source = if record.by_controller {
            record.controller
        } else {
            Address::GATEWAY
        };
        if let Some(receipt) = record.receipt(key) {
            let (account, reply_to) = (record.account, record.reply_to);
            let payload = receipt.encode();
            self.tell_tool(work, account, reply_to, source, &payload, haste);
        }
    }

    fn tell_tool(
        &mut self,
        work: &mut Work<'_>,
        account: AccountId,
        (address, correlation): (Address, u32),
        source: Address,
        payload: &[u8],
        haste: Haste,
    ) {
        // 0 wants no answer; and a leased address may have come to somebody else since.
        let Some(slot) = self.sessions.slot_at(address).filter(|_| correlation != 0) else {
            return;
        };
        if self.sessions.rights(slot).map(|(holder, _)| holder) == Some(account) {
            let frame = Frame::new(Kind::Receipt, correlation, source, address, payload);
            self.send_with(work, slot, frame.bytes(), haste);
        }
    }

    /// Refuses a command at the door. Its key is kept, so that a copy of it that is still on its
    /// way is refused likewise and not executed after all.
    pub(crate) fn turn_away(
        &mut self,
        work: &mut Work<'_>,
        key: Key,
        mut record: Record,
        news: News,
    ) {
        record.phase = Phase::Ended;
        record.frame = None;
        self.ledger.records.insert(key, record);
        if let Some(reason) = news.reason {
            self.counters.refused.add(reason);
        }
        self.note(key, &news);
        self.tell(work, key, Haste::Now);
        let now = work.now.since_start;
        self.ledger.keep_turned_away(key, now, &self.settings);
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
        let address = self.sessions.at(slot).address;
        let gateway = Address::GATEWAY;
        let payload = receipt.encode();
        let frame = Frame::new(Kind::Receipt, correlation, gateway, address, &payload);
        self.send(work, slot, frame.bytes());
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
        let known = self.ledger.records.get(&key).filter(|record| {
            // A key of another's, or a tool that did not ask, are not the controller's to answer.
            record.controller == controller
                && (record.asked_by == (header.destination, header.correlation)
                    || record.reply_to == (header.destination, header.correlation))
        });
        let Some(record) = known else {
            return self.counters.dropped.add(Code::NotGranted);
        };
        if !is_controllers(receipt.stage, receipt.is_final) {
            return self.counters.dropped.add(Code::BadField);
        }
        match record.phase {
            Phase::InFlight => {}
            Phase::Ended => {
                self.counters.receipts_repeated += 1;
                if self.sabotaged(Sabotage::RepeatFinals) {
                    self.forward_receipt(work, index, frame, key);
                }
                return;
            }
            // It was not sent yet: a controller cannot know of it.
            _ => return self.counters.dropped.add(Code::NotGranted),
        }
        if !receipt.is_final && Some(receipt.stage) <= record.stage {
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
            self.ledger.at_mut(key).frame = None;
            self.note(key, &news);
        }
        self.forward_receipt(work, index, frame, key);
    }

    /// Forwards a controller's receipt: the very bytes, unless somebody else asks by now.
    fn forward_receipt(&mut self, work: &mut Work<'_>, index: u32, frame: FrameRef<'_>, key: Key) {
        let Some(record) = self.ledger.records.get(&key) else {
            return;
        };
        let header = frame.header();
        let (account, reply_to) = (record.account, record.reply_to);
        if reply_to != (header.destination, header.correlation) {
            let controller = self.fleet.at(index).address;
            let payload = frame.payload();
            return self.tell_tool(work, account, reply_to, controller, payload, Haste::Now);
        }
        let slot = self
            .sessions
            .slot_at(reply_to.0)
            .filter(|_| reply_to.1 != 0);
        if let Some(slot) = slot
            && self.sessions.rights(slot).map(|(holder, _)| holder) == Some(account)
        {
            self.send(work, slot, frame.bytes());
        }
    }

    /// A tool asks what became of a command.
    pub(crate) fn receipt_asked(&self, slot: Slot, key: Key) -> Result<Answer, Code> {
        let account = self.sessions.rights(slot).map(|(account, _)| account);
        let known = self.ledger.records.get(&key);
        // Somebody else's key looks like one that nobody ever used.
        let Some(record) = known.filter(|record| Some(record.account) == account) else {
            return Err(Code::UnknownCommand);
        };
        match record.stage {
            Some(stage) => Ok(Answer::Ok(Body::Receipt {
                stage,
                at: record.at,
                reason: record.reason,
                is_final: record.phase == Phase::Ended,
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
