//! The status store: what is worth having of the fleet while gateways run, and after one has started anew.
//!
//! Nothing in here is the truth of anything: that is with the controllers, and with the gateway that each of them
//! talks to. So whatever is lost is put again, and every write may be repeated without harm.

use super::{Guard, Guarded, StoreFuture};
use bytes::Bytes;
use std::{fmt, time::Duration};
use switchyard_protocol::{
    Address,
    message::{PointFlags, Time},
};

store_trait! {
    /// The latest of every controller, who holds it, and what its points were a while ago.
    StatusStore {
        /// Keeps what is known of each of these controllers; only a later `order` replaces an earlier one. Gives
        /// those of which it has a later one, with the order of that.
        fn put_statuses(&self, statuses: Vec<(Address, StoredStatus)>) -> Vec<(Address, u64)>;
        /// What is known of a controller.
        fn status(&self, controller: Address) -> Option<StoredStatus>;
        /// What is known of every controller above `after`, by address, at most `limit`; none at the end.
        fn statuses(&self, after: Address, limit: u32) -> Vec<(Address, StoredStatus)>;
        /// Forgets all there is of these controllers.
        fn forget_controllers(&self, controllers: Vec<Address>) -> ();

        /// Makes these sessions, and with them the controllers, those of `node` for a `term`, or for another one
        /// where they are its own already. A later session fences an earlier one: gives those that are held by a
        /// later one, which stay as they are.
        fn hold(&self, node: NodeId, sessions: Vec<(Address, u64)>, term: Duration) -> Vec<(Address, Lease)>;
        /// Lets go of these controllers, as far as `node` holds them. Gives those that others hold.
        fn release(&self, node: NodeId, controllers: Vec<Address>) -> Vec<(Address, Lease)>;
        /// Who holds each of these controllers, in their order.
        fn holders(&self, controllers: Vec<Address>) -> Vec<Option<Lease>>;

        /// Adds what points were; of each point what is later than all that is kept of it, so that a batch may be
        /// repeated. What goes past `keep` is forgotten then.
        fn append_samples(&self, samples: Vec<Sample>, keep: Keep) -> ();
        /// What a point was from `since` on, the earliest first, at most `limit`. What is past its age may be
        /// among it until the point's next sample.
        fn samples(&self, controller: Address, point: u8, since: Time, limit: u32) -> Vec<Sample>;

        /// Moves when what was put may have been lost.
        fn generation(&self) -> Generation;
    }
}

/// Presence and status of one controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredStatus {
    /// Moves with every change, over all gateways that share the store; below 2^53.
    pub order: u64,
    /// Whether it is there. What is read says so only while somebody holds the controller.
    pub online: bool,
    /// Since when; 0 when nobody knows, as of one that was there and that nobody holds any more.
    pub since: Time,
    /// The latest full status as a frame, so that a store need not understand it; empty before the first. A put
    /// with an empty one leaves what is there.
    pub frame: Bytes,
}

impl StoredStatus {
    /// Who is there and is held by nobody any more went at a moment that nobody knows.
    pub(super) fn lapse_unless(&mut self, is_held: bool) {
        if self.online && !is_held {
            (self.online, self.since) = (false, Time(0));
        }
    }
}

/// A gateway among those that share a store; random, and another one after every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// That a node has a controller's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub node: NodeId,
    /// Which session: a later one has a higher number, below 2^53.
    pub session: u64,
}

/// When a sample was taken. Of all that one gateway takes no two are of the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Gateway time; never 0.
    pub time: Time,
    /// Which one in this millisecond.
    pub step: u32,
}

/// What a point was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The controller.
    pub controller: Address,
    /// The point's index.
    pub point: u8,
    /// When.
    pub at: Moment,
    /// The value.
    pub value: i64,
    /// Its flags.
    pub flags: PointFlags,
}

/// How much is kept of each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Samples; at least 1.
    pub count_max: u32,
    /// How old a sample may be beside the latest of its point.
    pub age_max: Duration,
}

/// One life of a store's content; another number says that the content may be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(pub u128);
