//! What the relay wants done: frames sent, connections closed, commands stored, questions asked.

use crate::{ConnectionId, Entry};
use bytes::Bytes;
use switchyard_protocol::{
    Address, Code, SiteId,
    message::{Event, Key, PointFlags, Stage, Time, Title},
};

/// Names one request of the relay to its gateway, so that the result finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How soon a frame is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// With the next write.
    Now,
    /// It need not cause a write of its own: the transport may hold it back, for a few milliseconds
    /// at most, so that it leaves together with the connection's next frame. Their order is kept.
    Along,
}

/// Where the relay's outputs go, in their order.
///
/// It must not call back into the relay: whatever an output causes is told later.
pub trait Sink {
    /// Append a whole frame, header and payload, to a connection's outbound queue. One input may
    /// bring the very same bytes for many connections, one call after the other. The relay keeps
    /// the queue's bound; the transport must only report what has left
    /// ([`Relay::written`](crate::Relay::written)).
    fn send(&mut self, connection: ConnectionId, frame: &[u8], haste: Haste);

    /// Whether [`value`](Self::value) is of interest. It is asked for every status that comes.
    fn wants_values(&self) -> bool {
        false
    }

    /// A controller has told what one of its points is. Called only while values are wanted, for every point of a
    /// full status and every change of a delta, in their order.
    fn value(&mut self, _controller: Address, _point: u8, _value: i64, _flags: PointFlags) {}

    /// Do anything else; never [`Output::Send`].
    fn output(&mut self, output: Output);

    /// Write this down, as of `time`, before anything leaves that the relay gives out from here on. A
    /// sink without a journal need not.
    fn journal(&mut self, time: Time, entry: Entry<'_>) {
        let _ = (time, entry);
    }
}

/// A list of everything, for tests and simulations; it copies every frame.
impl Sink for Vec<Output> {
    fn send(&mut self, connection: ConnectionId, frame: &[u8], _: Haste) {
        let frame = Bytes::copy_from_slice(frame);
        self.push(Output::Send { connection, frame });
    }

    fn output(&mut self, output: Output) {
        self.push(output);
    }
}

/// Something that the gateway is to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// What [`Sink::send`] was told, where outputs are collected in a `Vec`.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// Header and payload.
        frame: Bytes,
    },
    /// Write out what is queued, for a second at most, then close. The relay has forgotten the
    /// connection; its last frame, where one is of use, is the error frame just before.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Who is at its other end.
        address: Address,
        /// Why; already counted.
        code: Code,
    },
    /// Commit this to the config store and answer with
    /// [`Input::Stored`](crate::Input::Stored), within a bounded time, always.
    Store {
        /// Comes back with the result.
        ticket: Ticket,
        /// What to commit.
        request: StoreRequest,
    },
    /// Do what the relay cannot, and answer with [`Input::Answered`](crate::Input::Answered),
    /// within a bounded time, always.
    Ask {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Who asks; the right to was checked.
        asker: Asker,
        /// What is asked.
        question: Question,
    },
    /// A controller's event or alarm, for the log; told once.
    Happened {
        /// The controller.
        address: Address,
        /// An [`Event::Happened`] or [`Event::Alarm`].
        event: Box<Event>,
    },
    /// Commit the number of a controller's latest event to the config store, in place of the one
    /// before, and answer with [`Input::NumberStored`](crate::Input::NumberStored), within a bounded
    /// time, always. There is one at a time for a controller.
    StoreNumber {
        /// The controller.
        address: Address,
        /// The number.
        number: u32,
    },
    /// Something that people who run the gateway should read in its log.
    Notice(Notice),
}

/// The tool on whose behalf the gateway is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its address.
    pub address: Address,
    /// The account that it acts for.
    pub account: Title,
}

/// What the gateway can do and the relay cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// Make an address and a key, commit both, tell the relay of the new controller by
    /// [`Input::ControllerKnown`](crate::Input::ControllerKnown), and answer with
    /// [`Body::Enrol`](switchyard_protocol::message::Body::Enrol).
    Enrol {
        /// What people will call it.
        title: Title,
        /// The site that it is to be in; the asker was a technician there, or with `None` everywhere.
        site: Option<SiteId>,
    },
}

/// What a log should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Three sessions of one address replaced each other within a minute: two devices share it.
    DuplicateAddress {
        /// The address.
        address: Address,
    },
}

/// A write to the commands that the config store holds. The store must apply those for one key in
/// the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// Keep a command that waits for its controller. Repeating it changes nothing.
    Queue(StoredCommand),
    /// The command is about to go out, to this boot of its controller: a gateway killed from here
    /// on must not send it blindly again. Repeating it changes nothing.
    MarkSent {
        /// The command.
        key: Key,
        /// The controller's boot.
        boot: u32,
    },
    /// The command ended. Forgetting what is not there is a success.
    Forget {
        /// The command.
        key: Key,
    },
}

impl StoreRequest {
    /// The command that it is about.
    pub fn key(&self) -> Key {
        match self {
            StoreRequest::Queue(command) => command.key,
            StoreRequest::MarkSent { key, .. } | StoreRequest::Forget { key } => *key,
        }
    }
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreResult {
    /// It is committed and survives the gateway.
    Committed,
    /// It is not committed, and never will be.
    Failed,
    /// Nobody knows: the store did not answer in time, or went away in the middle.
    Unclear,
}

/// A command that waits in the config store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCommand {
    /// Its key; unique in the store.
    pub key: Key,
    /// Ascends in the order in which the gateway accepted commands.
    pub order: u64,
    /// The account that commanded it.
    pub account: Title,
    /// Past this it must not be executed.
    pub expiry: Time,
    /// The command frame, header and payload: it names the controller, the tool and the
    /// correlation id.
    pub frame: Bytes,
    /// The controller's boot when it was marked as sent; `None` while it waits.
    pub sent: Option<u32>,
}

/// A command's receipt as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptReceipt {
    /// How far it has come.
    pub stage: Stage,
    /// When, where its issuer knew.
    pub at: Option<Time>,
    /// Why.
    pub reason: Option<Code>,
    /// The controller issued it, and not the gateway.
    pub by_controller: bool,
    /// Whether it is the command's last.
    pub is_final: bool,
}

/// A command that had not ended when the gateway was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedCommand {
    /// The command. Its order counts only where the store holds it.
    pub command: StoredCommand,
    /// Its latest receipt; `None` before the first.
    pub receipt: Option<KeptReceipt>,
    /// The config store holds it too.
    pub is_stored: bool,
    /// Nothing is missing of what followed it: should its controller say that it never heard of it,
    /// then it did not arrive.
    pub may_send_again: bool,
}

/// A command that ended before the gateway was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCommand {
    /// Its key.
    pub key: Key,
    /// Whose it was.
    pub account: Title,
    /// Past this it must not be executed.
    pub expiry: Time,
    /// The command frame, header and payload.
    pub frame: Bytes,
    /// Its last receipt.
    pub receipt: KeptReceipt,
    /// When it ended.
    pub ended: Time,
    /// It was refused at the door.
    pub was_turned_away: bool,
}
