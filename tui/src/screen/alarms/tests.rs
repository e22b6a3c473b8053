//! What keys and news do to alarms, and a few pictures of what is drawn.

use super::{News, Sight, Wish};
use crate::{
    alarms::directory::Directory,
    screen::{
        app::{Action, Event, Overlay, Page, Prompt},
        tests::{NOW, Yard},
        theme::Colours,
        update::update,
    },
};
use crossterm::event::KeyCode;
use serde_json::{Value, json};
use switchyard_client::alarms::Site;

const NOW_MS: u64 = NOW.0;

fn ago(seconds: u64) -> u64 {
    NOW_MS - seconds * 1_000
}

fn alarm(id: u64, state: &str, severity: &str, text: &str, since_ms: u64) -> Value {
    json!({
        "id": id, "state": state, "severity": severity, "text": text, "raised_ms": since_ms, "since_ms": since_ms,
        "source": { "kind": "rule", "rule": 1, "controller": 100_042 }, "controller": 100_042,
        "controller_title": "Pump house 3", "site": 7, "is_standing": true, "times": 1, "parts": 0,
    })
}

/// A yard with something wrong: five alarms of every kind.
fn wrongs() -> Vec<Value> {
    let mut raised = alarm(12, "notified", "high", "High water", ago(95));
    raised["value"] = json!("82.1");
    raised["next"] = json!({ "contact": 2, "contact_name": "Wang", "medium": "call", "at_ms": NOW_MS, "is_under_way": true });
    let mut whole = alarm(15, "raised", "high", "North is silent", ago(30));
    whole["controller"] = Value::Null;
    whole["controller_title"] = Value::Null;
    whole["parts"] = json!(1);
    let mut part = alarm(14, "raised", "high", "No link", ago(31));
    part["part_of"] = json!(15);
    let mut shelved = alarm(9, "shelved", "medium", "Filter is dirty", ago(7_000));
    shelved["shelved"] = json!({ "until_ms": NOW_MS + 3_600_000, "by": "li", "at_ms": ago(60) });
    let mut acknowledged = alarm(
        8,
        "acknowledged",
        "low",
        "水箱 2 的门开着，很长的一段文字放不下",
        ago(200_000),
    );
    acknowledged["acknowledged"] = json!({ "by": "Wang", "how": "call", "at_ms": ago(60) });
    vec![whole, part, raised, shelved, acknowledged]
}

fn news(alarms: Vec<Value>) -> News {
    let overview = json!({
        "is_watched": true,
        "channels": [
            { "channel": "sip", "is_in_order": false, "reason": "the trunk does not answer" },
            { "channel": "email", "is_in_order": true },
        ],
        "on_call": [
            { "site": 7, "turn": "first", "contact": 1, "contact_name": "Li", "until_ms": NOW_MS + 3_600_000 },
            { "site": 0, "turn": "first", "contact": 2, "contact_name": "Wang", "until_ms": NOW_MS + 200_000_000 },
        ],
        "open": { "low": 1, "medium": 1, "high": 2 },
        "unacknowledged": { "low": 0, "medium": 1, "high": 2 },
        "warnings": ["nobody is told: South has no plan"],
    });
    News::Told {
        page: serde_json::from_value(json!({ "alarms": alarms, "revision": 3 })).unwrap(),
        overview: serde_json::from_value(overview).unwrap(),
        directory: Directory {
            sites: vec![Site {
                site: 7,
                name: "North".into(),
            }],
            ..Directory::default()
        },
    }
}

fn opened(colours: Colours) -> Yard {
    let mut yard = Yard::new(colours);
    yard.hear(Event::Alarms(news(wrongs())));
    yard.keys("a");
    assert_eq!(yard.app.page, Page::Alarms);
    yard
}

fn history() -> Value {
    json!({
        "alarm": wrongs()[2],
        "notes": [
            { "at_ms": ago(95), "kind": "raised", "value": "82.1" },
            { "at_ms": ago(94), "kind": "attempted", "attempt": 1 },
            { "at_ms": ago(40), "kind": "commented", "text": "I am on my way", "by": "li", "how": "api" },
        ],
        "attempts": [
            {
                "id": 2, "contact": 2, "contact_name": "Wang", "channel": "sip", "destination": "+49302", "alarms": [12],
                "begun_ms": ago(9), "keys": "", "steps": [{ "step": "ringing", "at_ms": ago(7) }],
            },
            {
                "id": 1, "contact": 1, "contact_name": "Li", "channel": "sip", "destination": "+49301", "alarms": [12],
                "begun_ms": ago(94), "ended_ms": ago(64), "keys": "", "steps": [{ "step": "ringing", "at_ms": ago(92) }],
                "outcome": { "kind": "no_answer" },
            },
        ],
    })
}

#[test]
fn alarms_at_80_by_24() {
    insta::assert_snapshot!(opened(Colours::Sixteen).picture(80, 24));
}

#[test]
fn alarms_at_120_by_40() {
    let mut yard = opened(Colours::None);
    yard.keys("j ");
    insta::assert_snapshot!(yard.picture(120, 40));
}

