//! G.711: samples of 16 bits as bytes of telephone lines, by either of its two laws.

/// By which law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law, of North America and Japan; payload type 0.
    Mu,
    /// A-law, of everybody else; payload type 8.
    A,
}

/// What is added before a sample's µ-law exponent is looked for.
const MU_BIAS: i32 = 0x84;
/// The greatest that µ-law can say.
const MU_MAX: i32 = 32_635;

impl Law {
    /// Its static payload type (RFC 3551 section 6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Law::Mu => 0,
            Law::A => 8,
        }
    }

    /// Its name in descriptions of sessions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Law::Mu => "PCMU",
            Law::A => "PCMA",
        }
    }

    /// A sample as a byte.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => {
                let sign = if sample < 0 { 0x80 } else { 0 };
                let magnitude = i32::from(sample).abs().min(MU_MAX) + MU_BIAS;
                // The highest bit that is set is the exponent, the four below it the mantissa.
                let exponent = (31 - magnitude.leading_zeros()).saturating_sub(7);
                let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
                !byte(sign | (exponent as i32) << 4 | mantissa)
            }
            Law::A => {
                // Thirteen bits, below zero by one's complement.
                let value = i32::from(sample) >> 3;
                let (sign, magnitude) = match value >= 0 {
                    true => (0x80, value),
                    false => (0, -value - 1),
                };
                let exponent = (31 - (magnitude | 1).leading_zeros()).saturating_sub(4);
                let mantissa = match exponent {
                    0 => magnitude >> 1,
                    _ => magnitude >> exponent,
                } & 0x0f;
                byte(sign | (exponent as i32) << 4 | mantissa) ^ 0x55
            }
        }
    }

    /// A byte as a sample.
    #[must_use]
    pub fn decode(self, code: u8) -> i16 {
        let value = match self {
            Law::Mu => {
                let code = i32::from(!code);
                let (exponent, mantissa) = (code >> 4 & 7, code & 0x0f);
                let magnitude = ((mantissa << 3 | MU_BIAS) << exponent) - MU_BIAS;
                if code & 0x80 != 0 {
                    -magnitude
                } else {
                    magnitude
                }
            }
            Law::A => {
                let code = i32::from(code ^ 0x55);
                let (exponent, mantissa) = (code >> 4 & 7, code & 0x0f);
                let magnitude = match exponent {
                    0 => mantissa << 4 | 8,
                    _ => (mantissa << 4 | 0x108) << (exponent - 1),
                };
                if code & 0x80 != 0 {
                    magnitude
                } else {
                    -magnitude
                }
            }
        };
        i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
    }

    /// The byte that says nothing.
    #[must_use]
    pub fn silence(self) -> u8 {
        self.encode(0)
    }
}

fn byte(value: i32) -> u8 {
    u8::try_from(value & 0xff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_the_recommendation_come_out() {
        for (law, sample, code) in [
            (Law::Mu, 0, 0xff),
            (Law::Mu, 32_767, 0x80),
            (Law::Mu, -32_768, 0x00),
            (Law::Mu, 8, 0xfe),
            (Law::A, 0, 0xd5),
            (Law::A, -1, 0x55),
            (Law::A, 32_767, 0xaa),
            (Law::A, -32_768, 0x2a),
        ] {
            assert_eq!(law.encode(sample), code, "{law:?} {sample}");
        }
    }

    #[test]
    fn every_byte_comes_back_and_every_sample_nearly() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255_u8 {
                let sample = law.decode(code);
                // µ-law has two zeros.
                if (law, code) != (Law::Mu, 0x7f) {
                    assert_eq!(law.encode(sample), code, "{law:?} {code} {sample}");
                }
            }
            for sample in i16::MIN..=i16::MAX {
                let again = law.decode(law.encode(sample));
                let difference = (i32::from(again) - i32::from(sample)).abs();
                // A step is a sixteenth of its octave; the loudest are cut.
                let allowed = (i32::from(sample).abs() / 16).max(16) + 8;
                assert!(difference <= allowed, "{law:?} {sample} {again}");
            }
        }
    }
}
