//! What goes wrong when it is told to.

use super::{Host, OK, block, request, sum, words};
use crate::board::{
    BoardOptions, BoardState, Counts, Fault, FaultKind, FaultPoint, Speed, loader::command,
};
use std::{collections::BTreeSet, time::Duration};

const BLOCK: &[u8] = b"0123456789abcdef0123456789abcdef";

fn host_with(at: FaultPoint, kind: FaultKind) -> Host {
    let options = BoardOptions {
        faults: vec![Fault { at, kind }],
        ..BoardOptions::default()
    };
    Host::new(options)
}

/// Syncs, erases two sectors and writes one block: SYNC twice is packets 1 and 2 from the host, the ten after
/// them are counted on. Gives what the last two commands said.
fn write_block(host: &mut Host) -> (Option<[u8; 2]>, Option<[u8; 2]>) {
    host.download();
    host.sync();
    let begun = host.status(command::FLASH_BEGIN, &words(&[0x1000, 1, 0x400, 0]));
    (begun, host.block(command::FLASH_DATA, 0, BLOCK))
}

/// When, what, what FLASH_BEGIN and FLASH_DATA say, and what comes of the board.
type Strike = (
    FaultPoint,
    FaultKind,
    Option<[u8; 2]>,
    Option<[u8; 2]>,
    BoardState,
);

#[test]
fn each_kind_does_what_it_says() {
    let from = FaultPoint::PacketFromHost;
    let to = FaultPoint::PacketToHost;
    let lose = FaultKind::Lose { bytes: 1 };
    let noise = FaultKind::Noise { bytes: 40, seed: 3 };
    // Packets from the host: two of SYNC, then FLASH_BEGIN, then FLASH_DATA. To the host: eight of SYNC, then
    // one each.
    let table: &[Strike] = &[
        (
            from(4),
            FaultKind::Double { bytes: 1 },
            Some(OK),
            None,
            BoardState::Download,
        ),
        (from(4), lose, Some(OK), None, BoardState::Download),
        (from(4), noise, Some(OK), None, BoardState::Download),
        (
            to(9),
            FaultKind::Noise { bytes: 10, seed: 3 },
            None,
            Some(OK),
            BoardState::Download,
        ),
        (
            to(9),
            FaultKind::Nak { code: 6 },
            Some([1, 6]),
            Some(OK),
            BoardState::Download,
        ),
        (
            from(3),
            FaultKind::Nak { code: 6 },
            Some([1, 6]),
            Some([1, 6]),
            BoardState::Download,
        ),
        (from(3), FaultKind::Silence, None, None, BoardState::Hung),
        (to(10), FaultKind::Silence, Some(OK), None, BoardState::Hung),
        (
            from(4),
            FaultKind::Unplug,
            Some(OK),
            None,
            BoardState::Unpowered,
        ),
        (to(9), FaultKind::Unplug, None, None, BoardState::Unpowered),
        (
            from(4),
            FaultKind::Baud { baud: 9_600 },
            Some(OK),
            None,
            BoardState::Download,
        ),
        (
            from(4),
            FaultKind::RefusedProgram,
            Some(OK),
            Some([1, 8]),
            BoardState::Download,
        ),
    ];
    for (at, kind, begun, written, state) in table {
        let mut host = host_with(*at, *kind);
        let said = write_block(&mut host);
        assert_eq!(
            (said, host.board.state()),
            ((*begun, *written), *state),
            "{kind:?} {at:?}"
        );
    }
}

#[test]
fn a_reset_ends_silence_and_a_wrong_rate() {
    for kind in [FaultKind::Silence, FaultKind::Baud { baud: 9_600 }] {
        let mut host = host_with(FaultPoint::PacketFromHost(3), kind);
        assert_eq!(write_block(&mut host).1, None, "{kind:?}");
        assert_eq!(write_block(&mut host), (Some(OK), Some(OK)), "{kind:?}");
    }
}

#[test]
fn a_lost_or_doubled_byte_inside_a_block_is_noticed() {
    for kind in [FaultKind::Lose { bytes: 3 }, FaultKind::Double { bytes: 3 }] {
        let mut host = Host::synced(BoardOptions::default());
        host.status(command::FLASH_BEGIN, &words(&[0x1000, 1, 0x400, 0]));
        let at = FaultPoint::ByteFromHost(host.board.counts().bytes_from_host + 30);
        let mut host = host_with(at, kind);
        assert_eq!(write_block(&mut host), (Some(OK), Some([1, 5])), "{kind:?}");
    }
}

