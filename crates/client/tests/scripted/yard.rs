//! A scripted gateway that goes on by itself: a few boards, any number of tools, commands carried
//! out or refused as told. For tests of whole programs.

use crate::scripted::{
    Desk, Gateway, Peer, TIME, TOKEN, delta_of, full, presence, receipt, response, serve,
};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
};
use switchyard_protocol::{
    Address, Code, Frame, Header, Kind,
    firmware::FirmwareVersion,
    message::{
        self, Action, Answer, Body, Cause, CauseKind, Change, Command, FirmwareHealth,
        FirmwareState, GapCause, Health, LogEntry, NamedValue, Parameter, PeerKind, Point, Request,
        ResetReason, ScanHealth, ScriptFault, ScriptHealth, ScriptState, Stage, Text, ValueType,
        Verb,
    },
};
use tokio::{
    sync::{broadcast, mpsc},
    task::{JoinHandle, JoinSet},
};

/// One controller of the yard.
#[derive(Clone)]
pub(crate) struct Board {
    pub(crate) title: &'static str,
    pub(crate) online: bool,
    pub(crate) boot: u32,
    pub(crate) sequence: u32,
    pub(crate) points: Vec<Point>,
    pub(crate) commands: &'static [&'static str],
    /// How its commands fare: stages after `sent`, then the reason of the last.
    pub(crate) fate: (&'static [Stage], Option<Code>),
    /// The script that was written to it; one that does not begin with `in ` does not compile.
    pub(crate) source: Vec<u8>,
}

/// The fate of a command that is simply carried out.
pub(crate) const EXECUTED: (&[Stage], Option<Code>) = (&[Stage::Delivered, Stage::Executed], None);

struct State {
    boards: BTreeMap<u32, Board>,
    /// The commands that came, in order.
    commands: Vec<(Header, Command)>,
    next_address: u32,
    start: u8,
}

#[derive(Clone)]
enum Push {
    ToAll(Frame),
    HangUp,
    Refuse(Code),
}

