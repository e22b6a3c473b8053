//! The core's side of a serial line, as the wrapper around a device has it: bytes in, bytes out.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::CString,
    ptr::NonNull,
    time::Duration,
};

use crate::ffi::{self, FwHostApi, FwSerialHost};

/// `fw_serial_host_t`.
pub(crate) struct SerialHost {
    host: NonNull<FwSerialHost>,
    is_pressed: bool,
}

impl SerialHost {
    /// Greets.
    ///
    /// # Safety
    ///
    /// `api` must point to an `FwHostApi` that outlives every call but the drop, and its functions must be callable
    /// from whatever thread makes them.
    pub(crate) unsafe fn new(api: *const FwHostApi, now: Duration) -> Self {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout()) };
        let Some(host) = NonNull::new(memory.cast::<FwSerialHost>()) else {
            handle_alloc_error(layout())
        };
        let mut serial = Self {
            host,
            is_pressed: false,
        };
        // SAFETY: by the caller's promise.
        unsafe { serial.restart(api, now) };
        serial
    }

    /// The controller has begun anew, and greets again.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub(crate) unsafe fn restart(&mut self, api: *const FwHostApi, now: Duration) {
        // SAFETY: the memory has C's size and alignment; `api` is the caller's promise.
        unsafe { ffi::fw_serial_host_init(self.host.as_ptr(), api, wrapped_ms(now)) };
    }

    pub(crate) fn receive(&mut self, bytes: &[u8], now: Duration) {
        // SAFETY: `host` was initialised by `new`, and C keeps no pointer into the bytes.
        unsafe {
            let host = self.host.as_ptr();
            ffi::fw_serial_host_receive(host, bytes.as_ptr(), bytes.len(), wrapped_ms(now));
        }
    }

    /// A line of the log.
    pub(crate) fn log(&mut self, line: &str) {
        if let Ok(line) = CString::new(line) {
            // SAFETY: as in `receive`.
            unsafe { ffi::fw_serial_host_log(self.host.as_ptr(), line.as_ptr()) };
        }
    }

    pub(crate) fn press_button(&mut self, is_pressed: bool) {
        self.is_pressed = is_pressed;
    }

    /// Goes on, and tells how long it may be left alone.
    pub(crate) fn poll(&mut self, now: Duration) -> Duration {
        // SAFETY: as in `receive`.
        let wait_ms = unsafe {
            ffi::fw_serial_host_button(self.host.as_ptr(), self.is_pressed, wrapped_ms(now));
            ffi::fw_serial_host_poll(self.host.as_ptr(), wrapped_ms(now))
        };
        Duration::from_millis(wait_ms.into())
    }

    /// Takes what it has to say, so many bytes at most.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        let mut bytes = vec![0; bytes_max];
        // SAFETY: as in `receive`; C writes no more than there is room for.
        let length = unsafe {
            ffi::fw_serial_host_take(self.host.as_ptr(), bytes.as_mut_ptr(), bytes.len())
        };
        bytes.truncate(length);
        bytes
    }
}

impl Drop for SerialHost {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this layout, and nobody else has it.
        unsafe { dealloc(self.host.as_ptr().cast(), layout()) }
    }
}

/// The core's count wraps.
fn wrapped_ms(now: Duration) -> u32 {
    now.as_millis() as u32
}

fn layout() -> Layout {
    // SAFETY: the two functions have no preconditions.
    let (bytes, align) = unsafe { (ffi::fw_serial_host_bytes(), ffi::fw_serial_host_align()) };
    Layout::from_size_align(bytes, align).unwrap_or_else(|_| unreachable!("C gave a real layout"))
}
