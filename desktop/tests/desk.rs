//! The desk over a scripted gateway: what goes over the wire, what the window is told, what is kept.
#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "../../crates/client/tests/scripted/mod.rs"]
mod scripted;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use scripted::{
    ACCOUNT, CODE, GUARDED, Gateway, PASSWORD, Peer, SETUP_CODE, TOKEN, delta, full, point,
    presence, response, soon,
};
use serde_json::{Value, json};
use switchyard_client::{Credentials, FirstAccount};
use switchyard_desktop::{
    AlarmCount, Desk,
    dto::{Action, ApiCall, ApiMethod, Command, FleetChange, Language, LinkState},
    events::{BATCH_INTERVAL, News, Window},
    settings::{FILE_NAME, Settings},
};
use switchyard_protocol::{
    Address, Code, Frame,
    message::{Answer, Body, PointType, Request, Stage},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const TOOL: u32 = 0x8000_0007;
const PUMP: u32 = 100_042;
const KEY: &str = "00112233445566778899aabbccddeeff";
const LI: Credentials<'_> = Credentials {
    account: ACCOUNT,
    password: PASSWORD,
    code: None,
};
const WRONG: Credentials<'_> = Credentials {
    password: "wrong",
    ..LI
};

/// Hands on whatever the window is told, and keeps the last title.
struct Recorder {
    news: mpsc::UnboundedSender<(Instant, News)>,
    title: Arc<Mutex<String>>,
    badge: Arc<Mutex<AlarmCount>>,
}

impl Window for Recorder {
    fn tell(&self, news: News) {
        let _ = self.news.send((Instant::now(), news));
    }

    fn entitle(&self, title: &str) {
        *self.title.lock().unwrap() = title.to_owned();
    }

    fn badge(&self, alarms: AlarmCount) {
        *self.badge.lock().unwrap() = alarms;
    }
}

/// A desk, what it tells its window, and where it keeps its settings.
struct Bench {
    desk: Desk,
    news: mpsc::UnboundedReceiver<(Instant, News)>,
    title: Arc<Mutex<String>>,
    badge: Arc<Mutex<AlarmCount>>,
}

impl Bench {
    fn new(folder: &TempDir) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        let (title, badge) = (Arc::default(), Arc::default());
        let window = Recorder {
            news: sender,
            title: Arc::clone(&title),
            badge: Arc::clone(&badge),
        };
        let settings = Settings::open(folder.path()).unwrap();
        Bench {
            desk: Desk::new(settings, Box::new(window)),
            news,
            title,
            badge,
        }
    }

    /// Logs in, welcomed by the gateway and given one controller.
    async fn logged_in(&mut self, gateway: &Gateway) -> Peer {
        let url = gateway.url();
        let (session, peer) = tokio::join!(self.desk.log_in(&url, &LI), welcomed(gateway));
        assert_eq!(session.unwrap().address, Some(TOOL));
        self.until("the snapshot's end", |news| {
            matches!(news, News::Fleet(changes)
                if changes.contains(&FleetChange::Synced { count: 1 }))
        })
        .await;
        peer
    }

    /// The next news that `wanted` takes, and everything before them.
    async fn until(&mut self, what: &str, wanted: impl Fn(&News) -> bool) -> Vec<News> {
        let mut told = Vec::new();
        soon(what, async {
            loop {
                let (_, news) = self.news.recv().await.expect("the desk to be there");
                let is_wanted = wanted(&news);
                told.push(news);
                if is_wanted {
                    return;
                }
            }
        })
        .await;
        told
    }

    fn title(&self) -> String {
        self.title.lock().unwrap().clone()
    }
}

