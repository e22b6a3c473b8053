//! Calls made, followed and ended.

use super::*;
use crate::modem::report::Said;
use switchyard_testkit::modem::{Callee, ModemKind, Reaction};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn called(kind: ModemKind, callee: Callee) -> World {
    World::ready(ModemOptions {
        kind,
        callees: vec![callee],
        ..ModemOptions::default()
    })
}

fn reacting(reaction: Reaction) -> Callee {
    Callee {
        reaction,
        ..Callee::default()
    }
}

#[test]
fn a_call_is_followed_to_its_answer_and_its_keys() {
    for kind in [ModemKind::Sim800, ModemKind::Quectel] {
        let mut world = called(
            kind,
            Callee {
                reaction: Reaction::Answers(seconds(5)),
                keys: vec![(seconds(2), '1'), (seconds(3), '#'), (seconds(4), '*')],
                hangs_up: Some(seconds(6)),
            },
        );
        let id = world.call("+49 171 111");
        assert_eq!(world.call_end(id), CallEnd::PeerHungUp);
        let expected = [
            CallEvent::Trying,
            CallEvent::Ringing,
            CallEvent::Answered,
            CallEvent::Key('1'),
            CallEvent::Key('#'),
            CallEvent::Key('*'),
            CallEvent::Ended(CallEnd::PeerHungUp),
        ];
        assert_eq!(world.call_events(id), expected, "{kind:?}");
        assert_eq!(world.modem.calls()[0].number, "+49171111");
    }
}

#[test]
fn calls_end_by_what_ended_them() {
    for (reaction, expected) in [
        (Reaction::Busy(seconds(2)), CallEnd::Busy),
        (Reaction::Unreachable(seconds(2)), CallEnd::Unreachable),
        (Reaction::NoAnswer(seconds(9)), CallEnd::NoAnswer),
        (Reaction::RingsOn, CallEnd::NoAnswer),
    ] {
        for dials_until_answered in [false, true] {
            let mut world = World::ready(ModemOptions {
                callees: vec![reacting(reaction), Callee::default()],
                dials_until_answered,
                ..ModemOptions::default()
            });
            let begun = world.now;
            let id = world.call_within("12", 20, 60);
            assert_eq!(world.call_end(id), expected, "{reaction:?}");
            assert!(world.now - begun < seconds(22), "{reaction:?}");
            assert!(!world.call_events(id).contains(&CallEvent::Answered));
            let is_hung_up = world.modem.calls()[0].is_hung_up;
            assert_eq!(is_hung_up, reaction == Reaction::RingsOn);
            // The line is free again.
            let id = world.call("12");
            world.until("an answer", |world| {
                world.call_events(id).contains(&CallEvent::Answered)
            });
        }
    }
}

#[test]
fn an_old_modem_that_answers_late_is_borne() {
    let mut world = World::ready(ModemOptions {
        dials_until_answered: true,
        callees: vec![reacting(Reaction::Answers(seconds(10)))],
        ..ModemOptions::default()
    });
    let id = world.call("12");
    world.until("an answer", |world| {
        world.call_events(id).contains(&CallEvent::Answered)
    });
    // Hanging up while it dials.
    world.machine.order(Order::HangUp { id });
    assert_eq!(world.call_end(id), CallEnd::HungUp);
    let id = world.call("12");
    world.until("dialling", |world| world.modem.calls().len() == 2);
    world.pass(seconds(1));
    world.machine.order(Order::HangUp { id });
    assert_eq!(world.call_end(id), CallEnd::HungUp);
    assert!(world.modem.calls()[1].is_hung_up);
    assert!(!world.modem.calls()[1].is_answered);
}

#[test]
fn no_call_is_longer_than_it_may_be() {
    let mut world = called(ModemKind::Sim800, Callee::default());
    let begun = world.now;
    let id = world.call_within("12", 20, 60);
    assert_eq!(world.call_end(id), CallEnd::TooLong);
    let took = world.now - begun;
    assert!(took > seconds(60) && took < seconds(63), "{took:?}");
    assert!(world.modem.calls()[0].is_hung_up);
}

#[test]
fn hanging_up_is_at_once() {
    let mut world = called(ModemKind::Sim800, reacting(Reaction::RingsOn));
    let id = world.call("12");
    world.until("ringing", |world| {
        world.call_events(id).contains(&CallEvent::Ringing)
    });
    let begun = world.now;
    world.machine.order(Order::HangUp { id });
    assert_eq!(world.call_end(id), CallEnd::HungUp);
    assert!(world.now - begun < Duration::from_millis(100));
    assert!(world.modem.calls()[0].is_hung_up);
}

#[test]
fn a_network_that_goes_takes_the_call_along() {
    let mut world = called(ModemKind::Sim800, Callee::default());
    let id = world.call("12");
    world.until("an answer", |world| {
        world.call_events(id).contains(&CallEvent::Answered)
    });
    world.modem.set_registration(world.now, 2);
    assert_eq!(world.call_end(id), CallEnd::NetworkLost);
    assert_eq!(world.state.condition, Condition::NoNetwork);
}

