//! Telephony: calls over SIP, calls and short messages over a GSM modem, and speech for them.
//!
//! Knows nothing of alarms, controllers or stores: it is given a number to call and something to say, and tells
//! what it hears.

mod error;
pub mod media;
pub mod modem;
mod number;
mod outcome;
pub mod sip;
pub mod speech;
mod trunk;

pub use error::Error;
pub use number::{Number, NumberError};
pub use outcome::{End, Event, Progress, Trouble};
pub use sip::requests::Transport;
pub use trunk::{Call, Password, Registration, Trunk, TrunkSettings};
