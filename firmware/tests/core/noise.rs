//! The controller link's cipher against `snow`, each as initiator and as responder.

use crate::ffi::{Cipher, Handshake, PREFIX_BYTES, RecordReader, Role, TAG_BYTES, record_seal};
use proptest::{collection::vec, prelude::*, sample::Index};
use snow::{HandshakeState, StatelessTransportState};
use switchyard_protocol::{Address, Frame, Kind};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";
const RECORD_BYTES_MAX: usize = 1056;

fn snow(role: Role, psk: &[u8; 32], prologue: &[u8]) -> HandshakeState {
    let builder = snow::Builder::new(PATTERN.parse().expect("a pattern that snow knows"))
        .psk(0, psk)
        .and_then(|builder| builder.prologue(prologue))
        .expect("a key and a prologue");
    match role {
        Role::Initiator => builder.build_initiator(),
        Role::Responder => builder.build_responder(),
    }
    .expect("a handshake")
}

/// A link of which C holds one end and snow the other.
struct Link {
    sending: Cipher,
    receiving: Cipher,
    snow: StatelessTransportState,
}

/// C dials, snow answers.
fn c_dials(psk: &[u8; 32], prologue: &[u8], random: &[u8; 32], reply: &[u8]) -> Link {
    let mut controller = Handshake::start(Role::Initiator, psk, prologue, random);
    let mut gateway = snow(Role::Responder, psk, prologue);
    let mut buffer = [0; 1024];
    let message = controller.write_1();
    assert_eq!(gateway.read_message(&message, &mut buffer), Ok(0));
    let length = gateway
        .write_message(reply, &mut buffer)
        .expect("message 2");
    assert_eq!(controller.read_2(&buffer[..length]).as_deref(), Ok(reply));
    assert_eq!(controller.hash(), gateway.get_handshake_hash());
    let (sending, receiving) = controller.split();
    Link {
        sending,
        receiving,
        snow: gateway
            .into_stateless_transport_mode()
            .expect("a finished handshake"),
    }
}

/// snow dials, C answers.
fn snow_dials(psk: &[u8; 32], prologue: &[u8], random: &[u8; 32], reply: &[u8]) -> Link {
    let mut controller = snow(Role::Initiator, psk, prologue);
    let mut gateway = Handshake::start(Role::Responder, psk, prologue, random);
    let mut buffer = [0; 1024];
    let length = controller
        .write_message(&[], &mut buffer)
        .expect("message 1");
    assert_eq!(gateway.read_1(&buffer[..length]), Ok(()));
    let message = gateway.write_2(reply);
    let length = controller
        .read_message(&message, &mut buffer)
        .expect("message 2");
    assert_eq!(&buffer[..length], reply);
    assert_eq!(gateway.hash(), controller.get_handshake_hash());
    let (sending, receiving) = gateway.split();
    Link {
        sending,
        receiving,
        snow: controller
            .into_stateless_transport_mode()
            .expect("a finished handshake"),
    }
}

fn frame(correlation: u32, payload: &[u8]) -> Vec<u8> {
    Frame::new(Kind::Event, correlation, Address(7), Address(0), payload)
        .bytes()
        .to_vec()
}

/// A record by snow, with its length before it.
fn snow_record(snow: &StatelessTransportState, nonce: u64, plain: &[u8]) -> Vec<u8> {
    let mut record = vec![0; PREFIX_BYTES + plain.len() + TAG_BYTES];
    let length = snow
        .write_message(nonce, plain, &mut record[PREFIX_BYTES..])
        .expect("a record");
    record[..PREFIX_BYTES].copy_from_slice(&(length as u16).to_be_bytes());
    record
}

fn snow_opens(snow: &StatelessTransportState, nonce: u64, record: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![0; record.len()];
    let length = snow
        .read_message(nonce, &record[PREFIX_BYTES..], &mut plain)
        .ok()?;
    plain.truncate(length);
    Some(plain)
}

/// Records both ways, those to C pushed at once and cut at the given places.
fn both_ways(mut link: Link, payloads: &[Vec<u8>], cuts: &[Index]) {
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for (nonce, payload) in payloads.iter().enumerate() {
        let plain = frame(nonce as u32, payload);
        let sealed = record_seal(&mut link.sending, &plain);
        assert_eq!(
            usize::from(u16::from_be_bytes([sealed[0], sealed[1]])),
            sealed.len() - PREFIX_BYTES
        );
        let nonce = nonce as u64;
        assert_eq!(snow_opens(&link.snow, nonce, &sealed), Some(plain.clone()));
        stream.extend(snow_record(&link.snow, nonce, &plain));
        expected.push(plain);
    }
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let mut reader = RecordReader::new(&mut link.receiving, RECORD_BYTES_MAX);
    let mut opened = Vec::new();
    let mut begin = 0;
    for end in ends {
        let (more, last) = reader.push(&stream[begin..end]);
        assert_eq!(last, "incomplete");
        opened.extend(more);
        begin = end;
    }
    assert_eq!(opened, expected);
}

