//! The standard's own commands, and what a board says to them.

/// How far a board's Wi-Fi is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImprovState {
    /// It takes a network's name and password.
    Ready,
    /// It has them, and tries to join.
    Provisioning,
    /// It has joined.
    Provisioned,
    /// None that the standard has.
    Other(u8),
}

impl ImprovState {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            ImprovState::Ready => 2,
            ImprovState::Provisioning => 3,
            ImprovState::Provisioned => 4,
            ImprovState::Other(number) => number,
        }
    }

    /// The state of a number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            2 => ImprovState::Ready,
            3 => ImprovState::Provisioning,
            4 => ImprovState::Provisioned,
            other => ImprovState::Other(other),
        }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImprovError {
    /// Nothing.
    None,
    /// The command could not be read.
    InvalidCommand,
    /// The board knows no such command.
    UnknownCommand,
    /// The network could not be joined.
    UnableToConnect,
    /// The board is protected, and locked.
    NotAuthorized,
    /// It cannot be called that.
    BadHostName,
    /// Anything else.
    Unknown,
    /// None that the standard has.
    Other(u8),
}

impl ImprovError {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            ImprovError::None => 0,
            ImprovError::InvalidCommand => 1,
            ImprovError::UnknownCommand => 2,
            ImprovError::UnableToConnect => 3,
            ImprovError::NotAuthorized => 4,
            ImprovError::BadHostName => 5,
            ImprovError::Unknown => 0xFF,
            ImprovError::Other(number) => number,
        }
    }

    /// The error of a number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => ImprovError::None,
            1 => ImprovError::InvalidCommand,
            2 => ImprovError::UnknownCommand,
            3 => ImprovError::UnableToConnect,
            4 => ImprovError::NotAuthorized,
            5 => ImprovError::BadHostName,
            0xFF => ImprovError::Unknown,
            other => ImprovError::Other(other),
        }
    }
}

/// A command, as the data of a packet of that type.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Join this network.
    SendWifi {
        /// Its name: bytes, mostly UTF-8.
        network: Vec<u8>,
        /// Empty where it asks for none.
        password: Vec<u8>,
    },
    /// Tell your state, and your page's address if you have joined.
    State,
    /// Tell what you are: firmware, its version, the hardware, your name.
    Information,
    /// Tell what networks there are.
    Scan,
    /// Tell what you announce yourself as on the network, and be that from now on.
    HostName(Option<String>),
    /// Tell what people call you, and be called that.
    DeviceName(Option<String>),
    /// Tell whether you are on a network.
    NetworkState,
}

/// A network's password is in it.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.number()).finish()
    }
}

/// Why data is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It is not in the standard's form.
    #[error("expected a command in the standard's form")]
    Invalid,
    /// It is none that is known here.
    #[error("expected a known command and found {0}")]
    Unknown(u8),
}

impl Command {
    /// The command's number.
    pub const fn number(&self) -> u8 {
        match self {
            Command::SendWifi { .. } => 1,
            Command::State => 2,
            Command::Information => 3,
            Command::Scan => 4,
            Command::HostName(_) => 5,
            Command::DeviceName(_) => 6,
            Command::NetworkState => 7,
        }
    }

    /// The data. Texts are cut so that it fits.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        match self {
            Command::SendWifi { network, password } => {
                put(&mut fields, network, 32);
                put(&mut fields, password, 64);
            }
            Command::HostName(Some(name)) | Command::DeviceName(Some(name)) => {
                fields.extend(name.bytes().take(64));
            }
            _ => {}
        }
        let mut data = vec![self.number(), fields.len() as u8];
        data.extend_from_slice(&fields);
        data
    }

    /// Reads the data.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub fn decode(data: &[u8]) -> Result<Self, CommandError> {
        let (number, fields) = framed(data).ok_or(CommandError::Invalid)?;
        let text = || match fields {
            [] => Ok(None),
            bytes => String::from_utf8(bytes.to_vec())
                .map(Some)
                .map_err(|_| CommandError::Invalid),
        };
        let plain = |command: Command| match fields {
            [] => Ok(command),
            _ => Err(CommandError::Invalid),
        };
        match number {
            1 => match strings(fields).as_deref() {
                Some([network, password]) => Ok(Command::SendWifi {
                    network: network.to_vec(),
                    password: password.to_vec(),
                }),
                _ => Err(CommandError::Invalid),
            },
            2 => plain(Command::State),
            3 => plain(Command::Information),
            4 => plain(Command::Scan),
            5 => text().map(Command::HostName),
            6 => text().map(Command::DeviceName),
            7 => plain(Command::NetworkState),
            other => Err(CommandError::Unknown(other)),
        }
    }
}

/// The data of a result: the command's number, and texts, as many as fit into 255 bytes.
pub fn improv_result(command: u8, texts: &[&str]) -> Vec<u8> {
    let mut fields = Vec::new();
    for text in texts {
        if fields.len() + 1 + text.len() > usize::from(u8::MAX) - 2 {
            break;
        }
        put(&mut fields, text.as_bytes(), text.len());
    }
    let mut data = vec![command, fields.len() as u8];
    data.extend_from_slice(&fields);
    data
}

/// Reads the data of a result: the command's number, and texts. What is not UTF-8 in them is replaced, since
/// names of networks need not be.
pub fn read_result(data: &[u8]) -> Option<(u8, Vec<String>)> {
    let (command, fields) = framed(data)?;
    let texts = strings(fields)?;
    let text = |bytes: &&[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((command, texts.iter().map(text).collect()))
}

fn put(fields: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let length = bytes.len().min(most).min(usize::from(u8::MAX));
    fields.push(length as u8);
    fields.extend_from_slice(&bytes[..length]);
}

/// A number, a length, and as many bytes.
fn framed(data: &[u8]) -> Option<(u8, &[u8])> {
    match data {
        [number, length, fields @ ..] if usize::from(*length) == fields.len() => {
            Some((*number, fields))
        }
        _ => None,
    }
}

/// Strings, each behind its length, and nothing else.
fn strings(mut fields: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while let Some((&length, rest)) = fields.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(length))?;
        found.push(string);
        fields = rest;
    }
    Some(found)
}
