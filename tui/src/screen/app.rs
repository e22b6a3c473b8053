//! What the screen knows: plain values, changed by `update` alone, drawn by `view` alone.

use super::{
    alarms::{self, AlarmDesk},
    bench::{self, Bench},
    theme::Theme,
};
use jiff::tz::TimeZone;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};
use switchyard_client::{Controller, Fleet, FleetChange, Session, explain, signature::Signature};
use switchyard_protocol::{
    Address,
    message::{self, Cause, Key, Name, Point, Receipt, Stage, Text, Time, Title},
};

/// Lines of why that are kept over all controllers.
pub(crate) const WHY_MAX: usize = 500;
/// Notes that are kept.
pub(crate) const NOTES_MAX: usize = 100;
/// Commands whose state is shown; beyond it the settled ones go.
pub(crate) const ASKED_MAX: usize = 64;
/// Tools whose names are kept.
pub(crate) const NAMES_MAX: usize = 256;
/// Characters of anything that is typed.
pub(crate) const TYPED_MAX: usize = 80;

/// What comes to the screen.
#[derive(Debug)]
pub(crate) enum Event {
    Key(crossterm::event::KeyEvent),
    Resize,
    Tick {
        now: Option<Time>,
    },
    Link(Link),
    Fleet {
        fleet: Arc<Fleet>,
        changes: Arc<[FleetChange]>,
        now: Time,
    },
    Note {
        from: Address,
        text: Text,
        at: Time,
    },
    /// A command has gone out under this key.
    Sent {
        address: Address,
        name: Name,
        key: Key,
    },
    NotSent {
        address: Address,
        name: Name,
        key: Key,
        why: String,
    },
    Receipt {
        address: Address,
        name: Name,
        receipt: Receipt,
    },
    /// The account that a tool acts for; nothing when the gateway did not say.
    Named {
        address: Address,
        title: Option<Title>,
    },
    Described {
        address: Address,
        described: Result<(Title, Vec<Signature>), String>,
    },
    Bench(bench::News),
    Alarms(alarms::News),
}

/// What the screen wants of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Quit,
    Send {
        address: Address,
        name: Name,
        action: message::Action,
    },
    Describe(Address),
    Bench(bench::Wish),
    Alarms(alarms::Wish),
}

/// The link, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Dialling,
    Live(Session),
    Waiting { seconds: u64, why: String },
    Closed { why: String },
}

/// The screen underneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Fleet,
    Controller(Address),
    Bench,
    Alarms,
    /// One of them, with its time line.
    Alarm(u64),
}

/// What lies over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Overlay {
    Help,
    Notes,
    /// The commands of the controller that is open.
    Commands(Commands),
    /// Whether to quit though a board is being worked on.
    Leave,
    /// Whether to say that somebody heard of these alarms.
    Acknowledge(Vec<u64>),
}

/// A controller's commands, once it has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Commands {
    Asking,
    Ready {
        behaviour: Title,
        signatures: Vec<Signature>,
        selected: usize,
    },
    Failed(String),
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    Filter,
    GoTo(String),
    Arguments {
        signature: Signature,
        typed: String,
    },
    AlarmFilter,
    /// For how long, or until when.
    Shelve {
        alarms: Vec<u64>,
        typed: String,
    },
    Comment {
        alarms: Vec<u64>,
        typed: String,
    },
}

/// How a command of this screen stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On its way.
    Asking,
    /// The gateway or the controller has it.
    Under(Stage),
    /// It ended well: executed or confirmed.
    Done(Stage),
    /// It ended otherwise.
    Failed(String),
}

impl Asked {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Asked::Asking | Asked::Under(_))
    }
}

/// A line of why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) address: Address,
    /// When it was heard; `None` for what was so before this screen looked.
    pub(crate) at: Option<Time>,
    pub(crate) what: String,
    pub(crate) reason: Reason,
}

/// What a line of why gives as its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A point's cause; put into words when it is drawn, since names are learnt later.
    Cause(Cause),
    /// Why a controller went; nothing for one that came.
    Left(&'static str),
}

