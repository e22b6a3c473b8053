//! The stand-in controller in Rust's hands: served on a listener until that is dropped. For the
//! tests of the HTTP sockets, and for the example that shows the page.

#![expect(unsafe_code, reason = "the stand-in is C")]

use std::{
    ffi::c_void,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use switchyard_firmware::{HttpSockets, ffi::FwApiController};
use tokio::{net::TcpListener, time::Instant};

unsafe extern "C" {
    fn stand_in_bytes() -> usize;
    fn stand_in_init(stand_in: *mut c_void, seed: u64, began_ms: u64, now_ms: u32);
    fn stand_in_interface(stand_in: *mut c_void) -> *const FwApiController;
    fn stand_in_scan(stand_in: *mut c_void, now_ms: u32);
}

const SCAN: Duration = Duration::from_millis(10);

/// A stand-in's memory: words, so that it is aligned for all that is in it.
struct StandIn(Vec<u64>);

impl StandIn {
    fn pointer(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Serves a stand-in; ends only when it is dropped.
pub(crate) async fn serve(listener: TcpListener, seed: u64) {
    // SAFETY: the size is what C says, and the memory stays where it is for as long as the server.
    let words = unsafe { stand_in_bytes() }.div_ceil(8);
    let mut stand_in = StandIn(vec![0; words]);
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // SAFETY: as above; everything happens on whatever one thread polls this future.
    let mut sockets = unsafe {
        stand_in_init(stand_in.pointer(), seed, wall.as_millis() as u64, 0);
        HttpSockets::new(listener, stand_in_interface(stand_in.pointer()))
    };
    let started = Instant::now();
    let mut scan_at = SCAN;
    loop {
        let now = started.elapsed();
        if now >= scan_at {
            // SAFETY: as above.
            unsafe { stand_in_scan(stand_in.pointer(), now.as_millis() as u32) };
            scan_at = now + SCAN;
        }
        let wake_at = started + sockets.advance(now).min(scan_at);
        tokio::select! {
            () = sockets.ready() => {}
            () = tokio::time::sleep_until(wake_at) => {}
        }
    }
}
