//! The fleet: which controllers there are, which of them are there, and what each last said.

use crate::{
    Map, Relay, Rights, Settings, Work,
    queue::Lane,
    session::{Replacements, Slot},
    shared::Recent,
    status::{Assembly, Layout, Status},
    timers::Timer,
};
use foldhash::fast::FixedState;
use std::{collections::VecDeque, num::NonZero, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, Kind, SiteId,
    message::{Event, Time, Title},
};

/// What a controller said of itself in its latest announce.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) boot: u32,
    features: u32,
    software: Arc<Title>,
    board: Arc<Title>,
}

/// One controller, there or not. What most have none of at most times is in a box, for there may be
/// tens of thousands.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) address: Address,
    pub(crate) title: Title,
    /// Where it is; only a role everywhere counts for one that is nowhere.
    site: Option<NonZero<u32>>,
    /// The complement of its session's place, in which no place is 0.
    session: Option<NonZero<Slot>>,
    /// Its session has announced.
    pub(crate) online: bool,
    /// It waits to be taken by whoever copies the fleet's status.
    pub(crate) is_changed: bool,
    /// Since when it is there or away.
    pub(crate) since: Time,
    about: Option<Box<About>>,
    /// Why it went.
    reason: Option<Code>,
    pub(crate) replacements: Option<Box<Replacements>>,
    /// What its points were last known to be.
    pub(crate) status: Option<Box<Status>>,
    /// Pages of a full status that is not complete yet.
    pub(crate) assembly: Option<Box<Assembly>>,
    /// The gateway's own question for a snapshot, and how long it may go unanswered.
    pub(crate) snapshot_asked: Option<Box<(u32, Duration)>>,
    /// Tools that named it when they subscribed.
    pub(crate) subscribers: Vec<Slot>,
    /// Its commands; `None` when it was given none for a while.
    pub(crate) lane: Option<Box<Lane>>,
    /// Requests that it has yet to answer; `None` when there was none for a while.
    pub(crate) open: Option<Box<Open>>,
}

/// The requests that a controller has yet to answer.
#[derive(Debug)]
pub(crate) struct Open {
    /// By asker and correlation id, until when.
    pub(crate) until: Map<(Address, u32), Duration>,
    pub(crate) timer_at: Option<Duration>,
}

impl Controller {
    /// The site that it is in.
    #[inline]
    pub(crate) fn site(&self) -> Option<SiteId> {
        self.site.map(|number| SiteId(number.get()))
    }

    fn set_site(&mut self, site: Option<SiteId>) {
        self.site = site.and_then(|SiteId(number)| NonZero::new(number));
    }

    /// Its session: live, though perhaps not announced yet.
    #[inline]
    pub(crate) fn session(&self) -> Option<Slot> {
        self.session.map(|place| !place.get())
    }

    pub(crate) fn set_session(&mut self, session: Option<Slot>) {
        self.session = session.and_then(|place| NonZero::new(!place));
    }

    /// The boot of the session that is there.
    pub(crate) fn boot(&self) -> Option<u32> {
        self.about.as_ref().map(|about| about.boot)
    }
}

/// Every controller that the gateway knows.
#[derive(Debug)]
pub(crate) struct Fleet {
    controllers: Vec<Option<Controller>>,
    free: Vec<u32>,
    by_address: Map<Address, u32>,
    /// Those that have changed since they were last taken, each once; never more than there are controllers,
    /// but for those that were forgotten meanwhile.
    changed: VecDeque<Address>,
    /// Whether somebody takes them.
    follows_changes: bool,
    /// Tools that subscribed to everything, and may see everything.
    pub(crate) all_subscribers: Vec<Slot>,
    /// Tools that subscribed to everything, by the sites that they may see; no entry is empty.
    pub(crate) site_subscribers: Map<SiteId, Vec<Slot>>,
    pub(crate) online: usize,
    /// Requests that controllers have yet to answer.
    pub(crate) requests_open: usize,
    /// The names of programs and boards.
    titles: Recent<Title>,
    layouts: Recent<Layout>,
    hash: FixedState,
}

