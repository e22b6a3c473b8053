//! What a controller is, as the broker and Home Assistant are told it.

use super::topics::Topics;
use crate::{
    inside::fleet::Controller,
    outward::{self, Happening},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use switchyard_protocol::{
    Address, Code,
    message::{Name, Point, PointFlags, PointType, Time},
};

/// What says that somebody is there.
pub(super) const ONLINE: &str = "online";
/// And that they are not.
pub(super) const OFFLINE: &str = "offline";

/// How far a number may be turned in Home Assistant: what a point's range is, its status does not tell.
const NUMBER_MAX: i64 = 1_000_000;

/// The word for whether somebody is there.
pub(super) const fn availability(online: bool) -> &'static str {
    match online {
        true => ONLINE,
        false => OFFLINE,
    }
}

/// Everything known of a controller: one object, so that what belongs together comes together.
pub(super) fn status(controller: &Controller) -> Value {
    let points = controller.points.iter();
    let points: Map<_, _> = points
        .map(|point| (point.name.to_string(), point_status(point)))
        .collect();
    let mut status = json!({
        "title": controller.title.as_str(),
        "online": controller.online,
        "since": controller.since.0,
        "points": points,
    });
    if let Value::Object(fields) = &mut status {
        let texts = [
            ("software", &controller.software),
            ("board", &controller.board),
        ];
        for (name, text) in texts {
            fields.extend(
                text.as_ref()
                    .map(|it| (name.to_owned(), it.as_str().into())),
            );
        }
        let reason = controller.reason.map(Code::name);
        fields.extend(reason.map(|it| ("reason".to_owned(), it.into())));
        let time = controller.heard_at.map(|Time(time)| time);
        fields.extend(time.map(|it| ("time".to_owned(), it.into())));
    }
    status
}

fn point_status(point: &Point) -> Value {
    let has = |flag| point.flags.contains(flag);
    json!({
        "type": outward::point_type_name(point.point_type),
        "value": outward::point_value(point.point_type, point.value),
        "manual": has(PointFlags::MANUAL),
        "bad": has(PointFlags::BAD),
        "fault": has(PointFlags::FAULT),
        "forced": has(PointFlags::FORCED),
        "cause": point.cause.kind.name(),
    })
}

/// What Home Assistant makes of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    BinarySensor,
    Sensor,
    Switch,
    Number,
    Event,
}

impl Platform {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Platform::BinarySensor => "binary_sensor",
            Platform::Sensor => "sensor",
            Platform::Switch => "switch",
            Platform::Number => "number",
            Platform::Event => "event",
        }
    }

    /// An output that can be set is a control where commands are taken, and else something to look at.
    fn of(point: &Point, with_commands: bool) -> Self {
        let is_control = with_commands && point.flags.contains(PointFlags::MANUAL);
        match point.point_type {
            PointType::DigitalOutput if is_control => Platform::Switch,
            PointType::AnalogueOutput if is_control => Platform::Number,
            PointType::DigitalInput | PointType::DigitalOutput => Platform::BinarySensor,
            PointType::AnalogueInput | PointType::AnalogueOutput => Platform::Sensor,
        }
    }
}

/// The parts of a controller in Home Assistant, by their names there.
pub(super) type Parts = BTreeMap<String, Platform>;

