//! What every config store keeps to with alarms: a part of the contract.

use crate::support::title;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use switchyard_gateway::{
    alarm::{
        CHORE,
        model::{
            Alarm, AlarmId, Attempt, AttemptId, Channel, Deed, Happened, How, Note, Outcome,
            Severity, Source, Who,
        },
        people::{Contact, ContactId},
        plan::{Override, Plan, Rung, Whom},
        rule::{Condition, Rule, RuleId, Scope},
    },
    store::{
        AlarmChanges, AlarmCounts, AlarmFilter, AlarmWish, AttemptFilter, BySeverity, ConfigStore,
        FencingToken, NewContact, ScriptAlarm, StoreError, WishedAlarms,
    },
};
use switchyard_protocol::{Address, message::Time};

fn told(controller: u32, number: u32) -> ScriptAlarm {
    ScriptAlarm {
        controller,
        number,
        alarm: 1,
        level: 2,
        text: "Wasser läuft über 水".into(),
        is_raised: true,
        taken_ms: 5,
    }
}

fn alarm(id: u64, site: Option<u32>, is_standing: bool) -> Alarm {
    Alarm {
        id: AlarmId(id),
        source: Source::Script {
            controller: 3,
            alarm: 1,
        },
        severity: Severity::High,
        text: "High water".into(),
        controller: Some(3),
        controller_title: Some("Pump house".into()),
        site,
        value: None,
        raised_ms: 10 * id,
        since_ms: 10 * id,
        is_standing,
        cleared_ms: (!is_standing).then_some(1_000 + id),
        times: 1,
        lately_ms: vec![10 * id],
        is_flapping: false,
        is_silence: false,
        acknowledged: None,
        shelved: None,
        part_of: None,
        pursuit: None,
    }
}

fn attempt(id: u64, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        id: AttemptId(id),
        contact: ContactId(1),
        contact_name: "Li".into(),
        channel: Channel::Sip,
        destination: "+491".into(),
        alarms: vec![AlarmId(1)],
        code: 1_234,
        begun_ms: 100 * id,
        steps: Vec::new(),
        keys: String::new(),
        ended_ms: outcome.is_some().then_some(5),
        outcome,
    }
}

fn contact(name: &str) -> Contact {
    serde_json::from_value(serde_json::json!({ "name": name, "telephone": "+49 1" })).unwrap()
}

fn new_contact(id: Option<ContactId>, name: &str, pin: Option<Option<&str>>) -> NewContact {
    NewContact {
        id,
        contact: contact(name),
        pin: pin.map(|it| it.map(str::to_owned)),
    }
}

pub(crate) async fn alarms(store: &dyn ConfigStore) {
    people(store).await;
    rules_and_plans(store).await;
    said(store).await;
    kept(store).await;
}

