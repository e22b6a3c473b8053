//! What every config store keeps to, whichever lies underneath: written over the trait, and run against
//! each database in `databases`.

use crate::{
    alarms_contract, fleet_contract, history_contract::history_of_points,
    keys_contract::two_keys_while_one_is_replaced, support::title,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    audit::{AuditFilter, AuditRecord, AuditWhat, chain},
    keys::Keys,
    new_token,
    store::{
        Account, ConfigStore, ControllerEdit, ControllerKey, Fault, Faults, FencingToken, Guarded,
        NewController, NewToken, Revision, SshKey, StoreError, TimeLimit, TokenHash, TokenKind,
    },
    token_hash,
};
use switchyard_protocol::{
    Address, Role, SiteId,
    message::{Key, Time, Title},
};
use switchyard_relay::{Rights, StoreRequest, StoredCommand};

fn account(name: &str, role: Role) -> Account {
    Account {
        name: title(name),
        rights: Rights::everywhere(role),
        password_hash: format!("hash of {name}"),
        totp: None,
        created: Time(5),
    }
}

pub(crate) fn command(number: u8, order: u64) -> StoredCommand {
    StoredCommand {
        key: Key([number; 16]),
        order,
        account: title("li"),
        expiry: Time(1_800_000_000_000),
        frame: Bytes::from(vec![number; 40]),
        sent: None,
    }
}

pub(crate) fn new_controller(name: &str, key: u8) -> NewController {
    NewController {
        title: title(name),
        key: ControllerKey([key; 32]),
        site: None,
    }
}

fn session(hash: TokenHash, account: &Title, expires: u64) -> NewToken {
    NewToken {
        hash,
        account: account.clone(),
        kind: TokenKind::Session,
        title: "a browser".into(),
        expires: Time(expires),
    }
}