/// A line from another tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoteLine {
    pub(crate) from: Address,
    pub(crate) text: Text,
    pub(crate) at: Time,
}

/// Everything that the screen shows.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) gateway: String,
    pub(crate) link: Link,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) now: Time,
    /// The zone of whoever looks.
    pub(crate) zone: TimeZone,
    pub(crate) page: Page,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) filter: String,
    /// The controller under the cursor: by number, so that it keeps it while others come and go.
    pub(crate) selected: Option<Address>,
    /// The output under the cursor.
    pub(crate) output: Option<Name>,
    pub(crate) asked: HashMap<(Address, Name), (Option<Key>, Asked)>,
    pub(crate) why: VecDeque<Why>,
    pub(crate) notes: VecDeque<NoteLine>,
    pub(crate) unread: usize,
    /// The addresses that this console has had: a command from one of them was its person's own.
    own: HashSet<Address>,
    /// What other tools call themselves; nothing while they are asked, and when they did not answer.
    names: HashMap<Address, Option<Title>>,
    /// Who is to be asked for his name.
    nameless: Vec<Address>,
    /// What was refused, or what to do next.
    pub(crate) message: Option<String>,
    pub(crate) bench: Bench,
    pub(crate) alarms: AlarmDesk,
}

impl App {
    pub(crate) fn new(gateway: String, theme: Theme) -> Self {
        App {
            theme,
            gateway,
            link: Link::Dialling,
            fleet: Arc::default(),
            now: Time(0),
            zone: TimeZone::system(),
            page: Page::Fleet,
            overlay: None,
            prompt: None,
            filter: String::new(),
            selected: None,
            output: None,
            asked: HashMap::new(),
            why: VecDeque::new(),
            notes: VecDeque::new(),
            unread: 0,
            own: HashSet::new(),
            names: HashMap::new(),
            nameless: Vec::new(),
            message: None,
            bench: Bench::default(),
            alarms: AlarmDesk::default(),
        }
    }

    /// The controllers that pass the filter, in order of their numbers.
    pub(crate) fn visible(&self) -> Vec<&Arc<Controller>> {
        let all = self.fleet.controllers();
        all.filter(|controller| self.passes(controller)).collect()
    }

    fn passes(&self, controller: &Controller) -> bool {
        let (wanted, is_inverse) = match self.filter.strip_prefix('!') {
            Some(rest) => (rest.to_lowercase(), true),
            None => (self.filter.to_lowercase(), false),
        };
        if wanted.is_empty() {
            return true;
        }
        let points = controller.points();
        let is_found = controller.address.to_string().contains(&wanted)
            || controller.title.as_str().to_lowercase().contains(&wanted)
            || points
                .iter()
                .any(|it| it.name.as_str().to_lowercase().contains(&wanted));
        is_found != is_inverse
    }

    /// The controller that is open.
    pub(crate) fn open(&self) -> Option<&Arc<Controller>> {
        match self.page {
            Page::Fleet | Page::Bench | Page::Alarms | Page::Alarm(_) => None,
            Page::Controller(address) => self.fleet.controller(address),
        }
    }

    /// The outputs of the controller that is open.
    pub(crate) fn outputs(&self) -> Vec<&Point> {
        let points = self
            .open()
            .map_or(&[][..], |controller| controller.points());
        points
            .iter()
            .filter(|point| point.point_type.is_output())
            .collect()
    }

    /// The output under the cursor; the first one, where the cursor is nowhere.
    pub(crate) fn current_output(&self) -> Option<&Point> {
        let outputs = self.outputs();
        let at = outputs
            .iter()
            .position(|it| Some(&it.name) == self.output.as_ref());
        outputs.get(at.unwrap_or(0)).copied()
    }

