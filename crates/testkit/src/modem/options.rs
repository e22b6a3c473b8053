//! What a scripted modem is like.

use std::time::Duration;

/// Whose commands it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ModemKind {
    /// SIMCom's SIM800: `AT+DDET`, `AT+SPIC`; no speech.
    #[default]
    Sim800,
    /// Quectel's EC25: `AT+QTONEDET`, `AT+QPINC`, `AT+QWTTS`.
    Quectel,
    /// The standards' commands: no keys, no speech, no tones; `AT+CPINR`; texts are told by the other mode.
    Bare,
    /// A stick for data: texts and no calls.
    DataStick,
}

/// What a called telephone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It rings for that long, and is answered.
    Answers(Duration),
    /// It rings, and nobody comes.
    RingsOn,
    /// It is busy after that long.
    Busy(Duration),
    /// It cannot be reached, which takes that long to find out.
    Unreachable(Duration),
    /// The network gives up after that long of ringing.
    NoAnswer(Duration),
}

/// A telephone that can be called, and whoever is at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    /// What it does.
    pub reaction: Reaction,
    /// Keys that are pressed, and how long after the answer.
    pub keys: Vec<(Duration, char)>,
    /// How long after the answer it hangs up.
    pub hangs_up: Option<Duration>,
}

impl Default for Callee {
    /// Answers after a moment, and listens.
    fn default() -> Self {
        Callee {
            reaction: Reaction::Answers(Duration::from_millis(100)),
            keys: Vec::new(),
            hangs_up: None,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ModemOptions {
    /// Whose commands it knows.
    pub kind: ModemKind,
    /// Whether there is a SIM.
    pub has_sim: bool,
    /// The SIM's PIN; none is asked for without.
    pub pin: Option<String>,
    /// Tries left for it.
    pub pin_tries: u8,
    /// Whether the modem tells how many are left.
    pub tells_pin_tries: bool,
    /// Its state in the network: 1 at home, 2 searching, 3 refused, 5 roaming, 6 for texts only.
    pub registration: u8,
    /// How strong the network is: 0 to 31, or 99.
    pub signal: u8,
    /// Places for texts on the SIM.
    pub places: usize,
    /// What it takes to answer.
    pub answer_delay: Duration,
    /// Times that it says it is busy before it takes texts.
    pub busy_at_first: u8,
    /// How texts that are sent come out, one after the other: an error's number, or none. Those after the last go well.
    pub text_outcomes: Vec<Option<u16>>,
    /// Who is called, one after the other; the last one stays.
    pub callees: Vec<Callee>,
    /// Answers to dialling once somebody answers, as old modems do, and not at once.
    pub dials_until_answered: bool,
    /// A command that it falls silent over, each time.
    pub silent_at: Option<String>,
    /// Noise that comes with each answer.
    pub garbage: Option<Vec<u8>>,
    /// What it tells in the middle of each answer that has lines.
    pub tells_between: Option<String>,
    /// How long it speaks for each letter.
    pub speaks_for: Duration,
}

impl Default for ModemOptions {
    fn default() -> Self {
        ModemOptions {
            kind: ModemKind::Sim800,
            has_sim: true,
            pin: None,
            pin_tries: 3,
            tells_pin_tries: true,
            registration: 1,
            signal: 17,
            places: 10,
            answer_delay: Duration::from_millis(1),
            busy_at_first: 0,
            text_outcomes: Vec::new(),
            callees: vec![Callee::default()],
            dials_until_answered: false,
            silent_at: None,
            garbage: None,
            tells_between: None,
            speaks_for: Duration::from_millis(1),
        }
    }
}
