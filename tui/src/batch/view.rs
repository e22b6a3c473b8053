//! A batch as it is shown: to programs a line an event; to people at a terminal a line a slot, which moves, and what came
//! of it large; to others a line for what matters.

use crate::{exit::Failure, output, words};
use crossterm::{
    cursor::MoveUp,
    queue,
    style::{Print, Stylize as _},
    terminal::{Clear, ClearType},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};
use switchyard_flasher::{BatchStage, Record, SlotChange, SlotEvent, Yield};

/// How often the lines that move are drawn anew.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);
/// Narrower than this no terminal is taken to be.
const COLUMNS_MIN: usize = 40;
/// Where the system does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// What is shown of a slot.
#[derive(Debug, Default, PartialEq, Eq)]
struct Slot {
    path: String,
    title: String,
    doing: String,
    percent: Option<u8>,
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Terminal,
    Lines,
}

pub(super) struct View {
    form: Form,
    job: String,
    slots: BTreeMap<usize, Slot>,
    result: Yield,
    drawn: Option<Instant>,
    drawn_lines: u16,
}

impl View {
    pub(super) fn new(json: bool, job: &str, result: &Yield) -> Self {
        let form = match json {
            true => Form::Json,
            false if io::stderr().is_terminal() => Form::Terminal,
            false => Form::Lines,
        };
        View {
            form,
            job: words::plain(job),
            slots: BTreeMap::new(),
            result: result.clone(),
            drawn: None,
            drawn_lines: 0,
        }
    }

    pub(super) fn begin(&mut self, waits_for_new: bool) {
        if self.form != Form::Json && waits_for_new {
            output::aside(
                "plug boards in; what was plugged in before is left alone until it is plugged in anew",
            );
        }
        self.draw();
    }

    /// Takes what happened, and shows it.
    pub(super) fn event(&mut self, event: &SlotEvent, result: impl FnOnce() -> Yield) {
        let is_end = matches!(
            event.change,
            SlotChange::Passed { .. } | SlotChange::Failed { .. }
        );
        if is_end {
            self.result = result();
        }
        self.take(event);
        match self.form {
            // Whoever reads no more is no reason to leave boards half written.
            Form::Json => {
                let _ = output::line(as_json(event));
            }
            Form::Lines => {
                if let Some(line) = line(event) {
                    let _ = output::line(line);
                }
            }
            Form::Terminal => {
                let is_due = self.drawn.is_none_or(|it| it.elapsed() >= DRAW_INTERVAL);
                if is_due || !matches!(event.change, SlotChange::Progress { .. }) {
                    self.draw();
                }
            }
        }
    }

    pub(super) fn end(&mut self, result: &Yield) -> Result<(), Failure> {
        self.result = result.clone();
        self.draw();
        match self.form {
            Form::Json => output::line(yield_as_json(result))?,
            Form::Lines => output::line(yield_words(result))?,
            Form::Terminal => {}
        }
        Ok(())
    }

    fn take(&mut self, event: &SlotEvent) {
        let slot = self.slots.entry(event.slot).or_default();
        match &event.change {
            SlotChange::Plugged { path } => {
                *slot = Slot {
                    path: path.clone(),
                    doing: "looking for the board".to_owned(),
                    ..Slot::default()
                };
            }
            // What came of the one before is shown until the next is there.
            SlotChange::WaitingForBoard if slot.verdict.is_some() => {}
            SlotChange::WaitingForBoard => slot.doing = WAITING.to_owned(),
            SlotChange::Begun { stage } => {
                if slot.verdict.take().is_some() {
                    slot.title.clear();
                }
                slot.doing = stage_words(*stage).to_owned();
                slot.percent = None;
            }
            SlotChange::Progress { percent } => slot.percent = Some(*percent),
            SlotChange::Identified { title, .. } => slot.title = words::plain(title),
            SlotChange::WaitingForStart => slot.doing = STARTING.to_owned(),
            SlotChange::Again { why } => slot.doing = format!("again: {}", words::plain(why)),
            SlotChange::RollingBack => slot.doing = "taking the enrolment back".to_owned(),
            SlotChange::DoneBefore { record } => {
                slot.title = words::plain(&record.title);
                slot.doing = "it passed before; nothing was done".to_owned();
                slot.percent = None;
                slot.verdict = Some(Verdict::Pass);
            }
            SlotChange::Passed { record } => {
                let address = record.address.map(|it| format!("No. {it}"));
                slot.doing = address.unwrap_or_default();
                slot.percent = None;
                slot.verdict = Some(Verdict::Pass);
            }
            SlotChange::Failed { record, advice } => {
                let what = failure_words(record);
                let advice = advice.as_deref().unwrap_or_default();
                slot.doing = format!("{what}. {advice}").trim_end().to_owned();
                slot.percent = None;
                slot.verdict = Some(Verdict::Fail);
            }
            SlotChange::Freed => {
                self.slots.remove(&event.slot);
            }
            _ => {}
        }
    }

