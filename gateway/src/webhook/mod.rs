//! Webhooks: programs elsewhere that are told of events, alarms, and of controllers that come and go, by HTTP
//! requests that are signed.
//!
//! - [`WebhookSettings`]: who is told of what. [`RawWebhook`] is how people write it.
//! - `delivery`: one attempt.
//!
//! Whoever is told of controllers that come and go is told when the gateway starts, too: it does not know who was there
//! before it.
//!
//! Targets with the same choice of sites share a watcher, which sees just those sites. Each target has a queue
//! and a task, which tells one thing after the other, and tries again until it is told, or too old.

mod delivery;
mod settings;

pub(crate) use delivery::Fault;
pub use settings::{RawWebhook, Told, WebhookSettings};

use crate::{
    backoff::Backoff,
    clock,
    endpoint::{self, Endpoint},
    hex,
    inside::{Insides, Observer, Peer, Watch},
    outward::Happening,
    telemetry::count,
};
use anyhow::Context as _;
use bytes::Bytes;
use delivery::{Parcel, Target};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role,
    message::{Event, Time, Title},
};
use switchyard_relay::Rights;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Its name among the parts of the gateway.
const PART: &str = "webhooks";
/// Parcels that may wait for one target: half a kilobyte each. Past it the oldest go.
const WAITING_MAX: usize = 1_024;
/// The waits between attempts.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PAUSE_MIN`]: how late a target that is back is noticed at most.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long something is tried: after a night and a day it is news to nobody.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What is counted of all targets together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Told and taken.
    pub(crate) delivered: AtomicU64,
    /// Attempts that came to nothing.
    pub(crate) failed: AtomicU64,
    /// Targets said that they have no use for it.
    pub(crate) unwanted: AtomicU64,
    /// Given up for want of room, or since it was too old.
    pub(crate) dropped: AtomicU64,
    /// Those that wait or are under way.
    pub(crate) waiting: AtomicU64,
}

/// A target and what waits for it.
struct Post {
    target: Target,
    queue: Mutex<VecDeque<(Instant, Parcel)>>,
    due: Notify,
    counters: Arc<Counters>,
}

/// Webhooks that are ready to begin.
pub(crate) struct Webhooks(Vec<Target>);

impl Webhooks {
    /// Of these settings. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When a file with authorities is not what it should be.
    pub(crate) fn open(settings: &[WebhookSettings]) -> anyhow::Result<Self> {
        let targets: anyhow::Result<_> = settings.iter().map(target).collect();
        targets.map(Webhooks)
    }

    /// Begins to tell, by peers inside. It ends with `stopping`; what waits then is lost.
    pub(crate) fn start(
        self,
        insides: &Arc<Insides>,
        counters: &Arc<Counters>,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) {
        let mut by_sites: BTreeMap<BTreeSet<_>, Vec<Arc<Post>>> = BTreeMap::new();
        for target in self.0 {
            let sites = target.settings.sites.clone();
            let post = Arc::new(Post {
                target,
                queue: Mutex::default(),
                due: Notify::new(),
                counters: Arc::clone(counters),
            });
            by_sites.entry(sites).or_default().push(Arc::clone(&post));
            tasks.spawn(post.keep(stopping.clone()));
        }
        for (sites, posts) in by_sites {
            let rights = match sites.is_empty() {
                true => Rights::everywhere(Role::Viewer),
                false => Rights::new(None, sites.into_iter().map(|site| (site, Role::Viewer))),
            };
            let watch = Watch::new(Arc::clone(insides), PART, rights);
            let (mut watcher, stopping) = (Watcher::new(posts), stopping.clone());
            tasks.spawn(async move { watch.run(&mut watcher, stopping).await });
        }
    }
}

fn target(settings: &WebhookSettings) -> anyhow::Result<Target> {
    let ca_file = settings.ca_file.as_deref();
    let endpoint = Endpoint::open(&settings.url, settings.allow_private, ca_file);
    Ok(Target {
        endpoint: endpoint
            .with_context(|| format!("webhooks: ca_file of {}", settings.target()))?,
        settings: settings.clone(),
    })
}

/// Looks whether the files that targets need are what they should be.
///
/// # Errors
/// When they are not.
pub(crate) fn check(settings: &[WebhookSettings]) -> anyhow::Result<()> {
    Webhooks::open(settings).map(|_| ())
}

/// Looks where a target's name leads, without telling it anything.
///
/// # Errors
/// When it leads nowhere, or where nothing is to go.
pub(crate) async fn probe(settings: &WebhookSettings) -> Result<(), endpoint::Fault> {
    let endpoint = Endpoint::unread(&settings.url, settings.allow_private);
    endpoint.addresses().await.map(|_| ())
}

