//! A call, as its owner holds it.

use crate::{
    error::Error,
    media::stream::Stream,
    outcome::{End, Event},
    sip::call::CallRequest,
    trunk::{
        driver::Command,
        sound::{self, Sound},
    },
};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{Notify, OwnedSemaphorePermit, mpsc},
};
use tokio_util::sync::CancellationToken;

/// What may wait for an owner who does not listen, or between two tasks.
const EVENTS_MAX: usize = 64;

/// Numbers of calls, of all trunks of the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A call that goes on. Dropping it hangs up, in the background.
#[derive(Debug)]
pub struct Call {
    events: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
}

/// What is played.
#[derive(Debug)]
enum Wish {
    Play(Arc<[i16]>),
    Stop,
}

/// What owner and task share.
#[derive(Debug)]
pub(super) struct Shared {
    wish: Mutex<Option<Wish>>,
    has_wish: Notify,
    pub(super) hang_up: CancellationToken,
    end: Mutex<Option<End>>,
}

/// What a call begins with.
pub(super) struct Begin {
    pub(super) number: String,
    pub(super) ring_limit: Duration,
    pub(super) talk_limit: Duration,
    pub(super) server: SocketAddr,
    pub(super) local_ip: IpAddr,
    pub(super) public_ip: Option<IpAddr>,
    pub(super) socket: UdpSocket,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Call {
    pub(super) async fn begin(
        begin: Begin,
        to_driver: &mpsc::Sender<Command>,
    ) -> Result<Self, Error> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut chance = [0; 8];
        SystemRandom::new()
            .fill(&mut chance)
            .map_err(|_| Error::Socket(std::io::Error::other("no random numbers are to be had")))?;
        let [a, b, c, d, e, f, g, h] = chance;
        let stream = Stream::new(
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        );
        let request = CallRequest {
            id,
            number: begin.number,
            sound: sound::address(&begin.socket, begin.public_ip).map_err(Error::Socket)?,
            ring_limit: begin.ring_limit,
            talk_limit: begin.talk_limit,
        };
        let (events, from_driver) = mpsc::channel(EVENTS_MAX);
        let command = Command::Call {
            server: begin.server,
            local_ip: begin.local_ip,
            request,
            events,
        };
        to_driver.send(command).await.map_err(|_| Error::Closed)?;
        let shared = Arc::new(Shared {
            wish: Mutex::new(None),
            has_wish: Notify::new(),
            hang_up: CancellationToken::new(),
            end: Mutex::new(None),
        });
        let (to_owner, events) = mpsc::channel(EVENTS_MAX);
        let sound = Sound {
            id,
            socket: begin.socket,
            stream,
            from_driver,
            to_driver: to_driver.clone(),
            to_owner,
            shared: Arc::clone(&shared),
            permit: begin.permit,
        };
        tokio::spawn(sound.run());
        Ok(Call { events, shared })
    }

    /// What happens next. After [`Event::Ended`], that again. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => Event::Ended(self.shared.end()),
        }
    }

    /// Plays this, of 8,000 samples each second, instead of what is being played. Before the call is answered it
    /// waits for that. [`Event::Played`] tells when the last of it has gone out; what is replaced or stopped is not told.
    pub fn play(&mut self, sound: Arc<[i16]>) {
        self.shared.wish(Wish::Play(sound));
    }

    /// Plays nothing more.
    pub fn stop(&mut self) {
        self.shared.wish(Wish::Stop);
    }

    /// Hangs up, however far the call is, and says what became of it: within seconds, whatever the trunk does.
    /// Dropping the future leaves the call hung up.
    pub async fn hang_up(mut self) -> End {
        self.shared.hang_up.cancel();
        loop {
            if let Event::Ended(end) = self.next().await {
                return end;
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.hang_up.cancel();
    }
}

impl Shared {
    fn wish(&self, wish: Wish) {
        *lock(&self.wish) = Some(wish);
        self.has_wish.notify_one();
    }

    pub(super) async fn wishes(&self) {
        self.has_wish.notified().await;
    }

    pub(super) fn take_wishes(&self, stream: &mut Stream) {
        match lock(&self.wish).take() {
            Some(Wish::Play(sound)) => stream.play(sound),
            Some(Wish::Stop) => stream.stop(),
            None => {}
        }
    }

    pub(super) fn ended(&self, end: End) {
        *lock(&self.end) = Some(end);
    }

    fn end(&self) -> End {
        // The task says it before it goes; should it go without, the call is gone too.
        lock(&self.end).clone().unwrap_or(End::Lost)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
