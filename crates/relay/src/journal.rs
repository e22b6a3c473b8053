//! What the gateway is to write down before it sends anything: each command and what becomes of it,
//! each change that somebody asks for, each refusal. And what a gateway that starts makes of it.
//!
//! An [`Entry`] borrows from what is at hand, for there are as many as there are receipts. A
//! [`Recollection`] reads them again in their order and says what a [`Relay`] must be
//! told so that it goes on where the one before was killed.

use crate::{
    ConnectionId, EndedCommand, Input, KeptReceipt, Map, Relay, ResumedCommand, Settings,
    StoredCommand, Work,
    receipts::{Known, News},
    session::{AccountId, Slot},
};
use bytes::Bytes;
use foldhash::fast::FixedState;
use std::collections::{HashSet, VecDeque};
use switchyard_protocol::{
    Address, Code, FrameRef, Kind,
    message::{Answer, CommandHead, Key, Stage, Time, Title, Verb, verb_of},
};

/// The largest command frame. The longest that the protocol knows takes a tenth of it; the rest is
/// for fields of later versions. It bounds what each command costs in the journal, and is what
/// every link can carry.
pub const COMMAND_FRAME_BYTES_MAX: usize = switchyard_protocol::limits::RECORD_BYTES_MAX_DEFAULT
    - switchyard_protocol::limits::RECORD_TAG_BYTES;

/// Somebody who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// By which connection; `None` for a command that is only remembered from a store.
    pub connection: Option<ConnectionId>,
    /// For which account.
    pub account: &'a Title,
}

/// One thing to write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A command came whose key was new, and was accepted; or refused, and its key is remembered.
    Command {
        /// Whose it is.
        origin: Origin<'a>,
        /// Its key.
        key: Key,
        /// Past this it must not be executed.
        expiry: Time,
        /// Header and payload, [`COMMAND_FRAME_BYTES_MAX`] at most but for those that are refused.
        frame: &'a [u8],
        /// How it ended at once.
        refused: Option<(Stage, Code)>,
    },
    /// A command or a change was refused, and left no trace: it was not allowed, say.
    Denied {
        /// Who asked.
        origin: Origin<'a>,
        /// Header and payload.
        frame: &'a [u8],
        /// Why.
        code: Code,
    },
    /// A command has come to another stage.
    Progress {
        /// Its key.
        key: Key,
        /// The boot that it was sent to; 0 before.
        boot: u32,
        /// Its latest receipt.
        receipt: KeptReceipt,
    },
    /// A change was asked for, and goes to whom it is for.
    Request {
        /// Who asks.
        origin: Origin<'a>,
        /// Header and payload.
        frame: &'a [u8],
    },
    /// The answer to such a request. Where there is none, nobody answered.
    Answer {
        /// Who asked, and under which correlation id.
        asker: (Address, u32),
        /// Who answers; [`Address::GATEWAY`] for the gateway itself.
        source: Address,
        /// The verb.
        verb: u16,
        /// Ok, or why not.
        code: Code,
    },
}

/// Whether somebody must be able to read later who asked for this: all that changes something, but
/// for the pieces of a transfer, whose opening and end tell what it is.
fn is_for_the_record(payload: &[u8]) -> Option<u16> {
    let number = verb_of(payload).ok()?;
    let verb = Verb::from_number(number)?;
    let changes = matches!(verb.kind(), Kind::Configure | Kind::Admin);
    // Pieces are many, and their opening and commit tell of them; a key is for nobody's record.
    let is_told = changes && !matches!(verb, Verb::TransferWrite | Verb::Rekey);
    is_told.then_some(number)
}

impl Work<'_> {
    fn journal(&mut self, entry: Entry<'_>) {
        self.sink.journal(self.now.time, entry);
    }

    /// Writes down how a command stands.
    pub(crate) fn journal_progress(&mut self, key: Key, boot: u32, news: &News, is_final: bool) {
        self.journal(Entry::Progress {
            key,
            boot,
            receipt: KeptReceipt {
                stage: news.stage,
                at: news.at,
                reason: news.reason,
                by_controller: news.by_controller,
                is_final,
            },
        });
    }

    /// Writes down a controller's answer to a change that a tool asked for.
    pub(crate) fn journal_answer(&mut self, frame: FrameRef<'_>) {
        let Some(verb) = is_for_the_record(frame.payload()) else {
            return;
        };
        let code = match Answer::decode(frame.payload()) {
            Ok(Answer::Ok(_)) => Code::Ok,
            Ok(Answer::Refused { code, .. }) => code,
            Err(error) => error.code(),
        };
        let header = frame.header();
        self.journal_answer_of(
            (header.destination, header.correlation),
            header.source,
            verb,
            code,
        );
    }

    /// The same of an answer by its parts.
    pub(crate) fn journal_answer_of(
        &mut self,
        asker: (Address, u32),
        source: Address,
        verb: u16,
        code: Code,
    ) {
        self.journal(Entry::Answer {
            asker,
            source,
            verb,
            code,
        });
    }
}

