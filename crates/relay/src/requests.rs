//! Requests that the gateway answers itself, and those that controllers have yet to answer.

use crate::{
    Asker, Output, Question, Relay, Ticket, Work,
    session::{AccountId, Side, Slot},
    timers::Timer,
};
use switchyard_protocol::{
    Address, Code, Flags, FrameRef, Kind, Role, SiteId, limits,
    message::{Answer, Body, MessageError, PeerKind, Request, verb_of},
};

/// A question that the gateway was asked on a tool's behalf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    asker: (Address, u32),
    account: AccountId,
    verb: u16,
    /// Where the asker must be a technician, and still be one when the answer comes.
    site: Option<SiteId>,
}

/// Questions that the gateway may have open, all tools together.
const QUESTIONS_MAX: usize = 256;

impl Relay {
    /// A request with destination 0, its right judged.
    pub(crate) fn request_came(&mut self, work: &mut Work<'_>, slot: Slot, frame: FrameRef<'_>) {
        let header = *frame.header();
        let request = match Request::decode(header.kind, frame.payload()) {
            Ok(request) => request,
            Err(MessageError::Cbor(_)) => return self.end(work, slot, Code::Malformed),
            Err(error) => return self.refuse_request(work, slot, frame, error.code()),
        };
        let correlation = header.correlation;
        let answer = match request {
            Request::Identify => Ok(Answer::Ok(Body::Identify {
                title: self.settings.title.clone(),
                software: self.settings.software.clone(),
                peer_kind: PeerKind::Gateway,
            })),
            Request::Lookup { address } => self.look_up(slot, address),
            _ if header.source.is_controller() => Err(Code::Forbidden),
            Request::Subscribe { controllers } => {
                match self.subscribe(work, slot, correlation, controllers.as_deref()) {
                    Ok(()) => return,
                    Err(code) => Err(code),
                }
            }
            Request::Snapshot { controller: None } => Err(Code::BadField),
            Request::Snapshot {
                controller: Some(controller),
            } => match self.snapshot(work, slot, correlation, controller) {
                Ok(()) => return,
                Err(code) => Err(code),
            },
            Request::Unsubscribe => {
                self.unsubscribe(work, slot);
                Ok(Answer::Ok(Body::Done(
                    switchyard_protocol::message::Verb::Unsubscribe,
                )))
            }
            Request::Receipt { key } => self.receipt_asked(slot, key),
            Request::Enrol { title, site } => {
                let question = Question::Enrol { title, site };
                match self.ask_gateway(work, slot, frame, question, site) {
                    Ok(()) => return,
                    Err(code) => Err(code),
                }
            }
            // A controller's to answer.
            _ => Err(Code::Unsupported),
        };
        match answer {
            Ok(answer) => self.respond(work, slot, correlation, &answer),
            Err(code) => {
                self.journal_denial(work, slot, frame, code);
                self.refuse_request(work, slot, frame, code);
            }
        }
    }

    fn look_up(&self, asker: Slot, address: Address) -> Result<Answer, Code> {
        let sessions = &self.sessions;
        let (online, since, title) = if address == Address::GATEWAY {
            (true, self.started.unwrap_or_default(), &self.settings.title)
        } else if let Some(index) = self.seen_controller(asker, address) {
            let controller = self.fleet.at(index);
            (controller.online, controller.since, &controller.title)
        } else if let Some(slot) = sessions.slot_at(address)
            && let Side::Tool { account, since, .. } = sessions.at(slot).side
            && sessions.knows_of(asker, account)
        {
            (true, since, sessions.account_name(account))
        } else if let Some(seen) = sessions.seen(address)
            && sessions.knows_of(asker, seen.account)
        {
            // A command outlives the tool that sent it, and people ask who it was.
            (false, seen.since, sessions.account_name(seen.account))
        } else {
            return Err(self.absence_of(asker, address));
        };
        Ok(Answer::Ok(Body::Lookup {
            address,
            online,
            since,
            title: title.clone(),
        }))
    }

    /// The place of a controller, if there is one of that address which a peer may see.
    pub(crate) fn seen_controller(&self, peer: Slot, address: Address) -> Option<u32> {
        let index = self.fleet.index_of(address)?;
        self.sees(peer, index).then_some(index)
    }

