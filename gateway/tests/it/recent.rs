//! Recent values: kept second by second in this process or in Redis, and told over HTTP.

use crate::{
    status_contract::redis_settings,
    support::{
        Controller, Enrolled, Gateway, PATIENCE,
        api::{NOTHING, call, code, told},
        timed, until,
    },
};
use serde_json::Value;
use std::time::{Duration, Instant};
use switchyard_gateway::config::RecentSettings;
use switchyard_testkit::services::Redis;

/// How long the gateway waits for Redis.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

fn path_of(who: Enrolled, point: &str) -> String {
    format!("/api/controllers/{}/history/{point}/recent", who.address)
}

/// The only piece of a chart, once so many values are in it.
async fn piece(gateway: &Gateway, who: Enrolled, samples: u64) -> Value {
    let viewer = gateway.log_in("viewer").await;
    let path = format!("{}?buckets=1", path_of(who, "RL1"));
    until("the values to be kept", async || {
        let response = call(gateway, &viewer, "GET", &path, &NOTHING).await;
        let chart = match response.status {
            200 => response.json(),
            404 => return None,
            other => panic!("{other}: {}", response.body),
        };
        assert_eq!(chart["type"], "digital_output");
        let piece = chart["buckets"].get(0)?;
        (piece["samples"] == samples).then(|| piece.clone())
    })
    .await
}

async fn gateway_on(redis: &Redis) -> Gateway {
    let redis = redis_settings(redis, "switchyard:");
    Gateway::start_with(|settings| {
        settings.redis = Some(redis);
        settings.store_timeout = STORE_TIMEOUT;
        settings.recent = settings.recent.map(|recent| RecentSettings {
            is_in_redis: true,
            ..recent
        });
    })
    .await
}

/// A controller that switches its relay on, off and on.
async fn switched(gateway: &Gateway) -> (Enrolled, Controller) {
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(gateway, who).await;
    let values = [pump.delta(1), pump.delta(0), pump.delta(1)];
    pump.send(&values).await;
    pump.is_live().await;
    (who, pump)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_points_were_in_the_last_minutes_is_told() {
    let gateway = Gateway::start().await;
    let (who, pump) = switched(&gateway).await;
    let piece = piece(&gateway, who, 4).await;
    assert_eq!(
        (&piece["min"], &piece["max"], &piece["last"]),
        (&0.into(), &1.into(), &1.into())
    );
    assert!(piece["known_ms"].as_u64().unwrap() > 0);
    assert_eq!(gateway.metric("recent_points").await, 1);
    assert_eq!(gateway.metric("gateway_samples_dropped_total").await, 0);
    let stored = gateway.metric("gateway_samples_stored_total").await;
    // Four values of one or two seconds.
    assert!((1..=2).contains(&stored), "{stored}");

    let viewer = gateway.log_in("viewer").await;
    let path = path_of(who, "RL1");
    let chart = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
    assert_eq!(
        chart["bucket_ms"], 4_000,
        "240 pieces of a quarter of an hour"
    );
    for (path, status) in [
        (path_of(who, "RL2"), 404),
        (path_of(who, "2"), 422),
        (format!("{path}?from=5000&to=4000"), 422),
        (format!("{path}?from=0"), 422),
        (format!("{path}?buckets=5000"), 422),
        (format!("{path}?bucket=5"), 400),
        ("/api/controllers/77/history/RL1/recent".to_owned(), 404),
    ] {
        code(&gateway, &viewer, ("GET", &path), &NOTHING, status).await;
    }
    // Once it has gone nobody knows what its points are.
    drop(pump);
    until("it to be gone", async || {
        (gateway.metric("recent_points").await == 0).then_some(())
    })
    .await;
    let known = async || {
        let path = format!("{path}?buckets=1");
        let chart = told(&gateway, &viewer, ("GET", &path), &NOTHING, 200).await;
        chart["buckets"][0]["known_ms"].as_u64().unwrap()
    };
    let before = until("the last sample", async || {
        let (one, other) = (known().await, known().await);
        (one == other).then_some(one)
    })
    .await;
    assert_eq!(known().await, before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_none_are_kept_the_answer_says_so() {
    let gateway = Gateway::start_with(|settings| settings.recent = None).await;
    let (who, _pump) = switched(&gateway).await;
    let viewer = gateway.log_in("viewer").await;
    let path = path_of(who, "RL1");
    let refused = code(&gateway, &viewer, ("GET", &path), &NOTHING, 409).await;
    assert_eq!(refused, "unsupported");
    // Whoever may not see the controller does not learn even that.
    let elsewhere = "/api/controllers/77/history/RL1/recent";
    code(&gateway, &viewer, ("GET", elsewhere), &NOTHING, 404).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_history_there_are_recent_values_all_the_same() {
    let gateway = Gateway::start_with(|settings| settings.history_days = 0).await;
    let (who, _pump) = switched(&gateway).await;
    piece(&gateway, who, 4).await;
    assert_eq!(gateway.metric("history_points").await, 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_redis_they_outlive_the_gateway() {
    let redis = Redis::start().unwrap();
    let gateway = gateway_on(&redis).await;
    let (who, _pump) = switched(&gateway).await;
    piece(&gateway, who, 4).await;
    let gateway = gateway.restart().await;
    let piece = piece(&gateway, who, 4).await;
    assert_eq!(piece["last"], 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_is_away_is_said_in_time() {
    let mut redis = Redis::start().unwrap();
    let gateway = gateway_on(&redis).await;
    let (who, mut pump) = switched(&gateway).await;
    piece(&gateway, who, 4).await;
    let viewer = gateway.log_in("viewer").await;
    let path = path_of(who, "RL1");
    let unavailable = async || {
        let asking = call(&gateway, &viewer, "GET", &path, &NOTHING);
        let (response, took) = timed(asking).await;
        assert_eq!(response.status, 503, "{}", response.body);
        assert_eq!(response.json()["code"], "store_unavailable");
        assert!(response.header("retry-after").is_some());
        // As long as a call of the store may take, and much for a busy machine.
        assert!(took < STORE_TIMEOUT + Duration::from_secs(5), "{took:?}");
    };
    redis.freeze().unwrap();
    unavailable().await;
    // What comes meanwhile waits, and peers do not.
    let off = pump.delta(0);
    pump.send(&[off]).await;
    pump.is_live().await;
    unavailable().await;
    redis.thaw().unwrap();
    piece_again(&gateway, who, 5).await;

    redis.stop().unwrap();
    unavailable().await;
    redis.start_again().unwrap();
    // It has come back with nothing; what is new is kept.
    let on = pump.delta(1);
    pump.send(&[on]).await;
    piece_again(&gateway, who, 1).await;
    gateway.stop().await;
}

/// As [`piece`], past answers that the store is away.
async fn piece_again(gateway: &Gateway, who: Enrolled, samples: u64) {
    let viewer = gateway.log_in("viewer").await;
    let path = format!("{}?buckets=1", path_of(who, "RL1"));
    let begun = Instant::now();
    loop {
        let response = call(gateway, &viewer, "GET", &path, &NOTHING).await;
        let is_there = response.status == 200 && {
            let piece = &response.json()["buckets"][0];
            piece["samples"].as_u64() >= Some(samples)
        };
        if is_there {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "expected {samples} samples, and at last there is {} {}; stored {}, dropped {}, points {}",
            response.status,
            response.body,
            gateway.metric("gateway_samples_stored_total").await,
            gateway.metric("gateway_samples_dropped_total").await,
            gateway.metric("recent_points").await,
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
