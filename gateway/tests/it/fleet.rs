//! The library and the fleet as files: the commands on a real store, and the API of a real gateway.

use crate::{
    process::{Running, add_li, program, run},
    support::{api::call_at, now, open_sqlite, soon, title},
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use switchyard_gateway::{
    Digest,
    fleet::rollout::ReleaseKind,
    store::{ConfigStore as _, Content, Database, Sealer, Seen, SqlConfigStore},
};
use switchyard_protocol::Address;

const LAMP: &str = "in door = DI1\nout lamp = RL1 safe off\nlamp := door\n";
const FAN: &str = "in heat = DI2\nout fan = RL2 safe off\nfan := heat\n";

/// Runs a command: its exit status, what it printed, what it complained of.
async fn told(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = program(data);
    command.args(arguments).stdin(std::process::Stdio::null());
    let output = soon("a command's end", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// The same, which has to go well.
async fn done(data: &Path, arguments: &[&str]) -> String {
    let (status, printed, complaint) = told(data, arguments).await;
    assert_eq!(status, 0, "{arguments:?}: {printed}{complaint}");
    printed
}

async fn store(data: &Path) -> SqlConfigStore {
    // Opened under the key that the program has made.
    let sealer = Sealer::from_file(&data.join("master.key")).unwrap();
    let database = Database::Sqlite(data.join("switchyard.db"));
    let opened = SqlConfigStore::open(&database, sealer, 64, Duration::from_secs(20)).await;
    opened.unwrap()
}

#[tokio::test]
async fn scripts_are_compiled_and_kept_in_versions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("lamp.script");
    let path = file.to_str().unwrap();
    fs::write(&file, LAMP).unwrap();
    let added = done(
        &data,
        &["script", "add", "lamp", path, "--note", "the first"],
    )
    .await;
    let digest = Digest::of(LAMP.as_bytes()).to_string();
    assert!(added.contains("virtual: "), "{added}");
    assert!(added.contains("µs a scan at most"), "{added}");
    assert!(
        added.ends_with(&format!("added lamp version 1, digest {digest}\n")),
        "{added}"
    );
    let again = done(&data, &["script", "add", "lamp", path]).await;
    assert!(
        again.contains("nothing to add: lamp version 1 is the same"),
        "{again}"
    );

    // Where it does not compile is told as compilers do, and nothing is added.
    fs::write(&file, "out lamp = RL1 safe off\nlamp := tonn(true, 1s)\n").unwrap();
    let (status, _, complaint) = told(&data, &["script", "add", "lamp", path]).await;
    assert_eq!(status, 1);
    assert!(
        complaint.contains(&format!("{path}:2:9: expected ")),
        "{complaint}"
    );
    assert!(complaint.contains("\"tonn\""), "{complaint}");
    // One board has to take it unless some are named: this one has no fourth relay.
    let fourth = "out lamp = RL4 safe off\nlamp := true\n";
    let add = ["script", "add", "fourth", "--board", "sonoff-basic"];
    let (ok, _, complaint) = run(&data, &add, fourth).await;
    assert!(
        !ok && complaint.contains("standard input:1:"),
        "{complaint}"
    );
    let (ok, _, complaint) = run(&data, &["script", "add", "fourth"], fourth).await;
    assert!(ok, "{complaint}");
    let (ok, _, complaint) = run(&data, &["script", "add", "x", "--board", "toaster"], LAMP).await;
    assert!(
        !ok && complaint.contains("expected a board among"),
        "{complaint}"
    );
    let (ok, _, complaint) = run(&data, &["script", "add", "Lamp"], LAMP).await;
    assert!(
        !ok && complaint.contains("expected a name of 1 to 64"),
        "{complaint}"
    );
    let (ok, _, complaint) = run(&data, &["script", "add", "x"], &"#".repeat(8_193)).await;
    assert!(
        !ok && complaint.contains("at most 8192 bytes"),
        "{complaint}"
    );

    fs::write(&file, LAMP.replace(":= door", ":= not door")).unwrap();
    done(
        &data,
        &["script", "add", "lamp", path, "--note", "the other way"],
    )
    .await;
    let list = done(&data, &["script", "list"]).await;
    let names: Vec<_> = list
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(names, ["fourth", "lamp"]);
    let versions = done(&data, &["script", "list", "lamp"]).await;
    let lines: Vec<_> = versions.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].trim_start().starts_with("2 ") && lines[0].ends_with("the other way"));
    assert!(lines[1].ends_with("command line: the first"), "{versions}");
    assert_eq!(done(&data, &["script", "show", "lamp", "1"]).await, LAMP);
    assert!(
        done(&data, &["script", "show", "lamp"])
            .await
            .contains("not door")
    );
    let diff = done(&data, &["script", "diff", "lamp"]).await;
    assert_eq!(
        diff,
        "--- lamp 1\n+++ lamp 2\n@@ -1,3 +1,3 @@\n in door = DI1\n out lamp = RL1 safe off\n-lamp := door\n+lamp := not door\n"
    );
    let whole = done(&data, &["script", "diff", "lamp", "0", "1"]).await;
    assert!(whole.starts_with("--- lamp 0\n+++ lamp 1\n"), "{whole}");
    assert_eq!(done(&data, &["script", "diff", "lamp", "1", "1"]).await, "");
    for missing in [
        ["script", "show", "lamp", "3"],
        ["script", "show", "nobody", "1"],
    ] {
        let (status, _, complaint) = told(&data, &missing).await;
        assert_eq!(status, 1);
        assert!(complaint.contains("there is no version"), "{complaint}");
    }
    done(&data, &["script", "remove", "lamp"]).await;
    assert_eq!(told(&data, &["script", "remove", "lamp"]).await.0, 1);
    assert_eq!(told(&data, &["script", "list", "lamp"]).await.0, 1);
}

