//! What is written to a controller and read from it in pieces (`docs/protocol.md` §6.1).
//!
//! Writing goes on where an earlier attempt of anybody's was cut off, as long as it was of the same bytes:
//! the controller says where. Nothing that is written has any effect before it is committed.

use super::{Peer, Refusal};
use crate::digest::Digest;
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Address, Code,
    limits::{TRANSFER_BYTES_MAX, TRANSFER_PIECE_BYTES_MAX},
    message::{Body, Content, Request, ScriptFault},
};

/// The smallest piece that is tried where links do not take larger ones.
const PIECE_BYTES_MIN: usize = 56;
/// Pieces in a row of which a controller may take nothing before it is given up.
const UNTAKEN_MAX: u32 = 16;
/// How often something that changes meanwhile is read anew.
const READINGS_MAX: u32 = 3;

/// What goes to and from one controller by one peer. Dropping any of its futures leaves what has come so
/// far at the controller, for the next attempt.
pub(crate) struct Transfer<'a> {
    peer: &'a Peer,
    controller: Address,
    /// How long the controller may take over one answer.
    answer_timeout: Duration,
}

impl<'a> Transfer<'a> {
    /// With a controller, by a peer that may configure it.
    pub(crate) const fn new(peer: &'a Peer, controller: Address, answer_timeout: Duration) -> Self {
        Transfer {
            peer,
            controller,
            answer_timeout,
        }
    }

    async fn ask(&self, request: Request) -> Result<Body, Refusal> {
        self.peer
            .ask(self.controller, request, self.answer_timeout)
            .await
    }

    /// Reads something whole; empty where the controller keeps none.
    ///
    /// # Errors
    /// The controller's refusal; [`Code::WrongState`] for what changes again and again meanwhile.
    pub(crate) async fn read(&self, content: Content) -> Result<Vec<u8>, Refusal> {
        for _ in 0..READINGS_MAX {
            if let Some(bytes) = self.read_once(content).await? {
                return Ok(bytes);
            }
        }
        Err(Refusal {
            code: Code::WrongState,
            detail: Some("it changed again and again while it was read".into()),
        })
    }

    /// `None` when it changed meanwhile.
    async fn read_once(&self, content: Content) -> Result<Option<Vec<u8>>, Refusal> {
        let mut all = Vec::new();
        let mut first = None;
        loop {
            let offset = all.len() as u32;
            let question = Request::TransferRead { content, offset };
            let Body::TransferRead {
                size,
                bytes,
                digest,
            } = self.ask(question).await?
            else {
                return Err(Code::Internal.into());
            };
            if *first.get_or_insert((size, digest)) != (size, digest) {
                return Ok(None);
            }
            all.extend_from_slice(&bytes);
            if all.len() >= size as usize {
                let is_right = all.len() == size as usize && Digest::of(&all).0 == digest;
                return Ok((is_right || size == 0).then_some(all));
            }
            if bytes.is_empty() || size > TRANSFER_BYTES_MAX {
                return Err(Code::Internal.into());
            }
        }
    }

    /// Brings something over, all but its commit.
    ///
    /// # Errors
    /// The controller's refusal; [`Code::OutOfRange`] for nothing at all and for more than 1 MiB.
    pub(crate) async fn write(&self, content: Content, bytes: &[u8]) -> Result<(), Refusal> {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !(1..=TRANSFER_BYTES_MAX).contains(&size) {
            return Err(Refusal {
                code: Code::OutOfRange,
                detail: Some(format!("expected 1 to {TRANSFER_BYTES_MAX} bytes")),
            });
        }
        let digest = Digest::of(bytes).0;
        let question = Request::TransferOpen {
            content,
            size,
            digest,
        };
        let Body::TransferOpen { offset } = self.ask(question).await? else {
            return Err(Code::Internal.into());
        };
        let (mut at, mut piece, mut untaken) = (offset as usize, TRANSFER_PIECE_BYTES_MAX, 0);
        while at < bytes.len() {
            let end = bytes.len().min(at + piece);
            let question = Request::TransferWrite {
                offset: at as u32,
                bytes: Bytes::copy_from_slice(&bytes[at..end]),
            };
            let next = match self.ask(question).await {
                Ok(Body::TransferWrite { offset }) => offset as usize,
                Ok(_) => return Err(Code::Internal.into()),
                // Links differ: a smaller piece may fit.
                Err(refusal) if refusal.code == Code::TooLarge && piece > PIECE_BYTES_MIN => {
                    piece /= 2;
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            // It may take the first bytes of a piece alone: flash has sectors.
            let has_come_on = next > at && next <= end;
            untaken = if has_come_on { 0 } else { untaken + 1 };
            if untaken > UNTAKEN_MAX || next > bytes.len() {
                return Err(Code::Internal.into());
            }
            at = next;
        }
        Ok(())
    }

    /// Says that all of it is there, and has it used; why a script is not taken. `keep` is for scripts: kept
    /// at once, not on trial.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn commit(
        &self,
        digest: Digest,
        keep: bool,
    ) -> Result<Option<ScriptFault>, Refusal> {
        let digest = digest.0;
        match self.ask(Request::TransferCommit { digest, keep }).await? {
            Body::TransferCommit { fault } => Ok(fault),
            _ => Err(Code::Internal.into()),
        }
    }
}
