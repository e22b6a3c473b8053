//! `cargo xtask bench`: the figures of `docs/performance.md`.

use crate::{
    firmware,
    run::{cargo, run, target_folder},
    setup::{self, BUILD, PAGE, PROGRAMS},
    test,
};
use anyhow::Result;
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::Command};

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// From an operator's command to its receipt and to the delta; p50 and p99.
    RoundTrip {
        /// Controllers on line.
        #[arg(long, default_value = "100")]
        controllers: String,
        /// Commands to send.
        #[arg(long, default_value = "5000")]
        commands: String,
    },
    /// The gateway's memory for each idle controller.
    IdleMemory {
        /// Controllers on line.
        #[arg(long, default_value = "2000")]
        controllers: String,
    },
    /// Instructions of a script's scan on the chip's instruction set, beside Lua's; docs/firmware.md.
    Script,
    /// Writing a board over serial, beside esptool: on the virtual board, which runs in real time.
    Flash {
        /// Rounds, of which the quickest counts.
        #[arg(long, default_value = "3")]
        rounds: String,
    },
    /// From a point past its limit to a telephone that rings; docs/performance.md.
    Alarm {
        /// Rounds, each a controller of its own.
        #[arg(long, default_value = "20")]
        rounds: String,
    },
    /// The gateway beside its peers: messages for each second of the server's CPU, latency, memory.
    #[command(disable_help_flag = true)]
    Relay(BesidePeers),
    /// What a message costs with ten connections and with 19,000.
    #[command(disable_help_flag = true)]
    RelayGrowth(BesidePeers),
    /// What the others feel when 19,000 controllers come back at once.
    #[command(disable_help_flag = true)]
    RelayStorm(BesidePeers),
}

/// What `relay-bench` is told: see `--help` and tests/bench/README.md.
#[derive(Args)]
pub(crate) struct BesidePeers {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the programs with optimisation and runs one benchmark.
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    match bench {
        Bench::RoundTrip {
            controllers,
            commands,
        } => yard_bench(&[
            "round-trip",
            "--controllers",
            controllers,
            "--commands",
            commands,
        ]),
        Bench::IdleMemory { controllers } => {
            yard_bench(&["idle-memory", "--controllers", controllers])
        }
        Bench::Flash { rounds } => flash_bench(rounds),
        Bench::Alarm { rounds } => {
            build(&["--package", "switchyard-e2e", "--bin", "alarm-bench"])?;
            run(Command::new(program("alarm-bench")).args(["--rounds", rounds]))
        }
        Bench::Script => firmware::bench::script(),
        Bench::Relay(beside) => {
            beside.install_peers()?;
            beside.bench("relay")
        }
        Bench::RelayGrowth(beside) => beside.bench("growth"),
        Bench::RelayStorm(beside) => beside.bench("storm"),
    }
}

/// A benchmark of our own programs alone.
fn yard_bench(arguments: &[&str]) -> Result<()> {
    build(&["--package", "switchyard-e2e", "--bin", "yard-bench"])?;
    run(Command::new(program("yard-bench")).args(arguments))
}

fn flash_bench(rounds: &str) -> Result<()> {
    build(&["--package", "switchyard-e2e", "--bin", "flash-bench"])?;
    setup::ready(&[setup::PYTHON])?;
    run(Command::new(program("flash-bench"))
        .args(["--rounds", rounds])
        .env("SWITCHYARD_ESPTOOL", setup::esptool()?))
}

impl BesidePeers {
    /// A peer that is not to be had is done without: `relay-bench` tells so.
    fn install_peers(&self) -> Result<()> {
        if (self.wants("mosquitto") || self.wants("nats"))
            && let Err(why) = setup::peers()
        {
            println!("mosquitto or nats-server is not to be had: {why:#}");
        }
        if self.wants("rumqttd")
            && let Err(why) = setup::rumqttd()
        {
            println!("rumqttd is not to be had: {why:#}");
        }
        Ok(())
    }

    /// Whether a server is to be measured, as far as can be told from here.
    fn wants(&self, server: &str) -> bool {
        let names_servers = |argument: &String| argument.starts_with("--server");
        let asks_only = ["--help", "-h"].iter().any(|help| self.has(help));
        let names_it = self
            .arguments
            .iter()
            .any(|argument| argument.contains(server));
        !asks_only && (names_it || !self.arguments.iter().any(names_servers))
    }

    fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|given| given == argument)
    }

    fn bench(&self, mode: &str) -> Result<()> {
        build(&["--package", "switchyard-bench", "--bins"])?;
        run(Command::new(program("relay-bench"))
            .args(["--mode", mode])
            .args(&self.arguments))
    }
}

/// Builds the programs that are measured, and those that measure.
fn build(what: &[&str]) -> Result<()> {
    setup::ready(&[BUILD, PAGE, PROGRAMS])?;
    setup::page()?;
    test::build_programs(&["--release"])?;
    run(cargo().args(["build", "--release"]).args(what))
}

fn program(name: &str) -> PathBuf {
    target_folder().join("release").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installs_only_what_is_measured() {
        let wants = |arguments: &[&str], server: &str| {
            let arguments = arguments.iter().map(|&argument| argument.into()).collect();
            BesidePeers { arguments }.wants(server)
        };
        assert!(wants(&["--quick"], "mosquitto"));
        assert!(wants(&["--server", "floor,nats"], "nats"));
        assert!(!wants(&["--server=floor,nats"], "mosquitto"));
        assert!(!wants(&["--help"], "rumqttd"));
    }
}
