//! The monitor on captures, split at every place.

use super::*;
use switchyard_protocol::{
    Code,
    serial::{Answer, Packet, PacketType},
};

const BOOT_LOG: &str = "\r\n ets Jan  8 2013,rst cause:2, boot mode:(3,6)\r\n\r\n\
    load 0x40100000, len 2592, room 16 \r\ntail 0\r\nchksum 0xf3\r\ncsum 0xf3\r\n\r\n\
    2nd boot version : 1.7(5d6877f)\r\n  SPI Speed      : 40MHz\r\n  SPI Mode       : DOUT\r\n\
    jump to run user1 @ 1000\r\n\r\n";

const CRASH: &str = "\r\nException (28):\r\nepc1=0x4020105e epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000000 depc=0x00000000\r\n\
    \r\n>>>stack>>>\r\n\r\nctx: cont\r\nsp: 3ffffdd0 end: 3fffffc0 offset: 0190\r\n\
    3fffff60:  3fffdad0 00000000 3ffee4f0 40201f2c  \r\n<<<stack<<<\r\n";

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn monitor() -> Monitor {
    Monitor::new(MonitorOptions::default())
}

/// What is heard, shortly.
fn told(heard: &[Heard]) -> Vec<String> {
    let words = heard.iter().map(|it| match &it.what {
        What::Line {
            text,
            end: LineEnd::Feed,
        } => text.clone(),
        What::Line { text, end } => format!("{text} ({end:?})"),
        What::Packet { text } => format!("[{text}]"),
        What::Row { offset, bytes } => format!("{offset:04x} {bytes:02x?}"),
        What::Unreadable { bytes, baud } => format!("{bytes} unreadable at {baud}"),
        What::Rate { baud, reason } => format!("-> {baud}, {reason:?}"),
        What::Finding(finding) => format!("! {}", finding.code()),
    });
    words.filter(|it| !it.is_empty()).collect()
}

/// Hears bytes split at one place, a millisecond apart, and lets a pause follow.
fn heard_split(bytes: &[u8], place: usize) -> Vec<Heard> {
    let mut monitor = monitor();
    let (one, other) = bytes.split_at(place);
    let mut heard = monitor.receive(at(1), one);
    heard.extend(monitor.receive(at(2), other));
    heard.extend(monitor.pass(at(1_000)));
    heard
}

#[test]
fn packets_and_lines_come_apart_wherever_they_are_split() {
    let state = Packet {
        packet_type: PacketType::State,
        data: vec![4],
    };
    let answer = Packet::answer(&Answer::plain(7, Code::Ok));
    let bytes = [
        b"Switchyard 0.1.0 relay-4 slot 1 reset exception\r\nhalf",
        state.encode().as_slice(),
        b" a line\r\n",
        &answer.encode(),
        b"IMPROV is not a packet\r\nprompt> ",
    ]
    .concat();
    let expected = [
        "Switchyard 0.1.0 relay-4 slot 1 reset exception",
        "! banner",
        "[state: joined]",
        "half a line",
        "[answer: ok, No. 7]",
        "IMPROV is not a packet",
        "prompt>  (Pause)",
    ];
    for place in 0..=bytes.len() {
        assert_eq!(
            told(&heard_split(&bytes, place)),
            expected,
            "split at {place}"
        );
    }
}

#[test]
fn crashes_are_read_wherever_they_are_split() {
    for place in 0..=CRASH.len() {
        let heard = heard_split(CRASH.as_bytes(), place);
        let found: Vec<_> = heard
            .iter()
            .filter_map(|it| match &it.what {
                What::Finding(finding) => Some(finding),
                _ => None,
            })
            .collect();
        let [Finding::Exception(exception), Finding::Stack(stack)] = found.as_slice() else {
            panic!("split at {place}: {found:?}");
        };
        assert_eq!(exception.name(), Some("LoadProhibitedCause"));
        assert_eq!(stack.addresses.len(), 1);
    }
}

#[test]
fn a_start_ends_what_a_crash_has_begun() {
    let mut monitor = monitor();
    let mut heard = monitor.receive(
        at(0),
        b"Exception (0):\r\n>>>stack>>>\r\n3fffff60:  40201f2c\r\n",
    );
    heard.extend(monitor.receive(at(1), b"rst cause:2, boot mode:(3,6)\r\n"));
    let told = told(&heard);
    assert_eq!(
        told[3..],
        [
            "rst cause:2, boot mode:(3,6)",
            "! exception",
            "! stack",
            "! start"
        ]
    );
}

