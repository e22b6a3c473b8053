//! The life of alarms: raised, told of, heard, over; and who is to be told next.
//!
//! The book holds what is open. Each of its methods is given the moment, changes what it holds, and notes what
//! has to be kept ([`AlarmChanges`]) and what has to be done ([`Action`]). Whoever owns it keeps the changes
//! first, and does nothing of the rest before that.
//!
//! Nobody is told of one thing by two calls: all alarms that come to a contact while an attempt at them is under way
//! go along with it until they are spoken, and wait for its end from then on.

mod pursuit;
#[cfg(test)]
mod tests;

use super::{
    desk::Desk,
    model::{
        Alarm, AlarmId, Attempt, AttemptId, Deed, Happened, How, Note, Outcome, Pursuit, Severity,
        Shelf, Source, Step, Who,
    },
    people::ContactId,
};
use crate::store::{AlarmChanges, AlarmNumbers};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Alarms that may be open: beyond it there is one for every other controller, and nobody reads them.
pub(crate) const OPEN_MAX: usize = 20_000;
/// So often it is noted each time that an alarm is raised and over, and from then on each time of so many.
const TIMES_NOTED: u32 = 100;
/// One that comes back within so long is the same one.
pub(crate) const REOPEN_MS: u64 = 10 * 60 * 1_000;
/// So many times within [`REOPEN_MS`], and it is flapping.
pub(crate) const FLAPPING_TIMES: usize = 5;
/// How long a call waits for others to come along; those that come while it rings do so anyway.
const GATHER_CALL_MS: u64 = 200;
/// How long a message waits for others to come along.
const GATHER_MESSAGE_MS: u64 = 3_000;
/// How long a silent controller waits for its neighbours.
const GATHER_SILENCE_MS: u64 = 3_000;
/// So many controllers of a site that are silent, and half of all there, are one alarm.
const SITE_SILENT_MIN: usize = 3;
/// How long something rests by key 3.
pub(crate) const MUTE_MS: u64 = 60 * 60 * 1_000;
/// For how long an answer to a message counts, and calls are counted.
pub(crate) const ANSWER_MS: u64 = 24 * 60 * 60 * 1_000;
/// Attempts that are remembered for that.
const ATTEMPTS_MAX: usize = 8_192;

/// Something is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Raising {
    pub(crate) source: Source,
    pub(crate) severity: Severity,
    pub(crate) text: String,
    pub(crate) controller: Option<(u32, String)>,
    pub(crate) site: Option<u32>,
    pub(crate) value: Option<String>,
    pub(crate) is_silence: bool,
}

/// There are too many already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {OPEN_MAX} open alarms")]
pub(crate) struct Full;

/// What has to be done, once the changes are kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Somebody has to be told.
    Begin(Box<Attempt>),
    /// That is not needed any more.
    Withdraw(AttemptId),
}

/// What somebody says who was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// They heard.
    Acknowledge,
    /// Somebody else should.
    Pass,
    /// Not for an hour.
    Mute,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) desk: Desk,
    /// Those that are open, and those that may come back.
    alarms: BTreeMap<AlarmId, Alarm>,
    by_source: HashMap<Source, AlarmId>,
    /// Attempts under way, and those of the last day.
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Of those, the ones under way, by who is told.
    under_way: HashMap<ContactId, AttemptId>,
    /// Attempts whose wording is fixed: nothing goes along with them any more.
    worded: BTreeSet<AttemptId>,
    /// Alarms that wait for the end of an attempt.
    waiting: BTreeSet<AlarmId>,
    /// Why nobody was told at a rung of an alarm, as it was written down last.
    skipped: HashMap<(AlarmId, u16), String>,
    last: AlarmNumbers,
    /// The latest moment that it was given.
    clock_ms: u64,
    changed_alarms: BTreeSet<AlarmId>,
    changed_attempts: BTreeSet<AttemptId>,
    notes: Vec<(u64, Note)>,
    actions: VecDeque<Action>,
}

