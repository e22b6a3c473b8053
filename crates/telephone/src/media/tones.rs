//! Keys as pairs of tones in the sound (ITU-T Q.23, Q.24): made, and heard out of it.

use crate::media::SAMPLES_EACH_SECOND;
use std::f64::consts::TAU;

const ROWS_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Samples that are looked at together: 20 ms tell tones 50 Hz apart.
const BLOCK: usize = 160;
/// Samples after which is looked again.
const STEP: usize = 80;
/// Looks in a row that make a key: tones of 40 ms must count, of 20 ms must not (Q.24).
const HITS_MIN: u32 = 3;
/// Looks in a row without it that end a key: a gap of 40 ms is one, one of 10 ms is none (Q.24).
const MISSES_MIN: u32 = 4;
/// The amplitude below which a tone is none: about 38 dB below the loudest.
const AMPLITUDE_MIN: f64 = 300.0;
/// How much of the power must be in the two tones. Speech has it in many places.
const SHARE_MIN: f64 = 0.8;
/// How many times the power of the others in its group the strongest has, at least: 8 dB.
const LEAD_MIN: f64 = 6.3;
/// How many times as much power as the other group's the higher may have (6 dB), and the lower (10 dB): long lines
/// damp high tones.
const TWIST_HIGH_MAX: f64 = 4.0;
const TWIST_LOW_MAX: f64 = 10.0;
/// How far off the tones may be (Q.24: 1.5 % must do, 3.5 % must not).
const DETUNED: [f64; 3] = [0.987, 1.0, 1.013];

/// A key as a pair of tones.
///
/// `amplitude` is that of each of the two; together they may not go beyond 32,767. `None` for what is no key.
#[must_use]
pub fn tone(key: char, samples: usize, amplitude: f64) -> Option<Vec<i16>> {
    let row = KEYS.iter().position(|row| row.contains(&key))?;
    let column = KEYS[row].iter().position(|it| *it == key)?;
    let step = |hz: f64| TAU * hz / f64::from(SAMPLES_EACH_SECOND);
    let (low, high) = (step(ROWS_HZ[row]), step(COLUMNS_HZ[column]));
    Some(
        (0..samples)
            .map(|place| {
                let place = place as f64;
                let value = ((low * place).sin() + (high * place).sin()) * amplitude;
                value.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
            })
            .collect(),
    )
}

/// Hears keys out of sound.
#[derive(Debug)]
pub struct ToneDetector {
    block: [f64; BLOCK],
    /// How much of the block is new since it was looked at.
    fresh: usize,
    candidate: Option<char>,
    hits: u32,
    misses: u32,
    /// The key that is being held.
    held: Option<char>,
}

/// What sound tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A key was pressed.
    Pressed(char),
    /// It is still held.
    Held(char),
}

impl Default for ToneDetector {
    fn default() -> Self {
        ToneDetector {
            block: [0.0; BLOCK],
            fresh: 0,
            candidate: None,
            hits: 0,
            misses: 0,
            held: None,
        }
    }
}

impl ToneDetector {
    /// Takes in sound of 8,000 samples each second, in pieces of any length. Tells each look at which a key is there.
    pub fn hear(&mut self, samples: &[i16], mut tell: impl FnMut(Heard)) {
        for sample in samples {
            self.block[BLOCK - STEP + self.fresh] = f64::from(*sample);
            self.fresh += 1;
            if self.fresh == STEP {
                if let Some(heard) = self.look() {
                    tell(heard);
                }
                self.block.copy_within(STEP.., 0);
                self.fresh = 0;
            }
        }
    }

    fn look(&mut self) -> Option<Heard> {
        let key = key_in(&self.block);
        if let Some(held) = self.held {
            if key == Some(held) {
                self.misses = 0;
                return Some(Heard::Held(held));
            }
            self.misses += 1;
            if self.misses >= MISSES_MIN {
                self.held = None;
            }
        }
        match key {
            Some(key) if self.candidate == Some(key) => self.hits += 1,
            Some(_) => self.hits = 1,
            None => self.hits = 0,
        }
        self.candidate = key;
        let key = key.filter(|it| self.hits == HITS_MIN && self.held != Some(*it))?;
        self.held = Some(key);
        self.misses = 0;
        Some(Heard::Pressed(key))
    }
}

/// The key whose two tones a block is made of.
fn key_in(block: &[f64; BLOCK]) -> Option<char> {
    let energy: f64 = block.iter().map(|it| it * it).sum();
    let count = BLOCK as f64;
    let power_min = (AMPLITUDE_MIN * count / 2.0).powi(2);
    if energy * count / 2.0 < power_min {
        return None;
    }
    let (row, row_power) = strongest(block, &ROWS_HZ)?;
    let (column, column_power) = strongest(block, &COLUMNS_HZ)?;
    let is_key = row_power >= power_min
        && column_power >= power_min
        && column_power <= row_power * TWIST_HIGH_MAX
        && row_power <= column_power * TWIST_LOW_MAX
        && (row_power + column_power) / (energy * count / 2.0) >= SHARE_MIN;
    is_key.then_some(KEYS[row][column])
}

