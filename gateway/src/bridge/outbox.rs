//! What the broker is still to be told. Pure: it gives packets when there is room for them.
//!
//! Of what a controller *is* only marks are kept, and its picture is made when its turn comes: so a broker
//! that is slow or away costs a mark for each controller, whatever the yard does meanwhile, and gets the latest
//! when it is back. What *happened* (events, receipts) is kept itself, as letters, of which there are only so
//! many.

use super::{
    picture::{self, Parts, Platform},
    topics::Topics,
};
use crate::inside::fleet::Fleet;
use bytes::{Bytes, BytesMut};
use rumqttc::{Packet, Publish, QoS, Subscribe, SubscribeFilter};
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    ops::BitOr,
    time::Duration,
};
use switchyard_protocol::Address;
use tokio::time::Instant;

/// Bytes of packets that are made before some of them have gone: a few of the largest.
const READY_BYTES_MAX: usize = 64 * 1024;
/// The largest packet: a device of 32 points in Home Assistant's words takes 30 kB.
pub(super) const PACKET_BYTES_MAX: usize = 256 * 1024;
/// Letters that may wait. Past it the oldest go: a day of events of a quiet yard, or a minute of a loud one.
pub(super) const LETTERS_MAX: usize = 1_024;
/// Letters that the broker has not confirmed. Brokers take more; more would only be sent twice.
const FLYING_MAX: usize = 32;
/// Parts that a controller had before, and that Home Assistant is told are gone: twice as many as it can have. It hears
/// of each when it goes; those that went longest ago stay there, unavailable, where it was away ever since.
const PAST_MAX: usize = 64;
/// Changes are collected for so long after some were sent: nobody's eye is quicker, and a controller that tells
/// a hundred values in a second costs ten messages.
const ROUND: Duration = Duration::from_millis(100);

/// What is due of a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due(u8);

impl Due {
    /// Whether it is there.
    pub(super) const AVAILABILITY: Due = Due(1);
    /// All that is known of it.
    pub(super) const STATUS: Due = Due(2);
    /// Home Assistant's description.
    pub(super) const DISCOVERY: Due = Due(4);
    /// That there is nothing any more.
    pub(super) const REMOVAL: Due = Due(8);
    /// The whole of it.
    pub(super) const ALL: Due = Due(1 | 2 | 4);

