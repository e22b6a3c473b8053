//! The screen's two pure halves: what keys and news do, and a few pictures of what is drawn.

use super::{
    app::{Action, App, Event, Link, Page},
    theme::{Colours, Theme},
    update::update,
    view,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};
use std::sync::Arc;
use switchyard_client::{Fleet, FleetChange, Session, signature::Signature};
use switchyard_protocol::{
    Address, Code, Role,
    message::{
        self, Cause, CauseKind, Change, Delta, Full, Key, Name, Point, PointFlags, PointType,
        Receipt, Stage, StatusHead, Text, Time, Title,
    },
};

const PUMP: Address = Address(100_042);
pub(super) const NOW: Time = Time(1_800_000_014_000);
const KEY: Key = Key([0x8F; 16]);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn point(index: u8, called: &str, point_type: PointType, value: i64, flags: u32) -> Point {
    Point {
        index,
        name: name(called),
        point_type,
        value,
        flags: PointFlags(flags),
        cause: Cause::plain(CauseKind::Boot),
    }
}

fn presence(address: u32, called: &str, online: bool) -> message::Event {
    message::Event::Presence {
        controller: Address(address),
        online,
        since: Time(1_800_000_000_000),
        title: Title::new(called).unwrap(),
        boot: Some(1),
        features: None,
        software: Some(Title::new("switchyard-firmware 0.1.0").unwrap()),
        board: None,
        reason: (!online).then_some(Code::Silent),
    }
}

fn full(points: Vec<Point>) -> Full {
    Full {
        head: StatusHead {
            boot: 1,
            sequence: 1,
        },
        page: 0,
        pages: 1,
        uptime_ms: 1,
        time: None,
        points,
        layout: 1,
    }
}

/// A yard of three, told the way the client tells it.
pub(super) struct Yard {
    pub(super) app: App,
    fleet: Fleet,
    sequence: u32,
}

impl Yard {
    pub(super) fn new(colours: Colours) -> Self {
        let mut yard = Yard {
            app: App::new("yard.example:8080".into(), Theme::new(colours)),
            fleet: Fleet::default(),
            sequence: 1,
        };
        yard.app.zone = jiff::tz::TimeZone::UTC;
        yard.hear(Event::Link(Link::Live(Session {
            address: Address(0x8000_0001),
            account: Title::new("li").unwrap(),
            role: Role::Operator,
            gateway: [1; 16],
        })));
        let pump = vec![
            point(0, "door", PointType::DigitalInput, 0, 0),
            point(1, "run", PointType::DigitalInput, 1, 0),
            point(2, "level", PointType::AnalogueInput, 72_400, 0),
            point(3, "pump", PointType::DigitalOutput, 1, 16),
            point(4, "lamp", PointType::DigitalOutput, 0, 1),
        ];
        let gate = vec![
            point(0, "RL1", PointType::DigitalOutput, 1, 8),
            point(1, "DI1", PointType::DigitalInput, 0, 2),
        ];
        for (address, called, online, points) in [
            (100_042, "Pump house 3", true, Some(pump)),
            (
                100_043,
                "North gate, beyond the old railway bridge",
                true,
                Some(gate),
            ),
            (100_051, "水箱 2", false, None),
        ] {
            let mut changes = Vec::new();
            changes.extend(yard.fleet.presence(presence(address, called, online)));
            let points = points.and_then(|points| {
                let now = Time(1_800_000_000_000);
                yard.fleet.full(Address(address), full(points), now)
            });
            changes.extend(points);
            yard.tell(changes);
        }
        let end = yard.fleet.snapshot_ends(3, true);
        yard.tell(end);
        yard
    }

    pub(super) fn hear(&mut self, event: Event) {
        assert_eq!(update(&mut self.app, event), Action::Nothing);
    }

    fn tell(&mut self, changes: Vec<FleetChange>) {
        self.hear(Event::Fleet {
            fleet: Arc::new(self.fleet.clone()),
            changes: changes.into(),
            now: NOW,
        });
    }

    fn change(&mut self, index: u8, value: i64, flags: u32, cause: Cause) {
        self.sequence += 1;
        let delta = Delta {
            head: StatusHead {
                boot: 1,
                sequence: self.sequence,
            },
            uptime_ms: 2,
            time: None,
            changes: vec![Change {
                index,
                value,
                flags: PointFlags(flags),
                cause,
            }],
        };
        let changes = self.fleet.delta(PUMP, delta, NOW).into_iter().collect();
        self.tell(changes);
    }

    pub(super) fn press(&mut self, code: KeyCode) -> Action {
        update(
            &mut self.app,
            Event::Key(KeyEvent::new(code, KeyModifiers::NONE)),
        )
    }

