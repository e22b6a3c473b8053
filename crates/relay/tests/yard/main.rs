//! The relay, one rule at a time: what goes in by hand, what must come out.

#![allow(clippy::unwrap_used, reason = "a test: its panic is the report")]

mod commands;
mod events;
mod harness;
mod haste;
mod hostile;
mod live;
mod peers;
mod requests;
mod sites;
mod subscriptions;
mod table;
