//! A line to a service that takes its time: bytes go through it late, in their order.

use anyhow::Result;
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that go on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// A listener that passes everything on to a service, each piece of it after a while. Dropping it ends it and
/// the lines through it.
pub struct SlowLine {
    tcp_port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    /// The longest that a piece waits, in milliseconds.
    delay_ms_max: AtomicU64,
    /// Of the next piece's delay: the same seed gives the same delays, though not for the same pieces.
    seed: AtomicU64,
    is_ending: AtomicBool,
}

impl Shared {
    /// How long the next piece waits (splitmix64, of which a counter is all the state).
    fn delay(&self) -> Duration {
        let step = 0x9E37_79B9_7F4A_7C15;
        let mut word = self.seed.fetch_add(step, Ordering::Relaxed);
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let delay_ms_max = self.delay_ms_max.load(Ordering::Relaxed);
        Duration::from_millis((word ^ (word >> 31)) % (delay_ms_max + 1))
    }
}

impl SlowLine {
    /// A line to a service on loopback, which is fast at first.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn to(tcp_port: u16, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let shared = Arc::new(Shared {
            target: (Ipv4Addr::LOCALHOST, tcp_port).into(),
            delay_ms_max: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            is_ending: AtomicBool::new(false),
        });
        let line = SlowLine {
            tcp_port: listener.local_addr()?.port(),
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.is_ending.load(Ordering::Relaxed) {
                    return;
                }
                // Where the service is away, the line ends as the service's own would.
                let Ok(far) = TcpStream::connect(shared.target) else {
                    continue;
                };
                let Ok((near_too, far_too)) =
                    near.try_clone().and_then(|it| Ok((it, far.try_clone()?)))
                else {
                    continue;
                };
                let there = Arc::clone(&shared);
                let back = Arc::clone(&shared);
                thread::spawn(move || pass_on(near, far, &there));
                thread::spawn(move || pass_on(far_too, near_too, &back));
            }
        });
        Ok(line)
    }

    /// Where it listens, on loopback.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port
    }

    /// From now on each piece waits for so long at most.
    pub fn delay(&self, delay_max: Duration) {
        let ms = delay_max.as_millis() as u64;
        self.shared.delay_ms_max.store(ms, Ordering::Relaxed);
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        // So that the listener looks.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.tcp_port));
    }
}

/// One direction, until either end closes.
fn pass_on(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        thread::sleep(shared.delay());
        if shared.is_ending.load(Ordering::Relaxed) || to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_line_is_as_slow_as_it_is_told_and_loses_nothing() -> Result<()> {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let line = SlowLine::to(service.local_addr()?.port(), 1)?;
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, line.tcp_port()))?;
        let (mut far, _) = service.accept()?;
        line.delay(Duration::from_millis(200));
        let begun = Instant::now();
        let mut heard = [0; 2];
        for word in [b"ab", b"cd", b"ef", b"gh"] {
            near.write_all(word)?;
            far.read_exact(&mut heard)?;
            assert_eq!(&heard, word);
            far.write_all(word)?;
            near.read_exact(&mut heard)?;
            assert_eq!(&heard, word);
        }
        // Eight pieces of 100 ms each in the mean, and of the same delays each time.
        assert!(begun.elapsed() > Duration::from_millis(300));
        drop(far);
        assert_eq!(near.read(&mut heard)?, 0, "its end is passed on");
        Ok(())
    }
}