/// A fleet of three controllers, one of which has told what it runs.
async fn some_fleet(data: &Path) {
    for words in [
        vec!["site", "add", "At the river"],
        vec!["enrol", "Pump", "--count", "3"],
        vec![
            "controller",
            "edit",
            "1",
            "--site",
            "1",
            "--tags",
            "pumps,new boards",
        ],
        vec!["controller", "edit", "2", "--title", "Fan \"north\""],
    ] {
        done(data, &words).await;
    }
    let (ok, _, complaint) = run(data, &["script", "add", "lamp"], LAMP).await;
    assert!(ok, "{complaint}");
    sees(data, 1, Some(LAMP)).await;
}

async fn sees(data: &Path, controller: u32, source: Option<&str>) {
    let seen = Seen {
        controller: Address(controller),
        kind: ReleaseKind::Script,
        running: source.map(|source| Digest::of(source.as_bytes())),
        at: now(),
    };
    store(data).await.put_seen(vec![seen]).await.unwrap();
}

#[tokio::test]
async fn what_is_exported_is_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    some_fleet(&data).await;
    let files = folder.path().join("files");
    let path = files.to_str().unwrap();
    let wrote = done(&data, &["fleet", "export", path]).await;
    assert_eq!(wrote, "wrote 1 sites, 1 scripts and 3 controllers\n");
    let text = fs::read_to_string(files.join("fleet.toml")).unwrap();
    for line in [
        "[sites.site-1]\n",
        "title = \"At the river\"\n",
        "script = \"lamp\"\n",
        "title = 'Fan \"north\"'\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(
        fs::read_to_string(files.join("scripts/lamp.script")).unwrap(),
        LAMP
    );
    let plan = done(&data, &["fleet", "plan", path]).await;
    assert!(
        plan.starts_with("the fleet is as the files say\n"),
        "{plan}"
    );
    assert_eq!(told(&data, &["fleet", "drift", path]).await.0, 0);

    // Written over only where that is wanted; what is there beside it stays.
    let (status, _, complaint) = told(&data, &["fleet", "export", path]).await;
    assert!(
        status == 1 && complaint.contains("--replace"),
        "{complaint}"
    );
    fs::write(files.join("scripts/old.script"), FAN).unwrap();
    let (ok, _, complaint) = run(&data, &["script", "add", "lamp"], &format!("# 2\n{LAMP}")).await;
    assert!(ok, "{complaint}");
    let wrote = done(&data, &["fleet", "export", path, "--replace"]).await;
    assert!(
        wrote.contains("controller 1 runs lamp version 1"),
        "{wrote}"
    );
    assert!(
        wrote.contains("old.script, which is in no library"),
        "{wrote}"
    );
    let names: Vec<_> = fs::read_dir(&files)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing half-written: {names:?}");
}

