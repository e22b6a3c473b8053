//! One call at the telephone: rings, is taken, hears, presses keys, hangs up.

use super::{Behaviour, KeyWay, Taking, What, When, lock, system::Place};
use anyhow::Result;
use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};
use switchyard_telephone::{
    media::{
        SAMPLES_EACH_PACKET,
        events::KeyEvent,
        g711::Law,
        rtp::{PACKET_BYTES_MAX, Packet},
        tones::tone,
    },
    sip::{
        header::{Uri, address},
        message::Message,
        sdp::{Description, OwnSound},
    },
};

/// After how long something is sent again that nobody has answered, and how often.
const RESEND: Duration = Duration::from_millis(500);
const RESENDS_MAX: u32 = 12;
const PACKET_TIME: Duration = Duration::from_millis(20);
/// How long a key is held: five packets.
const KEY_PACKETS: u16 = 5;
/// What is louder than this is speech.
const LOUD: u16 = 500;
/// The longest call that is recorded: five minutes.
const RECORDED_SAMPLES_MAX: usize = 8_000 * 300;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ringing,
    Taken,
    /// Refused, withdrawn or hung up: lingers for what comes again.
    Over(Instant),
}

/// Something that is sent until it is answered.
struct Unanswered {
    bytes: Vec<u8>,
    /// The method and number by which its answer is known; ACK for an answer to INVITE.
    number: Option<u32>,
    at: Instant,
    count: u32,
}

/// What goes out in the next packets.
enum Outgoing {
    Sound(Vec<i16>),
    Event {
        event: KeyEvent,
        is_first: bool,
        is_last: bool,
    },
}

pub(super) struct Ongoing {
    count: usize,
    number: String,
    call_id: String,
    behaviour: Behaviour,
    invite: Message,
    source: SocketAddr,
    tag: String,
    phase: Phase,
    begun: Instant,
    has_rung: bool,
    sequence: u32,
    unanswered: Vec<Unanswered>,
    // Sound.
    socket: UdpSocket,
    own: OwnSound,
    to: Option<SocketAddr>,
    law: Law,
    events: Option<u8>,
    outgoing: VecDeque<Outgoing>,
    next_packet_at: Option<Instant>,
    rtp_sequence: u16,
    timestamp: u32,
    event_timestamp: u32,
    // What was heard.
    first_timestamp: Option<u32>,
    has_spoken: bool,
    quiet_since: Instant,
    // What is still to be pressed.
    presses: VecDeque<super::Press>,
    last_act: Instant,
}

