//! Alarms: whom they are told to, and how.
//!
//! `channel`: ways over the network by which people are told.

#[allow(dead_code, unused_imports, reason = "until somebody is told by it")]
pub(crate) mod channel;
