//! The virtual board, the boards of the firmware's profiles, and the scripts that come with it.

#![expect(unsafe_code, reason = "the C core is asked for its boards")]

use std::{
    ffi::{CStr, CString, c_char},
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{
    ffi,
    script::{Board, Pin, PinKind, Program, ScriptError, compile},
};

/// An input or output of the virtual board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// First digital input.
    Di1 = 0,
    /// Second digital input: RL1's feedback.
    Di2 = 1,
    /// The first relay.
    Rl1 = 2,
    /// Analogue input, in thousandths.
    Ai0 = 3,
    /// Analogue output, in thousandths.
    Ao1 = 4,
    /// Third digital input.
    Di3 = 5,
    /// Fourth digital input.
    Di4 = 6,
    /// The second relay.
    Rl2 = 7,
    /// The third relay.
    Rl3 = 8,
    /// The fourth relay.
    Rl4 = 9,
}

impl Channel {
    /// Every channel, each in the place of its number.
    pub const ALL: [Self; 10] = [
        Self::Di1,
        Self::Di2,
        Self::Rl1,
        Self::Ai0,
        Self::Ao1,
        Self::Di3,
        Self::Di4,
        Self::Rl2,
        Self::Rl3,
        Self::Rl4,
    ];

    /// As scripts name it, and what it is.
    fn pin(self) -> (&'static str, PinKind) {
        use PinKind::{AnalogueInput, AnalogueOutput, DigitalInput, DigitalOutput};
        match self {
            Self::Di1 => ("DI1", DigitalInput),
            Self::Di2 => ("DI2", DigitalInput),
            Self::Di3 => ("DI3", DigitalInput),
            Self::Di4 => ("DI4", DigitalInput),
            Self::Rl1 => ("RL1", DigitalOutput),
            Self::Rl2 => ("RL2", DigitalOutput),
            Self::Rl3 => ("RL3", DigitalOutput),
            Self::Rl4 => ("RL4", DigitalOutput),
            Self::Ai0 => ("AI0", AnalogueInput),
            Self::Ao1 => ("AO1", AnalogueOutput),
        }
    }

    /// Whether the controller drives it.
    pub fn is_output(self) -> bool {
        matches!(
            self.pin().1,
            PinKind::DigitalOutput | PinKind::AnalogueOutput
        )
    }
}

impl Board {
    /// The boards that the firmware has profiles of (`firmware/core/board.c`), by name, and behind them
    /// that of virtual controllers, `virtual`.
    pub fn known() -> Vec<(String, Self)> {
        let mut boards = Vec::new();
        // SAFETY: C gives constant strings, or NULL behind the last profile.
        while let Some(name) = unsafe { text(ffi::fw_host_profile_name(boards.len())) } {
            let profile = boards.len();
            let pins = (0..u8::MAX).map_while(|at| {
                // SAFETY: C gives a constant pin with a constant name, or NULL behind the last one.
                let pin = unsafe { ffi::fw_host_profile_pin(profile, at).as_ref() }?;
                let kind = PinKind::of_core(pin.kind)?;
                // SAFETY: as above.
                let name = unsafe { text(pin.name) }?;
                Some(Pin::new(&name, kind, pin.channel))
            });
            boards.push((name, Self::new(pins)));
        }
        boards.push(("virtual".to_owned(), Self::of_virtual_controllers()));
        boards
    }

    /// The board of virtual controllers: DI1 to DI4, RL1 to RL4, AI0 and AO1.
    pub fn of_virtual_controllers() -> Self {
        Self::new(Channel::ALL.map(|channel| {
            let (name, kind) = channel.pin();
            Pin::new(name, kind, channel as u8)
        }))
    }
}

/// A string of C's; `None` if there is none.
///
/// # Safety
/// NULL, or a string that ends.
unsafe fn text(at: *const c_char) -> Option<String> {
    // SAFETY: by the promise.
    (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned())
}

/// A script that a controller can run: compiled, with the name that the yard calls it by. Cloning it
/// is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    title: Arc<CStr>,
    source: Arc<str>,
    program: Arc<Program>,
}

impl Script {
    /// Compiles a script for the virtual board. A title that is none (1 to 64 bytes without control
    /// characters) is replaced by "script".
    pub fn new(title: &str, source: &str) -> Result<Self, ScriptError> {
        let program = compile(source, &Board::of_virtual_controllers())?;
        let title = switchyard_protocol::message::Title::new(title)
            .ok()
            .and_then(|title| CString::new(title.as_str()).ok())
            .unwrap_or_else(|| c"script".to_owned());
        Ok(Self {
            title: title.into(),
            source: source.into(),
            program: Arc::new(program),
        })
    }

    /// What the yard calls it.
    pub fn title(&self) -> &CStr {
        &self.title
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it was compiled to.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Script").field(&self.title).finish()
    }
}

/// The scripts that come with the firmware, in `scripts/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// RL1 is switched by `set`.
    Latch,
    /// `pulse(t)` puts RL1 on for a time.
    Pulse,
    /// RL1 follows DI1 while enabled, and DI2 confirms it.
    Follow,
    /// `ramp(target, rate)` moves AO1.
    Ramp,
}

impl Behaviour {
    /// Its title and its text.
    pub fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Latch => ("latch", include_str!("../scripts/latch.script")),
            Self::Pulse => ("pulse", include_str!("../scripts/pulse.script")),
            Self::Follow => ("follow", include_str!("../scripts/follow.script")),
            Self::Ramp => ("ramp", include_str!("../scripts/ramp.script")),
        }
    }
}

impl From<Behaviour> for Script {
    fn from(behaviour: Behaviour) -> Self {
        /// Thousands of controllers share what was compiled once.
        static COMPILED: [OnceLock<Script>; 4] = [const { OnceLock::new() }; 4];
        let (title, source) = behaviour.source();
        COMPILED[behaviour as usize]
            .get_or_init(|| match Self::new(title, source) {
                Ok(script) => script,
                Err(error) => unreachable!("the built-in script {title} is wrong: {error}"),
            })
            .clone()
    }
}
