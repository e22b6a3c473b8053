//! Who is connected: one session per connection, its queue's depth, its silence, its end.

use crate::{
    ConnectionId, Haste, Map, Notice, Now, Output, Peer, Relay, Rights, Work,
    sabotage::Sabotage,
    subscriptions::Feed,
    timers::{Moment, Second},
};
use foldhash::fast::FixedState;
use std::{collections::VecDeque, time::Duration};
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Kind, Role, SiteId, limits,
    message::{ErrorMessage, Time, Title},
};

/// Where a session lies in the table: its connection's [place](ConnectionId::place).
pub(crate) type Slot = u32;

/// An account, by the number that stands for its name while the gateway runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountId(u32);

/// One live connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) address: Address,
    /// Bytes of frames that the transport has been given and has not reported as written.
    pub(crate) queued_bytes: usize,
    last_heard: Moment,
    /// When bytes last left, or the queue last began to fill.
    last_progress: Moment,
    look_at: Second,
    pub(crate) side: Side,
}

impl Session {
    /// Counts bytes that are about to be queued, and says how many that makes.
    #[inline]
    pub(crate) fn queue(&mut self, bytes: usize, now: Now) -> usize {
        if self.queued_bytes == 0 {
            self.last_progress = now.since_start.into();
        }
        self.queued_bytes += bytes;
        self.queued_bytes
    }

    /// The feed of a tool that has one.
    #[inline]
    pub(crate) fn feed_mut(&mut self) -> Option<&mut Feed> {
        match &mut self.side {
            Side::Tool { feed, .. } => feed.as_deref_mut(),
            Side::Controller { .. } => None,
        }
    }
}

/// What a session is besides.
#[derive(Debug)]
pub(crate) enum Side {
    Controller {
        /// Its place in the fleet.
        index: u32,
        frame_bytes_max: usize,
    },
    Tool {
        account: AccountId,
        rights: Rights,
        since: Time,
        /// What it is still to be told of controllers; nothing for most tools' first moments.
        feed: Option<Box<Feed>>,
    },
}

/// What is known of an account, whether a tool of it is there or not.
#[derive(Debug)]
struct Account {
    name: Title,
    /// As they were told last; `None` while nothing was told.
    rights: Option<Rights>,
    is_withdrawn: bool,
}

/// The table of sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Vec<Option<Session>>,
    by_address: Map<Address, Slot>,
    accounts_by_name: Map<Title, AccountId>,
    accounts: Vec<Account>,
    /// Tools that were here since the start: to tell "away" from "never was", and who it was that
    /// commanded and left.
    tools_seen: Map<Address, SeenTool>,
    /// The same in the order in which they first came: the oldest is forgotten first.
    tools_seen_order: VecDeque<Address>,
    pub(crate) tools: usize,
    pub(crate) queued_bytes: usize,
}

/// Sessions for which there is room from the start.
const ROOM_MAX: usize = 65_536;

/// Tools remembered as once seen; past it the one that came first looks unknown.
const TOOLS_SEEN_MAX: usize = 65_536;

/// What is remembered of a tool that is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenTool {
    /// The account that it acted for when it was here last.
    pub(crate) account: AccountId,
    /// When it left; while it is here, when it came.
    pub(crate) since: Time,
}

impl Sessions {
    /// None yet, with room for so many.
    pub(crate) fn new(hash: &FixedState, expected: usize) -> Self {
        Sessions {
            slots: Vec::with_capacity(expected.min(ROOM_MAX)),
            by_address: Map::with_hasher(hash.clone()),
            accounts_by_name: Map::with_hasher(hash.clone()),
            accounts: Vec::new(),
            tools_seen: Map::with_hasher(hash.clone()),
            tools_seen_order: VecDeque::new(),
            tools: 0,
            queued_bytes: 0,
        }
    }

    pub(crate) fn slot_of(&self, connection: ConnectionId) -> Option<Slot> {
        let slot = connection.place();
        let session = self.slots.get(slot as usize)?.as_ref();
        session
            .is_some_and(|session| session.connection == connection)
            .then_some(slot)
    }

    /// Whose place this is: the connection itself, or an earlier life of its number.
    fn holder_of_place(&self, connection: ConnectionId) -> Option<ConnectionId> {
        let session = self.slots.get(connection.place() as usize)?.as_ref();
        session.map(|session| session.connection)
    }