const FLEET: &str = r#"
[sites.river]
title = "At the river"

[sites.hill]
title = "On the hill"

[controllers.1]
title = "Pump house"
site = "river"
tags = ["pumps"]
script = "fan"

[controllers.2]
site = "hill"

[controllers.3]
tags = []
"#;

#[tokio::test]
async fn what_is_applied_is_there_and_drift_is_told_by_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    some_fleet(&data).await;
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("scripts")).unwrap();
    fs::write(files.join("fleet.toml"), FLEET).unwrap();
    fs::write(files.join("scripts/fan.script"), FAN).unwrap();
    let path = files.to_str().unwrap();

    let digest = |source: &str| Digest::of(source.as_bytes()).to_string()[..12].to_owned();
    let plan = done(&data, &["fleet", "plan", path]).await;
    let expected = format!(
        "\
+ site hill: \"On the hill\"
+ site river: \"At the river\"
+ script fan
--- fan (library)
+++ fan (files)
@@ -0,0 +1,3 @@
+in heat = DI2
+out fan = RL2 safe off
+fan := heat
~ controller 1: title \"Pump 1\" -> \"Pump house\"
~ controller 1: site site-1 -> river
~ controller 1: tags -\"new boards\"
~ controller 1: script {} -> fan {}
~ controller 2: site none -> hill
to change: 8
",
        digest(LAMP),
        digest(FAN)
    );
    assert!(plan.starts_with(&expected), "{plan}");
    assert!(
        plan.contains("what controllers run is what they last told"),
        "{plan}"
    );
    assert_eq!(told(&data, &["fleet", "drift", path]).await.0, 2);

    let applied = done(&data, &["fleet", "apply", path, "--note", "of 4f1c"]).await;
    assert!(applied.contains("done: + script fan\n"), "{applied}");
    assert!(applied.contains("changed: 7\n"), "{applied}");
    assert!(
        applied.ends_with("to roll out: fan to 1 controllers: 1\n"),
        "{applied}"
    );
    // The site that was there has got its name.
    let sites = done(&data, &["site", "list"]).await;
    assert_eq!(sites, "1 At the river\n2 On the hill\n");
    let versions = done(&data, &["script", "list", "fan"]).await;
    assert!(versions.ends_with("command line: of 4f1c\n"), "{versions}");
    let (status, drift, _) = told(&data, &["fleet", "drift", path]).await;
    assert_eq!(status, 2);
    assert!(drift.contains("to change: 1\n"), "{drift}");

    // The roll-out is begun when that is wanted, once.
    let begun = done(&data, &["fleet", "apply", path, "--roll-out"]).await;
    assert!(
        begun.ends_with("begun: roll-out 1 of fan to 1 controllers\n"),
        "{begun}"
    );
    // One that is refused does not keep the next one, and the exit status tells of it.
    let with_lamp = FLEET.replace("[controllers.3]", "[controllers.3]\nscript = \"lamp\"");
    fs::write(files.join("fleet.toml"), with_lamp).unwrap();
    fs::write(files.join("scripts/lamp.script"), LAMP).unwrap();
    let (status, applied, complaint) = told(&data, &["fleet", "apply", path, "--roll-out"]).await;
    assert_eq!(status, 1);
    let refused = "refused: the roll-out of fan to 1 controllers: expected controllers that are in no other \
                   roll-out that goes on: 1 is in roll-out 1\nbegun: roll-out 2 of lamp to 1 controllers\n";
    assert!(applied.ends_with(refused), "{applied}");
    assert!(
        complaint.contains("1 roll-outs were refused"),
        "{complaint}"
    );
    let rollouts = store(&data).await.rollouts(true, None, 10).await.unwrap();
    let begun = rollouts
        .iter()
        .map(|it| (&it.about.title, &it.about.by, it.head.controllers()));
    // As all that is the gateway's own it is called so, with a space before, that no account can have.
    let by = title(" command line");
    assert_eq!(
        begun.collect::<Vec<_>>(),
        [(&title("lamp"), &by, 1), (&title("fan"), &by, 1)]
    );
    let config = store(&data).await;
    let versions = config.script_versions("fan".parse().unwrap(), None, 10);
    assert_eq!(versions.await.unwrap()[0].by, by);
    drop(config);
    fs::write(files.join("fleet.toml"), FLEET).unwrap();
    let needed = told(&data, &["script", "remove", "fan"]).await;
    assert!(
        needed.0 == 1 && needed.2.contains("in use by nobody"),
        "{needed:?}"
    );

    // Once it has told that it runs it, there is nothing to do; of whom nothing is known that is told.
    sees(&data, 1, Some(FAN)).await;
    let (status, drift, _) = told(&data, &["fleet", "drift", path]).await;
    assert_eq!(
        (status, drift.lines().next()),
        (0, Some("the fleet is as the files say"))
    );
    assert!(
        done(&data, &["fleet", "apply", path])
            .await
            .contains("changed: 0\n")
    );
    let text = FLEET.replace("[controllers.3]", "[controllers.3]\nscript = \"fan\"");
    fs::write(files.join("fleet.toml"), &text).unwrap();
    let (status, drift, _) = told(&data, &["fleet", "drift", path]).await;
    assert_eq!(status, 3);
    assert!(
        drift.contains("? controller 3: script not known -> fan"),
        "{drift}"
    );
    sees(&data, 3, None).await;
    let (status, drift, _) = told(&data, &["fleet", "drift", path]).await;
    assert_eq!(status, 2);
    assert!(
        drift.contains("~ controller 3: script none -> fan"),
        "{drift}"
    );

    // What cannot be applied is told, and the rest is done.
    fs::write(
        files.join("fleet.toml"),
        format!("{text}title = \"Three\"\n[controllers.9]\n"),
    )
    .unwrap();
    let (status, applied, complaint) = told(&data, &["fleet", "apply", path]).await;
    assert_eq!(status, 1);
    assert!(
        applied.contains("! controller 9: expected one that is enrolled"),
        "{applied}"
    );
    assert!(
        applied.contains("done: ~ controller 3: title \"Pump 3\" -> \"Three\""),
        "{applied}"
    );
    assert!(
        complaint.contains("1 changes cannot be applied"),
        "{complaint}"
    );
}

