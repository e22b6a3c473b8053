//! Requests of ours.

use super::{SerialError, sealed, unsealed};
use crate::{
    Address,
    fields::{Encoder, Field, Fields, MapWriter},
    message::{LinkKey, MessageError},
};
use bytes::Bytes;
use std::fmt;

macro_rules! numbered {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $type {
            /// All there are, by number.
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The one of that number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some($type::$variant),)*
                    _ => None,
                }
            }

            /// The name in `docs/serial.md`.
            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }
        }
    };
}

numbered! {
    /// What is asked for.
    Verb {
        /// Tells what the board is and how it does.
        Describe = 1, "describe";
        /// Opens a protected board to this line.
        Unlock = 2, "unlock";
        /// Changes settings, all or none.
        Set = 3, "set";
        /// Makes it somebody: an address and the key for it.
        Enrol = 4, "enrol";
        /// Makes it nobody again.
        Forget = 5, "forget";
        /// A script is about to be written.
        ScriptBegin = 6, "script_begin";
        /// A piece of it.
        ScriptWrite = 7, "script_write";
        /// All of it is there: compile it.
        ScriptEnd = 8, "script_end";
        /// Runs it on trial, keeps it, or goes back.
        Trial = 9, "trial";
        /// Restarts.
        Restart = 10, "restart";
    }
}

numbered! {
    /// What can be set.
    Setting {
        /// What people call the board.
        Name = 0, "name";
        /// What it announces itself as on the local network.
        Host = 1, "host";
        /// The network's name.
        Wifi = 2, "wifi";
        /// And password. Secret.
        WifiPassword = 3, "wifi_password";
        /// `host:port`.
        Gateway1 = 4, "gateway_1";
        /// The one that is dialled in turn with it.
        Gateway2 = 5, "gateway_2";
        /// Local time, a POSIX TZ string.
        Zone = 6, "zone";
        /// What the board's own Wi-Fi asks for, as printed on its label. Secret.
        Label = 16, "label";
        /// What its page asks for; from then on the board is protected. Secret.
        PagePassword = 17, "page_password";
    }
}

impl Setting {
    /// Whether it can be written and never read.
    pub const fn is_secret(self) -> bool {
        matches!(
            self,
            Setting::WifiPassword | Setting::Label | Setting::PagePassword
        )
    }
}

numbered! {
    /// A step in the life of a script that was brought.
    TrialStep {
        /// It runs, and the one before comes back unless it stays.
        Begin = 0, "begin";
        /// It stays.
        Commit = 1, "commit";
        /// The one before comes back.
        Revert = 2, "revert";
    }
}

/// A password. Its `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// A setting and what it is to be. Its `Debug` masks secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingValue {
    /// Which.
    pub setting: Setting,
    /// The new text; an empty one clears it, where it can be cleared.
    pub text: String,
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.setting.is_secret() {
            "***"
        } else {
            &self.text
        };
        write!(f, "{}: {text:?}", self.setting.name())
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// See [`Verb::Describe`].
    Describe,
    /// See [`Verb::Unlock`].
    Unlock(Password),
    /// See [`Verb::Set`]. Each setting once, in the order of their numbers. What does not fit into one request
    /// is for several.
    Set(Vec<SettingValue>),
    /// See [`Verb::Enrol`].
    Enrol {
        /// Its address: a controller's.
        address: Address,
        /// The key for its link.
        key: LinkKey,
    },
    /// See [`Verb::Forget`].
    Forget,
    /// See [`Verb::ScriptBegin`].
    ScriptBegin {
        /// Bytes of its source.
        bytes: u32,
    },
    /// See [`Verb::ScriptWrite`].
    ScriptWrite {
        /// Where the piece begins.
        at: u32,
        /// 1 to [`Request::PIECE_BYTES_MAX`] bytes.
        piece: Bytes,
    },
    /// See [`Verb::ScriptEnd`].
    ScriptEnd,
    /// See [`Verb::Trial`].
    Trial(TrialStep),
    /// See [`Verb::Restart`].
    Restart,
}

struct Settings<'a>(&'a [SettingValue]);

