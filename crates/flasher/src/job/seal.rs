//! The signature at the end of a job, over every byte before it. Keys are those by which firmware is signed: a file of 64
//! hexadecimal digits is the secret one, 64 others are the public one.

use super::JobError;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use std::{fmt, str::FromStr};

/// How the last line of a signed job begins: for TOML it is a comment.
const MARK: &str = "# signed ";
/// What is signed begins with this, so that no signature of anything else is one of a job.
const PURPOSE: &[u8] = b"switchyard job 1\n";

/// Whom a person trusts to make jobs: an Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustedKey([u8; 32]);

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({self})")
    }
}

impl FromStr for TrustedKey {
    type Err = JobError;

    fn from_str(text: &str) -> Result<Self, JobError> {
        unhex(text.trim()).map(Self).ok_or(JobError::Key)
    }
}

/// Who signs jobs: an Ed25519 secret key.
pub struct JobKey(Ed25519KeyPair);

impl fmt::Debug for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobKey(***)")
    }
}

impl FromStr for JobKey {
    type Err = JobError;

    fn from_str(text: &str) -> Result<Self, JobError> {
        let seed: [u8; 32] = unhex(text.trim()).ok_or(JobError::Key)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed);
        pair.map(Self).map_err(|_| JobError::Key)
    }
}

impl JobKey {
    /// What others have to trust.
    ///
    /// # Errors
    /// [`JobError::Key`]: never for a key that was read.
    pub fn trusted(&self) -> Result<TrustedKey, JobError> {
        let key = self.0.public_key().as_ref().try_into();
        key.map(TrustedKey).map_err(|_| JobError::Key)
    }
}

/// A job with its signature, in place of one that it may have had.
pub(super) fn seal(job: &[u8], key: &JobKey) -> Result<Vec<u8>, JobError> {
    let mut body = split(job).map_or(job, |(body, _)| body).to_vec();
    if !body.ends_with(b"\n") {
        body.push(b'\n');
    }
    let signature = key.0.sign(&message(&body));
    let line = format!("{MARK}{} {}\n", key.trusted()?, hex(signature.as_ref()));
    body.extend_from_slice(line.as_bytes());
    Ok(body)
}

/// What is signed of a job, if whoever did is trusted.
pub(super) fn unseal<'a>(job: &'a [u8], trusted: &[TrustedKey]) -> Result<&'a [u8], JobError> {
    let (body, line) = split(job).ok_or(JobError::Unsigned)?;
    let line = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.split_once(' '));
    let (key, signature) = line.ok_or(JobError::Unsigned)?;
    let key: TrustedKey = key.parse().map_err(|_| JobError::Unsigned)?;
    let signature: [u8; 64] = unhex(signature).ok_or(JobError::Unsigned)?;
    if !trusted.contains(&key) {
        return Err(JobError::Stranger { key });
    }
    UnparsedPublicKey::new(&ED25519, &key.0)
        .verify(&message(body), &signature)
        .map_err(|_| JobError::Changed)?;
    Ok(body)
}

/// What comes before the last line, and what the mark in that is followed by.
fn split(job: &[u8]) -> Option<(&[u8], &[u8])> {
    // An editor may have taken the end of the line away, or made another one of it: that changes nothing that is signed.
    let whole = job.strip_suffix(b"\n").unwrap_or(job);
    let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
    let start = whole.iter().rposition(|it| *it == b'\n')? + 1;
    let line = whole[start..].strip_prefix(MARK.as_bytes())?;
    Some((&job[..start], line))
}

fn message(body: &[u8]) -> Vec<u8> {
    [PURPOSE, body].concat()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly as many bytes as are asked for.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..N).map(byte).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: &str) -> JobKey {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn what_was_signed_is_taken_and_nothing_else() {
        let (mine, other) = (key("7"), key("8"));
        let trusted = [other.trusted().unwrap(), mine.trusted().unwrap()];
        let sealed = seal(b"name = \"a\"", &mine).unwrap();
        assert_eq!(unseal(&sealed, &trusted).unwrap(), b"name = \"a\"\n");
        // Signed once more it has one signature still.
        assert_eq!(seal(&sealed, &mine).unwrap(), sealed);
        // Every single byte counts.
        for at in 0..sealed.len() - 1 {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(unseal(&changed, &trusted).is_err(), "byte {at}");
        }
        for changed in [
            [b"x", &sealed[..]].concat(),
            [&sealed[..], b"name = \"b\"\n"].concat(),
        ] {
            assert!(unseal(&changed, &trusted).is_err());
        }
        for (shorter, is_taken) in [(1, true), (2, false)] {
            let cut = &sealed[..sealed.len() - shorter];
            assert_eq!(unseal(cut, &trusted).is_ok(), is_taken);
        }
        assert!(matches!(unseal(b"", &trusted), Err(JobError::Unsigned)));
        let error = unseal(&sealed, &trusted[..1]).unwrap_err();
        assert!(matches!(error, JobError::Stranger { key } if key == trusted[1]));
        let mut changed = sealed.clone();
        changed[0] ^= 1;
        assert!(matches!(unseal(&changed, &trusted), Err(JobError::Changed)));
    }

    #[test]
    fn a_signature_of_firmware_is_none_of_a_job() {
        let mine = key("7");
        let body = b"name = \"a\"\n";
        let signature = hex(mine.0.sign(body).as_ref());
        let trusted = [mine.trusted().unwrap()];
        let job = format!("name = \"a\"\n{MARK}{} {signature}\n", trusted[0]);
        assert!(matches!(
            unseal(job.as_bytes(), &trusted),
            Err(JobError::Changed)
        ));
    }

    #[test]
    fn keys_are_64_digits_and_secret_ones_are_not_shown() {
        for text in [
            "",
            "7",
            &"7".repeat(63),
            &"7".repeat(65),
            &"g".repeat(64),
            &"+7".repeat(32),
        ] {
            assert!(text.parse::<TrustedKey>().is_err() && text.parse::<JobKey>().is_err());
        }
        assert_eq!(format!("{:?}", key("7")), "JobKey(***)");
        let trusted = key("7").trusted().unwrap();
        assert_eq!(
            format!("{trusted}\n").parse::<TrustedKey>().unwrap(),
            trusted
        );
    }
}
