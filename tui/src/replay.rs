//! `replay`: a controller's last scans, run again here by the same core, and what each of them did.
//!
//! Nothing of this machine goes into what is printed, neither its clock nor its zone: the same recording
//! gives the same bytes.

use crate::{
    exit::{Exit, Failure},
    words,
};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write,
    fs,
    io::{self, BufWriter, Write as _},
    path::Path,
};
use switchyard_client::signature::ArgumentType;
use switchyard_firmware::{
    replay::{Reason, Recording, RecordingError, Replay, ReplayedScan, script_crc},
    runner::{Command, Outcome, PointView, Request},
    script::{Board, Name, NameKind, Program, ValueType, compile},
};
use switchyard_protocol::message::{CauseKind, PointFlags};

/// A recording is a slot of the flash, a script is what a controller takes.
const RECORDING_BYTES_MAX: usize = 4096;
const SCRIPT_BYTES_MAX: usize = 8192;

/// Replays the recording in one file with the script in another, for that board, or for the one of all
/// known boards that it was recorded on.
pub(crate) fn run(
    recording: &Path,
    script: &Path,
    board: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let bytes = read(recording, RECORDING_BYTES_MAX)?;
    let source = read(script, SCRIPT_BYTES_MAX)?;
    let source = String::from_utf8(source)
        .map_err(|_| refused(format!("expected a script in {}", script.display())))?;
    let recording = Recording::read(bytes).map_err(|error| refused(error.to_string()))?;
    let (board, program) = find_program(&recording, &source, board)?;
    let replay = Replay::start(recording, program, &source);
    let replay = replay.map_err(|error| refused(error.to_string()))?;
    let story = Story::of(replay, board, &source);
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        story.print_json(&mut out)?;
    } else {
        out.write_all(story.text().as_bytes())?;
    }
    out.flush()?;
    match story.end {
        Ok(()) => Ok(()),
        Err(error) => Err(Failure::new(Exit::Other, error.to_string())),
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Exit::Refused, message)
}

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let failed = |text: String| Failure::new(Exit::Other, format!("{}: {text}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    if bytes.len() > bytes_max {
        let found = bytes.len();
        return Err(failed(format!(
            "expected {bytes_max} bytes at most and found {found}"
        )));
    }
    Ok(bytes)
}

