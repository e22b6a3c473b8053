//! Where what a service tells of a call, or of a text, meets whoever waits for it.
//!
//! Every call and every text has a token that nobody can guess, which is a part of the URLs that the service is given for
//! it. What comes under another one is of before this gateway was started, or of what is over.

use super::{CallStatus, Callback, NotSigned, Provider, Reply, TextStatus};
use crate::{alarm::channel::http_url, hex};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

/// What the path of every callback begins with, on this gateway.
pub(crate) const CALLBACKS_PATH: &str = "/callbacks/provider";
/// Where a service tells of texts that have come.
pub(crate) const TEXTS_PATH: &str = "/callbacks/provider/texts";
/// What a call may still have to hear of: a service tells a few things at once at most.
const EVENTS_MAX: usize = 16;
/// How long a service may wait for what is to be said. It waits 15 s, and then says that something is broken.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Seconds of silence before it asks once more.
const PAUSE_SECONDS: u8 = 1;
/// How often a call is asked to end that has not, and how long it is waited in between.
const ENDINGS_MAX: u32 = 3;
const ENDING_PAUSE: Duration = Duration::from_secs(2);

/// How a text came out: it is there, or lost for the reason of a number.
pub(super) type Delivery = Result<(), Option<u32>>;

/// What was said last in a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    /// Which of the service's questions that answers; those before it were answered, too.
    pub(super) turn: u32,
    pub(super) xml: String,
}

/// What a call hears of.
#[derive(Debug)]
pub(super) enum Event {
    /// How it stands.
    Status(CallStatus),
    /// The service asks what is to be said; these keys were pressed.
    Turn(u32, String),
}

struct Call {
    /// What the service calls it, once that is known.
    name: Option<String>,
    /// The number of the service's next question. One that bears a lower one is asked again.
    next_turn: u32,
    events: mpsc::Sender<Event>,
    said: watch::Receiver<Answered>,
}

/// What a call is connected by.
pub(super) struct Connected {
    pub(super) token: String,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) said: watch::Sender<Answered>,
}

/// See the module.
pub(crate) struct Switchboard {
    pub(super) provider: Arc<Provider>,
    /// Where the service reaches this gateway, without a slash at its end.
    base: String,
    calls: Mutex<HashMap<String, Call>>,
    texts: Mutex<HashMap<String, oneshot::Sender<Delivery>>>,
    /// Where calls are ended that nobody waits for any more.
    pub(super) tasks: TaskTracker,
}

