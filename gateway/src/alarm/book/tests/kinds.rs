//! Kinds of alarms with ways of their own: silent controllers, and tests.

use super::*;

fn silent(house: &mut House, controller: u32, of: usize) -> AlarmId {
    silent_as(house, controller, of, Severity::High)
}

fn silent_as(house: &mut House, controller: u32, of: usize, severity: Severity) -> AlarmId {
    let raising = Raising {
        source: Source::Rule {
            rule: crate::alarm::rule::RuleId(1),
            controller,
        },
        severity,
        text: "is silent".into(),
        controller: Some((controller, format!("No. {controller}"))),
        site: Some(SITE),
        value: None,
        is_silence: true,
    };
    let id = house.book.raise(house.now_ms, raising).unwrap();
    house.book.regroup(house.now_ms, SITE, "North", of);
    id
}

#[test]
fn forty_silent_controllers_of_one_site_are_one_alarm() {
    let mut house = House::new(desk());
    let mut parts = Vec::new();
    for controller in 1..=40 {
        parts.push(silent(&mut house, controller, 42));
    }
    house.pass(5);
    let (_, _, call) = house.one_call();
    let told = house.book.word(call);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].value.as_deref(), Some("40/42"));
    house.book.decide(house.now_ms, call, Decision::Acknowledge);
    house.end(call, Outcome::Acknowledged);
    assert!(
        parts
            .iter()
            .all(|it| house.state(*it) == State::Acknowledged)
    );
    // They come back one by one.
    for controller in 1..=40 {
        let source = Source::Rule {
            rule: crate::alarm::rule::RuleId(1),
            controller,
        };
        house.book.over(house.now_ms, &source);
        house.book.regroup(house.now_ms, SITE, "North", 42);
        house.pass(1);
    }
    assert!(house.calls().is_empty());
    assert!(house.book.alarms().all(|it| !it.is_open()));
}

#[test]
fn a_silent_one_that_stays_when_the_others_are_back_is_told_of() {
    let mut house = House::new(desk());
    for controller in 1..=4 {
        silent(&mut house, controller, 6);
    }
    for controller in 1..=3 {
        let source = Source::Rule {
            rule: crate::alarm::rule::RuleId(1),
            controller,
        };
        house.book.over(house.now_ms, &source);
        house.book.regroup(house.now_ms, SITE, "North", 6);
    }
    house.pass(5);
    let (_, _, call) = house.one_call();
    let told: Vec<_> = house.book.word(call);
    assert!(told.iter().any(|it| it.controller == Some(4)), "{told:?}");
}

#[test]
fn two_silent_ones_of_many_are_two() {
    let mut house = House::new(desk());
    silent(&mut house, 1, 42);
    silent(&mut house, 2, 42);
    house.pass(5);
    let (_, _, call) = house.one_call();
    assert_eq!(house.book.word(call).len(), 2);
}

fn test(house: &mut House, severity: Severity) -> AlarmId {
    let raising = Raising {
        source: Source::Test {
            contact: LI,
            medium: Medium::Call,
        },
        severity,
        text: "test".into(),
        controller: None,
        site: None,
        value: None,
        is_silence: false,
    };
    house.book.raise(house.now_ms, raising).unwrap()
}

#[test]
fn a_test_rings_one_person_once() {
    let mut house = House::new(desk());
    let alarm = test(&mut house, Severity::Low);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.end(call, Outcome::NoAnswer);
    house.pass(10_000);
    assert!(house.calls().is_empty());
    assert_eq!(house.state(alarm), State::Cleared);
}

#[test]
fn a_weekly_test_that_nobody_answers_is_an_alarm_until_one_is_answered() {
    let mut house = House::new(desk());
    test(&mut house, Severity::Medium);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.step(house.now_ms, call, Step::Told);
    house.end(call, Outcome::Unanswered);
    let unanswered = Source::TestUnanswered { contact: LI };
    assert!(house.book.standing(&unanswered).is_some());
    house.pass(1);
    let (_, _, told) = house.one_call();
    house.book.word(told);
    house.book.decide(house.now_ms, told, Decision::Acknowledge);
    house.end(told, Outcome::Acknowledged);
    test(&mut house, Severity::Low);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.decide(house.now_ms, call, Decision::Acknowledge);
    house.end(call, Outcome::Acknowledged);
    assert!(house.book.standing(&unanswered).is_none());
}

#[test]
fn tests_do_not_wear_out() {
    let mut house = House::new(desk());
    for _ in 0..2 * FLAPPING_TIMES {
        test(&mut house, Severity::Low);
        house.pass(1);
        let (_, _, call) = house.one_call();
        house.book.word(call);
        house.book.decide(house.now_ms, call, Decision::Acknowledge);
        house.end(call, Outcome::Acknowledged);
        house.pass(10);
    }
}

#[test]
fn a_site_that_becomes_graver_is_told_of_again() {
    let mut house = House::new(desk());
    for controller in 1..=4 {
        silent_as(&mut house, controller, 6, Severity::Low);
    }
    house.pass(5);
    let (_, _, call) = house.one_call();
    house.book.word(call);
    house.book.decide(house.now_ms, call, Decision::Acknowledge);
    house.end(call, Outcome::Acknowledged);
    house.pass(100);
    assert!(house.calls().is_empty());
    silent_as(&mut house, 5, 6, Severity::High);
    house.pass(5);
    let (_, _, call) = house.one_call();
    let told = house.book.word(call);
    assert_eq!(told[0].severity, Severity::High, "{told:?}");
}

#[test]
fn an_answer_that_passes_on_skips_nobody() {
    let mut desk = desk();
    desk.contacts.get_mut(&LI).unwrap().sms = Some("+491".into());
    desk.plans.get_mut(&0).unwrap().chain = vec![
        rung(LI, Medium::Sms),
        rung(LI, Medium::Call),
        rung(BO, Medium::Call),
    ];
    desk.channels.insert(Channel::ProviderSms, channel(4));
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    house.pass(5);
    let (_, _, message) = house.one_call();
    house.book.word(message);
    house.end(message, Outcome::Sent);
    house.pass(5);
    assert!(house.calls().is_empty(), "an answer is waited for");
    // Twice, as people do who are not sure.
    for _ in 0..2 {
        house.book.decide(house.now_ms, message, Decision::Pass);
    }
    house.pass(1);
    let (who, by, _) = house.one_call();
    assert_eq!((who, by), (BO, Channel::Sip));
}
