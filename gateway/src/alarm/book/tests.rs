//! The life of alarms, by hand-set time.

use super::*;
use crate::alarm::{
    desk::{ChannelLimits, ChannelState},
    model::{Channel, Medium, State},
    people::{Contact, Quiet, Weekly},
    plan::{HeardFrom, Plan, Rung, Turn, Whom},
};

mod bounds;
mod kinds;

const LI: ContactId = ContactId(1);
const BO: ContactId = ContactId(2);
const SITE: u32 = 7;
/// Noon of a Monday, UTC.
const NOON: u64 = 1_795_435_200_000;

fn contact(name: &str, telephone: &str) -> Contact {
    let mut contact: Contact = serde_json::from_str(&format!(r#"{{"name": "{name}"}}"#)).unwrap();
    contact.telephone = Some(telephone.into());
    contact.email = Some(format!("{}@example.org", name.to_lowercase()));
    contact
}

fn rung(whom: ContactId, medium: Medium) -> Rung {
    Rung {
        whom: Whom::Contact(whom),
        medium,
        from: Severity::Low,
        wait_s: 300,
        attempts: 2,
        pause_s: 60,
    }
}

fn channel(at_once_max: usize) -> ChannelState {
    ChannelState {
        limits: ChannelLimits {
            at_once_max,
            per_hour_max: 100,
            per_day_max: 1_000,
            prefixes: Vec::new(),
        },
    }
}

fn desk() -> Desk {
    let plan = Plan {
        chain: vec![
            rung(LI, Medium::Call),
            rung(LI, Medium::Email),
            rung(BO, Medium::Call),
        ],
        again_s: 900,
        heard_from: HeardFrom::High,
        zone: "UTC".into(),
        ..Plan::default()
    };
    Desk {
        contacts: [(LI, contact("Li", "+491")), (BO, contact("Bo", "+492"))].into(),
        plans: [(0, plan)].into(),
        channels: [(Channel::Sip, channel(4)), (Channel::Email, channel(10))].into(),
    }
}

/// A book with a clock, of which everything is kept as a store would.
struct House {
    book: Book,
    now_ms: u64,
    begun: Vec<Attempt>,
    withdrawn: Vec<AttemptId>,
    alarms: BTreeMap<AlarmId, Alarm>,
    attempts: BTreeMap<AttemptId, Attempt>,
    notes: Vec<Note>,
}

impl House {
    fn new(desk: Desk) -> Self {
        let book = Book::open(desk, Vec::new(), Vec::new(), AlarmNumbers::default(), NOON);
        House {
            book,
            now_ms: NOON,
            begun: Vec::new(),
            withdrawn: Vec::new(),
            alarms: BTreeMap::new(),
            attempts: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    fn keep(&mut self) {
        let changes = self.book.take_changes();
        self.alarms
            .extend(changes.alarms.into_iter().map(|it| (it.id, it)));
        self.attempts
            .extend(changes.attempts.into_iter().map(|it| (it.id, it)));
        self.notes
            .extend(changes.notes.into_iter().map(|(_, it)| it));
        for action in self.book.take_actions() {
            match action {
                Action::Begin(attempt) => {
                    assert!(
                        self.attempts.contains_key(&attempt.id),
                        "kept before it is begun"
                    );
                    self.begun.push(*attempt);
                }
                Action::Withdraw(attempt) => self.withdrawn.push(attempt),
            }
        }
    }

    /// Lets time pass, in the steps in which something is due.
    fn pass(&mut self, seconds: u64) {
        let end = self.now_ms + seconds * 1_000;
        for _ in 0..10_000 {
            self.book.tick(self.now_ms);
            self.keep();
            match self.book.next_ms() {
                Some(next) if next <= end => self.now_ms = next.max(self.now_ms),
                _ => {
                    self.now_ms = end;
                    return;
                }
            }
        }
        panic!("something is due again and again");
    }

    fn raise(&mut self, source: Source, severity: Severity, site: u32) -> AlarmId {
        let raising = Raising {
            source,
            severity,
            text: "High water".into(),
            controller: Some((3, "Pump house".into())),
            site: Some(site),
            value: None,
            is_silence: false,
        };
        self.book.raise(self.now_ms, raising).unwrap()
    }

    fn script(&mut self, alarm: u8, severity: Severity) -> AlarmId {
        self.raise(script(alarm), severity, SITE)
    }

    /// The attempts begun since this was asked before: who, by what, how many alarms.
    fn calls(&mut self) -> Vec<(ContactId, Channel, AttemptId)> {
        let begun = std::mem::take(&mut self.begun);
        begun
            .into_iter()
            .map(|it| (it.contact, it.channel, it.id))
            .collect()
    }

    fn one_call(&mut self) -> (ContactId, Channel, AttemptId) {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0]
    }

    fn end(&mut self, id: AttemptId, outcome: Outcome) {
        self.book.end(self.now_ms, id, outcome);
        self.keep();
    }

    /// As a store and a new process have it: what was not kept is gone.
    fn restart(&mut self) {
        let last = AlarmNumbers {
            alarm: self.alarms.keys().last().copied().unwrap_or_default(),
            attempt: self.attempts.keys().last().copied().unwrap_or_default(),
            note: self.notes.len() as u64,
        };
        let alarms = self
            .alarms
            .values()
            .filter(|it| it.is_open())
            .cloned()
            .collect();
        let attempts = self.attempts.values().cloned().collect();
        self.book = Book::open(self.book.desk.clone(), alarms, attempts, last, self.now_ms);
        self.begun.clear();
    }

    fn state(&self, id: AlarmId) -> State {
        self.book
            .alarm(id)
            .or(self.alarms.get(&id))
            .unwrap()
            .state()
    }
}

fn script(alarm: u8) -> Source {
    Source::Script {
        controller: 3,
        alarm,
    }
}

fn li() -> Deed {
    Deed {
        who: Who::Account("li".into()),
        how: How::Api,
        at_ms: NOON,
    }
}

#[test]
fn the_chain_is_climbed_until_somebody_has_heard() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    assert_eq!(house.state(alarm), State::Raised);
    house.pass(1);
    let (who, by, first) = house.one_call();
    assert_eq!((who, by), (LI, Channel::Sip));
    house.end(first, Outcome::Busy);
    house.pass(59);
    assert!(house.calls().is_empty());
    house.pass(2);
    let (who, _, second) = house.one_call();
    assert_eq!(who, LI, "once more");
    house.end(second, Outcome::NoAnswer);
    house.pass(1);
    let (who, by, mail) = house.one_call();
    assert_eq!((who, by), (LI, Channel::Email));
    assert_eq!(house.state(alarm), State::Raised, "nobody was told yet");
    house.end(mail, Outcome::Sent);
    assert_eq!(house.state(alarm), State::Notified);
    house.pass(299);
    assert!(house.calls().is_empty());
    house.pass(2);
    let (who, by, third) = house.one_call();
    assert_eq!((who, by), (BO, Channel::Sip));
    assert_eq!(house.book.word(third).len(), 1);
    assert!(
        house
            .book
            .decide(house.now_ms, third, Decision::Acknowledge)
    );
    house.keep();
    house.end(third, Outcome::Acknowledged);
    assert_eq!(house.state(alarm), State::Acknowledged);
    house.pass(100_000);
    assert!(house.calls().is_empty());
    house.book.over(house.now_ms, &script(0));
    house.keep();
    assert_eq!(house.state(alarm), State::Cleared);
}

#[test]
fn when_nobody_has_heard_it_begins_anew() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    let mut told = Vec::new();
    for _ in 0..85 {
        house.pass(30);
        for (who, by, id) in house.calls() {
            told.push((who, by));
            house.end(id, Outcome::Unanswered);
        }
    }
    let round = [(LI, Channel::Sip), (LI, Channel::Email), (BO, Channel::Sip)];
    assert_eq!(told[..6], [round, round].concat());
    let exhausted = |it: &&Note| matches!(it.what, Happened::Exhausted { .. });
    assert_eq!(house.notes.iter().filter(exhausted).count(), 1);
}

#[test]
fn no_digit_is_not_heard() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.step(house.now_ms, call, Step::Told);
    house.end(call, Outcome::Unanswered);
    assert_eq!(house.state(alarm), State::Notified);
    house.pass(301);
    assert_eq!(house.one_call().1, Channel::Email);
}