/// Welcomes a tool, and answers its subscription with one controller that has an input and a relay.
async fn welcomed(gateway: &Gateway) -> Peer {
    let mut peer = gateway.accept().await;
    assert_eq!(peer.hello.token.as_deref(), Some(TOKEN));
    peer.welcome(TOOL, 1).await;
    let (asked, request) = peer.request().await;
    assert_eq!(request, Request::Subscribe { controllers: None });
    let points = [
        point(0, "DI1", PointType::DigitalInput, 0, 0),
        point(1, "RL1", PointType::DigitalOutput, 0, 1),
    ];
    let to = Address(TOOL);
    peer.send([
        presence(to, PUMP, true, "Pump house 3"),
        full(PUMP, 5, 1, &points),
        response(&asked, &Answer::Ok(Body::Subscribe { count: 1 })),
    ])
    .await;
    peer
}

fn switch_on() -> Command {
    Command {
        key: KEY.to_owned(),
        address: PUMP,
        action: Action::Set {
            point: "RL1".to_owned(),
            value: 1,
        },
        expires_in_ms: 10_000,
        wait: false,
    }
}

fn kept(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap()
}

fn value(change: &FleetChange, index: u8) -> Option<i64> {
    match change {
        FleetChange::Points {
            address: PUMP,
            points,
            ..
        } => points
            .iter()
            .find(|point| point.index == index)
            .map(|point| point.value),
        _ => None,
    }
}

#[tokio::test]
async fn a_person_logs_in_sees_switches_and_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    assert_eq!(bench.desk.session().await, None);
    assert_eq!(bench.desk.link().state, LinkState::Closed);

    let mut peer = bench.logged_in(&gateway).await;
    let host = gateway.url().replace("http://", "");
    let session = bench.desk.session().await.unwrap();
    assert_eq!((session.account.as_str(), session.role), (ACCOUNT, 3));
    assert_eq!(session.gateway, host);
    assert_eq!(bench.title(), format!("{host} – li – Switchyard"));
    assert_eq!(bench.desk.link().state, LinkState::Live);
    let fleet = bench.desk.fleet();
    assert!(fleet.synced);
    assert_eq!(fleet.controllers[0].title, "Pump house 3");
    assert_eq!(fleet.controllers[0].points[1].name, "RL1");

    let (sent, asked) = tokio::join!(bench.desk.send_command(switch_on()), peer.command());
    sent.unwrap();
    let (header, command) = asked;
    assert_eq!(header.destination, Address(PUMP));
    peer.receipt(&header, &command, Stage::Sent, None, false)
        .await;
    peer.receipt(&header, &command, Stage::Delivered, None, false)
        .await;
    peer.receipt(&header, &command, Stage::Executed, None, true)
        .await;
    peer.send([delta(PUMP, 5, 2, 1, 1)]).await;
    let mut stages = Vec::new();
    let mut is_on = false;
    while stages.last() != Some(&(KEY.to_owned(), 4, true)) || !is_on {
        let told = bench.until("receipts and a delta", |_| true).await;
        match &told[0] {
            News::Receipt(receipt) => {
                stages.push((receipt.key.clone(), receipt.stage, receipt.is_final));
            }
            News::Fleet(changes) => is_on |= changes.iter().any(|it| value(it, 1) == Some(1)),
            other => panic!("{other:?}"),
        }
    }
    let expected = [(2, false), (3, false), (4, true)];
    assert_eq!(
        stages,
        expected.map(|(stage, is_final)| (KEY.to_owned(), stage, is_final))
    );
    assert_eq!(bench.desk.fleet().controllers[0].points[1].value, 1);

    assert!(kept(&folder).contains(TOKEN));
    tokio::select! {
        left = bench.desk.log_out() => left.unwrap(),
        _ = gateway.accept() => panic!("dialled again after the log-out"),
    }
    assert!(!kept(&folder).contains(TOKEN), "the token is off the disk");
    assert_eq!(bench.desk.session().await, None);
    assert_eq!(bench.title(), "Switchyard");
    assert!(bench.desk.fleet().controllers.is_empty());
    assert!(peer.any_frame().await.is_none(), "the link is closed");
}

