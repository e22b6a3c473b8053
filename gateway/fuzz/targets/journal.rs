//! Any bytes in a journal's segment, and any content of a record.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::journal(data));
