//! Any bytes as a payload: the core's check says what the Rust one says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_protocol::cbor;

unsafe extern "C" {
    fn fw_cbor_check(bytes: *const u8, length: usize) -> u32;
}

fuzz_target!(|data: &[u8]| {
    // SAFETY: the slice is valid for the call.
    let fault = unsafe { fw_cbor_check(data.as_ptr(), data.len()) };
    assert_eq!(fault == 0, cbor::check(data).is_ok());
    // So that the linker keeps the library that has it.
    assert!(switchyard_firmware::state_bytes() > 0);
});