#[tokio::test]
async fn the_next_start_needs_no_password_and_keeps_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let first = bench.logged_in(&gateway).await;
    drop(bench);
    // What the desk had running ends when this runtime next gets to it.
    tokio::task::yield_now().await;

    let bench = Bench::new(&folder);
    let (session, second) = tokio::join!(bench.desk.session(), welcomed(&gateway));
    let session = session.unwrap();
    assert_eq!(
        (session.account.as_str(), session.address),
        (ACCOUNT, Some(TOOL))
    );
    assert!(first.hello.installation.is_some());
    assert_eq!(first.hello.installation, second.hello.installation);
}

#[tokio::test]
async fn a_second_window_leaves_the_first_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let first = bench.logged_in(&gateway).await;
    let other = Bench::new(&folder);
    let (session, second) = tokio::join!(other.desk.session(), welcomed(&gateway));
    assert_eq!(session.unwrap().account, ACCOUNT);
    assert!(first.hello.installation.is_some());
    assert_eq!(second.hello.installation, None);
}

#[tokio::test]
async fn a_lost_link_is_told_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let peer = bench.logged_in(&gateway).await;
    drop(peer);
    let told = bench
        .until(
            "the loss",
            |news| matches!(news, News::Link(link) if link.state == LinkState::Waiting),
        )
        .await;
    let Some(News::Link(link)) = told.last() else {
        unreachable!()
    };
    assert!(link.retry_in_ms.is_some_and(|ms| ms <= 1_000), "{link:?}");
    assert!(bench.title().contains("not connected"), "{}", bench.title());
    let fault = bench.desk.send_command(switch_on()).await.unwrap_err();
    assert_eq!(fault.code, "gateway_gone");
    let session = bench.desk.session().await.unwrap();
    assert_eq!(
        session.address, None,
        "logged in still, with no address at the moment"
    );

    let _peer = welcomed(&gateway).await;
    bench
        .until("the mended link", |news| {
            matches!(news, News::Fleet(changes)
                if changes.contains(&FleetChange::Synced { count: 1 }))
        })
        .await;
    assert_eq!(bench.desk.link().state, LinkState::Live);
}

/// What the gateway ends for good is told; only a token that is worthless is forgotten.
#[tokio::test]
async fn a_gateway_that_wants_no_more_is_believed() {
    for (code, is_forgotten) in [
        (Code::Revoked, true),
        (Code::BadToken, true),
        (Code::Replaced, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::bind().await;
        let mut bench = Bench::new(&folder);
        let peer = bench.logged_in(&gateway).await;
        peer.refuse(code).await;
        let told = bench
            .until("the end", |news| matches!(news, News::Session(None)))
            .await;
        let link = told.iter().find_map(|news| match news {
            News::Link(link) => Some(link),
            _ => None,
        });
        let link = link.expect("news of the link before those of the session");
        assert_eq!(
            (link.state, link.code),
            (LinkState::Closed, Some(code.number()))
        );
        let fault = bench.desk.identify(PUMP).await.unwrap_err();
        assert_eq!(fault.code, "not_logged_in");
        assert_eq!(!kept(&folder).contains(TOKEN), is_forgotten, "{code}");
    }
}

#[tokio::test]
async fn a_wrong_password_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let _peer = bench.logged_in(&gateway).await;
    let url = gateway.url();
    let fault = tokio::select! {
        answer = bench.desk.log_in(&url, &WRONG) => answer.unwrap_err(),
        _ = gateway.accept() => panic!("dialled with a wrong password"),
    };
    assert_eq!(fault.code, "bad_credentials");
    assert!(!format!("{fault:?}").contains("\"wrong\""), "{fault:?}");
    assert_eq!(
        bench.desk.session().await.unwrap().address,
        Some(TOOL),
        "still logged in"
    );
    assert!(kept(&folder).contains(TOKEN));
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_then_taken() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let bench = Bench::new(&folder);
    let url = gateway.url();
    let wang = Credentials {
        account: GUARDED,
        ..LI
    };
    let fault = tokio::select! {
        answer = bench.desk.log_in(&url, &wang) => answer.unwrap_err(),
        _ = gateway.accept() => panic!("dialled without a code"),
    };
    assert_eq!(fault.code, "code_needed");
    let wang = Credentials {
        code: Some(CODE),
        ..wang
    };
    let (session, _peer) = tokio::join!(bench.desk.log_in(&url, &wang), welcomed(&gateway));
    assert_eq!(session.unwrap().address, Some(TOOL));
}