impl Relay {
    /// Whether a request must be refused since what is asked for cannot be written down.
    pub(crate) fn may_be_asked(&self, frame: FrameRef<'_>) -> Result<(), Code> {
        let changes = matches!(frame.header().kind, Kind::Configure | Kind::Admin);
        match self.is_record_missing && changes {
            true => Err(Code::StoreUnavailable),
            false => Ok(()),
        }
    }

    fn origin(&self, slot: Slot) -> Option<Origin<'_>> {
        let account = self.sessions.account_of(slot)?;
        Some(Origin {
            connection: Some(self.sessions.at(slot).connection),
            account: self.sessions.account_name(account),
        })
    }

    /// Writes down a command whose key is new.
    pub(crate) fn journal_command(
        &self,
        work: &mut Work<'_>,
        slot: Slot,
        head: &CommandHead,
        frame: FrameRef<'_>,
        refused: Option<(Stage, Code)>,
    ) {
        if let Some(origin) = self.origin(slot) {
            work.journal(Entry::Command {
                origin,
                key: head.key,
                expiry: head.expiry,
                frame: frame.bytes(),
                refused,
            });
        }
    }

    /// Writes down a command of the config store of which the journal does not know.
    pub(crate) fn journal_stored(&self, work: &mut Work<'_>, command: &StoredCommand) {
        let origin = Origin {
            connection: None,
            account: &command.account,
        };
        work.journal(Entry::Command {
            origin,
            key: command.key,
            expiry: command.expiry,
            frame: &command.frame,
            refused: None,
        });
    }

    /// Writes down a command or change that was refused without a trace.
    pub(crate) fn journal_denial(
        &self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: FrameRef<'_>,
        code: Code,
    ) {
        let is_asked = match frame.header().kind {
            Kind::Command => true,
            Kind::Configure | Kind::Admin => is_for_the_record(frame.payload()).is_some(),
            _ => false,
        };
        if let Some(origin) = self.origin(slot).filter(|_| is_asked) {
            let frame = frame.bytes();
            work.journal(Entry::Denied {
                origin,
                frame,
                code,
            });
        }
    }

    /// Writes down a request that changes something, as it goes to whom it is for.
    pub(crate) fn journal_request(&self, work: &mut Work<'_>, slot: Slot, frame: FrameRef<'_>) {
        let changes = matches!(frame.header().kind, Kind::Configure | Kind::Admin);
        if changes
            && is_for_the_record(frame.payload()).is_some()
            && let Some(origin) = self.origin(slot)
        {
            let frame = frame.bytes();
            work.journal(Entry::Request { origin, frame });
        }
    }
}

/// The boot of a command that may have been sent. None is ever sent again by it: it only stands where one
/// is shown.
const UNKNOWN_BOOT: u32 = 0;

/// A command of the journal that has not ended.
#[derive(Debug)]
struct Unended {
    order: u64,
    account: Title,
    expiry: Time,
    frame: Bytes,
    boot: Option<u32>,
    receipt: Option<KeptReceipt>,
    is_certain: bool,
}

/// What a journal says, read from its oldest entry to its latest: the commands that had not ended,
/// and the last receipts that are still to be kept.
///
/// It holds no more than a relay of the same settings would: of ended commands as many, and of
/// those that have not ended what the relay that wrote the journal had.
#[derive(Debug)]
pub struct Recollection {
    unended: Map<Key, Unended>,
    /// In the order of their ends.
    ended: VecDeque<EndedCommand>,
    turned_away: VecDeque<EndedCommand>,
    entries: u64,
    ended_max: usize,
    turned_away_max: usize,
    /// Commands from here on were written by somebody whose every entry is there.
    is_certain: bool,
}

