//! What rules look at: controllers as the yard tells of them, each rule's judge for each of them, and what they
//! find.
//!
//! It is looked at as frames come, so that nothing that was so for a moment is missed; what is found waits for the owner
//! of alarms to take it.

use super::rule::{Condition, Judge, Rule, RuleId, Scope, Sight};
use crate::{
    inside::{
        Observer, Peer,
        fleet::{Controller, Fleet, News},
    },
    outward,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use switchyard_protocol::{
    Address, Frame,
    message::{Name, Point, PointFlags},
};
use tokio::{sync::Notify, time::Instant};

/// How long after the start nobody is silent: those who were there before come back one after the other.
pub(crate) const GRACE_MS: u64 = 90_000;
/// What was found and waits to be taken; beyond it the oldest are taken for lost, which is said.
const FOUND_MAX: usize = 65_536;

/// How long a controller is left alone whose alarm found no room.
const AGAIN_MS: u64 = 10_000;

/// Where a controller belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) title: String,
    pub(crate) site: Option<u32>,
    pub(crate) tags: Vec<String>,
}

/// What a judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: RuleId,
    pub(crate) controller: u32,
    pub(crate) is_raised: bool,
    /// The point's value, as people write it.
    pub(crate) value: Option<String>,
}

struct Seat {
    judge: Judge,
    /// When it stands in the list of those that are due.
    due_ms: Option<u64>,
}

/// See the module.
pub(crate) struct Watching {
    fleet: Fleet,
    rules: BTreeMap<RuleId, Rule>,
    homes: HashMap<u32, Home>,
    /// Which rules are about a controller; empty until it is asked for.
    concerns: HashMap<u32, Arc<[RuleId]>>,
    seats: HashMap<(RuleId, u32), Seat>,
    due: BTreeSet<(u64, RuleId, u32)>,
    /// Alarms that stood before their judge was there.
    standing: BTreeSet<(RuleId, u32)>,
    /// Controllers to be looked at once more, and when.
    again: BTreeSet<(u64, u32)>,
    found: VecDeque<Found>,
    /// Found and not kept for want of room.
    pub(crate) missed: u64,
    has_grace: bool,
}

impl Watching {
    pub(crate) fn new() -> Self {
        Watching {
            fleet: Fleet::new(&[]),
            rules: BTreeMap::new(),
            homes: HashMap::new(),
            concerns: HashMap::new(),
            seats: HashMap::new(),
            due: BTreeSet::new(),
            standing: BTreeSet::new(),
            again: BTreeSet::new(),
            found: VecDeque::new(),
            missed: 0,
            has_grace: true,
        }
    }

    /// Whether there is anything to look at.
    pub(crate) fn is_needed(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Takes other rules and homes; `standing` are the alarms of rules that stand. Judges of rules that are as they were
    /// go on.
    pub(crate) fn set(
        &mut self,
        now_ms: u64,
        rules: BTreeMap<RuleId, Rule>,
        homes: HashMap<u32, Home>,
        standing: BTreeSet<(RuleId, u32)>,
    ) {
        let rules: BTreeMap<_, _> = rules.into_iter().filter(|(_, it)| it.is_enabled).collect();
        let same: BTreeSet<_> = rules
            .iter()
            .filter(|(id, rule)| self.rules.get(id) == Some(rule))
            .map(|(id, _)| *id)
            .collect();
        (self.rules, self.homes, self.standing) = (rules, homes, standing);
        self.concerns.clear();
        let (rules, homes) = (&self.rules, &self.homes);
        self.seats.retain(|(rule, controller), _| {
            same.contains(rule)
                && rules
                    .get(rule)
                    .is_some_and(|it| is_about(it, *controller, homes.get(controller)))
        });
        let seats = &self.seats;
        self.due
            .retain(|(_, rule, controller)| seats.contains_key(&(*rule, *controller)));
        for address in self.fleet.addresses().collect::<Vec<_>>() {
            self.look(now_ms, address);
        }
    }

    /// Nothing is watched any more: what was seen is old when something is again.
    pub(crate) fn forget_all(&mut self) {
        *self = Watching {
            has_grace: self.has_grace,
            homes: std::mem::take(&mut self.homes),
            ..Watching::new()
        };
    }

    /// Has a judge look anew at what it found, since that could not be raised.
    pub(crate) fn not_raised(&mut self, now_ms: u64, rule: RuleId, controller: u32) {
        let place = (rule, controller);
        if let Some(seat) = self.seats.remove(&place) {
            if let Some(due_ms) = seat.due_ms {
                self.due.remove(&(due_ms, rule, controller));
            }
            self.standing.remove(&place);
            // Not at once: there may be room by then.
            self.again.insert((now_ms + AGAIN_MS, controller));
        }
    }

    /// Takes what was found.
    pub(crate) fn take_found(&mut self) -> Vec<Found> {
        self.found.drain(..).collect()
    }

    /// When something is due, if nothing is seen before.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let first = self.due.first().map(|(due_ms, _, _)| *due_ms);
        let grace = (self.has_grace && self.is_needed()).then_some(GRACE_MS);
        let again = self.again.first().map(|(due_ms, _)| *due_ms);
        first.into_iter().chain(again).chain(grace).min()
    }

