//! Values of parameters as a roll-out brings them: some of a script's, each with its type.

use super::rollout::ReleaseKind;
use crate::{
    digest::Digest,
    store::{ConfigStore, StoreError},
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt::Write as _,
};
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

    /// What is known by some values of what these are to be: whether all are as these, none where it is not known. The
    /// others may be of other names, and say nothing of those that they lack.
    pub(crate) fn are_as(&self, known: &Self) -> Option<bool> {
        let is_as = |(name, value)| known.0.get(name).map(|it| it == value);
        let mut all = self.0.iter().map(is_as);
        if all.clone().any(|it| it == Some(false)) {
            return Some(false);
        }
        all.all(|it| it == Some(true)).then_some(true)
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

/// Values that are kept, by their digests: each is read once.
#[derive(Debug, Default)]
pub(crate) struct KeptValues(HashMap<Digest, Option<Values>>);

impl KeptValues {
    /// Those of a digest; `None` where they are not kept any more.
    ///
    /// # Errors
    /// The store's failure.
    pub(crate) async fn find(
        &mut self,
        store: &dyn ConfigStore,
        digest: Digest,
    ) -> Result<Option<&Values>, StoreError> {
        let kept = match self.0.entry(digest) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(place) => {
                let content = store.content(digest).await?;
                let content = content.filter(|it| it.kind() == ReleaseKind::Parameters);
                place.insert(content.and_then(|it| Values::decode(it.parts().first()?)))
            }
        };
        Ok(kept.as_ref())
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
    fn of_other_names_nothing_is_known() {
        let of = |names: &[(&str, i64)]| {
            Values::new(
                names
                    .iter()
                    .map(|(it, value)| (name(it), ValueType::Int, *value)),
            )
        };
        let wanted = of(&[("most", 1), ("stay", 2)]);
        for (known, expected) in [
            (of(&[("most", 1), ("stay", 2)]), Some(true)),
            (of(&[("most", 1), ("stay", 2), ("tries", 3)]), Some(true)),
            (of(&[("most", 1)]), None),
            (of(&[("most", 7)]), Some(false)),
            (of(&[("tries", 3)]), None),
        ] {
            assert_eq!(wanted.are_as(&known), expected, "{known:?}");
        }
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
