//! Programs in the chip's memory: how the stub gets there.

use std::time::Duration;

use super::{
    Level, Loader, PATIENCE,
    wire::{self, Answer, Operation},
};
use crate::{Error, Result, line::Line, slip::Decoded, stub::Stub};

/// What the ROM takes in one block into memory.
const BLOCK_BYTES: usize = 0x1800;
/// What a stub says once it runs.
const GREETING: &[u8] = b"OHAI";
const GREETING_PATIENCE: Duration = Duration::from_secs(3);

impl<L: Line> Loader<L> {
    /// Gives the ROM the stub, and from then on speaks to that.
    ///
    /// # Errors
    /// [`Error::StubSilent`] where it does not come to life: some boards' memory is too bad for it. The ROM is gone by
    /// then; the board must be reset.
    pub fn start_stub(&mut self, stub: &Stub) -> Result<()> {
        for (address, bytes) in [
            (stub.text_address, &stub.text),
            (stub.data_address, &stub.data),
        ] {
            self.load(address, bytes)?;
        }
        let payload = wire::words(&[0, stub.entry]);
        self.send(&wire::request(Operation::MemoryEnd, &payload, 0))?;
        // The ROM may have jumped before its own answer has left, so the greeting alone counts.
        let deadline = self.line.now() + GREETING_PATIENCE;
        while let Some(decoded) = self.next_frame(deadline, None)? {
            let Decoded::Frame(frame) = decoded else {
                continue;
            };
            if frame == GREETING {
                self.level = Level::Stub;
                return Ok(());
            }
            if let Some(answer) = Answer::read(&frame)
                && answer.operation == Operation::MemoryEnd as u8
                && answer.failure != 0
            {
                return Err(Self::refusal(Operation::MemoryEnd, &answer));
            }
        }
        Err(Error::StubSilent)
    }

    fn load(&mut self, address: u32, bytes: &[u8]) -> Result<()> {
        let blocks = bytes.chunks(BLOCK_BYTES);
        let begin = [
            bytes.len() as u32,
            blocks.len() as u32,
            BLOCK_BYTES as u32,
            address,
        ];
        self.ask(Operation::MemoryBegin, &wire::words(&begin), 0, PATIENCE)?;
        for (number, data) in (0..).zip(blocks) {
            let payload = wire::block(number, data);
            let check = wire::checksum(data);
            let patience = PATIENCE + self.time_of(payload.len());
            self.ask(Operation::MemoryData, &payload, check, patience)?;
        }
        Ok(())
    }

    /// How long so many bytes take on the line, ten bits each, and twice that for an adapter that collects them.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(2.0 * 10.0 * bytes as f64 / f64::from(self.baud.max(1)))
    }
}
