//! What a controller takes as new firmware: an image with a signed manifest before it (`docs/storage.md` §7).

use anyhow::{Context, Result, ensure};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::{fs, path::Path};

/// What a manifest takes of a profile's name.
const PROFILE_BYTES: usize = 20;

/// Whoever makes updates.
pub(super) struct Maker {
    pair: Ed25519KeyPair,
}

impl Maker {
    /// Reads the secret key: a file of 64 hexadecimal digits.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let how = "openssl rand -hex 32";
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "reading the secret key in {}; `{how}` makes one",
                path.display()
            )
        })?;
        let seed = super::key(text.trim()).with_context(|| path.display().to_string())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .ok()
            .context("the secret key is none")?;
        Ok(Self { pair })
    }

    /// What images have to be built with.
    pub(super) fn public_key(&self) -> Result<[u8; 32]> {
        Ok(self.pair.public_key().as_ref().try_into()?)
    }

    /// Manifest, signature and image.
    pub(super) fn release(&self, about: &About, image: &[u8]) -> Result<Vec<u8>> {
        let mut release = about.manifest(image)?;
        let signature = self.pair.sign(&release);
        release.extend_from_slice(signature.as_ref());
        release.extend_from_slice(image);
        Ok(release)
    }
}

/// What a manifest says besides the image's length and digest.
pub(super) struct About<'a> {
    /// The board's name.
    pub(super) profile: &'a str,
    /// That the image is linked for: 1 or 2.
    pub(super) slot: u8,
    pub(super) version: u32,
    /// The lowest version that may follow, once this one was confirmed.
    pub(super) lowest: u32,
}

impl About<'_> {
    fn manifest(&self, image: &[u8]) -> Result<Vec<u8>> {
        ensure!(
            self.lowest <= self.version,
            "the lowest version that may follow is above the version itself"
        );
        ensure!(
            self.profile.len() <= PROFILE_BYTES,
            "the board's name is longer than {PROFILE_BYTES} bytes"
        );
        let mut profile = [0; PROFILE_BYTES];
        profile[..self.profile.len()].copy_from_slice(self.profile.as_bytes());
        let mut manifest = b"SWF1".to_vec();
        manifest.extend([self.slot, 0, 0, 0]);
        manifest.extend(self.version.to_be_bytes());
        manifest.extend(self.lowest.to_be_bytes());
        manifest.extend(u32::try_from(image.len())?.to_be_bytes());
        manifest.extend(profile);
        manifest.extend(Blake2b::<U32>::digest(image));
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_what_the_firmware_reads() {
        let seed: [u8; 32] = std::array::from_fn(|at| at as u8);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let maker = Maker { pair };
        let about = About {
            profile: "nodemcu",
            slot: 2,
            version: 0x0001_0203,
            lowest: 0x0001_0000,
        };
        let image = [0xE9; 64];
        let release = maker.release(&about, &image).unwrap();
        assert_eq!(release.len(), 72 + 64 + image.len());
        assert_eq!(&release[..8], b"SWF1\x02\0\0\0");
        assert_eq!(&release[8..20], [0, 1, 2, 3, 0, 1, 0, 0, 0, 0, 0, 64]);
        assert_eq!(&release[20..40], b"nodemcu\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&release[40..72], Blake2b::<U32>::digest(image).as_slice());
        assert_eq!(&release[136..], image);
        let key = maker.public_key().unwrap();
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key)
            .verify(&release[..72], &release[72..136])
            .unwrap();
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let about = |profile, lowest| About {
            profile,
            slot: 1,
            version: 1,
            lowest,
        };
        assert!(about("nodemcu", 2).manifest(&[]).is_err());
        assert!(
            about("a-name-of-a-board-too-long", 0)
                .manifest(&[])
                .is_err()
        );
    }
}
