//! Any head of a request over HTTP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::head(data));
