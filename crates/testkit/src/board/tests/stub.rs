//! The stub: what it adds, and what it does not look at.

use super::{Host, OK, STUB_PLACE, block, request, sum, words};
use crate::board::{BoardOptions, BoardState, SecondProgram, Speed, loader::command};
use flate2::{Compression, write::ZlibEncoder};
use md5::{Digest, Md5};
use std::{io::Write, time::Duration};

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Content that does not deflate to nothing.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

fn begin(host: &mut Host, begin: u8, size: usize, offset: u32) {
    let data = words(&[size as u32, 1, 0x4000, offset]);
    assert_eq!(host.status(begin, &data), Some(OK));
}

/// Writes content deflated. Gives what each block and the end said.
fn write_deflated(host: &mut Host, size: usize, offset: u32, sent: &[u8]) -> Vec<[u8; 2]> {
    begin(host, command::DEFLATE_BEGIN, size, offset);
    let mut said = Vec::new();
    for part in sent.chunks(0x4000) {
        // It does not look at the number.
        said.extend(host.block(command::DEFLATE_DATA, 77, part));
    }
    said.extend(host.status(command::DEFLATE_END, &words(&[1])));
    said
}

#[test]
fn only_a_stub_at_its_entry_answers() {
    let known = 0x4010_c500;
    let table: &[(&str, &[u8], u32, bool)] = &[
        ("a stub", b"....OHAI....", STUB_PLACE, true),
        ("something else", b"....OHOI....", STUB_PLACE, false),
        // What lies where the known stub does must be the known stub.
        ("the known one, spoilt", b"....OHAI....", known, false),
    ];
    for (what, program, place, answers) in table {
        let mut host = Host::synced(BoardOptions::default());
        let said = host.run_program(program, *place);
        assert_eq!(said, answers.then(|| b"OHAI".to_vec()), "{what}");
        let state = if *answers {
            BoardState::Stub
        } else {
            BoardState::Hung
        };
        assert_eq!(host.board.state(), state, "{what}");
    }
    let mut host = Host::synced(BoardOptions::default());
    host.run_program(b"OHAI", STUB_PLACE);
    let data = words(&[0, 0x4010_1000]);
    assert_eq!(host.status(command::MEMORY_END, &data), Some(OK));
    assert_eq!(host.packet(), None, "a wrong entry");
}

#[test]
fn writes_what_it_inflates_and_sums_it_up() {
    for (size, offset) in [
        (0x2_3456, 0),
        (100, 0x1000),
        (0x1_0000, 0x1_0000),
        (0x1001, 0x2345),
    ] {
        let mut host = Host::with_stub(BoardOptions::default());
        let whole = vec![0; host.board.flash().size() as usize];
        host.board.flash_mut().place(0, &whole);
        let content = content(size);
        let said = write_deflated(&mut host, size, offset, &deflated(&content));
        assert!(said.iter().all(|status| *status == OK), "{said:?}");
        assert_eq!(host.board.flash().read(offset, size as u32), content);
        // Nothing beyond the last sector is erased, and nothing is programmed twice.
        let end = (offset + size as u32).next_multiple_of(0x1000);
        assert_eq!(host.board.flash().read(end, 16), [0; 16]);
        assert_eq!(host.board.flash().second_programs(), 0);
        let reply = host.ask(command::FLASH_MD5, &words(&[offset, size as u32, 0, 0]));
        assert_eq!(reply.unwrap().data, Md5::digest(&content).to_vec());
    }
}

