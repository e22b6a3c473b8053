//! A gateway and its status store: what is brought there, what is known after a restart, and that nobody who is there
//! notices when Redis is stopped, hung, slow, emptied or full.

use crate::{
    status_contract::{redis_settings, redis_store},
    support::{Controller, Enrolled, Gateway, Tool, now, soon, title, until},
};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use switchyard_gateway::store::{ControllerKey, NewController, NodeId, StatusStore, StoredStatus};
use switchyard_protocol::{
    Address, Frame, FrameRef, Kind, limits,
    message::{Event, Full, Request, Stage, Time},
};
use switchyard_testkit::services::Redis;

/// Exchanges that go over the yard while something is the matter with Redis.
const EXCHANGES: i64 = 20;

/// How long the gateway waits for Redis.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long peers may take for what needs no store: much on a busy machine, and less than the store is given.
const EXCHANGE_TIME_MAX: Duration = Duration::from_millis(2_500);

/// A gateway on this Redis.
async fn gateway_on(redis: &Redis) -> Gateway {
    let redis = redis_settings(redis, "switchyard:");
    Gateway::start_with(|settings| {
        settings.redis = Some(redis);
        settings.store_timeout = STORE_TIMEOUT;
    })
    .await
}

/// The value of a stored status's one point.
fn value_of(status: &StoredStatus) -> Option<i64> {
    let (frame, rest) = FrameRef::split(&status.frame, limits::PAYLOAD_BYTES_MAX).ok()??;
    assert_eq!((frame.header().kind, rest.len()), (Kind::StatusFull, 0));
    Some(Full::decode(frame.payload()).unwrap().points[0].value)
}

async fn stored(store: &dyn StatusStore, controller: Address) -> Option<StoredStatus> {
    store.status(controller).await.ok()?
}

/// Waits until the store says that of a controller.
async fn stored_as(store: &dyn StatusStore, who: Enrolled, online: bool, value: i64) {
    until("a status in the store", async || {
        let status = stored(store, who.address).await?;
        (status.online == online && value_of(&status) == Some(value)).then_some(())
    })
    .await;
}

/// A pump that is there, and an operator who takes its status.
struct Peers {
    who: Enrolled,
    pump: Controller,
    operator: Tool,
    value: i64,
}

impl Peers {
    async fn enter(gateway: &Gateway) -> Self {
        let who = gateway.enrol("Pump").await;
        let mut pump = Controller::online(gateway, who).await;
        pump.is_live().await;
        let mut operator = gateway.tool("operator").await;
        let controllers = Some(vec![who.address]);
        let subscribe = Request::Subscribe { controllers };
        operator.ask(Address::GATEWAY, &subscribe).await;
        Peers {
            who,
            pump,
            operator,
            value: 0,
        }
    }

    /// A new value from the pump to the operator.
    async fn tell(&mut self, value: i64) {
        self.value = value;
        let delta = self.pump.delta(value);
        self.pump.send(std::slice::from_ref(&delta)).await;
        let came = self.operator.receive_kind(Kind::StatusDelta).await;
        assert_eq!(came.bytes(), delta.bytes());
    }

    /// A new value from the pump to the operator, and a command with its receipt back: each in its order, and all of
    /// them sooner than any store gives up.
    async fn exchange(&mut self) {
        for _ in 0..EXCHANGES {
            let exchange = async {
                self.tell(1 - self.value).await;
                let key = self.operator.command(self.who.address, false).await;
                let command = self.pump.receive_kind(Kind::Command).await;
                let done = self.pump.receipt(&command, Stage::Executed, true);
                self.pump.send(&[done]).await;
                loop {
                    let receipt = self.operator.receipt().await;
                    assert_eq!(receipt.key, key);
                    if receipt.stage == Stage::Executed {
                        break;
                    }
                }
            };
            let in_time = tokio::time::timeout(EXCHANGE_TIME_MAX, exchange);
            in_time.await.expect("peers that wait for no store");
        }
    }
}

#[tokio::test]
async fn redis_holds_what_the_fleet_is_now() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    stored_as(&store, peers.who, true, 0).await;
    // A delta as well, not only what was told first.
    peers.tell(1).await;
    stored_as(&store, peers.who, true, 1).await;
    let lease = store.holders(vec![peers.who.address]).await.unwrap()[0];
    let lease = lease.expect("a lease");

    // Another session of it is a later one; its end is told too.
    let mut again = Controller::online(&gateway, peers.who).await;
    again.is_live().await;
    until("a later session", async || {
        let held = store.holders(vec![peers.who.address]).await.ok()?[0]?;
        (held.session > lease.session && held.node == lease.node).then_some(())
    })
    .await;
    drop((again, peers.pump));
    stored_as(&store, peers.who, false, 0).await;
    let away = stored(&store, peers.who.address).await.unwrap();
    assert_ne!(away.since, Time(0), "when it went is known");
    let holders = store.holders(vec![peers.who.address]).await.unwrap();
    assert_eq!(holders, [None]);
    assert_eq!(gateway.metric("gateway_status_store_up").await, 1);
    assert_eq!(
        gateway.metric("gateway_status_store_failures_total").await,
        0
    );
    assert!(gateway.metric("gateway_statuses_stored_total").await >= 3);
    until("nothing to wait", async || {
        (gateway.metric("statuses_waiting").await == 0).then_some(())
    })
    .await;
    gateway.stop().await;
}

