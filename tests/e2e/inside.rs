//! What is inside a controller, through a real gateway and console: a script in pieces, pages, and
//! alarms that come once.

use crate::{key_of, yard};
use bytes::Bytes;
use std::{fs, thread};
use switchyard_e2e::{Device, Keeper, Tool};
use switchyard_protocol::{
    Address,
    message::{AlarmLevel, Answer, Body, Content, Event, Request, Text, Verb},
};
use switchyard_testkit::Program;

#[test]
fn a_script_goes_over_in_pieces_and_on_after_a_cut() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    let console = yard.console("technician").unwrap();
    let number = controller.address.to_string();
    let (tcp, address, key) = (
        yard.tcp().to_owned(),
        controller.address,
        key_of(&controller),
    );
    let live = move |boot| Device::live(&tcp, address, &key, boot).unwrap();
    let mut device = live(1);
    let script: String = (0..300).map(|it| format!("# line {it}\n")).collect();
    let file = yard.folder().join("tank.script");
    fs::write(&file, &script).unwrap();
    let path = file.to_str().unwrap().to_owned();

    // Another tool begins, and the link is cut after two pieces: what was written stays.
    let cut = thread::spawn(move || {
        let mut keeper = Keeper::default();
        while keeper.serve(&mut device, 2).unwrap() {}
        keeper
    });
    let mut tool = Tool::connect(&yard, "technician").unwrap();
    let (content, size) = (Content::Script, script.len() as u32);
    let digest = Keeper::digest_of(script.as_bytes());
    let open = Request::TransferOpen {
        content,
        size,
        digest,
    };
    let mut offset = 0;
    let to = Address(address);
    assert_eq!(
        tool.ask(to, &open).unwrap(),
        Answer::Ok(Body::TransferOpen { offset })
    );
    for piece in script.as_bytes().chunks(896).take(2) {
        let bytes = Bytes::copy_from_slice(piece);
        let write = Request::TransferWrite { offset, bytes };
        offset += 896;
        assert_eq!(
            tool.ask(to, &write).unwrap(),
            Answer::Ok(Body::TransferWrite { offset })
        );
    }
    let mut keeper = cut.join().unwrap();
    assert_eq!(keeper.offsets, [0, 896]);

    let mut device = live(2);
    let whole = thread::spawn(move || {
        while keeper.serve(&mut device, usize::MAX).unwrap() {}
        (keeper, device)
    });
    let put = ["script", "put", &number, &path, "--keep"];
    let told = console.json(&put).unwrap();
    assert_eq!(told[0]["bytes"], script.len());
    let (mut keeper, mut device) = whole.join().unwrap();
    assert_eq!(keeper.offsets[2], 2 * 896, "it went on where it was");
    assert_eq!(keeper.script, script.as_bytes());

    // One that does not compile is shown in its place, and the one before stays.
    fs::write(&file, "# a line\n  nonsense\n").unwrap();
    let refusing = thread::spawn(move || {
        while keeper.serve(&mut device, usize::MAX).unwrap() {}
        (keeper, device)
    });
    let (code, _, said) = console.run(&["script", "put", &number, &path]).unwrap();
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("tank.script:2:3: expected a statement"),
        "{said}"
    );
    assert!(said.contains("\n 2 |   nonsense\n   |   ^"), "{said}");
    let (mut keeper, mut device) = refusing.join().unwrap();

    let reading = thread::spawn(move || while keeper.serve(&mut device, usize::MAX).is_ok() {});
    let told = console.json(&["script", "get", &number]).unwrap();
    assert_eq!(told[0]["script"], script.as_str());
    // An answer of several pages is one answer.
    let parameters = console.json(&["params", &number]).unwrap();
    assert_eq!(parameters.len(), 128);
    assert_eq!(parameters[127]["name"], "p127");
    drop(yard);
    reading.join().unwrap();
}

fn alarm(number: u32) -> Event {
    Event::Alarm {
        number,
        time: None,
        level: AlarmLevel::High,
        text: Text::new("level too high").unwrap(),
        raised: true,
        alarm: 0,
    }
}

fn taken(last: u32) -> Answer {
    let verb = Verb::Alarm;
    Answer::Ok(Body::Taken { verb, last })
}

#[test]
fn an_alarm_comes_once_whatever_happens_to_the_gateway() {
    let mut yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    let console = yard.console("viewer").unwrap();
    let number = controller.address.to_string();
    let (address, key) = (controller.address, key_of(&controller));
    let mut device = Device::live(yard.tcp(), address, &key, 1).unwrap();
    let mut watch =
        Program::start("watch", &mut console.command(&["watch", &number, "--json"])).unwrap();
    let next = |line: &str| -> Option<u64> {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == "alarm").then(|| event["number"].as_u64())?
    };
    let is_there = |line: &str| line.contains("\"controller\"").then_some(());
    watch.wait_for_line("the controller", is_there).unwrap();
    assert_eq!(device.tell(5, &alarm(1)).unwrap(), taken(1));
    assert_eq!(device.tell(6, &alarm(1)).unwrap(), taken(1));
    assert_eq!(watch.wait_for_line("the first", next).unwrap(), 1);

    watch.forget_lines();
    yard.kill_gateway().unwrap();
    yard.start_gateway().unwrap();
    // The watcher first, so that it hears whatever comes.
    let is_back = |line: &str| line.contains("\"online\":false").then_some(());
    watch
        .wait_for_line("the snapshot of the new one", is_back)
        .unwrap();
    let mut device = Device::live(yard.tcp(), address, &key, 1).unwrap();
    assert_eq!(
        device.tell(5, &alarm(1)).unwrap(),
        taken(1),
        "its answer was lost"
    );
    assert_eq!(device.tell(6, &alarm(2)).unwrap(), taken(2));
    assert_eq!(
        watch.wait_for_line("the second", next).unwrap(),
        2,
        "and not the first again"
    );
    let log = yard.gateway().unwrap().log();
    assert_eq!(log.matches("level too high").count(), 1, "{log}");
}