#[test]
fn tells_with_the_next_command_what_went_wrong() {
    let plain = content(0x8000);
    let good = deflated(&plain);
    let (two_blocks, half) = (good.len() > 0x4000, good.len() / 2);
    assert!(two_blocks);
    let mut broken = good.clone();
    broken[2..40].fill(0xff);
    let mut longer = good.clone();
    longer.extend([0; 4]);
    for (what, size, sent, expected) in [
        ("good", 0x8000, good.clone(), vec![OK, OK, OK]),
        ("broken", 0x8000, broken, vec![OK, [1, 0xc7], [1, 0xc7]]),
        ("too much", 0x7000, good.clone(), vec![OK, OK, [1, 0xc9]]),
        ("too little", 0x9000, good.clone(), vec![OK, OK, [1, 0xc8]]),
        (
            "cut short",
            0x8000,
            good[..half].to_vec(),
            vec![OK, [1, 0xc8]],
        ),
        (
            "more after its end",
            0x8000,
            longer,
            vec![OK, OK, [1, 0xc9]],
        ),
    ] {
        let mut host = Host::with_stub(BoardOptions::default());
        let said = write_deflated(&mut host, size, 0, &sent);
        assert_eq!(said, expected, "{what}");
    }
}

#[test]
fn writes_plain_blocks_and_cuts_what_fills_the_last() {
    let mut host = Host::with_stub(BoardOptions::default());
    begin(&mut host, command::FLASH_BEGIN, 6, 0x1000);
    let status = host.block(command::FLASH_DATA, 0, b"filled\xff\xff\xff");
    assert_eq!(status, Some(OK));
    assert_eq!(host.status(command::FLASH_END, &words(&[0])), Some(OK));
    assert_eq!(host.board.flash().read(0x1000, 7), b"filled\xff");
    // It stays, whatever it was told.
    assert_eq!(host.status(command::RUN_USER_CODE, &[]), None);
    assert_eq!(host.board.state(), BoardState::Stub);
}

/// What is wrong, the command, its sum, its data, and what the stub says.
type Refusal<'a> = (&'a str, u8, u32, &'a [u8], [u8; 2]);

#[test]
fn refuses_what_is_not_as_it_should_be() {
    let data = block(0, b"data");
    let table: &[Refusal<'_>] = &[
        (
            "not begun",
            command::FLASH_DATA,
            sum(b"data"),
            &data,
            [1, 0xc6],
        ),
        (
            "an end, not begun",
            command::DEFLATE_END,
            0,
            &[0; 4],
            [1, 0xc6],
        ),
        ("a wrong sum", command::FLASH_DATA, 0, &data, [1, 0xc1]),
        (
            "a wrong length",
            command::FLASH_DATA,
            0,
            &data[..18],
            [1, 0xc0],
        ),
        (
            "too large a block",
            command::FLASH_BEGIN,
            0,
            &words(&[1, 1, 0x4001, 0]),
            [1, 0xc2],
        ),
        (
            "too few words",
            command::DEFLATE_BEGIN,
            0,
            &[0; 12],
            [1, 0xc0],
        ),
        (
            "half a sector",
            command::ERASE_REGION,
            0,
            &words(&[0, 0x800]),
            [1, 0xc4],
        ),
        ("no packets", command::READ_FLASH, 0, &[0; 16], [1, 0xc3]),
        ("unknown", 0x55, 0, &[], [1, 0xff]),
        ("another chip's", 0x14, 0, &[], [1, 0xff]),
        ("encryption's word", command::FLASH_BEGIN, 0, &[0; 20], OK),
        ("parameters", command::SPI_SET_PARAMETERS, 0, &[0; 24], OK),
        ("attaching", command::SPI_ATTACH, 0, &[0; 4], OK),
    ];
    for (what, asked, checksum, data, expected) in table {
        let mut host = Host::with_stub(BoardOptions::default());
        host.write(&request(*asked, *checksum, data));
        assert_eq!(host.reply(*asked).unwrap().status, *expected, "{what}");
    }
}

#[test]
fn syncs_with_no_value() {
    let mut host = Host::with_stub(BoardOptions::default());
    host.write(&request(command::SYNC, 0, &super::sync_data()));
    for _ in 0..8 {
        assert_eq!(host.reply(command::SYNC).unwrap().value, 0);
    }
    assert_eq!(host.reply(command::SYNC), None);
}

