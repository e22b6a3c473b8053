//! At which rate to listen: the ROM's for the log of a start, the application's else. What arrives decides.
//!
//! At the wrong rate a text turns into bytes half of which are in no text. At the right one a log of the ROM ends in lines
//! that are known, and in a pause before the application speaks.

use std::time::Duration;

/// The ROM's rate, by a crystal of 26 MHz.
pub const BAUD_BOOT_LOG: u32 = 74_880;
/// The rate of applications.
pub const BAUD_APPLICATION: u32 = 115_200;

/// Each byte that is in no text counts for two, each of a text takes one away: what has a third of the first is none.
const SCORE_OF_NO_TEXT: u32 = 2;
/// Four bytes in a row, or sixteen of which half are in no text. A glitch of the reset pin makes fewer.
const SCORE_MAX: u32 = 8;
/// So often it doubles while neither rate reads: a device that speaks no text at all is tried every few seconds.
const DOUBLED_MAX: u32 = 13;
/// So many bytes of text in a row: the rate is right.
const BYTES_OF_TEXT: u32 = 16;
/// So many lines that no boot log has: an application speaks at the ROM's rate.
const LINES_OF_APPLICATION: u32 = 2;

/// After the known end of a log. Adapters bring bytes in bunches up to 16 ms apart; no application is up as fast.
const QUIET_AFTER_LOG: Duration = Duration::from_millis(30);
/// After a change to the ROM's rate at which nothing has come since: the log was over already.
const QUIET_AFTER_NOTHING: Duration = Duration::from_millis(150);
/// Within a log: the flash is read, or the board is held in reset.
const QUIET_WITHIN_LOG: Duration = Duration::from_secs(1);

/// What lines of a log begin with: the ROM's, the boot loader's, and the SDK's before it hands over.
const LOG_BEGINNINGS: [&str; 17] = [
    "ets ",
    "wdt reset",
    "load 0x",
    "tail ",
    "chksum 0x",
    "csum ",
    "ets_main.c",
    "2nd boot version",
    "SPI ",
    "jump to run",
    "error magic",
    "~ld",
    "rf cal sector",
    "freq trace",
    "rf[",
    "SDK ver",
    "phy ver",
];

/// Why the rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateReason {
    /// What came was in no text.
    Unreadable,
    /// The boot log is over.
    LogOver,
    /// The board was reset by us, or is about to be.
    Reset,
    /// The line cannot do the other one: this one stays.
    Refused,
}

/// How long the line must rest before the application's rate is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// This rate stays, whatever happens but noise.
    Ever,
    Quiet(Duration),
}

/// Decides on the rate.
#[derive(Debug)]
pub(super) struct Follower {
    baud: u32,
    is_pinned: bool,
    until: Until,
    score: u32,
    text_bytes: u32,
    doubled: u32,
    foreign_lines: u32,
    /// Bytes of a character of several that are still to come, and those that came.
    open: (u8, u8),
    last: Duration,
}

impl Follower {
    pub(super) fn new(pinned: Option<u32>) -> Self {
        Follower {
            baud: pinned.unwrap_or(BAUD_APPLICATION),
            is_pinned: pinned.is_some(),
            until: Until::Ever,
            score: 0,
            text_bytes: 0,
            doubled: 0,
            foreign_lines: 0,
            open: (0, 0),
            last: Duration::ZERO,
        }
    }

    pub(super) fn baud(&self) -> u32 {
        self.baud
    }

    /// Stays at this rate from now on.
    pub(super) fn pin(&mut self, baud: u32) {
        self.baud = baud;
        self.is_pinned = true;
    }

    /// The board starts now.
    pub(super) fn restart(&mut self, now: Duration) {
        self.doubled = 0;
        self.turn(now, BAUD_BOOT_LOG, Until::Quiet(QUIET_WITHIN_LOG));
    }

    /// The line is a new one: nobody knows what the board does.
    pub(super) fn reopened(&mut self, now: Duration) {
        self.doubled = 0;
        self.turn(now, BAUD_APPLICATION, Until::Ever);
    }

