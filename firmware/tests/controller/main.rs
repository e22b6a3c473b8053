//! The whole controller against a scripted gateway: its behaviours, receipts, status and link
//! under a fake clock, then on a real socket.

mod behaviour;
mod commands;
mod link;
mod spawned;
mod status;
mod yard;
