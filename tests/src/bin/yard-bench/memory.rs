//! What an idle controller costs the gateway.

use crate::{fleet, yard};
use anyhow::{Context, Result};
use switchyard_testkit::wait_until;

pub(crate) fn bench(controllers: usize) -> Result<()> {
    println!("{controllers} idle controllers, resident memory of the gateway");
    println!(
        "{:<8} {:>12} {:>12} {:>16}",
        "link", "before", "after", "per controller"
    );
    for clear in [true, false] {
        let mut yard = yard(clear)?;
        let id = yard.gateway()?.id();
        // One log-in, so that what is needed once is there already.
        switchyard_e2e::http::log_in(yard.http(), "viewer")?;
        let before = settled(id)?;
        let mut fleet = fleet(&yard, controllers, clear)?;
        let after = settled(id)?;
        fleet.process.stop()?;
        let each = after.saturating_sub(before) / controllers as u64;
        let link = if clear { "clear" } else { "Noise" };
        println!(
            "{link:<8} {:>9} KB {:>9} KB {each:>14} B",
            before / 1024,
            after / 1024
        );
        println!(
            "{}",
            serde_json::json!({
                "bench": "idle-memory", "link": link, "controllers": controllers,
                "before_bytes": before, "after_bytes": after, "bytes_each": each,
            })
        );
    }
    Ok(())
}

/// Resident bytes once they have stopped changing.
fn settled(id: u32) -> Result<u64> {
    let mut last = resident(id)?;
    let mut same = 0;
    wait_until("the memory to settle", || {
        let now = resident(id).ok()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == 100).then_some(now)
    })
}

fn resident(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("expected VmRSS in the process's status")?
        .parse()?;
    Ok(kilobytes * 1024)
}
