//! The status store: what is worth having of the fleet while gateways run, and after one has started anew.
//!
//! Nothing in here is the truth of anything: that is with the controllers, and with the gateway that each of them
//! talks to. So whatever is lost is put again, and every write may be repeated without harm.

use super::{Guard, Guarded, StoreFuture};
use crate::history::Series;
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address,
    message::{Name, Time},
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
        /// What the points of this name were from `since` on, the earliest first, at most `limit`. What is past its
        /// age may be among it until the point's next sample.
        fn samples(&self, controller: Address, point: Name, since: Time, limit: u32) -> Vec<Sample>;

        /// Tells for a term how alarms stand, as the gateway in charge of them puts it.
        fn put_alarm_standing(&self, standing: Bytes, term: Duration) -> ();
        /// How alarms stand; none when nobody has told it, or not lately.
        fn alarm_standing(&self) -> Option<Bytes>;

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

/// What came of a point in a second at most, up to a moment, and what it is from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which point. Two types under one name are kept as one: the name is what a point is found by.
    pub series: Arc<Series>,
    /// When the last of it came, by gateway time.
    pub at: Time,
    /// The least value that came; what the point is where none did.
    pub min: i64,
    /// The greatest one.
    pub max: i64,
    /// The last one: what the point is from then on.
    pub last: i64,
    /// How many values came; none where a point that holds still is told of again.
    pub values: u32,
    /// Whether anybody knows what the point is from then on. Where no value came and nobody does, the values say nothing.
    pub is_known: bool,
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
