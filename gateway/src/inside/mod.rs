//! Parts of this process that act in the yard as addressed peers: HTTP's handlers, bridges, chores.
//!
//! Such a peer has one end of a socket pair, and the yard the other; it speaks plain frames, has a
//! leased address, and is judged by the relay on every frame exactly as a tool is. So nothing that a
//! handler forgets to check is open to whoever calls it. It takes no stranger's place at the door, is no
//! connection in the counters, and shows in the log as what it is.
//!
//! - [`Insides::open`]: a [`Peer`] that asks and commands, and [`Frames`] that it is sent unasked.
//! - [`Authority`](crate::yard::Authority): in whose name; a log-in's peer ends with the log-in.
//! - [`Transfer`]: scripts and images to and from a controller, in pieces.
//! - [`Watch`]: a peer that is told of all that it may see, for as long as the gateway runs.
//! - `fleet`: controllers as a peer is told of them.
//! - `session`: the task that moves frames.

pub(crate) mod fleet;
mod observer;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;

pub(crate) use transfer::Transfer;

pub(crate) use observer::{Observer, Watch};

use crate::{
    hello::Leases,
    store::StoreError,
    telemetry::Telemetry,
    wire::Wire,
    yard::{Authority, Origin, ToolArrival, YardHandle},
};
use session::{Outcome, Session, Wish};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame,
    message::{Body, Command, Key, Receipt, Request, Title},
};
use switchyard_relay::Rights;
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;

/// Peers inside at once: each has two files and a task, and whoever waits for a receipt holds one for half
/// a minute.
const PEERS_MAX: usize = 256;
/// Of those, the ones that act for one account: nobody takes all of them.
const PEERS_PER_ACCOUNT_MAX: usize = 32;
/// Wishes that a peer may have waiting before its task; whoever wants more waits.
const WISHES_MAX: usize = 16;
/// Frames that wait to be read; with more of them the socket is not read on, and the yard conflates.
const FRAMES_MAX: usize = 64;
/// Receipts of a command that wait to be read: there are no more of one.
const RECEIPTS_MAX: usize = 8;

/// The name of an account that is the gateway's own, for a part of it. Nobody's account can have it: the
/// store takes no name with white space around it.
pub(crate) fn own_account(part: &str) -> Option<Title> {
    Title::new(&format!(" {part}")).ok()
}

/// Whether an account is the gateway's own.
pub(crate) fn is_own(account: &Title) -> bool {
    account.as_str().starts_with(' ')
}

/// Why a request or command came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", code.name(), detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
pub(crate) struct Refusal {
    /// The protocol's code.
    pub(crate) code: Code,
    /// The same for people, where the answerer said more.
    pub(crate) detail: Option<String>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Refusal { code, detail: None }
    }
}

/// What opens peers inside.
pub(crate) struct Insides {
    yard: YardHandle,
    leases: Arc<Leases>,
    telemetry: Arc<Telemetry>,
    tasks: TaskTracker,
    ping_interval: Duration,
    places: Arc<Places>,
}

impl Insides {
    /// None yet. Their tasks end with the yard.
    pub(crate) fn new(
        yard: YardHandle,
        leases: Arc<Leases>,
        telemetry: Arc<Telemetry>,
        tasks: TaskTracker,
        ping_interval: Duration,
    ) -> Self {
        Insides {
            yard,
            leases,
            telemetry: Arc::clone(&telemetry),
            tasks,
            ping_interval,
            places: Arc::new(Places {
                telemetry,
                taken: Mutex::default(),
            }),
        }
    }

    /// Opens a peer for `part` of the gateway, which acts on a request from `caller` where there is one: the
    /// audit log has it from there. It lives until its last handle and its frames are dropped,
    /// or the yard ends it, as it does when the log-in ends.
    ///
    /// # Errors
    /// [`Code::Forbidden`] without any right, [`Code::RateLimited`] when the account has too many,
    /// [`Code::Busy`] when all have, [`Code::StoreUnavailable`] without an address.
    pub(crate) async fn open(
        &self,
        part: &'static str,
        caller: Option<IpAddr>,
        authority: Authority,
    ) -> Result<(Peer, Frames), Code> {
        let (account, rights) = account_of(&authority);
        if rights.highest().is_none() {
            return Err(Code::Forbidden);
        }
        let place = self.places.take(account)?;
        let address = self.leases.next().await.map_err(|error| {
            crate::telemetry::count(&self.telemetry.store_failures);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store did not give a peer inside its address"
            );
            match error {
                StoreError::Full { .. } | StoreError::Busy => Code::Busy,
                _ => Code::StoreUnavailable,
            }
        })?;
        let no_socket = |error: std::io::Error| {
            tracing::warn!(%error, "cannot make a socket for a peer inside");
            Code::Busy
        };
        let (own, theirs) = UnixStream::pair().map_err(no_socket)?;
        let stream = theirs.into_std().map_err(no_socket)?;
        let arrival = ToolArrival {
            stream: socket2::Socket::from(stream),
            wire: Wire::Inside,
            origin: Origin::Inside { part, caller },
            address,
            authority,
            correlation: 0,
            frames: Vec::new(),
            rest: Vec::new(),
        };
        self.yard.tool(arrival).await;
        let (wishes, wanted) = mpsc::channel(WISHES_MAX);
        let (sent_frames, frames) = mpsc::channel(FRAMES_MAX);
        let (tell_end, end) = watch::channel(None);
        let session = Session::new(own, address, part, self.ping_interval);
        self.tasks.spawn(async move {
            let _place = place;
            session.run(wanted, sent_frames, tell_end).await;
        });
        let peer = Peer {
            address,
            wishes,
            end,
        };
        let frames = Frames {
            frames,
            peer: peer.clone(),
        };
        Ok((peer, frames))
    }
}

