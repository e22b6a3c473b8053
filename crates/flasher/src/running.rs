//! A board whose firmware runs, spoken to over the cable by which it was written (`docs/serial.md`).

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
    ops::ControlFlow,
    time::Duration,
};

use switchyard_protocol::{
    Code,
    serial::{
        Answer, Body, Command, Description, ImprovError, ImprovState, Packet, PacketType, Parser,
        Password, QUIET_MAX, Received, Request, read_result,
    },
};

use crate::{Error, Event, Result, Watch, line::Line, session::BAUD_SAFE};

/// What our firmware calls itself by the standard.
const FIRMWARE: &str = "Switchyard";
/// How the first line of our firmware begins.
const BANNER: &str = "Switchyard ";
/// How long an answer is waited for before the same is asked again, which costs a board that works on it nothing. Boards
/// whose line belongs to somebody else close it after ten quiet seconds.
const ANSWER_PATIENCE: Duration = Duration::from_secs(4);
/// How often a question is asked: some answers wait for the flash.
const TRIES: usize = 7;
/// The same while it is not known that anybody listens.
const KNOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a board may take for a command of the standard, but for the two below.
const COMMAND_PATIENCE: Duration = Duration::from_secs(3);
/// How long it may look around for networks.
const SCAN_PATIENCE: Duration = Duration::from_secs(15);
/// How long it may try to join one, by the standard's own 30 s and some more.
const JOIN_PATIENCE: Duration = Duration::from_secs(40);
/// How long a board may take to start anew.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of a log that is told whole.
const LOG_LINE_BYTES_MAX: usize = 512;
/// The shortest line that noise is not taken for.
const TEXT_BYTES_MIN: usize = 8;
/// Packets that are kept until somebody asks for them.
const PACKETS_MAX: usize = 64;
/// Networks that are told of at most.
const NETWORKS_MAX: usize = 64;

/// What came over a line on which no firmware answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// Readable text: another program.
    Text,
    /// Bytes that are no text at this rate.
    Noise,
}

/// A network that a board found around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNetwork {
    /// Its name.
    pub name: String,
    /// How strong it is, in dBm; more is stronger.
    pub dbm: Option<i16>,
    /// Whether it asks for a password.
    pub is_protected: bool,
}

/// What a board says of itself by the standard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Information {
    /// The firmware.
    pub firmware: String,
    /// Its version.
    pub version: String,
    /// The board.
    pub hardware: String,
    /// What it is called.
    pub name: String,
}

/// A board whose firmware speaks over its serial line.
#[derive(Debug)]
pub struct RunningBoard<L> {
    line: L,
    parser: Parser,
    packets: VecDeque<Packet>,
    log: Vec<u8>,
    heard: Heard,
    last_id: u8,
}

impl<L: Line> RunningBoard<L> {
    /// Finds the firmware at the end of a line, which may just be starting.
    ///
    /// # Errors
    /// [`Error::NoFirmware`] when none answers for that long; [`Error::OtherFirmware`] where one answers by the standard
    /// alone, and is not ours.
    pub fn find(line: L, patience: Duration, watch: &mut dyn Watch) -> Result<Self> {
        let mut board = Self::open(line)?;
        let until = board.line.now() + patience;
        loop {
            match board.knock(watch) {
                Ok(_) => return Ok(board),
                Err(Error::NoAnswer { .. }) => {}
                Err(error) => return Err(error),
            }
            match board.information(watch) {
                Ok(information) if information.firmware != FIRMWARE => {
                    return Err(Error::OtherFirmware {
                        name: information.firmware,
                    });
                }
                Ok(_) | Err(Error::NoAnswer { .. } | Error::Improv(_)) => {}
                Err(error) => return Err(error),
            }
            if board.line.now() >= until {
                return Err(Error::NoFirmware { heard: board.heard });
            }
        }
    }