impl Book {
    /// One with what the store has: open alarms and those that were over a moment ago, the attempts of the last day, and the
    /// highest numbers of both so far. Attempts that were under way when the gateway was stopped have come to nothing.
    pub(crate) fn open(
        desk: Desk,
        alarms: Vec<Alarm>,
        attempts: Vec<Attempt>,
        last: AlarmNumbers,
        now_ms: u64,
    ) -> Self {
        let interrupted: Vec<_> = attempts
            .iter()
            .filter(|it| it.outcome.is_none())
            .map(|it| it.id)
            .collect();
        let mut book = Book {
            desk,
            by_source: HashMap::new(),
            alarms: alarms.into_iter().map(|it| (it.id, it)).collect(),
            under_way: HashMap::new(),
            attempts: attempts.into_iter().map(|it| (it.id, it)).collect(),
            worded: BTreeSet::new(),
            waiting: BTreeSet::new(),
            skipped: HashMap::new(),
            last,
            clock_ms: now_ms,
            changed_alarms: BTreeSet::new(),
            changed_attempts: BTreeSet::new(),
            notes: Vec::new(),
            actions: VecDeque::new(),
        };
        // Of several from one source the latest counts.
        let sources = book.alarms.values().map(|it| (it.source.clone(), it.id));
        book.by_source = sources.collect();
        for attempt in interrupted {
            book.end(now_ms, attempt, Outcome::Interrupted);
        }
        book.mend_pursuits(now_ms);
        let is_stuck =
            |it: &&Alarm| it.pursuit.is_none() && matches!(it.source, Source::Test { .. });
        let stuck: Vec<_> = book
            .alarms
            .values()
            .filter(is_stuck)
            .map(|it| it.source.clone())
            .collect();
        for source in stuck {
            book.over(now_ms, &source);
        }
        book.clock_ms = now_ms;
        book
    }

    /// Whoever kept this last may have been stopped between two parts of it, and its clock may have been ahead.
    fn mend_pursuits(&mut self, now_ms: u64) {
        let is_ahead = |at_ms: u64| at_ms > now_ms + pursuit::CLOCK_SLACK_MS;
        let was_ahead = self.alarms.values().any(|it| is_ahead(it.since_ms))
            || self.attempts.values().any(|it| is_ahead(it.begun_ms));
        let mut changed = Vec::new();
        for alarm in self.alarms.values_mut() {
            if let Some(shelf) = alarm.shelved.as_mut().filter(|it| it.by.how != How::Api)
                && shelf.until_ms > now_ms + MUTE_MS
            {
                shelf.until_ms = now_ms + MUTE_MS;
                changed.push(alarm.id);
            }
            let Some(pursuit) = &mut alarm.pursuit else {
                continue;
            };
            // Nothing is under way yet.
            let is_lost = pursuit.attempt.take().is_some();
            if is_lost || (was_ahead && pursuit.due_ms > now_ms) {
                pursuit.due_ms = pursuit.due_ms.min(now_ms);
                alarm.since_ms = alarm.since_ms.min(now_ms);
                changed.push(alarm.id);
            }
        }
        self.changed_alarms.extend(changed);
    }

