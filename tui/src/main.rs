//! The console `switchyard`: one binary for people and for scripts. With a command it prints and
//! ends; without one it opens the screen.

mod alarms;
mod batch;
mod boards;
mod cli;
mod commands;
mod config;
mod exit;
mod inside;
mod job;
mod label;
mod log_in;
mod monitor;
mod output;
mod provision;
mod replay;
mod screen;
mod show;
mod stop;
mod words;

use clap::Parser;
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&exit::Failure::from(anyhow::Error::from(error))),
    };
    // The screen takes its own signals; for most commands one is an end like another.
    let is_screen = arguments.command.is_none();
    let done = runtime.block_on(async {
        let mut running = std::pin::pin!(commands::run(arguments));
        loop {
            tokio::select! {
                done = &mut running => return done,
                () = interrupt(is_screen) => if stop::ask() {
                    output::aside("stopping; what is begun is brought to an end. Once more ends it at once");
                } else {
                    return Err(exit::Failure::interrupted());
                },
            }
        }
    });
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure),
    }
}

/// A person, or the system, wants the program to end: by the keyboard, because the terminal has gone, or at a shutdown.
async fn interrupt(is_screen: bool) {
    #[cfg(unix)]
    if !is_screen {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, hangup) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        );
        if let (Ok(mut terminate), Ok(mut hangup)) = (terminate, hangup) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            return;
        }
    }
    // Without it there is no more to wait for.
    let _ = tokio::signal::ctrl_c().await;
}

fn complain(failure: &exit::Failure) -> ExitCode {
    if let Some(message) = failure.message() {
        let _ = writeln!(std::io::stderr().lock(), "switchyard: {message}");
    }
    ExitCode::from(failure.exit())
}
