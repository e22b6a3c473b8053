//! A peer inside that watches: subscribed to all that its rights let it see, and opened anew whenever it
//! ends.
//!
//! What it is told comes as to any subscriber: so a watcher that is slow is conflated by the yard, one that
//! reads nothing is cut off, and what it may not see it is not sent.

use super::{Frames, Insides, Peer, own_account};
use crate::{backoff::Backoff, yard::Authority};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use switchyard_protocol::{Address, Code, Frame, message::Request};
use switchyard_relay::Rights;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the first snapshot may take: of the largest fleet, on a host that does much else.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the snapshot of one controller may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Snapshots asked for at one time: many gaps must not become as many questions.
const SNAPSHOTS_MAX: usize = 16;
/// The waits before a peer is opened anew.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A peer that lasted so long was a good one, and the next pause is a short one.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// Who is told. Nothing of it may wait: the frames that follow do.
pub(crate) trait Observer: Send {
    /// A peer is there; all is told anew.
    fn begin(&mut self, peer: &Peer);
    /// A frame came: status, presence, an event. Gives the controller whose whole status has to be asked for,
    /// as something of it was missed.
    fn frame(&mut self, frame: &Frame) -> Option<Address>;
    /// All that there is has been told.
    fn synced(&mut self);
    /// The peer is gone, and what was told may be overtaken.
    fn lost(&mut self);
}

/// What watches.
pub(crate) struct Watch {
    insides: Arc<Insides>,
    part: &'static str,
    rights: Rights,
}

impl Watch {
    /// For a part of the gateway, with these rights.
    pub(crate) fn new(insides: Arc<Insides>, part: &'static str, rights: Rights) -> Self {
        Watch {
            insides,
            part,
            rights,
        }
    }

    /// Watches until `stopping`.
    pub(crate) async fn run(self, observer: &mut impl Observer, stopping: CancellationToken) {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                ended = self.watch(observer) => ended,
            };
            observer.lost();
            if begun.elapsed() >= GOOD_AFTER {
                backoff.reset();
            }
            let (part, reason) = (self.part, ended.name());
            tracing::warn!(
                part,
                reason,
                "a part of the gateway was cut off from the yard; it comes back"
            );
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait(rand::random())) => {}
            }
        }
    }

    /// One peer's life; why it ended.
    async fn watch(&self, observer: &mut impl Observer) -> Code {
        let Some(account) = own_account(self.part) else {
            return Code::Internal;
        };
        let authority = Authority::Gateway {
            account,
            rights: self.rights.clone(),
        };
        let (peer, mut frames) = match self.insides.open(self.part, None, authority).await {
            Ok(opened) => opened,
            Err(code) => return code,
        };
        tracing::debug!(part = self.part, address = %peer.address(), "watching the yard");
        observer.begin(&peer);
        let everything = Request::Subscribe { controllers: None };
        let asking = peer.ask(Address::GATEWAY, everything, SUBSCRIBE_TIMEOUT);
        tokio::pin!(asking);
        let mut is_synced = false;
        let (mut wanted, mut snapshots) = (BTreeSet::new(), FuturesUnordered::new());
        loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Ok(frame) => wanted.extend(observer.frame(&frame)),
                    Err(code) => return code,
                },
                // The snapshot comes before it, and has to be read for it to come.
                answer = &mut asking, if !is_synced => {
                    if let Err(refusal) = answer {
                        return refusal.code;
                    }
                    wanted.extend(rest_of(&mut frames, observer));
                    is_synced = true;
                    observer.synced();
                }
                // The status itself comes as a frame; what is refused is asked for again at the next gap.
                _ = snapshots.next(), if !snapshots.is_empty() => {}
            }
            while snapshots.len() < SNAPSHOTS_MAX
                && let Some(controller) = wanted.pop_first()
            {
                let controller = Some(controller);
                let question = Request::Snapshot { controller };
                snapshots.push(peer.ask(Address::GATEWAY, question, SNAPSHOT_TIMEOUT));
            }
        }
    }
}

/// Takes the frames that came before an answer.
fn rest_of(frames: &mut Frames, observer: &mut impl Observer) -> Vec<Address> {
    let here: Vec<Frame> = frames.here().collect();
    here.iter()
        .filter_map(|frame| observer.frame(frame))
        .collect()
}