/// One attempt to tell a server something that is signed with this secret. By its `id` it knows it when it comes again.
///
/// # Errors
/// Why it came to nothing.
pub(crate) async fn post(
    endpoint: &Endpoint,
    secret: &[u8],
    id: &str,
    body: &Bytes,
) -> Result<(), Fault> {
    delivery::deliver(endpoint, secret, id, body, clock::time()).await
}

/// What is known of a controller.
struct Known {
    title: Title,
    online: bool,
    /// Since when it is there or away.
    since: Time,
    /// The number of its latest event.
    happened: Option<u32>,
}

/// Takes in what the yard tells, and posts what is worth it.
struct Watcher {
    posts: Vec<Arc<Post>>,
    known: HashMap<Address, Known>,
    /// Told of since the snapshot began: what is not in here at its end is gone.
    mentioned: BTreeSet<Address>,
    is_synced: bool,
    /// That the gateway has started has been told.
    is_started: bool,
}

impl Watcher {
    fn new(posts: Vec<Arc<Post>>) -> Self {
        Watcher {
            posts,
            known: HashMap::new(),
            mentioned: BTreeSet::new(),
            is_synced: false,
            is_started: false,
        }
    }

    /// Tells that the gateway has started, and who is there by now. Nobody remembers who was there before it: those that
    /// do not come back are away, and whoever wants to know of it has to forget what they were told before.
    fn start(&mut self) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        self.post(None, Told::Presence, "gateway_started", json!({}));
        for (controller, known) in self.known.iter().filter(|(_, known)| known.online) {
            let told = json!({ "online": true, "since": known.since.0, "reason": null });
            self.post(Some(*controller), Told::Presence, "presence", told);
        }
    }

    /// All is told anew.
    fn begin_anew(&mut self) {
        self.is_synced = false;
        self.mentioned.clear();
    }

    fn presence(&mut self, event: Event) {
        let Event::Presence {
            controller,
            online,
            since,
            title,
            reason,
            ..
        } = event
        else {
            return;
        };
        if !online && reason == Some(Code::Forbidden) {
            self.known.remove(&controller);
            return;
        }
        if !self.is_synced {
            self.mentioned.insert(controller);
        }
        let happened = self.known.get(&controller).and_then(|it| it.happened);
        let now = Known {
            title,
            online,
            since,
            happened,
        };
        let before = self.known.insert(controller, now);
        // What it was when this began is told at its start; one that comes into view is news.
        let changed = match before {
            Some(before) => before.online != online,
            None => self.is_synced && online,
        };
        let reason = reason.map(Code::name);
        if changed {
            let told = json!({ "online": online, "since": since.0, "reason": reason });
            self.post(Some(controller), Told::Presence, "presence", told);
        }
        // Withdrawn for ever: that was its last news.
        if reason == Some(Code::Revoked.name()) {
            self.known.remove(&controller);
        }
    }

    fn happened(&mut self, controller: Address, event: &Event) {
        let Some((known, happening)) = self.known.get_mut(&controller).zip(Happening::of(event))
        else {
            return;
        };
        if known.happened.replace(happening.number) != Some(happening.number) {
            let (told, name) = (Told::of(&happening), happening.event_type);
            self.post(Some(controller), told, name, json!(happening));
        }
    }

    /// Gives something to each target that is told such things: of that controller, or of the gateway itself.
    fn post(&self, controller: Option<Address>, told: Told, name: &str, content: Value) {
        let id = hex::encode(&rand::random::<[u8; 16]>());
        let mut body = json!({
            "id": id,
            "type": name,
            "at": clock::time().0,
            "content": content,
        });
        if let Some(controller) = controller {
            let known = self.known.get(&controller);
            let title = known.map(|known| known.title.as_str());
            body["controller"] = json!({ "address": controller.0, "title": title });
        }
        let parcel = Parcel {
            id,
            body: body.to_string().into(),
            is_presence: told == Told::Presence && controller.is_some(),
        };
        for post in &self.posts {
            let settings = &post.target.settings;
            let is_chosen =
                |it| settings.controllers.is_empty() || settings.controllers.contains(&it);
            if controller.is_none_or(is_chosen) && settings.events.contains(&told) {
                post.push(parcel.clone());
            }
        }
    }
}

impl Observer for Watcher {
    fn begin(&mut self, _: &Peer) {
        self.begin_anew();
    }

