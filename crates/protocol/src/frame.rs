//! The delimited wire unit: a 16-byte header and a payload (`docs/protocol.md` §2).

use crate::{Address, limits};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What an account may do; each right includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// May see.
    Viewer = 1,
    /// May also switch.
    Operator = 2,
    /// May also enrol and configure.
    Technician = 3,
    /// May everything.
    Admin = 4,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Technician, Role::Admin];

    /// The role of a number on the wire.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Role::Viewer,
            2 => Role::Operator,
            3 => Role::Technician,
            4 => Role::Admin,
            _ => return None,
        })
    }

    /// The lowercase name, as in settings and the HTTP API.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Technician => "technician",
            Role::Admin => "admin",
        }
    }

    /// The role of a [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What a frame is for; it names the right that it needs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $variant = $number,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The kind of a number on the wire.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Kind::$variant),)*
                    _ => None,
                }
            }

            /// The stable lowercase name.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// Opens a link.
    Hello = 0x01, "hello";
    /// Asks whether the other side is there.
    Ping = 0x02, "ping";
    /// The last word before a link is closed.
    Error = 0x03, "error";
    /// A raw Noise message.
    Handshake = 0x04, "handshake";
    /// Reads; needs a viewer.
    Query = 0x10, "query";
    /// Switches; needs an operator.
    Command = 0x11, "command";
    /// Sets up; needs a technician.
    Configure = 0x12, "configure";
    /// Governs; needs an admin.
    Admin = 0x13, "admin";
    /// Answers a query, configure or admin.
    Response = 0x20, "response";
    /// Tells something unasked.
    Event = 0x21, "event";
    /// All points of a controller.
    StatusFull = 0x22, "status_full";
    /// The points that changed.
    StatusDelta = 0x23, "status_delta";
    /// How a command fares.
    Receipt = 0x24, "receipt";
}

impl Kind {
    /// The right that a tool needs to send this kind; `None` where no right is asked.
    pub const fn role(self) -> Option<Role> {
        match self {
            Kind::Query => Some(Role::Viewer),
            Kind::Command => Some(Role::Operator),
            Kind::Configure => Some(Role::Technician),
            Kind::Admin => Some(Role::Admin),
            _ => None,
        }
    }

    /// Whether this kind wants an answer.
    pub const fn is_request(self) -> bool {
        self.role().is_some()
    }

    const fn flags_allowed(self) -> u8 {
        match self {
            Kind::Response | Kind::StatusFull => Flags::MORE.0,
            Kind::Hello | Kind::Ping => Flags::REPLY.0,
            _ => 0,
        }
    }
}

/// The header's second octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// Further pages of the same answer, or of the same full status, follow.
    pub const MORE: Flags = Flags(1);
    /// This frame answers the other side's.
    pub const REPLY: Flags = Flags(2);

    /// Whether all of `other` is set here.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The octet on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Why a frame's header is refused. The peer that sent it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A kind that the protocol does not have.
    #[error("expected a frame kind of this link version and found {0:#04x}")]
    UnknownKind(u8),
    /// A reserved flag, or one that this kind does not allow.
    #[error("expected flags that a {} frame allows and found {flags:#04x}", kind.name())]
    BadFlags {
        /// The frame's kind.
        kind: Kind,
        /// The octet found.
        flags: u8,
    },
    /// More payload than the link allows.
    #[error("expected a payload of at most {max} bytes and found one of {found}")]
    TooLarge {
        /// What the header announces.
        found: usize,
        /// What is allowed here.
        max: usize,
    },
}

impl FrameError {
    /// The code under which this is told and counted.
    pub const fn code(&self) -> crate::Code {
        match self {
            FrameError::TooLarge { .. } => crate::Code::TooLarge,
            _ => crate::Code::Malformed,
        }
    }
}

/// The first 16 bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// MORE and REPLY.
    pub flags: Flags,
    /// Bytes that follow the header.
    pub payload_bytes: u16,
    /// Repeated by the answer; 0 answers nothing and wants none.
    pub correlation: u32,
    /// Who sent it.
    pub source: Address,
    /// Who is to get it.
    pub destination: Address,
}

impl Header {
    /// One of our own making; panics where no link could carry it.
    fn new(
        kind: Kind,
        flags: Flags,
        payload_bytes: usize,
        correlation: u32,
        source: Address,
        destination: Address,
    ) -> Self {
        assert!(
            payload_bytes <= limits::PAYLOAD_BYTES_MAX,
            "payload of {payload_bytes}"
        );
        assert!(
            flags.0 & !kind.flags_allowed() == 0,
            "{flags:?} on {}",
            kind.name()
        );
        Header {
            kind,
            flags,
            payload_bytes: payload_bytes as u16,
            correlation,
            source,
            destination,
        }
    }

    /// Reads a header and judges it: kind, flags, then length against `payload_bytes_max`.
    pub fn decode(
        bytes: &[u8; limits::HEADER_BYTES],
        payload_bytes_max: usize,
    ) -> Result<Self, FrameError> {
        let mut rest = &bytes[..];
        let number = rest.get_u8();
        let kind = Kind::from_number(number).ok_or(FrameError::UnknownKind(number))?;
        let flags = rest.get_u8();
        if flags & !kind.flags_allowed() != 0 {
            return Err(FrameError::BadFlags { kind, flags });
        }
        let payload_bytes = rest.get_u16();
        if usize::from(payload_bytes) > payload_bytes_max {
            let found = usize::from(payload_bytes);
            return Err(FrameError::TooLarge {
                found,
                max: payload_bytes_max,
            });
        }
        Ok(Header {
            kind,
            flags: Flags(flags),
            payload_bytes,
            correlation: rest.get_u32(),
            source: Address(rest.get_u32()),
            destination: Address(rest.get_u32()),
        })
    }

