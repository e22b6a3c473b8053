//! `cargo xtask demo`: a yard on this machine, for a person to try or for `--check` to prove.

use crate::{
    run::target_folder,
    setup::{self, BUILD, PAGE, PROGRAMS},
    test,
};
use anyhow::{Context, Result, bail, ensure};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::mpsc::{self, Sender},
    time::Instant,
};
use switchyard_testkit::{Console, PASSWORD, Program, Programs, Yard, YardOptions, wait_until};

/// What each of the demo's controllers is called, does, and how it is started.
const CONTROLLERS: &[(&str, &str, &[&str])] = &[
    (
        "Pump house 3",
        "RL1 is yours to switch",
        &["--behaviour", "latch", "--http", "127.0.0.1:0"],
    ),
    (
        "North gate",
        "RL1 follows an input that changes every 10 s",
        &["--behaviour", "follow", "--input-period", "10"],
    ),
    (
        "Tank 2",
        "a level that ramps to what it is asked for",
        &["--behaviour", "ramp"],
    ),
];

/// Builds and starts everything; then waits for a person, or proves that a command crosses.
pub(crate) fn demo(check: bool) -> Result<()> {
    setup::ready(&[BUILD, PAGE, PROGRAMS])?;
    setup::page()?;
    test::build_programs(&[])?;
    // From here on there is something to put away: an interrupt ends the demo in order, not at once.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let programs = Programs::in_folder(&target_folder().join("debug"));
    let yard = Yard::start(&programs, YardOptions::default())?;
    let mut addresses = Vec::new();
    let mut controllers = Vec::new();
    let mut own_page = None;
    for (title, _, flags) in CONTROLLERS {
        let controller = yard
            .enrol(title, 1)?
            .pop()
            .context("expected one controller")?;
        let mut running = yard.start_controller(&controller, flags)?;
        if flags.contains(&"--http") {
            own_page = Some(running.wait_for_line("its page", |line| {
                line.strip_prefix("its page is at ").map(String::from)
            })?);
        }
        controllers.push(running);
        addresses.push(controller.address);
    }
    let own_page = own_page.context("expected a controller with a page")?;
    let console = yard.console("operator")?;
    if check {
        prove(yard, controllers, &console, addresses[0])
    } else {
        show(yard, controllers, &console, &addresses, &own_page, signals)
    }
}

/// Prints what a person needs, and waits until he has had enough.
fn show(
    mut yard: Yard,
    controllers: Vec<Program>,
    console: &Console,
    addresses: &[u32],
    own_page: &str,
    mut signals: Signals,
) -> Result<()> {
    let program = yard.programs().path("switchyard")?;
    let program = program.display();
    println!("\nThe yard is open.\n");
    println!("  page         {}", yard.url());
    println!("  account      operator (or viewer, technician, admin)");
    println!("  password     {PASSWORD}");
    println!("\n  console, in another terminal, already logged in:");
    println!(
        "    export SWITCHYARD_CONFIG={}",
        console.folder().display()
    );
    println!("    {program}                  the screen; ? shows its keys");
    println!("    {program} ls");
    println!("    {program} send {} RL1 on", addresses[0]);
    println!("\n  controllers");
    for ((title, does, _), address) in CONTROLLERS.iter().zip(addresses) {
        println!("    No. {address}  {title}: {does}");
    }
    println!(
        "\n  the page that No. {} serves itself, where its script is written",
        addresses[0]
    );
    println!("    {own_page}                  you set its password");
    println!("\nEnter or Ctrl-C closes it.");
    let (had_enough, enough) = mpsc::channel();
    await_line(std::io::stdin(), had_enough.clone());
    std::thread::spawn(move || signals.forever().next().map(|_| had_enough.send(())));
    enough.recv().context("waiting for Enter or an interrupt")?;
    drop(controllers);
    // An interrupt at the terminal has reached the gateway as well, and it may be gone already.
    yard.gateway()?.stop()?;
    drop(yard);
    println!("Closed; nothing is left running.");
    Ok(())
}

/// Tells when a line has been entered. The end of the input is none: a demo that was started in the
/// background, or by something that gives it no input, stays open until it is interrupted.
fn await_line(input: impl Read + Send + 'static, entered: Sender<()>) {
    std::thread::spawn(move || {
        let mut line = String::new();
        if matches!(BufReader::new(input).read_line(&mut line), Ok(1..)) {
            let _ = entered.send(());
        }
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_closes_the_demo_and_the_end_of_the_input_does_not() {
        for (input, is_enough) in [("\n", true), ("enough", true), ("", false)] {
            let (entered, enough) = mpsc::channel();
            await_line(input.as_bytes(), entered);
            // The sender goes with the thread, so this waits for no clock.
            assert_eq!(enough.recv().is_ok(), is_enough, "{input:?}");
        }
    }
}
