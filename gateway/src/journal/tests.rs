//! The journal on real files: what is written before a process dies is there for the next one, what
//! cannot be written is told, and the audit log gets every record once.

use super::*;
use crate::{
    audit::{AuditRecord, AuditWhat, MemoryAuditLog, chain},
    config::RawSettings,
    store::{StoreError, StoreFuture},
};
use segments::SEGMENT_BYTES;
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Action, Command, Key, Name, Stage, Time, Title},
};
use switchyard_relay::{ConnectionId, Entry, Input, KeptReceipt, Origin};

const TOOL: ConnectionId = ConnectionId::new(3, 1);

struct House {
    folder: tempfile::TempDir,
    settings: Settings,
    telemetry: Arc<Telemetry>,
    log: Arc<MemoryAuditLog>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let raw = RawSettings {
            data: Some(folder.path().into()),
            journal_bytes_max: Some(32 << 20),
            ..RawSettings::default()
        };
        House {
            folder,
            settings: raw.resolve().unwrap(),
            telemetry: Telemetry::new(),
            log: Arc::default(),
        }
    }

    fn journal_folder(&self) -> PathBuf {
        folder_of(self.folder.path())
    }

    fn open(&self) -> Opened {
        self.open_with(Some(Arc::clone(&self.log) as Arc<dyn AuditLog>))
    }

    fn open_with(&self, audit: Option<Arc<dyn AuditLog>>) -> Opened {
        let relay = crate::yard::relay_settings(&self.settings);
        let mut opened = open(&self.settings, &relay, &self.telemetry, audit).unwrap();
        opened.journal.arrived(TOOL, Some([192, 0, 2, 7].into()));
        opened
    }
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

