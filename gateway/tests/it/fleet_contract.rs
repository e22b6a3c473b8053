//! What every config store keeps to with the fleet: the library, contents, what controllers run, roll-outs; a part
//! of the contract.

use crate::{
    contract::new_controller,
    library_contract::{contents, firmwares, library, script},
    one_of_a_kind::{firmware_stands_alone, one_of_a_kind},
    support::title,
};
use bytes::Bytes;
use std::sync::Arc;
use switchyard_gateway::{
    Digest,
    fleet::{
        plan::Label,
        rollout::{
            Action, Answer, Ask, Changes, Control, Inspected, Observation, Phase, Release,
            ReleaseKind, Rollout, Stage, Terms,
        },
    },
    store::{
        ConfigStore, Content, ControllerEdit, FencingToken, NewFirmware, NewRollout, RolloutId,
        Seen, Selection, StoreError, WISHES_MAX, WishId, select_all,
    },
};
use switchyard_protocol::{Address, SiteId, firmware::FirmwareVersion, message::Time};

/// A moment from which there is room behind.
pub(crate) const NOW: u64 = 1_800_000_000_000;
pub(crate) const DAY_MS: u64 = 24 * 3_600_000;

pub(crate) fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// All of it, on a store that may hold other things.
pub(crate) async fn fleet(store: &dyn ConfigStore) {
    sites_in_files(store).await;
    library(store).await;
    firmwares(store).await;
    contents(store).await;
    what_controllers_run(store).await;
    selections(store).await;
    rollouts(store).await;
    owners(store).await;
    wishes(store).await;
    one_of_a_kind(store).await;
    firmware_stands_alone(store).await;
    what_is_needed_stays(store).await;
    leave_something(store).await;
}

async fn sites_in_files(store: &dyn ConfigStore) {
    let put = async |name: &str, called: &str| {
        let put = store.put_site(label(name), title(called), 100, Time(3));
        put.await
    };
    let delta = put("delta", "Delta").await.unwrap();
    assert_eq!(
        put("delta", "Delta").await.unwrap(),
        delta,
        "may be repeated"
    );
    assert_eq!(put("delta", "The delta").await.unwrap(), delta);
    let own = store.add_site(title("Own"), 100, Time(3)).await.unwrap();
    assert_eq!(put("own", "Own").await.unwrap(), own, "found by its name");
    let taken = put("other", "Own").await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    let taken = put("delta", "Own").await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    // By its number, whatever it is called in files.
    let number = format!("site-{own}");
    assert_eq!(put(&number, "Our own").await.unwrap(), own);
    let missing = put("site-4000000000", "Nowhere").await;
    assert!(
        matches!(missing, Err(StoreError::Missing { .. })),
        "{missing:?}"
    );
    let full = store
        .put_site(label("one-more"), title("One more"), 1, Time(3))
        .await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    let sites = store.sites().await.unwrap();
    let told: Vec<_> = sites
        .iter()
        .filter(|site| site.id == own || site.id == delta)
        .map(|site| (site.name.to_string(), site.label.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("The delta".to_owned(), Some(label("delta"))),
            ("Our own".to_owned(), Some(label("own")))
        ]
    );
    for site in [own, delta] {
        assert!(store.remove_site(site).await.unwrap());
    }
}