const PSK: [u8; 32] = [0x42; 32];
const RANDOM: [u8; 32] = [0x17; 32];
const PROLOGUE: &[u8] = b"the hello frame as it was sent";
const REPLY: &[u8] = b"the reply to it";

fn either(c_is_initiator: bool) -> Link {
    if c_is_initiator {
        c_dials(&PSK, PROLOGUE, &RANDOM, REPLY)
    } else {
        snow_dials(&PSK, PROLOGUE, &RANDOM, REPLY)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn c_initiator_and_snow_responder(
        psk in any::<[u8; 32]>(),
        random in any::<[u8; 32]>(),
        prologue in vec(any::<u8>(), 0..300),
        reply in vec(any::<u8>(), 0..200),
        payloads in vec(vec(any::<u8>(), 0..1024), 0..12),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        both_ways(c_dials(&psk, &prologue, &random, &reply), &payloads, &cuts);
    }

    #[test]
    fn snow_initiator_and_c_responder(
        psk in any::<[u8; 32]>(),
        random in any::<[u8; 32]>(),
        prologue in vec(any::<u8>(), 0..300),
        reply in vec(any::<u8>(), 0..200),
        payloads in vec(vec(any::<u8>(), 0..1024), 0..12),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        both_ways(snow_dials(&psk, &prologue, &random, &reply), &payloads, &cuts);
    }
}

/// Every bit of the key and the prologue, on the responder's side.
#[test]
fn another_key_or_prologue_is_refused() {
    let message = Handshake::start(Role::Initiator, &PSK, PROLOGUE, &RANDOM).write_1();
    let mut from_snow = [0; 64];
    let length = snow(Role::Initiator, &PSK, PROLOGUE)
        .write_message(&[], &mut from_snow)
        .unwrap();
    for bit in 0..256 + PROLOGUE.len() * 8 {
        let (mut psk, mut prologue) = (PSK, PROLOGUE.to_vec());
        match bit.checked_sub(256) {
            None => psk[bit / 8] ^= 1 << (bit % 8),
            Some(bit) => prologue[bit / 8] ^= 1 << (bit % 8),
        }
        let mut buffer = [0; 64];
        assert!(
            snow(Role::Responder, &psk, &prologue)
                .read_message(&message, &mut buffer)
                .is_err()
        );
        assert_eq!(
            Handshake::start(Role::Responder, &psk, &prologue, &RANDOM)
                .read_1(&from_snow[..length]),
            Err("bad_message")
        );
    }
}

/// Every bit and every cut of message 1, both ways round.
#[test]
fn a_changed_or_cut_message_1_is_refused() {
    let from_c = Handshake::start(Role::Initiator, &PSK, PROLOGUE, &RANDOM).write_1();
    let mut buffer = [0; 64];
    let length = snow(Role::Initiator, &PSK, PROLOGUE)
        .write_message(&[], &mut buffer)
        .unwrap();
    let from_snow = buffer[..length].to_vec();
    for bit in 0..from_c.len() * 8 {
        let (mut changed_c, mut changed_snow) = (from_c.clone(), from_snow.clone());
        changed_c[bit / 8] ^= 1 << (bit % 8);
        changed_snow[bit / 8] ^= 1 << (bit % 8);
        let mut gateway = snow(Role::Responder, &PSK, PROLOGUE);
        assert!(gateway.read_message(&changed_c, &mut buffer).is_err());
        let mut gateway = Handshake::start(Role::Responder, &PSK, PROLOGUE, &RANDOM);
        assert_eq!(gateway.read_1(&changed_snow), Err("bad_message"));
    }
    for end in 0..from_c.len() {
        let mut gateway = snow(Role::Responder, &PSK, PROLOGUE);
        assert!(gateway.read_message(&from_c[..end], &mut buffer).is_err());
        let mut gateway = Handshake::start(Role::Responder, &PSK, PROLOGUE, &RANDOM);
        assert_eq!(gateway.read_1(&from_snow[..end]), Err("bad_length"));
    }
}

/// A controller whose random numbers are fixed, and snow's answer to its message 1.
fn answered() -> (impl Fn() -> Handshake, Vec<u8>) {
    let controller = || {
        let mut controller = Handshake::start(Role::Initiator, &PSK, PROLOGUE, &RANDOM);
        controller.write_1();
        controller
    };
    let message = Handshake::start(Role::Initiator, &PSK, PROLOGUE, &RANDOM).write_1();
    let mut gateway = snow(Role::Responder, &PSK, PROLOGUE);
    let mut buffer = [0; 256];
    gateway
        .read_message(&message, &mut buffer)
        .expect("message 1");
    let length = gateway
        .write_message(REPLY, &mut buffer)
        .expect("message 2");
    (controller, buffer[..length].to_vec())
}

#[test]
fn a_changed_cut_or_replayed_message_2_is_refused() {
    let (controller, message) = answered();
    assert_eq!(controller().read_2(&message).unwrap(), REPLY);
    for bit in 0..message.len() * 8 {
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            controller().read_2(&changed),
            Err("bad_message"),
            "bit {bit}"
        );
    }
    for end in 0..message.len() {
        let expected = if end < 48 {
            "bad_length"
        } else {
            "bad_message"
        };
        assert_eq!(controller().read_2(&message[..end]), Err(expected));
    }
    let mut another = Handshake::start(Role::Initiator, &PSK, PROLOGUE, &[0x18; 32]);
    another.write_1();
    assert_eq!(another.read_2(&message), Err("bad_message"));
}

