//! `cargo xtask test api`: the gateway's HTTP API beside its own OpenAPI document, by schemathesis.
//!
//! A real gateway with accounts and a virtual controller that runs a script is asked everything that the
//! document offers, with data that fits it and data that does not. Any 5xx, any answer that the document
//! does not tell of, and any request that is taken or refused against it is a failure.

use crate::{
    run::{output, run},
    setup,
};
use anyhow::{Context, Result};
use std::{
    path::Path,
    process::{Command, Stdio},
};
use switchyard_testkit::{Programs, Yard, YardOptions};

/// Requests that a run may make in a minute: what limits people must not limit this.
const REQUESTS_PER_MINUTE_MAX: &str = "10000000";
/// Examples of data that fits, and as many that do not, for each operation.
const EXAMPLES_MAX: &str = "8";
/// The same on every run: a failure is there again.
const SEED: &str = "23";
/// What is asked about the controller that is there, but for what would take it away.
const OF_THE_PUMP: &[&str] = &[
    "--include-path-regex",
    "/api/controllers/",
    "--exclude-operation-id",
    "remove_controller",
    "--exclude-operation-id",
    "restart_controller",
];
/// What may end the very log-in that asks: schemathesis asks about names and numbers that it was told before.
const ENDINGS: [&str; 5] = [
    "remove_account",
    "set_rights",
    "set_password",
    "revoke_token",
    "log_out",
];

/// Runs all rounds.
pub(crate) fn test() -> Result<()> {
    let schemathesis = setup::schemathesis()?;
    let programs = Programs::find()?;
    let flags = ["ip", "account"].into_iter().flat_map(|whose| {
        let flag = format!("--api-requests-per-{whose}-per-minute-max");
        [flag, REQUESTS_PER_MINUTE_MAX.to_owned()]
    });
    let options = YardOptions {
        flags: flags.collect(),
        ..YardOptions::default()
    };
    let yard = Yard::start(&programs, options)?;
    let enrolled = yard.enrol("pump", 1)?;
    let pump = enrolled.first().context("no controller was enrolled")?;
    let script = yard.folder().join("pump.script");
    std::fs::write(&script, SCRIPT)?;
    let script = script.to_str().context("the folder's name is no text")?;
    let mut controller = yard.start_controller(pump, &["--script", script])?;
    let token = token(&yard)?;
    let rounds = Rounds {
        schemathesis: &schemathesis,
        yard: &yard,
        token: &token,
    };
    let chosen = |flag: &'static str| ENDINGS.into_iter().flat_map(move |it| [flag, it]);
    // With whatever addresses come up; most of them nobody has.
    let but_endings: Vec<_> = chosen("--exclude-operation-id").collect();
    rounds.run(None, &but_endings)?;
    // All of it about a controller that is there.
    rounds.run(Some(pump.address), OF_THE_PUMP)?;
    let endings: Vec<_> = chosen("--include-operation-id").collect();
    rounds.run(None, &endings)?;
    controller.stop()?;
    Ok(())
}

/// What the controller runs: a manual output, a parameter, a command.
const SCRIPT: &str = include_str!("api.script");

/// A token for a program: log-ins are ended by changed passwords, and this run changes many.
fn token(yard: &Yard) -> Result<String> {
    let mut command = yard.programs().command("switchyard-gateway")?;
    command
        .arg("--data")
        .arg(yard.folder().join("data"))
        .env("SWITCHYARD_GATEWAY_CONFIG", "")
        .args(["account", "token", "add", "admin", "schemathesis"]);
    output(&mut command).context("the gateway made no token")
}

/// What all rounds have in common.
struct Rounds<'a> {
    schemathesis: &'a Path,
    yard: &'a Yard,
    token: &'a str,
}

impl Rounds<'_> {
    /// Asks about what is chosen; of one controller where its address is given.
    fn run(&self, address: Option<u32>, chosen: &[&str]) -> Result<()> {
        let folder = self.yard.folder();
        let config = folder.join("schemathesis.toml");
        std::fs::write(&config, self.settings(address))?;
        let mut command = Command::new(self.schemathesis);
        command
            .arg("--config-file")
            .arg(&config)
            .args(["--no-color", "run"])
            .arg(format!("{}/api/openapi.json", self.yard.url()))
            .args(["--max-examples", EXAMPLES_MAX, "--seed", SEED])
            .args(["--phases", "examples,coverage,fuzzing"])
            .args(["--workers", "1", "--continue-on-failure"])
            .args(["--request-timeout", "60", "--warnings", "off"])
            .args(chosen)
            .current_dir(folder)
            .stdin(Stdio::null());
        run(&mut command)
    }

    /// Its settings as a file: the token is to stand in no process's arguments.
    fn settings(&self, address: Option<u32>) -> String {
        let parameters = address.map_or_else(String::new, |address| {
            format!("[parameters]\n\"path.address\" = {address}\n")
        });
        // What a schema cannot say (64 bytes of UTF-8, a key that is one) is refused by 422, and a limit by 429.
        format!(
            "headers = {{ Authorization = \"Bearer {}\" }}\n\
             [checks.positive_data_acceptance]\n\
             expected-statuses = [\"2xx\", 401, 403, 404, 409, 422, 429]\n{parameters}",
            self.token
        )
    }
}
