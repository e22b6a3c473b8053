//! What is inside a controller: its script's parameters and values, its log, its health, forces, and
//! what is written to it and read from it in pieces (`docs/protocol.md` §6.1).

use crate::{Client, Error, client::unexpected};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Address, Code,
    firmware::HEAD_BYTES,
    limits::{NAMES_MAX, TRANSFER_BYTES_MAX, TRANSFER_PIECE_BYTES_MAX},
    message::{Body, Content, Health, LogEntry, Name, NamedValue, Parameter, Request, Verb},
};

/// The smallest piece that is tried where links do not take larger ones.
const PIECE_BYTES_MIN: usize = 56;
/// Pieces in which something may be read: so many of the smallest are the largest.
const PIECES_MAX: u32 = TRANSFER_BYTES_MAX / PIECE_BYTES_MIN as u32;
/// Pieces in a row of which a controller may take nothing before it is given up.
const UNTAKEN_MAX: u32 = 16;
/// How often something that changes meanwhile is read anew.
const READINGS_MAX: u32 = 3;

/// The digest by which a controller knows what is written to it.
fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

/// Manifest and signature of a release.
fn head_of(release: &[u8]) -> Result<&[u8], Error> {
    let head = release.get(..HEAD_BYTES);
    head.filter(|_| release.len() > HEAD_BYTES)
        .ok_or_else(|| Error::Refused {
            code: Code::OutOfRange,
            detail: Some("expected a signed image".into()),
        })
}