#[test]
fn a_time_line_at_80_by_24() {
    let mut yard = opened(Colours::True);
    yard.keys("j");
    assert_eq!(yard.keys("\n"), Action::Alarms(Wish::Show(12)));
    assert!(yard.picture(80, 24).contains("Reading the alarm"));
    let told = serde_json::from_value(history()).unwrap();
    yard.hear(Event::Alarms(News::History(12, Ok(Box::new(told)))));
    insta::assert_snapshot!(yard.picture(80, 24));
    // While somebody is being told it is read anew each second, and when anything changes.
    let tick = Event::Tick { now: Some(NOW) };
    assert_eq!(update(&mut yard.app, tick), Action::Alarms(Wish::Show(12)));
    yard.hear(Event::Tick { now: Some(NOW) });
    let told = Event::Alarms(news(wrongs()));
    assert_eq!(update(&mut yard.app, told), Action::Alarms(Wish::Show(12)));
    yard.press(KeyCode::Esc);
    assert_eq!(yard.app.page, Page::Alarms);
    assert_eq!(yard.app.alarms.selected, Some(12));
}

#[test]
fn the_question_names_what_is_acknowledged() {
    let mut yard = opened(Colours::None);
    yard.keys("j");
    assert_eq!(yard.keys("a"), Action::Nothing);
    insta::assert_snapshot!(yard.picture(80, 24));
    assert_eq!(yard.keys("x"), Action::Nothing, "any other key waits");
    assert_eq!(yard.keys("\x1b"), Action::Nothing);
    assert_eq!(yard.app.overlay, None);
    assert_eq!(yard.keys("ay"), Action::Alarms(Wish::Acknowledge(vec![12])));
    yard.hear(Event::Alarms(News::Done("acknowledged".into())));
    assert!(yard.picture(80, 24).contains("\nacknowledged"));
}

#[test]
fn several_are_marked_and_meant_together() {
    let mut yard = opened(Colours::None);
    yard.keys("  ");
    assert!(yard.picture(80, 24).contains("2 marked"));
    yard.keys("a");
    let question = yard.picture(80, 24);
    for named in [
        "all 2",
        "“North is silent” of North",
        "“High water” of No. 100042",
    ] {
        assert!(question.contains(named), "{question}");
    }
    assert_eq!(
        yard.keys("y"),
        Action::Alarms(Wish::Acknowledge(vec![12, 15]))
    );
    assert!(yard.app.alarms.marked.is_empty());
    yard.keys(" \x1b");
    assert!(yard.app.alarms.marked.is_empty(), "esc clears marks first");
    assert_eq!(yard.app.page, Page::Alarms);
    // What is acknowledged already is not acknowledged again.
    yard.keys("Ga");
    assert_eq!(yard.app.overlay, None);
    assert!(
        yard.app
            .message
            .as_deref()
            .unwrap()
            .contains("nothing to acknowledge")
    );
}

#[test]
fn shelves_for_a_while_and_takes_from_the_shelf() {
    let mut yard = opened(Colours::None);
    yard.keys("s");
    assert!(
        yard.picture(80, 24)
            .contains("shelve it for, or until > 1h")
    );
    let hour = Wish::Shelve {
        alarms: vec![15],
        until_ms: NOW_MS + 3_600_000,
    };
    assert_eq!(yard.keys("\n"), Action::Alarms(hour));
    yard.keys("s");
    yard.keys("x\n");
    assert!(yard.picture(80, 24).contains("expected a time to come"));
    assert!(matches!(yard.app.prompt, Some(Prompt::Shelve { .. })));
    yard.keys("\x1b");
    assert_eq!(yard.keys("u"), Action::Nothing);
    assert!(
        yard.app
            .message
            .as_deref()
            .unwrap()
            .contains("nothing of this is shelved")
    );
    assert_eq!(yard.keys("jju"), Action::Alarms(Wish::Unshelve(vec![9])));
}

#[test]
fn comments_are_typed_in_full() {
    let mut yard = opened(Colours::None);
    yard.keys("c");
    let long = "x".repeat(150);
    yard.keys(&long);
    let comment = Wish::Comment {
        alarms: vec![15],
        text: long,
    };
    assert_eq!(yard.keys("\n"), Action::Alarms(comment));
    yard.keys("c");
    assert_eq!(yard.keys("\n"), Action::Nothing, "nothing is no comment");
}

#[test]
fn parts_stand_behind_their_whole_until_they_are_looked_for() {
    let mut yard = opened(Colours::None);
    let shown =
        |yard: &Yard| -> Vec<u64> { yard.app.alarms.visible().iter().map(|it| it.id).collect() };
    assert_eq!(shown(&yard), [15, 12, 9, 8]);
    yard.keys("/no link\n");
    assert_eq!(shown(&yard), [14]);
    yard.keys("/");
    yard.press(KeyCode::Esc);
    yard.keys("/!high\n");
    assert_eq!(shown(&yard), [9, 8]);
    assert_eq!(yard.app.alarms.selected, Some(9));
    yard.keys("\x1b");
    assert_eq!(yard.app.alarms.filter, "");
    yard.keys("\x1b");
    assert_eq!(yard.app.page, Page::Fleet);
}

