//! Full status, deltas without gaps, merging under back-pressure.

use switchyard_firmware::{Behaviour, Channel};
use switchyard_protocol::{
    Flags, Frame, Kind,
    message::{Delta, Event, Full, PointType, Request, features},
};

use crate::yard::{ADDRESS, SCAN, TOOL, Yard, call, key, ms, set, settings};

#[test]
fn a_session_begins_with_announce_and_full_status() {
    let mut settings = settings(Behaviour::Follow);
    settings.clear = true;
    let mut yard = Yard::new(settings, ms(0));
    yard.connect();
    yard.run(SCAN);
    let kinds: Vec<_> = yard
        .frames
        .iter()
        .map(|frame| frame.header().kind)
        .collect();
    assert_eq!(kinds, [Kind::Event, Kind::StatusFull]);
    let Ok(Event::Announce {
        boot,
        features: announced,
        board,
        layout,
        ..
    }) = Event::decode(yard.frames[0].payload())
    else {
        panic!("{:?}", yard.frames[0])
    };
    assert_eq!(
        (boot, announced, board.as_str()),
        (yard.controller.boot_id(), features::SCRIPTS, "virtual")
    );
    let full = yard.fulls().remove(0);
    assert_eq!((full.head.boot, full.head.sequence), (boot, 0));
    assert_eq!((full.page, full.pages, full.layout), (0, 1, layout));
    assert_eq!(full.time.map(|time| time.0), Some(yard.time() - 10));
    let points: Vec<_> = full
        .points
        .iter()
        .map(|p| (p.name.as_str(), p.point_type, p.flags.0))
        .collect();
    assert_eq!(
        points,
        [
            ("DI1", PointType::DigitalInput, 0),
            ("DI2", PointType::DigitalInput, 0),
            ("RL1", PointType::DigitalOutput, 16)
        ]
    );
}

#[test]
fn deltas_count_up_and_tell_changes_only() {
    let mut yard = Yard::live(Behaviour::Latch);
    for number in 1..=50u32 {
        yard.controller
            .set_input(Channel::Di1, i32::try_from(number % 2).expect("0 or 1"));
        yard.run(SCAN);
        let deltas = yard.deltas();
        assert_eq!(deltas.len(), 1);
        assert_eq!(deltas[0].head.sequence, number);
        assert_eq!(deltas[0].changes.len(), 1);
    }
    yard.run(ms(500));
    assert!(yard.deltas().is_empty());
}

#[test]
fn a_link_that_takes_no_more_merges_deltas() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.blocked = true;
    for round in 0..100 {
        yard.controller.set_input(Channel::Di1, (round + 1) % 2);
        yard.command(key(round as u32), set("RL1", i64::from((round + 1) % 2)));
        yard.run(SCAN);
    }
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(SCAN);
    yard.blocked = false;
    yard.run(ms(30));
    let deltas = yard.deltas();
    assert!(deltas.len() <= 3, "{} deltas for 100 changes", deltas.len());
    let sequences: Vec<_> = deltas.iter().map(|d| d.head.sequence).collect();
    assert_eq!(
        sequences,
        (1..=deltas.len() as u32).collect::<Vec<_>>(),
        "no gap"
    );
    let mut values = [0, 0];
    for change in deltas.iter().flat_map(|delta| &delta.changes) {
        values[usize::from(change.index)] = change.value;
    }
    assert_eq!(values, [1, 0], "the last values win");
    // Receipts merge as well: at most one for each key that is still known, and each is final.
    let receipts = yard.receipts();
    assert!(receipts.iter().filter(|r| r.is_final).count() >= 31);
    assert!(
        receipts.is_sorted_by_key(|receipt| receipt.key),
        "in the order of the commands"
    );
}

#[test]
fn a_snapshot_comes_whole_and_then_ok() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(SCAN);
    assert_eq!(yard.deltas()[0].head.sequence, 1);
    let request = Request::Snapshot { controller: None }.encode();
    yard.send(&Frame::new(Kind::Query, 77, TOOL, ADDRESS, &request));
    let kinds: Vec<_> = yard
        .frames
        .iter()
        .map(|frame| frame.header().kind)
        .collect();
    assert_eq!(kinds, [Kind::StatusFull, Kind::Response]);
    assert_eq!(yard.frames[1].header().destination, TOOL);
    assert_eq!(
        yard.frames[0].header().destination.0,
        0,
        "status goes to all who subscribe"
    );
    let full = yard.fulls().remove(0);
    assert_eq!((full.head.sequence, full.points[0].value), (1, 1));
    // The same for many at once: each gets its own.
    yard.frames.clear();
    let frames: Vec<_> = (1..=10)
        .map(|correlation| Frame::new(Kind::Query, correlation, TOOL, ADDRESS, &request))
        .collect();
    let bytes = yard.seal(&frames);
    yard.receive(&bytes);
    assert_eq!(yard.fulls().len(), 10);
    assert_eq!(yard.take_kind(Kind::Response).len(), 10);
}

