//! Firmware: looked at by board and version, sent into the slot that does not run, tried by a restart that the controller
//! judges itself.

use super::{At, EFFECT_TIME, Early};
use crate::{
    digest::Digest,
    fleet::{
        firmware::{self, FirmwareName},
        rollout::{Answer, Inspected, Release},
    },
    inside::Refusal,
    store::Content as Kept,
};
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Code,
    firmware::{FirmwareVersion, HEAD_BYTES, Manifest},
    message::{Body, Content, FirmwareHealth, FirmwareState, Health, Request, ScriptState},
};
use tokio::time::Instant;

/// How long a controller may take to come back from its restart: three boots of ten minutes into what does not come to
/// its gateway, and then the way back with what it had.
const RETURN_TIMEOUT: Duration = Duration::from_secs(35 * 60);
/// How often it is looked whether it is back.
const RETURN_INTERVAL: Duration = Duration::from_secs(2);
/// Contents that stay in memory: what is brought, and what some had.
const CONTENTS_MAX: usize = 4;
/// The digest of nothing that anybody sends: opening a transfer of it gives up what waits.
const NOTHING: [u8; 32] = [0; 32];

/// The contents that were read from the library last, the newest at the end.
pub(super) type LastContents = tokio::sync::Mutex<Vec<(Digest, Kept)>>;

/// What a controller runs.
struct Look {
    name: FirmwareName,
    state: FirmwareState,
    slot: u8,
    boot: u32,
    faults: u32,
    script: ScriptState,
}

impl Look {
    fn of(health: Health) -> Result<Self, Early> {
        let Health {
            boot,
            script,
            firmware,
            ..
        } = health;
        let told = firmware.and_then(|it| Some((firmware::name_told(&it)?, it)));
        let Some((name, FirmwareHealth { state, slot, .. })) = told else {
            let words = "it does not tell which firmware it runs: its first update is by hand";
            return Err(Early(Answer::Refused(words.into())));
        };
        Ok(Look {
            name,
            state,
            slot,
            boot,
            faults: script.faults,
            script: script.state,
        })
    }

    fn on_trial(&self) -> bool {
        self.state == FirmwareState::OnTrial
    }

    fn is_waiting(&self) -> bool {
        self.state == FirmwareState::Waiting
    }

    /// Whether a restart does no harm to anybody else's doings.
    fn may_restart(&self, is_release: bool) -> Result<(), Early> {
        match self.script {
            ScriptState::OnTrial => Err(Early::later("a script is on trial on it")),
            // Somebody has stopped it by hand, or it kept the board from starting; the way back may cure that.
            ScriptState::SafeMode if is_release => {
                Err(Early::later("it is in safe mode: its script is stopped"))
            }
            ScriptState::None | ScriptState::Kept | ScriptState::SafeMode => Ok(()),
        }
    }
}

