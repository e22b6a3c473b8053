//! What goes wrong, and when.

use super::{flash::SECTOR_BYTES, slip::MARK};
use crate::seeded::Seeded;

/// When a fault strikes. Everything is counted from one, since the board was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultPoint {
    /// As a byte from the host arrives.
    ByteFromHost(u64),
    /// As a byte leaves for the host.
    ByteToHost(u64),
    /// With a packet of the loader's protocol from the host: for the bytes in it, or in place of its command.
    PacketFromHost(u64),
    /// With a packet to the host: the command that it answers has been executed.
    PacketToHost(u64),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Bits flip in so many bytes of this direction.
    Noise {
        /// How many bytes.
        bytes: u32,
        /// Which bits.
        seed: u64,
    },
    /// So many bytes of this direction are lost.
    Lose {
        /// How many bytes.
        bytes: u32,
    },
    /// So many bytes of this direction come twice each.
    Double {
        /// How many bytes.
        bytes: u32,
    },
    /// The board says and does nothing more until it is reset.
    Silence,
    /// The command, or the reply, is refused with this code.
    Nak {
        /// The loader's code.
        code: u8,
    },
    /// The cable comes out, and the power with it.
    Unplug,
    /// The board's side of the line goes to another rate.
    Baud {
        /// Bits a second.
        baud: u32,
    },
    /// A bit in flash changes by itself.
    BitRot {
        /// Where in flash.
        offset: u32,
        /// Which of the byte's bits.
        bit: u8,
    },
    /// The next erase leaves a part erased, a part as it was, and a mix between them; nobody is told.
    TornErase {
        /// How much of it.
        seed: u64,
    },
    /// The next program changes nothing; nobody is told.
    RefusedProgram,
}

/// A fault. It strikes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: FaultPoint,
    /// What.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault of any kind, drawn by a seed, among the first `bytes` bytes of either direction.
    pub fn drawn(seed: u64, bytes: u64) -> Fault {
        let mut drawn = Seeded::new(seed);
        let count = 1 + drawn.below(bytes);
        let at = match drawn.below(2) {
            0 => FaultPoint::ByteFromHost(count),
            _ => FaultPoint::ByteToHost(count),
        };
        let some = 1 + drawn.below(20) as u32;
        let kind = match drawn.below(9) {
            0 => FaultKind::Noise {
                bytes: some,
                seed: drawn.next(),
            },
            1 => FaultKind::Lose { bytes: some },
            2 => FaultKind::Double { bytes: some },
            3 => FaultKind::Silence,
            4 => FaultKind::Unplug,
            5 => FaultKind::Baud { baud: 57_600 },
            6 => FaultKind::BitRot {
                offset: drawn.below(u64::from(SECTOR_BYTES) * 16) as u32,
                bit: drawn.below(8) as u8,
            },
            7 => FaultKind::TornErase { seed: drawn.next() },
            _ => FaultKind::RefusedProgram,
        };
        Fault { at, kind }
    }
}

/// What the board's other parts have to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Silence,
    Nak(u8),
    Unplug,
    Baud(u32),
    BitRot(u32, u8),
    TornErase(u64),
    RefusedProgram,
}

/// What is being done to the bytes of one direction.
#[derive(Debug, Default)]
struct Disturbance {
    noise: Option<Seeded>,
    noisy: u32,
    lost: u32,
    doubled: u32,
}

impl Disturbance {
    fn is_none(&self) -> bool {
        self.noisy == 0 && self.lost == 0 && self.doubled == 0
    }

    fn pass(&mut self, byte: u8, passed: &mut Vec<u8>) {
        if self.lost > 0 {
            self.lost -= 1;
            return;
        }
        let mut byte = byte;
        if self.noisy > 0
            && let Some(noise) = &mut self.noise
        {
            self.noisy -= 1;
            byte ^= 1 << noise.below(8);
            byte ^= noise.next() as u8 & noise.next() as u8 & noise.next() as u8;
        }
        passed.push(byte);
        if self.doubled > 0 {
            self.doubled -= 1;
            passed.push(byte);
        }
    }
}

/// One direction of the line, as the faults see it.
#[derive(Debug, Default)]
pub(super) struct Direction {
    bytes: u64,
    packets: u64,
    by_byte: Vec<(u64, FaultKind)>,
    by_packet: Vec<(u64, FaultKind)>,
    disturbance: Disturbance,
    is_from_host: bool,
    /// Where in the stream of packets its last byte was.
    place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Outside,
    Opened,
    Inside,
}

