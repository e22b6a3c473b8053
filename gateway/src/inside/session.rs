//! The task of one peer inside: wishes in, frames out, and the other way round.

use super::Refusal;
use bytes::BytesMut;
use std::{collections::HashMap, time::Duration};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Header, Kind, limits,
    message::{
        Answer, Body, Command, ErrorMessage, Key, PeerKind, Ping, PingReply, Receipt, Request,
        Verb, verb_of,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};

/// Requests that a peer may have open: what the relay lets one have with a controller.
const REQUESTS_MAX: usize = limits::OPEN_REQUESTS_MAX * 4;
/// Commands whose receipts a peer waits for.
const COMMANDS_MAX: usize = 256;
/// One read of the socket.
const READ_BYTES: usize = 16 * 1024;
/// How often requests are looked through for those that took too long.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What becomes of a command, step by step.
pub(super) type Outcome = Result<Receipt, Refusal>;

/// What a peer is to do.
pub(super) enum Wish {
    /// Ask somebody.
    Ask {
        to: Address,
        request: Request,
        deadline: Instant,
        answer: oneshot::Sender<Result<Body, Refusal>>,
    },
    /// Give a command.
    Command {
        to: Address,
        command: Command,
        tell: mpsc::Sender<Outcome>,
    },
}

/// A request without its whole answer.
struct Waiting {
    asked: Address,
    verb: Verb,
    deadline: Instant,
    /// What came on earlier pages, and how many those were.
    earlier: Option<Body>,
    pages: usize,
    answer: oneshot::Sender<Result<Body, Refusal>>,
}

/// A command that is not over.
struct Given {
    correlation: u32,
    tell: mpsc::Sender<Outcome>,
}

/// See the module.
pub(super) struct Session {
    stream: UnixStream,
    address: Address,
    /// Which part of the gateway it is, for other tools that ask.
    part: &'static str,
    ping_interval: Duration,
    buffer: BytesMut,
    correlation: u32,
    requests: HashMap<u32, Waiting>,
    commands: HashMap<Key, Given>,
    out: Vec<u8>,
    /// A frame for whoever reads those, who has no room for it yet: nothing is read before it is gone.
    held: Option<Frame>,
    /// The gateway's last word.
    last_word: Option<Code>,
    /// Nothing that is written arrives any more; what was said before still may have to be read.
    is_cut: bool,
}

impl Session {
    /// A peer at one end of a socket pair whose other end the yard has.
    pub(super) fn new(
        stream: UnixStream,
        address: Address,
        part: &'static str,
        ping_interval: Duration,
    ) -> Self {
        Session {
            stream,
            address,
            part,
            ping_interval,
            buffer: BytesMut::new(),
            correlation: rand::random(),
            requests: HashMap::new(),
            commands: HashMap::new(),
            out: Vec::new(),
            held: None,
            last_word: None,
            is_cut: false,
        }
    }

    /// Runs until nobody holds the peer any more, or the yard ends it; then tells why.
    pub(super) async fn run(
        mut self,
        mut wishes: mpsc::Receiver<Wish>,
        frames: mpsc::Sender<Frame>,
        end: watch::Sender<Option<Code>>,
    ) {
        let code = self.serve(&mut wishes, &frames).await;
        let code = self.last_word.unwrap_or(code);
        end.send_replace(Some(code));
        for (_, waiting) in self.requests.drain() {
            let _ = waiting.answer.send(Err(code.into()));
        }
        for (_, given) in self.commands.drain() {
            // One that reads none has room for nothing more, and learns it by the end of the channel.
            let _ = given.tell.try_send(Err(code.into()));
        }
        tracing::debug!(address = %self.address, part = self.part, reason = code.name(), "a peer inside ended");
    }