async fn accounts_and_tokens(store: &dyn ConfigStore) {
    let (li, bo) = (title("li"), title("bo"));
    assert_eq!(store.account(li.clone()).await.unwrap(), None);
    let first = store.add_first_account(account("li", Role::Operator)).await;
    assert!(first.unwrap());
    let second = store.add_first_account(account("mo", Role::Admin)).await;
    assert!(!second.unwrap());
    assert_eq!(store.account(title("mo")).await.unwrap(), None);
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
        .add_token(session(one, &li, 100), Time(10))
        .await
        .unwrap();
    store
        .add_token(session(other, &bo, 100), Time(10))
        .await
        .unwrap();
    let login = store.login(one, Time(99)).await.unwrap().unwrap();
    assert_eq!(
        (login.account, login.rights, login.expires),
        (li.clone(), Rights::everywhere(Role::Operator), Time(100))
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
    assert!(
        store
            .set_rights(li.clone(), Rights::everywhere(Role::Viewer))
            .await
            .unwrap()
    );
    assert!(moved().await);
    assert_eq!(
        store.login(one, Time(1)).await.unwrap().unwrap().rights,
        Rights::everywhere(Role::Viewer)
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
        .add_token(session(other, &bo, 100), Time(10))
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
    assert!(
        !store
            .set_rights(bo.clone(), Rights::everywhere(Role::Admin))
            .await
            .unwrap()
    );
    assert!(!store.set_password(bo, "x".into()).await.unwrap());

    // The oldest of too many log-ins go.
    let tokens: Vec<_> = (0..40).map(|_| token_hash(&new_token())).collect();
    for (age, token) in tokens.iter().enumerate() {
        let made = Time(20 + age as u64);
        store
            .add_token(session(*token, &li, 1_000), made)
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
            .map(|name| new_controller(name, name.len() as u8))
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
    let (entry, keys) = store.controller(Address(2)).await.unwrap().unwrap();
    let key = Keys::from(ControllerKey([2; 32]));
    assert_eq!(
        (entry.title, entry.enrolled, keys),
        (title("bb"), Time(1), key)
    );
    assert_eq!(store.controller(Address(4)).await.unwrap(), None);
    let page = store.controllers(Address(1), 1).await.unwrap();
    let page: Vec<_> = page
        .iter()
        .map(|(entry, keys)| (entry.address, *keys))
        .collect();
    assert_eq!(page, [(Address(2), key)]);

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
    store.put_event_numbers(first, Vec::new()).await.unwrap();
    assert_eq!(kept().await, [(pump, u32::MAX - 1), (fan, 3)]);
    let more = vec![(pump, 1)];
    store.put_event_numbers(more, Vec::new()).await.unwrap();
    store
        .put_event_numbers(Vec::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(kept().await, [(pump, 1), (fan, 3)]);
}

async fn second_factors(store: &dyn ConfigStore) {
    let name = title("two");
    let account = Account {
        totp: Some(b"a secret".to_vec()),
        ..account("two", Role::Viewer)
    };
    store.add_account(account.clone()).await.unwrap();
    let known = async || store.account(name.clone()).await.unwrap().unwrap();
    assert_eq!(known().await, account);
    let step = async |step| store.use_totp_step(name.clone(), step).await.unwrap();
    assert!(step(7).await);
    assert!(!step(7).await, "used");
    assert!(!step(6).await, "before one that was used");
    assert!(step(8).await);
    assert!(store.set_totp(name.clone(), None).await.unwrap());
    assert_eq!(known().await.totp, None);
    let other = Some(b"another".to_vec());
    assert!(store.set_totp(name.clone(), other.clone()).await.unwrap());
    assert_eq!(known().await.totp, other);
    assert!(step(7).await, "of another secret");
    assert!(!store.set_totp(title("nobody"), None).await.unwrap());
    assert!(!store.use_totp_step(title("nobody"), 1).await.unwrap());
    assert!(store.remove_account(name).await.unwrap());
}

async fn tokens_for_programs(store: &dyn ConfigStore) {
    let name = title("tom");
    let make = async |number: u8, now| {
        let token = NewToken {
            kind: TokenKind::Access,
            title: format!("program {number}"),
            ..session(TokenHash([number; 32]), &name, 1_000)
        };
        store.add_token(token, Time(now)).await
    };
    assert!(matches!(make(1, 1).await, Err(StoreError::Missing { .. })));
    store
        .add_account(account("tom", Role::Viewer))
        .await
        .unwrap();
    for number in 0..64 {
        make(number, number.into()).await.unwrap();
    }
    assert!(matches!(
        make(64, 64).await,
        Err(StoreError::Full { max: 64, .. })
    ));
    // Sessions do not drive them out.
    for number in 100..140 {
        let token = session(TokenHash([number; 32]), &name, 1_000);
        store.add_token(token, Time(99)).await.unwrap();
    }
    let listed = store.tokens(name.clone()).await.unwrap();
    assert_eq!(listed.len(), 64 + 32);
    let of_programs = listed.iter().filter(|it| it.kind == TokenKind::Access);
    let of_programs: Vec<_> = of_programs.collect();
    let latest = of_programs[0];
    assert_eq!(
        (latest.title.as_str(), latest.created),
        ("program 63", Time(63))
    );
    let (id, nobody) = (latest.id, title("nobody"));
    assert!(!store.revoke_token_by_id(nobody, id).await.unwrap());
    let before = store.access_revision().await.unwrap();
    assert!(store.revoke_token_by_id(name.clone(), id).await.unwrap());
    assert!(store.access_revision().await.unwrap() > before);
    assert!(!store.revoke_token_by_id(name.clone(), id).await.unwrap());
    assert_eq!(
        store.login(TokenHash([63; 32]), Time(1)).await.unwrap(),
        None
    );
    assert!(
        store
            .login(TokenHash([62; 32]), Time(1))
            .await
            .unwrap()
            .is_some()
    );
    // All that have ended are swept away.
    make(64, 1_000).await.unwrap();
    let left = store.tokens(name.clone()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(store.remove_account(name).await.unwrap());
}

async fn keys_for_ssh(store: &dyn ConfigStore) {
    let key = |account: &str, number: u8| SshKey {
        fingerprint: [number; 32],
        account: title(account),
        title: title("laptop"),
        public_key: format!("ssh-ed25519 {number}"),
        created: Time(number.into()),
    };
    let missing = store.add_ssh_key(key("sue", 1)).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    for name in ["sue", "sam"] {
        store
            .add_account(account(name, Role::Operator))
            .await
            .unwrap();
    }
    store.add_ssh_key(key("sue", 2)).await.unwrap();
    store.add_ssh_key(key("sue", 1)).await.unwrap();
    let taken = store.add_ssh_key(key("sam", 1)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))));
    let keys = store.ssh_keys(title("sue")).await.unwrap();
    assert_eq!(keys, [key("sue", 1), key("sue", 2)]);
    let (name, rights) = store.ssh_login([1; 32]).await.unwrap().unwrap();
    assert_eq!(
        (name, rights),
        (title("sue"), Rights::everywhere(Role::Operator))
    );
    assert!(!store.remove_ssh_key(title("sam"), [1; 32]).await.unwrap());
    assert!(store.remove_ssh_key(title("sue"), [1; 32]).await.unwrap());
    assert_eq!(store.ssh_login([1; 32]).await.unwrap(), None);
    for number in 10..41 {
        store.add_ssh_key(key("sue", number)).await.unwrap();
    }
    let full = store.add_ssh_key(key("sue", 50)).await;
    assert!(matches!(full, Err(StoreError::Full { max: 32, .. })));
    assert!(store.remove_account(title("sue")).await.unwrap());
    assert_eq!(
        store.ssh_login([2; 32]).await.unwrap(),
        None,
        "gone with its account"
    );
    assert!(store.remove_account(title("sam")).await.unwrap());
}

async fn sites_and_roles(store: &dyn ConfigStore) {
    let make = async |name| store.add_site(title(name), 3, Time(1)).await;
    let (north, south) = (make("north").await.unwrap(), make("south").await.unwrap());
    assert!(north < south);
    assert!(matches!(make("north").await, Err(StoreError::Exists(_))));
    let west = make("west").await.unwrap();
    assert!(matches!(
        make("east").await,
        Err(StoreError::Full { max: 3, .. })
    ));
    assert!(store.remove_site(west).await.unwrap());
    assert!(!store.remove_site(west).await.unwrap());
    let east = make("east").await.unwrap();
    assert!(east > west, "a number is never given twice");
    assert!(store.rename_site(east, title("orient")).await.unwrap());
    assert!(!store.rename_site(west, title("x")).await.unwrap());
    let taken = store.rename_site(east, title("south")).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))));
    assert!(
        store.rename_site(east, title("orient")).await.unwrap(),
        "its own name"
    );
    let names: Vec<_> = store.sites().await.unwrap();
    let names: Vec<_> = names
        .iter()
        .map(|site| (site.id, site.name.clone()))
        .collect();
    assert_eq!(
        names,
        [
            (north, title("north")),
            (south, title("south")),
            (east, title("orient"))
        ]
    );

    let rights = Rights::new(
        Some(Role::Viewer),
        [(north, Role::Technician), (south, Role::Operator)],
    );
    let ned = Account {
        rights: rights.clone(),
        ..account("ned", Role::Viewer)
    };
    store.add_account(ned.clone()).await.unwrap();
    assert_eq!(store.account(title("ned")).await.unwrap(), Some(ned));
    let token = token_hash(&new_token());
    store
        .add_token(session(token, &title("ned"), 100), Time(1))
        .await
        .unwrap();
    let now = async || store.login(token, Time(2)).await.unwrap().unwrap().rights;
    assert_eq!(now().await, rights);
    let nowhere = Rights::new(None, [(SiteId(99), Role::Viewer)]);
    let missing = store.set_rights(title("ned"), nowhere).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    assert_eq!(now().await, rights, "all of it, or nothing");
    let before = store.access_revision().await.unwrap();
    let fewer = Rights::new(None, [(south, Role::Viewer)]);
    assert!(store.set_rights(title("ned"), fewer.clone()).await.unwrap());
    assert_eq!(now().await, fewer);
    assert!(store.access_revision().await.unwrap() > before);

    let at_south = NewController {
        site: Some(south),
        ..new_controller("pump", 1)
    };
    let address = store.enrol(vec![at_south], 100, Time(1)).await.unwrap()[0];
    let in_use = store.remove_site(south).await;
    assert!(matches!(in_use, Err(StoreError::InUse { .. })));
    let elsewhere = ControllerEdit {
        site: Some(Some(north)),
        ..ControllerEdit::default()
    };
    assert!(store.edit_controller(address, elsewhere).await.unwrap());
    assert!(store.remove_site(south).await.unwrap());
    assert_eq!(
        now().await,
        Rights::new(None, []),
        "roles end with their site"
    );
    assert!(store.remove_account(title("ned")).await.unwrap());
    assert!(store.revoke_controller(address, Time(2)).await.unwrap());
    assert!(
        store.remove_site(north).await.unwrap(),
        "nobody is there any more"
    );
}