/// A controller as Home Assistant's discovery wants it: one device with all its parts. `past` are parts that it
/// had before and has no more, which have to be named to be removed.
pub(super) fn discovery(
    topics: &Topics,
    address: Address,
    controller: &Controller,
    with_commands: bool,
    past: &Parts,
) -> (Value, Parts) {
    let about = About {
        topics,
        address,
        id: topics.id(address),
    };
    let mut parts = Parts::new();
    let mut components = Map::new();
    for point in &controller.points {
        let platform = Platform::of(point, with_commands);
        let key = format!("{}_{}", platform.name(), point.name);
        components.insert(key.clone(), about.point(point, platform));
        parts.insert(key, platform);
    }
    for (key, platform, part) in [
        ("connection", Platform::BinarySensor, about.connection()),
        ("event", Platform::Event, about.event()),
    ] {
        components.insert(key.into(), part);
        parts.insert(key.into(), platform);
    }
    for (key, platform) in past.iter().filter(|(key, _)| !parts.contains_key(*key)) {
        components.insert(key.clone(), json!({ "p": platform.name() }));
    }
    let mut device = json!({
        "ids": [about.id],
        "name": controller.title.as_str(),
        "mf": "Switchyard",
        "sn": address.to_string(),
    });
    if let Value::Object(fields) = &mut device {
        for (name, text) in [("mdl", &controller.board), ("sw", &controller.software)] {
            fields.extend(
                text.as_ref()
                    .map(|it| (name.to_owned(), it.as_str().into())),
            );
        }
    }
    let payload = json!({
        "dev": device,
        "o": { "name": "switchyard-gateway", "sw": env!("CARGO_PKG_VERSION") },
        "cmps": components,
    });
    (payload, parts)
}

struct About<'a> {
    topics: &'a Topics,
    address: Address,
    id: String,
}