    const fn has(self, other: Due) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Due {
    type Output = Due;

    fn bitor(self, other: Due) -> Due {
        Due(self.0 | other.0)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Letter {
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

/// A device as Home Assistant was told of it.
#[derive(Debug, Default)]
struct Described {
    /// Of what was told in this connection; `None` before.
    hash: Option<u64>,
    parts: Parts,
    /// Parts that it had before, the latest last.
    past: VecDeque<(String, Platform)>,
}

/// What was sent, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) messages: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    topics: Topics,
    with_commands: bool,
    marks: HashMap<Address, Due>,
    /// In which order; one whose mark has gone is passed over.
    turns: VecDeque<Address>,
    letters: VecDeque<Letter>,
    flying: VecDeque<(u16, Letter)>,
    packet_id: u16,
    /// Whether the broker is to be told that the gateway is there.
    /// The broker is to be told that all it has is live, once it has all of it.
    hello_due: bool,
    /// It is to be told that nothing is.
    bye_due: bool,
    /// The gateway's own parts do not tell this one anything now.
    is_blind: bool,
    next_round: Option<Instant>,
    described: HashMap<Address, Described>,
    hash: RandomState,
}

impl Outbox {
    /// Nothing yet.
    pub(super) fn new(topics: Topics, with_commands: bool) -> Self {
        Outbox {
            topics,
            with_commands,
            marks: HashMap::new(),
            turns: VecDeque::new(),
            letters: VecDeque::new(),
            flying: VecDeque::new(),
            packet_id: 0,
            hello_due: false,
            bye_due: false,
            is_blind: false,
            next_round: None,
            described: HashMap::new(),
            hash: RandomState::new(),
        }
    }

    /// Something of a controller has changed. Whether that was due already.
    pub(super) fn mark(&mut self, controller: Address, due: Due) -> bool {
        match self.marks.get_mut(&controller) {
            Some(known) => {
                let was_due = known.has(due);
                // What is removed and comes back is there, and the other way round.
                let is_removal = due == Due::REMOVAL || known.has(Due::REMOVAL);
                *known = if is_removal { due } else { *known | due };
                was_due
            }
            None => {
                self.marks.insert(controller, due);
                self.turns.push_back(controller);
                false
            }
        }
    }

    /// How many controllers something is due of.
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// Something happened. Whether an older letter had to go for it.
    pub(super) fn post(&mut self, letter: Letter) -> bool {
        self.letters.push_back(letter);
        let is_too_much = self.letters.len() > LETTERS_MAX;
        if is_too_much {
            self.letters.pop_front();
        }
        is_too_much
    }

    /// A connection to the broker is there: it is told everything anew, and what it had not confirmed once more.
    /// Gives the packet that says what is to be heard.
    pub(super) fn connected(&mut self, fleet: &Fleet) -> Packet {
        for (_, letter) in self.flying.drain(..).rev() {
            self.letters.push_front(letter);
        }
        self.next_round = None;
        self.hello_due = true;
        self.describe_anew(fleet);
        let filters = self.topics.filters(self.with_commands).into_iter();
        let filters = filters.map(|(path, qos)| SubscribeFilter::new(path, qos));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = self.next_packet_id();
        Packet::Subscribe(subscribe)
    }

    /// Nothing is known of the fleet from now on: what the broker has is not live any more.
    pub(super) fn blinded(&mut self) {
        (self.is_blind, self.bye_due) = (true, true);
    }

    /// All of the fleet is known again.
    pub(super) fn sees(&mut self) {
        self.hello_due |= std::mem::take(&mut self.is_blind);
    }

    /// Says that what the broker has is live, where it has not been told and has all of it.
    fn greet(&mut self, fleet: &Fleet, out: &mut BytesMut, sent: &mut Sent) {
        if self.hello_due && !self.is_blind && fleet.is_synced() {
            self.hello_due = false;
            put(
                retained(self.topics.availability(), picture::ONLINE),
                out,
                sent,
            );
        }
    }

    /// Home Assistant has forgotten everything.
    pub(super) fn describe_anew(&mut self, fleet: &Fleet) {
        for described in self.described.values_mut() {
            described.hash = None;
        }
        for address in fleet.addresses() {
            self.mark(address, Due::ALL);
        }
    }

    /// The broker has a letter.
    pub(super) fn confirmed(&mut self, packet_id: u16) {
        self.flying.retain(|(id, _)| *id != packet_id);
    }

    /// The last words before the gateway goes.
    pub(super) fn farewell(&self) -> [Packet; 2] {
        let gone = retained(self.topics.availability(), picture::OFFLINE);
        [Packet::Publish(gone), Packet::Disconnect]
    }

    /// Appends packets as long as there is room. When there will be more without anything new, if at all.
    pub(super) fn fill(
        &mut self,
        fleet: &Fleet,
        now: Instant,
        out: &mut BytesMut,
        sent: &mut Sent,
    ) -> Option<Instant> {
        if std::mem::take(&mut self.bye_due) {
            put(
                retained(self.topics.availability(), picture::OFFLINE),
                out,
                sent,
            );
        }
        while out.len() < READY_BYTES_MAX
            && self.flying.len() < FLYING_MAX
            && let Some(letter) = self.letters.pop_front()
        {
            let packet_id = self.next_packet_id();
            let Letter { topic, payload } = letter.clone();
            let mut publish = Publish::from_bytes(topic, QoS::AtLeastOnce, payload);
            publish.pkid = packet_id;
            self.flying.push_back((packet_id, letter));
            put(publish, out, sent);
        }
        if self.marks.is_empty() {
            self.greet(fleet, out, sent);
            return None;
        }
        if let Some(at) = self.next_round.filter(|at| *at > now) {
            return Some(at);
        }
        while out.len() < READY_BYTES_MAX
            && let Some(controller) = self.turns.pop_front()
        {
            if let Some(due) = self.marks.remove(&controller) {
                self.tell(fleet, controller, due, out, sent);
            }
        }
        if self.turns.is_empty() {
            self.next_round = Some(now + ROUND);
            self.greet(fleet, out, sent);
        }
        None
    }

    fn tell(
        &mut self,
        fleet: &Fleet,
        address: Address,
        due: Due,
        out: &mut BytesMut,
        sent: &mut Sent,
    ) {
        let Some(controller) = fleet.controller(address) else {
            // Retained messages go by an empty one.
            self.described.remove(&address);
            // By its availability a stranger is found, so that goes last.
            let gone = ["status", "availability"].map(|what| self.topics.of(address, what));
            for topic in self.topics.discovery(address).into_iter().chain(gone) {
                put(retained(topic, ""), out, sent);
            }
            return;
        };
        if due.has(Due::DISCOVERY) {
            self.describe(fleet, address, out, sent);
        }
        if due.has(Due::STATUS) {
            let topic = self.topics.of(address, "status");
            put(
                retained(topic, picture::status(controller).to_string()),
                out,
                sent,
            );
        }
        if due.has(Due::AVAILABILITY) {
            let topic = self.topics.of(address, "availability");
            put(
                retained(topic, picture::availability(controller.online)),
                out,
                sent,
            );
        }
    }

    /// Describes a controller to Home Assistant, unless it has been told just that.
    fn describe(&mut self, fleet: &Fleet, address: Address, out: &mut BytesMut, sent: &mut Sent) {
        let topic = self.topics.discovery(address);
        let Some((topic, controller)) = topic.zip(fleet.controller(address)) else {
            return;
        };
        let described = self.described.entry(address).or_default();
        let (topics, with_commands) = (&self.topics, self.with_commands);
        let had = std::mem::take(&mut described.parts);
        let past = &mut described.past;
        past.retain(|(key, _)| !had.contains_key(key));
        past.extend(had);
        let gone: Parts = past.iter().cloned().collect();
        let (payload, parts) =
            picture::discovery(topics, address, controller, with_commands, &gone);
        past.retain(|(key, _)| !parts.contains_key(key));
        past.drain(..past.len().saturating_sub(PAST_MAX));
        let payload = payload.to_string();
        let hash = Some(self.hash.hash_one(&payload));
        described.parts = parts;
        if described.hash != hash {
            described.hash = hash;
            put(retained(topic, payload), out, sent);
        }
    }

    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.packet_id = self.packet_id.wrapping_add(1).max(1);
            if !self.flying.iter().any(|(id, _)| *id == self.packet_id) {
                return self.packet_id;
            }
        }
    }
}

/// A letter with JSON in it.
pub(super) fn letter(topic: String, content: &Value) -> Letter {
    Letter {
        topic,
        payload: content.to_string().into(),
    }
}

fn retained(topic: String, payload: impl Into<Bytes>) -> Publish {
    let mut publish = Publish::from_bytes(topic, QoS::AtMostOnce, payload.into());
    publish.retain = true;
    publish
}

fn put(publish: Publish, out: &mut BytesMut, sent: &mut Sent) {
    // The largest thing that is told is a tenth of the bound.
    match Packet::Publish(publish).write(out, PACKET_BYTES_MAX) {
        Ok(_) => sent.messages += 1,
        Err(error) => tracing::error!(%error, "a message to the MQTT broker is too large"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inside::fleet::tests::{PUMP, full, page, point, presence};
    use switchyard_protocol::message::{PointType, Time};

    const TIME: Time = Time(9);

    struct House {
        fleet: Fleet,
        outbox: Outbox,
        now: Instant,
        out: BytesMut,
    }

    impl House {
        fn new() -> Self {
            let mut fleet = Fleet::new(&[]);
            fleet.take(&presence(true, Some(1)), TIME);
            fleet.take(
                &full(vec![point(0, "RL1", PointType::DigitalOutput, 1)]),
                TIME,
            );
            fleet.synced();
            let topics = Topics::new("switchyard", Some("homeassistant"));
            House {
                fleet,
                outbox: Outbox::new(topics, true),
                now: Instant::now(),
                out: BytesMut::new(),
            }
        }

        /// What is sent at this moment, by topic; and when there is more.
        fn sent(&mut self) -> (Vec<Publish>, Option<Instant>) {
            let (out, mut sent) = (&mut self.out, Sent::default());
            let next = self.outbox.fill(&self.fleet, self.now, out, &mut sent);
            let mut all = Vec::new();
            while let Ok(packet) = Packet::read(&mut self.out, PACKET_BYTES_MAX) {
                let Packet::Publish(publish) = packet else {
                    panic!("{packet:?}");
                };
                all.push(publish);
            }
            assert_eq!(sent.messages as usize, all.len());
            (all, next)
        }

        fn topics(&mut self) -> Vec<String> {
            self.sent().0.into_iter().map(|it| it.topic).collect()
        }
    }

    fn letter_number(number: usize) -> Letter {
        letter("switchyard/100042/event".into(), &Value::from(number))
    }

    #[test]
    fn a_connection_gets_the_whole_picture_once() {
        let mut house = House::new();
        let Packet::Subscribe(subscribe) = house.outbox.connected(&house.fleet) else {
            panic!("no subscription");
        };
        assert_eq!(subscribe.filters.len(), 3);
        let whole = [
            "homeassistant/device/switchyard_100042/config",
            "switchyard/100042/status",
            "switchyard/100042/availability",
            "switchyard/availability",
        ];
        let (sent, next) = house.sent();
        assert!(sent.iter().all(|it| it.retain && it.qos == QoS::AtMostOnce));
        let topics: Vec<_> = sent.iter().map(|it| it.topic.as_str()).collect();
        assert_eq!((topics, next), (whole.to_vec(), None));
        // Described as it is described already: the rest alone. At once nothing goes, and after the round all.
        house.outbox.mark(PUMP, Due::ALL);
        let (sent, next) = house.sent();
        assert_eq!((sent.len(), next), (0, Some(house.now + ROUND)));
        house.now += ROUND;
        assert_eq!(house.topics(), whole[1..3]);
        // A new connection, or a Home Assistant that has started anew, gets it all again.
        house.now += ROUND;
        house.outbox.describe_anew(&house.fleet);
        assert_eq!(house.topics(), whole[..3]);
        house.outbox.connected(&house.fleet);
        assert_eq!(house.topics(), whole);
    }

    #[test]
    fn what_is_not_live_is_not_called_so() {
        let mut house = House::new();
        house.fleet.begin();
        house.outbox.connected(&house.fleet);
        assert!(!house.topics().contains(&"switchyard/availability".into()));
        house.fleet.take(&presence(true, Some(1)), TIME);
        house.fleet.synced();
        let (sent, _) = house.sent();
        assert_eq!((sent.len(), &sent[0].payload[..]), (1, &b"online"[..]));
        house.outbox.blinded();
        let (sent, _) = house.sent();
        assert_eq!((sent.len(), &sent[0].payload[..]), (1, &b"offline"[..]));
        assert_eq!(house.topics(), [""; 0]);
        house.outbox.sees();
        let (sent, _) = house.sent();
        assert_eq!((sent.len(), &sent[0].payload[..]), (1, &b"online"[..]));
    }

    #[test]
    fn changes_are_conflated_and_never_pile_up() {
        let mut house = House::new();
        assert!(!house.outbox.mark(PUMP, Due::STATUS));
        for _ in 0..1_000 {
            assert!(house.outbox.mark(PUMP, Due::STATUS), "it was due already");
        }
        assert_eq!((house.outbox.turns.len(), house.outbox.marks.len()), (1, 1));
        assert_eq!(house.topics(), ["switchyard/100042/status"]);
        assert_eq!((house.outbox.turns.len(), house.outbox.marks.len()), (0, 0));
    }

    #[test]
    fn what_is_gone_is_cleared() {
        let mut house = House::new();
        house.outbox.mark(PUMP, Due::ALL);
        house.fleet.begin();
        assert_eq!(house.fleet.synced(), [PUMP]);
        house.outbox.mark(PUMP, Due::REMOVAL);
        let (sent, _) = house.sent();
        assert!(sent.iter().all(|it| it.retain && it.payload.is_empty()));
        let topics: Vec<_> = sent.iter().map(|it| it.topic.as_str()).collect();
        let cleared = [
            "homeassistant/device/switchyard_100042/config",
            "switchyard/100042/status",
            "switchyard/100042/availability",
        ];
        assert_eq!(topics, cleared);
        assert!(house.outbox.described.is_empty());
    }

    #[test]
    fn parts_that_are_no_more_are_named_and_never_pile_up() {
        let mut house = House::new();
        let mut config = None;
        for number in 0..3 * PAST_MAX as u32 {
            let name = format!("P{number}");
            let points = vec![point(0, &name, PointType::DigitalInput, 1)];
            house.fleet.take(&presence(true, Some(number + 2)), TIME);
            house.fleet.take(&page(number + 2, 5, (0, 1), points), TIME);
            house.outbox.mark(PUMP, Due::ALL);
            house.now += ROUND;
            let (sent, _) = house.sent();
            config = sent.into_iter().find(|it| it.topic.ends_with("/config"));
            assert!(house.outbox.described[&PUMP].past.len() <= PAST_MAX);
        }
        let config: Value = serde_json::from_slice(&config.unwrap().payload).unwrap();
        let latest = 3 * PAST_MAX - 1;
        let part = |number: usize| &config["cmps"][format!("binary_sensor_P{number}")];
        assert!(part(latest)["uniq_id"].is_string());
        assert_eq!(
            part(latest - 1),
            &serde_json::json!({ "p": "binary_sensor" })
        );
        assert_eq!(part(0), &Value::Null, "that is long ago");
    }

    #[test]
    fn letters_keep_their_order_and_fly_until_they_are_confirmed() {
        let mut house = House::new();
        (0..FLYING_MAX + 2).for_each(|number| _ = house.outbox.post(letter_number(number)));
        let (sent, _) = house.sent();
        assert_eq!(sent.len(), FLYING_MAX);
        assert!(
            sent.iter()
                .all(|it| it.qos == QoS::AtLeastOnce && !it.retain)
        );
        house.outbox.confirmed(sent[1].pkid);
        let (next, _) = house.sent();
        assert_eq!(next[0].payload, FLYING_MAX.to_string());
        assert_eq!(next[0].pkid as usize, FLYING_MAX + 1);
        // The connection is lost: what was not confirmed goes again, in its order.
        house.outbox.connected(&Fleet::new(&[]));
        let payloads: Vec<_> = house.sent().0.into_iter().map(|it| it.payload).collect();
        let again = (0..FLYING_MAX + 1).filter(|number| *number != 1);
        let again: Vec<_> = again
            .map(|number| Bytes::from(number.to_string()))
            .collect();
        assert_eq!(payloads[..payloads.len() - 1], again);
    }

    #[test]
    fn of_too_many_letters_the_oldest_go() {
        let mut house = House::new();
        for number in 0..LETTERS_MAX {
            assert!(!house.outbox.post(letter_number(number)));
        }
        assert!(house.outbox.post(letter_number(LETTERS_MAX)));
        assert_eq!(house.outbox.letters.len(), LETTERS_MAX);
        assert_eq!(house.sent().0[0].payload, "1");
    }

    #[test]
    fn no_more_is_made_than_there_is_room_for() {
        let mut house = House::new();
        let payload = Bytes::from(vec![b'x'; READY_BYTES_MAX / 2]);
        for _ in 0..4 {
            let topic = "switchyard/100042/event".into();
            let payload = payload.clone();
            house.outbox.post(Letter { topic, payload });
        }
        let mut out = BytesMut::new();
        let mut sent = Sent::default();
        house
            .outbox
            .fill(&house.fleet, house.now, &mut out, &mut sent);
        assert_eq!(sent.messages, 2);
        house
            .outbox
            .fill(&house.fleet, house.now, &mut out, &mut sent);
        assert_eq!(sent.messages, 2, "nothing has gone");
    }
}
