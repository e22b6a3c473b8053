//! Who is told next: attempts begun, spoken, answered and ended.

use super::{ANSWER_MS, Action, Book, Decision, GATHER_MESSAGE_MS, MUTE_MS, by_itself, has_taken};
use crate::alarm::{
    desk::Unreached,
    model::{
        Alarm, AlarmId, Attempt, AttemptId, Channel, Deed, Happened, How, Medium, Outcome, Pursuit,
        Severity, Source, Step, Who,
    },
    people::ContactId,
    plan::{Rung, Whom},
};
use std::collections::BTreeSet;

/// How soon it is looked again for somebody who could be told, where there is nobody at all.
const NOBODY_MS: u64 = 60 * 1_000;
/// By how much a clock may be put back without anybody noticing.
pub(super) const CLOCK_SLACK_MS: u64 = 1_000;
/// Attempts at a test.
const TEST_ATTEMPTS: u8 = 1;

/// What comes of going on with an alarm.
enum Next {
    /// Somebody is told.
    Attempt(ContactId, Channel, String),
    /// It goes along with an attempt that is under way.
    Along(AttemptId),
    /// It waits for the end of one.
    Waits,
    /// It waits until then.
    Later(u64),
    /// Nobody is there at this rung.
    Passed(String),
    /// The rung is for graver ones.
    NotMeant,
    /// There is no such rung.
    End,
}

