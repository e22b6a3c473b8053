//! Any first words of tools and controllers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::hello(data));