/// The URL under which a service reaches a gateway, as it is put before the path of each callback.
///
/// # Errors
/// What is expected of it.
pub(crate) fn callback_base(url: &str) -> Result<String, &'static str> {
    const EXPECTED: &str =
        "the URL under which the provider reaches this gateway, such as https://yard.example.org";
    let is_plain = |url: &str| !url.contains(['?', '#']) && url.is_ascii();
    match http_url(url) {
        Ok(_) if is_plain(url) => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(EXPECTED),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_token() -> String {
    hex::encode(&rand::random::<[u8; 16]>())
}

/// What somebody hears whose call is over for this gateway: it was restarted, or has given the call up.
fn farewell() -> String {
    Reply::new()
        .say("This call is over. Goodbye.", "en-GB")
        .say("通话已结束。再见。", "zh-CN")
        .hang_up()
        .xml()
}

impl Switchboard {
    /// For a service that reaches this gateway under a URL, which is one of [`callback_base`].
    pub(crate) fn new(provider: Arc<Provider>, base: String, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Switchboard {
            provider,
            base,
            calls: Mutex::default(),
            texts: Mutex::default(),
            tasks,
        })
    }

    /// The URL under which the service was told to reach this gateway.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What the service tells by a request to a path of this gateway; `None` for nothing that is known.
    ///
    /// # Errors
    /// When it is not the service's, or the service reaches this gateway under another URL than is set.
    pub(crate) fn believed(
        &self,
        path: &str,
        body: &[u8],
        signature: &str,
    ) -> Result<Option<Callback>, NotSigned> {
        let url = format!("{}{path}", self.base);
        self.provider.callback(&url, body, signature)
    }

    /// Where the service asks for the first time what is to be said, and so on.
    pub(super) fn turn_url(&self, token: &str, turn: u32) -> String {
        format!("{}{CALLBACKS_PATH}/calls/{token}/turns/{turn}", self.base)
    }

    pub(super) fn call_status_url(&self, token: &str) -> String {
        format!("{}{CALLBACKS_PATH}/calls/{token}/status", self.base)
    }

    pub(super) fn text_status_url(&self, token: &str) -> String {
        format!("{}{CALLBACKS_PATH}/texts/{token}/status", self.base)
    }

    /// Waits for what the service tells of a call that is about to be made.
    pub(super) fn connect(&self) -> Connected {
        let token = new_token();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (said, hears) = watch::channel(Answered::default());
        let call = Call {
            name: None,
            next_turn: 1,
            events: sender,
            said: hears,
        };
        locked(&self.calls).insert(token.clone(), call);
        Connected {
            token,
            events,
            said,
        }
    }

    pub(super) fn disconnect(&self, token: &str) {
        locked(&self.calls).remove(token);
    }

    /// Tells what the service calls a call.
    pub(super) fn name(&self, token: &str, name: &str) {
        if let Some(call) = locked(&self.calls).get_mut(token) {
            call.name.get_or_insert_with(|| name.to_owned());
        }
    }

    /// What the service calls a call, as far as it has said so.
    pub(super) fn name_of(&self, token: &str) -> Option<String> {
        locked(&self.calls).get(token)?.name.clone()
    }

    /// Hands something on to a call; whether it is one, and has room for that.
    fn tell(calls: &mut HashMap<String, Call>, token: &str, name: &str, event: Event) -> bool {
        let Some(call) = calls.get_mut(token) else {
            return false;
        };
        call.name.get_or_insert_with(|| name.to_owned()) == name
            && call.events.try_send(event).is_ok()
    }

    /// How a call stands. Whether there is one.
    pub(crate) fn call_status(&self, token: &str, told: &Callback) -> bool {
        let Callback::Call { call, status, .. } = told else {
            return false;
        };
        Self::tell(
            &mut locked(&self.calls),
            token,
            call,
            Event::Status(*status),
        )
    }

    /// What is to be said at a turn of a call, as XML. The same turn once more is answered as it was, and its keys do not
    /// count again. `None` where there is no such call and never was one.
    pub(crate) async fn turn(&self, token: &str, turn: u32, told: &Callback) -> Option<String> {
        let Callback::Call { call, digits, .. } = told else {
            return None;
        };
        let mut said = {
            let mut calls = locked(&self.calls);
            let Some(known) = calls.get_mut(token) else {
                return Some(farewell());
            };
            if turn == 0 || turn > known.next_turn {
                return None;
            }
            let (is_new, said) = (turn == known.next_turn, known.said.clone());
            if is_new {
                let event = Event::Turn(turn, digits.clone().unwrap_or_default());
                if !Self::tell(&mut calls, token, call, event) {
                    return Some(farewell());
                }
                if let Some(known) = calls.get_mut(token) {
                    known.next_turn += 1;
                }
            }
            said
        };
        let answered = said.wait_for(|it| it.turn >= turn);
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(said)) => Some(said.xml.clone()),
            Ok(Err(_)) => Some(farewell()),
            // What was decided is not kept yet: nothing is said before that.
            Err(_) => {
                let again = self.turn_url(token, turn);
                Some(Reply::new().pause(PAUSE_SECONDS).go_on_at(&again).xml())
            }
        }
    }

    /// Waits for how a text comes out that is about to be sent.
    pub(super) fn expect_text(&self) -> (String, oneshot::Receiver<Delivery>) {
        let (token, (sender, outcome)) = (new_token(), oneshot::channel());
        locked(&self.texts).insert(token.clone(), sender);
        (token, outcome)
    }

    pub(super) fn forget_text(&self, token: &str) {
        locked(&self.texts).remove(token);
    }

    /// How a text stands that was sent. Whether somebody waits for that.
    pub(crate) fn text_status(&self, token: &str, told: &Callback) -> bool {
        let Callback::TextSent { status, error, .. } = told else {
            return false;
        };
        let mut texts = locked(&self.texts);
        let outcome = match status {
            TextStatus::Underway => return texts.contains_key(token),
            TextStatus::Delivered => Ok(()),
            TextStatus::Failed => Err(*error),
        };
        match texts.remove(token) {
            Some(waiting) => {
                // It may have been given up this moment.
                let _ = waiting.send(outcome);
                true
            }
            None => false,
        }
    }

    /// Has the service end a call, in a task of its own.
    pub(super) fn end(&self, name: String) {
        let provider = Arc::clone(&self.provider);
        self.tasks.spawn(async move {
            for ending in 1..=ENDINGS_MAX {
                match provider.end_call(&name).await {
                    Ok(()) => return,
                    // It was over before.
                    Err(fault) if fault.is_permanent() => {
                        return tracing::debug!(%fault, "a call was not ended by the provider");
                    }
                    Err(fault) if ending == ENDINGS_MAX => tracing::warn!(
                        %fault,
                        "a call could not be ended: the provider ends it by itself after some minutes"
                    ),
                    Err(_) => tokio::time::sleep(ENDING_PAUSE).await,
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
