//! What a modem's owner is told: its state, what became of a text, how a call goes.

use super::{pdu::Sender, words::Cause};
use std::{fmt, time::SystemTime};

/// All that is known of a modem now.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ModemState {
    /// Whether it can be used, and if not, why.
    pub condition: Condition,
    /// What it can; unknown until it was asked.
    pub capabilities: Option<Capabilities>,
    /// The strength at which it receives the network, in dBm: −113 (nothing to speak of) to −51.
    pub signal_dbm: Option<i16>,
    /// Places for texts on the SIM: those taken, and all of them.
    pub storage: Option<(u16, u16)>,
}

/// Whether a modem can be used.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Condition {
    /// It is being opened and asked what it can.
    #[default]
    Starting,
    /// It can be used.
    Ready,
    /// The network takes texts from it and no calls.
    TextsOnly,
    /// It is not there, or does not answer.
    Absent(String),
    /// There is no SIM in it.
    NoSim,
    /// Its SIM is of no use: broken, or the modem is locked to another.
    SimUnusable(String),
    /// Its SIM wants a PIN, and none is set.
    PinWanted,
    /// Its SIM refused the PIN. It is not entered again.
    PinRefused,
    /// Its SIM has one try left, or none: a wrong PIN would lock it, so that none is entered.
    PinTriesLow(u8),
    /// The modem does not tell how many tries are left, so that none is used up.
    PinTriesUntold,
    /// Its SIM is locked after wrong PINs and wants its PUK, by hand.
    PukWanted,
    /// It has found no network.
    NoNetwork,
    /// The network refuses it.
    NetworkRefuses,
}

impl Condition {
    /// Whether it can call.
    #[must_use]
    pub fn can_call(&self) -> bool {
        matches!(self, Condition::Ready)
    }

    /// Whether it can send texts.
    #[must_use]
    pub fn can_text(&self) -> bool {
        matches!(self, Condition::Ready | Condition::TextsOnly)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Starting => f.write_str("it is starting"),
            Condition::Ready => f.write_str("it is ready"),
            Condition::TextsOnly => f.write_str("the network takes texts from it and no calls"),
            Condition::Absent(why) => write!(f, "it is not there: {why}"),
            Condition::NoSim => f.write_str("there is no SIM in it"),
            Condition::SimUnusable(why) => write!(f, "its SIM is of no use: {why}"),
            Condition::PinWanted => f.write_str("its SIM wants a PIN, and none is set"),
            Condition::PinRefused => f.write_str("its SIM refused the PIN"),
            Condition::PinTriesLow(left) => {
                write!(f, "its SIM has {left} tries left for the PIN; none is used")
            }
            Condition::PinTriesUntold => {
                f.write_str("it does not tell how many tries are left for the PIN; none is used")
            }
            Condition::PukWanted => f.write_str("its SIM is locked and wants its PUK"),
            Condition::NoNetwork => f.write_str("it has found no network"),
            Condition::NetworkRefuses => f.write_str("the network refuses it"),
        }
    }
}

/// What a modem can, found out by asking it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Who made it, by its own word.
    pub manufacturer: String,
    /// What it is, by its own word.
    pub model: String,
    /// Short messages in PDU mode.
    pub texts: bool,
    /// It tells when a text has come; without that, it is asked now and then.
    pub tells_texts: bool,
    /// Calls whose progress can be followed. Others are not made: nobody would know whether somebody answers.
    pub calls: bool,
    /// How it hears keys.
    pub keys: Option<KeyDetection>,
    /// It speaks to the other end.
    pub speech: bool,
    /// It sends tones to the other end.
    pub tones: bool,
}

/// The command by which a modem hears keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDetection {
    /// `AT+DDET`: SIMCom's.
    Ddet,
    /// `AT+QTONEDET`: Quectel's.
    Qtonedet,
}

/// A text from somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedText {
    /// Who sent it. Anybody can claim any number; what a text may do should hang on more than that.
    pub from: Sender,
    /// When the network took it, by the network's clock, where that is told in a way that can be read.
    pub sent_at: Option<SystemTime>,
    /// What it says. Of a long text, parts that never came are told by dots.
    pub text: String,
}

/// What something waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A call is being made.
    Call,
    /// A text is being sent.
    Text,
    /// The modem is starting, or being looked at.
    Start,
}

/// What becomes of a text that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextEvent {
    /// The modem does something else first.
    Waiting(Behind),
    /// It is on its way to the network.
    Sending,
    /// The network has taken all of it. Whether somebody reads it is not known.
    Sent {
        /// Messages that it took.
        parts: u8,
    },
    /// It came to nothing. The last event.
    Failed(TextFault),
}

/// Why a text was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextFault {
    /// The modem cannot be used now.
    #[error("the modem cannot send: {0}")]
    NotReady(Condition),
    /// It has no short messages.
    #[error("the modem has no short messages")]
    Incapable,
    /// The modem or the network refused it.
    #[error("message {part} of {parts} was refused: {cause}")]
    Refused {
        /// Why.
        cause: Cause,
        /// Which part; those before it are sent.
        part: u8,
        /// Of how many.
        parts: u8,
    },
    /// The modem went silent or away in the middle: it may have been sent, or not.
    #[error("the modem went away while it was sending; the text may have gone, or not")]
    Unknown,
    /// There is too much to do.
    #[error("too much waits for the modem")]
    Crowded,
    /// The modem is being closed.
    #[error("the modem is being closed")]
    Closing,
}

impl TextFault {
    /// Whether trying the same again is in vain.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            TextFault::Incapable => true,
            TextFault::Refused { cause, .. } => cause.is_permanent(),
            _ => false,
        }
    }
}

/// How a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// The modem does something else first.
    Waiting(Behind),
    /// The number is being dialled.
    Trying,
    /// It rings.
    Ringing,
    /// Somebody answers, or something: a voicemail does, too.
    Answered,
    /// A key was pressed at the other end: a digit, `*`, `#`, or A to D.
    Key(char),
    /// What was to be said has been.
    Said(Said),
    /// It is over. The last event.
    Ended(CallEnd),
}

/// How something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// In words, to the end.
    InWords,
    /// By tones that ask for attention, since the modem does not speak.
    ByTones,
    /// Not at all: the modem can neither.
    NotAtAll,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallEnd {
    /// This end hung up.
    #[error("hung up")]
    HungUp,
    /// The other end hung up.
    #[error("the other end hung up")]
    PeerHungUp,
    /// The other end is busy, or declined.
    #[error("busy")]
    Busy,
    /// It rang as long as it was allowed to, or as the network lets it.
    #[error("nobody answered")]
    NoAnswer,
    /// The network found no way there, or lost it before anybody answered.
    #[error("the number cannot be reached")]
    Unreachable,
    /// It was as long as a call may be.
    #[error("the call was as long as it may be")]
    TooLong,
    /// The network is gone.
    #[error("the network was lost")]
    NetworkLost,
    /// The number is an order to the network and nobody's: it would divert calls, for example.
    #[error("this is an order to the network and not a number")]
    NotANumber,
    /// The modem does not make calls that can be followed.
    #[error("the modem makes no calls that can be followed")]
    Incapable,
    /// The modem or the network refused to dial.
    #[error("dialling was refused: {0}")]
    Refused(Cause),
    /// The modem cannot be used now.
    #[error("the modem cannot call: {0}")]
    NotReady(Condition),
    /// The modem went silent or away.
    #[error("the modem went away")]
    ModemLost,
    /// There is too much to do.
    #[error("too much waits for the modem")]
    Crowded,
    /// The modem is being closed.
    #[error("the modem is being closed")]
    Closing,
}
