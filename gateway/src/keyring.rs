//! The controllers' keys, at hand: a controller that comes then costs no call to the store, and one
//! that is known comes in while the store does not answer.

use crate::store::{ControllerChange, ControllerEntry, ControllerKey};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};
use switchyard_protocol::Address;

/// Keys by address. Whoever watches the store tells of those that are changed or withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Keyring(RwLock<Keys>);

#[derive(Debug, Default)]
struct Keys {
    by_address: HashMap<Address, ControllerKey>,
    /// `None` while there is none.
    highest: Option<Address>,
}

/// What a keyring knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The key of its controller, which the yard knows too.
    Key(ControllerKey),
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
            Some(&key) => Held::Key(key),
            None if Some(address) <= keys.highest => Held::Nobody,
            None => Held::Perhaps,
        }
    }

    /// Takes in all controllers that there are.
    pub(crate) fn learn(&self, controllers: &[(ControllerEntry, ControllerKey)]) {
        let controllers = controllers.iter();
        self.update(controllers.map(|(entry, key)| (entry.address, Some(*key))));
    }

    /// Takes in what has changed since, in the order in which it did.
    pub(crate) fn change(&self, changes: &[ControllerChange]) {
        self.update(changes.iter().map(|change| {
            let key = change.now.as_ref().map(|(_, key)| *key);
            (change.address, key)
        }));
    }

    fn update(&self, updates: impl Iterator<Item = (Address, Option<ControllerKey>)>) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (address, key) in updates {
            match key {
                Some(key) => keys.by_address.insert(address, key),
                None => keys.by_address.remove(&address),
            };
            keys.highest = keys.highest.max(Some(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revision;
    use switchyard_protocol::message::{Time, Title};

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
            (entry, ControllerKey([number as u8; 32]))
        };
        keyring.learn(&[controller(1), controller(3)]);
        assert_eq!(keyring.held(Address(3)), Held::Key(ControllerKey([3; 32])));
        assert_eq!(keyring.held(Address(2)), Held::Nobody);
        assert_eq!(keyring.held(Address(4)), Held::Perhaps);
        let change = |number, now| ControllerChange {
            revision: Revision::default(),
            address: Address(number),
            now,
        };
        let another = (controller(3).0, ControllerKey([9; 32]));
        keyring.change(&[change(1, None), change(3, Some(another)), change(5, None)]);
        assert_eq!(keyring.held(Address(1)), Held::Nobody);
        assert_eq!(keyring.held(Address(3)), Held::Key(ControllerKey([9; 32])));
        assert_eq!(keyring.held(Address(5)), Held::Nobody);
    }
}