#[test]
fn a_storm_is_one_call_for_each_person_and_one_key_is_enough() {
    let mut desk = desk();
    for site in 1..=5_u32 {
        let contact_id = ContactId(10 + site);
        let number = format!("+49{site}");
        desk.contacts
            .insert(contact_id, contact(&format!("P{site}"), &number));
        let chain = vec![rung(contact_id, Medium::Call)];
        let plan = Plan {
            chain,
            again_s: 900,
            zone: "UTC".into(),
            ..Plan::default()
        };
        desk.plans.insert(site, plan);
    }
    let mut house = House::new(desk);
    // Trickling in, while telephones ring.
    for number in 0..500_u32 {
        let source = Source::Rule {
            rule: crate::alarm::rule::RuleId(1),
            controller: number + 1,
        };
        house.raise(source, Severity::High, number % 5 + 1);
        if number % 50 == 0 {
            house.pass(1);
        }
    }
    house.pass(2);
    let calls = house.calls();
    let people: BTreeSet<_> = calls.iter().map(|it| it.0).collect();
    // Four lines: the fifth waits for one.
    assert_eq!((calls.len(), people.len()), (4, 4));
    for (_, _, call) in calls {
        assert_eq!(house.book.word(call).len(), 100);
        house.book.decide(house.now_ms, call, Decision::Acknowledge);
        house.keep();
        house.end(call, Outcome::Acknowledged);
    }
    house.pass(2);
    let (_, _, fifth) = house.one_call();
    assert_eq!(house.book.word(fifth).len(), 100);
    house
        .book
        .decide(house.now_ms, fifth, Decision::Acknowledge);
    house.end(fifth, Outcome::Acknowledged);
    assert_eq!(house.alarms.len(), 500);
    assert!(
        house
            .alarms
            .values()
            .all(|it| it.state() == State::Acknowledged)
    );
    house.pass(100_000);
    assert!(house.calls().is_empty());
}

