//! Any bytes on a tool's WebSocket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::web(data));
