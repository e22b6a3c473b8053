//! What one measurement found; `relay-load` writes it as a line of JSON, `relay-bench` reads it.

use crate::process::Memory;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One measurement of one server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How the generator spoke.
    pub driver: String,
    /// What it did.
    pub workload: String,
    /// Controllers on line.
    pub controllers: usize,
    /// Operators on line.
    pub operators: usize,
    /// What was kept in flight, by each operator (round trips) or controller (statuses).
    pub window: usize,
    /// How long it took until all peers were on line.
    pub opening_s: f64,
    /// What came of it, where messages were counted.
    pub flow: Option<Flow>,
    /// How long round trips took, where there were any.
    pub latency: Option<Latency>,
    /// What connections cost, where they were only held.
    pub idle: Option<Idle>,
    /// How everybody came back, where they were all cut off.
    pub storm: Option<Storm>,
}

/// Messages that went through the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flow {
    /// How long it was measured.
    pub secs: f64,
    /// Messages delivered.
    pub messages: u64,
    /// The key figure: messages for each second of the server's CPU.
    pub messages_per_cpu_s: f64,
    /// CPU that the server used, in seconds.
    pub server_cpu_s: f64,
    /// The same in cores.
    pub server_load: f64,
    /// What the generator used, in cores: at 1 it is the generator that sets the pace.
    pub generator_load: f64,
    /// Context switches of the server for each message.
    pub switches_per_message: f64,
    /// Paced commands that found no free place in the window.
    pub missed: u64,
    /// The server's threads.
    pub server_threads: usize,
    /// The server's memory at the end.
    pub server_memory: Memory,
}

/// Round trips, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them were faster.
    pub p50_us: f64,
    /// 99 of 100 were faster.
    pub p99_us: f64,
    /// 999 of 1,000 were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

impl Latency {
    /// The quantiles of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let us = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: histogram.max() as f64 / 1e3,
        }
    }
}

/// Connections that were only held.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// Those that the server had closed at the end.
    pub gone: usize,
    /// The server's memory before the first.
    pub before: Memory,
    /// The server's memory while all were held.
    pub after: Memory,
    /// Resident bytes for each.
    pub bytes_each: f64,
    /// The server's CPU for accepting and registering one, in microseconds.
    pub accept_cpu_us: f64,
}

/// Everybody coming back at once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Storm {
    /// How many came back.
    pub controllers: usize,
    /// Until the last of them was on line, in seconds.
    pub all_back_s: f64,
    /// Attempts that the server, or a time-out, turned away.
    pub turned_away: usize,
    /// The server's CPU for each of them, in microseconds.
    pub cpu_us_each: f64,
    /// Round trips of the others before.
    pub calm: Latency,
    /// Round trips of the others meanwhile.
    pub meanwhile: Latency,
}

/// A histogram of nanoseconds up to a minute, to two digits.
pub fn histogram() -> Histogram<u64> {
    let longest = Duration::from_secs(60).as_nanos() as u64;
    Histogram::new_with_max(longest, 2)
        .unwrap_or_else(|error| unreachable!("the bounds are constant: {error}"))
}