    /// All that moves, in lines that are no wider than the terminal.
    fn lines(&self, columns: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, slot) in &self.slots {
            let mark = match slot.verdict {
                Some(Verdict::Pass) => "  PASS  ".white().on_dark_green().bold().to_string(),
                Some(Verdict::Fail) => "  FAIL  ".white().on_dark_red().bold().to_string(),
                None => match slot.percent {
                    Some(percent) => format!("{percent:>6} %"),
                    None => " ".repeat(8),
                },
            };
            let path = slot.path.rsplit('/').next().unwrap_or_default();
            let before = format!("{number:>2} {path:<9} ");
            let room = columns.saturating_sub(before.chars().count() + 8 + 1);
            let text = match slot.title.is_empty() {
                true => slot.doing.clone(),
                false => format!("{}  {}", slot.title, slot.doing),
            };
            let mut parts = wrapped(&text, room).into_iter();
            let first = parts.next().unwrap_or_default();
            lines.push(format!("{before}{mark} {first}"));
            // What to do about a failure is told to its end.
            let indent = " ".repeat(columns.saturating_sub(room));
            let more = parts.filter(|_| slot.verdict == Some(Verdict::Fail));
            lines.extend(more.map(|part| format!("{indent}{part}")));
        }
        let last = format!("{} · {}", self.job, yield_words(&self.result));
        lines.extend(wrapped(&last, columns).into_iter().take(1));
        lines
    }

    fn draw(&mut self) {
        if self.form != Form::Terminal {
            return;
        }
        self.drawn = Some(Instant::now());
        let columns =
            crossterm::terminal::size().map_or(COLUMNS_DEFAULT, |(columns, _)| columns.into());
        // The last column stays free: some terminals go on to the next line when it is filled.
        let lines = self.lines(columns.max(COLUMNS_MIN) - 1);
        let mut out = io::stderr().lock();
        let mut draw = || {
            if self.drawn_lines > 0 {
                queue!(out, MoveUp(self.drawn_lines))?;
            }
            queue!(out, Clear(ClearType::FromCursorDown))?;
            for line in &lines {
                queue!(out, Print(line), Print("\n"))?;
            }
            out.flush()
        };
        if draw().is_ok() {
            self.drawn_lines = lines.len() as u16;
        }
    }
}

const WAITING: &str = "hold GPIO0 to ground and power the board (never while it is on mains)";
const STARTING: &str = "take GPIO0 off ground and power the board anew";

fn stage_words(stage: BatchStage) -> &'static str {
    match stage {
        BatchStage::Connect => "speaking with its loader",
        BatchStage::Flash => "writing",
        BatchStage::Boot => "starting",
        BatchStage::Provision => "settings",
        BatchStage::Script => "script",
        BatchStage::Enrol => "enrolling",
        BatchStage::Check => "checking",
        BatchStage::Label => "printing its label",
        other => other.name(),
    }
}

fn failure_words(record: &Record) -> String {
    match &record.failure {
        Some((stage, error)) => format!("{}: {}", stage.name(), words::plain(error)),
        None => String::new(),
    }
}

/// A text in lines that are no longer than that, broken between words where it can be.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let Some(line) = lines.last_mut() else {
                return lines;
            };
            let length = line.chars().count();
            let space = usize::from(length > 0);
            if length + space + word.len() <= columns {
                line.push_str(&" ".repeat(space));
                line.extend(word);
                break;
            }
            if length > 0 {
                lines.push(String::new());
                continue;
            }
            let rest = word.split_off(columns);
            line.extend(word);
            word = rest;
            lines.push(String::new());
        }
    }
    lines
}