#[test]
fn what_comes_after_it_was_spoken_is_another_call() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.script(1, Severity::Low);
    house.pass(1);
    assert_eq!(
        house.book.word(call).len(),
        2,
        "it came along while it rang"
    );
    let late = house.script(2, Severity::High);
    house.pass(60);
    assert!(house.calls().is_empty(), "nobody is called twice at once");
    house.book.decide(house.now_ms, call, Decision::Acknowledge);
    house.end(call, Outcome::Acknowledged);
    assert_eq!(house.state(late), State::Raised);
    house.pass(1);
    let (who, _, next) = house.one_call();
    assert_eq!((who, house.book.word(next)[0].id), (LI, late));
}

#[test]
fn whoever_hears_elsewhere_stops_the_ringing() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.acknowledge(house.now_ms, &[alarm], &li());
    house.keep();
    assert_eq!(house.withdrawn, [call]);
    assert!(house.book.word(call).is_empty());
    house.end(call, Outcome::Withdrawn);
    house.pass(100_000);
    assert!(house.calls().is_empty());
}

#[test]
fn one_of_two_that_is_heard_does_not_stop_it() {
    let mut house = House::new(desk());
    let first = house.script(0, Severity::High);
    let second = house.script(1, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.acknowledge(house.now_ms, &[first], &li());
    house.keep();
    assert!(house.withdrawn.is_empty());
    let told: Vec<_> = house.book.word(call).iter().map(|it| it.id).collect();
    assert_eq!(told, [second]);
}

#[test]
fn two_is_for_the_next_person_and_not_for_another_way_to_the_same() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.decide(house.now_ms, call, Decision::Pass);
    house.pass(1);
    assert_eq!(
        house.one_call().0,
        BO,
        "while the first one still says goodbye"
    );
    house.end(call, Outcome::Passed);
    house.pass(1);
    assert!(house.calls().is_empty());
}

#[test]
fn three_is_an_hour_of_rest() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.decide(house.now_ms, call, Decision::Mute);
    house.end(call, Outcome::Muted);
    assert_eq!(house.state(alarm), State::Shelved);
    house.pass(3_590);
    assert!(house.calls().is_empty());
    house.pass(20);
    assert_eq!(house.one_call().0, LI);
}

#[test]
fn a_key_from_before_undoes_nothing() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.acknowledge(house.now_ms, &[alarm], &li());
    house.book.decide(house.now_ms, call, Decision::Mute);
    house.keep();
    assert_eq!(house.state(alarm), State::Acknowledged);
}

#[test]
fn an_answer_from_before_does_not_pass_over_who_is_told_now() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    house.pass(1);
    let (_, _, first) = house.one_call();
    house.book.word(first);
    house.end(first, Outcome::Sent);
    house.pass(301);
    let (_, by, second) = house.one_call();
    assert_eq!(by, Channel::Email);
    house.book.decide(house.now_ms, first, Decision::Pass);
    house.pass(10);
    assert!(
        house.calls().is_empty(),
        "while the second one is under way"
    );
    house.end(second, Outcome::Sent);
    house.pass(301);
    assert_eq!(house.one_call().0, BO);
}