impl Client {
    /// What people may adjust in a controller's script.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn parameters(&self, address: Address) -> Result<Vec<Parameter>, Error> {
        match self.request(address, Request::Parameters).await? {
            Body::Parameters { parameters } => Ok(parameters),
            _ => Err(unexpected("parameters")),
        }
    }

    /// What everything in a controller's script is worth: page by page, so not all of one scan.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn values(&self, address: Address) -> Result<Vec<NamedValue>, Error> {
        let mut all = Vec::new();
        loop {
            let from = Some(all.len() as u32).filter(|&from| from > 0);
            let asked = Request::Values { from };
            let Body::Values { values, total } = self.request(address, asked).await? else {
                return Err(unexpected("values"));
            };
            let is_last = values.is_empty();
            all.extend(values);
            if all.len() > NAMES_MAX {
                return Err(unexpected("values"));
            }
            if is_last || all.len() as u64 >= u64::from(total) {
                return Ok(all);
            }
        }
    }

    /// As many of a controller's log's entries as fit one answer, newest first; `before` an entry's
    /// number.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn log(&self, address: Address, before: Option<u32>) -> Result<Vec<LogEntry>, Error> {
        match self.request(address, Request::Log { before }).await? {
            Body::Log { entries } => Ok(entries),
            _ => Err(unexpected("log")),
        }
    }

    /// How a controller is.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn health(&self, address: Address) -> Result<Health, Error> {
        match self.request(address, Request::Health).await? {
            Body::Health(health) => Ok(*health),
            _ => Err(unexpected("health")),
        }
    }

    /// Holds an output at a value for a time, 1 ms to 24 h, whatever is wanted of it.
    ///
    /// # Errors
    /// As [`request`](Client::request); `unknown_point`, `out_of_range`, `forbidden` below
    /// technician.
    pub async fn force(
        &self,
        address: Address,
        point: Name,
        value: i64,
        duration: Duration,
    ) -> Result<(), Error> {
        let asked = Request::Force {
            point,
            value,
            duration,
        };
        self.have_done(address, asked).await
    }

    /// Holds an output no more.
    ///
    /// # Errors
    /// As [`force`](Client::force).
    pub async fn release(&self, address: Address, point: Name) -> Result<(), Error> {
        self.have_done(address, Request::Release { point }).await
    }

    /// Ends the trial of a script: keeps it, or goes back to the one before.
    ///
    /// # Errors
    /// As [`request`](Client::request); `wrong_state` where none is on trial.
    pub async fn end_trial(&self, address: Address, keep: bool) -> Result<(), Error> {
        self.have_done(address, Request::Trial { keep }).await
    }

    /// Has a controller start anew.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn restart(&self, address: Address) -> Result<(), Error> {
        self.have_done(address, Request::Restart).await
    }

    async fn have_done(&self, address: Address, asked: Request) -> Result<(), Error> {
        let verb: Verb = asked.verb();
        match self.request(address, asked).await? {
            Body::Done(_) => Ok(()),
            _ => Err(unexpected(verb.name())),
        }
    }

    /// Writes something to a controller, and has it used. Where a part of it is there from an earlier
    /// attempt, that part is not sent again. `keep` is for scripts: kept at once, not on trial.
    ///
    /// # Errors
    /// As [`request`](Client::request); [`Error::NotCompiled`] for a script; `out_of_range` for
    /// nothing at all and for more than 1 MiB; `wrong_state` when another tool took over.
    pub async fn write(
        &self,
        address: Address,
        content: Content,
        bytes: &[u8],
        keep: bool,
    ) -> Result<(), Error> {
        self.write_telling(address, content, bytes, keep, &mut |_| {})
            .await
    }

    /// Offers firmware: 72 bytes of manifest, 64 of signature, and an image (`docs/storage.md` §7), of which
    /// only the first two are sent.
    ///
    /// # Errors
    /// As [`write`](Client::write); `out_of_range` for what is no release, and where the controller does not
    /// want this one, with its reason: for another board, for the slot that runs, too old.
    pub async fn offer_firmware(&self, address: Address, release: &[u8]) -> Result<(), Error> {
        let head = head_of(release)?;
        self.write(address, Content::FirmwareManifest, head, false)
            .await
    }

    /// Sends the image of firmware that was [offered](Client::offer_firmware). The controller tries it once it
    /// [restarts](Client::restart). `progress` is told how many bytes of the release the controller has.
    ///
    /// # Errors
    /// As [`write`](Client::write); `out_of_range` where nobody that the controller trusts has signed it.
    pub async fn send_firmware(
        &self,
        address: Address,
        release: &[u8],
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), Error> {
        let image = &release[head_of(release)?.len()..];
        let mut in_all = |bytes| progress(HEAD_BYTES + bytes);
        let content = Content::FirmwareImage;
        self.write_telling(address, content, image, false, &mut in_all)
            .await
    }

    async fn write_telling(
        &self,
        address: Address,
        content: Content,
        bytes: &[u8],
        keep: bool,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), Error> {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !(1..=TRANSFER_BYTES_MAX).contains(&size) {
            return Err(Error::Refused {
                code: Code::OutOfRange,
                detail: Some(format!("expected 1 to {TRANSFER_BYTES_MAX} bytes")),
            });
        }
        let digest = digest_of(bytes);
        let asked = Request::TransferOpen {
            content,
            size,
            digest,
        };
        let Body::TransferOpen { offset } = self.request(address, asked).await? else {
            return Err(unexpected("transfer_open"));
        };
        self.write_from(address, bytes, offset, progress).await?;
        let asked = Request::TransferCommit { digest, keep };
        match self.request(address, asked).await? {
            Body::TransferCommit { fault: None } => Ok(()),
            Body::TransferCommit { fault: Some(fault) } => Err(Error::NotCompiled {
                fault: Box::new(fault),
            }),
            _ => Err(unexpected("transfer_commit")),
        }
    }

    async fn write_from(
        &self,
        address: Address,
        bytes: &[u8],
        offset: u32,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), Error> {
        let (mut at, mut piece, mut untaken) = (offset as usize, TRANSFER_PIECE_BYTES_MAX, 0);
        while at < bytes.len() {
            let end = bytes.len().min(at + piece);
            let asked = Request::TransferWrite {
                offset: at as u32,
                bytes: Bytes::copy_from_slice(&bytes[at..end]),
            };
            let next = match self.request(address, asked).await {
                Ok(Body::TransferWrite { offset }) => offset as usize,
                Ok(_) => return Err(unexpected("transfer_write")),
                Err(Error::Refused {
                    code: Code::TooLarge,
                    ..
                }) if piece > PIECE_BYTES_MIN => {
                    piece /= 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // It may take the first bytes of a piece alone: flash has sectors.
            let has_come_on = next > at && next <= end;
            untaken = if has_come_on { 0 } else { untaken + 1 };
            if untaken > UNTAKEN_MAX {
                return Err(unexpected("transfer_write"));
            }
            at = next;
            progress(at);
        }
        if at > bytes.len() {
            return Err(unexpected("transfer_write"));
        }
        Ok(())
    }

    /// Reads something from a controller, whole; empty where it keeps none.
    ///
    /// # Errors
    /// As [`request`](Client::request); [`Error::KeepsChanging`].
    pub async fn read(&self, address: Address, content: Content) -> Result<Vec<u8>, Error> {
        for _ in 0..READINGS_MAX {
            if let Some(bytes) = self.read_once(address, content).await? {
                return Ok(bytes);
            }
        }
        Err(Error::KeepsChanging)
    }

    /// `None` when it changed meanwhile.
    async fn read_once(
        &self,
        address: Address,
        content: Content,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut all = Vec::new();
        let mut whole = None;
        for _ in 0..PIECES_MAX {
            let offset = all.len() as u32;
            let asked = Request::TransferRead { content, offset };
            let Body::TransferRead {
                size,
                bytes,
                digest,
            } = self.request(address, asked).await?
            else {
                break;
            };
            if *whole.get_or_insert((size, digest)) != (size, digest) {
                return Ok(None);
            }
            all.extend_from_slice(&bytes);
            if all.len() >= size as usize {
                // Of another digest: another version went out between its being asked for and told.
                let is_right = all.len() == size as usize && digest_of(&all) == digest;
                return Ok((is_right || size == 0).then_some(all));
            }
            if bytes.is_empty() {
                break;
            }
        }
        Err(unexpected("transfer_read"))
    }
}
