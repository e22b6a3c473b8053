//! How a board is brought into its loader and out of it: one sequence for each wiring.
//!
//! On most boards with a reset circuit two transistors join DTR and RTS: RTS alone asserted holds the chip in reset, DTR
//! alone holds GPIO0 low, and both together do neither. A chip that leaves its reset with GPIO0 low starts its loader.

use std::{io, time::Duration};

use crate::line::{Line, Signals};

/// How long the chip is held in reset.
const HELD: Duration = Duration::from_millis(100);
/// How long GPIO0 is held low after it, while the ROM looks at it.
const LOOKED_AT: Duration = Duration::from_millis(50);
/// The same for boards whose capacitor at the reset pin is large.
const LOOKED_AT_SLOWLY: Duration = Duration::from_millis(550);

/// What is done before the loader is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Before {
    /// Tries the sequences in turn, each with a shorter and a longer wait.
    #[default]
    Reset,
    /// For adapters that put an inverter between their lines and the board.
    InvertedReset,
    /// Nothing: somebody holds GPIO0 to ground and powers the board.
    NoReset,
}

/// What is done once all is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum After {
    /// The chip is reset by RTS, and runs what was written.
    #[default]
    Reset,
    /// The same for an adapter with inverters.
    InvertedReset,
    /// The loader is left running. Somebody takes GPIO0 off ground and powers the board anew.
    NoReset,
}

/// One way into the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    is_tight: bool,
    looked_at: Duration,
}

/// The ways to be tried in turn. Windows sets one line a call, so that nothing is tight there.
pub(crate) const ENTRIES: [Entry; 4] = [
    entry(cfg!(unix), LOOKED_AT),
    entry(cfg!(unix), LOOKED_AT_SLOWLY),
    entry(false, LOOKED_AT),
    entry(false, LOOKED_AT_SLOWLY),
];

const fn entry(is_tight: bool, looked_at: Duration) -> Entry {
    Entry {
        is_tight,
        looked_at,
    }
}

/// The wiring of an adapter, as far as a sequence must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wiring {
    /// Its lines pass an inverter.
    pub(crate) is_inverted: bool,
    /// It resets the board when DTR is let go, so DTR stays as it is at the end: Silicon Labs' CP2102C does.
    pub(crate) holds_dtr: bool,
}

impl Wiring {
    fn set(self, line: &mut impl Line, dtr: bool, rts: bool) -> io::Result<()> {
        line.set_signals(Signals {
            dtr: dtr != self.is_inverted,
            rts: rts != self.is_inverted,
        })
    }

    /// Into the loader.
    pub(crate) fn enter(self, line: &mut impl Line, entry: Entry) -> io::Result<()> {
        if entry.is_tight {
            self.set(line, false, false)?; // neither pin is low
            self.set(line, true, true)?; // still neither: from here one edge is enough
        }
        self.set(line, false, true)?; // reset low, GPIO0 high
        line.wait(HELD);
        self.set(line, true, false)?; // GPIO0 low, reset high: the ROM looks at GPIO0
        line.wait(entry.looked_at);
        if !self.holds_dtr {
            self.set(line, false, false)?; // GPIO0 is let go
        }
        Ok(())
    }

    /// Out of it: what was written runs.
    pub(crate) fn leave(self, line: &mut impl Line) -> io::Result<()> {
        self.set(line, false, true)?; // reset low, GPIO0 high
        line.wait(HELD);
        self.set(line, false, false) // reset high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what becomes of the two pins: low is true.
    #[derive(Default)]
    struct Pins {
        seen: Vec<(u128, bool, bool)>,
        now: Duration,
        is_inverted: bool,
    }

    impl Line for Pins {
        fn read(&mut self, _: &mut [u8], _: Duration) -> io::Result<usize> {
            Ok(0)
        }

        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn set_baud(&mut self, _: u32) -> io::Result<()> {
            Ok(())
        }

        fn set_signals(&mut self, signals: Signals) -> io::Result<()> {
            let (dtr, rts) = (
                signals.dtr != self.is_inverted,
                signals.rts != self.is_inverted,
            );
            // The two transistors: each line pulls its pin only while the other is let go.
            self.seen
                .push((self.now.as_millis(), rts && !dtr, dtr && !rts));
            Ok(())
        }

        fn discard(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn wait(&mut self, time: Duration) {
            self.now += time;
        }

        fn now(&self) -> Duration {
            self.now
        }
    }

    #[test]
    fn each_entry_leaves_reset_with_gpio0_low() {
        for entry in ENTRIES {
            for (is_inverted, holds_dtr) in [(false, false), (true, false), (false, true)] {
                let wiring = Wiring {
                    is_inverted,
                    holds_dtr,
                };
                let mut pins = Pins {
                    is_inverted,
                    ..Pins::default()
                };
                wiring.enter(&mut pins, entry).unwrap();
                let held = pins.seen.iter().position(|it| it.1).unwrap();
                let (from, ..) = pins.seen[held];
                let (until, is_reset, is_gpio0) = pins.seen[held + 1];
                assert!(until - from >= 100, "{:?}", pins.seen);
                assert_eq!((is_reset, is_gpio0), (false, true), "{:?}", pins.seen);
                let (_, is_reset, is_gpio0) = *pins.seen.last().unwrap();
                assert_eq!((is_reset, is_gpio0), (false, holds_dtr), "{:?}", pins.seen);
            }
        }
    }

    #[test]
    fn leaving_never_touches_gpio0() {
        let mut pins = Pins::default();
        Wiring::default().leave(&mut pins).unwrap();
        assert_eq!(pins.seen, [(0, true, false), (100, false, false)]);
    }
}