    /// Takes what is no key: state, and the lines of why that follow from it.
    pub(crate) fn hear(&mut self, event: Event) {
        match event {
            Event::Tick { now } => self.tick(now),
            Event::Link(link) => {
                if let Link::Live(session) = &link {
                    self.own.insert(session.address);
                }
                self.link = link;
            }
            Event::Fleet {
                fleet,
                changes,
                now,
            } => self.fleet_changed(fleet, &changes, now),
            Event::Note { from, text, at } => {
                self.learn(from);
                self.notes.truncate(NOTES_MAX - 1);
                self.notes.push_front(NoteLine { from, text, at });
                if self.overlay != Some(Overlay::Notes) {
                    self.unread += 1;
                }
            }
            Event::Sent { address, name, key } => {
                if let Some(asked) = self.asked.get_mut(&(address, name)) {
                    asked.0 = Some(key);
                }
            }
            Event::NotSent {
                address,
                name,
                key,
                why,
            } => self.settle(address, name, key, Asked::Failed(why)),
            Event::Receipt {
                address,
                name,
                receipt,
            } => self.receipt(address, name, &receipt),
            Event::Named { address, title } => {
                self.names.insert(address, title);
            }
            Event::Described { address, described } => self.described(address, described),
            Event::Bench(news) => {
                bench::heard(&mut self.bench, news);
                if self.overlay == Some(Overlay::Leave) && !self.bench.is_working() {
                    self.overlay = None;
                }
            }
            Event::Key(_) | Event::Resize | Event::Alarms(_) => {}
        }
    }

