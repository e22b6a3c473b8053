//! The ROM's loader: what it takes, what it refuses, what it is known for.

use super::{Host, OK, block, request, sum, sync_data, words};
use crate::board::{
    BoardOptions, BoardState, FlashSize, SECTOR_BYTES, SecondProgram, Speed, loader::command, spi,
};
use std::time::Duration;

#[test]
fn knows_the_hosts_rate_by_the_first_sync_and_keeps_to_it() {
    for speed in [Speed::Real, Speed::Immediate] {
        for (baud, syncs) in [(74_880, 1), (115_200, 2), (460_800, 2), (921_600, 2)] {
            let options = BoardOptions {
                speed,
                ..BoardOptions::default()
            };
            let mut host = Host::new(options);
            host.download();
            host.read();
            host.board.host_baud(baud);
            for sync in 1..=syncs {
                host.write(&request(command::SYNC, 0, &sync_data()));
                let mut replies = 0;
                while host.reply(command::SYNC).is_some() {
                    replies += 1;
                }
                assert_eq!(replies, if sync == syncs { 8 } else { 0 }, "{baud}");
            }
            assert_eq!(host.board.baud(), baud);
            host.board.host_baud(230_400);
            assert_eq!(host.sync(), 0, "{baud}");
            host.board.host_baud(baud);
            assert_eq!(host.sync(), 8, "{baud}");
        }
    }
}

/// What is wrong, the command, its sum, its data, and what the ROM says.
type Refusal<'a> = (&'a str, u8, u32, &'a [u8], Option<[u8; 2]>);

#[test]
fn refuses_what_is_not_as_it_should_be() {
    let content = [1, 2, 3, 4];
    let good = block(0, &content);
    let begin = words(&[4, 1, 4, 0x4010_0000]);
    let mut short = good.clone();
    short.truncate(18);
    let table: &[Refusal<'_>] = &[
        (
            "a good block",
            command::MEMORY_DATA,
            sum(&content),
            &good,
            Some(OK),
        ),
        ("a wrong sum", command::MEMORY_DATA, 0, &good, Some([1, 7])),
        (
            "a length that is not its own",
            command::MEMORY_DATA,
            sum(&content),
            &short,
            Some([1, 5]),
        ),
        (
            "no block at all",
            command::MEMORY_DATA,
            0,
            &[],
            Some([1, 5]),
        ),
        (
            "another turn",
            command::MEMORY_DATA,
            sum(&content),
            &block(1, &content),
            Some([1, 6]),
        ),
        (
            "a block for flash, none begun",
            command::FLASH_DATA,
            sum(&content),
            &good,
            Some([1, 6]),
        ),
        (
            "five words",
            command::FLASH_BEGIN,
            0,
            &[0; 20],
            Some([1, 5]),
        ),
        (
            "three words",
            command::MEMORY_BEGIN,
            0,
            &[0; 12],
            Some([1, 5]),
        ),
        (
            "a sync that is none",
            command::SYNC,
            0,
            &[7, 7, 0x12, 0x20],
            Some([1, 5]),
        ),
        (
            "half an address",
            command::READ_REGISTER,
            0,
            &[0, 0],
            Some([1, 5]),
        ),
        (
            "deflated data",
            command::DEFLATE_BEGIN,
            0,
            &[0; 16],
            Some([1, 5]),
        ),
        ("a digest", command::FLASH_MD5, 0, &[0; 16], Some([1, 5])),
        (
            "reading flash",
            command::READ_FLASH,
            0,
            &[0; 16],
            Some([1, 5]),
        ),
        ("reading flash slowly", 0x0e, 0, &[0; 8], Some([1, 5])),
        (
            "another rate",
            command::CHANGE_BAUD_RATE,
            0,
            &[0; 8],
            Some([1, 5]),
        ),
        ("erasing", command::ERASE_FLASH, 0, &[], Some([1, 5])),
        (
            "a word where nothing is",
            command::READ_REGISTER,
            0,
            &[0; 4],
            None,
        ),
    ];
    for (what, asked, checksum, data, expected) in table {
        let mut host = Host::synced(BoardOptions::default());
        assert_eq!(host.status(command::MEMORY_BEGIN, &begin), Some(OK));
        host.write(&request(*asked, *checksum, data));
        let status = host.reply(*asked).map(|reply| reply.status);
        assert_eq!(status, *expected, "{what}");
    }
}

#[test]
fn passes_over_what_is_no_request() {
    let mut host = Host::synced(BoardOptions::default());
    let mut wrong_length = request(command::SYNC, 0, &sync_data());
    wrong_length.pop();
    host.write(&wrong_length);
    assert_eq!(host.reply(command::SYNC).unwrap().status, [1, 5]);
    for packet in [
        &b"short"[..],
        &request(command::SYNC, 0, &[])[1..],
        &[0; 0x2000],
    ] {
        host.write(packet);
        assert_eq!(host.packet(), None);
    }
    assert_eq!(host.sync(), 8);
}