/// What a controller was seen to have, as a roll-out's looks leave it.
async fn has(data: &Path, controller: u32, values: &str) {
    let config = store(data).await;
    let content = Content::parameters(values.to_owned().into()).unwrap();
    let seen = Seen {
        controller: Address(controller),
        kind: ReleaseKind::Parameters,
        running: Some(config.put_content(content, now()).await.unwrap()),
        at: now(),
    };
    config.put_seen(vec![seen]).await.unwrap();
}

#[tokio::test]
async fn parameters_are_rolled_out_where_they_are_not_as_the_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    some_fleet(&data).await;
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("scripts")).unwrap();
    fs::write(files.join("scripts/lamp.script"), LAMP).unwrap();
    let most = |value| format!("parameters = {{ most = {value:?}, stay = \"1m30s\" }}\n");
    let text = format!(
        "[controllers.1]\nscript = \"lamp\"\n{}[controllers.2]\n{}[controllers.3]\n{}",
        most(80.5),
        most(80.5),
        most(7.0)
    );
    fs::write(files.join("fleet.toml"), &text).unwrap();
    let path = files.to_str().unwrap();

    // Of one nothing is known, one has them in part, and one has them.
    has(&data, 2, "most num 70000\n").await;
    has(&data, 3, "most num 7000\nstay time 90000\n").await;
    let (status, drift, _) = told(&data, &["fleet", "drift", path]).await;
    assert_eq!(status, 2);
    let expected = "\
? controller 1: parameter most not known -> 80.5
? controller 1: parameter stay not known -> \"1m30s\"
~ controller 2: parameter most 70.0 -> 80.5
? controller 2: parameter stay not known -> \"1m30s\"
to change: 1; not known: 3
";
    assert!(drift.starts_with(expected), "{drift}");
    let applied = done(&data, &["fleet", "apply", path]).await;
    let wanted = "to roll out: parameters most and 1 more to 2 controllers: 1, 2\n";
    assert!(applied.ends_with(wanted), "{applied}");
    let dry = |values: &'static str| {
        let to = ["--controllers", "1,2,3", "--dry-run"];
        ["rollout", "start", "--set", values].into_iter().chain(to)
    };
    let forecast = async |values| {
        let words: Vec<_> = dry(values).collect();
        done(&data, &words).await
    };
    assert_eq!(
        forecast("most=7.0").await,
        "most: 3 controllers; 1 run something else, 1 run it already, of 1 it is not known\n"
    );

    // All that is said of a controller goes together.
    let begun = done(&data, &["fleet", "apply", path, "--roll-out"]).await;
    let wanted = "begun: roll-out 1 of parameters most and 1 more to 2 controllers\n";
    assert!(begun.ends_with(wanted), "{begun}");
    let config = store(&data).await;
    let rollout = config.rollouts(true, None, 10).await.unwrap().remove(0);
    let release = rollout.head.terms().release;
    let values = "most num 80500\nstay time 90000\n";
    assert_eq!(
        (release.kind, release.digest),
        (ReleaseKind::Parameters, Digest::of(values.as_bytes()))
    );
    let kept = config.content(release.digest).await.unwrap();
    assert!(kept.is_some(), "what is to be rolled out");
    drop(config);
    let (status, _, complaint) = told(&data, &["fleet", "apply", path, "--roll-out"]).await;
    assert_eq!(status, 1, "they are in that roll-out");
    assert!(
        complaint.contains("1 roll-outs were refused"),
        "{complaint}"
    );
    for controller in [1, 2] {
        has(&data, controller, values).await;
    }
    assert_eq!(told(&data, &["fleet", "drift", path]).await.0, 0);

    // Where the script changes too, that comes first. What was known of the parameters is over with the old one.
    sees(&data, 1, Some(FAN)).await;
    let applied = done(&data, &["fleet", "apply", path]).await;
    let wanted = "to roll out: lamp to 1 controllers: 1\nlater: parameters of 1 controllers, whose script changes \
                  first; apply once more when it has\n";
    assert!(applied.ends_with(wanted), "{applied}");
    sees(&data, 1, Some(LAMP)).await;
    let applied = done(&data, &["fleet", "apply", path]).await;
    let wanted = "to roll out: parameters most and 1 more to 1 controllers: 1\n";
    assert!(applied.ends_with(wanted), "{applied}");

    // What is known is exported, for whoever begins to keep it in files.
    done(&data, &["fleet", "export", path, "--replace"]).await;
    let text = fs::read_to_string(files.join("fleet.toml")).unwrap();
    assert!(text.contains("most = 7.0"), "{text}");
}

