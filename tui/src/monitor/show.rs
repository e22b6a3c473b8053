//! What was heard, as people and programs read it, and as it is kept in a file.

use crate::{
    cli::{MonitorOrder, Timestamps},
    exit::Failure,
    output,
};
use jiff::{Timestamp, tz::TimeZone};
use regex::Regex;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, Instant},
};
use switchyard_flasher::monitor::{
    CodeAddress, Exception, Finding, Heard, LINE_BYTES_MAX, LineEnd, ROW_BYTES, RateReason, What,
};

/// What happens to the line itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note<'a> {
    /// It is open.
    Listening { baud: u32 },
    /// It has no outputs to reset a board by.
    NoSignals,
    /// It is gone.
    Unplugged { error: &'a io::Error },
    /// It is there again.
    Back { baud: u32 },
}

/// Where all of it goes.
pub(super) struct Show {
    clock: Clock,
    timestamps: Timestamps,
    filter: Filter,
    json: bool,
    /// A crash could be told better than it is, which is worth saying once.
    hints_elf: bool,
    log: Option<(PathBuf, File)>,
    serial_port: String,
}

/// From the line's time to that of the world.
struct Clock {
    begun: Instant,
    begun_at: Timestamp,
}

struct Filter {
    only: Vec<Regex>,
    not: Vec<Regex>,
}

impl Show {
    pub(super) fn new(order: &MonitorOrder) -> Result<Self, Failure> {
        let log = order.log.as_ref().map(|path| {
            let file = File::options().create(true).append(true).open(path);
            file.map(|file| (path.clone(), file))
                .map_err(|error| Failure::usage(format!("opening {}: {error}", path.display())))
        });
        Ok(Show {
            clock: Clock {
                begun: Instant::now(),
                begun_at: Timestamp::now(),
            },
            timestamps: order.timestamps,
            filter: Filter {
                only: order.only.clone(),
                not: order.not.clone(),
            },
            json: order.json,
            hints_elf: order.elf.is_none() && !order.json,
            log: log.transpose()?,
            serial_port: order.serial_port.clone(),
        })
    }

    pub(super) fn all(&mut self, heard: Vec<Heard>) -> Result<(), Failure> {
        heard.iter().try_for_each(|heard| self.one(heard))
    }

    fn one(&mut self, heard: &Heard) -> Result<(), Failure> {
        let at = self.clock.at(heard.at);
        let lines = words(&heard.what);
        self.keep(at, &lines)?;
        if !self.filter.passes(&heard.what) {
            return Ok(());
        }
        if self.json {
            let mut told = as_json(&heard.what);
            told["elapsed_ms"] = json!(heard.at.as_millis() as u64);
            told["time"] = json!(utc(at));
            output::line(told)?;
            return Ok(());
        }
        let stamp = stamp(self.timestamps, heard.at, at);
        for line in lines {
            output::line(format_args!("{stamp}{line}"))?;
        }
        let is_crash = matches!(
            heard.what,
            What::Finding(Finding::Exception(_) | Finding::Stack(_))
        );
        if is_crash && std::mem::take(&mut self.hints_elf) {
            output::aside("with --elf FILE addresses are told by function, file and line");
        }
        Ok(())
    }

    /// Says what happens to the line: to people beside what comes over it.
    pub(super) fn note(&mut self, note: Note<'_>) -> Result<(), Failure> {
        let elapsed = self.clock.begun.elapsed();
        let at = self.clock.at(elapsed);
        let words = note_words(note, &self.serial_port);
        self.keep(at, &[format!("-- {words}")])?;
        if !self.json {
            output::aside(words);
            return Ok(());
        }
        let mut told = match note {
            Note::Listening { baud } => json!({ "event": "listening", "baud": baud }),
            Note::NoSignals => json!({ "event": "no_signals" }),
            Note::Unplugged { error } => {
                json!({ "event": "unplugged", "error": error.to_string() })
            }
            Note::Back { baud } => json!({ "event": "back", "baud": baud }),
        };
        told["elapsed_ms"] = json!(elapsed.as_millis() as u64);
        told["time"] = json!(utc(at));
        output::line(told)?;
        Ok(())
    }

    /// Keeps it, whatever is shown.
    fn keep(&mut self, at: Timestamp, lines: &[String]) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.log else {
            return Ok(());
        };
        let time = utc(at);
        let text: String = lines
            .iter()
            .map(|line| format!("{time} {line}\n"))
            .collect();
        let about = |error| Failure::from(anyhow::anyhow!("writing {}: {error}", path.display()));
        file.write_all(text.as_bytes()).map_err(about)
    }
}

