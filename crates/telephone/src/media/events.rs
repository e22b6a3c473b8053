//! Keys as packets (RFC 4733): a press is many packets with one timestamp, the last ones three times.

/// Keys by their numbers (RFC 4733 section 3.2).
const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

/// How many presses are remembered, so that a late packet of one is not another press.
const REMEMBERED: usize = 8;
/// The longest that one packet can say: a press that lasts longer goes on under a new timestamp (section 2.5.1.3).
const DURATION_MAX: u16 = u16::MAX;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key.
    pub key: char,
    /// Whether it was let go.
    pub is_end: bool,
    /// For how many samples it has been held.
    pub duration: u16,
}

impl KeyEvent {
    /// Reads the payload of a packet; `None` for what is no key.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (event, _) = payload.split_first_chunk::<4>()?;
        Some(KeyEvent {
            key: *KEYS.get(usize::from(event[0]))?,
            is_end: event[1] & 0x80 != 0,
            duration: u16::from_be_bytes([event[2], event[3]]),
        })
    }

    /// The payload of a packet; `None` for what is no key.
    #[must_use]
    pub fn to_bytes(&self) -> Option<[u8; 4]> {
        let number = KEYS.iter().position(|it| *it == self.key)?;
        let [high, low] = self.duration.to_be_bytes();
        // As loud as keys are: 10 dB below the loudest.
        Some([
            u8::try_from(number).ok()?,
            u8::from(self.is_end) << 7 | 10,
            high,
            low,
        ])
    }
}

/// Packets to presses.
#[derive(Debug, Default)]
pub(crate) struct Presses {
    source: Option<u32>,
    /// The presses that were there, by timestamp, the newest last.
    seen: Vec<(u32, KeyEvent)>,
}

/// What a packet means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    /// A key was pressed.
    New(char),
    /// It is still held, or it is told again.
    Same(char),
}

impl Presses {
    /// Takes in a packet of keys.
    pub(crate) fn packet(&mut self, source: u32, timestamp: u32, event: KeyEvent) -> Press {
        if self.source != Some(source) {
            self.source = Some(source);
            self.seen.clear();
        }
        if let Some((_, it)) = self.seen.iter_mut().find(|(it, _)| *it == timestamp) {
            it.is_end |= event.is_end;
            it.duration = it.duration.max(event.duration);
            return Press::Same(it.key);
        }
        let goes_on = self.seen.last().is_some_and(|(begun, last)| {
            last.key == event.key
                && !last.is_end
                && last.duration >= DURATION_MAX - 800
                && timestamp.wrapping_sub(*begun).abs_diff(DURATION_MAX.into()) <= 800
        });
        if self.seen.len() == REMEMBERED {
            self.seen.remove(0);
        }
        self.seen.push((timestamp, event));
        match goes_on {
            true => Press::Same(event.key),
            false => Press::New(event.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(key: char, duration: u16, is_end: bool) -> KeyEvent {
        KeyEvent {
            key,
            is_end,
            duration,
        }
    }

    /// The keys that packets make, as `(source, timestamp, event)`.
    fn keys(packets: &[(u32, u32, KeyEvent)]) -> String {
        let mut presses = Presses::default();
        packets
            .iter()
            .filter_map(|(source, timestamp, event)| {
                match presses.packet(*source, *timestamp, *event) {
                    Press::New(key) => Some(key),
                    Press::Same(_) => None,
                }
            })
            .collect()
    }

    #[test]
    fn a_press_counts_once_however_its_packets_come() {
        let press = |at: u32, key| {
            vec![
                (1, at, event(key, 160, false)),
                (1, at, event(key, 320, false)),
                (1, at, event(key, 480, true)),
                (1, at, event(key, 480, true)),
                (1, at, event(key, 480, true)),
            ]
        };
        assert_eq!(keys(&press(1_000, '1')), "1");
        assert_eq!(keys(&[press(1_000, '1'), press(3_000, '1')].concat()), "11");
        // The end got lost.
        assert_eq!(
            keys(&[press(1_000, '1')[..2].to_vec(), press(3_000, '2')].concat()),
            "12"
        );
        // Only the end came.
        assert_eq!(keys(&press(1_000, '#')[4..]), "#");
        // Late packets of the first come among those of the second.
        let mut mixed = [press(1_000, '1'), press(3_000, '2')].concat();
        mixed.swap(3, 6);
        mixed.swap(4, 9);
        assert_eq!(keys(&mixed), "12");
        // Another sender begins anew.
        let other = (2, 1_000, event('1', 160, false));
        assert_eq!(keys(&[press(1_000, '1'), vec![other]].concat()), "11");
    }

    #[test]
    fn a_key_that_is_held_for_long_counts_once() {
        let long = [
            (1, 1_000, event('5', 65_500, false)),
            (1, 1_000 + 65_535, event('5', 160, false)),
            (1, 1_000 + 65_535, event('5', 320, true)),
        ];
        assert_eq!(keys(&long), "5");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 0_usize..16, is_end: bool, duration: u16) {
            let event = event(KEYS[number], duration, is_end);
            prop_assert_eq!(KeyEvent::parse(&event.to_bytes().unwrap()), Some(event));
        }

        #[test]
        fn nothing_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..9)) {
            let _ = KeyEvent::parse(&payload);
        }
    }
}
