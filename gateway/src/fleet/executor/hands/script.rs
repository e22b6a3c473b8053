//! Scripts: looked at by digest, sent in pieces, run on trial, kept or taken back.

use super::{ANSWER_TIMEOUT, At, Early};
use crate::{
    digest::Digest,
    fleet::rollout::{Answer, Inspected},
    inside::{Refusal, Transfer},
    store::{Content as Kept, StoreError},
};
use switchyard_protocol::{
    Code,
    message::{Body, Content, Request, ScriptFault, ScriptState},
};

/// Looks that may find another script each time before nothing is said.
const LOOKS_MAX: usize = 3;

/// What a controller runs.
#[derive(Clone, Copy, Debug)]
struct Look {
    running: Option<Digest>,
    on_trial: bool,
    faults: u32,
}

impl At<'_> {
    /// What it runs; with `save`, that is read from it into the library where it is not there.
    pub(super) async fn inspect_script(&self, save: bool) -> Result<Answer, Early> {
        let look = self.look().await?;
        let saved = match look.running {
            Some(digest) if save => self.save(digest).await?,
            _ => false,
        };
        Ok(Answer::Inspected(Inspected {
            running: look.running,
            on_trial: look.on_trial,
            waiting: false,
            fell_back: false,
            faults: look.faults,
            saved,
        }))
    }

    /// All of it is of one moment: what health tells with a digest.
    async fn look(&self) -> Result<Look, Early> {
        for _ in 0..LOOKS_MAX {
            let script = self.health().await?.script;
            let on_trial = match script.state {
                ScriptState::None => {
                    return Ok(Look {
                        running: None,
                        on_trial: false,
                        faults: 0,
                    });
                }
                // Somebody has stopped it by hand, or it kept the board from starting. Neither is a
                // moment for another one.
                ScriptState::SafeMode => {
                    return Err(Early::later("it is in safe mode: its script is stopped"));
                }
                ScriptState::Kept => false,
                ScriptState::OnTrial => true,
            };
            if let Some(digest) = script.digest {
                return Ok(Look {
                    running: Some(Digest(digest)),
                    on_trial,
                    faults: script.faults,
                });
            }
            // It works the digest out some seconds after a script began; whoever asks for a piece of the
            // script has it do so at once.
            let (content, offset) = (Content::Script, 0);
            match self.ask(Request::TransferRead { content, offset }).await? {
                Body::TransferRead { .. } => {}
                _ => return Err(Refusal::from(Code::Internal).into()),
            }
        }
        Err(Early::later("it does not tell what it runs"))
    }

    /// Whether that script is in the library by now.
    async fn save(&self, digest: Digest) -> Result<bool, Early> {
        if let Some(known) = self.store.content(digest).await? {
            // Kept anew: nothing may refer to it until this roll-out does.
            self.store.put_content(known, crate::clock::time()).await?;
            return Ok(true);
        }
        let bytes = self.transfer().read(Content::Script).await?;
        if Digest::of(&bytes) != digest {
            return Err(Early::later("its script changed while it was read"));
        }
        // What no compiler of ours takes as a text, or what finds no room, cannot be brought back: whether it
        // is replaced all the same is for the terms to say.
        let Some(content) = std::str::from_utf8(&bytes).ok().map(Kept::script) else {
            return Ok(false);
        };
        let kept = match content {
            Ok(content) => self.store.put_content(content, crate::clock::time()).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(_) => Ok(true),
            Err(StoreError::Full { .. } | StoreError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Brings it a script and runs it.
    pub(super) async fn send_script(&self, digest: Digest, trial: bool) -> Result<Answer, Early> {
        let content = self.store.content(digest).await?;
        let Some(source) = content.as_ref().and_then(Kept::source) else {
            let words = format!("the library has no script {digest}");
            return Err(Early(Answer::Refused(words)));
        };
        let transfer = self.transfer();
        transfer.write(Content::Script, source.as_bytes()).await?;
        self.may_take_effect()?;
        match transfer.commit(digest, !trial).await? {
            None => Ok(Answer::Sent { on_trial: trial }),
            Some(fault) => Ok(Answer::Refused(words_of(&fault))),
        }
    }

    /// Ends the trial of that script, and of no other.
    pub(super) async fn end_trial(&self, tried: Digest, keep: bool) -> Result<Answer, Early> {
        let look = self.look().await?;
        if !look.on_trial || look.running != Some(tried) {
            return Err(Early::later("it does not try that script any more"));
        }
        self.may_take_effect()?;
        match self.ask(Request::Trial { keep }).await? {
            Body::Done(_) => Ok(Answer::Done),
            _ => Err(Refusal::from(Code::Internal).into()),
        }
    }

    pub(super) fn transfer(&self) -> Transfer<'_> {
        Transfer::new(&self.peer, self.controller, ANSWER_TIMEOUT)
    }
}

/// Where a script does not compile, as the console says it.
fn words_of(fault: &ScriptFault) -> String {
    let ScriptFault {
        line,
        column,
        expected,
        ..
    } = fault;
    format!(
        "line {line}, column {column}: expected {}",
        expected.as_str()
    )
}