    /// Finds a board of any maker that answers by the Improv Serial standard.
    ///
    /// # Errors
    /// [`Error::NoFirmware`] when none does for that long.
    pub fn find_any(line: L, patience: Duration, watch: &mut dyn Watch) -> Result<Self> {
        let mut board = Self::open(line)?;
        let until = board.line.now() + patience;
        loop {
            match board.information(watch) {
                Ok(_) => return Ok(board),
                Err(Error::NoAnswer { .. }) if board.line.now() < until => {}
                Err(Error::NoAnswer { .. }) => {
                    return Err(Error::NoFirmware { heard: board.heard });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn open(mut line: L) -> Result<Self> {
        line.set_baud(BAUD_SAFE).map_err(Error::Line)?;
        Ok(RunningBoard {
            line,
            parser: Parser::default(),
            packets: VecDeque::new(),
            log: Vec::new(),
            heard: Heard::Nothing,
            // A board answers the same bytes again as it did before, and an earlier tool may have asked the same.
            last_id: RandomState::new().hash_one(()) as u8,
        })
    }

    /// Time on the line.
    pub(crate) fn now(&self) -> Duration {
        self.line.now()
    }

    /// What the board is, and how it does.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Declined`], [`Error::Line`].
    pub fn describe(&mut self, watch: &mut dyn Watch) -> Result<Description> {
        let answer = self.ask(&Request::Describe, watch)?;
        described(answer)
    }

    /// The same where it is not known that anybody listens: in a second.
    pub(crate) fn knock(&mut self, watch: &mut dyn Watch) -> Result<Description> {
        let answer = self.ask_within(&Request::Describe, KNOCK_PATIENCE, 1, watch)?;
        described(answer)
    }

    /// Asks until it is answered; the answer's code is ok.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] when it never is; [`Error::Locked`], [`Error::WrongSetting`] and [`Error::Declined`] when it
    /// was refused; [`Error::Line`].
    pub fn ask(&mut self, request: &Request, watch: &mut dyn Watch) -> Result<Answer> {
        self.ask_within(request, ANSWER_PATIENCE, TRIES, watch)
    }

    pub(crate) fn ask_within(
        &mut self,
        request: &Request,
        patience: Duration,
        tries: usize,
        watch: &mut dyn Watch,
    ) -> Result<Answer> {
        let verb = request.verb();
        // 0 is for what could not be read.
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let id = self.last_id;
        let bytes = Packet::request(id, request).encode();
        for _ in 0..tries {
            self.line.write(&bytes).map_err(Error::Line)?;
            let until = self.line.now() + patience;
            while let Some(packet) = self.next_packet(until, watch)? {
                if packet.packet_type != PacketType::Answer {
                    continue;
                }
                // A damaged one is asked for again.
                match Answer::decode(&packet.data, verb) {
                    Ok(answer) if answer.id == id => return accepted(verb.name(), answer),
                    _ => {}
                }
            }
        }
        Err(Error::NoAnswer { what: verb.name() })
    }

    /// Opens a protected board to this line by its page's password.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::Guessed`] after too many, and as [`ask`](Self::ask).
    pub fn unlock(&mut self, password: &Password, watch: &mut dyn Watch) -> Result<()> {
        self.ask(&Request::Unlock(password.clone()), watch)?;
        Ok(())
    }

    /// Waits until the firmware has started anew.
    ///
    /// # Errors
    /// [`Error::NotBack`] when it does not.
    pub fn await_start(&mut self, boot_id: u32, watch: &mut dyn Watch) -> Result<Description> {
        let until = self.line.now() + START_PATIENCE;
        loop {
            match self.knock(watch) {
                Ok(description) if description.boot_id != boot_id => return Ok(description),
                // Not gone yet, or not back yet.
                Ok(_) => self.line.wait(QUIET_MAX),
                Err(Error::NoAnswer { .. } | Error::Locked) => {}
                Err(error) => return Err(error),
            }
            if self.line.now() >= until {
                return Err(Error::NotBack);
            }
        }
    }

    /// Lets time pass, whatever happens on the line.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.line.wait(time);
    }

    /// Lets time pass, in which the board may say something.
    ///
    /// # Errors
    /// [`Error::Line`], [`Error::Stopped`].
    pub(crate) fn listen(&mut self, time: Duration, watch: &mut dyn Watch) -> Result<()> {
        let until = self.line.now() + time;
        while self.next_packet(until, watch)?.is_some() {}
        Ok(())
    }

    /// What the board is by the standard.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Improv`].
    pub fn information(&mut self, watch: &mut dyn Watch) -> Result<Information> {
        let mut found = None;
        let take = |said| match said {
            Said::Result(texts) => {
                let mut texts = texts.into_iter();
                let mut next = || texts.next().unwrap_or_default();
                found = Some(Information {
                    firmware: next(),
                    version: next(),
                    hardware: next(),
                    name: next(),
                });
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        self.command(
            &Command::Information,
            "information",
            KNOCK_PATIENCE,
            watch,
            take,
        )?;
        found.ok_or(Error::NoAnswer {
            what: "information",
        })
    }

    /// What networks the board finds around it, the strongest first, each name once.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Improv`].
    pub fn networks(&mut self, watch: &mut dyn Watch) -> Result<Vec<FoundNetwork>> {
        let mut found: Vec<FoundNetwork> = Vec::new();
        let take = |said| match said {
            Said::Result(texts) => {
                let [name, dbm, protected] = &texts[..] else {
                    return ControlFlow::Break(());
                };
                if found.len() < NETWORKS_MAX {
                    found.push(FoundNetwork {
                        name: name.clone(),
                        dbm: dbm.parse().ok(),
                        is_protected: protected != "NO",
                    });
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        };
        self.command(&Command::Scan, "scan", SCAN_PATIENCE, watch, take)?;
        found.sort_by(|a, b| b.dbm.cmp(&a.dbm).then_with(|| a.name.cmp(&b.name)));
        let mut names = std::collections::BTreeSet::new();
        found.retain(|network| names.insert(network.name.clone()));
        Ok(found)
    }

    /// Whether the board has joined its network, and its page's address, if so.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Improv`].
    pub fn wifi(&mut self, watch: &mut dyn Watch) -> Result<(ImprovState, Option<String>)> {
        let mut state = ImprovState::Ready;
        let mut page = None;
        let take = |said| match said {
            Said::State(ImprovState::Provisioned) => {
                state = ImprovState::Provisioned;
                ControlFlow::Continue(())
            }
            Said::State(other) => {
                state = other;
                ControlFlow::Break(())
            }
            Said::Result(texts) => {
                page = texts.into_iter().next();
                ControlFlow::Break(())
            }
        };
        self.command(&Command::State, "state", COMMAND_PATIENCE, watch, take)?;
        Ok((state, page))
    }

    /// Has the board join a network, which it keeps from then on; its page's address, where it tells one.
    ///
    /// # Errors
    /// [`Error::NotJoined`] when it cannot; [`Error::Locked`]; [`Error::NoAnswer`].
    pub fn join(
        &mut self,
        network: &str,
        password: &Password,
        watch: &mut dyn Watch,
    ) -> Result<Option<String>> {
        let command = Command::SendWifi {
            network: network.into(),
            password: password.0.clone().into_bytes(),
        };
        let mut page = None;
        let take = |said| match said {
            Said::Result(texts) => {
                page = texts.into_iter().next();
                ControlFlow::Break(())
            }
            Said::State(_) => ControlFlow::Continue(()),
        };
        let what = "join the network";
        match self.command(&command, what, JOIN_PATIENCE, watch, take) {
            Err(Error::Improv(ImprovError::UnableToConnect)) => {
                Err(Error::NotJoined { state: None })
            }
            other => other.map(|()| page),
        }
    }

    /// A command of the standard; what comes for it is taken until `take` has enough.
    fn command(
        &mut self,
        command: &Command,
        what: &'static str,
        patience: Duration,
        watch: &mut dyn Watch,
        mut take: impl FnMut(Said) -> ControlFlow<()>,
    ) -> Result<()> {
        let packet = Packet {
            packet_type: PacketType::Command,
            data: command.encode(),
        };
        self.packets.clear();
        self.line.write(&packet.encode()).map_err(Error::Line)?;
        let until = self.line.now() + patience;
        while let Some(packet) = self.next_packet(until, watch)? {
            let said = match packet.packet_type {
                PacketType::Error => match packet.data.first().copied() {
                    None | Some(0) => continue,
                    Some(number) => return Err(refused(ImprovError::from_number(number))),
                },
                PacketType::State => packet.data.first().map(|number| {
                    let state = ImprovState::from_number(*number);
                    Said::State(state)
                }),
                PacketType::Result => read_result(&packet.data)
                    .filter(|(number, _)| *number == command.number())
                    .map(|(_, texts)| Said::Result(texts)),
                _ => None,
            };
            if said.is_some_and(|said| take(said).is_break()) {
                return Ok(());
            }
        }
        Err(Error::NoAnswer { what })
    }

    /// The next packet, if one comes until then. Lines of the log are told on the way.
    fn next_packet(&mut self, until: Duration, watch: &mut dyn Watch) -> Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Ok(Some(packet));
            }
            if watch.is_stopped() {
                return Err(Error::Stopped);
            }
            let left = until.saturating_sub(self.line.now());
            if left.is_zero() {
                return Ok(None);
            }
            let patience = left.min(QUIET_MAX);
            let mut bytes = [0; 512];
            let count = self.line.read(&mut bytes, patience).map_err(Error::Line)?;
            let received = match count {
                0 if patience == QUIET_MAX => self.parser.give_up(),
                0 => continue,
                count => self.parser.receive(&bytes[..count]),
            };
            for received in received {
                match received {
                    Received::Packet(packet) if self.packets.len() < PACKETS_MAX => {
                        self.packets.push_back(packet);
                    }
                    Received::Packet(_) => {}
                    Received::Text(text) => self.take_text(&text, watch),
                }
            }
        }
    }

    fn take_text(&mut self, text: &[u8], watch: &mut dyn Watch) {
        if self.heard == Heard::Nothing {
            self.heard = Heard::Noise;
        }
        for &byte in text {
            if byte != b'\n' && self.log.len() < LOG_LINE_BYTES_MAX {
                self.log.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.log);
            // A boot log at another rate, of which nothing is readable, ends without a line of its own.
            let is_noise =
                |it: char| it == char::REPLACEMENT_CHARACTER || (it.is_control() && it != '\t');
            let line = line.trim_end().rsplit(is_noise).next();
            let line = line.unwrap_or_default();
            // What is left of the boot log may look like letters.
            let banner = line
                .find(BANNER)
                .filter(|at| line[*at..].contains(" slot "));
            let line = line[banner.unwrap_or(0)..].to_owned();
            self.log.clear();
            if line.len() >= TEXT_BYTES_MIN {
                self.heard = Heard::Text;
            }
            if !line.is_empty() {
                watch.event(Event::Log { line });
            }
        }
    }
}

/// What came for a command of the standard.
enum Said {
    State(ImprovState),
    Result(Vec<String>),
}

fn refused(error: ImprovError) -> Error {
    match error {
        ImprovError::NotAuthorized => Error::Locked,
        other => Error::Improv(other),
    }
}

fn described(answer: Answer) -> Result<Description> {
    match answer.body {
        Body::Description(description) => Ok(*description),
        _ => Err(Error::NoAnswer { what: "describe" }),
    }
}

fn accepted(what: &'static str, answer: Answer) -> Result<Answer> {
    match (answer.code, &answer.body) {
        (Code::Ok, _) => Ok(answer),
        (Code::Forbidden, _) => Err(Error::Locked),
        (Code::BadToken, _) => Err(Error::WrongPassword),
        (Code::RateLimited, Body::Wait(wait)) => Err(Error::Guessed { wait: *wait }),
        (Code::OutOfRange, Body::WrongSetting(Some(setting))) => {
            Err(Error::WrongSetting { setting: *setting })
        }
        (code, _) => Err(Error::Declined { what, code }),
    }
}
