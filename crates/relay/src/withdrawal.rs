//! Commands that wait and may not be sent any more: their accounts lost the right, or their controllers
//! moved out of its reach.

use crate::{
    Relay, Sabotage, Work,
    receipts::{News, Phase},
    session::AccountId,
    timers::Timer,
};
use switchyard_protocol::{
    Code, SiteId,
    message::{Key, Stage},
};

impl Relay {
    /// Whether a command that waits may still be sent to a controller at this site.
    pub(crate) fn may_go(&self, key: Key, site: Option<SiteId>) -> bool {
        let account = self.ledger.at(key).known.account;
        self.sabotaged(Sabotage::SendWithdrawn) || self.sessions.may_command(account, site)
    }

    /// An account's rights have changed: what waits and may not be sent any more is withdrawn.
    pub(crate) fn withdraw_commands_of(&mut self, work: &mut Work<'_>, account: AccountId) {
        if self.ledger.waiting == 0 {
            return;
        }
        let indexes: Vec<u32> = self.fleet.indexes().collect();
        for index in indexes {
            let controller = self.fleet.at(index);
            let (site, waiting) = (controller.site(), controller.lane().waiting.iter());
            let is_its = |key: &&Key| self.ledger.at(**key).known.account == account;
            let keys: Vec<Key> = waiting.filter(is_its).copied().collect();
            for key in keys {
                if !self.may_go(key, site) {
                    self.withdraw(work, key);
                }
            }
        }
    }

    /// A controller is going to be at another site: likewise.
    pub(crate) fn withdraw_commands_to(
        &mut self,
        work: &mut Work<'_>,
        index: u32,
        site: Option<SiteId>,
    ) {
        let lane = self.fleet.at(index).lane();
        let waiting: Vec<Key> = lane.waiting.iter().copied().collect();
        for key in waiting {
            if !self.may_go(key, site) {
                self.withdraw(work, key);
            }
        }
    }

    /// Ends a command in its lane that was not sent, since its account may not give it any more.
    pub(crate) fn withdraw(&mut self, work: &mut Work<'_>, key: Key) {
        if self.ledger.at(key).is_stored {
            self.unqueue(work, key, Code::Forbidden);
        } else {
            let news = News::of(work, Stage::Refused, Some(Code::Forbidden));
            self.finish(work, key, news);
        }
    }

    /// Takes a command out of its lane that is refused with this code once the store has certainly
    /// forgotten it. Refusing it now could be a lie: after a restart the store might bring it back.
    pub(crate) fn unqueue(&mut self, work: &mut Work<'_>, key: Key, code: Code) {
        let record = self.ledger.at_mut(key);
        let was = std::mem::replace(&mut record.phase, Phase::Unqueueing(code));
        let (due_at, address) = (record.due_at, record.known.controller);
        self.timers.arm(due_at, Timer::Command(key));
        self.ledger.waiting -= 1;
        if let Some(index) = self.fleet.index_of(address) {
            self.leave_lane(work, index, key, was);
        }
        self.forget(work, key);
    }
}
