//! Any bytes to the controller's own HTTP server, in any pieces, over its four connections.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ffi::c_void,
    time::Duration,
};
use switchyard_firmware::{
    Behaviour, Controller, ControllerKey, Flash, Settings,
    ffi::{self, FwHttpHost, FwHttpPort},
};
use switchyard_fuzz::Choices;
use switchyard_protocol::Address;

/// What the port was asked for: bytes of one connection, and which ones are to end.
#[derive(Default)]
struct Wires {
    sending: Option<u8>,
    closing: Vec<u8>,
}

extern "C" fn send(ctx: *mut c_void, connection: u8, bytes: *const u8, length: usize) -> bool {
    // SAFETY: the server passes the context that it was given, and bytes of its own.
    let (wires, bytes) = unsafe {
        (
            &mut *ctx.cast::<Wires>(),
            std::slice::from_raw_parts(bytes, length),
        )
    };
    assert!(wires.sending.is_none() && !bytes.is_empty());
    // Every answer begins as one, or is a piece of one.
    wires.sending = Some(connection);
    true
}

extern "C" fn close(ctx: *mut c_void, connection: u8, _at_once: bool) {
    // SAFETY: as in `send`.
    unsafe { &mut *ctx.cast::<Wires>() }
        .closing
        .push(connection);
}

extern "C" fn hold(_ctx: *mut c_void, _connection: u8, _held: bool) {}

fuzz_target!(|data: &[u8]| {
    let mut settings = Settings::new(Address(7), ControllerKey::new([7; 32]), Behaviour::Latch);
    settings.seed = Some(1);
    let mut controller =
        Controller::with_flash(settings, Flash::blank(), Duration::ZERO).expect("good settings");
    let api = controller.api().expect("it has flash");
    let mut wires = Box::<Wires>::default();
    let port = FwHttpPort {
        ctx: (&raw mut *wires).cast(),
        send,
        close,
        hold,
    };
    // SAFETY: sizes are what C says; the host is initialised before it is used, and freed once.
    unsafe {
        let layout = Layout::from_size_align(ffi::fw_http_host_bytes(), ffi::fw_http_host_align())
            .expect("a layout");
        let host = alloc_zeroed(layout).cast::<FwHttpHost>();
        ffi::fw_http_host_init(host, api, port);
        let mut choices = Choices(data);
        let mut now_ms = 0u32;
        let mut open = [false; 4];
        while !choices.is_over() {
            let what = choices.byte();
            let connection = what & 3;
            if !open[usize::from(connection)] {
                let opened = ffi::fw_http_host_opened(host, now_ms);
                if let Some(place) = open.get_mut(usize::from(opened)) {
                    *place = true;
                }
            } else {
                let length = usize::from(choices.byte()).min(choices.0.len());
                let (piece, rest) = choices.0.split_at(length);
                choices.0 = rest;
                ffi::fw_http_host_receive(host, connection, piece.as_ptr(), piece.len(), now_ms);
            }
            now_ms += if what & 0x80 == 0 { 10 } else { 3000 };
            controller.poll(Duration::from_millis(now_ms.into()));
            for _ in 0..8 {
                ffi::fw_http_host_poll(host, now_ms);
                if let Some(sent) = wires.sending.take() {
                    ffi::fw_http_host_sent(host, sent, now_ms);
                }
                for closed in std::mem::take(&mut wires.closing) {
                    if std::mem::take(&mut open[usize::from(closed)]) {
                        ffi::fw_http_host_closed(host, closed);
                    }
                }
            }
        }
        dealloc(host.cast(), layout);
    }
});
