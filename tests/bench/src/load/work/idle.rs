//! Idle: opens connections and holds them, and looks at what they cost the server.

use super::{open, open_all};
use crate::{
    load::{
        Options,
        connection::Connection,
        driver::Driver,
        roster::{Role, Roster},
        stream::Stream,
    },
    process::Processes,
    report::{Idle, Report},
};
use anyhow::{Context, Result};
use std::{sync::Arc, time::Duration};

/// Connections opened and closed again before anything is measured.
const FIRST_CONNECTIONS: usize = 500;

/// Runs it.
///
/// # Errors
/// When a connection cannot be opened.
pub(crate) async fn run<D: Driver>(options: &Options, roster: &Arc<Roster>) -> Result<Report> {
    let server = Processes::of(options.server_pid.context("expected --server-pid")?);
    let nothing = |_| Vec::new();
    // What a server needs once, for logging in or for as many connections as come at a time, is no
    // connection's cost: it shall be there already.
    for (role, count) in [
        (Role::Controller, options.controllers),
        (Role::Operator, options.operators),
    ] {
        let count = count.min(FIRST_CONNECTIONS);
        drop(open::<D>(options, roster, role, count, nothing).await?);
    }
    tokio::time::sleep(Duration::from_secs_f64(options.warmup)).await;
    let (before, cpu) = (server.memory(), server.cpu());
    let (controllers, operators, opening) = open_all::<D>(options, roster, nothing).await?;
    let used = server.cpu().since(&cpu);
    let held: Vec<Stream> = controllers
        .into_iter()
        .chain(operators)
        .map(Connection::into_stream)
        .collect();
    tokio::time::sleep(Duration::from_secs_f64(options.secs)).await;
    let after = server.memory();
    let each = |total: f64| total / held.len().max(1) as f64;
    let grown = after.resident_bytes as f64 - before.resident_bytes as f64;
    Ok(Report {
        idle: Some(Idle {
            connections: held.len(),
            gone: held.iter().filter(|stream| stream.is_gone()).count(),
            before,
            after,
            bytes_each: each(grown),
            accept_cpu_us: each(used.as_secs_f64() * 1e6),
        }),
        ..options.blank_report(opening)
    })
}
