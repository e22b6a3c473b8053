//! Any bytes from the gateway: before the handshake, in place of its answer, within good records.
#![no_main]

#[path = "../../tests/controller/yard.rs"]
#[allow(dead_code, reason = "this target uses a part of it")]
mod yard;

use libfuzzer_sys::fuzz_target;
use switchyard_firmware::Behaviour;
use switchyard_fuzz::Choices;
use switchyard_protocol::{Address, Frame, Kind};
use yard::{ADDRESS, Yard, ms, settings};

const KINDS: [Kind; 10] = [
    Kind::Query,
    Kind::Command,
    Kind::Configure,
    Kind::Admin,
    Kind::Ping,
    Kind::Error,
    Kind::Hello,
    Kind::Handshake,
    Kind::Response,
    Kind::Receipt,
];
const BEHAVIOURS: [Behaviour; 4] = [
    Behaviour::Latch,
    Behaviour::Pulse,
    Behaviour::Follow,
    Behaviour::Ramp,
];

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let mode = choices.byte();
    let mut settings = settings(BEHAVIOURS[usize::from(mode >> 4) % BEHAVIOURS.len()]);
    settings.clear = mode & 1 != 0;
    // Half of them keep things: a log, scripts, firmware.
    let mut yard = if mode & 8 != 0 {
        Yard::with_flash(settings, ms(0))
    } else {
        Yard::new(settings, ms(0))
    };
    yard.split = usize::from(choices.byte()).max(1);
    yard.await_dial();
    match mode >> 1 & 3 {
        // Bytes in place of a greeting.
        0 => {
            yard.hello();
            yard.receive(choices.0);
        }
        // Bytes in place of records, or of frames.
        1 => {
            yard.greet(|_| {});
            yard.run(ms(10));
            yard.receive(choices.0);
        }
        // Frames of any payload, from the gateway or a tool.
        _ => {
            yard.greet(|_| {});
            yard.run(ms(10));
            while !choices.is_over() && yard.is_up() {
                let kind = KINDS[usize::from(choices.byte()) % KINDS.len()];
                let source = if choices.byte() & 1 == 0 {
                    Address::GATEWAY
                } else {
                    Address(0xC000_0001)
                };
                let length = usize::from(choices.byte()).min(choices.0.len());
                let (payload, rest) = choices.0.split_at(length);
                choices.0 = rest;
                yard.send(&Frame::new(kind, 7, source, ADDRESS, payload));
                yard.run(ms(10));
            }
        }
    }
    // It goes on, whatever that was.
    yard.run(ms(50));
    yard.frames.clear();
});