/// The strongest tone of a group, if it leads clearly.
fn strongest(block: &[f64; BLOCK], group_hz: &[f64; 4]) -> Option<(usize, f64)> {
    let powers = group_hz.map(|hz| {
        DETUNED
            .iter()
            .map(|factor| power(block, hz * factor))
            .fold(0.0, f64::max)
    });
    let (place, best) = powers
        .iter()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(other.1))?;
    let leads = powers
        .iter()
        .enumerate()
        .all(|(other, power)| other == place || power * LEAD_MIN <= *best);
    leads.then_some((place, *best))
}

/// The power at one frequency, by Goertzel's recurrence: that of a tone of amplitude A is (A × samples ÷ 2)².
fn power(block: &[f64; BLOCK], hz: f64) -> f64 {
    let factor = 2.0 * (TAU * hz / f64::from(SAMPLES_EACH_SECOND)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in block {
        (last, before) = (sample + factor * last - before, last);
    }
    last * last + before * before - factor * last * before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(samples: &[i16]) -> String {
        let mut detector = ToneDetector::default();
        let mut found = String::new();
        for piece in samples.chunks(77) {
            detector.hear(piece, |heard| {
                if let Heard::Pressed(key) = heard {
                    found.push(key);
                }
            });
        }
        found
    }

    fn silence(ms: usize) -> Vec<i16> {
        vec![0; ms * 8]
    }

    fn two_tones(low_hz: f64, low: f64, high_hz: f64, high: f64, ms: usize) -> Vec<i16> {
        (0..ms * 8)
            .map(|place| {
                let at = |hz: f64| (TAU * hz * place as f64 / 8_000.0).sin();
                (at(low_hz) * low + at(high_hz) * high) as i16
            })
            .collect()
    }

    /// Noise that is the same every time.
    fn noise(samples: &mut [i16], amplitude: i32) {
        let mut state = 1_u32;
        for sample in samples {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (state >> 8) as i32 % (2 * amplitude + 1) - amplitude;
            *sample = sample.saturating_add(value as i16);
        }
    }

    #[test]
    fn every_key_is_heard_at_every_level_and_length() {
        let all = "123A456B789C*0#D";
        for (ms, amplitude) in [(40, 8_000.0), (60, 500.0), (100, 16_000.0), (500, 2_000.0)] {
            for shift in [0, 3, 7] {
                let mut sound = silence(60 + shift);
                for key in all.chars() {
                    sound.extend(tone(key, ms * 8, amplitude).unwrap());
                    sound.extend(silence(60));
                }
                assert_eq!(keys(&sound), all, "{ms} ms at {amplitude}, {shift}");
            }
        }
        assert_eq!(tone('x', 8, 1.0), None);
    }

    #[test]
    fn what_is_short_faint_or_askew_is_no_key() {
        let check = |what: &str, sound: Vec<i16>, expected: &str| {
            let sound = [silence(50), sound, silence(50)].concat();
            assert_eq!(keys(&sound), expected, "{what}");
        };
        check("20 ms", two_tones(770.0, 8e3, 1336.0, 8e3, 20), "");
        check("faint", two_tones(770.0, 150.0, 1336.0, 150.0, 100), "");
        check(
            "one tone alone",
            two_tones(770.0, 8e3, 1336.0, 0.0, 100),
            "",
        );
        check(
            "high 4 dB up",
            two_tones(770.0, 4e3, 1336.0, 6.3e3, 100),
            "5",
        );
        check("high 8 dB up", two_tones(770.0, 4e3, 1336.0, 10e3, 100), "");
        check("low 8 dB up", two_tones(770.0, 10e3, 1336.0, 4e3, 100), "5");
        check("low 12 dB up", two_tones(770.0, 16e3, 1336.0, 4e3, 100), "");
        check(
            "1.5 % off",
            two_tones(770.0 * 1.015, 8e3, 1336.0 * 0.985, 8e3, 100),
            "5",
        );
        check(
            "4 % off",
            two_tones(770.0 * 1.045, 8e3, 1336.0 * 1.045, 8e3, 100),
            "",
        );
        check("dial tone", two_tones(350.0, 8e3, 440.0, 8e3, 500), "");
        check("ringing tone", two_tones(440.0, 8e3, 480.0, 8e3, 500), "");
        check("two rows", two_tones(697.0, 8e3, 770.0, 8e3, 100), "");
    }

    #[test]
    fn a_key_is_heard_through_noise_and_noise_is_no_key() {
        let mut sound = [silence(50), tone('7', 800, 6_000.0).unwrap(), silence(50)].concat();
        noise(&mut sound, 2_000);
        assert_eq!(keys(&sound), "7");
        let mut sound = silence(60_000);
        noise(&mut sound, 12_000);
        assert_eq!(keys(&sound), "");
    }

    #[test]
    fn a_gap_of_a_few_milliseconds_is_none() {
        let press = tone('3', 60 * 8, 8_000.0).unwrap();
        for (gap_ms, expected) in [(8, "3"), (50, "33")] {
            let sound = [
                silence(50),
                press.clone(),
                silence(gap_ms),
                press.clone(),
                silence(50),
            ]
            .concat();
            assert_eq!(keys(&sound), expected, "{gap_ms}");
        }
    }
}
