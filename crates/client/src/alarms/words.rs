//! The words of the API of alarms, each with room for those that are newer than this program.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A word of the API, and whatever else a newer gateway may say in its place.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$meaning])* #[serde(rename = $text)] $word,)+
            /// One that is newer than this program.
            #[serde(untagged)]
            Other(String),
        }

        impl $name {
            /// Every one that this program knows.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word on the wire.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$word => $text,)+
                    Self::Other(name) => name,
                }
            }

            /// The one of that word, if this program knows it.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|it| it.name() == name).cloned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// How an alarm ranks; the order is by rank, and what is not known ranks highest.
    Severity {
        /// Somebody should know by and by.
        Low = "low",
        /// Somebody should know today.
        Medium = "medium",
        /// Somebody has to know now.
        High = "high",
    }
}

words! {
    /// How an alarm stands.
    State {
        /// Nobody was told yet.
        Raised = "raised",
        /// Somebody was told, and nobody has said that they heard.
        Notified = "notified",
        /// Nobody is told until a time.
        Shelved = "shelved",
        /// Somebody has said that they heard; it is still so.
        Acknowledged = "acknowledged",
        /// It is over, and somebody still has to say that they heard.
        Returned = "returned",
        /// It is over, and nobody has to do anything about it.
        Cleared = "cleared",
    }
}

impl State {
    /// Whether somebody still has to say that they heard; of a state that is not known it is supposed.
    pub fn is_unacknowledged(&self) -> bool {
        !matches!(self, Self::Shelved | Self::Acknowledged | Self::Cleared)
    }
}

words! {
    /// By what people are told, as they choose it.
    Medium {
        /// A telephone call, in which a key says that it was heard.
        Call = "call",
        /// A short message.
        Sms = "sms",
        /// E-mail.
        Email = "email",
        /// A push message.
        Push = "push",
        /// A signed HTTP request.
        Webhook = "webhook",
    }
}

words! {
    /// By which of the gateway's ways people are told.
    Channel {
        /// A telephone call over a SIP trunk.
        Sip = "sip",
        /// A telephone call by a GSM modem.
        ModemCall = "modem_call",
        /// A short message by a GSM modem.
        ModemSms = "modem_sms",
        /// A telephone call by a provider over HTTP.
        ProviderCall = "provider_call",
        /// A short message by a provider over HTTP.
        ProviderSms = "provider_sms",
        /// E-mail.
        Email = "email",
        /// A push message to a telephone.
        Ntfy = "ntfy",
        /// A signed HTTP request.
        Webhook = "webhook",
    }
}

words! {
    /// The language that somebody is told in.
    Language {
        /// English.
        En = "en",
        /// Chinese.
        Zh = "zh",
    }
}

words! {
    /// Of what somebody has to hear even when it is over.
    HeardFrom {
        /// Of everything.
        Low = "low",
        /// Of what is at least medium.
        Medium = "medium",
        /// Of what is high.
        High = "high",
        /// Of nothing.
        Never = "never",
    }
}

words! {
    /// How far an attempt has come.
    StepKind {
        /// It is written down, and about to begin.
        Begun = "begun",
        /// The telephone rings.
        Ringing = "ringing",
        /// The call was taken.
        Answered = "answered",
        /// It is being spoken, or the message is with whoever carries it.
        Told = "told",
        /// The telephone has the message, as whoever carried it says.
        Delivered = "delivered",
    }
}

words! {
    /// By what somebody did something.
    How {
        /// A page, a screen or a program.
        Api = "api",
        /// A key in a call.
        Call = "call",
        /// An answer to a message.
        Message = "message",
        /// By itself.
        Itself = "itself",
    }
}

words! {
    /// How an attempt ended.
    OutcomeKind {
        /// They said that they heard.
        Acknowledged = "acknowledged",
        /// They want the next one to be told.
        Passed = "passed",
        /// They want to hear nothing of it for an hour.
        Muted = "muted",
        /// It was spoken, and no key said that it was heard.
        Unanswered = "unanswered",
        /// The message was taken by whoever carries it.
        Sent = "sent",
        /// They were busy.
        Busy = "busy",
        /// Nobody took the call.
        NoAnswer = "no_answer",
        /// It was refused, or came to nothing.
        Failed = "failed",
        /// A limit did not allow it.
        Limited = "limited",
        /// It was not needed any more.
        Withdrawn = "withdrawn",
        /// The gateway was stopped in the midst.
        Interrupted = "interrupted",
    }
}
