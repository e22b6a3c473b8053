//! What the gateway tells the relay: peers, frames, progress, results, time.

use crate::{EndedCommand, ResumedCommand, Rights, StoreResult, StoredCommand, Ticket};
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, SiteId,
    message::{Body, Key, Time, Title},
};

/// The two clocks of the gateway at one moment.
///
/// The relay reads no clock. Timers run on `since_start` alone, so a jump of the gateway's time
/// moves none of them; `time` is what peers are told, and what a command's expiry is measured
/// against once, when the command is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, from the gateway's start. Must never go back.
    pub since_start: Duration,
    /// Gateway time.
    pub time: Time,
}

/// One socket's life: in its low 32 bits a *place*, in its high 32 bits which life of that place it
/// is.
///
/// The gateway chooses both. A place is a small number, for the relay keeps a table that is as long
/// as the highest one; it is used again once its connection is gone, with another life, so that
/// what is still on its way for the old one finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// The connection that holds `place` in its `life`-th use.
    pub const fn new(place: u32, life: u32) -> Self {
        ConnectionId((life as u64) << 32 | place as u64)
    }

    /// Where it stands in a table of connections.
    pub const fn place(self) -> u32 {
        self.0 as u32
    }
}

/// Who is at the other end of a connection, proven before the relay hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A device; its key was proven by the first valid record (or the clear link is open).
    Controller {
        /// Its address.
        address: Address,
        /// The largest frame that its link carries: `record_bytes_max` less the tag, or the
        /// protocol's largest on a clear link without records.
        frame_bytes_max: usize,
    },
    /// A person's or program's tool; its log-in was proven, and its welcome is already written.
    Tool {
        /// Its address, lasting or leased.
        address: Address,
        /// The account that it acts for.
        account: Title,
        /// What that account may do.
        rights: Rights,
    },
}

impl Peer {
    /// Its address.
    pub const fn address(&self) -> Address {
        match self {
            Peer::Controller { address, .. } | Peer::Tool { address, .. } => *address,
        }
    }
}

/// Something that happened outside, besides what happens all the time: frames that come
/// ([`Relay::frame`](crate::Relay::frame)) and bytes that leave
/// ([`Relay::written`](crate::Relay::written)).
///
/// Order matters only within one connection: `Connected`, then frames and progress as they come,
/// then at most one `Disconnected`. Whatever comes for a connection that the relay has closed, or
/// never heard of, is ignored, so the gateway need not avoid that race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A peer is live: a controller's first valid record came, or a tool's hello was answered. A
    /// session that already has this address is replaced.
    Connected {
        /// The new connection.
        connection: ConnectionId,
        /// Who it is.
        peer: Peer,
    },
    /// The connection is gone. No answer is possible any more.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// Why; subscribers of a controller are told. A plain close by the peer is
        /// [`Code::LinkLost`].
        reason: Code,
    },
    /// End this connection with an error frame: the transport found a violation, or a log-in was
    /// revoked. As the relay's own ends do, it sends the error frame and produces a `Close`.
    End {
        /// Which.
        connection: ConnectionId,
        /// Why.
        code: Code,
    },
    /// A controller was enrolled, renamed, moved to another site, or read from the store at the
    /// start. Whoever sees it where it is now, and did not before, is told of it if it subscribed to
    /// everything; whoever sees it no more is told that it is gone.
    ControllerKnown {
        /// Its address.
        address: Address,
        /// What people call it.
        title: Title,
        /// The site that it is in; `None` is none, where only a role everywhere counts.
        site: Option<SiteId>,
    },
    /// A controller's enrolment was withdrawn; its link is ended.
    ControllerForgotten {
        /// Its address.
        address: Address,
    },
    /// A controller is to dial again: there is something that is done while a link begins. Nothing else
    /// becomes of it; one that is not there is ignored.
    Recall {
        /// Its address.
        address: Address,
    },
    /// An account's rights changed, or (`None`) the account was withdrawn: its tools are ended.
    /// Either way those of its commands that were not sent, and that it may not give any more, are
    /// refused. A gateway that starts says it of every account whose commands it restores, before
    /// the first [`Input::Restored`]: an account of which nothing was said yet keeps what waits.
    AccountChanged {
        /// The account.
        account: Title,
        /// What it may do from now on.
        rights: Option<Rights>,
    },
    /// The store has done, or failed to do, what [`Output::Store`](crate::Output::Store) asked.
    Stored {
        /// Which request.
        ticket: Ticket,
        /// How it went.
        result: StoreResult,
    },
    /// The gateway has done what [`Output::Ask`](crate::Output::Ask) asked.
    Answered {
        /// Which request.
        ticket: Ticket,
        /// The response's body, or the code of the refusal.
        answer: Result<Body, Code>,
    },
    /// A command that the config store held when the gateway started. All of them must come before
    /// the first `Connected`, in ascending [`StoredCommand::order`].
    Restored(StoredCommand),
    /// A command of the journal that had not ended when the gateway was killed. They come among the
    /// [`Input::Restored`] ones, in the order in which all of them were accepted
    /// ([`Recollection::into_inputs`](crate::Recollection::into_inputs)).
    Resumed(Box<ResumedCommand>),
    /// A command of the journal that had ended, in the order of the ends, before the first `Connected`.
    ReceiptRestored(Box<EndedCommand>),
    /// The config store still holds a command that the journal knows to have ended.
    Outlived {
        /// The command's key.
        key: Key,
    },
    /// Whether commands and changes are taken: not while what is asked for cannot be written down, and
    /// the installation wants nothing done without.
    Recording {
        /// Whether it can.
        is_possible: bool,
    },
    /// The latest number of a controller's events that the config store held when the gateway
    /// started. After the controller's [`Input::ControllerKnown`], before the first `Connected`.
    NumberRestored {
        /// The controller.
        address: Address,
        /// The number.
        number: u32,
    },
    /// What the status store holds of a controller from before the gateway started. After the controller's
    /// [`Input::ControllerKnown`], at any time: of a controller that has come since, nothing is taken from it.
    StatusRestored {
        /// The controller.
        address: Address,
        /// Since when it was away; 0 when that is not known.
        since: Time,
        /// Its last full status, the frame of [`Live`](crate::Live); empty when there was none.
        frame: Bytes,
    },
    /// The config store was told what [`Output::StoreNumber`](crate::Output::StoreNumber) said.
    NumberStored {
        /// The controller.
        address: Address,
        /// The number.
        number: u32,
        /// Whether it survives the gateway. One that nobody is sure of does not.
        is_committed: bool,
    },
    /// Time has passed; give one at [`Relay::next_timer`](crate::Relay::next_timer) or soon after.
    Tick,
    /// The gateway is going away: every connection is told and closed.
    ShutDown,
}
