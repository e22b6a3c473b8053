//! What is said within a call: sound that goes another way, keys by INFO, a session that is kept alive, farewells.

use crate::{
    outcome::End,
    sip::{
        call::{Call, Phase, has_description, seconds_of},
        header::parameter,
        message::Message,
        requests::{CallEvent, Core},
        sdp::Description,
        timers::{GLARE_PAUSE, GONE, T1, T2},
        transaction::Owner,
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The shortest time after which a session is to be refreshed (RFC 4028 section 5).
const SESSION_SECONDS_MIN: u64 = 90;
/// The longest that is taken; a day is longer than any call.
const SESSION_SECONDS_MAX: u64 = 86_400;

/// Who keeps the session alive, and until when it is (RFC 4028).
pub(super) struct SessionTimer {
    pub(super) seconds: u64,
    pub(super) is_ours: bool,
    pub(super) due: Instant,
}

/// An answer to a re-INVITE that is not yet acknowledged.
pub(super) struct Unacknowledged {
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) at: Instant,
    pub(super) after: Duration,
    pub(super) until: Instant,
}

impl Call {
    /// An answer to a request within the call.
    pub(crate) fn response_within(
        &mut self,
        core: &mut Core,
        request: &Message,
        response: &Message,
        tries: u8,
        now: Instant,
    ) {
        let code = response.code().unwrap_or_default();
        let method = request.method().unwrap_or_default();
        if let (401 | 407, Some(again)) = (code, core.proved(request, response, tries))
            && let Some(dialog) = &mut self.dialog
        {
            dialog.local_sequence = again
                .sequence()
                .map_or(dialog.local_sequence, |(number, _)| number);
            let hop = dialog.hop;
            let method = method.to_owned();
            let branch = core.start(Owner::Within(self.id), again, hop, now);
            if let Some(transaction) = core.transactions.get_mut(&(branch, method)) {
                transaction.tries = tries + 1;
            }
            return;
        }
        if method == "BYE" {
            return self.over(core, End::HungUpByUs, now);
        }
        self.is_refreshing = false;
        if self.phase != Phase::Talking {
            return;
        }
        match code {
            200..=299 => {
                if method == "INVITE" {
                    self.acknowledge_refresh(core);
                }
                if has_description(response) {
                    self.learn_sound(core, response);
                }
                if let Some(dialog) = &mut self.dialog {
                    dialog.refresh(response);
                }
                self.learn_session(response, now);
            }
            // The other side was just asking something itself.
            491 => self.refresh_again_at = Some(now + GLARE_PAUSE),
            // It knows of no such call, or is not there (RFC 5057 section 5.1).
            404 | 408 | 410 | 416 | 481 | 482..=485 | 502 | 604 => self.leave(core, End::Lost, now),
            _ => {}
        }
    }

    /// ACK for the 2xx of a re-INVITE of ours.
    fn acknowledge_refresh(&mut self, core: &mut Core) {
        if let Some(dialog) = &mut self.dialog {
            let ack = dialog.request("ACK");
            let hop = dialog.hop;
            let number = dialog.local_sequence;
            let bytes = core.start_ack(ack, hop);
            self.ack = Some((number, bytes, hop));
        }
    }

    /// Nobody answered a request within the call, or its way broke.
    pub(crate) fn unanswered_within(&mut self, core: &mut Core, request: &Message, now: Instant) {
        match request.method() {
            Some("BYE") => self.over(core, End::HungUpByUs, now),
            _ if self.phase == Phase::Talking => self.leave(core, End::Lost, now),
            _ => {}
        }
    }

    /// A request within the call.
    pub(crate) fn request(
        &mut self,
        core: &mut Core,
        request: &Message,
        source: SocketAddr,
        now: Instant,
    ) {
        let method = request.method().unwrap_or_default();
        if method == "ACK" {
            return self.acknowledged(core, request);
        }
        let is_in_order = self.dialog.as_mut().is_some_and(|it| it.follows(request));
        if !is_in_order {
            return core.answer_with(request, 500, "Out of order", source, now);
        }
        if let Some(unknown) = request
            .headers
            .list("Require")
            .find(|it| !it.eq_ignore_ascii_case("timer"))
        {
            let tag = core.tokens.token();
            let mut response = Message::response(request, 420, "Bad Extension", &tag);
            response.headers.add("Unsupported", unknown);
            return core.answer(request, &response, source, now);
        }
        match method {
            "BYE" => {
                core.answer_with(request, 200, "OK", source, now);
                let end = match self.phase {
                    Phase::Talking => End::HungUpByThem,
                    _ => End::HungUpByUs,
                };
                self.over(core, end, now);
            }
            _ if self.phase != Phase::Talking => {
                core.answer_with(request, 481, "Call Does Not Exist", source, now);
            }
            "INVITE" | "UPDATE" => self.changed(core, request, source, now),
            "INFO" => match key_of_info(request) {
                Ok(key) => {
                    core.answer_with(request, 200, "OK", source, now);
                    if let Some(key) = key {
                        core.tell(self.id, CallEvent::Key(key));
                    }
                }
                Err(()) => core.answer_with(request, 415, "Unsupported Media Type", source, now),
            },
            "OPTIONS" => core.answer_with(request, 200, "OK", source, now),
            "CANCEL" => core.answer_with(request, 481, "Transaction Does Not Exist", source, now),
            _ => core.answer_with(request, 405, "Method Not Allowed", source, now),
        }
    }

    /// The other side acknowledges our answer to its re-INVITE. Where that carried our offer, this has the answer.
    fn acknowledged(&mut self, core: &mut Core, ack: &Message) {
        let number = ack.sequence().map(|(number, _)| number);
        if self.unacknowledged.as_ref().map(|it| it.number) == number {
            self.unacknowledged = None;
            if self.phase == Phase::Talking && has_description(ack) {
                self.learn_sound(core, ack);
            }
        }
    }

    /// A re-INVITE or UPDATE: sound goes another way, or the session lives on.
    fn changed(&mut self, core: &mut Core, request: &Message, source: SocketAddr, now: Instant) {
        let is_invite = request.method() == Some("INVITE");
        if is_invite && (self.is_refreshing || self.unacknowledged.is_some()) {
            return core.answer_with(request, 491, "Request Pending", source, now);
        }
        let body = match has_description(request) {
            // An empty re-INVITE asks for our offer; its answer comes with the ACK.
            false if is_invite => Some(self.sound.offer()),
            false => None,
            true => {
                let offer = Description::parse(&request.body).ok();
                self.sound.version += 1;
                match offer.as_ref().and_then(|it| self.sound.answer(it)) {
                    Some(answer) => Some(answer),
                    None => {
                        return core.answer_with(request, 488, "Not Acceptable Here", source, now);
                    }
                }
            }
        };
        let tag = core.tokens.token();
        let mut response = Message::response(request, 200, "OK", &tag);
        core.introduce(&mut response);
        if let Some(session) = request.headers.first("Session-Expires") {
            // Whoever refreshes is said by whoever asks; we leave it to them (RFC 4028 section 9).
            let refresher = parameter(session, "refresher").unwrap_or("uac");
            let seconds = session_seconds(session);
            response.headers.add(
                "Session-Expires",
                &format!("{seconds};refresher={refresher}"),
            );
            response.headers.add("Require", "timer");
            self.keep_session(seconds, refresher == "uas", now);
        }
        if let Some(body) = body {
            response.headers.add("Content-Type", "application/sdp");
            response.body = body;
        }
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh(request);
        }
        core.answer(request, &response, source, now);
        if is_invite {
            self.unacknowledged = Some(Unacknowledged {
                number: request.sequence().map_or(0, |(number, _)| number),
                bytes: response.to_bytes(),
                to: source,
                at: now + T1,
                after: T1,
                until: now + GONE,
            });
        }
        if has_description(request) {
            self.learn_sound(core, request);
        }
    }

    /// Takes over what an answer to us says about the session's life.
    pub(super) fn learn_session(&mut self, response: &Message, now: Instant) {
        match response.headers.first("Session-Expires") {
            None => self.session = None,
            Some(field) => {
                let is_ours = parameter(field, "refresher") != Some("uas");
                self.keep_session(session_seconds(field), is_ours, now);
            }
        }
    }

    fn keep_session(&mut self, seconds: u64, is_ours: bool, now: Instant) {
        let life = Duration::from_secs(seconds);
        // We refresh at half of its time; a session that they let go is hung up a little before its end (RFC 4028
        // section 10).
        let due = match is_ours {
            true => now + life / 2,
            false => now + life - (life / 3).min(Duration::from_secs(32)),
        };
        self.session = Some(SessionTimer {
            seconds,
            is_ours,
            due,
        });
    }

    fn refresh_session(&mut self, core: &mut Core, now: Instant) {
        let Some(session) = &self.session else {
            return;
        };
        if !session.is_ours {
            return self.leave(core, End::Lost, now);
        }
        let seconds = session.seconds;
        // Should its answer not come, the next try is the last.
        self.keep_session(seconds, true, now);
        let Some(dialog) = &mut self.dialog else {
            return;
        };
        let mut request = match self.takes_update {
            true => dialog.request("UPDATE"),
            false => dialog.request("INVITE"),
        };
        let hop = dialog.hop;
        core.introduce(&mut request);
        request
            .headers
            .add("Session-Expires", &format!("{seconds};refresher=uac"));
        if !self.takes_update {
            request.headers.add("Content-Type", "application/sdp");
            request.body = self.sound.offer();
        }
        self.is_refreshing = true;
        core.start(Owner::Within(self.id), request, hop, now);
    }

    /// What the time brings while it is talked.
    pub(super) fn tick_within(&mut self, core: &mut Core, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.phase == Phase::Talking && is_due(self.session.as_ref().map(|it| it.due)) {
            self.refresh_session(core, now);
        }
        if self.phase == Phase::Talking && is_due(self.refresh_again_at) {
            self.refresh_again_at = None;
            self.refresh_session(core, now);
        }
        if let Some(answer) = &mut self.unacknowledged
            && answer.at <= now
        {
            if answer.until <= now {
                // Whoever asked is not there any more (RFC 3261 section 14.2).
                self.unacknowledged = None;
                self.leave(core, End::Lost, now);
            } else {
                answer.after = (answer.after * 2).min(T2);
                answer.at = now + answer.after;
                core.send(answer.to, answer.bytes.clone());
            }
        }
    }
}

