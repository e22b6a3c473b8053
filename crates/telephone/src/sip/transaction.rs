//! Requests that were sent and are to be answered: sent again over UDP, acknowledged, given up (RFC 3261 section
//! 17.1, with RFC 6026).

use crate::sip::{
    message::Message,
    timers::{GONE, T1, T2},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What the transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The INVITE by which a call begins.
    Call(u64),
    /// A request within a call: re-INVITE, UPDATE, BYE.
    Within(u64),
    /// OPTIONS, as a probe.
    Probe,
    /// REGISTER.
    Registration,
    /// What is cleared away behind a call: nobody wants to know.
    Nobody,
}

/// A request and what has become of it.
#[derive(Debug)]
pub(crate) struct ClientTransaction {
    pub(crate) owner: Owner,
    pub(crate) request: Message,
    pub(crate) to: SocketAddr,
    /// How many times this has been tried with other proofs.
    pub(crate) tries: u8,
    bytes: Vec<u8>,
    state: State,
    is_reliable: bool,
    /// When it is sent again, and after how long then.
    resend: Option<(Instant, Duration)>,
    /// How long after the next break of its connection it is sent again.
    break_pause: Duration,
    ends_at: Option<Instant>,
    has_lingered: bool,
}

#[derive(Debug)]
enum State {
    /// Nobody has answered.
    Calling,
    /// Somebody has said that it takes time.
    Proceeding,
    /// It was refused, which we have acknowledged and do again when it is said again.
    Acknowledged(Vec<u8>),
}

/// What to do about an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It tells something.
    News,
    /// It tells something and ends the transaction.
    Last,
    /// It tells something, is to be acknowledged by these bytes, and the transaction lingers.
    Acknowledge(Vec<u8>),
    /// It was there before; these bytes again.
    Again(Vec<u8>),
    /// It was there before.
    Nothing,
}

/// What time brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// The request again.
    Resend(Vec<u8>),
    /// Nobody answered.
    GivenUp,
    /// It is over.
    Over,
}

impl ClientTransaction {
    /// A request that is sent now; `silence_limit` is how long no answer at all is waited for.
    pub(crate) fn new(
        owner: Owner,
        request: Message,
        to: SocketAddr,
        is_reliable: bool,
        silence_limit: Duration,
        now: Instant,
    ) -> Self {
        ClientTransaction {
            owner,
            bytes: request.to_bytes(),
            request,
            to,
            tries: 1,
            state: State::Calling,
            is_reliable,
            break_pause: T1,
            resend: (!is_reliable).then_some((now + T1, T1)),
            ends_at: Some(now + silence_limit.min(GONE)),
            has_lingered: false,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.request.method() == Some("INVITE")
    }

    /// Whether anything has been answered.
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// Whether the last answer is still to come.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Acknowledged(_))
    }

    /// What an answer to it means.
    pub(crate) fn response(&mut self, response: &Message, now: Instant) -> Verdict {
        let code = response.code().unwrap_or_default();
        if let State::Acknowledged(ack) = &self.state {
            return match code {
                300.. => Verdict::Again(ack.clone()),
                _ => Verdict::Nothing,
            };
        }
        match (code, self.is_invite()) {
            (..200, true) => {
                self.state = State::Proceeding;
                // From here on the ring limit holds.
                self.resend = None;
                self.ends_at = None;
                Verdict::News
            }
            (..200, false) => {
                self.state = State::Proceeding;
                self.resend = self.resend.map(|(at, _)| (at, T2));
                Verdict::Nothing
            }
            (300.., true) => {
                let ack = self.ack(response).to_bytes();
                self.state = State::Acknowledged(ack.clone());
                self.resend = None;
                self.ends_at = Some(now + GONE);
                Verdict::Acknowledge(ack)
            }
            _ => Verdict::Last,
        }
    }

    /// The ACK to a refusal: same Via, Route and number as the INVITE, and the To of the refusal (RFC 3261 section
    /// 17.1.1.3).
    fn ack(&self, response: &Message) -> Message {
        let mut ack = self.sibling("ACK");
        if let Some(to) = response.headers.first("To") {
            ack.headers.set("To", to);
        }
        ack
    }

    /// The request that belongs to this INVITE and has its branch: ACK to a refusal, CANCEL (RFC 3261 section 9.1).
    pub(crate) fn sibling(&self, method: &str) -> Message {
        let mut message = self.request.clone();
        if let crate::sip::message::Start::Request { method: it, .. } = &mut message.start {
            *it = method.into();
        }
        let mut headers = crate::sip::message::Headers::default();
        if let Some(via) = self.request.headers.first("Via") {
            headers.add("Via", via);
        }
        for name in ["Route", "Max-Forwards", "From", "To", "Call-ID"] {
            for value in self.request.headers.all(name) {
                headers.add(name, value);
            }
        }
        let number = self.request.sequence().map_or(0, |(number, _)| number);
        headers.add("CSeq", &format!("{number} {method}"));
        message.headers = headers;
        message.body.clear();
        message
    }

