//! The task that owns the socket: dials, says hello, reads and writes, pings, and dials again.

use crate::{
    Backoff, Error, Event, GatewayClock, GatewayUrl, LinkState, Session,
    client::{Shared, Task},
    core::Core,
    http,
};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, SinkExt, StreamExt, stream::SplitStream};
use std::{
    pin::Pin,
    sync::{Arc, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    limits::{
        GATEWAY_MESSAGE_BYTES_MAX, HANDSHAKE_TIMEOUT, LINK_VERSION, PAYLOAD_BYTES_MAX,
        PING_REPLY_TIMEOUT, SLOW_PEER_TIMEOUT, TOOL_MESSAGE_BYTES_MAX,
    },
    message::{ErrorMessage, Ping, PingReply, ToolHello, ToolWelcome},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, ClientRequestBuilder, Message, protocol::WebSocketConfig},
};

type Socket = WebSocketStream<TcpStream>;

/// Frames that wait to be written. Requests and commands have their own, smaller bounds; a queue
/// that is full nevertheless belongs to a link that does not move.
const OUTBOUND_MAX: usize = 1024;
/// Messages taken in one go before listeners are told: a burst becomes one batch.
const MESSAGES_PER_BATCH: usize = 64;
/// How long a farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a stretch of the task's life ended.
enum End {
    /// Nobody holds the client any more, or somebody closed it.
    Closed(Option<oneshot::Sender<()>>),
    /// The link is to be made again, if that can help.
    Broken(Error),
}

/// The whole life of a client.
pub(crate) async fn run(
    options: crate::Options,
    mut tasks: mpsc::Receiver<Task>,
    shared: Arc<Shared>,
) {
    let mut core = Core::new(options, shared.clone());
    let mut backoff = Backoff::default();
    let done = loop {
        tell(&shared, LinkState::Connecting);
        let (live_since, end) = match attempt(&mut core, &mut tasks).await {
            Err(end) => (None, end),
            Ok(link) => {
                let since = Instant::now();
                let end = link.live(&mut core, &mut tasks, &shared).await;
                core.link_lost(Instant::now());
                (Some(since), end)
            }
        };
        let why = match end {
            End::Closed(done) => break done,
            End::Broken(error) => Arc::new(error),
        };
        tracing::info!(%why, "the link ended");
        if why.is_lasting() {
            core.close(Instant::now());
            tell(&shared, LinkState::Closed { why });
            break refuse_all(&mut tasks, &mut core).await;
        }
        if let Some(since) = live_since {
            backoff.session_ended(since.elapsed());
        }
        let retry_at = Instant::now() + backoff.next_wait(rand::random());
        tell(&shared, LinkState::Waiting { retry_at, why });
        let waited = meanwhile(sleep_until(retry_at), &mut core, &mut tasks).await;
        if let Err(done) = waited {
            break done;
        }
    };
    core.close(Instant::now());
    let why = Arc::new(Error::Closed);
    if !matches!(*shared.link.borrow(), LinkState::Closed { .. }) {
        tell(&shared, LinkState::Closed { why });
    }
    if let Some(done) = done {
        let _ = done.send(());
    }
}

/// Shows a state. The watch comes first: who hears the event may look at once.
fn tell(shared: &Shared, state: LinkState) {
    shared.link.send_replace(state.clone());
    let _ = shared.events.send(Event::Link(state));
}

/// Dials and says hello, while orders are refused.
async fn attempt(core: &mut Core, tasks: &mut mpsc::Receiver<Task>) -> Result<Link, End> {
    let gateway = core.options().gateway.clone();
    let hello = ToolHello {
        version: LINK_VERSION,
        token: Some(core.options().token.reveal().to_owned()),
        installation: core
            .options()
            .installation
            .map(|installation| installation.0),
        software: core.options().software.clone(),
    };
    let dialled = timeout(HANDSHAKE_TIMEOUT, dial(&gateway, hello)).map(|dialled| {
        dialled.unwrap_or(Err(Error::TimedOut {
            after: HANDSHAKE_TIMEOUT,
        }))
    });
    meanwhile(dialled, core, tasks)
        .await
        .map_err(End::Closed)?
        .map_err(End::Broken)
}

/// Runs `future` without a link: requests and commands are refused, open commands go on expiring.
/// Fails with whom to tell when the client is closed meanwhile.
async fn meanwhile<T>(
    future: impl Future<Output = T>,
    core: &mut Core,
    tasks: &mut mpsc::Receiver<Task>,
) -> Result<T, Option<oneshot::Sender<()>>> {
    tokio::pin!(future);
    loop {
        let due = core.next_due();
        tokio::select! {
            output = &mut future => return Ok(output),
            task = tasks.recv() => match task {
                None => return Err(None),
                Some(Task::Close(done)) => return Err(Some(done)),
                Some(task) => carry_out(task, core),
            },
            () = until(due) => core.tick(Instant::now()),
        }
    }
}

