//! The sound of one call: what is played goes out in packets of 20 ms, keys come out of what comes in. No socket and
//! no clock.

use crate::{
    media::{
        SAMPLES_EACH_PACKET,
        events::{KeyEvent, Press, Presses},
        g711::Law,
        keys::{Keys, Way},
        rtp::Packet,
        tones::{Heard, ToneDetector},
    },
    sip::call::SoundChange,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a packet lasts.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// How late packets may be sent close together, to catch up. What is later goes on from now.
const LATE_MAX: Duration = Duration::from_millis(100);
/// Packets that wait for one which is late.
const WAITING_MAX: usize = 4;
/// How long whom we hear must be silent before sound is taken from elsewhere, unless the trunk has told of that.
const SILENT: Duration = Duration::from_secs(1);
/// Packets, a second of them, after which where sound comes from is the other side's place, though the trunk has told
/// of another. Fewer may be left over from another call at this number.
const LEARNED_PACKETS: u32 = 50;

/// What sound tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEvent {
    Key(char),
    /// All that was to be played has been.
    Played,
}

/// The sound of one call.
pub(crate) struct Stream {
    source: u32,
    sequence: u16,
    timestamp: u32,
    law: Law,
    events: Option<u8>,
    /// Where the other side has said that it wants its sound.
    told: Option<SocketAddr>,
    /// Whether it does not want it now.
    is_held: bool,
    /// Where its sound comes from, which is where ours goes (symmetric RTP, RFC 4961).
    heard: Option<HeardFrom>,
    is_answered: bool,
    was_silent: bool,
    playing: Option<(Arc<[i16]>, usize)>,
    next_at: Option<Instant>,
    presses: Presses,
    keys: Keys,
    /// Whether keys have come as packets: tones and messages then tell nothing new.
    has_events: bool,
    listener: Listener,
    found: VecDeque<StreamEvent>,
    packets_heard: u64,
}

/// Where sound comes from.
struct HeardFrom {
    place: SocketAddr,
    at: Instant,
    packets: u32,
}

impl Stream {
    /// `chance` is for where the numbers begin (RFC 3550 section 5.1).
    pub(crate) fn new(source: u32, chance: u32) -> Self {
        Stream {
            source,
            sequence: (chance >> 16) as u16 & 0x7fff,
            timestamp: chance,
            law: Law::Mu,
            events: None,
            told: None,
            is_held: true,
            heard: None,
            is_answered: false,
            was_silent: true,
            playing: None,
            next_at: None,
            presses: Presses::default(),
            keys: Keys::default(),
            has_events: false,
            listener: Listener::default(),
            found: VecDeque::new(),
            packets_heard: 0,
        }
    }

    /// Sound goes another way from now on.
    pub(crate) fn change(&mut self, change: &SoundChange) {
        self.is_held = change.to.is_none();
        if change.to.is_some() && change.to != self.told {
            self.told = change.to;
            self.heard = None;
        }
        self.law = change.law;
        self.events = change.events;
        // Where none can come any more, the other ways count again.
        self.has_events &= change.events.is_some();
    }

