//! Commands that have been sent and have not ended: what the sender has been told, and what still
//! has to be asked. Pure: the caller brings receipts, answers and instants.
//!
//! A command ends exactly once. While its receipts come by themselves nothing is asked; after a
//! lost link the gateway is asked (`receipt`), then the controller (`outcome`), again and again
//! until one of them knows the end or its time is up, and then it is `unknown`.

use std::{collections::HashMap, time::Duration};
use switchyard_protocol::{
    Address, Code,
    limits::EXPIRY_GRACE,
    message::{Key, Receipt, Stage, Time},
};
use tokio::{sync::mpsc, time::Instant};

/// Commands that one client keeps open at most.
pub const COMMANDS_MAX: usize = 256;
/// Receipts that one command can have at most: each stage once, and one repeated by its end.
pub(crate) const RECEIPTS_MAX: usize = 16;
/// How often a command whose receipts may go elsewhere is asked after.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// How much longer than the gateway's own patience ours lasts.
const SLACK: Duration = Duration::from_secs(5);

/// Whom to ask, and about which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The gateway's `receipt`.
    Gateway(Key),
    /// The controller's `outcome`.
    Controller(Address, Key),
}

/// What the gateway said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayWord {
    /// Its latest receipt.
    Stage(Stage, Option<Time>, Option<Code>, bool),
    /// Not a key of this start of the gateway: the controller has to be asked.
    NeverHeard,
    /// Anything else, such as `busy` before the first receipt: it may know later, and until then
    /// nothing must be concluded.
    CannotSay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Receipts come over this very link.
    Told,
    /// The link was lost since: ask at this instant.
    AskAt(Instant),
    /// A question is open.
    Asking,
}

#[derive(Debug)]
struct Open {
    address: Address,
    last: Option<Stage>,
    deadline: Instant,
    trust: Trust,
    /// The boot that the controller had when the command was sent.
    boot: Option<u32>,
    receipts: mpsc::Sender<Receipt>,
}

/// All open commands, by key.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    open: HashMap<Key, Open>,
}

impl Commands {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.open.contains_key(&key)
    }

    pub(crate) fn opened(
        &mut self,
        key: Key,
        address: Address,
        boot: Option<u32>,
        expires_at: Instant,
        receipts: mpsc::Sender<Receipt>,
    ) {
        self.open.insert(
            key,
            Open {
                address,
                last: None,
                deadline: expires_at + EXPIRY_GRACE + SLACK,
                trust: Trust::Told,
                boot,
                receipts,
            },
        );
    }

    /// A receipt frame. One that is not from the gateway or the command's own controller is nobody's.
    pub(crate) fn receipt(&mut self, source: Address, receipt: Receipt) {
        let is_ours = |open: &Open| source == Address::GATEWAY || source == open.address;
        if self.open.get(&receipt.key).is_some_and(is_ours) {
            self.tell(receipt);
        }
    }

    /// The link was lost: from now on every open command has to be asked after.
    pub(crate) fn link_lost(&mut self, now: Instant) {
        for open in self.open.values_mut() {
            open.trust = Trust::AskAt(now);
        }
    }

    /// When [`questions`](Self::questions) or [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_due(&self, is_live: bool) -> Option<Instant> {
        self.open
            .values()
            .map(|open| match open.trust {
                Trust::AskAt(at) if is_live => at.min(open.deadline),
                _ => open.deadline,
            })
            .min()
    }

    /// What to ask now; each is answered by one of the two functions below, or by
    /// [`link_lost`](Self::link_lost).
    pub(crate) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let mut questions = Vec::new();
        for (&key, open) in &mut self.open {
            if matches!(open.trust, Trust::AskAt(at) if at <= now) {
                open.trust = Trust::Asking;
                questions.push(Question::Gateway(key));
            }
        }
        questions
    }

    /// What the gateway said. Gives the question for the controller, if that is next.
    pub(crate) fn gateway_said(
        &mut self,
        key: Key,
        said: GatewayWord,
        now: Instant,
    ) -> Option<Question> {
        let open = self.open.get_mut(&key)?;
        match said {
            GatewayWord::NeverHeard => return Some(Question::Controller(open.address, key)),
            GatewayWord::CannotSay => open.trust = Trust::AskAt(now + ASK_INTERVAL),
            GatewayWord::Stage(stage, at, reason, is_final) => {
                open.trust = Trust::AskAt(now + ASK_INTERVAL);
                self.tell(plain(key, stage, at, reason, is_final));
            }
        }
        None
    }

    /// What the controller said; `None` when it does not answer.
    pub(crate) fn controller_said(
        &mut self,
        key: Key,
        said: Option<(u32, Option<Stage>, Option<Code>, bool)>,
        now: Instant,
    ) {
        let Some(open) = self.open.get_mut(&key) else {
            return;
        };
        match said {
            None => open.trust = Trust::AskAt(now + ASK_INTERVAL),
            Some((_, Some(stage), reason, is_final)) => {
                open.trust = Trust::AskAt(now + ASK_INTERVAL);
                self.tell(plain(key, stage, None, reason, is_final));
            }
            // Neither knows it. It may have been executed by a boot that is over, or have been
            // pushed out of the controller's memory: nobody can tell any more.
            Some((boot, None, ..)) => {
                let rebooted = open.boot.is_some_and(|before| before != boot);
                let reason = if rebooted {
                    Code::Rebooted
                } else {
                    Code::LinkLost
                };
                self.tell(plain(key, Stage::Unknown, None, Some(reason), true));
            }
        }
    }

    /// Ends what nobody answered for in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        let late: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, open)| open.deadline <= now)
            .map(|(&key, _)| key)
            .collect();
        for key in late {
            self.tell(plain(key, Stage::Unknown, None, Some(Code::TimedOut), true));
        }
    }

    /// Ends everything: the client is being closed.
    pub(crate) fn close(&mut self) {
        let keys: Vec<Key> = self.open.keys().copied().collect();
        for key in keys {
            self.tell(plain(key, Stage::Unknown, None, Some(Code::LinkLost), true));
        }
    }

    /// Passes a receipt on, unless it says nothing new.
    fn tell(&mut self, receipt: Receipt) {
        let Some(open) = self.open.get_mut(&receipt.key) else {
            return;
        };
        let is_news = receipt.is_final || open.last.is_none_or(|last| receipt.stage > last);
        if !is_news {
            return;
        }
        open.last = Some(receipt.stage);
        let key = receipt.key;
        let is_final = receipt.is_final;
        // Each stage is told once, so the channel has room; a receiver that is gone wants nothing.
        let _ = open.receipts.try_send(receipt);
        if is_final {
            self.open.remove(&key);
        }
    }
}