#[test]
fn a_value_stays_until_a_register_is_read() {
    let mut host = Host::synced(BoardOptions::default());
    assert_eq!(host.read_register(0x4000_1000), 0xfff0_c101);
    let begun = host.ask(command::MEMORY_BEGIN, &words(&[4, 1, 4, 0x4010_0000]));
    assert_eq!(begun.unwrap().value, 0xfff0_c101);
    host.write_register(0x3ffe_8000, 5);
    assert_eq!(host.read_register(0x3ffe_8000), 5);
}

#[test]
fn the_fuses_hold_the_address() {
    let options = BoardOptions {
        mac: [0x5c, 0xcf, 0x7f, 0x12, 0x34, 0x56],
        ..BoardOptions::default()
    };
    let mut host = Host::synced(options);
    for (address, expected) in [
        (0x3ff0_0050, 0x5600_0000),
        (0x3ff0_0054, 0x0000_1234),
        (0x3ff0_0058, 0),
        (0x3ff0_005c, 0x005c_cf7f),
        // By what a clock of 52 MHz is divided to give 115,200.
        (0x6000_0014, 451),
    ] {
        assert_eq!(host.read_register(address), expected, "{address:x}");
    }
}

#[test]
fn erases_more_than_it_is_asked_for() {
    // First sector, sectors asked for, sectors erased.
    for (first, asked, erased) in [
        (0, 0, 0),
        (0, 1, 2),
        (0, 5, 10),
        (0, 16, 32),
        (0, 20, 36),
        (14, 1, 2),
        (14, 2, 4),
        (14, 5, 7),
        (1, 112, 127),
    ] {
        let options = BoardOptions::default();
        let mut host = Host::synced(options);
        let blank = vec![0; host.board.flash().size() as usize];
        host.board.flash_mut().place(0, &blank);
        let (size, offset) = (asked * SECTOR_BYTES, first * SECTOR_BYTES);
        let data = words(&[size, 1, 0x400, offset]);
        assert_eq!(host.status(command::FLASH_BEGIN, &data), Some(OK));
        let sectors = host.board.flash().bytes().chunks(SECTOR_BYTES as usize);
        let is_erased = |sector: &[u8]| sector.iter().all(|byte| *byte == 0xff);
        let found: Vec<_> = (0..).zip(sectors).filter(|(_, it)| is_erased(it)).collect();
        let found: Vec<u32> = found.into_iter().map(|(at, _)| at).collect();
        let expected: Vec<u32> = (first..first + erased).collect();
        assert_eq!(found, expected, "{asked} from {first}");
    }
}

#[test]
fn writes_flash_block_by_block_and_reads_it_back() {
    let mut host = Host::synced(BoardOptions::default());
    let content: Vec<u8> = (0..0x800_u32).map(|at| (at * 7) as u8).collect();
    let begin = words(&[0x800, 2, 0x400, 0x1000]);
    assert_eq!(host.status(command::FLASH_BEGIN, &begin), Some(OK));
    for (sequence, content) in (0..).zip(content.chunks(0x400)) {
        assert_eq!(host.block(command::FLASH_DATA, sequence, content), Some(OK));
    }
    assert_eq!(host.board.flash().read(0x1000, 0x800), content);
    assert_eq!(
        host.block(command::FLASH_DATA, 2, &content[..0x400]),
        Some([1, 5])
    );

    // Flash that was not erased does not take it, and the ROM sees that.
    let begin = words(&[0, 1, 0x400, 0x1000]);
    assert_eq!(host.status(command::FLASH_BEGIN, &begin), Some(OK));
    assert_eq!(
        host.block(command::FLASH_DATA, 0, &[0xf7; 0x400]),
        Some([1, 8])
    );
    assert_eq!(host.board.flash().second_programs(), 0x100);
}

#[test]
fn leaves_as_it_is_told() {
    for (command, data, expected) in [
        (command::FLASH_END, words(&[0]), BoardState::Download),
        (command::FLASH_END, words(&[1]), BoardState::Application),
        (command::MEMORY_END, words(&[1, 0]), BoardState::Download),
        (
            command::MEMORY_END,
            words(&[0, 0x4010_0000]),
            BoardState::Hung,
        ),
    ] {
        let mut host = Host::synced(BoardOptions::default());
        host.board.flash_mut().place(0, &super::image());
        assert_eq!(host.status(command, &data), Some(OK));
        assert_eq!(host.board.state(), expected, "{command} {data:?}");
    }
}

/// What a host does with the flash through the controller's registers.
struct Bus<'a>(&'a mut Host);

