//! Whatever a modem says, the brain neither breaks nor runs in circles.

use super::*;
use proptest::prelude::*;

/// What modems say, and what they do not.
const LINES: [&str; 24] = [
    "OK",
    "ERROR",
    "+CME ERROR: 14",
    "+CMS ERROR: 38",
    "+CPIN: READY",
    "+CPIN: SIM PIN",
    "+CPIN: SIM PUK",
    "+CREG: 0,1",
    "+CREG: 2",
    "+CSQ: 17,99",
    "+CSQ: -1",
    "+CLCC: 1,0,0,0,0",
    "+CLCC: 1,0,3,0,0",
    "+CLCC: ,,,",
    "NO CARRIER",
    "BUSY",
    "RING",
    "+DTMF: 1",
    "+CMTI: \"SM\",1",
    "+CMGL: 1,1,,24",
    "07919471000000F0040B919471111111F10000621172210000000361F118",
    "+CPMS: \"SM\",3,3",
    "+QWTTS: 0",
    "RDY",
];

/// What comes next.
#[derive(Clone, Debug)]
enum Step {
    Line(usize),
    Bytes(Vec<u8>),
    Prompt,
    Wait(u64),
    Text,
    Call,
    HangUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // An answer that is an end lets it go on: most are.
        6 => Just(Step::Line(0)),
        6 => (0..LINES.len()).prop_map(Step::Line),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Bytes),
        1 => Just(Step::Prompt),
        1 => (1_u64..5_000).prop_map(Step::Wait),
        1 => Just(Step::Text),
        1 => Just(Step::Call),
        1 => Just(Step::HangUp),
    ]
}

/// How many orders were given, and how many ends of them were told.
fn begun_and_ended(world: &mut World, steps: Vec<Step>, is_answered: bool) -> (usize, usize) {
    let mut begun = 0;
    for step in steps {
        match step {
            Step::Line(index) => {
                let line = format!("\r\n{}\r\n", LINES[index]);
                world.machine.receive(line.as_bytes());
            }
            Step::Bytes(bytes) => world.machine.receive(&bytes),
            Step::Prompt => world.machine.receive(b"\r\n> "),
            Step::Wait(milliseconds) if is_answered => {
                world.pass(Duration::from_millis(milliseconds))
            }
            Step::Wait(milliseconds) => world.now += Duration::from_millis(milliseconds),
            Step::Text => begun = begun.max(world.text("12", &"a".repeat(200))),
            Step::Call => begun = begun.max(world.call_within("12", 20, 60)),
            Step::HangUp => world.machine.order(Order::HangUp { id: world.next_id }),
        }
        match is_answered {
            true => world.settle(),
            false => world.settle_unanswered(),
        }
        if world.lost.is_some() {
            break;
        }
    }
    world
        .machine
        .abandon(&TextFault::Closing, &CallEnd::Closing);
    world.take_events();
    let is_end = |event: &&Event| {
        matches!(
            event,
            Event::Text(_, TextEvent::Sent { .. } | TextEvent::Failed(_))
                | Event::Call(_, CallEvent::Ended(_))
        )
    };
    (begun as usize, world.events.iter().filter(is_end).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Nobody waits for ever, and nobody is told twice.
    #[test]
    fn a_modem_that_says_anything_is_borne(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new(ModemOptions::default());
        let (begun, ended) = begun_and_ended(&mut world, steps, false);
        prop_assert_eq!(begun, ended);
    }

    #[test]
    fn so_is_one_that_says_it_between_its_answers(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::ready(ModemOptions::default());
        let (begun, ended) = begun_and_ended(&mut world, steps, true);
        prop_assert_eq!(begun, ended);
    }
}