    /// It did not get through, or its connection broke before it was answered: over a connection it is sent again, once,
    /// after a pause that grows with each break, as a server that is not there lets one after the other break.
    /// Datagrams are sent again anyway.
    pub(crate) fn send_again(&mut self, now: Instant) {
        if self.is_reliable {
            self.resend = Some((now + self.break_pause, self.break_pause));
            self.break_pause = (self.break_pause * 2).min(T2);
        }
    }

    /// Says no more, and listens a while longer: whoever was too slow may ring yet, and is then to be told that it is
    /// not wanted any more.
    pub(crate) fn linger(&mut self, now: Instant) {
        self.has_lingered = true;
        self.resend = None;
        self.ends_at = Some(now + GONE);
    }

    pub(crate) fn has_lingered(&self) -> bool {
        self.has_lingered
    }

    /// Waits no longer than that: an INVITE that was cancelled need not be answered (RFC 3261 section 9.1).
    pub(crate) fn end_by(&mut self, at: Instant) {
        self.ends_at = Some(self.ends_at.map_or(at, |it| it.min(at)));
    }

    /// What the time brings.
    pub(crate) fn tick(&mut self, now: Instant) -> Due {
        if self.ends_at.is_some_and(|at| at <= now) {
            return match self.state {
                State::Acknowledged(_) => Due::Over,
                _ => Due::GivenUp,
            };
        }
        match &mut self.resend {
            Some((at, after)) if *at <= now => {
                // An INVITE's pause doubles; that of others only up to T2.
                *after = match self.request.method() {
                    Some("INVITE") => *after * 2,
                    _ => (*after * 2).min(T2),
                };
                *at = now + *after;
                if self.is_reliable {
                    self.resend = None;
                }
                Due::Resend(self.bytes.clone())
            }
            _ => Due::Nothing,
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let resend = self.resend.map(|(at, _)| at);
        [resend, self.ends_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(is_reliable: bool, now: Instant) -> ClientTransaction {
        transaction("INVITE", is_reliable, now)
    }

    fn transaction(method: &str, is_reliable: bool, now: Instant) -> ClientTransaction {
        let text = format!(
            "{method} sip:7@pbx SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nRoute: <sip:p;lr>\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:7@pbx>\r\nCall-ID: x\r\nCSeq: 4 {method}\r\nContact: <sip:a@h>\r\n\r\n"
        );
        let request = Message::parse(text.as_bytes()).unwrap();
        let to = "192.0.2.1:5060".parse().unwrap();
        ClientTransaction::new(Owner::Call(1), request, to, is_reliable, GONE, now)
    }

    fn answer(code: u16) -> Message {
        Message::parse(format!("SIP/2.0 {code} X\r\nTo: <sip:7@pbx>;tag=2\r\n\r\n").as_bytes())
            .unwrap()
    }

    /// When it is sent again, in milliseconds, and when it is given up.
    fn run(mut it: ClientTransaction, start: Instant) -> (Vec<u128>, u128) {
        let mut sent = Vec::new();
        loop {
            let now = it.next_due().unwrap();
            let passed = (now - start).as_millis();
            match it.tick(now) {
                Due::Resend(_) => sent.push(passed),
                Due::GivenUp => return (sent, passed),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_invite_is_sent_again_after_twice_as_long_each_time() {
        let now = Instant::now();
        let (sent, end) = run(invite(false, now), now);
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(end, 32_000);
        assert_eq!(run(invite(true, now), now), (vec![], 32_000));
    }

    #[test]
    fn other_requests_are_sent_again_every_four_seconds_at_most() {
        let now = Instant::now();
        let (sent, end) = run(transaction("BYE", false, now), now);
        let expected = [
            500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ];
        assert_eq!(sent, expected);
        assert_eq!(end, 32_000);
    }

    #[test]
    fn an_invite_that_proceeds_waits_for_as_long_as_it_takes() {
        let now = Instant::now();
        let mut it = invite(false, now);
        assert_eq!(it.response(&answer(100), now), Verdict::News);
        assert_eq!(it.next_due(), None);
        assert!(it.is_proceeding());
        assert_eq!(it.response(&answer(200), now), Verdict::Last);
    }

    #[test]
    fn a_refusal_is_acknowledged_as_often_as_it_comes() {
        let now = Instant::now();
        let mut it = invite(false, now);
        let Verdict::Acknowledge(ack) = it.response(&answer(486), now) else {
            panic!("expected an acknowledgement");
        };
        assert_eq!(
            String::from_utf8(ack.clone()).unwrap(),
            "ACK sip:7@pbx SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nRoute: <sip:p;lr>\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:7@pbx>;tag=2\r\nCall-ID: x\r\nCSeq: 4 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(it.response(&answer(486), now), Verdict::Again(ack));
        assert_eq!(it.response(&answer(180), now), Verdict::Nothing);
        assert!(!it.is_open());
        assert_eq!(it.tick(now + GONE), Due::Over);
    }
}