    /// Why nobody is at an address, as far as a peer may know: nobody ever was, or not now.
    pub(crate) fn absence_of(&self, peer: Slot, address: Address) -> Code {
        let seen = self.sessions.seen(address);
        if self.seen_controller(peer, address).is_some()
            || seen.is_some_and(|seen| self.sessions.knows_of(peer, seen.account))
        {
            Code::Offline
        } else {
            Code::UnknownAddress
        }
    }

    fn ask_gateway(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: FrameRef<'_>,
        question: Question,
        site: Option<SiteId>,
    ) -> Result<(), Code> {
        let account = self.sessions.account_of(slot).ok_or(Code::Forbidden)?;
        if !self.is_technician(slot, site) {
            return Err(Code::Forbidden);
        }
        if self.questions.len() >= QUESTIONS_MAX {
            return Err(Code::Busy);
        }
        self.may_be_asked(frame)?;
        let header = frame.header();
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let pending = Pending {
            asker: (header.source, header.correlation),
            account,
            verb: verb_of(frame.payload()).unwrap_or_default(),
            site,
        };
        self.questions.insert(ticket, pending);
        self.journal_request(work, slot, frame);
        work.output(Output::Ask {
            ticket,
            asker: Asker {
                address: header.source,
                account: self.sessions.account_name(account).clone(),
            },
            question,
        });
        Ok(())
    }

    fn is_technician(&self, slot: Slot, site: Option<SiteId>) -> bool {
        let role = self.sessions.rights(slot).and_then(|it| it.role_at(site));
        role >= Some(Role::Technician)
    }

    /// The gateway has done what it was asked.
    pub(crate) fn answered(
        &mut self,
        work: &mut Work<'_>,
        ticket: Ticket,
        answer: Result<Body, Code>,
    ) {
        let Some(pending) = self.questions.remove(&ticket) else {
            return;
        };
        let (address, correlation) = pending.asker;
        let code = answer.as_ref().err().copied().unwrap_or(Code::Ok);
        work.journal_answer_of(pending.asker, Address::GATEWAY, pending.verb, code);
        // An enrolment's answer bears a key: it goes to the account that asked, while that may still
        // ask for it, or to nobody.
        let slot = self.sessions.slot_at(address).filter(|&slot| {
            self.sessions.account_of(slot) == Some(pending.account)
                && self.is_technician(slot, pending.site)
        });
        let Some(slot) = slot else {
            return self.counters.dropped.add(Code::Offline);
        };
        let answer = match answer {
            Ok(body) => Answer::Ok(body),
            Err(code) => {
                self.counters.refused.add(code);
                Answer::refused(code, pending.verb)
            }
        };
        self.respond(work, slot, correlation, &answer);
    }

    /// Answers a request that is not going to be dealt with.
    pub(crate) fn refuse_request(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        frame: FrameRef<'_>,
        code: Code,
    ) {
        self.counters.refused.add(code);
        let verb = verb_of(frame.payload()).unwrap_or_default();
        let correlation = frame.header().correlation;
        self.respond(work, slot, correlation, &Answer::refused(code, verb));
    }

    pub(crate) fn respond(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        correlation: u32,
        answer: &Answer,
    ) {
        if correlation == 0 {
            return;
        }
        let kind = (Kind::Response, Flags::NONE);
        self.send_own(work, slot, kind, correlation, |payload| {
            answer.encode_into(payload);
        });
    }

    /// Forwards a tool's request to a controller, and remembers that it is open.
    pub(crate) fn ask_controller(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        frame: FrameRef<'_>,
    ) {
        let header = frame.header();
        let asker = (header.source, header.correlation);
        let opened = self
            .may_be_asked(frame)
            .and_then(|()| self.open_request(work, index, asker, frame.bytes()));
        match opened {
            Ok(to) => {
                self.journal_request(work, slot, frame);
                self.send(work, to, frame.bytes());
            }
            Err(code) => {
                self.journal_denial(work, slot, frame, code);
                self.refuse_request(work, slot, frame, code);
            }
        }
    }

