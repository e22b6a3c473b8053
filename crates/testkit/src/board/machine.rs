//! The board: power, reset, two wires, and one program after the other that runs on its chip.

use super::{
    application::{Application, ChipAccess, Restart},
    boot::{self, StartCause},
    chip::Chip,
    fault::{Direction, Strike},
    flash::Flash,
    line::{Wire, are_near},
    loader::{self, Reaction, Then},
    options::{BoardOptions, Speed, Wiring},
    rom::{self, Rom},
    slip::{self, Decoder},
    stub::{self, Stub},
};
use std::time::Duration;

/// How long the reset pin takes to rise: its capacitor. Lines that change one after the other within this
/// time count as having changed together.
const RESET_RISE: Duration = Duration::from_millis(1);
/// After which time the watchdog ends what does not go on.
const WATCHDOG: Duration = Duration::from_secs(2);
/// Bytes that the ROM loads in a millisecond.
const LOADED_BYTES_PER_MS: u32 = 1_000;
/// No application runs more often than this by its own wish: its chip's timers are no finer.
const APPLICATION_STEP: Duration = Duration::from_millis(1);
/// Bytes of 0x55 by which the ROM knows the host's rate.
const AUTO_BAUD_BYTES: usize = 16;
const AUTO_BAUD_FILL: u8 = 0x55;

/// The host's modem lines; `true` is asserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Data terminal ready.
    pub dtr: bool,
    /// Request to send.
    pub rts: bool,
}

/// What the board is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoardState {
    /// It has no power.
    Unpowered,
    /// It is held in reset, or just leaves it.
    Reset,
    /// The ROM's loader waits for commands.
    Download,
    /// The stub does.
    Stub,
    /// The ROM loads the image.
    Loading,
    /// The ROM found no good image; the watchdog will reset the chip.
    BadImage,
    /// The application runs.
    Application,
    /// It says and does nothing until it is reset.
    Hung,
}

/// What has been counted since the board was made: among it, how often a fault may strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that arrived from the host.
    pub bytes_from_host: u64,
    /// Packets of the loaders' protocol that arrived.
    pub packets_from_host: u64,
    /// Bytes that left for the host.
    pub bytes_to_host: u64,
    /// Packets of the loaders' protocol that left.
    pub packets_to_host: u64,
    /// Bytes lost because nobody emptied the receiver in time.
    pub overruns: u64,
    /// How often the chip has started.
    pub starts: u64,
}

/// What runs.
enum Mode {
    Off,
    Held,
    /// The reset pin rises.
    Rising {
        at: Duration,
        cause: StartCause,
    },
    Download {
        rom: Rom,
        decoder: Decoder,
    },
    Stub {
        stub: Stub,
        decoder: Decoder,
    },
    Loading {
        at: Duration,
    },
    /// Until the watchdog bites.
    Stuck {
        until: Duration,
        is_bad_image: bool,
    },
    Application {
        application: Box<dyn Application>,
        last_run: Duration,
    },
    Hung,
}

/// A board on its line. Times are since any beginning, and never go back.
pub struct Board {
    options: BoardOptions,
    chip: Chip,
    mode: Mode,
    now: Duration,
    host_baud: u32,
    is_plugged: bool,
    has_power: bool,
    has_jumper: bool,
    is_pressed: bool,
    lines: Lines,
    /// Why the chip has started.
    cause: StartCause,
    /// What the pins said when they were last looked at.
    is_download_latched: bool,
    from_host: Wire,
    to_host: Wire,
    faults_from_host: Direction,
    faults_to_host: Direction,
    /// What strikes with the packet that is being received.
    armed: Vec<Strike>,
    /// Bytes that arrived while nobody emptied the receiver.
    waiting: Vec<u8>,
    /// Until when the processor is at something else.
    busy_until: Duration,
    /// Bytes in a row by which the host's rate is told.
    fill_bytes: usize,
    /// Whether it says and does nothing more until it is reset.
    is_silenced: bool,
    /// When the cable comes out, where a fault says so.
    unplug_at: Option<Duration>,
    overruns: u64,
    starts: u64,
}

