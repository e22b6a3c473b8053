//! What bounds hold, and what counts for them.

use super::*;

#[test]
fn limits_hold() {
    let mut desk = desk();
    desk.plans.get_mut(&0).unwrap().chain = vec![Rung {
        attempts: 10,
        pause_s: 0,
        ..rung(LI, Medium::Call)
    }];
    desk.contacts.get_mut(&LI).unwrap().calls_per_hour_max = 3;
    let mut house = House::new(desk.clone());
    house.script(0, Severity::High);
    let mut count = 0;
    for _ in 0..60 {
        house.pass(50);
        for (_, _, call) in house.calls() {
            count += 1;
            house.end(call, Outcome::NoAnswer);
        }
    }
    assert_eq!(count, 3);
    // A number that is not allowed is not dialled.
    let sip = desk.channels.get_mut(&Channel::Sip).unwrap();
    sip.limits.prefixes = vec!["+41".into()];
    let mut house = House::new(desk.clone());
    house.script(0, Severity::High);
    house.pass(600);
    assert!(house.calls().is_empty());
    let skipped = house.notes.iter().any(
        |it| matches!(&it.what, Happened::Skipped { reason, .. } if reason.contains("prefix")),
    );
    assert!(skipped, "{:?}", house.notes);
    // Nor is one more than the day allows.
    let sip = desk.channels.get_mut(&Channel::Sip).unwrap();
    (sip.limits.prefixes, sip.limits.per_day_max) = (Vec::new(), 2);
    desk.contacts.get_mut(&LI).unwrap().calls_per_hour_max = 60;
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    let mut count = 0;
    for _ in 0..60 {
        house.pass(600);
        for (_, _, call) in house.calls() {
            count += 1;
            house.end(call, Outcome::NoAnswer);
        }
    }
    assert_eq!(count, 2);
    // Also what is forbidden only later is written down: once.
    let forbidden = |it: &&Note| matches!(&it.what, Happened::Skipped { reason, .. } if reason.contains("today"));
    assert_eq!(house.notes.iter().filter(forbidden).count(), 1);
}

#[test]
fn tests_and_what_is_not_grave_leave_room_for_what_is() {
    let mut desk = desk();
    desk.plans.get_mut(&0).unwrap().chain = vec![rung(LI, Medium::Call)];
    desk.contacts.get_mut(&LI).unwrap().calls_per_hour_max = 60;
    let sip = desk.channels.get_mut(&Channel::Sip).unwrap();
    sip.limits.per_day_max = 10;
    let mut house = House::new(desk);
    let test = Source::Test {
        contact: LI,
        medium: Medium::Call,
    };
    let mut count = 0;
    for _ in 0..20 {
        house.raise(test.clone(), Severity::High, 1);
        house.pass(1);
        for (_, _, call) in house.calls() {
            count += 1;
            house.end(call, Outcome::NoAnswer);
        }
        house.pass(1);
    }
    assert_eq!(count, 8);
    house.script(0, Severity::Medium);
    house.pass(1);
    assert!(house.calls().is_empty());
    house.script(1, Severity::High);
    house.pass(1);
    house.one_call();
}

#[test]
fn short_messages_that_failed_may_have_been_sent() {
    let mut desk = desk();
    desk.contacts.get_mut(&LI).unwrap().telephone = Some("+491".into());
    desk.plans.get_mut(&0).unwrap().chain = vec![Rung {
        attempts: 10,
        pause_s: 1,
        ..rung(LI, Medium::Sms)
    }];
    let mut sms = channel(4);
    sms.limits.per_hour_max = 3;
    desk.channels.insert(Channel::ProviderSms, sms);
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    let mut count = 0;
    for _ in 0..30 {
        house.pass(10);
        for (_, _, message) in house.calls() {
            count += 1;
            let reason = "no answer came".to_owned();
            house.end(message, Outcome::Failed { reason });
        }
    }
    assert_eq!(count, 3);
}

