//! Reports: written and read back, by many at once, after a loss of power, and counted.

use super::*;
use proptest::prelude::*;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

fn record(board: u8) -> Record {
    Record {
        at_ms: 1_795_788_000_123,
        slot: "/dev/ttyUSB0".to_owned(),
        mac: Some([0x5C, 0xCF, 0x7F, 1, 2, board]),
        number: Some(u32::from(board)),
        address: Some(100_000 + u32::from(board)),
        title: format!("Pump {board:03}"),
        software: "0.3.1".to_owned(),
        failure: None,
        durations: BTreeMap::from([
            (BatchStage::Flash, Duration::from_millis(6_100)),
            (BatchStage::Boot, Duration::from_millis(u64::from(board))),
        ]),
        bytes_written: 434_176,
        line_errors: 2,
    }
}

fn failed(board: u8, stage: BatchStage) -> Record {
    Record {
        failure: Some((stage, "=the \"cable\", or\nthe board".to_owned())),
        ..record(board)
    }
}

fn at(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn what_was_appended_is_there_after_the_next_start() {
    for name in ["batch.csv", "batch.jsonl"] {
        let (_folder, path) = at(name);
        let report = Report::open(&path).unwrap();
        assert_eq!((report.find([0; 6]), report.highest_number()), (None, None));
        let nameless = Record {
            mac: None,
            number: None,
            address: None,
            title: String::new(),
            durations: BTreeMap::new(),
            ..failed(0, BatchStage::Connect)
        };
        for record in [record(7), failed(9, BatchStage::Enrol), record(8), nameless] {
            report.append(&record).unwrap();
        }
        let before = report.records();
        drop(report);
        let report = Report::open(&path).unwrap();
        assert_eq!(report.records(), before, "{name}");
        assert_eq!(report.records()[0], record(7));
        assert_eq!(report.highest_number(), Some(9));
        let found = report.find([0x5C, 0xCF, 0x7F, 1, 2, 9]).unwrap();
        let (stage, error) = found.failure.unwrap();
        assert_eq!(
            (stage, error.as_str()),
            (BatchStage::Enrol, "=the \"cable\", or the board")
        );
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(
            lines.lines().count(),
            if name.ends_with("csv") { 5 } else { 4 }
        );
        assert!(!lines.contains(",=") && !lines.contains(",\"="), "{lines}");
    }
}

#[test]
fn the_formats_are_those_that_are_written_down() {
    let (_folder, csv) = at("batch.csv");
    Report::open(&csv)
        .unwrap()
        .append(&failed(7, BatchStage::Enrol))
        .unwrap();
    assert_eq!(
        fs::read_to_string(&csv).unwrap(),
        "time,slot,mac,number,address,title,software,result,stage,error,connect_ms,flash_ms,boot_ms,provision_ms,\
         script_ms,enrol_ms,check_ms,label_ms,bytes_written,line_errors\r\n\
         2026-11-27T14:00:00.123Z,/dev/ttyUSB0,5c:cf:7f:01:02:07,7,100007,Pump 007,0.3.1,fail,enrol,\
         \"'=the \"\"cable\"\", or the board\",,6100,7,,,,,,434176,2\r\n"
    );
    let (_folder, json) = at("batch.jsonl");
    Report::open(&json).unwrap().append(&record(7)).unwrap();
    assert_eq!(
        fs::read_to_string(&json).unwrap(),
        "{\"time\":\"2026-11-27T14:00:00.123Z\",\"slot\":\"/dev/ttyUSB0\",\"mac\":\"5c:cf:7f:01:02:07\",\"number\":7,\
         \"address\":100007,\"title\":\"Pump 007\",\"software\":\"0.3.1\",\"result\":\"pass\",\"stage\":null,\
         \"error\":null,\"durations_ms\":{\"flash\":6100,\"boot\":7},\"bytes_written\":434176,\"line_errors\":2}\n"
    );
}

#[test]
fn a_line_that_was_cut_off_anywhere_is_taken_off_and_the_next_one_is_whole() {
    for name in ["batch.csv", "batch.jsonl"] {
        let (_folder, path) = at(name);
        let report = Report::open(&path).unwrap();
        report.append(&record(1)).unwrap();
        let kept = fs::read(&path).unwrap().len();
        report.append(&record(2)).unwrap();
        drop(report);
        let whole = fs::read(&path).unwrap();
        for end in kept..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let report = Report::open(&path).unwrap();
            assert_eq!(report.records()[0], record(1), "{name} cut at {end}");
            report.append(&record(3)).unwrap();
            drop(report);
            let records = Report::open(&path).unwrap().records();
            assert_eq!(records.first(), Some(&record(1)), "{name} cut at {end}");
            assert_eq!(records.last(), Some(&record(3)), "{name} cut at {end}");
            assert!((2..=3).contains(&records.len()));
        }
    }
}