    async fn serve(
        &mut self,
        wishes: &mut mpsc::Receiver<Wish>,
        frames: &mpsc::Sender<Frame>,
    ) -> Code {
        let first_ping = Instant::now() + self.ping_interval;
        let mut pings = tokio::time::interval_at(first_ping, self.ping_interval);
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                read = self.stream.read_buf(&mut self.buffer), if self.held.is_none() => match read {
                    Ok(0) | Err(_) => return Code::LinkLost,
                    Ok(_) => {
                        if let Err(code) = self.take_frames(frames) {
                            return code;
                        }
                    }
                },
                room = frames.reserve(), if self.held.is_some() => {
                    if let (Ok(room), Some(frame)) = (room, self.held.take()) {
                        room.send(frame);
                    }
                    if let Err(code) = self.take_frames(frames) {
                        return code;
                    }
                }
                wish = wishes.recv() => match wish {
                    Some(wish) => self.fulfil(wish),
                    None => return Code::LinkLost,
                },
                _ = pings.tick() => {
                    let correlation = self.next_correlation();
                    self.send(Kind::Ping, Flags::NONE, correlation, Address::GATEWAY, &Ping.encode());
                }
                now = looks.tick(), if !self.requests.is_empty() => self.expire(now),
            }
            // The yard always reads, so this waits for its turn at most.
            let out = std::mem::take(&mut self.out);
            if !out.is_empty() && !self.is_cut {
                self.is_cut = self.stream.write_all(&out).await.is_err();
            }
        }
    }

    /// Deals with all whole frames that came, as long as there is room for what somebody reads.
    fn take_frames(&mut self, frames: &mpsc::Sender<Frame>) -> Result<(), Code> {
        while self.held.is_none()
            && let Some(frame) = Frame::decode(&mut self.buffer, limits::PAYLOAD_BYTES_MAX)
                .map_err(|error| error.code())?
        {
            if let Some(frame) = self.take(frame) {
                match frames.try_send(frame) {
                    Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                    Err(mpsc::error::TrySendError::Full(frame)) => self.held = Some(frame),
                }
            }
        }
        self.buffer.reserve(READ_BYTES);
        Ok(())
    }

    /// Deals with one frame; gives it back when it is for whoever reads frames.
    fn take(&mut self, frame: Frame) -> Option<Frame> {
        let header = *frame.header();
        match header.kind {
            Kind::Error => {
                let message = ErrorMessage::decode(frame.payload());
                self.last_word = message.ok().map(|message| message.code);
            }
            Kind::Ping if header.flags == Flags::NONE => {
                let reply = PingReply { time: None }.encode();
                self.send(
                    Kind::Ping,
                    Flags::REPLY,
                    header.correlation,
                    header.source,
                    &reply,
                );
            }
            Kind::Ping | Kind::Hello | Kind::Handshake => {}
            Kind::Receipt => self.take_receipt(&frame),
            Kind::Response => self.take_response(&frame),
            Kind::Query | Kind::Command | Kind::Configure | Kind::Admin => self.answer(&frame),
            Kind::StatusFull | Kind::StatusDelta | Kind::Event => return Some(frame),
        }
        None
    }

    fn take_receipt(&mut self, frame: &Frame) {
        // A stage of a later version is not final: the next one will be known.
        let Ok(receipt) = Receipt::decode(frame.payload()) else {
            return;
        };
        let (key, is_final) = (receipt.key, receipt.is_final);
        if let Some(given) = self.commands.get(&key) {
            let _ = given.tell.try_send(Ok(receipt));
        }
        if is_final {
            self.commands.remove(&key);
        }
    }

    fn take_response(&mut self, frame: &Frame) {
        let header = frame.header();
        let answer = Answer::decode(frame.payload());
        if let Some(waiting) = self.requests.get_mut(&header.correlation) {
            // The gateway may answer for anybody, nobody else may.
            if header.source != waiting.asked && header.source != Address::GATEWAY {
                return;
            }
            let answer = match answer {
                Ok(Answer::Ok(body)) if body.verb() == waiting.verb => {
                    match waiting.page(body, header.flags.contains(Flags::MORE)) {
                        Ok(None) => return,
                        Ok(Some(body)) => Ok(body),
                        Err(code) => Err(code.into()),
                    }
                }
                Ok(Answer::Refused { code, detail, .. }) => Err(refusal(code, detail)),
                // Not what was asked for: the answerer is at fault.
                Ok(Answer::Ok(_)) | Err(_) => Err(Code::Internal.into()),
            };
            if let Some(waiting) = self.requests.remove(&header.correlation) {
                // Whoever asked may have given up.
                let _ = waiting.answer.send(answer);
            }
        } else if let Ok(Answer::Refused { code, detail, .. }) = answer {
            // A command without a usable key, or whose controller is out of sight, has no receipt.
            let is_it = |given: &Given| given.correlation == header.correlation;
            let found = self.commands.iter().find(|(_, given)| is_it(given));
            if let Some(key) = found.map(|(key, _)| *key)
                && let Some(given) = self.commands.remove(&key)
            {
                let _ = given.tell.try_send(Err(refusal(code, detail)));
            }
        }
    }

    /// Somebody asks this peer: it says who it is, and does nothing.
    fn answer(&mut self, frame: &Frame) {
        let Header {
            kind,
            correlation,
            source,
            ..
        } = *frame.header();
        let verb = verb_of(frame.payload()).unwrap_or_default();
        let answer = match Request::decode(kind, frame.payload()) {
            Ok(Request::Identify) => Answer::Ok(Body::Identify {
                title: crate::own_title(),
                software: crate::own_software(),
                peer_kind: PeerKind::Program,
            }),
            Ok(_) => Answer::refused(Code::Unsupported, verb),
            Err(error) => Answer::refused(error.code(), verb),
        };
        if correlation != 0 && source != self.address {
            self.send(
                Kind::Response,
                Flags::NONE,
                correlation,
                source,
                &answer.encode(),
            );
        }
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Ask {
                to,
                request,
                deadline,
                answer,
            } => {
                if self.requests.len() >= REQUESTS_MAX {
                    let _ = answer.send(Err(Code::Busy.into()));
                    return;
                }
                let (correlation, verb) = (self.next_correlation(), request.verb());
                self.send(verb.kind(), Flags::NONE, correlation, to, &request.encode());
                let waiting = Waiting {
                    asked: to,
                    verb,
                    deadline,
                    earlier: None,
                    pages: 0,
                    answer,
                };
                self.requests.insert(correlation, waiting);
            }
            Wish::Command { to, command, tell } => {
                self.commands.retain(|_, given| !given.tell.is_closed());
                if self.commands.len() >= COMMANDS_MAX {
                    let _ = tell.try_send(Err(Code::Busy.into()));
                    return;
                }
                let correlation = self.next_correlation();
                self.send(
                    Kind::Command,
                    Flags::NONE,
                    correlation,
                    to,
                    &command.encode(),
                );
                self.commands
                    .insert(command.key, Given { correlation, tell });
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let late = self.requests.iter();
        let late = late.filter(|(_, it)| it.deadline <= now || it.answer.is_closed());
        let late: Vec<u32> = late.map(|(correlation, _)| *correlation).collect();
        for correlation in late {
            if let Some(waiting) = self.requests.remove(&correlation) {
                let _ = waiting.answer.send(Err(Code::TimedOut.into()));
            }
        }
    }

    fn next_correlation(&mut self) -> u32 {
        // 0 would say that no answer is wanted.
        self.correlation = self.correlation.wrapping_add(1).max(1);
        self.correlation
    }

    fn send(&mut self, kind: Kind, flags: Flags, correlation: u32, to: Address, payload: &[u8]) {
        let frame = Frame::with_flags(kind, flags, correlation, self.address, to, payload);
        self.out.extend_from_slice(frame.bytes());
    }
}

impl Waiting {
    /// Takes a page of the answer; the whole of it with the last one.
    fn page(&mut self, page: Body, has_more: bool) -> Result<Option<Body>, Code> {
        self.pages += 1;
        let whole = match (self.earlier.take(), page) {
            (None, page @ Body::Parameters { .. }) => page,
            (None, page) if !has_more => page,
            (Some(Body::Parameters { mut parameters }), Body::Parameters { parameters: more }) => {
                parameters.extend(more);
                Body::Parameters { parameters }
            }
            _ => return Err(Code::Internal),
        };
        let is_too_much = match &whole {
            Body::Parameters { parameters } => parameters.len() > limits::NAMES_MAX,
            _ => false,
        };
        if is_too_much || self.pages > limits::ANSWER_PAGES_MAX {
            return Err(Code::Internal);
        }
        if has_more {
            self.earlier = Some(whole);
            return Ok(None);
        }
        Ok(Some(whole))
    }
}

fn refusal(code: Code, detail: Option<switchyard_protocol::message::Text>) -> Refusal {
    Refusal {
        code,
        detail: detail.map(|detail| detail.as_str().to_owned()),
    }
}