pub(super) fn yield_words(result: &Yield) -> String {
    let (done, passed) = (result.done, result.passed);
    let failed = done - passed;
    let share = (done > 0).then(|| format!(" · yield {} %", passed * 100 / done));
    let first = result
        .first_pass()
        .map(|it| format!(", {:.0} % at once", it * 100.0));
    let stages: Vec<_> = result
        .failed
        .iter()
        .map(|(stage, count)| format!("{} {count}", stage.name()))
        .collect();
    let stages = match stages.is_empty() {
        true => String::new(),
        false => format!(" ({})", stages.join(", ")),
    };
    let median = result
        .median
        .map(|it| format!(" · {:.0} s each", it.as_secs_f64()));
    format!(
        "{passed} passed · {failed} failed{stages}{}{}{}",
        share.unwrap_or_default(),
        first.unwrap_or_default(),
        median.unwrap_or_default()
    )
}

pub(super) fn yield_as_json(result: &Yield) -> Value {
    let failed = result
        .failed
        .iter()
        .map(|(stage, count)| (stage.name().to_owned(), json!(count)));
    json!({
        "event": "yield",
        "done": result.done,
        "passed": result.passed,
        "failed": failed.collect::<serde_json::Map<_, _>>(),
        "first_pass": result.first_pass(),
        "median_ms": result.median.map(|it| it.as_millis() as u64),
    })
}

/// What is said of it where nothing moves.
fn line(event: &SlotEvent) -> Option<String> {
    let slot = event.slot;
    let said = match &event.change {
        SlotChange::Plugged { path } => path.clone(),
        SlotChange::WaitingForBoard => WAITING.to_owned(),
        SlotChange::WaitingForStart => STARTING.to_owned(),
        SlotChange::Begun { stage } => stage_words(*stage).to_owned(),
        SlotChange::Identified { mac, title, .. } => format!("{title}, {}", mac_words(*mac)),
        SlotChange::DoneBefore { record } => {
            format!("{} passed before; nothing was done", record.title)
        }
        SlotChange::Again { why } => format!("again: {why}"),
        SlotChange::RollingBack => "taking the enrolment back".to_owned(),
        SlotChange::Passed { record } => {
            let address = record.address.map(|it| format!(" No. {it}"));
            format!("PASS {}{}", record.title, address.unwrap_or_default())
        }
        SlotChange::Failed { record, advice } => {
            let advice = advice.as_ref().map(|it| format!("\n  {it}"));
            format!(
                "FAIL {} {}{}",
                record.title,
                failure_words(record),
                advice.unwrap_or_default()
            )
        }
        SlotChange::Progress { .. } | SlotChange::Freed => return None,
        _ => return None,
    };
    Some(format!("{slot}: {said}"))
}

fn mac_words(mac: [u8; 6]) -> String {
    switchyard_flasher::mac_text(mac)
}