/// What a tool gets to see of a controller that has not come.
async fn seen_of(gateway: &Gateway, who: Enrolled) -> (bool, Time, Option<i64>) {
    let mut tool = gateway.tool("viewer").await;
    let mut seen = (true, Time(0), None);
    for frame in tool.subscribe().await {
        learn(&frame, who, &mut seen);
    }
    seen
}

fn learn(frame: &Frame, who: Enrolled, seen: &mut (bool, Time, Option<i64>)) {
    match frame.header().kind {
        Kind::StatusFull if frame.header().source == who.address => {
            seen.2 = Some(Full::decode(frame.payload()).unwrap().points[0].value);
        }
        Kind::Event => {
            if let Ok(Event::Presence {
                controller,
                online,
                since,
                ..
            }) = Event::decode(frame.payload())
                && controller == who.address
            {
                (seen.0, seen.1) = (online, since);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn one_that_stays_away_has_its_values_after_a_restart() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    peers.tell(1).await;
    stored_as(&store, peers.who, true, 1).await;
    drop(peers.pump);
    stored_as(&store, peers.who, false, 1).await;
    let went = stored(&store, peers.who.address).await.unwrap().since;

    let gateway = gateway.restart().await;
    until("what was known", async || {
        let known = seen_of(&gateway, peers.who).await;
        (known == (false, went, Some(1))).then_some(())
    })
    .await;
    // When it comes it tells by itself, and that is what holds.
    let mut pump = Controller::online(&gateway, peers.who).await;
    pump.is_live().await;
    let (online, since, value) = seen_of(&gateway, peers.who).await;
    assert!(online && since > went && value == Some(0));
    stored_as(&store, peers.who, true, 0).await;

    // One that is there when the gateway goes has gone by that.
    let gateway = gateway.restart().await;
    until("what was known", async || {
        let (online, since, value) = seen_of(&gateway, peers.who).await;
        (!online && since > went && value == Some(0)).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_gateway_that_died_left_is_known_again() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let peers = Peers::enter(&gateway).await;
    stored_as(&store, peers.who, true, 0).await;
    let pump = peers.who.address;
    let there = stored(&store, pump).await.unwrap();
    drop(peers.pump);
    stored_as(&store, peers.who, false, 0).await;
    gateway.shut_down();
    // As it is where a gateway was killed: marked as there, by a session whose lease has yet to end, and by a clock
    // that was ahead.
    let ahead = Duration::from_secs(3_600).as_micros() as u64;
    let order = there.order + ahead;
    let left = StoredStatus { order, ..there };
    store.put_statuses(vec![(pump, left)]).await.unwrap();
    let (dead, session) = (NodeId([0xDD; 16]), there.since.0 + 3_600_000);
    let term = Duration::from_secs(3);
    let hold = store.hold(dead, vec![(pump, session)], term);
    assert_eq!(hold.await.unwrap(), []);

    let gateway = gateway.restart().await;
    until("what was known", async || {
        let known = seen_of(&gateway, peers.who).await;
        (known == (false, Time(0), Some(0))).then_some(())
    })
    .await;
    // It comes, and waits for no lease; the store follows when that has ended.
    let mut again = Controller::online(&gateway, peers.who).await;
    let delta = again.delta(1);
    again.send(&[delta]).await;
    again.is_live().await;
    stored_as(&store, peers.who, true, 1).await;
    let holder = store.holders(vec![pump]).await.unwrap()[0].unwrap();
    assert_ne!(holder.node, dead);
    gateway.stop().await;
}

#[tokio::test]
async fn what_redis_knew_is_told_also_when_it_comes_late() {
    let mut redis = Redis::start().unwrap();
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    let other = gateway.enrol("Fan").await;
    let mut fan = Controller::online(&gateway, other).await;
    fan.is_live().await;
    stored_as(&redis_store(&redis, "switchyard:"), other, true, 0).await;
    redis.freeze().unwrap();
    // It ends within its time all the same, and starts without waiting.
    let gateway = gateway.restart().await;
    let mut tool = gateway.tool("viewer").await;
    for frame in tool.subscribe().await {
        assert_ne!(frame.header().kind, Kind::StatusFull);
    }
    peers.pump = Controller::online(&gateway, peers.who).await;
    let came = tool.receive_kind(Kind::StatusFull).await;
    assert_eq!(came.header().source, peers.who.address);
    redis.thaw().unwrap();
    // The subscriber is told of the one that it had nothing of, and not once more of the one that is there.
    let came = tool.receive_kind(Kind::StatusFull).await;
    assert_eq!(came.header().source, other.address);
    gateway.stop().await;
}

/// What is done to Redis, and what makes it well again.
type Mischief = fn(&mut Redis);

/// Peers go on while something is the matter with Redis; the latest is there when it is well again, by itself.
async fn survives(harm: Mischief, mend: Mischief) {
    let mut redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    stored_as(&store, peers.who, true, 0).await;

    harm(&mut redis);
    peers.exchange().await;
    until("the failure to be seen", async || {
        (gateway.metric("gateway_status_store_up").await == 0).then_some(())
    })
    .await;
    // Somebody comes, and somebody goes: neither waits for the store, nor do those who are there.
    let other = gateway.enrol("Fan").await;
    let mut fan = Controller::online(&gateway, other).await;
    fan.is_live().await;
    peers.exchange().await;
    drop(fan);
    peers.exchange().await;
    peers.tell(1).await;
    assert!(gateway.metric("statuses_waiting").await >= 2);
    assert!(gateway.metric("gateway_status_store_failures_total").await >= 1);

    mend(&mut redis);
    stored_as(&store, peers.who, true, 1).await;
    stored_as(&store, other, false, 0).await;
    until("all to be well", async || {
        let is_up = gateway.metric("gateway_status_store_up").await == 1;
        (is_up && gateway.metric("statuses_waiting").await == 0).then_some(())
    })
    .await;
    let holders = vec![peers.who.address, other.address];
    until("the leases", async || {
        let held = store.holders(holders.clone()).await.ok()?;
        (held[0].is_some() && held[1].is_none()).then_some(())
    })
    .await;
    peers.exchange().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_stopped_stops_nobody() {
    survives(
        |redis| redis.stop().unwrap(),
        |redis| redis.start_again().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_hangs_stops_nobody() {
    survives(
        |redis| redis.freeze().unwrap(),
        |redis| redis.thaw().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_is_full_stops_nobody() {
    survives(
        |redis| redis.fill().unwrap(),
        |redis| redis.unfill().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_refuses_writes_stops_nobody() {
    survives(
        |redis| {
            // As after a failover to a replica that nobody has told.
            redis.say(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
        },
        |redis| {
            redis.say(&["REPLICAOF", "NO", "ONE"]).unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_is_slow_slows_nobody() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    stored_as(&store, peers.who, true, 0).await;
    // Writes wait for half a second, less than what they are given; then they are done, and the next may come.
    for _ in 0..2 {
        redis.say(&["CLIENT", "PAUSE", "500", "WRITE"]).unwrap();
        peers.exchange().await;
        peers.tell(1).await;
        stored_as(&store, peers.who, true, 1).await;
    }
    let failures = gateway.metric("gateway_status_store_failures_total").await;
    assert_eq!(failures, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_redis_that_was_emptied_is_given_all_of_it_again() {
    let mut redis = Redis::start().unwrap();
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    let other = gateway.enrol("Fan").await;
    let fan = Controller::online(&gateway, other).await;
    let all_is_there = async |redis: &Redis| {
        let store = redis_store(redis, "switchyard:");
        stored_as(&store, peers.who, true, 0).await;
        stored_as(&store, other, false, 0).await;
    };
    stored_as(&redis_store(&redis, "switchyard:"), other, true, 0).await;
    drop(fan);
    all_is_there(&redis).await;
    // Emptied while it runs; nobody says anything new.
    redis.say(&["FLUSHALL"]).unwrap();
    all_is_there(&redis).await;
    assert_eq!(gateway.metric("gateway_status_store_losses_total").await, 1);
    // Started anew.
    redis.stop().unwrap();
    redis.start_again().unwrap();
    all_is_there(&redis).await;
    peers.exchange().await;
    gateway.stop().await;
}

/// Controllers on the clear link, each of which changes again and again; in the end the one at place `n` of them is
/// `n % 2`.
struct Storm {
    controllers: Vec<Controller>,
    stopping: Arc<AtomicBool>,
}

impl Storm {
    async fn gather(gateway: &Gateway, count: usize) -> Self {
        let wanted = (0..count)
            .map(|number| NewController {
                title: title(&format!("Fan {number}")),
                key: ControllerKey([7; 32]),
                site: None,
            })
            .collect();
        let enrolled = gateway.stores.config.enrol(wanted, 65_536, now()).await;
        let mut controllers = Vec::new();
        for address in enrolled.unwrap() {
            let mut controller = Controller::connect(gateway.clear, address).await;
            controller.write(controller.hello().bytes()).await;
            controller.clear_frame().await.expect("a welcome");
            controller.say_who().await;
            controllers.push(controller);
        }
        Storm {
            controllers,
            stopping: Arc::default(),
        }
    }

    /// Until told to stop.
    async fn blow(mut self) -> Self {
        let mut round = 0;
        while !self.stopping.load(Ordering::Relaxed) {
            self.tell(|number| number as i64 + round).await;
            round += 1;
            // Two thousand changes in a second for every hundred of them, at most.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.tell(|number| number as i64).await;
        self
    }

    async fn tell(&mut self, value: impl Fn(usize) -> i64) {
        for (number, controller) in self.controllers.iter_mut().enumerate() {
            let delta = controller.delta(value(number) % 2);
            controller.send(&[delta]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_under_load_is_stored_whole_whatever_happened() {
    let mut redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    // More than go into two batches.
    let storm = Storm::gather(&gateway, 300).await;
    let stopping = Arc::clone(&storm.stopping);
    let addresses: Vec<_> = storm.controllers.iter().map(|it| it.address).collect();
    let blowing = tokio::spawn(storm.blow());
    let troubles: [(Mischief, Mischief); 4] = [
        (|it| it.stop().unwrap(), |it| it.start_again().unwrap()),
        (|it| it.freeze().unwrap(), |it| it.thaw().unwrap()),
        (|it| it.fill().unwrap(), |it| it.unfill().unwrap()),
        (
            |it| drop(it.say(&["FLUSHALL"]).unwrap()),
            |it| drop(it.say(&["SCRIPT", "FLUSH"]).unwrap()),
        ),
    ];
    for (harm, mend) in troubles {
        harm(&mut redis);
        peers.exchange().await;
        mend(&mut redis);
        peers.exchange().await;
    }
    stopping.store(true, Ordering::Relaxed);
    let storm = soon("the storm to end", blowing).await.unwrap();
    let all_are = async |online| {
        until("the whole fleet in the store", async || {
            for (number, address) in addresses.iter().enumerate() {
                let status = stored(&store, *address).await?;
                let is_so = status.online == online && value_of(&status)? == number as i64 % 2;
                is_so.then_some(())?;
            }
            Some(())
        })
        .await;
    };
    all_are(true).await;
    drop(storm);
    all_are(false).await;
    // All of it is there after a restart.
    let gateway = gateway.restart().await;
    until("the whole fleet in the yard", async || {
        let mut tool = gateway.tool("viewer").await;
        let mut known = 0;
        for frame in tool.subscribe().await {
            if frame.header().kind == Kind::StatusFull {
                let number = addresses.iter().position(|it| *it == frame.header().source);
                let value = Full::decode(frame.payload()).unwrap().points[0].value;
                known += usize::from(number.is_some_and(|number| number as i64 % 2 == value));
            }
        }
        (known == addresses.len()).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn another_gateways_later_session_is_not_overwritten() {
    let redis = Redis::start().unwrap();
    let store = redis_store(&redis, "switchyard:");
    let gateway = gateway_on(&redis).await;
    let mut peers = Peers::enter(&gateway).await;
    stored_as(&store, peers.who, true, 0).await;
    let pump = peers.who.address;
    let ours = store.holders(vec![pump]).await.unwrap()[0].unwrap();
    // It has come to another gateway as well, which tells of it.
    let theirs = NodeId([0xEE; 16]);
    let hold = store.hold(
        theirs,
        vec![(pump, ours.session + 1)],
        Duration::from_secs(3_600),
    );
    assert_eq!(hold.await.unwrap(), []);
    let status = StoredStatus {
        order: stored(&store, pump).await.unwrap().order + 1,
        online: true,
        since: Time(ours.session + 1),
        frame: Bytes::from_static(b"theirs"),
    };
    store.put_statuses(vec![(pump, status)]).await.unwrap();
    // Its end here is the old session's.
    drop(peers.pump);
    until("the end to be dealt with", async || {
        (gateway.metric("gateway_leases_fenced_total").await >= 1).then_some(())
    })
    .await;
    let kept = stored(&store, pump).await.unwrap();
    assert!(kept.online && kept.frame == "theirs");
    // When they let go of it, it may be ours again.
    store.release(theirs, vec![pump]).await.unwrap();
    peers.pump = Controller::online(&gateway, peers.who).await;
    stored_as(&store, peers.who, true, 0).await;
    gateway.stop().await;
}