fn plain(
    key: Key,
    stage: Stage,
    at: Option<Time>,
    reason: Option<Code>,
    is_final: bool,
) -> Receipt {
    Receipt {
        key,
        stage,
        at,
        reason,
        detail: None,
        is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUMP: Address = Address(100_042);
    const KEY: Key = Key([1; 16]);

    fn opened(now: Instant) -> (Commands, mpsc::Receiver<Receipt>) {
        let (sender, receiver) = mpsc::channel(RECEIPTS_MAX);
        let mut commands = Commands::default();
        let expires_at = now + Duration::from_secs(10);
        commands.opened(KEY, PUMP, Some(1), expires_at, sender);
        (commands, receiver)
    }

    fn stages(receiver: &mut mpsc::Receiver<Receipt>) -> Vec<(Stage, Option<Code>, bool)> {
        let mut stages = Vec::new();
        while let Ok(receipt) = receiver.try_recv() {
            stages.push((receipt.stage, receipt.reason, receipt.is_final));
        }
        stages
    }

    #[test]
    fn silence_ends_as_unknown_after_the_gateways_own_patience() {
        let now = Instant::now();
        let (mut commands, mut receiver) = opened(now);
        let due = commands.next_due(true).unwrap();
        assert_eq!(due, now + Duration::from_secs(10) + EXPIRY_GRACE + SLACK);
        commands.expire(due - Duration::from_millis(1));
        assert_eq!(commands.len(), 1);
        commands.expire(due);
        commands.expire(due);
        let expected = [(Stage::Unknown, Some(Code::TimedOut), true)];
        assert_eq!(stages(&mut receiver), expected);
        assert_eq!((commands.len(), commands.next_due(true)), (0, None));
    }

    #[test]
    fn strangers_and_stragglers_are_not_believed() {
        let (mut commands, mut receiver) = opened(Instant::now());
        let receipt = |stage, is_final| plain(KEY, stage, None, None, is_final);
        commands.receipt(Address(7), receipt(Stage::Executed, true));
        commands.receipt(PUMP, receipt(Stage::Delivered, false));
        commands.receipt(Address::GATEWAY, receipt(Stage::Sent, false));
        commands.receipt(PUMP, receipt(Stage::Delivered, false));
        commands.receipt(PUMP, receipt(Stage::Executed, true));
        commands.receipt(PUMP, receipt(Stage::Failed, true));
        let expected = [
            (Stage::Delivered, None, false),
            (Stage::Executed, None, true),
        ];
        assert_eq!(stages(&mut receiver), expected);
    }

    #[test]
    fn asks_once_at_a_time_and_again_after_every_lost_link() {
        let now = Instant::now();
        let (mut commands, mut receiver) = opened(now);
        assert_eq!(commands.questions(now), [], "receipts come by themselves");
        commands.link_lost(now);
        assert_eq!(commands.questions(now), [Question::Gateway(KEY)]);
        assert_eq!(commands.questions(now), []);
        let next = commands.gateway_said(KEY, GatewayWord::CannotSay, now);
        assert_eq!(
            (next, commands.questions(now)),
            (None, vec![]),
            "not at once"
        );
        let now = now + ASK_INTERVAL;
        assert_eq!(commands.questions(now), [Question::Gateway(KEY)]);
        let next = commands.gateway_said(KEY, GatewayWord::NeverHeard, now);
        assert_eq!(next, Some(Question::Controller(PUMP, KEY)));
        commands.controller_said(KEY, None, now);
        assert_eq!(commands.questions(now), [], "not at once");
        let later = now + ASK_INTERVAL;
        assert_eq!(commands.questions(later), [Question::Gateway(KEY)]);
        commands.link_lost(later);
        assert_eq!(commands.questions(later), [Question::Gateway(KEY)]);
        let said = GatewayWord::Stage(Stage::Executed, None, None, true);
        assert_eq!(commands.gateway_said(KEY, said, later), None);
        assert_eq!(stages(&mut receiver), [(Stage::Executed, None, true)]);
        assert_eq!(commands.len(), 0);
    }
}