    /// Takes a byte that is in no packet. Says whether the rate is another one now.
    pub(super) fn byte(&mut self, now: Duration, byte: u8) -> bool {
        self.last = now;
        if self.is_pinned {
            return false;
        }
        let (text, other) = self.classify(byte);
        if other > 0 {
            self.text_bytes = 0;
            self.score += SCORE_OF_NO_TEXT * other;
        }
        self.score = self.score.saturating_sub(text);
        self.text_bytes += text;
        if self.text_bytes >= BYTES_OF_TEXT {
            self.doubled = 0;
            self.score = 0;
        }
        if self.score < SCORE_MAX << self.doubled {
            return false;
        }
        self.doubled = (self.doubled + 1).min(DOUBLED_MAX);
        if self.baud == BAUD_APPLICATION {
            self.turn(now, BAUD_BOOT_LOG, Until::Quiet(QUIET_AFTER_NOTHING));
        } else {
            self.turn(now, BAUD_APPLICATION, Until::Ever);
        }
        true
    }

    /// A packet's checksum was right, and so is the rate.
    pub(super) fn packet(&mut self, now: Duration) {
        self.last = now;
        self.score = 0;
        self.doubled = 0;
    }

    /// Takes a line, read at this rate.
    pub(super) fn line(&mut self, text: &str) {
        if self.is_pinned || self.baud != BAUD_BOOT_LOG || text.is_empty() {
            return;
        }
        let text = text.trim_start();
        if text.contains("boot mode:(") {
            // In the loader nothing more is said, and the next thing to come is another start.
            let is_download = text.contains("boot mode:(1,");
            self.until = match is_download {
                true => Until::Ever,
                false => Until::Quiet(QUIET_WITHIN_LOG),
            };
        } else if text.starts_with("csum err") || text.starts_with("ets_main.c") {
            // Nothing runs: the watchdog starts the chip anew, and the ROM speaks again.
            self.until = Until::Ever;
        } else if ["csum 0x", "jump to run", "~ld"]
            .iter()
            .any(|it| text.starts_with(it))
        {
            self.until = Until::Quiet(QUIET_AFTER_LOG);
        } else if !LOG_BEGINNINGS.iter().any(|it| text.starts_with(it)) {
            self.foreign_lines += 1;
            let is_after_log = self.until == Until::Quiet(QUIET_AFTER_LOG);
            if !is_after_log && self.foreign_lines >= LINES_OF_APPLICATION {
                self.until = Until::Ever;
            }
        } else if self.until == Until::Quiet(QUIET_AFTER_NOTHING) {
            self.until = Until::Quiet(QUIET_WITHIN_LOG);
        }
    }

