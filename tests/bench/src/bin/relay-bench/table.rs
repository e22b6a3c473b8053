//! What is printed.

use crate::{
    Measured,
    plan::{PACE, Server, Workload},
};
use std::fmt::Write as _;
use switchyard_bench::report::Report;

const NAME_WIDTH: usize = 20;
const WIDTH: usize = 15;

/// The median of what was found in each round; nothing where nothing was.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.is_empty() {
        None
    } else if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some(f64::midpoint(values[middle - 1], values[middle]))
    }
}

fn reports(
    all: &[Measured],
    server: Server,
    workload: Workload,
) -> impl Iterator<Item = (usize, &Report)> {
    all.iter()
        .filter(move |measured| measured.server == server && measured.workload == workload)
        .filter_map(|measured| Some((measured.round, measured.report.as_ref()?)))
}

/// The median of a figure over the rounds.
fn figure(
    all: &[Measured],
    server: Server,
    workload: Workload,
    of: impl Fn(&Report) -> Option<f64>,
) -> Option<f64> {
    median(
        reports(all, server, workload)
            .filter_map(|(_, report)| of(report))
            .collect(),
    )
}

fn efficiency(report: &Report) -> Option<f64> {
    report.flow.as_ref().map(|flow| flow.messages_per_cpu_s)
}

/// The median over the rounds of what one server did for each message of another, by CPU.
fn ratio(all: &[Measured], server: Server, to: Server, workload: Workload) -> Option<f64> {
    let ratios = reports(all, server, workload).filter_map(|(round, report)| {
        let other = reports(all, to, workload).find(|(other_round, _)| *other_round == round);
        Some(efficiency(report)? / efficiency(other?.1)?)
    });
    median(ratios.collect())
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.decimals$}"))
}

/// The servers that were measured, in their order.
fn servers(all: &[Measured]) -> Vec<Server> {
    let mut servers = Vec::new();
    for measured in all {
        if !servers.contains(&measured.server) {
            servers.push(measured.server);
        }
    }
    servers
}

fn row(text: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let _ = write!(text, "{name:<NAME_WIDTH$}");
    for cell in cells {
        let _ = write!(text, "{cell:>WIDTH$}");
    }
    text.push('\n');
}

/// Everything: the clear link beside its peers in two tables, the real link in two of its own, and
/// what failed.
pub(crate) fn render(all: &[Measured]) -> String {
    let mut text = String::new();
    let of = |workload: Workload| all.iter().any(|measured| measured.workload == workload);
    let speeds: Vec<_> = Workload::SPEED
        .into_iter()
        .filter(|&speed| of(speed))
        .collect();
    let (real, others): (Vec<_>, Vec<_>) = servers(all)
        .into_iter()
        .partition(|&server| server == Server::SwitchyardReal);
    for (rows, title) in [
        (others, ""),
        (
            real,
            "\nThe real link: Noise to controllers, TLS to operators\n",
        ),
    ] {
        if rows.is_empty() {
            continue;
        }
        text.push_str(title);
        if !speeds.is_empty() {
            efficiencies(&mut text, all, &rows, &speeds);
        }
        if of(Workload::Paced) || of(Workload::IdleTcp) || of(Workload::IdleWs) {
            costs(&mut text, all, &rows);
        }
    }
    for measured in all {
        if let Some(failure) = &measured.failure {
            let (server, workload) = (measured.server.name(), measured.workload.name());
            let _ = writeln!(text, "{server} {workload} failed: {failure}");
        }
    }
    text
}

/// What a server takes longer for a message than another, in nanoseconds of CPU: the median over the
/// rounds.
fn surplus(all: &[Measured], server: Server, over: Server, workload: Workload) -> Option<f64> {
    let surpluses = reports(all, server, workload).filter_map(|(round, report)| {
        let other = reports(all, over, workload).find(|(other_round, _)| *other_round == round);
        Some(1e9 / efficiency(report)? - 1e9 / efficiency(other?.1)?)
    });
    median(surpluses.collect())
}

fn efficiencies(text: &mut String, all: &[Measured], servers: &[Server], columns: &[Workload]) {
    text.push_str(
        "\nThousands of messages for each second of the server's CPU (and of the floor's)\n",
    );
    row(text, "", columns.iter().map(|column| column.name()));
    for &server in servers {
        let cells = columns.iter().map(|&column| {
            let thousands = figure(all, server, column, efficiency).map(|each| each / 1e3);
            let to_floor = ratio(all, server, Server::Floor, column);
            format!("{} ({})", shown(thousands, 0), shown(to_floor, 2))
        });
        row(text, &server.name(), cells);
    }
    let (real, clear) = (Server::SwitchyardReal, Server::Switchyard);
    if servers.contains(&real) {
        let cells = columns
            .iter()
            .map(|&column| shown(surplus(all, real, clear, column), 0));
        row(text, "encryption, ns each", cells);
    }
    if servers.contains(&clear) {
        let peers = servers.iter().copied().filter(|server| !server.is_ours());
        for peer in peers.filter(|&peer| peer != Server::Floor) {
            let cells = columns
                .iter()
                .map(|&column| shown(ratio(all, clear, peer, column), 2));
            row(text, &format!("ours : {}", peer.name()), cells);
        }
    }
}

