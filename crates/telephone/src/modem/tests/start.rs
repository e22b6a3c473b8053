//! What a modem is found to be, and what keeps it from being of use.

use super::*;
use crate::modem::report::{Capabilities, KeyDetection};
use switchyard_testkit::modem::ModemKind;

fn found(kind: ModemKind) -> Capabilities {
    let world = World::ready(ModemOptions {
        kind,
        ..ModemOptions::default()
    });
    assert_eq!(world.state.signal_dbm, Some(-79));
    world.state.capabilities.unwrap()
}

#[test]
fn what_a_modem_can_is_asked() {
    let all = Capabilities {
        manufacturer: "SIMCOM_Ltd".into(),
        model: "SIMCOM_SIM800C".into(),
        texts: true,
        tells_texts: true,
        calls: true,
        keys: Some(KeyDetection::Ddet),
        speech: false,
        tones: true,
    };
    assert_eq!(found(ModemKind::Sim800), all);
    assert_eq!(
        found(ModemKind::Quectel),
        Capabilities {
            manufacturer: "Quectel".into(),
            model: "EC25".into(),
            keys: Some(KeyDetection::Qtonedet),
            speech: true,
            ..all.clone()
        }
    );
    assert_eq!(
        found(ModemKind::Bare),
        Capabilities {
            manufacturer: "Nobody".into(),
            model: "Bare".into(),
            keys: None,
            tones: false,
            ..all.clone()
        }
    );
    assert_eq!(
        found(ModemKind::DataStick),
        Capabilities {
            manufacturer: "huawei".into(),
            model: "E3131".into(),
            calls: false,
            keys: None,
            tones: false,
            ..all
        }
    );
}

#[test]
fn a_pin_is_entered_once_and_only_where_a_wrong_one_does_no_harm() {
    let locked = |tries, tells| ModemOptions {
        pin: Some("4711".into()),
        pin_tries: tries,
        tells_pin_tries: tells,
        ..ModemOptions::default()
    };
    for kind in [ModemKind::Sim800, ModemKind::Quectel, ModemKind::Bare] {
        for (options, pin, expected, entered) in [
            (locked(3, true), Some("4711"), Condition::Ready, 1),
            (locked(2, true), Some("4711"), Condition::Ready, 1),
            (locked(3, true), Some("1147"), Condition::PinRefused, 1),
            (locked(1, true), Some("4711"), Condition::PinTriesLow(1), 0),
            (locked(3, false), Some("4711"), Condition::PinTriesUntold, 0),
            (locked(0, true), Some("4711"), Condition::PukWanted, 0),
            (locked(3, true), None, Condition::PinWanted, 0),
        ] {
            let options = ModemOptions { kind, ..options };
            let mut world = World::with_pin(options, pin);
            world.until("the condition", |world| world.state.condition == expected);
            // However long that lasts, and however often it is looked at.
            world.pass(Duration::from_secs(600));
            assert_eq!(world.state.condition, expected);
            assert_eq!(world.commands("AT+CPIN="), entered, "{kind:?} {expected:?}");
        }
    }
}

#[test]
fn a_pin_that_was_refused_is_not_tried_again_when_the_modem_starts_anew() {
    let options = ModemOptions {
        pin: Some("4711".into()),
        ..ModemOptions::default()
    };
    let mut world = World::with_pin(options, Some("1147"));
    for _ in 0..3 {
        world.until("the refusal", |world| {
            world.state.condition == Condition::PinRefused
        });
        world.modem.restart(world.now);
        world.until("another start", |world| {
            world.state.condition == Condition::Starting
        });
    }
    world.until("the refusal", |world| {
        world.state.condition == Condition::PinRefused
    });
    assert_eq!(world.commands("AT+CPIN="), 1);
    assert!(world.machine.is_pin_spent());
    // The right one is entered at each start.
    let options = ModemOptions {
        pin: Some("4711".into()),
        ..ModemOptions::default()
    };
    let mut world = World::with_pin(options, Some("4711"));
    world.until("the SIM", |world| world.state.condition == Condition::Ready);
    world.modem.restart(world.now);
    world.until("another start", |world| {
        world.state.condition == Condition::Starting
    });
    world.until("the SIM", |world| world.state.condition == Condition::Ready);
    assert_eq!(world.commands("AT+CPIN="), 2);
}

