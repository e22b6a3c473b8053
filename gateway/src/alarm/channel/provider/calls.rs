//! Calls by a service: it asks by HTTP what is to be said, and tells which keys were pressed.

use super::{
    CallStatus, Gather, Reply, Switchboard,
    switchboard::{Answered, Event},
};
use crate::alarm::{
    channel::Fault,
    conversation::Asked,
    model::{Channel, Outcome},
    people::Language,
    telling::{Errand, Heard, Line, Said, Teller, Telling, converse},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use switchyard_telephone::Number;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

/// How long a call may last.
const TALK_LIMIT: Duration = Duration::from_secs(300);
/// How much longer the service may take to say that it is over.
const TALK_SLACK: Duration = Duration::from_secs(15);
/// How long it takes to speak a letter, at the slowest.
const LETTER: Duration = Duration::from_millis(400);
/// How long the service may take from what was spoken, and waited for, to its next question.
const TURN_SLACK: Duration = Duration::from_secs(30);
/// How long a call may be on its way before the telephone rings, besides the time that it rings.
const DIAL_SLACK: Duration = Duration::from_secs(10);
/// Letters that are spoken at once; services take some more.
const LETTERS_MAX: usize = 3_000;

/// See the module.
pub(in crate::alarm::channel) struct Calls {
    pub(in crate::alarm::channel) switchboard: Arc<Switchboard>,
    pub(in crate::alarm::channel) ring_limit: Duration,
}

impl Teller for Calls {
    fn channel(&self) -> Channel {
        Channel::ProviderCall
    }

    fn tell(&self, errand: Errand) -> Telling<'_, Outcome> {
        Box::pin(async move {
            let number: Number = match errand.destination.parse() {
                Ok(number) => number,
                Err(error) => {
                    return Outcome::Failed {
                        reason: format!("{error}"),
                    };
                }
            };
            let mut call = Call::place(&self.switchboard, number, self.ring_limit);
            converse(&mut call, &errand).await
        })
    }

    fn probe(&self) -> Telling<'_, Result<(), String>> {
        // It is looked at by using it.
        Box::pin(async { Ok(()) })
    }
}

/// A call as the service tells of it. Dropping it ends it.
struct Call {
    switchboard: Arc<Switchboard>,
    token: String,
    events: mpsc::Receiver<Event>,
    said: watch::Sender<Answered>,
    /// Tells whether the service has taken it, once.
    placed: Option<oneshot::Receiver<Result<String, Fault>>>,
    /// Why it may not have been made, which is found out by waiting.
    doubt: Option<String>,
    ring_limit: Duration,
    asked: Asked,
    /// The service's question that is not answered yet.
    open_turn: Option<u32>,
    /// What is to be said when it asks next.
    unsaid: Option<(String, Language)>,
    heard: VecDeque<Heard>,
    /// The service has told something of it.
    has_sign: bool,
    has_rung: bool,
    is_answered: bool,
    is_over: bool,
    /// By when the service has to tell something.
    limit: Instant,
    /// By when it is over, whatever is told.
    ends: Instant,
}

impl Call {
    /// Has a call made. That goes on by itself: one that nobody waits for any more is ended once it is known.
    fn place(switchboard: &Arc<Switchboard>, to: Number, ring_limit: Duration) -> Self {
        let (placing, placed) = oneshot::channel();
        let call = Self::waiting(switchboard, placed, ring_limit);
        let (switchboard, token) = (Arc::clone(switchboard), call.token.clone());
        let tasks = switchboard.tasks.clone();
        tasks.spawn(async move {
            let answer_url = switchboard.turn_url(&token, 1);
            let status_url = switchboard.call_status_url(&token);
            let limits = (ring_limit, TALK_LIMIT);
            let asking = switchboard
                .provider
                .call(&to, &answer_url, &status_url, limits);
            if let Err(Ok(name)) = placing.send(asking.await) {
                switchboard.end(name);
            }
        });
        call
    }

    fn waiting(
        switchboard: &Arc<Switchboard>,
        placed: oneshot::Receiver<Result<String, Fault>>,
        ring_limit: Duration,
    ) -> Self {
        let connected = switchboard.connect();
        // Twice, since a service makes calls one after the other.
        let limit = Instant::now() + ring_limit * 2 + DIAL_SLACK;
        Call {
            switchboard: Arc::clone(switchboard),
            token: connected.token,
            events: connected.events,
            said: connected.said,
            placed: Some(placed),
            doubt: None,
            ring_limit,
            asked: Asked {
                keys: 0,
                patience: Duration::ZERO,
            },
            open_turn: None,
            unsaid: None,
            heard: VecDeque::new(),
            has_sign: false,
            has_rung: false,
            is_answered: false,
            is_over: false,
            limit,
            ends: limit + TALK_LIMIT + TALK_SLACK,
        }
    }

    fn placed(&mut self, placed: Result<String, Fault>) {
        match placed {
            Ok(name) => self.switchboard.name(&self.token, &name),
            // It may ring all the same: a second call would be one too many.
            Err(fault) if fault.may_be_done() => self.doubt = Some(fault.to_string()),
            Err(fault) => {
                self.is_over = true;
                self.heard.push_back(failed(fault.to_string()));
            }
        }
    }

    fn told(&mut self, event: Event) {
        self.has_sign = true;
        match event {
            Event::Status(status) => self.stands(status),
            Event::Turn(turn, keys) => self.turned(turn, &keys),
        }
    }

