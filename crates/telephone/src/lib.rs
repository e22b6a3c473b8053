//! Telephony: calls over SIP, calls and short messages over a GSM modem, and speech for them.
//!
//! Knows nothing of alarms, controllers or stores: it is given a number to call and something to say, and tells
//! what it hears.
//!
//! - [`Trunk`]: one account at one telephone system; [`Call`]: one call by it.
//! - [`Event`], [`Progress`], [`End`]: what a call tells, and what became of it.
//! - [`speech::Speech`]: text and recorded clips made into sound.
//! - [`modem`]: a GSM modem on a serial port.
//! - [`sip`], [`media`]: the pure parts below.
//!
//! ```no_run
//! use std::time::Duration;
//! use switchyard_telephone::{
//!     speech::{Language, Phrase, Speech, SpeechSettings},
//!     Event, Progress, Trunk, TrunkSettings,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let speech = Speech::new(SpeechSettings::default());
//! let phrases = [Phrase::text("Boiler seven is too hot."), Phrase::clip("press-one", "Press one.")];
//! let alarm = speech.join(Language::English, &phrases).await?;
//!
//! let trunk = Trunk::open(TrunkSettings::new("pbx.example", "alarms", "a password".into())).await?;
//! let mut call = trunk.call(&"+49 30 123".parse()?, Duration::from_secs(40)).await?;
//! let was_acknowledged = loop {
//!     match call.next().await {
//!         Event::Progress(Progress::Answered) | Event::Played => call.play(alarm.clone()),
//!         Event::Key('1') => break true,
//!         Event::Ended(_) => break false,
//!         _ => {}
//!     }
//! };
//! let end = call.hang_up().await;
//! # let _ = (was_acknowledged, end);
//! # Ok(())
//! # }
//! ```

mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
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