#[test]
fn the_badge_stands_on_every_screen() {
    let mut yard = Yard::new(Colours::None);
    assert!(!yard.picture(80, 24).contains('▲'));
    yard.hear(Event::Alarms(news(wrongs())));
    for keys in ["", "\n", "a", "?"] {
        yard.keys(keys);
        let picture = yard.picture(80, 24);
        assert!(
            picture.lines().next().unwrap().contains("▲ 2 a  li"),
            "{picture}"
        );
    }
    yard.hear(Event::Alarms(news(Vec::new())));
    assert!(!yard.picture(80, 24).lines().next().unwrap().contains('▲'));
}

#[test]
fn the_bell_rings_once_for_what_is_new_and_grave() {
    let mut yard = Yard::new(Colours::None);
    let mut rings = |alarms: Vec<Value>| {
        yard.hear(Event::Alarms(news(alarms)));
        yard.app.alarms.take_bell()
    };
    let high = || alarm(1, "raised", "high", "High water", ago(50));
    assert!(
        !rings(vec![high()]),
        "what was so before this console looked"
    );
    let second = || alarm(2, "raised", "high", "Fire", ago(5));
    assert!(rings(vec![second(), high()]));
    assert!(!rings(vec![second(), high()]), "once");
    assert!(!rings(vec![
        alarm(3, "raised", "medium", "Filter", ago(4)),
        second(),
        high()
    ]));
    let mut test = alarm(4, "raised", "high", "A test", ago(3));
    test["source"] = json!({ "kind": "test", "contact": 1, "medium": "call" });
    assert!(!rings(vec![test, second(), high()]));
    assert!(!rings(vec![alarm(
        1,
        "acknowledged",
        "high",
        "High water",
        ago(50)
    )]));
    assert!(
        rings(vec![alarm(1, "raised", "high", "High water", ago(1))]),
        "raised again"
    );
    let mut flapping = alarm(1, "raised", "high", "High water", ago(0));
    flapping["is_flapping"] = json!(true);
    assert!(!rings(vec![flapping]));
}

#[test]
fn who_may_see_nothing_is_told_so() {
    let mut yard = Yard::new(Colours::None);
    yard.hear(Event::Alarms(News::Shut(Sight::Forbidden)));
    yard.keys("a");
    assert!(
        yard.picture(80, 24)
            .contains("This account may not see alarms.")
    );
    yard.hear(Event::Alarms(News::Shut(Sight::Unknown)));
    assert!(yard.picture(80, 24).contains("knows no alarms"));
    // What was seen stays, as what it was, while the gateway is gone.
    yard.hear(Event::Alarms(news(wrongs())));
    yard.hear(Event::Alarms(News::Shut(Sight::Lost(
        "could not reach it".into(),
    ))));
    let picture = yard.picture(80, 24);
    assert!(
        picture.contains("(as last seen)") && picture.contains("High water"),
        "{picture}"
    );
}

#[test]
fn long_lines_go_on_under_their_beginning() {
    let mut yard = opened(Colours::None);
    let mut told = history();
    told["alarm"]["id"] = json!(15);
    told["notes"][2]["text"] = json!(
        "水箱的门开着，水箱的门开着，水箱的门开着，水箱的门开着 and somebody should go there and close it"
    );
    yard.keys("\n");
    let told = serde_json::from_value(told).unwrap();
    yard.hear(Event::Alarms(News::History(15, Ok(Box::new(told)))));
    insta::assert_snapshot!(yard.picture(60, 20));
    yard.press(KeyCode::PageDown);
    assert!(!yard.picture(60, 20).contains("High water"), "it scrolls");
}

#[test]
fn the_cursor_keeps_its_alarm_or_its_row() {
    let mut yard = opened(Colours::None);
    yard.keys("j");
    assert_eq!(yard.app.alarms.selected, Some(12));
    let mut more = wrongs();
    more.insert(0, alarm(20, "raised", "high", "Fire", ago(1)));
    yard.hear(Event::Alarms(news(more)));
    assert_eq!(yard.app.alarms.selected, Some(12));
    let fewer = wrongs().into_iter().filter(|it| it["id"] != 12).collect();
    yard.hear(Event::Alarms(news(fewer)));
    assert_eq!(yard.app.alarms.selected, Some(8), "the row under it");
}

#[test]
fn every_size_is_drawn_and_no_color_means_none() {
    let mut yard = opened(Colours::None);
    let told = || {
        Event::Alarms(News::History(
            15,
            Ok(Box::new(serde_json::from_value(history()).unwrap())),
        ))
    };
    for keys in ["", "a", "\x1b", "s", "\x1bc", "\x1b/x", "\x1b?", "\x1b\n"] {
        yard.keys(keys);
        yard.hear(told());
        for (width, height) in [(1, 1), (2, 3), (10, 4), (40, 10), (80, 24), (300, 100)] {
            yard.picture(width, height);
        }
        assert!(yard.is_colourless());
    }
    assert_eq!(yard.app.page, Page::Alarm(15));
    assert!(!matches!(yard.app.overlay, Some(Overlay::Acknowledge(_))));
}
