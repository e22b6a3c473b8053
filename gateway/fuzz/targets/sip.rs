//! Any bytes as messages, descriptions and packets of a trunk, and as what comes to a telephone that is calling.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_telephone::fuzzing::sip(data));
