//! The controllers' keys, at hand: a controller that comes then costs no call to the store, and one
//! that is known comes in while the store does not answer.

use crate::store::{ControllerEntry, ControllerKey};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};
use switchyard_protocol::Address;

/// Keys by address. A key is never changed or withdrawn once it is given (see
/// [`ConfigStore`](crate::store::ConfigStore)), so none grows old here.
#[derive(Debug, Default)]
pub(crate) struct Keyring(RwLock<HashMap<Address, ControllerKey>>);

impl Keyring {
    /// The key of a controller that the yard knows too; `None` says nothing: it may just have been
    /// enrolled by another process.
    pub(crate) fn key(&self, address: Address) -> Option<ControllerKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&address).copied()
    }

    /// Takes in controllers that the yard has been told of.
    pub(crate) fn learn(&self, controllers: &[(ControllerEntry, ControllerKey)]) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.extend(controllers.iter().map(|(entry, key)| (entry.address, *key)));
    }
}
