//! Alarms from the command line and on the screen, against a gateway that says what a test has set.

use crate::{Bench, Screen, code, printed, scripted::TIME, text};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
};

const NOW_MS: u64 = TIME.0;

fn alarm(id: u64, state: &str, severity: &str, words: &str) -> Value {
    json!({
        "id": id, "state": state, "severity": severity, "text": words, "raised_ms": NOW_MS, "since_ms": NOW_MS,
        "source": { "kind": "rule", "rule": 1, "controller": 100_042 }, "controller": 100_042,
        "controller_title": "Pump house 3", "site": 7, "is_standing": true, "times": 1,
    })
}

/// A bench with two alarms, two people, a plan and a rule.
fn bench() -> Bench {
    let bench = Bench::open();
    let desk = &bench.yard.desk;
    let alarms = json!({ "alarms": [alarm(9, "shelved", "low", "Filter"), alarm(12, "raised", "high", "High water")] });
    desk.set("GET /api/alarms", 200, alarms);
    desk.set(
        "GET /api/alarm-overview",
        200,
        json!({ "is_watched": true, "warnings": ["nobody is told: no plan"] }),
    );
    desk.set(
        "GET /api/sites",
        200,
        json!({ "items": [{ "site": 7, "name": "North", "created": 1 }] }),
    );
    let contacts = json!({ "contacts": [
        { "id": 1, "has_pin": true, "contact": {
            "name": "Li", "telephone": "+49301", "language": "zh", "zone": "Asia/Shanghai",
            "quiet": [{ "days": [1, 2, 3, 4, 5], "from_minute": 1320, "to_minute": 420 }],
            "weekly_test": { "day": 1, "minute": 600 },
        } },
        { "id": 2, "has_pin": false, "contact": { "name": "Wang", "email": "wang@example.org" } },
    ] });
    desk.set("GET /api/contacts", 200, contacts);
    desk.set(
        "GET /api/alarm-plans",
        200,
        json!({ "plans": [{ "site": 7, "plan": plan() }] }),
    );
    bench
}

fn plan() -> Value {
    json!({
        "chain": [
            { "whom": { "on_call": "first" }, "medium": "call", "from": "low", "wait_s": 300, "attempts": 2, "pause_s": 60 },
            { "whom": { "contact": 2 }, "medium": "email", "from": "high", "wait_s": 0, "attempts": 1, "pause_s": 60 },
        ],
        "again_s": 900, "heard_from": "high", "zone": "Europe/Berlin",
        "rota": [{
            "name": "first", "people": [1, 2], "shift_days": 7, "hand_over": { "day": 1, "minute": 480 },
            "starts_ms": NOW_MS,
        }],
        "overrides": [{ "turn": "first", "contact": 2, "from_ms": NOW_MS, "until_ms": NOW_MS + 3_600_000 }],
    })
}

/// What a run must not do: its exit code, and what it says of that.
fn failed(output: &Output) -> (i32, String) {
    (code(output), text(&output.stderr))
}

