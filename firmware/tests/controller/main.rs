//! The whole controller against a scripted gateway: its behaviours, receipts, status and link
//! under a fake clock, then on a real socket.

#![expect(
    clippy::unwrap_used,
    reason = "as in tests, so in their helpers: a panic is the report"
)]

mod behaviour;
mod commands;
mod link;
mod spawned;
mod status;
mod yard;