fn session_seconds(field: &str) -> u64 {
    seconds_of(field)
        .unwrap_or(SESSION_SECONDS_MAX)
        .clamp(SESSION_SECONDS_MIN, SESSION_SECONDS_MAX)
}

/// The key in an INFO: `application/dtmf-relay` has lines such as `Signal=5`, `application/dtmf` has the key alone.
/// Neither is of any standard; both are what telephone systems send. Other things that INFO may say are let be.
fn key_of_info(request: &Message) -> Result<Option<char>, ()> {
    let Some(kind) = request.headers.first("Content-Type") else {
        return Ok(None);
    };
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let text = String::from_utf8_lossy(&request.body);
    let text = match kind.as_str() {
        "application/dtmf-relay" => text
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default(),
        "application/dtmf" => text.trim().to_owned(),
        _ => return Err(()),
    };
    Ok(key_named(&text))
}

/// Some name star and hash by their numbers as events (RFC 4733 section 3.2).
fn key_named(text: &str) -> Option<char> {
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut signs = text.chars();
            let key = signs.next()?.to_ascii_uppercase();
            (signs.next().is_none() && "0123456789*#ABCD".contains(key)).then_some(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_info() {
        for (kind, body, expected) in [
            (
                "application/dtmf-relay",
                "Signal=5\r\nDuration=160\r\n",
                Ok(Some('5')),
            ),
            (
                "application/dtmf-relay",
                "Duration=160\r\nsignal= #\r\n",
                Ok(Some('#')),
            ),
            ("application/dtmf-relay", "Signal=10", Ok(Some('*'))),
            ("application/DTMF; x=y", "11\r\n", Ok(Some('#'))),
            ("application/dtmf", "d", Ok(Some('D'))),
            ("application/dtmf", "!", Ok(None)),
            ("application/dtmf", "", Ok(None)),
            ("application/dtmf-relay", "5", Ok(None)),
            ("application/media_control+xml", "5", Err(())),
        ] {
            let text = format!("INFO sip:a@h SIP/2.0\r\nc: {kind}\r\n\r\n{body}");
            let request = Message::parse(text.as_bytes()).unwrap();
            assert_eq!(key_of_info(&request), expected, "{kind} {body}");
        }
        let bare = Message::parse(b"INFO sip:a@h SIP/2.0\r\n\r\n").unwrap();
        assert_eq!(key_of_info(&bare), Ok(None));
    }
}
