//! What is told outside as JSON: the same words for MQTT and for webhooks.

use serde::Serialize;
use serde_json::{Number, Value};
use switchyard_protocol::message::{Event, PointType, ValueType};

/// Thousandths as people write them: 21500 is 21.5.
pub(crate) fn decimal(thousandths: i64) -> Value {
    if thousandths % 1_000 == 0 {
        return Value::from(thousandths / 1_000);
    }
    // Up to four million million a double prints just the digits that are meant; beyond, the last may be another.
    Number::from_f64(thousandths as f64 / 1_000.0).map_or(Value::Null, Value::Number)
}

/// A point's value: 0 and 1 for digital points, decimal numbers for analogue ones.
pub(crate) fn point_value(point_type: PointType, value: i64) -> Value {
    match point_type.is_digital() {
        true => Value::from(value),
        false => decimal(value),
    }
}

/// The stable name of a point's type.
pub(crate) const fn point_type_name(point_type: PointType) -> &'static str {
    match point_type {
        PointType::DigitalInput => "digital_input",
        PointType::DigitalOutput => "digital_output",
        PointType::AnalogueInput => "analogue_input",
        PointType::AnalogueOutput => "analogue_output",
    }
}

/// Something that a controller's script said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Happening {
    /// `event`, `alarm_raised` or `alarm_over`.
    pub(crate) event_type: &'static str,
    /// Rises from one to the next of a controller.
    pub(crate) number: u32,
    /// When, where the controller knew the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    text: String,
    /// What an event takes along: true and false, numbers, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Value>>,
    /// How an alarm ranks: `low`, `medium` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    /// Which of the script's alarms it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<u8>,
}

impl Happening {
    /// Every `event_type`.
    pub(crate) const EVENT_TYPES: [&'static str; 3] = ["event", "alarm_raised", "alarm_over"];

    /// What an event says; `None` for those that are not a script's.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Happened {
                number,
                time,
                text,
                values,
            } => Happening {
                event_type: "event",
                number: *number,
                time: time.map(|time| time.0),
                text: text.as_str().to_owned(),
                values: Some(values.iter().map(|&it| script_value(it)).collect()),
                level: None,
                alarm: None,
            },
            Event::Alarm {
                number,
                time,
                level,
                text,
                raised,
                alarm,
            } => Happening {
                event_type: match raised {
                    true => "alarm_raised",
                    false => "alarm_over",
                },
                number: *number,
                time: time.map(|time| time.0),
                text: text.as_str().to_owned(),
                values: None,
                level: Some(level.name()),
                alarm: Some(*alarm),
            },
            Event::Announce { .. } | Event::Presence { .. } | Event::Note { .. } => return None,
        })
    }

    /// Whether it is about an alarm.
    pub(crate) fn is_alarm(&self) -> bool {
        self.alarm.is_some()
    }
}

fn script_value((value_type, value): (ValueType, i64)) -> Value {
    match value_type {
        ValueType::Bool => Value::from(value != 0),
        ValueType::Num => decimal(value),
        ValueType::Int | ValueType::Time => Value::from(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::message::{AlarmLevel, Text, Time};

    #[test]
    fn thousandths_are_written_as_people_do() {
        for (thousandths, text) in [
            (0, "0"),
            (21_500, "21.5"),
            (-1, "-0.001"),
            (1_000, "1"),
            (1_234_567, "1234.567"),
            (100, "0.1"),
            (4_000_000_000_000_999, "4000000000000.999"),
            (-4_000_000_000_000_999, "-4000000000000.999"),
        ] {
            assert_eq!(decimal(thousandths).to_string(), text);
        }
        assert_eq!(point_value(PointType::DigitalInput, 1).to_string(), "1");
        assert_eq!(
            point_value(PointType::AnalogueInput, 1).to_string(),
            "0.001"
        );
    }

    #[test]
    fn a_script_says_events_and_alarms() {
        let text = Text::new("door open").unwrap();
        let event = Event::Happened {
            number: 7,
            time: Some(Time(5)),
            text: text.clone(),
            values: vec![
                (ValueType::Bool, 1),
                (ValueType::Num, 1_500),
                (ValueType::Time, 250),
            ],
        };
        let told = serde_json::to_string(&Happening::of(&event)).unwrap();
        let expected = r#"{"event_type":"event","number":7,"time":5,"text":"door open","values":[true,1.5,250]}"#;
        assert_eq!(told, expected);
        let alarm = Event::Alarm {
            number: 8,
            time: None,
            level: AlarmLevel::High,
            text,
            raised: false,
            alarm: 2,
        };
        let told = serde_json::to_string(&Happening::of(&alarm)).unwrap();
        let expected =
            r#"{"event_type":"alarm_over","number":8,"text":"door open","level":"high","alarm":2}"#;
        assert_eq!(told, expected);
    }
}