#[test]
fn many_writers_mix_no_lines() {
    let (_folder, path) = at("batch.csv");
    let report = Report::open(&path).unwrap();
    std::thread::scope(|scope| {
        for slot in 0..8_u8 {
            let report = &report;
            scope.spawn(move || {
                for board in 0..10 {
                    report.append(&record(slot * 10 + board)).unwrap();
                }
            });
        }
    });
    drop(report);
    let report = Report::open(&path).unwrap();
    let mut numbers: Vec<_> = report.records().iter().filter_map(|it| it.number).collect();
    numbers.sort();
    assert_eq!(numbers, (0..80).collect::<Vec<_>>());
}

#[test]
fn what_is_no_report_is_refused_and_left_alone() {
    let (_folder, path) = at("batch.txt");
    assert!(matches!(Report::open(&path), Err(ReportError::Format)));
    assert!(!path.exists());
    for (name, text, line) in [
        ("a.csv", "name,price\r\n", 1),
        ("b.jsonl", "{\"time\":1}\n", 1),
        ("c.jsonl", "\n[]\n", 2),
        ("d.csv", "\"a\nb\n", 1),
    ] {
        let (_folder, path) = at(name);
        fs::write(&path, text).unwrap();
        let error = Report::open(&path).unwrap_err();
        assert!(
            matches!(error, ReportError::Line { line: it, .. } if it == line),
            "{name}: {error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let (_folder, path) = at("batch.csv");
    let _open = Report::open(&path).unwrap();
    assert!(matches!(Report::open(&path), Err(ReportError::InUse)));
}

#[test]
fn a_report_that_a_spreadsheet_saved_is_read() {
    let (_folder, path) = at("batch.csv");
    Report::open(&path).unwrap().append(&record(7)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let saved = format!("\u{FEFF}{}", text.replace("\r\n", "\n").trim_end());
    fs::write(&path, saved).unwrap();
    let report = Report::open(&path).unwrap();
    report.append(&record(8)).unwrap();
    drop(report);
    assert_eq!(
        Report::open(&path).unwrap().records(),
        [record(7), record(8)]
    );
}

#[test]
fn a_batch_is_counted_by_boards() {
    assert_eq!(Yield::of(&[]), Yield::default());
    assert_eq!(Yield::default().first_pass(), None);
    let nameless = Record {
        mac: None,
        ..failed(0, BatchStage::Connect)
    };
    let records = [
        record(1),
        failed(2, BatchStage::Flash),
        record(3),
        failed(4, BatchStage::Check),
        record(2),
        failed(4, BatchStage::Enrol),
        nameless.clone(),
        nameless,
    ];
    let counted = Yield::of(&records);
    let failed = BTreeMap::from([(BatchStage::Connect, 2), (BatchStage::Enrol, 1)]);
    assert_eq!(
        counted,
        Yield {
            done: 6,
            passed: 3,
            failed,
            passed_first: 2,
            median: Some(Duration::from_millis(6_102)),
        }
    );
    assert_eq!(counted.first_pass(), Some(2.0 / 6.0));
    assert_eq!(
        Yield::of(&records[..3]).median,
        Some(Duration::from_millis(6_102))
    );
}

proptest! {
    #[test]
    fn any_record_is_read_as_it_was_written(
        at_ms in any::<i64>(),
        texts in prop::array::uniform4("\\PC{0,12}|[-=+@'\",;\\t\\r\\n]{0,6}"),
        mac in any::<Option<[u8; 6]>>(),
        number in any::<Option<u32>>(),
        stage in prop::option::of(0..8_usize),
        took in prop::array::uniform8(prop::option::of(0..u64::from(u32::MAX))),
        counts in any::<(u64, u64)>(),
    ) {
        let [slot, title, software, error] = texts;
        let durations = BatchStage::ALL.into_iter().zip(took);
        let durations = durations.filter_map(|(stage, it)| Some((stage, Duration::from_millis(it?))));
        let record = Record {
            at_ms, slot, mac, number, address: number, title, software,
            failure: stage.map(|it| (BatchStage::ALL[it], error)),
            durations: durations.collect(),
            bytes_written: counts.0,
            line_errors: counts.1,
        }.tidy();
        let line = csv::line(&record.fields());
        prop_assert_eq!(line.matches('\n').count(), 1);
        let rows = csv::rows(&line).unwrap();
        prop_assert_eq!(Record::of_fields(&rows[0].1), Ok(record.clone()));
        prop_assert_eq!(Record::of_json(&record.json()), Ok(record));
    }
}