/// The board was reset by us: its log comes at its rate, and all of it is read.
#[test]
fn a_log_is_read_whole_and_its_end_brings_the_applications_rate() {
    for place in 0..BOOT_LOG.len() {
        let mut monitor = monitor();
        monitor.restarting(at(0));
        assert_eq!(monitor.baud_wanted(), BAUD_BOOT_LOG);
        let mut heard = monitor.switched(at(0));
        let (one, other) = BOOT_LOG.as_bytes().split_at(place);
        heard.extend(monitor.receive(at(100), one));
        heard.extend(monitor.pass(at(120)));
        assert_eq!(
            monitor.baud_wanted(),
            BAUD_BOOT_LOG,
            "a pause within the log, split at {place}"
        );
        heard.extend(monitor.receive(at(120), other));
        assert_eq!(monitor.next_due(), Some(at(150)), "split at {place}");
        heard.extend(monitor.pass(at(150)));
        assert_eq!(monitor.baud_wanted(), BAUD_APPLICATION);
        heard.extend(monitor.switched(at(150)));
        let told = told(&heard);
        assert_eq!(told[0], "-> 74880, Reset");
        assert_eq!(told[2], "! start");
        assert!(
            told.contains(&"jump to run user1 @ 1000".to_owned()),
            "{told:?}"
        );
        assert_eq!(told.last().map(String::as_str), Some("-> 115200, LogOver"));
        assert!(!told.iter().any(|it| it.contains("unreadable")), "{told:?}");
    }
}

#[test]
fn noise_is_told_by_its_length_and_the_rate_changes() {
    let mut monitor = monitor();
    let mut heard = monitor.receive(at(0), b"a line\r\nthe next");
    heard.extend(monitor.receive(at(1), &[0x81, 0xFE, 0x00, 0xF8, 0xC0, 0x80]));
    assert_eq!(monitor.baud_wanted(), BAUD_BOOT_LOG);
    assert!(monitor.is_unreadable());
    // What still comes at the old rate belongs to it.
    heard.extend(monitor.receive(at(2), b"lx|b"));
    heard.extend(monitor.switched(at(3)));
    heard.extend(monitor.receive(at(4), b"oot mode:(3,6)\r\n"));
    assert_eq!(
        told(&heard),
        [
            "a line",
            "18 unreadable at 115200",
            "-> 74880, Unreadable",
            "oot mode:(3,6)"
        ]
    );
    // There is more of the log to come, or nothing at all.
    assert_eq!(monitor.next_due(), Some(at(154)));
}

#[test]
fn a_flood_is_bounded() {
    let mut monitor = monitor();
    let mut changes = 0;
    let flood: Vec<u8> = (0..200_000_u32)
        .map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (index, bytes) in flood.chunks(997).enumerate() {
        let now = at(index as u64);
        let heard = monitor.receive(now, bytes);
        for heard in &heard {
            if let What::Line { text, .. } = &heard.what {
                assert!(text.len() <= LINE_BYTES_MAX * "\\x00".len());
            }
        }
        let held = monitor.stale.as_ref().map_or(0, |it| it.kept.len());
        assert!(held <= UNREADABLE_BYTES_MAX);
        if monitor.baud_wanted() != monitor.baud {
            changes += 1;
            monitor.switched(now);
        }
    }
    // Both rates are tried, at ever longer intervals.
    assert!((10..50).contains(&changes), "{changes}");
}

#[test]
fn a_pinned_rate_gives_lines_whatever_comes() {
    let mut monitor = Monitor::new(MonitorOptions {
        baud: Some(9_600),
        ..MonitorOptions::default()
    });
    let heard = monitor.receive(
        at(0),
        &[[0xA0, 0x01, 0x01, 0xA2].repeat(100), b"\n".to_vec()].concat(),
    );
    let [heard] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert!(
        matches!(&heard.what, What::Line { text, .. } if text.starts_with("\\xa0\\x01\\x01\\xa2"))
    );
    assert_eq!(monitor.baud_wanted(), 9_600);
}

#[test]
fn rows_are_full_or_end_at_a_pause_and_findings_stay() {
    let mut monitor = Monitor::new(MonitorOptions {
        gives_rows: true,
        ..MonitorOptions::default()
    });
    let mut heard = monitor.receive(at(0), b"wdt reset\r\n0123456789");
    assert_eq!(monitor.next_due(), Some(at(100)));
    heard.extend(monitor.pass(at(100)));
    heard.extend(monitor.receive(at(101), b"x"));
    heard.extend(monitor.gone(at(102)));
    let told = told(&heard);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("0000 [77, 64, 74"), "{told:?}");
    assert_eq!(told[1], "! hardware_watchdog");
    assert_eq!(told[2], format!("0010 {:02x?}", b"56789"));
    assert_eq!(told[3], "0015 [78]");
}

#[test]
fn what_was_begun_ends_with_the_line() {
    let mut monitor = monitor();
    let mut heard = monitor.receive(at(0), b"Exception (28):\r\nhalf a line IMPROV");
    heard.extend(monitor.gone(at(5)));
    assert_eq!(
        told(&heard),
        [
            "Exception (28):",
            "half a line IMPROV (Gone)",
            "! exception"
        ]
    );
    monitor.back(at(900));
    assert_eq!(told(&monitor.receive(at(901), b"again\r\n")), ["again"]);
}

#[test]
fn a_rate_that_the_line_cannot_do_is_asked_for_once() {
    let mut monitor = monitor();
    monitor.restarting(at(0));
    assert_eq!(told(&monitor.refused(at(1))), ["-> 115200, Refused"]);
    let _ = monitor.receive(at(2), &[0xFF; 100]);
    assert_eq!(monitor.baud_wanted(), BAUD_APPLICATION);
    assert!(!monitor.is_unreadable());
}
