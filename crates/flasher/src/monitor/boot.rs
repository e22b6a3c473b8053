//! What a board says about its start, explained.

/// How a chip starts, by the ROM's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Why, by the ROM's number; `None`: that part was not read.
    pub cause: Option<u8>,
    /// What the pins said: GPIO2 is bit 0, GPIO0 bit 1, GPIO15 bit 2; high is 1.
    pub straps: Option<u8>,
    /// The line came at another rate than was listened at, and what that made of it was recognised.
    pub is_reconstructed: bool,
}

/// The first line of our firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// Its software.
    pub software: String,
    /// The board's profile.
    pub profile: String,
    /// The slot that it runs from.
    pub slot: u8,
    /// Why it started, in its own word.
    pub cause: String,
}

/// A pin at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pin {
    name: &'static str,
    bit: u8,
}

const GPIO2: Pin = Pin {
    name: "GPIO2",
    bit: 0,
};
const GPIO0: Pin = Pin {
    name: "GPIO0",
    bit: 1,
};
const GPIO15: Pin = Pin {
    name: "GPIO15",
    bit: 2,
};

impl Start {
    /// Out of the ROM's first line, or of its end.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mode = number_behind(line, "boot mode:(");
        let cause = number_behind(line, "rst cause:");
        if mode.is_none() && cause.is_none() {
            return None;
        }
        Some(Start {
            cause: cause.or_else(|| number_behind(line, "ause:")),
            straps: mode,
            is_reconstructed: false,
        })
    }

    /// Why it starts, in words.
    pub fn cause_words(self) -> &'static str {
        match self.cause {
            None => "why was not read",
            Some(1) => "the power came",
            Some(2) => {
                "the reset pin was low: a button, an adapter's RTS, or the end of a deep sleep"
            }
            Some(3) => "the software asked for it",
            Some(4) => {
                "the hardware's watchdog bit: the software hung, or nothing that boots was found"
            }
            Some(_) => "for a reason that is not documented",
        }
    }

    /// What the pins make it do, in words.
    pub fn straps_words(self) -> String {
        let Some(straps) = self.straps else {
            return "what it starts was not read".to_owned();
        };
        let is_high = |pin: Pin| straps >> pin.bit & 1 == 1;
        let level = |pin: Pin| {
            format!(
                "{} is {}",
                pin.name,
                if is_high(pin) { "high" } else { "low" }
            )
        };
        match (is_high(GPIO15), is_high(GPIO0), is_high(GPIO2)) {
            (false, true, true) => "it starts from flash".to_owned(),
            (false, false, true) => {
                "it waits in its loader: GPIO0 is held low. To run what is in flash, let GPIO0 go and reset it".to_owned()
            }
            (true, ..) => "it waits for SDIO: GPIO15 is high, and must be held low".to_owned(),
            (false, ..) => format!("it starts nothing: {}, {}; GPIO2 must not be held low", level(GPIO0), level(GPIO2)),
        }
    }

    /// All of it, in words.
    pub fn words(self) -> String {
        let read = match self.is_reconstructed {
            true => " (read at the wrong rate, and recognised)",
            false => "",
        };
        format!(
            "reset: {}; {}{read}",
            self.cause_words(),
            self.straps_words()
        )
    }
}

impl Banner {
    pub(crate) fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("Switchyard ")?;
        let (rest, cause) = rest.rsplit_once(" reset ")?;
        let (rest, slot) = rest.rsplit_once(" slot ")?;
        let (software, profile) = rest.rsplit_once(' ')?;
        Some(Banner {
            software: software.to_owned(),
            profile: profile.to_owned(),
            slot: slot.parse().ok()?,
            cause: cause.trim_end().to_owned(),
        })
    }

    /// All of it, in words.
    pub fn words(&self) -> String {
        let why = match self.cause.as_str() {
            "power" => "the power came",
            "watchdog" => "a watchdog bit: it hung",
            "exception" => "it crashed",
            "commanded" => "it was told to restart",
            _ => "another reason, the reset pin among them",
        };
        format!(
            "our firmware runs: {} for {} from slot {}; started because: {why}",
            self.software, self.profile, self.slot
        )
    }
}

fn number_behind(line: &str, mark: &str) -> Option<u8> {
    let (_, rest) = line.split_once(mark)?;
    let end = rest
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_and_explained() {
        for (line, cause, straps, words) in [
            (
                " ets Jan  8 2013,rst cause:1, boot mode:(3,6)",
                Some(1),
                Some(3),
                ["power came", "from flash"],
            ),
            (
                " ets Jan  8 2013,rst cause:2, boot mode:(1,7)",
                Some(2),
                Some(1),
                ["reset pin", "GPIO0 is held low"],
            ),
            (
                "rst cause:3, boot mode:(7,0)",
                Some(3),
                Some(7),
                ["software", "GPIO15 is high"],
            ),
            (
                "rst cause:4, boot mode:(2,0)",
                Some(4),
                Some(2),
                ["watchdog", "GPIO2 is low"],
            ),
            (
                "ause:2, boot mode:(3,6)",
                Some(2),
                Some(3),
                ["reset pin", "from flash"],
            ),
            ("oot mode:(3", None, None, ["", ""]),
            (
                "2, boot mode:(0,6)",
                None,
                Some(0),
                ["was not read", "GPIO0 is low"],
            ),
            (
                "rst cause:9, boo",
                Some(9),
                None,
                ["not documented", "was not read"],
            ),
        ] {
            let start = Start::read(line);
            assert_eq!(
                start.is_some(),
                straps.is_some() || cause.is_some(),
                "{line}"
            );
            let Some(start) = start else { continue };
            assert_eq!((start.cause, start.straps), (cause, straps), "{line}");
            let said = start.words();
            assert!(words.iter().all(|it| said.contains(it)), "{line}: {said}");
        }
        assert_eq!(Start::read("root cause: 3"), None);
        assert_eq!(Start::read("rst cause:999"), None, "no number of the ROM's");
    }

    #[test]
    fn banners_are_read() {
        let banner =
            Banner::read("Switchyard 0.1.0 (a b) sonoff-basic slot 2 reset watchdog").unwrap();
        assert_eq!(
            (
                banner.software.as_str(),
                banner.profile.as_str(),
                banner.slot
            ),
            ("0.1.0 (a b)", "sonoff-basic", 2)
        );
        assert!(banner.words().contains("it hung"), "{}", banner.words());
        for line in [
            "Switchyard",
            "Switchyard a b slot x reset power",
            "a b slot 1 reset power",
        ] {
            assert_eq!(Banner::read(line), None, "{line}");
        }
    }
}