#[test]
fn one_that_comes_back_while_it_rings_is_told_by_that_call() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::Medium);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.over(house.now_ms, &script(0));
    house.script(0, Severity::Medium);
    house.pass(10);
    assert!(house.calls().is_empty());
    assert_eq!(house.book.word(call).len(), 1);
    house.end(call, Outcome::Unanswered);
    assert_eq!(house.state(alarm), State::Notified);
    house.pass(301);
    assert_eq!(house.one_call().1, Channel::Email, "and the chain goes on");
}

#[test]
fn a_clock_that_is_put_back_delays_nobody() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.end(call, Outcome::Unanswered);
    house.now_ms -= 2 * 3_600 * 1_000;
    house.pass(301);
    assert_eq!(house.one_call().1, Channel::Email);
}

#[test]
fn what_lies_on_a_shelf_may_come_and_go_until_then() {
    for comes_back in [true, false] {
        let mut house = House::new(desk());
        let alarm = house.script(0, Severity::High);
        house
            .book
            .shelve(house.now_ms, &[alarm], house.now_ms + 3_600_000, &li());
        for _ in 0..4 {
            house.book.over(house.now_ms, &script(0));
            house.pass(700);
            assert_eq!(house.state(alarm), State::Shelved);
            house.restart();
            if comes_back {
                assert_eq!(house.script(0, Severity::High), alarm);
            }
            house.pass(100);
            assert!(house.calls().is_empty(), "nobody is told until then");
        }
        house.pass(1_000);
        assert_eq!(house.calls().len(), usize::from(comes_back));
        if !comes_back {
            assert_eq!(house.state(alarm), State::Cleared);
        }
    }
}

#[test]
fn what_is_over_is_pursued_where_it_was_grave() {
    for (severity, is_told) in [(Severity::High, true), (Severity::Medium, false)] {
        let mut house = House::new(desk());
        let alarm = house.script(0, severity);
        house.book.over(house.now_ms, &script(0));
        house.pass(1);
        assert_eq!(!house.calls().is_empty(), is_told);
        let state = if is_told {
            State::Returned
        } else {
            State::Cleared
        };
        assert_eq!(house.state(alarm), state);
    }
}

#[test]
fn one_that_comes_back_is_the_same_and_is_told_again() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.book.acknowledge(house.now_ms, &[alarm], &li());
    house.book.over(house.now_ms, &script(0));
    house.pass(60);
    assert_eq!(house.script(0, Severity::High), alarm);
    assert_eq!(house.state(alarm), State::Raised);
    house.pass(1);
    house.one_call();
    // Ten minutes later it is another one.
    house.book.acknowledge(house.now_ms, &[alarm], &li());
    house.book.over(house.now_ms, &script(0));
    house.pass(601);
    assert_ne!(house.script(0, Severity::High), alarm);
}

#[test]
fn one_that_flaps_does_not_ring_each_time() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::Medium);
    let mut rung = 0;
    for _ in 0..20 {
        house.pass(5);
        for (_, _, call) in house.calls() {
            rung += 1;
            house.book.word(call);
            house.book.decide(house.now_ms, call, Decision::Acknowledge);
            house.keep();
            house.end(call, Outcome::Acknowledged);
        }
        house.book.over(house.now_ms, &script(0));
        house.pass(5);
        assert_eq!(house.script(0, Severity::Medium), alarm);
    }
    assert_eq!(rung, FLAPPING_TIMES - 1);
    let flapping = |it: &&Note| it.what == Happened::Flapping;
    assert_eq!(house.notes.iter().filter(flapping).count(), 1);
    // After a calm it is one like any other.
    house.book.over(house.now_ms, &script(0));
    house.pass(700);
    let another = house.script(0, Severity::Medium);
    house.pass(1);
    assert_eq!(house.calls().len(), 1);
    assert!(!house.book.alarm(another).unwrap().is_flapping);
}

#[test]
fn after_a_restart_there_is_one_further_attempt() {
    for steps in 0..4 {
        let mut house = House::new(desk());
        let alarm = house.script(0, Severity::High);
        house.pass(1);
        let (_, _, call) = house.one_call();
        for step in [Step::Ringing, Step::Answered, Step::Told]
            .iter()
            .take(steps)
        {
            house.book.step(house.now_ms, call, *step);
            house.keep();
        }
        house.restart();
        house.pass(1);
        let (who, _, again) = house.one_call();
        assert_eq!(
            (who, house.attempts[&call].outcome.clone()),
            (LI, Some(Outcome::Interrupted))
        );
        house.pass(200);
        assert!(house.calls().is_empty(), "just one");
        house.book.word(again);
        house
            .book
            .decide(house.now_ms, again, Decision::Acknowledge);
        house.keep();
        // Killed after the key was kept, before the call has ended.
        house.restart();
        house.pass(100_000);
        assert!(house.calls().is_empty());
        assert_eq!(house.state(alarm), State::Acknowledged);
    }
}