#[tokio::test]
async fn the_first_account_is_made_and_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    gateway.is_new.store(true, Ordering::Relaxed);
    let bench = Bench::new(&folder);
    let url = gateway.url();
    let first = |setup_code| FirstAccount {
        setup_code,
        account: ACCOUNT,
        password: PASSWORD,
    };
    let asked = async {
        assert!(bench.desk.is_setup_needed(&url).await.unwrap());
        bench.desk.set_up(&url, &first("wrong")).await.unwrap_err()
    };
    let fault = tokio::select! {
        fault = asked => fault,
        _ = gateway.accept() => panic!("dialled with a wrong code"),
    };
    assert_eq!(fault.code, "bad_setup_code");
    assert!(!folder.path().join(FILE_NAME).exists(), "nothing was kept");
    let right = first(SETUP_CODE);
    let (session, _peer) = tokio::join!(bench.desk.set_up(&url, &right), welcomed(&gateway));
    assert_eq!(session.unwrap().address, Some(TOOL));
    assert!(kept(&folder).contains(TOKEN));
    let needed = tokio::select! {
        needed = bench.desk.is_setup_needed(&url) => needed,
        _ = gateway.accept() => unreachable!("one link is enough"),
    };
    assert!(!needed.unwrap());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&folder);
    let desk = &bench.desk;
    assert_eq!(
        desk.send_command(switch_on()).await.unwrap_err().code,
        "not_logged_in"
    );
    let no_key = Command {
        key: "7".to_owned(),
        ..switch_on()
    };
    assert_eq!(
        desk.send_command(no_key).await.unwrap_err().code,
        "bad_field"
    );
    let action = Action::Call {
        command: "not a name".to_owned(),
        arguments: vec![],
    };
    let no_name = Command {
        action,
        ..switch_on()
    };
    assert_eq!(
        desk.send_command(no_name).await.unwrap_err().code,
        "bad_field"
    );
    let long = "x".repeat(201);
    assert_eq!(
        desk.send_note(1, &long).await.unwrap_err().code,
        "bad_field"
    );
    assert_eq!(desk.log_in("", &WRONG).await.unwrap_err().code, "bad_url");
    assert_eq!(
        desk.log_in("https://yard", &WRONG).await.unwrap_err().code,
        "tls_unsupported"
    );
    let nobody = Gateway::bind().await.url();
    assert_eq!(
        desk.log_in(&nobody, &WRONG).await.unwrap_err().code,
        "gateway_gone"
    );
    assert!(!folder.path().join(FILE_NAME).exists(), "nothing was kept");
}

/// What is asked over HTTP goes with the token, which the page never sees; a refusal comes with the gateway's own words.
#[tokio::test]
async fn the_api_is_asked_as_whoever_is_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let call = |method, path: &str, body| ApiCall {
        method,
        path: path.to_owned(),
        body,
        wait_ms: 0,
    };
    let list = call(ApiMethod::Get, "api/alarms?open=true", Value::Null);
    let nobody = bench.desk.api(list.clone()).await.unwrap_err();
    assert_eq!(nobody.code, "not_logged_in");
    let _peer = bench.logged_in(&gateway).await;
    let ask = async |call| {
        tokio::select! {
            answer = bench.desk.api(call) => answer,
            _ = gateway.accept() => unreachable!("nobody dials"),
        }
    };
    let list = ask(list).await.unwrap();
    assert_eq!((list.status, &list.body["alarms"]), (200, &json!([])));
    let said = json!({"alarms": [7]});
    let path = "api/alarms/acknowledge";
    let kept = ask(call(ApiMethod::Post, path, said.clone())).await;
    let kept = kept.unwrap();
    assert_eq!((kept.status, kept.body), (202, said));
    let gone = call(ApiMethod::Delete, "api/alarm-rules/7", Value::Null);
    assert_eq!(ask(gone).await.unwrap().body, Value::Null);
    let refused = ask(call(ApiMethod::Put, "api/contacts/1", json!({}))).await;
    let refused = refused.unwrap_err();
    let detail = "expected a telephone number as telephone";
    assert_eq!((&*refused.code, &*refused.message), ("bad_field", detail));
    let elsewhere = call(ApiMethod::Get, "metrics", Value::Null);
    assert_eq!(ask(elsewhere).await.unwrap_err().code, "bad_path");
}

