//! Scripts are compiled in a child of the real program: what it tells, what it may not do, and that
//! nothing of it is left.

use crate::support::{PATIENCE, soon};
use std::{ffi::OsString, path::PathBuf, time::Duration};
use switchyard_gateway::{
    Digest,
    compiler::{Compiler, CompilerError, Kind, Level, Limits, SOURCE_BYTES_MAX, Type, Verdict},
};

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_switchyard-gateway").into()
}

/// Long enough for a machine that does other things as well.
const PATIENT: Limits = Limits {
    turn: PATIENCE,
    child: PATIENCE,
};

fn compiler() -> Compiler {
    Compiler::of_program(program(), Vec::new(), PATIENT)
}

const PUMP: &str = "\
in level = AI0
out pump = RL1 safe off
param most: num = 80 in 0..100
command fill(t: time in 1s..10m)
alarm HIGH \"the tank runs over\" when level > most
pump := tp(fill, fill.t)
";

#[tokio::test]
async fn a_script_is_told_of_by_what_it_declares() {
    let verdict = compiler().compile("virtual", PUMP).await.unwrap();
    let Verdict::Compiled { digest, summary } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(digest, Digest::of(PUMP.as_bytes()));
    assert!(summary.operations > 0 && summary.scan_micros > 0);
    assert!(summary.program_bytes > 0 && summary.program_bytes.is_multiple_of(4));
    let of = |name: &str| summary.names.iter().find(|known| known.name == name);
    assert_eq!(of("level").unwrap().kind, Kind::Input);
    assert_eq!(of("pump").unwrap().kind, Kind::Output);
    let most = of("most").unwrap();
    assert_eq!((most.kind, most.value_type), (Kind::Parameter, Type::Num));
    assert_eq!((most.min, most.max), (Some(0), Some(100_000)));
    let time = of("fill.t").unwrap();
    assert_eq!((time.kind, time.max), (Kind::Argument, Some(600_000)));
    let [alarm] = &*summary.alarms else {
        panic!("{:?}", summary.alarms);
    };
    assert_eq!((alarm.level, alarm.line), (Level::High, 5));
    assert_eq!(alarm.text, "the tank runs over");
}

#[tokio::test]
async fn an_error_is_told_by_its_place() {
    let source = "out lamp = RL1 safe off\nlamp := tonn(true, 1s)\n";
    let verdict = compiler().compile("virtual", source).await.unwrap();
    let Verdict::Refused(fault) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((fault.line, fault.column), (2, 9));
    assert_eq!(fault.found.as_deref(), Some("tonn"));
    assert!(!fault.expected.is_empty());

    let source = "out lamp = RL1 safe off\nout lamp = RL2 safe off\n";
    let verdict = compiler().compile("virtual", source).await.unwrap();
    let Verdict::Refused(fault) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((fault.line, fault.other_line), (2, Some(1)));
}

#[tokio::test]
async fn boards_and_lengths_are_judged_before_a_child_is_started() {
    // There is no such program, so any attempt to start it would say so.
    let nowhere = Compiler::of_program("/nowhere".into(), Vec::new(), PATIENT);
    let answer = nowhere.compile("toaster", PUMP).await.unwrap_err();
    let expected = "expected a board among ";
    assert!(answer.to_string().starts_with(expected), "{answer}");
    let long = "#".repeat(SOURCE_BYTES_MAX + 1);
    let answer = nowhere.compile("virtual", &long).await.unwrap_err();
    assert!(matches!(answer, CompilerError::TooLong { bytes: 8_193 }));
    let answer = nowhere.compile("virtual", PUMP).await.unwrap_err();
    assert!(matches!(answer, CompilerError::NotStarted(_)), "{answer}");

    let longest = "#".repeat(SOURCE_BYTES_MAX);
    let verdict = compiler().compile("sonoff-basic", &longest).await.unwrap();
    assert!(matches!(verdict, Verdict::Compiled { .. }), "{verdict:?}");
}

/// The language's bound is the firmware's, which refuses what is longer.
#[test]
fn the_bound_on_sources_is_the_firmware_s() {
    use switchyard_firmware::script::{Board, compile};
    let board = Board::of_virtual_controllers();
    assert!(compile(&"#".repeat(SOURCE_BYTES_MAX), &board).is_ok());
    assert!(compile(&"#".repeat(SOURCE_BYTES_MAX + 1), &board).is_err());
}

