//! A second factor by time (RFC 6238): six digits that an app on a telephone shows for half a minute.
//!
//! SHA-1 and six digits, since that is what every such app does. HMAC-SHA-1 is not weakened by what
//! SHA-1 is weak in.

use ring::hmac;
use switchyard_protocol::message::{Time, Title};

/// Bytes of a new secret: as many as the hash has (RFC 4226 §4, R6).
pub(crate) const SECRET_BYTES: usize = 20;
/// How long a code is shown.
const STEP_MS: u64 = 30_000;
/// Codes have this many digits.
const DIGITS: u32 = 6;
/// Steps before and after the present one whose codes count too: clocks differ, and typing takes a
/// while (RFC 6238 §5.2).
const STEPS_AROUND: u64 = 1;

/// A new secret.
pub(crate) fn new_secret() -> Vec<u8> {
    rand::random::<[u8; SECRET_BYTES]>().to_vec()
}

/// The step whose code this is, around a moment; `None` when it is none of theirs.
///
/// Whoever takes a code must note its step, and take no code of that step again (RFC 6238 §5.2).
pub(crate) fn step_of(secret: &[u8], code: &str, now: Time) -> Option<u64> {
    // People type it in two groups.
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = digits.len() == DIGITS as usize && digits.bytes().all(|it| it.is_ascii_digit());
    let given: u32 = digits.parse().ok().filter(|_| is_code)?;
    let present = now.0 / STEP_MS;
    let steps = present.saturating_sub(STEPS_AROUND)..=present + STEPS_AROUND;
    // All of them are looked at: the time taken does not tell which one it was.
    steps.fold(None, |found, step| {
        (code_at(secret, step) == given).then_some(step).or(found)
    })
}

/// The code of a step (RFC 4226 §5.3).
fn code_at(secret: &[u8], step: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0x0F);
    let part = tag[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
    (part & 0x7FFF_FFFF) % 10_u32.pow(DIGITS)
}

/// What an app reads from a picture or is told by hand: names the account and bears the secret.
pub(crate) fn url(account: &Title, secret: &[u8]) -> String {
    let name: String = account
        .as_str()
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let secret = base32(secret);
    format!("otpauth://totp/Switchyard:{name}?secret={secret}&issuer=Switchyard")
}

/// Base 32 without padding (RFC 4648 §6).
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(padded);
        for at in 0..(8 * group.len()).div_ceil(5) {
            let letter = bits >> (35 - 5 * at) & 0x1F;
            text.push(char::from(LETTERS[letter as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of both RFCs' examples.
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_standards() {
        // RFC 4226, appendix D.
        let counted = [
            755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922,
        ];
        for (step, code) in (0..).zip(counted) {
            assert_eq!(code_at(SECRET, step), code, "step {step}");
        }
        // RFC 6238, appendix B, whose codes have two digits more.
        for (seconds, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_at(SECRET, seconds / 30), code, "at {seconds}");
        }
    }

    #[test]
    fn a_code_counts_in_its_own_half_minute_and_its_neighbours() {
        let at = |seconds: u64| Time(seconds * 1_000);
        assert_eq!(step_of(SECRET, "287082", at(59)), Some(1));
        assert_eq!(step_of(SECRET, "287 082", at(0)), Some(1));
        assert_eq!(step_of(SECRET, "287082", at(89)), Some(1));
        assert_eq!(step_of(SECRET, "287082", at(90)), None);
        for no_code in ["", "28708", "2870820", "28708x", "+87082", "٢٨٧٠٨٢"] {
            assert_eq!(step_of(SECRET, no_code, at(59)), None, "{no_code}");
        }
        assert_eq!(step_of(b"another", "287082", at(59)), None);
    }

    #[test]
    fn a_secret_is_told_as_apps_read_it() {
        // RFC 4648 §10, without the padding.
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        let name = Title::new("Li & Bo").unwrap();
        assert_eq!(
            url(&name, b"fooba"),
            "otpauth://totp/Switchyard:Li%20%26%20Bo?secret=MZXW6YTB&issuer=Switchyard"
        );
        assert_eq!(new_secret().len(), 20);
    }
}
