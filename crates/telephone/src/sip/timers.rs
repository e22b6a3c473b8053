//! How long SIP waits for what (RFC 3261 section 17.1.1.1 and table 4), and what we wait for ourselves.

use std::time::Duration;

/// T1: how long a message and its answer may be under way.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// T2: how far apart what is sent again and again gets.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// Timers B, D, F, H, J, M: after that, nobody speaks of a message any more.
pub(crate) const GONE: Duration = Duration::from_secs(32);
/// How long whoever hangs up waits for the other side to say so too. What comes later is still dealt with.
pub(crate) const FAREWELL: Duration = Duration::from_secs(4);
/// Tries of one request: the first, one for a proxy's challenge, one for the server's, one for a stale nonce.
pub(crate) const TRIES_MAX: u8 = 4;
/// A registration is made again when this part of its time has gone: the rest is for trying again.
pub(crate) const REFRESH_PART: f64 = 0.8;
/// The first pause after a registration that failed; each next is twice as long, up to the other.
pub(crate) const REGISTER_PAUSE_MIN: Duration = Duration::from_secs(15);
/// See [`REGISTER_PAUSE_MIN`].
pub(crate) const REGISTER_PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long a re-INVITE waits that met one of the other side's (RFC 3261 section 14.1, for whoever made the
/// Call-ID: 2.1 to 4 s).
pub(crate) const GLARE_PAUSE: Duration = Duration::from_millis(3_000);