    /// Judges what is due.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        if self.has_grace && now_ms >= GRACE_MS {
            self.has_grace = false;
            for address in self.fleet.addresses().collect::<Vec<_>>() {
                self.look(now_ms, address);
            }
        }
        while let Some(&(due_ms, controller)) = self.again.first()
            && due_ms <= now_ms
        {
            self.again.pop_first();
            self.look(now_ms, Address(controller));
        }
        while let Some(&(due_ms, rule, controller)) = self.due.first()
            && due_ms <= now_ms
        {
            self.due.pop_first();
            if let Some(seat) = self.seats.get_mut(&(rule, controller)) {
                seat.due_ms = None;
            }
            self.judge(now_ms, rule, controller);
        }
    }

    fn take(&mut self, now_ms: u64, frame: &Frame) -> Option<Address> {
        match self.fleet.take(frame, crate::clock::time()) {
            News::Presence(address) | News::Points(address) | News::Values(address) => {
                self.look(now_ms, address);
                None
            }
            News::Missed(address) => Some(address),
            News::Gone(address) => {
                self.forget(address);
                None
            }
            News::Nothing | News::Happened(..) => None,
        }
    }

    /// A controller is out of sight: what its rules found is over.
    fn forget(&mut self, address: Address) {
        let its: Vec<_> = self
            .seats
            .iter()
            .filter(|((_, controller), _)| *controller == address.0)
            .map(|((rule, _), seat)| (*rule, seat.judge.is_raised()))
            .collect();
        for (rule, is_raised) in its {
            self.seats.remove(&(rule, address.0));
            if is_raised {
                self.find(Found {
                    rule,
                    controller: address.0,
                    is_raised: false,
                    value: None,
                });
            }
        }
        self.due
            .retain(|(_, _, controller)| *controller != address.0);
    }

    /// Has the rules look at a controller.
    fn look(&mut self, now_ms: u64, address: Address) {
        let controller = address.0;
        let concerns = self.concerns.entry(controller).or_insert_with(|| {
            let home = self.homes.get(&controller);
            let about = self
                .rules
                .iter()
                .filter(|(_, it)| is_about(it, controller, home));
            about.map(|(id, _)| *id).collect()
        });
        for rule_id in Arc::clone(concerns).iter() {
            let Some((rule, seen)) = self.rules.get(rule_id).zip(self.fleet.controller(address))
            else {
                continue;
            };
            let Some(sight) = sight(rule, seen) else {
                continue;
            };
            // They come back one after the other.
            if sight == Sight::Away && self.has_grace && rule.condition == Condition::Silent {
                continue;
            }
            let standing = &self.standing;
            let place = (*rule_id, controller);
            let seat = self.seats.entry(place).or_insert_with(|| Seat {
                judge: Judge::new(standing.contains(&place)),
                due_ms: None,
            });
            seat.judge.see(now_ms, rule, sight);
            self.judge(now_ms, *rule_id, controller);
        }
    }

    fn judge(&mut self, now_ms: u64, rule_id: RuleId, controller: u32) {
        let Some(rule) = self.rules.get(&rule_id) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(&(rule_id, controller)) else {
            return;
        };
        let verdict = seat.judge.judge(now_ms, rule);
        let due_ms = seat.judge.due_ms(rule);
        if due_ms != seat.due_ms {
            if let Some(before) = seat.due_ms {
                self.due.remove(&(before, rule_id, controller));
            }
            if let Some(due_ms) = due_ms {
                self.due.insert((due_ms, rule_id, controller));
            }
            seat.due_ms = due_ms;
        }
        if let Some(is_raised) = verdict {
            let seen = self.fleet.controller(Address(controller));
            let point = seen.and_then(|seen| point_of(rule, seen));
            let value = point.map(value_text);
            self.find(Found {
                rule: rule_id,
                controller,
                is_raised,
                value,
            });
        }
    }

    fn find(&mut self, found: Found) {
        if self.found.len() >= FOUND_MAX {
            self.found.pop_front();
            self.missed += 1;
        }
        self.found.push_back(found);
    }
}