/// The title counts what nobody has acknowledged, also when the link changes it.
#[tokio::test]
async fn alarms_are_counted_in_the_title() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let three = AlarmCount {
        count: 3,
        language: Language::Zh,
    };
    bench.desk.count_alarms(three);
    let peer = bench.logged_in(&gateway).await;
    let host = gateway.url().replace("http://", "");
    assert_eq!(bench.title(), format!("(3) {host} – li – Switchyard"));
    assert_eq!(*bench.badge.lock().unwrap(), three);
    bench.desk.count_alarms(AlarmCount::default());
    assert_eq!(bench.title(), format!("{host} – li – Switchyard"));
    assert_eq!(*bench.badge.lock().unwrap(), AlarmCount::default());
    drop(peer);
}

/// 500 controllers that change at once reach the page in few, whole batches.
#[tokio::test]
async fn a_flood_comes_in_batches_and_loses_nothing() {
    const CONTROLLERS: u32 = 500;
    const ROUNDS: u32 = 20;
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bind().await;
    let mut bench = Bench::new(&folder);
    let url = gateway.url();
    let dialled = async {
        let mut peer = gateway.accept().await;
        peer.welcome(TOOL, 1).await;
        let (asked, _) = peer.request().await;
        let points = [point(0, "AI0", PointType::AnalogueInput, 0, 0)];
        let told = |address| {
            [
                presence(Address(TOOL), address, true, "a board"),
                full(address, 1, 0, &points),
            ]
        };
        let frames: Vec<Frame> = (1..=CONTROLLERS).flat_map(told).collect();
        for frames in frames.chunks(100) {
            peer.send(frames.to_vec()).await;
        }
        let end = Answer::Ok(Body::Subscribe { count: CONTROLLERS });
        peer.send([response(&asked, &end)]).await;
        for round in 1..=ROUNDS {
            for address in 1..=CONTROLLERS {
                peer.send([delta(address, 1, round, 0, i64::from(round))])
                    .await;
            }
        }
        peer
    };
    let (session, _peer) = tokio::join!(bench.desk.log_in(&url, &LI), dialled);
    session.unwrap();

    let mut seen: BTreeMap<u32, i64> = BTreeMap::new();
    let mut batches: Vec<Instant> = Vec::new();
    soon("the last values", async {
        while seen.len() < CONTROLLERS as usize
            || seen.values().any(|&value| value != i64::from(ROUNDS))
        {
            let (at, news) = bench.news.recv().await.expect("the desk to be there");
            let News::Fleet(changes) = news else { continue };
            batches.push(at);
            for change in changes {
                match change {
                    FleetChange::Controller { controller } => {
                        let value = controller.points.first().map_or(-1, |point| point.value);
                        seen.insert(controller.address, value);
                    }
                    FleetChange::Points {
                        address, points, ..
                    } => {
                        assert!(seen.contains_key(&address), "a delta before its controller");
                        seen.insert(address, points.last().expect("a point").value);
                    }
                    FleetChange::Gone { address } => panic!("{address} is not gone"),
                    FleetChange::Synced { .. } => {}
                }
            }
        }
    })
    .await;
    // The clock of the batches ticks in whole milliseconds.
    let least = BATCH_INTERVAL - Duration::from_millis(1);
    for pair in batches.windows(2) {
        assert!(
            pair[1] - pair[0] >= least,
            "batches only {:?} apart",
            pair[1] - pair[0]
        );
    }
}
