//! The contract over each database, what it must survive, and the way from one to the other.

use crate::{
    contract::{command, config_contract, faults_contract, new_controller},
    fleet_contract::{about, new_rollout},
    library_contract::script,
    one_of_a_kind::one_of_a_kind_in_a_race,
    support::{now, open_sqlite, title, until},
};
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    config::Secret,
    store::{Account, ConfigStore, Database, DumpError, Sealer, SqlConfigStore, StoreError},
};
use switchyard_protocol::{Address, Role, message::Time};
use switchyard_relay::{Rights, StoreRequest};
use switchyard_testkit::services::MariaDb;

/// Several callers at once never get the same number, nor a chore that another has.
async fn races(stores: &[Arc<SqlConfigStore>]) {
    let mut tasks = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut got = (Vec::new(), Vec::new(), Vec::new());
            let (mut versions, mut rollouts) = (Vec::new(), 0);
            for round in 0..20_u64 {
                let wanted = vec![new_controller("racer", 1), new_controller("racer", 2)];
                got.0
                    .extend(store.enrol(wanted, 1_000, now()).await.unwrap());
                got.1.push(store.lease_block(8).await.unwrap());
                let holder = [number as u8 + 1; 16];
                let name = title(&format!("chore {round}"));
                let ttl = Duration::from_secs(60);
                let lease = store.acquire_lease(name, holder, ttl, Time(round + 1));
                got.2.extend(lease.await.unwrap().map(|_| round));
                let source = format!("# {number} {round}\n");
                let added = store.add_script(script("raced", &source), now()).await;
                versions.push(added.unwrap().number);
                let (_, first) = new_rollout(&source, &[1_000 + number as u32, 2_000], now().0);
                match store.create_rollout(about("raced"), first).await {
                    Ok(_) => rollouts += 1,
                    Err(StoreError::Overlaps { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (got, versions, rollouts)
        }));
    }
    let (mut addresses, mut blocks, mut chores) = (Vec::new(), Vec::new(), Vec::new());
    let (mut versions, mut rollouts) = (Vec::new(), 0);
    for task in tasks {
        let (got, added, begun) = task.await.unwrap();
        versions.extend(added);
        rollouts += begun;
        addresses.extend(got.0);
        blocks.extend(got.1);
        chores.extend(got.2);
    }
    fn distinct<T: Ord>(mut all: Vec<T>) -> usize {
        all.sort();
        all.dedup();
        all.len()
    }
    assert_eq!(distinct(addresses), stores.len() * 40);
    assert_eq!(distinct(blocks), stores.len() * 20);
    assert_eq!(distinct(versions), stores.len() * 20);
    assert_eq!(rollouts, 1, "at one controller");
    chores.sort_unstable();
    assert_eq!(chores, (0..20).collect::<Vec<_>>(), "one owner each");
}

/// Two admins who take each other's place away at once: one of them stays.
async fn admins_race(one: &Arc<SqlConfigStore>, other: &Arc<SqlConfigStore>) {
    let (li, bo) = (title("race li"), title("race bo"));
    let admin = Rights::everywhere(Role::Admin);
    for name in [&li, &bo] {
        let account = Account {
            name: name.clone(),
            rights: admin.clone(),
            password_hash: String::new(),
            totp: None,
            created: now(),
        };
        one.add_account(account).await.unwrap();
    }
    let viewer = Rights::everywhere(Role::Viewer);
    for round in 0..20 {
        let removing = {
            let (store, name) = (Arc::clone(one), li.clone());
            let rights = viewer.clone();
            tokio::spawn(async move {
                match round % 2 {
                    0 => store.set_rights_but_of_last_admin(name, rights).await,
                    _ => store.remove_account_but_last_admin(name).await,
                }
            })
        };
        let demoting = {
            let (store, name, rights) = (Arc::clone(other), bo.clone(), viewer.clone());
            tokio::spawn(async move { store.set_rights_but_of_last_admin(name, rights).await })
        };
        let outcomes = [removing.await.unwrap(), demoting.await.unwrap()];
        let done = outcomes.iter().filter(|it| matches!(it, Ok(true)));
        assert_eq!(done.count(), 1, "{outcomes:?}");
        let last = outcomes
            .iter()
            .filter(|it| matches!(it, Err(StoreError::LastAdmin(_))));
        assert_eq!(last.count(), 1, "{outcomes:?}");
        // As it was, for the next time.
        if one.account(li.clone()).await.unwrap().is_none() {
            let account = one.account(bo.clone()).await.unwrap().unwrap();
            let account = Account {
                name: li.clone(),
                ..account
            };
            one.add_account(account).await.unwrap();
        }
        for name in [&li, &bo] {
            assert!(one.set_rights(name.clone(), admin.clone()).await.unwrap());
        }
    }
    // Who is not the last may go; the last one may become what it is; nobody is nobody.
    assert!(one.remove_account_but_last_admin(bo.clone()).await.unwrap());
    assert!(!one.remove_account_but_last_admin(bo.clone()).await.unwrap());
    let same = one.set_rights_but_of_last_admin(li.clone(), admin);
    assert!(same.await.unwrap());
    let refused = one.remove_account_but_last_admin(li.clone()).await;
    assert!(matches!(refused, Err(StoreError::LastAdmin(name)) if name == "race li"));
    // Whoever may do all does that too.
    assert!(one.remove_account(li).await.unwrap());
}

const PATIENT: Duration = Duration::from_secs(20);

fn sealer() -> Sealer {
    Sealer::new(&[7; 32])
}

async fn open(database: &Database) -> SqlConfigStore {
    let opened = SqlConfigStore::open(database, sealer(), 1_024, PATIENT).await;
    opened.unwrap()
}

