//! Any records on a controller's link, and any bytes in their place.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::noise(data));
