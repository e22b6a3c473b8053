//! A tool says who it is (`docs/protocol.md` §4.2), and becomes a session.

use super::{LEASE_BLOCK, ToolArrival, Yard, connection::Connection};
use crate::{
    access,
    store::{Login, StoreError, TokenHash},
    wire::{WebWire, Wire},
};
use std::rc::Rc;
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind, Role, limits,
    message::{ErrorMessage, Time, ToolHello, ToolWelcome},
};
use switchyard_relay::{Input, Peer};
use tokio::net::TcpStream;
use tracing::Instrument as _;

/// The log-in that a live tool rests on.
pub(super) struct LoggedIn {
    pub(super) token: TokenHash,
    pub(super) role: Role,
    pub(super) expires: Time,
}

/// A tool that may come in.
struct Welcome {
    token: TokenHash,
    login: Login,
    address: Address,
    correlation: u32,
    /// What the tool sent in one message with its hello.
    frames: Vec<Frame>,
}

impl Yard {
    pub(super) fn tool_arrives(self: &Rc<Self>, arrival: ToolArrival) {
        let ToolArrival {
            stream,
            ip,
            place,
            pending,
            rest,
            cookie,
        } = arrival;
        let Ok(stream) = TcpStream::from_std(stream) else {
            tracing::error!("a socket could not be moved to the yard");
            return;
        };
        let stream = Rc::new(stream);
        let id = self.next_connection();
        let address = tracing::field::Empty;
        let span = tracing::info_span!("connection", peer = %ip, address, session = id.0);
        let wire = Wire::Web(Box::new(WebWire::new(Rc::clone(&stream), rest)));
        let connection = Connection::new(id, stream, wire, place, None);
        let yard = Rc::clone(self);
        let session = async move {
            let time_limit = yard.context.settings.handshake_timeout;
            let hello = yard.hello(&connection, ip, cookie);
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(time_limit, hello) => {
                    outcome.unwrap_or(Err(Code::HandshakeTimeout))
                }
                () = yard.ending.cancelled() => Err(Code::ShuttingDown),
            };
            drop(pending);
            match outcome {
                Ok(welcome) => yard.tool_enters(connection, welcome).await,
                Err(code) => yard.turn_away(&connection, code).await,
            }
        };
        self.spawn(session.instrument(span));
    }

    async fn hello(
        &self,
        connection: &Connection,
        ip: std::net::IpAddr,
        cookie: Option<TokenHash>,
    ) -> Result<Welcome, Code> {
        self.context.door.hello(ip, None)?;
        let mut frames = Vec::new();
        let read = connection.read(self, &mut frames).await;
        if frames.is_empty() {
            read?;
            return Err(Code::Malformed);
        }
        let hello = frames.remove(0);
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
        let token = hello.token.as_deref().map(access::token_hash).or(cookie);
        let token = token.ok_or(Code::BadToken)?;
        let now = crate::clock::time();
        let config = &self.context.config;
        let login = config
            .login(token, now)
            .await
            .map_err(|error| unavailable(&error))?;
        let login = login.ok_or(Code::BadToken)?;
        let address = match hello.installation {
            None => self.lease().await,
            Some(installation) => {
                let hash = access::installation_hash(&installation);
                let max = self.context.settings.installations_per_account_max;
                config
                    .installation(hash, login.account.clone(), max, now)
                    .await
            }
        };
        let address = address.map_err(|error| unavailable(&error))?;
        tracing::debug!(software = %hello.software, "a tool said hello");
        Ok(Welcome {
            token,
            login,
            address,
            correlation: header.correlation,
            frames,
        })
    }

    async fn lease(&self) -> Result<Address, StoreError> {
        loop {
            if let Some(address) = self.leases.borrow_mut().pop_front() {
                return Ok(address);
            }
            let first = self.context.config.lease_block(LEASE_BLOCK).await?;
            let block = (0..LEASE_BLOCK).map(|offset| Address(first.0 + offset));
            self.leases.borrow_mut().extend(block);
        }
    }

    async fn tool_enters(self: &Rc<Self>, connection: Rc<Connection>, welcome: Welcome) {
        let Welcome {
            token,
            login,
            address,
            correlation,
            frames,
        } = welcome;
        let id = connection.id;
        tracing::Span::current().record("address", tracing::field::display(address));
        tracing::info!(account = %login.account, role = login.role.name(), "tool connected");
        let message = ToolWelcome {
            version: limits::LINK_VERSION,
            time: crate::clock::time(),
            ping_interval: self.context.settings.ping_interval,
            address,
            account: login.account.clone(),
            role: login.role,
            gateway: self.context.gateway,
        };
        let (kind, gateway) = (Kind::Hello, Address::GATEWAY);
        let payload = message.encode();
        let reply = Frame::with_flags(kind, Flags::REPLY, correlation, gateway, address, &payload);
        connection.greet(reply.into_bytes());
        self.connections
            .borrow_mut()
            .insert(id, Rc::clone(&connection));
        let logged_in = LoggedIn {
            token,
            role: login.role,
            expires: login.expires,
        };
        self.tools.borrow_mut().insert(id, logged_in);
        let peer = Peer::Tool {
            address,
            account: login.account,
            role: login.role,
        };
        self.input(Input::Connected {
            connection: id,
            peer,
        });
        for frame in frames {
            self.received(&connection, frame);
        }
        let span = tracing::Span::current();
        let writer = Rc::clone(self)
            .write_out(Rc::clone(&connection))
            .instrument(span.clone());
        self.spawn(writer);
        let yard = Rc::clone(self);
        // The log-in may have been withdrawn after it was looked up and before it stood in the
        // table that withdrawals go through.
        let recheck = async move {
            yard.check_logins(Some(id)).await;
        };
        self.spawn(recheck.instrument(span));
        Rc::clone(self).read_in(connection).await;
    }

    async fn turn_away(&self, connection: &Connection, code: Code) {
        self.context.telemetry.count_refusal(code);
        tracing::info!(reason = code.name(), "tool refused");
        if code != Code::LinkLost {
            let message = ErrorMessage { code, detail: None }.encode();
            let (gateway, nobody) = (Address::GATEWAY, Address::GATEWAY);
            connection.greet(Frame::new(Kind::Error, 0, gateway, nobody, &message).into_bytes());
        }
        connection.finish().await;
    }
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
