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