async fn what_controllers_run(store: &dyn ConfigStore) {
    let wanted = vec![new_controller("seen", 1), new_controller("unseen", 2)];
    let enrolled = store.enrol(wanted, 1_000, Time(1)).await.unwrap();
    let controller = enrolled[0];
    let see = async |running, at| {
        let seen = Seen {
            controller,
            kind: ReleaseKind::Script,
            running,
            at: Time(at),
        };
        store.put_seen(vec![seen]).await.unwrap();
    };
    let seen = async |kind| {
        let before = Address(controller.0 - 1);
        let page = store.seen(kind, before, 10).await.unwrap();
        page.first()
            .map(|seen| (seen.controller, seen.running, seen.at))
    };
    assert_eq!(seen(ReleaseKind::Script).await, None);
    let (first, later) = (Some(Digest([1; 32])), Some(Digest([2; 32])));
    see(first, 5).await;
    see(later, 7).await;
    see(first, 6).await;
    assert_eq!(
        seen(ReleaseKind::Script).await,
        Some((controller, later, Time(7)))
    );
    see(None, 8).await;
    assert_eq!(
        seen(ReleaseKind::Script).await,
        Some((controller, None, Time(8)))
    );
    assert_eq!(seen(ReleaseKind::Firmware).await, None);
    // Its parameters are known as long as its script is the same.
    let has = async |at| {
        let seen = Seen {
            controller,
            kind: ReleaseKind::Parameters,
            running: first,
            at: Time(at),
        };
        store.put_seen(vec![seen]).await.unwrap();
    };
    has(8).await;
    see(None, 9).await;
    let known = Some((controller, first, Time(8)));
    assert_eq!(seen(ReleaseKind::Parameters).await, known);
    see(later, 10).await;
    assert_eq!(seen(ReleaseKind::Parameters).await, None);
    has(10).await;
    see(later, 11).await;
    assert!(seen(ReleaseKind::Parameters).await.is_some());
    for address in enrolled {
        assert!(store.revoke_controller(address, Time(9)).await.unwrap());
    }
    assert_eq!(seen(ReleaseKind::Script).await, None, "gone with it");
}

async fn selections(store: &dyn ConfigStore) {
    let site = store
        .add_site(title("Selected"), 100, Time(1))
        .await
        .unwrap();
    let wanted = (0..5).map(|key| new_controller("chosen", key)).collect();
    let all = store.enrol(wanted, 1_000, Time(1)).await.unwrap();
    for (index, address) in all.iter().enumerate() {
        let edit = ControllerEdit {
            site: (index < 3).then_some(Some(site)),
            tags: (index > 1).then(|| vec![title("new boards"), title("x")]),
            ..ControllerEdit::default()
        };
        assert!(store.edit_controller(*address, edit).await.unwrap());
    }
    store.revoke_controller(all[4], Time(2)).await.unwrap();
    let select = async |selection| select_all(store, selection).await.unwrap();
    let at = |indexes: &[usize]| {
        let at = indexes
            .iter()
            .map(|index| (all[*index], (*index < 3).then_some(site)));
        at.collect::<Vec<_>>()
    };
    assert_eq!(select(Selection::Site(site)).await, at(&[0, 1, 2]));
    assert_eq!(
        select(Selection::Tag(title("new boards"))).await,
        at(&[2, 3])
    );
    assert_eq!(select(Selection::Tag(title("nobody's"))).await, []);
    let list = vec![all[3], all[0], all[3], all[4], Address(0x7FFF_FFFE)];
    assert_eq!(select(Selection::List(list)).await, at(&[0, 3]));
    let page = async |selection, after| {
        let page = store.selected(Arc::new(selection), after, 2);
        page.await.unwrap()
    };
    assert_eq!(
        page(Selection::Site(site), Address::GATEWAY).await,
        at(&[0, 1])
    );
    assert_eq!(page(Selection::Site(site), all[1]).await, at(&[2]));
    let list = Selection::List(all.clone());
    assert_eq!(page(list.clone(), Address::GATEWAY).await, at(&[0, 1]));
    assert_eq!(page(list, all[1]).await, at(&[2, 3]));
    // Where a roll-out's are: once each, those in no site too, and nobody who has gone.
    let numbers: Vec<u32> = all.iter().map(|it| it.0).collect();
    put_script(store, "# where\n").await;
    let (_, first) = new_rollout("# where\n", &numbers, NOW);
    let id = store.create_rollout(about("where"), first).await.unwrap();
    let are_at = async |sites: &[Option<SiteId>]| {
        assert_eq!(store.rollout_sites(id).await.unwrap(), sites);
    };
    are_at(&[None, Some(site)]).await;
    store.revoke_controller(all[3], Time(3)).await.unwrap();
    are_at(&[Some(site)]).await;
    for address in &all[..3] {
        store.revoke_controller(*address, Time(3)).await.unwrap();
    }
    are_at(&[]).await;
    end(store, id, 1).await;
    assert!(store.remove_site(site).await.unwrap());
}

