//! Secrets at rest: sealed under the master key with ChaCha20-Poly1305 (RFC 8439).
//!
//! Whoever reads the database without the master key learns no controller's key and no account's
//! second factor, and cannot put one in another's place: what a secret belongs to is sealed with it.

use super::{ControllerKey, StoreError};
use crate::keys::NextKey;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::{fmt, path::Path, sync::Arc};
use switchyard_protocol::{Address, message::Time};

/// Bytes of the master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// Version of what is sealed; first in each, so that another way to seal can follow.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Seals and opens secrets under one master key.
#[derive(Clone)]
pub struct Sealer(Arc<LessSafeKey>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// Seals under this key.
    pub fn new(master_key: &[u8; MASTER_KEY_BYTES]) -> Self {
        match UnboundKey::new(&CHACHA20_POLY1305, master_key) {
            Ok(key) => Sealer(Arc::new(LessSafeKey::new(key))),
            Err(_) => unreachable!("the key has the cipher's length"),
        }
    }

    /// Reads the master key, 64 hexadecimal digits, from a file; makes one with a new key, for its
    /// owner alone, where there is none.
    ///
    /// # Errors
    /// When it cannot be read or made, is open to others, or holds something else.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        master_key::from_file(path).map(|key| Self::new(&key))
    }

    /// Takes the master key as text.
    ///
    /// # Errors
    /// When it is not 64 hexadecimal digits.
    pub fn from_text(text: &str) -> anyhow::Result<Self> {
        master_key::from_text(text).map(|key| Self::new(&key))
    }

    /// Seals `secret`, which belongs to `owner`: a version, a random nonce, ciphertext, tag.
    ///
    /// A random nonce of 96 bits repeats only after some four thousand million secrets.
    pub(crate) fn seal(&self, owner: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let mut sealed = secret.to_vec();
        let owner = Aad::from(owner.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), owner, &mut sealed)
            .map_err(|_| StoreError::Corrupt { what: "secret" })?;
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for `owner`.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let wrong = || StoreError::Sealed;
        let rest = sealed.strip_prefix(&[VERSION]).ok_or_else(wrong)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(wrong)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text)
            .map_err(|_| wrong())?;
        Ok(opened.to_vec())
    }

    /// Seals a controller's key.
    pub(super) fn seal_controller_key(
        &self,
        controller: Address,
        key: &[u8; 32],
    ) -> Result<Vec<u8>, StoreError> {
        self.seal(&format!("controller {controller}"), key)
    }

    /// Opens a controller's key.
    pub(super) fn open_controller_key(
        &self,
        controller: Address,
        sealed: &[u8],
    ) -> Result<[u8; 32], StoreError> {
        let key = self.open(&format!("controller {controller}"), sealed)?;
        key.try_into().map_err(|_| StoreError::Sealed)
    }

    /// Seals the key that follows a controller's, together with when it may be the only one.
    pub(super) fn seal_next_key(
        &self,
        controller: Address,
        next: &NextKey,
    ) -> Result<Vec<u8>, StoreError> {
        let secret = [&next.key.0[..], &next.forget_from.0.to_be_bytes()].concat();
        self.seal(&format!("next key of controller {controller}"), &secret)
    }

    /// Opens the key that follows a controller's.
    pub(super) fn open_next_key(
        &self,
        controller: Address,
        sealed: &[u8],
    ) -> Result<NextKey, StoreError> {
        let secret = self.open(&format!("next key of controller {controller}"), sealed)?;
        let parts = secret.split_first_chunk().and_then(|(key, forget_from)| {
            let forget_from = Time(u64::from_be_bytes(forget_from.try_into().ok()?));
            let key = ControllerKey(*key);
            Some(NextKey { key, forget_from })
        });
        parts.ok_or(StoreError::Sealed)
    }
}

mod master_key {
    //! The master key as people keep it.

    use super::MASTER_KEY_BYTES;
    use crate::{hex, private};
    use anyhow::Context as _;
    use std::{io::Write as _, path::Path};

    const WANTED: &str = "expected a master key of 64 hexadecimal digits";

    pub(super) fn from_text(text: &str) -> anyhow::Result<[u8; MASTER_KEY_BYTES]> {
        let key = hex::decode(text.trim()).and_then(|key| key.try_into().ok());
        key.context(WANTED)
    }

    pub(super) fn from_file(path: &Path) -> anyhow::Result<[u8; MASTER_KEY_BYTES]> {
        let shown = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                ensure_private(path)?;
                from_text(&text).with_context(|| format!("in {shown}"))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                make(path).with_context(|| format!("cannot make the master key {shown}"))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read the master key {shown}")),
        }
    }

    /// A key that others can read seals nothing.
    fn ensure_private(path: &Path) -> anyhow::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path)?.permissions().mode();
            anyhow::ensure!(
                mode & 0o077 == 0,
                "expected the master key {} to be its owner's alone and found mode {:03o}: chmod 600 it",
                path.display(),
                mode & 0o777
            );
        }
        Ok(())
    }

    /// Makes a new one, in its place only once it is whole and on the disk: a key that is lost is all
    /// that it has sealed.
    fn make(path: &Path) -> anyhow::Result<[u8; MASTER_KEY_BYTES]> {
        let key: [u8; MASTER_KEY_BYTES] = rand::random();
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let unfinished = path.with_extension(format!("new-{:08x}", rand::random::<u32>()));
        let mut file = private::create_file(&unfinished)?;
        writeln!(file, "{}", hex::encode(&key))?;
        file.sync_all()?;
        // Unlike renaming, this keeps one that another process has made meanwhile.
        let linked = std::fs::hard_link(&unfinished, path);
        std::fs::remove_file(&unfinished)?;
        match linked {
            Ok(()) => {
                std::fs::File::open(folder)?.sync_all()?;
                Ok(key)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => from_file(path),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; MASTER_KEY_BYTES])
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_under_its_key_alone() {
        let sealed = sealer(1).seal("controller 7", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(sealer(1).open("controller 7", &sealed).unwrap(), b"secret");
        assert!(sealer(1).open("controller 8", &sealed).is_err());
        assert!(sealer(2).open("controller 7", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut torn = sealed.clone();
            torn[at] ^= 1;
            assert!(sealer(1).open("controller 7", &torn).is_err(), "byte {at}");
            assert!(sealer(1).open("controller 7", &sealed[..at]).is_err());
        }
        assert_ne!(sealed, sealer(1).seal("controller 7", b"secret").unwrap());
    }

    #[test]
    fn a_master_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let sealed = Sealer::from_file(&path).unwrap().seal("x", b"1").unwrap();
        let again = Sealer::from_file(&path).unwrap();
        assert_eq!(again.open("x", &sealed).unwrap(), b"1");
        let text = std::fs::read_to_string(&path).unwrap();
        let same = Sealer::from_text(&text).unwrap();
        assert_eq!(same.open("x", &sealed).unwrap(), b"1");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_master_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        Sealer::from_file(&path).unwrap();
        let open = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&path, open).unwrap();
        let error = Sealer::from_file(&path).unwrap_err().to_string();
        assert!(
            error.contains("chmod 600") && error.contains("640"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_master_key_is_refused() {
        for text in [
            "",
            "12",
            &"+f".repeat(32),
            &"g".repeat(64),
            &"a".repeat(66),
            &"ä".repeat(32),
        ] {
            let error = Sealer::from_text(text).unwrap_err();
            assert!(
                format!("{error:#}").contains("64 hexadecimal digits"),
                "{text}"
            );
        }
    }
}