    /// The call was answered: sound goes out, and keys count. What came before was an announcement's.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.is_answered = true;
        self.next_at = Some(now);
        // Whoever talks may be elsewhere than whoever announced.
        self.heard.take_if(|it| Some(it.place) != self.told);
    }

    /// Plays this instead of what is being played.
    pub(crate) fn play(&mut self, sound: Arc<[i16]>) {
        self.playing = Some((sound, 0));
    }

    /// Plays nothing more.
    pub(crate) fn stop(&mut self) {
        self.playing = None;
    }

    /// Packets of sound and keys that have been taken in.
    pub(crate) fn packets_heard(&self) -> u64 {
        self.packets_heard
    }

    pub(crate) fn event(&mut self) -> Option<StreamEvent> {
        self.found.pop_front()
    }

    /// A key came by SIP. It does not count where keys come as packets: the message may be sent again, and come long
    /// after the press that it tells of, when that key means something else.
    pub(crate) fn key_by_info(&mut self, key: char, now: Instant) {
        if self.is_answered && !self.has_events && self.keys.press(key, Way::Info, now) {
            self.found.push_back(StreamEvent::Key(key));
        }
    }

    /// A packet has come.
    pub(crate) fn packet(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        let law = match packet.payload_type {
            0 => Some(Law::Mu),
            8 => Some(Law::A),
            _ if Some(packet.payload_type) == self.events => None,
            _ => return,
        };
        if !self.is_from_them(from, now) {
            return;
        }
        self.packets_heard += 1;
        if !self.is_answered {
            return;
        }
        match law {
            None => {
                let Some(event) = KeyEvent::parse(&packet.payload) else {
                    return;
                };
                self.has_events = true;
                match self.presses.packet(packet.source, packet.timestamp, event) {
                    Press::New(key) if self.keys.press(key, Way::Event, now) => {
                        self.found.push_back(StreamEvent::Key(key));
                    }
                    Press::New(key) | Press::Same(key) => self.keys.hold(key, Way::Event, now),
                }
            }
            Some(law) if !self.has_events => {
                let (keys, found) = (&mut self.keys, &mut self.found);
                self.listener.packet(&packet, law, |heard| match heard {
                    Heard::Pressed(key) => {
                        if keys.press(key, Way::Tone, now) {
                            found.push_back(StreamEvent::Key(key));
                        }
                    }
                    Heard::Held(key) => keys.hold(key, Way::Tone, now),
                });
            }
            Some(_) => {}
        }
    }

    /// Whether a packet is of the other side: always from where the trunk has told, and from where sound came first.
    /// Once that is silent, from another number at the same address, and from anywhere only as long as neither the place
    /// that was told nor one that was learned has been heard: whoever could come in later could press keys.
    fn is_from_them(&mut self, from: SocketAddr, now: Instant) -> bool {
        let told_ip = self.told.map(|it| it.ip());
        let mut packets = 0;
        if let Some(heard) = &self.heard {
            let place = heard.place;
            let is_silent = now.saturating_duration_since(heard.at) > SILENT;
            let is_known = told_ip == Some(place.ip()) || heard.packets >= LEARNED_PACKETS;
            let is_near = from.ip() == place.ip() || Some(from.ip()) == told_ip;
            let is_theirs =
                from == place || Some(from) == self.told || is_silent && (is_near || !is_known);
            if !is_theirs {
                return false;
            }
            if from.ip() == place.ip() {
                packets = heard.packets;
            }
        }
        self.heard = Some(HeardFrom {
            place: from,
            at: now,
            packets: packets.saturating_add(1),
        });
        true
    }

    /// The packet that is due, if one is.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        loop {
            let due = self.next_at.filter(|at| *at <= now)?;
            let mut passed = 1;
            if now - due > LATE_MAX {
                // The machine slept: what was to be said is said from now on.
                passed = ((now - due).as_micros() / PACKET_TIME.as_micros()) as u32;
                self.was_silent = true;
            }
            self.next_at = Some(due + PACKET_TIME * passed);
            let timestamp = self
                .timestamp
                .wrapping_add(SAMPLES_EACH_PACKET as u32 * (passed - 1));
            self.timestamp = timestamp.wrapping_add(SAMPLES_EACH_PACKET as u32);
            let place = self.heard.as_ref().map(|it| it.place).or(self.told);
            let Some(to) = place.filter(|_| !self.is_held) else {
                self.was_silent = true;
                continue;
            };
            let payload = self.payload();
            let packet = Packet {
                marker: self.was_silent,
                payload_type: self.law.payload_type(),
                sequence: self.sequence,
                timestamp,
                source: self.source,
                payload,
            };
            self.was_silent = false;
            self.sequence = self.sequence.wrapping_add(1);
            return Some((to, packet.to_bytes()));
        }
    }

    /// The next 20 ms of what is played, or silence: an unbroken stream keeps the way open through routers, and tells
    /// the trunk that we are there.
    fn payload(&mut self) -> Vec<u8> {
        let mut payload = vec![self.law.silence(); SAMPLES_EACH_PACKET];
        if let Some((sound, place)) = &mut self.playing {
            let end = (*place + SAMPLES_EACH_PACKET).min(sound.len());
            for (byte, sample) in payload.iter_mut().zip(&sound[*place..end]) {
                *byte = self.law.encode(*sample);
            }
            *place = end;
            if end == sound.len() {
                self.playing = None;
                self.found.push_back(StreamEvent::Played);
            }
        }
        payload
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.next_at
    }
}