fn key(number: u32) -> Key {
    let mut key = [7; 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn command(number: u32) -> Frame {
    let command = Command {
        key: key(number),
        expiry: far(),
        wait: false,
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        },
    };
    let (from, to) = (Address(0x8000_0001), Address(42));
    Frame::new(Kind::Command, number, from, to, &command.encode())
}

/// A minute ahead, the same throughout a test.
fn far() -> Time {
    static FAR: std::sync::OnceLock<Time> = std::sync::OnceLock::new();
    *FAR.get_or_init(|| crate::clock::time().plus(Duration::from_secs(60)))
}

fn accept(journal: &mut Journal, number: u32) {
    let account = title("li");
    let frame = command(number);
    let entry = Entry::Command {
        origin: Origin {
            connection: Some(TOOL),
            account: &account,
        },
        key: key(number),
        expiry: far(),
        frame: frame.bytes(),
        refused: None,
    };
    journal.note(crate::clock::time(), &entry);
}

fn reach(journal: &mut Journal, number: u32, stage: Stage, is_final: bool) {
    let entry = Entry::Progress {
        key: key(number),
        boot: 7,
        receipt: KeptReceipt {
            stage,
            at: None,
            reason: None,
            by_controller: is_final,
            is_final,
        },
    };
    journal.note(crate::clock::time(), &entry);
}

/// What a start is told, in a word each.
fn told(recollection: Recollection) -> Vec<String> {
    let inputs = recollection.into_inputs(Vec::new()).into_iter();
    let word = |input| match input {
        Input::Resumed(command) => {
            let number = u32::from_be_bytes(command.command.key.0[..4].try_into().unwrap());
            let (sent, again) = (command.command.sent, command.may_send_again);
            format!("resumed {number} {sent:?} {again}")
        }
        Input::ReceiptRestored(ended) => {
            let number = u32::from_be_bytes(ended.key.0[..4].try_into().unwrap());
            format!("ended {number} {}", ended.receipt.stage.name())
        }
        other => format!("{other:?}"),
    };
    inputs.map(word).collect()
}

/// A process that is killed: nothing of it is flushed or synced any more.
fn kill(opened: Opened) {
    let Opened { mut journal, .. } = opened;
    journal.forget_gathered();
    drop(journal);
}

async fn drain(opened: &mut Opened) {
    while opened.drain.step().await {}
}

#[test]
fn what_was_written_is_known_after_a_kill_and_what_was_only_gathered_is_not() {
    let house = House::new();
    let mut first = house.open();
    for number in 0..3 {
        accept(&mut first.journal, number);
    }
    reach(&mut first.journal, 0, Stage::Sent, false);
    reach(&mut first.journal, 1, Stage::Sent, false);
    reach(&mut first.journal, 1, Stage::Executed, true);
    first.journal.flush();
    reach(&mut first.journal, 0, Stage::Executed, true);
    let memory = first.memory;
    kill(first);

    let second = house.open();
    assert_eq!(second.memory, memory, "nothing is missing");
    let expected = [
        "ended 1 executed",
        "resumed 0 Some(7) true",
        "resumed 2 None false",
    ];
    assert_eq!(told(second.recollection), expected);
}

#[test]
fn a_torn_end_is_of_no_consequence_and_another_host_is() {
    let house = House::new();
    let mut first = house.open();
    accept(&mut first.journal, 1);
    reach(&mut first.journal, 1, Stage::Sent, false);
    first.journal.flush();
    let memory = first.memory;
    kill(first);
    // Half a record, as a write that was killed leaves it.
    let folder = house.journal_folder();
    let path = segments::path_of(&folder, 0);
    let mut bytes = std::fs::read(&path).unwrap();
    let (mut end, mut number) = (format::HEADER_BYTES, 0);
    while let format::Next::Record(_, length) = format::next(&bytes[end..], number) {
        (end, number) = (end + length, number + 1);
    }
    bytes[end..end + 6].copy_from_slice(&[0, 0, 0, 60, 1, 2]);
    std::fs::write(&path, &bytes).unwrap();
    let second = house.open();
    assert_eq!(second.memory, memory);
    assert_eq!(told(second.recollection), ["resumed 1 Some(7) true"]);
    drop((second.journal, second.drain));

    // The host was another one when the latest segment was written.
    let latest = *segments::list(&folder)
        .unwrap()
        .iter()
        .rev()
        .find(|&&number| segments::header(&folder, number).unwrap().is_some())
        .unwrap();
    let header = segments::header(&folder, latest).unwrap().unwrap();
    let other = Header {
        host: [1; 16],
        ..header
    };
    let path = segments::path_of(&folder, latest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..80].copy_from_slice(&other.encode());
    std::fs::write(&path, &bytes).unwrap();
    let third = house.open();
    assert_ne!(third.memory, memory, "the latest may be missing");
    assert_eq!(told(third.recollection), ["resumed 1 Some(7) false"]);
}

#[test]
fn a_journal_without_room_or_syncs_is_refused() {
    let small = RawSettings {
        journal_bytes_max: Some((32 << 20) - 1),
        ..RawSettings::default()
    };
    let never = RawSettings {
        journal_sync_interval: Some(crate::config::Span(Duration::ZERO)),
        ..RawSettings::default()
    };
    for (raw, key) in [
        (small, "journal_bytes_max"),
        (never, "journal_sync_interval"),
    ] {
        let message = raw.resolve().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{key}: expected")),
            "{message}"
        );
    }
}

#[test]
fn only_one_gateway_has_a_journal() {
    let house = House::new();
    let opened = house.open();
    let path = house.journal_folder().join("lock");
    let file = File::options().write(true).open(path).unwrap();
    assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    drop(opened);
    assert!(file.try_lock().is_ok());
}

/// Some commands that ended, over as many segments as that takes.
fn fill(opened: &mut Opened, numbers: std::ops::Range<u32>) {
    for number in numbers {
        accept(&mut opened.journal, number);
        reach(&mut opened.journal, number, Stage::Sent, false);
        reach(&mut opened.journal, number, Stage::Delivered, false);
        reach(&mut opened.journal, number, Stage::Executed, true);
        if number % 100 == 0 {
            opened.journal.flush();
        }
    }
    opened.journal.flush();
}

