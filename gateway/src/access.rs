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
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use switchyard_protocol::message::Title;

/// The shortest password that an account may have.
pub(crate) const PASSWORD_BYTES_MIN: usize = 10;
/// The longest: hashing must not become a load.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Accounts and networks whose failures are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Networks where an account is at home.
const HOMES_MAX: usize = 16;
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

/// Who failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    /// An account by its name, known or not, wherever the guesses came from.
    Account(Title),
    /// A network, whomever it named.
    Network(Network),
    /// An account where it is at home.
    AtHome(Title, Network),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    blocked_until: Instant,
}

/// Makes guessing slow: after some failures an account and a network wait, longer each time.
///
/// Nobody is locked out by what others do elsewhere: where an account has logged in before, only
/// failures in its own name and from there count. Without that, whoever keeps on guessing in
/// somebody's name, or shares a network with many who mistype, would keep them out for ever.
#[derive(Debug)]
pub(crate) struct LoginLimits {
    failures_max: u32,
    delay_min: Duration,
    delay_max: Duration,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    failures: HashMap<Guesser, Failures>,
    /// Where accounts have logged in, the latest last. Bounded by the number of accounts, since it
    /// takes a right password to get in here.
    homes: HashMap<Title, VecDeque<Network>>,
}

impl LoginLimits {
    /// The limits of these settings, with nobody blocked.
    pub(crate) fn new(settings: &Settings) -> Self {
        LoginLimits {
            failures_max: settings.login_failures_max,
            delay_min: settings.login_delay_min,
            delay_max: settings.login_delay_max,
            memory: Mutex::default(),
        }
    }

    /// How long this one has still to wait; `None` when it may try. A name that no account can have
    /// is `None`.
    pub(crate) fn blocked(
        &self,
        account: Option<&Title>,
        ip: IpAddr,
        now: Instant,
    ) -> Option<Duration> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let until = memory
            .guessers(account, network_of(ip))
            .iter()
            .filter_map(|guesser| memory.failures.get(guesser))
            .map(|known| known.blocked_until)
            .max()?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Remembers a failure.
    pub(crate) fn failed(&self, account: Option<&Title>, ip: IpAddr, now: Instant) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let guessers = memory.guessers(account, network_of(ip));
        let failures = &mut memory.failures;
        if failures.len() >= REMEMBERED_MAX {
            failures.retain(|_, known| known.last + FORGOTTEN_AFTER > now);
        }
        for guesser in guessers {
            if failures.len() >= REMEMBERED_MAX && !failures.contains_key(&guesser) {
                // A flood of made-up names and networks makes room for itself: one of those that have
                // failed least goes, so that whoever is guessed at again and again stays.
                let least = failures
                    .iter()
                    .min_by_key(|(_, known)| (known.count, known.last));
                if let Some(least) = least.map(|(guesser, _)| guesser.clone()) {
                    failures.remove(&least);
                }
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

    /// A success clears the account, and makes the network its home. The network's own failures
    /// stay: otherwise an attacker with one account of his own would clear his way to the others.
    pub(crate) fn succeeded(&self, account: &Title, ip: IpAddr) {
        let network = network_of(ip);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for guesser in memory.guessers(Some(account), network) {
            if !matches!(guesser, Guesser::Network(_)) {
                memory.failures.remove(&guesser);
            }
        }
        let homes = memory.homes.entry(account.clone()).or_default();
        homes.retain(|home| *home != network);
        if homes.len() == HOMES_MAX {
            homes.pop_front();
        }
        homes.push_back(network);
    }
}

impl Memory {
    /// In whose names an attempt counts.
    fn guessers(&self, account: Option<&Title>, network: Network) -> Vec<Guesser> {
        let Some(account) = account else {
            return vec![Guesser::Network(network)];
        };
        if self
            .homes
            .get(account)
            .is_some_and(|homes| homes.contains(&network))
        {
            return vec![Guesser::AtHome(account.clone(), network)];
        }
        vec![Guesser::Account(account.clone()), Guesser::Network(network)]
    }
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

    fn named(name: &str) -> Title {
        Title::new(name).unwrap()
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
        let (li, bo) = (named("li"), named("bo"));
        let (li, bo) = (Some(&li), Some(&bo));
        limits.failed(li, HERE, now);
        assert_eq!(limits.blocked(li, HERE, now), None);
        for seconds in [1, 2, 3, 3] {
            limits.failed(li, HERE, now);
            assert_eq!(
                limits.blocked(li, HERE, now),
                Some(Duration::from_secs(seconds))
            );
        }
        // The account waits wherever the next guess comes from, and the network whomever it names.
        assert!(limits.blocked(li, THERE, now).is_some());
        assert!(limits.blocked(bo, HERE, now).is_some());
        assert!(limits.blocked(None, HERE, now).is_some());
        assert_eq!(limits.blocked(bo, THERE, now), None);
        limits.succeeded(&named("li"), THERE);
        assert_eq!(limits.blocked(li, THERE, now), None);
        assert!(limits.blocked(bo, HERE, now).is_some());
        assert_eq!(limits.blocked(li, HERE, now + Duration::from_secs(4)), None);
    }

    #[test]
    fn who_is_at_home_is_locked_out_by_nobody_else() {
        let limits = LoginLimits::new(&Settings::defaults());
        let (li, now) = (named("li"), Instant::now());
        limits.succeeded(&li, HERE);
        for number in 0..100 {
            limits.failed(Some(&li), THERE, now);
            limits.failed(Some(&named(&number.to_string())), HERE, now);
        }
        assert!(limits.blocked(Some(&li), THERE, now).is_some());
        assert!(limits.blocked(Some(&named("bo")), HERE, now).is_some());
        assert_eq!(limits.blocked(Some(&li), HERE, now), None);
        // Guessing at home is as slow as anywhere.
        for _ in 0..5 {
            limits.failed(Some(&li), HERE, now);
        }
        assert!(limits.blocked(Some(&li), HERE, now).is_some());
        limits.succeeded(&li, HERE);
        assert_eq!(limits.blocked(Some(&li), HERE, now), None);
    }

    #[test]
    fn a_flood_of_names_and_networks_stays_bounded() {
        let limits = LoginLimits::new(&Settings::defaults());
        for number in 0..REMEMBERED_MAX as u32 + 100 {
            let name = named(&number.to_string());
            limits.failed(Some(&name), HERE, Instant::now());
            limits.succeeded(&named("li"), IpAddr::V4(Ipv4Addr::from(number)));
        }
        let memory = limits.memory.lock().unwrap();
        assert!(memory.failures.len() <= REMEMBERED_MAX);
        assert_eq!(memory.homes[&named("li")].len(), HOMES_MAX);
    }
}
