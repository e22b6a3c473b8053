//! One press of a key may come as packets, as a message and as a tone, one after the other: it counts once.

use std::time::{Duration, Instant};

/// By which way a press came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// RFC 4733.
    Event,
    /// SIP INFO.
    Info,
    /// Tones in the sound.
    Tone,
}

/// How long after a key was let go the same press may come by another way. INFO is sent when it is let go, and
/// travels by way of every proxy.
const SAME_PRESS: Duration = Duration::from_millis(1_500);
/// Presses that are remembered for that.
const REMEMBERED: usize = 16;

/// Tells presses from their echoes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pressed: Vec<Pressed>,
}

#[derive(Debug)]
struct Pressed {
    key: char,
    /// The ways that it has come by.
    ways: Vec<Way>,
    /// When it was last known to be held.
    at: Instant,
}

impl Keys {
    /// A key came by a way. True when it is a press that was not there yet.
    pub(crate) fn press(&mut self, key: char, way: Way, now: Instant) -> bool {
        self.pressed
            .retain(|it| now.saturating_duration_since(it.at) <= SAME_PRESS);
        // The oldest that has not come by this way: two presses in a row are two by either.
        if let Some(same) = self
            .pressed
            .iter_mut()
            .find(|it| it.key == key && !it.ways.contains(&way))
        {
            same.ways.push(way);
            return false;
        }
        if self.pressed.len() == REMEMBERED {
            self.pressed.remove(0);
        }
        self.pressed.push(Pressed {
            key,
            ways: vec![way],
            at: now,
        });
        true
    }

    /// The key that came last by a way is still held.
    pub(crate) fn hold(&mut self, key: char, way: Way, now: Instant) {
        if let Some(held) = self
            .pressed
            .iter_mut()
            .rfind(|it| it.key == key && it.ways.contains(&way))
        {
            held.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The presses that count, of `(ms, key, way)`.
    fn counted(presses: &[(u64, char, Way)]) -> String {
        let start = Instant::now();
        let mut keys = Keys::default();
        presses
            .iter()
            .filter(|(ms, key, way)| keys.press(*key, *way, start + Duration::from_millis(*ms)))
            .map(|(_, key, _)| key)
            .collect()
    }

    #[test]
    fn a_press_by_several_ways_counts_once() {
        use Way::{Event, Info, Tone};
        for (presses, expected) in [
            (
                &[(0, '1', Event), (40, '1', Tone), (300, '1', Info)][..],
                "1",
            ),
            (&[(0, '1', Tone), (10, '1', Event)], "1"),
            // Two presses, each by two ways, however they are mixed.
            (
                &[
                    (0, '1', Event),
                    (40, '1', Tone),
                    (200, '1', Event),
                    (240, '1', Tone),
                ],
                "11",
            ),
            (
                &[
                    (0, '1', Event),
                    (200, '1', Event),
                    (300, '1', Info),
                    (500, '1', Info),
                ],
                "11",
            ),
            // Different keys, the same way twice, the same key much later.
            (&[(0, '1', Event), (10, '2', Tone)], "12"),
            (&[(0, '1', Info), (100, '1', Info)], "11"),
            (&[(0, '1', Event), (2_000, '1', Tone)], "11"),
        ] {
            assert_eq!(counted(presses), expected, "{presses:?}");
        }
    }

    #[test]
    fn a_key_that_is_held_for_long_counts_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut keys = Keys::default();
        assert!(keys.press('5', Way::Event, at(0)));
        for ms in (0..5_000).step_by(20) {
            keys.hold('5', Way::Event, at(ms));
        }
        assert!(!keys.press('5', Way::Info, at(5_200)));
        assert!(keys.press('5', Way::Info, at(9_000)));
    }
}
