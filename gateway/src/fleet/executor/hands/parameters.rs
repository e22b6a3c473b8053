//! Parameters: values of a script that people adjust, set one by one by commands. There is no trial; what was
//! set holds at once, and each of them outlives a restart.
//!
//! A controller may be half-way between what it had and the release, when a link was lost in between. What a
//! look then says is in [`Ask::Inspect`](crate::fleet::rollout::Ask).

use super::{At, Early};
use crate::{
    digest::Digest,
    fleet::{
        rollout::{Answer, Inspected, Release},
        values::Values,
    },
    inside::Refusal,
    store::{Content as Kept, StoreError},
};
use std::time::Duration;
use switchyard_protocol::{
    Code,
    message::{Action, Body, Command, Key, Name, Parameter, Request, ScriptState, Stage},
};

/// How long a command may be on its way before it is not executed any more.
const COMMAND_TIME: Duration = Duration::from_secs(20);
/// How long its last receipt may take.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(25);

impl At<'_> {
    /// What its parameters are, of those that the release is about.
    pub(super) async fn inspect_parameters(
        &self,
        release: Release,
        save: bool,
        before: Option<Digest>,
    ) -> Result<Answer, Early> {
        let wanted = self.values(release.digest).await?;
        let script = self.health().await?.script;
        // Going back from it would bring back what they were.
        if script.state == ScriptState::OnTrial {
            return Err(Early::later("a script is on trial there"));
        }
        self.runs_its_script(script.state)?;
        let found = wanted.of_controller(&self.parameters().await?);
        let before = match before {
            Some(digest) if digest != release.digest => Some(self.values(digest).await?),
            _ => None,
        };
        let is_half_way = found != wanted
            && before
                .as_ref()
                .is_some_and(|it| found != *it && found.is_between(it, &wanted));
        let running = match before {
            Some(before) if is_half_way && save => before,
            _ if is_half_way => wanted,
            _ => found,
        };
        let saved = save && !running.is_empty() && self.save_values(&running).await?;
        Ok(Answer::Inspected(Inspected {
            running: (!running.is_empty()).then(|| running.digest()),
            on_trial: false,
            waiting: false,
            fell_back: false,
            faults: script.faults,
            saved,
        }))
    }

    /// In safe mode parameters are told and can be set, and no script shows what they do: it would look as if all
    /// was well.
    fn runs_its_script(&self, state: ScriptState) -> Result<(), Early> {
        match state {
            ScriptState::SafeMode => Err(Early::later("it is in safe mode: its script is stopped")),
            _ => Ok(()),
        }
    }

    /// Sets what is not as it is to be, once it is clear that all of it can be.
    pub(super) async fn send_parameters(&self, digest: Digest) -> Result<Answer, Early> {
        let wanted = self.values(digest).await?;
        self.runs_its_script(self.health().await?.script.state)?;
        let parameters = self.parameters().await?;
        let mut changes: Vec<(Name, i64)> = Vec::new();
        for (name, kind, value) in wanted.iter() {
            let found = parameters.iter().find(|it| it.name == *name);
            let refused = |words: String| Err(Early(Answer::Refused(words)));
            let Some(Parameter {
                value_type,
                value: is,
                min,
                max,
                ..
            }) = found
            else {
                return refused(format!("it has no parameter {name}"));
            };
            if *value_type != kind {
                let (has, wants) = (value_type.name(), kind.name());
                return refused(format!(
                    "its parameter {name} is a {has}, expected a {wants}"
                ));
            }
            if !(min..=max).contains(&&value) {
                return refused(format!(
                    "its parameter {name} takes {min} to {max}, not {value}"
                ));
            }
            if *is != value {
                changes.push((name.clone(), value));
            }
        }
        for (name, value) in changes {
            self.may_take_effect()?;
            self.adjust(name, value).await?;
        }
        Ok(Answer::Sent { on_trial: false })
    }

    /// Sets one, and waits until that is done.
    async fn adjust(&self, parameter: Name, value: i64) -> Result<(), Early> {
        let command = Command {
            key: Key(rand::random()),
            expiry: crate::clock::time().plus(COMMAND_TIME),
            wait: false,
            action: Action::Adjust { parameter, value },
        };
        let mut receipts = self.peer.command(self.controller, command).await?;
        let receiving = async {
            loop {
                let receipt = receipts.next().await?;
                if !receipt.is_final {
                    continue;
                }
                if matches!(receipt.stage, Stage::Executed | Stage::Confirmed) {
                    return Ok(());
                }
                // Without a reason nobody can tell what became of it: the next look does.
                return Err(Refusal {
                    code: receipt.reason.unwrap_or(Code::LinkLost),
                    detail: receipt.detail.map(|detail| detail.as_str().to_owned()),
                });
            }
        };
        let done = tokio::time::timeout(RECEIPT_TIMEOUT, receiving).await;
        let done = done.unwrap_or_else(|_| Err(Code::TimedOut.into()));
        Ok(done?)
    }

    async fn parameters(&self) -> Result<Vec<Parameter>, Early> {
        match self.ask(Request::Parameters).await? {
            Body::Parameters { parameters } => Ok(parameters),
            _ => Err(Refusal::from(Code::Internal).into()),
        }
    }

    /// Values out of the library.
    async fn values(&self, digest: Digest) -> Result<Values, Early> {
        let content = self.store.content(digest).await?;
        let values = content.and_then(|content| Values::decode(content.parts().first()?));
        values.ok_or_else(|| {
            let words = format!("the library has no values of parameters {digest}");
            Early(Answer::Refused(words))
        })
    }

    async fn save_values(&self, values: &Values) -> Result<bool, Early> {
        let content = Kept::parameters(values.encode().into())?;
        match self.store.put_content(content, crate::clock::time()).await {
            Ok(_) => Ok(true),
            Err(StoreError::Full { .. } | StoreError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
