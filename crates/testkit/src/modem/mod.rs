//! A GSM modem with its SIM, its network and the telephones there, by script.
//!
//! [`ScriptedModem`] has neither I/O nor a clock: bytes of the host come in with the time, and bytes for the host go
//! out as they are due. [`ModemOnTerminal`] puts it on a pseudo-terminal. [`ModemOptions`] say what it is like; what
//! it was asked to send, dial and say is there to be looked at.
//!
//! It speaks as the manuals of SIM800 and EC25 say, and as 3GPP TS 27.005 and 27.007 do. Nobody has compared it with a
//! modem. Its messages are made and read by code of its own, so that what is tested is not its own judge.

mod commands;
mod machine;
mod network;
mod options;
mod pdu;
mod terminal;
#[cfg(test)]
mod tests;

pub use machine::ScriptedModem;
pub use network::{DialledCall, SentText};
pub use options::{Callee, ModemKind, ModemOptions, Reaction};
pub use terminal::ModemOnTerminal;