#[test]
fn before_the_attempt_was_kept_there_was_none() {
    let mut house = House::new(desk());
    house.script(0, Severity::High);
    house.keep();
    house.now_ms += 1_000;
    house.book.tick(house.now_ms);
    // Killed before that is kept.
    house.restart();
    house.pass(1);
    assert_eq!(house.one_call().2, AttemptId(1));
}

#[test]
fn quiet_hours_pass_to_whoever_is_awake_and_else_wait() {
    let mut desk = desk();
    let quiet = Quiet {
        days: (1..=7).collect(),
        from_minute: 11 * 60,
        to_minute: 13 * 60,
    };
    if let Some(li) = desk.contacts.get_mut(&LI) {
        li.quiet = vec![quiet.clone()];
        li.email = None;
    }
    let mut house = House::new(desk.clone());
    house.script(0, Severity::Medium);
    house.pass(1);
    assert_eq!(house.one_call().0, BO);
    let mut house = House::new(desk.clone());
    house.script(0, Severity::High);
    house.pass(1);
    assert_eq!(house.one_call().0, LI, "what is grave wakes");
    if let Some(bo) = desk.contacts.get_mut(&BO) {
        bo.quiet = vec![quiet];
    }
    let mut house = House::new(desk);
    house.script(0, Severity::Medium);
    house.pass(3_590);
    assert!(house.calls().is_empty());
    house.pass(70);
    assert_eq!(house.one_call().0, LI, "at one o'clock");
}

#[test]
fn whoever_is_on_call_is_told() {
    let mut desk = desk();
    let turn = Turn {
        name: "first".into(),
        people: vec![BO, LI],
        shift_days: 7,
        hand_over: Weekly { day: 1, minute: 0 },
        starts_ms: NOON,
    };
    let plan = desk.plans.get_mut(&0).unwrap();
    plan.rota = vec![turn];
    plan.chain = vec![Rung {
        whom: Whom::OnCall("first".into()),
        ..rung(LI, Medium::Call)
    }];
    let mut house = House::new(desk);
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    assert_eq!(house.one_call().0, BO);
    house.book.acknowledge(house.now_ms, &[alarm], &li());
    house.pass(7 * 24 * 3_600);
    house.book.over(house.now_ms, &script(0));
    house.script(1, Severity::High);
    let (_, _, call) = {
        house.pass(1);
        house.one_call()
    };
    assert_eq!(house.book.attempt(call).unwrap().contact, LI);
}

#[test]
fn another_way_to_the_same_telephone_is_tried_at_once() {
    let mut desk = desk();
    desk.channels.insert(Channel::ModemCall, channel(1));
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    house.pass(1);
    let (_, by, call) = house.one_call();
    assert_eq!(by, Channel::Sip);
    let reason = "503".to_owned();
    house.end(call, Outcome::Failed { reason });
    house.pass(1);
    let (who, by, _) = house.one_call();
    assert_eq!((who, by), (LI, Channel::ModemCall));
}

#[test]
fn where_nobody_can_be_told_somebody_who_comes_is() {
    let mut desk = desk();
    let plans = std::mem::take(&mut desk.plans);
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    house.pass(600);
    assert!(house.calls().is_empty());
    house.book.desk.plans = plans;
    house.book.look_again(house.now_ms);
    house.pass(2);
    assert_eq!(house.one_call().0, LI);
}

#[test]
fn an_answer_by_its_code_counts_for_a_day() {
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.end(call, Outcome::Sent);
    let code = house.attempts[&call].code;
    assert!((1_000..10_000).contains(&code));
    assert_eq!(house.book.by_code(house.now_ms, code), Some(call));
    assert_eq!(house.book.by_code(house.now_ms, code - 1), None);
    assert_eq!(house.book.by_code(house.now_ms + ANSWER_MS, code), None);
    house.book.decide(house.now_ms, call, Decision::Acknowledge);
    assert_eq!(house.state(alarm), State::Acknowledged);
}
