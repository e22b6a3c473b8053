//! Rights that come and go: accounts are given other sites or withdrawn, controllers move, and
//! nothing of a controller may reach a tool without a role there.

use crate::world::{Event, Invariant, PeerRef, World};
use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use switchyard_protocol::{
    Code, Frame, Kind, Role, SiteId, limits,
    message::{Answer, Body, CommandHead, Event as Message, Receipt, Stage, Title},
};
use switchyard_relay::{Input, Rights};

/// Accounts of operators; each watcher has one besides.
pub(crate) const OPERATORS: usize = 4;
const SITES: u32 = 3;

/// One account, as the gateway was told of it last.
pub(crate) struct Account {
    /// `None` while it is withdrawn.
    pub(crate) rights: Option<Rights>,
    /// When it, or the place of any controller, last changed.
    pub(crate) changed_at: u64,
    /// The best role that it ever has.
    best: Role,
}

impl Account {
    pub(crate) fn new(best: Role) -> Self {
        Account {
            rights: Some(Rights::everywhere(best)),
            changed_at: 0,
            best,
        }
    }

    fn role_at(&self, site: Option<SiteId>) -> Option<Role> {
        self.rights.as_ref()?.role_at(site)
    }

    fn some_role(&self, rng: &mut ChaCha8Rng) -> Option<Role> {
        match rng.random_range(0..4) {
            0 => None,
            1 => Some(Role::Viewer),
            _ => Some(self.best),
        }
    }
}

pub(crate) fn name(account: usize) -> Title {
    Title::new(&format!("account {account}")).unwrap()
}

/// Where a controller is in the beginning: one of four is in no site.
pub(crate) fn first_site(controller: usize) -> Option<SiteId> {
    site(controller as u32 % (SITES + 1))
}

fn site(number: u32) -> Option<SiteId> {
    (number > 0).then_some(SiteId(number))
}

impl World {
    fn account_of(&self, peer: PeerRef) -> Option<usize> {
        match peer {
            PeerRef::Controller(_) => None,
            PeerRef::Operator(index) => Some(self.operators[index].account),
            PeerRef::Watcher(index) => Some(OPERATORS + index),
        }
    }

    /// Whether somebody's account is withdrawn at the moment.
    pub(crate) fn is_withdrawn(&self, peer: PeerRef) -> bool {
        self.account_of(peer)
            .is_some_and(|account| self.accounts[account].rights.is_none())
    }

    /// What a tool that dials may do.
    pub(crate) fn rights_of(&self, account: usize) -> Rights {
        let rights = self.accounts[account].rights.clone();
        rights.expect("a withdrawn account does not dial")
    }

    pub(crate) fn sees(&self, account: usize, controller: usize) -> bool {
        let role = self.accounts[account].role_at(self.sites[controller]);
        role.is_some()
    }

    /// Whether an account cannot have been told about a controller for sure since then.
    pub(crate) fn was_blind(&self, account: usize, controller: usize, since: u64) -> bool {
        !self.sees(account, controller) || self.accounts[account].changed_at >= since
    }

    /// Tells a gateway that starts.
    pub(crate) fn introduce(&mut self) {
        for account in 0..self.accounts.len() {
            self.tell_rights(account);
        }
        for index in 0..self.controllers.len() {
            self.tell_place(index);
        }
    }

    fn tell_rights(&mut self, account: usize) {
        let rights = self.accounts[account].rights.clone();
        let account = name(account);
        self.feed(Input::AccountChanged { account, rights });
    }

    fn tell_place(&mut self, index: usize) {
        self.feed(Input::ControllerKnown {
            address: self.controllers[index].address,
            title: Title::new(&format!("controller {index}")).unwrap(),
            site: self.sites[index],
        });
    }

    fn give(&mut self, account: usize, rights: Option<Rights>) {
        self.accounts[account].rights = rights;
        self.accounts[account].changed_at = self.now;
        self.tell_rights(account);
    }

    /// Somebody is given other rights, or withdrawn for a while.
    pub(crate) fn regrant_some(&mut self) {
        if self.is_resting {
            return;
        }
        let account = self.rng.random_range(0..self.accounts.len());
        let it = &self.accounts[account];
        let rng = &mut self.rng;
        let rights = match rng.random_range(0..10) {
            0 => None,
            1..=6 => Some(Rights::everywhere(it.best)),
            _ => {
                let everywhere = match rng.random_range(0..4) {
                    0 => Some(Role::Viewer),
                    _ => None,
                };
                let sites = (1..=SITES).filter_map(|number| {
                    let role = it.some_role(rng)?;
                    Some((SiteId(number), role))
                });
                let sites: Vec<_> = sites.collect();
                Some(Rights::new(everywhere, sites))
            }
        };
        self.count(match rights {
            None => "fault: account withdrawn",
            Some(_) => "fault: rights changed",
        });
        self.give(account, rights);
        let next = self.rng.random_range(1..2 * self.profile.regrant_every_ms);
        self.after(next, Event::Regrant);
    }