/// A running scripted gateway; it ends with its drop.
pub(crate) struct Yard {
    pub(crate) url: String,
    /// Whether it has no account yet.
    pub(crate) is_new: Arc<AtomicBool>,
    /// What it says over HTTP besides log-ins.
    pub(crate) desk: Desk,
    state: Arc<Mutex<State>>,
    push: broadcast::Sender<Push>,
    task: JoinHandle<()>,
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Yard {
    pub(crate) async fn start(boards: impl IntoIterator<Item = (u32, Board)>) -> Self {
        let gateway = Gateway::bind().await;
        let url = gateway.url();
        let is_new = gateway.is_new.clone();
        let desk = gateway.desk.clone();
        let state = Arc::new(Mutex::new(State {
            boards: boards.into_iter().collect(),
            commands: Vec::new(),
            next_address: 0xC000_0001,
            start: 1,
        }));
        let push = broadcast::Sender::new(256);
        let task = tokio::spawn(run(gateway, state.clone(), push.clone()));
        Yard {
            url,
            is_new,
            desk,
            state,
            push,
            task,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The commands that have come so far.
    pub(crate) fn commands(&self) -> Vec<(Header, Command)> {
        self.state().commands.clone()
    }

    /// Changes a point as the world would.
    pub(crate) fn change(&self, address: u32, index: u8, value: i64) {
        let frame = self
            .state()
            .change(address, index, value, Cause::plain(CauseKind::Input));
        let _ = self.push.send(Push::ToAll(frame));
    }

    /// Makes a board come or go.
    pub(crate) fn set_online(&self, address: u32, online: bool) {
        let mut state = self.state();
        let board = state.boards.get_mut(&address).unwrap();
        board.online = online;
        let frames = [
            presence(Address::GATEWAY, address, online, board.title),
            full(address, board.boot, board.sequence, &board.points),
        ];
        let told = if online { 2 } else { 1 };
        for frame in frames.into_iter().take(told) {
            let _ = self.push.send(Push::ToAll(frame));
        }
    }

    /// Says how a board's commands fare from now on.
    pub(crate) fn set_fate(&self, address: u32, fate: (&'static [Stage], Option<Code>)) {
        self.state().boards.get_mut(&address).unwrap().fate = fate;
    }

    /// Breaks every connection, without a word.
    pub(crate) fn hang_up(&self) {
        let _ = self.push.send(Push::HangUp);
    }

    /// Breaks every connection with a code.
    pub(crate) fn refuse(&self, code: Code) {
        let _ = self.push.send(Push::Refuse(code));
    }

    /// Passes a controller's event on to every tool.
    pub(crate) fn happened(&self, from: u32, event: &message::Event) {
        let (from, gateway) = (Address(from), Address::GATEWAY);
        let frame = Frame::new(Kind::Event, 0, from, gateway, &event.encode());
        let _ = self.push.send(Push::ToAll(frame));
    }

    /// Sends a line to every tool, as another tool would.
    pub(crate) fn note(&self, from: u32, text: &str) {
        let event = message::Event::Note {
            text: Text::new(text).unwrap(),
        };
        let frame = Frame::new(
            Kind::Event,
            0,
            Address(from),
            Address::GATEWAY,
            &event.encode(),
        );
        let _ = self.push.send(Push::ToAll(frame));
    }
}

impl State {
    fn change(&mut self, address: u32, index: u8, value: i64, cause: Cause) -> Frame {
        let board = self.boards.get_mut(&address).unwrap();
        board.sequence += 1;
        let point = board
            .points
            .iter_mut()
            .find(|it| it.index == index)
            .unwrap();
        point.value = value;
        point.cause = cause;
        let change = Change {
            index,
            value,
            flags: point.flags,
            cause,
        };
        delta_of(address, board.boot, board.sequence, vec![change])
    }

    fn snapshot(&self, to: Address, address: u32) -> Vec<Frame> {
        let board = &self.boards[&address];
        vec![
            presence(to, address, board.online, board.title),
            full(address, board.boot, board.sequence, &board.points),
        ]
    }
}

async fn run(gateway: Gateway, state: Arc<Mutex<State>>, push: broadcast::Sender<Push>) {
    let mut tools = JoinSet::new();
    loop {
        let Ok((stream, _)) = gateway.listener.accept().await else {
            return;
        };
        let (state, push) = (state.clone(), push.clone());
        let (is_new, desk) = (gateway.is_new.clone(), gateway.desk.clone());
        tools.spawn(async move {
            if let Some(peer) = serve(stream, &is_new, &desk).await {
                tool(peer, state, push).await;
            }
        });
    }
}

async fn tool(mut peer: Peer, state: Arc<Mutex<State>>, push: broadcast::Sender<Push>) {
    if peer.hello.token.as_deref() != Some(TOKEN) {
        return peer.refuse(Code::BadToken).await;
    }
    let (address, start) = {
        let mut state = state.lock().unwrap();
        state.next_address += 1;
        let address = match peer.hello.installation {
            Some(_) => 0x8000_0001,
            None => state.next_address,
        };
        (address, state.start)
    };
    let mut pushes = push.subscribe();
    let (later, mut held) = mpsc::channel::<Frame>(64);
    peer.welcome(address, start).await;
    loop {
        tokio::select! {
            frame = peer.any_frame() => match frame {
                None => return,
                Some(frame) if frame.header().kind == Kind::Ping => {
                    peer.pong(frame.header(), TIME).await;
                }
                Some(frame) => {
                    let out = answer(&frame, &state, &push, &later);
                    peer.send(out).await;
                }
            },
            Some(frame) = held.recv() => peer.send([frame]).await,
            pushed = pushes.recv() => match pushed {
                Ok(Push::ToAll(frame)) => peer.send([frame]).await,
                Ok(Push::HangUp) => return,
                Ok(Push::Refuse(code)) => return peer.refuse(code).await,
                Err(_) => return,
            },
        }
    }
}

/// What the gateway and its controllers say to a frame.
fn answer(
    frame: &Frame,
    state: &Mutex<State>,
    push: &broadcast::Sender<Push>,
    later: &mpsc::Sender<Frame>,
) -> Vec<Frame> {
    let header = *frame.header();
    let mut state = state.lock().unwrap();
    if header.kind == Kind::Command {
        let command = Command::decode(frame.payload()).unwrap();
        return carry_out(&header, command, &mut state, push, later);
    }
    if header.kind == Kind::Event {
        return Vec::new();
    }
    let request = Request::decode(header.kind, frame.payload()).unwrap();
    let verb = request.verb().number();
    let refuse = |code| vec![response(&header, &Answer::refused(code, verb))];
    let ok = |body| vec![response(&header, &Answer::Ok(body))];
    let asked = header.destination;
    match request {
        Request::Subscribe { controllers } => {
            let wanted: Vec<u32> = match controllers {
                None => state.boards.keys().copied().collect(),
                Some(addresses) => addresses.iter().map(|address| address.0).collect(),
            };
            let known = wanted.iter().filter(|it| state.boards.contains_key(it));
            let mut frames: Vec<Frame> = known
                .flat_map(|&address| state.snapshot(header.source, address))
                .collect();
            let count = wanted.len() as u32;
            frames.extend(ok(Body::Subscribe { count }));
            frames
        }
        Request::Unsubscribe => ok(Body::Done(Verb::Unsubscribe)),
        Request::Snapshot {
            controller: Some(address),
        } => {
            let mut frames = state.snapshot(header.source, address.0);
            frames.extend(ok(Body::Done(Verb::Snapshot)));
            frames
        }
        Request::Lookup { address } => match state.boards.get(&address.0) {
            None => refuse(Code::UnknownAddress),
            Some(board) => ok(Body::Lookup {
                address,
                online: board.online,
                since: TIME,
                title: crate::scripted::title(board.title),
            }),
        },
        Request::Enrol { .. } => ok(Body::Enrol {
            controller: Address(100_099),
            key: [0xAB; 32],
        }),
        Request::Receipt { .. } => refuse(Code::UnknownCommand),
        Request::Identify if asked == Address::GATEWAY => ok(Body::Identify {
            title: crate::scripted::title("a scripted gateway"),
            software: crate::scripted::title("scripted 1.0"),
            peer_kind: PeerKind::Gateway,
        }),
        Request::Identify | Request::Describe => match state.boards.get(&asked.0) {
            None => refuse(Code::UnknownAddress),
            Some(board) if !board.online => refuse(Code::Offline),
            Some(board) if request == Request::Identify => ok(Body::Identify {
                title: crate::scripted::title(board.title),
                software: crate::scripted::title("switchyard-firmware 0.1.0"),
                peer_kind: PeerKind::Controller,
            }),
            Some(board) => ok(Body::Describe {
                behaviour: crate::scripted::title("latching output"),
                commands: board.commands.iter().map(|it| Text::cut(it)).collect(),
            }),
        },
        request => match state.boards.get_mut(&asked.0) {
            None => refuse(Code::UnknownAddress),
            Some(board) if !board.online => refuse(Code::Offline),
            Some(board) => vec![response(&header, &inside(&mut board.source, request))],
        },
    }
}

/// What a board says of its inside.
fn inside(source: &mut Vec<u8>, request: Request) -> Answer {
    let verb = request.verb();
    Answer::Ok(match request {
        Request::Parameters => Body::Parameters {
            parameters: vec![Parameter {
                name: crate::scripted::name("delay"),
                value_type: ValueType::Time,
                value: 30_000,
                min: 1_000,
                max: 600_000,
            }],
        },
        Request::Values { .. } => Body::Values {
            values: vec![NamedValue {
                name: crate::scripted::name("level"),
                value_type: ValueType::Num,
                value: -500,
            }],
            total: 1,
        },
        Request::Log { before } => Body::Log {
            // Two to an answer, down to number 1.
            entries: (1..before.unwrap_or(6)).rev().take(2).map(entry).collect(),
        },
        Request::Health => Body::Health(Box::new(health())),
        Request::Force { .. } | Request::Release { .. } => Body::Done(verb),
        Request::Trial { .. } if source.is_empty() => {
            return Answer::refused(Code::WrongState, verb.number());
        }
        Request::Trial { .. } => Body::Done(verb),
        Request::TransferOpen { .. } => {
            source.clear();
            Body::TransferOpen { offset: 0 }
        }
        Request::TransferWrite { bytes, .. } => {
            source.extend_from_slice(&bytes);
            let offset = source.len() as u32;
            Body::TransferWrite { offset }
        }
        Request::TransferCommit { .. } => {
            let is_good = source.starts_with(b"in ");
            let fault = (!is_good).then(|| ScriptFault {
                line: 1,
                column: 1,
                expected: Text::cut("a statement"),
                fix: None,
                other_line: None,
            });
            Body::TransferCommit { fault }
        }
        Request::TransferRead { offset, .. } => Body::TransferRead {
            size: source.len() as u32,
            bytes: source[offset as usize..].to_vec().into(),
            digest: Blake2b::<U32>::digest(&*source).into(),
        },
        _ => return Answer::refused(Code::Unsupported, verb.number()),
    })
}

fn entry(number: u32) -> LogEntry {
    LogEntry {
        number,
        time: Some(TIME),
        uptime_ms: 1_000 * u64::from(number),
        about: Text::cut("RL1"),
        value: Some(i64::from(number % 2)),
        cause: Cause::plain(CauseKind::Script),
    }
}

fn health() -> Health {
    Health {
        uptime_ms: 7_200_000,
        boot: 1,
        reset: ResetReason::Power,
        free_bytes: Some(18_000),
        scan: ScanHealth {
            late: 3,
            longest_gap_ms: 98,
            gap_cause: GapCause::Erase,
            cost_us: 740,
        },
        script: ScriptHealth {
            state: ScriptState::OnTrial,
            trial_left_ms: Some(120_000),
            title: Some(crate::scripted::title("tank")),
            digest: None,
            faults: 2,
        },
        firmware: Some(FirmwareHealth {
            state: FirmwareState::OnTrial,
            slot: 2,
            version: FirmwareVersion(0x0301),
            profile: crate::scripted::title("nodemcu"),
        }),
    }
}

fn carry_out(
    header: &Header,
    command: Command,
    state: &mut State,
    push: &broadcast::Sender<Push>,
    later: &mpsc::Sender<Frame>,
) -> Vec<Frame> {
    state.commands.push((*header, command.clone()));
    let address = header.destination.0;
    let refuse = |code| vec![receipt(header, &command, Stage::Refused, Some(code), true)];
    let (is_online, fate) = match state.boards.get(&address) {
        None => return refuse(Code::UnknownAddress),
        Some(board) => (board.online, board.fate),
    };
    if !is_online {
        return match command.wait {
            true => vec![receipt(header, &command, Stage::Queued, None, false)],
            false => refuse(Code::Offline),
        };
    }
    let (stages, reason) = fate;
    let mut frames = vec![receipt(header, &command, Stage::Sent, None, false)];
    for (at, &stage) in stages.iter().enumerate() {
        let is_last = at + 1 == stages.len() && stage >= Stage::Executed;
        let reason = reason.filter(|_| is_last);
        frames.push(receipt(header, &command, stage, reason, is_last));
    }
    let is_carried_out = stages.contains(&Stage::Executed);
    if let Action::Set { point, value } = &command.action
        && is_carried_out
    {
        let board = &state.boards[&address];
        let found = board.points.iter().find(|it| it.name == *point);
        let Some(index) = found.map(|point| point.index) else {
            return vec![
                receipt(header, &command, Stage::Sent, None, false),
                receipt(
                    header,
                    &command,
                    Stage::Refused,
                    Some(Code::UnknownPoint),
                    true,
                ),
            ];
        };
        let cause = Cause {
            kind: CauseKind::Command,
            by: Some(header.source),
            reference: Some(command.key.reference()),
        };
        let delta = state.change(address, index, *value, cause);
        let _ = push.send(Push::ToAll(delta));
    }
    // Receipts go the way of everything else to this tool, one message each.
    for frame in frames {
        let _ = later.try_send(frame);
    }
    Vec::new()
}
