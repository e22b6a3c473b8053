//! Telephone calls over a SIP trunk, spoken.

use super::tellers::spoken;
use crate::alarm::{
    model::{Channel, Outcome},
    people::Language,
    settings::SipSettings,
    telling::{Errand, Heard, Line, Said, Teller, Telling, converse},
};
use anyhow::Context as _;
use std::{sync::Arc, time::Duration};
use switchyard_telephone::{
    Call, End, Event, Number, Progress, Trunk,
    speech::{Phrase, Speech},
};

/// See the module.
pub(super) struct Sip {
    trunk: Trunk,
    speech: Arc<Speech>,
    ring_limit: Duration,
}

impl Sip {
    pub(super) async fn open(settings: &SipSettings, speech: Arc<Speech>) -> anyhow::Result<Self> {
        Ok(Sip {
            trunk: open(settings).await?,
            speech,
            ring_limit: settings.ring_limit,
        })
    }

    async fn call(&self, errand: &Errand) -> Outcome {
        let number: Number = match errand.destination.parse() {
            Ok(number) => number,
            Err(error) => return failed(error),
        };
        let call = match self.trunk.call(&number, self.ring_limit).await {
            Ok(call) => call,
            Err(error) => return failed(error),
        };
        let mut line = Spoken {
            call,
            speech: &self.speech,
        };
        let outcome = converse(&mut line, errand).await;
        // What became of it is known; hanging up is done to its end all the same, so that the trunk has its line back.
        line.call.hang_up().await;
        outcome
    }
}

async fn open(settings: &SipSettings) -> anyhow::Result<Trunk> {
    let mut trunk = settings.trunk.clone();
    if let Some(path) = &settings.ca_file {
        let read = tokio::fs::read(path).await;
        let pem = read.with_context(|| format!("cannot read {}", path.display()))?;
        trunk.root_certificates = Some(pem);
    }
    Ok(Trunk::open(trunk).await?)
}

/// Whether a trunk is there and lets us in, without calling anybody.
///
/// # Errors
/// Why not, in words for people.
pub(crate) async fn probe_trunk(settings: &SipSettings) -> Result<(), String> {
    let trunk = open(settings).await.map_err(|it| format!("{it:#}"))?;
    trunk.probe().await.map_err(|it| it.to_string())
}

impl Teller for Sip {
    fn channel(&self) -> Channel {
        Channel::Sip
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move { self.call(&errand).await })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        Box::pin(async {
            // A call in which nothing is spoken tells nobody anything.
            let checked = self.speech.check(spoken(Language::En), "Alarm.").await;
            checked.map_err(|error| format!("nothing speaks: {error}"))?;
            self.trunk.probe().await.map_err(|it| it.to_string())
        })
    }
}

fn failed(error: impl Into<anyhow::Error>) -> Outcome {
    // With its causes.
    let reason = format!("{:#}", error.into());
    Outcome::Failed { reason }
}

/// A call, and what speaks in it.
struct Spoken<'a> {
    call: Call,
    speech: &'a Speech,
}

impl Line for Spoken<'_> {
    fn say<'a>(
        &'a mut self,
        said: Said<'a>,
        language: Language,
    ) -> Telling<'a, Result<(), String>> {
        Box::pin(async move {
            let Said { alarms, phrase } = said;
            let mut phrases: Vec<_> = alarms.into_iter().map(Phrase::text).collect();
            phrases.push(Phrase::clip(phrase.clip(), phrase.text(language)));
            let sound = self.speech.join(spoken(language), &phrases).await;
            self.call.play(sound.map_err(|error| error.to_string())?);
            Ok(())
        })
    }

    fn next(&mut self) -> Telling<'_, Heard> {
        Box::pin(async {
            loop {
                return match self.call.next().await {
                    Event::Progress(Progress::Ringing | Progress::EarlyMedia) => Heard::Ringing,
                    Event::Progress(Progress::Answered) => Heard::Answered,
                    Event::Progress(Progress::Trying) => continue,
                    Event::Key(key) => Heard::Key(key),
                    Event::Played => Heard::Said,
                    Event::Ended(end) => Heard::Ended(outcome_of(&end)),
                };
            }
        })
    }
}

/// What a call's end means for whoever was to be told.
fn outcome_of(end: &End) -> Outcome {
    let failed = |reason: String| Outcome::Failed { reason };
    match end {
        End::HungUpByThem | End::HungUpByUs | End::TooLong | End::Lost => Outcome::Unanswered,
        End::Withdrawn => Outcome::Withdrawn,
        End::NoAnswer => Outcome::NoAnswer,
        End::Busy | End::Declined => Outcome::Busy,
        other => failed(other.to_string()),
    }
}
