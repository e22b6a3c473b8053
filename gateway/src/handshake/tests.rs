//! A controller's key is replaced (`docs/protocol.md` §6.2): the controller is the firmware's core over a
//! real connection, the gateway the prover and its store.

use super::*;
use crate::{
    keys::NextKey,
    store::{Database, NewController, Sealer, SqlConfigStore},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};
use switchyard_firmware::{
    Action, Behaviour, Controller, ControllerKey as FirmwareKey, Flash, Settings as Firmware,
};
use switchyard_protocol::message::{Time, Title};
use tokio::{net::TcpListener, task::JoinSet};

const PUMP: Address = Address(1);
const OLD: ControllerKey = ControllerKey([1; 32]);
const NEW: ControllerKey = ControllerKey([2; 32]);
const NEWER: ControllerKey = ControllerKey([3; 32]);

/// A gateway as far as proving goes. Its store is a folder that ends with it.
struct Gateway {
    listener: TcpListener,
    prover: Prover,
    _folder: tempfile::TempDir,
}

/// A proven session, of which the gateway's end is the test's.
struct Session {
    _stream: TcpStream,
    by_key: Option<WhichKey>,
}

impl Gateway {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::defaults();
        let telemetry = Telemetry::new();
        let database = Database::Sqlite(folder.path().join("yard.db"));
        let (sealer, patience) = (Sealer::new(&[7; 32]), Duration::from_secs(20));
        let config = SqlConfigStore::open(&database, sealer, 16, patience).await;
        let config = config.unwrap();
        let pump = NewController {
            title: Title::new("pump").unwrap(),
            key: OLD,
            site: None,
        };
        let enrolled = config.enrol(vec![pump], 1, Time(0)).await.unwrap();
        assert_eq!(enrolled, [PUMP]);
        let prover = Prover {
            door: Door::new(&settings, Arc::clone(&telemetry)),
            settings: Arc::new(settings),
            config: Arc::new(config),
            keyring: Arc::default(),
            replays: Replays::default(),
            sent_back: Replays::default(),
            telemetry,
        };
        Gateway {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            prover,
            _folder: folder,
        }
    }

    /// What the store says of the controller's keys; the keyring learns it.
    async fn keys(&self) -> Keys {
        let known = self.prover.config.controller(PUMP).await;
        let (entry, keys) = known.unwrap().unwrap();
        self.prover.keyring.learn(&[(entry, keys)]);
        keys
    }

    /// From now on these are the controller's keys at the door, whatever the store says.
    async fn knows(&self, keys: Keys) {
        let known = self.prover.config.controller(PUMP).await;
        let (entry, _) = known.unwrap().unwrap();
        self.prover.keyring.learn(&[(entry, keys)]);
    }

    /// The next key, in the store and at the door.
    async fn replaces(&self, next: NextKey) {
        let replaced = self.prover.config.replace_controller_key(PUMP, next);
        assert_eq!(replaced.await.unwrap(), Some(next));
        assert_eq!(self.keys().await.next, Some(next));
    }

    /// A backup is restored in which the controller has this key.
    async fn is_restored(&self, key: ControllerKey) {
        let set = self.prover.config.set_controller_key(PUMP, key);
        assert!(set.await.unwrap());
        self.keys().await;
    }

    /// The next dial.
    async fn meet(&self) -> Result<Session, Code> {
        let (mut stream, peer) = self.listener.accept().await.unwrap();
        let proven = self.prover.prove(&mut stream, peer.ip(), false).await;
        let proven = proven.map_err(|refusal| refusal.code)?;
        assert_eq!(proven.address, PUMP);
        Ok(Session {
            _stream: stream,
            by_key: proven.by_key,
        })
    }

    /// A dial that ends so.
    async fn refuses(&self, code: Code) {
        assert_eq!(self.meet().await.err(), Some(code));
    }

    async fn meet_by(&self, which: WhichKey) -> Session {
        let session = self.meet().await.unwrap();
        assert_eq!(session.by_key, Some(which));
        session
    }
}

