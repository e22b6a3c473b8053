//! What became of commands whose link was lost: the controller is asked before anything is sent.

use crate::{
    Relay, Sabotage, Work,
    queue::Asked,
    receipts::{News, Phase, is_controllers},
    session::Slot,
    timers::Timer,
};
use switchyard_protocol::{
    Address, Code, Flags, FrameRef, Kind, limits,
    message::{Answer, Body, Key, MessageError, Request, Stage},
};

impl Relay {
    /// A controller has announced itself: the commands that were in flight when it went are
    /// accounted for first.
    pub(crate) fn resolve(&mut self, work: &mut Work<'_>, index: u32) {
        let controller = self.fleet.at(index);
        let Some(lane) = &controller.lane else {
            return;
        };
        let boot = controller.boot();
        let in_flight = lane.in_flight.iter().copied();
        let (same_boot, other_boot): (Vec<Key>, Vec<Key>) =
            in_flight.partition(|&key| Some(self.ledger.at(key).boot) == boot);
        if self.sabotaged(Sabotage::ResendBlindly) {
            for key in other_boot {
                self.ledger.at_mut(key).boot = boot.unwrap_or_default();
            }
        } else {
            for key in other_boot {
                let news = News::of(work, Stage::Unknown, Some(Code::Rebooted));
                self.finish(work, key, news);
            }
        }
        // Only now: an end above must not be taken for the last answer.
        self.fleet.at_mut(index).lane_mut().is_resolving = true;
        for key in same_boot {
            self.ask_outcome(work, index, key);
        }
        self.resolved_perhaps(work, index);
        self.stir(index);
    }

    fn ask_outcome(&mut self, work: &mut Work<'_>, index: u32, key: Key) {
        let correlation = self.next_correlation();
        let controller = self.fleet.at_mut(index);
        let Some(slot) = controller.session() else {
            return;
        };
        let address = controller.address;
        let lane = controller.lane_mut();
        lane.asked.push(Asked { correlation, key });
        if lane.outcomes_timer_at.is_none() {
            let at = work.now.since_start + limits::REQUEST_TIMEOUT;
            lane.outcomes_timer_at = Some(at);
            self.timers.arm(at, Timer::Outcomes(address));
        }
        let kind = (Kind::Query, Flags::NONE);
        self.send_own(work, slot, kind, correlation, |payload| {
            Request::Outcome { key }.encode_into(payload);
        });
    }

    /// A controller's answer to the gateway itself.
    pub(crate) fn own_answer_came(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
    ) {
        let correlation = frame.header().correlation;
        let controller = self.fleet.at_mut(index);
        if controller
            .snapshot_asked
            .as_deref()
            .is_some_and(|&(asked, _)| asked == correlation)
        {
            controller.snapshot_asked = None;
            return;
        }
        let mut asked = controller.lane().asked.iter();
        let Some(at) = asked.position(|it| it.correlation == correlation) else {
            return self.counters.dropped.add(Code::NotGranted);
        };
        let key = controller.lane_mut().asked.remove(at).key;
        let answer = match Answer::decode(frame.payload()) {
            Err(MessageError::Cbor(_)) => return self.end(work, slot, Code::Malformed),
            answer => answer,
        };
        self.outcome_came(work, key, answer.ok());
        self.resolved_perhaps(work, index);
    }