#[test]
fn lists_the_gravest_first_and_shows_one() {
    let bench = bench();
    let listed = printed(&bench, &["alarms"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines[0].starts_with("▲ high    ALARM              12  "),
        "{listed}"
    );
    assert!(
        lines[0].ends_with("No. 100042 Pump house 3: High water"),
        "{listed}"
    );
    assert!(
        lines[1].starts_with("‖ low     shelved             9  "),
        "{listed}"
    );
    printed(
        &bench,
        &[
            "alarms", "list", "--site", "north", "--closed", "--count", "3",
        ],
    );
    let asked = &bench.yard.desk.asked("GET /api/alarms")[1];
    assert_eq!(asked.line, "GET /api/alarms?open=false&site=7&limit=3");
    assert!(asked.is_known);
    let json = printed(&bench, &["alarms", "--json"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["id"], &first["state"]),
        (&json!(12), &json!("raised"))
    );

    let history = json!({
        "alarm": alarm(12, "raised", "high", "High water"),
        "notes": [{ "at_ms": NOW_MS, "kind": "raised" }],
        "attempts": [{
            "id": 1, "contact": 1, "contact_name": "Li", "channel": "sip", "destination": "+49301", "alarms": [12],
            "begun_ms": NOW_MS + 1_000, "ended_ms": NOW_MS + 9_000, "keys": "1",
            "steps": [{ "step": "ringing", "at_ms": NOW_MS + 2_000 }, { "step": "answered", "at_ms": NOW_MS + 5_000 }],
            "outcome": { "kind": "acknowledged" },
        }],
    });
    bench.yard.desk.set("GET /api/alarms/12", 200, history);
    let shown = printed(&bench, &["alarms", "show", "12"]);
    let expected = "\
01-15 08:00:00  ▲ raised
01-15 08:00:01    Li: call by SIP at +49301
01-15 08:00:02    Li: rings
01-15 08:00:05    Li: answered
01-15 08:00:09  ✓ Li: pressed 1, acknowledged
";
    assert!(shown.ends_with(expected), "{shown}");
    bench
        .yard
        .desk
        .refuse("GET /api/alarms/13", 404, "not_found", "no such alarm");
    let (exit, said) = failed(&bench.run(&["alarms", "show", "13"]));
    assert!(
        exit == 5 && said.contains("there is no alarm 13"),
        "{exit} {said}"
    );
}

#[test]
fn says_that_somebody_heard_and_shelves() {
    let bench = bench();
    let desk = &bench.yard.desk;
    let done = json!({ "alarms": [alarm(12, "acknowledged", "high", "High water")] });
    desk.set("POST /api/alarms/acknowledge", 200, done.clone());
    let said = printed(
        &bench,
        &["alarms", "acknowledge", "--all", "--comment", "seen"],
    );
    assert!(said.starts_with("△ high    acknowledged"), "{said}");
    let body = &desk.asked("POST /api/alarms/acknowledge")[0].body;
    assert_eq!(
        *body,
        json!({ "alarms": [12], "comment": "seen" }),
        "what is shelved is left there"
    );

    desk.set("POST /api/alarms/shelve", 202, done);
    let output = bench.run(&["alarms", "shelve", "12", "9", "--for", "1h"]);
    assert_eq!(code(&output), 0);
    assert!(text(&output.stderr).contains("has not taken it yet"));
    let body = &desk.asked("POST /api/alarms/shelve")[0].body;
    assert_eq!(body["alarms"], json!([12, 9]));
    // The gateway's own clock, and not this machine's.
    let ahead_ms = body["until_ms"].as_u64().unwrap() - NOW_MS;
    assert!((3_600_000..3_660_000).contains(&ahead_ms), "{ahead_ms}");
    let (exit, said) = failed(&bench.run(&["alarms", "shelve", "12", "--until", "2020-01-01"]));
    assert!(exit == 2 && said.contains("to come"), "{said}");

    desk.refuse(
        "POST /api/alarms/comment",
        403,
        "forbidden",
        "comments are for operators",
    );
    let (exit, said) = failed(&bench.run(&["alarms", "comment", "12", "hm"]));
    assert!(exit == 5 && said.contains("stronger role"), "{exit} {said}");
}

#[test]
fn watches_what_changes() {
    let bench = bench();
    let mut child = bench
        .command(&["alarms", "--watch", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(
        (next()["id"].clone(), next()["id"].clone()),
        (json!(12), json!(9))
    );
    let over = json!({ "alarm": alarm(9, "cleared", "low", "Filter") });
    bench.yard.desk.set("GET /api/alarms/9", 200, over);
    let now = json!({ "alarms": [alarm(12, "notified", "high", "High water")] });
    bench.yard.desk.set("GET /api/alarms", 200, now);
    let told = [next(), next()];
    assert_eq!(
        (&told[0]["id"], &told[0]["state"]),
        (&json!(12), &json!("notified"))
    );
    assert_eq!(
        (&told[1]["id"], &told[1]["state"]),
        (&json!(9), &json!("cleared"))
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_contact_is_shown_as_it_is_set() {
    let bench = bench();
    let desk = &bench.yard.desk;
    let listed = printed(&bench, &["contacts", "list"]);
    assert!(
        listed.contains("    1  Li    +49301            yes"),
        "{listed}"
    );
    assert!(
        listed.contains("    2  Wang                    no   wang@example.org"),
        "{listed}"
    );
    let shown = printed(&bench, &["contacts", "show", "li"]);
    for line in [
        "# Contact 1, with a PIN.",
        "quiet = [\"mon-fri 22:00-07:00\"]",
        "weekly_test = \"mon 10:00\"",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let kept = json!({ "id": 1, "has_pin": true, "contact": { "name": "Li" } });
    desk.set("PUT /api/contacts/1", 200, kept.clone());
    desk.set("POST /api/contacts", 201, kept);
    let file = bench.folder.path().join("li.toml");
    std::fs::write(&file, &shown).unwrap();
    printed(
        &bench,
        &["contacts", "set", "Li", "--file", file.to_str().unwrap()],
    );
    let json = printed(&bench, &["contacts", "show", "Li", "--json"]);
    std::fs::write(&file, &json).unwrap();
    printed(
        &bench,
        &[
            "contacts",
            "set",
            "1",
            "--file",
            file.to_str().unwrap(),
            "--telephone",
            "",
        ],
    );
    let puts = desk.asked("PUT /api/contacts/1");
    let mut contact = serde_json::from_str::<Value>(&json).unwrap()["contact"].clone();
    assert_eq!(
        puts[0].body["contact"], contact,
        "what `show` writes, `set` takes"
    );
    assert_eq!(puts[0].body.get("pin"), None);
    contact.as_object_mut().unwrap().remove("telephone");
    assert_eq!(puts[1].body["contact"], contact);

    let set = [
        "contacts",
        "set",
        "Zhao",
        "--telephone",
        "+86101",
        "--pin-stdin",
        "--quiet",
        "22:00-06:00",
    ];
    assert_eq!(code(&bench.run_with(&set, "2468")), 0);
    let made = &desk.asked("POST /api/contacts")[0].body;
    assert_eq!(
        (&made["pin"], &made["contact"]["name"]),
        (&json!("2468"), &json!("Zhao"))
    );
    assert_eq!(
        made["contact"]["quiet"][0]["days"],
        json!([1, 2, 3, 4, 5, 6, 7])
    );
    std::fs::write(&file, "name = \"Li\"\nphone = \"+49\"\n").unwrap();
    let (exit, said) =
        failed(&bench.run(&["contacts", "set", "Li", "--file", file.to_str().unwrap()]));
    assert!(
        exit == 2 && said.contains("line 2") && said.contains("phone"),
        "{said}"
    );
    let (exit, said) = failed(&bench.run(&["contacts", "remove", "Zhou"]));
    assert!(exit == 2 && said.contains("there is Li, Wang"), "{said}");
}

#[test]
fn a_test_is_followed_while_it_rings() {
    let bench = bench();
    let desk = &bench.yard.desk;
    let attempt = |steps: &[(&str, u64)], outcome: Option<&str>| {
        let steps = steps
            .iter()
            .map(|(step, at_s)| json!({ "step": step, "at_ms": NOW_MS + at_s * 1_000 }));
        let mut attempt = json!({
            "id": 5, "contact": 1, "contact_name": "Li", "channel": "sip", "destination": "+49301", "alarms": [77],
            "begun_ms": NOW_MS, "steps": steps.collect::<Vec<_>>(), "keys": if outcome.is_some() { "1" } else { "" },
        });
        if let Some(kind) = outcome {
            attempt["ended_ms"] = json!(NOW_MS + 9_000);
            attempt["outcome"] = json!({ "kind": kind });
        }
        let before = json!({
            "id": 4, "contact": 1, "contact_name": "Li", "channel": "sip", "begun_ms": NOW_MS - 9_000,
            "ended_ms": NOW_MS - 1_000, "outcome": { "kind": "busy" },
        });
        json!({ "alarm": alarm(77, "raised", "low", "A test"), "notes": [], "attempts": [attempt, before] })
    };
    desk.set("POST /api/contacts/1/test", 202, json!({ "alarm": 77 }));
    desk.set("GET /api/alarms/77", 200, attempt(&[("ringing", 2)], None));
    let mut child = bench
        .command(&["contacts", "test", "Li", "--by", "call"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "Li is to be told by call; it is alarm 77");
    assert_eq!(next(), "08:00:00  Li: call by SIP at +49301");
    assert_eq!(next(), "08:00:02  Li: rings");
    let steps = [("ringing", 2), ("answered", 5), ("told", 8)];
    desk.set(
        "GET /api/alarms/77",
        200,
        attempt(&steps, Some("acknowledged")),
    );
    assert_eq!(next(), "08:00:05  Li: answered");
    assert_eq!(next(), "08:00:08  Li: told");
    assert_eq!(next(), "08:00:09  Li: pressed 1, acknowledged");
    assert!(child.wait().unwrap().success());
    desk.set(
        "GET /api/alarms/77",
        200,
        attempt(&[("ringing", 2)], Some("no_answer")),
    );
    let (exit, said) = failed(&bench.run(&["contacts", "test", "Li"]));
    assert!(
        exit == 9 && said.contains("Li was not reached: no answer"),
        "{exit} {said}"
    );
}

#[test]
fn a_plan_is_shown_as_it_is_set() {
    let bench = bench();
    let desk = &bench.yard.desk;
    desk.set(
        "PUT /api/alarm-plans/7",
        200,
        json!({ "site": 7, "plan": plan() }),
    );
    let shown = printed(&bench, &["alarm-plan", "show", "North"]);
    insta::assert_snapshot!("a_plan_as_people_write_it", shown);
    let file = bench.folder.path().join("plan");
    let path = file.to_str().unwrap();
    let json = printed(&bench, &["alarm-plan", "show", "7", "--json"]);
    for text in [&shown, &json] {
        std::fs::write(&file, text).unwrap();
        printed(&bench, &["alarm-plan", "set", "north", path]);
    }
    let puts = desk.asked("PUT /api/alarm-plans/7");
    assert_eq!((&puts[0].body, &puts[1].body), (&plan(), &plan()));
    for (text, says) in [
        ("[[chain]]\nby = \"call\"\nwait = \"5m\"\n", "chain 1, whom"),
        (
            "[[chain]]\ncontact = \"Zhou\"\nby = \"call\"\nwait = \"5m\"\n",
            "found Zhou",
        ),
        (
            "[[chain]]\ncontact = 1\nby = \"smoke\"\nwait = \"5m\"\n",
            "chain 1, by: expected one of call",
        ),
        (
            "[[chain]]\ncontact = 1\nby = \"call\"\nwait = \"soon\"\n",
            "chain 1, wait",
        ),
        ("again = 5\n", "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (exit, said) = failed(&bench.run(&["alarm-plan", "set", "north", path]));
        assert!(exit == 2 && said.contains(says), "{text}: {said}");
    }
    let (exit, said) = failed(&bench.run(&["alarm-plan", "show"]));
    assert!(
        exit == 2 && said.contains("no plan for all other sites"),
        "{said}"
    );
}

#[test]
fn prints_who_is_on_call_and_who_is_told_after_whom() {
    let bench = bench();
    let desk = &bench.yard.desk;
    let shift = |contact: u32, name: &str, from_h: i64, hours: u64, is_override: bool| {
        let from_ms = NOW_MS.saturating_add_signed(from_h * 3_600_000);
        json!({
            "turn": "first", "contact": contact, "contact_name": name, "from_ms": from_ms,
            "until_ms": from_ms + hours * 3_600_000, "is_override": is_override,
        })
    };
    let shifts = json!({ "shifts": [
        shift(2, "Wang", 24, 24, true), shift(1, "Li", -96, 120, false), shift(1, "Li", 48, 120, false),
    ] });
    desk.set("GET /api/alarm-plans/7/calendar", 200, shifts);
    let sheet = printed(&bench, &["on-call", "--site", "North", "--weeks", "2"]);
    insta::assert_snapshot!("an_on_call_sheet", sheet);
    let json = printed(&bench, &["on-call", "--json"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["site"], &first["is_now"], &first["contact_name"]),
        (&json!(7), &json!(true), &json!("Li"))
    );

    desk.set(
        "POST /api/alarm-plans/7/overrides",
        200,
        json!({ "site": 7, "plan": plan() }),
    );
    let from = ["--from", "2027-01-20 08:00", "--until", "2027-01-21 08:00"];
    let order = [
        "on-call",
        "override",
        "--site",
        "North",
        "--turn",
        "first",
        "--contact",
        "Wang",
    ];
    let said = printed(&bench, &[&order[..], &from].concat());
    assert_eq!(
        said,
        "Wang has first from Wed 2027-01-20 08:00 until Thu 2027-01-21 08:00\n"
    );
    let body = &desk.asked("POST /api/alarm-plans/7/overrides")[0].body;
    // In the zone of the plan, an hour east of Greenwich.
    let from_ms = NOW_MS + 5 * 86_400_000 - 3_600_000;
    let until_ms = from_ms + 86_400_000;
    assert_eq!(
        *body,
        json!({ "turn": "first", "contact": 2, "from_ms": from_ms, "until_ms": until_ms })
    );
}

#[test]
fn rules_are_written_as_people_write_them() {
    let bench = bench();
    let desk = &bench.yard.desk;
    let rule = json!({
        "name": "level", "text": "High water", "severity": "high", "scope": { "site": 7 }, "for_s": 10, "over_for_s": 0,
        "condition": { "kind": "above", "point": "level", "limit": 80_000, "clear": 70_500 }, "is_enabled": true,
    });
    desk.set(
        "GET /api/alarm-rules",
        200,
        json!({ "rules": [{ "id": 3, "rule": rule }] }),
    );
    desk.set(
        "POST /api/alarm-rules",
        201,
        json!({ "id": 3, "rule": rule }),
    );
    desk.set(
        "PUT /api/alarm-rules/3",
        200,
        json!({ "id": 3, "rule": rule }),
    );
    desk.set("DELETE /api/alarm-rules/3", 204, Value::Null);
    let add = [
        "alarm-rule",
        "add",
        "level",
        "--text",
        "High water",
        "--when",
        "level above 80 clear 70.5",
        "--severity",
        "high",
        "--site",
        "North",
        "--for",
        "10s",
    ];
    printed(&bench, &add);
    assert_eq!(desk.asked("POST /api/alarm-rules")[0].body, rule);
    let listed = printed(&bench, &["alarm-rule", "list"]);
    let expected =
        "    3  high    level: level above 80 clear 70.5 for 10s  [North]  “High water”\n";
    assert_eq!(listed, expected);
    printed(
        &bench,
        &[
            "alarm-rule",
            "set",
            "level",
            "--disable",
            "--when",
            "door is on",
            "--controllers",
            "1,2",
        ],
    );
    let body = &desk.asked("PUT /api/alarm-rules/3")[0].body;
    assert_eq!(
        (&body["is_enabled"], &body["for_s"]),
        (&json!(false), &json!(10)),
        "the rest stays"
    );
    assert_eq!(
        body["condition"],
        json!({ "kind": "is", "point": "door", "value": 1 })
    );
    assert_eq!(body["scope"], json!({ "controllers": [1, 2] }));
    printed(&bench, &["alarm-rule", "remove", "level"]);
    let (exit, said) = failed(&bench.run(&["alarm-rule", "set", "3", "--when", "level hovers"]));
    assert!(exit == 2 && said.contains("level above 80"), "{said}");
}

#[test]
fn a_person_sees_what_is_wrong_and_says_that_he_heard() {
    let bench = bench();
    let desk = &bench.yard.desk;
    desk.set(
        "POST /api/alarms/acknowledge",
        200,
        json!({ "alarms": [alarm(12, "acknowledged", "high", "High water")] }),
    );
    let history = json!({ "alarm": alarm(12, "raised", "high", "High water"), "notes": [{ "at_ms": NOW_MS, "kind": "raised" }] });
    desk.set("GET /api/alarms/12", 200, history);
    let mut screen = Screen::open(&bench, &[]);
    screen.wait_for("▲ 1 a");
    screen.press("a");
    screen.wait_for("nobody is told: no plan");
    screen.press("\r");
    screen.wait_for("Alarm 12");
    screen.wait_for("▲ raised");
    screen.press("a");
    screen.wait_for("“High water” of No. 100042 Pump house 3");
    screen.press("y");
    screen.wait_for("acknowledged");
    assert_eq!(
        desk.asked("POST /api/alarms/acknowledge")[0].body,
        json!({ "alarms": [12] })
    );
    let bells = |screen: &Screen| {
        let raw = screen.raw.lock().unwrap();
        raw.iter().filter(|byte| **byte == 7).count()
    };
    assert_eq!(bells(&screen), 0, "what was so already rings no bell");
    let more = json!({ "alarms": [alarm(13, "raised", "high", "Fire"), alarm(12, "acknowledged", "high", "High water")] });
    desk.set("GET /api/alarms", 200, more);
    screen.press("\x1b");
    screen.wait_for("Fire");
    screen.press("q");
    let raw = screen.raw.clone();
    assert_eq!(screen.end(), 0);
    let bells = raw
        .lock()
        .unwrap()
        .iter()
        .filter(|byte| **byte == 7)
        .count();
    assert_eq!(bells, 1, "what is new rings once");
}

#[test]
fn the_screen_says_where_alarms_are_not_to_be_seen() {
    let bench = bench();
    bench
        .yard
        .desk
        .refuse("GET /api/alarms", 403, "forbidden", "you have no role");
    let mut screen = Screen::open(&bench, &["--bell", "off"]);
    screen.wait_for("Pump house 3");
    screen.press("a");
    screen.wait_for("This account may not see alarms.");
    screen.press("q");
    assert_eq!(screen.end(), 0);
}