/// Starts a controller, which ends with what is returned.
fn controller(gateway: &Gateway, flash: Option<Flash>) -> JoinSet<()> {
    let settings = Firmware::new(PUMP, FirmwareKey::new(OLD.0), Behaviour::Latch);
    let controller = match flash {
        Some(flash) => Controller::with_flash(settings, flash, Duration::ZERO),
        None => Controller::new(settings, Duration::ZERO),
    };
    let mut tasks = JoinSet::new();
    let gateway = gateway.listener.local_addr().unwrap();
    tasks.spawn(drive(controller.unwrap(), gateway));
    tasks
}

/// Is a controller's port. Its clock passes over what it waits for between two dials.
async fn drive(mut controller: Controller, gateway: SocketAddr) {
    let started = Instant::now();
    let mut passed_over = Duration::ZERO;
    let mut link: Option<TcpStream> = None;
    loop {
        let now = started.elapsed() + passed_over;
        let wait = controller.poll(now);
        while let Some(bytes) = controller.take_outbound(now) {
            if let Some(stream) = &mut link {
                // Where that fails, reading does as well.
                let _ = stream.write_all(&bytes).await;
            }
        }
        match controller.next_action() {
            Some(Action::Dial(_)) => {
                link = Some(TcpStream::connect(gateway).await.unwrap());
                controller.connected(now);
                continue;
            }
            Some(Action::HangUp) => {
                link = None;
                continue;
            }
            None => {}
        }
        let Some(stream) = &mut link else {
            passed_over += wait;
            tokio::task::yield_now().await;
            continue;
        };
        let mut bytes = [0; 2_048];
        match tokio::time::timeout(wait, stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => {
                link = None;
                controller.disconnected(now);
            }
            Ok(Ok(read)) => controller.receive(&bytes[..read], now),
            Err(_) => {}
        }
    }
}

/// Whatever is lost in between, the controller comes in: by the key that the gateway knows.
async fn a_key_is_replaced(flash: Option<Flash>) {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.keys().await, OLD.into());
    let _controller = controller(&gateway, flash);
    let session = gateway.meet_by(WhichKey::Current).await;

    let later = NextKey {
        key: NEW,
        forget_from: Time(u64::MAX),
    };
    gateway.replaces(later).await;
    drop(session);
    // It takes the key in this one.
    let session = gateway.meet_by(WhichKey::Current).await;
    drop(session);
    let session = gateway.meet_by(WhichKey::Next).await;

    // Restored from yesterday's backup, and another change begins.
    gateway.is_restored(OLD).await;
    drop(session);
    gateway.refuses(Code::HandshakeFailed).await;
    let session = gateway.meet_by(WhichKey::Current).await;
    let at_once = NextKey {
        key: NEWER,
        forget_from: Time(0),
    };
    gateway.replaces(at_once).await;
    drop(session);
    // It takes the newer, and is to dial again.
    gateway.refuses(Code::ShuttingDown).await;
    let session = gateway.meet_by(WhichKey::Next).await;
    let both = Keys {
        current: OLD,
        next: Some(at_once),
    };
    assert_eq!(gateway.keys().await, NEWER.into());

    // Had the gateway died between the controller's answer and its own store, it would ask again.
    gateway.knows(both).await;
    drop(session);
    let session = gateway.meet_by(WhichKey::Next).await;
    gateway.keys().await;
    drop(session);
    let session = gateway.meet_by(WhichKey::Current).await;

    // Nobody comes in by what was forgotten.
    gateway.is_restored(OLD).await;
    drop(session);
    gateway.refuses(Code::HandshakeFailed).await;
    gateway.is_restored(NEWER).await;
    gateway.meet_by(WhichKey::Current).await;
}

#[tokio::test]
async fn a_key_is_replaced_in_flash() {
    a_key_is_replaced(Some(Flash::blank())).await;
}

#[tokio::test]
async fn a_key_is_replaced_in_memory() {
    a_key_is_replaced(None).await;
}