impl Clock {
    fn at(&self, elapsed: Duration) -> Timestamp {
        self.begun_at.checked_add(elapsed).unwrap_or(self.begun_at)
    }
}

impl Filter {
    /// Lines and packets are asked for; what happens and what it means is always shown.
    fn passes(&self, what: &What) -> bool {
        let (What::Line { text, .. } | What::Packet { text }) = what else {
            return true;
        };
        let is_in = |patterns: &[Regex]| patterns.iter().any(|it| it.is_match(text));
        (self.only.is_empty() || is_in(&self.only)) && !is_in(&self.not)
    }
}

fn stamp(timestamps: Timestamps, elapsed: Duration, at: Timestamp) -> String {
    match timestamps {
        Timestamps::None => String::new(),
        Timestamps::Elapsed => format!("{:>9.3}  ", elapsed.as_secs_f64()),
        Timestamps::Utc => format!("{}  ", utc(at)),
        Timestamps::Local => {
            let here = at.to_zoned(TimeZone::system());
            format!("{}  ", here.strftime("%Y-%m-%d %H:%M:%S%.3f"))
        }
    }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn note_words(note: Note<'_>, serial_port: &str) -> String {
    match note {
        Note::Listening { baud } => {
            format!("listening on {serial_port} at {baud} baud; Ctrl-C ends it")
        }
        Note::NoSignals => {
            "this line has no DTR and RTS; press the board's reset button".to_owned()
        }
        Note::Unplugged { error } => format!("{serial_port} is unplugged ({error})"),
        Note::Back { baud } => format!("{serial_port} is back; listening at {baud} baud"),
    }
}

/// What is shown of it, line by line.
fn words(what: &What) -> Vec<String> {
    let line = match what {
        What::Line { text, end } => match end {
            LineEnd::Cut => format!("{text} [cut at {LINE_BYTES_MAX} bytes]"),
            LineEnd::Gone => format!("{text} [broken off]"),
            _ => text.clone(),
        },
        What::Packet { text } => format!("[{text}]"),
        What::Row { offset, bytes } => row(*offset, bytes),
        What::Unreadable { bytes, baud } => {
            format!("[{bytes} bytes that cannot be read at {baud} baud]")
        }
        What::Rate { baud, reason } => {
            let why = match reason {
                RateReason::Unreadable => "what came could not be read",
                RateReason::LogOver => "the boot log is over",
                RateReason::Reset => "the board is reset",
                RateReason::Refused => "this adapter cannot do the other rate",
                _ => "another rate",
            };
            format!("[{why}: listening at {baud} baud]")
        }
        What::Finding(finding) => {
            return finding
                .words()
                .into_iter()
                .map(|it| format!("» {it}"))
                .collect();
        }
        _ => return Vec::new(),
    };
    vec![line]
}

fn row(offset: u64, bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = bytes.iter().map(|&byte| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    });
    let text: String = text.collect();
    let width = 3 * ROW_BYTES - 1;
    format!("{offset:08x}  {:<width$}  {text}", hex.join(" "))
}

fn as_json(what: &What) -> Value {
    match what {
        What::Line { text, end } => {
            let end = match end {
                LineEnd::Feed => "feed",
                LineEnd::Cut => "cut",
                LineEnd::Pause => "pause",
                _ => "gone",
            };
            json!({ "event": "line", "text": text, "end": end })
        }
        What::Packet { text } => json!({ "event": "packet", "text": text }),
        What::Row { offset, bytes } => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "event": "bytes", "offset": offset, "hex": hex })
        }
        What::Unreadable { bytes, baud } => {
            json!({ "event": "unreadable", "bytes": bytes, "baud": baud })
        }
        What::Rate { baud, reason } => {
            let reason = match reason {
                RateReason::Unreadable => "unreadable",
                RateReason::LogOver => "log_over",
                RateReason::Reset => "reset",
                RateReason::Refused => "refused",
                _ => "other",
            };
            json!({ "event": "rate", "baud": baud, "reason": reason })
        }
        What::Finding(finding) => {
            let mut told = finding_details(finding);
            told["event"] = json!("finding");
            told["finding"] = json!(finding.code());
            told["words"] = json!(finding.words());
            told
        }
        _ => json!({ "event": "other" }),
    }
}