#[tokio::test]
async fn the_audit_log_gets_every_record_once_whenever_the_process_dies() {
    let house = House::new();
    let mut at = 0;
    for count in [1, 700, 2_000] {
        let mut opened = house.open();
        fill(&mut opened, at..at + count);
        at += count;
        // It dies after some batches, some of which are not noted as drained.
        opened.drain.step().await;
        opened.drain.step().await;
        if count == 700 {
            std::fs::remove_file(house.journal_folder().join("drained")).unwrap();
        }
        kill(opened);
    }
    let mut opened = house.open();
    drain(&mut opened).await;
    let records = house.log.records();
    assert!(chain::verify(chain::FIRST, &records).is_ok());
    let positions: Vec<u64> = records.iter().map(|it| it.at.1).collect();
    let expected: Vec<u64> = (0..positions.len() as u64).collect();
    assert_eq!(positions, expected);
    for number in 0..at {
        let of_it = |it: &&chain::Chained| it.record.key == Some(key(number));
        let of_it: Vec<&AuditRecord> = records.iter().filter(of_it).map(|it| &it.record).collect();
        let whats: Vec<_> = of_it.iter().map(|it| (it.what, it.stage)).collect();
        let (accepted, reached) = (AuditWhat::Accepted, AuditWhat::Reached);
        let expected = [
            (accepted, None),
            (reached, Some(Stage::Sent)),
            (reached, Some(Stage::Executed)),
        ];
        assert_eq!(whats, expected, "{number}");
        assert!(of_it.iter().all(|it| it.account == Some(title("li"))));
        assert!(of_it.iter().all(|it| it.target == Some(Address(42))));
        assert_eq!(of_it[0].ip, Some([192, 0, 2, 7].into()));
        assert_eq!(of_it[0].text, "set RL1 = 1");
    }
    let starts = records
        .iter()
        .filter(|it| it.record.what == AuditWhat::Started);
    assert_eq!(starts.count(), 4);
}

/// Enough for several segments.
const SEGMENTS_OF_COMMANDS: u32 = 60_000;

#[tokio::test]
async fn drained_segments_go_when_no_restart_needs_them() {
    let mut house = House::new();
    house.settings.journal_bytes_max = 1 << 30;
    let relay = switchyard_relay::Settings {
        receipts_kept_max: 100,
        ..crate::yard::relay_settings(&house.settings)
    };
    let log = Arc::clone(&house.log) as Arc<dyn AuditLog>;
    let mut opened = open(&house.settings, &relay, &house.telemetry, Some(log)).unwrap();
    accept(&mut opened.journal, u32::MAX);
    fill(&mut opened, 0..SEGMENTS_OF_COMMANDS);
    let before = segments::list(&house.journal_folder()).unwrap();
    assert!(before.len() >= 3, "{before:?}");
    drain(&mut opened).await;
    // All is drained, but the first command has not ended.
    assert_eq!(segments::list(&house.journal_folder()).unwrap()[0], 0);
    reach(&mut opened.journal, u32::MAX, Stage::Executed, true);
    fill(&mut opened, 1 << 20..(1 << 20) + 200);
    drain(&mut opened).await;
    let after = segments::list(&house.journal_folder()).unwrap();
    assert!(after[0] >= *before.last().unwrap() - 1, "{after:?}");
    assert_eq!(
        house
            .telemetry
            .journal_segments_dropped
            .load(Ordering::Relaxed),
        0
    );
    let memory = opened.memory;
    kill(opened);
    let again = open(&house.settings, &relay, &house.telemetry, None).unwrap();
    assert_eq!(again.memory, memory);
    assert_eq!(told(again.recollection).len(), 100);
}

/// An audit log that is away.
struct Away;

impl AuditLog for Away {
    fn append_audit(&self, _: [u8; 16], _: u64, _: Vec<AuditRecord>) -> StoreFuture<'_, ()> {
        Box::pin(async { Err(StoreError::Gone("it is away")) })
    }

    fn trim_audit(&self, _: Time, _: u32) -> StoreFuture<'_, u32> {
        Box::pin(async { Err(StoreError::Gone("it is away")) })
    }
}

#[tokio::test(start_paused = true)]
async fn past_its_bound_the_oldest_goes_and_the_gap_is_told() {
    let house = House::new();
    let mut opened = house.open_with(Some(Arc::new(Away)));
    accept(&mut opened.journal, u32::MAX);
    fill(&mut opened, 0..3 * SEGMENTS_OF_COMMANDS);
    let memory = opened.memory;
    let step = tokio::time::timeout(Duration::from_secs(60), opened.drain.step());
    assert!(step.await.is_err(), "it tries for as long as it takes");
    let segments = segments::list(&house.journal_folder()).unwrap();
    assert!(
        segments.len() as u64 * SEGMENT_BYTES <= 32 << 20,
        "{segments:?}"
    );
    assert!(segments[0] > 0);
    assert!(
        house
            .telemetry
            .journal_segments_dropped
            .load(Ordering::Relaxed)
            > 0
    );
    kill(opened);

    let mut again = house.open();
    assert_ne!(again.memory, memory, "what is missing may be asked for");
    drain(&mut again).await;
    let records = house.log.records();
    assert_eq!(records[0].record.what, AuditWhat::Lost);
    assert_whole(&records);
}

