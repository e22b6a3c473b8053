//! Any bytes on the serial line, in any pieces, and good packets and requests with any data, while a whole device works
//! on them. What it says must be whole packets, and lines between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use switchyard_firmware::{Behaviour, Controller, ControllerKey, Flash, Network, Settings};
use switchyard_fuzz::Choices;
use switchyard_protocol::{
    Address,
    serial::{DATA_BYTES_MAX, Packet, PacketType, Parser, Received},
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

fuzz_target!(|data: &[u8]| {
    let mut settings = Settings::new(Address(7), ControllerKey::new([7; 32]), Behaviour::Latch);
    settings.seed = Some(1);
    let mut controller =
        Controller::with_flash(settings, Flash::blank(), Duration::ZERO).expect("good settings");
    let network = Network {
        name: "yard".into(),
        password: "passpass".into(),
    };
    controller
        .add_radio(&[network], Duration::ZERO)
        .expect("a board");
    controller.add_serial(Duration::ZERO).expect("it has flash");
    let mut parser = Parser::default();
    let mut choices = Choices(data);
    let mut now_ms = 0u32;
    while !choices.is_over() {
        let what = choices.byte();
        let length = usize::from(choices.byte()).min(choices.0.len());
        let (piece, rest) = choices.0.split_at(length);
        choices.0 = rest;
        let line = match what & 3 {
            0 => piece.to_vec(),
            1 => Packet {
                packet_type: PacketType::Command,
                data: piece.to_vec(),
            }
            .encode(),
            _ => {
                let mut sealed = piece.to_vec();
                sealed.extend_from_slice(&crc32(piece).to_be_bytes());
                Packet {
                    packet_type: PacketType::Request,
                    data: sealed,
                }
                .encode()
            }
        };
        controller.receive_serial(&line, Duration::from_millis(now_ms.into()));
        let polls = if what & 0x80 == 0 { 2 } else { 100 };
        for _ in 0..polls {
            now_ms += 10;
            let now = Duration::from_millis(now_ms.into());
            controller.poll(now);
            controller.poll_serial(now);
            let told = controller.take_serial(512);
            for received in parser.receive(&told) {
                match received {
                    Received::Packet(packet) => assert!(packet.data.len() <= DATA_BYTES_MAX),
                    Received::Text(text) => {
                        assert!(
                            !text.windows(6).any(|it| it == b"IMPROV"),
                            "a broken packet"
                        );
                    }
                }
            }
            controller.wants_restart();
        }
    }
});