fn costs(text: &mut String, all: &[Measured], servers: &[Server]) {
    let _ = writeln!(
        text,
        "\nRound trips at {PACE} a second; resident bytes and CPU of each idle connection"
    );
    let columns = [
        "p50 µs",
        "p99 µs",
        "sent",
        "B TCP",
        "B WebSocket",
        "accept TCP µs",
        "accept WS µs",
    ];
    const NARROW: usize = 14;
    let _ = write!(text, "{:<NAME_WIDTH$}", "");
    for column in columns {
        let _ = write!(text, "{column:>NARROW$}");
    }
    text.push('\n');
    for &server in servers {
        let paced = |of: fn(&Report) -> Option<f64>| figure(all, server, Workload::Paced, of);
        let sent = paced(|report| {
            let flow = report.flow.as_ref()?;
            Some(flow.messages as f64 / 2.0 / flow.secs / PACE * 100.0)
        });
        let idle = |workload, of: fn(&Report) -> Option<f64>| figure(all, server, workload, of);
        let bytes = |report: &Report| report.idle.map(|idle| idle.bytes_each);
        let accept = |report: &Report| report.idle.map(|idle| idle.accept_cpu_us);
        let cells = [
            shown(paced(|report| report.latency.map(|it| it.p50_us)), 0),
            shown(paced(|report| report.latency.map(|it| it.p99_us)), 0),
            sent.map_or_else(|| "–".into(), |sent| format!("{sent:.0} %")),
            shown(idle(Workload::IdleTcp, bytes), 0),
            shown(idle(Workload::IdleWs, bytes), 0),
            shown(idle(Workload::IdleTcp, accept), 0),
            shown(idle(Workload::IdleWs, accept), 0),
        ];
        let _ = write!(text, "{:<NAME_WIDTH$}", server.name());
        for cell in cells {
            let _ = write!(text, "{cell:>NARROW$}");
        }
        text.push('\n');
    }
}

/// One measurement on a line, as it comes.
pub(crate) fn progress(measured: &Measured) -> String {
    let head = format!(
        "{} {:<12} {:<16}",
        measured.round,
        measured.workload.name(),
        measured.server.name()
    );
    let Some(report) = &measured.report else {
        return format!("{head} {}", measured.failure.as_deref().unwrap_or_default());
    };
    let mut line = head;
    if let Some(flow) = &report.flow {
        let _ = write!(
            line,
            " {:>6.0} k messages/CPU-s, server {:.2}, generator {:.2}, {:.3} switches each",
            flow.messages_per_cpu_s / 1e3,
            flow.server_load,
            flow.generator_load,
            flow.switches_per_message
        );
    }
    if let Some(latency) = &report.latency {
        let _ = write!(
            line,
            ", p50 {:.0} p99 {:.0} µs",
            latency.p50_us, latency.p99_us
        );
    }
    if let Some(idle) = &report.idle {
        let _ = write!(
            line,
            " {:.0} B and {:.0} µs for each of {}, {} gone",
            idle.bytes_each, idle.accept_cpu_us, idle.connections, idle.gone
        );
    }
    line
}

/// The line that is compared from run to run: our efficiency over the floor's.
pub(crate) fn last_line(all: &[Measured]) -> String {
    let mut line = "relay:".to_owned();
    for workload in Workload::SPEED {
        let to_floor = ratio(all, Server::Switchyard, Server::Floor, workload);
        let _ = write!(line, " {} {}", workload.name(), shown(to_floor, 2));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_bench::report::Flow;

    fn measured(round: usize, server: Server, messages_per_cpu_s: f64) -> Measured {
        Measured {
            round,
            workload: Workload::PushW1,
            server,
            report: Some(Report {
                flow: Some(Flow {
                    messages_per_cpu_s,
                    ..Flow::default()
                }),
                ..Report::default()
            }),
            failure: None,
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_own() {
        let (ours, floor) = (Server::Switchyard, Server::Floor);
        let all: Vec<_> = [(1, 10e3, 20e3), (2, 90e3, 100e3), (3, 30e3, 50e3)]
            .into_iter()
            .flat_map(|(round, our, its)| [measured(round, ours, our), measured(round, floor, its)])
            .collect();
        assert_eq!(ratio(&all, ours, floor, Workload::PushW1), Some(0.6));
        let line = last_line(&all);
        assert!(line.starts_with("relay: push-w1 0.60 push-w8 – "), "{line}");
        assert!(render(&all).contains("30 (0.60)"));
        assert!(!render(&all).contains("real"));
        assert_eq!(median(vec![1.0, 4.0]), Some(2.5));
    }

    #[test]
    fn the_real_link_stands_apart_with_what_it_costs_more() {
        let (clear, real) = (Server::Switchyard, Server::SwitchyardReal);
        let all = [measured(1, clear, 100e3), measured(1, real, 80e3)];
        let text = render(&all);
        let (plain, apart) = text.split_once("The real link").unwrap();
        assert!(!plain.contains("switchyard-real"));
        // 12.5 µs instead of 10.
        let encryption = apart.lines().find(|line| line.starts_with("encryption"));
        assert!(encryption.unwrap().ends_with(" 2500"), "{text}");
    }
}