impl About<'_> {
    fn point(&self, point: &Point, platform: Platform) -> Value {
        let Point { name, .. } = point;
        let status = self.topics.of(self.address, "status");
        // A value that the controller itself does not trust is not shown as one. In brackets, since a point may be
        // called what a mapping has for a method there: `items`, `keys`.
        let trusted =
            format!("{{{{ 'offline' if value_json.points['{name}'].bad else 'online' }}}}");
        let mut availability = self.availability();
        availability.push(json!({ "t": status, "val_tpl": trusted }));
        let mut part = json!({
            "p": platform.name(),
            "uniq_id": format!("{}_{name}", self.id),
            "name": name.as_str(),
            "stat_t": status,
            "val_tpl": format!("{{{{ value_json.points['{name}'].value }}}}"),
            "avty": availability,
            "avty_mode": "all",
        });
        let more = match platform {
            Platform::BinarySensor => json!({ "pl_on": "1", "pl_off": "0" }),
            Platform::Sensor => json!({ "stat_cla": "measurement" }),
            Platform::Switch => json!({
                "cmd_t": self.command(name),
                "pl_on": "1", "pl_off": "0", "stat_on": "1", "stat_off": "0", "qos": 1, "ret": false,
            }),
            Platform::Number => json!({
                "cmd_t": self.command(name),
                "min": -NUMBER_MAX, "max": NUMBER_MAX, "step": 0.001, "mode": "box", "qos": 1, "ret": false,
            }),
            Platform::Event => json!({}),
        };
        if let (Value::Object(part), Value::Object(more)) = (&mut part, more) {
            part.extend(more);
        }
        part
    }

    /// The gateway has to be there, and the controller.
    fn availability(&self) -> Vec<Value> {
        vec![
            json!({ "t": self.topics.availability() }),
            json!({ "t": self.topics.of(self.address, "availability") }),
        ]
    }

    fn command(&self, point: &Name) -> String {
        let what = format!("command/set/{point}");
        self.topics.of(self.address, &what)
    }

    /// Whether the controller is there: known as long as the gateway is.
    fn connection(&self) -> Value {
        json!({
            "p": Platform::BinarySensor.name(),
            "uniq_id": format!("{}-connection", self.id),
            "name": "Connection",
            "dev_cla": "connectivity",
            "ent_cat": "diagnostic",
            "stat_t": self.topics.of(self.address, "availability"),
            "pl_on": ONLINE,
            "pl_off": OFFLINE,
            "avty": [{ "t": self.topics.availability() }],
        })
    }

    /// What the script says.
    fn event(&self) -> Value {
        json!({
            "p": Platform::Event.name(),
            "uniq_id": format!("{}-event", self.id),
            "name": "Script",
            "stat_t": self.topics.of(self.address, "event"),
            "evt_typ": Happening::EVENT_TYPES,
            "avty": [{ "t": self.topics.availability() }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inside::fleet::{
        Fleet,
        tests::{PUMP, full, point, presence},
    };

    fn fleet(points: Vec<Point>) -> Fleet {
        let mut fleet = Fleet::new(&[]);
        fleet.take(&presence(true, Some(1)), Time(9));
        fleet.take(&full(points), Time(9));
        fleet
    }

    fn points() -> Vec<Point> {
        vec![
            point(0, "RL1", PointType::DigitalOutput, 1),
            point(1, "door", PointType::DigitalInput, 0),
            point(2, "level", PointType::AnalogueInput, 21_500),
            point(3, "valve", PointType::AnalogueOutput, 1_000),
        ]
    }

    #[test]
    fn a_status_is_one_object() {
        let fleet = fleet(points());
        let status = status(fleet.controller(PUMP).unwrap());
        assert_eq!(status["title"], "Pump house");
        assert_eq!(status["online"], true);
        assert_eq!(
            (&status["time"], &status["board"]),
            (&json!(9), &json!("bench"))
        );
        assert_eq!(status["points"]["RL1"]["value"], 1);
        assert_eq!(status["points"]["RL1"]["manual"], true);
        let level = json!({ "type": "analogue_input", "value": 21.5, "manual": false, "bad": false,
            "fault": false, "forced": false, "cause": "boot" });
        assert_eq!(status["points"]["level"], level);
        assert_eq!(status.get("reason"), None);
    }

    #[test]
    fn outputs_are_controls_only_where_commands_are_taken() {
        let fleet = fleet(points());
        let controller = fleet.controller(PUMP).unwrap();
        let topics = Topics::new("switchyard", Some("homeassistant"));
        for (with_commands, keys) in [
            (
                true,
                [
                    "switch_RL1",
                    "binary_sensor_door",
                    "sensor_level",
                    "number_valve",
                ],
            ),
            (
                false,
                [
                    "binary_sensor_RL1",
                    "binary_sensor_door",
                    "sensor_level",
                    "sensor_valve",
                ],
            ),
        ] {
            let none = Parts::new();
            let (payload, parts) = discovery(&topics, PUMP, controller, with_commands, &none);
            assert_eq!(
                parts.len(),
                6,
                "the points, the connection, the script's events"
            );
            for key in keys {
                let part = &payload["cmps"][key];
                assert_eq!(
                    part["stat_t"], "switchyard/100042/status",
                    "{key}: {payload}"
                );
                assert_eq!(
                    part.get("cmd_t").is_some(),
                    with_commands && parts[key].is_control()
                );
            }
            assert_eq!(payload["dev"]["name"], "Pump house");
            assert_eq!(payload["dev"]["ids"], json!(["switchyard_100042"]));
        }
        let none = Parts::new();
        let (payload, _) = discovery(&topics, PUMP, controller, true, &none);
        let switch = &payload["cmps"]["switch_RL1"];
        assert_eq!(switch["cmd_t"], "switchyard/100042/command/set/RL1");
        assert_eq!(switch["ret"], false, "a retained command would be refused");
        assert_eq!(switch["val_tpl"], "{{ value_json.points['RL1'].value }}");
        assert_eq!(switch["avty"][1]["t"], "switchyard/100042/availability");
    }

    #[test]
    fn parts_that_are_no_more_are_named_to_be_removed() {
        let topics = Topics::new("switchyard", Some("homeassistant"));
        let before = fleet(points());
        let none = Parts::new();
        let (_, past) = discovery(&topics, PUMP, before.controller(PUMP).unwrap(), true, &none);
        let after = fleet(vec![point(0, "RL1", PointType::DigitalOutput, 1)]);
        let (payload, parts) =
            discovery(&topics, PUMP, after.controller(PUMP).unwrap(), true, &past);
        assert_eq!(payload["cmps"]["number_valve"], json!({ "p": "number" }));
        assert!(parts.contains_key("switch_RL1") && !parts.contains_key("number_valve"));
    }

    impl Platform {
        fn is_control(self) -> bool {
            matches!(self, Platform::Switch | Platform::Number)
        }
    }
}
