//! Telephony: calls over SIP, calls and short messages over a GSM modem, and speech for them.
//!
//! Knows nothing of alarms, controllers or stores: it is given a number to call and something to say, and tells
//! what it hears.

pub mod modem;
mod number;

pub use number::{Number, NumberError};