/// Whether a rule is about a controller.
pub(crate) fn is_about(rule: &Rule, controller: u32, home: Option<&Home>) -> bool {
    match &rule.scope {
        Scope::Everywhere => true,
        Scope::Site(site) => home.is_some_and(|it| it.site == Some(*site)),
        Scope::Tag(tag) => home.is_some_and(|it| it.tags.contains(tag)),
        Scope::Controllers(them) => them.contains(&controller),
    }
}

fn point_of<'a>(rule: &Rule, seen: &'a Controller) -> Option<&'a Point> {
    let name = Name::new(rule.condition.point()?).ok()?;
    seen.point(&name)
}

/// What a rule sees of a controller; `None` when there is nothing to see.
fn sight(rule: &Rule, seen: &Controller) -> Option<Sight> {
    if rule.condition == Condition::Silent {
        return Some(match seen.online {
            true => Sight::There,
            false => Sight::Away,
        });
    }
    if !seen.online {
        return Some(Sight::Away);
    }
    let point = point_of(rule, seen)?;
    Some(match point.flags.contains(PointFlags::BAD) {
        true => Sight::Bad,
        false => Sight::Value(point.value),
    })
}

/// A value as people write it.
fn value_text(point: &Point) -> String {
    match (point.point_type.is_digital(), point.value) {
        (true, 0) => "off".into(),
        (true, _) => "on".into(),
        (false, value) => outward::decimal(value).to_string(),
    }
}

/// [`Watching`] as the yard's observer and the owner of alarms share it.
#[derive(Clone)]
pub(crate) struct Eye {
    watching: Arc<Mutex<Watching>>,
    /// Something was found, or is due earlier.
    news: Arc<Notify>,
    start: Instant,
}