#[test]
fn erases_a_region_or_all() {
    let mut host = Host::with_stub(BoardOptions::default());
    let whole = vec![0; host.board.flash().size() as usize];
    host.board.flash_mut().place(0, &whole);
    let data = words(&[0xf000, 0x1_2000]);
    assert_eq!(host.status(command::ERASE_REGION, &data), Some(OK));
    let flash = host.board.flash();
    assert_eq!(
        (flash.read(0xefff, 2), flash.read(0x2_0fff, 2)),
        (vec![0, 0xff], vec![0xff, 0])
    );
    assert_eq!(flash.erases(), 3);
    assert_eq!(host.status(command::ERASE_FLASH, &[]), Some(OK));
    assert!(host.board.flash().bytes().iter().all(|byte| *byte == 0xff));
}

#[test]
fn reads_ahead_of_acknowledgements_and_no_further() {
    let mut host = Host::with_stub(BoardOptions::default());
    let content = content(0x1234);
    host.board.flash_mut().place(0x100, &content);
    let data = words(&[0x100, 0x1234, 0x400, 2]);
    assert_eq!(host.status(command::READ_FLASH, &data), Some(OK));
    let mut read = Vec::new();
    let mut unacknowledged = 0;
    while read.len() < content.len() {
        match host.packet() {
            Some(packet) => {
                read.extend(packet);
                unacknowledged += 1;
            }
            None => {
                assert_eq!(unacknowledged, 2);
                unacknowledged = 0;
                host.write(&words(&[read.len() as u32]));
            }
        }
    }
    assert_eq!(read, content);
    assert_eq!(host.packet(), None);
    host.write(&words(&[read.len() as u32]));
    assert_eq!(host.packet(), Some(Md5::digest(&content).to_vec()));
    assert_eq!(host.status(command::SPI_ATTACH, &[0; 4]), Some(OK));
}

#[test]
fn what_is_no_acknowledgement_ends_a_reading() {
    let mut host = Host::with_stub(BoardOptions::default());
    let data = words(&[0, 0x1000, 0x400, 1]);
    assert_eq!(host.status(command::READ_FLASH, &data), Some(OK));
    host.packet();
    host.write(b"never mind");
    assert_eq!(host.packet(), None);
    assert_eq!(host.status(command::SPI_ATTACH, &[0; 4]), Some(OK));
}

#[test]
fn goes_to_another_rate_after_it_has_said_so() {
    let mut host = Host::with_stub(BoardOptions::default());
    let data = words(&[921_600, 115_200]);
    assert_eq!(host.status(command::CHANGE_BAUD_RATE, &data), Some(OK));
    assert_eq!(host.status(command::SPI_ATTACH, &[0; 4]), None);
    host.board.host_baud(921_600);
    assert_eq!(host.status(command::SPI_ATTACH, &[0; 4]), Some(OK));
}

#[test]
fn takes_in_a_block_while_it_writes_another() {
    let options = BoardOptions {
        speed: Speed::Real,
        second_program: SecondProgram::Refused,
        ..BoardOptions::default()
    };
    let mut host = Host::with_stub(options);
    let data = words(&[921_600, 115_200]);
    host.status(command::CHANGE_BAUD_RATE, &data);
    host.board.host_baud(921_600);
    let content = content(0x4_0000);
    let begun = host.now;
    let sent = deflated(&content);
    let said = write_deflated(&mut host, content.len(), 0, &sent);
    assert!(said.iter().all(|status| *status == OK));
    assert_eq!(host.board.counts().overruns, 0);
    assert_eq!(host.board.flash().read(0, 0x4_0000), content);
    let took = host.now - begun;
    // Erasing and programming take as long again, and none of it is seen.
    let line = Duration::from_secs_f64(sent.len() as f64 * 10.0 / 921_600.0);
    assert!(
        took > line && took < line.mul_f64(1.25),
        "{took:?} of {line:?}"
    );
}
