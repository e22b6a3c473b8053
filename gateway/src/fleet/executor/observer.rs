//! Who of a roll-out's controllers is there: a peer inside that subscribes to them as a tool does, and
//! reads nothing of it but who comes and goes.

use super::hands::{PART, authority};
use crate::inside::{Frames, Insides, Peer, Refusal};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, limits,
    message::{Event, Request},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

/// How long a subscription of 256 controllers may take, behind those of others.
const ANSWER_TIMEOUT: Duration = limits::REQUEST_TIMEOUT;
/// How long to wait after a peer has ended, or could not be opened.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// How often it is asked once more after controllers that the yard did not know: enrolled a moment ago, or
/// withdrawn.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(30);
/// How many of those each time.
const UNKNOWN_AT_ONCE: usize = 64;
/// News that may wait for the roll-out. With more of them nothing is read on, and the yard conflates.
const NEWS_MAX: usize = 1_024;

/// What a roll-out is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A controller is there, or is not.
    Presence(Address, bool),
    /// All that there is to be told has been told once.
    AllTold,
}

/// Watches these controllers until nobody reads the news. Cancel-safe.
pub(super) fn watch(
    insides: Arc<Insides>,
    controllers: Vec<Address>,
) -> (mpsc::Receiver<News>, impl Future<Output = ()> + Send) {
    let (news, told) = mpsc::channel(NEWS_MAX);
    let observer = Observer {
        insides,
        controllers,
        news,
    };
    (told, observer.run())
}

struct Observer {
    insides: Arc<Insides>,
    controllers: Vec<Address>,
    news: mpsc::Sender<News>,
}

/// Nobody reads the news any more.
struct Unread;

impl Observer {
    async fn run(self) {
        loop {
            match self.observe().await {
                Ok(code) => {
                    let reason = code.name();
                    tracing::debug!(reason, "a roll-out's observer begins anew");
                }
                Err(Unread) => return,
            }
            tokio::select! {
                () = self.news.closed() => return,
                () = tokio::time::sleep(REOPEN_PAUSE) => {}
            }
        }
    }

    /// One peer's life; why it ended.
    async fn observe(&self) -> Result<Code, Unread> {
        let authority = match authority(Role::Viewer) {
            Ok(authority) => authority,
            Err(code) => return Ok(code),
        };
        let (peer, mut frames) = match self.insides.open(PART, None, authority).await {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        let mut unknown = Vec::new();
        for some in self.controllers.chunks(limits::SUBSCRIBE_ADDRESSES_MAX) {
            match self.subscribe(&peer, &mut frames, some).await? {
                Ok(()) => {}
                Err(Code::UnknownAddress) => {
                    // One of them is unknown, and with it all are refused.
                    for one in some {
                        match self.subscribe(&peer, &mut frames, &[*one]).await? {
                            Ok(()) => {}
                            Err(Code::UnknownAddress) => unknown.push(*one),
                            Err(code) => return Ok(code),
                        }
                    }
                }
                Err(code) => return Ok(code),
            }
        }
        self.tell(News::AllTold).await?;
        let first = Instant::now() + UNKNOWN_INTERVAL;
        let mut looks = tokio::time::interval_at(first, UNKNOWN_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.news.closed() => return Err(Unread),
                frame = frames.next() => match frame {
                    Ok(frame) => self.note(&frame).await?,
                    Err(code) => return Ok(code),
                },
                _ = looks.tick(), if !unknown.is_empty() => {
                    let some = unknown.len().min(UNKNOWN_AT_ONCE);
                    for one in unknown.drain(..some).collect::<Vec<_>>() {
                        match self.subscribe(&peer, &mut frames, &[one]).await? {
                            Ok(()) => {}
                            // Behind the others, which have their turn first.
                            Err(Code::UnknownAddress) => unknown.push(one),
                            Err(code) => return Ok(code),
                        }
                    }
                }
            }
        }
    }

    /// Has the yard tell of controllers from now on, and passes on what it tells at once.
    async fn subscribe(
        &self,
        peer: &Peer,
        frames: &mut Frames,
        controllers: &[Address],
    ) -> Result<Result<(), Code>, Unread> {
        let controllers = Some(controllers.to_vec());
        let question = Request::Subscribe { controllers };
        let asking = peer.ask(Address::GATEWAY, question, ANSWER_TIMEOUT);
        tokio::pin!(asking);
        // The snapshot comes first, and has to be read for the answer to come.
        let answer = loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Ok(frame) => self.note(&frame).await?,
                    Err(code) => return Ok(Err(code)),
                },
                answer = &mut asking => break answer,
            }
        };
        let here: Vec<Frame> = frames.here().collect();
        for frame in here {
            self.note(&frame).await?;
        }
        Ok(answer.map(drop).map_err(|Refusal { code, .. }| code))
    }

    async fn note(&self, frame: &Frame) -> Result<(), Unread> {
        if frame.header().kind != Kind::Event {
            return Ok(());
        }
        if let Ok(Event::Presence {
            controller, online, ..
        }) = Event::decode(frame.payload())
        {
            self.tell(News::Presence(controller, online)).await?;
        }
        Ok(())
    }

    async fn tell(&self, news: News) -> Result<(), Unread> {
        self.news.send(news).await.map_err(|_| Unread)
    }
}