#[tokio::test]
async fn what_is_wrong_with_files_is_told_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    some_fleet(&data).await;
    let before = done(&data, &["export"]).await;
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("scripts")).unwrap();
    let path = files.to_str().unwrap();
    for (fleet, script, expected) in [
        (
            FLEET.replace("\"river\"\ntags", "\"sea\"\ntags"),
            FAN,
            "fleet.toml:10: expected a site of this file",
        ),
        (
            FLEET.replace("tags = [\"pumps\"]", "tags = 7"),
            FAN,
            "fleet.toml:11: ",
        ),
        (
            FLEET.replace("\"fan\"", "\"pump\""),
            FAN,
            "fleet.toml:12: expected a script beside",
        ),
        (
            FLEET.to_owned(),
            "out fan = RL2\n",
            "scripts/fan.script:1:14: expected ",
        ),
        (
            FLEET.to_owned(),
            "out fan = \u{1}\n",
            "scripts/fan.script:1:",
        ),
    ] {
        fs::write(files.join("fleet.toml"), &fleet).unwrap();
        fs::write(files.join("scripts/fan.script"), script).unwrap();
        for verb in ["plan", "apply"] {
            let (status, _, complaint) = told(&data, &["fleet", verb, path]).await;
            assert_eq!(status, 1, "{expected}");
            assert!(complaint.contains(expected), "{expected}: {complaint}");
        }
    }
    fs::write(files.join("scripts/fan.script"), b"# \n# \xFF\n").unwrap();
    let (_, _, complaint) = told(&data, &["fleet", "plan", path]).await;
    assert!(
        complaint.contains("scripts/fan.script:2: expected UTF-8"),
        "{complaint}"
    );
    fs::write(files.join("scripts/fan.script"), FAN).unwrap();
    fs::write(files.join("scripts/Fan.script"), FAN).unwrap();
    let (_, _, complaint) = told(&data, &["fleet", "plan", path]).await;
    assert!(
        complaint.contains("scripts/Fan.script: expected a name of 1 to 64"),
        "{complaint}"
    );
    fs::remove_file(files.join("fleet.toml")).unwrap();
    let (status, _, complaint) = told(&data, &["fleet", "drift", path]).await;
    assert!(
        status == 1 && complaint.contains("fleet.toml"),
        "{complaint}"
    );
    let digest = |dump: &str| dump.lines().last().map(str::to_owned);
    assert_eq!(
        digest(&done(&data, &["export"]).await),
        digest(&before),
        "nothing was changed"
    );
}

