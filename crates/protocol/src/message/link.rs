//! The link's own messages: hello, ping, error.

use super::{MessageError, Text, Time, Title, encoded};
use crate::{
    Address, Code, Role,
    fields::{Fields, MapWriter},
    limits,
};
use std::{fmt, time::Duration};

/// What a controller says first, in the clear (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerHello {
    /// The link version that it speaks.
    pub version: u64,
    /// The largest record that it accepts and sends, 264 … 65,535 bytes.
    pub record_bytes_max: u16,
}

impl ControllerHello {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.version)
            .put(1, &self.record_bytes_max)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`], also for a record size below the least.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(ControllerHello {
            version: fields.required(0)?,
            record_bytes_max: read_record_bytes_max(&mut fields)?,
        })
    }
}

/// Key 1 of a controller's hello and of its reply. Smaller records than the least would leave the
/// link unable to carry an announce.
fn read_record_bytes_max(fields: &mut Fields<'_>) -> Result<u16, MessageError> {
    let record_bytes_max = fields.required(1)?;
    if usize::from(record_bytes_max) < limits::RECORD_BYTES_MIN {
        return Err(MessageError::BadField { key: 1 });
    }
    Ok(record_bytes_max)
}

/// Whole milliseconds as the wire has them; 49 days stand for anything longer.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The gateway's answer to a controller: the payload of Noise message 2, or of the clear reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The link version spoken from here on.
    pub version: u64,
    /// The largest record in either direction.
    pub record_bytes_max: u16,
    /// The gateway's time.
    pub time: Time,
    /// How often to ping.
    pub ping_interval: Duration,
    /// The controller's own address, for it to compare.
    pub address: Address,
}

impl HelloReply {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.version)
            .put(1, &self.record_bytes_max)
            .put(2, &self.time)
            .put(3, &milliseconds(self.ping_interval))
            .put(4, &self.address)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`], also for a record size below the least.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(HelloReply {
            version: fields.required(0)?,
            record_bytes_max: read_record_bytes_max(&mut fields)?,
            time: fields.required(2)?,
            ping_interval: Duration::from_millis(fields.required::<u32>(3)?.into()),
            address: fields.required(4)?,
        })
    }
}

/// What a tool says first (§4.2).
#[derive(Clone, PartialEq, Eq)]
pub struct ToolHello {
    /// The link version that it speaks.
    pub version: u64,
    /// The log-in token, unless a cookie has already said who it is. Secret.
    pub token: Option<String>,
    /// Owns the tool's lasting address; absent for a leased one. Secret.
    pub installation: Option<[u8; 16]>,
    /// Name and version of the program.
    pub software: Title,
}

impl fmt::Debug for ToolHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolHello")
            .field("version", &self.version)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("installation", &self.installation.map(|_| "***"))
            .field("software", &self.software)
            .finish()
    }
}

impl ToolHello {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.version)
            .put_some(1, &self.token)
            .put_some(2, &self.installation)
            .put(3, &self.software)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`], also for a token above 128 bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let token = fields.optional::<&str>(1)?;
        if token.is_some_and(|token| token.len() > limits::TOKEN_BYTES_MAX) {
            return Err(MessageError::BadField { key: 1 });
        }
        Ok(ToolHello {
            version: fields.required(0)?,
            token: token.map(String::from),
            installation: fields.optional(2)?,
            software: fields.required(3)?,
        })
    }
}

/// The gateway's answer to a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolWelcome {
    /// The link version spoken from here on.
    pub version: u64,
    /// The gateway's time.
    pub time: Time,
    /// How often to ping.
    pub ping_interval: Duration,
    /// The tool's address.
    pub address: Address,
    /// The account that it acts for.
    pub account: Title,
    /// What that account may do.
    pub role: Role,
    /// Random per start of the gateway: another one means that receipts held only in memory went.
    pub gateway: [u8; 16],
}

impl ToolWelcome {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.version)
            .put(2, &self.time)
            .put(3, &milliseconds(self.ping_interval))
            .put(4, &self.address)
            .put(5, &self.account)
            .put(6, &(self.role as u8))
            .put(7, &self.gateway)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(ToolWelcome {
            version: fields.required(0)?,
            time: fields.required(2)?,
            ping_interval: Duration::from_millis(fields.required::<u32>(3)?.into()),
            address: fields.required(4)?,
            account: fields.required(5)?,
            role: Role::from_number(fields.required(6)?)
                .ok_or(MessageError::BadField { key: 6 })?,
            gateway: fields.required(7)?,
        })
    }
}

/// Asks whether the other side is there: an empty map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping;

impl Ping {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes).end()
    }

    /// Reads the payload: any map will do, since its keys are of a later version.
    ///
    /// # Errors
    /// [`MessageError`] when it is not in the profile.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        Fields::open(payload).map(|_| Ping)
    }
}

/// Answers a ping; the gateway adds its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReply {
    /// Gateway time, from the gateway only.
    pub time: Option<Time>,
}

impl PingReply {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes).put_some(0, &self.time).end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        Ok(PingReply {
            time: Fields::open(payload)?.optional(0)?,
        })
    }
}

/// The last word before a link is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// Why.
    pub code: Code,
    /// The same for people.
    pub detail: Option<Text>,
}

impl ErrorMessage {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.code)
            .put_some(1, &self.detail)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(ErrorMessage {
            code: fields.required(0)?,
            detail: fields.optional(1)?,
        })
    }
}