impl Fleet {
    pub(crate) fn new(hash: &FixedState, follows_changes: bool) -> Self {
        Fleet {
            controllers: Vec::new(),
            free: Vec::new(),
            by_address: Map::with_hasher(hash.clone()),
            changed: VecDeque::new(),
            follows_changes,
            all_subscribers: Vec::new(),
            site_subscribers: Map::with_hasher(hash.clone()),
            online: 0,
            requests_open: 0,
            titles: Recent::default(),
            layouts: Recent::default(),
            hash: hash.clone(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(crate) fn index_of(&self, address: Address) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn is_known(&self, index: u32) -> bool {
        self.controllers[index as usize].is_some()
    }

    pub(crate) fn at(&self, index: u32) -> &Controller {
        let place = self.controllers[index as usize].as_ref();
        place.expect("a controller that is known")
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Controller {
        let place = self.controllers[index as usize].as_mut();
        place.expect("a controller that is known")
    }

    pub(crate) fn find_mut(&mut self, address: Address) -> Option<&mut Controller> {
        let index = self.index_of(address)?;
        Some(self.at_mut(index))
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = u32> + '_ {
        let places = self.controllers.iter().enumerate();
        places
            .filter(|(_, place)| place.is_some())
            .map(|(index, _)| index as u32)
    }

    /// How many controllers may be seen with these rights.
    pub(crate) fn seen_with(&self, rights: &Rights) -> u32 {
        if rights.sees_all() {
            return self.len() as u32;
        }
        let all = self.controllers.iter().flatten();
        all.filter(|controller| rights.sees(controller.site()))
            .count() as u32
    }

    /// The controllers that may be seen with the one and not with the other.
    pub(crate) fn seen_differently(&self, one: &Rights, other: &Rights) -> Vec<u32> {
        let differs = |&index: &u32| {
            let site = self.at(index).site();
            one.sees(site) != other.sees(site)
        };
        self.indexes().filter(differs).collect()
    }

    /// Notes that there is something new to say of a controller.
    pub(crate) fn mark_changed(&mut self, index: u32) {
        let follows_changes = self.follows_changes;
        let controller = self.at_mut(index);
        if follows_changes && !controller.is_changed {
            controller.is_changed = true;
            let address = controller.address;
            self.changed.push_back(address);
        }
    }

    /// Notes that there is nothing more to say of a controller that is not known any more.
    pub(crate) fn mark_forgotten(&mut self, address: Address) {
        if self.follows_changes {
            self.changed.push_back(address);
        }
    }

    pub(crate) fn changed(&self) -> usize {
        self.changed.len()
    }

    pub(crate) fn next_changed(&mut self) -> Option<Address> {
        self.changed.pop_front()
    }

    fn with_titles(&mut self, index: u32) -> (&mut Controller, &mut Recent<Title>) {
        let place = self.controllers[index as usize].as_mut();
        (place.expect("a controller that is known"), &mut self.titles)
    }

    /// A full status has come in all its pages.
    pub(crate) fn set_status(&mut self, index: u32, pages: Assembly) -> &mut Status {
        let status = Status::of(pages, &mut self.layouts);
        self.at_mut(index).status.insert(Box::new(status))
    }

    /// The requests open at a controller.
    pub(crate) fn open_mut(&mut self, index: u32) -> &mut Open {
        let hash = self.hash.clone();
        self.at_mut(index).open.get_or_insert_with(|| {
            Box::new(Open {
                until: Map::with_hasher(hash),
                timer_at: None,
            })
        })
    }

    /// The place of a controller, made where there is none; `None` when there are too many.
    pub(crate) fn know(&mut self, address: Address, settings: &Settings) -> Option<u32> {
        if let Some(index) = self.index_of(address) {
            return Some(index);
        }
        if self.len() >= settings.controllers_max {
            return None;
        }
        let controller = Controller {
            address,
            title: number_as_title(address),
            site: None,
            session: None,
            online: false,
            is_changed: false,
            since: Time(0),
            about: None,
            reason: None,
            replacements: None,
            status: None,
            assembly: None,
            snapshot_asked: None,
            subscribers: Vec::new(),
            lane: None,
            open: None,
        };
        let index = self.free.pop().unwrap_or(self.controllers.len() as u32);
        self.by_address.insert(address, index);
        match self.controllers.get_mut(index as usize) {
            Some(place) => *place = Some(controller),
            None => self.controllers.push(Some(controller)),
        }
        Some(index)
    }

    fn forget(&mut self, index: u32) {
        let controller = self.controllers[index as usize].take();
        let address = controller.expect("a controller that is known").address;
        self.by_address.remove(&address);
        self.free.push(index);
    }
}

impl Relay {
    pub(crate) fn controller_known(
        &mut self,
        work: &mut Work<'_>,
        address: Address,
        title: Title,
        site: Option<SiteId>,
    ) {
        let is_new = self.fleet.index_of(address).is_none();
        let Some(index) = self.fleet.know(address, &self.settings) else {
            return;
        };
        let controller = self.fleet.at_mut(index);
        if is_new {
            controller.set_site(site);
        } else if controller.site() != site {
            self.controller_moved(work, index, site);
        }
        let controller = self.fleet.at_mut(index);
        if is_new || controller.title != title {
            controller.title = title;
            self.tell_presence(work, index);
        }
    }

    /// A controller is in another site: some see it no more, and some begin to.
    fn controller_moved(&mut self, work: &mut Work<'_>, index: u32, to: Option<SiteId>) {
        let from = self.fleet.at(index).site();
        let differs = |rights: &Rights| rights.sees(from) != rights.sees(to);
        let mut concerned = self.sessions.tool_slots();
        concerned.retain(|&slot| self.sessions.rights(slot).is_some_and(differs));
        // First of all: whoever saw it there is still told as one who may see.
        self.withdraw_commands_to(work, index, to);
        self.fleet.at_mut(index).set_site(to);
        for slot in concerned {
            self.view_changed(work, slot, &[index]);
        }
    }

    pub(crate) fn controller_forgotten(&mut self, work: &mut Work<'_>, address: Address) {
        let Some(index) = self.fleet.index_of(address) else {
            return;
        };
        let was_online = self.fleet.at(index).online;
        if let Some(slot) = self.fleet.at(index).session() {
            self.end(work, slot, Code::Revoked);
        }
        if !was_online {
            self.fleet.at_mut(index).reason = Some(Code::Revoked);
            self.tell_presence(work, index);
        }
        self.refuse_lane(work, index, Code::Revoked);
        self.drop_from_feeds(work, index);
        let controller = self.fleet.at_mut(index);
        if let Some(open) = controller.open.take() {
            self.fleet.requests_open -= open.until.len();
            if let Some(at) = open.timer_at {
                self.timers.disarm(at, Timer::Requests(address));
            }
        }
        if let Some(at) = self.fleet.at(index).lane().timer_at {
            self.timers.disarm(at, Timer::Lane(address));
        }
        self.happenings.remove(&address);
        let was_marked = self.fleet.at(index).is_changed;
        self.fleet.forget(index);
        if !was_marked {
            self.fleet.mark_forgotten(address);
        }
    }

    /// Ends a controller's link, so that it dials again.
    pub(crate) fn recall(&mut self, work: &mut Work<'_>, address: Address) {
        let index = self.fleet.index_of(address);
        if let Some(slot) = index.and_then(|index| self.fleet.at(index).session()) {
            self.end(work, slot, Code::ShuttingDown);
        }
    }

    /// A controller says who it is.
    pub(crate) fn announced(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        index: u32,
        announce: Event,
    ) {
        let Event::Announce {
            boot,
            features,
            software,
            board,
            ..
        } = announce
        else {
            return self.end(work, slot, Code::Malformed);
        };
        let (controller, titles) = self.fleet.with_titles(index);
        let was_online = controller.online;
        if was_online && controller.boot() != Some(boot) {
            // A controller that restarted has lost its link; it cannot be a new one on the old.
            return self.end(work, slot, Code::Malformed);
        }
        let (software, board) = (titles.share(software), titles.share(board));
        controller.about = Some(Box::new(About {
            boot,
            features,
            software,
            board,
        }));
        if !was_online {
            controller.online = true;
            controller.since = work.now.time;
            controller.reason = None;
            controller.snapshot_asked = None;
            self.fleet.online += 1;
        }
        self.fleet.mark_changed(index);
        self.tell_presence(work, index);
        if !was_online {
            self.resolve(work, index);
        }
    }

    pub(crate) fn controller_left(&mut self, work: &mut Work<'_>, index: u32, reason: Code) {
        let controller = self.fleet.at_mut(index);
        controller.set_session(None);
        controller.assembly = None;
        controller.snapshot_asked = None;
        controller.reason = Some(reason);
        let open = controller.open.as_mut().map(|open| &mut open.until);
        let unanswered = open.map_or(0, |until| until.drain().count());
        let was_online = std::mem::take(&mut controller.online);
        self.fleet.requests_open -= unanswered;
        if !was_online {
            return;
        }
        let controller = self.fleet.at_mut(index);
        controller.since = work.now.time;
        let address = controller.address;
        if let Some(happenings) = self.happenings.get_mut(&address) {
            happenings.hung_up();
        }
        self.fleet.online -= 1;
        self.fleet.mark_changed(index);
        self.tell_presence(work, index);
        self.lane_cut(work, index);
    }

    pub(crate) fn tell_presence(&mut self, work: &mut Work<'_>, index: u32) {
        let frame = self.presence_of(index);
        self.fan_out(work, index, frame.bytes());
    }

    /// The presence event. Its destination is 0, as that of status: the same bytes go to everyone.
    pub(crate) fn presence_of(&self, index: u32) -> Frame {
        let controller = self.fleet.at(index);
        let about = controller.about.as_deref();
        let event = Event::Presence {
            controller: controller.address,
            online: controller.online,
            since: controller.since,
            title: controller.title.clone(),
            boot: about.map(|about| about.boot),
            features: about.map(|about| about.features),
            software: about.map(|about| Title::clone(&about.software)),
            board: about.map(|about| Title::clone(&about.board)),
            reason: controller.reason.filter(|_| !controller.online),
        };
        let gateway = Address::GATEWAY;
        Frame::new(Kind::Event, 0, gateway, gateway, &event.encode())
    }

    /// The presence event for a tool that may not see the controller any more: that it is gone from
    /// its view, and nothing else.
    pub(crate) fn goodbye_of(&self, index: u32) -> Frame {
        let address = self.fleet.at(index).address;
        let event = Event::Presence {
            controller: address,
            online: false,
            since: Time(0),
            title: number_as_title(address),
            boot: None,
            features: None,
            software: None,
            board: None,
            reason: Some(Code::Forbidden),
        };
        let gateway = Address::GATEWAY;
        Frame::new(Kind::Event, 0, gateway, gateway, &event.encode())
    }
}

/// What a controller is called where its title is not known, or not to be told.
fn number_as_title(address: Address) -> Title {
    Title::new(&address.to_string()).expect("a number is a title")
}