    fn open_request(
        &mut self,
        work: &Work<'_>,
        index: u32,
        asker: (Address, u32),
        bytes: &[u8],
    ) -> Result<Slot, Code> {
        let controller = self.fleet.at(index);
        let address = controller.address;
        let to = controller.session().filter(|_| controller.online);
        let to = to.ok_or(Code::Offline)?;
        let session = self.sessions.at(to);
        if let Side::Controller {
            frame_bytes_max, ..
        } = session.side
            && bytes.len() > frame_bytes_max
        {
            return Err(Code::TooLarge);
        }
        // Half of the queue is the commands' alone: who may only look must not keep anybody from
        // switching.
        let queued_bytes = session.queued_bytes;
        let room = self.settings.controller_queue_bytes_max;
        if queued_bytes > room / 2 || queued_bytes + bytes.len() > room {
            return Err(Code::Busy);
        }
        // 0 wants no answer, so nothing stays open.
        if asker.1 != 0 {
            let open = self.fleet.open_mut(index);
            let is_full = open.until.len() >= limits::OPEN_REQUESTS_MAX;
            if is_full && !open.until.contains_key(&asker) {
                return Err(Code::Busy);
            }
            let until = work.now.since_start + limits::REQUEST_TIMEOUT;
            let is_new = open.until.insert(asker, until).is_none();
            if open.timer_at.is_none() {
                open.timer_at = Some(until);
                self.timers.arm(until, Timer::Requests(address));
            }
            self.fleet.requests_open += usize::from(is_new);
        }
        Ok(to)
    }

    /// A controller's response to a tool.
    pub(crate) fn answer_came(&mut self, work: &mut Work<'_>, index: u32, frame: FrameRef<'_>) {
        let header = frame.header();
        let asker = (header.destination, header.correlation);
        let was_open = if header.flags.contains(Flags::MORE) {
            let open = self.fleet.at(index).open.as_ref();
            open.is_some_and(|open| open.until.contains_key(&asker))
        } else {
            self.request_closed(index, asker)
        };
        if !was_open {
            return self.counters.dropped.add(Code::NotGranted);
        }
        work.journal_answer(frame);
        let to = self.sessions.slot_at(header.destination);
        // Who may not see the controller any more is as good as gone.
        let Some(to) = to.filter(|&to| self.sees(to, index)) else {
            return self.counters.dropped.add(Code::Offline);
        };
        let bytes = frame.bytes();
        let room = self.settings.tool_queue_bytes_max;
        if self.sessions.at(to).queued_bytes + bytes.len() <= room / 8 * 7 {
            return self.send(work, to, bytes);
        }
        // An answer may have any number of pages: a controller must not be able to get whoever asks
        // it cut off. What is left of it would be no answer, so it ends here.
        self.request_closed(index, asker);
        self.counters.dropped.add(Code::Busy);
        let verb = verb_of(frame.payload()).unwrap_or_default();
        let refused = Answer::refused(Code::Busy, verb);
        self.respond(work, to, header.correlation, &refused);
    }

    /// Forgets the requests to a controller that have been open for too long.
    pub(crate) fn requests_due(&mut self, work: &mut Work<'_>, address: Address) {
        let now = work.now.since_start;
        let Some(controller) = self.fleet.find_mut(address) else {
            return;
        };
        let Some(open) = &mut controller.open else {
            return;
        };
        let before = open.until.len();
        open.until.retain(|_, until| *until > now);
        let forgotten = before - open.until.len();
        let next = open.until.values().min().copied();
        open.timer_at = next;
        match next {
            Some(next) => self.timers.arm(next, Timer::Requests(address)),
            // An idle controller shall not keep the room of its busiest minute.
            None => controller.open = None,
        }
        self.fleet.requests_open -= forgotten;
    }

    /// Whether it was open.
    fn request_closed(&mut self, index: u32, asker: (Address, u32)) -> bool {
        let open = self.fleet.at_mut(index).open.as_mut();
        let was_open = open.is_some_and(|open| open.until.remove(&asker).is_some());
        self.fleet.requests_open -= usize::from(was_open);
        was_open
    }
}
