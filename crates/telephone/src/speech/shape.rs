//! Sound made fit for a telephone line: 8,000 samples each second, nothing in it that would fold back, one loudness.

use crate::media::SAMPLES_EACH_SECOND;
use std::f64::consts::PI;

/// The highest that is kept: a telephone line ends at 3,400 Hz, and the filter needs room to fall.
const PASS_HZ: f64 = 3_600.0;
/// Zero crossings of the filter on either side: with its window, what folds back is 70 dB down.
const CROSSINGS: f64 = 24.0;
/// How loud speech is while it speaks: 18 dB below the loudest, as people are on telephones.
const LOUDNESS: f64 = 32_768.0 * 0.126;
/// How far it may go at its loudest: a decibel is left.
const PEAK: f64 = 32_768.0 * 0.89;
/// What is fainter than this part of the loudest is a pause, and counts for no loudness.
const PAUSE_PART: f64 = 0.05;
/// How long a piece is that is a pause or is none: 20 ms.
const PIECE: usize = 160;

/// The same sound with 8,000 samples each second.
///
/// Where the rates have a common measure, as all in use do, each output sample lies at one of a few places between
/// input samples; the filter is computed for each of these once.
pub(super) fn resample(samples: &[i16], samples_each_second: u32) -> Vec<i16> {
    if samples_each_second == SAMPLES_EACH_SECOND || samples.is_empty() {
        return samples.to_vec();
    }
    let measure = common_measure(samples_each_second, SAMPLES_EACH_SECOND);
    let places = (SAMPLES_EACH_SECOND / measure) as usize;
    let step = (samples_each_second / measure) as usize;
    // Of what comes in: from slower sound nothing can fold back.
    let pass = PASS_HZ.min(f64::from(samples_each_second) * 0.45) / f64::from(samples_each_second);
    let half = (CROSSINGS / (2.0 * pass)).ceil() as usize;
    let filters: Vec<Vec<f64>> = (0..places)
        .map(|place| filter(place as f64 / places as f64, pass, half))
        .collect();
    let count = samples.len() * places / step;
    (0..count)
        .map(|index| {
            let at = index * step;
            let (whole, place) = (at / places, at % places);
            let value: f64 = filters[place]
                .iter()
                .enumerate()
                .map(|(tap, weight)| {
                    let source = (whole + tap).checked_sub(half);
                    source
                        .and_then(|it| samples.get(it))
                        .map_or(0.0, |sample| f64::from(*sample) * weight)
                })
                .sum();
            clamp(value)
        })
        .collect()
}

/// Weights of the input samples around one output sample that lies so far behind an input sample.
fn filter(offset: f64, pass: f64, half: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..=2 * half + 1)
        .map(|tap| {
            let distance = tap as f64 - half as f64 - offset;
            let position = distance / (half as f64 + 1.0);
            if position.abs() >= 1.0 {
                return 0.0;
            }
            // Blackman's window.
            let window = 0.42 + 0.5 * (PI * position).cos() + 0.08 * (2.0 * PI * position).cos();
            let angle = 2.0 * PI * pass * distance;
            let sinc = if angle.abs() < 1e-9 {
                1.0
            } else {
                angle.sin() / angle
            };
            sinc * window
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|it| it / sum).collect()
}

fn common_measure(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        _ => common_measure(other, one % other),
    }
}

/// The same sound at the one loudness, pauses left out of account.
pub(super) fn level(samples: &mut [i16]) {
    let loudness = |piece: &[i16]| {
        let sum: f64 = piece.iter().map(|it| f64::from(*it).powi(2)).sum();
        (sum / piece.len() as f64).sqrt()
    };
    let pieces: Vec<f64> = samples.chunks(PIECE).map(loudness).collect();
    let loudest = pieces.iter().copied().fold(0.0, f64::max);
    let spoken: Vec<f64> = pieces
        .into_iter()
        .filter(|it| *it > loudest * PAUSE_PART)
        .collect();
    if spoken.is_empty() {
        return;
    }
    let mean = (spoken.iter().map(|it| it * it).sum::<f64>() / spoken.len() as f64).sqrt();
    let peak = samples
        .iter()
        .map(|it| f64::from(*it).abs())
        .fold(0.0, f64::max);
    let factor = (LOUDNESS / mean).min(PEAK / peak);
    for sample in samples {
        *sample = clamp(f64::from(*sample) * factor);
    }
}

fn clamp(value: f64) -> i16 {
    value
        .round()
        .clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, count: usize) -> Vec<i16> {
        (0..count)
            .map(|place| ((2.0 * PI * hz * place as f64 / f64::from(rate)).sin() * 10_000.0) as i16)
            .collect()
    }

    /// How much of the input's amplitude is left, away from the ends.
    fn left(hz: f64, rate: u32) -> f64 {
        let samples = resample(&sine(hz, rate, rate as usize), rate);
        assert_eq!(samples.len(), 8_000);
        let middle = &samples[1_000..7_000];
        let sum: f64 = middle.iter().map(|it| f64::from(*it).powi(2)).sum();
        (sum / middle.len() as f64 * 2.0).sqrt() / 10_000.0
    }

    #[test]
    fn speech_passes_and_what_would_fold_back_does_not() {
        for rate in [22_050, 16_000, 11_025, 44_100, 48_000] {
            for hz in [100.0, 1_000.0, 3_000.0] {
                let left = left(hz, rate);
                assert!((0.98..1.02).contains(&left), "{hz} Hz at {rate}: {left}");
            }
            for hz in [4_400.0, 5_000.0] {
                let left = left(hz, rate);
                assert!(left < 0.003, "{hz} Hz at {rate}: {left}");
            }
        }
        // The pitch stays: 1,000 Hz cross zero 2,000 times a second.
        let samples = resample(&sine(1_000.0, 22_050, 22_050), 22_050);
        let crossings = samples
            .windows(2)
            .filter(|it| (it[0] < 0) != (it[1] < 0))
            .count();
        assert!(crossings.abs_diff(2_000) < 4, "{crossings}");
        assert_eq!(resample(&[1, 2], 8_000), [1, 2]);
    }

    #[test]
    fn faint_and_loud_become_alike_and_nothing_is_cut() {
        for amplitude in [300.0, 8_000.0, 32_000.0] {
            let mut samples = vec![0_i16; 8_000];
            for (place, sample) in samples.iter_mut().take(2_000).enumerate() {
                *sample = ((place as f64 / 5.0).sin() * amplitude) as i16;
            }
            level(&mut samples);
            let sum: f64 = samples[..2_000]
                .iter()
                .map(|it| f64::from(*it).powi(2))
                .sum();
            let loudness = (sum / 2_000.0).sqrt();
            assert!(
                (loudness / LOUDNESS - 1.0).abs() < 0.05,
                "{amplitude}: {loudness}"
            );
        }
        let mut click = vec![0_i16; 800];
        click[400] = 20_000;
        level(&mut click);
        assert!(f64::from(click[400]) <= PEAK + 1.0);
        let mut nothing = vec![0_i16; 800];
        level(&mut nothing);
        assert_eq!(nothing, [0; 800]);
    }
}