async fn people(store: &dyn ConfigStore) {
    let before = store.alarm_pulse().await.unwrap();
    let li = store.put_contact(new_contact(None, "Li", Some(Some("4711"))));
    let li = li.await.unwrap();
    let bo = store
        .put_contact(new_contact(None, "Bo", None))
        .await
        .unwrap();
    assert!(li < bo);
    assert!(store.alarm_pulse().await.unwrap().settings > before.settings);
    let taken = store.put_contact(new_contact(None, "Li", None)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    let taken = store.put_contact(new_contact(Some(bo), "Li", None)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    let missing = store.put_contact(new_contact(Some(ContactId(999)), "X", None));
    assert!(matches!(missing.await, Err(StoreError::Missing { .. })));
    let pins = async || {
        let contacts = store.contacts().await.unwrap();
        let pins = contacts.into_iter().map(|it| (it.contact.name, it.pin));
        pins.collect::<Vec<_>>()
    };
    let named = |name: &str, pin: Option<&str>| (name.to_owned(), pin.map(str::to_owned));
    assert_eq!(pins().await, [named("Li", Some("4711")), named("Bo", None)]);
    // The PIN stays unless another one is given.
    store
        .put_contact(new_contact(Some(li), "Li Wei", None))
        .await
        .unwrap();
    assert_eq!(pins().await[0], named("Li Wei", Some("4711")));
    store
        .put_contact(new_contact(Some(li), "Li", Some(None)))
        .await
        .unwrap();
    assert_eq!(pins().await[0], named("Li", None));
    assert!(store.remove_contact(bo).await.unwrap());
    assert!(!store.remove_contact(bo).await.unwrap());
    let again = store
        .put_contact(new_contact(None, "Bo", None))
        .await
        .unwrap();
    assert!(again > bo, "numbers are not given twice");
}

async fn rules_and_plans(store: &dyn ConfigStore) {
    let mut rule = Rule {
        name: "level".into(),
        text: "High water".into(),
        severity: Severity::High,
        scope: Scope::Everywhere,
        condition: Condition::Above {
            point: "level".into(),
            limit: 80_000,
            clear: 70_000,
        },
        for_s: 1,
        over_for_s: 2,
        is_enabled: true,
    };
    let id = store.put_alarm_rule(None, rule.clone()).await.unwrap();
    rule.severity = Severity::Low;
    assert_eq!(
        store.put_alarm_rule(Some(id), rule.clone()).await.unwrap(),
        id
    );
    let missing = store.put_alarm_rule(Some(RuleId(999)), rule.clone()).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    let rules = store.alarm_rules().await.unwrap();
    assert_eq!((rules.len(), &rules[0].rule, rules[0].id), (1, &rule, id));
    assert!(store.remove_alarm_rule(id).await.unwrap());
    assert!(!store.remove_alarm_rule(id).await.unwrap());

    let contacts = store.contacts().await.unwrap();
    let li = contacts[0].id;
    let rung = |contact| Rung {
        whom: Whom::Contact(contact),
        medium: switchyard_gateway::alarm::model::Medium::Call,
        from: Severity::Low,
        wait_s: 1,
        attempts: 1,
        pause_s: 1,
    };
    let plan = Plan {
        chain: vec![rung(li)],
        again_s: 60,
        zone: "UTC".into(),
        ..Plan::default()
    };
    store.put_alarm_plan(0, plan.clone()).await.unwrap();
    store.put_alarm_plan(0, plan.clone()).await.unwrap();
    let nowhere = store.put_alarm_plan(999_999, plan.clone()).await;
    assert!(matches!(
        nowhere,
        Err(StoreError::Missing { what: "site", .. })
    ));
    let nobody = Plan {
        chain: vec![rung(ContactId(999))],
        ..plan.clone()
    };
    let nobody = store.put_alarm_plan(0, nobody).await;
    assert!(matches!(
        nobody,
        Err(StoreError::Missing {
            what: "contact",
            ..
        })
    ));
    let plans = store.alarm_plans().await.unwrap();
    assert_eq!((plans.len(), plans[0].site, &plans[0].plan), (1, 0, &plan));
    let exception = |until_ms| Override {
        turn: "first".into(),
        contact: li,
        from_ms: 1,
        until_ms,
    };
    let added = store.add_alarm_override(0, exception(10), 5).await.unwrap();
    assert_eq!(added.unwrap().overrides, [exception(10)]);
    let added = store
        .add_alarm_override(0, exception(30), 20)
        .await
        .unwrap();
    assert_eq!(
        added.unwrap().overrides,
        [exception(30)],
        "the other one is over"
    );
    let none = store
        .add_alarm_override(7, exception(30), 20)
        .await
        .unwrap();
    assert_eq!(none, None);
    let named = store.remove_contact(li).await;
    assert!(matches!(named, Err(StoreError::InUse { .. })), "{named:?}");
    assert!(store.remove_alarm_plan(0).await.unwrap());
    assert!(!store.remove_alarm_plan(0).await.unwrap());
    // A site's plan goes with it, and names nobody any more.
    let site = store.add_site(title("for a plan"), 1_000, Time(1)).await;
    let site = site.unwrap();
    store.put_alarm_plan(site.0, plan).await.unwrap();
    let before = store.alarm_pulse().await.unwrap();
    assert!(store.remove_site(site).await.unwrap());
    assert_eq!(store.alarm_plans().await.unwrap(), []);
    assert!(store.alarm_pulse().await.unwrap().settings > before.settings);
}

async fn said(store: &dyn ConfigStore) {
    let numbers = vec![(Address(3), 7), (Address(4), 1)];
    let both = vec![told(3, 7), told(4, 1)];
    store
        .put_event_numbers(numbers.clone(), both.clone())
        .await
        .unwrap();
    // Once more, as when nobody knows whether it was done.
    store
        .put_event_numbers(numbers, both.clone())
        .await
        .unwrap();
    let kept = store.script_alarms(10).await.unwrap();
    let alarms: Vec<_> = kept.iter().map(|(_, told)| told.clone()).collect();
    assert_eq!(alarms, both, "each once, in their order");
    assert_eq!(store.script_alarms(1).await.unwrap().len(), 1);
    let pulse = store.alarm_pulse().await.unwrap();
    store
        .put_event_numbers(vec![(Address(3), 8)], vec![told(3, 8)])
        .await
        .unwrap();
    assert!(store.alarm_pulse().await.unwrap().script_alarms > pulse.script_alarms);
}

async fn owner(store: &dyn ConfigStore, holder: u8, now_ms: u64) -> Option<FencingToken> {
    let (holder, term) = ([holder; 16], Duration::from_secs(10));
    store
        .acquire_lease(title(CHORE), holder, term, Time(now_ms))
        .await
        .unwrap()
}

async fn kept(store: &dyn ConfigStore) {
    let first = owner(store, 1, 1_000).await.unwrap();
    let wished = WishedAlarms {
        wish: AlarmWish::Acknowledge {
            alarms: vec![AlarmId(1)],
        },
        comment: Some("on my way".into()),
        account: "li".into(),
        at_ms: 9,
    };
    let place = store.add_alarm_wish(wished.clone()).await.unwrap();
    let later = store.add_alarm_wish(wished.clone()).await.unwrap();
    assert_eq!(store.alarm_wishes(1).await.unwrap(), [(place, wished)]);
    let said = store.script_alarms(10).await.unwrap();
    let taken = vec![said[0].0, said[2].0];
    let note = |alarm, at_ms| Note {
        alarm: AlarmId(alarm),
        at_ms,
        what: match at_ms {
            1 => Happened::Attempted {
                attempt: AttemptId(1),
            },
            _ => Happened::Cleared,
        },
    };
    let changes = Arc::new(AlarmChanges {
        alarms: vec![
            alarm(1, Some(7), true),
            alarm(2, None, true),
            alarm(3, Some(8), false),
        ],
        attempts: vec![attempt(1, Some(Outcome::Busy)), attempt(2, None)],
        notes: vec![(1, note(1, 1)), (2, note(1, 2)), (3, note(2, 3))],
        script_alarms_taken: taken,
        wishes_until: Some(place),
    });
    let revision = store
        .save_alarms(first, Arc::clone(&changes))
        .await
        .unwrap();
    // Once more, as when nobody knows whether it was done.
    let again = store.save_alarms(first, changes).await.unwrap();
    assert!(again > revision);
    assert!(!store.alarm_wish_waits(place).await.unwrap());
    assert!(store.alarm_wish_waits(later).await.unwrap());
    assert_eq!(store.script_alarms(10).await.unwrap(), said[1..2]);
    let numbers = store.alarm_numbers().await.unwrap();
    assert_eq!(
        (numbers.alarm, numbers.attempt, numbers.note),
        (AlarmId(3), AttemptId(2), 3)
    );

    let ids = async |filter: AlarmFilter, before: Option<u64>, limit| {
        let page = store
            .alarms(filter, before.map(AlarmId), limit)
            .await
            .unwrap();
        page.into_iter().map(|it| it.id.0).collect::<Vec<_>>()
    };
    let all = AlarmFilter::default;
    assert_eq!(ids(all(), None, 10).await, [3, 2, 1]);
    assert_eq!(ids(all(), Some(3), 1).await, [2]);
    let is_open = |is_open| AlarmFilter {
        is_open: Some(is_open),
        ..all()
    };
    assert_eq!(ids(is_open(true), None, 10).await, [2, 1]);
    assert_eq!(ids(is_open(false), None, 10).await, [3]);
    let sites = |sites: &[u32]| AlarmFilter {
        sites: Some(sites.iter().copied().collect::<BTreeSet<_>>()),
        ..all()
    };
    assert_eq!(ids(sites(&[7, 8]), None, 10).await, [3, 1]);
    assert_eq!(ids(sites(&[]), None, 10).await, [0_u64; 0]);
    let controller = AlarmFilter {
        controller: Some(4),
        ..all()
    };
    assert_eq!(ids(controller, None, 10).await, [0_u64; 0]);
    let cleared = |since_ms| AlarmFilter {
        cleared_since_ms: Some(since_ms),
        ..all()
    };
    assert_eq!(ids(cleared(1_003), None, 10).await, [3, 2, 1]);
    assert_eq!(ids(cleared(1_004), None, 10).await, [2, 1]);
    let changed = AlarmFilter {
        after_revision: Some(again),
        ..all()
    };
    assert_eq!(ids(changed, None, 10).await, [0_u64; 0]);
    assert_eq!(
        store.alarm(AlarmId(1)).await.unwrap(),
        Some(alarm(1, Some(7), true))
    );
    assert_eq!(store.alarm(AlarmId(9)).await.unwrap(), None);

    counted(store, first).await;

    let notes = store.alarm_notes(AlarmId(1), 10).await.unwrap();
    assert_eq!(notes, [note(1, 1), note(1, 2)], "each once");
    assert_eq!(
        store.alarm_notes(AlarmId(1), 1).await.unwrap(),
        [note(1, 2)]
    );
    let attempts = async |filter, before: Option<u64>| {
        let page = store
            .alarm_attempts(filter, before.map(AttemptId), 10)
            .await
            .unwrap();
        page.into_iter().map(|it| it.id.0).collect::<Vec<_>>()
    };
    let any = AttemptFilter::default();
    assert_eq!(attempts(any, None).await, [2, 1]);
    assert_eq!(attempts(any, Some(2)).await, [1]);
    let of = AttemptFilter {
        alarm: Some(AlarmId(1)),
        ..any
    };
    assert_eq!(attempts(of, None).await, [1]);
    let since = AttemptFilter {
        since_ms: Some(1_000),
        ..any
    };
    assert_eq!(attempts(since, None).await, [2], "it goes on");
    let to = AttemptFilter {
        contact: Some(ContactId(2)),
        ..any
    };
    assert_eq!(attempts(to, None).await, [0_u64; 0]);

    // Whoever comes after the term has it, and the one before nothing more to say.
    assert_eq!(owner(store, 2, 5_000).await, None);
    let second = owner(store, 2, 20_000).await.unwrap();
    let late = store.save_alarms(first, Arc::default()).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let late = store.trim_alarms(first, 9_999, 10).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    store.save_alarms(second, Arc::default()).await.unwrap();
    assert_eq!(store.trim_alarms(second, 1_003, 10).await.unwrap(), 0);
    assert_eq!(store.trim_alarms(second, 1_004, 10).await.unwrap(), 1);
    assert_eq!(ids(all(), None, 10).await, [2, 1], "what is open stays");
    assert_eq!(attempts(any, None).await, [2]);
    assert_eq!(store.alarm_numbers().await.unwrap().alarm, AlarmId(3));
}

/// Of 1 at site 7, 2 at none and 3 that is over, all of them high.
async fn counted(store: &dyn ConfigStore, owner: FencingToken) {
    let counts = async |sites: Option<&[u32]>| {
        let sites = sites.map(|it| it.iter().copied().collect());
        store.alarm_counts(sites).await.unwrap()
    };
    let high = |high| BySeverity {
        high,
        ..BySeverity::default()
    };
    let both = |open, unheard| AlarmCounts {
        open: high(open),
        unheard: high(unheard),
    };
    assert_eq!(counts(None).await, both(2, 2));
    assert_eq!(counts(Some(&[7, 8])).await, both(1, 1));
    assert_eq!(counts(Some(&[8])).await, AlarmCounts::default());
    assert_eq!(counts(Some(&[])).await, AlarmCounts::default());
    // Heard, and a part of another.
    let mut heard = alarm(1, Some(7), true);
    heard.acknowledged = Some(Deed {
        who: Who::Gateway,
        how: How::Itself,
        at_ms: 1,
    });
    let mut part = alarm(2, None, true);
    part.part_of = Some(AlarmId(1));
    let save = async |alarms| {
        let changes = AlarmChanges {
            alarms,
            ..AlarmChanges::default()
        };
        store.save_alarms(owner, Arc::new(changes)).await.unwrap();
    };
    save(vec![heard, part]).await;
    assert_eq!(counts(None).await, both(1, 0));
    let mut low = alarm(2, None, true);
    low.severity = Severity::Low;
    save(vec![alarm(1, Some(7), true), low]).await;
    let mut expected = both(1, 1);
    (expected.open.low, expected.unheard.low) = (1, 1);
    assert_eq!(counts(None).await, expected);
    save(vec![alarm(2, None, true)]).await;
}

/// What a later gateway has written, or a disk has spoilt, is passed over; and what an earlier one has is counted.
/// `execute` runs statements in the database itself.
pub(crate) async fn rows_of_others(store: &dyn ConfigStore, execute: impl Fn(&str)) {
    let first = owner(store, 1, 1_000).await.unwrap();
    let numbers = (1..=4).map(|number| (Address(3), number)).collect();
    let said = (1..=4).map(|number| told(3, number)).collect();
    store.put_event_numbers(numbers, said).await.unwrap();
    let changes = AlarmChanges {
        alarms: (1..=6).map(|id| alarm(id, Some(7), true)).collect(),
        attempts: (1..=3).map(|id| attempt(id, None)).collect(),
        ..AlarmChanges::default()
    };
    store.save_alarms(first, Arc::new(changes)).await.unwrap();
    execute(
        "UPDATE alarm SET alarm = '{\"a later one\":1}' WHERE id IN (6, 4, 3);
         UPDATE alarm_attempt SET attempt = '' WHERE id = 3;
         UPDATE script_alarm SET told = '[' WHERE place IN (SELECT min(place) FROM script_alarm);",
    );
    let filter = AlarmFilter::default();
    let ids = async |before: Option<u64>, limit| {
        let page = store.alarms(filter.clone(), before.map(AlarmId), limit);
        let page = page.await.unwrap();
        page.iter().map(|it| it.id.0).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2).await, [5, 2], "a page is full all the same");
    assert_eq!(ids(Some(5), 2).await, [2, 1]);
    assert_eq!(ids(None, 100).await, [5, 2, 1]);
    let attempts = store
        .alarm_attempts(AttemptFilter::default(), None, 1)
        .await;
    assert_eq!(attempts.unwrap()[0].id, AttemptId(2));
    let said = store.script_alarms(2).await.unwrap();
    for name in ["Li", "Bo", "Wang"] {
        let new = new_contact(None, name, Some(Some("4711")));
        store.put_contact(new).await.unwrap();
    }
    execute(
        "UPDATE alarm_contact SET contact = '{\"a later one\":1}' WHERE name = 'Li';
         UPDATE alarm_contact SET pin = x'00' WHERE name = 'Wang';",
    );
    let contacts = store.contacts().await.unwrap();
    let names: Vec<_> = contacts.iter().map(|it| &it.contact.name).collect();
    assert_eq!(names, ["Bo"]);
    assert_eq!(
        said.iter().map(|it| it.1.number).collect::<Vec<_>>(),
        [2, 3]
    );
}
