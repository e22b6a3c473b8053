//! End-to-end tests over the real programs: processes, sockets, a browser, a terminal.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

mod alarm_console;
mod alarms;
mod backup;
mod batch;
mod bench;
mod board;
mod browser;
mod command;
mod failures;
mod firmware;
mod flash;
mod inside;
mod kept;
mod kills;
mod load;
mod lx106;
mod monitor;
mod provision;
mod refusals;
mod restart;
mod rights;
mod rollouts;
mod script;
mod slow;
mod tools;

use switchyard_testkit::{Programs, Yard, YardOptions};

/// A yard with short time-outs, so that what must time out does so soon.
fn yard(flags: &[&str]) -> Yard {
    let flags = flags.iter().map(ToString::to_string).collect();
    Yard::start(
        &Programs::find().unwrap(),
        YardOptions {
            flags,
            ..YardOptions::default()
        },
    )
    .unwrap()
}

/// The key of an enrolled controller as bytes.
fn key_of(controller: &switchyard_testkit::Controller) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&controller.key[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}
