//! What is done about a controller's keys while its link begins (`docs/protocol.md` §6.2): it has just
//! proven by which of them it came, and nobody else has a session with it yet.
//!
//! A controller that does not do it, or says nothing, comes in all the same: it is asked again when it
//! dials next.

use super::Attempt;
use crate::{
    keyring::Held,
    keys::{KeyStep, WhichKey},
    store::{ControllerKey, StoreError},
    telemetry::count,
    wire::{NoiseWire, Step, check_whole},
};
use bytes::Buf as _;
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, FrameRef, Kind,
    message::{Answer, Body, Verb},
};

/// How long a controller has to answer: it writes its settings to flash first, and may be busy with
/// other writing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of what it tells besides, what is kept for the yard until it has answered. It tells little before it is
/// told that its session is live.
const FRAMES_BYTES_MAX: usize = 16 << 10;
/// When a step that came to nothing is tried again, for which the link is ended.
const STEP_PAUSE: Duration = Duration::from_secs(600);
/// The relay numbers its own questions from 1 on, and does not come so far.
const CORRELATION: u32 = u32::MAX;

impl Attempt<'_> {
    /// Takes the step that the controller's keys want, if any. `frames` gets what came besides the answer.
    ///
    /// # Errors
    /// [`Code::ShuttingDown`] where it is to dial again, by its next key; what its link did wrong.
    pub(super) async fn take_key_step(&mut self, frames: &mut Vec<u8>) -> Result<(), Code> {
        let Some(step) = self.key_step().await? else {
            return Ok(());
        };
        let Some(request) = step.request() else {
            return Ok(());
        };
        let (kind, payload) = (request.verb().kind(), request.encode());
        let question = Frame::new(kind, CORRELATION, Address::GATEWAY, self.address, &payload);
        let mut record = Vec::new();
        self.noise()?.wrap(question.bytes(), &mut record)?;
        self.write(&record).await?;
        let answer = tokio::time::timeout(PATIENCE, self.answer(frames)).await;
        match answer.unwrap_or(Ok(Err(Code::TimedOut)))? {
            Ok(()) => self.key_step_taken(step).await,
            Err(refusal) => {
                self.key_step_failed(refusal);
                Ok(())
            }
        }
    }

    /// What is wanted, by what the store says now: the keyring may be behind it, by hours where the store
    /// cannot be read, and a next key that has become the only one is not for whoever knows the old one.
    async fn key_step(&mut self) -> Result<Option<KeyStep>, Code> {
        let (Some(which), Held::Keys(keys)) = (self.by_key, self.prover.keyring.held(self.address))
        else {
            return Ok(None);
        };
        self.keys = Some(keys);
        if keys.step(which, crate::clock::time()) == KeyStep::Rest {
            return Ok(None);
        }
        let now = match self.prover.config.controller(self.address).await {
            Ok(Some((_, now))) => now,
            Ok(None) => return Err(Code::HandshakeFailed),
            Err(error) => {
                self.store_failed(&error, "a controller's keys");
                self.step_later();
                return Ok(None);
            }
        };
        self.keys = Some(now);
        // It proved one of the keys as they were; what that one is now may be another matter.
        let which = match self.key {
            Some(key) if key == now.current => WhichKey::Current,
            Some(key) if now.has(&key) => WhichKey::Next,
            _ => return Err(Code::HandshakeFailed),
        };
        Ok(Some(now.step(which, crate::clock::time())))
    }

    async fn key_step_taken(&mut self, step: KeyStep) -> Result<(), Code> {
        let address = self.address;
        match step {
            KeyStep::Rest => {}
            KeyStep::Offer(next) => {
                tracing::info!(%address, "a controller has taken its next key");
                // By that key it comes back, and forgets the other one. One that comes by the old one all the
                // same is let in: better so than not at all.
                let is_due = next.forget_from <= crate::clock::time();
                if is_due && self.prover.sent_back.is_new(address, &next.key.0) {
                    return Err(Code::ShuttingDown);
                }
                if is_due {
                    tracing::warn!(%address, "a controller goes on with the key that it is to forget");
                    self.step_later();
                }
            }
            KeyStep::Forget(key) => self.settle(key).await,
        }
        Ok(())
    }

    fn key_step_failed(&self, refusal: Code) {
        count(&self.prover.telemetry.key_steps_failed);
        let (address, reason) = (self.address, refusal.name());
        tracing::warn!(%address, reason, "a controller did not change its keys; it is asked again");
        // One whose software cannot is asked whenever it comes, and not called for that.
        if refusal != Code::Unsupported {
            self.step_later();
        }
    }

    fn step_later(&self) {
        let at = crate::clock::time().plus(STEP_PAUSE);
        self.prover.keyring.step_again_at(self.address, at);
    }

    fn store_failed(&self, error: &StoreError, what: &str) {
        count(&self.prover.telemetry.store_failures);
        let (address, error) = (self.address, error as &dyn std::error::Error);
        tracing::warn!(%address, error, "the store did not do its part with {what}");
    }

    /// The controller has this key alone. Should the store not get to know that, it is asked again, which it
    /// answers as it did.
    async fn settle(&mut self, key: ControllerKey) {
        let (address, prover) = (self.address, self.prover);
        match prover.config.settle_controller_key(address, key).await {
            Ok(true) => {
                count(&prover.telemetry.keys_replaced);
                tracing::info!(%address, "a controller's key is replaced");
                // At once, and not when the store is looked at next: the old one opens nothing any more.
                prover.keyring.settle(address, key);
                self.keys = Some(key.into());
            }
            // Somebody has given it others meanwhile, or withdrawn it.
            Ok(false) => {}
            Err(error) => {
                self.store_failed(&error, "a key that is replaced");
                self.step_later();
            }
        }
    }

    /// What the controller says to the question. The rest of what it says goes to `frames`, so this may be
    /// dropped at any time.
    async fn answer(&mut self, frames: &mut Vec<u8>) -> Result<Result<(), Code>, Code> {
        while frames.len() < FRAMES_BYTES_MAX {
            let payload_bytes_max = self.noise()?.payload_bytes_max();
            let mut at = 0;
            let Some(wire) = self.wire.as_mut() else {
                return Err(Code::Internal);
            };
            let Step::Frames(range) = wire.next(&mut self.buffer, &mut at)? else {
                self.fill(self.buffer.len() + 1).await?;
                continue;
            };
            let came = self.buffer[range].to_vec();
            self.buffer.advance(at);
            check_whole(&came, payload_bytes_max)?;
            let mut answer = None;
            let mut rest = &came[..];
            while let Ok(Some((frame, after))) = FrameRef::split(rest, payload_bytes_max) {
                if is_answer(&frame) {
                    answer = Some(understand(&frame));
                } else {
                    frames.extend_from_slice(&rest[..rest.len() - after.len()]);
                }
                rest = after;
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Ok(Err(Code::Busy))
    }

    fn noise(&mut self) -> Result<&mut NoiseWire, Code> {
        self.wire.as_deref_mut().ok_or(Code::Internal)
    }
}

fn is_answer(frame: &FrameRef<'_>) -> bool {
    let header = frame.header();
    header.correlation == CORRELATION
        && header.kind == Kind::Response
        && header.destination == Address::GATEWAY
}

fn understand(frame: &FrameRef<'_>) -> Result<(), Code> {
    match Answer::decode(frame.payload()) {
        Ok(Answer::Ok(Body::Done(Verb::Rekey))) => Ok(()),
        Ok(Answer::Refused { code, .. }) => Err(code),
        Ok(Answer::Ok(_)) | Err(_) => Err(Code::BadField),
    }
}