/// Puts packets of sound in order, and hears keys out of them.
#[derive(Default)]
struct Listener {
    source: Option<u32>,
    next: u16,
    waiting: BTreeMap<u16, Vec<i16>>,
    last: Vec<i16>,
    detector: ToneDetector,
}

impl Listener {
    fn packet(&mut self, packet: &Packet, law: Law, mut tell: impl FnMut(Heard)) {
        if self.source != Some(packet.source) {
            *self = Listener {
                source: Some(packet.source),
                next: packet.sequence,
                ..Listener::default()
            };
        }
        let ahead = packet.sequence.wrapping_sub(self.next);
        if ahead > u16::MAX / 2 {
            return;
        }
        let samples: Vec<i16> = packet.payload.iter().map(|it| law.decode(*it)).collect();
        if usize::from(ahead) > WAITING_MAX * 4 {
            // A leap is a new beginning, not a loss.
            self.waiting.clear();
            self.next = packet.sequence;
        }
        self.waiting.insert(packet.sequence, samples);
        loop {
            if let Some(samples) = self.waiting.remove(&self.next) {
                self.detector.hear(&samples, &mut tell);
                self.last = samples;
            } else if self.waiting.len() >= WAITING_MAX {
                // It is lost. A key that is held goes on through it.
                let last = std::mem::take(&mut self.last);
                self.detector.hear(&last, &mut tell);
            } else {
                break;
            }
            self.next = self.next.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tones::tone;

    const THERE: &str = "192.0.2.1:4000";

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn stream(start: Instant) -> Stream {
        let mut stream = Stream::new(7, 1_000);
        stream.change(&SoundChange {
            to: Some(THERE.parse().unwrap()),
            law: Law::A,
            events: Some(101),
        });
        stream.answered(start);
        stream
    }

    fn drain(stream: &mut Stream) -> Vec<StreamEvent> {
        std::iter::from_fn(|| stream.event()).collect()
    }

    fn sound_packet(sequence: u16, samples: &[i16]) -> Vec<u8> {
        Packet {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: u32::from(sequence) * 160,
            source: 9,
            payload: samples.iter().map(|it| Law::Mu.encode(*it)).collect(),
        }
        .to_bytes()
    }

    fn key_packet(key: char, timestamp: u32) -> Vec<u8> {
        let event = KeyEvent {
            key,
            is_end: false,
            duration: 160,
        };
        Packet {
            marker: true,
            payload_type: 101,
            sequence: 5,
            timestamp,
            source: 9,
            payload: event.to_bytes().unwrap().to_vec(),
        }
        .to_bytes()
    }

    #[test]
    fn what_is_played_goes_out_every_20_ms() {
        let start = Instant::now();
        let mut stream = stream(start);
        stream.play(vec![8_000; 400].into());
        let mut sent = Vec::new();
        for ms in 0..100 {
            while let Some((to, bytes)) = stream.tick(start + at(ms)) {
                assert_eq!(to, THERE.parse().unwrap());
                sent.push((ms, Packet::parse(&bytes).unwrap()));
            }
        }
        let times: Vec<_> = sent.iter().map(|(ms, _)| *ms).collect();
        assert_eq!(times, [0, 20, 40, 60, 80]);
        for (index, (_, packet)) in sent.iter().enumerate() {
            assert_eq!(packet.sequence, sent[0].1.sequence + index as u16);
            assert_eq!(packet.timestamp, sent[0].1.timestamp + 160 * index as u32);
            assert_eq!(packet.marker, index == 0);
        }
        let loud = Law::A.encode(8_000);
        assert!(sent[2].1.payload[..80].iter().all(|it| *it == loud));
        assert!(
            sent[2].1.payload[80..]
                .iter()
                .all(|it| *it == Law::A.silence())
        );
        assert_eq!(drain(&mut stream), [StreamEvent::Played]);
    }

    #[test]
    fn after_a_pause_of_the_machine_it_goes_on_from_now() {
        let start = Instant::now();
        let mut stream = stream(start);
        let first = Packet::parse(&stream.tick(start).unwrap().1).unwrap();
        let late = start + at(1_020);
        let mut count = 0;
        let mut last = first.clone();
        while let Some((_, bytes)) = stream.tick(late) {
            last = Packet::parse(&bytes).unwrap();
            count += 1;
        }
        assert!(count <= 2, "{count}");
        assert!(last.timestamp - first.timestamp >= 160 * 50);
    }

    #[test]
    fn nothing_goes_out_before_the_answer_or_while_it_is_held() {
        let start = Instant::now();
        let mut early = Stream::new(7, 0);
        let mut change = SoundChange {
            to: Some(THERE.parse().unwrap()),
            law: Law::Mu,
            events: None,
        };
        early.change(&change);
        assert_eq!(early.tick(start), None);
        let mut stream = stream(start);
        stream.play(vec![1; 320].into());
        change.to = None;
        stream.change(&change);
        for ms in 0..1_000 {
            assert_eq!(stream.tick(start + at(ms)), None);
        }
        assert_eq!(drain(&mut stream), []);
        change.to = Some(THERE.parse().unwrap());
        stream.change(&change);
        let (_, bytes) = stream.tick(start + at(1_000)).unwrap();
        assert!(Packet::parse(&bytes).unwrap().marker);
    }

    #[test]
    fn sound_goes_to_where_theirs_comes_from() {
        let start = Instant::now();
        let mut stream = stream(start);
        let quiet = vec![0; 160];
        let theirs: SocketAddr = "198.51.100.7:999".parse().unwrap();
        let stranger: SocketAddr = "203.0.113.1:1".parse().unwrap();
        stream.packet(theirs, &sound_packet(1, &quiet), start);
        assert_eq!(stream.tick(start).unwrap().0, theirs);
        // Somebody else is not heard while they are, whatever he sends.
        stream.packet(stranger, &sound_packet(2, &quiet), start + at(900));
        assert_eq!(stream.tick(start + at(40)).unwrap().0, theirs);
        assert_eq!(stream.packets_heard(), 1);
        // From where the trunk has told they may always come.
        stream.packet(
            THERE.parse().unwrap(),
            &sound_packet(3, &quiet),
            start + at(950),
        );
        assert_eq!(
            stream.tick(start + at(60)).unwrap().0,
            THERE.parse().unwrap()
        );
        // Nor is somebody else heard once they are silent; they may go on from another number of theirs.
        stream.packet(stranger, &sound_packet(4, &quiet), start + at(2_000));
        assert_eq!(
            stream.tick(start + at(80)).unwrap().0,
            THERE.parse().unwrap()
        );
        let elsewhere: SocketAddr = "192.0.2.1:4002".parse().unwrap();
        stream.packet(elsewhere, &sound_packet(5, &quiet), start + at(1_900));
        assert_eq!(stream.packets_heard(), 2);
        stream.packet(elsewhere, &sound_packet(6, &quiet), start + at(2_100));
        assert_eq!(stream.tick(start + at(100)).unwrap().0, elsewhere);
    }

    #[test]
    fn a_stranger_presses_nothing() {
        let start = Instant::now();
        let stranger: SocketAddr = "203.0.113.1:1".parse().unwrap();
        let told: SocketAddr = THERE.parse().unwrap();
        let behind_a_router: SocketAddr = "198.51.100.7:999".parse().unwrap();
        let press = |timestamp| key_packet('1', timestamp);
        for theirs in [told, behind_a_router] {
            let mut stream = stream(start);
            for index in 0..60 {
                let packet = sound_packet(index, &[0; 160]);
                stream.packet(theirs, &packet, start + at(20 * u64::from(index)));
            }
            stream.packet(stranger, &press(1), start + at(60_000));
            assert_eq!(drain(&mut stream), [], "{theirs}");
            stream.packet(theirs, &press(2), start + at(61_000));
            assert_eq!(drain(&mut stream), [StreamEvent::Key('1')], "{theirs}");
            // Held and taken up again, it is the same place; another one is learned anew.
            let mut change = SoundChange {
                to: None,
                law: Law::A,
                events: Some(101),
            };
            stream.change(&change);
            change.to = Some(told);
            stream.change(&change);
            stream.packet(stranger, &press(3), start + at(70_000));
            assert_eq!(drain(&mut stream), [], "{theirs}");
            change.to = Some("192.0.2.9:4000".parse().unwrap());
            stream.change(&change);
            stream.packet(stranger, &press(4), start + at(80_000));
            assert_eq!(drain(&mut stream), [StreamEvent::Key('1')], "{theirs}");
        }
    }

    /// What is left over from another call at the same socket number does not keep theirs from being heard.
    #[test]
    fn a_few_packets_are_nobody_s_place() {
        let start = Instant::now();
        let mut stream = stream(start);
        let stranger: SocketAddr = "203.0.113.1:1".parse().unwrap();
        let theirs: SocketAddr = "198.51.100.7:999".parse().unwrap();
        stream.packet(stranger, &sound_packet(1, &[0; 160]), start);
        stream.packet(theirs, &sound_packet(1, &[0; 160]), start + at(1_100));
        assert_eq!(stream.tick(start).unwrap().0, theirs);
    }

    #[test]
    fn a_message_that_comes_late_is_no_other_press() {
        let start = Instant::now();
        let mut stream = stream(start);
        let from: SocketAddr = THERE.parse().unwrap();
        stream.key_by_info('4', start);
        stream.packet(from, &key_packet('4', 1), start + at(10));
        assert_eq!(drain(&mut stream), [StreamEvent::Key('4')]);
        stream.packet(from, &key_packet('1', 2), start + at(500));
        assert_eq!(drain(&mut stream), [StreamEvent::Key('1')]);
        // The message got lost, and was sent again.
        stream.key_by_info('1', start + at(4_500));
        assert_eq!(drain(&mut stream), []);
        // Where no more packets of keys are to come, messages are all there is.
        let change = SoundChange {
            to: Some(from),
            law: Law::A,
            events: None,
        };
        stream.change(&change);
        stream.key_by_info('2', start + at(9_000));
        assert_eq!(drain(&mut stream), [StreamEvent::Key('2')]);
    }

    #[test]
    fn keys_come_out_of_packets_tones_and_messages_once_each() {
        let start = Instant::now();
        let mut stream = stream(start);
        let from: SocketAddr = THERE.parse().unwrap();
        // As a tone, with one packet lost and two changed round.
        let sound = [tone('5', 160 * 6, 8_000.0).unwrap(), vec![0; 160 * 8]].concat();
        let mut packets: Vec<_> = sound
            .chunks(160)
            .enumerate()
            .map(|(index, samples)| sound_packet(65_533_u16.wrapping_add(index as u16), samples))
            .collect();
        packets.swap(3, 4);
        packets.remove(2);
        for (index, packet) in packets.iter().enumerate() {
            stream.packet(from, packet, start + at(20 * index as u64));
        }
        stream.key_by_info('5', start + at(300));
        assert_eq!(drain(&mut stream), [StreamEvent::Key('5')]);
        stream.key_by_info('6', start + at(400));
        stream.packet(from, &key_packet('6', 5), start + at(500));
        assert_eq!(drain(&mut stream), [StreamEvent::Key('6')]);
    }

    #[test]
    fn keys_of_an_announcement_before_the_answer_do_not_count() {
        let start = Instant::now();
        let mut stream = Stream::new(7, 0);
        for (index, samples) in tone('1', 1_600, 8_000.0).unwrap().chunks(160).enumerate() {
            stream.packet(
                THERE.parse().unwrap(),
                &sound_packet(index as u16, samples),
                start,
            );
        }
        stream.key_by_info('1', start);
        assert_eq!(drain(&mut stream), []);
        assert_eq!(stream.packets_heard(), 10);
    }
}