fn finding_details(finding: &Finding) -> Value {
    match finding {
        Finding::Start(start) => json!({
            "cause": start.cause, "straps": start.straps, "reconstructed": start.is_reconstructed,
        }),
        Finding::Banner(banner) => json!({
            "software": banner.software, "profile": banner.profile, "slot": banner.slot, "cause": banner.cause,
        }),
        Finding::Exception(exception) => exception_details(exception),
        Finding::Stack(stack) => json!({
            "addresses": stack.addresses.iter().map(address).collect::<Vec<_>>(),
            "cut": stack.is_cut, "broken": stack.is_broken,
        }),
        _ => json!({}),
    }
}

fn exception_details(exception: &Exception) -> Value {
    let hex = |word: u32| format!("{word:#010x}");
    let registers = exception.registers.map(|it| {
        json!({
            "epc1": hex(it.epc1), "epc2": it.epc2.map(hex), "epc3": it.epc3.map(hex),
            "excvaddr": it.excvaddr.map(hex), "depc": it.depc.map(hex),
        })
    });
    json!({
        "cause": exception.cause, "name": exception.name(), "registers": registers,
        "at": exception.at.as_ref().map(address),
    })
}

fn address(address: &CodeAddress) -> Value {
    let place = address.place.as_ref();
    json!({
        "address": format!("{:#010x}", address.address),
        "functions": place.map(|it| &it.functions),
        "file": place.and_then(|it| it.file.as_ref()),
        "line": place.and_then(|it| it.line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, end: LineEnd) -> What {
        What::Line {
            text: text.to_owned(),
            end,
        }
    }

    #[test]
    fn what_is_heard_is_told_in_lines() {
        for (what, told) in [
            (line("hello", LineEnd::Feed), "hello"),
            (line("prompt>", LineEnd::Pause), "prompt>"),
            (line("xxx", LineEnd::Cut), "xxx [cut at 1024 bytes]"),
            (
                What::Row {
                    offset: 16,
                    bytes: b"ab\x00".to_vec(),
                },
                "00000010  61 62 00                                         ab.",
            ),
            (
                What::Rate {
                    baud: 74_880,
                    reason: RateReason::Reset,
                },
                "[the board is reset: listening at 74880 baud]",
            ),
        ] {
            assert_eq!(words(&what), [told]);
        }
        let [words] = &words(&What::Finding(Finding::NoImage))[..] else {
            panic!("one line");
        };
        assert!(
            words.starts_with("» there is no image that boots"),
            "{words}"
        );
    }

    #[test]
    fn programs_get_what_people_do() {
        let told = as_json(&line("hello", LineEnd::Feed));
        assert_eq!(
            told,
            json!({ "event": "line", "text": "hello", "end": "feed" })
        );
        let told = as_json(&What::Finding(Finding::Exception(Exception {
            cause: Some(28),
            registers: None,
            at: None,
        })));
        assert_eq!(
            (&told["finding"], &told["cause"], &told["name"]),
            (
                &json!("exception"),
                &json!(28),
                &json!("LoadProhibitedCause")
            )
        );
    }

    #[test]
    fn filters_hold_for_lines_and_not_for_what_they_mean() {
        let filter = |only: &[&str], not: &[&str]| {
            let patterns = |it: &[&str]| it.iter().map(|it| Regex::new(it).unwrap()).collect();
            Filter {
                only: patterns(only),
                not: patterns(not),
            }
        };
        for (only, not, text, passes) in [
            (&[][..], &[][..], "anything", true),
            (&["^wifi"], &[], "wifi: joined", true),
            (&["^wifi"], &[], "no wifi", false),
            (&["a", "b"], &[], "b", true),
            (&[], &["tick"], "a tick", false),
            (&["wifi"], &["tick"], "wifi tick", false),
        ] {
            let filter = filter(only, not);
            assert_eq!(
                filter.passes(&line(text, LineEnd::Feed)),
                passes,
                "{only:?} {not:?} {text}"
            );
            assert!(filter.passes(&What::Finding(Finding::NoImage)));
        }
    }

    #[test]
    fn stamps_are_as_asked_for() {
        let at: Timestamp = "2026-11-27T14:05:46.7Z".parse().unwrap();
        let elapsed = Duration::from_millis(12_345);
        assert_eq!(stamp(Timestamps::None, elapsed, at), "");
        assert_eq!(stamp(Timestamps::Elapsed, elapsed, at), "   12.345  ");
        assert_eq!(
            stamp(Timestamps::Utc, elapsed, at),
            "2026-11-27T14:05:46.700Z  "
        );
        let here = stamp(Timestamps::Local, elapsed, at);
        assert!(here.ends_with(":46.700  "), "{here}");
    }
}
