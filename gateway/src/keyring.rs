//! The controllers' keys, at hand: a controller that comes then costs no call to the store, and one
//! that is known comes in while the store does not answer.

use crate::{
    keys::Keys,
    store::{ControllerChange, ControllerEntry, ControllerKey},
};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};
use switchyard_protocol::{Address, message::Time};

/// Keys by address. Whoever watches the store tells of those that are changed or withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Keyring(RwLock<ByAddress>);

#[derive(Debug, Default)]
struct ByAddress {
    by_address: HashMap<Address, Keys>,
    /// Of those with a next key: when they are to dial again, for the next step of that.
    replacing: HashMap<Address, Time>,
    /// `None` while there is none.
    highest: Option<Address>,
}

/// What a keyring knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The keys of its controller, which the yard knows too.
    Keys(Keys),
    /// Nobody has it: addresses ascend, and higher ones are known.
    Nobody,
    /// Its controller may just have been enrolled, perhaps by another process.
    Perhaps,
}

impl Keyring {
    /// What is known of an address. Only those above every known one are worth a call to the store, so
    /// whoever asks around cannot tell by the time it takes which of the others exist.
    pub(crate) fn held(&self, address: Address) -> Held {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match keys.by_address.get(&address) {
            Some(&keys) => Held::Keys(keys),
            None if Some(address) <= keys.highest => Held::Nobody,
            None => Held::Perhaps,
        }
    }

    /// Has a controller whose keys are being replaced dial again at that time.
    pub(crate) fn step_again_at(&self, address: Address, at: Time) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = known.replacing.get_mut(&address) {
            *due = at;
        }
    }

    /// A controller's next key is its only one now.
    pub(crate) fn settle(&self, address: Address, key: ControllerKey) {
        let is_next =
            matches!(self.held(address), Held::Keys(keys) if keys.settled() == key.into());
        if is_next {
            self.update(std::iter::once((address, Some(key.into()))));
        }
    }

    /// How many controllers have two keys.
    pub(crate) fn replacing(&self) -> usize {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.replacing.len()
    }

    /// The controllers whose next step is due since after the first moment, and until the second: mostly since
    /// their current key may be forgotten.
    pub(crate) fn due(&self, after: Time, until: Time) -> Vec<Address> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let replacing = keys.replacing.iter();
        let due = replacing.filter(|(_, from)| after < **from && **from <= until);
        due.map(|(&address, _)| address).collect()
    }

    /// Takes in all controllers that there are.
    pub(crate) fn learn(&self, controllers: &[(ControllerEntry, Keys)]) {
        let controllers = controllers.iter();
        self.update(controllers.map(|(entry, keys)| (entry.address, Some(*keys))));
    }

    /// Takes in what has changed since, in the order in which it did.
    pub(crate) fn change(&self, changes: &[ControllerChange]) {
        self.update(
            changes
                .iter()
                .map(|change| (change.address, change.now.as_ref().map(|(_, keys)| *keys))),
        );
    }

    fn update(&self, updates: impl Iterator<Item = (Address, Option<Keys>)>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (address, keys) in updates {
            match keys {
                Some(keys) => known.by_address.insert(address, keys),
                None => known.by_address.remove(&address),
            };
            match keys.and_then(|keys| keys.next) {
                Some(next) => known.replacing.insert(address, next.forget_from),
                None => known.replacing.remove(&address),
            };
            known.highest = known.highest.max(Some(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NextKey;
    use crate::store::{ControllerKey, Revision};
    use switchyard_protocol::message::Title;

    #[test]
    fn only_what_may_be_new_is_worth_a_question() {
        let keyring = Keyring::default();
        assert_eq!(keyring.held(Address(1)), Held::Perhaps);
        let controller = |number| {
            let entry = ControllerEntry {
                address: Address(number),
                title: Title::new("pump").unwrap(),
                site: None,
                tags: Vec::new(),
                enrolled: Time(0),
            };
            (entry, Keys::from(ControllerKey([number as u8; 32])))
        };
        keyring.learn(&[controller(1), controller(3)]);
        let third = ControllerKey([3; 32]);
        assert_eq!(keyring.held(Address(3)), Held::Keys(third.into()));
        assert_eq!(keyring.held(Address(2)), Held::Nobody);
        assert_eq!(keyring.held(Address(4)), Held::Perhaps);
        let change = |number, now| ControllerChange {
            revision: Revision::default(),
            address: Address(number),
            now,
        };
        let another = (controller(3).0, Keys::from(ControllerKey([9; 32])));
        keyring.change(&[change(1, None), change(3, Some(another)), change(5, None)]);
        assert_eq!(keyring.held(Address(1)), Held::Nobody);
        let another = ControllerKey([9; 32]);
        assert_eq!(keyring.held(Address(3)), Held::Keys(another.into()));
        assert_eq!(keyring.held(Address(5)), Held::Nobody);
    }

    #[test]
    fn who_may_forget_is_told_once() {
        let keyring = Keyring::default();
        let (entry, current) = (
            |number| ControllerEntry {
                address: Address(number),
                title: Title::new("pump").unwrap(),
                site: None,
                tags: Vec::new(),
                enrolled: Time(0),
            },
            ControllerKey([1; 32]),
        );
        let keys = |forget_from| Keys {
            current,
            next: Some(NextKey {
                key: ControllerKey([2; 32]),
                forget_from: Time(forget_from),
            }),
        };
        keyring.learn(&[
            (entry(1), keys(10)),
            (entry(2), keys(20)),
            (entry(3), current.into()),
        ]);
        assert_eq!(keyring.due(Time(0), Time(9)), []);
        assert_eq!(keyring.due(Time(9), Time(10)), [Address(1)]);
        assert_eq!(keyring.due(Time(10), Time(20)), [Address(2)]);
        keyring.learn(&[(entry(1), current.into())]);
        assert_eq!(keyring.due(Time(0), Time(20)), [Address(2)]);
    }
}
