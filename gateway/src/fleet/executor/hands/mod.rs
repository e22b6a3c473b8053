//! What is done at controllers for roll-outs: looks, sends, ends of trials, by a peer inside the yard.
//!
//! Each action ends by its `until`, or with the tenure: from then on it has no effect any more, but for one
//! request that was under way. Whatever the controller refuses is judged in `refusals`.
//!
//! - `script`: scripts, which run on trial first.
//! - `parameters`: values of parameters, which hold at once.
//! - `firmware`: firmware, whose trial is the controller's own.

mod firmware;
mod parameters;
mod refusals;
mod script;

use firmware::LastContents;

use crate::{
    fleet::rollout::{Action, Answer, Ask, Release, ReleaseKind},
    inside::{Insides, Peer, Refusal, own_account},
    store::{ConfigStore, StoreError},
    telemetry::{Telemetry, count},
    tenure::Tenure,
    yard::Authority,
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Role, limits,
    message::{Body, Health, Request, Title},
};
use switchyard_relay::Rights;
use tokio::{sync::Semaphore, time::Instant};

/// Actions at once, of all roll-outs. Each holds one request open, and a peer may have 256; a look takes a
/// few milliseconds and a script some seconds, so that this is not what a roll-out waits for.
const ACTIONS_MAX: usize = 128;
/// Of firmware at once, beside them: each takes minutes, and others are not to wait for it.
const FIRMWARES_MAX: usize = 32;
/// How long one answer may take: what the relay forgets a request after.
const ANSWER_TIMEOUT: Duration = limits::REQUEST_TIMEOUT;
/// What has an effect is not begun later than this before an action's end, so that the answer comes within
/// it, or never.
const EFFECT_TIME: Duration = limits::REQUEST_TIMEOUT;

/// Whether something that takes minutes may still be stopped: it is stopped, or it is committed, and never both.
#[derive(Debug, Default)]
pub(super) struct Going(AtomicU8);

impl Going {
    const STOPPED: u8 = 1;
    const COMMITTED: u8 = 2;

    /// Whether it is stopped, or was before.
    pub(super) fn stop(&self) -> bool {
        self.end(Self::STOPPED)
    }

    /// Whether it is committed.
    fn commit(&self) -> bool {
        self.end(Self::COMMITTED)
    }

    fn end(&self, wanted: u8) -> bool {
        let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
        match self.0.compare_exchange(0, wanted, order, failed) {
            Ok(_) => true,
            Err(found) => found == wanted,
        }
    }
}

/// Whose name the peers of roll-outs bear.
pub(super) const PART: &str = "roll-out";

/// See the module.
pub(super) struct Hands {
    store: Arc<dyn ConfigStore>,
    insides: Arc<Insides>,
    telemetry: Arc<Telemetry>,
    /// The one by which all is asked; opened anew when it has ended.
    peer: tokio::sync::Mutex<Option<Peer>>,
    places: Semaphore,
    places_of_firmware: Semaphore,
    /// Controllers at which something is being done: two roll-outs with the same one take turns, for a
    /// transfer belongs to a peer, and they share it.
    busy: Mutex<HashSet<Address>>,
    contents: LastContents,
}

impl Hands {
    /// None of them moves yet.
    pub(super) fn new(
        store: Arc<dyn ConfigStore>,
        insides: Arc<Insides>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Hands {
            store,
            insides,
            telemetry,
            peer: tokio::sync::Mutex::default(),
            places: Semaphore::new(ACTIONS_MAX),
            places_of_firmware: Semaphore::new(FIRMWARES_MAX),
            busy: Mutex::default(),
            contents: LastContents::default(),
        }
    }

    /// Does what is asked, by `until` at the latest; `None` when that, or the tenure, was over before there
    /// was an answer. Dropping it stops it; where it brings a firmware, without a trace until that is committed.
    pub(super) async fn perform(
        &self,
        release: Release,
        action: &Action,
        (until, going): (Instant, &Going),
        tenure: &Tenure,
    ) -> Option<Answer> {
        let places = match (release.kind, action.ask) {
            (ReleaseKind::Firmware, Ask::Send { .. }) => &self.places_of_firmware,
            _ => &self.places,
        };
        let acting = async {
            let _place = places.acquire().await;
            let Some(_turn) = self.turn(action.controller) else {
                return Answer::Unreached("another roll-out is at it".into());
            };
            self.act(release, action, (until, going))
                .await
                .unwrap_or_else(|Early(answer)| answer)
        };
        let acting = tokio::time::timeout_at(until, acting);
        let answer = tenure.within(acting).await?.ok()?;
        let counter = match &answer {
            Answer::Inspected(_) | Answer::OtherBoard => &self.telemetry.rollout_looks,
            Answer::Sent { .. } | Answer::Done => &self.telemetry.rollout_changes,
            Answer::WentBack | Answer::Refused(_) => &self.telemetry.rollout_refusals,
            Answer::Unreached(_) => &self.telemetry.rollout_unreached,
        };
        count(counter);
        Some(answer)
    }

