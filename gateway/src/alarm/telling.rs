//! Telling one contact by one channel: what a channel is given, and how it reports back.
//!
//! A channel decides nothing. It asks for the words when somebody listens, tells how far it came, and has what was decided
//! kept before it says so.

use super::{
    book::Decision,
    conversation::{Conversation, Next, Phrase},
    model::{AttemptId, Channel, Outcome, Step},
    people::Language,
    wording::Wording,
};
use std::{future::Future, pin::Pin};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What a channel's call returns.
pub(crate) type Telling<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way of telling somebody.
pub(crate) trait Teller: Send + Sync + 'static {
    /// Which one it is.
    fn channel(&self) -> Channel;

    /// Tells somebody, until that has come to an end. Dropping it ends whatever is under way.
    fn tell(&self, errand: Errand) -> Telling<'_, Outcome>;

    /// Looks whether it is in order, without telling anybody anything.
    ///
    /// # Errors
    /// What is wrong, in words for people.
    fn probe(&self) -> Telling<'_, Result<(), String>>;
}

/// What an attempt reports to the owner of alarms.
#[derive(Debug)]
pub(crate) enum Report {
    /// Somebody listens: what is to be told? Nothing, when it is not needed any more.
    Word(AttemptId, oneshot::Sender<Option<Wording>>),
    /// It has come so far.
    Step(AttemptId, Step),
    /// A key was pressed.
    Key(AttemptId, char),
    /// Somebody has decided; answered once that is kept.
    Decide(AttemptId, Decision, oneshot::Sender<bool>),
    /// A text came that begins with a code, from a number.
    Answer {
        /// From which number.
        from: String,
        /// What it says.
        text: String,
    },
}

/// One contact to be told by one channel.
pub(crate) struct Errand {
    /// Which attempt it is.
    pub(crate) attempt: AttemptId,
    /// The number or address.
    pub(crate) destination: String,
    /// In which language.
    pub(crate) language: Language,
    /// What they say on the telephone to be believed. Secret.
    pub(crate) pin: Option<String>,
    /// Cancelled when it is not needed any more.
    pub(crate) withdrawn: CancellationToken,
    pub(crate) reports: mpsc::Sender<Report>,
}

impl Errand {
    /// What is to be told; none when nothing is, any more.
    pub(crate) async fn word(&self) -> Option<Wording> {
        let (answer, wording) = oneshot::channel();
        let asked = self.reports.send(Report::Word(self.attempt, answer)).await;
        asked.ok()?;
        wording.await.ok()?
    }

    /// It has come so far.
    pub(crate) async fn step(&self, step: Step) {
        // Without an owner nobody keeps it, and the errand is about to end.
        let _ = self.reports.send(Report::Step(self.attempt, step)).await;
    }

    /// A key was pressed.
    pub(crate) async fn key(&self, key: char) {
        let _ = self.reports.send(Report::Key(self.attempt, key)).await;
    }

    /// Has a decision kept; whether it is.
    pub(crate) async fn decide(&self, decision: Decision) -> bool {
        let (answer, kept) = oneshot::channel();
        let report = Report::Decide(self.attempt, decision, answer);
        if self.reports.send(report).await.is_err() {
            return false;
        }
        kept.await.unwrap_or(false)
    }
}

/// What happens on a telephone line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The other telephone rings.
    Ringing,
    /// It was answered.
    Answered,
    /// A key.
    Key(char),
    /// What was to be spoken has been.
    Said,
    /// The call is over, or came to nothing.
    Ended(Outcome),
}

/// What is spoken at once: the alarms, as they are worded, and then what every call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub(crate) alarms: Option<&'a str>,
    pub(crate) phrase: Phrase,
}

impl Said<'_> {
    /// All of it as one text.
    pub(crate) fn text(self, language: Language) -> String {
        let phrase = self.phrase.text(language);
        match self.alarms {
            Some(alarms) => format!("{alarms} {phrase}"),
            None => phrase.into(),
        }
    }
}

/// A call, whatever carries it. Dropping it hangs up.
pub(crate) trait Line: Send {
    /// Speaks something, in place of what is being spoken.
    ///
    /// # Errors
    /// Why it cannot be spoken.
    fn say<'a>(&'a mut self, said: Said<'a>, language: Language)
    -> Telling<'a, Result<(), String>>;

    /// The next thing that happens. Cancel-safe.
    fn next(&mut self) -> Telling<'_, Heard>;
}

/// Talks to whoever answers a call.
pub(crate) async fn converse(line: &mut dyn Line, errand: &Errand) -> Outcome {
    let mut talk = Conversation::new(errand.pin.clone());
    // Until it is answered.
    loop {
        let heard = tokio::select! {
            () = errand.withdrawn.cancelled() => return Outcome::Withdrawn,
            heard = line.next() => heard,
        };
        match heard {
            Heard::Ringing => errand.step(Step::Ringing).await,
            Heard::Answered => break,
            Heard::Ended(outcome) => return outcome,
            Heard::Key(_) | Heard::Said => {}
        }
    }
    errand.step(Step::Answered).await;
    // Who has taken the call is not hung up on when somebody else hears of it meanwhile.
    let mut next = talk.answered();
    let mut is_told = false;
    loop {
        next = match next {
            Next::Say(phrase) => {
                let said = Said {
                    alarms: None,
                    phrase,
                };
                if let Err(reason) = line.say(said, errand.language).await {
                    return Outcome::Failed { reason };
                }
                listen(line, errand, &mut talk, None).await
            }
            Next::SayAlarms => {
                let Some(wording) = errand.word().await else {
                    return Outcome::Withdrawn;
                };
                let said = Said {
                    alarms: Some(&wording.spoken),
                    phrase: Phrase::Keys,
                };
                if let Err(reason) = line.say(said, errand.language).await {
                    return Outcome::Failed { reason };
                }
                if !std::mem::replace(&mut is_told, true) {
                    errand.step(Step::Told).await;
                }
                listen(line, errand, &mut talk, None).await
            }
            Next::Listen(patience) => listen(line, errand, &mut talk, Some(patience)).await,
            Next::Decide(decision) => {
                let is_kept = errand.decide(decision).await;
                talk.decided(is_kept)
            }
            Next::End(outcome) => return outcome,
        };
    }
}

/// What comes next of what is heard: while something is spoken, or for so long.
async fn listen(
    line: &mut dyn Line,
    errand: &Errand,
    talk: &mut Conversation,
    patience: Option<std::time::Duration>,
) -> Next {
    let until = patience.map(|it| tokio::time::Instant::now() + it);
    loop {
        let heard = match until {
            None => line.next().await,
            Some(until) => match tokio::time::timeout_at(until, line.next()).await {
                Ok(heard) => heard,
                Err(_) => return talk.silent(),
            },
        };
        match heard {
            Heard::Key(key) => {
                errand.key(talk.key_for_record(key)).await;
                if let Some(next) = talk.key(key) {
                    return next;
                }
            }
            Heard::Said if until.is_none() => return talk.said(),
            Heard::Ended(Outcome::Unanswered) => return Next::End(talk.hung_up()),
            Heard::Ended(outcome) => {
                // A line that breaks after the goodbye has begun does not undo what was decided.
                return Next::End(match talk.hung_up() {
                    Outcome::Unanswered => outcome,
                    decided => decided,
                });
            }
            Heard::Ringing | Heard::Answered | Heard::Said => {}
        }
    }
}