    /// Those that are open, and those that were over a moment ago.
    pub(crate) fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.values()
    }

    /// One of those.
    pub(crate) fn alarm(&self, id: AlarmId) -> Option<&Alarm> {
        self.alarms.get(&id)
    }

    /// The one of a source, if it stands.
    #[cfg(test)]
    pub(crate) fn standing(&self, source: &Source) -> Option<&Alarm> {
        let alarm = self.alarms.get(self.by_source.get(source)?)?;
        alarm.is_standing.then_some(alarm)
    }

    /// An attempt under way, or of the last day.
    pub(crate) fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.attempts.get(&id)
    }

    /// The attempts under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = AttemptId> + '_ {
        self.under_way.values().copied()
    }

    /// What has to be kept now. It is given once.
    pub(crate) fn take_changes(&mut self) -> AlarmChanges {
        let alarms = std::mem::take(&mut self.changed_alarms);
        let attempts = std::mem::take(&mut self.changed_attempts);
        AlarmChanges {
            alarms: alarms
                .iter()
                .filter_map(|id| self.alarms.get(id).cloned())
                .collect(),
            attempts: attempts
                .iter()
                .filter_map(|id| self.attempts.get(id).cloned())
                .collect(),
            notes: std::mem::take(&mut self.notes),
            ..AlarmChanges::default()
        }
    }

    /// What has to be done once that is kept. It is given once.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        self.actions.drain(..).collect()
    }

    /// Something is wrong. Its alarm, which may have been there before.
    pub(crate) fn raise(&mut self, now_ms: u64, it: Raising) -> Result<AlarmId, Full> {
        if let Some(&id) = self.by_source.get(&it.source)
            && let Some(alarm) = self.alarms.get(&id)
            && (alarm.is_open() || alarm.may_come_back(now_ms))
            // Each test is one of its own.
            && (alarm.is_standing || !matches!(alarm.source, Source::Test { .. }))
        {
            self.raise_again(now_ms, id, it);
            return Ok(id);
        }
        // A whole site, and what is grave, has room beyond what is not.
        let is_grave =
            it.severity == Severity::High || matches!(it.source, Source::SiteSilent { .. });
        let max = if is_grave {
            OPEN_MAX + OPEN_MAX / 10
        } else {
            OPEN_MAX
        };
        if self.alarms.len() >= OPEN_MAX
            && self.alarms.values().filter(|it| it.is_open()).count() >= max
        {
            return Err(Full);
        }
        self.last.alarm.0 += 1;
        let id = self.last.alarm;
        let mut alarm = Alarm {
            id,
            source: it.source,
            severity: it.severity,
            text: it.text,
            controller: it.controller.as_ref().map(|(address, _)| *address),
            controller_title: it.controller.map(|(_, title)| title),
            site: it.site,
            value: it.value,
            raised_ms: now_ms,
            since_ms: now_ms,
            is_standing: true,
            cleared_ms: None,
            times: 1,
            lately_ms: vec![now_ms],
            is_flapping: false,
            is_silence: it.is_silence,
            acknowledged: None,
            shelved: None,
            part_of: None,
            pursuit: None,
        };
        alarm.pursuit = Some(Self::new_pursuit(now_ms, &alarm));
        self.by_source.insert(alarm.source.clone(), id);
        let value = alarm.value.clone();
        self.alarms.insert(id, alarm);
        self.note(now_ms, id, Happened::Raised { value });
        Ok(id)
    }

    fn new_pursuit(now_ms: u64, alarm: &Alarm) -> Pursuit {
        let gather_ms = match alarm.is_silence {
            true => GATHER_SILENCE_MS,
            false => GATHER_CALL_MS,
        };
        Pursuit {
            due_ms: now_ms + gather_ms,
            ..Pursuit::default()
        }
    }

    fn raise_again(&mut self, now_ms: u64, id: AlarmId, it: Raising) {
        let Some(alarm) = self.alarms.get_mut(&id) else {
            return;
        };
        if alarm.is_standing {
            // The latest word counts, such as how many are silent by now.
            if alarm.text != it.text || alarm.value != it.value {
                (alarm.text, alarm.value) = (it.text, it.value);
                self.changed_alarms.insert(id);
            }
            // What has become graver is news, also to who has heard of it before.
            if it.severity > alarm.severity {
                alarm.severity = it.severity;
                if alarm.part_of.is_none() && alarm.shelved.is_none() {
                    alarm.acknowledged = None;
                    let is_told = alarm
                        .pursuit
                        .as_ref()
                        .is_some_and(|it| it.attempt.is_some());
                    if !is_told {
                        alarm.pursuit = Some(Self::new_pursuit(now_ms, alarm));
                    }
                }
                let value = alarm.value.clone();
                self.note(now_ms, id, Happened::Raised { value });
            }
            return;
        }
        alarm.is_standing = true;
        alarm.cleared_ms = None;
        alarm.since_ms = now_ms;
        alarm.times = alarm.times.saturating_add(1);
        (alarm.severity, alarm.text) = (it.severity, it.text);
        (alarm.value, alarm.site) = (it.value, it.site);
        if let Some((_, title)) = it.controller {
            alarm.controller_title = Some(title);
        }
        alarm.lately_ms.retain(|&at| at + REOPEN_MS > now_ms);
        alarm.lately_ms.push(now_ms);
        let was_flapping = alarm.is_flapping;
        alarm.is_flapping = alarm.lately_ms.len() >= FLAPPING_TIMES;
        if alarm.lately_ms.len() > FLAPPING_TIMES {
            alarm.lately_ms.remove(0);
        }
        let begins_to_flap = alarm.is_flapping && !was_flapping;
        // Somebody who has heard of one that comes and goes is not told each time.
        let is_heard = alarm.acknowledged.is_some() && alarm.is_flapping;
        if !is_heard && alarm.part_of.is_none() && alarm.shelved.is_none() {
            alarm.acknowledged = None;
            if alarm.pursuit.is_none() {
                let mut pursuit = Self::new_pursuit(now_ms, alarm);
                // Somebody may be about to hear of it this moment.
                let mut under_way = self.under_way.values();
                pursuit.attempt = under_way
                    .find(|attempt| {
                        let attempt = self.attempts.get(attempt);
                        attempt.is_some_and(|it| it.alarms.contains(&id))
                    })
                    .copied();
                alarm.pursuit = Some(pursuit);
            }
        }
        let value = alarm.value.clone();
        self.note_change(now_ms, id, Happened::Raised { value });
        if begins_to_flap {
            self.note(now_ms, id, Happened::Flapping);
        }
    }

    /// It is not so any more.
    pub(crate) fn over(&mut self, now_ms: u64, source: &Source) {
        let Some(&id) = self.by_source.get(source) else {
            return;
        };
        let Some(alarm) = self.alarms.get_mut(&id).filter(|it| it.is_standing) else {
            return;
        };
        alarm.is_standing = false;
        alarm.cleared_ms = Some(now_ms);
        let plan = self.desk.plan_of(alarm.site);
        let must_be_heard =
            alarm.is_flapping || plan.is_some_and(|it| it.heard_from.covers(alarm.severity));
        if !must_be_heard || alarm.shelved.is_some() {
            // Who is being told this moment is told to the end.
            alarm.pursuit = None;
        }
        if matches!(source, Source::Test { .. }) {
            alarm.shelved = None;
        }
        self.note_change(now_ms, id, Happened::Cleared);
        // What was told of in its place stands for itself from now on.
        let parts = match source {
            Source::SiteSilent { .. } => self.parts(id).map(|it| it.id).collect(),
            _ => Vec::new(),
        };
        for part in parts {
            if let Some(alarm) = self.alarms.get_mut(&part) {
                alarm.part_of = None;
                if alarm.is_standing && alarm.acknowledged.is_none() {
                    alarm.pursuit = Some(Self::new_pursuit(now_ms, alarm));
                }
                self.changed_alarms.insert(part);
            }
        }
    }

    /// The alarms that are parts of one.
    pub(crate) fn parts(&self, of: AlarmId) -> impl Iterator<Item = &Alarm> {
        self.alarms
            .values()
            .filter(move |it| it.part_of == Some(of))
    }

    /// Somebody has heard of these, and of what is a part of them. How many that was news for.
    pub(crate) fn acknowledge(&mut self, now_ms: u64, ids: &[AlarmId], by: &Deed) -> usize {
        let with_parts = self.with_parts(ids);
        let mut count = 0;
        for id in with_parts {
            let Some(alarm) = self.alarms.get_mut(&id) else {
                continue;
            };
            if alarm.acknowledged.is_some() || !(alarm.is_open() || alarm.part_of.is_some()) {
                continue;
            }
            alarm.acknowledged = Some(by.clone());
            alarm.pursuit = None;
            alarm.shelved = None;
            count += 1;
            self.note(now_ms, id, Happened::Acknowledged { by: by.clone() });
            self.end_test(now_ms, id);
        }
        self.withdraw(by.how);
        count
    }

    fn with_parts(&self, ids: &[AlarmId]) -> Vec<AlarmId> {
        let is_whole = |id: &&AlarmId| {
            let alarm = self.alarms.get(*id);
            alarm.is_some_and(|it| matches!(it.source, Source::SiteSilent { .. }))
        };
        let parts = ids
            .iter()
            .filter(is_whole)
            .flat_map(|&id| self.parts(id).map(|it| it.id).collect::<Vec<_>>());
        let all: BTreeSet<_> = ids.iter().copied().chain(parts).collect();
        all.into_iter().collect()
    }

    /// Nobody is told of these until then.
    pub(crate) fn shelve(&mut self, now_ms: u64, ids: &[AlarmId], until_ms: u64, by: &Deed) {
        for &id in ids {
            let Some(alarm) = self.alarms.get_mut(&id).filter(|it| it.is_open()) else {
                continue;
            };
            alarm.acknowledged = None;
            alarm.pursuit = None;
            // Also one that is over by now: it may come back.
            alarm.shelved = Some(Shelf {
                until_ms,
                by: by.clone(),
            });
            let by = by.clone();
            self.note(now_ms, id, Happened::Shelved { until_ms, by });
            self.end_test(now_ms, id);
        }
        self.withdraw(by.how);
    }

    /// These are taken from the shelf, and people are told of them.
    pub(crate) fn unshelve(&mut self, now_ms: u64, ids: &[AlarmId], by: &Deed) {
        for &id in ids {
            let Some(alarm) = self.alarms.get_mut(&id) else {
                continue;
            };
            if alarm.shelved.take().is_none() {
                continue;
            }
            if alarm.is_standing && alarm.part_of.is_none() {
                alarm.pursuit = Some(Self::new_pursuit(now_ms, alarm));
            }
            self.note(now_ms, id, Happened::Unshelved { by: by.clone() });
        }
    }

    /// Somebody writes something about these.
    pub(crate) fn comment(&mut self, now_ms: u64, ids: &[AlarmId], text: &str, by: &Deed) {
        for &id in ids {
            // Also of one that has been over for long, which the book has not.
            let (text, by) = (text.to_owned(), by.clone());
            self.note(now_ms, id, Happened::Commented { text, by });
        }
    }

    /// Makes one alarm of the silent controllers of a site, or many of one: `of` controllers are there.
    pub(crate) fn regroup(&mut self, now_ms: u64, site: u32, site_name: &str, of: usize) {
        let is_here = |it: &&Alarm| it.is_silence && it.is_standing && it.site == Some(site);
        let silent: Vec<_> = self.alarms.values().filter(is_here).collect();
        let controllers: BTreeSet<_> = silent.iter().filter_map(|it| it.controller).collect();
        let count = controllers.len();
        let source = Source::SiteSilent { site };
        if count < SITE_SILENT_MIN || count * 2 < of {
            return self.over(now_ms, &source);
        }
        let severity = silent.iter().map(|it| it.severity).max();
        let alone: Vec<_> = silent
            .iter()
            .filter(|it| it.part_of.is_none())
            .map(|it| it.id)
            .collect();
        let raising = Raising {
            source,
            severity: severity.unwrap_or_default(),
            text: format!("{site_name}: controllers are silent"),
            controller: None,
            site: Some(site),
            value: Some(format!("{count}/{of}")),
            is_silence: false,
        };
        let Ok(whole) = self.raise(now_ms, raising) else {
            return;
        };
        let heard = self.alarm(whole).and_then(|it| it.acknowledged.clone());
        for id in alone {
            let Some(alarm) = self.alarms.get_mut(&id) else {
                continue;
            };
            // Somebody who was told of one of them already is not told less by that.
            let was_told = alarm.pursuit.as_ref().is_some_and(|it| it.is_notified);
            if was_told || alarm.acknowledged.is_some() || alarm.shelved.is_some() {
                continue;
            }
            alarm.part_of = Some(whole);
            alarm.pursuit = None;
            alarm.acknowledged.clone_from(&heard);
            self.note(now_ms, id, Happened::Joined { alarm: whole });
        }
        self.withdraw(How::Itself);
    }

    /// Forgets what is over and will not come back, and attempts that nobody answers any more.
    fn forget(&mut self, now_ms: u64) {
        let by_source = &mut self.by_source;
        let changed = &self.changed_alarms;
        self.alarms.retain(|id, alarm| {
            let is_kept = alarm.is_open() || changed.contains(id) || alarm.may_come_back(now_ms);
            if !is_kept && by_source.get(&alarm.source) == Some(id) {
                by_source.remove(&alarm.source);
            }
            is_kept
        });
        let alarms = &self.alarms;
        let is_pursued = |id: &AlarmId| alarms.get(id).is_some_and(|it| it.pursuit.is_some());
        self.skipped.retain(|(id, _), _| is_pursued(id));
        let (under_way, changed) = (&self.under_way, &self.changed_attempts);
        let is_under_way =
            |it: &Attempt| under_way.get(&it.contact) == Some(&it.id) || changed.contains(&it.id);
        let mut surplus = self.attempts.len().saturating_sub(ATTEMPTS_MAX);
        self.attempts.retain(|_, it| {
            let is_old = it.begun_ms + ANSWER_MS <= now_ms || surplus > 0;
            let is_kept = is_under_way(it) || !is_old;
            surplus = surplus.saturating_sub(usize::from(!is_kept));
            is_kept
        });
    }

    /// Notes that it was raised or is over: of one that comes and goes all day not each time.
    fn note_change(&mut self, at_ms: u64, id: AlarmId, what: Happened) {
        let times = self.alarms.get(&id).map_or(0, |it| it.times);
        match times <= TIMES_NOTED || times.is_multiple_of(TIMES_NOTED) {
            true => self.note(at_ms, id, what),
            false => {
                self.changed_alarms.insert(id);
            }
        }
    }

    fn note(&mut self, at_ms: u64, alarm: AlarmId, what: Happened) {
        self.changed_alarms.insert(alarm);
        self.last.note += 1;
        let note = Note { alarm, at_ms, what };
        self.notes.push((self.last.note, note));
    }
}

impl Alarm {
    /// Whether it would still be the same one if it came back now.
    fn may_come_back(&self, now_ms: u64) -> bool {
        self.cleared_ms
            .is_some_and(|at_ms| at_ms + REOPEN_MS > now_ms)
    }
}

/// The deed of the gateway itself.
pub(crate) fn by_itself(at_ms: u64) -> Deed {
    Deed {
        who: Who::Gateway,
        how: How::Itself,
        at_ms,
    }
}

/// The steps that an attempt takes, each once.
fn has_taken(attempt: &Attempt, step: Step) -> bool {
    attempt.steps.iter().any(|(it, _)| *it == step)
}
