//! Public keys for SSH, as people paste them and as OpenSSH names them.

use crate::store::SshKey;
use anyhow::{Context as _, bail};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use switchyard_protocol::message::Title;

/// The longest key for SSH that is kept: an RSA key of 4,096 bits has 724 letters.
const PUBLIC_KEY_BYTES_MAX: usize = 1_000;

/// Understands a line of an `authorized_keys` file without options.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_public_key(line: &str, account: Title) -> anyhow::Result<SshKey> {
    const WANTED: &str = "expected a public key such as `ssh-ed25519 AAAA… comment`";
    let mut words = line.trim().splitn(3, char::is_whitespace);
    let (kind, text) = words.next().zip(words.next()).context(WANTED)?;
    let kinds = [
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-rsa",
    ];
    if !kinds.contains(&kind) {
        bail!(
            "{WANTED}; of the types {} and found {kind:?}",
            kinds.join(", ")
        );
    }
    let public_key = format!("{kind} {text}");
    anyhow::ensure!(
        public_key.len() <= PUBLIC_KEY_BYTES_MAX,
        "the key is too long"
    );
    let blob = STANDARD.decode(text).ok().context(WANTED)?;
    // It begins with its type once more, behind its length (RFC 4253 §6.6).
    let length = u32::try_from(kind.len())?.to_be_bytes();
    let head = [&length[..], kind.as_bytes()].concat();
    anyhow::ensure!(blob.len() > head.len() && blob.starts_with(&head), WANTED);
    let digest = ring::digest::digest(&ring::digest::SHA256, &blob);
    let comment = words.next().map(str::trim).filter(|it| !it.is_empty());
    let title = Title::new(comment.unwrap_or(kind)).context("the comment is too long")?;
    Ok(SshKey {
        fingerprint: digest.as_ref().try_into()?,
        account,
        title,
        public_key,
        created: crate::clock::time(),
    })
}

/// Reads a fingerprint as OpenSSH shows it.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_fingerprint(text: &str) -> Result<[u8; 32], String> {
    let bytes = text
        .strip_prefix("SHA256:")
        .and_then(|text| STANDARD_NO_PAD.decode(text).ok());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "expected a fingerprint such as SHA256:…".to_owned())
}

/// A fingerprint as OpenSSH shows it.
pub(crate) fn fingerprint(bytes: &[u8; 32]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_its_own_fingerprint() {
        let name = Title::new("li").unwrap();
        let blob = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &[7; 32]].concat();
        let text = STANDARD.encode(blob);
        let line = format!("ssh-ed25519 {text} li at the desk\n");
        let key = parse_public_key(&line, name.clone()).unwrap();
        assert_eq!(key.title.as_str(), "li at the desk");
        assert_eq!(key.public_key, format!("ssh-ed25519 {text}"));
        let shown = fingerprint(&key.fingerprint);
        assert_eq!(parse_fingerprint(&shown).unwrap(), key.fingerprint);
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 !!!!",
            &format!("ssh-rsa {text}"),
            &format!("ssh-dss {text}"),
            "ssh-ed25519 AAAA",
        ] {
            let error = parse_public_key(line, name.clone()).unwrap_err();
            assert!(error.to_string().contains("ssh-ed25519"), "{line}: {error}");
        }
    }
}
