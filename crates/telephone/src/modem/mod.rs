//! A GSM modem on a serial port: texts sent and received, calls made.
//!
//! - [`Modem`]: what a program holds. It begins texts ([`PendingText`]) and calls ([`Call`]), and knows its state
//!   ([`ModemState`]). Texts that come are given out by the channel that [`Modem::start`] returns.
//! - `driver`: the thread that has the serial port, opens it, and opens it again.
//! - `machine`: the brain, without a line or a clock. `desk` makes asking a modem something that is awaited; `attend`,
//!   `text` and `call` are the procedures. `lines` and `words` read what modems say, `pdu` what texts are.
//!
//! A modem does one thing at a time: what is asked for meanwhile waits, is told so, and is refused when too much does.
//! What a modem can is found out by asking it, each time that it is opened ([`Capabilities`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use switchyard_telephone::modem::{Modem, ModemSettings};
//!
//! let (modem, _received) = Modem::start(ModemSettings {
//!     serial_port: "/dev/ttyUSB2".into(),
//!     baud: 115_200,
//!     pin: None,
//! })?;
//! let text = modem.text("+4930123456".parse()?, "Pump house: level low")?;
//! println!("{:?}", text.outcome().await);
//! # Ok(())
//! # }
//! ```

mod attend;
mod call;
mod desk;
mod driver;
mod handle;
mod lines;
mod machine;
mod pdu;
mod report;
mod text;
mod words;

#[cfg(test)]
mod tests;

pub use desk::CallLimits;
pub use driver::{ModemLine, ModemSettings, Pin, PinError};
pub use handle::{Call, Modem, ModemError, PendingText};
pub use pdu::{PARTS_MAX, Sender};
pub use report::{
    Behind, CallEnd, CallEvent, Capabilities, Condition, KeyDetection, ModemState, ReceivedText,
    Said, TextEvent, TextFault,
};
pub use words::Cause;
