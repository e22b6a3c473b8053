//! What every status store keeps to, whichever lies underneath: written over the trait, and run against each
//! implementation here.

use crate::support::{PATIENCE, soon, until};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    history::Series,
    store::{
        Fault, Faults, Guarded, Keep, Lease, MemoryStatusStore, NodeId, RedisSettings,
        RedisStatusStore, Sample, StatusStore, StoreError, StoredStatus, TimeLimit,
    },
};
use switchyard_protocol::{
    Address,
    message::{Name, PointType, Time},
};
use switchyard_testkit::services::Redis;

const ONE: NodeId = NodeId([0x11; 16]);
const OTHER: NodeId = NodeId([0x02; 16]);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

/// A Redis that a test has started, and the store in it.
pub(crate) fn redis_store(redis: &Redis, prefix: &str) -> RedisStatusStore {
    RedisStatusStore::new(&redis_settings(redis, prefix), 64).unwrap()
}

pub(crate) fn redis_settings(redis: &Redis, prefix: &str) -> RedisSettings {
    RedisSettings {
        url: redis.url().into(),
        prefix: prefix.into(),
    }
}

fn status(order: u64, online: bool, frame: &'static str) -> StoredStatus {
    StoredStatus {
        order,
        online,
        since: Time(order + 1_000),
        frame: Bytes::from_static(frame.as_bytes()),
    }
}

async fn statuses(store: &dyn StatusStore) {
    let (pump, fan, lamp) = (Address(7), Address(9), Address(0x7FFF_FFFF));
    let put = async |controller, status| {
        let outcome = store.put_statuses(vec![(controller, status)]).await;
        outcome.unwrap()
    };
    let read = async |controller| store.status(controller).await.unwrap();
    assert_eq!(read(pump).await, None);
    assert_eq!(store.put_statuses(Vec::new()).await.unwrap(), []);

    // A later order replaces an earlier one; an equal one is a repetition; an earlier one is told of.
    assert_eq!(put(pump, status(20, false, "second")).await, []);
    assert_eq!(put(pump, status(20, true, "again")).await, []);
    assert_eq!(put(pump, status(10, true, "first")).await, [(pump, 20)]);
    assert_eq!(read(pump).await, Some(status(20, false, "second")));
    // Microseconds since 1970 are orders too, and told exactly.
    let (order, later) = (1_900_000_000_000_001, 1_900_000_000_000_002);
    put(pump, status(later, false, "third")).await;
    assert_eq!(
        put(pump, status(order, false, "late")).await,
        [(pump, later)]
    );
    // Who tells of presence alone leaves the status there is.
    put(pump, status(later + 1, false, "")).await;
    let expected = StoredStatus {
        frame: Bytes::from_static(b"third"),
        ..status(later + 1, false, "")
    };
    assert_eq!(read(pump).await, Some(expected.clone()));
    // Any bytes, of any size that a frame can have.
    let frame: Vec<u8> = (0..65_000u32).map(|it| it as u8).collect();
    let large = StoredStatus {
        frame: frame.into(),
        ..status(3, false, "")
    };
    put(lamp, large.clone()).await;
    assert_eq!(read(lamp).await, Some(large.clone()));

    // Many at once, some of them outranked; read in pages, by number and not by name.
    let many: Vec<_> = (100..1_100)
        .map(|number| (Address(number), status(5, false, "one of many")))
        .collect();
    assert_eq!(store.put_statuses(many.clone()).await.unwrap(), []);
    let mixed = vec![
        (Address(100), status(4, false, "")),
        (Address(101), status(6, false, "")),
        (Address(102), status(4, false, "")),
    ];
    let outranked = store.put_statuses(mixed).await.unwrap();
    assert_eq!(outranked, [(Address(100), 5), (Address(102), 5)]);
    put(fan, status(1, false, "fan")).await;
    let mut read_all = Vec::new();
    let mut after = Address::GATEWAY;
    loop {
        let page = store.statuses(after, 300).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 300);
        after = *last;
        read_all.extend(page);
    }
    assert_eq!(read_all.len(), 1_003);
    assert_eq!(read_all[0], (pump, expected));
    assert_eq!(read_all[1], (fan, status(1, false, "fan")));
    assert_eq!(read_all[4], many[2]);
    assert_eq!(read_all[1_002], (lamp, large));
    assert!(read_all.is_sorted_by_key(|(controller, _)| *controller));

    let forgotten = vec![pump, Address(500), Address(77_777)];
    for _ in 0..2 {
        store.forget_controllers(forgotten.clone()).await.unwrap();
    }
    assert_eq!(read(pump).await, None);
    // Forgotten for good: it may come again with any order.
    assert_eq!(put(pump, status(1, false, "anew")).await, []);
    assert_eq!(read(pump).await, Some(status(1, false, "anew")));
    store
        .forget_controllers((0..1_100).map(Address).chain([lamp]).collect())
        .await
        .unwrap();
    assert_eq!(store.statuses(Address::GATEWAY, 10).await.unwrap(), []);
}