    async fn act(
        &self,
        release: Release,
        action: &Action,
        (until, going): (Instant, &Going),
    ) -> Result<Answer, Early> {
        let at = At {
            peer: self.peer().await?,
            controller: action.controller,
            store: &*self.store,
            contents: &self.contents,
            going,
            until,
        };
        match (release.kind, action.ask) {
            (ReleaseKind::Script, Ask::Inspect { save, .. }) => at.inspect_script(save).await,
            (ReleaseKind::Script, Ask::Send { digest, trial }) => {
                at.send_script(digest, trial).await
            }
            (ReleaseKind::Script, Ask::Keep) => at.end_trial(release.digest, true).await,
            (ReleaseKind::Script, Ask::Revert) => at.end_trial(release.digest, false).await,
            (ReleaseKind::Parameters, Ask::Inspect { save, before }) => {
                at.inspect_parameters(release, save, before).await
            }
            (ReleaseKind::Parameters, Ask::Send { digest, .. }) => at.send_parameters(digest).await,
            // There is no trial of them.
            (ReleaseKind::Parameters, Ask::Keep | Ask::Revert) => Err(Code::WrongState.into()),
            (ReleaseKind::Firmware, Ask::Inspect { save, before }) => {
                at.inspect_firmware(release, (save, before)).await
            }
            (ReleaseKind::Firmware, Ask::Send { digest, trial }) => {
                at.send_firmware(digest, trial).await
            }
            (ReleaseKind::Firmware, Ask::Revert) => at.give_up_firmware().await,
            (ReleaseKind::Firmware, Ask::Keep) => Err(Code::WrongState.into()),
        }
    }

    async fn peer(&self) -> Result<Peer, Early> {
        let mut kept = self.peer.lock().await;
        if let Some(peer) = kept.as_ref().filter(|peer| !peer.has_ended()) {
            return Ok(peer.clone());
        }
        let authority = authority(Role::Technician)?;
        let (peer, _) = self.insides.open(PART, None, authority).await?;
        Ok(kept.insert(peer).clone())
    }

    fn turn(&self, controller: Address) -> Option<Turn<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(controller).then_some(Turn(self, controller))
    }
}

/// The gateway's own right to do this everywhere: who began the roll-out was judged then.
pub(super) fn authority(role: Role) -> Result<Authority, Code> {
    let account: Title = own_account(PART).ok_or(Code::Internal)?;
    let rights = Rights::everywhere(role);
    Ok(Authority::Gateway { account, rights })
}

/// A controller at which something is being done; given back when it is dropped.
struct Turn<'a>(&'a Hands, Address);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.1);
    }
}

/// An answer that comes before all was done.
struct Early(Answer);

impl Early {
    fn later(words: &str) -> Self {
        Early(Answer::Unreached(words.into()))
    }
}

impl From<Refusal> for Early {
    fn from(refusal: Refusal) -> Self {
        Early(refusals::answer(&refusal))
    }
}

impl From<Code> for Early {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

impl From<StoreError> for Early {
    fn from(error: StoreError) -> Self {
        Early(Answer::Unreached(error.to_string()))
    }
}

/// Where an action is done, and until when.
struct At<'a> {
    peer: Peer,
    controller: Address,
    store: &'a dyn ConfigStore,
    contents: &'a LastContents,
    going: &'a Going,
    until: Instant,
}

impl At<'_> {
    async fn ask(&self, request: Request) -> Result<Body, Refusal> {
        let asking = self.peer.ask(self.controller, request, ANSWER_TIMEOUT);
        asking.await
    }

    async fn health(&self) -> Result<Health, Refusal> {
        match self.ask(Request::Health).await? {
            Body::Health(health) => Ok(*health),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Whether something with an effect may still be begun.
    fn may_take_effect(&self) -> Result<(), Early> {
        if Instant::now() + EFFECT_TIME > self.until {
            return Err(Early::later("it took too long"));
        }
        Ok(())
    }
}