#[test]
fn a_modem_that_speaks_does_so_in_pieces() {
    let mut world = World::ready(ModemOptions {
        kind: ModemKind::Quectel,
        speaks_for: Duration::from_millis(80),
        ..ModemOptions::default()
    });
    let id = world.call("12");
    // Before anybody answers: to whoever does.
    let text = "Pump house: the level is low. 水位低。 ".repeat(8);
    world.say(id, &text);
    world.until("the end of speech", |world| {
        world
            .call_events(id)
            .contains(&CallEvent::Said(Said::InWords))
    });
    let spoken = world.modem.calls()[0].spoken.clone();
    assert!(spoken.len() > 1);
    assert_eq!(spoken.concat(), text);
    // A key breaks in: what is said next replaces what is being said.
    world.say(id, &text);
    world.pass(seconds(1));
    world.modem.press(world.now, '1');
    world.say(id, "Acknowledged.");
    let is_said = |event: &&CallEvent| **event == CallEvent::Said(Said::InWords);
    world.until("the answer to it", |world| {
        world.call_events(id).iter().filter(is_said).count() == 2
    });
    let events = world.call_events(id);
    assert_eq!(
        events[events.len() - 2..],
        [CallEvent::Key('1'), CallEvent::Said(Said::InWords)]
    );
    assert_eq!(
        world.modem.calls()[0].spoken.last().unwrap(),
        "Acknowledged."
    );
}

#[test]
fn one_that_does_not_speak_sends_tones_or_says_that_it_cannot() {
    for (kind, expected, tones) in [
        (ModemKind::Sim800, Said::ByTones, "DDD"),
        (ModemKind::Bare, Said::NotAtAll, ""),
    ] {
        let mut world = called(kind, Callee::default());
        let id = world.call("12");
        world.say(id, "Pump house");
        world.until("its end", |world| {
            world.call_events(id).contains(&CallEvent::Said(expected))
        });
        assert_eq!(world.modem.calls()[0].tones, tones);
    }
}

#[test]
fn speech_that_never_ends_is_not_waited_for() {
    let mut world = World::ready(ModemOptions {
        kind: ModemKind::Quectel,
        speaks_for: seconds(1_000),
        ..ModemOptions::default()
    });
    let id = world.call("12");
    world.say(id, "Pump house");
    world.until("its end", |world| {
        world
            .call_events(id)
            .contains(&CallEvent::Said(Said::InWords))
    });
}

#[test]
fn orders_to_the_network_are_not_dialled() {
    let mut world = World::ready(ModemOptions::default());
    for number in ["*21*123#", "#31#12", "*100#", "12#"] {
        let id = world.call(number);
        assert_eq!(world.call_end(id), CallEnd::NotANumber, "{number}");
    }
    assert_eq!(world.modem.calls(), []);
}

#[test]
fn a_stick_for_data_makes_no_calls() {
    let mut world = called(ModemKind::DataStick, Callee::default());
    let id = world.call("12");
    assert_eq!(world.call_end(id), CallEnd::Incapable);
    let id = world.text("12", "a");
    assert_eq!(world.text_outcome(id), TextEvent::Sent { parts: 1 });
}

#[test]
fn whoever_calls_is_turned_away() {
    let mut world = World::ready(ModemOptions::default());
    world.pass(seconds(1));
    world.modem.rings(world.now);
    world.until("it is quiet", |world| !world.modem.is_ringing());
    let id = world.call("12");
    world.until("an answer", |world| {
        world.call_events(id).contains(&CallEvent::Answered)
    });
}

#[test]
fn a_program_that_ends_hangs_up_first() {
    let mut world = called(ModemKind::Sim800, Callee::default());
    let call = world.call("12");
    world.until("an answer", |world| {
        world.call_events(call).contains(&CallEvent::Answered)
    });
    let text = world.text("12", "a");
    world.machine.order(Order::Stop);
    let late = world.text("12", "b");
    assert_eq!(world.call_end(call), CallEnd::HungUp);
    assert!(world.machine.is_idle() && world.modem.calls()[0].is_hung_up);
    for id in [text, late] {
        assert_eq!(world.text_outcome(id), refused(TextFault::Closing));
    }
}

#[test]
fn a_call_that_a_killed_program_left_behind_is_hung_up_first() {
    for kind in [ModemKind::Sim800, ModemKind::Quectel] {
        let mut world = called(kind, Callee::default());
        let left = world.call("12");
        world.until("an answer", |world| {
            world.call_events(left).contains(&CallEvent::Answered)
        });
        // Another program opens the modem, which still has the call.
        world.machine = Machine::new(world.now, None, false);
        world.machine.order(Order::Room(32));
        world.modem.change(|options| {
            options.callees = vec![reacting(Reaction::RingsOn)];
        });
        let id = world.call_within("13", 20, 60);
        assert_eq!(world.call_end(id), CallEnd::NoAnswer, "{kind:?}");
        assert!(!world.call_events(id).contains(&CallEvent::Answered));
        assert_eq!(world.modem.calls().len(), 2);
        assert!(world.modem.calls()[0].is_hung_up, "{kind:?}");
    }
}
