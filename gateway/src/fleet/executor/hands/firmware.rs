//! Firmware: looked at by board and version, sent into the slot that does not run, tried by a restart that the controller
//! judges itself.

use super::{ANSWER_TIMEOUT, At, Early};
use crate::{
    digest::Digest,
    fleet::{
        firmware::{self, FirmwareName},
        rollout::{Answer, Inspected, Release},
    },
    inside::{Refusal, Transfer},
    store::Content as Kept,
};
use bytes::Bytes;
use std::time::Duration;
use switchyard_protocol::{
    Code,
    firmware::HEAD_BYTES,
    message::{Body, Content, FirmwareHealth, FirmwareState, Health, Request},
};
use tokio::time::Instant;

/// How long a controller may take to come back from its restart: three attempts at an image that does not run,
/// each until a watchdog bites, and then the way back to the gateway with what it had.
const RETURN_TIMEOUT: Duration = Duration::from_secs(240);
/// How often it is looked whether it is back.
const RETURN_INTERVAL: Duration = Duration::from_secs(2);

/// What a controller runs.
struct Look {
    name: FirmwareName,
    state: FirmwareState,
    slot: u8,
    boot: u32,
    faults: u32,
}

impl Look {
    fn on_trial(&self) -> bool {
        self.state == FirmwareState::OnTrial
    }
}

impl At<'_> {
    /// Which firmware it runs; with `save` it is seen to that this stays in the library, if it is there.
    pub(super) async fn inspect_firmware(
        &self,
        release: Release,
        save: bool,
    ) -> Result<Answer, Early> {
        let wanted = self.firmware_name(release.digest).await?;
        let look = self.firmware().await?;
        if look.name.profile != wanted.profile {
            return Ok(Answer::OtherBoard);
        }
        let (running, is_known) = match look.name == wanted {
            true => (release.digest, true),
            false => firmware::running(self.store, look.name.clone()).await?,
        };
        let saved = is_known && save && self.keep(running).await?;
        Ok(Answer::Inspected(Inspected {
            running: Some(running),
            on_trial: look.on_trial(),
            faults: look.faults,
            saved,
        }))
    }

    /// Brings it a firmware and has it restart into that. The answer comes when it is back.
    pub(super) async fn send_firmware(&self, digest: Digest) -> Result<Answer, Early> {
        let wanted = self.firmware_name(digest).await?;
        let before = self.firmware().await?;
        if before.name == wanted {
            let on_trial = before.on_trial();
            return Ok(Answer::Sent { on_trial });
        }
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
        self.bring(Content::FirmwareManifest, head).await?;
        self.bring(Content::FirmwareImage, image).await?;
        self.may_take_effect()?;
        match self.ask(Request::Restart).await? {
            Body::Done(_) => {}
            _ => return Err(Refusal::from(Code::Internal).into()),
        }
        let after = self.returned(before.boot).await?;
        Ok(match after.name == wanted {
            true => Answer::Sent {
                on_trial: after.on_trial(),
            },
            false => Answer::WentBack,
        })
    }

    async fn bring(&self, content: Content, bytes: Bytes) -> Result<(), Early> {
        let transfer = Transfer::new(&self.peer, self.controller, ANSWER_TIMEOUT);
        transfer.write(content, &bytes).await?;
        match transfer.commit(Digest::of(&bytes), false).await? {
            None => Ok(()),
            Some(_) => Err(Refusal::from(Code::Internal).into()),
        }
    }

    /// Waits until it is back from a restart.
    async fn returned(&self, boot: u32) -> Result<Look, Early> {
        let latest = self.until.min(Instant::now() + RETURN_TIMEOUT);
        while Instant::now() < latest {
            tokio::time::sleep(RETURN_INTERVAL).await;
            // It is away, or busy with its beginnings.
            if let Ok(look) = self.firmware().await
                && look.boot != boot
            {
                return Ok(look);
            }
        }
        Err(Early::later("it has not come back from its restart"))
    }

    async fn firmware(&self) -> Result<Look, Early> {
        let Health {
            boot,
            script,
            firmware,
            ..
        } = self.health().await?;
        let told = firmware.and_then(|it| Some((firmware::name_told(&it)?, it)));
        let Some((name, FirmwareHealth { state, slot, .. })) = told else {
            let words = "it does not tell which firmware it runs";
            return Err(Early(Answer::Refused(words.into())));
        };
        Ok(Look {
            name,
            state,
            slot,
            boot,
            faults: script.faults,
        })
    }

    async fn firmware_name(&self, digest: Digest) -> Result<FirmwareName, Early> {
        let found = self.store.firmware_of(digest).await?;
        let found = found.map(|it| it.name);
        found.ok_or_else(|| {
            let words = format!("the library has no firmware {digest}");
            Early(Answer::Refused(words))
        })
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
        if let Some((known, content)) = last.as_ref()
            && *known == digest
        {
            return Ok(Some(content.clone()));
        }
        let content = self.store.content(digest).await?;
        if let Some(content) = &content {
            *last = Some((digest, content.clone()));
        }
        Ok(content)
    }
}
