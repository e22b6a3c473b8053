//! Peers inside a real yard, over a real store.

use super::*;
use crate::{
    config::RawSettings,
    journal,
    keyring::Keyring,
    store::{Database, NewToken, Revision, Sealer, SqlConfigStore, TokenHash, TokenKind},
    yard::{self, YardContext},
};
use switchyard_protocol::{Kind, Role, message::PeerKind};

/// How long anything may take before a test says that it never happened.
const PATIENCE: Duration = Duration::from_secs(20);

/// A yard without a gateway around it.
pub(crate) struct House {
    pub(crate) insides: Insides,
    config: Arc<dyn crate::store::ConfigStore>,
    pub(crate) telemetry: Arc<Telemetry>,
    yard: YardHandle,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

pub(crate) async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let (database, sealer) = (
        Database::Sqlite(folder.path().join("db")),
        Sealer::new(&[7; 32]),
    );
    let store = SqlConfigStore::open(&database, sealer, 64, PATIENCE).await;
    let config: Arc<dyn crate::store::ConfigStore> = Arc::new(store.unwrap());
    let telemetry = Telemetry::new();
    let raw = RawSettings {
        data: Some(folder.path().into()),
        ..RawSettings::default()
    };
    let settings = raw.resolve().unwrap();
    let relay_settings = yard::relay_settings(&settings);
    let opened = journal::open(&settings, &relay_settings, &telemetry, None).unwrap();
    let context = YardContext {
        settings: Arc::new(settings),
        config: Arc::clone(&config),
        status: None,
        telemetry: Arc::clone(&telemetry),
        keyring: Arc::new(Keyring::default()),
        gateway: [1; 16],
        controllers: Vec::new(),
        accounts: Vec::new(),
        revision: Revision::default(),
        relay_settings,
        remembered: Vec::new(),
        history: None,
        event_numbers: Vec::new(),
        alarms: crate::bell::Bell::default(),
    };
    let (yard, _) = yard::start(context, opened.journal).unwrap();
    let tasks = TaskTracker::new();
    let insides = Insides::new(
        yard.clone(),
        Leases::new(Arc::clone(&config)),
        Arc::clone(&telemetry),
        tasks.clone(),
        Duration::from_secs(20),
    );
    House {
        insides,
        config,
        telemetry,
        yard,
        tasks,
        _folder: folder,
    }
}