fn as_json(event: &SlotEvent) -> Value {
    let slot = event.slot;
    let ended = |what, record: &Record, advice: Option<&String>| {
        json!({
            "event": what,
            "slot": slot,
            "path": record.slot,
            "mac": record.mac.map(mac_words),
            "number": record.number,
            "address": record.address,
            "title": record.title,
            "software": record.software,
            "stage": record.failure.as_ref().map(|(stage, _)| stage.name()),
            "error": record.failure.as_ref().map(|(_, error)| error),
            "advice": advice,
            "bytes_written": record.bytes_written,
            "line_errors": record.line_errors,
            "seconds": record.duration().as_secs_f64(),
        })
    };
    match &event.change {
        SlotChange::Plugged { path } => json!({ "event": "plugged", "slot": slot, "path": path }),
        SlotChange::WaitingForBoard => json!({ "event": "waiting", "slot": slot }),
        SlotChange::Begun { stage } => {
            json!({ "event": "begun", "slot": slot, "stage": stage.name() })
        }
        SlotChange::Progress { percent } => {
            json!({ "event": "progress", "slot": slot, "percent": percent })
        }
        SlotChange::Identified { mac, number, title } => json!({
            "event": "identified", "slot": slot, "mac": mac_words(*mac), "number": number, "title": title,
        }),
        SlotChange::DoneBefore { record } => ended("done_before", record, None),
        SlotChange::Again { why } => json!({ "event": "again", "slot": slot, "why": why }),
        SlotChange::WaitingForStart => json!({ "event": "waiting_for_start", "slot": slot }),
        SlotChange::RollingBack => json!({ "event": "rolling_back", "slot": slot }),
        SlotChange::Passed { record } => ended("passed", record, None),
        SlotChange::Failed { record, advice } => ended("failed", record, advice.as_ref()),
        SlotChange::Freed => json!({ "event": "freed", "slot": slot }),
        _ => json!({ "event": "other", "slot": slot }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(failure: Option<(BatchStage, String)>) -> Box<Record> {
        Box::new(Record {
            at_ms: 0,
            slot: "/dev/ttyUSB3".to_owned(),
            mac: Some([0x5C, 0xCF, 0x7F, 0, 0, 1]),
            number: Some(7),
            address: Some(100_042),
            title: "Pump 007".to_owned(),
            software: String::new(),
            failure,
            durations: BTreeMap::new(),
            bytes_written: 0,
            line_errors: 0,
        })
    }

    fn view() -> View {
        View {
            form: Form::Terminal,
            job: "Hall 3".to_owned(),
            slots: BTreeMap::new(),
            result: Yield::default(),
            drawn: None,
            drawn_lines: 0,
        }
    }

    fn take(view: &mut View, change: SlotChange) {
        view.take(&SlotEvent { slot: 1, change });
    }

    #[test]
    fn a_slot_is_a_line_until_it_says_what_came_of_it() {
        let mut view = view();
        let path = "/dev/ttyUSB3".to_owned();
        take(&mut view, SlotChange::Plugged { path });
        let (mac, title) = ([0; 6], "Pump 007".to_owned());
        let number = 7;
        take(&mut view, SlotChange::Identified { mac, number, title });
        let stage = BatchStage::Flash;
        take(&mut view, SlotChange::Begun { stage });
        take(&mut view, SlotChange::Progress { percent: 42 });
        assert_eq!(view.lines(79)[0], " 1 ttyUSB3       42 % Pump 007  writing");
        let failed = SlotChange::Failed {
            record: record(Some((stage, "the serial line is gone".to_owned()))),
            advice: Some(
                "Is the cable plugged in? Plug the board in again and start once more.".to_owned(),
            ),
        };
        take(&mut view, failed);
        let lines = view.lines(60);
        assert!(lines[0].contains("  FAIL  "), "{lines:?}");
        assert!(
            lines.len() > 3 && lines.join(" ").contains("  more."),
            "{lines:?}"
        );
        // What came of it stays while the next is waited for.
        take(&mut view, SlotChange::WaitingForBoard);
        assert!(view.lines(60)[0].contains("  FAIL  "));
        take(&mut view, SlotChange::Begun { stage });
        assert!(!view.lines(60)[0].contains("  FAIL  "));
        take(
            &mut view,
            SlotChange::Passed {
                record: record(None),
            },
        );
        assert!(view.lines(60)[0].contains("  PASS  "));
        take(&mut view, SlotChange::Freed);
        assert_eq!(view.lines(60), ["Hall 3 · 0 passed · 0 failed"]);
    }

    #[test]
    fn lines_are_broken_between_words_where_they_can_be() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdefghi j", 4), ["abcd", "efgh", "i j"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn a_failure_is_told_to_programs_with_what_to_do() {
        let failed = SlotChange::Failed {
            record: record(Some((BatchStage::Enrol, "the gateway".to_owned()))),
            advice: Some("Try again.".to_owned()),
        };
        let told = as_json(&SlotEvent {
            slot: 2,
            change: failed,
        });
        assert_eq!(
            (&told["event"], &told["slot"]),
            (&"failed".into(), &2.into())
        );
        assert_eq!(
            (&told["stage"], &told["advice"]),
            (&"enrol".into(), &"Try again.".into())
        );
        assert_eq!(told["mac"], "5c:cf:7f:00:00:01");
    }
}
