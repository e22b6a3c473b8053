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

/// `fw_keys_t`.
#[repr(C)]
pub struct FwKeys {
    pub current: [u8; 32],
    pub next: [u8; 32],
    pub has_next: bool,
}

/// `fw_settings_t`.
#[repr(C)]
pub struct FwSettings {
    pub title: *const c_char,
    pub software: *const c_char,
    pub board: *const c_char,
    pub zone: *const c_char,
    pub keys: *const FwKeys,
    pub address: u32,
    pub boot_id: u32,
    pub record_bytes_max: u16,
    pub gateways: u8,
    pub clear: bool,
}

/// `fw_host_device_t`, whose fields only C knows.
#[repr(C)]
pub struct FwHostDevice {
    _private: [u8; 0],
}

/// `fw_host_chip_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FwHostChip {
    pub ctx: *mut c_void,
    pub program: extern "C" fn(*mut c_void, u32, *const u32, usize, *mut u32),
    pub erase: extern "C" fn(*mut c_void, u32, *mut u32),
}

/// `fw_serial_host_t`, whose fields only C knows.
#[repr(C)]
pub struct FwSerialHost {
    _private: [u8; 0],
}

/// `fw_compiler_t`, whose fields only C knows.
#[repr(C)]
pub struct FwCompiler {
    _private: [u8; 0],
}

/// `fw_vm_t`, whose fields only C knows.
#[repr(C)]
pub struct FwVm {
    _private: [u8; 0],
}

/// `fw_pin_t`.
#[repr(C)]
pub struct FwPin {
    pub name: *const c_char,
    pub kind: u8,
    pub channel: u8,
}

/// `fw_board_t`.
#[repr(C)]
pub struct FwBoard {
    pub pins: *const FwPin,
    pub count: u8,
}

/// `fw_program_sink_t`.
#[repr(C)]
pub struct FwProgramSink {
    pub ctx: *mut c_void,
    pub code: extern "C" fn(*mut c_void, u32) -> bool,
    pub table: extern "C" fn(*mut c_void, u32) -> bool,
}

/// `fw_script_error_t`.
#[repr(C)]
pub struct FwScriptError {
    pub expected: *const c_char,
    pub fix: *const c_char,
    pub line: u16,
    pub column: u16,
    pub at: u16,
    pub length: u16,
    pub other_line: u16,
}

/// `fw_program_t`.
#[repr(C)]
pub struct FwProgram {
    pub code: *const u32,
    pub table: *const u32,
    pub code_words: u16,
    pub table_words: u16,
}

/// `fw_vm_call_t`.
#[repr(C)]
pub struct FwVmCall {
    pub command: u8,
    pub arguments: [i32; 4],
}

/// `fw_http_host_t`, whose fields only C knows.
#[repr(C)]
pub struct FwHttpHost {
    _private: [u8; 0],
}

/// `fw_host_api_t`: whoever stands behind the API, made in C.
#[repr(C)]
pub struct FwHostApi {
    _private: [u8; 0],
}

/// `fw_http_port_t`.
#[repr(C)]
pub struct FwHttpPort {
    pub ctx: *mut c_void,
    pub send: extern "C" fn(*mut c_void, u8, *const u8, usize) -> bool,
    pub close: extern "C" fn(*mut c_void, u8, bool),
    pub hold: extern "C" fn(*mut c_void, u8, bool),
}

/// `fw_runner_t`, whose fields only C knows.
#[repr(C)]
pub struct FwRunner {
    _private: [u8; 0],
}

/// `fw_recorder_t`, whose fields only C knows.
#[repr(C)]
pub struct FwRecorder {
    _private: [u8; 0],
}

/// `fw_replay_t`, whose fields only C knows.
#[repr(C)]
pub struct FwReplay {
    _private: [u8; 0],
}

/// `fw_replay_scan_t`.
#[repr(C)]
#[derive(Default)]
pub struct FwReplayScan {
    pub arguments: [i32; 4],
    pub now_ms: u32,
    pub elapsed_ms: u32,
    pub by: u32,
    pub reference: u32,
    pub forced: u32,
    pub command: u8,
    pub index: u8,
    pub result: u8,
    pub online: bool,
    pub synced: bool,
    pub set_count: u8,
    pub set_cells: [u8; 8],
}

/// `fw_zone_t`, whose fields only C knows.
#[repr(C)]
pub struct FwZone {
    _private: [u8; 0],
}

/// `fw_host_command_t`.
#[repr(C)]
pub struct FwHostCommand {
    pub arguments: [i32; 4],
    pub by: u32,
    pub reference: u32,
    pub index: u8,
    pub kind: u8,
}

/// `fw_host_scan_t`.
#[repr(C)]
pub struct FwHostScan {
    pub raw: *const i32,
    pub command: *const FwHostCommand,
    pub utc: i64,
    pub now_ms: u32,
    pub online: bool,
    pub synced: bool,
    pub leaves_nothing_out: bool,
}

