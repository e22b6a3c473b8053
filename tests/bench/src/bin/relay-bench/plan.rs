//! What is measured, and whom.

use clap::ValueEnum;

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Server {
    /// Our gateway, over the clear link and plain WebSocket: as its peers are.
    Switchyard,
    /// Our gateway as it is used: Noise to controllers, TLS to operators.
    SwitchyardReal,
    /// The bare-epoll relay that does nothing but forward.
    Floor,
    /// The plain tokio relay, a task for each connection.
    TokioRelay,
    /// The same, which lets others run before it writes.
    TokioYield,
    /// Debian's mosquitto.
    Mosquitto,
    /// Debian's nats-server.
    Nats,
    /// rumqttd of crates.io.
    Rumqttd,
}

impl Server {
    /// Those that are measured when none is named.
    pub(crate) const DEFAULT: [Server; 6] = [
        Server::Switchyard,
        Server::SwitchyardReal,
        Server::Floor,
        Server::Mosquitto,
        Server::Nats,
        Server::Rumqttd,
    ];

    /// The name on the command line and in tables.
    pub(crate) fn name(self) -> String {
        name_of(self)
    }

    /// Whether it is ours.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Server::Switchyard | Server::SwitchyardReal)
    }

    /// Whether the run has failed when this one does: a peer's failure is only told.
    pub(crate) fn must_work(self) -> bool {
        self.is_ours() || self == Server::Floor
    }

    /// The generator's driver.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Server::Switchyard | Server::SwitchyardReal => "switchyard",
            Server::Floor | Server::TokioRelay | Server::TokioYield => "bare",
            Server::Mosquitto | Server::Rumqttd => "mqtt",
            Server::Nats => "nats",
        }
    }
}

/// A workload of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Workload {
    /// 1,000 controllers tell 20 operators their status, one in flight for each controller.
    PushW1,
    /// The same with eight in flight.
    PushW8,
    /// 20 operators command 200 controllers, one in flight for each operator.
    #[value(name = "rtt-200-w1")]
    Rtt200W1,
    /// The same with 32 in flight.
    #[value(name = "rtt-200-w32")]
    Rtt200W32,
    /// 200 operators command 2,000 controllers, one in flight for each operator.
    #[value(name = "rtt-2000-w1")]
    Rtt2000W1,
    /// 20 controllers tell 50 operators their status, each of them all of it.
    #[value(name = "fanout-50")]
    Fanout50,
    /// 20 operators command 200 controllers, 10,000 times a second in all.
    Paced,
    /// Controllers' connections that do nothing, and what it cost to accept them.
    IdleTcp,
    /// Operators' connections that do nothing, and what it cost to accept them.
    IdleWs,
}

/// Round trips a second in [`Workload::Paced`].
pub(crate) const PACE: f64 = 10_000.0;

impl Workload {
    /// The columns of the first table, which are those of the last line.
    pub(crate) const SPEED: [Workload; 6] = [
        Workload::PushW1,
        Workload::PushW8,
        Workload::Rtt200W1,
        Workload::Rtt200W32,
        Workload::Rtt2000W1,
        Workload::Fanout50,
    ];

    /// The name on the command line, in tables and in the last line.
    pub(crate) fn name(self) -> String {
        name_of(self)
    }

    /// What the generator is to do.
    pub(crate) fn load(self, idle_connections: usize) -> Load {
        let load = Load {
            kind: "push",
            controllers: 200,
            operators: 20,
            window: 1,
            rate: None,
            live: None,
        };
        match self {
            Workload::PushW1 => Load {
                controllers: 1_000,
                ..load
            },
            Workload::PushW8 => Load {
                controllers: 1_000,
                window: 8,
                ..load
            },
            Workload::Rtt200W1 => Load {
                kind: "rtt",
                ..load
            },
            Workload::Rtt200W32 => Load {
                kind: "rtt",
                window: 32,
                ..load
            },
            Workload::Rtt2000W1 => Load {
                kind: "rtt",
                controllers: 2_000,
                operators: 200,
                ..load
            },
            Workload::Fanout50 => Load {
                kind: "fanout",
                controllers: 20,
                operators: 50,
                ..load
            },
            Workload::Paced => Load {
                kind: "rtt",
                window: 64,
                rate: Some(PACE),
                ..load
            },
            Workload::IdleTcp => Load {
                kind: "idle",
                controllers: idle_connections,
                operators: 0,
                ..load
            },
            Workload::IdleWs => Load {
                kind: "idle",
                controllers: 0,
                operators: idle_connections,
                ..load
            },
        }
    }
}

/// What the generator is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Its workload.
    pub(crate) kind: &'static str,
    /// Controllers.
    pub(crate) controllers: usize,
    /// Operators.
    pub(crate) operators: usize,
    /// Messages in flight.
    pub(crate) window: usize,
    /// Commands a second.
    pub(crate) rate: Option<f64>,
    /// Controllers that stay where the others are cut off.
    pub(crate) live: Option<usize>,
}

fn name_of(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().into())
}