impl Bus<'_> {
    /// Runs a transaction of its own: a code, perhaps an address, bytes out, bytes in.
    fn run(&mut self, code: u8, address: Option<u32>, output: &[u8], input: usize) -> Vec<u8> {
        let host = &mut *self.0;
        for (register, bytes) in (spi::BASE + 0x40..).step_by(4).zip(output.chunks(4)) {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            host.write_register(register, u32::from_le_bytes(word));
        }
        let bits = |bytes: usize| (bytes as u32 * 8).saturating_sub(1);
        let phases = 1 << 31
            | u32::from(address.is_some()) << 30
            | u32::from(input > 0) << 28
            | u32::from(!output.is_empty()) << 27;
        host.write_register(spi::BASE + 0x1c, phases);
        let lengths = 23 << 26 | bits(output.len()) << 17 | bits(input) << 8;
        host.write_register(spi::BASE + 0x20, lengths);
        host.write_register(spi::BASE + 0x24, 7 << 28 | u32::from(code));
        host.write_register(spi::BASE + 0x04, address.unwrap_or_default() << 8);
        host.write_register(spi::BASE, 1 << 18);
        assert_eq!(host.read_register(spi::BASE), 0);
        let words = (spi::BASE + 0x40..).step_by(4).take(input.div_ceil(4));
        let read: Vec<u8> = words
            .flat_map(|at| host.read_register(at).to_le_bytes())
            .collect();
        read[..input].to_vec()
    }
}

#[test]
fn the_flash_is_reached_through_registers() {
    let options = BoardOptions {
        flash_size: FlashSize::Mib4,
        ..BoardOptions::default()
    };
    let mut host = Host::synced(options);
    // Nobody answers before the ROM has been told to begin with flash.
    assert_eq!(Bus(&mut host).run(0x9f, None, &[], 3), [0xff; 3]);
    host.status(command::FLASH_BEGIN, &[0; 16]);
    let mut bus = Bus(&mut host);
    assert_eq!(bus.run(0x9f, None, &[], 3), [0xef, 0x40, 0x16]);
    let unique = bus.run(0x4b, None, &[0; 4], 8);
    assert_eq!(unique[2..], [0x5c, 0xcf, 0x7f, 0x12, 0x34, 0x56]);
    // What is not enabled is not done.
    bus.run(0x02, Some(0x1000), b"lost", 0);
    bus.run(0x06, None, &[], 0);
    assert_eq!(bus.run(0x05, None, &[], 1), [2]);
    bus.run(0x02, Some(0x10fe), b"wrap", 0);
    assert_eq!(bus.run(0x05, None, &[], 1), [0]);
    assert_eq!(bus.run(0x03, Some(0x10fc), &[], 6), b"\xff\xffwr\xff\xff");
    assert_eq!(bus.run(0x03, Some(0x1000), &[], 4), b"ap\xff\xff");
    bus.run(0x06, None, &[], 0);
    bus.run(0x20, Some(0x1000), &[], 0);
    assert_eq!(bus.run(0x03, Some(0x1000), &[], 4), [0xff; 4]);
}

#[test]
fn the_controllers_own_commands_do_the_same() {
    let mut host = Host::synced(BoardOptions::default());
    host.status(command::FLASH_BEGIN, &[0; 16]);
    let mut start = |address: u32, bit: u32| {
        host.write_register(spi::BASE + 0x04, address);
        host.write_register(spi::BASE, 1 << bit);
        (
            host.read_register(spi::BASE + 0x40),
            host.read_register(spi::BASE + 0x10),
        )
    };
    assert_eq!(start(0, 28).0, 0x14_40ef);
    start(0, 30);
    assert_eq!(start(0, 27).1, 2);
    // Three bytes of what lies in the buffer.
    start(0x0300_2000, 25);
    assert_eq!(start(0x0400_2000, 31).0, 0xff14_40ef);
    start(0, 30);
    start(0x2000, 24);
    assert_eq!(start(0x0400_2000, 31).0, u32::MAX);
}

#[test]
fn what_arrives_during_an_erase_overruns_the_receiver() {
    for (sent, lost) in [(100, 0), (128, 0), (300, 172)] {
        let options = BoardOptions {
            speed: Speed::Real,
            second_program: SecondProgram::Refused,
            ..BoardOptions::default()
        };
        let mut host = Host::synced(options);
        host.write(&request(
            command::FLASH_BEGIN,
            0,
            &words(&[0x1000, 1, 0x400, 0]),
        ));
        host.board.receive(host.now, &vec![0; sent]);
        let begun = host.now;
        assert_eq!(host.reply(command::FLASH_BEGIN).unwrap().status, OK);
        // Two sectors, by the quirk.
        assert!(host.now - begun > Duration::from_millis(90));
        assert_eq!(host.board.counts().overruns, lost, "{sent}");
    }
}

#[test]
fn a_block_takes_its_time_on_the_line_and_in_the_flash() {
    let options = BoardOptions {
        speed: Speed::Real,
        ..BoardOptions::default()
    };
    let mut host = Host::synced(options);
    host.status(command::FLASH_BEGIN, &words(&[0x400, 1, 0x400, 0]));
    let begun = host.now;
    assert_eq!(host.block(command::FLASH_DATA, 0, &[0x11; 0x400]), Some(OK));
    // The block with its heads, marks and one escape, and the reply.
    let line = Duration::from_secs_f64((1024.0 + 26.0 + 12.0) * 10.0 / 115_200.0);
    let flash = host.board.flash().timing().piece_program * 32;
    let took = host.now - begun;
    assert!(
        took >= line + flash - Duration::from_micros(200),
        "{took:?}"
    );
    assert!(took <= line + flash + Duration::from_millis(1), "{took:?}");
}
