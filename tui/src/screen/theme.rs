//! Colours by meaning. Amber is energy, green only what was confirmed, red only alarms and faults;
//! sign and word stand beside every one of them, so that all of it can be left out.

use ratatui::style::{Color, Modifier, Style};

/// How much colour the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// None: NO_COLOR is set, or the terminal is dumb.
    None,
    /// The terminal's own 16.
    Sixteen,
    /// 24 bits, on a dark background.
    True,
    /// 24 bits, on a light background.
    TrueLight,
}

/// Styles by meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    colours: Colours,
}

impl Theme {
    pub(crate) const fn new(colours: Colours) -> Self {
        Theme { colours }
    }

    /// What the environment says of the terminal.
    pub(crate) fn from_environment() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let says = |name: &str, words: &[&str]| {
            std::env::var(name).is_ok_and(|value| words.iter().any(|word| value.contains(word)))
        };
        Theme::new(if set("NO_COLOR") || says("TERM", &["dumb"]) {
            Colours::None
        } else if says("COLORTERM", &["truecolor", "24bit"]) {
            // Terminals that tell their background end this with its number: 7 and 15 are light.
            let is_light = std::env::var("COLORFGBG")
                .is_ok_and(|value| matches!(value.rsplit(';').next(), Some("7" | "15")));
            match is_light {
                true => Colours::TrueLight,
                false => Colours::True,
            }
        } else {
            Colours::Sixteen
        })
    }

    fn coloured(self, sixteen: Color, dark: u32, light: u32) -> Style {
        match self.colours {
            Colours::None => Style::new(),
            Colours::Sixteen => Style::new().fg(sixteen),
            Colours::True => Style::new().fg(Color::from_u32(dark)),
            Colours::TrueLight => Style::new().fg(Color::from_u32(light)),
        }
    }

    /// Energised.
    pub(crate) fn on(self) -> Style {
        self.coloured(Color::Yellow, 0x00FF_B224, 0x0094_5400)
            .add_modifier(Modifier::BOLD)
    }

    /// Off, away, beside the point. Among 16 colours no grey is readable on every background.
    pub(crate) fn muted(self) -> Style {
        match self.colours {
            Colours::None | Colours::Sixteen => Style::new().add_modifier(Modifier::DIM),
            _ => self.coloured(Color::Gray, 0x009A_A4AD, 0x0055_606A),
        }
    }

    /// Asked, and not executed yet; focus.
    pub(crate) fn info(self) -> Style {
        self.coloured(Color::Cyan, 0x005A_AEFF, 0x0015_60B8)
    }

    /// Confirmed by a feedback.
    pub(crate) fn confirmed(self) -> Style {
        self.coloured(Color::Green, 0x003F_BF7F, 0x0017_734A)
    }

    /// Alarm, fault, refusal.
    pub(crate) fn alarm(self) -> Style {
        self.coloured(Color::Red, 0x00FF_6B63, 0x00B8_221A)
            .add_modifier(Modifier::BOLD)
    }

    /// Where the cursor is.
    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Headings.
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Thin borders.
    pub(crate) fn border(self) -> Style {
        self.muted()
    }
}