impl Field for Settings<'_> {
    fn write(&self, encoder: &mut Encoder<'_>) {
        let mut map = MapWriter::new(encoder.writer_mut());
        for value in self.0 {
            map = map.put(value.setting.number(), &value.text);
        }
        map.end();
    }
}

impl Request {
    /// Bytes of a script in one request: the rest of its 200 are heads and the checksum.
    pub const PIECE_BYTES_MAX: usize = 176;

    /// What is asked for.
    pub const fn verb(&self) -> Verb {
        match self {
            Request::Describe => Verb::Describe,
            Request::Unlock(_) => Verb::Unlock,
            Request::Set(_) => Verb::Set,
            Request::Enrol { .. } => Verb::Enrol,
            Request::Forget => Verb::Forget,
            Request::ScriptBegin { .. } => Verb::ScriptBegin,
            Request::ScriptWrite { .. } => Verb::ScriptWrite,
            Request::ScriptEnd => Verb::ScriptEnd,
            Request::Trial(_) => Verb::Trial,
            Request::Restart => Verb::Restart,
        }
    }

    /// The data of a packet, checksum included. More than [`DATA_BYTES_MAX`](super::DATA_BYTES_MAX) bytes no
    /// controller takes: whoever sets much asks first how long it has become.
    pub fn encode(&self, id: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let map = MapWriter::new(&mut bytes)
            .put(0, &id)
            .put(1, &self.verb().number());
        match self {
            Request::Describe | Request::Forget | Request::ScriptEnd | Request::Restart => map,
            Request::Unlock(Password(password)) => map.put(2, password),
            Request::Set(settings) => map.put(2, &Settings(settings)),
            Request::Enrol { address, key } => map.put(2, address).put(3, &key.0),
            Request::ScriptBegin { bytes } => map.put(2, bytes),
            Request::ScriptWrite { at, piece } => map.put(2, at).put(3, piece),
            Request::Trial(step) => map.put(2, &step.number()),
        }
        .end();
        sealed(bytes)
    }

    /// Reads the data of a packet: the id, and the request.
    ///
    /// # Errors
    /// As [`SerialError`] says.
    pub fn decode(data: &[u8]) -> Result<(u8, Self), SerialError> {
        let fields = &mut Fields::open(unsealed(data)?)?;
        let id = fields.required(0)?;
        let number: u8 = fields.required(1)?;
        let verb = Verb::from_number(number).ok_or(MessageError::UnknownVerb(number.into()))?;
        Ok((id, Self::read(verb, fields)?))
    }

    fn read(verb: Verb, fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(match verb {
            Verb::Describe => Request::Describe,
            Verb::Unlock => Request::Unlock(Password(fields.required::<&str>(2)?.to_owned())),
            Verb::Set => Request::Set(read_settings(fields)?),
            Verb::Enrol => Request::Enrol {
                address: fields.required_where(2, |it: &Address| it.is_controller())?,
                key: LinkKey(fields.required(3)?),
            },
            Verb::Forget => Request::Forget,
            Verb::ScriptBegin => Request::ScriptBegin {
                bytes: fields.required(2)?,
            },
            Verb::ScriptWrite => Request::ScriptWrite {
                at: fields.required(2)?,
                piece: fields.required_where(3, |it: &Bytes| {
                    (1..=Self::PIECE_BYTES_MAX).contains(&it.len())
                })?,
            },
            Verb::ScriptEnd => Request::ScriptEnd,
            Verb::Trial => {
                let number = fields.required(2)?;
                let step = TrialStep::from_number(number);
                Request::Trial(step.ok_or(MessageError::BadField { key: 2 })?)
            }
            Verb::Restart => Request::Restart,
        })
    }
}

/// Unknown settings are refused: who set them believes that they hold.
fn read_settings(fields: &mut Fields<'_>) -> Result<Vec<SettingValue>, MessageError> {
    let bad = MessageError::BadField { key: 2 };
    let mut values = Vec::new();
    for (number, item) in fields.map(2)?.entries() {
        let setting = u8::try_from(number).ok().and_then(Setting::from_number);
        values.push(SettingValue {
            setting: setting.ok_or(bad.clone())?,
            text: item.text().ok_or(bad.clone())?.to_owned(),
        });
    }
    if values.is_empty() {
        return Err(bad);
    }
    Ok(values)
}
