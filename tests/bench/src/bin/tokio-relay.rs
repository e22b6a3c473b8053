//! The straightforward relay: one tokio task for each connection, a sharded map of address to
//! channel. Usage: `tokio-relay TCP_ADDRESS WS_ADDRESS [yield]`.
//!
//! With `yield` a writer first lets every other ready task run, then writes all that has come
//! together: tokio otherwise runs a just-woken task next, which makes one write of each message.

use anyhow::{Context, Result};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use switchyard_bench::bare;
use switchyard_protocol::limits::HEADER_BYTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_tungstenite::tungstenite::{self, Message};

const BACKLOG: u32 = 4096;
const SHARDS: usize = 64;
/// Frames that a writer takes at once.
const BATCH: usize = 64;
/// The same after it has let the others run.
const BATCH_AFTER_YIELD: usize = 1024;
const READ_BYTES: usize = 2048;

type Outbox = UnboundedSender<Bytes>;

#[derive(Default)]
struct Shard {
    peers: HashMap<u32, Outbox>,
    watchers: HashMap<u32, Vec<u32>>,
}

struct Hub {
    shards: Vec<Mutex<Shard>>,
    yields: bool,
}

impl Hub {
    fn shard(&self, address: u32) -> MutexGuard<'_, Shard> {
        self.shards[address as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, destination: u32, frame: Bytes) {
        if let Some(outbox) = self.shard(destination).peers.get(&destination) {
            // A receiver that has gone takes nothing more.
            let _ = outbox.send(frame);
        }
    }

    /// Handles one frame of the connection whose outbox this is.
    fn route(&self, frame: Bytes, me: &mut Option<u32>, outbox: &Outbox) {
        if frame.len() < HEADER_BYTES {
            return;
        }
        let source = bare::u32_at(&frame, bare::SOURCE_AT);
        match bare::u32_at(&frame, bare::DESTINATION_AT) {
            0 => match frame[0] {
                bare::STATUS => {
                    let watchers = self.shard(source).watchers.get(&source).cloned();
                    for watcher in watchers.unwrap_or_default() {
                        self.send(watcher, frame.clone());
                    }
                }
                bare::HELLO => {
                    *me = Some(source);
                    self.shard(source).peers.insert(source, outbox.clone());
                }
                bare::WATCH if frame.len() >= HEADER_BYTES + 4 => {
                    let watched = bare::u32_at(&frame, HEADER_BYTES);
                    let mut shard = self.shard(watched);
                    shard.watchers.entry(watched).or_default().push(source);
                }
                _ => {}
            },
            destination => self.send(destination, frame),
        }
    }

    fn leave(&self, me: Option<u32>) {
        if let Some(address) = me {
            self.shard(address).peers.remove(&address);
        }
    }

    /// Lets the others run, if that is wanted, and takes what they have added.
    async fn gather(&self, inbox: &mut UnboundedReceiver<Bytes>, batch: &mut Vec<Bytes>) {
        if self.yields {
            tokio::task::yield_now().await;
            while batch.len() < BATCH_AFTER_YIELD
                && let Ok(frame) = inbox.try_recv()
            {
                batch.push(frame);
            }
        }
    }
}

fn take_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = bare::frame_bytes(buffer)?;
    (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
}

async fn controller(mut stream: TcpStream, hub: &Hub, me: &mut Option<u32>) -> io::Result<()> {
    let (outbox, mut inbox) = unbounded_channel();
    let (mut reader, mut writer) = stream.split();
    let (mut received, mut joined, mut batch) = (BytesMut::new(), BytesMut::new(), Vec::new());
    loop {
        received.reserve(READ_BYTES);
        tokio::select! {
            count = reader.read_buf(&mut received) => {
                if count? == 0 {
                    return Ok(());
                }
                while let Some(frame) = take_frame(&mut received) {
                    hub.route(frame, me, &outbox);
                }
            }
            _ = inbox.recv_many(&mut batch, BATCH) => {
                hub.gather(&mut inbox, &mut batch).await;
                if let [frame] = &batch[..] {
                    writer.write_all(frame).await?;
                } else {
                    batch.iter().for_each(|frame| joined.extend_from_slice(frame));
                    writer.write_all(&joined).await?;
                    joined.advance(joined.len());
                }
                batch.clear();
            }
        }
    }
}

async fn tool(stream: TcpStream, hub: &Hub, me: &mut Option<u32>) -> tungstenite::Result<()> {
    let (outbox, mut inbox) = unbounded_channel();
    let (mut sink, mut source) = tokio_tungstenite::accept_async(stream).await?.split();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(Message::Binary(frame))) => hub.route(frame, me, &outbox),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = inbox.recv_many(&mut batch, BATCH) => {
                hub.gather(&mut inbox, &mut batch).await;
                for frame in batch.drain(..) {
                    sink.feed(Message::Binary(frame)).await?;
                }
                sink.flush().await?;
            }
        }
    }
}

fn main() -> Result<()> {
    switchyard_bench::process::raise_open_files()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut listen = |what: &str| {
        let address = arguments
            .next()
            .with_context(|| format!("expected the address of the {what} listener"))?;
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address.parse()?)?;
        socket
            .listen(BACKLOG)
            .with_context(|| format!("listening on {address}"))
    };
    let (tcp, websocket) = (listen("TCP")?, listen("WebSocket")?);
    let hub = Arc::new(Hub {
        shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        yields: arguments.next().as_deref() == Some("yield"),
    });
    loop {
        let (is_websocket, stream) = tokio::select! {
            accepted = tcp.accept() => (false, accepted?.0),
            accepted = websocket.accept() => (true, accepted?.0),
        };
        stream.set_nodelay(true)?;
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            let mut me = None;
            // How a connection ends is the generator's to judge.
            if is_websocket {
                let _ = tool(stream, &hub, &mut me).await;
            } else {
                let _ = controller(stream, &hub, &mut me).await;
            }
            hub.leave(me);
        });
    }
}