impl Ongoing {
    pub(super) fn new(
        place: &mut Place,
        count: usize,
        number: String,
        behaviour: Behaviour,
        invite: &Message,
        source: SocketAddr,
    ) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let now = Instant::now();
        let own = OwnSound {
            address: socket.local_addr()?,
            session: 1,
            version: 1,
        };
        let mut call = Ongoing {
            count,
            number,
            call_id: invite.headers.first("Call-ID").unwrap_or_default().into(),
            presses: behaviour.presses.clone().into(),
            behaviour,
            invite: invite.clone(),
            source,
            tag: place.token(),
            phase: Phase::Ringing,
            begun: now,
            has_rung: false,
            sequence: 0,
            unanswered: Vec::new(),
            socket,
            own,
            to: None,
            law: Law::Mu,
            events: None,
            outgoing: VecDeque::new(),
            next_packet_at: None,
            rtp_sequence: 0,
            timestamp: 0,
            event_timestamp: 0,
            first_timestamp: None,
            has_spoken: false,
            quiet_since: now,
            last_act: now,
        };
        if call.behaviour.taking != Taking::Silent {
            call.respond(place, 100, "Trying", false);
        }
        Ok(call)
    }

    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(until) if until <= Instant::now())
    }

    fn tell(&self, place: &Place, what: What) {
        place.tell(self.count, &self.number, what);
    }

    fn over(&mut self) {
        self.phase = Phase::Over(Instant::now() + RESEND * RESENDS_MAX);
        self.next_packet_at = None;
    }

    fn respond(&mut self, place: &mut Place, code: u16, reason: &str, has_sound: bool) {
        let mut response = Message::response(&self.invite, code, reason, &self.tag);
        let contact = format!("<sip:{}@{}>", self.number, place.address);
        response.headers.add("Contact", &contact);
        if has_sound && let Ok(offer) = Description::parse(&self.invite.body) {
            self.law = offer.laws.first().copied().unwrap_or(Law::Mu);
            self.events = offer.events;
            self.to = offer.sound_address.filter(|_| offer.hears());
            if let Some(answer) = self.own.answer(&offer) {
                response.headers.add("Content-Type", "application/sdp");
                response.body = answer;
            }
        }
        let bytes = response.to_bytes();
        place.send(self.source, &bytes);
        if code >= 200 {
            self.unanswered.push(Unanswered {
                bytes,
                number: None,
                at: Instant::now() + RESEND,
                count: 0,
            });
        }
    }

    /// The INVITE again: a retransmission, or a change within the call.
    pub(super) fn invited_again(&mut self, place: &mut Place, invite: &Message) -> Option<Message> {
        if invite.branch() == self.invite.branch() || self.phase != Phase::Taken {
            return None;
        }
        self.invite = invite.clone();
        self.respond(place, 200, "OK", true);
        None
    }

    pub(super) fn acknowledged(&mut self, place: &mut Place) {
        let before = self.unanswered.len();
        self.unanswered.retain(|it| it.number.is_some());
        if before != self.unanswered.len() && self.phase == Phase::Taken {
            self.tell(place, What::Acknowledged);
        }
    }

    /// An answer to a request of ours.
    pub(super) fn answered(&mut self, response: &Message) {
        if response.code() >= Some(200) {
            let number = response.sequence().map(|(number, _)| number);
            self.unanswered
                .retain(|it| it.number.is_none() || it.number != number);
        }
    }

    /// BYE or CANCEL.
    pub(super) fn ended(&mut self, place: &mut Place, request: &Message) -> Option<Message> {
        match (request.method(), self.phase) {
            (Some("CANCEL"), Phase::Ringing) => {
                self.tell(place, What::Withdrawn);
                self.respond(place, 487, "Request Terminated", false);
                self.over();
            }
            (Some("BYE"), Phase::Taken) => {
                self.tell(place, What::HungUpByCaller);
                self.over();
            }
            _ => {}
        }
        Some(Message::response(request, 200, "OK", &self.tag))
    }

    pub(super) fn hang_up(&mut self, place: &mut Place) {
        if self.phase == Phase::Taken {
            self.request(place, "BYE", None);
            self.tell(place, What::HungUp);
            self.over();
        }
    }

    /// A request within the call, sent until it is answered.
    fn request(&mut self, place: &mut Place, method: &str, relayed_key: Option<char>) {
        let contact = self.invite.headers.first("Contact").unwrap_or_default();
        let target = address(contact).to_owned();
        self.sequence += 1;
        let mut request = Message::request(method, &target);
        let branch = place.token();
        let via = format!("SIP/2.0/UDP {};rport;branch=z9hG4bK{branch}", place.address);
        request.headers.add("Via", &via);
        let field = |name| {
            self.invite
                .headers
                .first(name)
                .unwrap_or_default()
                .to_owned()
        };
        request
            .headers
            .add("From", &format!("{};tag={}", field("To"), self.tag));
        request.headers.add("To", &field("From"));
        request.headers.add("Call-ID", &self.call_id);
        request
            .headers
            .add("CSeq", &format!("{} {method}", self.sequence));
        request.headers.add("Max-Forwards", "70");
        if let Some(key) = relayed_key {
            request
                .headers
                .add("Content-Type", "application/dtmf-relay");
            request.body = format!("Signal={key}\r\nDuration=100\r\n").into_bytes();
        }
        let to = target
            .parse::<Uri>()
            .ok()
            .and_then(|uri| Some(SocketAddr::new(uri.ip()?, uri.udp_or_tcp_port?)));
        self.source = to.unwrap_or(self.source);
        let bytes = request.to_bytes();
        place.send(self.source, &bytes);
        self.unanswered.push(Unanswered {
            bytes,
            number: Some(self.sequence),
            at: Instant::now() + RESEND,
            count: 0,
        });
    }

    pub(super) fn press(&mut self, place: &mut Place, key: char, way: KeyWay) {
        if self.phase != Phase::Taken {
            return;
        }
        self.tell(place, What::Pressed(key));
        if matches!(way, KeyWay::Event | KeyWay::All) && self.events.is_some() {
            for index in 1..=KEY_PACKETS + 3 {
                let event = KeyEvent {
                    key,
                    is_end: index > KEY_PACKETS,
                    duration: index.min(KEY_PACKETS) * SAMPLES_EACH_PACKET as u16,
                };
                self.outgoing.push_back(Outgoing::Event {
                    event,
                    is_first: index == 1,
                    is_last: index == KEY_PACKETS + 3,
                });
            }
        }
        if matches!(way, KeyWay::Tone | KeyWay::All)
            && let Some(sound) = tone(key, SAMPLES_EACH_PACKET * usize::from(KEY_PACKETS), 8_000.0)
        {
            let pieces = sound.chunks(SAMPLES_EACH_PACKET);
            self.outgoing
                .extend(pieces.map(|it| Outgoing::Sound(it.to_vec())));
            let pause = vec![0; SAMPLES_EACH_PACKET];
            self.outgoing
                .extend((0..4).map(|_| Outgoing::Sound(pause.clone())));
        }
        if matches!(way, KeyWay::Info | KeyWay::All) {
            self.request(place, "INFO", Some(key));
        }
        self.last_act = Instant::now();
        self.has_spoken = false;
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, place: &mut Place) {
        let now = Instant::now();
        self.listen(place, now);
        match self.phase {
            Phase::Ringing => self.ring(place, now),
            Phase::Taken => self.talk(place, now),
            Phase::Over(_) => {}
        }
        while let Some(at) = self.next_packet_at.filter(|at| *at <= now) {
            self.next_packet_at = Some(at + PACKET_TIME);
            self.send_packet(place);
        }
        for it in &mut self.unanswered {
            if it.at <= now {
                it.count += 1;
                it.at = now + RESEND;
                let bytes = it.bytes.clone();
                place.send(self.source, &bytes);
            }
        }
        self.unanswered.retain(|it| it.count < RESENDS_MAX);
    }

    fn ring(&mut self, place: &mut Place, now: Instant) {
        if self.behaviour.taking == Taking::Silent {
            return;
        }
        if !self.has_rung && !self.behaviour.ring.is_zero() {
            self.has_rung = true;
            match self.behaviour.has_early_media {
                true => {
                    self.respond(place, 183, "Session Progress", true);
                    self.next_packet_at = Some(now);
                }
                false => self.respond(place, 180, "Ringing", false),
            }
            self.tell(place, What::Rang);
        }
        if now < self.begun + self.behaviour.ring {
            return;
        }
        match self.behaviour.taking.clone() {
            Taking::Takes => {
                self.phase = Phase::Taken;
                self.respond(place, 200, "OK", true);
                self.tell(place, What::Taken);
                let greeting = std::mem::take(&mut self.behaviour.greeting);
                let pieces = greeting.chunks(SAMPLES_EACH_PACKET);
                self.outgoing
                    .extend(pieces.map(|it| Outgoing::Sound(it.to_vec())));
                self.next_packet_at = Some(now);
                self.last_act = now;
                self.quiet_since = now;
            }
            Taking::Refuses(code, reason) => {
                self.respond(place, code, &reason, false);
                self.tell(place, What::Refused);
                self.over();
            }
            Taking::NeverTakes | Taking::Silent => {}
        }
    }

    fn talk(&mut self, place: &mut Place, now: Instant) {
        if let Some(press) = self.presses.front().copied() {
            let is_due = match press.when {
                When::After(pause) => now >= self.last_act + pause,
                When::Quiet(pause) => self.has_spoken && now >= self.quiet_since + pause,
            };
            if is_due {
                self.presses.pop_front();
                // Keys of one word, a PIN say, follow each other without a word of the caller.
                let goes_on = self.has_spoken;
                self.press(place, press.key, press.way);
                let is_one_word = self.presses.front().is_some_and(|it| it.when == press.when);
                self.has_spoken = goes_on && is_one_word;
                self.quiet_since = now;
            }
        } else if let Some(pause) = self.behaviour.hangs_up_after
            && now >= self.last_act + pause
        {
            self.hang_up(place);
        }
    }

    /// Takes in what the caller says.
    fn listen(&mut self, place: &mut Place, now: Instant) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok((count, _)) = self.socket.recv_from(&mut buffer) {
            if place.loses() {
                continue;
            }
            let Ok(packet) = Packet::parse(&buffer[..count]) else {
                continue;
            };
            if packet.payload_type != self.law.payload_type() {
                continue;
            }
            let samples: Vec<i16> = packet
                .payload
                .iter()
                .map(|it| self.law.decode(*it))
                .collect();
            if samples.iter().any(|it| it.unsigned_abs() > LOUD) {
                self.has_spoken = true;
                self.quiet_since = now;
            }
            let first = *self.first_timestamp.get_or_insert(packet.timestamp);
            let start = packet.timestamp.wrapping_sub(first) as usize;
            if start > RECORDED_SAMPLES_MAX {
                continue;
            }
            let mut shared = lock(&place.shared);
            let recording = shared.recordings.entry(self.count).or_default();
            let end = start + samples.len();
            if recording.len() < end {
                recording.resize(end, 0);
            }
            recording[start..end].copy_from_slice(&samples);
        }
    }

    fn send_packet(&mut self, place: &mut Place) {
        let silence = || vec![self.law.silence(); SAMPLES_EACH_PACKET];
        let (marker, payload_type, timestamp, payload) = match self.outgoing.pop_front() {
            None => (false, self.law.payload_type(), self.timestamp, silence()),
            Some(Outgoing::Sound(mut samples)) => {
                samples.resize(SAMPLES_EACH_PACKET, 0);
                let payload = samples.iter().map(|it| self.law.encode(*it)).collect();
                (false, self.law.payload_type(), self.timestamp, payload)
            }
            Some(Outgoing::Event {
                event,
                is_first,
                is_last,
            }) => {
                if is_first {
                    self.event_timestamp = self.timestamp;
                }
                let timestamp = self.event_timestamp;
                if is_last {
                    self.event_timestamp = self.timestamp;
                }
                let payload = event.to_bytes().map(Vec::from).unwrap_or_default();
                (
                    is_first,
                    self.events.unwrap_or_default(),
                    timestamp,
                    payload,
                )
            }
        };
        let packet = Packet {
            marker,
            payload_type,
            sequence: self.rtp_sequence,
            timestamp,
            source: self.count as u32,
            payload,
        };
        self.rtp_sequence = self.rtp_sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES_EACH_PACKET as u32);
        if let Some(to) = self.to
            && !place.loses()
        {
            // Whoever is gone does not hear it.
            let _ = self.socket.send_to(&packet.to_bytes(), to);
        }
    }
}