fn account_of(authority: &Authority) -> (Title, &Rights) {
    match authority {
        Authority::LogIn { login, .. } => (login.account.clone(), &login.rights),
        Authority::Gateway { account, rights } => (account.clone(), rights),
    }
}

/// The places that there are for peers inside.
struct Places {
    telemetry: Arc<Telemetry>,
    taken: Mutex<HashMap<Title, usize>>,
}

impl Places {
    fn take(self: &Arc<Self>, account: Title) -> Result<Place, Code> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= PEERS_MAX {
            return Err(Code::Busy);
        }
        let mine = taken.entry(account.clone()).or_insert(0);
        if *mine >= PEERS_PER_ACCOUNT_MAX {
            return Err(Code::RateLimited);
        }
        *mine += 1;
        drop(taken);
        self.telemetry.peers_inside.fetch_add(1, Ordering::Relaxed);
        Ok(Place {
            places: Arc::clone(self),
            account,
        })
    }
}

/// One peer's place; given back when it is dropped.
struct Place {
    places: Arc<Places>,
    account: Title,
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = self.places.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = taken.get_mut(&self.account) {
            *mine -= 1;
            if *mine == 0 {
                taken.remove(&self.account);
            }
        }
        let open = &self.places.telemetry.peers_inside;
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A peer inside, as those see it that act by it. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Peer {
    address: Address,
    wishes: mpsc::Sender<Wish>,
    end: watch::Receiver<Option<Code>>,
}

impl Peer {
    /// Its address in the yard, for as long as it lives.
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// Asks any peer, and waits for the answer, all pages of it, at most so long. Cancel-safe in that
    /// dropping it forgets the answer; the question may have been asked.
    ///
    /// # Errors
    /// The answerer's refusal, [`Code::TimedOut`], or with what the peer ended.
    pub(crate) async fn ask(
        &self,
        to: Address,
        request: Request,
        time_limit: Duration,
    ) -> Result<Body, Refusal> {
        let deadline = Instant::now() + time_limit;
        let (answer, answered) = oneshot::channel();
        let wish = Wish::Ask {
            to,
            request,
            deadline,
            answer,
        };
        let asking = async {
            if self.wishes.send(wish).await.is_err() {
                return Err(self.ended().into());
            }
            answered.await.unwrap_or_else(|_| Err(self.ended().into()))
        };
        let answer = tokio::time::timeout_at(deadline, asking).await;
        answer.unwrap_or_else(|_| Err(Code::TimedOut.into()))
    }

    /// Gives a controller a command. Its receipts follow as they come; the command goes on when nobody
    /// reads them.
    ///
    /// # Errors
    /// With what the peer ended.
    pub(crate) async fn command(&self, to: Address, command: Command) -> Result<Receipts, Refusal> {
        let (tell, outcomes) = mpsc::channel(RECEIPTS_MAX);
        let key = command.key;
        let wish = Wish::Command { to, command, tell };
        let sent = self.wishes.send(wish).await;
        sent.map_err(|_| self.ended())?;
        Ok(Receipts {
            key,
            outcomes,
            peer: self.clone(),
        })
    }

    /// Whether it is no more: nobody answers by it.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.borrow().is_some() || self.wishes.is_closed()
    }

    /// Why the peer ended, such as [`Code::Revoked`], [`Code::SlowPeer`], [`Code::ShuttingDown`];
    /// [`Code::LinkLost`] while it has not, or was not told.
    pub(crate) fn ended(&self) -> Code {
        self.end.borrow().unwrap_or(Code::LinkLost)
    }
}

/// Frames that come to a peer without being an answer or a receipt of its own: status, presence, events,
/// in their order. Whoever does not read them for long is cut off as any slow peer is; whoever
/// wants none drops this.
pub(crate) struct Frames {
    frames: mpsc::Receiver<Frame>,
    peer: Peer,
}

impl Frames {
    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    /// With what the peer ended; the frames before that have been given.
    pub(crate) async fn next(&mut self) -> Result<Frame, Code> {
        self.frames.recv().await.ok_or_else(|| self.peer.ended())
    }

    /// The frames that are here now. An answer that has come has left all that came before it here.
    pub(crate) fn here(&mut self) -> impl Iterator<Item = Frame> + '_ {
        // As many as there are: those that come meanwhile may never end.
        (0..self.frames.len()).map_while(|_| self.frames.try_recv().ok())
    }
}

/// A command's receipts.
pub(crate) struct Receipts {
    key: Key,
    outcomes: mpsc::Receiver<Outcome>,
    peer: Peer,
}

impl Receipts {
    /// The key of the command.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// The next receipt; the last one says that it is final. Cancel-safe.
    ///
    /// # Errors
    /// What the command was answered in place of one, or with what the peer ended: what became of the
    /// command is then still to be asked by its key.
    pub(crate) async fn next(&mut self) -> Result<Receipt, Refusal> {
        let outcome = self.outcomes.recv().await;
        outcome.unwrap_or_else(|| Err(self.peer.ended().into()))
    }
}
