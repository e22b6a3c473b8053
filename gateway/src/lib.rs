//! The gateway: listeners, stores, log-in and the page around the relay's brain.
//!
//! - [`Settings`]: what it runs on; [`config::RawSettings`] is how people write it.
//! - [`Stores`]: accounts, controllers, waiting commands, statuses, the audit log.
//! - `journal`: what commands came to, in files that outlive the process; [`audit`]: who asked for them.
//! - [`alarm`]: what is wrong, and who is told of it.
//! - [`history`]: what points were, minute by minute.
//! - [`Listeners`], [`serve`]: bound sockets in, until told to stop.
//! - [`compiler`]: scripts compiled in a child process.
//! - [`fleet`]: what many controllers are to run, and how they come to it.
//! - [`cli`]: the program's commands.
//! - [`keys`]: how one key of a controller follows another.
//! - `inside`: parts of this process that act in the yard as tools do; `bridge` (MQTT) and `webhook` are such.
//!
//! Three sorts of threads. The *yard* is the thread on which live sessions are read, routed and
//! written, with shards of its sockets on further ones where the settings want any. The *door* is
//! one on which controllers come in and prove who they are; it gives way to the yard. Whatever else strangers can ask for before they are somebody (passwords, HTTP) and
//! everything that may block (stores) runs on the general threads. All of them reach the yard by one
//! bounded channel only.

mod access;
pub mod alarm;
pub mod audit;
mod backoff;
mod bell;
mod bridge;
mod chore;
pub mod cli;
mod clock;
pub mod compiler;
pub mod config;
mod digest;
mod doctor;
mod door;
mod endpoint;
pub mod fleet;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hello;
mod hex;
pub mod history;
mod http;
mod inside;
mod journal;
mod keyring;
pub mod keys;
mod outward;
mod priority;
mod private;
mod proxy;
mod server;
mod setup;
mod ssh_key;
pub mod store;
mod supervisor;
mod telemetry;
mod tenure;
mod throttle;
mod tls;
mod totp;
mod webhook;
mod wire;
mod yard;

pub use access::{hash_password, new_token, token_hash, verify_password};
pub use config::Settings;
pub use digest::{Digest, NotADigest};
pub use server::{Listeners, Stores, serve, serve_supervised};
pub use supervisor::Supervisor;

use switchyard_protocol::message::Title;

/// What this gateway calls itself until it can be named.
fn own_title() -> Title {
    fixed_title("gateway")
}

/// Program and version.
fn own_software() -> Title {
    fixed_title(concat!("switchyard-gateway ", env!("CARGO_PKG_VERSION")))
}

fn fixed_title(text: &str) -> Title {
    match Title::new(text) {
        Ok(title) => title,
        Err(error) => unreachable!("{text:?}: {error}"),
    }
}