#[test]
fn one_that_comes_and_goes_all_day_fills_no_store() {
    let mut house = House::new(desk());
    for _ in 0..1_000 {
        house.script(0, Severity::Low);
        house.book.over(house.now_ms, &script(0));
        house.pass(2);
    }
    let changes = |it: &&Note| matches!(it.what, Happened::Raised { .. } | Happened::Cleared);
    let count = house.notes.iter().filter(changes).count();
    assert!((200..=220).contains(&count), "{count}");
}

#[test]
fn what_was_stopped_halfway_is_gone_on_with() {
    // Kept by a gateway whose clock was a day ahead.
    let day_ms = 24 * 60 * 60 * 1_000;
    let mut house = House::new(desk());
    house.now_ms += day_ms;
    house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    house.end(call, Outcome::Unanswered);
    house.now_ms -= day_ms;
    house.restart();
    house.pass(5);
    house.one_call();
    // The attempt's end was kept, and the alarm not any more.
    let mut house = House::new(desk());
    let alarm = house.script(0, Severity::High);
    house.pass(1);
    let (_, _, call) = house.one_call();
    let before = house.alarms[&alarm].clone();
    house.end(call, Outcome::Busy);
    house.keep();
    house.alarms.insert(alarm, before);
    house.restart();
    house.pass(1);
    house.one_call();
}

#[test]
fn what_never_left_the_house_counts_for_no_limit() {
    let mut desk = desk();
    desk.contacts.get_mut(&LI).unwrap().calls_per_hour_max = 2;
    desk.plans.get_mut(&0).unwrap().chain = vec![Rung {
        attempts: 10,
        pause_s: 1,
        ..rung(LI, Medium::Call)
    }];
    let mut house = House::new(desk);
    house.script(0, Severity::High);
    for _ in 0..8 {
        house.pass(2);
        let (_, _, call) = house.one_call();
        let reason = "the trunk does not answer".to_owned();
        house.end(call, Outcome::Failed { reason });
    }
    house.pass(2);
    house.one_call();
}

#[test]
fn there_are_not_more_than_may_be() {
    let mut house = House::new(desk());
    for number in 0..OPEN_MAX {
        let source = Source::Rollout {
            rollout: u32::try_from(number).unwrap(),
        };
        house.raise(source, Severity::Low, 1);
    }
    let one_more = |severity| Raising {
        source: script(0),
        severity,
        text: "x".into(),
        controller: None,
        site: None,
        value: None,
        is_silence: false,
    };
    assert_eq!(house.book.raise(NOON, one_more(Severity::Low)), Err(Full));
    // What is grave has room all the same.
    house.book.raise(NOON, one_more(Severity::High)).unwrap();
}

#[test]
fn a_test_that_is_not_made_accuses_nobody() {
    let mut desk = desk();
    let sip = desk.channels.get_mut(&Channel::Sip).unwrap();
    sip.limits.prefixes = vec!["+41".into()];
    let mut house = House::new(desk);
    let test = Source::Test {
        contact: LI,
        medium: Medium::Call,
    };
    house.raise(test, Severity::Medium, 1);
    house.pass(1);
    let unanswered = Source::TestUnanswered { contact: LI };
    let alarm = house.book.standing(&unanswered).unwrap();
    assert!(
        alarm.text.contains("was not made: the number begins"),
        "{}",
        alarm.text
    );
}

#[test]
fn an_hour_by_a_wrong_clock_is_an_hour() {
    let day_ms = 24 * 60 * 60 * 1_000;
    for restarts in [false, true] {
        let mut house = House::new(desk());
        house.now_ms += day_ms;
        let alarm = house.script(0, Severity::High);
        house.pass(1);
        let (_, _, call) = house.one_call();
        house.book.word(call);
        house.book.decide(house.now_ms, call, Decision::Mute);
        house.end(call, Outcome::Muted);
        house.now_ms -= day_ms;
        if restarts {
            house.restart();
        }
        house.pass(3_500);
        assert!(house.calls().is_empty());
        assert_eq!(house.state(alarm), State::Shelved);
        house.pass(200);
        house.one_call();
    }
}