    /// Writes the 16 bytes.
    pub fn encode(&self) -> [u8; limits::HEADER_BYTES] {
        let mut bytes = [0; limits::HEADER_BYTES];
        let mut rest = &mut bytes[..];
        rest.put_u8(self.kind as u8);
        rest.put_u8(self.flags.0);
        rest.put_u16(self.payload_bytes);
        rest.put_u32(self.correlation);
        rest.put_u32(self.source.0);
        rest.put_u32(self.destination.0);
        bytes
    }
}

/// A whole frame: its header, read once, over the very bytes that came, so that forwarding copies
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    header: Header,
    bytes: Bytes,
}

impl Frame {
    /// Makes a frame without flags.
    ///
    /// # Panics
    /// When the payload is above 65,535 bytes: every message's own bounds keep below that.
    pub fn new(
        kind: Kind,
        correlation: u32,
        source: Address,
        destination: Address,
        payload: &[u8],
    ) -> Self {
        Self::with_flags(kind, Flags::NONE, correlation, source, destination, payload)
    }

    /// Makes a frame with flags.
    ///
    /// # Panics
    /// As [`new`](Self::new), and when the kind does not allow the flags.
    pub fn with_flags(
        kind: Kind,
        flags: Flags,
        correlation: u32,
        source: Address,
        destination: Address,
        payload: &[u8],
    ) -> Self {
        let payload_bytes = payload.len();
        let header = Header::new(kind, flags, payload_bytes, correlation, source, destination);
        let mut bytes = BytesMut::with_capacity(limits::HEADER_BYTES + payload.len());
        bytes.put_slice(&header.encode());
        bytes.put_slice(payload);
        Frame {
            header,
            bytes: bytes.freeze(),
        }
    }

    /// Takes the first frame off `buffer`; `None` while it is incomplete, and then nothing is
    /// taken. The frame shares the buffer's memory.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the header is there; the buffer is left as it was.
    pub fn decode(
        buffer: &mut BytesMut,
        payload_bytes_max: usize,
    ) -> Result<Option<Self>, FrameError> {
        let Some(head) = buffer.first_chunk() else {
            return Ok(None);
        };
        let header = Header::decode(head, payload_bytes_max)?;
        let total = limits::HEADER_BYTES + usize::from(header.payload_bytes);
        if buffer.len() < total {
            return Ok(None);
        }
        Ok(Some(Frame {
            header,
            bytes: buffer.split_to(total).freeze(),
        }))
    }

    /// The same over shared bytes, such as a WebSocket message.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_shared(
        bytes: &mut Bytes,
        payload_bytes_max: usize,
    ) -> Result<Option<Self>, FrameError> {
        let Some(head) = bytes.first_chunk() else {
            return Ok(None);
        };
        let header = Header::decode(head, payload_bytes_max)?;
        let total = limits::HEADER_BYTES + usize::from(header.payload_bytes);
        if bytes.len() < total {
            return Ok(None);
        }
        Ok(Some(Frame {
            header,
            bytes: bytes.split_to(total),
        }))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[limits::HEADER_BYTES..]
    }

    /// Header and payload as on the wire; cloning shares them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The frame, borrowed.
    pub fn as_frame_ref(&self) -> FrameRef<'_> {
        FrameRef {
            header: self.header,
            bytes: &self.bytes,
        }
    }

    /// Gives up the frame for its bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// A whole frame in somebody else's buffer: its header, read once, over the very bytes that came,
/// so that a frame which is only passed on costs neither memory nor a count of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    header: Header,
    /// Header and payload, no more.
    bytes: &'a [u8],
}

impl<'a> FrameRef<'a> {
    /// The first frame of `bytes` and what follows it; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the header's 16 bytes are there.
    #[inline]
    pub fn split(
        bytes: &'a [u8],
        payload_bytes_max: usize,
    ) -> Result<Option<(Self, &'a [u8])>, FrameError> {
        let Some(head) = bytes.first_chunk() else {
            return Ok(None);
        };
        let header = Header::decode(head, payload_bytes_max)?;
        let total = limits::HEADER_BYTES + usize::from(header.payload_bytes);
        let split = bytes.split_at_checked(total);
        Ok(split.map(|(bytes, rest)| (FrameRef { header, bytes }, rest)))
    }

    /// Writes a frame over whatever is in `bytes`: its header, and the payload that `write` appends.
    ///
    /// # Panics
    /// As [`Frame::with_flags`].
    #[inline]
    pub fn write(
        bytes: &'a mut Vec<u8>,
        kind: Kind,
        flags: Flags,
        correlation: u32,
        (source, destination): (Address, Address),
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&[0; limits::HEADER_BYTES]);
        write(bytes);
        let payload_bytes = bytes.len() - limits::HEADER_BYTES;
        let header = Header::new(kind, flags, payload_bytes, correlation, source, destination);
        bytes[..limits::HEADER_BYTES].copy_from_slice(&header.encode());
        FrameRef { header, bytes }
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[limits::HEADER_BYTES..]
    }

    /// Header and payload as on the wire.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A copy that owns its bytes.
    pub fn to_frame(&self) -> Frame {
        Frame {
            header: self.header,
            bytes: Bytes::copy_from_slice(self.bytes),
        }
    }
}
