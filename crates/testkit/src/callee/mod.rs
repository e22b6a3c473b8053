//! A telephone that is called: it listens on loopback, behaves as a test wants it to, and tells every step.
//!
//! It is a telephone system too: it asks for proof of an account, answers probes and registrations, and knows many
//! numbers, each with a behaviour of its own. Packets of either direction get lost by a seed.

mod call;
mod system;

use crate::wait_until;
use anyhow::{Context, Result};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use switchyard_telephone::sip::digest::{Algorithm, Asker};
use system::System;

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWay {
    /// Packets of RFC 4733.
    Event,
    /// SIP INFO.
    Info,
    /// Tones in the sound.
    Tone,
    /// All three at once, as some telephone systems do.
    All,
}

/// When a key is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after the answer, or after the key before.
    After(Duration),
    /// When the caller has said something, and then nothing for so long.
    Quiet(Duration),
}

/// A press of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// When.
    pub when: When,
    /// `0` to `9`, `*`, `#`.
    pub key: char,
    /// How it is sent.
    pub way: KeyWay,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Somebody takes it after it has rung.
    Takes,
    /// It rings, and nobody takes it.
    NeverTakes,
    /// It is refused after it has rung: by 486 for busy, say.
    Refuses(u16, String),
    /// Nothing at all comes back.
    Silent,
}

/// How a number behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// What becomes of a call.
    pub taking: Taking,
    /// How long it rings; where that is nothing, ringing is not even told.
    pub ring: Duration,
    /// Whether there is sound while it rings.
    pub has_early_media: bool,
    /// What is said as soon as it is taken, of 8,000 samples each second: a voicemail's greeting.
    pub greeting: Vec<i16>,
    /// What is pressed then.
    pub presses: Vec<Press>,
    /// After how long it hangs up, from when it was taken or the last key was pressed.
    pub hangs_up_after: Option<Duration>,
}

impl Default for Behaviour {
    /// Rings for a tenth of a second, and is taken by somebody who listens for as long as there is something.
    fn default() -> Self {
        Behaviour {
            taking: Taking::Takes,
            ring: Duration::from_millis(100),
            has_early_media: false,
            greeting: Vec::new(),
            presses: Vec::new(),
            hangs_up_after: None,
        }
    }
}

impl Behaviour {
    /// Taken by somebody who presses these keys when the caller has finished speaking: between sentences he pauses
    /// for less than a second.
    #[must_use]
    pub fn pressing(keys: &str) -> Self {
        let press = |key| Press {
            when: When::Quiet(Duration::from_secs(1)),
            key,
            way: KeyWay::Event,
        };
        Behaviour {
            presses: keys.chars().map(press).collect(),
            ..Behaviour::default()
        }
    }

    /// Not taken by anybody.
    #[must_use]
    pub fn never_taken() -> Self {
        Behaviour {
            taking: Taking::NeverTakes,
            ..Behaviour::default()
        }
    }

    /// In use.
    #[must_use]
    pub fn busy() -> Self {
        Behaviour {
            taking: Taking::Refuses(486, "Busy Here".into()),
            ring: Duration::ZERO,
            ..Behaviour::default()
        }
    }
}

/// The account that is asked for.
#[derive(Clone, Debug)]
pub struct CalleeAccount {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// By which sum it is proved.
    pub algorithm: Algorithm,
    /// Whether a proxy asks, or the server itself.
    pub asker: Asker,
    /// Whether each nonce is good for one proof, and the next is told to be stale.
    pub has_stale_nonces: bool,
}

/// How a telephone system is set up.
#[derive(Clone, Debug, Default)]
pub struct CalleeOptions {
    /// Who alone may call; everybody without.
    pub account: Option<CalleeAccount>,
    /// How a number behaves that has no behaviour of its own.
    pub behaviour: Behaviour,
    /// Of how many packets in a thousand one gets lost, either way, and by which seed.
    pub lost_in_thousand: u64,
    /// See [`lost_in_thousand`](Self::lost_in_thousand).
    pub seed: u64,
    /// Where it listens, for one that comes up again where it was; anywhere when absent.
    pub udp_port: Option<u16>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was asked whether it is there.
    Probed,
    /// Somebody has said where he is.
    Registered,
    /// Proof was asked for.
    Challenged,
    /// A call came that was not there before, whatever was asked for on its way.
    Invited,
    /// Ringing was told.
    Rang,
    /// It was taken.
    Taken,
    /// The caller knows that it was.
    Acknowledged,
    /// It was refused.
    Refused,
    /// A key was pressed.
    Pressed(char),
    /// The caller withdrew it before it was taken.
    Withdrawn,
    /// The caller hung up.
    HungUpByCaller,
    /// The telephone hung up.
    HungUp,
}

