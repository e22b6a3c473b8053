//! The gateway is killed at every step of a call: nobody is called once more who has heard, and everybody else is,
//! once.

use crate::key_of;
use serde_json::Value;
use std::time::Duration;
use switchyard_e2e::{CallingYard, Device};
use switchyard_protocol::message::{AlarmLevel, Answer, Event, Text};
use switchyard_testkit::{
    callee::{Behaviour, Callee, CalleeOptions, KeyWay, Press, Taking, What, When},
    wait_until,
};

/// The moments at which it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The call has come to the telephone.
    Invited,
    /// It rings.
    Ringing,
    /// It was taken.
    Taken,
    /// Something is spoken.
    Spoken,
    /// The key that says so was pressed, and whoever counts it may have it or not.
    Pressed,
    /// It is kept that somebody has heard.
    Heard,
}

/// Presses 1 before all is said.
fn presses_one() -> Behaviour {
    Behaviour {
        presses: vec![Press {
            when: When::After(Duration::from_millis(1_500)),
            key: '1',
            way: KeyWay::Event,
        }],
        ..Behaviour::default()
    }
}

fn behaviour(moment: Moment) -> Behaviour {
    match moment {
        Moment::Invited => Behaviour {
            taking: Taking::NeverTakes,
            ring: Duration::from_secs(60),
            ..Behaviour::default()
        },
        Moment::Ringing => Behaviour::never_taken(),
        Moment::Taken | Moment::Spoken => Behaviour::default(),
        Moment::Pressed | Moment::Heard => presses_one(),
    }
}

fn raise(device: &mut Device, number: u32) {
    let event = Event::Alarm {
        number,
        time: None,
        level: AlarmLevel::High,
        text: Text::new("High water").unwrap(),
        raised: true,
        alarm: u8::try_from(number).unwrap(),
    };
    let answer = device.tell(number, &event).unwrap();
    assert!(matches!(answer, Answer::Ok(_)), "{answer:?}");
}

#[test]
fn killed_at_every_step_of_a_call_it_calls_once_more_whoever_has_not_heard() {
    let callee = Callee::start(CalleeOptions::default()).unwrap();
    let mut calling = CallingYard::start(&callee, "+4930123456").unwrap();
    let pump = calling.yard.enrol("Pump", 1).unwrap().remove(0);
    let key = key_of(&pump);
    let moments = [
        Moment::Invited,
        Moment::Ringing,
        Moment::Taken,
        Moment::Spoken,
        Moment::Pressed,
        Moment::Heard,
    ];
    for (number, moment) in (1_u32..).zip(moments) {
        let (calls, taken) = (callee.calls(), callee.count(&What::Acknowledged));
        let pressed = callee.count(&What::Pressed('1'));
        callee.behave_otherwise(behaviour(moment));
        let tcp = calling.yard.tcp().to_owned();
        let mut device = Device::live(&tcp, pump.address, &key, number).unwrap();
        raise(&mut device, number);
        callee.wait_for(&What::Invited, calls + 1).unwrap();
        match moment {
            Moment::Invited => {}
            Moment::Ringing => {
                wait_until("ringing", || {
                    let steps = callee.steps();
                    let rings = |it: &switchyard_testkit::callee::Step| {
                        it.call == calls + 1 && it.what == What::Rang
                    };
                    steps.iter().any(rings).then_some(())
                })
                .unwrap();
            }
            Moment::Taken => {
                callee.wait_for(&What::Acknowledged, taken + 1).unwrap();
            }
            Moment::Spoken => {
                wait_until("something spoken", || {
                    let spoken = callee.recording(calls + 1);
                    spoken.iter().any(|it| it.abs() > 1_000).then_some(())
                })
                .unwrap();
            }
            Moment::Pressed => {
                callee.wait_for(&What::Pressed('1'), pressed + 1).unwrap();
            }
            Moment::Heard => {
                wait_until("it to be kept", || {
                    let alarm = calling.latest().ok()??;
                    (alarm["state"] == "acknowledged").then_some(())
                })
                .unwrap();
            }
        }
        calling.yard.kill_gateway().unwrap();
        drop(device);
        callee.behave_otherwise(presses_one());
        calling.yard.start_gateway().unwrap();
        let alarm = wait_until("everything heard", || {
            let alarm = calling.latest().ok()??;
            (alarm["state"] == "acknowledged").then_some(alarm)
        })
        .unwrap();
        // The attempts of the alarm tell whether the key came to be kept before the end.
        let ended = wait_until("every attempt's end", || {
            let history = calling.history(&alarm["id"]).ok()?;
            let attempts = history["attempts"].as_array()?;
            let is_ended = attempts.iter().all(|it| it["outcome"] != Value::Null);
            is_ended.then(|| attempts.clone())
        })
        .unwrap();
        let was_heard = ended.len() == 1;
        match moment {
            Moment::Heard => assert!(was_heard, "{ended:?}"),
            // Either is right: the key was kept, or it was not.
            Moment::Pressed => {}
            _ => assert!(!was_heard, "{moment:?}: {ended:?}"),
        }
        assert!(ended.len() <= 2, "{moment:?}: {ended:?}");
        assert_eq!(callee.calls() - calls, ended.len(), "{moment:?}: {ended:?}");
        if !was_heard {
            // The latest comes first.
            assert_eq!(ended[1]["outcome"]["kind"], "interrupted", "{moment:?}");
            assert_eq!(ended[0]["outcome"]["kind"], "acknowledged", "{moment:?}");
        }
    }
}
