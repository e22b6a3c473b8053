//! Declarations of the C core's functions, as the wrapper and the codec's tests call them.
//!
//! Hidden from the documentation: not an interface for other rooms.

#![expect(
    unsafe_code,
    reason = "a foreign function is declared in an unsafe extern block"
)]
#![allow(missing_docs, reason = "each function is documented in its C header")]

use std::ffi::{c_char, c_void};

/// `fw_controller_t`, whose fields only C knows.
#[repr(C)]
pub struct FwController {
    _private: [u8; 0],
}

/// `fw_port_t`.
#[repr(C)]
pub struct FwPort {
    pub ctx: *mut c_void,
    pub send: extern "C" fn(*mut c_void, *const u8, usize) -> i32,
    pub now_ms: extern "C" fn(*mut c_void) -> u32,
    pub random: extern "C" fn(*mut c_void, *mut u8, usize),
    pub log: extern "C" fn(*mut c_void, u32, *const c_char),
    pub dial: extern "C" fn(*mut c_void, u8),
    pub hang_up: extern "C" fn(*mut c_void),
    pub read_input: extern "C" fn(*mut c_void, u8) -> i32,
    pub write_output: extern "C" fn(*mut c_void, u8, i32),
}

/// `fw_settings_t`.
#[repr(C)]
pub struct FwSettings {
    pub title: *const c_char,
    pub software: *const c_char,
    pub board: *const c_char,
    pub address: u32,
    pub boot_id: u32,
    pub record_bytes_max: u16,
    pub behaviour: u8,
    pub gateways: u8,
    pub clear: bool,
    pub key: [u8; 32],
}

unsafe extern "C" {
    pub fn fw_controller_init(
        controller: *mut FwController,
        settings: *const FwSettings,
        port: *const FwPort,
    ) -> bool;
    pub fn fw_controller_poll(controller: *mut FwController) -> u32;
    pub fn fw_controller_input_changed(controller: *mut FwController);
    pub fn fw_controller_connected(controller: *mut FwController);
    pub fn fw_controller_disconnected(controller: *mut FwController);
    pub fn fw_controller_sent(controller: *mut FwController);
    pub fn fw_controller_receive(controller: *mut FwController, bytes: *const u8, length: usize);
    pub fn fw_controller_end(controller: *mut FwController);
    pub fn fw_controller_link_state(controller: *const FwController) -> u32;

    pub fn fw_host_controller_bytes() -> usize;
    pub fn fw_host_controller_align() -> usize;
    pub fn fw_host_state_bytes() -> usize;
    pub fn fw_host_settings_bytes() -> usize;
    pub fn fw_host_port_bytes() -> usize;
    pub fn fw_host_boot_id(controller: *const FwController) -> u32;
    pub fn fw_host_sequence(controller: *const FwController) -> u32;
    pub fn fw_host_executed(controller: *const FwController) -> u32;
    pub fn fw_host_backoff_wait_ms(controller: *const FwController) -> u32;
    pub fn fw_host_forge_source(controller: *mut FwController, source: u32);
    pub fn fw_host_status_sample(page: i32, out: *mut u8, capacity: usize) -> usize;
}