/// The board for which the script is the recorded one.
fn find_program(
    recording: &Recording,
    source: &str,
    wanted: Option<&str>,
) -> Result<(String, Program), Failure> {
    let mut boards = Board::known();
    let names: Vec<_> = boards.iter().map(|(name, _)| name.clone()).collect();
    boards.retain(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
    if boards.is_empty() {
        return Err(Failure::usage(format!(
            "expected one of the boards {}",
            names.join(", ")
        )));
    }
    let mut problem = None;
    for (name, board) in boards {
        match compile(source, &board) {
            Ok(program) if script_crc(source, &program) == recording.script_crc => {
                return Ok((name, program));
            }
            Ok(program) => {
                // More telling than that some other board lacks a pin.
                problem = Some(
                    RecordingError::OtherScript {
                        expected: recording.script_crc,
                        found: script_crc(source, &program),
                    }
                    .to_string(),
                );
            }
            Err(error) => {
                problem.get_or_insert_with(|| format!("for {name}: {error}"));
            }
        }
    }
    Err(refused(problem.unwrap_or_default()))
}

/// A scan, and what it changed.
struct Row {
    scan: ReplayedScan,
    divided: Option<u16>,
    events: u32,
    alarms_raised: u32,
    alarms_over: u32,
    came: Option<bool>,
    clock: Option<bool>,
    released: u32,
    forced: u32,
    inputs: Vec<(Name, PointView)>,
    outputs: Vec<(Name, PointView)>,
    names: Vec<(Name, i32)>,
}

impl Row {
    fn is_quiet(&self) -> bool {
        let bits =
            self.events | self.alarms_raised | self.alarms_over | self.released | self.forced;
        bits == 0
            && self.divided.is_none()
            && self.came.is_none()
            && self.clock.is_none()
            && self.scan.command.is_none()
            && self.scan.set_cells.is_empty()
            && self.inputs.is_empty()
            && self.outputs.is_empty()
            && self.names.is_empty()
    }
}

/// All that is to be seen at one moment.
struct Shown {
    points: Vec<PointView>,
    values: Vec<i32>,
    alarms: u32,
    divisions: u32,
}

impl Shown {
    fn of(replay: &Replay) -> Self {
        let names = replay.program().names();
        Self {
            points: (0..).map_while(|number| replay.point(number)).collect(),
            values: names.map(|name| replay.value(name)).collect(),
            alarms: replay.alarms(),
            divisions: replay.divisions_by_zero(),
        }
    }
}

/// Everything that a replay has to tell.
struct Story {
    recording: Recording,
    program: Program,
    board: String,
    lines: Vec<String>,
    before: Shown,
    rows: Vec<Row>,
    end: Result<(), RecordingError>,
}

fn is_point(name: &Name) -> bool {
    matches!(name.kind, NameKind::Input | NameKind::Output)
}

impl Story {
    fn of(mut replay: Replay, board: String, source: &str) -> Self {
        let before = Shown::of(&replay);
        let mut rows: Vec<Row> = Vec::new();
        let mut last = Shown::of(&replay);
        let end = loop {
            match replay.next_scan() {
                Ok(Some(scan)) => {
                    let now = Shown::of(&replay);
                    let previous = rows.last().map(|row| &row.scan);
                    let row = row(&replay, previous, scan, &last, &now);
                    rows.push(row);
                    last = now;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        Self {
            recording: replay.recording().clone(),
            program: replay.program().clone(),
            board,
            lines: source.lines().map(|line| line.trim().to_owned()).collect(),
            before,
            rows,
            end,
        }
    }

    /// The name of a point by its number.
    fn point_name(&self, number: u8) -> &str {
        let mut points = self.program.names().filter(|name| is_point(name));
        let point = points.nth(number.into());
        point.map_or("?", |name| &name.name)
    }

    fn line_text(&self, line: u16) -> &str {
        let at = usize::from(line).checked_sub(1);
        at.and_then(|at| self.lines.get(at))
            .map_or("", String::as_str)
    }

    /// Why the recording was kept, in a sentence's part.
    fn reason(&self) -> String {
        let line = self.recording.line;
        let at = line.map_or(String::new(), |line| format!(", line {line}"));
        match self.recording.reason {
            Reason::Request => "somebody asked for it".to_owned(),
            Reason::Division => format!("division by zero{at}"),
            Reason::Feedback(Some(point)) => {
                format!(
                    "the feedback of {} did not follow{at}",
                    self.point_name(point)
                )
            }
            Reason::Feedback(None) => format!("a feedback did not follow{at}"),
        }
    }

    /// When a scan was, in milliseconds before the last one: 0 or less.
    fn offset_ms(&self, row: &Row) -> i64 {
        -i64::from(self.recording.now_ms.wrapping_sub(row.scan.now_ms))
    }
}

fn row(
    replay: &Replay,
    previous: Option<&ReplayedScan>,
    scan: ReplayedScan,
    last: &Shown,
    now: &Shown,
) -> Row {
    let program = replay.program();
    let points = program.names().filter(|name| is_point(name)).cloned();
    let changed: Vec<_> = points
        .zip(last.points.iter().zip(&now.points))
        .filter(|(_, (before, after))| before.value != after.value || before.flags != after.flags)
        .map(|(name, (_, after))| (name, *after))
        .collect();
    let (inputs, outputs) = changed
        .into_iter()
        .partition(|(name, _)| name.kind == NameKind::Input);
    let names = program.names().zip(last.values.iter().zip(&now.values));
    // Commands and their arguments are told with the command, flags with what they tell of.
    let told = [
        NameKind::Variable,
        NameKind::Retained,
        NameKind::Parameter,
        NameKind::Machine,
    ];
    let names = names
        .filter(|(name, (before, after))| before != after && told.contains(&name.kind))
        .map(|(name, (_, after))| (name.clone(), *after))
        .collect();
    let held = previous.map_or(scan.forced, |it| it.forced);
    Row {
        divided: (now.divisions != last.divisions).then(|| replay.divided_line()),
        events: replay.events(),
        alarms_raised: now.alarms & !last.alarms,
        alarms_over: last.alarms & !now.alarms,
        came: previous
            .is_some_and(|it| it.online != scan.online)
            .then_some(scan.online),
        clock: previous
            .is_some_and(|it| it.synced != scan.synced)
            .then_some(scan.synced),
        released: held & !scan.forced,
        forced: scan.forced & !held,
        inputs,
        outputs,
        names,
        scan,
    }
}

/// A value as people read it.
fn value(name: &Name, value: i32) -> String {
    let kind = match name.value_type {
        ValueType::Bool => ArgumentType::Bool,
        ValueType::Int => ArgumentType::Int,
        ValueType::Num => ArgumentType::Num,
        ValueType::Time => ArgumentType::Time,
    };
    kind.show(value.into())
}

fn cause(point: &PointView) -> String {
    match point.cause {
        CauseKind::Script | CauseKind::Schedule if point.reference != 0 => {
            format!(
                "{}, line {}",
                point.cause.name().replace('_', " "),
                point.reference
            )
        }
        CauseKind::Command => format!("command by {}", point.by),
        kind => kind.name().replace('_', " "),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Executed => "executed",
        Outcome::Confirming => "executed, its feedback may follow",
        Outcome::Refused => "refused by the script",
    }
}

/// The numbers of the bits that are set, from 1.
fn numbers(bits: u32) -> impl Iterator<Item = u32> {
    (0..32)
        .filter(move |bit| bits >> bit & 1 != 0)
        .map(|bit| bit + 1)
}

/// Columns: when, what it is, its name, its value, and why.
const WHEN_WIDTH: usize = 10;
const WHAT_WIDTH: usize = 8;
const NAME_WIDTH: usize = 16;
const VALUE_WIDTH: usize = 12;

impl Story {
    fn text(&self) -> String {
        let mut out = self.head();
        let mut quiet = 0;
        for row in &self.rows {
            if row.is_quiet() {
                quiet += 1;
                continue;
            }
            put_quiet(&mut out, quiet);
            quiet = 0;
            let when = format!("{} ms", self.offset_ms(row));
            for (at, line) in self.lines_of(row).iter().enumerate() {
                let when = if at == 0 { when.as_str() } else { "" };
                put_line(&mut out, when, line);
            }
        }
        put_quiet(&mut out, quiet);
        let end = match &self.end {
            Ok(()) => "The state behind the last scan is the recorded one.".to_owned(),
            Err(error) => format!("This replay cannot be trusted: {error}."),
        };
        let _ = writeln!(out, "\n{end}");
        out
    }

    fn head(&self) -> String {
        let recording = &self.recording;
        let mut out = String::new();
        let trial = if recording.on_trial { " on trial" } else { "" };
        let _ = writeln!(out, "Kept for    {}", self.reason());
        if let Some(line) = recording.line {
            let _ = writeln!(out, "            {line:>4} | {}", self.line_text(line));
        }
        let _ = writeln!(
            out,
            "Script      version {}{trial}, sum {:08x}, board {}",
            recording.generation, recording.script_crc, self.board
        );
        let time = recording
            .time_s
            .and_then(|seconds| jiff::Timestamp::from_second(seconds.into()).ok());
        let time = time.map_or("time not known".to_owned(), |time| time.to_string());
        let _ = writeln!(
            out,
            "Last scan   {time}, {} after start {:08x}",
            span(recording.uptime.as_millis()),
            recording.boot_id
        );
        let from = self.rows.first().map_or(0, |row| -self.offset_ms(row));
        let _ = writeln!(out, "Recorded    {} scans, {from} ms\n", recording.scans);
        let mut before = String::new();
        let points = self.program.names().filter(|name| is_point(name));
        for (name, point) in points.zip(&self.before.points) {
            let _ = write!(before, "  {} {}", name.name, value(name, point.value));
        }
        let _ = writeln!(out, "{:>WHEN_WIDTH$}{before}", "before");
        out
    }

    fn lines_of(&self, row: &Row) -> Vec<String> {
        let mut lines = Vec::new();
        let mut put = |what: &str, name: &str, value: &str, why: &str| {
            let line =
                format!("{what:<WHAT_WIDTH$}{name:<NAME_WIDTH$} {value:<VALUE_WIDTH$} {why}");
            lines.push(line.trim_end().to_owned());
        };
        if let Some(came) = row.came {
            put("gateway", if came { "came" } else { "went" }, "", "");
        }
        if let Some(known) = row.clock {
            put("clock", if known { "known" } else { "unknown" }, "", "");
        }
        for (name, point) in &row.inputs {
            let bad = if point.flags.contains(PointFlags::BAD) {
                "bad"
            } else {
                ""
            };
            put("in", &name.name, &value(name, point.value), bad);
        }
        if let Some((command, came)) = &row.scan.command {
            let by = format!("by {}: {}", command.by, outcome(*came));
            put("command", &self.command_text(command), "", &by);
        }
        for name in self.program.names() {
            if row.scan.set_cells.contains(&name.cell) {
                let new = row.names.iter().find(|(it, _)| it == name);
                let new = new.map_or(String::new(), |(name, new)| value(name, *new));
                put("by hand", &name.name, &new, "set");
            }
        }
        for (bits, what) in [(row.forced, "held"), (row.released, "let go")] {
            for number in numbers(bits) {
                let number = u8::try_from(number - 1).unwrap_or(u8::MAX);
                put("by hand", self.point_name(number), what, "");
            }
        }
        for (name, new) in &row.names {
            if row.scan.set_cells.contains(&name.cell) {
                continue;
            }
            put("", &name.name, &value(name, *new), "");
        }
        for (name, point) in &row.outputs {
            let fault = point.flags.contains(PointFlags::FAULT);
            let fault = if fault {
                "; feedback differs: fault"
            } else {
                ""
            };
            let why = format!("{}{fault}", cause(point));
            put("out", &name.name, &value(name, point.value), &why);
        }
        for number in numbers(row.events) {
            put("event", &format!("No. {number}"), "happened", "");
        }
        for (bits, what) in [(row.alarms_raised, "raised"), (row.alarms_over, "over")] {
            for number in numbers(bits) {
                put("alarm", &format!("No. {number}"), what, "");
            }
        }
        if let Some(line) = row.divided {
            let why = format!("line {line}: {}", self.line_text(line));
            put("fault", "division by 0", "gave 0", &why);
        }
        lines
    }

    fn command_text(&self, command: &Command) -> String {
        let named = |cell: u8| self.program.names().find(move |name| name.cell == cell);
        match command.request {
            Request::Call(number, arguments) => {
                let mut names = self.program.names().skip_while({
                    let mut left = u32::from(number) + 1;
                    move |name| {
                        left -= u32::from(name.kind == NameKind::Command);
                        left > 0
                    }
                });
                let called = names.next().map_or("?", |name| &name.name);
                let given = names.take_while(|name| name.kind == NameKind::Argument);
                let given = given.zip(arguments).map(|(name, given)| value(name, given));
                format!("{called}({})", given.collect::<Vec<_>>().join(", "))
            }
            Request::Set(point, new) => {
                let mut points = self.program.names().filter(|name| is_point(name));
                let name = points.nth(point.into());
                name.map_or("?".to_owned(), |name| {
                    format!("{} {}", name.name, value(name, new))
                })
            }
            Request::Adjust(cell, new) => named(cell).map_or("?".to_owned(), |name| {
                format!("{} {}", name.name, value(name, new))
            }),
        }
    }
}

fn put_line(out: &mut String, when: &str, line: &str) {
    let _ = writeln!(out, "{when:>WHEN_WIDTH$}  {line}");
}

fn put_quiet(out: &mut String, scans: usize) {
    match scans {
        0 => {}
        1 => put_line(out, "", "· 1 scan that changed nothing"),
        _ => put_line(out, "", &format!("· {scans} scans that changed nothing")),
    }
}

/// Such as `3h 2m 11.5s`.
fn span(milliseconds: u128) -> String {
    let (hours, rest) = (milliseconds / 3_600_000, milliseconds % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let seconds = format!("{}.{:03}s", rest / 1000, rest % 1000);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m {seconds}"),
        (hours, minutes) => format!("{hours}h {minutes}m {seconds}"),
    }
}

impl Story {
    fn print_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        let recording = &self.recording;
        let reason = match recording.reason {
            Reason::Request => "request",
            Reason::Division => "division",
            Reason::Feedback(_) => "feedback",
        };
        let point = match recording.reason {
            Reason::Feedback(Some(number)) => Some(self.point_name(number)),
            _ => None,
        };
        let head = json!({
            "reason": reason,
            "line": recording.line,
            "source": recording.line.map(|line| self.line_text(line)),
            "point": point,
            "on_trial": recording.on_trial,
            "generation": recording.generation,
            "script_hash": recording.script_crc,
            "board": self.board,
            "boot": recording.boot_id,
            "uptime_ms": recording.uptime.as_millis() as u64,
            "time": recording.time_s.map(|seconds| u64::from(seconds) * 1000),
            "scans": recording.scans,
        });
        writeln!(out, "{head}")?;
        for row in &self.rows {
            writeln!(out, "{}", self.row_json(row))?;
        }
        writeln!(out, "{}", json!({ "agrees": self.end.is_ok() }))
    }

    fn row_json(&self, row: &Row) -> Value {
        let points = |points: &[(Name, PointView)]| -> Map<String, Value> {
            let shown = points.iter().map(|(name, point)| {
                let shown = json!({
                    "value": point.value,
                    "flags": words::qualities(point.flags),
                    "cause": point.cause.name(),
                    "by": (point.cause == CauseKind::Command).then_some(point.by),
                    "reference": point.reference,
                });
                (name.name.clone(), shown)
            });
            shown.collect()
        };
        let names: Map<_, _> = row
            .names
            .iter()
            .map(|(name, value)| (name.name.clone(), json!(value)))
            .collect();
        let command = row.scan.command.as_ref().map(|(command, came)| {
            json!({
                "command": self.command_text(command),
                "by": command.by,
                "outcome": match came {
                    Outcome::Executed => "executed",
                    Outcome::Confirming => "confirming",
                    Outcome::Refused => "refused",
                },
            })
        });
        json!({
            "ms": self.offset_ms(row),
            "elapsed_ms": row.scan.elapsed_ms,
            "online": row.scan.online,
            "synced": row.scan.synced,
            "command": command,
            "inputs": points(&row.inputs),
            "outputs": points(&row.outputs),
            "names": names,
            "divided": row.divided.is_some(),
            "divided_line": row.divided,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_firmware::runner::{Runner, Scan, Zone};

    const SCRIPT: &str = "\
# Share of the tank
in low = DI1
in level : num = AI0
out pump = RL1 safe off
param least : num = 5 in 0..50
var share : num
command fill(t: time in 1s..10s)
pump := low or tp(fill, fill.t)
share := 100 / level
";

    fn recording() -> Vec<u8> {
        let program = compile(SCRIPT, &Board::of_virtual_controllers()).unwrap();
        let mut runner = Runner::start(program, Zone::parse("UTC0").unwrap(), 0);
        runner.start_recording();
        for scan in 1..=60_u32 {
            let command = (scan == 20).then_some(Command {
                request: Request::Call(0, [1000, 0, 0, 0]),
                by: 9,
                reference: 1,
            });
            runner.put_input("low", i32::from((10..15).contains(&scan)));
            runner.put_input("level", if scan < 60 { 4000 } else { 0 });
            if scan == 30 {
                runner.put_parameter("least", 6000);
                runner.force("pump", 0, 100, scan * 10 - 5);
            }
            runner.scan(&Scan {
                now_ms: scan * 10,
                online: scan >= 5,
                command,
                ..Scan::default()
            });
        }
        runner.recording(SCRIPT).unwrap()
    }

    fn story() -> Story {
        let recording = Recording::read(recording()).unwrap();
        let (board, program) = find_program(&recording, SCRIPT, None).unwrap();
        Story::of(
            Replay::start(recording, program, SCRIPT).unwrap(),
            board,
            SCRIPT,
        )
    }

    #[test]
    fn tells_what_happened() {
        // A compiler that states other costs makes another program.
        let text = story().text();
        let (before, after) = text.split_once("sum ").unwrap();
        insta::assert_snapshot!(format!("{before}sum ????????{}", &after[8..]));
    }

    #[test]
    fn tells_programs() {
        let mut out = Vec::new();
        story().print_json(&mut out).unwrap();
        let lines: Vec<Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1 + 59 + 1);
        assert_eq!(lines[0]["board"], "virtual");
        assert_eq!(lines[9]["inputs"]["low"]["value"], 1);
        assert_eq!(lines[9]["outputs"]["pump"]["reference"], 8);
        assert_eq!(lines[19]["command"]["command"], "fill(1s)");
        assert_eq!(lines[59]["divided"], true);
        assert_eq!(lines[60]["agrees"], true);
    }

    #[test]
    fn the_same_recording_gives_the_same_bytes() {
        assert_eq!(story().text(), story().text());
    }

    #[test]
    fn says_why_it_refuses() {
        let recording = Recording::read(recording()).unwrap();
        for (source, board, part) in [
            (
                SCRIPT.replace("1s..10s", "1s..9s"),
                None,
                "expected the script that was recorded",
            ),
            (
                SCRIPT.to_owned(),
                Some("sonoff-basic"),
                "for sonoff-basic: line 3",
            ),
            (
                SCRIPT.to_owned(),
                Some("abacus"),
                "expected one of the boards esp01s-relay, ",
            ),
        ] {
            let failure = find_program(&recording, &source, board).unwrap_err();
            let message = failure.message().unwrap();
            assert!(message.starts_with(part), "{message}");
        }
    }
}