/// Every bit of a record, either way round.
#[test]
fn a_changed_record_is_refused() {
    for c_is_initiator in [true, false] {
        let mut link = either(c_is_initiator);
        let plain = frame(1, &[0xA0; 33]);
        let from_c = record_seal(&mut link.sending, &plain);
        let from_snow = snow_record(&link.snow, 0, &plain);
        for bit in PREFIX_BYTES * 8..from_c.len() * 8 {
            let (mut changed_c, mut changed_snow) = (from_c.clone(), from_snow.clone());
            changed_c[bit / 8] ^= 1 << (bit % 8);
            changed_snow[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(snow_opens(&link.snow, 0, &changed_c), None);
            let mut receiving = link.receiving.clone();
            let mut reader = RecordReader::new(&mut receiving, RECORD_BYTES_MAX);
            assert_eq!(reader.push(&changed_snow), (vec![], "bad_record"));
            // The link stays refused, whatever comes now.
            assert_eq!(reader.push(&from_snow), (vec![], "bad_record"));
        }
    }
}

#[test]
fn a_cut_record_is_refused() {
    for c_is_initiator in [true, false] {
        let mut link = either(c_is_initiator);
        let plain = frame(1, &[0xA0; 33]);
        let from_c = record_seal(&mut link.sending, &plain);
        let from_snow = snow_record(&link.snow, 0, &plain);
        for end in PREFIX_BYTES..from_c.len() {
            assert_eq!(snow_opens(&link.snow, 0, &from_c[..end]), None);
            // Announced as what it was: never whole. Announced as what it is: never authentic.
            let mut receiving = link.receiving.clone();
            let mut reader = RecordReader::new(&mut receiving, RECORD_BYTES_MAX);
            assert_eq!(reader.push(&from_snow[..end]), (vec![], "incomplete"));
            let body = end - PREFIX_BYTES;
            let mut shorter = from_snow[..end].to_vec();
            shorter[..PREFIX_BYTES].copy_from_slice(&(body as u16).to_be_bytes());
            let mut receiving = link.receiving.clone();
            let mut reader = RecordReader::new(&mut receiving, RECORD_BYTES_MAX);
            let expected = if body < 17 { "malformed" } else { "bad_record" };
            assert_eq!(reader.push(&shorter), (vec![], expected));
        }
    }
}

/// All orders of three records, repetitions too: only the one in which they were sent opens them.
#[test]
fn replayed_and_reordered_records_are_refused() {
    for c_is_initiator in [true, false] {
        let mut link = either(c_is_initiator);
        let plain: Vec<Vec<u8>> = (0..3).map(|number| frame(number, &[1, 2, 3])).collect();
        let from_c: Vec<_> = plain
            .iter()
            .map(|plain| record_seal(&mut link.sending, plain))
            .collect();
        let from_snow: Vec<_> = (0..3)
            .map(|nonce| snow_record(&link.snow, nonce as u64, &plain[nonce]))
            .collect();
        for order in 0..27 {
            let picks = [order / 9, order / 3 % 3, order % 3];
            let mut receiving = link.receiving.clone();
            let mut reader = RecordReader::new(&mut receiving, RECORD_BYTES_MAX);
            let mut in_order = true;
            for (at, pick) in picks.into_iter().enumerate() {
                let right = pick == at;
                assert_eq!(
                    snow_opens(&link.snow, at as u64, &from_c[pick]).is_some(),
                    right
                );
                in_order &= right;
                let (opened, last) = reader.push(&from_snow[pick]);
                assert_eq!(opened.len(), usize::from(in_order));
                assert_eq!(last, if in_order { "incomplete" } else { "bad_record" });
            }
        }
        // A record thrown back at its sender.
        let mut reader = RecordReader::new(&mut link.receiving, RECORD_BYTES_MAX);
        assert_eq!(reader.push(&from_c[0]), (vec![], "bad_record"));
        assert_eq!(snow_opens(&link.snow, 0, &from_snow[0]), None);
    }
}
