//! A fleet's files, plans between fleets, and how they read.

use super::*;
use crate::compiler::SOURCE_BYTES_MAX;
use proptest::prelude::*;

const FILE: &str = r#"
[sites.river]
title = "Pumping stations"

[controllers.100042]
title = "Pump house"
site = "river"
tags = ["pumps", "new-boards"]
script = "tank"
parameters = { most = 80.5, stay = "1m30s", tries = 3, quiet = true }

[controllers.7]
tags = []
"#;

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

fn scripts() -> BTreeMap<Label, String> {
    [(
        label("tank"),
        "# A tank.\nout pump = RL1 safe off\n".to_owned(),
    )]
    .into()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn a_file_says_what_it_says() {
    let fleet = Fleet::parse(FILE, scripts()).unwrap();
    let house = &fleet.controllers[&Address(100_042)];
    assert_eq!(house.title.as_ref().unwrap().as_str(), "Pump house");
    assert_eq!(house.site, Some(label("river")));
    assert_eq!(house.parameters[&name("most")], Value::Num(80_500));
    assert_eq!(house.parameters[&name("stay")], Value::Time(90_000));
    assert_eq!(house.parameters[&name("tries")], Value::Int(3));
    assert_eq!(house.parameters[&name("quiet")], Value::Bool(true));
    let other = &fleet.controllers[&Address(7)];
    assert_eq!(other.tags, Some(BTreeSet::new()));
    assert_eq!((&other.title, &other.site), (&None, &None));
    assert_eq!(Fleet::parse(&fleet.to_toml(), scripts()), Ok(fleet));
}

#[test]
fn errors_tell_the_line_and_what_was_expected() {
    for (from, to, line, expected) in [
        ("100042]", "0]", 5, "expected a controller's number"),
        ("100042]", "0100042]", 5, "expected a controller's number"),
        (
            "100042]",
            "2147483648]",
            5,
            "expected a controller's number",
        ),
        (
            "site = \"river\"",
            "site = \"sea\"",
            7,
            "expected a site of this file",
        ),
        (
            "\"tank\"",
            "\"tonk\"",
            9,
            "expected a script beside this file",
        ),
        ("\"tank\"", "\"../tank\"", 9, "expected a name of 1 to 64"),
        (
            "\"pumps\"",
            "\"pumps \"",
            8,
            "expected a text without white space around it",
        ),
        (
            "\"Pumping stations\"",
            "\" Pumping stations\"",
            3,
            "expected a text without white space around it",
        ),
        (
            "most = 80.5",
            "most = 80.5001",
            10,
            "expected true or false",
        ),
        ("\"1m30s\"", "\"30s1m\"", 10, "expected true or false"),
        ("\"1m30s\"", "\"25d\"", 10, "expected true or false"),
        (
            "tries = 3",
            "tries = 3000000000",
            10,
            "expected true or false",
        ),
        ("tries = 3", "tries = []", 10, "got array"),
        ("title = \"Pump house\"", "title = \"\"", 6, ""),
        (
            "title = \"Pump house\"",
            "key = \"00ff\"",
            6,
            "unknown field `key`",
        ),
        ("title = \"Pump house\"", "title = ", 6, ""),
    ] {
        let text = FILE.replace(from, to);
        assert_ne!(text, FILE, "{from}");
        let error = Fleet::parse(&text, scripts()).unwrap_err();
        let FilesError::At { line: at, message } = &error else {
            panic!("{error}");
        };
        assert!(message.contains(expected), "{to}: {error}");
        assert_eq!(*at, line, "{to}: {error}");
    }
    let tags: Vec<_> = (0..33).map(|number| format!("\"t{number}\"")).collect();
    let text = FILE.replace("tags = []", &format!("tags = [{}]", tags.join(",")));
    let error = Fleet::parse(&text, scripts()).unwrap_err().to_string();
    assert!(
        error.contains("expected at most 32 tags, got 33"),
        "{error}"
    );
    let long = [(label("tank"), "#".repeat(SOURCE_BYTES_MAX + 1))].into();
    let error = Fleet::parse("", long).unwrap_err().to_string();
    assert_eq!(
        error,
        "expected a script of at most 8192 bytes, got 8193 in tank"
    );
}

#[test]
fn a_report_reads_like_a_diff() {
    let desired = Fleet::parse(FILE, scripts()).unwrap();
    let found = ActualController {
        title: Title::new("Pump 1").unwrap(),
        site: None,
        tags: [title("old boards"), title("pumps")].into(),
        running: Running::Script(Digest([0xab; 32])),
        parameters: [
            (name("most"), Value::Num(80_000)),
            (name("tries"), Value::Int(3)),
        ]
        .into(),
    };
    let actual = Actual {
        scripts: [(label("tank"), "# A tank.\nout pump = RL2 safe off\n".into())].into(),
        controllers: [(Address(100_042), found)].into(),
        ..Actual::default()
    };
    let digest = Digest::of(desired.scripts[&label("tank")].as_bytes()).to_string();
    let expected = format!(
        "\
+ site river: \"Pumping stations\"
~ script tank
--- tank (library)
+++ tank (files)
@@ -1,2 +1,2 @@
 # A tank.
-out pump = RL2 safe off
+out pump = RL1 safe off
! controller 7: expected one that is enrolled
~ controller 100042: title \"Pump 1\" -> \"Pump house\"
~ controller 100042: site none -> river
~ controller 100042: tags -\"old boards\" +\"new-boards\"
~ controller 100042: script abababababab -> tank {}
~ controller 100042: parameter most 80.0 -> 80.5
? controller 100042: parameter quiet not known -> true
? controller 100042: parameter stay not known -> \"1m30s\"
to change: 7; not known: 2; cannot be applied: 1
",
        &digest[..12]
    );
    let changes = plan(&desired, &actual);
    assert_eq!(Report(&changes).to_string(), expected);
    assert_eq!(Report(&[]).to_string(), "the fleet is as the files say\n");
}

#[test]
fn what_is_not_known_is_said_and_what_is_not_there_cannot_be() {
    let site = |site: &str, from: Option<&str>| Change::Site {
        site: label(site),
        from: from.map(title),
        to: title("River"),
    };
    assert!(!site("site-7", None).is_applicable());
    assert!(site("site-7", Some("Stream")).is_applicable());
    // No number is written so.
    assert!(site("site-07", None).is_applicable() && site("site-0", None).is_applicable());
    let runs = |from| Change::Script {
        controller: Address(7),
        from,
        script: label("tank"),
        to: Digest([0xab; 32]),
    };
    let changes = [
        site("site-7", None),
        runs(Running::Unknown),
        runs(Running::Nothing),
    ];
    assert_eq!(
        Report(&changes).to_string(),
        "\
! site site-7: expected one that there is: the gateway gives sites their numbers
? controller 7: script not known -> tank abababababab
~ controller 7: script none -> tank abababababab
to change: 1; not known: 1; cannot be applied: 1
"
    );
}

fn at(actual: &mut Actual, controller: Address) -> &mut ActualController {
    actual.controllers.get_mut(&controller).unwrap()
}

/// What applying a change comes to.
fn apply(actual: &mut Actual, change: Change) {
    match change {
        Change::Site { site, to, .. } => drop(actual.sites.insert(site, to)),
        Change::Library { script, to, .. } => drop(actual.scripts.insert(script, to)),
        Change::NotEnrolled { controller } => {
            let enrolled = ActualController {
                title: Title::new("new").unwrap(),
                site: None,
                tags: BTreeSet::new(),
                running: Running::Unknown,
                parameters: BTreeMap::new(),
            };
            actual.controllers.insert(controller, enrolled);
        }
        Change::Title { controller, to, .. } => at(actual, controller).title = to,
        Change::Belongs { controller, to, .. } => at(actual, controller).site = Some(to),
        Change::Tags { controller, to, .. } => at(actual, controller).tags = to,
        Change::Script { controller, to, .. } => {
            at(actual, controller).running = Running::Script(to);
        }
        Change::Parameter {
            controller,
            name,
            to,
            ..
        } => drop(at(actual, controller).parameters.insert(name, to)),
    }
}

fn labels() -> impl Strategy<Value = Label> {
    "[a-c]".prop_map(|text| label(&text))
}

fn titles() -> impl Strategy<Value = Title> {
    "[A-D\\\\\"é]{1,2}".prop_map(|text| Title::new(&text).unwrap())
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int),
        (-i32::MAX..=i32::MAX).prop_map(Value::Num),
        any::<i32>().prop_map(Value::Time),
    ]
}