/// The link is closed for good, but handles are still there: they get an answer.
async fn refuse_all(
    tasks: &mut mpsc::Receiver<Task>,
    core: &mut Core,
) -> Option<oneshot::Sender<()>> {
    match meanwhile(std::future::pending::<()>(), core, tasks).await {
        Ok(()) => None,
        Err(done) => done,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Everything but closing.
fn carry_out(task: Task, core: &mut Core) {
    let now = Instant::now();
    match task {
        Task::Request {
            destination,
            request,
            deadline,
            reply,
        } => core.request(destination, request, deadline, reply),
        Task::Command { order, reply } => {
            let _ = reply.send(core.command(order, now));
        }
        Task::Note {
            destination,
            text,
            reply,
        } => {
            let _ = reply.send(core.note(destination, text));
        }
        Task::Interest(interest) => core.set_interest(interest, now),
        Task::Close(done) => _ = done.send(()),
    }
}

async fn dial(gateway: &GatewayUrl, hello: ToolHello) -> Result<Link, Error> {
    let stream = http::connect(gateway).await?;
    let not_a_gateway = |detail: String| Error::NotAGateway {
        gateway: gateway.authority(),
        detail,
    };
    let uri = format!("ws://{}/ws", gateway.authority())
        .parse()
        .map_err(|_| not_a_gateway("a URL that cannot be asked for".into()))?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol("switchyard.1");
    let config = WebSocketConfig::default()
        .max_message_size(Some(GATEWAY_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(GATEWAY_MESSAGE_BYTES_MAX))
        .read_buffer_size(16 * 1024);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(|error| match error {
            tungstenite::Error::Http(response) if response.status() == 401 => Error::Refused {
                code: Code::BadToken,
                detail: None,
            },
            tungstenite::Error::Io(source) => Error::Unreachable {
                gateway: gateway.authority(),
                source,
            },
            other => not_a_gateway(other.to_string()),
        })?;
    let (start, here) = (Address::GATEWAY, Address::GATEWAY);
    let frame = Frame::new(Kind::Hello, 0, here, start, &hello.encode());
    socket
        .send(Message::Binary(frame.into_bytes()))
        .await
        .map_err(|_| Error::LinkLost)?;
    let mut message = next_message(&mut socket).await?;
    let frame = Frame::decode_shared(&mut message, PAYLOAD_BYTES_MAX)
        .ok()
        .flatten()
        .ok_or_else(|| malformed("expected a whole frame first"))?;
    let payload = frame.payload();
    match frame.header().kind {
        Kind::Hello if frame.header().flags == Flags::REPLY => {
            let welcome = ToolWelcome::decode(payload)
                .map_err(|error| malformed(&format!("in its welcome: {error}")))?;
            Ok(Link {
                socket,
                welcome,
                rest: message,
            })
        }
        Kind::Error => {
            let last_word = ErrorMessage::decode(payload)
                .map_err(|error| malformed(&format!("in its refusal: {error}")))?;
            Err(Error::Refused {
                code: last_word.code,
                detail: last_word.detail.map(|detail| detail.as_str().to_owned()),
            })
        }
        other => Err(malformed(&format!(
            "expected a hello and found a {} frame",
            other.name()
        ))),
    }
}

fn malformed(detail: &str) -> Error {
    Error::Refused {
        code: Code::Malformed,
        detail: Some(format!("from the gateway: {detail}")),
    }
}

/// The next binary message's bytes. Cancel safe.
async fn next_message<S>(stream: &mut S) -> Result<Bytes, Error>
where
    S: futures_util::Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    loop {
        match stream.next().await {
            None | Some(Ok(Message::Close(_))) => return Err(Error::LinkLost),
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Text(_))) => return Err(malformed("a text message")),
            Some(Err(tungstenite::Error::Capacity(_))) => {
                return Err(Error::Refused {
                    code: Code::TooLarge,
                    detail: Some("from the gateway: a message above its limit".into()),
                });
            }
            Some(Err(_)) => return Err(Error::LinkLost),
        }
    }
}

/// A connection that has been welcomed.
struct Link {
    socket: Socket,
    welcome: ToolWelcome,
    /// Frames that came in the welcome's own message.
    rest: Bytes,
}

/// Ends its task with itself.
struct Writer(JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The half of a live link that [`Link::live`] turns over.
struct Live<'a> {
    core: &'a mut Core,
    shared: &'a Shared,
    outbound: mpsc::Sender<Frame>,
    address: Address,
    ping: Option<(u32, Instant)>,
}

