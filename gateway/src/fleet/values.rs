//! Values of parameters as a roll-out brings them: some of a script's, each with its type.

use crate::digest::Digest;
use std::{collections::BTreeMap, fmt::Write as _};
use switchyard_protocol::message::{Name, Parameter, ValueType};

/// Values by name. As a content they are lines `NAME TYPE NUMBER`, by name, the number as the protocol has
/// it; so the same values have one digest, whoever wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(BTreeMap<Name, (ValueType, i64)>);

impl Values {
    /// Those.
    pub(crate) fn new(values: impl IntoIterator<Item = (Name, ValueType, i64)>) -> Self {
        let values = values.into_iter();
        Values(
            values
                .map(|(name, kind, value)| (name, (kind, value)))
                .collect(),
        )
    }

    /// What a controller has of the names of these.
    pub(crate) fn of_controller(&self, parameters: &[Parameter]) -> Self {
        let named = parameters.iter().filter(|it| self.0.contains_key(&it.name));
        Self::new(named.map(|it| (it.name.clone(), it.value_type, it.value)))
    }

    /// Each of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, ValueType, i64)> {
        self.0
            .iter()
            .map(|(name, (kind, value))| (name, *kind, *value))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether each of these is as in one of the two, and all names are there.
    pub(crate) fn is_between(&self, one: &Self, other: &Self) -> bool {
        let is_either = |(name, value): (&Name, &(ValueType, i64))| {
            one.0.get(name) == Some(value) || other.0.get(name) == Some(value)
        };
        self.0.len() == one.0.len() && self.0.iter().all(is_either)
    }

    /// As a content.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        for (name, kind, value) in self.iter() {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {} {value}", kind.name());
        }
        text
    }

    /// Reads what [`encode`](Self::encode) has written; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut values = Values::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let name = Name::new(words.next()?).ok()?;
            let kind = value_type(words.next()?)?;
            let value = words.next()?.parse().ok()?;
            values.0.insert(name, (kind, value));
        }
        (values.encode().as_bytes() == bytes).then_some(values)
    }

    /// What they are known by.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.encode().as_bytes())
    }
}

/// A type by its name.
pub(crate) fn value_type(name: &str) -> Option<ValueType> {
    use ValueType::{Bool, Int, Num, Time};
    [Bool, Int, Num, Time]
        .into_iter()
        .find(|it| it.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn the_same_values_are_the_same_content() {
        let one = Values::new([
            (name("stay"), ValueType::Time, 90_000),
            (name("most"), ValueType::Num, -500),
        ]);
        let other = Values::new([
            (name("most"), ValueType::Num, -500),
            (name("stay"), ValueType::Time, 90_000),
        ]);
        assert_eq!(one.encode(), "most num -500\nstay time 90000\n");
        assert_eq!(one.digest(), other.digest());
        assert_eq!(Values::decode(one.encode().as_bytes()), Some(one));
        for wrong in [
            "most num",
            "most num 1",
            "most num 01\n",
            "most what 1\n",
            "stay time 1\nmost num 1\n",
            "1st num 1\n",
            "most num 1 2\n",
            "most  num 1\n",
        ] {
            assert_eq!(Values::decode(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(Values::decode(&[0xFF]), None);
    }

    #[test]
    fn half_way_is_between() {
        let of = |most, stay| {
            Values::new([
                (name("most"), ValueType::Int, most),
                (name("stay"), ValueType::Int, stay),
            ])
        };
        let (before, release) = (of(1, 2), of(3, 4));
        for (values, expected) in [
            (of(1, 4), true),
            (of(3, 2), true),
            (of(1, 2), true),
            (of(1, 5), false),
            (Values::new([(name("most"), ValueType::Int, 1)]), false),
            (Values::default(), false),
        ] {
            assert_eq!(values.is_between(&before, &release), expected, "{values:?}");
        }
    }
}