    fn outcome_came(&mut self, work: &mut Work<'_>, key: Key, answer: Option<Answer>) {
        let known = self.ledger.records.get_mut(&key);
        let Some(record) = known.filter(|record| record.phase == Phase::InFlight) else {
            return;
        };
        let Some(Answer::Ok(Body::Outcome {
            boot,
            stage,
            reason,
            is_final,
        })) = answer
        else {
            // A controller that cannot say leaves nobody who can.
            let news = News::of(work, Stage::Unknown, Some(Code::LinkLost));
            return self.finish(work, key, news);
        };
        if boot != record.boot {
            let news = News::of(work, Stage::Unknown, Some(Code::Rebooted));
            return self.finish(work, key, news);
        }
        let is_final = is_final.unwrap_or(false);
        match stage {
            Some(stage) if !is_controllers(stage, is_final) => {
                let news = News::of(work, Stage::Unknown, Some(Code::LinkLost));
                self.finish(work, key, news);
            }
            Some(stage) => {
                let known = record.known.stage;
                self.ledger.drop_frame(key);
                let news = News {
                    stage,
                    at: None,
                    reason,
                    by_controller: true,
                };
                if is_final {
                    self.finish(work, key, news);
                } else if Some(stage) > known {
                    self.advance(work, key, news);
                }
            }
            // Never heard of: it is sent again once all are accounted for. Unless it has said
            // before that it has it: then it has forgotten, and nobody knows.
            None if record.frame.is_some() && record.known.stage <= Some(Stage::Sent) => {}
            None => {
                let news = News::of(work, Stage::Unknown, Some(Code::LinkLost));
                self.finish(work, key, news);
            }
        }
    }

    /// Once every question is answered, sends again what never arrived, in its old order.
    pub(crate) fn resolved_perhaps(&mut self, work: &mut Work<'_>, index: u32) {
        let controller = self.fleet.at_mut(index);
        let (address, session, site) =
            (controller.address, controller.session(), controller.site());
        let Some(lane) = &mut controller.lane else {
            return;
        };
        if !lane.asked.is_empty() {
            return;
        }
        if let Some(at) = lane.outcomes_timer_at.take() {
            self.timers.disarm(at, Timer::Outcomes(address));
        }
        if !std::mem::take(&mut lane.is_resolving) {
            return;
        }
        let Some(slot) = session else {
            return;
        };
        let unheard: Vec<Key> = lane.in_flight.iter().copied().collect();
        for key in unheard {
            let Some(record) = self.ledger.records.get_mut(&key) else {
                continue;
            };
            if record.frame.is_some() && record.expires_at <= work.now.since_start {
                let news = News::of(work, Stage::Expired, Some(Code::Expired));
                self.finish(work, key, news);
            } else if record.frame.is_some() && !self.may_go(key, site) {
                let news = News::of(work, Stage::Refused, Some(Code::Forbidden));
                self.finish(work, key, news);
            } else if let Some(frame) = self.ledger.at_mut(key).frame.take() {
                self.counters.commands_resent += 1;
                self.send(work, slot, &frame);
                self.ledger.at_mut(key).frame = Some(frame);
            }
        }
        self.stir(index);
    }

    /// Outcomes were asked for and did not come: asks again, as long as there is patience.
    pub(crate) fn outcomes_due(&mut self, work: &mut Work<'_>, address: Address) {
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        let lane = self.fleet.at_mut(index).lane_mut();
        lane.outcomes_timer_at = None;
        for asked in std::mem::take(&mut lane.asked) {
            self.ask_outcome(work, index, asked.key);
        }
    }

    /// A command in flight is half a minute past its expiry.
    ///
    /// With its controller away, or asked in vain, nobody can tell any more. With its controller
    /// there it may be awaiting its confirmation: the controller is asked, and asked again, for as
    /// long as it says that there is more to come, up to a day.
    pub(crate) fn patience_ends(&mut self, work: &mut Work<'_>, key: Key) {
        let record = self.ledger.at(key);
        let expires_at = record.expires_at;
        let address = record.known.controller;
        if self.sabotaged(Sabotage::WaitForever) {
            return;
        }
        let now = work.now.since_start;
        let index = self.fleet.index_of(address);
        let lives = index.is_some_and(|index| {
            let controller = self.fleet.at(index);
            let lane = controller.lane();
            let is_asked = lane.asked.iter().any(|asked| asked.key == key);
            controller.online && !is_asked && !lane.is_resolving
        });
        match index.filter(|_| lives && now < expires_at + limits::EXPIRY_MAX) {
            Some(index) => {
                self.ledger.drop_frame(key);
                self.put_off(key, now + limits::EXPIRY_GRACE);
                self.ask_outcome(work, index, key);
            }
            None => {
                let news = News::of(work, Stage::Unknown, Some(Code::LinkLost));
                self.finish(work, key, news);
            }
        }
    }
}