#[test]
fn the_smallest_record_makes_pages() {
    let mut settings = settings(Behaviour::Follow);
    settings.record_bytes_max = Some(264);
    let mut yard = Yard::new(settings, ms(0));
    yard.record_bytes_max = 264;
    yard.connect();
    yard.run(SCAN);
    let frames: Vec<_> = yard.take_kind(Kind::StatusFull);
    let more: Vec<_> = frames
        .iter()
        .map(|f| f.header().flags.contains(Flags::MORE))
        .collect();
    assert_eq!(more.last(), Some(&false));
    assert!(more[..more.len() - 1].iter().all(|more| *more));
    let fulls: Vec<_> = frames
        .iter()
        .map(|f| Full::decode(f.payload()).expect("a page"))
        .collect();
    for (index, full) in fulls.iter().enumerate() {
        assert_eq!(usize::from(full.page), index);
        assert_eq!(usize::from(full.pages), fulls.len());
        assert_eq!(full.head, fulls[0].head);
    }
    let indexes: Vec<_> = fulls
        .iter()
        .flat_map(|f| &f.points)
        .map(|p| p.index)
        .collect();
    assert_eq!(indexes, [0, 1, 2], "every point once");
    assert!(yard.records.iter().all(|bytes| *bytes <= 264));
}

#[test]
fn an_input_moves_a_sleeping_controller_at_once() {
    let mut yard = Yard::live(Behaviour::Latch);
    yard.run(ms(50));
    let wait = yard.controller.poll(yard.now);
    assert!(
        wait > ms(1000),
        "an idle controller sleeps until its ping: {wait:?}"
    );
    yard.jump(ms(500));
    yard.controller.set_input(Channel::Di1, 1);
    yard.controller.poll(yard.now + ms(10));
    yard.drain();
    assert_eq!(yard.deltas().len(), 1);
    // While something runs by time it wants to be called every scan.
    let mut yard = Yard::live(Behaviour::Pulse);
    yard.command(key(1), call("pulse", &[1000]));
    yard.run(SCAN);
    assert!(yard.controller.poll(yard.now) <= SCAN);
}

#[test]
fn the_count_of_milliseconds_may_wrap() {
    let mut settings = settings(Behaviour::Pulse);
    settings.clear = true;
    // Three seconds before 2^32 ms.
    let mut yard = Yard::new(settings, ms((1 << 32) - 3000));
    yard.connect();
    yard.run(SCAN);
    let uptime = yard.fulls()[0].uptime_ms;
    yard.command(key(1), call("pulse", &[5000]));
    yard.run(ms(4990));
    assert!(yard.now > ms(1 << 32));
    assert_eq!(yard.controller.output(Channel::Rl1), 1);
    yard.run(ms(20));
    assert_eq!(yard.controller.output(Channel::Rl1), 0);
    let last: Delta = yard.deltas().pop().expect("a delta");
    assert!(last.uptime_ms >= uptime + 5000 && last.uptime_ms < uptime + 5100);
    // Told when the pulse ended, in one of the last two scans.
    let told = last.time.map(|time| time.0).expect("a time");
    assert!((yard.time() - 20..=yard.time()).contains(&told));
}

/// Pages and deltas of 32 points with the longest names and values, written by the core alone:
/// no built-in behaviour has as many.
#[test]
fn thirty_two_points_come_in_pages_and_in_deltas_that_fit() {
    for payload_bytes_max in [264 - 32, 400, 1056 - 32] {
        let mut page = 0;
        let mut indexes = Vec::new();
        loop {
            let payload = sample(payload_bytes_max, i32::from(page));
            assert!(payload.len() <= payload_bytes_max);
            let full = Full::decode(&payload).expect("a page");
            assert_eq!(full.page, page);
            indexes.extend(full.points.iter().map(|point| point.index));
            page += 1;
            if page == full.pages {
                break;
            }
            assert!(page < 16);
        }
        assert_eq!(indexes, (0..32).collect::<Vec<_>>());
        let mut told = Vec::new();
        for number in 0.. {
            let payload = sample(payload_bytes_max, -1 - number);
            if payload.is_empty() {
                break;
            }
            assert!(payload.len() <= payload_bytes_max);
            let delta = Delta::decode(&payload).expect("a delta");
            let sequence = i64::from(delta.head.sequence);
            assert_eq!(
                sequence,
                i64::from(number),
                "numbers go on, and wrapped at the first"
            );
            told.extend(delta.changes.iter().map(|change| change.index));
        }
        assert_eq!(
            told,
            (0..32).collect::<Vec<_>>(),
            "what did not fit comes in the next"
        );
    }
}

#[expect(unsafe_code, reason = "calls the C core")]
fn sample(payload_bytes_max: usize, page: i32) -> Vec<u8> {
    let mut buffer = vec![0; payload_bytes_max];
    // SAFETY: the buffer has the length that is told.
    let bytes = unsafe {
        switchyard_firmware::ffi::fw_host_status_sample(page, buffer.as_mut_ptr(), buffer.len())
    };
    buffer.truncate(bytes);
    buffer
}