/// Of many writers at once, the highest order stays, whoever came when.
async fn contention(store: &Arc<dyn StatusStore>) {
    let pump = Address(7);
    let writers: Vec<_> = (0..8u64)
        .map(|writer| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                for round in 0..25 {
                    let order = round * 8 + (writer * 5 + round) % 8 + 1;
                    let status = StoredStatus {
                        since: Time(order),
                        frame: Bytes::from(order.to_string()),
                        ..status(order, false, "")
                    };
                    store.put_statuses(vec![(pump, status)]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let kept = store.status(pump).await.unwrap().unwrap();
    assert_eq!((kept.order, kept.since), (200, Time(200)));
    assert_eq!(kept.frame, "200");
    store.forget_controllers(vec![pump]).await.unwrap();
}

async fn leases(store: &dyn StatusStore) {
    let (pump, fan) = (Address(7), Address(9));
    let hold = async |node, sessions: &[(Address, u64)], term| {
        let refused = store.hold(node, sessions.to_vec(), term).await;
        refused.unwrap()
    };
    let holder = async |controller| store.holders(vec![controller]).await.unwrap()[0];
    let release = async |node, controllers: &[Address]| {
        let others = store.release(node, controllers.to_vec()).await;
        others.unwrap()
    };
    let lease = |node, session| Lease { node, session };
    assert_eq!(hold(ONE, &[], LONG).await, []);
    assert_eq!(store.holders(Vec::new()).await.unwrap(), []);
    assert_eq!(holder(pump).await, None);

    // Held, held for longer, and fenced by a later session, whoever's it is.
    assert_eq!(hold(ONE, &[(pump, 5), (fan, 5)], LONG).await, []);
    assert_eq!(hold(ONE, &[(pump, 5)], LONG).await, []);
    assert_eq!(hold(OTHER, &[(pump, 6)], LONG).await, []);
    let refused = hold(ONE, &[(pump, 5), (fan, 5)], LONG).await;
    assert_eq!(refused, [(pump, lease(OTHER, 6))]);
    // An equal session is whose it was; an older one of the same node is older.
    let refused = hold(ONE, &[(pump, 6)], LONG).await;
    assert_eq!(refused, [(pump, lease(OTHER, 6))]);
    let refused = hold(OTHER, &[(pump, 5)], LONG).await;
    assert_eq!(refused, [(pump, lease(OTHER, 6))]);
    let holders = store.holders(vec![fan, Address(8), pump]).await.unwrap();
    let expected = [Some(lease(ONE, 5)), None, Some(lease(OTHER, 6))];
    assert_eq!(holders, expected);

    // One is there while somebody holds it, however often that is said.
    let read = async || store.status(pump).await.unwrap().unwrap();
    store
        .put_statuses(vec![(pump, status(1, true, "pump"))])
        .await
        .unwrap();
    assert_eq!(read().await, status(1, true, "pump"));
    assert_eq!(release(ONE, &[pump, fan]).await, [(pump, lease(OTHER, 6))]);
    assert_eq!(
        (holder(fan).await, read().await.online),
        (None, true),
        "one's own is let go, another's stays"
    );
    assert_eq!(release(OTHER, &[pump, fan, Address(8)]).await, []);
    let lapsed = StoredStatus {
        online: false,
        since: Time(0),
        ..status(1, true, "pump")
    };
    assert_eq!(read().await, lapsed);

    // A lease ends by itself, and then an older session may have it.
    assert_eq!(
        hold(OTHER, &[(pump, 9)], Duration::from_millis(50)).await,
        []
    );
    until("a lease to end", async || {
        holder(pump).await.is_none().then_some(())
    })
    .await;
    assert_eq!(read().await, lapsed);
    assert_eq!(hold(ONE, &[(pump, 2)], LONG).await, []);
    assert_eq!(holder(pump).await, Some(lease(ONE, 2)));
    assert!(read().await.online);
    assert!(
        store.statuses(Address::GATEWAY, 9).await.unwrap()[0]
            .1
            .online
    );

    // More than go into one call of anything.
    let many: Vec<_> = (100..1_400).map(|number| (Address(number), 3)).collect();
    assert_eq!(hold(ONE, &many, LONG).await, []);
    let taken: Vec<_> = many.iter().map(|(it, _)| (*it, 4)).step_by(100).collect();
    assert_eq!(hold(OTHER, &taken, LONG).await, []);
    let fenced = hold(ONE, &many, LONG).await;
    let expected: Vec<_> = taken.iter().map(|(it, _)| (*it, lease(OTHER, 4))).collect();
    assert_eq!(fenced, expected);
    let all: Vec<_> = many.iter().map(|(controller, _)| *controller).collect();
    assert_eq!(release(ONE, &all).await, expected);

    let gone = (0..1_400).map(Address).collect();
    store.forget_controllers(gone).await.unwrap();
    assert_eq!(
        (holder(pump).await, holder(Address(100)).await),
        (None, None)
    );
}

/// A sample of one value of this controller's point, or (with `None`) that nobody knows it any more.
fn sample(controller: Address, point: &str, at: u64, value: Option<i64>) -> Sample {
    Sample {
        series: Arc::new(Series {
            controller,
            point: Name::new(point).unwrap(),
            point_type: PointType::AnalogueInput,
        }),
        at: Time(at),
        min: value.unwrap_or(0),
        max: value.unwrap_or(0),
        last: value.unwrap_or(0),
        values: u32::from(value.is_some()),
        is_known: value.is_some(),
    }
}

async fn samples(store: &dyn StatusStore) {
    let pump = Address(7);
    let of = |point: &str, at, value| sample(pump, point, at, Some(value));
    let keep = |count_max, age_ms| Keep {
        count_max,
        age_max: Duration::from_millis(age_ms),
    };
    let (long, read) = (keep(1_000, 3_600_000), async |point, since, limit| {
        let point = Name::new(point).unwrap();
        let found = store.samples(pump, point, Time(since), limit).await;
        found.unwrap()
    });
    assert_eq!(read("level", 0, 10).await, []);
    store.append_samples(Vec::new(), long).await.unwrap();

    // Two points, one of them twice; any value that a point can have, and one that nobody knows.
    let first = [
        of("level", 1_000, 1),
        Sample {
            min: i64::MIN,
            max: i64::MAX,
            last: -5,
            values: u32::MAX,
            is_known: false,
            ..of("door", 1_000, 0)
        },
        of("level", 1_001, 0),
        sample(pump, "level", 1_005, None),
    ];
    store.append_samples(first.to_vec(), long).await.unwrap();
    let of_level = [first[0].clone(), first[2].clone(), first[3].clone()];
    assert_eq!(read("level", 0, 10).await, of_level);
    assert_eq!(read("door", 0, 10).await, [first[1].clone()]);
    assert_eq!(read("level", 1_001, 10).await, of_level[1..]);
    assert_eq!(read("level", 1_000, 2).await, of_level[..2]);
    assert_eq!(read("level", 1_006, 10).await, []);
    assert_eq!(read("lev", 0, 10).await, []);
    let level = Name::new("level").unwrap();
    let other = store.samples(Address(8), level, Time(0), 10).await;
    assert_eq!(other.unwrap(), []);

    // A batch that is repeated, in part with news: what is known, or comes too late, is left out. So is what comes at
    // the same moment.
    let later = of("level", 1_006, 6);
    let second = vec![
        of_level[1].clone(),
        of_level[2].clone(),
        of("level", 1_004, 5),
        later.clone(),
        of("level", 1_006, 7),
    ];
    store.append_samples(second, long).await.unwrap();
    let [one, two, three] = of_level;
    assert_eq!(read("level", 0, 10).await, [one, two, three, later]);

    // What a name was before is kept under it too.
    let digital = Sample {
        series: Arc::new(Series {
            controller: pump,
            point: Name::new("door").unwrap(),
            point_type: PointType::DigitalInput,
        }),
        ..of("door", 1_010, 1)
    };
    let news = vec![digital.clone()];
    store.append_samples(news, long).await.unwrap();
    assert_eq!(read("door", 0, 10).await, [first[1].clone(), digital]);

    // No more than so many, and none that is too old beside the latest.
    let more: Vec<_> = (0..20).map(|it| of("level", 2_000 + it, 7)).collect();
    store
        .append_samples(more.clone(), keep(8, 3_600_000))
        .await
        .unwrap();
    assert_eq!(read("level", 0, 100).await, more[12..]);
    let latest = of("level", 2_025, 8);
    store
        .append_samples(vec![latest.clone()], keep(8, 8))
        .await
        .unwrap();
    let mut kept = more[17..].to_vec();
    kept.push(latest);
    assert_eq!(read("level", 0, 100).await, kept);

    // Of each controller by itself, and more points than one script has.
    let many = (0..100).map(|it| sample(Address(9), &format!("p{it}"), 3_000, Some(it)));
    store.append_samples(many.collect(), long).await.unwrap();
    store.forget_controllers(vec![pump]).await.unwrap();
    assert_eq!(read("level", 0, 9).await, []);
    assert_eq!(read("door", 0, 9).await, []);
    let last = async || {
        let point = Name::new("p99").unwrap();
        let found = store.samples(Address(9), point, Time(0), 9).await.unwrap();
        found.first().map(|it| it.last)
    };
    assert_eq!(last().await, Some(99));
    store.forget_controllers(vec![Address(9)]).await.unwrap();
    assert_eq!(last().await, None);
}

async fn alarm_standing(store: &dyn StatusStore) {
    assert_eq!(store.alarm_standing().await.unwrap(), None);
    for told in [&b"one"[..], b"other"] {
        let told = Bytes::from_static(told);
        store.put_alarm_standing(told.clone(), LONG).await.unwrap();
        assert_eq!(store.alarm_standing().await.unwrap(), Some(told));
    }
    let soon_over = Duration::from_millis(1);
    let told = Bytes::from_static(b"last");
    store.put_alarm_standing(told, soon_over).await.unwrap();
    until("it to be over", async || {
        let told = store.alarm_standing().await.unwrap();
        told.is_none().then_some(())
    })
    .await;
}

async fn contract(store: Arc<dyn StatusStore>) {
    let generation = store.generation().await.unwrap();
    statuses(&*store).await;
    contention(&store).await;
    leases(&*store).await;
    samples(&*store).await;
    alarm_standing(&*store).await;
    assert_eq!(store.generation().await.unwrap(), generation);
}

/// A store that fails says so, one that hangs is given up in time, and either is itself again after.
async fn faults_contract(store: impl StatusStore) {
    let faults = Arc::new(Faults::default());
    let limit = TimeLimit(Duration::from_secs(1));
    let store = Guarded::new(Guarded::new(store, Arc::clone(&faults)), limit);
    let pump = Address(7);
    let put = async |order| {
        let statuses = vec![(pump, status(order, false, "pump"))];
        store.put_statuses(statuses).await
    };
    put(1).await.unwrap();
    faults.set(Some(Fault::Fail));
    assert!(matches!(put(2).await, Err(StoreError::Gone(_))));
    faults.set(Some(Fault::Hang));
    let hung = store.generation().await;
    assert!(matches!(
        hung,
        Err(StoreError::TimedOut {
            call: "generation",
            ..
        })
    ));
    faults.set(Some(Fault::FailAfter));
    assert!(put(3).await.is_err());
    assert!(store.hold(ONE, vec![(pump, 4)], LONG).await.is_err());
    faults.set(None);
    // The calls that only seemed to fail were done, and repeating them does no harm.
    assert_eq!(put(3).await.unwrap(), []);
    assert_eq!(put(2).await.unwrap(), [(pump, 3)]);
    let held = store.hold(ONE, vec![(pump, 4)], LONG).await.unwrap();
    assert_eq!(held, []);
    store.forget_controllers(vec![pump]).await.unwrap();
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    contract(Arc::new(MemoryStatusStore::default())).await;
    faults_contract(MemoryStatusStore::default()).await;
}

#[tokio::test]
async fn the_memory_store_behind_guards_keeps_the_contract() {
    let faults = Arc::new(Faults::default());
    let store = Guarded::new(MemoryStatusStore::default(), faults);
    contract(Arc::new(Guarded::new(store, TimeLimit(PATIENCE)))).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let redis = Redis::start().unwrap();
    contract(Arc::new(redis_store(&redis, "switchyard:"))).await;
    faults_contract(redis_store(&redis, "switchyard:")).await;
    // Nothing is left but what says so in the table of keys.
    assert_eq!(redis.say(&["KEYS", "*"]).unwrap(), "switchyard:marker");
}

#[tokio::test]
async fn yards_in_one_redis_know_nothing_of_each_other() {
    let redis = Redis::start().unwrap();
    let (one, other) = (redis_store(&redis, "north:"), redis_store(&redis, "south:"));
    let pump = Address(7);
    let kept = vec![(pump, status(9, true, "north"))];
    one.put_statuses(kept.clone()).await.unwrap();
    one.hold(ONE, vec![(pump, 9)], LONG).await.unwrap();
    assert_eq!(other.status(pump).await.unwrap(), None);
    assert_eq!(other.holders(vec![pump]).await.unwrap(), [None]);
    contract(Arc::new(other)).await;
    assert_eq!(one.statuses(Address::GATEWAY, 9).await.unwrap(), kept);
}

#[tokio::test]
async fn what_ends_in_redis_ends_by_itself() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "");
    let at = |time| sample(Address(7), "level", time, Some(1));
    let keep = |age_max| Keep {
        count_max: 8,
        age_max,
    };
    store.append_samples(vec![at(5)], keep(LONG)).await.unwrap();
    store.hold(ONE, vec![(Address(7), 1)], LONG).await.unwrap();
    for key in ["samples:7:level", "points:7", "lease:7"] {
        let left: u64 = redis.say(&["PTTL", key]).unwrap().parse().unwrap();
        // The names outlive what they are of.
        let longest = if key == "points:7" {
            7_200_000
        } else {
            3_600_000
        };
        assert!((1..=longest).contains(&left), "{key}: {left}");
    }
    // A point that falls silent takes its stream with it, and the last one of a controller their names.
    store.forget_controllers(vec![Address(7)]).await.unwrap();
    let short = keep(Duration::from_millis(40));
    store.append_samples(vec![at(6)], short).await.unwrap();
    until("the stream to end", async || {
        let keys = redis.say(&["KEYS", "[sp]*:7*"]).unwrap();
        keys.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn names_of_points_that_have_gone_go_too() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "y:");
    let keep = |age_ms| Keep {
        count_max: 8,
        age_max: Duration::from_millis(age_ms),
    };
    let points = |points: std::ops::Range<u32>| {
        let samples = points.map(|it| sample(Address(7), &format!("p{it}"), 5, Some(1)));
        samples.collect()
    };
    store.append_samples(points(0..64), keep(1)).await.unwrap();
    until("the streams to end", async || {
        redis
            .say(&["KEYS", "y:samples:*"])
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    store
        .append_samples(points(64..74), keep(3_600_000))
        .await
        .unwrap();
    let names: u32 = redis
        .say(&["SCARD", "y:points:7"])
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=64).contains(&names), "{names}");
}

#[tokio::test]
async fn redis_moves_its_generation_when_content_may_be_lost() {
    let mut redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let generation =
        async || until("Redis to answer", async || store.generation().await.ok()).await;
    let first = generation().await;
    let other_gateway = redis_store(&redis, "switchyard:").generation().await;
    assert_eq!(other_gateway.unwrap(), first);
    redis.say(&["FLUSHALL"]).unwrap();
    let second = generation().await;
    assert_ne!(second, first);
    assert_eq!(generation().await, second);
    redis.stop().unwrap();
    redis.start_again().unwrap();
    // With the same marker, as where it had been read from a file that is older than the latest.
    let marker = "12345";
    redis.say(&["SET", "switchyard:marker", marker]).unwrap();
    let third = generation().await;
    redis.stop().unwrap();
    redis.start_again().unwrap();
    redis.say(&["SET", "switchyard:marker", marker]).unwrap();
    assert_ne!(generation().await, third);
}

#[tokio::test]
async fn redis_is_found_again_after_whatever_happened_to_it() {
    let mut redis = Redis::start().unwrap();
    let limit = TimeLimit(Duration::from_millis(500));
    let store = Guarded::new(redis_store(&redis, "switchyard:"), limit);
    let pump = Address(7);
    let mut order = 0;
    let mut put = async || {
        order += 1;
        let statuses = vec![(pump, status(order, false, "pump"))];
        store.put_statuses(statuses).await
    };
    put().await.unwrap();

    redis.stop().unwrap();
    assert!(put().await.is_err());
    redis.start_again().unwrap();
    until("Redis after a stop", async || put().await.ok()).await;

    redis.freeze().unwrap();
    assert!(matches!(put().await, Err(StoreError::TimedOut { .. })));
    // From now on it is dialled, not asked, and in between nothing is tried.
    until("a pause between tries", async || {
        matches!(put().await, Err(StoreError::Gone(_))).then_some(())
    })
    .await;
    redis.thaw().unwrap();
    until("Redis after a hang", async || put().await.ok()).await;

    redis.fill().unwrap();
    let full = put().await.unwrap_err();
    let why = std::error::Error::source(&full).map(ToString::to_string);
    assert!(why.is_some_and(|why| why.contains("OOM")), "{full:?}");
    store
        .status(pump)
        .await
        .unwrap()
        .expect("to be read all the same");
    redis.unfill().unwrap();
    put().await.expect("the same connection to work again");

    // Scripts are forgotten, connections cut: one call may fail, and then all is as it was.
    for command in [
        &["SCRIPT", "FLUSH"][..],
        &["CLIENT", "KILL", "TYPE", "normal"],
    ] {
        redis.say(command).unwrap();
        until("Redis after that", async || put().await.ok()).await;
    }
    until("reading after that", async || store.status(pump).await.ok()).await;
}

#[tokio::test]
async fn calls_that_wait_for_redis_are_bounded() {
    let mut redis = Redis::start().unwrap();
    let store = Arc::new(redis_store(&redis, "switchyard:"));
    store.generation().await.unwrap();
    redis.freeze().unwrap();
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.generation().await })
        })
        .collect();
    // All of them have their turn within a few of this one's.
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    let further = soon("a refusal", store.generation()).await;
    assert!(matches!(further, Err(StoreError::Busy)));
    // Reading has a connection of its own, and waits for none of these.
    let reading = tokio::time::timeout(Duration::from_millis(1), store.status(Address(7)));
    assert!(!matches!(reading.await, Ok(Err(StoreError::Busy))));
    redis.thaw().unwrap();
    for call in calls {
        soon("the calls that waited", call).await.unwrap().unwrap();
    }
}
