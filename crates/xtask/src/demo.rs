//! `cargo xtask demo`: a yard on this machine, for a person to try or for `--check` to prove.

use crate::{
    run::{root, target_folder},
    setup, test,
};
use anyhow::{Context, Result, bail, ensure};
use std::{path::Path, time::Instant};
use switchyard_testkit::{Console, PASSWORD, Program, Programs, Yard, YardOptions, wait_until};

/// What each of the demo's controllers is called and does.
const CONTROLLERS: &[(&str, &[&str])] = &[
    ("Pump house 3", &["--behaviour", "latch"]),
    (
        "North gate",
        &["--behaviour", "follow", "--input-period", "10"],
    ),
    ("Tank 2", &["--behaviour", "ramp"]),
];

/// Builds and starts everything; then waits for a person, or proves that a command crosses.
pub(crate) fn demo(check: bool) -> Result<()> {
    setup::base()?;
    setup::page()?;
    test::build_programs(&[])?;
    let programs = Programs::in_folder(&target_folder().join("debug"));
    let yard = Yard::start(&programs, YardOptions::default())?;
    let mut addresses = Vec::new();
    let mut controllers = Vec::new();
    for (title, flags) in CONTROLLERS {
        let controller = yard
            .enrol(title, 1)?
            .pop()
            .context("expected one controller")?;
        controllers.push(yard.start_controller(&controller, flags)?);
        addresses.push(controller.address);
    }
    let console = yard.console("operator")?;
    if check {
        prove(yard, controllers, &console, addresses[0])
    } else {
        show(yard, controllers, &console, &addresses)
    }
}

/// Prints what a person needs, and waits until he has had enough.
fn show(
    mut yard: Yard,
    controllers: Vec<Program>,
    console: &Console,
    addresses: &[u32],
) -> Result<()> {
    let program = yard.programs().path("switchyard")?;
    let program = program
        .strip_prefix(root())
        .map_or(program.as_path(), Path::new);
    println!("\nThe yard is open.\n");
    println!("  page      {}", yard.url());
    println!("  log in    operator, password: {PASSWORD}");
    println!("            (viewer, technician and admin have the same)");
    println!(
        "  console   SWITCHYARD_CONFIG={} {}",
        console.folder().display(),
        program.display()
    );
    println!(
        "            the same with `ls`, or `send {} RL1 on`",
        addresses[0]
    );
    for ((title, _), address) in CONTROLLERS.iter().zip(addresses) {
        println!("  No. {address}  {title}");
    }
    println!("\nPress Enter to close it.");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("waiting for Enter")?;
    drop(controllers);
    yard.gateway()?.stop()?;
    Ok(())
}

/// Sends a command through the gateway, sees it executed and its delta follow, and leaves nothing
/// running.
fn prove(
    mut yard: Yard,
    mut controllers: Vec<Program>,
    console: &Console,
    address: u32,
) -> Result<()> {
    let number = address.to_string();
    let mut watch = Program::start("watch", &mut console.command(&["watch", &number, "--json"]))?;
    let value_is = |wanted: i64| {
        move |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let point = event["points"]
                .as_array()?
                .iter()
                .find(|point| point["name"] == "RL1")?;
            (point["value"].as_i64() == Some(wanted)).then_some(())
        }
    };
    watch.wait_for_line("RL1 off at the start", value_is(0))?;
    let start = Instant::now();
    let receipts = console.json(&["send", &number, "RL1", "on"])?;
    let stages: Vec<&str> = receipts
        .iter()
        .filter_map(|receipt| receipt["stage"].as_str())
        .collect();
    ensure!(
        stages == ["sent", "delivered", "executed"],
        "expected the receipts sent, delivered, executed and found {stages:?}"
    );
    watch.wait_for_line("the delta that follows the command", value_is(1))?;
    let whole = start.elapsed().as_millis();
    let executed = receipts
        .iter()
        .find(|receipt| receipt["stage"] == "executed");
    let milliseconds = executed
        .and_then(|receipt| receipt["elapsed_ms"].as_f64())
        .context("expected the time taken")?;

    let folder = yard.folder().to_owned();
    let mut ids = vec![watch.id(), yard.gateway()?.id()];
    ids.extend(controllers.iter().map(Program::id));
    watch.stop()?;
    for controller in &mut controllers {
        ensure!(
            controller.stop()?.success(),
            controller.failure("did not end cleanly")
        );
    }
    ensure!(
        yard.gateway()?.stop()?.success(),
        "expected the gateway to end cleanly"
    );
    drop(yard);
    wait_until("the programs to be gone", || {
        ids.iter()
            .all(|id| !Path::new(&format!("/proc/{id}")).exists())
            .then_some(())
    })?;
    if folder.exists() {
        bail!("expected {} to be gone", folder.display());
    }
    println!("sent, executed and seen in {whole} ms, the console's start and log-in included");
    println!("demo: ok, command executed in {milliseconds:.0} ms");
    Ok(())
}