#[tokio::test]
async fn the_library_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    add_li(&data, "admin").await;
    let mut gateway = Running::start(&data).await;
    let token = gateway.log_in().await;
    let ask = async |method: &str, path: &str, body: Value, status: u16| {
        let response = call_at(gateway.http, &token, method, path, &body).await;
        assert_eq!(
            response.status, status,
            "{method} {path}: {}",
            response.body
        );
        match response.body.is_empty() {
            true => Value::Null,
            false => response.json(),
        }
    };
    let none = ask("GET", "/api/scripts", Value::Null, 200).await;
    assert_eq!(none, json!({"items": []}));
    let lamp = "/api/scripts/lamp";
    let first = json!({"source": LAMP, "note": "the first"});
    let added = ask("POST", lamp, first.clone(), 201).await;
    assert_eq!(added["version"], 1);
    assert_eq!(added["digest"], Digest::of(LAMP.as_bytes()).to_string());
    let boards = added["boards"].as_array().unwrap();
    let virtual_board = boards.iter().find(|it| it["board"] == "virtual").unwrap();
    assert!(virtual_board["scan_micros"].as_u64().unwrap() > 0);
    assert!(virtual_board["program_bytes"].as_u64().unwrap() > 0);
    ask("POST", lamp, first, 200).await;
    let second = json!({"source": LAMP.replace("DI1", "DI2"), "boards": ["virtual"]});
    assert_eq!(ask("POST", lamp, second, 201).await["version"], 2);
    let broken = json!({"source": "out lamp = RL1 safe off\nlamp := tonn(true, 1s)\n"});
    let refused = ask("POST", lamp, broken, 422).await;
    assert_eq!(refused["code"], "not_compiled");
    assert_eq!(
        (&refused["fault"]["line"], &refused["fault"]["column"]),
        (&json!(2), &json!(9))
    );
    for (body, status, code) in [
        (json!({"source": "#".repeat(8_193)}), 422, "bad_field"),
        (
            json!({"source": LAMP, "boards": ["toaster"]}),
            422,
            "bad_field",
        ),
        (json!({"source": LAMP, "note": "a\nb"}), 422, "bad_field"),
        (json!({"source": LAMP, "noted": ""}), 400, "bad_request"),
        (json!({}), 400, "bad_request"),
    ] {
        let refused = ask("POST", lamp, body, status).await;
        assert_eq!(refused["code"], code);
    }
    ask("POST", "/api/scripts/Lamp", json!({"source": LAMP}), 422).await;

    let list = ask("GET", "/api/scripts", Value::Null, 200).await;
    assert_eq!(list["items"][0]["version"], 2);
    assert_eq!(list["items"][0]["source"], Value::Null);
    let versions = ask("GET", "/api/scripts/lamp?limit=1", Value::Null, 200).await;
    assert_eq!(
        (&versions["items"][0]["version"], &versions["next"]),
        (&json!(2), &json!(2))
    );
    let rest = ask("GET", "/api/scripts/lamp?before=2", Value::Null, 200).await;
    assert_eq!(rest["items"][0]["note"], "the first");
    assert_eq!(rest["next"], Value::Null);
    let one = ask("GET", "/api/scripts/lamp/versions/1", Value::Null, 200).await;
    assert_eq!((&one["source"], &one["by"]), (&json!(LAMP), &json!("li")));
    let diff = ask("GET", "/api/scripts/lamp/diff", Value::Null, 200).await;
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let text = diff["diff"].as_str().unwrap();
    assert!(text.contains("-in door = DI1\n+in door = DI2\n"), "{text}");
    for missing in [
        "lamp/versions/3",
        "nobody",
        "nobody/versions/1",
        "lamp/diff?from=7",
    ] {
        let refused = ask("GET", &format!("/api/scripts/{missing}"), Value::Null, 404).await;
        assert_eq!(refused["code"], "not_found");
    }
    // By somebody who may not: `rights` has the table.
    let store = store(&data).await;
    let (role, name) = (switchyard_protocol::Role::Operator, title("li"));
    let rights = switchyard_relay::Rights::everywhere(role);
    assert!(store.set_rights(name.clone(), rights).await.unwrap());
    ask("GET", lamp, Value::Null, 200).await;
    for method in ["POST", "DELETE"] {
        let body = if method == "POST" {
            json!({"source": FAN})
        } else {
            Value::Null
        };
        assert_eq!(ask(method, lamp, body, 403).await["code"], "forbidden");
    }
    let admin = switchyard_relay::Rights::everywhere(switchyard_protocol::Role::Admin);
    assert!(store.set_rights(name, admin).await.unwrap());
    ask("DELETE", lamp, Value::Null, 204).await;
    ask("DELETE", lamp, Value::Null, 404).await;
    soon("the gateway's end", gateway.child.kill())
        .await
        .unwrap();
}