    pub(super) fn keys(&mut self, keys: &str) -> Action {
        let mut last = Action::Nothing;
        for key in keys.chars() {
            last = self.press(match key {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                key => KeyCode::Char(key),
            });
        }
        last
    }

    fn receipt(&mut self, called: &str, stage: Stage, reason: Option<Code>, is_final: bool) {
        self.hear(Event::Receipt {
            address: PUMP,
            name: name(called),
            receipt: Receipt {
                key: KEY,
                stage,
                at: None,
                reason,
                detail: None,
                is_final,
            },
        });
    }

    /// Whether nothing of it has a colour.
    pub(super) fn is_colourless(&self) -> bool {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| view::draw(frame, &self.app)).unwrap();
        let plain = ratatui::style::Color::Reset;
        let mut cells = terminal.backend().buffer().content().iter();
        cells.all(|cell| cell.fg == plain && cell.bg == plain)
    }

    pub(super) fn picture(&self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw(frame, &self.app)).unwrap();
        let buffer = terminal.backend().buffer();
        let mut rows = Vec::new();
        for y in 0..height {
            let mut row = String::new();
            let mut skip = 0;
            for x in 0..width {
                let symbol = buffer[(x, y)].symbol();
                // The second cell of a wide character is no character of its own.
                if skip == 0 {
                    row.push_str(symbol);
                    skip = ratatui::text::Span::raw(symbol).width().saturating_sub(1);
                } else {
                    skip -= 1;
                }
            }
            rows.push(row.trim_end().to_owned());
        }
        rows.join("\n")
    }
}

fn switch(called: &str, value: i64) -> Action {
    Action::Send {
        address: PUMP,
        name: name(called),
        action: message::Action::Set {
            point: name(called),
            value,
        },
    }
}

#[test]
fn the_fleet_at_80_by_24() {
    let yard = Yard::new(Colours::True);
    insta::assert_snapshot!(yard.picture(80, 24));
}

#[test]
fn a_controller_at_120_by_40() {
    let mut yard = Yard::new(Colours::Sixteen);
    yard.keys("\nj");
    assert_eq!(yard.keys(" "), switch("lamp", 1));
    yard.receipt("lamp", Stage::Delivered, None, false);
    insta::assert_snapshot!(yard.picture(120, 40));
}

#[test]
fn the_gateway_gone_at_80_by_24() {
    let mut yard = Yard::new(Colours::None);
    let changes = yard.fleet.link_lost();
    yard.tell(changes);
    yard.hear(Event::Link(Link::Waiting {
        seconds: 4,
        why: "gateway_gone".into(),
    }));
    assert_eq!(yard.keys("\nj "), Action::Nothing);
    insta::assert_snapshot!(yard.picture(80, 24));
}

#[test]
fn every_size_is_drawn() {
    let mut yard = Yard::new(Colours::None);
    for keys in ["", "\n", "c", "\x1b?", "\x1bn", "\x1b/", "x", "\x1b:"] {
        yard.keys(keys);
        for (width, height) in [(1, 1), (2, 3), (10, 4), (40, 10), (80, 24), (300, 100)] {
            yard.picture(width, height);
        }
    }
}

#[test]
fn no_color_means_no_colour() {
    let mut yard = Yard::new(Colours::None);
    yard.keys("\nj ");
    yard.receipt("lamp", Stage::Refused, Some(Code::Busy), true);
    assert!(yard.is_colourless());
}

#[test]
fn a_switch_shows_what_was_asked_and_what_came_back() {
    let mut yard = Yard::new(Colours::None);
    yard.keys("\nj");
    assert_eq!(yard.keys(" "), switch("lamp", 1));
    assert!(yard.picture(80, 24).contains("lamp      ○ off  ◐ asked…"));
    assert_eq!(
        yard.keys(" "),
        Action::Nothing,
        "not again before its receipt"
    );
    yard.hear(Event::Sent {
        address: PUMP,
        name: name("lamp"),
        key: KEY,
    });
    let by_us = Cause {
        kind: CauseKind::Command,
        by: Some(Address(0x8000_0001)),
        reference: Some(KEY.reference()),
    };
    yard.change(4, 1, 1, by_us);
    yard.receipt("lamp", Stage::Executed, None, true);
    assert!(yard.picture(80, 24).contains("lamp      ● ON  ◉ done"));
    assert!(
        yard.picture(80, 24)
            .contains("lamp ON  — you, receipt 8f8f")
    );
    // Somebody else's change takes our word away, and a new toggle starts from there.
    yard.change(4, 0, 1, Cause::plain(CauseKind::Schedule));
    assert!(!yard.picture(80, 24).contains("done"));
    assert_eq!(yard.keys(" "), switch("lamp", 1));
    yard.receipt("lamp", Stage::Refused, Some(Code::Busy), true);
    assert!(yard.picture(80, 24).contains("▲ refused"));
}