    pub(crate) fn slot_at(&self, address: Address) -> Option<Slot> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn at(&self, slot: Slot) -> &Session {
        self.slots[slot as usize].as_ref().expect("a slot in use")
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Session {
        self.slots[slot as usize].as_mut().expect("a slot in use")
    }

    /// The feed of a tool.
    pub(crate) fn feed_mut(&mut self, slot: Slot) -> Option<&mut Option<Box<Feed>>> {
        match &mut self.at_mut(slot).side {
            Side::Tool { feed, .. } => Some(feed),
            Side::Controller { .. } => None,
        }
    }

    /// The account of a tool.
    pub(crate) fn account_of(&self, slot: Slot) -> Option<AccountId> {
        match self.at(slot).side {
            Side::Tool { account, .. } => Some(account),
            Side::Controller { .. } => None,
        }
    }

    /// The rights of a tool.
    pub(crate) fn rights(&self, slot: Slot) -> Option<&Rights> {
        match &self.at(slot).side {
            Side::Tool { rights, .. } => Some(rights),
            Side::Controller { .. } => None,
        }
    }

    /// Whether two tools have a role at one site.
    pub(crate) fn meet(&self, one: Slot, other: Slot) -> bool {
        let rights = self.rights(one).zip(self.rights(other));
        rights.is_some_and(|(one, other)| one.meets(other))
    }

    /// Whether a peer may know that an account's tools are, or were, there. Who sees everything sees
    /// whoever commands there, with what rights ever; controllers know whom they answer.
    pub(crate) fn knows_of(&self, peer: Slot, account: AccountId) -> bool {
        let Some(rights) = self.rights(peer) else {
            return true;
        };
        let other = self.accounts[account.0 as usize].rights.as_ref();
        rights.sees_all() || other.is_some_and(|other| rights.meets(other))
    }

    /// Whether an account may give commands at a site, as far as it was told.
    pub(crate) fn may_command(&self, account: AccountId, site: Option<SiteId>) -> bool {
        let account = &self.accounts[account.0 as usize];
        match &account.rights {
            _ if account.is_withdrawn => false,
            Some(rights) => rights.role_at(site) >= Some(Role::Operator),
            // A restarted gateway has yet to say; the command was judged when it came.
            None => true,
        }
    }

    /// Notes what an account may do from now on; `None` is nothing, for it was withdrawn.
    fn note_rights(&mut self, account: AccountId, rights: Option<Rights>) {
        let account = &mut self.accounts[account.0 as usize];
        account.is_withdrawn = rights.is_none();
        // What it had is kept: people ask who it was that commanded.
        if rights.is_some() {
            account.rights = rights;
        }
    }

    /// The number that stands for an account's name. Accounts are as many as the config store has.
    pub(crate) fn account(&mut self, name: &Title) -> AccountId {
        if let Some(&account) = self.accounts_by_name.get(name) {
            return account;
        }
        let account = AccountId(self.accounts.len() as u32);
        self.accounts_by_name.insert(name.clone(), account);
        self.accounts.push(Account {
            name: name.clone(),
            rights: None,
            is_withdrawn: false,
        });
        account
    }

    pub(crate) fn account_name(&self, account: AccountId) -> &Title {
        &self.accounts[account.0 as usize].name
    }

    /// What is remembered of a tool that is, or was, at this address.
    pub(crate) fn seen(&self, tool: Address) -> Option<SeenTool> {
        self.tools_seen.get(&tool).copied()
    }

    /// The rights, or equal ones that the account has already.
    fn shared(&self, account: AccountId, rights: Rights) -> Rights {
        let known = self.accounts[account.0 as usize].rights.as_ref();
        known
            .filter(|known| **known == rights)
            .cloned()
            .unwrap_or(rights)
    }

    fn note_seen(&mut self, tool: Address, seen: SeenTool) {
        if self.tools_seen.insert(tool, seen).is_some() {
            return;
        }
        self.tools_seen_order.push_back(tool);
        if self.tools_seen_order.len() > TOOLS_SEEN_MAX
            && let Some(oldest) = self.tools_seen_order.pop_front()
        {
            self.tools_seen.remove(&oldest);
        }
    }

    fn insert(&mut self, session: Session) -> Slot {
        let slot = session.connection.place();
        self.by_address.insert(session.address, slot);
        if let Side::Tool { account, since, .. } = session.side {
            self.tools += 1;
            self.note_seen(session.address, SeenTool { account, since });
        }
        if self.slots.len() <= slot as usize {
            self.slots.resize_with(slot as usize + 1, || None);
        }
        self.slots[slot as usize] = Some(session);
        slot
    }

    fn remove(&mut self, slot: Slot, now: Time) -> Session {
        let session = self.slots[slot as usize].take().expect("a slot in use");
        self.by_address.remove(&session.address);
        self.queued_bytes -= session.queued_bytes;
        if let Side::Tool { account, .. } = session.side {
            self.tools -= 1;
            self.note_seen(
                session.address,
                SeenTool {
                    account,
                    since: now,
                },
            );
        }
        session
    }

    pub(crate) fn tool_slots(&self) -> Vec<Slot> {
        self.slots_where(|session| matches!(session.side, Side::Tool { .. }))
    }

    fn slots_where(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Slot> {
        let in_use = self.slots.iter().enumerate();
        in_use
            .filter(|(_, session)| session.as_ref().is_some_and(&wanted))
            .map(|(slot, _)| slot as Slot)
            .collect()
    }
}

impl Relay {
    pub(crate) fn connected(&mut self, work: &mut Work<'_>, connection: ConnectionId, peer: Peer) {
        match self.sessions.holder_of_place(connection) {
            Some(holder) if holder == connection => return,
            // Its number is used again, so it is gone.
            Some(holder) => self.disconnected(work, holder, Code::LinkLost),
            None => {}
        }
        let address = peer.address();
        if let Some(older) = self.sessions.slot_at(address) {
            self.end(work, older, Code::Replaced);
            self.note_replacement(work, address);
        }
        let side = match peer {
            Peer::Controller {
                address,
                frame_bytes_max,
            } => match self.fleet.know(address, &self.settings) {
                Some(index) => Side::Controller {
                    index,
                    frame_bytes_max,
                },
                None => {
                    // More controllers than the settings allow: an installation's own bound.
                    self.counters.ended.add(Code::Busy);
                    work.output(Output::Close {
                        connection,
                        address,
                        code: Code::Busy,
                    });
                    return;
                }
            },
            Peer::Tool {
                account, rights, ..
            } => {
                let account = self.sessions.account(&account);
                let rights = self.sessions.shared(account, rights);
                self.sessions.note_rights(account, Some(rights.clone()));
                Side::Tool {
                    account,
                    rights,
                    since: work.now.time,
                    feed: None,
                }
            }
        };
        let now = work.now.since_start;
        let look_at = now + limits::SLOW_PEER_TIMEOUT.min(self.silent_after());
        let look_at = self.timers.arm_look(look_at, connection.place());
        let slot = self.sessions.insert(Session {
            connection,
            address,
            queued_bytes: 0,
            last_heard: now.into(),
            last_progress: now.into(),
            look_at,
            side,
        });
        if let Side::Controller { index, .. } = self.sessions.at(slot).side {
            self.fleet.at_mut(index).set_session(Some(slot));
        }
    }

    pub(crate) fn disconnected(
        &mut self,
        work: &mut Work<'_>,
        connection: ConnectionId,
        reason: Code,
    ) {
        if let Some(slot) = self.sessions.slot_of(connection) {
            self.counters.ended.add(reason);
            self.leave(work, slot, reason);
        }
    }

    /// Ends a connection from this side: one error frame where it can be of use, then the close.
    pub(crate) fn end(&mut self, work: &mut Work<'_>, slot: Slot, code: Code) {
        self.counters.ended.add(code);
        let (connection, address) = {
            let session = self.sessions.at(slot);
            (session.connection, session.address)
        };
        // A peer that does not read would only keep the close waiting.
        if code != Code::SlowPeer {
            let payload = ErrorMessage { code, detail: None }.encode();
            let frame = Frame::new(Kind::Error, 0, Address::GATEWAY, address, &payload);
            self.counters.frames_sent += 1;
            work.sink.send(connection, frame.bytes(), Haste::Now);
        }
        work.output(Output::Close {
            connection,
            address,
            code,
        });
        self.leave(work, slot, code);
    }

    /// The same without the last word: the peer has said its own, or cannot hear.
    pub(crate) fn close(&mut self, work: &mut Work<'_>, slot: Slot, code: Code) {
        self.counters.ended.add(code);
        let session = self.sessions.at(slot);
        let (connection, address) = (session.connection, session.address);
        work.output(Output::Close {
            connection,
            address,
            code,
        });
        self.leave(work, slot, code);
    }

    fn leave(&mut self, work: &mut Work<'_>, slot: Slot, reason: Code) {
        let session = self.sessions.remove(slot, work.now.time);
        match session.side {
            Side::Controller { index, .. } => self.controller_left(work, index, reason),
            Side::Tool { feed, rights, .. } => {
                if let Some(feed) = feed {
                    self.drop_feed(slot, &feed, &rights);
                }
            }
        }
    }

    /// Queues a frame for a peer. One whose queue is past its bound is cut off once this input is
    /// dealt with, so that no caller loses a session from under its hands.
    pub(crate) fn send(&mut self, work: &mut Work<'_>, slot: Slot, frame: &[u8]) {
        self.send_with(work, slot, frame, Haste::Now);
    }

    /// Queues a frame of the gateway's own making.
    pub(crate) fn send_own(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        (kind, flags): (Kind, Flags),
        correlation: u32,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let to = self.sessions.at(slot).address;
        let mut bytes = std::mem::take(&mut self.own_frame);
        let peers = (Address::GATEWAY, to);
        let frame = FrameRef::write(&mut bytes, kind, flags, correlation, peers, write);
        self.send(work, slot, frame.bytes());
        self.own_frame = bytes;
    }

    pub(crate) fn send_with(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: &[u8],
        haste: Haste,
    ) {
        let session = self.sessions.at_mut(slot);
        let queued_bytes = session.queue(frame.len(), work.now);
        let connection = session.connection;
        let bound = match session.side {
            Side::Controller { .. } => 2 * self.settings.controller_queue_bytes_max,
            Side::Tool { .. } => self.settings.tool_queue_bytes_max,
        };
        self.sessions.queued_bytes += frame.len();
        self.counters.frames_sent += 1;
        work.sink.send(connection, frame, haste);
        if queued_bytes > bound {
            self.doomed.push(connection);
        }
    }

    pub(crate) fn bytes_left(
        &mut self,
        work: &mut Work<'_>,
        connection: ConnectionId,
        bytes: usize,
    ) {
        let Some(slot) = self.sessions.slot_of(connection) else {
            return;
        };
        let session = self.sessions.at_mut(slot);
        let bytes = bytes.min(session.queued_bytes);
        session.queued_bytes -= bytes;
        session.last_progress = work.now.since_start.into();
        let controller = match session.side {
            Side::Controller { index, .. } => Some(index),
            Side::Tool { .. } => None,
        };
        self.sessions.queued_bytes -= bytes;
        match controller {
            Some(index) => self.stir(index),
            None => self.pump(work, slot),
        }
    }

    pub(crate) fn heard(&mut self, slot: Slot, now: Duration) {
        self.sessions.at_mut(slot).last_heard = now.into();
    }

    pub(crate) fn silent_after(&self) -> Duration {
        self.settings.ping_interval * limits::SILENT_INTERVALS
    }

    /// Looks whether a connection is silent or slow. It looks at least every 31 s, so the moment
    /// at which a queue began to fill is never older than that when it is first seen here, and
    /// filling a queue need not touch the timers.
    pub(crate) fn look_at_connection(&mut self, work: &mut Work<'_>, slot: Slot, second: Second) {
        let now = work.now.since_start;
        match &self.sessions.slots[slot as usize] {
            Some(session) if session.look_at == second => {}
            // It has gone; whoever has its place is looked at in time.
            _ => return,
        }
        let silent_at = self.sessions.at(slot).last_heard.since_start() + self.silent_after();
        let session = self.sessions.at(slot);
        let slow_at = match session.queued_bytes {
            0 => now + limits::SLOW_PEER_TIMEOUT,
            _ => session.last_progress.since_start() + limits::SLOW_PEER_TIMEOUT,
        };
        if slow_at <= now {
            self.end(work, slot, Code::SlowPeer);
        } else if silent_at <= now {
            self.end(work, slot, Code::Silent);
        } else {
            let look_at = self.timers.arm_look(slow_at.min(silent_at), slot);
            self.sessions.at_mut(slot).look_at = look_at;
        }
    }

    pub(crate) fn account_changed(
        &mut self,
        work: &mut Work<'_>,
        name: &Title,
        new_rights: Option<Rights>,
    ) {
        let changed = self.sessions.account(name);
        self.sessions.note_rights(changed, new_rights.clone());
        // First of all: its tools are still told as those who may see.
        self.withdraw_commands_of(work, changed);
        let slots = self.sessions.slots_where(
            |session| matches!(session.side, Side::Tool { account, .. } if account == changed),
        );
        match new_rights {
            Some(rights) => self.change_rights(work, &slots, &rights),
            None => {
                for slot in slots {
                    self.end(work, slot, Code::Revoked);
                }
            }
        }
    }

    /// Gives tools of one account other rights, and has them told of what they see from now on, or
    /// no more.
    fn change_rights(&mut self, work: &mut Work<'_>, slots: &[Slot], new: &Rights) {
        // Mostly all of them had the same rights before, and the fleet is gone through once.
        let mut last: Option<(Rights, Vec<u32>)> = None;
        for &slot in slots {
            if self.sabotaged(Sabotage::KeepShowing) {
                continue;
            }
            let Side::Tool { rights, .. } = &mut self.sessions.at_mut(slot).side else {
                continue;
            };
            let old = std::mem::replace(rights, new.clone());
            if old.sees_as(new) {
                continue;
            }
            let indexes = match last.take() {
                Some((before, indexes)) if before == old => indexes,
                _ => self.fleet.seen_differently(&old, new),
            };
            self.rewatch(slot, &old, new);
            self.view_changed(work, slot, &indexes);
            last = Some((old, indexes));
        }
    }

    /// Whether a peer may see a controller.
    pub(crate) fn sees(&self, peer: Slot, index: u32) -> bool {
        let site = self.fleet.at(index).site();
        self.sessions
            .rights(peer)
            .is_none_or(|rights| rights.sees(site))
    }

    pub(crate) fn shut_down(&mut self, work: &mut Work<'_>) {
        // Nobody needs to be told of every controller that it goes, for all go.
        for slot in self.sessions.tool_slots() {
            self.unfeed(slot);
        }
        // Controllers first: what was only held in memory for one is refused, and its tool can
        // still be told.
        for slot in self
            .sessions
            .slots_where(|session| !session.address.is_tool())
        {
            self.end(work, slot, Code::ShuttingDown);
        }
        for slot in self.sessions.tool_slots() {
            self.end(work, slot, Code::ShuttingDown);
        }
    }

    fn note_replacement(&mut self, work: &mut Work<'_>, address: Address) {
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        let now = work.now.since_start;
        let replacements = &mut self.fleet.at_mut(index).replacements;
        if replacements.get_or_insert_default().note(now) {
            self.counters.duplicate_addresses += 1;
            work.output(Output::Notice(Notice::DuplicateAddress { address }));
        }
    }
}

/// The latest replacements of one controller's session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replacements {
    latest: [Option<Duration>; 3],
}

impl Replacements {
    /// Notes one, and says whether it is the third within a minute; then counting starts anew.
    pub(crate) fn note(&mut self, now: Duration) -> bool {
        self.latest.rotate_left(1);
        self.latest[2] = Some(now);
        let raised = self.latest[0].is_some_and(|first| now - first <= Duration::from_secs(60));
        if raised {
            self.latest = [None; 3];
        }
        raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_peer_is_small() {
        // So that growth is a decision: fifty thousand idle controllers are at most 10 MB of these,
        // and 9 MB of what their points are.
        assert!(size_of::<Session>() <= 80, "{}", size_of::<Session>());
        let controller = size_of::<crate::presence::Controller>();
        assert!(controller <= 120, "{controller}");
        let record = size_of::<crate::receipts::Record>();
        assert!(record <= 144, "{record}");
    }

    #[test]
    fn three_replacements_within_a_minute_are_a_duplicate_address() {
        for (seconds, expected) in [
            (&[0, 10, 20][..], &[false, false, true][..]),
            (&[0, 30, 60], &[false, false, true]),
            (&[0, 30, 61], &[false, false, false]),
            (&[0, 30, 61, 62], &[false, false, false, true]),
            (
                &[0, 1, 2, 3, 4, 5],
                &[false, false, true, false, false, true],
            ),
        ] {
            let mut replacements = Replacements::default();
            let raised: Vec<bool> = seconds
                .iter()
                .map(|&second| replacements.note(Duration::from_secs(second)))
                .collect();
            assert_eq!(raised, expected, "{seconds:?}");
        }
    }
}