fn own(part: &str, role: Role) -> Authority {
    Authority::Gateway {
        account: own_account(part).unwrap(),
        rights: Rights::everywhere(role),
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_asks_the_gateway_and_another_and_is_judged() {
    let house = house().await;
    let (one, _) = house
        .insides
        .open("one", None, own("one", Role::Viewer))
        .await
        .unwrap();
    let (other, _) = house
        .insides
        .open("other", None, own("other", Role::Viewer))
        .await
        .unwrap();
    for (whom, expected) in [
        (Address::GATEWAY, PeerKind::Gateway),
        (other.address(), PeerKind::Program),
    ] {
        let body = soon(one.ask(whom, Request::Identify, PATIENCE)).await;
        let Ok(Body::Identify { peer_kind, .. }) = body else {
            panic!("{body:?}");
        };
        assert_eq!(peer_kind, expected);
    }
    // Who a command was given by is told by the gateway.
    let asked = Request::Lookup {
        address: one.address(),
    };
    let Ok(Body::Lookup { title, .. }) = soon(other.ask(Address::GATEWAY, asked, PATIENCE)).await
    else {
        panic!("no look-up");
    };
    assert_eq!(title, own_account("one").unwrap());
    // The relay judges what a viewer may not do, and what there is not.
    let enrol = Request::Enrol {
        title: title.clone(),
        site: None,
    };
    let refused = soon(one.ask(Address::GATEWAY, enrol, PATIENCE)).await;
    assert_eq!(refused.unwrap_err().code, Code::Forbidden);
    let refused = soon(one.ask(Address(7), Request::Health, PATIENCE)).await;
    assert_eq!(refused.unwrap_err().code, Code::UnknownAddress);
    // Subscribed to everything, it gets an end marker at once, for there is nothing.
    let subscribe = Request::Subscribe { controllers: None };
    let body = soon(one.ask(Address::GATEWAY, subscribe, PATIENCE)).await;
    assert_eq!(body, Ok(Body::Subscribe { count: 0 }));
    assert_eq!(house.telemetry.peers_inside.load(Ordering::Relaxed), 2);
    assert_eq!(house.telemetry.connections_open.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_and_the_place_comes_back() {
    let house = house().await;
    let (peer, mut frames) = house
        .insides
        .open("one", None, own("one", Role::Viewer))
        .await
        .unwrap();
    assert!(
        soon(peer.ask(Address::GATEWAY, Request::Identify, PATIENCE))
            .await
            .is_ok()
    );
    house.yard.shut_down().await;
    assert_eq!(soon(frames.next()).await.unwrap_err(), Code::ShuttingDown);
    let refused = soon(peer.ask(Address::GATEWAY, Request::Identify, PATIENCE)).await;
    assert_eq!(refused.unwrap_err().code, Code::ShuttingDown);
    house.tasks.close();
    soon(house.tasks.wait()).await;
    assert_eq!(house.telemetry.peers_inside.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_ends_with_the_log_in_that_it_rests_on() {
    let house = house().await;
    let (name, token) = (Title::new("li").unwrap(), TokenHash([3; 32]));
    let now = crate::clock::time();
    let account = crate::store::Account {
        name: name.clone(),
        rights: Rights::everywhere(Role::Viewer),
        password_hash: "none".into(),
        totp: None,
        created: now,
    };
    house.config.add_account(account).await.unwrap();
    let new = NewToken {
        hash: token,
        account: name,
        kind: TokenKind::Session,
        title: "test".into(),
        expires: now.plus(Duration::from_secs(600)),
    };
    house.config.add_token(new, now).await.unwrap();
    let looks = house.yard.looks();
    let login = house.config.login(token, now).await.unwrap().unwrap();
    let authority = Authority::LogIn {
        token,
        login,
        looks,
    };
    let (peer, mut frames) = house.insides.open("api", None, authority).await.unwrap();
    assert!(
        soon(peer.ask(Address::GATEWAY, Request::Identify, PATIENCE))
            .await
            .is_ok()
    );
    assert!(house.config.revoke_token(token).await.unwrap());
    house.yard.access_changed();
    assert_eq!(soon(frames.next()).await.unwrap_err(), Code::Revoked);
    assert_eq!(peer.ended(), Code::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_all_places() {
    let house = house().await;
    let mut peers = Vec::new();
    for _ in 0..PEERS_PER_ACCOUNT_MAX {
        let opened = house
            .insides
            .open("one", None, own("one", Role::Viewer))
            .await;
        peers.push(opened.unwrap());
    }
    let refused = house
        .insides
        .open("one", None, own("one", Role::Viewer))
        .await;
    assert_eq!(refused.err(), Some(Code::RateLimited));
    assert!(
        house
            .insides
            .open("other", None, own("other", Role::Viewer))
            .await
            .is_ok()
    );
    drop(peers);
    // Their tasks end by themselves, and then there is room again.
    soon(async {
        while house
            .insides
            .open("one", None, own("one", Role::Viewer))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let without = Authority::Gateway {
        account: own_account("none").unwrap(),
        rights: Rights::default(),
    };
    let refused = house.insides.open("none", None, without).await;
    assert_eq!(refused.err(), Some(Code::Forbidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_nobody_is_refused_by_its_receipt() {
    let house = house().await;
    let (peer, _) = house
        .insides
        .open("one", None, own("one", Role::Operator))
        .await
        .unwrap();
    let command = Command {
        key: Key([9; 16]),
        expiry: crate::clock::time().plus(Duration::from_secs(60)),
        wait: false,
        action: switchyard_protocol::message::Action::Set {
            point: switchyard_protocol::message::Name::new("RL1").unwrap(),
            value: 1,
        },
    };
    let mut receipts = soon(peer.command(Address(7), command)).await.unwrap();
    assert_eq!(receipts.key(), Key([9; 16]));
    let receipt = soon(receipts.next()).await.unwrap();
    assert_eq!(receipt.reason, Some(Code::UnknownAddress));
    assert!(receipt.is_final);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_nobody_reads_wait_and_lose_nothing() {
    let (own, mut yard) = UnixStream::pair().unwrap();
    let (wishes, wanted) = mpsc::channel(WISHES_MAX);
    let (sent, frames) = mpsc::channel(FRAMES_MAX);
    let (tell_end, end) = watch::channel(None);
    let session = Session::new(own, Address(0xC000_0001), "one", Duration::from_secs(20));
    tokio::spawn(session.run(wanted, sent, tell_end));
    let peer = Peer {
        address: Address(0xC000_0001),
        wishes,
        end,
    };
    let mut frames = Frames {
        frames,
        peer: peer.clone(),
    };
    // More than has room, in one write; and the last word behind them.
    let count = 3 * FRAMES_MAX as u32;
    let mut bytes = Vec::new();
    for number in 1..=count {
        let frame = Frame::new(Kind::StatusDelta, number, Address(7), Address::GATEWAY, &[]);
        bytes.extend_from_slice(frame.bytes());
    }
    let last_word = switchyard_protocol::message::ErrorMessage {
        code: Code::SlowPeer,
        detail: None,
    };
    let last_word = Frame::new(
        Kind::Error,
        0,
        Address::GATEWAY,
        Address(0xC000_0001),
        &last_word.encode(),
    );
    bytes.extend_from_slice(last_word.bytes());
    tokio::io::AsyncWriteExt::write_all(&mut yard, &bytes)
        .await
        .unwrap();
    drop(yard);
    for number in 1..=count {
        let frame = soon(frames.next()).await.unwrap();
        assert_eq!(frame.header().correlation, number);
    }
    assert_eq!(soon(frames.next()).await.unwrap_err(), Code::SlowPeer);
}
