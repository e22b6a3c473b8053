//! Where in the broker things are, and what its topics mean.
//!
//! | topic, after the prefix | what | how |
//! |---|---|---|
//! | `availability` | `online`, or `offline` when the gateway goes or is lost | retained, the last will |
//! | `ADDRESS/availability` | whether a controller is there | retained |
//! | `ADDRESS/status` | everything known of a controller | retained |
//! | `ADDRESS/event` | what its script says | QoS 1 |
//! | `ADDRESS/receipt` | what became of commands | QoS 1 |
//! | `ADDRESS/command/set/POINT`, `…/call/COMMAND`, `…/adjust/PARAMETER` | commands | taken, with QoS 1 |

use switchyard_protocol::{Address, message::Name};

/// What a command does, as a topic says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Switches a manual output.
    Set,
    /// Calls a command of the script.
    Call,
    /// Changes a parameter of the script.
    Adjust,
}

impl Verb {
    /// The level of a topic.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Verb::Set => "set",
            Verb::Call => "call",
            Verb::Adjust => "adjust",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Verb::Set, Verb::Call, Verb::Adjust]
            .into_iter()
            .find(|verb| verb.name() == name)
    }
}

/// To whom a command goes, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) controller: Address,
    pub(super) verb: Verb,
    pub(super) name: Name,
}

impl Aim {
    /// As receipts name it: `set/RL1`.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.verb.name(), self.name)
    }
}

/// What a topic that was subscribed to is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A command.
    Command(Aim),
    /// It would be a command of this controller, if it made sense.
    NoCommand(Address),
    /// Whether a controller is there: told by us, now or in an earlier life.
    Availability(Address),
    /// Home Assistant came or went.
    Birth,
}

/// The topics under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    prefix: String,
    discovery: Option<String>,
}

impl Topics {
    /// Under these prefixes.
    pub(super) fn new(prefix: &str, discovery: Option<&str>) -> Self {
        Topics {
            prefix: prefix.into(),
            discovery: discovery.map(String::from),
        }
    }

    /// Whether the gateway is there.
    pub(super) fn availability(&self) -> String {
        format!("{}/availability", self.prefix)
    }

    /// Something of a controller.
    pub(super) fn of(&self, controller: Address, what: &str) -> String {
        format!("{}/{controller}/{what}", self.prefix)
    }

    /// Where Home Assistant reads what a controller is; `None` without discovery.
    pub(super) fn discovery(&self, controller: Address) -> Option<String> {
        let (discovery, id) = (self.discovery.as_ref()?, self.id(controller));
        Some(format!("{discovery}/device/{id}/config"))
    }

    /// A controller's name among all that Home Assistant knows: letters, digits, `_` and `-`.
    pub(super) fn id(&self, controller: Address) -> String {
        let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' {
            true => c,
            false => '_',
        };
        let prefix: String = self.prefix.chars().map(plain).collect();
        format!("{prefix}_{controller}")
    }

    /// What is to be heard, and with which quality at most.
    pub(super) fn filters(&self, with_commands: bool) -> Vec<(String, rumqttc::QoS)> {
        use rumqttc::QoS::{AtLeastOnce, AtMostOnce};
        let mut filters = vec![(format!("{}/+/availability", self.prefix), AtMostOnce)];
        if let Some(discovery) = &self.discovery {
            filters.push((format!("{discovery}/status"), AtMostOnce));
        }
        if with_commands {
            filters.push((format!("{}/+/command/+/+", self.prefix), AtLeastOnce));
        }
        filters
    }

    /// What a topic is about; `None` for one that nobody asked for.
    pub(super) fn subject(&self, topic: &str) -> Option<Subject> {
        let birth = |discovery: &String| topic.strip_prefix(&**discovery) == Some("/status");
        if self.discovery.as_ref().is_some_and(birth) {
            return Some(Subject::Birth);
        }
        let rest = topic.strip_prefix(&*self.prefix)?.strip_prefix('/')?;
        let (address, rest) = rest.split_once('/')?;
        let controller: Address = address.parse().ok()?;
        // Whoever closes a topic at the broker closes this one, and not `000042` as well.
        if !controller.is_controller() || address != controller.to_string() {
            return None;
        }
        if rest == "availability" {
            return Some(Subject::Availability(controller));
        }
        let (verb, name) = rest.strip_prefix("command/")?.split_once('/')?;
        let aim = Verb::from_name(verb).zip(Name::new(name).ok());
        Some(aim.map_or(Subject::NoCommand(controller), |(verb, name)| {
            Subject::Command(Aim {
                controller,
                verb,
                name,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_understood_as_they_are_written() {
        let topics = Topics::new("home/yard", Some("homeassistant"));
        let pump = Address(100_042);
        let aim = |verb, name| {
            Some(Subject::Command(Aim {
                controller: pump,
                verb,
                name: Name::new(name).unwrap(),
            }))
        };
        for (topic, subject) in [
            ("home/yard/100042/command/set/RL1", aim(Verb::Set, "RL1")),
            (
                "home/yard/100042/command/call/pulse",
                aim(Verb::Call, "pulse"),
            ),
            ("home/yard/100042/command/adjust/t", aim(Verb::Adjust, "t")),
            (
                "home/yard/100042/command/set/1RL",
                Some(Subject::NoCommand(pump)),
            ),
            (
                "home/yard/100042/command/toggle/RL1",
                Some(Subject::NoCommand(pump)),
            ),
            (
                "home/yard/100042/availability",
                Some(Subject::Availability(pump)),
            ),
            ("homeassistant/status", Some(Subject::Birth)),
            ("home/yard/0/availability", None),
            ("home/yard/+1/availability", None),
            ("home/yard/4294967295/command/set/RL1", None),
            ("home/yard/availability", None),
            ("home/yard/100042/status", None),
            ("home/yardstick/100042/availability", None),
            ("elsewhere", None),
        ] {
            assert_eq!(topics.subject(topic), subject, "{topic}");
        }
        assert_eq!(topics.id(pump), "home_yard_100042");
        let config = "homeassistant/device/home_yard_100042/config";
        assert_eq!(topics.discovery(pump).as_deref(), Some(config));
        let silent = Topics::new("yard", None);
        assert_eq!(silent.discovery(pump), None);
        assert_eq!(silent.filters(false).len(), 1);
        assert_eq!(topics.filters(true).len(), 3);
    }
}
