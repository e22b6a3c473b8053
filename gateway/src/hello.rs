//! A tool says who it is (`docs/protocol.md` §4.2).
//!
//! This runs on the gateway's general threads: only a tool that may come in is handed to the yard, so
//! what strangers do here costs its sessions nothing.

use crate::{
    access,
    config::Settings,
    door::Door,
    store::{ConfigStore, Login, StoreError, TokenHash},
    wire::{Step, WebWire, Wire, check_whole},
    yard::YardHandle,
};
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Header, Kind, limits,
    message::{ErrorMessage, ToolHello},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Leased addresses taken from the store at once.
const LEASE_BLOCK: u32 = 64;
/// One read of a socket.
const READ_BYTES: usize = 4 * 1024;
/// How long a refused tool has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A tool that may come in.
pub(crate) struct Welcomed {
    pub(crate) wire: WebWire,
    pub(crate) address: Address,
    pub(crate) token: TokenHash,
    pub(crate) login: Login,
    /// [`YardHandle::looks`] from before the log-in was looked up.
    pub(crate) looks: u64,
    /// Of its hello: the welcome repeats it.
    pub(crate) correlation: u32,
    /// Whole frames that it sent in one message with its hello.
    pub(crate) frames: Vec<u8>,
    /// What came after that message.
    pub(crate) rest: Vec<u8>,
}

/// What letting tools in needs.
pub(crate) struct Greeter {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Arc<dyn ConfigStore>,
    pub(crate) door: Arc<Door>,
    pub(crate) yard: YardHandle,
    pub(crate) leases: Arc<Leases>,
}

/// Leased addresses that are taken from the store and not yet given.
pub(crate) struct Leases {
    config: Arc<dyn ConfigStore>,
    addresses: Mutex<VecDeque<Address>>,
}

impl Leases {
    /// None yet, of this store.
    pub(crate) fn new(config: Arc<dyn ConfigStore>) -> Arc<Self> {
        Arc::new(Leases {
            config,
            addresses: Mutex::default(),
        })
    }

    /// The next one.
    ///
    /// # Errors
    /// The store's, where another block of them is needed.
    pub(crate) async fn next(&self) -> Result<Address, StoreError> {
        loop {
            let left = || {
                self.addresses
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
            };
            if let Some(address) = left().pop_front() {
                return Ok(address);
            }
            let first = self.config.lease_block(LEASE_BLOCK).await?;
            left().extend((0..LEASE_BLOCK).map(|offset| Address(first.0 + offset)));
        }
    }
}

impl Greeter {
    /// Takes an upgraded socket to its hello. What was read too much before comes in `rest`.
    ///
    /// # Errors
    /// Why it may not come in; [`Code::LinkLost`] when it just went.
    pub(crate) async fn greet(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        rest: Vec<u8>,
        ip: IpAddr,
        cookie: Option<TokenHash>,
    ) -> Result<Welcomed, Code> {
        let time_limit = self.settings.handshake_timeout;
        let hello = self.hello(stream, rest, ip, cookie);
        let outcome = tokio::time::timeout(time_limit, hello).await;
        outcome.unwrap_or(Err(Code::HandshakeTimeout))
    }

    async fn hello(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        mut rest: Vec<u8>,
        ip: IpAddr,
        cookie: Option<TokenHash>,
    ) -> Result<Welcomed, Code> {
        self.door.hello(ip, None)?;
        let mut wire = WebWire::default();
        let message = first_message(stream, &mut wire, &mut rest).await?;
        let (header, hello, frames) = read_hello(&message)?;
        let token = hello.token.as_deref().map(access::token_hash).or(cookie);
        let token = token.ok_or(Code::BadToken)?;
        let (now, looks) = (crate::clock::time(), self.yard.looks());
        let login = self.config.login(token, now).await;
        let login = login.map_err(|error| unavailable(&error))?;
        let login = login.ok_or(Code::BadToken)?;
        if login.rights.highest().is_none() {
            return Err(Code::Forbidden);
        }
        let address = match hello.installation {
            None => self.leases.next().await,
            Some(installation) => {
                let hash = access::installation_hash(&installation);
                let max = self.settings.installations_per_account_max;
                self.config
                    .installation(hash, login.account.clone(), max, now)
                    .await
            }
        };
        let address = address.map_err(|error| unavailable(&error))?;
        tracing::debug!(software = %hello.software, "a tool said hello");
        Ok(Welcomed {
            address,
            token,
            login,
            looks,
            correlation: header.correlation,
            frames: frames.to_vec(),
            wire,
            rest,
        })
    }
}