/// All changes after a revision, page by page.
async fn changes(store: &dyn ConfigStore, mut after: Revision) -> Vec<(Address, Option<String>)> {
    let mut all = Vec::new();
    loop {
        let page = store.controller_changes(after, 2).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        after = last.revision;
        all.extend(page.into_iter().map(|change| {
            let title = change.now.map(|(entry, _)| entry.title.to_string());
            (change.address, title)
        }));
    }
}

async fn changes_of_controllers(store: &dyn ConfigStore) {
    let start = store.controller_revision().await.unwrap();
    assert_eq!(changes(store, start).await, []);
    let wanted = ["one", "two", "three", "four", "five"];
    let wanted = wanted.map(|name| new_controller(name, 1)).to_vec();
    let addresses = store.enrol(wanted, 100, Time(1)).await.unwrap();
    let [one, two, three, four, five] = addresses[..] else {
        panic!("{addresses:?}");
    };
    let named = |address, name: &str| (address, Some(name.to_owned()));
    assert_eq!(
        changes(store, start).await,
        [
            named(one, "one"),
            named(two, "two"),
            named(three, "three"),
            named(four, "four"),
            named(five, "five")
        ]
    );
    let start = store.controller_revision().await.unwrap();
    let edit = ControllerEdit {
        title: Some(title("II")),
        tags: Some(vec![title("wet"), title("north wall"), title("wet")]),
        ..ControllerEdit::default()
    };
    assert!(store.edit_controller(two, edit).await.unwrap());
    assert!(
        store
            .set_controller_key(five, ControllerKey([0xC9; 32]))
            .await
            .unwrap()
    );
    assert!(store.revoke_controller(four, Time(2)).await.unwrap());
    assert_eq!(
        changes(store, start).await,
        [named(two, "II"), named(five, "five"), (four, None)]
    );
    let (entry, _) = store.controller(two).await.unwrap().unwrap();
    assert_eq!(entry.tags, [title("north wall"), title("wet")]);
    let page = store.controllers(one, 2).await.unwrap();
    let page: Vec<_> = page
        .iter()
        .map(|(it, _)| (it.address, it.tags.len()))
        .collect();
    assert_eq!(page, [(two, 2), (three, 0)]);
    let (_, keys) = store.controller(five).await.unwrap().unwrap();
    assert_eq!(keys, ControllerKey([0xC9; 32]).into());

    // What is withdrawn is not there, for nothing.
    assert_eq!(store.controller(four).await.unwrap(), None);
    let edit = ControllerEdit::default();
    assert!(!store.edit_controller(four, edit).await.unwrap());
    assert!(
        !store
            .set_controller_key(four, ControllerKey([1; 32]))
            .await
            .unwrap()
    );
    assert!(!store.revoke_controller(four, Time(3)).await.unwrap());
    let page = store.controllers(three, 10).await.unwrap();
    assert_eq!(page.len(), 1);

    let nowhere = ControllerEdit {
        title: Some(title("lost")),
        site: Some(Some(SiteId(999))),
        ..ControllerEdit::default()
    };
    let missing = store.edit_controller(three, nowhere).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    let (entry, _) = store.controller(three).await.unwrap().unwrap();
    assert_eq!(entry.title, title("three"), "all of it, or nothing");
    let many = ControllerEdit {
        tags: Some((0..33).map(|number| title(&format!("t{number}"))).collect()),
        ..ControllerEdit::default()
    };
    let full = store.edit_controller(three, many).await;
    assert!(matches!(full, Err(StoreError::Full { max: 32, .. })));
    // Those that were withdrawn make room.
    let there_are = store
        .controllers(Address::GATEWAY, 100)
        .await
        .unwrap()
        .len() as u32;
    let more = store
        .enrol(vec![new_controller("six", 1)], there_are + 1, Time(3))
        .await;
    assert!(more.unwrap()[0] > five);
}