prop_compose! {
    fn controllers(sites: Vec<Label>, scripts: Vec<Label>)(
        title in proptest::option::of(titles()),
        site in proptest::option::of(proptest::sample::select(sites)),
        tags in proptest::option::of(proptest::collection::btree_set(titles(), 0..3)),
        script in proptest::option::of(proptest::sample::select(scripts)),
        parameters in proptest::collection::btree_map("[x-z]".prop_map(|text| name(&text)), values(), 0..3),
    ) -> Controller {
        Controller { title, site, tags, script, parameters }
    }
}

fn fleets() -> impl Strategy<Value = Fleet> {
    let sites = proptest::collection::btree_map(labels(), titles(), 1..3);
    let scripts = proptest::collection::btree_map(labels(), "[a\n]{0,6}", 1..3);
    (sites, scripts).prop_flat_map(|(sites, scripts)| {
        let controller = controllers(
            sites.keys().cloned().collect(),
            scripts.keys().cloned().collect(),
        );
        proptest::collection::btree_map((1_u32..5).prop_map(Address), controller, 0..4).prop_map(
            move |controllers| Fleet {
                sites: sites.clone(),
                scripts: scripts.clone(),
                controllers,
            },
        )
    })
}

proptest! {
    /// What is written is read as the same.
    #[test]
    fn files_keep_what_they_are_given(fleet in fleets()) {
        let text = fleet.to_toml();
        let read = Fleet::parse(&text, fleet.scripts.clone());
        prop_assert_eq!(read, Ok(fleet), "{}", text);
    }

    /// From any fleet to any other; then there is nothing to do, and the first plan is the same whenever
    /// it is made.
    #[test]
    fn a_plan_that_was_applied_leaves_nothing_to_do(first in fleets(), second in fleets()) {
        let mut actual = Actual::default();
        for desired in [first, second] {
            let changes = plan(&desired, &actual);
            prop_assert_eq!(&changes, &plan(&desired, &actual));
            for change in changes {
                apply(&mut actual, change);
            }
            // What has just been enrolled has the rest still to come.
            for change in plan(&desired, &actual) {
                prop_assert!(change.is_applicable());
                apply(&mut actual, change);
            }
            prop_assert_eq!(plan(&desired, &actual), vec![]);
        }
    }

    /// Whatever is read: an error or a fleet.
    #[test]
    fn nothing_that_is_read_breaks_it(text in "[\\[\\]a-c0-9.=\"{}\n ]{0,60}") {
        let _ = Fleet::parse(&text, BTreeMap::new());
    }
}
