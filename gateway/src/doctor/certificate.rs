//! From when until when a certificate holds: the two dates in its DER, and nothing else of it.

use std::time::Duration;

/// The span for which a certificate is good, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Duration,
    pub(super) not_after: Duration,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Reads it from a certificate (RFC 5280, section 4.1); `None` when the bytes are something else.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut outer = Reader(certificate);
        let mut outer = Reader(outer.value(SEQUENCE)?);
        let mut signed = Reader(outer.value(SEQUENCE)?);
        if signed.0.first() == Some(&VERSION) {
            signed.value(VERSION)?;
        }
        signed.value(INTEGER)?; // serial number
        signed.value(SEQUENCE)?; // algorithm
        signed.value(SEQUENCE)?; // issuer
        let mut dates = Reader(signed.value(SEQUENCE)?);
        Some(Validity {
            not_before: dates.time()?,
            not_after: dates.time()?,
        })
    }
}

/// Values with a tag and a length before each.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            // So many bytes of length; two are enough for any certificate.
            0x81 => (usize::from(*rest.first()?), &rest[1..]),
            0x82 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn value(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|it| it.1)
    }

    fn time(&mut self) -> Option<Duration> {
        let (tag, text) = self.next()?;
        let digits = std::str::from_utf8(text.strip_suffix(b"Z")?).ok()?;
        let (year, rest) = match tag {
            // Two digits, of 1950 to 2049.
            UTC_TIME => {
                let year: u64 = number(digits.get(..2)?)?;
                (year + if year < 50 { 2000 } else { 1900 }, digits.get(2..)?)
            }
            GENERALIZED_TIME => (number(digits.get(..4)?)?, digits.get(4..)?),
            _ => return None,
        };
        if rest.len() != 10 {
            return None;
        }
        let mut fields = (0..10).step_by(2).map(|at| number(&rest[at..at + 2]));
        let mut field = || fields.next().flatten();
        let (month, day) = (field()?, field()?);
        let (hour, minute, second) = (field()?, field()?, field()?);
        let is_date =
            (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        let days = is_date.then(|| days_since_1970(year, month, day))?;
        Some(Duration::from_secs(
            ((days * 24 + hour) * 60 + minute) * 60 + second,
        ))
    }
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// Days of whole years, of whole months, and of this one.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_day = u64::from(is_leap && month > 2);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
        + BEFORE_MONTH[month as usize - 1]
        + leap_day
        + day
        - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["yard.example.org".into()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn reads_both_forms_of_dates() {
        let days = |validity: Validity| {
            let day = 24 * 3600;
            (
                validity.not_before.as_secs() / day,
                validity.not_after.as_secs() / day,
            )
        };
        for (from, until, expected) in [
            ((1970, 1, 1), (2000, 2, 29), (0, 11_016)),
            ((2024, 2, 29), (2024, 3, 1), (19_782, 19_783)),
            ((2049, 12, 31), (2050, 1, 1), (29_219, 29_220)),
            ((2100, 3, 1), (4096, 1, 1), (47_541, 776_506)),
        ] {
            let validity = Validity::of(&certificate(from, until)).unwrap();
            assert_eq!(days(validity), expected, "{from:?} {until:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Validity::of(&bytes);
        }

        #[test]
        fn a_certificate_with_a_fault_is_judged(at in 0..120_usize, byte: u8) {
            let mut bytes = certificate((2020, 1, 1), (2030, 1, 1));
            bytes[at] = byte;
            let _ = Validity::of(&bytes);
        }
    }
}
