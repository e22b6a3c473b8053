//! What every config store keeps to, whichever lies underneath: written over the trait, and run against
//! each implementation here. MySQL is to join it.

use crate::support::{now, title};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    new_token,
    store::{
        Account, ConfigStore, ControllerKey, Fault, Faults, Guarded, SqliteConfigStore, StoreError,
        TimeLimit, TokenHash,
    },
    token_hash,
};
use switchyard_protocol::{
    Address, Role,
    message::{Key, Time},
};
use switchyard_relay::{StoreRequest, StoredCommand};

fn account(name: &str, role: Role) -> Account {
    Account {
        name: title(name),
        role,
        password_hash: format!("hash of {name}"),
        created: Time(5),
    }
}

fn command(number: u8, order: u64) -> StoredCommand {
    StoredCommand {
        key: Key([number; 16]),
        order,
        account: title("li"),
        expiry: Time(1_800_000_000_000),
        frame: Bytes::from(vec![number; 40]),
        sent: None,
    }
}

async fn accounts_and_tokens(store: &dyn ConfigStore) {
    let (li, bo) = (title("li"), title("bo"));
    assert_eq!(store.account(li.clone()).await.unwrap(), None);
    store
        .add_account(account("li", Role::Operator))
        .await
        .unwrap();
    store
        .add_account(account("bo", Role::Viewer))
        .await
        .unwrap();
    let taken = store.add_account(account("li", Role::Admin)).await;
    assert!(matches!(taken, Err(StoreError::Exists(name)) if name == "li"));
    let known = store.account(li.clone()).await.unwrap().unwrap();
    assert_eq!(known, account("li", Role::Operator));
    let names: Vec<_> = store
        .accounts()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, [bo.clone(), li.clone()]);

    let (one, other) = (token_hash(&new_token()), token_hash(&new_token()));
    store
        .add_token(one, li.clone(), Time(100), Time(10))
        .await
        .unwrap();
    store
        .add_token(other, bo.clone(), Time(100), Time(10))
        .await
        .unwrap();
    let login = store.login(one, Time(99)).await.unwrap().unwrap();
    assert_eq!(
        (login.account, login.role, login.expires),
        (li.clone(), Role::Operator, Time(100))
    );
    assert_eq!(
        store.login(one, Time(100)).await.unwrap(),
        None,
        "it has ended"
    );
    assert_eq!(
        store.login(TokenHash([0; 32]), Time(1)).await.unwrap(),
        None
    );

    // Whatever may take a right away moves the revision.
    let mut revision = store.access_revision().await.unwrap();
    let mut moved = async || {
        let now = store.access_revision().await.unwrap();
        std::mem::replace(&mut revision, now) != now
    };
    assert!(!moved().await);
    assert!(store.set_role(li.clone(), Role::Viewer).await.unwrap());
    assert!(moved().await);
    assert_eq!(
        store.login(one, Time(1)).await.unwrap().unwrap().role,
        Role::Viewer
    );
    assert!(
        store
            .set_password(li.clone(), "another".into())
            .await
            .unwrap()
    );
    assert!(moved().await);
    assert_eq!(
        store.login(one, Time(1)).await.unwrap(),
        None,
        "its log-ins ended"
    );
    assert!(store.revoke_token(other).await.unwrap());
    assert!(!store.revoke_token(other).await.unwrap());
    assert!(moved().await);
    store
        .add_token(other, bo.clone(), Time(100), Time(10))
        .await
        .unwrap();
    assert!(store.remove_account(bo.clone()).await.unwrap());
    assert!(!store.remove_account(bo.clone()).await.unwrap());
    assert!(moved().await);
    assert_eq!(
        store.login(other, Time(1)).await.unwrap(),
        None,
        "gone with its account"
    );
    assert!(!store.set_role(bo.clone(), Role::Admin).await.unwrap());
    assert!(!store.set_password(bo, "x".into()).await.unwrap());

    // The oldest of too many log-ins go.
    let tokens: Vec<_> = (0..40).map(|_| token_hash(&new_token())).collect();
    for (age, token) in tokens.iter().enumerate() {
        let made = Time(20 + age as u64);
        store
            .add_token(*token, li.clone(), Time(1_000), made)
            .await
            .unwrap();
    }
    let mut live = Vec::new();
    for token in &tokens {
        live.push(store.login(*token, Time(100)).await.unwrap().is_some());
    }
    assert_eq!(live.iter().filter(|live| **live).count(), 32);
    assert!(live[8..].iter().all(|live| *live));
}

