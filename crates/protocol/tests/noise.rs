//! Runs `tests/vectors/noise.toml` against the Noise implementation that the gateway uses: the
//! vectors were computed with another one, so two agree before the C core is held to them.

mod support;

use serde::Deserialize;
use snow::{Builder, HandshakeState};
use support::{Hex, vectors};
use switchyard_protocol::{
    Frame, Kind, limits,
    message::{ControllerHello, HelloReply},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    session: Vec<Session>,
    refusal: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    name: String,
    psk: Hex,
    initiator_ephemeral: Hex,
    initiator_ephemeral_public: Hex,
    responder_ephemeral: Hex,
    responder_ephemeral_public: Hex,
    prologue: Hex,
    message_1: Hex,
    message_2: Hex,
    message_2_payload: Hex,
    handshake_hash: Hex,
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    from: String,
    counter: u64,
    plaintext: Hex,
    ciphertext: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    name: String,
    psk: Hex,
    prologue: Hex,
    responder_ephemeral: Hex,
    message_1: Hex,
}

fn builder<'a>(psk: &'a Hex, prologue: &'a Hex, ephemeral: &'a Hex) -> Builder<'a> {
    let pattern = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b"
        .parse()
        .expect("a known pattern");
    Builder::new(pattern)
        .psk(0, psk.0.as_slice().try_into().expect("32 bytes"))
        .expect("the pattern takes a key")
        .prologue(&prologue.0)
        .expect("one prologue")
        .fixed_ephemeral_key_for_testing_only(&ephemeral.0)
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Hex {
    let mut message = vec![0; 1024];
    let length = state
        .write_message(payload, &mut message)
        .expect("its turn to write");
    message.truncate(length);
    Hex(message)
}

#[test]
fn sessions() {
    for session in vectors::<File>("noise.toml").session {
        let name = &session.name;
        let Session { psk, prologue, .. } = &session;
        let hello = Frame::decode(&mut prologue.0.as_slice().into(), 64)
            .unwrap()
            .unwrap();
        assert_eq!(hello.header().kind, Kind::Hello, "{name}");
        let wish = ControllerHello::decode(hello.payload()).unwrap();
        let reply = HelloReply::decode(&session.message_2_payload.0).unwrap();
        assert!(reply.record_bytes_max <= wish.record_bytes_max, "{name}");
        assert_eq!(reply.address, hello.header().source, "{name}");

        let mut controller = builder(psk, prologue, &session.initiator_ephemeral)
            .build_initiator()
            .unwrap();
        let mut gateway = builder(psk, prologue, &session.responder_ephemeral)
            .build_responder()
            .unwrap();
        let mut read = vec![0; 1024];
        assert_eq!(write(&mut controller, &[]), session.message_1, "{name}");
        assert_eq!(session.message_1.0.len(), 48, "{name}");
        let public = &session.initiator_ephemeral_public.0;
        assert!(session.message_1.0.starts_with(public), "{name}");
        assert_eq!(
            gateway.read_message(&session.message_1.0, &mut read),
            Ok(0),
            "{name}"
        );
        let message_2 = write(&mut gateway, &session.message_2_payload.0);
        assert_eq!(message_2, session.message_2, "{name}");
        let public = &session.responder_ephemeral_public.0;
        assert!(message_2.0.starts_with(public), "{name}");
        let length = controller.read_message(&message_2.0, &mut read).unwrap();
        assert_eq!(read[..length], session.message_2_payload.0, "{name}");
        for state in [&controller, &gateway] {
            let hash = state.get_handshake_hash().to_vec();
            assert_eq!(Hex(hash), session.handshake_hash, "{name}");
        }

        let mut controller = controller.into_transport_mode().unwrap();
        let mut gateway = gateway.into_transport_mode().unwrap();
        let mut counters = [0, 0];
        for record in &session.records {
            let of_controller = record.from == "controller";
            assert!(of_controller || record.from == "gateway", "{name}");
            let counter = &mut counters[usize::from(of_controller)];
            assert_eq!(record.counter, *counter, "{name}");
            *counter += 1;
            let (sender, receiver) = if of_controller {
                (&mut controller, &mut gateway)
            } else {
                (&mut gateway, &mut controller)
            };
            let mut bytes = vec![0; limits::PAYLOAD_BYTES_MAX];
            let length = sender
                .write_message(&record.plaintext.0, &mut bytes)
                .unwrap();
            bytes.truncate(length);
            assert_eq!(Hex(bytes), record.ciphertext, "{name}");
            assert!(
                length <= usize::from(reply.record_bytes_max),
                "{name}: {length} bytes are more than agreed"
            );
            let mut bytes = vec![0; length];
            let length = receiver
                .read_message(&record.ciphertext.0, &mut bytes)
                .unwrap();
            bytes.truncate(length);
            assert_eq!(Hex(bytes), record.plaintext, "{name}");
            let mut rest = record.plaintext.0.as_slice().into();
            while Frame::decode(&mut rest, limits::PAYLOAD_BYTES_MAX)
                .unwrap()
                .is_some()
            {}
            assert!(rest.is_empty(), "{name}: a record holds whole frames");
        }
        assert!(counters.iter().all(|&count| count > 1), "{name}");
    }
}

#[test]
fn refusals() {
    let refusals = vectors::<File>("noise.toml").refusal;
    assert!(!refusals.is_empty());
    for refusal in refusals {
        let mut gateway = builder(
            &refusal.psk,
            &refusal.prologue,
            &refusal.responder_ephemeral,
        )
        .build_responder()
        .unwrap();
        // A message 1 that carries a payload is not this protocol's, even where it decrypts.
        let found = gateway.read_message(&refusal.message_1.0, &mut [0; 1024]);
        assert!(!matches!(found, Ok(0)), "{} was taken", refusal.name);
    }
}