impl At<'_> {
    /// Which firmware it runs; with `save` it is seen to that this stays in the library, if it is there. What it ran
    /// `before` is still known by that, though somebody has added it to the library since.
    pub(super) async fn inspect_firmware(
        &self,
        release: Release,
        (save, before): (bool, Option<Digest>),
    ) -> Result<Answer, Early> {
        let (wanted, lowest) = self.manifest(release.digest).await?;
        let look = Look::of(self.health().await?)?;
        if look.name.profile != wanted.profile {
            return Ok(Answer::OtherBoard);
        }
        let own = look.name.digest();
        let (running, is_known) = match look.name == wanted {
            true => (release.digest, true),
            false if before == Some(own) => (own, false),
            false => firmware::running(self.store, look.name.clone()).await?,
        };
        // Once the release is confirmed the controller takes nothing below that.
        let may_return = look.name.version >= lowest;
        let saved = is_known && save && may_return && self.keep(running).await?;
        Ok(Answer::Inspected(Inspected {
            running: Some(running),
            on_trial: look.on_trial(),
            waiting: look.is_waiting(),
            fell_back: look.state == FirmwareState::FellBack,
            faults: look.faults,
            saved,
        }))
    }

    /// Brings it a firmware and has it restart into that. The answer comes when it is back.
    pub(super) async fn send_firmware(
        &self,
        digest: Digest,
        is_release: bool,
    ) -> Result<Answer, Early> {
        let (wanted, _) = self.manifest(digest).await?;
        let before = Look::of(self.health().await?)?;
        if before.name == wanted && !before.is_waiting() {
            let on_trial = before.on_trial();
            return Ok(Answer::Sent { on_trial });
        }
        before.may_restart(is_release)?;
        let content = self.content(digest).await?;
        let update = content.as_ref().and_then(|it| {
            // From the slot that runs it reads, and cannot be written.
            firmware::for_slot(it, if before.slot == 1 { 2 } else { 1 })
        });
        let Some(update) = update else {
            let words = format!("the library has no such update of {wanted}");
            return Err(Early(Answer::Refused(words)));
        };
        let (head, image) = (update.slice(..HEAD_BYTES), update.slice(HEAD_BYTES..));
        self.bring(Content::FirmwareManifest, &head).await?;
        self.transfer()
            .write(Content::FirmwareImage, &image)
            .await?;
        // What is committed is tried at the next restart, so that has to come now.
        if Instant::now() + RETURN_TIMEOUT + EFFECT_TIME > self.until {
            return Err(Early::later("it took too long"));
        }
        Look::of(self.health().await?)?.may_restart(is_release)?;
        if !self.going.commit() {
            return Err(Early::later("the roll-out was stopped"));
        }
        self.commit(&image).await?;
        // From here on it has the firmware, whatever it refuses.
        let after = self.restarted(before.boot).await;
        let after = after.map_err(|Early(answer)| match answer {
            Answer::Refused(words) => Early(Answer::Unreached(words)),
            other => Early(other),
        })?;
        Ok(match after.name == wanted {
            true => Answer::Sent {
                on_trial: after.on_trial(),
            },
            false => Answer::WentBack,
        })
    }

    /// Gives up what waits for a restart. Nobody can end a trial.
    pub(super) async fn give_up_firmware(&self) -> Result<Answer, Early> {
        let look = Look::of(self.health().await?)?;
        if look.on_trial() {
            return Err(Early::later("a firmware's trial ends by itself"));
        }
        if look.is_waiting() {
            self.may_take_effect()?;
            let nothing = Request::TransferOpen {
                content: Content::FirmwareManifest,
                size: u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX),
                digest: NOTHING,
            };
            match self.ask(nothing).await? {
                Body::TransferOpen { .. } => {}
                _ => return Err(Refusal::from(Code::Internal).into()),
            }
        }
        Ok(Answer::Done)
    }

    async fn bring(&self, content: Content, bytes: &Bytes) -> Result<(), Early> {
        self.transfer().write(content, bytes).await?;
        self.commit(bytes).await
    }

    async fn commit(&self, bytes: &Bytes) -> Result<(), Early> {
        match self.transfer().commit(Digest::of(bytes), false).await? {
            None => Ok(()),
            Some(_) => Err(Refusal::from(Code::Internal).into()),
        }
    }

    /// Has it restart, and waits until it is back.
    async fn restarted(&self, boot: u32) -> Result<Look, Early> {
        match self.ask(Request::Restart).await? {
            Body::Done(_) => {}
            _ => return Err(Refusal::from(Code::Internal).into()),
        }
        let latest = self.until.min(Instant::now() + RETURN_TIMEOUT);
        while Instant::now() < latest {
            tokio::time::sleep(RETURN_INTERVAL).await;
            // It is away, or busy with its beginnings.
            let Ok(health) = self.health().await else {
                continue;
            };
            if health.boot != boot {
                return Look::of(health);
            }
        }
        Err(Early::later("it has not come back from its restart"))
    }

    /// What a firmware's own manifest says of it: its name, and the lowest version that may follow.
    async fn manifest(&self, digest: Digest) -> Result<(FirmwareName, FirmwareVersion), Early> {
        let content = self.content(digest).await?;
        let part = content.as_ref().and_then(|it| it.parts().first());
        let manifest = part.and_then(|part| Manifest::read(part).ok());
        let read = manifest.and_then(|it| Some((it.profile.parse().ok()?, it)));
        let Some((
            profile,
            Manifest {
                version, lowest, ..
            },
        )) = read
        else {
            let words = format!("the library has no firmware {digest}");
            return Err(Early(Answer::Refused(words)));
        };
        Ok((FirmwareName { profile, version }, lowest))
    }

    /// Keeps a content anew, for nothing may refer to it until this roll-out does; whether it is there.
    async fn keep(&self, digest: Digest) -> Result<bool, Early> {
        let Some(content) = self.content(digest).await? else {
            return Ok(false);
        };
        let now = crate::clock::time();
        self.store.put_content(content, now).await?;
        Ok(true)
    }

    /// From the library, or from memory: a megabyte for each of many controllers would be read anew.
    async fn content(&self, digest: Digest) -> Result<Option<Kept>, Early> {
        let mut last = self.contents.lock().await;
        if let Some((_, content)) = last.iter().find(|(known, _)| *known == digest) {
            return Ok(Some(content.clone()));
        }
        let content = self.store.content(digest).await?;
        if let Some(content) = &content {
            if last.len() >= CONTENTS_MAX {
                last.remove(0);
            }
            last.push((digest, content.clone()));
        }
        Ok(content)
    }
}
