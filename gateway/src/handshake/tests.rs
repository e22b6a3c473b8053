//! A controller's key is replaced (`docs/protocol.md` §6.2): the controller is the firmware's core over a
//! real connection, the gateway the prover and what [`Keys::step`] says, step by step.

use super::*;
use crate::{
    keys::KeyStep,
    store::{ControllerEntry, ControllerKey, Database, Sealer, SqlConfigStore},
    telemetry::Telemetry,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};
use switchyard_firmware::{
    Action, Behaviour, Controller, ControllerKey as FirmwareKey, Flash, Settings as Firmware,
};
use switchyard_protocol::message::{Answer, Body, Request, Time, Title, Verb, verb_of};
use tokio::{net::TcpListener, task::JoinSet};

const PUMP: Address = Address(100_042);
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
    stream: TcpStream,
    wire: Wire,
    buffer: Vec<u8>,
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
        let prover = Prover {
            door: Door::new(&settings, telemetry),
            settings: Arc::new(settings),
            config: Arc::new(config.unwrap()),
            keyring: Arc::default(),
            replays: Replays::default(),
        };
        Gateway {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            prover,
            _folder: folder,
        }
    }

    /// From now on these are the controller's keys, as if its store said so.
    fn knows(&self, keys: Keys) {
        let entry = ControllerEntry {
            address: PUMP,
            title: Title::new("pump").unwrap(),
            site: None,
            tags: Vec::new(),
            enrolled: Time(0),
        };
        self.prover.keyring.learn(&[(entry, keys)]);
    }

    /// The next dial.
    async fn meet(&self) -> Result<Session, Code> {
        let (mut stream, peer) = self.listener.accept().await.unwrap();
        let proven = self.prover.prove(&mut stream, peer.ip(), false).await;
        let proven = proven.map_err(|refusal| refusal.code)?;
        assert_eq!(proven.address, PUMP);
        Ok(Session {
            stream,
            wire: proven.wire,
            buffer: proven.rest,
            by_key: proven.by_key,
        })
    }

    /// A dial that is refused, and then one by this key.
    async fn meet_at_the_second(&self, which: WhichKey) -> Session {
        assert_eq!(self.meet().await.err(), Some(Code::HandshakeFailed));
        self.meet_by(which).await
    }

    async fn meet_by(&self, which: WhichKey) -> Session {
        let session = self.meet().await.unwrap();
        assert_eq!(session.by_key, Some(which));
        session
    }
}

impl Session {
    /// Asks, and waits for the answer among all that the controller tells besides.
    async fn ask(&mut self, request: &Request) -> Answer {
        let (kind, payload) = (request.verb().kind(), request.encode());
        let frame = Frame::new(kind, 7, Address::GATEWAY, PUMP, &payload);
        let Wire::Noise(wire) = &mut self.wire else {
            panic!("expected a link that hides a key")
        };
        let mut record = Vec::new();
        wire.wrap(frame.bytes(), &mut record).unwrap();
        self.stream.write_all(&record).await.unwrap();
        loop {
            let mut at = 0;
            while let Step::Frames(range) = self.wire.next(&mut self.buffer, &mut at).unwrap() {
                let mut frames = BytesMut::from(&self.buffer[range]);
                while let Some(frame) = Frame::decode(&mut frames, usize::from(u16::MAX)).unwrap() {
                    let header = frame.header();
                    if header.kind == Kind::Response && header.correlation == 7 {
                        assert_eq!(verb_of(frame.payload()), Ok(Verb::Rekey.number()));
                        self.buffer.drain(..at);
                        return Answer::decode(frame.payload()).unwrap();
                    }
                }
            }
            self.buffer.drain(..at);
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert_ne!(read, 0, "the controller has hung up");
        }
    }

    /// Takes the step that these keys want, which must be this one; the controller agrees.
    async fn step(&mut self, keys: &Keys, may_forget: bool, expected: KeyStep) {
        let proven = self.by_key.unwrap();
        let step = keys.step(proven, may_forget);
        assert_eq!(step, expected);
        if let Some(request) = step.request() {
            let answer = self.ask(&request).await;
            assert_eq!(answer, Answer::Ok(Body::Done(Verb::Rekey)));
        }
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
    let only_old = Keys::from(OLD);
    let both = Keys {
        current: OLD,
        next: Some(NEW),
    };
    gateway.knows(only_old);
    let _controller = controller(&gateway, flash);
    let mut session = gateway.meet_by(WhichKey::Current).await;
    session.step(&only_old, true, KeyStep::Rest).await;

    gateway.knows(both);
    session.step(&both, false, KeyStep::Offer(NEW)).await;
    session.step(&both, false, KeyStep::Offer(NEW)).await;
    drop(session);
    let mut session = gateway.meet_by(WhichKey::Next).await;
    session.step(&both, false, KeyStep::Rest).await;

    // Restored from yesterday's backup, and another change begins.
    gateway.knows(only_old);
    drop(session);
    let mut session = gateway.meet_at_the_second(WhichKey::Current).await;
    let other = Keys {
        current: OLD,
        next: Some(NEWER),
    };
    gateway.knows(other);
    session.step(&other, true, KeyStep::Offer(NEWER)).await;
    drop(session);
    let mut session = gateway.meet_by(WhichKey::Next).await;

    // The gateway dies between the controller's answer and its own store.
    session.step(&other, true, KeyStep::Forget).await;
    drop(session);
    let mut session = gateway.meet_by(WhichKey::Next).await;
    session.step(&other, true, KeyStep::Forget).await;
    gateway.knows(other.settled());
    drop(session);
    let session = gateway.meet_by(WhichKey::Current).await;

    // Nobody comes in by what was forgotten.
    gateway.knows(both);
    drop(session);
    assert_eq!(gateway.meet().await.err(), Some(Code::HandshakeFailed));
    gateway.knows(other.settled());
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

#[tokio::test]
async fn a_key_that_the_gateway_lost_is_no_loss() {
    let gateway = Gateway::start().await;
    gateway.knows(OLD.into());
    let _controller = controller(&gateway, None);
    let mut session = gateway.meet_by(WhichKey::Current).await;
    let key = switchyard_protocol::message::LinkKey(NEW.0);
    let request = Request::Rekey { key: Some(key) };
    assert_eq!(
        session.ask(&request).await,
        Answer::Ok(Body::Done(Verb::Rekey))
    );
    // The gateway was not told to know it: the controller comes back by the other one.
    drop(session);
    gateway.meet_at_the_second(WhichKey::Current).await;
}
