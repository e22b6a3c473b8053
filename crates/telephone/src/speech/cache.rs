//! What was spoken before, in memory and in a folder; both are bounded.

use crate::{
    media::SAMPLES_EACH_SECOND,
    sip::tokens::hex,
    speech::wav::{FILE_BYTES_MAX, Wav},
};
use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Samples that are kept in memory: 16 megabytes, seventeen minutes.
const SAMPLES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Cache {
    /// What was asked for last is last.
    memory: Mutex<VecDeque<(String, Arc<[i16]>)>>,
    folder: Option<PathBuf>,
    bytes_max: u64,
}

/// A name for what these say together.
pub(super) fn key(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(context.finish().as_ref())
}

impl Cache {
    pub(super) fn new(folder: Option<PathBuf>, bytes_max: u64) -> Self {
        Cache {
            memory: Mutex::default(),
            folder,
            bytes_max,
        }
    }

    /// From memory.
    pub(super) fn remembered(&self, key: &str) -> Option<Arc<[i16]>> {
        let mut memory = lock(&self.memory);
        let place = memory.iter().position(|(it, _)| it == key)?;
        let entry = memory.remove(place)?;
        let sound = Arc::clone(&entry.1);
        memory.push_back(entry);
        Some(sound)
    }

    /// Into memory.
    pub(super) fn remember(&self, key: &str, sound: &Arc<[i16]>) {
        let mut memory = lock(&self.memory);
        memory.retain(|(it, _)| it != key);
        memory.push_back((key.into(), Arc::clone(sound)));
        let mut samples: usize = memory.iter().map(|(_, it)| it.len()).sum();
        while samples > SAMPLES_MAX
            && let Some((_, oldest)) = memory.pop_front()
        {
            samples -= oldest.len();
        }
    }

    /// From the folder. Blocks.
    pub(super) fn kept(&self, key: &str) -> Option<Arc<[i16]>> {
        let path = self.path(key)?;
        let bytes = fs::read(path)
            .ok()
            .filter(|it| it.len() <= FILE_BYTES_MAX)?;
        let wav = Wav::parse(&bytes).ok()?;
        if wav.samples_each_second != SAMPLES_EACH_SECOND {
            return None;
        }
        let sound: Arc<[i16]> = wav.samples.into();
        self.remember(key, &sound);
        Some(sound)
    }

    /// Into memory and the folder. A folder that cannot be written costs time, and no call. Blocks.
    pub(super) fn keep(&self, key: &str, sound: &Arc<[i16]>) {
        self.remember(key, sound);
        let (Some(folder), Some(path)) = (&self.folder, self.path(key)) else {
            return;
        };
        let wav = Wav {
            samples_each_second: SAMPLES_EACH_SECOND,
            samples: sound.to_vec(),
        };
        let written = fs::create_dir_all(folder).and_then(|()| {
            // Whole or not at all, whoever else writes the same.
            let draft = folder.join(format!("{key}.{}.draft", std::process::id()));
            fs::write(&draft, wav.to_bytes())?;
            fs::rename(&draft, &path)
        });
        if let Err(error) = written {
            tracing::warn!(folder = %folder.display(), %error, "speech is not kept");
        }
        self.tidy(folder);
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.wav")))
    }

    /// Takes the oldest away until the rest is within bounds.
    fn tidy(&self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                let is_ours = entry
                    .path()
                    .extension()
                    .is_some_and(|it| it == "wav" || it == "draft");
                is_ours.then_some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if bytes <= self.bytes_max {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= length;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_apart_what_would_look_alike() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]), key(&["a"]));
    }

    #[test]
    fn memory_forgets_what_was_not_asked_for_longest() {
        let cache = Cache::new(None, 0);
        let sound: Arc<[i16]> = vec![0; SAMPLES_MAX / 2].into();
        cache.remember("a", &sound);
        cache.remember("b", &sound);
        assert!(cache.remembered("a").is_some());
        cache.remember("c", &sound);
        assert!(cache.remembered("b").is_none());
        assert!(cache.remembered("a").is_some() && cache.remembered("c").is_some());
    }

    #[test]
    fn the_folder_keeps_what_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("speech");
        let cache = Cache::new(Some(inner.clone()), 50_000);
        let sound: Arc<[i16]> = vec![7; 10_000].into();
        for name in ["a", "b", "c", "d"] {
            cache.keep(name, &sound);
        }
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 2);
        let again = Cache::new(Some(inner), 50_000);
        let kept: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .filter_map(|it| again.kept(it))
            .collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0], sound);
    }
}