/// A step of a call.
#[derive(Clone, Debug)]
pub struct Step {
    /// The how many-eth call it belongs to, from 1; 0 where it belongs to none.
    pub call: usize,
    /// The number that was called.
    pub number: String,
    /// What happened.
    pub what: What,
    /// When.
    pub at: Instant,
}

/// What a test asks of a running one.
#[derive(Debug)]
enum Wish {
    Press(char, KeyWay),
    HangUp,
}

/// What test and thread share.
#[derive(Debug, Default)]
struct Shared {
    steps: Vec<Step>,
    wishes: Vec<Wish>,
    behaviour: Behaviour,
    by_number: HashMap<String, Behaviour>,
    /// What each call has said, by its count.
    recordings: HashMap<usize, Vec<i16>>,
}

/// A telephone system with telephones. Dropping it ends it.
pub struct Callee {
    udp_port: u16,
    shared: Arc<Mutex<Shared>>,
    is_wanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Callee {
    /// Starts one.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start(options: CalleeOptions) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, options.udp_port.unwrap_or(0)))
            .context("opening a socket for calls")?;
        let udp_port = socket.local_addr()?.port();
        let shared = Arc::new(Mutex::new(Shared {
            behaviour: options.behaviour.clone(),
            ..Shared::default()
        }));
        let is_wanted = Arc::new(AtomicBool::new(true));
        let mut system = System::new(socket, options, Arc::clone(&shared))?;
        let wanted = Arc::clone(&is_wanted);
        let thread = std::thread::spawn(move || {
            while wanted.load(Ordering::Relaxed) {
                system.turn();
            }
        });
        Ok(Callee {
            udp_port,
            shared,
            is_wanted,
            thread: Some(thread),
        })
    }

    /// Where it listens, on loopback.
    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// The same as a trunk's server is written.
    pub fn server(&self) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.udp_port)).to_string()
    }

    /// Gives a number a behaviour, from its next call on.
    pub fn behave(&self, number: &str, behaviour: Behaviour) {
        lock(&self.shared)
            .by_number
            .insert(number.into(), behaviour);
    }

    /// Gives all other numbers a behaviour, from their next calls on.
    pub fn behave_otherwise(&self, behaviour: Behaviour) {
        lock(&self.shared).behaviour = behaviour;
    }

    /// Presses a key in every call that is talked.
    pub fn press(&self, key: char, way: KeyWay) {
        lock(&self.shared).wishes.push(Wish::Press(key, way));
    }

    /// Hangs up every call that is talked.
    pub fn hang_up(&self) {
        lock(&self.shared).wishes.push(Wish::HangUp);
    }

    /// All that has happened so far.
    pub fn steps(&self) -> Vec<Step> {
        lock(&self.shared).steps.clone()
    }

    /// How many calls have come.
    pub fn calls(&self) -> usize {
        self.count(&What::Invited)
    }

    /// How often something has happened.
    pub fn count(&self, what: &What) -> usize {
        let shared = lock(&self.shared);
        shared.steps.iter().filter(|it| it.what == *what).count()
    }

    /// Waits for something to happen for the `count`-th time.
    ///
    /// # Errors
    /// When it does not, telling what has.
    pub fn wait_for(&self, what: &What, count: usize) -> Result<Step> {
        let found = wait_until(&format!("{what:?}, {count} times"), || {
            let shared = lock(&self.shared);
            let mut such = shared.steps.iter().filter(|it| it.what == *what);
            such.nth(count.saturating_sub(1)).cloned()
        });
        found.with_context(|| {
            let steps: Vec<_> = self
                .steps()
                .into_iter()
                .map(|it| (it.call, it.what))
                .collect();
            format!("there was {steps:?}")
        })
    }

    /// What the caller has said in a call, from its first packet on, as 8,000 samples each second.
    pub fn recording(&self, call: usize) -> Vec<i16> {
        lock(&self.shared)
            .recordings
            .get(&call)
            .cloned()
            .unwrap_or_default()
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
