//! Who of a roll-out's controllers is there: a peer inside that subscribes to them as a tool does, and
//! reads nothing of it but who comes and goes.

use super::hands::{PART, authority};
use crate::{
    inside::{Frames, Insides, Peer, Refusal},
    store::RolloutId,
    telemetry::{Telemetry, count},
};
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
/// How long it may take to be told of all of them once: a hundred thousand controllers are 391 subscriptions, each
/// answered within seconds. Meanwhile the roll-out stands still.
const TOLD_TIMEOUT: Duration = Duration::from_secs(600);
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

/// Watches a roll-out's controllers until nobody reads the news. Cancel-safe.
pub(super) fn watch(
    insides: Arc<Insides>,
    telemetry: Arc<Telemetry>,
    rollout: RolloutId,
    controllers: Vec<Address>,
) -> (mpsc::Receiver<News>, impl Future<Output = ()> + Send) {
    let (news, told) = mpsc::channel(NEWS_MAX);
    let observer = Observer {
        insides,
        telemetry,
        rollout,
        controllers,
        news,
        is_deaf: false,
    };
    (told, observer.run())
}

struct Observer {
    insides: Arc<Insides>,
    telemetry: Arc<Telemetry>,
    rollout: RolloutId,
    controllers: Vec<Address>,
    news: mpsc::Sender<News>,
    /// Its latest peer came to nothing before it had been told of all, which has been said.
    is_deaf: bool,
}

/// Nobody reads the news any more.
struct Unread;

/// How a peer ended.
struct End {
    code: Code,
    /// After it had been told of all.
    was_told: bool,
}

impl Observer {
    async fn run(mut self) {
        loop {
            match self.observe().await {
                Ok(end) => self.complain(&end),
                Err(Unread) => return,
            }
            tokio::select! {
                () = self.news.closed() => return,
                () = tokio::time::sleep(REOPEN_PAUSE) => {}
            }
        }
    }

    /// Says once that a roll-out does not hear who is there: until it does, nothing of it begins.
    fn complain(&mut self, end: &End) {
        let (rollout, reason) = (self.rollout, end.code.name());
        // Where the roll-out itself reads nothing, it waits for the store, and has said so.
        if end.was_told || self.news.capacity() == 0 {
            tracing::debug!(%rollout, reason, "a roll-out's observer begins anew");
            return;
        }
        count(&self.telemetry.rollout_observers_failed);
        if self.is_deaf {
            tracing::debug!(%rollout, reason, "a roll-out still does not hear who is there");
        } else {
            tracing::warn!(
                %rollout, reason,
                "a roll-out does not hear who is there, and waits; it is tried again"
            );
        }
        self.is_deaf = true;
    }

    /// One peer's life; why it ended.
    async fn observe(&mut self) -> Result<End, Unread> {
        let early = |code| {
            Ok(End {
                code,
                was_told: false,
            })
        };
        let beginning = tokio::time::timeout(TOLD_TIMEOUT, self.begin()).await;
        let (peer, frames, unknown) = match beginning {
            Ok(begun) => match begun? {
                Ok(begun) => begun,
                Err(code) => return early(code),
            },
            Err(_) => return early(Code::TimedOut),
        };
        if std::mem::take(&mut self.is_deaf) {
            tracing::info!(rollout = %self.rollout, "a roll-out hears again who is there");
        }
        let code = self.go_on(&peer, frames, unknown).await?;
        Ok(End {
            code,
            was_told: true,
        })
    }

    /// Opens a peer and has it told of all controllers once; those that the yard does not know.
    async fn begin(&self) -> Result<Result<(Peer, Frames, Vec<Address>), Code>, Unread> {
        let authority = match authority(Role::Viewer) {
            Ok(authority) => authority,
            Err(code) => return Ok(Err(code)),
        };
        let (peer, mut frames) = match self.insides.open(PART, None, authority).await {
            Ok(opened) => opened,
            Err(code) => return Ok(Err(code)),
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
                            Err(code) => return Ok(Err(code)),
                        }
                    }
                }
                Err(code) => return Ok(Err(code)),
            }
        }
        self.tell(News::AllTold).await?;
        Ok(Ok((peer, frames, unknown)))
    }

    /// Passes on what is told until the peer ends; why it did.
    async fn go_on(
        &self,
        peer: &Peer,
        mut frames: Frames,
        mut unknown: Vec<Address>,
    ) -> Result<Code, Unread> {
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
                        match self.subscribe(peer, &mut frames, &[one]).await? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inside::tests::house;
    use std::sync::atomic::Ordering;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_is_not_let_in_is_counted_and_comes_in_later() {
        let house = house().await;
        let insides = Arc::new(house.insides);
        // Its places are taken.
        let mut others = Vec::new();
        while let Ok(other) = insides
            .open(PART, None, authority(Role::Viewer).unwrap())
            .await
        {
            others.push(other);
        }
        let telemetry = Arc::clone(&house.telemetry);
        let controllers = vec![Address(7)];
        let (mut news, observing) = watch(insides, telemetry, RolloutId(1), controllers);
        let observing = tokio::spawn(observing);
        let patience = Duration::from_secs(20);
        let counted = async {
            while house
                .telemetry
                .rollout_observers_failed
                .load(Ordering::Relaxed)
                == 0
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, counted).await.unwrap();
        assert!(news.try_recv().is_err(), "nothing was told");
        drop(others);
        let told = tokio::time::timeout(patience, news.recv()).await.unwrap();
        assert_eq!(told, Some(News::AllTold), "of nobody that the yard knows");
        drop(news);
        tokio::time::timeout(patience, observing)
            .await
            .unwrap()
            .unwrap();
    }
}
