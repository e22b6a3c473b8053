//! That there is one roll-out of a kind at a controller, also where one that has ended goes back; a part of the contract of
//! every config store.

use crate::{
    fleet_contract::{NOW, about, end, new_rollout, put_script, release, save, take},
    support::title,
};
use bytes::Bytes;
use std::sync::Arc;
use switchyard_gateway::{
    fleet::rollout::{Control, Phase, Release, ReleaseKind, Rollout, Terms},
    store::{ConfigStore, Content, StoreError},
};
use switchyard_protocol::{Address, message::Time};

/// A roll-out that has ended is at nobody's way, and goes back only where nobody is in its own.
pub(crate) async fn one_of_a_kind(store: &dyn ConfigStore) {
    put_script(store, "# of a kind\n").await;
    let begin = async |name, addresses: &[u32]| {
        let (_, first) = new_rollout("# of a kind\n", addresses, NOW);
        store.create_rollout(about(name), first).await
    };
    let back = async |rollout| {
        let wish = store.add_wish(rollout, Control::RollBack, title("bo"), Time(NOW));
        wish.await
    };
    let overlaps = |refused: Result<(), StoreError>, with, at| match refused {
        Err(StoreError::Overlaps {
            rollout,
            controller,
        }) => assert_eq!((rollout, controller), (with, Address(at))),
        other => panic!("{other:?}"),
    };
    let old = begin("old", &[1, 2]).await.unwrap();
    let elsewhere = begin("elsewhere", &[9]).await.unwrap();
    let mut machine = take(store, old, 1).await;
    machine.control(Control::Abort, NOW).unwrap();
    machine.poll(NOW);
    save(store, old, &mut machine).await;
    let new = begin("new", &[2, 3]).await.unwrap();

    // The new one goes on: the old one is not brought back, neither when it is asked for nor when its owner
    // was asked before.
    overlaps(back(old).await.map(drop), new, 2);
    assert_eq!(store.wishes(None).await.unwrap(), []);
    let pause = store.add_wish(old, Control::Pause, title("bo"), Time(NOW));
    let pause = pause.await.unwrap();
    machine.control(Control::RollBack, NOW).unwrap();
    let changes = Arc::new(machine.take_changes());
    assert!(!changes.head.phase().is_end());
    let reopened = store.save_rollout(old, Arc::clone(&changes), Some(pause));
    overlaps(reopened.await, new, 2);
    let stored = store.rollout(old).await.unwrap().unwrap();
    assert_eq!(
        stored.head.phase(),
        Phase::Aborted,
        "nothing was kept of it"
    );
    assert_eq!(store.wishes(None).await.unwrap().len(), 1);

    // That has ended, too. Whoever wants to go back first does; the other one, and whatever would be new, waits.
    let mut second = take(store, new, 1).await;
    second.control(Control::Abort, NOW).unwrap();
    second.poll(NOW);
    save(store, new, &mut second).await;
    let wish = back(old).await.unwrap();
    overlaps(back(new).await.map(drop), old, 2);
    overlaps(begin("newer", &[1]).await.map(drop), old, 1);
    // A second time is no other roll-out's.
    let again = back(old).await.unwrap();
    assert!(again > wish);
    let granted = store.save_rollout(old, Arc::clone(&changes), Some(again));
    granted.await.unwrap();
    assert_eq!(store.wishes(None).await.unwrap(), []);
    overlaps(back(new).await.map(drop), old, 2);
    overlaps(begin("newer", &[1]).await.map(drop), old, 1);
    let newer = begin("newer", &[3]).await.unwrap();

    // While one goes on nobody is at its controllers, so it may always go back.
    back(newer).await.unwrap();
    for id in [elsewhere, newer] {
        end(store, id, 2).await;
    }
    // It has nobody to bring back.
    machine.poll(NOW);
    assert_eq!(machine.phase(), Phase::RolledBack);
    save(store, old, &mut machine).await;
    for id in [old, new] {
        assert!(store.remove_rollout(id).await.unwrap());
    }
}

/// A firmware's roll-out has its controllers for itself, whatever the other one brings.
pub(crate) async fn firmware_stands_alone(store: &dyn ConfigStore) {
    let source = "# beside a firmware\n";
    put_script(store, source).await;
    let content = Content::firmware(vec![Bytes::from_static(b"alone")]).unwrap();
    let digest = store.put_content(content, Time(NOW)).await.unwrap();
    let (of_script, of_firmware) = (
        release(source),
        Release {
            kind: ReleaseKind::Firmware,
            digest,
        },
    );
    let begin = async |release| {
        let terms = Terms::new(release);
        let mut rollout = Rollout::new(terms, &[Address(4_000)], 0, NOW).unwrap();
        let first = Arc::new(rollout.take_changes());
        store.create_rollout(about("alone"), first).await
    };
    for (first, second) in [(of_script, of_firmware), (of_firmware, of_script)] {
        let id = begin(first).await.unwrap();
        let beside = begin(second).await;
        let is_refused =
            matches!(beside, Err(StoreError::Overlaps { rollout, .. }) if rollout == id);
        assert!(is_refused, "{beside:?}");
        end(store, id, 1).await;
    }
}

/// Of two who want the same controllers at once, one for a roll-back and one for something new, one is refused,
/// through whichever connection they come.
pub(crate) async fn one_of_a_kind_in_a_race(one: &dyn ConfigStore, other: &dyn ConfigStore) {
    let source = "# raced back\n";
    put_script(one, source).await;
    let begin = async |store: &dyn ConfigStore| {
        let (_, first) = new_rollout(source, &[3_000], NOW);
        store.create_rollout(about("raced back"), first).await
    };
    for round in 1..=20 {
        let old = begin(one).await.unwrap();
        let mut machine = take(one, old, round).await;
        machine.control(Control::Abort, NOW).unwrap();
        machine.poll(NOW);
        save(one, old, &mut machine).await;
        let wish = one.add_wish(old, Control::RollBack, title("bo"), Time(NOW));
        let (wished, begun) = tokio::join!(wish, begin(other));
        match (wished, begun) {
            (Ok(_), Err(StoreError::Overlaps { rollout, .. })) => assert_eq!(rollout, old),
            (Err(StoreError::Overlaps { rollout, .. }), Ok(new)) => {
                assert_eq!(rollout, new);
                end(one, new, round).await;
            }
            both => panic!("{both:?}"),
        }
        assert!(one.remove_rollout(old).await.unwrap());
    }
}
