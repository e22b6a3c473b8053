//! The first account of a new gateway: whoever can read its data folder may make it, by a page.

use crate::{access::token_hash, config::Secret, private};
use anyhow::Context as _;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The file in the data folder.
const FILE: &str = "setup-code";
/// What a code is made of: nothing that is taken for something else when it is typed off a screen.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters of a code, five bits each.
const LETTERS_COUNT: usize = 20;

/// The code that makes the first account, while there is none.
#[derive(Debug)]
pub(crate) struct Setup {
    path: PathBuf,
    code: Mutex<Option<Secret>>,
}

impl Setup {
    /// Where there is no account yet: makes a code, and writes it into the data folder for its owner
    /// alone. Each start makes another one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(data: &Path, is_needed: bool) -> anyhow::Result<Self> {
        let path = data.join(FILE);
        let setup = Setup {
            code: Mutex::new(None),
            path,
        };
        setup.remove_file();
        if is_needed {
            let code = new_code();
            let shown = setup.path.display();
            let written = setup.write_file(&code);
            written.with_context(|| format!("cannot write the set-up code {shown}"))?;
            tracing::warn!(
                file = %shown,
                "there is no account yet: open the page and enter the code in this file, or use `account add`"
            );
            *setup.lock() = Some(Secret(code));
        }
        Ok(setup)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Secret>> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_file(&self, code: &str) -> std::io::Result<()> {
        writeln!(private::create_file(&self.path)?, "{code}")
    }

    fn remove_file(&self) {
        // Mostly there is none.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Whether there was no account when the gateway started, and none was made by this since.
    pub(crate) fn is_needed(&self) -> bool {
        self.lock().is_some()
    }

    /// Whether somebody knows the code; dashes, spaces and small letters are as good.
    pub(crate) fn is_code(&self, given: &str) -> bool {
        let plain = given.chars().filter(|c| c.is_ascii_alphanumeric());
        let given: String = plain.map(|c| c.to_ascii_uppercase()).collect();
        let known = self.lock();
        known.as_ref().is_some_and(|code| {
            let code = code.0.replace('-', "");
            // Of hashes: how long it takes to see that they differ says nothing of the code.
            token_hash(&code) == token_hash(&given)
        })
    }

    /// There is an account now: no code counts any more.
    pub(crate) fn done(&self) {
        *self.lock() = None;
        self.remove_file();
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // A code that died with its gateway shall not mislead anybody.
        self.remove_file();
    }
}

fn new_code() -> String {
    let letters: [u8; LETTERS_COUNT] = rand::random();
    let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte & 0x1F)]));
    let groups = letters
        .chunks(5)
        .map(|group| group.iter().collect::<String>());
    groups.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_lies_in_the_folder_until_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::new(folder.path(), true).unwrap();
        let code = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(code.trim().len(), LETTERS_COUNT + 3);
        assert!(setup.is_needed() && setup.is_code(&code));
        assert!(setup.is_code(&code.to_lowercase().replace('-', " ")));
        for other in ["", "-", &new_code(), &code.trim()[1..]] {
            assert!(!setup.is_code(other), "{other}");
        }
        setup.done();
        assert!(!setup.is_needed() && !setup.is_code(&code));
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn there_is_none_where_there_are_accounts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "of a gateway that was killed").unwrap();
        let setup = Setup::new(folder.path(), false).unwrap();
        assert!(!setup.is_needed() && !setup.is_code(""));
        assert!(!folder.path().join(FILE).exists());
    }
}
