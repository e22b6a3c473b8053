//! Redis and MariaDB are stopped, hung, slow, emptied and full while operators command controllers: commands go on in
//! time, what is refused is what `docs/operating.md` says, and afterwards all is whole again.

use crate::load::{
    COMMAND_TIME_MAX, Fleet, Load, STORE_TIMEOUT, all_were_executed_once, give_waiting, hello,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use switchyard_e2e::{
    Tool,
    http::{call, log_in, metric},
};
use switchyard_protocol::{
    Code,
    message::{Key, Stage},
};
use switchyard_testkit::{
    Controller, PASSWORD, Programs, Yard, YardOptions,
    services::{MariaDb, Redis, SlowLine},
    wait_until,
};

/// What `docs/operating.md` promises after a stop or a hang, and a second for the look.
const BACK_WITHIN: Duration = Duration::from_secs(5 + 1);
/// And after a lack of room, or after something was lost.
const SOON_WITHIN: Duration = Duration::from_secs(1 + 1);

fn start(environment: &[(&str, String)]) -> Yard {
    let flags = ["--store-timeout", STORE_TIMEOUT, "--redis-prefix", "yard:"];
    let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    Yard::start(
        &Programs::find().unwrap(),
        YardOptions {
            flags: flags.map(String::from).into(),
            environment: environment.iter().map(owned).collect(),
            ..YardOptions::default()
        },
    )
    .unwrap()
}

/// Waits for something that must come within a time.
fn comes_within(limit: Duration, what: &str, condition: impl FnMut() -> Option<()>) {
    let begun = Instant::now();
    wait_until(what, condition).unwrap();
    let took = begun.elapsed();
    assert!(took <= limit, "{what} came after {took:?}");
}

/// The value of each controller's relay, as the gateway knows it.
fn relays(yard: &Yard, token: &str) -> BTreeMap<u64, i64> {
    let request = ("GET", "/api/controllers?points=true");
    let (status, said) = call(yard.http(), Some(token), request, None).unwrap();
    assert_eq!(status, 200, "{said}");
    let controllers = said["items"].as_array().unwrap().iter();
    let value = |controller: &serde_json::Value| {
        let points = controller["live"]["points"].as_array()?;
        let relay = points.iter().find(|point| point["name"] == "RL1")?;
        Some((controller["address"].as_u64()?, relay["value"].as_i64()?))
    };
    controllers.filter_map(value).collect()
}

#[test]
fn redis_fails_under_load_and_nobody_waits_for_it() {
    let mut redis = Redis::start().unwrap();
    let line = SlowLine::to(redis.tcp_port(), 5).unwrap();
    let url = format!("redis://127.0.0.1:{}/0", line.tcp_port());
    let mut yard = start(&[("SWITCHYARD_REDIS_URL", url)]);
    let token = log_in(yard.http(), "operator").unwrap();
    let fleet = Fleet::start(&yard);
    let stored = || metric(&yard, "switchyard_gateway_statuses_stored_total").unwrap();
    // Since `before`: storing goes on, and nobody is missing.
    let goes_on = |redis: &Redis, before: u64| {
        let is_up = metric(&yard, "switchyard_gateway_status_store_up").ok()? == 1;
        let mut there = fleet.controllers.iter().map(|controller| {
            let key = format!("yard:status:{}", controller.address);
            redis.say(&["HGET", &key, "online"]).ok()
        });
        let is_all = there.all(|it| it.as_deref() == Some("1"));
        (is_up && stored() > before && is_all).then_some(())
    };
    let is_down = || {
        let is_down = metric(&yard, "switchyard_gateway_status_store_up").ok()? == 0;
        is_down.then_some(())
    };
    wait_until("the fleet in Redis", || goes_on(&redis, 0)).unwrap();
    let load = Load::begin(&yard, &fleet, &token);
    load.goes_on("all is well");

    redis.stop().unwrap();
    load.goes_on("Redis is stopped");
    wait_until("the failure to be seen", is_down).unwrap();
    log_in(yard.http(), "viewer").unwrap();
    redis.start_again().unwrap();
    comes_within(BACK_WITHIN, "all in Redis after a stop", || {
        goes_on(&redis, 0)
    });

    redis.freeze().unwrap();
    load.goes_on("Redis hangs");
    wait_until("the failure to be seen", is_down).unwrap();
    log_in(yard.http(), "viewer").unwrap();
    load.goes_on("Redis hangs and was given up");
    redis.thaw().unwrap();
    comes_within(BACK_WITHIN, "all in Redis after a hang", || {
        goes_on(&redis, 0)
    });

    let failures = || metric(&yard, "switchyard_gateway_status_store_failures_total").unwrap();
    let before = failures();
    line.delay(Duration::from_millis(600));
    load.goes_on("Redis is slow");
    load.goes_on("Redis is still slow");
    line.delay(Duration::ZERO);
    assert_eq!(failures(), before, "slow is no failure");
    wait_until("all in Redis", || goes_on(&redis, 0)).unwrap();

    let losses = || metric(&yard, "switchyard_gateway_status_store_losses_total").unwrap();
    let before = losses();
    redis.say(&["FLUSHALL"]).unwrap();
    comes_within(SOON_WITHIN, "all in Redis after it was emptied", || {
        (losses() == before + 1).then(|| goes_on(&redis, 0))?
    });
    load.goes_on("Redis was emptied");

    redis.fill().unwrap();
    load.goes_on("Redis is full");
    wait_until("the failure to be seen", is_down).unwrap();
    redis.unfill().unwrap();
    comes_within(SOON_WITHIN, "all in Redis after it had no room", || {
        goes_on(&redis, 0)
    });

    load.goes_on("all is well again");
    let keys = load.end();
    all_were_executed_once(&yard, &fleet, &keys);
    // And it is the truth: another gateway process knows it of controllers that are away.
    let known = relays(&yard, &token);
    assert_eq!(known.len(), fleet.controllers.len());
    drop(fleet);
    wait_until("that they are away, in Redis", || {
        let is_away = metric(&yard, "switchyard_controllers_online").ok()? == 0;
        (is_away && metric(&yard, "switchyard_statuses_waiting").ok()? == 0).then_some(())
    })
    .unwrap();
    yard.kill_gateway().unwrap();
    yard.start_gateway().unwrap();
    wait_until("what Redis knew", || {
        (relays(&yard, &token) == known).then_some(())
    })
    .unwrap();
}

/// Its first receipt.
fn first_receipt(tool: &mut Tool, key: Key) -> (Stage, Option<Code>) {
    let receipt = tool.receive_until(|frame| {
        let receipt = switchyard_protocol::message::Receipt::decode(frame.payload()).ok()?;
        (receipt.key == key).then_some(receipt)
    });
    let receipt = receipt.unwrap();
    (receipt.stage, receipt.reason)
}

/// What a gateway without its database does, by `docs/operating.md`: nobody comes in, and whoever is there goes on. Gives a
/// command that would have to wait.
fn is_refused_what_needs_the_database(
    yard: &Yard,
    (token, tool): (&str, &mut Tool),
    (away, known): (&Controller, &Controller),
) -> Key {
    // First of all: what follows takes as long as a store is waited for.
    let waiting = give_waiting(tool, away);
    let body = json!({ "account": "viewer", "password": PASSWORD });
    let (status, said) = call(yard.http(), None, ("POST", "/api/login"), Some(&body)).unwrap();
    assert_eq!((status, &said["code"]), (503, &"store_unavailable".into()));
    let entered = Tool::connect_to(yard.http(), &hello(token));
    let why = format!("{:#}", entered.err().expect("nobody comes in"));
    assert!(why.contains("store_unavailable"), "{why}");
    let (status, said) = call(yard.http(), Some(token), ("GET", "/api/who"), None).unwrap();
    assert_eq!((status, &said["code"]), (503, &"store_unavailable".into()));
    let (status, _) = call(yard.http(), None, ("GET", "/readyz"), None).unwrap();
    assert_eq!(status, 503);
    // One that the gateway knows comes back all the same.
    let begun = Instant::now();
    let mut back = yard.start_controller(known, &[]).unwrap();
    back.stop().unwrap();
    let took = begun.elapsed();
    assert!(took < 4 * COMMAND_TIME_MAX, "{took:?}");
    waiting
}

#[test]
fn mariadb_fails_under_load_and_whoever_is_there_goes_on() {
    let mut mariadb = MariaDb::start().unwrap();
    let line = SlowLine::to(mariadb.tcp_port(), 7).unwrap();
    let through = |port: u16| {
        let url = mariadb.url(0);
        url.replace(&format!(":{port}/"), &format!(":{}/", line.tcp_port()))
    };
    let url = through(mariadb.tcp_port());
    let mut yard = start(&[("SWITCHYARD_MYSQL_URL", url)]);
    let token = log_in(yard.http(), "operator").unwrap();
    let fleet = Fleet::start(&yard);
    let others = yard.enrol("Other", 2).unwrap();
    switchyard_e2e::http::wait_until_known(&yard, 2 + fleet.controllers.len() as u64).unwrap();
    let (away, known) = (&others[0], &others[1]);
    let mut tool = Tool::connect_to(yard.http(), &hello(&token)).unwrap();
    let load = Load::begin(&yard, &fleet, &token);
    load.goes_on("all is well");
    let comes_in = || {
        let entered = Tool::connect_to(yard.http(), &hello(&token)).ok()?;
        log_in(yard.http(), "viewer").ok()?;
        drop(entered);
        Some(())
    };
    let failures = || metric(&yard, "switchyard_gateway_store_failures_total").unwrap();

    let refused = (Stage::Refused, Some(Code::StoreUnavailable));
    mariadb.stop().unwrap();
    let waiting = is_refused_what_needs_the_database(&yard, (&token, &mut tool), (away, known));
    assert_eq!(first_receipt(&mut tool, waiting), refused);
    load.goes_on("MariaDB is stopped");
    mariadb.start_again().unwrap();
    comes_within(BACK_WITHIN, "people, after a stop", comes_in);

    let before = failures();
    mariadb.freeze().unwrap();
    let waiting = is_refused_what_needs_the_database(&yard, (&token, &mut tool), (away, known));
    load.goes_on("MariaDB hangs");
    assert!(failures() > before);
    mariadb.thaw().unwrap();
    comes_within(BACK_WITHIN, "people, after a hang", comes_in);
    // What might have been stored after all is told of once that is known.
    assert_eq!(first_receipt(&mut tool, waiting), refused);

    // Every word to it and back: a transaction has dozens of them.
    line.delay(Duration::from_millis(20));
    load.goes_on("MariaDB is slow");
    wait_until("people, while it is slow", comes_in).unwrap();
    line.delay(Duration::ZERO);

    // What is queued goes out, now that it can be.
    let waiting = give_waiting(&mut tool, away);
    assert_eq!(first_receipt(&mut tool, waiting), (Stage::Queued, None));

    let before = failures();
    mariadb.fill().unwrap();
    load.goes_on("MariaDB is full");
    // The pages that it has take something still; the audit log's records are soon too many for them.
    wait_until("a failure", || (failures() > before).then_some(())).unwrap();
    load.goes_on("MariaDB is full and that was noticed");
    mariadb.unfill().unwrap();
    comes_within(BACK_WITHIN, "people, once there is room", comes_in);
    load.goes_on("all is well again");

    let keys = load.end();
    all_were_executed_once(&yard, &fleet, &keys);
    let mut late = yard
        .start_controller(away, &["--behaviour", "latch"])
        .unwrap();
    wait_until("the queued command", || {
        (relays(&yard, &token).get(&away.address.into()) == Some(&1)).then_some(())
    })
    .unwrap();
    late.stop().unwrap();

    // Emptied: a backup brings back what it had.
    let backup = yard.folder().join("backup");
    yard.manage(&["backup", backup.to_str().unwrap()]).unwrap();
    let load = Load::begin(&yard, &fleet, &token);
    mariadb.empty(0).unwrap();
    let waiting = is_refused_what_needs_the_database(&yard, (&token, &mut tool), (away, known));
    assert_eq!(first_receipt(&mut tool, waiting), refused);
    load.goes_on("MariaDB was emptied");
    load.end();
    assert!(yard.gateway().unwrap().stop().unwrap().success());
    yard.manage(&["restore", backup.to_str().unwrap()]).unwrap();
    yard.start_gateway().unwrap();
    let load = Load::begin(&yard, &fleet, &token);
    load.goes_on("it was restored");
    load.end();
    let checked = yard.manage(&["audit", "--verify"]).unwrap();
    assert!(
        checked.contains(" records hold, up to number "),
        "{checked}"
    );
}
