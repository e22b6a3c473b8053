//! `GET /metrics`: the counters of gateway and relay as Prometheus text.

use super::{Api, Client, problem::Problem};
use crate::{proxy::ProxyFault, telemetry::Telemetry};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use switchyard_protocol::{Code, message::Stage};
use switchyard_relay::CodeCounts;

/// Lines of the exposition format.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP switchyard_{name} {help}\n# TYPE switchyard_{name} {kind}"
        );
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "switchyard_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "switchyard_{name} {value}");
    }

    fn labelled(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, u64)>,
    ) {
        self.head(name, "counter", help);
        for (value, count) in values {
            let _ = writeln!(self.0, "switchyard_{name}{{{label}=\"{value}\"}} {count}");
        }
    }
}

fn by_code(counts: &CodeCounts) -> impl Iterator<Item = (&'static str, u64)> + '_ {
    counts
        .iter()
        .filter(|(code, _)| *code != Code::Ok)
        .map(|(code, count)| (code.name(), count))
}

/// What concerns others than peers: the MQTT broker, and webhooks' targets.
fn integrations(text: &mut Exposition, telemetry: &Telemetry) {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (mqtt, webhooks) = (&telemetry.mqtt, &telemetry.webhooks);
    text.gauge(
        "mqtt_connected",
        "1 while the MQTT broker is there, 0 while it is not or none is set.",
        load(&mqtt.connected) as usize,
    );
    for (name, help, counter) in [
        (
            "mqtt_connections_total",
            "Connections to the MQTT broker that were made.",
            &mqtt.connections,
        ),
        (
            "mqtt_published_total",
            "Messages sent to the MQTT broker.",
            &mqtt.published,
        ),
        (
            "mqtt_conflated_total",
            "Changes of status that the MQTT broker was told together with later ones.",
            &mqtt.conflated,
        ),
        (
            "mqtt_dropped_total",
            "Events and receipts for which there was no room while the MQTT broker did not take them.",
            &mqtt.dropped,
        ),
    ] {
        text.counter(name, help, load(counter));
    }
    text.labelled(
        "mqtt_commands_total",
        "Commands from the MQTT broker: given to the yard, come once more, turned away before.",
        "outcome",
        [
            ("given", load(&mqtt.commands_given)),
            ("repeated", load(&mqtt.commands_repeated)),
            ("refused", load(&mqtt.commands_refused)),
        ]
        .into_iter(),
    );
    text.labelled(
        "webhooks_total",
        "What webhooks' targets were to be told: taken, not wanted, given up; and attempts that failed.",
        "outcome",
        [
            ("delivered", load(&webhooks.delivered)),
            ("unwanted", load(&webhooks.unwanted)),
            ("dropped", load(&webhooks.dropped)),
            ("failed_attempt", load(&webhooks.failed)),
        ]
        .into_iter(),
    );
    text.gauge(
        "webhooks_waiting",
        "What webhooks' targets are still to be told.",
        load(&webhooks.waiting) as usize,
    );
}

/// What concerns alarms.
fn alarms(text: &mut Exposition, telemetry: &Telemetry) {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let alarms = &telemetry.alarms;
    for (name, help, gauge) in [
        (
            "alarms_owned",
            "1 while alarms are this gateway's chore; the rest is told by the gateway whose chore they are.",
            &alarms.is_owner,
        ),
        ("alarms_open", "Alarms that are open.", &alarms.open),
        (
            "alarms_unheard",
            "Open alarms that nobody has said to have heard of.",
            &alarms.unheard,
        ),
        (
            "alarm_attempts_under_way",
            "People who are being told this moment.",
            &alarms.under_way,
        ),
    ] {
        text.gauge(name, help, load(gauge) as usize);
    }
    for (name, help, counter) in [
        (
            "alarm_attempts_total",
            "Attempts at telling somebody of alarms.",
            &alarms.attempts,
        ),
        (
            "alarm_attempts_failed_total",
            "Attempts by which nobody was told.",
            &alarms.attempts_failed,
        ),
        (
            "alarm_store_failures_total",
            "Times that alarms could not be read or kept.",
            &alarms.store_failures,
        ),
        (
            "alarm_findings_dropped_total",
            "What rules found and was lost for want of room.",
            &alarms.found_missed,
        ),
        (
            "alarms_refused_total",
            "Alarms that were not raised since too many were open.",
            &alarms.refused,
        ),
        (
            "alarm_heartbeats_total",
            "Signs of life that were taken by whoever watches this gateway.",
            &alarms.heartbeats,
        ),
        (
            "alarm_heartbeats_failed_total",
            "Signs of life that were not taken.",
            &alarms.heartbeats_failed,
        ),
    ] {
        text.counter(name, help, load(counter));
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Through a proxy the client is who the proxy says, and so not loopback.
    let ip = api.client_ip(&client, &headers);
    if !api.settings.metrics_public && !ip.to_canonical().is_loopback() {
        return Err(Problem::not_found("there is nothing at this address"));
    }
    let mut text = Exposition::default();
    let telemetry = &api.telemetry;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.counter(
        "connections_accepted_total",
        "Connections taken, of every sort.",
        load(&telemetry.connections_accepted),
    );
    text.gauge(
        "connections_open",
        "Connections there are now, of every sort.",
        load(&telemetry.connections_open) as usize,
    );
    let refusals = Code::ALL.iter().filter(|code| **code != Code::Ok);
    text.labelled(
        "connections_refused_total",
        "Connections that never became sessions, by reason.",
        "reason",
        refusals.map(|&code| (code.name(), telemetry.refusals(code))),
    );
    text.labelled(
        "proxy_headers_refused_total",
        "Connections refused for what a proxy said or did not say, by reason.",
        "reason",
        ProxyFault::ALL
            .iter()
            .map(|&fault| (fault.name(), telemetry.proxy_faults(fault))),
    );
    text.labelled(
        "logins_total",
        "Log-ins by outcome.",
        "outcome",
        [
            ("ok", load(&telemetry.logins)),
            ("bad_credentials", load(&telemetry.logins_failed)),
            ("rate_limited", load(&telemetry.logins_limited)),
        ]
        .into_iter(),
    );
    text.labelled(
        "api_requests_total",
        "Requests to the HTTP API that bore a log-in, and those that were too many.",
        "outcome",
        [
            ("admitted", load(&telemetry.api_requests)),
            ("rate_limited", load(&telemetry.api_limited)),
        ]
        .into_iter(),
    );
    text.gauge(
        "gateway_keys_pending",
        "Controllers that have two keys, since one is being replaced.",
        load(&telemetry.keys_pending) as usize,
    );
    text.counter(
        "gateway_keys_replaced_total",
        "Controllers that have forgotten their former key.",
        load(&telemetry.keys_replaced),
    );
    text.counter(
        "gateway_key_steps_failed_total",
        "Times that a controller was asked to change its keys and did not.",
        load(&telemetry.key_steps_failed),
    );
    text.counter(
        "gateway_store_failures_total",
        "Calls of a store that failed or took too long.",
        load(&telemetry.store_failures),
    );
    text.gauge(
        "gateway_status_store_up",
        "1 while the status store answers, 0 while it fails or there is none.",
        load(&telemetry.status_store_up) as usize,
    );
    for (name, help, counter) in [
        (
            "gateway_status_store_failures_total",
            "Calls of the status store that failed or took too long.",
            &telemetry.status_store_failures,
        ),
        (
            "gateway_status_store_losses_total",
            "Times that the status store may have lost what it had, and was given it again.",
            &telemetry.status_store_losses,
        ),
        (
            "gateway_statuses_stored_total",
            "Statuses brought to the status store.",
            &telemetry.statuses_stored,
        ),
        (
            "gateway_leases_fenced_total",
            "Controllers found to have a later session at another gateway.",
            &telemetry.leases_fenced,
        ),
        (
            "gateway_samples_stored_total",
            "Samples of recent values, one a second and point at most, brought to where they are kept.",
            &telemetry.samples_stored,
        ),
        (
            "gateway_samples_dropped_total",
            "Samples that found no room while the store was away.",
            &telemetry.samples_dropped,
        ),
        (
            "recent_points_refused_total",
            "Times that a point found no room among those that have recent values.",
            &telemetry.recent_points_refused,
        ),
    ] {
        text.counter(name, help, load(counter));
    }
    for (name, help, counter) in [
        (
            "history_values_dropped_total",
            "Values that found no room on their way from the yard to history.",
            &telemetry.history_values_dropped,
        ),
        (
            "history_minutes_stored_total",
            "Minutes of history, one for each point, brought to the config store.",
            &telemetry.history_minutes_stored,
        ),
        (
            "history_minutes_dropped_total",
            "Minutes of history that found no room while the config store was away.",
            &telemetry.history_minutes_dropped,
        ),
        (
            "history_minutes_swept_total",
            "Minutes of history deleted for their age.",
            &telemetry.history_minutes_swept,
        ),
        (
            "history_points_refused_total",
            "Times that a chosen point found no room.",
            &telemetry.history_points_refused,
        ),
    ] {
        text.counter(name, help, load(counter));
    }
    text.gauge(
        "history_minutes_waiting",
        "Minutes of history that wait for the config store.",
        load(&telemetry.history_minutes_waiting) as usize,
    );
    text.gauge(
        "recent_points",
        "Points that recent values are kept of.",
        load(&telemetry.recent_points) as usize,
    );
    text.gauge(
        "history_points",
        "Points that history is recorded of.",
        load(&telemetry.history_points) as usize,
    );
    for (name, help, gauge) in [
        (
            "rollouts_owned",
            "1 while roll-outs are this gateway's chore; the rest is told by the gateway whose chore they are.",
            &telemetry.rollouts_owned,
        ),
        (
            "rollouts_under_way",
            "Roll-outs in this gateway's hands.",
            &telemetry.rollouts_under_way,
        ),
        (
            "rollouts_waiting",
            "Roll-outs that wait for their turn.",
            &telemetry.rollouts_waiting,
        ),
        (
            "rollouts_halted",
            "Roll-outs that a rule has halted and that wait for a person.",
            &telemetry.rollouts_halted,
        ),
    ] {
        text.gauge(name, help, load(gauge) as usize);
    }
    text.counter(
        "rollout_halts_total",
        "Times that a rule has halted a roll-out, those included that were then rolled back by themselves.",
        load(&telemetry.rollout_halts),
    );
    text.labelled(
        "rollout_actions_total",
        "What was done at controllers for roll-outs, by how it ended.",
        "outcome",
        [
            ("looked", load(&telemetry.rollout_looks)),
            ("changed", load(&telemetry.rollout_changes)),
            ("refused", load(&telemetry.rollout_refusals)),
            ("unreached", load(&telemetry.rollout_unreached)),
        ]
        .into_iter(),
    );
    text.counter(
        "rollout_store_failures_total",
        "Times that a roll-out had to wait for the store, or the lease was not renewed.",
        load(&telemetry.rollout_store_failures),
    );
    text.counter(
        "rollout_observers_failed_total",
        "Times that a roll-out was not told who of its controllers is there, and tried again.",
        load(&telemetry.rollout_observers_failed),
    );
    text.counter(
        "journal_failures_total",
        "Writes, syncs and reads of the journal that failed.",
        load(&telemetry.journal_failures),
    );
    text.counter(
        "journal_records_lost_total",
        "Records that could not be written to the journal.",
        load(&telemetry.journal_records_lost),
    );
    text.counter(
        "journal_denials_skipped_total",
        "Things that were not allowed and are on no record, past 60 of an account in a minute.",
        load(&telemetry.journal_denials_skipped),
    );
    text.counter(
        "journal_segments_dropped_total",
        "Segments of the journal that went, for want of room, although they were needed.",
        load(&telemetry.journal_segments_dropped),
    );
    text.gauge(
        "journal_bytes",
        "What the journal takes on the disk.",
        load(&telemetry.journal_bytes) as usize,
    );
    integrations(&mut text, telemetry);
    alarms(&mut text, telemetry);
    let Some(report) = api.yard.report().await else {
        return Err(Problem::store_unavailable());
    };
    let (counters, gauges) = (&report.counters, &report.gauges);
    let peers_inside = load(&telemetry.peers_inside) as usize;
    text.labelled(
        "sessions_ended_total",
        "Ends of live sessions, by reason.",
        "reason",
        by_code(&counters.ended),
    );
    text.labelled(
        "requests_refused_total",
        "Requests and commands that the gateway refused, by reason.",
        "reason",
        by_code(&counters.refused),
    );
    text.labelled(
        "frames_dropped_total",
        "Frames dropped without an answer, by reason.",
        "reason",
        by_code(&counters.dropped),
    );
    text.labelled(
        "receipts_total",
        "Commands that came to this stage.",
        "stage",
        Stage::ALL
            .iter()
            .map(|&stage| (stage.name(), counters.stage(stage))),
    );
    for (name, help, value) in [
        (
            "frames_received_total",
            "Frames that came in.",
            counters.frames_received,
        ),
        (
            "frames_sent_total",
            "Frames that went out, every copy counted.",
            counters.frames_sent,
        ),
        (
            "deltas_taken_total",
            "Status deltas taken in order.",
            counters.deltas_taken,
        ),
        (
            "status_conflated_total",
            "Status frames held back from slow subscribers.",
            counters.status_conflated,
        ),
        (
            "snapshots_asked_total",
            "Full statuses asked for because of a gap.",
            counters.snapshots_asked,
        ),
        (
            "receipts_repeated_total",
            "Receipts that repeated what was known.",
            counters.receipts_repeated,
        ),
        (
            "keys_repeated_total",
            "Commands whose key was known already.",
            counters.keys_repeated,
        ),
        (
            "commands_resent_total",
            "Commands sent again, never having arrived.",
            counters.commands_resent,
        ),
        (
            "events_taken_total",
            "Events and alarms of controllers that were passed on.",
            counters.events_taken,
        ),
        (
            "events_repeated_total",
            "Events and alarms that were passed on before.",
            counters.events_repeated,
        ),
        (
            "duplicate_addresses_total",
            "Addresses whose sessions kept replacing each other.",
            counters.duplicate_addresses,
        ),
        (
            "store_failures_total",
            "Writes of commands and event numbers that failed or are unclear.",
            counters.store_failures,
        ),
    ] {
        text.counter(name, help, value);
    }
    for (name, help, value) in [
        (
            "controllers_known",
            "Controllers that are enrolled.",
            gauges.controllers_known,
        ),
        (
            "controllers_online",
            "Controllers that are there.",
            gauges.controllers_online,
        ),
        (
            "statuses_waiting",
            "Statuses that wait for the status store or are under way there.",
            report.statuses_waiting,
        ),
        (
            "tools_online",
            "Tools that are there.",
            gauges.tools_online.saturating_sub(peers_inside),
        ),
        (
            "peers_inside",
            "Parts of this process that act in the yard as tools do.",
            peers_inside,
        ),
        ("subscribers", "Tools that take status.", gauges.subscribers),
        (
            "commands_in_flight",
            "Commands sent and not ended.",
            gauges.commands_in_flight,
        ),
        (
            "commands_waiting",
            "Commands that wait for a controller.",
            gauges.commands_waiting,
        ),
        (
            "receipts_kept",
            "Ended commands whose last receipt is kept.",
            gauges.receipts_kept,
        ),
        (
            "requests_open",
            "Requests that a controller has yet to answer.",
            gauges.requests_open,
        ),
        (
            "queued_bytes",
            "Bytes of frames that wait in the queues of all peers.",
            gauges.queued_bytes,
        ),
    ] {
        text.gauge(name, help, value);
    }
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        text.0,
    )
        .into_response())
}