async fn controllers_and_addresses(store: &dyn ConfigStore) {
    assert!(
        store
            .controllers(Address::GATEWAY, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let wanted = |names: &[&str]| {
        names
            .iter()
            .map(|name| (title(name), ControllerKey([name.len() as u8; 32])))
            .collect()
    };
    let first = store.enrol(wanted(&["a", "bb"]), 3, Time(1)).await.unwrap();
    let second = store.enrol(wanted(&["ccc"]), 3, Time(2)).await.unwrap();
    assert_eq!(
        [first, second].concat(),
        [Address(1), Address(2), Address(3)]
    );
    let full = store.enrol(wanted(&["dddd"]), 3, Time(3)).await;
    assert!(matches!(full, Err(StoreError::Full { max: 3, .. })));
    let (entry, key) = store.controller(Address(2)).await.unwrap().unwrap();
    assert_eq!(
        (entry.title, entry.enrolled, key),
        (title("bb"), Time(1), ControllerKey([2; 32]))
    );
    assert_eq!(store.controller(Address(4)).await.unwrap(), None);
    let page = store.controllers(Address(1), 1).await.unwrap();
    let page: Vec<_> = page
        .iter()
        .map(|(entry, key)| (entry.address, *key))
        .collect();
    assert_eq!(page, [(Address(2), ControllerKey([2; 32]))]);

    let (li, max) = (title("li"), 2);
    let install = async |byte| {
        store
            .installation(TokenHash([byte; 32]), li.clone(), max, Time(1))
            .await
    };
    let one = install(1).await.unwrap();
    assert_eq!(one, Address::INSTALLED_MIN);
    assert_eq!(install(1).await.unwrap(), one);
    assert_ne!(install(2).await.unwrap(), one);
    assert!(matches!(
        install(3).await,
        Err(StoreError::Full { max: 2, .. })
    ));

    let first = store.lease_block(64).await.unwrap();
    let second = store.lease_block(64).await.unwrap();
    assert_eq!(first, Address::LEASED_MIN);
    assert!(second.0 >= first.0 + 64, "blocks do not overlap");
}

async fn commands(store: &dyn ConfigStore) {
    let (late, early) = (command(1, 20), command(2, 10));
    store
        .write_command(StoreRequest::Queue(late.clone()))
        .await
        .unwrap();
    store
        .write_command(StoreRequest::Queue(early.clone()))
        .await
        .unwrap();
    // Repeated: nothing changes, whatever else it says.
    let again = StoredCommand {
        order: 99,
        ..late.clone()
    };
    store
        .write_command(StoreRequest::Queue(again))
        .await
        .unwrap();
    assert_eq!(
        store.stored_commands().await.unwrap(),
        [early.clone(), late.clone()]
    );
    for _ in 0..2 {
        store
            .write_command(StoreRequest::MarkSent {
                key: late.key,
                boot: 0xFFFF_FFFF,
            })
            .await
            .unwrap();
    }
    let sent = StoredCommand {
        sent: Some(0xFFFF_FFFF),
        ..late.clone()
    };
    assert_eq!(
        store.stored_commands().await.unwrap(),
        [early.clone(), sent]
    );
    for _ in 0..2 {
        store
            .write_command(StoreRequest::Forget { key: late.key })
            .await
            .unwrap();
    }
    assert_eq!(
        store.stored_commands().await.unwrap(),
        std::slice::from_ref(&early)
    );
    // Calls are done in the order in which they were made, also when nobody waits in between.
    let writes: Vec<_> = (0..50)
        .flat_map(|_| {
            let queue = store.write_command(StoreRequest::Queue(command(9, 30)));
            let forget = store.write_command(StoreRequest::Forget { key: Key([9; 16]) });
            [queue, forget]
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    assert_eq!(store.stored_commands().await.unwrap(), [early]);
}

async fn event_numbers(store: &dyn ConfigStore) {
    let kept = async || store.event_numbers().await.unwrap();
    assert_eq!(kept().await, []);
    let (pump, fan) = (Address(7), Address(9));
    let first = vec![(fan, 3), (pump, u32::MAX - 1)];
    store.put_event_numbers(first).await.unwrap();
    assert_eq!(kept().await, [(pump, u32::MAX - 1), (fan, 3)]);
    let more = vec![(pump, 1)];
    store.put_event_numbers(more).await.unwrap();
    store.put_event_numbers(Vec::new()).await.unwrap();
    assert_eq!(kept().await, [(pump, 1), (fan, 3)]);
}

async fn config_contract(store: &dyn ConfigStore) {
    accounts_and_tokens(store).await;
    controllers_and_addresses(store).await;
    commands(store).await;
    event_numbers(store).await;
}

/// A store that fails says so, one that hangs is given up in time, and either is itself again after.
async fn faults_contract(store: impl ConfigStore) {
    let faults = Arc::new(Faults::default());
    let limit = TimeLimit(Duration::from_secs(1));
    let store = Guarded::new(Guarded::new(store, Arc::clone(&faults)), limit);
    faults.set(Some(Fault::Fail));
    let failed = store
        .write_command(StoreRequest::Queue(command(50, 1)))
        .await;
    assert!(matches!(failed, Err(StoreError::Gone(_))));
    faults.set(Some(Fault::Hang));
    let hung = store.accounts().await;
    assert!(matches!(
        hung,
        Err(StoreError::TimedOut {
            call: "accounts",
            ..
        })
    ));
    faults.set(Some(Fault::FailAfter));
    let unclear = store
        .write_command(StoreRequest::Queue(command(51, 2)))
        .await;
    assert!(unclear.is_err());
    faults.set(None);
    let kept = store.stored_commands().await.unwrap();
    let kept: Vec<_> = kept.iter().map(|command| command.key).collect();
    // The call that only seemed to fail was done, and repeating it does no harm.
    assert!(kept.contains(&Key([51; 16])));
    store
        .write_command(StoreRequest::Queue(command(51, 2)))
        .await
        .unwrap();
    assert_eq!(store.stored_commands().await.unwrap().len(), kept.len());
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let store = SqliteConfigStore::open(&path, 1_024).unwrap();
    config_contract(&store).await;
    faults_contract(store).await;
}

#[tokio::test]
async fn sqlite_survives_and_is_shared_between_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let one = SqliteConfigStore::open(&path, 64).unwrap();
    one.write_command(StoreRequest::Queue(command(1, 1)))
        .await
        .unwrap();
    let leased = one.lease_block(64).await.unwrap();
    let other = SqliteConfigStore::open(&path, 64).unwrap();
    assert_eq!(other.stored_commands().await.unwrap().len(), 1);
    assert!(other.lease_block(64).await.unwrap().0 >= leased.0 + 64);
    // Both write at once, and each gets addresses of its own.
    let wanted = || vec![(title("x"), ControllerKey([1; 32]))];
    let mut all = Vec::new();
    for _ in 0..20 {
        let (left, right) = tokio::join!(
            one.enrol(wanted(), 100, now()),
            other.enrol(wanted(), 100, now())
        );
        all.extend(left.unwrap());
        all.extend(right.unwrap());
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
}