impl Board {
    /// A board without power, its flash blank.
    pub fn new(options: BoardOptions) -> Self {
        let is_immediate = options.speed == Speed::Immediate;
        Board {
            chip: Chip::new(&options),
            mode: Mode::Off,
            now: Duration::ZERO,
            host_baud: boot::APPLICATION_BAUD,
            is_plugged: true,
            has_power: false,
            has_jumper: false,
            is_pressed: false,
            lines: Lines::default(),
            cause: StartCause::PowerOn,
            is_download_latched: false,
            from_host: Wire::new(is_immediate),
            to_host: Wire::new(is_immediate),
            faults_from_host: Direction::new(&options.faults, true),
            faults_to_host: Direction::new(&options.faults, false),
            armed: Vec::new(),
            waiting: Vec::new(),
            busy_until: Duration::ZERO,
            fill_bytes: 0,
            is_silenced: false,
            unplug_at: None,
            overruns: 0,
            starts: 0,
            options,
        }
    }

    /// Switches the power.
    pub fn power(&mut self, now: Duration, is_on: bool) {
        self.advance(now);
        self.has_power = is_on;
        self.settle();
    }

    /// Connects GPIO0 to ground, or takes the jumper out.
    pub fn jumper(&mut self, now: Duration, is_in: bool) {
        self.advance(now);
        self.has_jumper = is_in;
    }

    /// Presses the reset button, or lets it go.
    pub fn reset(&mut self, now: Duration, is_pressed: bool) {
        self.advance(now);
        self.is_pressed = is_pressed;
        self.settle();
    }

    /// The host sets its modem lines.
    pub fn lines(&mut self, now: Duration, lines: Lines) {
        self.advance(now);
        self.lines = lines;
        self.settle();
    }

    /// Pulls the cable, and the power with it.
    pub fn unplug(&mut self, now: Duration) {
        self.advance(now);
        self.unplugged();
    }

    /// Puts the cable in again. The lines are as a host leaves them that has just opened nothing.
    pub fn plug(&mut self, now: Duration) {
        self.advance(now);
        self.is_plugged = true;
        self.lines = Lines::default();
        self.settle();
    }

    /// Whether the cable is in.
    pub fn is_plugged(&self) -> bool {
        self.is_plugged
    }

    /// The host sets its rate, in bits a second: for what it sends from now on, and for all that it reads
    /// from now on.
    pub fn host_baud(&mut self, baud: u32) {
        self.host_baud = baud;
    }