pub(crate) fn release(source: &str) -> Release {
    Release {
        kind: ReleaseKind::Script,
        digest: Digest::of(source.as_bytes()),
    }
}

/// A roll-out of a script to some controllers, as whoever begins it has it.
pub(crate) fn new_rollout(
    source: &str,
    controllers: &[u32],
    begun: u64,
) -> (Rollout, Arc<Changes>) {
    let controllers: Vec<_> = controllers.iter().copied().map(Address).collect();
    let terms = Terms::new(release(source));
    let mut rollout = Rollout::new(terms, &controllers, 0, begun).unwrap();
    let first = Arc::new(rollout.take_changes());
    (rollout, first)
}

pub(crate) fn about(name: &str) -> NewRollout {
    NewRollout {
        title: title(name),
        by: title("li"),
        began: Time(NOW),
    }
}

pub(crate) async fn put_script(store: &dyn ConfigStore, source: &str) -> Digest {
    let content = Content::script(source).unwrap();
    store.put_content(content, Time(NOW)).await.unwrap()
}

/// Goes on with a roll-out as its owner.
pub(crate) async fn take(store: &dyn ConfigStore, id: RolloutId, token: u64) -> Rollout {
    let claimed = store.claim_rollout(id, FencingToken(token)).await;
    let claimed = claimed.unwrap().unwrap();
    let mut entries = Vec::new();
    loop {
        let after = entries.last().map(|entry| {
            let entry: &switchyard_gateway::fleet::rollout::Entry = entry;
            entry.position()
        });
        let page = store.rollout_entries(id, after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    Rollout::resume(claimed.head, entries, token, NOW).unwrap()
}

pub(crate) async fn save(store: &dyn ConfigStore, id: RolloutId, rollout: &mut Rollout) {
    let changes = Arc::new(rollout.take_changes());
    store.save_rollout(id, changes, None).await.unwrap();
}

async fn rollouts(store: &dyn ConfigStore) {
    let source = "# to roll out\n";
    let (_, first) = new_rollout(source, &[7, 9, 8], NOW);
    let missing = store
        .create_rollout(about("none"), Arc::clone(&first))
        .await;
    assert!(
        matches!(
            missing,
            Err(StoreError::Missing {
                what: "content",
                ..
            })
        ),
        "{missing:?}"
    );
    put_script(store, source).await;
    let id = store.create_rollout(about("one"), first).await.unwrap();
    let stored = store.rollout(id).await.unwrap().unwrap();
    assert_eq!((stored.id, &stored.about), (id, &about("one")));
    assert_eq!(stored.stages, [(Stage::Pending, 3)]);
    assert_eq!(
        (stored.head.phase(), stored.head.token()),
        (Phase::Running, 0)
    );
    assert_eq!(stored.head.terms().release, release(source));
    let entries = store.rollout_entries(id, Some(0), 10).await.unwrap();
    let addresses: Vec<_> = entries
        .iter()
        .map(|it| (it.position(), it.address()))
        .collect();
    assert_eq!(addresses, [(1, 9), (2, 8)]);

    // Nobody else may be at one of them with another script, but with something of another kind.
    put_script(store, "# another\n").await;
    let (_, other) = new_rollout("# another\n", &[1, 8], NOW);
    let overlaps = store.create_rollout(about("two"), Arc::clone(&other)).await;
    let Err(StoreError::Overlaps {
        rollout,
        controller,
    }) = overlaps
    else {
        panic!("{overlaps:?}");
    };
    assert_eq!((rollout, controller), (id, Address(8)));
    let values = Content::parameters(Bytes::from_static(b"values")).unwrap();
    let values = store.put_content(values, Time(NOW)).await.unwrap();
    let of_parameters = Release {
        kind: ReleaseKind::Parameters,
        digest: values,
    };
    let mut beside = Rollout::new(Terms::new(of_parameters), &[Address(8)], 0, NOW).unwrap();
    let beside = Arc::new(beside.take_changes());
    let beside = store.create_rollout(about("three"), beside).await.unwrap();
    assert!(beside > id);

    // It ends, and the other one may begin.
    let mut rollout = take(store, id, 5).await;
    rollout.control(Control::Abort, NOW).unwrap();
    rollout.poll(NOW);
    assert_eq!(rollout.phase(), Phase::Aborted);
    let early = store.remove_rollout(id).await;
    assert!(matches!(early, Err(StoreError::InUse { .. })), "{early:?}");
    save(store, id, &mut rollout).await;
    let second = store.create_rollout(about("two"), other).await.unwrap();
    let list = async |open, before, limit| {
        let page = store.rollouts(open, before, limit).await.unwrap();
        page.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(list(false, None, 10).await, [second, beside, id]);
    assert_eq!(list(false, None, 1).await, [second]);
    assert_eq!(list(false, Some(second), 10).await, [beside, id]);
    assert_eq!(list(true, None, 10).await, [second, beside]);
    assert!(store.remove_rollout(id).await.unwrap());
    assert!(!store.remove_rollout(id).await.unwrap());
    assert_eq!(store.rollout(id).await.unwrap(), None);
    assert!(
        store
            .rollout_entries(id, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    for id in [second, beside] {
        end(store, id, 6).await;
    }
    assert_eq!(list(false, None, 10).await, []);
}

/// Breaks a roll-out off and removes it.
pub(crate) async fn end(store: &dyn ConfigStore, id: RolloutId, token: u64) {
    let mut rollout = take(store, id, token).await;
    rollout.control(Control::Abort, NOW).unwrap();
    rollout.poll(NOW);
    save(store, id, &mut rollout).await;
    assert!(store.remove_rollout(id).await.unwrap());
}

/// Whoever has claimed it last is the owner, from that moment on.
async fn owners(store: &dyn ConfigStore) {
    put_script(store, "# owned\n").await;
    let (_, first) = new_rollout("# owned\n", &[1, 2], NOW);
    let id = store.create_rollout(about("owned"), first).await.unwrap();
    let mut old = take(store, id, 3).await;
    save(store, id, &mut old).await;
    let mut new = take(store, id, 4).await;
    // Before the new owner has stored anything.
    old.control(Control::Pause, NOW).unwrap();
    let late = Arc::new(old.take_changes());
    let fenced = store.save_rollout(id, Arc::clone(&late), None).await;
    let Err(StoreError::Fenced(what)) = fenced else {
        panic!("{fenced:?}");
    };
    assert_eq!(what, format!("roll-out {id}"));
    let fenced = store.claim_rollout(id, FencingToken(3)).await;
    assert!(matches!(fenced, Err(StoreError::Fenced(_))), "{fenced:?}");
    let stored = store.rollout(id).await.unwrap().unwrap();
    assert_eq!(stored.head.phase(), Phase::Running);
    save(store, id, &mut new).await;
    let stored = store.rollout(id).await.unwrap().unwrap();
    assert_eq!(stored.head.token(), 4);
    // Once more is as good as once.
    new.control(Control::Pause, NOW).unwrap();
    let paused = Arc::new(new.take_changes());
    for _ in 0..2 {
        store
            .save_rollout(id, Arc::clone(&paused), None)
            .await
            .unwrap();
    }
    let stored = store.rollout(id).await.unwrap().unwrap();
    assert_eq!(stored.head.phase(), Phase::Paused);
    let nobody = RolloutId(id.0 + 1);
    assert!(
        store
            .claim_rollout(nobody, FencingToken(9))
            .await
            .unwrap()
            .is_none()
    );
    let missing = store.save_rollout(nobody, late, None).await;
    assert!(
        matches!(missing, Err(StoreError::Missing { .. })),
        "{missing:?}"
    );
    end(store, id, 5).await;
}

async fn wishes(store: &dyn ConfigStore) {
    put_script(store, "# wished for\n").await;
    let (_, first) = new_rollout("# wished for\n", &[1], NOW);
    let id = store
        .create_rollout(about("wished for"), first)
        .await
        .unwrap();
    let wish = async |rollout, control| {
        let wish = store.add_wish(rollout, control, title("bo"), Time(NOW));
        wish.await
    };
    let nobody = RolloutId(id.0 + 1);
    let missing = wish(nobody, Control::Pause).await;
    assert!(
        matches!(missing, Err(StoreError::Missing { .. })),
        "{missing:?}"
    );
    let mut ids: Vec<WishId> = Vec::new();
    for control in [
        Control::Pause,
        Control::Resume,
        Control::Abort,
        Control::RollBack,
    ] {
        ids.push(wish(id, control).await.unwrap());
    }
    assert!(ids.is_sorted());
    let waiting = async |of| {
        let wishes = store.wishes(of).await.unwrap();
        wishes
            .into_iter()
            .map(|it| (it.rollout, it.control))
            .collect::<Vec<_>>()
    };
    let all = [
        (id, Control::Pause),
        (id, Control::Resume),
        (id, Control::Abort),
        (id, Control::RollBack),
    ];
    assert_eq!(waiting(Some(id)).await, all);
    assert_eq!(waiting(None).await, all);
    assert_eq!(waiting(Some(nobody)).await, []);
    let told = &store.wishes(None).await.unwrap()[0];
    assert_eq!(
        (told.id, told.asked, &told.by),
        (ids[0], Time(NOW), &title("bo"))
    );

    // Granted with what came of it; an old owner grants nothing.
    let mut old = take(store, id, 1).await;
    let mut new = take(store, id, 2).await;
    old.control(Control::Pause, NOW).unwrap();
    let late = Arc::new(old.take_changes());
    let fenced = store.save_rollout(id, late, Some(ids[3])).await;
    assert!(matches!(fenced, Err(StoreError::Fenced(_))), "{fenced:?}");
    assert_eq!(waiting(None).await, all);
    new.control(Control::Pause, NOW).unwrap();
    let changes = Arc::new(new.take_changes());
    for _ in 0..2 {
        let save = store.save_rollout(id, Arc::clone(&changes), Some(ids[1]));
        save.await.unwrap();
    }
    assert_eq!(waiting(None).await, all[2..]);
    for _ in 2..WISHES_MAX {
        wish(id, Control::Pause).await.unwrap();
    }
    let full = wish(id, Control::Pause).await;
    assert!(
        matches!(
            full,
            Err(StoreError::Full {
                max: WISHES_MAX,
                ..
            })
        ),
        "{full:?}"
    );
    end(store, id, 3).await;
    assert_eq!(waiting(None).await, [], "gone with it");
}

/// Answers everything that is asked of one controller as one that runs `running` and takes what it is sent.
fn answer(rollout: &mut Rollout, action: &Action, running: Digest, saved: bool) {
    let answer = match action.ask {
        Ask::Inspect { .. } => Answer::Inspected(Inspected {
            running: Some(running),
            on_trial: false,
            waiting: false,
            fell_back: false,
            faults: 0,
            saved,
        }),
        _ => Answer::Sent { on_trial: true },
    };
    let action = action.number;
    rollout.observe(Observation::Answer { action, answer }, NOW);
}

/// What a roll-out brings, and what it may have to bring back, nobody removes.
async fn what_is_needed_stays(store: &dyn ConfigStore) {
    let (before, after) = ("# before\n", "# after\n");
    for (name, source) in [("before", before), ("after", after)] {
        let script = script(name, source);
        store.add_script(script, Time(NOW)).await.unwrap();
    }
    let (_, first) = new_rollout(after, &[1, 2], NOW);
    let id = store.create_rollout(about("needs"), first).await.unwrap();
    let mut rollout = take(store, id, 1).await;
    let controller = Address(1);
    let online = true;
    rollout.observe(Observation::Presence { controller, online }, NOW);
    let actions = rollout.poll(NOW);
    save(store, id, &mut rollout).await;
    answer(
        &mut rollout,
        &actions[0],
        Digest::of(before.as_bytes()),
        true,
    );
    rollout.poll(NOW);
    // What it had lies nowhere: that is no promise to be stored.
    let unsaved = Digest::of(b"# nowhere\n");
    let changes = rollout.take_changes();
    let told = serde_json::to_string(&changes.entries).unwrap();
    let told = told.replace(
        &Digest::of(before.as_bytes()).to_string(),
        &unsaved.to_string(),
    );
    let broken = Changes {
        head: changes.head.clone(),
        entries: serde_json::from_str(&told).unwrap(),
        stages: changes.stages.clone(),
    };
    assert_ne!(broken, changes);
    let missing = store.save_rollout(id, Arc::new(broken), None).await;
    assert!(
        matches!(
            missing,
            Err(StoreError::Missing {
                what: "content",
                ..
            })
        ),
        "{missing:?}"
    );
    store
        .save_rollout(id, Arc::new(changes), None)
        .await
        .unwrap();
    for name in ["before", "after"] {
        let needed = store.remove_script(label(name), Time(NOW)).await;
        assert!(
            matches!(needed, Err(StoreError::InUse { .. })),
            "{needed:?}"
        );
    }
    rollout.control(Control::Abort, NOW).unwrap();
    rollout.poll(NOW);
    // It has been sent to, perhaps, and is waited for; so it has not ended.
    save(store, id, &mut rollout).await;
    let kept = store.rollout(id).await.unwrap().unwrap();
    assert!(!kept.head.phase().is_end());
    let late = NOW + 100 * DAY_MS;
    rollout.poll(late);
    for _ in 0..10 {
        let wake = rollout.next_wake().unwrap_or(late);
        for action in rollout.poll(wake) {
            answer(&mut rollout, &action, Digest::of(before.as_bytes()), true);
        }
    }
    assert_eq!(rollout.phase(), Phase::Aborted);
    save(store, id, &mut rollout).await;
    assert!(store.remove_rollout(id).await.unwrap());
    for name in ["before", "after"] {
        assert!(store.remove_script(label(name), Time(NOW)).await.unwrap());
    }
    let gone = store.content(Digest::of(before.as_bytes())).await.unwrap();
    assert!(gone.is_some(), "for a day it stays");
    // The next removal sweeps.
    assert!(
        !store
            .remove_script(label("before"), Time(NOW + DAY_MS + 1))
            .await
            .unwrap()
    );
    let gone = store.content(Digest::of(before.as_bytes())).await.unwrap();
    assert_eq!(gone, None);
}

/// Something in every table, for whoever moves the store.
async fn leave_something(store: &dyn ConfigStore) {
    let left = NewFirmware {
        name: "left@0.1.0".parse().unwrap(),
        lowest: FirmwareVersion(0),
        content: Content::firmware(vec![Bytes::from_static(b"left")]).unwrap(),
        by: title("li"),
        note: String::new(),
    };
    store.add_firmware(left, Time(NOW)).await.unwrap();
    let site = store
        .put_site(label("left"), title("Left"), 100, Time(1))
        .await;
    site.unwrap();
    let source = "# left\n";
    store
        .add_script(script("left", source), Time(NOW))
        .await
        .unwrap();
    let (_, first) = new_rollout(source, &[1, 2, 3], NOW);
    let id = store.create_rollout(about("left"), first).await.unwrap();
    let wish = store.add_wish(id, Control::Pause, title("bo"), Time(NOW));
    wish.await.unwrap();
    let seen = Seen {
        controller: Address(1),
        kind: ReleaseKind::Script,
        running: None,
        at: Time(NOW),
    };
    store.put_seen(vec![seen]).await.unwrap();
}