#[test]
fn a_modem_without_sim_or_network_says_so_and_refuses() {
    let mut world = World::new(ModemOptions {
        has_sim: false,
        ..ModemOptions::default()
    });
    world.until("no SIM", |world| world.state.condition == Condition::NoSim);
    let text = world.text("12", "a");
    let call = world.call("12");
    assert_eq!(
        world.text_outcome(text),
        refused(TextFault::NotReady(Condition::NoSim))
    );
    assert_eq!(world.call_end(call), CallEnd::NotReady(Condition::NoSim));
    // It is put in.
    world.modem.change(|options| options.has_sim = true);
    world.until("the SIM", |world| world.state.condition == Condition::Ready);

    for (registration, condition, texts, calls) in [
        (0, Condition::NoNetwork, false, false),
        (2, Condition::NoNetwork, false, false),
        (3, Condition::NetworkRefuses, false, false),
        (5, Condition::Ready, true, true),
        (6, Condition::TextsOnly, true, false),
    ] {
        world.modem.set_registration(world.now, registration);
        // It is looked at when something is to be done, and not only now and then.
        let text = world.text("12", "a");
        let is_sent = matches!(world.text_outcome(text), TextEvent::Sent { .. });
        assert_eq!(is_sent, texts, "{registration}");
        assert_eq!(world.state.condition, condition);
        let call = world.call("12");
        world.pass(MOMENT * 20);
        let is_refused = world.call_end_within(call) == Some(CallEnd::NotReady(condition));
        assert_eq!(is_refused, !calls, "{registration}");
        world.machine.order(Order::HangUp { id: call });
        world.call_end(call);
    }
}

impl World {
    fn call_end_within(&self, id: JobId) -> Option<CallEnd> {
        match self.call_events(id).pop() {
            Some(CallEvent::Ended(end)) => Some(end),
            _ => None,
        }
    }
}

#[test]
fn busy_slow_noisy_and_talkative_modems_are_borne() {
    for options in [
        ModemOptions {
            busy_at_first: 5,
            ..ModemOptions::default()
        },
        ModemOptions {
            answer_delay: Duration::from_millis(300),
            ..ModemOptions::default()
        },
        ModemOptions {
            garbage: Some(b"\r\n\xff\xfe\0~~~\r\n\r\n".to_vec()),
            ..ModemOptions::default()
        },
        ModemOptions {
            tells_between: Some("+CREG: 1".into()),
            ..ModemOptions::default()
        },
        ModemOptions {
            tells_between: Some("+CMTI: \"SM\",1".into()),
            ..ModemOptions::default()
        },
    ] {
        let mut world = World::ready(options);
        world.modem.text_comes(world.now, "12", "it's me");
        let id = world.text("12", &"Pump house [3] ".repeat(20));
        assert_eq!(world.text_outcome(id), TextEvent::Sent { parts: 3 });
        assert_eq!(
            world.modem.sent_texts()[0].text,
            "Pump house [3] ".repeat(20)
        );
        world.until("the text", |world| world.received_texts() == ["it's me"]);
        let id = world.call("12");
        world.until("the answer", |world| {
            world.call_events(id).contains(&CallEvent::Answered)
        });
        world.machine.order(Order::HangUp { id });
        assert_eq!(world.call_end(id), CallEnd::HungUp);
    }
}

#[test]
fn a_modem_that_falls_silent_is_asked_anew_and_then_lost() {
    // Over something that it need not know: it cannot do that.
    let world = World::ready(ModemOptions {
        silent_at: Some("+DDET=1".into()),
        ..ModemOptions::default()
    });
    assert_eq!(world.state.capabilities.unwrap().keys, None);
    // Over something that there is no way around.
    let mut world = World::new(ModemOptions {
        silent_at: Some("+CPIN?".into()),
        ..ModemOptions::default()
    });
    while world.lost.is_none() {
        world.pass(Duration::from_secs(1));
        assert!(world.now < PATIENCE);
    }
    assert_eq!(world.lost, Some(Fault::Silent("AT+CPIN".into())));
    assert!(!world.machine.has_served());
    // Nobody is there.
    let mut machine = Machine::new(Duration::ZERO, None, false);
    machine.order(Order::Text {
        id: 1,
        to: "12".parse().unwrap(),
        text: "a".into(),
    });
    let mut now = Duration::ZERO;
    while machine.advance(now).is_ok() {
        now = machine.next_due().unwrap();
    }
    assert!(
        now > Duration::from_secs(5) && now < Duration::from_secs(60),
        "{now:?}"
    );
    machine.abandon(&TextFault::Closing, &CallEnd::Closing);
    let mut last = None;
    while let Some(event) = machine.next_event() {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Text(1, refused(TextFault::Closing))));
}

#[test]
fn a_restart_in_the_middle_is_noticed_and_what_waits_is_done_after_it() {
    let mut world = World::ready(ModemOptions::default());
    let call = world.call("12");
    world.until("the answer", |world| {
        world.call_events(call).contains(&CallEvent::Answered)
    });
    let text = world.text("12", "after that");
    world.modem.restart(world.now);
    assert_eq!(world.call_end(call), CallEnd::ModemLost);
    assert_eq!(world.text_outcome(text), TextEvent::Sent { parts: 1 });
    assert_eq!(world.state.condition, Condition::Ready);
}
