//! Any bytes as the updates of a firmware.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::firmware(data));