impl Recollection {
    /// An empty one, for a relay of these settings.
    pub fn new(settings: &Settings) -> Self {
        Recollection {
            unended: Map::with_hasher(FixedState::with_seed(settings.seed)),
            ended: VecDeque::new(),
            turned_away: VecDeque::new(),
            entries: 0,
            ended_max: settings.receipts_kept_max,
            turned_away_max: settings.receipts_kept_max / 4,
            is_certain: false,
        }
    }

    /// Says of the commands that follow whether nothing is missing from there to the journal's end:
    /// only then may one be sent again that its controller never heard of.
    pub fn set_certain(&mut self, is_certain: bool) {
        self.is_certain = is_certain;
    }

    /// Says that entries are missing here: of no command before is everything known.
    pub fn miss(&mut self) {
        for command in self.unended.values_mut() {
            command.is_certain = false;
        }
    }

    /// Reads the next entry, which was written at `time`.
    pub fn read(&mut self, time: Time, entry: Entry<'_>) {
        self.entries += 1;
        match entry {
            Entry::Command {
                origin,
                key,
                expiry,
                frame,
                refused,
            } => {
                let frame = Bytes::copy_from_slice(frame);
                let account = origin.account.clone();
                if let Some((stage, code)) = refused {
                    let receipt = KeptReceipt {
                        stage,
                        at: Some(time),
                        reason: Some(code),
                        by_controller: false,
                        is_final: true,
                    };
                    let ended = EndedCommand {
                        key,
                        account,
                        expiry,
                        frame,
                        receipt,
                        ended: time,
                        was_turned_away: true,
                    };
                    return push_bounded(&mut self.turned_away, ended, self.turned_away_max);
                }
                let command = Unended {
                    order: self.entries,
                    account,
                    expiry,
                    frame,
                    boot: None,
                    receipt: None,
                    is_certain: self.is_certain,
                };
                self.unended.insert(key, command);
            }
            Entry::Progress { key, receipt, .. } if receipt.is_final => {
                // One whose beginning is not there any more ended long ago, or was given up with it.
                let Some(command) = self.unended.remove(&key) else {
                    return;
                };
                let ended = EndedCommand {
                    key,
                    account: command.account,
                    expiry: command.expiry,
                    frame: command.frame,
                    receipt,
                    ended: time,
                    was_turned_away: false,
                };
                push_bounded(&mut self.ended, ended, self.ended_max);
            }
            Entry::Progress { key, boot, receipt } => {
                if let Some(command) = self.unended.get_mut(&key) {
                    if receipt.stage != Stage::Queued {
                        command.boot = Some(boot);
                    }
                    command.receipt = Some(receipt);
                }
            }
            Entry::Denied { .. } | Entry::Request { .. } | Entry::Answer { .. } => {}
        }
    }

    /// What the relay must be told, in this order, before the first peer: with the commands that the
    /// config store held, by their [`StoredCommand::order`].
    pub fn into_inputs(mut self, stored: Vec<StoredCommand>) -> Vec<Input> {
        let mut inputs = Vec::new();
        // A key may have come again once it was forgotten: its latest command is the one.
        let mut known: HashSet<Key> = self.unended.keys().copied().collect();
        for ended in [&mut self.ended, &mut self.turned_away] {
            let latest_first = std::mem::take(ended).into_iter().rev();
            ended.extend(latest_first.filter(|ended| known.insert(ended.key)));
            ended.make_contiguous().reverse();
        }
        let mut commands = Vec::new();
        // Rows of the store that the journal lacks: their entries went with a power cut or, long ago,
        // with the oldest of the journal. What the store accepted later tells the two apart.
        let mut placeless = Vec::new();
        for command in stored {
            if let Some(journalled) = self.unended.remove(&command.key) {
                let order = journalled.order;
                let earlier = placeless.drain(..);
                commands.extend(earlier.map(|row| (order, 0, Input::Restored(row))));
                // The store's mark says that it was about to be sent, the journal that it was; a mark
                // alone counts where the journal's entry may be missing.
                let marked = command.sent.filter(|_| !journalled.is_certain);
                let resumed = resume(command, journalled, marked, true);
                commands.push((order, 1, Input::Resumed(Box::new(resumed))));
            } else if known.contains(&command.key) {
                // It ended, and the store was not told in time.
                inputs.push(Input::Outlived { key: command.key });
            } else {
                placeless.push(command);
            }
        }
        for (key, journalled) in self.unended {
            let command = StoredCommand {
                key,
                order: 0,
                account: journalled.account.clone(),
                expiry: journalled.expiry,
                frame: journalled.frame.clone(),
                sent: None,
            };
            let order = journalled.order;
            // Nothing marks such a one before it is sent. Where entries may be missing it may have been.
            let perhaps = (!journalled.is_certain).then_some(UNKNOWN_BOOT);
            let resumed = resume(command, journalled, perhaps, false);
            commands.push((order, 1, Input::Resumed(Box::new(resumed))));
        }
        // Stable: those of one place keep the store's order.
        commands.sort_by_key(|&(order, side, _)| (order, side));
        let ended = self.turned_away.into_iter().chain(self.ended);
        inputs.extend(ended.map(|ended| Input::ReceiptRestored(Box::new(ended))));
        inputs.extend(commands.into_iter().map(|(.., input)| input));
        inputs.extend(placeless.into_iter().map(Input::Restored));
        inputs
    }
}