impl Eye {
    pub(crate) fn new() -> Self {
        Eye {
            watching: Arc::new(Mutex::new(Watching::new())),
            news: Arc::default(),
            start: Instant::now(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of the clock that its judges go by.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment of such a count.
    pub(crate) fn moment(&self, at_ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(at_ms)
    }

    /// Waits until there is something new. Cancel-safe.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

impl Observer for Eye {
    fn begin(&mut self, _: &Peer) {
        self.lock().fleet.begin();
    }

    fn frame(&mut self, frame: &Frame) -> Option<Address> {
        let now_ms = self.now_ms();
        let mut watching = self.lock();
        let before = watching.next_ms();
        let missed = watching.take(now_ms, frame);
        let is_earlier = watching
            .next_ms()
            .is_some_and(|next| before.is_none_or(|before| next < before));
        let is_news = !watching.found.is_empty() || is_earlier;
        drop(watching);
        if is_news {
            self.news.notify_one();
        }
        missed
    }

    fn synced(&mut self) {
        let mut watching = self.lock();
        for address in watching.fleet.synced() {
            watching.forget(address);
        }
        drop(watching);
        self.news.notify_one();
    }

    fn lost(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alarm::model::Severity,
        inside::fleet::tests::{PUMP, page, presence},
    };
    use switchyard_protocol::message::PointType;

    /// Its one point, as a whole status of that sequence.
    fn level_is(sequence: u32, value: i64) -> Frame {
        let point = crate::inside::fleet::tests::point(0, "level", PointType::AnalogueInput, value);
        page(1, sequence, (0, 1), vec![point])
    }

    fn level(limit: i64) -> Rule {
        Rule {
            name: "level".into(),
            text: "High water".into(),
            severity: Severity::High,
            scope: Scope::Everywhere,
            condition: Condition::Above {
                point: "level".into(),
                limit,
                clear: limit,
            },
            for_s: 0,
            over_for_s: 0,
            is_enabled: true,
        }
    }

    fn silent(for_s: u32) -> Rule {
        Rule {
            condition: Condition::Silent,
            for_s,
            ..level(0)
        }
    }

    fn watching(rules: &[Rule], standing: &[u32]) -> Watching {
        let mut watching = Watching::new();
        let rules = rules.iter().cloned().zip(1..);
        let rules = rules.map(|(rule, id)| (RuleId(id), rule)).collect();
        let standing = standing.iter().map(|id| (RuleId(*id), PUMP.0)).collect();
        watching.set(0, rules, HashMap::new(), standing);
        watching
    }

    fn told(watching: &mut Watching) -> Vec<(u32, bool, Option<String>)> {
        let found = watching.take_found();
        found
            .into_iter()
            .map(|it| (it.rule.0, it.is_raised, it.value))
            .collect()
    }

    #[test]
    fn a_value_past_its_limit_is_found_as_it_comes() {
        let mut watching = watching(&[level(80_000)], &[]);
        watching.take(0, &presence(true, Some(1)));
        watching.take(1, &level_is(1, 81_500));
        assert_eq!(told(&mut watching), [(1, true, Some("81.5".into()))]);
        watching.take(2, &level_is(2, 80_000));
        assert_eq!(told(&mut watching), [(1, false, Some("80".into()))]);
    }

    #[test]
    fn nobody_is_silent_soon_after_the_start() {
        let mut watching = watching(&[silent(10)], &[]);
        watching.take(0, &presence(false, None));
        watching.tick(GRACE_MS - 1);
        assert!(told(&mut watching).is_empty());
        assert_eq!(watching.next_ms(), Some(GRACE_MS));
        watching.tick(GRACE_MS);
        watching.tick(GRACE_MS + 9_999);
        assert!(told(&mut watching).is_empty());
        watching.tick(GRACE_MS + 10_000);
        assert_eq!(told(&mut watching), [(1, true, None)]);
        watching.take(GRACE_MS + 20_000, &presence(true, Some(2)));
        assert_eq!(told(&mut watching), [(1, false, None)]);
    }

    #[test]
    fn one_that_stood_before_is_over_when_it_is_seen_to_be() {
        let mut watching = watching(&[level(80_000)], &[1]);
        watching.take(0, &presence(true, Some(1)));
        watching.take(1, &level_is(1, 0));
        assert_eq!(told(&mut watching).len(), 1);
    }

    #[test]
    fn a_rule_that_is_changed_looks_at_once() {
        let mut watching = watching(&[level(80_000)], &[]);
        watching.take(0, &presence(true, Some(1)));
        watching.take(1, &level_is(1, 50_000));
        assert!(told(&mut watching).is_empty());
        let rules: BTreeMap<_, _> = [(RuleId(1), level(40_000))].into();
        watching.set(2, rules.clone(), HashMap::new(), BTreeSet::new());
        assert_eq!(told(&mut watching).len(), 1);
        // And nothing again when it is not.
        let standing = [(RuleId(1), PUMP.0)].into();
        watching.set(3, rules, HashMap::new(), standing);
        assert!(told(&mut watching).is_empty());
    }

    #[test]
    fn a_rule_is_about_those_of_its_scope() {
        let home = Home {
            title: "Pump".into(),
            site: Some(7),
            tags: vec!["wet".into()],
        };
        for (scope, is_in) in [
            (Scope::Everywhere, true),
            (Scope::Site(7), true),
            (Scope::Site(8), false),
            (Scope::Tag("wet".into()), true),
            (Scope::Tag("dry".into()), false),
            (Scope::Controllers(vec![3]), true),
            (Scope::Controllers(vec![4]), false),
        ] {
            let rule = Rule {
                scope: scope.clone(),
                ..level(0)
            };
            assert_eq!(is_about(&rule, 3, Some(&home)), is_in, "{scope:?}");
        }
    }
}
