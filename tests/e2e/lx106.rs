//! A controller on the chip's instruction set: the real handshake, a command, and the end of its link.

use crate::yard;
use std::{
    net::TcpStream,
    os::fd::OwnedFd,
    process::{Child, Stdio},
};
use switchyard_e2e::{LATCH_RL1, Tool, value_in};
use switchyard_protocol::{
    Address,
    message::{Answer, Request, Stage},
};
use switchyard_testkit::{Controller, LX106_CONTROLLER, Yard, lx106_command, wait_until};

/// QEMU, ended with its test.
struct Chip(Child);

impl Chip {
    /// Dials, and gives the connection to the image as its standard input and output, which it takes for
    /// its link.
    fn start(yard: &Yard, controller: &Controller) -> Chip {
        let image = yard.programs().path(LX106_CONTROLLER).unwrap();
        let stream = TcpStream::connect(yard.tcp()).unwrap();
        stream.set_nodelay(true).unwrap();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../firmware/scripts/latch.script"
        );
        let words = [
            format!("address={}", controller.address),
            format!("key={}", controller.key),
            format!("script={script}"),
        ];
        let child = lx106_command(&image, &words.each_ref().map(String::as_str))
            .stdin(Stdio::from(OwnedFd::from(stream.try_clone().unwrap())))
            .stdout(Stdio::from(OwnedFd::from(stream)))
            .spawn()
            .unwrap();
        Chip(child)
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_chips_instructions_join_the_yard_and_take_commands() {
    let mut yard = yard(&[]);
    let controller = yard.enrol("LX106", 1).unwrap().remove(0);
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    let answer = tool.ask(Address::GATEWAY, &Request::Subscribe { controllers: None });
    assert!(matches!(answer.unwrap(), Answer::Ok(_)));

    let mut chip = Chip::start(&yard, &controller);
    let first = tool.receive_until(|frame| value_in(frame, controller.address, LATCH_RL1));
    assert_eq!(first.unwrap(), 0);
    for value in [1, 0, 1] {
        let mut seen = None;
        let key = tool.set(controller.address, "RL1", value, 10_000).unwrap();
        let receipts = tool.receipts(key, |frame| {
            seen = value_in(frame, controller.address, LATCH_RL1).or(seen);
        });
        let receipts = receipts.unwrap();
        let stages: Vec<_> = receipts.iter().map(|receipt| receipt.stage).collect();
        let expected = [Stage::Sent, Stage::Delivered, Stage::Executed];
        assert_eq!(stages, expected, "{receipts:?}");
        if seen != Some(value) {
            let found = tool.receive_until(|frame| {
                value_in(frame, controller.address, LATCH_RL1).filter(|found| *found == value)
            });
            assert_eq!(found.unwrap(), value);
        }
    }

    // It notices the end of its link, and ends in good order.
    yard.gateway().unwrap().kill().unwrap();
    let status = wait_until("the controller's end", || chip.0.try_wait().unwrap()).unwrap();
    assert_eq!(status.code(), Some(0));
}
