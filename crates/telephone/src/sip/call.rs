//! One call, from INVITE to the last BYE, seen from whoever called.

use crate::{
    media::g711::Law,
    outcome::{End, Progress, Trouble},
    sip::{
        dialog::Dialog,
        header::{Uri, address, tag},
        message::Message,
        requests::{CallEvent, Core, retry_after},
        sdp::{Description, OwnSound},
        timers::{FAREWELL, GONE},
        transaction::Owner,
        within::{SessionTimer, Unacknowledged},
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Other telephones that one number may ring. Beyond that their answers are left to time out.
const FORKS_MAX: usize = 8;

/// How sound goes from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SoundChange {
    /// Where the other side wants its sound; `None` while it does not.
    pub(crate) to: Option<SocketAddr>,
    pub(crate) law: Law,
    /// The payload type of keys.
    pub(crate) events: Option<u8>,
}

/// What a call is made with.
#[derive(Clone, Debug)]
pub(crate) struct CallRequest {
    pub(crate) id: u64,
    /// What is dialled.
    pub(crate) number: String,
    /// Where we want its sound.
    pub(crate) sound: SocketAddr,
    /// How long nobody may answer.
    pub(crate) ring_limit: Duration,
    /// How long it may last then.
    pub(crate) talk_limit: Duration,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has answered, and it is wanted.
    Inviting,
    /// It is not wanted any more, and its end is to come.
    Withdrawing,
    Talking,
    /// BYE is on its way.
    Leaving,
    /// It has been told that it is over.
    Over,
}

pub(crate) struct Call {
    pub(super) id: u64,
    pub(super) call_id: String,
    pub(super) sound: OwnSound,
    pub(super) phase: Phase,
    /// The branch of the INVITE that is to be answered.
    pub(super) branch: String,
    pub(super) is_cancelled: bool,
    pub(super) progress: Option<Progress>,
    /// What is told when it is over.
    pub(super) end: Option<End>,
    pub(super) was_redirected: bool,
    pub(super) has_session_minimum: bool,
    /// The last INVITE.
    pub(super) invite: Message,
    pub(super) ring_until: Instant,
    pub(super) talk_limit: Duration,
    pub(super) talk_until: Option<Instant>,
    /// When an end is told that nobody has confirmed.
    pub(super) farewell_at: Option<Instant>,
    /// When nobody remembers it any more.
    pub(super) forget_at: Option<Instant>,
    pub(super) dialog: Option<Dialog>,
    /// The ACK of the last 2xx, with its number, for when that comes again.
    pub(super) ack: Option<(u32, Vec<u8>, SocketAddr)>,
    /// The tags of others that answered too, with the ACKs that they had.
    pub(super) forks: Vec<(String, Vec<u8>, SocketAddr)>,
    /// Whether the other side can be sent UPDATE.
    pub(super) takes_update: bool,
    pub(super) session: Option<SessionTimer>,
    /// When a refresh is tried again that met another.
    pub(super) refresh_again_at: Option<Instant>,
    pub(super) is_refreshing: bool,
    pub(super) unacknowledged: Option<Unacknowledged>,
    pub(super) last_sound: Option<SoundChange>,
}

impl Call {
    /// Calls a number.
    pub(crate) fn begin(core: &mut Core, request: &CallRequest, now: Instant) -> Self {
        let call_id = core.tokens.token();
        let tag = core.tokens.token();
        let uri = core.account.address_of(&request.number);
        let caller = core.account.caller.clone();
        let from = core
            .account
            .own_field(caller.as_deref().unwrap_or(&core.account.user), &tag);
        // The numbers of a session are of one side alone, and small ones do well everywhere.
        let session = core.tokens.number() >> 1;
        let sound = OwnSound {
            address: request.sound,
            session,
            version: 1,
        };
        let mut invite = core.request("INVITE", &uri, &from, &format!("<{uri}>"), &call_id, 1);
        core.introduce(&mut invite);
        invite.headers.add("Content-Type", "application/sdp");
        invite.body = sound.offer();
        let mut call = Call {
            id: request.id,
            call_id,
            sound,
            phase: Phase::Inviting,
            branch: String::new(),
            is_cancelled: false,
            progress: None,
            end: None,
            was_redirected: false,
            has_session_minimum: false,
            invite: invite.clone(),
            ring_until: now + request.ring_limit,
            talk_limit: request.talk_limit,
            talk_until: None,
            farewell_at: None,
            forget_at: None,
            dialog: None,
            ack: None,
            forks: Vec::new(),
            takes_update: false,
            session: None,
            refresh_again_at: None,
            is_refreshing: false,
            unacknowledged: None,
            last_sound: None,
        };
        let server = core.server;
        call.invite(core, invite, server, now);
        call
    }

    pub(crate) fn call_id(&self) -> &str {
        &self.call_id
    }

    pub(crate) fn is_forgotten(&self, now: Instant) -> bool {
        self.phase == Phase::Over && self.forget_at.is_some_and(|at| at <= now)
    }

    /// Whether it is one that somebody still waits for.
    pub(crate) fn is_live(&self) -> bool {
        self.phase != Phase::Over
    }

    fn invite(&mut self, core: &mut Core, invite: Message, to: SocketAddr, now: Instant) {
        self.invite = invite.clone();
        self.branch = core.start(Owner::Call(self.id), invite, to, now);
    }

    /// Ends it, however far it is.
    pub(crate) fn hang_up(&mut self, core: &mut Core, now: Instant) {
        match self.phase {
            Phase::Inviting => self.withdraw(core, End::Withdrawn, now),
            Phase::Talking => self.leave(core, End::HungUpByUs, now),
            Phase::Withdrawing | Phase::Leaving | Phase::Over => {}
        }
    }

    fn withdraw(&mut self, core: &mut Core, end: End, now: Instant) {
        self.phase = Phase::Withdrawing;
        self.end = Some(end);
        self.farewell_at = Some(now + FAREWELL);
        self.cancel_if_possible(core, now);
    }

    /// CANCEL may not be sent before something was answered (RFC 3261 section 9.1): it could overtake the INVITE.
    pub(super) fn cancel_if_possible(&mut self, core: &mut Core, now: Instant) {
        let key = (self.branch.clone(), "INVITE".to_owned());
        let is_proceeding = core
            .transactions
            .get(&key)
            .is_some_and(|it| it.is_proceeding());
        if !self.is_cancelled && is_proceeding {
            self.is_cancelled = true;
            core.cancel(&self.branch, now);
        }
    }

    pub(super) fn leave(&mut self, core: &mut Core, end: End, now: Instant) {
        self.phase = Phase::Leaving;
        self.end = Some(end);
        self.farewell_at = Some(now + FAREWELL);
        if let Some(dialog) = &mut self.dialog {
            let bye = dialog.request("BYE");
            core.start(Owner::Within(self.id), bye, dialog.hop, now);
        }
    }

    pub(super) fn over(&mut self, core: &mut Core, end: End, now: Instant) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            let end = self.end.take().unwrap_or(end);
            core.tell(self.id, CallEvent::Ended(end));
        }
        self.farewell_at = None;
        self.unacknowledged = None;
        // Its answers may still come, again or for the first time.
        self.forget_at = Some(now + GONE);
    }

    fn advance(&mut self, core: &mut Core, progress: Progress) {
        if self.progress < Some(progress) {
            self.progress = Some(progress);
            core.tell(self.id, CallEvent::Progress(progress));
        }
    }

    /// An answer to the INVITE by which it began.
    pub(crate) fn response(
        &mut self,
        core: &mut Core,
        response: &Message,
        source: SocketAddr,
        tries: u8,
        now: Instant,
    ) {
        let code = response.code().unwrap_or_default();
        match code {
            ..=199 => self.provisional(core, code, response, now),
            200..=299 => self.success(core, response, source, now),
            _ if self.phase == Phase::Withdrawing => self.over(core, End::Withdrawn, now),
            _ if self.phase != Phase::Inviting => {}
            300..=399 => self.redirected(core, response, now),
            401 | 407 => {
                let invite = self.invite.clone();
                match core.proved(&invite, response, tries) {
                    Some(again) => self.invite_again(core, again, tries, now),
                    None => self.over(core, End::Unauthorised, now),
                }
            }
            422 => self.too_brief(core, response, tries, now),
            _ => {
                let end = End::of_refusal(code, reason(response), retry_after(response));
                self.over(core, end, now);
            }
        }
    }

    fn invite_again(&mut self, core: &mut Core, again: Message, tries: u8, now: Instant) {
        let key = (self.branch.clone(), "INVITE".to_owned());
        let to = core.transactions.get(&key).map_or(core.server, |it| it.to);
        self.invite(core, again, to, now);
        let key = (self.branch.clone(), "INVITE".to_owned());
        if let Some(transaction) = core.transactions.get_mut(&key) {
            transaction.tries = tries + 1;
        }
    }

    fn provisional(&mut self, core: &mut Core, code: u16, response: &Message, now: Instant) {
        match self.phase {
            Phase::Withdrawing => return self.cancel_if_possible(core, now),
            Phase::Inviting => {}
            _ => {
                // It was given up, and is there after all.
                self.cancel_if_possible(core, now);
                return;
            }
        }
        self.advance(core, Progress::Trying);
        if matches!(code, 180 | 182) {
            self.advance(core, Progress::Ringing);
        }
        if has_description(response) {
            self.learn_sound(core, response);
            self.advance(core, Progress::EarlyMedia);
        }
    }

    fn success(&mut self, core: &mut Core, response: &Message, source: SocketAddr, now: Instant) {
        let is_reliable = core.account.transport.is_reliable();
        let fixed = is_reliable.then_some(core.server);
        let Some(mut dialog) = Dialog::of(&self.invite, response, source, fixed) else {
            return self.over(core, End::Lost, now);
        };
        let mut ack = dialog.request("ACK");
        for field in ["Authorization", "Proxy-Authorization"] {
            for value in self.invite.headers.all(field) {
                ack.headers.add(field, value);
            }
        }
        let hop = dialog.hop;
        let bytes = core.start_ack(ack, hop);
        if self.dialog.is_some() || self.phase != Phase::Inviting {
            // Somebody else has answered as well, or somebody has just as we withdrew.
            let bye = dialog.request("BYE");
            core.start(Owner::Nobody, bye, hop, now);
            let remote = dialog.remote_tag().unwrap_or_default().to_owned();
            self.forks.push((remote, bytes, hop));
            if self.phase == Phase::Withdrawing {
                self.over(core, End::Withdrawn, now);
            }
            return;
        }
        self.ack = Some((dialog.local_sequence, bytes, hop));
        self.dialog = Some(dialog);
        self.takes_update = response.headers.has("Allow", "UPDATE");
        self.talk_until = Some(now + self.talk_limit);
        self.phase = Phase::Talking;
        if has_description(response) {
            self.learn_sound(core, response);
        }
        if self.last_sound.is_none() {
            return self.leave(core, End::NoCommonSound, now);
        }
        self.learn_session(response, now);
        self.advance(core, Progress::Answered);
    }

    /// A 2xx to the INVITE that no transaction waits for: the same again, or another telephone that was rung too.
    pub(crate) fn late_success(
        &mut self,
        core: &mut Core,
        response: &Message,
        source: SocketAddr,
        now: Instant,
    ) {
        let Some((number, _)) = response.sequence() else {
            return;
        };
        let remote = response
            .headers
            .first("To")
            .and_then(tag)
            .unwrap_or_default();
        let is_ours = self
            .dialog
            .as_ref()
            .is_some_and(|it| it.remote_tag() == Some(remote));
        if is_ours {
            if let Some((_, bytes, to)) = self.ack.as_ref().filter(|(it, ..)| *it == number) {
                core.send(*to, bytes.clone());
            }
            return;
        }
        if let Some((_, bytes, to)) = self.forks.iter().find(|(it, ..)| it == remote) {
            core.send(*to, bytes.clone());
        } else if self.forks.len() < FORKS_MAX
            && self.invite.sequence().is_some_and(|(it, _)| it == number)
        {
            self.success(core, response, source, now);
        }
    }

    fn redirected(&mut self, core: &mut Core, response: &Message, now: Instant) {
        let code = response.code().unwrap_or_default();
        let target = response
            .headers
            .list("Contact")
            .map(address)
            .find_map(|it| it.parse::<Uri>().ok());
        let is_allowed = |uri: &Uri| {
            !self.was_redirected
                && core
                    .account
                    .allows_redirect_to(uri.user.as_deref().unwrap_or_default())
        };
        let Some(uri) = target.filter(is_allowed) else {
            let refused = End::Refused {
                code,
                reason: reason(response).into(),
            };
            return self.over(core, refused, now);
        };
        self.was_redirected = true;
        let hop = match (
            core.account.route.is_some() || core.account.transport.is_reliable(),
            uri.ip(),
        ) {
            (false, Some(ip)) if ip.is_ipv4() == core.server.is_ipv4() => {
                SocketAddr::new(ip, uri.udp_or_tcp_port.unwrap_or(5060))
            }
            // A name is for the trunk to know.
            _ => core.server,
        };
        let mut again = self.invite.clone();
        let number = again
            .sequence()
            .map_or(1, |(number, _)| number.wrapping_add(1));
        again.headers.remove("Via");
        again.headers.set("CSeq", &format!("{number} INVITE"));
        for field in ["Authorization", "Proxy-Authorization"] {
            again.headers.remove(field);
        }
        if let crate::sip::message::Start::Request { uri: it, .. } = &mut again.start {
            *it = uri.to_string();
        }
        self.invite(core, again, hop, now);
    }

    /// The session should be refreshed less often than we said, which we had not said at all (RFC 4028 section 6).
    fn too_brief(&mut self, core: &mut Core, response: &Message, tries: u8, now: Instant) {
        let seconds = response.headers.first("Min-SE").and_then(seconds_of);
        let Some(seconds) = seconds.filter(|_| !self.has_session_minimum) else {
            let refused = End::Refused {
                code: 422,
                reason: reason(response).into(),
            };
            return self.over(core, refused, now);
        };
        self.has_session_minimum = true;
        let mut again = self.invite.clone();
        let number = again
            .sequence()
            .map_or(1, |(number, _)| number.wrapping_add(1));
        again.headers.remove("Via");
        again.headers.set("CSeq", &format!("{number} INVITE"));
        again.headers.set("Session-Expires", &seconds.to_string());
        again.headers.set("Min-SE", &seconds.to_string());
        self.invite_again(core, again, tries, now);
    }

    /// Nobody answered the INVITE, or its way broke.
    pub(crate) fn unanswered(&mut self, core: &mut Core, trouble: Trouble, now: Instant) {
        if matches!(self.phase, Phase::Inviting | Phase::Withdrawing) {
            let end = End::Trouble {
                trouble,
                retry_after: None,
            };
            self.over(core, end, now);
        }
    }

    pub(crate) fn has(&self, request: &Message) -> bool {
        self.dialog.as_ref().is_some_and(|it| it.has(request))
    }

    pub(super) fn learn_sound(&mut self, core: &mut Core, message: &Message) {
        let Ok(description) = Description::parse(&message.body) else {
            return;
        };
        let Some(law) = description.laws.first() else {
            return;
        };
        let change = SoundChange {
            to: description.sound_address.filter(|_| description.hears()),
            law: *law,
            events: description.events,
        };
        if self.last_sound.as_ref() != Some(&change) {
            self.last_sound = Some(change.clone());
            core.tell(self.id, CallEvent::Sound(change));
        }
    }

    /// What the time brings.
    pub(crate) fn tick(&mut self, core: &mut Core, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.phase == Phase::Inviting && self.ring_until <= now {
            // The trunk that has said nothing at all by then is no use; one that rang is.
            let end = match self.progress {
                None => End::Trouble {
                    trouble: Trouble::Silent,
                    retry_after: None,
                },
                Some(_) => End::NoAnswer,
            };
            self.withdraw(core, end, now);
        }
        if self.phase == Phase::Talking && is_due(self.talk_until) {
            self.leave(core, End::TooLong, now);
        }
        self.tick_within(core, now);
        if is_due(self.farewell_at) {
            self.over(core, End::HungUpByUs, now);
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let talking = self.phase == Phase::Talking;
        [
            (self.phase == Phase::Inviting).then_some(self.ring_until),
            self.talk_until.filter(|_| talking),
            self.session.as_ref().map(|it| it.due).filter(|_| talking),
            self.refresh_again_at.filter(|_| talking),
            self.unacknowledged.as_ref().map(|it| it.at),
            self.farewell_at,
            self.forget_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

pub(crate) fn reason(response: &Message) -> &str {
    match &response.start {
        crate::sip::message::Start::Response { reason, .. } => reason,
        crate::sip::message::Start::Request { .. } => "",
    }
}

pub(super) fn has_description(message: &Message) -> bool {
    let kind = message.headers.first("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    !message.body.is_empty() && kind.eq_ignore_ascii_case("application/sdp")
}

pub(super) fn seconds_of(field: &str) -> Option<u64> {
    field.split(';').next()?.trim().parse().ok()
}
