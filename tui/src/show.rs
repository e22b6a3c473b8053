//! What goes on with a board, shown as it happens.

use crate::{output, stop, words};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};
use switchyard_flasher::{Chip, Event, Level, Stage, Watch};
use switchyard_protocol::serial::{Description, WifiState};

/// How often a line that shows progress is drawn anew.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// A chip's address, as people write it.
pub(crate) fn mac(chip: &Chip) -> String {
    switchyard_flasher::mac_text(chip.mac)
}

/// Shows what goes on: to programs a line an event, to people at a terminal one line that moves, to others what matters.
pub(crate) struct Show {
    json: bool,
    is_terminal: bool,
    drawn: Option<Instant>,
    has_line: bool,
}

impl Show {
    pub(crate) fn new(json: bool) -> Self {
        Show {
            json,
            is_terminal: !json && io::stderr().is_terminal(),
            drawn: None,
            has_line: false,
        }
    }

    /// Leaves the line that moves as it is, and goes on below.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.has_line) {
            let _ = writeln!(io::stderr().lock());
        }
    }

    fn progress(&mut self, what: &str, offset: u32, bytes: u32, done: u32) {
        let is_over = done >= bytes;
        let is_due = self.drawn.is_none_or(|it| it.elapsed() >= DRAW_INTERVAL);
        if !self.is_terminal || !(is_due || is_over) {
            return;
        }
        self.drawn = Some(Instant::now());
        let percent = u64::from(done) * 100 / u64::from(bytes.max(1));
        let filled = (percent / 5) as usize;
        let bar = format!("{}{}", "▓".repeat(filled), "░".repeat(20 - filled));
        let _ = write!(
            io::stderr().lock(),
            "\r{what:<9} {offset:#08x} {bar} {percent:>3} % of {} KiB ",
            bytes.div_ceil(1024)
        );
        self.has_line = true;
        if is_over {
            self.end();
        }
    }
}

impl Watch for Show {
    fn is_stopped(&self) -> bool {
        stop::is_asked()
    }

    fn event(&mut self, event: Event) {
        if self.json {
            // Whoever reads no more is no reason to leave a board half written.
            let _ = output::line(as_json(&event));
            return;
        }
        match event {
            Event::Writing {
                offset,
                bytes,
                done,
            } => {
                return self.progress("writing", offset, bytes, done);
            }
            Event::BackingUp {
                offset,
                bytes,
                done,
            } => {
                return self.progress("reading", offset, bytes, done);
            }
            Event::Verifying {
                offset,
                bytes,
                done,
            } => {
                return self.progress("verifying", offset, bytes, done);
            }
            Event::Scripting { bytes, done } => {
                return self.progress("script", 0, bytes, done);
            }
            _ => self.end(),
        }
        match event {
            Event::NoSignals => output::aside(
                "this line has no DTR and RTS; --before no-reset says that a person brings the board into its loader",
            ),
            Event::WaitingForBoard => output::aside(
                "hold GPIO0 to ground and power the board (never while it is on mains); a relay on GPIO0 may click",
            ),
            Event::Found { chip } => output::aside(format_args!("{}, {}", chip.name, mac(&chip))),
            Event::WithoutStub => output::aside(
                "the chip's own loader does it: slower, all of it anew, and verified at its ends alone unless \
                 --read-back asks for every byte",
            ),
            Event::Unchanged { bytes } if bytes > 0 => {
                output::aside(format_args!(
                    "{} KiB are there already",
                    bytes.div_ceil(1024)
                ));
            }
            Event::Again { why, baud } => {
                output::aside(format_args!("{why}; trying again at {baud} baud"));
            }
            Event::Verified { offset, bytes } => output::aside(format_args!(
                "verified: {} KiB from {offset:#08x} on",
                bytes.div_ceil(1024)
            )),
            Event::WaitingForStart => output::aside(
                "take GPIO0 off ground and power the board anew; its program is waited for",
            ),
            Event::Described { description } => output::aside(format_args!(
                "{} {}, {}",
                description.software, description.version, description.profile
            )),
            Event::Stage(stage) => output::aside(in_words(stage)),
            Event::Enrolled { address } => output::aside(format_args!("it is to be No. {address}")),
            Event::Log { line } => output::aside(format_args!("| {}", words::plain(&line))),
            _ => {}
        }
    }
}

/// A stage in words.
fn in_words(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "waiting for the board's program",
        Stage::Unlocking => "opening the board by its page's password",
        Stage::Setting => "giving it its settings",
        Stage::Joining => "waiting until it has joined its network",
        Stage::Script => "giving it its script",
        Stage::Trial => "the script runs on trial: its outputs may switch",
        Stage::Enrolling => "enrolling it at the gateway",
        Stage::Restarting => "restarting it as who it is",
        Stage::Reaching => "waiting until it is at its gateway",
        Stage::RollingBack => "taking the enrolment back",
        other => other.name(),
    }
}

fn as_json(event: &Event) -> Value {
    let part = |what, offset, bytes, done| json!({ "event": what, "offset": offset, "bytes": bytes, "done": done });
    match event {
        Event::NoSignals => json!({ "event": "no_signals" }),
        Event::WaitingForBoard => json!({ "event": "waiting" }),
        Event::Found { chip } => json!({ "event": "found", "chip": chip.name, "mac": mac(chip) }),
        Event::Flash { bytes, .. } => json!({ "event": "flash", "bytes": bytes }),
        Event::Speaking { level, baud } => {
            json!({ "event": "speaking", "stub": *level == Level::Stub, "baud": baud })
        }
        Event::WithoutStub => json!({ "event": "without_stub" }),
        Event::Comparing { offset, bytes } => part("comparing", offset, bytes, &0),
        Event::Unchanged { bytes } => json!({ "event": "unchanged", "bytes": bytes }),
        Event::BackingUp {
            offset,
            bytes,
            done,
        } => part("reading", offset, bytes, done),
        Event::Writing {
            offset,
            bytes,
            done,
        } => part("writing", offset, bytes, done),
        Event::Verifying {
            offset,
            bytes,
            done,
        } => part("verifying", offset, bytes, done),
        Event::Verified { offset, bytes } => part("verified", offset, bytes, bytes),
        Event::Again { why, baud } => json!({ "event": "again", "why": why, "baud": baud }),
        Event::WaitingForStart => json!({ "event": "waiting_for_start" }),
        Event::Described { description } => description_as_json(description),
        Event::Enrolled { address } => json!({ "event": "enrolled", "address": address.0 }),
        Event::Stage(stage) => json!({ "event": "stage", "stage": stage.name() }),
        Event::Scripting { bytes, done } => part("scripting", &0, bytes, done),
        Event::Log { line } => json!({ "event": "log", "line": line }),
        _ => json!({ "event": "other" }),
    }
}

/// A running board, as it is told to programs.
pub(crate) fn description_as_json(description: &Description) -> Value {
    json!({
        "event": "described",
        "profile": description.profile,
        "software": description.software,
        "version": description.version,
        "slot": description.slot,
        "address": description.address.map(|it| it.0),
        "protected": description.is_protected,
        "wifi": wifi(description.wifi),
        "ip": description.ip,
        "link_live": description.link == Description::LINK_LIVE,
        "script": description.script,
        "hardware": description.hardware.as_ref().map(|it| {
            it.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
        }),
        "name": description.name,
    })
}

fn wifi(state: WifiState) -> &'static str {
    match state {
        WifiState::Down => "down",
        WifiState::Joining => "joining",
        WifiState::Joined => "joined",
        WifiState::WrongPassword => "wrong_password",
        WifiState::NotFound => "not_found",
        _ => "other",
    }
}