/// How long the largest roll-out takes to be stored, stored over itself, and read; run it by hand.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn the_largest_rollout_is_stored_in_time() {
    use std::{sync::Arc, time::Instant};
    use switchyard_gateway::{
        config::Secret,
        fleet::rollout::{CONTROLLERS_MAX, Release, Rollout, Terms},
        store::{ConfigStore, NewRollout},
    };
    let server = tokio::task::spawn_blocking(switchyard_testkit::services::MariaDb::start);
    let server = server.await.unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open_sqlite(&folder.path().join("config.db")).await;
    let database = Database::MySql(Secret(server.url(0)));
    let limit = Duration::from_secs(60);
    let mariadb = SqlConfigStore::open(&database, Sealer::new(&[7; 32]), 64, limit).await;
    let stores: [(&str, Box<dyn ConfigStore>); 2] = [
        ("SQLite", Box::new(sqlite)),
        ("MariaDB", Box::new(mariadb.unwrap())),
    ];
    for (name, store) in stores {
        let content = Content::script(LAMP).unwrap();
        let digest = store.put_content(content, now()).await.unwrap();
        let terms = Terms::new(Release {
            kind: ReleaseKind::Script,
            digest,
        });
        let all: Vec<_> = (1..=CONTROLLERS_MAX as u32).map(Address).collect();
        let mut rollout = Rollout::new(terms, &all, 0, now().0).unwrap();
        let changes = Arc::new(rollout.take_changes());
        let about = NewRollout {
            title: title("all"),
            by: title("li"),
            began: now(),
        };
        let start = Instant::now();
        let id = store
            .create_rollout(about, Arc::clone(&changes))
            .await
            .unwrap();
        let created = start.elapsed();
        let start = Instant::now();
        store.save_rollout(id, changes, None).await.unwrap();
        let saved = start.elapsed();
        let start = Instant::now();
        let mut after = None;
        while let Some(last) = store
            .rollout_entries(id, after, 2_000)
            .await
            .unwrap()
            .last()
        {
            after = Some(last.position());
        }
        let read = start.elapsed();
        let start = Instant::now();
        store.rollouts(true, None, 20).await.unwrap();
        let listed = start.elapsed();
        eprintln!(
            "{name}: created in {created:?}, saved in {saved:?}, read in {read:?}, listed in {listed:?}"
        );
    }
}
