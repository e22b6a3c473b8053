//! WAV files: the few sorts that speech and recorded clips come in.

use crate::media::g711::Law;

/// The longest file that is read: eight minutes of what espeak-ng makes.
pub(super) const FILE_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Sound, with one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wav {
    pub(super) samples_each_second: u32,
    pub(super) samples: Vec<i16>,
}

/// How samples are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Bytes,
    Words,
    Law(Law),
}

impl Wav {
    /// Reads a file. Several channels become one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(format!("expected at most {FILE_BYTES_MAX} bytes"));
        }
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            return Err("expected a WAV file".into());
        }
        let mut rest = &bytes[12..];
        let mut format = None;
        while let Some((head, behind)) = rest.split_first_chunk::<8>() {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            // Whoever writes to a pipe does not know how long it gets, and says something great.
            let content = &behind[..length.min(behind.len())];
            match &head[..4] {
                b"fmt " => format = Some(format_of(content)?),
                b"data" => {
                    let (coding, channels, samples_each_second) =
                        format.ok_or("expected a format before data")?;
                    return Ok(Wav {
                        samples_each_second,
                        samples: samples_of(content, coding, channels),
                    });
                }
                _ => {}
            }
            // Odd ones are filled up.
            rest = behind.get(length + length % 2..).unwrap_or_default();
        }
        Err("expected data".into())
    }

    /// Writes a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let data_bytes = u32::try_from(self.samples.len() * 2).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(44 + self.samples.len() * 2);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&data_bytes.saturating_add(36).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        bytes.extend_from_slice(&self.samples_each_second.to_le_bytes());
        bytes.extend_from_slice(&(self.samples_each_second * 2).to_le_bytes());
        bytes.extend_from_slice(b"\x02\0\x10\0data");
        bytes.extend_from_slice(&data_bytes.to_le_bytes());
        for sample in &self.samples {
            bytes.extend_from_slice(&sample.to_le_bytes());
        }
        bytes
    }
}

fn format_of(content: &[u8]) -> Result<(Coding, usize, u32), String> {
    let word = |place: usize| {
        let bytes = content.get(place..place + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let (Some(kind), Some(channels), Some(low), Some(high), Some(bits)) =
        (word(0), word(2), word(4), word(6), word(14))
    else {
        return Err("expected a format".into());
    };
    let samples_each_second = u32::from(high) << 16 | u32::from(low);
    // Beyond sixteen bits' simple sort, the kind stands further behind.
    let kind = if kind == 0xfffe {
        word(24).unwrap_or(kind)
    } else {
        kind
    };
    let coding = match (kind, bits) {
        (1, 8) => Coding::Bytes,
        (1, 16) => Coding::Words,
        (6, 8) => Coding::Law(Law::A),
        (7, 8) => Coding::Law(Law::Mu),
        _ => {
            return Err(format!(
                "expected PCM of 8 or 16 bits or G.711 and found kind {kind} of {bits} bits"
            ));
        }
    };
    if !(1..=8).contains(&channels) || !(4_000..=192_000).contains(&samples_each_second) {
        return Err(format!(
            "{channels} channels of {samples_each_second} samples each second"
        ));
    }
    Ok((coding, channels.into(), samples_each_second))
}

fn samples_of(content: &[u8], coding: Coding, channels: usize) -> Vec<i16> {
    let all: Vec<i16> = match coding {
        Coding::Bytes => content
            .iter()
            .map(|it| (i16::from(*it) - 128) << 8)
            .collect(),
        Coding::Words => content
            .chunks_exact(2)
            .map(|it| i16::from_le_bytes([it[0], it[1]]))
            .collect(),
        Coding::Law(law) => content.iter().map(|it| law.decode(*it)).collect(),
    };
    all.chunks_exact(channels)
        .map(|frame| {
            let sum: i32 = frame.iter().map(|it| i32::from(*it)).sum();
            // The middle of words is a word.
            i16::try_from(sum / channels as i32).unwrap_or_default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(kind: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF....WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&channels.to_le_bytes());
        bytes.extend_from_slice(&16_000_u32.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&bits.to_le_bytes());
        bytes.extend_from_slice(b"data\xff\xff\xff\x7f");
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn each_sort_is_read() {
        for (kind, channels, bits, data, expected) in [
            (1, 1, 16, &[1, 0, 0xff, 0xff][..], &[1, -1][..]),
            (1, 2, 16, &[2, 0, 4, 0], &[3]),
            (1, 1, 8, &[128, 0, 255], &[0, -32_768, 32_512]),
            (7, 1, 8, &[0xff], &[0]),
            (6, 1, 8, &[0xd5], &[8]),
        ] {
            let read = Wav::parse(&file(kind, channels, bits, data)).unwrap();
            assert_eq!(read.samples, expected, "{kind} {bits}");
            assert_eq!(read.samples_each_second, 16_000);
        }
        for bytes in [
            &b""[..],
            b"RIFF....WAVE",
            b"RIFF....WAVEdata\0\0\0\0",
            &file(3, 1, 32, &[0; 4]),
            &file(1, 0, 16, &[]),
        ] {
            assert!(Wav::parse(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(samples in proptest::collection::vec(any::<i16>(), 0..50)) {
            let wav = Wav { samples_each_second: 8_000, samples };
            prop_assert_eq!(Wav::parse(&wav.to_bytes()), Ok(wav));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Wav::parse(&[b"RIFF....WAVE", &bytes[..]].concat());
        }
    }
}
