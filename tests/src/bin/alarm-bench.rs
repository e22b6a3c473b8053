//! Measures how long it takes from a point that crosses its limit on a virtual controller until a telephone rings.
//!
//! Run through `cargo xtask bench alarm`, which builds the programs with optimisation first.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use std::time::{Duration, Instant};
use switchyard_e2e::{CallingYard, LATCH_RL1, Tool, value_in};
use switchyard_protocol::{Address, message::Request};
use switchyard_testkit::{
    callee::{Behaviour, Callee, CalleeOptions, KeyWay, Press, What, When},
    wait_until,
};

#[derive(Parser)]
#[command(about = "Measures from a point past its limit to a telephone that rings")]
struct Cli {
    /// Rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

fn main() -> Result<()> {
    let rounds = Cli::parse().rounds.clamp(1, 50);
    let callee = Callee::start(CalleeOptions {
        behaviour: Behaviour {
            presses: vec![Press {
                when: When::After(Duration::from_millis(300)),
                key: '1',
                way: KeyWay::Event,
            }],
            ..Behaviour::default()
        },
        ..CalleeOptions::default()
    })?;
    let calling = CallingYard::start(&callee, "+4930123456")?;
    // Each is a controller of its own: one that comes and goes is not told each time.
    let pumps = calling.yard.enrol("Pump", rounds)?;
    let running: Result<Vec<_>> = pumps
        .iter()
        .map(|it| calling.yard.start_controller(it, &["--behaviour", "latch"]))
        .collect();
    let _running = running?;
    let rule = json!({
        "name": "pump", "text": "The pump runs", "severity": "high",
        "condition": { "kind": "above", "point": "RL1", "limit": 0, "clear": 0 },
    });
    calling.ask("POST", "/api/alarm-rules", &rule)?;
    let mut tool = Tool::connect(&calling.yard, "operator")?;
    tool.ask(Address::GATEWAY, &Request::Subscribe { controllers: None })?;
    let mut took = Vec::new();
    for (round, pump) in (1..).zip(&pumps) {
        tool.set(pump.address, "RL1", 1, 10_000)?;
        // Everybody is told of the status at the same time: the rule's judge no sooner than this tool.
        let crossed = tool.receive_until(|frame| {
            (value_in(frame, pump.address, LATCH_RL1) == Some(1)).then(Instant::now)
        })?;
        let rang = callee.wait_for(&What::Rang, round)?.at;
        took.push(rang.saturating_duration_since(crossed));
        wait_until("the call's end", || {
            let alarm = calling.latest().ok()??;
            let history = calling.history(&alarm["id"]).ok()?;
            (history["attempts"][0]["outcome"]["kind"] == "acknowledged").then_some(())
        })?;
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_millis();
    println!(
        "From the status past the limit to the telephone's ringing, ms, {} rounds:\n",
        took.len()
    );
    println!("| least | median | 90 % | most |\n|--:|--:|--:|--:|");
    println!("| {} | {} | {} | {} |", at(0), at(50), at(90), at(100));
    Ok(())
}
