//! What a hand-made controller keeps: a script that is written and read in pieces, and parameters that
//! take more than one page.

use crate::Device;
use anyhow::Result;
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    limits::{NAMES_MAX, TRANSFER_PIECE_BYTES_MAX},
    message::{Answer, Body, Name, Parameter, Request, ScriptFault, Text, ValueType},
};

/// A controller's flash, as far as a transfer sees it. It outlives the controller's sessions.
#[derive(Default)]
pub struct Keeper {
    /// The script that runs.
    pub script: Vec<u8>,
    /// Where the pieces began that were taken.
    pub offsets: Vec<u32>,
    coming: Vec<u8>,
    opened: Option<(Address, u32, [u8; 32])>,
}

impl Keeper {
    /// The digest of what is transferred.
    pub fn digest_of(bytes: &[u8]) -> [u8; 32] {
        Blake2b::<U32>::digest(bytes).into()
    }

    /// Takes the requests of the next record and answers them; whether there is more to come: after
    /// a commit, or `pieces_max` pieces in all, there is not.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn serve(&mut self, device: &mut Device, pieces_max: usize) -> Result<bool> {
        for frame in device.receive()? {
            let header = *frame.header();
            let Ok(request) = Request::decode(header.kind, frame.payload()) else {
                continue;
            };
            let answers = match request {
                Request::Parameters => pages(),
                ref request => vec![(Flags::NONE, self.answer(header.source, request))],
            };
            let from = device.address();
            for (flags, answer) in answers {
                let (to, payload) = (header.source, answer.encode());
                let (kind, correlation) = (Kind::Response, header.correlation);
                let frame = Frame::with_flags(kind, flags, correlation, from, to, &payload);
                device.send(&[frame])?;
            }
            let is_end = matches!(request, Request::TransferCommit { .. });
            if is_end || self.offsets.len() >= pieces_max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn answer(&mut self, asker: Address, request: &Request) -> Answer {
        let verb = request.verb().number();
        Answer::Ok(match *request {
            Request::TransferOpen { size, digest, .. } => {
                let was_open = self.opened.is_some_and(|(_, _, known)| known == digest);
                if !was_open {
                    self.coming.clear();
                }
                self.opened = Some((asker, size, digest));
                let offset = self.coming.len() as u32;
                Body::TransferOpen { offset }
            }
            Request::TransferWrite { offset, ref bytes } => {
                if self.opened.is_none_or(|(owner, ..)| owner != asker) {
                    return Answer::refused(Code::WrongState, verb);
                }
                if offset as usize == self.coming.len() {
                    self.coming.extend_from_slice(bytes);
                    self.offsets.push(offset);
                }
                let offset = self.coming.len() as u32;
                Body::TransferWrite { offset }
            }
            Request::TransferCommit { digest, .. } => {
                let is_whole = self.opened == Some((asker, self.coming.len() as u32, digest));
                if !is_whole || Self::digest_of(&self.coming) != digest {
                    return Answer::refused(Code::WrongState, verb);
                }
                self.opened = None;
                let source = std::mem::take(&mut self.coming);
                let fault = fault_of(&source);
                if fault.is_none() {
                    self.script = source;
                }
                Body::TransferCommit { fault }
            }
            Request::TransferRead { offset, .. } => {
                let rest = &self.script[(offset as usize).min(self.script.len())..];
                let piece = &rest[..rest.len().min(TRANSFER_PIECE_BYTES_MAX)];
                Body::TransferRead {
                    size: self.script.len() as u32,
                    bytes: piece.to_vec().into(),
                    digest: Self::digest_of(&self.script),
                }
            }
            _ => return Answer::refused(Code::Unsupported, verb),
        })
    }
}

/// This compiler takes everything but the word `nonsense`.
fn fault_of(source: &[u8]) -> Option<ScriptFault> {
    let lines = source.split(|&byte| byte == b'\n');
    let found = lines.enumerate().find_map(|(line, text)| {
        let column = text.windows(8).position(|it| it == b"nonsense")?;
        Some((line as u32 + 1, column as u32 + 1))
    });
    found.map(|(line, column)| ScriptFault {
        line,
        column,
        expected: Text::cut("a statement"),
        fix: None,
        other_line: None,
    })
}

/// As many parameters as there may be, on three pages.
fn pages() -> Vec<(Flags, Answer)> {
    let all: Vec<_> = (0..NAMES_MAX)
        .filter_map(|number| {
            Some(Parameter {
                name: Name::new(&format!("p{number}")).ok()?,
                value_type: ValueType::Int,
                value: number as i64,
                min: 0,
                max: 1_000,
            })
        })
        .collect();
    let parts = all.chunks(NAMES_MAX / 3 + 1);
    let last = parts.len() - 1;
    let pages = parts.enumerate().map(|(number, part)| {
        let flags = if number < last {
            Flags::MORE
        } else {
            Flags::NONE
        };
        let parameters = part.to_vec();
        (flags, Answer::Ok(Body::Parameters { parameters }))
    });
    pages.collect()
}
