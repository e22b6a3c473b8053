//! Answers to requests of ours.

use super::{SerialError, Setting, Verb, sealed, unsealed};
use crate::{
    Address, Code,
    fields::{Fields, MapWriter},
    message::{MessageError, ResetReason, ScriptFault},
};
use bytes::Bytes;
use std::{net::Ipv4Addr, time::Duration};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// That of the request.
    pub id: u8,
    /// [`Code::Ok`], or why not.
    pub code: Code,
    /// What else it says.
    pub body: Body,
}

/// What an answer says besides its code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Nothing.
    Nothing,
    /// To [`Verb::Describe`].
    Description(Box<Description>),
    /// To [`Verb::Unlock`], with [`Code::RateLimited`]: how long no password is taken.
    Wait(Duration),
    /// To [`Verb::Set`], with [`Code::OutOfRange`]: which setting cannot be that, by its number.
    WrongSetting(Option<Setting>),
    /// To [`Verb::ScriptEnd`]: it compiled.
    Compiled(Compiled),
    /// To [`Verb::ScriptEnd`], whose code is [`Code::Ok`] all the same: it did not. Texts are cut to fit.
    Fault(ScriptFault),
}

/// What came of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Operations of one scan.
    pub operations: u32,
    /// What a scan takes at most on the chip, in microseconds.
    pub scan_us: u32,
}

/// How a board's Wi-Fi does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WifiState {
    /// It is on no network.
    Down,
    /// It tries to join one.
    Joining,
    /// It has.
    Joined,
    /// The password is wrong.
    WrongPassword,
    /// There is no such network.
    NotFound,
    /// One of a later version.
    Other(u8),
}

impl WifiState {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            WifiState::Down => 0,
            WifiState::Joining => 1,
            WifiState::Joined => 2,
            WifiState::WrongPassword => 3,
            WifiState::NotFound => 4,
            WifiState::Other(number) => number,
        }
    }

    /// The state of a number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => WifiState::Down,
            1 => WifiState::Joining,
            2 => WifiState::Joined,
            3 => WifiState::WrongPassword,
            4 => WifiState::NotFound,
            other => WifiState::Other(other),
        }
    }
}

/// What a board is, and how it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its profile, as a manifest has it.
    pub profile: String,
    /// Its software, for people.
    pub software: String,
    /// Its version, as a manifest has it.
    pub version: u32,
    /// The slot that it runs from: 1 or 2.
    pub slot: u8,
    /// Why it last restarted.
    pub reset: ResetReason,
    /// Who it is; `None`: it is not enrolled.
    pub address: Option<Address>,
    /// A page password is set.
    pub is_protected: bool,
    /// And this line may do everything all the same.
    pub is_unlocked: bool,
    /// How its Wi-Fi does.
    pub wifi: WifiState,
    /// Its IP address, once it has one.
    pub ip: Option<Ipv4Addr>,
    /// How its link does: 0 down, 1 opening, 2 live, 3 no gateway is set.
    pub link: u8,
    /// Another one at each start.
    pub boot_id: u32,
    /// Its script: 0 none, 1 runs, 2 on trial, 3 stopped.
    pub script: u8,
    /// Which script; changes with it.
    pub script_hash: u32,
    /// The chip's own, where the board knows one: an ESP8266 its MAC address.
    pub hardware: Option<Bytes>,
    /// What people call it; empty where nobody said.
    pub name: String,
}

/// A board that reaches its gateway says so by this in [`Description::link`].
impl Description {
    /// The link is live.
    pub const LINK_LIVE: u8 = 2;
    /// No gateway is set.
    pub const LINK_NONE: u8 = 3;
}

impl Answer {
    /// Without anything but a code.
    pub fn plain(id: u8, code: Code) -> Self {
        Answer {
            id,
            code,
            body: Body::Nothing,
        }
    }

    /// The data of a packet, checksum included.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let map = MapWriter::new(&mut bytes)
            .put(0, &self.id)
            .put(1, &self.code);
        match &self.body {
            Body::Nothing | Body::WrongSetting(None) => map,
            Body::Description(description) => description.write(map),
            Body::Wait(wait) => map.put(2, wait),
            Body::WrongSetting(Some(setting)) => map.put(2, &setting.number()),
            Body::Compiled(compiled) => map.put(3, &compiled.operations).put(4, &compiled.scan_us),
            Body::Fault(fault) => map.put(2, fault),
        }
        .end();
        sealed(bytes)
    }

    /// Reads the data of a packet, which answers such a request.
    ///
    /// # Errors
    /// As [`SerialError`] says.
    pub fn decode(data: &[u8], verb: Verb) -> Result<Self, SerialError> {
        let fields = &mut Fields::open(unsealed(data)?)?;
        let id = fields.required(0)?;
        let code: Code = fields.required(1)?;
        let body = match (verb, code) {
            (Verb::Describe, Code::Ok) => Body::Description(Box::new(Description::read(fields)?)),
            (Verb::Unlock, Code::RateLimited) => Body::Wait(fields.required(2)?),
            (Verb::Set, Code::OutOfRange) => {
                Body::WrongSetting(Setting::from_number(fields.required(2)?))
            }
            (Verb::ScriptEnd, Code::Ok) => match fields.optional_map(2)? {
                Some(mut fault) => Body::Fault(ScriptFault::read(&mut fault)?),
                None => Body::Compiled(Compiled {
                    operations: fields.required(3)?,
                    scan_us: fields.required(4)?,
                }),
            },
            _ => Body::Nothing,
        };
        Ok(Answer { id, code, body })
    }
}

impl Description {
    fn write<'a>(&self, map: MapWriter<'a>) -> MapWriter<'a> {
        map.put(2, &self.profile)
            .put(3, &self.software)
            .put(4, &self.version)
            .put(5, &self.slot)
            .put(6, &self.reset.number())
            .put(7, &self.address.map_or(0, |it| it.0))
            .put(8, &self.is_protected)
            .put(9, &self.is_unlocked)
            .put(10, &self.wifi.number())
            .put(11, &self.ip.map_or(0, u32::from))
            .put(12, &self.link)
            .put(13, &self.boot_id)
            .put(14, &self.script)
            .put(15, &self.script_hash)
            .put_some(16, &self.hardware)
            .put(17, &self.name)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(Description {
            profile: fields.required::<&str>(2)?.to_owned(),
            software: fields.required::<&str>(3)?.to_owned(),
            version: fields.required(4)?,
            slot: fields.required(5)?,
            reset: ResetReason::from_number(fields.required(6)?),
            address: Some(fields.required(7)?).filter(|it: &Address| it.0 != 0),
            is_protected: fields.required(8)?,
            is_unlocked: fields.required(9)?,
            wifi: WifiState::from_number(fields.required(10)?),
            ip: Some(fields.required::<u32>(11)?)
                .filter(|ip| *ip != 0)
                .map(Ipv4Addr::from),
            link: fields.required(12)?,
            boot_id: fields.required(13)?,
            script: fields.required(14)?,
            script_hash: fields.required(15)?,
            hardware: fields.optional(16)?,
            name: fields.required::<&str>(17)?.to_owned(),
        })
    }
}