#[test]
fn what_must_not_be_switched_is_not() {
    let mut yard = Yard::new(Colours::None);
    assert_eq!(yard.keys("\n "), Action::Nothing);
    assert!(
        yard.app
            .message
            .as_deref()
            .unwrap()
            .contains("driven by the script")
    );
    yard.keys("j");
    let gap = Delta {
        head: StatusHead {
            boot: 1,
            sequence: 9,
        },
        uptime_ms: 2,
        time: None,
        changes: Vec::new(),
    };
    let changes = yard.fleet.delta(PUMP, gap, NOW).into_iter().collect();
    yard.tell(changes);
    assert_eq!(yard.keys(" "), Action::Nothing);
    assert!(yard.app.message.as_deref().unwrap().contains("not certain"));
}

#[test]
fn the_cursor_keeps_its_controller() {
    let mut yard = Yard::new(Colours::None);
    yard.keys("j");
    assert_eq!(yard.app.selected, Some(Address(100_043)));
    let news = yard.fleet.presence(presence(7, "A new one", true));
    yard.tell(news.into_iter().collect());
    assert_eq!(yard.app.selected, Some(Address(100_043)));
    yard.keys("/gate");
    assert_eq!(yard.app.selected, Some(Address(100_043)));
    yard.keys("\x1b/!gate\n");
    assert_eq!(yard.app.visible().len(), 3);
    assert_eq!(yard.app.selected, Some(Address(7)));
    yard.keys("\x1bG");
    assert_eq!(yard.app.selected, Some(Address(100_051)));
}

#[test]
fn goes_to_a_number_and_calls_a_command() {
    let mut yard = Yard::new(Colours::None);
    yard.keys(":7\n");
    assert_eq!(yard.app.page, Page::Fleet);
    assert_eq!(
        yard.app.message.as_deref(),
        Some("no controller No. 7 in this fleet")
    );
    yard.keys(":100042\n");
    assert_eq!(yard.app.page, Page::Controller(PUMP));
    assert_eq!(yard.keys("c"), Action::Describe(PUMP));
    let pulse = Signature::parse("pulse(t: time in 100ms..60s)").unwrap();
    yard.hear(Event::Described {
        address: PUMP,
        described: Ok((Title::new("pulse").unwrap(), vec![pulse])),
    });
    assert_eq!(yard.keys("\n90s\n"), Action::Nothing);
    assert!(
        yard.picture(80, 24)
            .contains("expected t from 100ms to 1m and found 90s")
    );
    yard.press(KeyCode::Backspace);
    yard.press(KeyCode::Backspace);
    let sent = yard.keys("s\n");
    let call = message::Action::Call {
        command: name("pulse"),
        arguments: vec![9000],
    };
    assert!(matches!(sent, Action::Send { action, .. } if action == call));
}

#[test]
fn notes_wait_to_be_read_and_move_no_cursor() {
    let mut yard = Yard::new(Colours::None);
    yard.hear(Event::Note {
        from: Address(0xC000_0001),
        text: Text::cut("tea?\x1b[2J"),
        at: NOW,
    });
    assert!(yard.picture(80, 24).contains("✉ 1"));
    yard.keys("n");
    let picture = yard.picture(80, 24);
    assert!(picture.contains("tea? [2J") && !picture.contains("✉"));
}

#[test]
fn another_tool_goes_by_its_name_once_it_has_said_it() {
    let other = Address(0xC000_0007);
    let mut yard = Yard::new(Colours::None);
    yard.keys("\n");
    let cause = Cause {
        kind: CauseKind::Command,
        by: Some(other),
        reference: Some(0x8F2C_0001),
    };
    yard.change(4, 1, 1, cause);
    assert_eq!(yard.app.take_nameless(), [other]);
    let by_number = "lamp ON  — No. 3221225479, receipt 8f2c";
    assert!(yard.picture(80, 24).contains(by_number));
    // It was asked already, also if it never answers; and so it is for whoever sends a note.
    yard.change(4, 0, 1, cause);
    yard.hear(Event::Note {
        from: other,
        text: Text::new("tea?").unwrap(),
        at: NOW,
    });
    assert!(yard.app.take_nameless().is_empty());
    yard.hear(Event::Named {
        address: other,
        title: Some(Title::new("li").unwrap()),
    });
    let by_name = "lamp ON  — li, receipt 8f2c";
    assert!(yard.picture(80, 24).contains(by_name));
    yard.keys("n");
    assert!(yard.picture(80, 24).contains("li (No. 3221225479)  tea?"));
}