/// A child that does something else than to compile. Only debug builds have such.
#[cfg(debug_assertions)]
async fn misbehave(how: &str, limits: Limits) -> CompilerError {
    let arguments = ["--misbehave", how].map(OsString::from).into();
    let compiler = Compiler::of_program(program(), arguments, limits);
    let ending = compiler.compile("virtual", PUMP);
    let answer = tokio::time::timeout(limits.child + PATIENCE, ending).await;
    answer
        .expect("the child ends")
        .expect_err("it did not compile")
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_that_does_not_end_is_stopped_by_the_clock_and_by_its_cpu_time() {
    let hasty = Limits {
        child: Duration::from_millis(300),
        ..PATIENT
    };
    let answer = misbehave("spin", hasty).await;
    assert!(matches!(answer, CompilerError::TookTooLong), "{answer}");
    // It gives way to everybody: on a busy machine its second of the CPU takes minutes.
    let lasting = Limits {
        child: Duration::from_secs(240),
        ..PATIENT
    };
    let answer = misbehave("spin", lasting).await;
    assert!(matches!(answer, CompilerError::TookTooLong), "{answer}");
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_that_wants_memory_a_file_the_network_or_a_program_dies_of_it() {
    let answer = misbehave("allocate", PATIENT).await;
    assert!(matches!(answer, CompilerError::Failed { .. }), "{answer}");
    assert!(answer.to_string().contains("SIGABRT"), "{answer}");
    for how in ["open", "connect", "start"] {
        let answer = misbehave(how, PATIENT).await;
        assert!(
            matches!(answer, CompilerError::Forbidden),
            "{how}: {answer}"
        );
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn what_a_child_says_is_bounded_and_has_to_make_sense() {
    let answer = misbehave("flood", PATIENT).await;
    assert!(answer.to_string().contains("more than"), "{answer}");
    for how in ["vanish", "babble"] {
        let answer = misbehave(how, PATIENT).await.to_string();
        assert!(answer.contains("its report is none"), "{how}: {answer}");
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_has_nothing_of_its_parent_s() {
    use rustix::io::{FdFlags, fcntl_setfd};
    // As a service manager hands over a socket: open also behind `exec`.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    let CompilerError::Unconfined { why } = misbehave("inventory", PATIENT).await else {
        panic!("it tells what is open in place of why it is not confined");
    };
    assert_eq!(why, "0 1 2");
}

#[tokio::test]
async fn so_many_wait_and_no_more_and_whoever_goes_away_stops_nothing() {
    let compiler = compiler();
    let answers = (0..18).map(|_| compiler.compile("virtual", PUMP));
    let mut answers: Vec<_> = answers.map(Box::pin).collect();
    // Each of them has taken its place once it has been asked.
    for answer in &mut answers {
        tokio::select! {
            biased;
            _ = answer => {}
            () = std::future::ready(()) => {}
        }
    }
    let answer = compiler.compile("virtual", PUMP).await;
    assert!(matches!(answer, Err(CompilerError::Busy)), "{answer:?}");
    drop(answers);
    let verdict = soon("a turn", async {
        loop {
            match compiler.compile("virtual", PUMP).await {
                Err(CompilerError::Busy) => tokio::task::yield_now().await,
                other => break other,
            }
        }
    })
    .await;
    assert!(
        matches!(verdict, Ok(Verdict::Compiled { .. })),
        "{verdict:?}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_hundred_compilations_leave_no_child_and_no_descriptor() {
    let compiler = compiler();
    // The first makes what stays for all of them.
    compiler.compile("virtual", PUMP).await.unwrap();
    let before = descriptors();
    let started = std::time::Instant::now();
    for _ in 0..200 {
        let verdict = compiler.compile("virtual", PUMP).await.unwrap();
        assert!(matches!(verdict, Verdict::Compiled { .. }), "{verdict:?}");
    }
    println!("{:?} a compilation", started.elapsed() / 200);
    // Other tests of this process may have some, for a while.
    soon("all that is left to go", async {
        while zombies() > 0 || descriptors() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of this process that have ended and that nobody has asked about.
#[cfg(target_os = "linux")]
fn zombies() -> usize {
    let own = std::process::id().to_string();
    let is_zombie = |stat: &String| {
        let behind_name = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = behind_name.split(' ');
        fields.next() == Some("Z") && fields.next() == Some(&own)
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(is_zombie)
        .count()
}