/// A command of the journal as a relay goes on with it. `sent` is the boot to which it went, or may have
/// gone, if the journal does not say that it did.
fn resume(
    command: StoredCommand,
    journalled: Unended,
    sent: Option<u32>,
    is_stored: bool,
) -> ResumedCommand {
    ResumedCommand {
        command: StoredCommand {
            sent: journalled.boot.or(sent),
            ..command
        },
        receipt: journalled.receipt,
        is_stored,
        may_send_again: journalled.is_certain && journalled.boot.is_some(),
    }
}

fn push_bounded(kept: &mut VecDeque<EndedCommand>, ended: EndedCommand, max: usize) {
    kept.push_back(ended);
    if kept.len() > max {
        kept.pop_front();
    }
}

impl KeptReceipt {
    /// As the relay's own news.
    pub(crate) fn news(&self) -> News {
        News {
            stage: self.stage,
            at: self.at,
            reason: self.reason,
            by_controller: self.by_controller,
        }
    }
}

impl Relay {
    /// A command that ended before the gateway was killed: a repeated key shall find it.
    pub(crate) fn receipt_restored(&mut self, work: &Work<'_>, ended: &EndedCommand) {
        let mut rest = ended.frame.clone();
        let frame = switchyard_protocol::Frame::decode_shared(
            &mut rest,
            switchyard_protocol::limits::PAYLOAD_BYTES_MAX,
        );
        let Ok(Some(frame)) = frame else {
            return;
        };
        if self.ledger.known(ended.key).is_some() {
            return;
        }
        let account = self.sessions.account(&ended.account);
        let mut known = self.known_of(&frame, account);
        known.note(&ended.receipt.news());
        self.ledger
            .restore_ended(ended, known, work.now, &self.settings);
    }

    /// What is known of a command by its frame.
    pub(crate) fn known_of(&self, frame: &switchyard_protocol::Frame, account: AccountId) -> Known {
        use std::hash::BuildHasher as _;
        let header = frame.header();
        let asker = (header.source, header.correlation);
        let fingerprint = self.hash.hash_one(frame.payload());
        Known::new(header.destination, account, asker, fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a relay is told of a command that was accepted, of which the journal says no more.
    fn resumed(may_miss: bool) -> ResumedCommand {
        let title = |text| Title::new(text).unwrap();
        let mut recollection = Recollection::new(&Settings::new(title("a"), title("b"), 1));
        recollection.set_certain(true);
        let account = title("li");
        let command = Entry::Command {
            origin: Origin {
                connection: None,
                account: &account,
            },
            key: Key([7; 16]),
            expiry: Time(9),
            frame: b"as it came",
            refused: None,
        };
        recollection.read(Time(1), command);
        if may_miss {
            recollection.miss();
        }
        match recollection.into_inputs(Vec::new()).as_slice() {
            [Input::Resumed(resumed)] => (**resumed).clone(),
            others => panic!("expected one command and found {others:?}"),
        }
    }

    #[test]
    fn where_entries_may_be_missing_a_command_may_have_been_sent() {
        assert_eq!(resumed(false).command.sent, None);
        let perhaps = resumed(true);
        assert_eq!(perhaps.command.sent, Some(UNKNOWN_BOOT));
        assert!(!perhaps.may_send_again && !perhaps.is_stored);
    }
}
