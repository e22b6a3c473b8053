//! From the operator's command to the executed receipt and to the delta.

use crate::{fleet, yard};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use switchyard_e2e::{LATCH_RL1, Tool, value_in};
use switchyard_protocol::{
    Address, Kind,
    message::{Receipt, Request, Stage},
};

pub(crate) fn bench(controllers: usize, commands: usize) -> Result<()> {
    let yard = yard(false)?;
    let mut fleet = fleet(&yard, controllers, false)?;
    let mut tool = Tool::connect(&yard, "operator")?;
    tool.ask(Address::GATEWAY, &Request::Subscribe { controllers: None })?;

    let mut executed = Vec::with_capacity(commands);
    let mut seen = Vec::with_capacity(commands);
    for number in 0..commands {
        let address = fleet.controllers[number % controllers].address;
        // Each round over the fleet switches the other way, so that every command changes something.
        let value = i64::from((number / controllers).is_multiple_of(2));
        let start = Instant::now();
        let key = tool.set(address, "RL1", value, 10_000)?;
        let (mut done, mut told) = (None, None);
        while done.is_none() || told.is_none() {
            let frame = tool.receive()?;
            if frame.header().kind == Kind::Receipt {
                let receipt = Receipt::decode(frame.payload())?;
                if receipt.key == key && receipt.is_final {
                    ensure!(receipt.stage == Stage::Executed, "{receipt:?}");
                    done = Some(start.elapsed());
                }
            } else if value_in(&frame, address, LATCH_RL1) == Some(value) {
                told = Some(start.elapsed());
            }
        }
        executed.extend(done);
        seen.extend(told);
    }
    fleet.process.stop()?;

    println!("{controllers} controllers over Noise, {commands} commands one after the other");
    println!("{:<28} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
    let executed = Quantiles::of(executed);
    let seen = Quantiles::of(seen);
    executed.print("command to executed receipt");
    seen.print("command to status delta");
    println!(
        "{}",
        serde_json::json!({
            "bench": "round-trip", "controllers": controllers, "commands": commands,
            "executed_us": executed.json(), "delta_us": seen.json(),
        })
    );
    Ok(())
}

struct Quantiles {
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Quantiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Quantiles {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }

    fn print(&self, name: &str) {
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        println!(
            "{name:<28} {:>9} {:>9} {:>9}",
            ms(self.p50),
            ms(self.p99),
            ms(self.max)
        );
    }

    fn json(&self) -> serde_json::Value {
        let us = |time: Duration| time.as_micros() as u64;
        serde_json::json!({ "p50": us(self.p50), "p99": us(self.p99), "max": us(self.max) })
    }
}