impl Link {
    /// Lives until the link breaks or the client is closed.
    async fn live(
        self,
        core: &mut Core,
        tasks: &mut mpsc::Receiver<Task>,
        shared: &Arc<Shared>,
    ) -> End {
        let now = Instant::now();
        let welcome = self.welcome;
        let (sink, mut stream) = self.socket.split();
        let (outbound, frames) = mpsc::channel(OUTBOUND_MAX);
        let mut writer = Writer(tokio::spawn(write(sink, frames)));
        shared
            .clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(GatewayClock::new(welcome.time, now));
        tell(
            shared,
            LinkState::Live(Session {
                address: welcome.address,
                account: welcome.account.clone(),
                role: welcome.role,
                gateway: welcome.gateway,
            }),
        );
        core.link_made(&welcome, now);
        let mut live = Live {
            core,
            shared,
            outbound,
            address: welcome.address,
            ping: None,
        };
        // A gateway that asks for a storm of pings does not get one.
        let ping_interval = welcome.ping_interval.max(Duration::from_secs(1));
        let mut ping_at = now + ping_interval;
        let mut rest = Some(self.rest);
        let end = loop {
            if let Some(message) = rest.take()
                && let Err(error) = live.message(message, &mut stream)
            {
                break End::Broken(error);
            }
            if let Err(error) = live.flush() {
                break End::Broken(error);
            }
            let due = live.core.next_due();
            let ping_due = match live.ping {
                Some((_, sent)) => sent + PING_REPLY_TIMEOUT,
                None => ping_at,
            };
            tokio::select! {
                message = next_message(&mut stream) => match message {
                    Ok(message) => rest = Some(message),
                    Err(error) => break End::Broken(error),
                },
                task = tasks.recv() => match task {
                    None => break End::Closed(None),
                    Some(Task::Close(done)) => break End::Closed(Some(done)),
                    Some(task) => carry_out(task, live.core),
                },
                () = until(due) => {
                    live.core.tick(Instant::now());
                    live.core.publish();
                }
                () = sleep_until(ping_due) => {
                    if live.ping.is_some() {
                        break End::Broken(Error::TimedOut { after: PING_REPLY_TIMEOUT });
                    }
                    ping_at = Instant::now() + ping_interval;
                    live.send_ping();
                }
                _ = &mut writer.0 => break End::Broken(Error::LinkLost),
            }
        };
        drop(live);
        if matches!(end, End::Closed(_)) {
            // Without a sender the writer says farewell and ends.
            let _ = timeout(CLOSE_TIMEOUT, Pin::new(&mut writer.0)).await;
        }
        end
    }
}

impl Live<'_> {
    /// Takes a message, and whatever else is there already, and tells listeners once.
    fn message(&mut self, first: Bytes, stream: &mut SplitStream<Socket>) -> Result<(), Error> {
        let mut next = Some(first);
        let mut taken = 0;
        let mut outcome = Ok(());
        while let Some(mut message) = next.take() {
            let now = Instant::now();
            while let Some(frame) = Frame::decode_shared(&mut message, PAYLOAD_BYTES_MAX)
                .map_err(|error| malformed(&error.to_string()))?
            {
                outcome = self.frame(&frame, now);
                if outcome.is_err() {
                    break;
                }
            }
            if outcome.is_ok() && !message.is_empty() {
                outcome = Err(malformed("a message that does not end at a frame's end"));
            }
            taken += 1;
            if outcome.is_err() || taken == MESSAGES_PER_BATCH {
                break;
            }
            match next_message(stream).now_or_never() {
                None => {}
                Some(Ok(message)) => next = Some(message),
                Some(Err(error)) => outcome = Err(error),
            }
        }
        self.core.publish();
        outcome
    }

    fn frame(&mut self, frame: &Frame, now: Instant) -> Result<(), Error> {
        let header = frame.header();
        if header.kind == Kind::Ping && header.flags == Flags::REPLY {
            if let Some((correlation, sent)) = self.ping
                && correlation == header.correlation
            {
                self.ping = None;
                if let Ok(PingReply { time: Some(time) }) = PingReply::decode(frame.payload()) {
                    let mut clock = self
                        .shared
                        .clock
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    if let Some(clock) = clock.as_mut() {
                        clock.learn(time, sent, now);
                    }
                }
            }
            return Ok(());
        }
        self.core.frame(frame, now)
    }

    fn send_ping(&mut self) {
        let correlation = self.core.next_correlation();
        self.ping = Some((correlation, Instant::now()));
        let gateway = Address::GATEWAY;
        let payload = Ping.encode();
        let frame = Frame::new(Kind::Ping, correlation, self.address, gateway, &payload);
        // A full queue shows as a missing reply.
        let _ = self.outbound.try_send(frame);
    }

    fn flush(&mut self) -> Result<(), Error> {
        for frame in self.core.take_out() {
            self.outbound.try_send(frame).map_err(|_| Error::LinkLost)?;
        }
        Ok(())
    }
}

/// Writes frames, as many as fit to a message, until there is no sender or the socket breaks.
async fn write<S>(mut sink: S, mut frames: mpsc::Receiver<Frame>)
where
    S: futures_util::Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(frame) => frame,
            None => match frames.recv().await {
                Some(frame) => frame,
                None => break,
            },
        };
        let mut message = BytesMut::from(first.bytes().as_ref());
        while let Ok(frame) = frames.try_recv() {
            if message.len() + frame.bytes().len() > TOOL_MESSAGE_BYTES_MAX {
                next = Some(frame);
                break;
            }
            message.extend_from_slice(frame.bytes());
        }
        let sent = sink.send(Message::Binary(message.freeze()));
        if !matches!(timeout(SLOW_PEER_TIMEOUT, sent).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(None))).await;
}