    /// A controller moves to another site.
    pub(crate) fn move_some(&mut self) {
        if self.is_resting {
            return;
        }
        let index = self.rng.random_range(0..self.controllers.len());
        self.count("fault: controller moved to another site");
        self.sites[index] = site(self.rng.random_range(0..=SITES));
        for account in &mut self.accounts {
            account.changed_at = self.now;
        }
        self.tell_place(index);
        let next = self.rng.random_range(1..2 * self.profile.move_every_ms);
        self.after(next, Event::Move);
    }

    /// In the end everybody may see everything again.
    pub(crate) fn restore_rights(&mut self) {
        for account in 0..self.accounts.len() {
            let best = self.accounts[account].best;
            self.give(account, Some(Rights::everywhere(best)));
        }
    }

    // --- what must not pass ----------------------------------------------------------------------

    /// Judges what the gateway sends at the moment at which it does: it knows by then of every right
    /// that there is.
    pub(crate) fn may_pass(&mut self, link: u64, bytes: &Bytes) {
        let Some(peer) = self.links.get(&link).map(|it| it.peer) else {
            return;
        };
        let mut bytes = bytes.clone();
        let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
        let frame = frame.unwrap().unwrap();
        let fault = match self.account_of(peer) {
            None => self.command_without_right(&frame),
            Some(account) => self.told_without_right(peer, account, &frame),
        };
        if let Some(fault) = fault {
            let kind = frame.header().kind.name();
            let text = format!("{peer:?} was sent {kind} {fault}");
            self.blame(Invariant::RightsKept, text);
        }
    }

    fn command_without_right(&self, frame: &Frame) -> Option<String> {
        if frame.header().kind != Kind::Command {
            return None;
        }
        let key = CommandHead::decode(frame.payload()).unwrap().key;
        let (account, controller) = self.commands[&key];
        let role = self.accounts[account].role_at(self.sites[controller]);
        (role < Some(Role::Operator)).then(|| format!("{key} of account {account} as {role:?}"))
    }

    fn told_without_right(
        &mut self,
        peer: PeerRef,
        account: usize,
        frame: &Frame,
    ) -> Option<String> {
        let header = frame.header();
        if header.kind == Kind::Response && header.source.is_controller() {
            self.count("told: answer of a controller");
        }
        let (mut about, mut needs_right) = (self.controller_at(header.source), true);
        match (header.kind, about) {
            (Kind::Event, None) => match Message::decode(frame.payload()).unwrap() {
                Message::Presence {
                    controller,
                    reason: Some(Code::Forbidden),
                    title,
                    ..
                } => {
                    self.count("told: gone from view");
                    let gone = self.controller_at(controller)?;
                    let is_wrong =
                        self.sees(account, gone) || title.as_str() != controller.to_string();
                    return is_wrong.then(|| format!("that hides {gone}, or tells too much"));
                }
                Message::Presence { controller, .. } => about = self.controller_at(controller),
                _ => {}
            },
            (Kind::Receipt, None) => {
                let receipt = Receipt::decode(frame.payload()).unwrap();
                about = Some(self.commands[&receipt.key].1);
                needs_right = !lacked_right(receipt.stage, receipt.reason);
            }
            (Kind::Response, None) => match Answer::decode(frame.payload()).unwrap() {
                Answer::Ok(Body::Receipt { stage, reason, .. }) => {
                    about = self.asked_about(peer, header.correlation);
                    needs_right = !lacked_right(stage, reason);
                }
                Answer::Ok(Body::Subscribe { count }) => {
                    let all = 0..self.controllers.len();
                    let seen = all.filter(|&it| self.sees(account, it)).count();
                    let is_wrong = self.watches_all(peer) && seen != count as usize;
                    return is_wrong.then(|| format!("{count} subscribed of {seen} that it sees"));
                }
                _ => {}
            },
            _ => {}
        }
        let hidden = about.filter(|&it| needs_right && !self.sees(account, it))?;
        Some(format!("of {hidden}, which account {account} may not see"))
    }

    fn controller_at(&self, address: switchyard_protocol::Address) -> Option<usize> {
        self.controllers.iter().position(|it| it.address == address)
    }
}

/// The code of a refusal.
pub(crate) fn refusal(answer: &Answer) -> Option<Code> {
    match answer {
        Answer::Refused { code, .. } => Some(*code),
        Answer::Ok(_) => None,
    }
}

/// The gateway refused for want of a right, which whoever it was may know.
fn lacked_right(stage: Stage, reason: Option<Code>) -> bool {
    stage == Stage::Refused && matches!(reason, Some(Code::Forbidden | Code::UnknownAddress))
}
