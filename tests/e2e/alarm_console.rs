//! A telephone rings, a key is pressed, and the console shows it: through a whole gateway, with a telephone of our own.

use crate::key_of;
use std::time::Duration;
use switchyard_e2e::{CallingYard, Device};
use switchyard_protocol::message::{AlarmLevel, Answer, Event, Text};
use switchyard_testkit::{
    callee::{Behaviour, Callee, CalleeOptions, KeyWay, Press, When},
    wait_until,
};

const TELEPHONE: &str = "+4930123456";

/// Whether these stand in a text, one after the other.
fn stand_in_order(text: &str, wanted: &[&str]) -> bool {
    let mut rest = text;
    wanted.iter().all(|it| match rest.split_once(it) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn the_console_shows_who_was_called_and_which_key_they_pressed() {
    let callee = Callee::start(CalleeOptions::default()).unwrap();
    callee.behave_otherwise(Behaviour {
        presses: vec![Press {
            when: When::After(Duration::from_millis(1_500)),
            key: '1',
            way: KeyWay::Event,
        }],
        ..Behaviour::default()
    });
    let calling = CallingYard::start(&callee, TELEPHONE).unwrap();
    let console = calling.yard.console("admin").unwrap();
    let called = format!("Li: call by SIP at {TELEPHONE}");
    let steps = [
        &called,
        "Li: rings",
        "Li: answered",
        "Li: pressed 1",
        "acknowledged by Li, by telephone",
    ];
    // "Call me now", followed while it rings.
    let test = ["contacts", "test", "li", "--by", "call"];
    let (code, said, wrong) = console.run(&test).unwrap();
    assert_eq!(code, 0, "{said}{wrong}");
    assert!(stand_in_order(&said, &steps), "{said}");

    let pump = calling.yard.enrol("Pump", 1).unwrap().remove(0);
    let tcp = calling.yard.tcp().to_owned();
    let mut device = Device::live(&tcp, pump.address, &key_of(&pump), 1).unwrap();
    let event = Event::Alarm {
        number: 1,
        time: None,
        level: AlarmLevel::High,
        text: Text::new("High water").unwrap(),
        raised: true,
        alarm: 1,
    };
    let answer = device.tell(1, &event).unwrap();
    assert!(matches!(answer, Answer::Ok(_)), "{answer:?}");
    let alarm = wait_until("it to be acknowledged", || {
        let alarms = console.json(&["alarms"]).ok()?;
        let mut heard = alarms
            .into_iter()
            .filter(|it| it["source"]["kind"] == "script" && it["acknowledged"]["by"] == "Li");
        heard.next()
    })
    .unwrap();
    let id = alarm["id"].to_string();
    let shown = wait_until("the end of the call", || {
        let (code, said, wrong) = console.run(&["alarms", "show", &id]).ok()?;
        assert_eq!(code, 0, "{wrong}");
        said.contains("Li: pressed 1").then_some(said)
    })
    .unwrap();
    assert!(shown.starts_with("High water\n"), "{shown}");
    assert!(
        shown.contains(&format!("No. {} Pump", pump.address)),
        "{shown}"
    );
    assert!(stand_in_order(&shown, &steps), "{shown}");
    let (_, open, _) = console.run(&["alarms"]).unwrap();
    assert!(open.starts_with("△ high    acknowledged"), "{open}");
}