/// `fw_host_point_t`.
#[repr(C)]
#[derive(Default)]
pub struct FwHostPoint {
    pub value: i32,
    pub by: u32,
    pub reference: u32,
    pub kind: u8,
    pub flags: u8,
}

unsafe extern "C" {
    pub fn fw_http_host_bytes() -> usize;
    pub fn fw_http_host_align() -> usize;
    pub fn fw_http_host_init(host: *mut FwHttpHost, controller: *const FwHostApi, port: FwHttpPort);
    pub fn fw_http_host_opened(host: *mut FwHttpHost, now_ms: u32) -> u8;
    pub fn fw_http_host_receive(
        host: *mut FwHttpHost,
        connection: u8,
        bytes: *const u8,
        length: usize,
        now_ms: u32,
    );
    pub fn fw_http_host_sent(host: *mut FwHttpHost, connection: u8, now_ms: u32);
    pub fn fw_http_host_closed(host: *mut FwHttpHost, connection: u8);
    pub fn fw_http_host_poll(host: *mut FwHttpHost, now_ms: u32) -> u32;

    pub fn fw_compile_begin(
        compiler: *mut FwCompiler,
        source: *const u8,
        length: usize,
        board: *const FwBoard,
        sink: FwProgramSink,
    ) -> bool;
    pub fn fw_compile_step(compiler: *mut FwCompiler) -> u32;
    pub fn fw_vm_start(vm: *mut FwVm, program: *const FwProgram);
    pub fn fw_vm_scan(vm: *mut FwVm, now_ms: u32, call: *const FwVmCall) -> u32;

    pub fn fw_program_cost(program: *const FwProgram) -> u32;
    pub fn fw_host_compiler_bytes() -> usize;
    pub fn fw_host_compiler_align() -> usize;
    pub fn fw_host_vm_bytes() -> usize;
    pub fn fw_host_vm_align() -> usize;
    pub fn fw_host_script_bytes(bytes: *mut [usize; 6]);
    pub fn fw_host_compiler_error(compiler: *const FwCompiler) -> *const FwScriptError;
    pub fn fw_host_compiler_operations(compiler: *const FwCompiler) -> u16;
    pub fn fw_host_vm_value(vm: *const FwVm, cell: u8) -> i32;
    pub fn fw_host_vm_put(vm: *mut FwVm, cell: u8, value: i32);
    pub fn fw_host_vm_events(vm: *const FwVm) -> u32;
    pub fn fw_host_vm_alarms(vm: *const FwVm) -> u32;
    pub fn fw_host_vm_divisions_by_zero(vm: *const FwVm) -> u32;

    pub fn fw_runner_start(runner: *mut FwRunner, program: *const FwProgram, now_ms: u32);
    pub fn fw_runner_settled(runner: *mut FwRunner, tag: *mut u8, confirmed: *mut bool) -> bool;
    pub fn fw_runner_await(runner: *mut FwRunner, tag: u8);
    pub fn fw_runner_force(
        runner: *mut FwRunner,
        point: u8,
        value: i32,
        length_ms: u32,
        now_ms: u32,
    ) -> bool;
    pub fn fw_runner_release(runner: *mut FwRunner, point: u8) -> bool;
    pub fn fw_runner_stop(runner: *mut FwRunner);

    pub fn fw_host_runner_structs_bytes(bytes: *mut [usize; 3]);
    pub fn fw_host_runner_bytes() -> usize;
    pub fn fw_host_runner_align() -> usize;
    pub fn fw_host_zone_bytes() -> usize;
    pub fn fw_host_zone_align() -> usize;
    pub fn fw_host_zone_parse(zone: *mut FwZone, text: *const u8, length: usize) -> bool;
    pub fn fw_host_runner_scan(
        runner: *mut FwRunner,
        recorder: *mut FwRecorder,
        zone: *const FwZone,
        scan: *const FwHostScan,
    ) -> u32;
    pub fn fw_host_runner_vm(runner: *mut FwRunner) -> *mut FwVm;
    pub fn fw_host_runner_due_ms(runner: *const FwRunner) -> u32;
    pub fn fw_host_runner_point(
        runner: *const FwRunner,
        index: u8,
        point: *mut FwHostPoint,
    ) -> bool;

    pub fn fw_recorder_begin(recorder: *mut FwRecorder, runner: *const FwRunner);
    pub fn fw_recorder_set(recorder: *mut FwRecorder, cell: u8, value: i32);
    pub fn fw_host_recorder_bytes() -> usize;
    pub fn fw_host_recorder_align() -> usize;
    pub fn fw_host_recording(
        recorder: *mut FwRecorder,
        runner: *const FwRunner,
        script_crc: u32,
        into: *mut u8,
        room: usize,
    ) -> usize;
    pub fn fw_replay_bytes() -> usize;
    pub fn fw_replay_align() -> usize;
    pub fn fw_replay_scan_bytes() -> usize;
    pub fn fw_replay_begin(
        replay: *mut FwReplay,
        bytes: *const u8,
        length: usize,
        program: *const FwProgram,
    ) -> u32;
    pub fn fw_replay_next(replay: *mut FwReplay) -> u32;
    pub fn fw_replay_scan(replay: *const FwReplay, scan: *mut FwReplayScan);
    pub fn fw_replay_divided_line(replay: *const FwReplay) -> u16;
    pub fn fw_replay_runner(replay: *mut FwReplay) -> *mut FwRunner;
    pub fn fw_crc32(crc: u32, words: *const u32, count: usize) -> u32;
    pub fn fw_host_profile_name(profile: usize) -> *const c_char;
    pub fn fw_host_profile_pin(profile: usize, at: u8) -> *const FwPin;

    pub fn fw_controller_init(
        controller: *mut FwController,
        settings: *const FwSettings,
        port: *const FwPort,
    ) -> bool;
    pub fn fw_controller_run(
        controller: *mut FwController,
        program: *const FwProgram,
        title: *const c_char,
    );
    pub fn fw_controller_poll(controller: *mut FwController) -> u32;
    pub fn fw_controller_input_changed(controller: *mut FwController);
    pub fn fw_controller_connected(controller: *mut FwController);
    pub fn fw_controller_disconnected(controller: *mut FwController);
    pub fn fw_controller_sent(controller: *mut FwController);
    pub fn fw_controller_receive(controller: *mut FwController, bytes: *const u8, length: usize);
    pub fn fw_controller_end(controller: *mut FwController);
    pub fn fw_controller_tell_time(controller: *mut FwController, time: u64);
    pub fn fw_controller_link_state(controller: *const FwController) -> u32;

    pub fn fw_host_device_bytes() -> usize;
    pub fn fw_host_device_align() -> usize;
    pub fn fw_host_device_init(
        host: *mut FwHostDevice,
        settings: *const FwSettings,
        port: *const FwPort,
        board: *const FwBoard,
        flash: *mut u32,
        first_script: *const u8,
        first_script_bytes: usize,
        update_key: *const u8,
        reset: u8,
    ) -> bool;
    pub fn fw_host_device_controller(host: *mut FwHostDevice) -> *mut FwController;
    pub fn fw_host_device_api(host: *const FwHostDevice) -> *const FwHostApi;
    pub fn fw_host_device_poll(host: *mut FwHostDevice) -> u32;
    pub fn fw_host_device_add_radio(host: *mut FwHostDevice);
    pub fn fw_host_device_add_network(
        host: *mut FwHostDevice,
        name: *const c_char,
        password: *const c_char,
    ) -> bool;
    pub fn fw_host_device_is_joined(host: *mut FwHostDevice) -> bool;
    pub fn fw_host_device_enrolled(host: *const FwHostDevice) -> u32;

    pub fn fw_serial_host_bytes() -> usize;
    pub fn fw_serial_host_align() -> usize;
    pub fn fw_serial_host_init(host: *mut FwSerialHost, api: *const FwHostApi, now_ms: u32);
    pub fn fw_serial_host_receive(
        host: *mut FwSerialHost,
        bytes: *const u8,
        length: usize,
        now_ms: u32,
    );
    pub fn fw_serial_host_poll(host: *mut FwSerialHost, now_ms: u32) -> u32;
    pub fn fw_serial_host_log(host: *mut FwSerialHost, text: *const c_char);
    pub fn fw_serial_host_button(host: *mut FwSerialHost, is_pressed: bool, now_ms: u32);
    pub fn fw_serial_host_take(host: *mut FwSerialHost, into: *mut u8, room: usize) -> usize;

    pub fn fw_host_device_wants_restart(host: *mut FwHostDevice) -> bool;
    pub fn fw_host_device_changed(host: *mut FwHostDevice, sector: u32) -> u32;
    pub fn fw_host_device_text(host: *const FwHostDevice, text: u8) -> *const c_char;
    pub fn fw_host_device_script_hash(host: *mut FwHostDevice) -> u32;
    pub fn fw_host_device_set_chip(host: *mut FwHostDevice, chip: FwHostChip);
    pub fn fw_host_device_set_hardware(host: *mut FwHostDevice, bytes: *const u8);

    pub fn fw_host_controller_bytes() -> usize;
    pub fn fw_host_controller_align() -> usize;
    pub fn fw_host_state_bytes() -> usize;
    pub fn fw_host_settings_bytes() -> usize;
    pub fn fw_host_port_bytes() -> usize;
    pub fn fw_host_boot_id(controller: *const FwController) -> u32;
    pub fn fw_host_sequence(controller: *const FwController) -> u32;
    pub fn fw_host_executed(controller: *const FwController) -> u32;
    pub fn fw_host_backoff_wait_ms(controller: *const FwController) -> u32;
    pub fn fw_host_outcome(
        controller: *const FwController,
        place: u8,
        key: *mut u8,
        serial: *mut u32,
    ) -> u8;
    pub fn fw_host_forge_source(controller: *mut FwController, source: u32);
    pub fn fw_host_redial_within(controller: *mut FwController, wait_ms_max: u32);
    pub fn fw_host_status_sample(page: i32, out: *mut u8, capacity: usize) -> usize;
}