/// All that a database holds, as text, and its digest.
async fn export(database: &Database) -> (Vec<u8>, [u8; 32]) {
    let mut dump = Vec::new();
    let summary = SqlConfigStore::export(database, PATIENT, &mut dump).await;
    (dump, summary.unwrap().digest)
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let store = open_sqlite(&path).await;
    config_contract(&store).await;
    faults_contract(store).await;
    // No key of a controller lies in the file as it is.
    let file = std::fs::read(&path).unwrap();
    assert!(!file.windows(32).any(|part| part == [0xC9; 32]));
}

#[tokio::test]
async fn sqlite_survives_and_is_shared_between_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let one = open_sqlite(&path).await;
    one.write_command(StoreRequest::Queue(command(1, 1)))
        .await
        .unwrap();
    let leased = one.lease_block(64).await.unwrap();
    let other = open_sqlite(&path).await;
    assert_eq!(other.stored_commands().await.unwrap().len(), 1);
    assert!(other.lease_block(64).await.unwrap().0 >= leased.0 + 64);
    one_of_a_kind_in_a_race(&one, &other).await;
    let (one, other) = (Arc::new(one), Arc::new(other));
    admins_race(&one, &other).await;
    races(&[one, other]).await;
}

#[tokio::test]
async fn alarms_that_cannot_be_read_hide_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let store = open_sqlite(&path).await;
    let database = rusqlite::Connection::open(&path).unwrap();
    let execute = |sql: &str| database.execute_batch(sql).unwrap();
    crate::alarms_contract::rows_of_others(&store, execute).await;
}

#[tokio::test]
async fn another_master_key_is_noticed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    drop(open_sqlite(&path).await);
    let database = Database::Sqlite(path);
    let other = SqlConfigStore::open(&database, Sealer::new(&[8; 32]), 8, PATIENT).await;
    assert!(matches!(other, Err(StoreError::Sealed)));
}

/// MariaDB takes seconds to start, so one server does for all of it.
#[tokio::test(flavor = "multi_thread")]
async fn mariadb_keeps_the_contract_and_changes_places_with_sqlite() {
    let mut server = tokio::task::spawn_blocking(MariaDb::start)
        .await
        .unwrap()
        .unwrap();
    let database = |number| Database::MySql(Secret(server.url(number)));
    let store = open(&database(0)).await;
    config_contract(&store).await;
    faults_contract(store).await;

    let (one, other) = (open(&database(1)).await, open(&database(1)).await);
    one_of_a_kind_in_a_race(&one, &other).await;
    let (one, other) = (Arc::new(one), Arc::new(other));
    admins_race(&one, &other).await;
    races(&[one, other]).await;

    // To SQLite and back, nothing is lost; a place that is taken is refused.
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Database::Sqlite(folder.path().join("moved.db"));
    let (dump, digest) = export(&database(0)).await;
    let import = async |database: &Database, mut dump: &[u8]| {
        SqlConfigStore::import(database, &sealer(), PATIENT, &mut dump).await
    };
    import(&sqlite, &dump).await.unwrap();
    let (moved, moved_digest) = export(&sqlite).await;
    assert_eq!(moved_digest, digest);
    import(&database(2), &moved).await.unwrap();
    assert_eq!(export(&database(2)).await.1, digest);
    assert!(matches!(
        import(&sqlite, &dump).await,
        Err(DumpError::NotEmpty(_))
    ));
    // History goes along, unless it is left out.
    let text = String::from_utf8(dump.clone()).unwrap();
    assert!(text.contains("history_minute"));
    for database in [&database(0), &sqlite] {
        let mut less = Vec::new();
        let summary = SqlConfigStore::export_without_history(database, PATIENT, &mut less).await;
        let summary = summary.unwrap();
        assert!(!less.windows(14).any(|part| part == b"history_minute"));
        let folder = tempfile::tempdir().unwrap();
        let without = Database::Sqlite(folder.path().join("without.db"));
        import(&without, &less).await.unwrap();
        let store = open(&without).await;
        let points = store.recorded_points(Address(0x7FFF_FFF0)).await;
        assert!(points.unwrap().is_empty());
        assert!(summary.rows > 10);
    }
    let taken = import(&database(2), &dump).await;
    assert!(matches!(taken, Err(DumpError::NotEmpty(_))));
    // Half of a dump leaves nothing behind, whoever takes it.
    for half in [Database::Sqlite(folder.path().join("half.db")), database(3)] {
        let refused = import(&half, &dump[..dump.len() / 2]).await;
        assert!(matches!(refused, Err(DumpError::Damaged)), "{refused:?}");
        import(&half, &dump).await.unwrap();
        assert_eq!(export(&half).await.1, digest);
    }

    // A server that is stopped, hangs, or is killed is noticed in time, and is found again by itself.
    let limit = Duration::from_secs(2);
    let store = SqlConfigStore::open(&database(0), sealer(), 1_024, limit).await;
    let store = store.unwrap();
    let write = async || {
        let queue = StoreRequest::Queue(command(90, 90));
        store.write_command(queue).await?;
        store.accounts().await.map(drop)
    };
    write().await.unwrap();
    server.freeze().unwrap();
    assert!(write().await.is_err());
    server.thaw().unwrap();
    until("a server that goes on", async || write().await.ok()).await;
    for kill in [false, true] {
        if kill {
            server.kill().unwrap();
        } else {
            server.stop().unwrap();
        }
        assert!(write().await.is_err());
        server.start_again().unwrap();
        until("a server that is back", async || write().await.ok()).await;
    }
}
