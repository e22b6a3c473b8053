//! What every config store keeps to with keys that are replaced; a part of the contract.

use crate::contract::new_controller;
use switchyard_gateway::{
    keys::{Keys, NextKey},
    store::{ConfigStore, ControllerKey},
};
use switchyard_protocol::message::Time;

/// A controller has two keys from the first step to the last, and of the next one there is only one.
pub(crate) async fn two_keys_while_one_is_replaced(store: &dyn ConfigStore) {
    let wanted = vec![new_controller("one", 1)];
    let one = store.enrol(wanted, 100, Time(1)).await.unwrap()[0];
    let keys = async || store.controller(one).await.unwrap().unwrap().1;
    let current = keys().await.current;
    let next = |key, forget_from| NextKey {
        key: ControllerKey([key; 32]),
        forget_from: Time(forget_from),
    };
    let start = store.controller_revision().await.unwrap();
    let begun = store.replace_controller_key(one, next(2, 500)).await;
    assert_eq!(begun.unwrap(), Some(next(2, 500)));
    let both = Keys {
        current,
        next: Some(next(2, 500)),
    };
    assert_eq!(keys().await, both);
    let told = store.controller_changes(start, 10).await.unwrap();
    assert_eq!(told.last().unwrap().now.as_ref().unwrap().1, both);
    // The controller may have it: that key stays, and what is to be sooner is.
    for (given, from, expected) in [(3, 900, 500), (4, 100, 100), (5, 200, 100)] {
        let again = store.replace_controller_key(one, next(given, from)).await;
        assert_eq!(again.unwrap(), Some(next(2, expected)));
    }
    let stranger = ControllerKey([9; 32]);
    assert!(!store.settle_controller_key(one, stranger).await.unwrap());
    let only = ControllerKey([2; 32]);
    assert!(store.settle_controller_key(one, only).await.unwrap());
    assert_eq!(keys().await, only.into());
    assert!(!store.settle_controller_key(one, only).await.unwrap());
    // One that is given by hand is the only one.
    store.replace_controller_key(one, next(6, 1)).await.unwrap();
    assert!(store.set_controller_key(one, current).await.unwrap());
    assert_eq!(keys().await, current.into());

    assert!(store.revoke_controller(one, Time(2)).await.unwrap());
    let gone = store.replace_controller_key(one, next(7, 1)).await;
    assert_eq!(gone.unwrap(), None);
    assert!(!store.settle_controller_key(one, only).await.unwrap());
}