    fn frame(&mut self, frame: &Frame) -> Option<Address> {
        let header = frame.header();
        if header.kind == Kind::Event && header.destination == Address::GATEWAY {
            match Event::decode(frame.payload()) {
                Ok(event @ Event::Presence { .. }) if header.source == Address::GATEWAY => {
                    self.presence(event);
                }
                Ok(event) => self.happened(header.source, &event),
                Err(_) => {}
            }
        }
        None
    }

    fn synced(&mut self) {
        self.is_synced = true;
        let mentioned = std::mem::take(&mut self.mentioned);
        self.known.retain(|address, _| mentioned.contains(address));
        self.start();
    }

    fn lost(&mut self) {}
}

impl Post {
    fn queue(&self) -> MutexGuard<'_, VecDeque<(Instant, Parcel)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, parcel: Parcel) {
        let mut queue = self.queue();
        queue.push_back((Instant::now(), parcel));
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.len() > WAITING_MAX {
            // An alarm does not go because a whole fleet has come back.
            let presence = queue.iter().position(|(_, it)| it.is_presence);
            queue.remove(presence.unwrap_or_default());
            self.lost(&self.counters.dropped);
        }
        drop(queue);
        self.due.notify_one();
    }

    /// Counts one that waits no more.
    fn lost(&self, counter: &AtomicU64) {
        count(counter);
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells one thing after the other, until the gateway stops.
    async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let telling = async {
            let mut is_complained_of = false;
            loop {
                let next = self.queue().pop_front();
                match next {
                    Some((since, parcel)) => {
                        self.tell(&parcel, since + TRIED_FOR, &mut is_complained_of)
                            .await;
                    }
                    None => self.due.notified().await,
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = telling => {}
        }
    }

    /// Tells one thing, however often that has to be tried until it is too old.
    async fn tell(&self, parcel: &Parcel, until: Instant, is_complained_of: &mut bool) {
        let (target, counters) = (self.target.settings.target(), &self.counters);
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            match self.target.deliver(parcel, clock::time()).await {
                Ok(()) => {
                    if std::mem::take(is_complained_of) {
                        tracing::info!(target, "a webhook's target takes what it is told again");
                    }
                    return self.lost(&counters.delivered);
                }
                Err(fault @ Fault::Unwanted(_)) => {
                    tracing::warn!(target, %fault, id = parcel.id, "a webhook's target wants no such thing");
                    return self.lost(&counters.unwanted);
                }
                Err(fault) => {
                    count(&counters.failed);
                    match std::mem::replace(is_complained_of, true) {
                        false => {
                            tracing::warn!(target, %fault, "a webhook's target cannot be told; it is tried again")
                        }
                        true => {
                            tracing::debug!(target, %fault, "a webhook's target still cannot be told")
                        }
                    }
                }
            }
            let wait = backoff.next_wait(rand::random());
            if Instant::now() + wait > until {
                return self.lost(&counters.dropped);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use switchyard_protocol::message::{AlarmLevel, Text};

    const PUMP: Address = Address(100_042);

    fn post(events: &[Told], controllers: &[u32]) -> Arc<Post> {
        let raw = RawWebhook {
            url: Some(Secret("https://hooks.example.org/".into())),
            secret: Some(Secret("sixteen bytes or more".into())),
            events: Some(events.to_vec()),
            controllers: Some(controllers.to_vec()),
            ..RawWebhook::default()
        };
        let settings = WebhookSettings::resolve(&[raw]).unwrap().remove(0);
        Arc::new(Post {
            target: Target {
                endpoint: Endpoint::unread(&settings.url, false),
                settings,
            },
            queue: Mutex::default(),
            due: Notify::new(),
            counters: Arc::default(),
        })
    }

    fn presence(online: bool) -> Frame {
        let event = Event::Presence {
            controller: PUMP,
            online,
            since: Time(1),
            title: Title::new("Pump house").unwrap(),
            boot: None,
            features: None,
            software: None,
            board: None,
            reason: (!online).then_some(Code::LinkLost),
        };
        Frame::new(
            Kind::Event,
            0,
            Address::GATEWAY,
            Address::GATEWAY,
            &event.encode(),
        )
    }

    fn alarm(number: u32) -> Frame {
        let event = Event::Alarm {
            number,
            time: None,
            level: AlarmLevel::High,
            text: Text::new("dry").unwrap(),
            raised: true,
            alarm: 0,
        };
        Frame::new(Kind::Event, 0, PUMP, Address::GATEWAY, &event.encode())
    }

    fn told(post: &Post) -> Vec<Value> {
        let queue = std::mem::take(&mut *post.queue());
        let bodies = queue
            .iter()
            .map(|(_, parcel)| serde_json::from_slice(&parcel.body));
        bodies.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn what_is_so_at_the_start_is_told_once_and_then_what_changes() {
        let all = post(&[Told::Event, Told::Alarm, Told::Presence], &[]);
        let alarms = post(&[Told::Alarm], &[PUMP.0]);
        let others = post(&[Told::Alarm], &[7]);
        let mut watcher = Watcher::new(vec![all.clone(), alarms.clone(), others.clone()]);
        for frame in [presence(true), presence(true)] {
            watcher.frame(&frame);
        }
        assert_eq!(told(&all), Vec::<Value>::new());
        watcher.synced();
        watcher.frame(&presence(true));
        // First that all of what was told before is to be forgotten, then who is there.
        let found = told(&all);
        let started = ["gateway_started", "presence"].map(Value::from);
        assert_eq!(
            [found[0]["type"].clone(), found[1]["type"].clone()],
            started
        );
        assert_eq!(found[0].get("controller"), None);
        assert_eq!(
            found[1]["content"],
            json!({ "online": true, "since": 1, "reason": null })
        );
        assert_eq!((found.len(), told(&alarms).len()), (2, 0));
        for frame in [
            presence(false),
            alarm(1),
            alarm(1),
            alarm(2),
            presence(true),
        ] {
            watcher.frame(&frame);
        }
        let found = told(&all);
        let types: Vec<_> = found
            .iter()
            .map(|it| it["type"].as_str().unwrap())
            .collect();
        let expected = ["presence", "alarm_raised", "alarm_raised", "presence"];
        assert_eq!(types, expected);
        assert_eq!(found[0]["content"]["online"], false);
        assert_eq!(found[0]["content"]["reason"], "link_lost");
        assert_eq!(
            found[1]["controller"],
            json!({ "address": 100_042, "title": "Pump house" })
        );
        assert_eq!(found[1]["content"]["level"], "high");
        assert_eq!(told(&alarms).len(), 2);
        assert_eq!(told(&others).len(), 0);
        // A watcher that was cut off tells what has changed meanwhile, and forgets who is no more.
        watcher.begin_anew();
        watcher.frame(&presence(false));
        watcher.synced();
        assert_eq!(told(&all).len(), 1);
        watcher.begin_anew();
        watcher.synced();
        assert!(watcher.known.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_told_for_a_day_is_given_up() {
        let raw = RawWebhook {
            // Nobody listens there.
            url: Some(Secret("http://127.0.0.1:1/".into())),
            secret: Some(Secret("sixteen bytes or more".into())),
            allow_private: Some(true),
            ..RawWebhook::default()
        };
        let settings = WebhookSettings::resolve(&[raw]).unwrap().remove(0);
        let post = Post {
            target: target(&settings).unwrap(),
            queue: Mutex::default(),
            due: Notify::new(),
            counters: Arc::default(),
        };
        let (id, body) = ("1".to_owned(), Default::default());
        post.push(Parcel {
            id,
            body,
            is_presence: false,
        });
        let (since, parcel) = post.queue().pop_front().unwrap();
        let mut is_complained_of = false;
        post.tell(&parcel, since + TRIED_FOR, &mut is_complained_of)
            .await;
        let took = since.elapsed();
        assert!(
            took <= TRIED_FOR && took >= TRIED_FOR - PAUSE_MAX,
            "{took:?}"
        );
        let failed = post.counters.failed.load(Ordering::Relaxed);
        // Once every five minutes at least, and not twice as often.
        assert!((288..600).contains(&failed), "{failed} attempts");
        assert_eq!(post.counters.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(post.counters.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn of_too_many_the_oldest_go() {
        let post = post(&[Told::Event], &[]);
        for number in 0..WAITING_MAX + 3 {
            let (id, body) = (number.to_string(), Default::default());
            // The tenth and the last would go before what is no presence.
            let is_presence = number == 9 || number == WAITING_MAX + 2;
            post.push(Parcel {
                id,
                body,
                is_presence,
            });
        }
        assert_eq!(post.queue().len(), WAITING_MAX);
        let ids: Vec<_> = post.queue().iter().map(|(_, it)| it.id.clone()).collect();
        assert_eq!(ids[..9], ["1", "2", "3", "4", "5", "6", "7", "8", "10"]);
        assert_eq!(*ids.last().unwrap(), (WAITING_MAX + 1).to_string());
        assert_eq!(post.counters.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(
            post.counters.waiting.load(Ordering::Relaxed) as usize,
            WAITING_MAX
        );
    }
}