#[test]
fn flash_rots_and_tears() {
    let at = FaultPoint::PacketFromHost(4);
    let mut host = host_with(
        at,
        FaultKind::BitRot {
            offset: 0x9000,
            bit: 3,
        },
    );
    write_block(&mut host);
    assert_eq!(host.board.flash().read(0x9000, 1), [0xf7]);
    let at = FaultPoint::PacketFromHost(3);
    let mut host = host_with(at, FaultKind::TornErase { seed: 5 });
    host.board.flash_mut().place(0, &[0; 0x2000]);
    write_block(&mut host);
    let torn = host.board.flash().read(0, 0x1000);
    assert!(torn.contains(&0) && torn.contains(&0xff));
    assert_eq!(host.board.flash().read(0x1000, 0x1000), [0xff; 0x1000]);
}

#[test]
fn a_cable_that_comes_out_during_an_erase_leaves_it_torn() {
    let options = BoardOptions {
        speed: Speed::Real,
        ..BoardOptions::default()
    };
    let mut host = Host::synced(options);
    host.board.flash_mut().place(0, &[0; 0x1_0000]);
    host.write(&request(
        command::FLASH_BEGIN,
        0,
        &words(&[0x4000, 1, 0x400, 0]),
    ));
    // The command takes 2.3 ms on the line; a sector takes 45.
    host.pass(2 + 45 + 20);
    host.board.unplug(host.now);
    let flash = host.board.flash();
    assert_eq!(flash.read(0, 0x1000), [0xff; 0x1000]);
    let torn = flash.read(0x1000, 0x1000);
    assert!(torn.contains(&0) && torn.contains(&0xff));
    assert_eq!(flash.read(0x2000, 0xe000), [0; 0xe000]);
}

#[test]
fn noise_is_the_same_for_the_same_seed() {
    let heard = |seed| {
        let at = FaultPoint::ByteToHost(5);
        let mut host = host_with(at, FaultKind::Noise { bytes: 30, seed });
        host.board.host_baud(74_880);
        host.pass(10);
        host.read()
    };
    assert_eq!(heard(1), heard(1));
    assert_ne!(heard(1), heard(2));
}

#[test]
fn whatever_is_drawn_a_reset_or_the_cable_mends_the_line() {
    let mut good = Host::new(BoardOptions::default());
    write_block(&mut good);
    let counts = good.board.counts();
    assert_eq!(
        counts,
        Counts {
            packets_from_host: 4,
            packets_to_host: 10,
            overruns: 0,
            starts: 1,
            ..counts
        }
    );
    let bytes = counts.bytes_from_host.min(counts.bytes_to_host);
    let mut kinds = BTreeSet::new();
    for seed in 0..400 {
        let fault = Fault::drawn(seed, bytes);
        kinds.insert(
            format!("{:?}", fault.kind)
                .split(' ')
                .next()
                .map(String::from),
        );
        let mut host = host_with(fault.at, fault.kind);
        write_block(&mut host);
        if !host.board.is_plugged() {
            host.board.plug(host.now);
        }
        // What is armed for the next erase or program strikes there.
        write_block(&mut host);
        assert_eq!(
            write_block(&mut host),
            (Some(OK), Some(OK)),
            "{seed}: {fault:?}"
        );
        assert_eq!(
            host.board.flash().read(0, BLOCK.len() as u32),
            BLOCK,
            "{seed}: {fault:?}"
        );
    }
    assert_eq!(kinds.len(), 9);
}

#[test]
fn nothing_that_is_fed_to_it_stops_it() {
    for seed in 0..200_u64 {
        let mut host = Host::synced(BoardOptions::default());
        let noise = FaultKind::Noise { bytes: 60, seed };
        let mut data = request(command::FLASH_DATA, sum(BLOCK), &block(0, BLOCK));
        data[1] = seed as u8;
        host.write(&data);
        host.packet();
        let mut host = host_with(FaultPoint::ByteFromHost(1 + seed), noise);
        write_block(&mut host);
        host.now += Duration::from_secs(1);
        assert!(
            host.board
                .next_due()
                .is_none_or(|due| due < host.now + Duration::from_secs(9))
        );
    }
}