    /// Who is to be asked for his name now; each is asked once.
    pub(crate) fn take_nameless(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.nameless)
    }

    fn learn(&mut self, address: Address) {
        let is_known = self.own.contains(&address) || self.names.contains_key(&address);
        if !is_known && address.is_tool() && self.names.len() < NAMES_MAX {
            self.names.insert(address, None);
            self.nameless.push(address);
        }
    }

    /// What a tool calls itself, if it has said so.
    pub(crate) fn name_of(&self, address: Address) -> Option<&Title> {
        self.names.get(&address)?.as_ref()
    }

    /// Whose command it was: this console's, a tool's by the name that it gives itself, or a number.
    pub(crate) fn who(&self, address: Address) -> String {
        if self.own.contains(&address) {
            return "you".to_owned();
        }
        let name = self.name_of(address).map(ToString::to_string);
        name.unwrap_or_else(|| format!("No. {address}"))
    }

    fn tick(&mut self, now: Option<Time>) {
        self.now = now.unwrap_or(self.now);
        if let Link::Waiting { seconds, .. } = &mut self.link {
            *seconds = seconds.saturating_sub(1);
        }
    }

    fn described(&mut self, address: Address, described: Result<(Title, Vec<Signature>), String>) {
        let is_wanted = self.page == Page::Controller(address)
            && self.overlay == Some(Overlay::Commands(Commands::Asking));
        if is_wanted {
            self.overlay = Some(Overlay::Commands(match described {
                Ok((behaviour, signatures)) => Commands::Ready {
                    behaviour,
                    signatures,
                    selected: 0,
                },
                Err(why) => Commands::Failed(why),
            }));
        }
    }

    fn receipt(&mut self, address: Address, name: Name, receipt: &Receipt) {
        let asked = match (receipt.is_final, receipt.stage) {
            (false, stage) => Asked::Under(stage),
            (true, stage @ (Stage::Executed | Stage::Confirmed)) => Asked::Done(stage),
            (true, stage) => {
                let why = receipt.reason.map_or("no reason was given", explain);
                Asked::Failed(format!("{}: {why}", stage.name()))
            }
        };
        self.settle(address, name, receipt.key, asked);
    }

    fn settle(&mut self, address: Address, name: Name, key: Key, asked: Asked) {
        if matches!(self.overlay, Some(Overlay::Commands(_))) || matches!(asked, Asked::Failed(_)) {
            let text = match &asked {
                Asked::Asking => "asked…".to_owned(),
                Asked::Under(stage) | Asked::Done(stage) => stage.name().to_owned(),
                Asked::Failed(why) => why.clone(),
            };
            self.message = Some(format!("{name} of No. {address}: {text}"));
        }
        self.asked.insert((address, name), (Some(key), asked));
        if self.asked.len() > ASKED_MAX {
            self.asked.retain(|_, (_, asked)| asked.is_open());
        }
    }

    fn fleet_changed(&mut self, fleet: Arc<Fleet>, changes: &[FleetChange], now: Time) {
        self.now = self.now.max(now);
        for change in changes {
            match change {
                FleetChange::Controller(controller) => self.note_whole(controller, now),
                FleetChange::Points {
                    address,
                    heard_at,
                    changes,
                    ..
                } => {
                    for change in changes {
                        self.note_change(&fleet, *address, *heard_at, change);
                    }
                }
                FleetChange::Gone(address) => {
                    self.why.retain(|why| why.address != *address);
                    self.asked.retain(|(whose, _), _| whose != address);
                }
                FleetChange::Synced { .. } => {}
            }
        }
        self.fleet = fleet;
        if self
            .selected
            .is_none_or(|address| self.fleet.controller(address).is_none())
        {
            self.selected = self.visible().first().map(|controller| controller.address);
        }
    }

    /// Presence or a full status: what differs from what was known is worth a line.
    fn note_whole(&mut self, controller: &Controller, now: Time) {
        let before = self.fleet.controller(controller.address).cloned();
        let is_first = before.as_ref().is_none_or(|before| before.status.is_none());
        if let Some(before) = &before
            && before.online != controller.online
        {
            let what = if controller.online {
                "on line"
            } else {
                "off line"
            };
            let reason = Reason::Left(controller.offline_reason.map_or("", explain));
            self.explain(controller.address, Some(now), what.to_owned(), reason);
        }
        for point in controller.points() {
            let was = before.as_ref().and_then(|before| before.point(&point.name));
            let is_news =
                was.is_none_or(|was| was.value != point.value || was.cause != point.cause);
            if is_news && (point.point_type.is_output() || !is_first) {
                let at = (!is_first).then_some(now);
                self.explain_point(controller.address, at, point, point.value, &point.cause);
                self.outdated(controller.address, &point.name, &point.cause);
            }
        }
    }

    fn note_change(&mut self, fleet: &Fleet, address: Address, at: Time, change: &message::Change) {
        let Some(controller) = fleet.controller(address) else {
            return;
        };
        let points = controller.points();
        let Some(point) = points.iter().find(|point| point.index == change.index) else {
            return;
        };
        // An analogue input would drown the reasons for everything else.
        if point.point_type.is_digital() || point.point_type.is_output() {
            self.explain_point(address, Some(at), point, change.value, &change.cause);
        }
        self.outdated(address, &point.name, &change.cause);
    }

    /// What a settled command left beside a point goes once something else has set the point.
    fn outdated(&mut self, address: Address, name: &Name, cause: &Cause) {
        let entry = (address, name.clone());
        if let Some((key, asked)) = self.asked.get(&entry)
            && !asked.is_open()
            && key.map(Key::reference) != cause.reference
        {
            self.asked.remove(&entry);
        }
    }

    fn explain_point(
        &mut self,
        address: Address,
        at: Option<Time>,
        point: &Point,
        value: i64,
        cause: &Cause,
    ) {
        let value = crate::words::value(point.point_type, value);
        let name = &point.name;
        if let Some(by) = cause.by {
            self.learn(by);
        }
        let reason = Reason::Cause(*cause);
        // A ramp is one reason, not a hundred: its line is told anew.
        if !point.point_type.is_digital() {
            let start = format!("{name} ");
            let mut lines = self.why.iter();
            let last = lines.position(|why| why.address == address && why.what.starts_with(&start));
            if let Some(last) = last
                && self.why[last].reason == reason
            {
                self.why.remove(last);
            }
        }
        self.explain(address, at, format!("{name} {value}"), reason);
    }

    fn explain(&mut self, address: Address, at: Option<Time>, what: String, reason: Reason) {
        self.why.truncate(WHY_MAX - 1);
        self.why.push_front(Why {
            address,
            at,
            what,
            reason,
        });
    }
}