/// Every position is there, or a record that it is lost.
fn assert_whole(records: &[chain::Chained]) {
    assert!(chain::verify(chain::FIRST, records).is_ok());
    let mut next = 0;
    for chained in records {
        next += match chained.record.what {
            AuditWhat::Lost => chained.record.count.max(1),
            _ => 1,
        };
        assert_eq!(chained.at.1 + 1, next, "{chained:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_counted_and_told_once_it_can() {
    let house = House::new();
    let mut opened = house.open();
    accept(&mut opened.journal, 1);
    opened.journal.flush();
    // A folder that is not there takes no file, whoever asks; and the present file has no room.
    let folder = house.journal_folder();
    let aside = house.folder.path().join("aside");
    opened.journal.fill_segment();
    std::fs::rename(&folder, &aside).unwrap();
    accept(&mut opened.journal, 2);
    reach(&mut opened.journal, 2, Stage::Sent, false);
    opened.journal.flush();
    assert!(opened.journal.is_failing());
    accept(&mut opened.journal, 3);
    opened.journal.flush();
    assert_eq!(
        house.telemetry.journal_records_lost.load(Ordering::Relaxed),
        3
    );
    std::fs::rename(&aside, &folder).unwrap();
    opened.journal.retry_now();
    opened.journal.flush();
    assert!(!opened.journal.is_failing());
    accept(&mut opened.journal, 4);
    opened.journal.flush();
    drain(&mut opened).await;
    let records = house.log.records();
    let words: Vec<_> = records
        .iter()
        .map(|it| (it.record.what, it.record.count))
        .collect();
    let expected = [
        (AuditWhat::Started, 0),
        (AuditWhat::Accepted, 0),
        (AuditWhat::Lost, 3),
        (AuditWhat::Accepted, 0),
    ];
    assert_eq!(words, expected);
    let memory = opened.memory;
    kill(opened);
    let again = house.open();
    assert_ne!(again.memory, memory);
    // Whether they were sent is not known where entries are missing.
    let expected = ["resumed 1 Some(0) false", "resumed 4 Some(0) false"];
    assert_eq!(told(again.recollection), expected);
}

#[tokio::test]
async fn how_much_of_what_was_not_allowed_is_left_out_is_told() {
    let house = House::new();
    let mut opened = house.open();
    let (denied, account) = (command(9), title("eve"));
    for _ in 0..65 {
        let entry = Entry::Denied {
            origin: Origin {
                connection: Some(TOOL),
                account: &account,
            },
            frame: denied.bytes(),
            code: Code::Forbidden,
        };
        opened.journal.note(Time(1), &entry);
    }
    // Over HTTP the same account has no minute of its own.
    let denials = opened.journal.denials();
    assert!(!denials.pass(&account, Instant::now()));
    opened.journal.note_left_out(Time(2), false);
    opened.journal.note_left_out(Time(3), true);
    opened.journal.note_left_out(Time(4), true);
    opened.journal.flush();
    drain(&mut opened).await;
    let records = house.log.records();
    assert_eq!(records.len(), 1 + 60 + 1);
    let last = &records.last().unwrap().record;
    assert_eq!((last.time, last.what), (Time(3), AuditWhat::Answered));
    assert_eq!((&last.account, last.code), (&Some(account), None));
    assert_eq!(
        last.text,
        "6 more not allowed within a minute, and left out here"
    );
}

#[tokio::test]
async fn what_was_not_allowed_is_in_the_audit_log() {
    let house = House::new();
    let mut opened = house.open();
    fill(&mut opened, 0..1_000);
    let denied = command(9);
    let account = title("eve");
    let entry = Entry::Denied {
        origin: Origin {
            connection: Some(TOOL),
            account: &account,
        },
        frame: denied.bytes(),
        code: Code::Forbidden,
    };
    opened.journal.note(Time(1), &entry);
    opened.journal.flush();
    drain(&mut opened).await;
    let records = house.log.records();
    assert_eq!(records.len(), 1 + 3_000 + 1);
    let last = &records.last().unwrap().record;
    assert_eq!(
        (last.what, last.code),
        (AuditWhat::Refused, Some(Code::Forbidden))
    );
}