    fn stands(&mut self, status: CallStatus) {
        let heard = match status {
            // It is answered when what is to be said is asked for.
            CallStatus::Queued | CallStatus::Answered => return,
            CallStatus::Ringing => {
                if !std::mem::replace(&mut self.has_rung, true) {
                    self.limit = Instant::now() + self.ring_limit + TURN_SLACK;
                    self.heard.push_back(Heard::Ringing);
                }
                return;
            }
            CallStatus::Completed if self.is_answered => Heard::Ended(Outcome::Unanswered),
            CallStatus::Completed => failed(
                "it was answered, and the provider did not ask what is to be said: see alarms.provider.callback_url",
            ),
            CallStatus::Busy => Heard::Ended(Outcome::Busy),
            CallStatus::NoAnswer => Heard::Ended(Outcome::NoAnswer),
            CallStatus::Failed => failed("the provider could not make the call"),
            CallStatus::Cancelled => failed("the provider has withdrawn the call"),
        };
        self.is_over = true;
        self.heard.push_back(heard);
    }

    /// The service asks what is to be said next.
    fn turned(&mut self, turn: u32, keys: &str) {
        self.open_turn = Some(turn);
        if let Some((text, language)) = self.unsaid.take() {
            // What was asked before that is not heard any more.
            return self.answer(Some((&text, language)));
        }
        if !std::mem::replace(&mut self.is_answered, true) {
            self.ends = Instant::now() + TALK_LIMIT + TALK_SLACK;
            self.limit = self.ends;
            self.heard.push_back(Heard::Answered);
            return;
        }
        self.limit = self.ends;
        self.heard.extend(keys.chars().map(Heard::Key));
        if keys.chars().count() < self.asked.keys.max(1) {
            self.heard.push_back(Heard::Silent);
        }
    }

    /// Answers the service's question: says something, and asks for keys as far as they are wanted.
    fn answer(&mut self, speech: Option<(&str, Language)>) {
        let Some(turn) = self.open_turn.take() else {
            return;
        };
        let Asked { keys, patience } = self.asked;
        let next = self.switchboard.turn_url(&self.token, turn + 1);
        let mut reply = Reply::new();
        if keys > 0 {
            reply = reply.ask(Gather {
                digits: u8::try_from(keys).unwrap_or(u8::MAX),
                wait_seconds: u8::try_from(patience.as_secs()).unwrap_or(u8::MAX),
                action: &next,
            });
        }
        let mut letters = 0;
        if let Some((text, language)) = speech {
            let text: String = text.chars().take(LETTERS_MAX).collect();
            letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            reply = reply.say(&text, spoken(language));
        }
        let xml = reply.go_on_at(&next).xml();
        self.limit = Instant::now() + LETTER * letters + patience + TURN_SLACK;
        self.said.send_replace(Answered { turn, xml });
    }

    /// Nothing was told for too long.
    fn late(&mut self) -> Heard {
        match (&self.doubt, self.has_sign, self.is_answered) {
            (_, _, true) => Heard::Ended(Outcome::Unanswered),
            (_, true, false) => Heard::Ended(Outcome::NoAnswer),
            (Some(doubt), ..) => failed(doubt.clone()),
            (None, ..) => failed(
                "the provider has told nothing of the call: see whether alarms.provider.callback_url leads to this gateway",
            ),
        }
    }
}

fn failed(reason: impl Into<String>) -> Heard {
    Heard::Ended(Outcome::Failed {
        reason: reason.into(),
    })
}

const fn spoken(language: Language) -> &'static str {
    match language {
        Language::En => "en-GB",
        Language::Zh => "zh-CN",
    }
}

impl Line for Call {
    fn say<'a>(
        &'a mut self,
        said: Said<'a>,
        language: Language,
    ) -> Telling<'a, Result<(), String>> {
        let text = said.text(language);
        match self.open_turn {
            Some(_) => self.answer(Some((&text, language))),
            None => self.unsaid = Some((text, language)),
        }
        Box::pin(async { Ok(()) })
    }

    fn asks(&mut self, asked: Asked) -> bool {
        self.asked = asked;
        true
    }

    fn next(&mut self) -> Telling<'_, Heard> {
        Box::pin(async {
            loop {
                if let Some(heard) = self.heard.pop_front() {
                    return heard;
                }
                if self.is_over {
                    return Heard::Ended(Outcome::Unanswered);
                }
                // Some of what was asked for has come: the rest is asked for, without a word.
                self.answer(None);
                let (placed, limit) = (&mut self.placed, self.limit.min(self.ends));
                let placed = async {
                    match placed {
                        Some(placed) => placed.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    placed = placed => {
                        self.placed = None;
                        // Whoever places it says so, unless the gateway ends.
                        let gone = Fault::Refused("the gateway ends".into());
                        self.placed(placed.unwrap_or(Err(gone)));
                    }
                    Some(event) = self.events.recv() => self.told(event),
                    () = tokio::time::sleep_until(limit) => return self.late(),
                }
            }
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(placed) = &mut self.placed {
            // What is sent from now on comes back to whoever places the call, who ends it.
            placed.close();
            if let Ok(Ok(name)) = placed.try_recv() {
                self.switchboard.name(&self.token, &name);
            }
        }
        let name = self.switchboard.name_of(&self.token);
        self.switchboard.disconnect(&self.token);
        // Whoever asks is answered by that, and hangs up.
        let is_asked = self.open_turn.is_some();
        self.said.send_replace(Answered {
            turn: u32::MAX,
            xml: Reply::new().hang_up().xml(),
        });
        if let Some(name) = name.filter(|_| !self.is_over && !is_asked) {
            self.switchboard.end(name);
        }
    }
}

#[cfg(test)]
mod tests;