impl Direction {
    pub(super) fn new(faults: &[Fault], is_from_host: bool) -> Self {
        let mut direction = Direction {
            is_from_host,
            ..Direction::default()
        };
        for fault in faults {
            match fault.at {
                FaultPoint::ByteFromHost(at) if is_from_host => {
                    direction.by_byte.push((at, fault.kind));
                }
                FaultPoint::ByteToHost(at) if !is_from_host => {
                    direction.by_byte.push((at, fault.kind));
                }
                FaultPoint::PacketFromHost(at) if is_from_host => {
                    direction.by_packet.push((at, fault.kind));
                }
                FaultPoint::PacketToHost(at) if !is_from_host => {
                    direction.by_packet.push((at, fault.kind));
                }
                _ => {}
            }
        }
        direction
    }

    /// Bytes that have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that have passed.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// How many of the next bytes pass as they are.
    pub(super) fn calm(&self) -> usize {
        if !self.disturbance.is_none() {
            return 0;
        }
        let next = self.by_byte.iter().map(|(at, _)| *at).min();
        let calm = next.map_or(u64::MAX, |next| next.saturating_sub(self.bytes + 1));
        usize::try_from(calm).unwrap_or(usize::MAX)
    }

    /// Passes bytes that are known to be [`calm`](Self::calm).
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.is_from_host {
            for byte in bytes {
                self.packets += u64::from(self.is_first_of_packet(*byte));
            }
        }
    }

    /// A byte from the host is about to pass: what strikes with the packet that begins with it, if one does.
    /// The packet's bytes are disturbed from here on.
    pub(super) fn begins_packet(&mut self, byte: u8) -> Vec<Strike> {
        match self.is_first_of_packet(byte) {
            true => self.packet(),
            false => Vec::new(),
        }
    }

    fn is_first_of_packet(&mut self, byte: u8) -> bool {
        let (place, is_first) = match (self.place, byte == MARK) {
            (Place::Outside | Place::Opened, true) => (Place::Opened, false),
            (Place::Inside, true) => (Place::Outside, false),
            (Place::Opened, false) => (Place::Inside, true),
            (place, false) => (place, false),
        };
        self.place = place;
        is_first
    }

    /// Passes one byte: what comes of it, and what strikes with it.
    pub(super) fn pass(&mut self, byte: u8) -> (Vec<u8>, Vec<Strike>) {
        self.bytes += 1;
        let due = take_due(&mut self.by_byte, self.bytes);
        let strikes = due.filter_map(|kind| begin(&mut self.disturbance, kind));
        let strikes = strikes.collect();
        let mut passed = Vec::new();
        self.disturbance.pass(byte, &mut passed);
        (passed, strikes)
    }

    /// A packet begins: what strikes with it. Its bytes are disturbed from here on.
    pub(super) fn packet(&mut self) -> Vec<Strike> {
        self.packets += 1;
        let due = take_due(&mut self.by_packet, self.packets);
        due.filter_map(|kind| begin(&mut self.disturbance, kind))
            .collect()
    }

    /// Whether something strikes with a packet yet to come.
    pub(super) fn awaits_packet(&self) -> bool {
        !self.by_packet.is_empty()
    }
}

fn take_due(faults: &mut Vec<(u64, FaultKind)>, count: u64) -> impl Iterator<Item = FaultKind> {
    let due: Vec<_> = faults
        .extract_if(.., |(at, _)| *at <= count)
        .map(|(_, kind)| kind)
        .collect();
    due.into_iter()
}

/// Begins what disturbs bytes; everything else is the board's to do.
fn begin(disturbance: &mut Disturbance, kind: FaultKind) -> Option<Strike> {
    match kind {
        FaultKind::Noise { bytes, seed } => {
            disturbance.noise = Some(Seeded::new(seed));
            disturbance.noisy = bytes;
            None
        }
        FaultKind::Lose { bytes } => {
            disturbance.lost = bytes;
            None
        }
        FaultKind::Double { bytes } => {
            disturbance.doubled = bytes;
            None
        }
        FaultKind::Silence => Some(Strike::Silence),
        FaultKind::Nak { code } => Some(Strike::Nak(code)),
        FaultKind::Unplug => Some(Strike::Unplug),
        FaultKind::Baud { baud } => Some(Strike::Baud(baud)),
        FaultKind::BitRot { offset, bit } => Some(Strike::BitRot(offset, bit)),
        FaultKind::TornErase { seed } => Some(Strike::TornErase(seed)),
        FaultKind::RefusedProgram => Some(Strike::RefusedProgram),
    }
}
