//! Any text to the compiler; and what compiles runs, behind a gateway that reads all it is told.
//!
//! The text ends at the first zero byte, what is behind it chooses what the world does.
#![no_main]

#[path = "../../tests/controller/yard.rs"]
#[allow(dead_code, reason = "this target uses a part of it")]
mod yard;

use libfuzzer_sys::fuzz_target;
use switchyard_firmware::{Channel, Script};
use switchyard_fuzz::Choices;
use switchyard_protocol::message::{Answer, Body, Request};
use yard::{Yard, call, key, ms, settings_of};

/// Scans of one life.
const SCANS: u32 = 64;

fuzz_target!(|data: &[u8]| {
    let end = data
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(data.len());
    let source = String::from_utf8_lossy(&data[..end]);
    let script = match Script::new("fuzz", &source) {
        Ok(script) => script,
        Err(error) => {
            // It points into the text, or just behind it.
            let lines = source.lines().count() + 1;
            assert!(usize::from(error.line) <= lines && !error.expected.is_empty());
            return;
        }
    };
    let mut choices = Choices(data.get(end + 1..).unwrap_or_default());
    let mut settings = settings_of(script);
    settings.clear = true;
    settings.zone = Some("CET-1CEST,M3.5.0,M10.5.0/3".to_owned());
    let mut yard = Yard::live_with(settings);
    let commands = match yard.query(&Request::Describe) {
        Answer::Ok(Body::Describe { commands, .. }) => commands,
        other => panic!("{other:?}"),
    };
    for scan in 0..SCANS {
        if scan > 3 && choices.is_over() {
            break;
        }
        match choices.byte() {
            0..=63 => {
                let channel = Channel::ALL[usize::from(choices.byte()) % Channel::ALL.len()];
                let value = choices.number();
                let is_digital = !matches!(channel, Channel::Ai0 | Channel::Ao1);
                let value = if is_digital { value & 1 } else { value };
                yard.controller.set_input(channel, value);
            }
            64..=95 if !commands.is_empty() => {
                let signature = &commands[usize::from(choices.byte()) % commands.len()];
                let name = signature.as_str().split('(').next().unwrap_or_default();
                let count = signature.as_str().matches(':').count();
                let arguments: Vec<i64> = (0..count).map(|_| choices.number().into()).collect();
                yard.command(key(scan), call(name, &arguments));
            }
            96..=111 => yard.jump(ms(u64::from(choices.number().unsigned_abs() % 100_000))),
            _ => {}
        }
        yard.run(ms(10));
        for channel in [Channel::Rl1, Channel::Rl2, Channel::Rl3, Channel::Rl4] {
            assert!(matches!(yard.controller.output(channel), 0 | 1));
        }
        // Whatever it says can be read.
        yard.deltas();
        yard.fulls();
        yard.frames.clear();
    }
});
