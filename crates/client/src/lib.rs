//! A tool's connection to a Switchyard gateway.
//!
//! Give it a gateway, a token and an interest; it dials, says hello, keeps the link alive, dials
//! again with back-off when it is lost, subscribes anew, and mirrors the fleet. It never prints, and
//! everything in it is bounded. Needs a tokio runtime.
//!
//! - [`log_in`], [`log_out`]: a token for an account's [`Credentials`]. [`set_up`] makes the first
//!   account of a new gateway.
//! - [`call_api`]: what is asked of the gateway over HTTP, as the one who is logged in.
//! - [`Client`]: the link. [`Client::fleet`] is the fleet now, [`Client::events`] what happens,
//!   [`Client::send`] a command with its [`Receipts`], [`Client::request`] and its typed shorthands
//!   ask any peer.
//! - Of a controller that runs a script, the shorthands read and change what is inside: parameters,
//!   values, log, health, forces, and the script itself.
//! - [`Fleet`]: the mirror, pure: presence, pages, deltas, gaps.
//! - [`Backoff`], [`GatewayClock`]: pure parts, for whoever dials by other means.
//! - [`alarms`]: what is wrong, who was told of it, and who is to be, over HTTP.
//! - [`signature`]: how a controller's commands read people's arguments.
//!
//! ```no_run
//! # async fn example() -> Result<(), switchyard_client::Error> {
//! use std::time::Duration;
//! use switchyard_client::{Client, Credentials, Interest, Options, Order, log_in};
//! use switchyard_protocol::{Address, message::{Action, Name, PeerKind, Title}};
//!
//! let gateway = "http://127.0.0.1:7480".parse()?;
//! let li = Credentials { account: "li", password: "a long password", code: None };
//! let token = log_in(&gateway, &li).await?.token;
//! let client = Client::connect(Options {
//!     gateway,
//!     token,
//!     installation: None,
//!     software: Title::new("example 1.0").expect("short"),
//!     title: Title::new("an example").expect("short"),
//!     peer_kind: PeerKind::Program,
//!     interest: Interest::Everything,
//! });
//! client.live().await?;
//! let action = Action::Set { point: Name::new("RL1").expect("a name"), value: 1 };
//! let mut receipts = client.send(Order::new(Address(100_042), action, Duration::from_secs(10))).await?;
//! while let Some(receipt) = receipts.next().await {
//!     assert!(!receipt.is_final || receipt.key == receipts.key());
//! }
//! # Ok(())
//! # }
//! ```

pub mod alarms;
mod backoff;
mod client;
mod clock;
mod commands;
mod core;
mod error;
mod fleet;
mod http;
mod inside;
mod link;
mod options;
pub mod signature;

pub use backoff::{Backoff, GOOD_SESSION};
pub use client::{Client, Event, Events, LinkState, Order, Receipts, Session};
pub use clock::GatewayClock;
pub use commands::COMMANDS_MAX;
pub use core::{INTEREST_MAX, REQUESTS_MAX};
pub use error::{Error, explain};
pub use fleet::{CONTROLLERS_MAX, Controller, Fleet, FleetChange, Status};
pub use http::{
    ApiAnswer, ApiCall, ApiMethod, Credentials, FirstAccount, LogIn, call_api, is_setup_needed,
    log_in, log_out, set_up, unenrol,
};
pub use options::{GatewayUrl, Installation, Interest, Options, Token};
