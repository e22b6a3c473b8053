//! Which points have a history.

use std::str::FromStr;
use switchyard_protocol::{
    Address,
    message::{Name, PointType},
};

/// How many rules there may be: each is looked at for every point of every controller that comes.
const RULES_MAX: usize = 1_000;

/// Which points have a history: rules, of which the last that fits a point decides.
///
/// ```
/// use switchyard_gateway::history::Choice;
/// use switchyard_protocol::{Address, message::{Name, PointType}};
///
/// let choice: Choice = "analogue 42/* -*/spare".parse().unwrap();
/// let door = Name::new("door").unwrap();
/// assert!(choice.has(Address(42), &door, PointType::DigitalInput));
/// assert!(!choice.has(Address(7), &door, PointType::DigitalInput));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    chooses: bool,
    which: Which,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Types(&'static [PointType]),
    /// Any where `None`.
    Named(Option<Address>, Option<Name>),
}

/// A text that chooses nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected analogue, digital_outputs, digital_inputs or CONTROLLER/POINT and found {0:?}")]
pub struct NotAChoice(pub String);

impl Choice {
    /// Whether a point has a history.
    pub fn has(&self, controller: Address, point: &Name, point_type: PointType) -> bool {
        let fits = |rule: &&Rule| match &rule.which {
            Which::Types(types) => types.contains(&point_type),
            Which::Named(whose, name) => {
                whose.is_none_or(|it| it == controller)
                    && name.as_ref().is_none_or(|it| it == point)
            }
        };
        let last = self.rules.iter().rev().find(fits);
        last.is_some_and(|rule| rule.chooses)
    }

    /// Whether no point at all has one.
    pub fn is_none(&self) -> bool {
        !self.rules.iter().any(|rule| rule.chooses)
    }
}

impl FromStr for Choice {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        let rules = text.split_whitespace().map(|word| {
            let wanted = || NotAChoice(word.to_owned());
            let (chooses, which) = match word.strip_prefix('-') {
                Some(which) => (false, which),
                None => (true, word),
            };
            let which = Which::parse(which).ok_or_else(wanted)?;
            Ok(Rule { chooses, which })
        });
        let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
        if rules.len() > RULES_MAX {
            return Err(NotAChoice(format!("{} words", rules.len())));
        }
        Ok(Choice { rules })
    }
}

impl Which {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "analogue" => Which::Types(&[PointType::AnalogueInput, PointType::AnalogueOutput]),
            "digital_outputs" => Which::Types(&[PointType::DigitalOutput]),
            "digital_inputs" => Which::Types(&[PointType::DigitalInput]),
            _ => {
                let (controller, point) = text.split_once('/')?;
                let controller = match controller {
                    "*" => None,
                    number => Some(
                        number
                            .parse()
                            .ok()
                            .filter(|it: &Address| it.is_controller())?,
                    ),
                };
                let point = match point {
                    "*" => None,
                    name => Some(Name::new(name).ok()?),
                };
                Which::Named(controller, point)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_decides() {
        let types = [
            PointType::DigitalInput,
            PointType::DigitalOutput,
            PointType::AnalogueInput,
            PointType::AnalogueOutput,
        ];
        let level = Name::new("level").unwrap();
        for (text, controller, expected) in [
            ("", 7, [false; 4]),
            ("analogue digital_outputs", 7, [false, true, true, true]),
            ("digital_inputs", 7, [true, false, false, false]),
            ("*/*", 7, [true; 4]),
            ("*/* -analogue", 7, [true, true, false, false]),
            ("-analogue */*", 7, [true; 4]),
            ("7/level", 7, [true; 4]),
            ("7/level", 8, [false; 4]),
            ("7/other", 7, [false; 4]),
            ("*/level -8/*", 7, [true; 4]),
            ("*/level -8/*", 8, [false; 4]),
        ] {
            let choice: Choice = text.parse().unwrap();
            let found = types.map(|it| choice.has(Address(controller), &level, it));
            assert_eq!(found, expected, "{text:?} at {controller}");
        }
        assert!("-analogue".parse::<Choice>().unwrap().is_none());
        assert!(!"analogue".parse::<Choice>().unwrap().is_none());
    }

    #[test]
    fn a_word_that_chooses_nothing_is_named() {
        for word in [
            "analog",
            "7",
            "7/",
            "/level",
            "0/level",
            "x/level",
            "--analogue",
            "7/1st",
        ] {
            let error = format!("analogue {word}").parse::<Choice>().unwrap_err();
            assert_eq!(error, NotAChoice(word.into()));
        }
        let many = "*/* ".repeat(RULES_MAX + 1);
        assert!(many.parse::<Choice>().is_err());
    }
}
