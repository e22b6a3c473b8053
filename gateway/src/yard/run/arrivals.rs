//! Peers that come: proven controllers, and tools that have said who they are.

use super::Yard;
use crate::{
    keyring::Held,
    store::{Login, TokenHash},
    yard::{
        Authority, ControllerArrival, LoggedIn, Origin, ToolArrival, driver::Driver, intake,
        intake::Intake as _, lines::Opening,
    },
};
use switchyard_protocol::{Address, Code, Flags, Frame, Kind, Role, limits, message::ToolWelcome};
use switchyard_relay::{ConnectionId, Input, Peer};

impl Yard {
    pub(super) fn controller_arrives(
        &mut self,
        driver: &mut dyn Driver,
        arrival: ControllerArrival,
    ) {
        let ControllerArrival {
            proven,
            stream,
            ip,
            permit,
        } = arrival;
        let address = proven.address;
        // It may have been withdrawn, or given other keys, since it said hello. The keyring learns of
        // that before the yard does.
        let is_still_known = match self.context.keyring.held(address) {
            Held::Keys(keys) => proven.key.is_none_or(|key| {
                // With a next key that was not looked at: it dials again, and takes its step at the door.
                let is_looked_at = || proven.keys.is_some_and(|seen| seen.next == keys.next);
                keys.has(&key) && (keys.next.is_none() || is_looked_at())
            }),
            Held::Perhaps => proven.entry.is_some(),
            Held::Nobody => false,
        };
        if !is_still_known {
            return tracing::info!(peer = %ip, %address, "controller was withdrawn, or given keys, while it came in");
        }
        let frame_bytes_max = proven.wire.frame_bytes_max();
        let opening = Opening {
            stream: stream.into(),
            wire: proven.wire,
            permit: Some(permit),
        };
        let id = match self.shards.open(driver, opening) {
            Ok(id) => id,
            Err(error) => return tracing::error!(%error, "a socket could not be moved to the yard"),
        };
        tracing::info!(peer = %ip, %address, session = id.0, "controller connected");
        if let Some(entry) = proven.entry
            && !self.relay.knows(address)
        {
            // It was enrolled a moment ago, by another process. Once the relay has been told of it,
            // that is the later news.
            self.known(address, entry.title, entry.site);
        }
        let peer = Peer::Controller {
            address,
            frame_bytes_max,
        };
        self.enter(id, peer, &proven.frames, proven.rest);
    }

    pub(super) fn tool_arrives(&mut self, driver: &mut dyn Driver, arrival: ToolArrival) {
        let ToolArrival {
            stream,
            wire,
            origin,
            address,
            authority,
            correlation,
            frames,
            rest,
        } = arrival;
        let (account, rights) = match &authority {
            Authority::LogIn { login, .. } => (login.account.clone(), login.rights.clone()),
            Authority::Gateway { account, rights } => (account.clone(), rights.clone()),
        };
        let came_from = origin.to_string();
        let (ip, permit) = match origin {
            Origin::Network { ip, permit } => (Some(ip), Some(permit)),
            Origin::Inside { caller, .. } => (caller, None),
        };
        let opening = Opening {
            stream,
            wire,
            permit,
        };
        let id = match self.shards.open(driver, opening) {
            Ok(id) => id,
            Err(error) => return tracing::error!(%error, "a socket could not be moved to the yard"),
        };
        self.shards.journal.arrived(id, ip);
        // Who has none anywhere does not come so far.
        let role = rights.highest().unwrap_or(Role::Viewer);
        tracing::info!(
            peer = %came_from, %address, session = id.0, %account, role = role.name(), "tool connected"
        );
        let message = ToolWelcome {
            version: limits::LINK_VERSION,
            time: self.now.time,
            ping_interval: self.context.settings.ping_interval,
            address,
            account: account.clone(),
            role,
            gateway: self.context.gateway,
        };
        let welcome = Frame::with_flags(
            Kind::Hello,
            Flags::REPLY,
            correlation,
            Address::GATEWAY,
            address,
            &message.encode(),
        );
        self.shards.greet(id, welcome.bytes());
        let to_check = match authority {
            Authority::LogIn {
                token,
                login,
                looks,
            } => {
                self.tool_logged_in(id, token, login);
                // The log-in may have been withdrawn after it was looked up and before it stood in the
                // table that withdrawals go through.
                (looks != self.assistants.yard.looks()).then_some((id, token))
            }
            // It rests on no log-in that could end, and its account is none of the store's.
            Authority::Gateway { .. } => None,
        };
        let peer = Peer::Tool {
            address,
            account,
            rights,
        };
        self.enter(id, peer, &frames, rest);
        if let Some(login) = to_check {
            self.check_logins(vec![login]);
        }
    }

    /// Notes the log-in that a tool rests on.
    fn tool_logged_in(&mut self, id: ConnectionId, token: TokenHash, login: Login) {
        let (account, rights) = (login.account.clone(), login.rights.clone());
        self.tools.insert(id, LoggedIn { login, token });
        // Should this be older news than what was read before, the log-in is checked later.
        let before = self.rights.insert(account.clone(), rights.clone());
        if before.is_some_and(|before| before != rights) {
            // The account's other tools follow now: the next look finds nothing new any more.
            self.input(Input::AccountChanged {
                account: account.clone(),
                rights: Some(rights),
            });
        }
        if self.is_checking {
            self.came_meanwhile.insert(account);
        }
    }

    /// A peer is live, with the frames that came together with its proof and what came after them.
    fn enter(&mut self, connection: ConnectionId, peer: Peer, frames: &[u8], mut rest: Vec<u8>) {
        self.input(Input::Connected { connection, peer });
        let payload_bytes_max = limits::PAYLOAD_BYTES_MAX;
        // They were checked to be whole by whoever proved the peer.
        if let Err(code) = self.frames(connection, frames, payload_bytes_max) {
            return self.end(connection, code);
        }
        if self.ends_at.is_some() {
            // It came too late to be told with the others.
            return self.end(connection, Code::ShuttingDown);
        }
        if !rest.is_empty() && self.shards.came(connection, &rest) {
            intake::decrypted(self, connection, &mut rest);
        }
    }
}