    /// The host sends bytes, as soon as those before them have left.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        if self.is_plugged {
            self.from_host.send(now, self.host_baud, bytes.to_vec());
        }
        self.advance(now);
    }

    /// The host reads what has reached it by now.
    pub fn transmit(&mut self, now: Duration) -> Vec<u8> {
        self.advance(now);
        self.to_host.receive(now, self.host_baud)
    }

    /// Bytes from the host that are still on their way.
    pub fn backlog(&self) -> usize {
        self.from_host.pending()
    }

    /// When there may be news next: bytes for the host, or a change of state. Nothing changes before, unless
    /// the host does something.
    pub fn next_due(&self) -> Option<Duration> {
        let arrival = match self.mode {
            Mode::Application { .. } => self.from_host.next_arrival(),
            _ => self.from_host.next_mark(),
        };
        let waiting = (!self.waiting.is_empty()).then_some(self.busy_until);
        // Bytes that are read at another rate come when the last of them has.
        let to_host = self.to_host.next_readable(self.host_baud);
        let times = [arrival, waiting, to_host, self.timer()];
        times.into_iter().flatten().min()
    }

    /// Brings the board to this time.
    pub fn advance(&mut self, now: Duration) {
        loop {
            let arrival = self.from_host.next_arrival();
            let waiting = (!self.waiting.is_empty()).then_some(self.busy_until);
            let bytes = [arrival, waiting].into_iter().flatten().min();
            let timer = self.timer();
            let Some(next) = [bytes, timer].into_iter().flatten().min() else {
                break;
            };
            if next > now {
                break;
            }
            self.now = self.now.max(next);
            if timer.is_some_and(|timer| timer <= next) {
                self.timer_due(next);
            } else if waiting.is_some_and(|waiting| waiting <= next) {
                let waiting = std::mem::take(&mut self.waiting);
                let taken = self.take_in(next, &waiting);
                let rest = waiting.get(taken..).unwrap_or_default();
                self.waiting.splice(..0, rest.iter().copied());
            } else {
                let until = timer.map_or(now, |timer| timer.min(now));
                self.bytes_arrive(until);
            }
        }
        self.now = self.now.max(now);
        self.chip.flash.elapse(self.now);
    }

    /// The flash.
    pub fn flash(&self) -> &Flash {
        &self.chip.flash
    }

    /// The flash, to be changed from outside.
    pub fn flash_mut(&mut self) -> &mut Flash {
        &mut self.chip.flash
    }

    /// What the board is doing.
    pub fn state(&self) -> BoardState {
        match &self.mode {
            Mode::Off => BoardState::Unpowered,
            _ if self.is_silenced => BoardState::Hung,
            Mode::Held | Mode::Rising { .. } => BoardState::Reset,
            Mode::Download { .. } => BoardState::Download,
            Mode::Stub { .. } => BoardState::Stub,
            Mode::Loading { .. } => BoardState::Loading,
            Mode::Stuck {
                is_bad_image: true, ..
            } => BoardState::BadImage,
            Mode::Stuck { .. } | Mode::Hung => BoardState::Hung,
            Mode::Application { .. } => BoardState::Application,
        }
    }

    /// The board's rate on the line.
    pub fn baud(&self) -> u32 {
        self.chip.baud
    }

    /// What has been counted.
    pub fn counts(&self) -> Counts {
        Counts {
            bytes_from_host: self.faults_from_host.bytes(),
            packets_from_host: self.faults_from_host.packets(),
            bytes_to_host: self.faults_to_host.bytes(),
            packets_to_host: self.faults_to_host.packets(),
            overruns: self.overruns,
            starts: self.starts,
        }
    }

    /// Sees to what power and the reset pin ask for.
    fn settle(&mut self) {
        let is_wired = self.options.wiring == Wiring::Auto;
        let is_powered = self.has_power && self.is_plugged;
        let is_held = self.is_pressed || (is_wired && self.lines.rts && !self.lines.dtr);
        match (is_powered, is_held, &self.mode) {
            (false, _, Mode::Off) => {}
            (false, _, _) => {
                self.halt();
                self.chip.flash.cut_power(self.now);
                self.chip.clear_memory();
                self.mode = Mode::Off;
            }
            (true, true, Mode::Held) => {}
            // It was powered up while held in reset: the pin is what lets it go.
            (true, true, _) => {
                self.halt();
                self.chip.flash.abandon(self.now);
                self.mode = Mode::Held;
            }
            (true, false, Mode::Off) => self.rise(StartCause::PowerOn),
            (true, false, Mode::Held) => self.rise(StartCause::ResetPin),
            (true, false, _) => {}
        }
    }

    fn rise(&mut self, cause: StartCause) {
        let at = self.now + RESET_RISE;
        self.mode = Mode::Rising { at, cause };
    }

    /// Whatever runs does not run any more.
    fn halt(&mut self) {
        self.to_host.cut(self.now);
        self.waiting.clear();
        self.armed.clear();
        self.busy_until = self.now;
        self.is_silenced = false;
    }

    fn unplugged(&mut self) {
        self.unplug_at = None;
        self.is_plugged = false;
        self.from_host.clear();
        self.settle();
    }

    /// When something is due by itself.
    fn timer(&self) -> Option<Duration> {
        let of_mode = match &self.mode {
            Mode::Rising { at, .. } | Mode::Loading { at } => Some(*at),
            Mode::Stuck { until, .. } => Some(*until),
            Mode::Application {
                application,
                last_run,
            } => {
                let due = application.next_due();
                due.map(|due| due.max(*last_run + APPLICATION_STEP).max(self.busy_until))
            }
            _ => None,
        };
        let of_mode = of_mode.filter(|_| !self.is_silenced);
        [of_mode, self.unplug_at].into_iter().flatten().min()
    }

    fn timer_due(&mut self, at: Duration) {
        if self.unplug_at.is_some_and(|unplug| unplug <= at) {
            return self.unplugged();
        }
        match self.mode {
            Mode::Rising { cause, .. } => self.start(at, cause),
            Mode::Loading { .. } => self.start_application(at),
            Mode::Stuck { .. } => self.start(at, StartCause::Watchdog),
            Mode::Application { .. } => self.run_application(at, &[]),
            _ => {}
        }
    }

    /// The chip starts.
    fn start(&mut self, at: Duration, cause: StartCause) {
        self.starts += 1;
        self.cause = cause;
        self.waiting.clear();
        self.busy_until = at;
        self.chip.reset();
        // The pins are looked at when the reset pin rises, and not when the chip starts itself anew.
        if matches!(cause, StartCause::PowerOn | StartCause::ResetPin) {
            let is_wired = self.options.wiring == Wiring::Auto;
            let is_pulled = is_wired && self.lines.dtr && !self.lines.rts;
            self.is_download_latched = self.has_jumper || is_pulled;
        }
        let greeting = boot::greeting(cause, self.is_download_latched);
        self.say(at, greeting.as_bytes());
        if self.is_download_latched {
            self.fill_bytes = 0;
            self.mode = Mode::Download {
                rom: Rom::default(),
                decoder: Decoder::new(rom::PACKET_BYTES_MAX),
            };
        } else {
            self.boot_flash(at);
        }
    }

    fn boot_flash(&mut self, at: Duration) {
        self.chip.baud = boot::BAUD;
        let loaded = boot::load(&self.chip.flash, self.options.is_dout_only);
        self.say(at, loaded.log.as_bytes());
        if !loaded.is_good {
            self.mode = Mode::Stuck {
                until: at + WATCHDOG,
                is_bad_image: true,
            };
            return;
        }
        let time = match self.options.speed {
            Speed::Real => Duration::from_millis((loaded.bytes / LOADED_BYTES_PER_MS).into()),
            Speed::Immediate => Duration::ZERO,
        };
        let at = self.to_host.free().max(at) + time;
        self.mode = Mode::Loading { at };
    }

    fn start_application(&mut self, at: Duration) {
        self.chip.baud = boot::APPLICATION_BAUD;
        let application = (self.options.application)(self.chip.flash.bytes());
        self.mode = match application {
            Some(application) => Mode::Application {
                application,
                last_run: at,
            },
            None => Mode::Hung,
        };
        self.run_application(at, &[]);
    }

    fn run_application(&mut self, at: Duration, received: &[u8]) {
        let Mode::Application {
            application,
            last_run,
        } = &mut self.mode
        else {
            return;
        };
        *last_run = at;
        let mut access = ChipAccess {
            now: at,
            cause: self.cause,
            mac: self.options.mac,
            flash: &mut self.chip.flash,
            output: Vec::new(),
            baud: &mut self.chip.baud,
            restart: None,
        };
        application.run(&mut access, received);
        let (done, output, restart) = (access.now, access.output, access.restart);
        self.busy_until = done;
        self.say(done, &output);
        match restart {
            None => {}
            Some(Restart::Hang) => {
                self.mode = Mode::Stuck {
                    until: done + WATCHDOG,
                    is_bad_image: false,
                };
            }
            Some(restart) => self.start(done, restart.into()),
        }
    }

    /// The next bytes from the host arrive: some of those that do so up to this time.
    fn bytes_arrive(&mut self, until: Duration) {
        let chip_baud = self.chip.baud;
        let is_settled = match &self.mode {
            Mode::Download { rom, .. } => rom.is_synced,
            _ => true,
        };
        let is_paced = self.options.speed == Speed::Real;
        let is_one_by_one = self.faults_from_host.awaits_packet()
            || (is_paced && matches!(self.mode, Mode::Application { .. }));
        let Some(train) = self.from_host.front() else {
            return;
        };
        if !are_near(train.baud, chip_baud) {
            match is_settled {
                true => self.from_host.misread_front(chip_baud),
                false => self.find_baud(until),
            }
            return;
        }
        let calm = match is_one_by_one {
            true => 1,
            false => self.faults_from_host.calm().max(1),
        };
        if train.arrival(0) < self.busy_until {
            let before = self.busy_until - Duration::from_nanos(1);
            let count = train.arrived(before.min(until)).clamp(1, calm);
            let last = train.arrival(count - 1);
            let bytes = self.from_host.take(count);
            let bytes = self.disturbed(last, bytes);
            return self.wait(&bytes);
        }
        // Up to the end of a packet: after it everything may be different.
        let rest = train.rest();
        let mark = rest.iter().skip(1).position(|byte| *byte == slip::MARK);
        let whole = mark.map_or(rest.len(), |mark| mark + 2);
        let count = train.arrived(until).min(whole).clamp(1, calm);
        let last = train.arrival(count - 1);
        let bytes = self.from_host.take(count);
        let bytes = self.disturbed(last, bytes);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && self.busy_until <= last {
            let taken = self.take_in(last, rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.wait(rest);
    }

    /// Looks for a run by which the ROM knows the host's rate; whatever comes before its end is lost.
    fn find_baud(&mut self, until: Duration) {
        let Some(train) = self.from_host.front() else {
            return;
        };
        let (baud, count) = (train.baud, train.arrived(until).max(1));
        let mut taken = 0;
        for byte in train.rest().iter().take(count) {
            taken += 1;
            self.fill_bytes = match *byte {
                AUTO_BAUD_FILL => self.fill_bytes + 1,
                _ => 0,
            };
            if self.fill_bytes == AUTO_BAUD_BYTES {
                self.chip.baud = baud;
                break;
            }
        }
        let bytes = self.from_host.take(taken);
        self.faults_from_host.passed(&bytes);
    }

    /// What the faults leave of bytes from the host.
    fn disturbed(&mut self, at: Duration, bytes: Vec<u8>) -> Vec<u8> {
        let faults = &self.faults_from_host;
        if faults.calm() >= bytes.len() && !faults.awaits_packet() {
            self.faults_from_host.passed(&bytes);
            return bytes;
        }
        let mut disturbed = Vec::new();
        for byte in bytes {
            // What strikes with a packet does so when all of it has come.
            let with_packet = self.faults_from_host.begins_packet(byte);
            self.armed.extend(with_packet);
            let (passed, strikes) = self.faults_from_host.pass(byte);
            for strike in strikes {
                self.strike(at, strike);
            }
            disturbed.extend(passed);
        }
        disturbed
    }

    /// Bytes that nobody takes yet stay in the receiver, as far as it has room.
    fn wait(&mut self, bytes: &[u8]) {
        let room = match self.mode {
            Mode::Stub { .. } => stub::BUFFER_BYTES,
            _ => rom::FIFO_BYTES,
        };
        let room = room.saturating_sub(self.waiting.len()).min(bytes.len());
        self.overruns += (bytes.len() - room) as u64;
        self.waiting
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// Whatever runs takes bytes in. Gives how many: no more than up to the end of a packet.
    fn take_in(&mut self, at: Duration, bytes: &[u8]) -> usize {
        if self.is_silenced {
            return bytes.len();
        }
        match &mut self.mode {
            Mode::Download { decoder, .. } | Mode::Stub { decoder, .. } => {
                let (taken, packet) = decoder.feed(bytes);
                if let Some(packet) = packet {
                    self.packet(at, &packet);
                }
                taken
            }
            Mode::Application { .. } => {
                self.run_application(at, bytes);
                bytes.len()
            }
            _ => bytes.len(),
        }
    }

    /// A loader executes a packet.
    fn packet(&mut self, at: Duration, packet: &[u8]) {
        for strike in std::mem::take(&mut self.armed) {
            if let Strike::Nak(code) = strike {
                let command = packet.get(1).copied().unwrap_or_default();
                return self.say_packet(at, loader::reply(command, 0, &[], Err(code)));
            }
            self.strike(at, strike);
        }
        if self.is_silenced {
            return;
        }
        let reaction = match &mut self.mode {
            Mode::Download { rom, .. } => rom.packet(&mut self.chip, at, packet),
            Mode::Stub { stub, .. } => stub.packet(&mut self.chip, at, packet),
            _ => return,
        };
        let Reaction {
            before,
            replies,
            after,
            then,
        } = reaction;
        let at = at + before;
        self.busy_until = at + after;
        for reply in replies {
            self.say_packet(at, reply);
        }
        if self.is_silenced {
            return;
        }
        match then {
            Then::Stay => {}
            Then::Baud(baud) => self.chip.baud = baud,
            Then::Run(entry) if stub::runs_at(&self.chip, entry) => {
                self.chip.spi.is_attached = true;
                self.mode = Mode::Stub {
                    stub: Stub::default(),
                    decoder: Decoder::new(stub::PACKET_BYTES_MAX),
                };
                self.say_packet(at, stub::GREETING.to_vec());
            }
            Then::Run(_) | Then::Hang => self.mode = Mode::Hung,
            Then::Restart => self.start(self.to_host.free().max(at), StartCause::Software),
            Then::BootFlash => self.boot_flash(self.to_host.free().max(at)),
        }
    }

    /// Says a packet of the loaders' protocol.
    fn say_packet(&mut self, at: Duration, mut packet: Vec<u8>) {
        for strike in self.faults_to_host.packet() {
            match strike {
                Strike::Nak(code) => {
                    let status = packet.len().saturating_sub(2);
                    packet.truncate(status);
                    packet.extend([1, code]);
                }
                strike => self.strike(at, strike),
            }
        }
        self.say(at, &slip::encoded(&packet));
    }

    /// Says bytes, or what the faults leave of them.
    fn say(&mut self, at: Duration, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_silenced && self.is_plugged {
            let calm = self.faults_to_host.calm().min(rest.len());
            let (passing, disturbed) = rest.split_at(calm);
            self.faults_to_host.passed(passing);
            let mut said = passing.to_vec();
            let mut strikes = Vec::new();
            rest = match disturbed.split_first() {
                Some((byte, after)) => {
                    let (passed, struck) = self.faults_to_host.pass(*byte);
                    said.extend(passed);
                    strikes = struck;
                    after
                }
                None => disturbed,
            };
            self.to_host.send(at, self.chip.baud, said);
            for strike in strikes {
                self.strike(self.to_host.free().max(at), strike);
            }
        }
    }

    /// Something goes wrong.
    fn strike(&mut self, at: Duration, strike: Strike) {
        match strike {
            Strike::Silence => self.is_silenced = true,
            Strike::Nak(_) => self.armed.push(strike),
            Strike::Unplug => {
                self.is_silenced = true;
                self.unplug_at = Some(at);
            }
            Strike::Baud(baud) => self.chip.baud = baud,
            Strike::BitRot(offset, bit) => self.chip.flash.rot(offset, bit),
            Strike::TornErase(seed) => self.chip.flash.faults.torn_erase = Some(seed),
            Strike::RefusedProgram => self.chip.flash.faults.refused_program = true,
        }
    }
}