impl Book {
    /// Goes on with all that is due.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.set_clock(now_ms);
        let unshelved: Vec<_> = self
            .alarms
            .values()
            .filter(|it| it.shelved.as_ref().is_some_and(|it| it.until_ms <= now_ms))
            .map(|it| it.id)
            .collect();
        self.unshelve(now_ms, &unshelved, &by_itself(now_ms));
        let mut due: Vec<_> = self
            .alarms
            .values()
            .filter(|it| self.due_ms(it).is_some_and(|due_ms| due_ms <= now_ms))
            .map(|it| (std::cmp::Reverse(it.severity), it.raised_ms, it.id))
            .collect();
        // The gravest first: it decides by what somebody is told.
        due.sort_unstable();
        for (_, _, id) in due {
            self.go_on(now_ms, id);
        }
        self.forget(now_ms);
    }

    /// The host's clock may be put back: what was due soon by the wrong one is due as soon by the right one.
    fn set_clock(&mut self, now_ms: u64) {
        let back_ms = std::mem::replace(&mut self.clock_ms, now_ms).saturating_sub(now_ms);
        if back_ms < CLOCK_SLACK_MS {
            return;
        }
        tracing::warn!(back_ms, "the clock was put back");
        let mut changed = Vec::new();
        for alarm in self.alarms.values_mut() {
            if let Some(pursuit) = &mut alarm.pursuit {
                pursuit.due_ms = pursuit.due_ms.saturating_sub(back_ms);
                alarm.since_ms = alarm.since_ms.min(now_ms);
                changed.push(alarm.id);
            }
            // An hour by the wrong clock is one by the right one; what a person has set by a calendar stays.
            if let Some(shelf) = alarm.shelved.as_mut().filter(|it| it.by.how != How::Api) {
                shelf.until_ms = shelf.until_ms.saturating_sub(back_ms);
                changed.push(alarm.id);
            }
        }
        self.changed_alarms.extend(changed);
    }

    /// When the next of [`tick`](Self::tick) is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let shelves = self.alarms.values().filter_map(|it| it.shelved.as_ref());
        let shelves = shelves.map(|it| it.until_ms);
        let due = self.alarms.values().filter_map(|it| self.due_ms(it));
        shelves.chain(due).min()
    }

    /// Everything that waits for somebody to be there is looked at once more: contacts, plans or channels have changed.
    pub(crate) fn look_again(&mut self, now_ms: u64) {
        self.waiting.clear();
        for alarm in self.alarms.values_mut() {
            if let Some(pursuit) = &mut alarm.pursuit
                && pursuit.attempt.is_none()
                && !pursuit.has_tried
                && pursuit.due_ms > now_ms
                && !pursuit.is_notified
            {
                pursuit.due_ms = pursuit.due_ms.min(now_ms + NOBODY_MS / 60);
            }
        }
    }

    fn due_ms(&self, alarm: &Alarm) -> Option<u64> {
        let pursuit = alarm.pursuit.as_ref()?;
        let is_idle = pursuit.attempt.is_none()
            && alarm.shelved.is_none()
            && alarm.part_of.is_none()
            && !self.waiting.contains(&alarm.id);
        is_idle.then_some(pursuit.due_ms)
    }

    /// Goes on with one alarm, from rung to rung until somebody is told or it has to wait.
    fn go_on(&mut self, now_ms: u64, id: AlarmId) {
        let mut quiet_ms = u64::MAX;
        loop {
            let Some(alarm) = self.alarms.get(&id) else {
                return;
            };
            let Some(pursuit) = &alarm.pursuit else {
                return;
            };
            let rung = pursuit.rung;
            match self.next(now_ms, alarm, pursuit) {
                Next::Attempt(contact, channel, destination) => {
                    return self.begin(now_ms, id, (contact, channel, destination));
                }
                Next::Along(attempt) => return self.take_along(now_ms, id, attempt),
                Next::Waits => {
                    self.waiting.insert(id);
                    return;
                }
                // Quiet hours: the next rung may be for somebody who is awake.
                Next::Later(until_ms) if until_ms > now_ms + GATHER_MESSAGE_MS => {
                    quiet_ms = quiet_ms.min(until_ms);
                    self.skip(now_ms, id, rung, "quiet hours".to_owned());
                }
                Next::Later(until_ms) => {
                    return self.with_pursuit(id, |pursuit| pursuit.due_ms = until_ms);
                }
                Next::Passed(reason) => self.skip(now_ms, id, rung, reason),
                Next::NotMeant => self.climb(id),
                Next::End => return self.begin_anew(now_ms, id, quiet_ms),
            }
        }
    }

    /// The next rung, since nobody is told at this one. Why is written down, unless it was just that the last time.
    fn skip(&mut self, now_ms: u64, id: AlarmId, rung: u16, reason: String) {
        let last = self.skipped.insert((id, rung), reason.clone());
        if last.as_ref() != Some(&reason) {
            tracing::info!(alarm = id.0, rung, reason, "nobody is told at a rung");
            self.note(now_ms, id, Happened::Skipped { rung, reason });
        }
        self.climb(id);
    }

    /// The next rung.
    fn climb(&mut self, id: AlarmId) {
        self.with_pursuit(id, |pursuit| {
            pursuit.rung = pursuit.rung.saturating_add(1);
            pursuit.attempts = 0;
            pursuit.failed.clear();
        });
    }

    fn with_pursuit(&mut self, id: AlarmId, change: impl FnOnce(&mut Pursuit)) {
        if let Some(pursuit) = self.alarms.get_mut(&id).and_then(|it| it.pursuit.as_mut()) {
            change(pursuit);
            self.changed_alarms.insert(id);
        }
    }

    /// The chain has been gone through.
    fn begin_anew(&mut self, now_ms: u64, id: AlarmId, quiet_ms: u64) {
        let Some(alarm) = self.alarms.get(&id) else {
            return;
        };
        if matches!(alarm.source, Source::Test { .. }) {
            return self.test_failed(now_ms, id);
        }
        let again_s = self.desk.plan_of(alarm.site).map(|it| it.again_s);
        let again_ms = again_s.map_or(NOBODY_MS, |it| u64::from(it) * 1_000);
        let mut exhausted = None;
        self.with_pursuit(id, |pursuit| {
            if pursuit.has_tried {
                pursuit.rounds = pursuit.rounds.saturating_add(1);
                pursuit.due_ms = now_ms + again_ms;
                exhausted = Some(pursuit.rounds);
            } else {
                // Nobody was there at all: it is looked again soon, without a line in the history each time.
                pursuit.rounds = pursuit.rounds.max(1);
                pursuit.due_ms = quiet_ms.min(now_ms + again_ms.min(NOBODY_MS));
            }
            (pursuit.rung, pursuit.attempts, pursuit.has_tried) = (0, 0, false);
        });
        if let Some(rounds) = exhausted {
            self.note(now_ms, id, Happened::Exhausted { rounds });
        }
    }

    /// The rung at which an alarm is.
    fn rung(&self, alarm: &Alarm, pursuit: &Pursuit) -> Option<Rung> {
        if let Source::Test { contact, medium } = alarm.source {
            return (pursuit.rung == 0).then_some(Rung {
                whom: Whom::Contact(contact),
                medium,
                from: Severity::Low,
                wait_s: 0,
                attempts: TEST_ATTEMPTS,
                pause_s: 0,
            });
        }
        let plan = self.desk.plan_of(alarm.site)?;
        plan.chain.get(usize::from(pursuit.rung)).cloned()
    }

    fn next(&self, now_ms: u64, alarm: &Alarm, pursuit: &Pursuit) -> Next {
        let Some(rung) = self.rung(alarm, pursuit) else {
            return Next::End;
        };
        if alarm.severity < rung.from {
            return Next::NotMeant;
        }
        let is_test = matches!(alarm.source, Source::Test { .. });
        let whom = match &rung.whom {
            Whom::Contact(contact) => Some(*contact),
            Whom::OnCall(_) => self
                .desk
                .plan_of(alarm.site)
                .and_then(|plan| plan.whom(&rung, now_ms)),
        };
        let Some(contact) = whom else {
            return Next::Passed("nobody is on call".into());
        };
        if let Some(&attempt) = self.under_way.get(&contact) {
            let medium = self.attempts.get(&attempt).map(|it| it.channel.medium());
            let is_open = !self.worded.contains(&attempt) && medium == Some(rung.medium);
            return match is_open {
                true => Next::Along(attempt),
                false => Next::Waits,
            };
        }
        let taken = |channel| {
            let under_way = self.under_way.values();
            let attempts = under_way.filter_map(|id| self.attempts.get(id));
            attempts.filter(|it| it.channel == channel).count()
        };
        // A call that never left the house costs nothing, and was none. Of a short message nobody knows.
        let counts = |it: &&Attempt| {
            let has_come = has_taken(it, Step::Ringing)
                || has_taken(it, Step::Answered)
                || it.channel.medium() == Medium::Sms;
            let came_to_nothing = matches!(it.outcome, Some(Outcome::Failed { .. })) && !has_come;
            !came_to_nothing && it.begun_ms <= now_ms
        };
        let begun: Vec<_> = self
            .attempts
            .values()
            .filter(counts)
            .map(|it| (it.begun_ms, it.contact, it.channel))
            .collect();
        let gathered_ms = alarm.since_ms + GATHER_MESSAGE_MS;
        let ways = (
            &taken as &dyn Fn(Channel) -> usize,
            &begun[..],
            &pursuit.failed[..],
        );
        match self.desk.reach(
            now_ms,
            (contact, rung.medium),
            (alarm.severity, is_test),
            ways,
        ) {
            // Messages wait a moment for others, so that many are one.
            Ok(_) if rung.medium != Medium::Call && now_ms < gathered_ms && !is_test => {
                Next::Later(gathered_ms)
            }
            Ok((channel, destination)) => Next::Attempt(contact, channel, destination),
            Err(Unreached::Engaged) => Next::Waits,
            Err(Unreached::Quiet(until_ms)) => {
                Next::Later(until_ms.max(now_ms + GATHER_MESSAGE_MS + 1))
            }
            Err(Unreached::Nobody(reason)) => Next::Passed(reason),
        }
    }

    fn begin(
        &mut self,
        now_ms: u64,
        alarm: AlarmId,
        (contact, channel, destination): (ContactId, Channel, String),
    ) {
        self.last.attempt.0 += 1;
        let id = self.last.attempt;
        let name = self.desk.contacts.get(&contact);
        let attempt = Attempt {
            id,
            contact,
            contact_name: name.map(|it| it.name.clone()).unwrap_or_default(),
            channel,
            destination,
            alarms: vec![alarm],
            code: self.free_code(id),
            begun_ms: now_ms,
            steps: vec![(Step::Begun, now_ms)],
            keys: String::new(),
            ended_ms: None,
            outcome: None,
        };
        self.under_way.insert(contact, id);
        self.changed_attempts.insert(id);
        self.actions
            .push_back(Action::Begin(Box::new(attempt.clone())));
        self.attempts.insert(id, attempt);
        self.attempted(now_ms, alarm, id);
    }

    /// A code that no other attempt of the last day has.
    fn free_code(&self, id: AttemptId) -> u32 {
        // Scattered over the four-digit numbers, so that a slip of one digit seldom hits another one.
        let mut code = u32::try_from(id.0.wrapping_mul(7_919) % 9_000).unwrap_or(0) + 1_000;
        while self.attempts.values().any(|it| it.code == code) && self.attempts.len() < 9_000 {
            code = 1_000 + (code - 1_000 + 1) % 9_000;
        }
        code
    }

    fn take_along(&mut self, now_ms: u64, alarm: AlarmId, id: AttemptId) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            if !attempt.alarms.contains(&alarm) {
                attempt.alarms.push(alarm);
            }
            self.changed_attempts.insert(id);
            self.attempted(now_ms, alarm, id);
        }
    }

    fn attempted(&mut self, now_ms: u64, alarm: AlarmId, attempt: AttemptId) {
        self.with_pursuit(alarm, |pursuit| {
            pursuit.attempt = Some(attempt);
            pursuit.has_tried = true;
        });
        self.note(now_ms, alarm, Happened::Attempted { attempt });
    }

    /// An attempt has come further.
    pub(crate) fn step(&mut self, now_ms: u64, id: AttemptId, step: Step) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        if attempt.outcome.is_some() || has_taken(attempt, step) {
            return;
        }
        attempt.steps.push((step, now_ms));
        self.changed_attempts.insert(id);
        if step == Step::Told {
            for alarm in attempt.alarms.clone() {
                self.with_pursuit(alarm, |pursuit| pursuit.is_notified = true);
            }
        }
    }

    /// A key was pressed in an attempt's call.
    pub(crate) fn key(&mut self, id: AttemptId, key: char) {
        if let Some(attempt) = self.attempts.get_mut(&id)
            && attempt.keys.len() < 32
        {
            attempt.keys.push(key);
            self.changed_attempts.insert(id);
        }
    }

    /// What an attempt has to tell of: it is fixed from now on. None where that is nothing any more.
    pub(crate) fn word(&mut self, id: AttemptId) -> Vec<Alarm> {
        let Some(attempt) = self.attempts.get_mut(&id).filter(|it| it.outcome.is_none()) else {
            return Vec::new();
        };
        let alarms = &self.alarms;
        attempt.alarms.retain(|alarm| {
            let alarm = alarms.get(alarm);
            alarm.is_some_and(|it| it.acknowledged.is_none() && it.shelved.is_none())
        });
        self.changed_attempts.insert(id);
        self.worded.insert(id);
        let told = attempt.alarms.iter().filter_map(|it| alarms.get(it));
        let mut told: Vec<_> = told.cloned().collect();
        told.sort_by_key(|it| (std::cmp::Reverse(it.severity), it.since_ms, it.id));
        told
    }

    /// Somebody who was told says something. Whether it concerned anything.
    pub(crate) fn decide(&mut self, now_ms: u64, id: AttemptId, decision: Decision) -> bool {
        let Some(attempt) = self.attempts.get(&id) else {
            return false;
        };
        let (alarms, contact) = (attempt.alarms.clone(), attempt.contact);
        let by = Deed {
            who: Who::Contact(contact),
            how: match attempt.channel.medium() {
                Medium::Call => How::Call(id),
                _ => How::Message(id),
            },
            at_ms: now_ms,
        };
        match decision {
            Decision::Acknowledge => self.acknowledge(now_ms, &alarms, &by) > 0,
            Decision::Mute => {
                // What somebody else looks after by now, or has put aside for longer, is left to them.
                let is_open = |id: &AlarmId| {
                    let alarm = self.alarms.get(id);
                    alarm.is_some_and(|it| it.acknowledged.is_none() && it.shelved.is_none())
                };
                let alarms: Vec<_> = alarms.into_iter().filter(is_open).collect();
                self.shelve(now_ms, &alarms, now_ms + MUTE_MS, &by);
                true
            }
            Decision::Pass => {
                for alarm in alarms {
                    // Whoever is being told meanwhile is not passed over by an answer from before.
                    let pursuit = self.alarms.get(&alarm).and_then(|it| it.pursuit.as_ref());
                    match pursuit.map(|it| it.attempt) {
                        Some(None) => self.pass(now_ms, alarm, (contact, false)),
                        Some(Some(other)) if other == id => {
                            self.pass(now_ms, alarm, (contact, true));
                        }
                        _ => {}
                    }
                }
                true
            }
        }
    }

    /// The attempt that a code stands for, if an answer to it may still come.
    pub(crate) fn by_code(&self, now_ms: u64, code: u32) -> Option<AttemptId> {
        let mut attempts = self.attempts.values().rev();
        attempts
            .find(|it| it.code == code && it.begun_ms + ANSWER_MS > now_ms)
            .map(|it| it.id)
    }

    /// The next one who is somebody else than this contact is told, whose rung it still is or not any more: a message has
    /// been sent, and the rung behind it waits for an answer.
    fn pass(&mut self, now_ms: u64, id: AlarmId, (contact, is_at_rung): (ContactId, bool)) {
        let mut climbs = is_at_rung;
        loop {
            if std::mem::replace(&mut climbs, true) {
                self.climb(id);
            }
            let Some((alarm, pursuit)) = self
                .alarms
                .get(&id)
                .and_then(|alarm| alarm.pursuit.as_ref().map(|pursuit| (alarm, pursuit)))
            else {
                return;
            };
            let whom = self.rung(alarm, pursuit).map(|rung| {
                let plan = self.desk.plan_of(alarm.site);
                match rung.whom {
                    Whom::Contact(contact) => Some(contact),
                    Whom::OnCall(_) => plan.and_then(|plan| plan.whom(&rung, now_ms)),
                }
            });
            if whom != Some(Some(contact)) {
                break;
            }
        }
        self.waiting.remove(&id);
        self.with_pursuit(id, |pursuit| {
            (pursuit.attempt, pursuit.due_ms) = (None, now_ms);
        });
    }

    /// An attempt has ended.
    pub(crate) fn end(&mut self, now_ms: u64, id: AttemptId, outcome: Outcome) {
        let Some(attempt) = self.attempts.get_mut(&id).filter(|it| it.outcome.is_none()) else {
            return;
        };
        (attempt.ended_ms, attempt.outcome) = (Some(now_ms), Some(outcome.clone()));
        let (contact, channel) = (attempt.contact, attempt.channel);
        self.changed_attempts.insert(id);
        if self.under_way.get(&contact) == Some(&id) {
            self.under_way.remove(&contact);
        }
        self.worded.remove(&id);
        // A line is free, and a contact: whoever waited for either looks again.
        for waiting in std::mem::take(&mut self.waiting) {
            self.with_pursuit(waiting, |pursuit| {
                pursuit.due_ms = pursuit.due_ms.min(now_ms)
            });
        }
        let concerned: Vec<_> = self
            .alarms
            .values()
            .filter(|it| it.pursuit.as_ref().is_some_and(|it| it.attempt == Some(id)))
            .map(|it| it.id)
            .collect();
        for alarm in concerned {
            self.after(now_ms, alarm, (contact, channel), &outcome);
        }
    }

    /// What an attempt's end means for one of its alarms that is still pursued.
    fn after(
        &mut self,
        now_ms: u64,
        id: AlarmId,
        (contact, channel): (ContactId, Channel),
        outcome: &Outcome,
    ) {
        let rung = self.alarms.get(&id).and_then(|alarm| {
            let pursuit = alarm.pursuit.as_ref()?;
            self.rung(alarm, pursuit)
        });
        let seconds = |wanted: fn(&Rung) -> u32| {
            let wanted = rung.as_ref().map_or(0, wanted);
            u64::from(wanted) * 1_000
        };
        let (wait_ms, pause_ms) = (seconds(|it| it.wait_s), seconds(|it| it.pause_s));
        let attempts_max = rung.as_ref().map_or(1, |it| it.attempts);
        let failed = self
            .alarms
            .get(&id)
            .and_then(|it| it.pursuit.as_ref())
            .map(|it| it.failed.clone())
            .unwrap_or_default();
        let has_other = self.desk.channels.keys().any(|other| {
            *other != channel && other.medium() == channel.medium() && !failed.contains(other)
        });
        let mut climbs = false;
        self.with_pursuit(id, |pursuit| {
            pursuit.attempt = None;
            pursuit.due_ms = now_ms;
            match outcome {
                Outcome::Unanswered | Outcome::Sent => {
                    pursuit.is_notified = true;
                    pursuit.due_ms = now_ms + wait_ms;
                    climbs = true;
                }
                Outcome::Failed { .. } if has_other && !pursuit.failed.contains(&channel) => {
                    // Another way to the same telephone, at once.
                    pursuit.failed.push(channel);
                }
                Outcome::Busy | Outcome::NoAnswer | Outcome::Failed { .. } => {
                    pursuit.attempts = pursuit.attempts.saturating_add(1);
                    pursuit.failed.clear();
                    match pursuit.attempts < attempts_max {
                        true => pursuit.due_ms = now_ms + pause_ms,
                        false => climbs = true,
                    }
                }
                Outcome::Limited { .. } => climbs = true,
                Outcome::Interrupted
                | Outcome::Withdrawn
                | Outcome::Acknowledged
                | Outcome::Muted => {}
                Outcome::Passed => climbs = true,
            }
        });
        match outcome {
            Outcome::Passed => self.pass(now_ms, id, (contact, true)),
            _ if climbs => self.climb(id),
            _ => {}
        }
        let is_test = |it: &Alarm| matches!(it.source, Source::Test { .. });
        let is_over = climbs || matches!(outcome, Outcome::Passed);
        if is_over && self.alarms.get(&id).is_some_and(is_test) {
            self.test_failed(now_ms, id);
        }
    }

    /// Attempts that have nothing to tell any more come to their end, but for the one by which that came about.
    pub(super) fn withdraw(&mut self, how: How) {
        let is_needed = |alarm: &AlarmId| {
            let alarm = self.alarms.get(alarm);
            alarm.is_some_and(|it| {
                it.acknowledged.is_none() && it.shelved.is_none() && it.part_of.is_none()
            })
        };
        let idle: BTreeSet<_> = self
            .under_way
            .values()
            .filter(|id| how.attempt() != Some(**id))
            .filter_map(|id| self.attempts.get(id))
            .filter(|attempt| !attempt.alarms.iter().any(is_needed))
            .map(|attempt| attempt.id)
            .collect();
        for id in idle {
            let action = Action::Withdraw(id);
            if !self.actions.contains(&action) {
                self.actions.push_back(action);
            }
        }
    }

    /// A test that was heard is over, and so is the alarm of one that was not.
    pub(super) fn end_test(&mut self, now_ms: u64, id: AlarmId) {
        let source = self.alarms.get(&id).map(|it| it.source.clone());
        if let Some(source @ Source::Test { contact, .. }) = source {
            self.over(now_ms, &source);
            self.over(now_ms, &Source::TestUnanswered { contact });
        }
    }

    /// A test that nobody heard is over, too: for a weekly one that is an alarm.
    fn test_failed(&mut self, now_ms: u64, id: AlarmId) {
        let Some(alarm) = self.alarms.get_mut(&id) else {
            return;
        };
        let Source::Test { contact, .. } = alarm.source else {
            return;
        };
        let source = alarm.source.clone();
        // Messages are sent, and nobody has to answer them.
        let was_told = alarm.pursuit.as_ref().is_some_and(|it| it.is_notified);
        let was_tried = alarm.pursuit.as_ref().is_some_and(|it| it.has_tried);
        let is_call = matches!(
            source,
            Source::Test {
                medium: Medium::Call,
                ..
            }
        );
        let is_weekly = alarm.severity > Severity::Low;
        alarm.pursuit = None;
        self.over(now_ms, &source);
        if let Some(alarm) = self.alarms.get_mut(&id) {
            alarm.pursuit = None;
        }
        if !is_weekly || (was_told && !is_call) {
            return;
        }
        let name = self.desk.contacts.get(&contact).map(|it| it.name.clone());
        let name = name.unwrap_or_default();
        // Nobody is blamed for a test that was not made.
        let skipped = self.skipped.get(&(id, 0)).filter(|_| !was_tried);
        let raising = super::Raising {
            source: Source::TestUnanswered { contact },
            severity: Severity::Medium,
            text: match skipped {
                Some(reason) => format!("the weekly test of {name} was not made: {reason}"),
                None => format!("{name} did not answer the weekly test"),
            },
            controller: None,
            site: None,
            value: None,
            is_silence: false,
        };
        // Where there are too many alarms this one is not missed.
        let _ = self.raise(now_ms, raising);
    }
}