    /// When the line has rested long enough.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.until {
            Until::Quiet(quiet) if !self.is_pinned => Some(self.last + quiet),
            _ => None,
        }
    }

    /// Time has passed. Says whether the rate is another one now.
    pub(super) fn pass(&mut self, now: Duration) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        self.turn(now, BAUD_APPLICATION, Until::Ever);
        true
    }

    fn turn(&mut self, now: Duration, baud: u32, until: Until) {
        if self.is_pinned {
            return;
        }
        self.baud = baud;
        self.until = until;
        self.score = 0;
        self.text_bytes = 0;
        self.foreign_lines = 0;
        self.open = (0, 0);
        self.last = now;
    }

    /// How many bytes are known now to be in a text, and how many not to be.
    fn classify(&mut self, byte: u8) -> (u32, u32) {
        let (missing, seen) = std::mem::take(&mut self.open);
        if missing > 0 && (0x80..0xC0).contains(&byte) {
            self.open = (missing - 1, seen + 1);
            if missing == 1 {
                self.open = (0, 0);
                return (u32::from(seen) + 1, 0);
            }
            return (0, 0);
        }
        // A character that was begun and did not end was none.
        let broken = if missing > 0 { u32::from(seen) } else { 0 };
        match byte {
            b'\t' | b'\n' | b'\r' | 0x1B | b' '..=b'~' => (1, broken),
            0xC2..=0xDF => self.begun(1, broken),
            0xE0..=0xEF => self.begun(2, broken),
            0xF0..=0xF4 => self.begun(3, broken),
            _ => (0, broken + 1),
        }
    }

    fn begun(&mut self, missing: u8, broken: u32) -> (u32, u32) {
        self.open = (missing, 1);
        (0, broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes a millisecond apart; how many it took until the rate changed.
    fn taken(follower: &mut Follower, bytes: &[u8]) -> Option<usize> {
        bytes
            .iter()
            .position(|&byte| follower.byte(follower.last, byte))
    }

    #[test]
    fn text_of_any_language_changes_nothing() {
        let mut follower = Follower::new(None);
        let text = "temperature 21,5 °C, größer, 温度 ▓▓▓ \x1b[31mred\x1b[0m\r\n".repeat(50);
        assert_eq!(taken(&mut follower, text.as_bytes()), None);
        // Nor do single bytes that the line has changed.
        let text = b"counter 1\r\ncou\xffter 2\r\n\0counter 3\r\n".repeat(50);
        assert_eq!(taken(&mut follower, &text), None);
    }

    #[test]
    fn noise_changes_the_rate_ever_more_seldom() {
        let mut follower = Follower::new(None);
        let noise = [0x81, 0xFF, 0x00, 0xFE].repeat(50_000);
        let mut rest = noise.as_slice();
        let mut steps = Vec::new();
        while let Some(taken) = taken(&mut follower, rest) {
            steps.push(taken + 1);
            rest = &rest[taken + 1..];
        }
        assert_eq!(steps[..4], [4, 8, 16, 32]);
        assert_eq!(steps.last(), Some(&(4 << DOUBLED_MAX)));
        // A text ends that.
        let _ = taken(&mut follower, b"a line that can be read\r\n");
        assert_eq!(taken(&mut follower, &noise), Some(3));
    }

    #[test]
    fn a_log_is_over_at_a_pause_behind_its_end() {
        let at = Duration::from_millis;
        for (lines, quiet_ms) in [
            (
                &[" ets Jan  8 2013,rst cause:1, boot mode:(3,6)"][..],
                1_000,
            ),
            (
                &[
                    "boot mode:(3,6)",
                    "load 0x40100000, len 4, room 16 ",
                    "tail 0",
                ],
                1_000,
            ),
            (&["boot mode:(3,6)", "csum 0xe0"], 30),
            (
                &[
                    "csum 0xe0",
                    "2nd boot version : 1.7(5d6877f)",
                    "jump to run user1 @ 1000",
                ],
                30,
            ),
            (&["csum 0xe0", "v00056fb0", "~ld"], 30),
            // Noise from then on is all that changes it.
            (&["boot mode:(1,6)"], 0),
            (&["boot mode:(3,6)", "ets_main.c "], 0),
            (
                &["boot mode:(3,6)", "csum 0xe0", "csum err", "ets_main.c "],
                0,
            ),
            (&["hello", "from an application at this rate"], 0),
        ] {
            let mut follower = Follower::new(None);
            follower.restart(at(500));
            assert_eq!(follower.baud(), BAUD_BOOT_LOG);
            lines.iter().for_each(|line| follower.line(line));
            let due = (quiet_ms > 0).then(|| at(500 + quiet_ms));
            assert_eq!(follower.due(), due, "{lines:?}");
            if let Some(due) = due {
                assert!(!follower.pass(due - at(1)));
                assert!(follower.pass(due));
                assert_eq!(follower.baud(), BAUD_APPLICATION);
            }
        }
    }

    #[test]
    fn a_pinned_rate_stays() {
        let mut follower = Follower::new(Some(9_600));
        follower.restart(Duration::ZERO);
        assert_eq!(taken(&mut follower, &[0xFF; 5_000]), None);
        assert_eq!((follower.baud(), follower.due()), (9_600, None));
    }
}