async fn leases(store: &dyn ConfigStore) {
    let chore = title("history");
    let ttl = Duration::from_millis(10);
    let ask = async |holder: u8, now| {
        let asked = store.acquire_lease(chore.clone(), [holder; 16], ttl, Time(now));
        asked.await.unwrap()
    };
    assert_eq!(ask(1, 100).await, Some(FencingToken(1)));
    assert_eq!(ask(2, 109).await, None, "it has an owner");
    assert_eq!(ask(1, 109).await, Some(FencingToken(1)), "renewed");
    assert_eq!(ask(2, 118).await, None);
    assert_eq!(ask(2, 119).await, Some(FencingToken(2)));
    assert_eq!(ask(1, 119).await, None);
    assert!(!store.release_lease(chore.clone(), [1; 16]).await.unwrap());
    assert!(store.release_lease(chore.clone(), [2; 16]).await.unwrap());
    assert_eq!(ask(1, 119).await, Some(FencingToken(3)));
}

pub(crate) async fn audit_log(store: &dyn ConfigStore) {
    let record = |text: &str| AuditRecord {
        text: text.into(),
        account: Some(title("li")),
        ..AuditRecord::new(Time(7), AuditWhat::Asked)
    };
    let some = |texts: &[&str]| texts.iter().map(|text| record(text)).collect();
    let (one, two) = ([1; 16], [2; 16]);
    store.append_audit(one, 0, some(&["a", "b"])).await.unwrap();
    store.append_audit(one, 1, some(&["b", "c"])).await.unwrap();
    store.append_audit(two, 0, some(&["d"])).await.unwrap();
    store
        .append_audit(one, 0, some(&["a", "b", "c"]))
        .await
        .unwrap();
    store.append_audit(one, 9, some(&["e"])).await.unwrap();
    store.append_audit(one, 9, Vec::new()).await.unwrap();
    let all = store.audit(everything(), 0, 100).await.unwrap();
    let texts: Vec<_> = all
        .iter()
        .map(|(number, it)| (*number, &*it.record.text))
        .collect();
    assert_eq!(texts, [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]);
    assert_eq!(all[4].1.at, (one, 9));
    assert!(chain::verify(chain::FIRST, all.iter().map(|(_, it)| it)).is_ok());
    let page = store.audit(everything(), 2, 2).await.unwrap();
    assert_eq!(page, all[2..4]);

    let other = AuditRecord {
        account: Some(title("mo")),
        target: Some(Address(3)),
        ..AuditRecord::new(Time(9), AuditWhat::Accepted)
    };
    store.append_audit(two, 1, vec![other]).await.unwrap();
    let filters = [
        (everything(), 6),
        (of(|it| it.account = Some(title("li"))), 5),
        (of(|it| it.account = Some(title("LI"))), 0),
        (of(|it| it.target = Some(Address(3))), 1),
        (of(|it| it.from = Some(Time(8))), 1),
        (of(|it| it.until = Some(Time(9))), 5),
        (
            of(|it| (it.from, it.until) = (Some(Time(7)), Some(Time(7)))),
            0,
        ),
    ];
    for (filter, expected) in filters {
        let found = store.audit(filter.clone(), 0, 100).await.unwrap();
        assert_eq!(found.len(), expected, "{filter:?}");
    }
    trimmed_audit_log(store).await;
}

