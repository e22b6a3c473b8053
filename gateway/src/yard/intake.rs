//! From what came on a socket to whole frames.

use super::lines::Lines;
use crate::wire::{Step, check_whole};
use switchyard_protocol::Code;
use switchyard_relay::ConnectionId;

/// Whoever takes frames that came.
pub(super) trait Intake {
    /// The connections that they come on.
    fn lines(&mut self) -> &mut Lines;

    /// Takes frames as far as they are whole; how many bytes that was.
    ///
    /// # Errors
    /// What is wrong with a header; the frames before it were taken.
    fn frames(
        &mut self,
        id: ConnectionId,
        frames: &[u8],
        payload_bytes_max: usize,
    ) -> Result<usize, Code>;

    /// What came ends the connection; with [`Code::LinkLost`] the peer said that it goes.
    fn failed(&mut self, id: ConnectionId, code: Code);
}

/// Bytes came on a connection.
pub(super) fn received(intake: &mut impl Intake, id: ConnectionId, bytes: &mut [u8]) {
    let mut scratch = intake.lines().take_scratch();
    if let Some(connection) = intake.lines().get(id).filter(|it| it.hears()) {
        let (bytes, outcome) = connection.wire().decrypt(bytes, &mut scratch);
        intake.lines().heard(id);
        decrypted(intake, id, bytes);
        if let Err(code) = outcome {
            fail(intake, id, code);
        }
    }
    // Otherwise it is a farewell that is read to its end, to no purpose but a clean one.
    intake.lines().keep_scratch(scratch);
}

/// Bytes came on a connection, and TLS is off them.
pub(super) fn decrypted(intake: &mut impl Intake, id: ConnectionId, bytes: &mut [u8]) {
    let Some(connection) = intake.lines().get(id) else {
        return;
    };
    let mut rest = connection.take_rest();
    if rest.is_empty() {
        let used = unwrap(intake, id, bytes);
        if used < bytes.len() {
            rest = intake.lines().spare_buffer();
            rest.extend_from_slice(&bytes[used..]);
            keep_rest(intake.lines(), id, rest);
        }
        return;
    }
    rest.extend_from_slice(bytes);
    let used = unwrap(intake, id, &mut rest);
    rest.drain(..used);
    keep_rest(intake.lines(), id, rest);
}

fn keep_rest(lines: &mut Lines, id: ConnectionId, rest: Vec<u8>) {
    match lines.get(id) {
        Some(connection) if !rest.is_empty() => connection.keep_rest(rest),
        _ => lines.keep_buffer(rest),
    }
}

/// Hands on what is whole of `data`; how many bytes that was.
fn unwrap(intake: &mut impl Intake, id: ConnectionId, data: &mut [u8]) -> usize {
    let mut at = 0;
    loop {
        let Some(connection) = intake.lines().get(id).filter(|it| it.hears()) else {
            return data.len();
        };
        let wire = connection.wire();
        let payload_bytes_max = wire.payload_bytes_max();
        let outcome = match wire.next(data, &mut at) {
            Ok(Step::Incomplete) => {
                if wire.has_control() {
                    intake.lines().nudge(id);
                }
                return at;
            }
            Ok(Step::Frames(range)) => whole_frames(intake, id, &data[range], payload_bytes_max),
            Ok(Step::Message(frames)) => whole_frames(intake, id, &frames, payload_bytes_max),
            Ok(Step::Stream(range)) => {
                let start = range.start;
                match intake.frames(id, &data[range], payload_bytes_max) {
                    Ok(used) => return start + used,
                    Err(code) => Err(code),
                }
            }
            Err(code) => Err(code),
        };
        if let Err(code) = outcome {
            fail(intake, id, code);
            return data.len();
        }
    }
}

/// A record's or message's frames: none is acted upon unless all are whole.
fn whole_frames(
    intake: &mut impl Intake,
    id: ConnectionId,
    frames: &[u8],
    payload_bytes_max: usize,
) -> Result<(), Code> {
    check_whole(frames, payload_bytes_max)?;
    intake.frames(id, frames, payload_bytes_max).map(|_| ())
}

fn fail(intake: &mut impl Intake, id: ConnectionId, code: Code) {
    if let Some(connection) = intake.lines().get(id).filter(|it| it.hears()) {
        connection.deafen();
        intake.failed(id, code);
    }
}
