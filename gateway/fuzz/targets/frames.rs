//! Any frames from peers that have come in: their decoders and the relay.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::frames(data));