/// What a tool's first message says: its hello with the header, and the frames behind it, all whole. Pure.
///
/// # Errors
/// Why nobody comes in by it.
pub(crate) fn read_hello(message: &[u8]) -> Result<(Header, ToolHello, &[u8]), Code> {
    check_whole(message, limits::PAYLOAD_BYTES_MAX)?;
    let first = FrameRef::split(message, limits::PAYLOAD_BYTES_MAX);
    let Ok(Some((hello, frames))) = first else {
        return Err(Code::Malformed);
    };
    let header = *hello.header();
    if header.kind != Kind::Hello || header.flags != Flags::NONE {
        return Err(Code::Malformed);
    }
    if header.source != Address::GATEWAY || header.destination != Address::GATEWAY {
        return Err(Code::ForgedSource);
    }
    let hello = ToolHello::decode(hello.payload()).map_err(|_| Code::Malformed)?;
    if hello.version != limits::LINK_VERSION {
        return Err(Code::UnsupportedVersion);
    }
    Ok((header, hello, frames))
}

/// Reads up to the first message; what came after it is left in `rest`.
async fn first_message(
    stream: &mut (impl AsyncRead + Unpin),
    wire: &mut WebWire,
    rest: &mut Vec<u8>,
) -> Result<Vec<u8>, Code> {
    loop {
        let mut at = 0;
        let message = match wire.next(rest, &mut at)? {
            Step::Frames(range) => Some(rest[range].to_vec()),
            Step::Message(bytes) => Some(bytes),
            Step::Stream(_) | Step::Incomplete => None,
        };
        rest.drain(..at);
        if let Some(message) = message {
            return Ok(message);
        }
        rest.reserve(READ_BYTES);
        match stream.read_buf(rest).await {
            Ok(0) | Err(_) => return Err(Code::LinkLost),
            Ok(_) => {}
        }
    }
}

/// Tells a tool why it may not come in, and gives it a moment to read that.
pub(crate) async fn turn_away(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), code: Code) {
    let farewell = async {
        let mut wire = Wire::Web(Box::default());
        if code != Code::LinkLost {
            let message = ErrorMessage { code, detail: None }.encode();
            let (gateway, nobody) = (Address::GATEWAY, Address::GATEWAY);
            let frame = Frame::new(Kind::Error, 0, gateway, nobody, &message);
            write(stream, &mut wire, frame.bytes()).await?;
        }
        wire.say_goodbye();
        write(stream, &mut wire, &[]).await?;
        stream.shutdown().await.ok()?;
        // Closing with unread bytes in hand would reset the connection under the last words.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.ok()? > 0 {}
        Some(())
    };
    // Whoever does not listen to the end misses it.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    wire: &mut Wire,
    frames: &[u8],
) -> Option<()> {
    let mut batch = vec![0; wire.room_before()];
    batch.extend_from_slice(frames);
    let from = wire.wrap(&mut batch, &mut Vec::new()).ok()?;
    stream.write_all(&batch[from..]).await.ok()
}

fn unavailable(error: &StoreError) -> Code {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the store did not let a tool in"
    );
    match error {
        StoreError::Full { .. } => Code::Busy,
        _ => Code::StoreUnavailable,
    }
}
