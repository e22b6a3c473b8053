//! Passwords, tokens, and the waiting that guessing costs.

use crate::{
    config::Settings,
    store::TokenHash,
    throttle::{Network, network_of},
};
use argon2::{
    Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash::SaltString,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use blake2::{Blake2s256, Digest as _};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The shortest password that an account may have.
pub(crate) const PASSWORD_BYTES_MIN: usize = 10;
/// The longest: hashing must not become a load.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Accounts and networks whose failures are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How long after its last failure a guesser is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Hashes a password with Argon2id and the library's recommended cost. Takes tens of milliseconds.
///
/// # Errors
/// When the password is outside its range.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()),
        "expected a password of {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes and found one of {}",
        password.len()
    );
    hash_any(password)
}

fn hash_any(password: &str) -> anyhow::Result<String> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())
        .map_err(|error| anyhow::anyhow!("cannot make a salt: {error}"))?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|error| anyhow::anyhow!("cannot hash the password: {error}"))?;
    Ok(hash.to_string())
}

/// A hash that no password has: what is checked when the account does not exist, so that the time
/// taken does not tell.
///
/// # Errors
/// Never in practice: the cost is the library's own.
pub(crate) fn nobodys_hash() -> anyhow::Result<String> {
    hash_any(&URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Whether the password is that of the hash. Takes tens of milliseconds.
pub fn verify_password(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// A new token: 256 random bits as text. Secret; only its hash is kept.
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The hash by which a token is stored. Plain and fast: a token has no weak choices to guess.
pub fn token_hash(token: &str) -> TokenHash {
    TokenHash(Blake2s256::digest(token.as_bytes()).into())
}

/// The hash by which a tool installation is stored.
pub(crate) fn installation_hash(installation: &[u8; 16]) -> TokenHash {
    let mut hash = Blake2s256::new();
    hash.update(b"installation");
    hash.update(installation);
    TokenHash(hash.finalize().into())
}

/// Who failed: an account by its name, known or not, or a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    Account(String),
    Network(Network),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    blocked_until: Instant,
}

/// Makes guessing slow: after some failures an account and a network wait, longer each time.
#[derive(Debug)]
pub(crate) struct LoginLimits {
    failures_max: u32,
    delay_min: Duration,
    delay_max: Duration,
    failures: Mutex<HashMap<Guesser, Failures>>,
}

impl LoginLimits {
    /// The limits of these settings, with nobody blocked.
    pub(crate) fn new(settings: &Settings) -> Self {
        LoginLimits {
            failures_max: settings.login_failures_max,
            delay_min: settings.login_delay_min,
            delay_max: settings.login_delay_max,
            failures: Mutex::default(),
        }
    }

    /// How long this one has still to wait; `None` when it may try.
    pub(crate) fn blocked(&self, account: &str, ip: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let until = guessers(account, ip)
            .iter()
            .filter_map(|guesser| failures.get(guesser))
            .map(|known| known.blocked_until)
            .max()?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Remembers a failure.
    pub(crate) fn failed(&self, account: &str, ip: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED_MAX {
            failures.retain(|_, known| known.last + FORGOTTEN_AFTER > now);
        }
        for guesser in guessers(account, ip) {
            if failures.len() >= REMEMBERED_MAX && !failures.contains_key(&guesser) {
                // A flood of made-up names: those already remembered matter more.
                continue;
            }
            let fresh = Failures {
                count: 0,
                last: now,
                blocked_until: now,
            };
            let known = failures.entry(guesser).or_insert(fresh);
            if known.last + FORGOTTEN_AFTER <= now {
                *known = fresh;
            }
            known.count = known.count.saturating_add(1);
            known.last = now;
            if let Some(over) = known.count.checked_sub(self.failures_max) {
                let delay = self
                    .delay_min
                    .saturating_mul(1 << over.min(20))
                    .min(self.delay_max);
                known.blocked_until = now + delay;
            }
        }
    }

    /// A success clears the account. The network stays as it is: otherwise an attacker with one
    /// account of his own would clear his way to the others.
    pub(crate) fn succeeded(&self, account: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&Guesser::Account(account.into()));
    }
}

fn guessers(account: &str, ip: IpAddr) -> [Guesser; 2] {
    [
        Guesser::Account(account.into()),
        Guesser::Network(network_of(ip)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn a_password_is_its_own_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(verify_password("correct horse", &hash));
        assert!(!verify_password("correct hors", &hash));
        assert!(!verify_password("correct horse", "not a hash"));
        assert!(hash_password("too short").is_err());
        assert!(hash_password(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn waiting_doubles_up_to_its_bound_and_success_ends_it() {
        let settings = Settings {
            login_failures_max: 2,
            login_delay_min: Duration::from_secs(1),
            login_delay_max: Duration::from_secs(3),
            ..Settings::defaults()
        };
        let limits = LoginLimits::new(&settings);
        let now = Instant::now();
        limits.failed("li", HERE, now);
        assert_eq!(limits.blocked("li", HERE, now), None);
        for seconds in [1, 2, 3, 3] {
            limits.failed("li", HERE, now);
            assert_eq!(
                limits.blocked("li", HERE, now),
                Some(Duration::from_secs(seconds))
            );
        }
        // The account waits wherever the next guess comes from, and the network whomever it names.
        assert!(limits.blocked("li", THERE, now).is_some());
        assert!(limits.blocked("bo", HERE, now).is_some());
        assert_eq!(limits.blocked("bo", THERE, now), None);
        limits.succeeded("li");
        assert_eq!(limits.blocked("li", THERE, now), None);
        assert_eq!(
            limits.blocked("li", HERE, now + Duration::from_secs(4)),
            None
        );
    }

    #[test]
    fn a_flood_of_names_stays_bounded() {
        let limits = LoginLimits::new(&Settings::defaults());
        for number in 0..REMEMBERED_MAX + 100 {
            limits.failed(&number.to_string(), HERE, Instant::now());
        }
        assert!(limits.failures.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