fn everything() -> AuditFilter {
    AuditFilter::default()
}

fn of(set: impl FnOnce(&mut AuditFilter)) -> AuditFilter {
    let mut filter = everything();
    set(&mut filter);
    filter
}

/// Of six records the oldest go; the chain goes on from there.
async fn trimmed_audit_log(store: &dyn ConfigStore) {
    assert_eq!(store.audit_start().await.unwrap(), (0, chain::FIRST));
    assert_eq!(store.trim_audit(Time(7), 100).await.unwrap(), 0);
    assert_eq!(store.trim_audit(Time(8), 2).await.unwrap(), 2);
    assert_eq!(store.trim_audit(Time(8), 100).await.unwrap(), 3);
    // The last one stays, however old it is.
    assert_eq!(store.trim_audit(Time(100), 100).await.unwrap(), 0);
    let (number, hash) = store.audit_start().await.unwrap();
    assert_eq!(number, 5);
    let record = AuditRecord::new(Time(10), AuditWhat::Asked);
    store.append_audit([2; 16], 2, vec![record]).await.unwrap();
    let rest = store.audit(everything(), 0, 100).await.unwrap();
    let numbers: Vec<_> = rest.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [6, 7]);
    assert!(chain::verify(hash, rest.iter().map(|(_, it)| it)).is_ok());
}

pub(crate) async fn config_contract(store: &dyn ConfigStore) {
    accounts_and_tokens(store).await;
    controllers_and_addresses(store).await;
    commands(store).await;
    event_numbers(store).await;
    second_factors(store).await;
    tokens_for_programs(store).await;
    keys_for_ssh(store).await;
    sites_and_roles(store).await;
    changes_of_controllers(store).await;
    two_keys_while_one_is_replaced(store).await;
    leases(store).await;
    audit_log(store).await;
    history_of_points(store).await;
    fleet_contract::fleet(store).await;
    alarms_contract::alarms(store).await;
}

/// A store that fails says so, one that hangs is given up in time, and either is itself again after.
pub(crate) async fn faults_contract(store: impl ConfigStore) {
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
