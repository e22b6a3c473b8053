//! Text made into speech: by espeak-ng, by recorded clips, or by both in turn.

mod cache;
mod espeak;
mod shape;
mod wav;

use crate::{error::Error, media::SAMPLES_EACH_SECOND};
use cache::Cache;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use tokio::sync::Semaphore;
use wav::Wav;

/// The longest text that is spoken: about four minutes.
pub const TEXT_SIGNS_MAX: usize = 3_000;
/// Samples between two phrases: a fifth of a second.
const PAUSE_SAMPLES: usize = SAMPLES_EACH_SECOND as usize / 5;
/// Texts that are spoken at once; the others wait.
const SPEAKERS_MAX: usize = 2;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`
    English,
    /// `zh`: Mandarin.
    Chinese,
}

/// A text that names no language that is spoken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a language, en or zh, and found {0:?}")]
pub struct LanguageError(String);

impl Language {
    /// `en` or `zh`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        match text {
            "en" => Ok(Language::English),
            "zh" => Ok(Language::Chinese),
            other => Err(LanguageError(other.into())),
        }
    }
}

/// How texts are spoken.
#[derive(Clone, Debug)]
pub struct SpeechSettings {
    /// espeak-ng; without it, clips alone speak.
    pub program: Option<PathBuf>,
    /// Its voice for English. One that it does not know it takes for its own default, without a word.
    pub english_voice: String,
    /// Its voice for Chinese.
    pub chinese_voice: String,
    /// How fast it speaks. Somebody who was woken wants it slower than the program's own 175.
    pub words_each_minute: u16,
    /// Where what was spoken is kept between runs.
    pub cache_folder: Option<PathBuf>,
    /// How much is kept there. A minute takes about a megabyte.
    pub cache_bytes_max: u64,
    /// Recorded clips, as `<language>/<name>.wav`.
    pub clip_folder: Option<PathBuf>,
}

impl Default for SpeechSettings {
    fn default() -> Self {
        SpeechSettings {
            program: Some("espeak-ng".into()),
            english_voice: "en-gb".into(),
            chinese_voice: "cmn".into(),
            words_each_minute: 145,
            cache_folder: None,
            cache_bytes_max: 64 * 1024 * 1024,
            clip_folder: None,
        }
    }
}

/// A part of what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase<'a> {
    /// The name of its recorded clip, if there may be one: small letters, digits and hyphens.
    pub clip: Option<&'a str>,
    /// What is spoken where there is no clip.
    pub text: &'a str,
}

impl<'a> Phrase<'a> {
    /// A text that no clip says.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Phrase { clip: None, text }
    }

    /// A text that a clip may say.
    #[must_use]
    pub fn clip(name: &'a str, text: &'a str) -> Self {
        Phrase {
            clip: Some(name),
            text,
        }
    }
}

/// What speaks. One for all calls: what was spoken once is not spoken again.
#[derive(Debug)]
pub struct Speech {
    settings: SpeechSettings,
    cache: Arc<Cache>,
    speakers: Semaphore,
}

impl Speech {
    /// Speech by these settings.
    #[must_use]
    pub fn new(settings: SpeechSettings) -> Self {
        let cache = Cache::new(settings.cache_folder.clone(), settings.cache_bytes_max);
        Speech {
            settings,
            cache: Arc::new(cache),
            speakers: Semaphore::new(SPEAKERS_MAX),
        }
    }

    /// A text as sound of 8,000 samples each second. Cancel-safe.
    ///
    /// # Errors
    /// When it is too long, there is no program, or that fails.
    pub async fn say(&self, language: Language, text: &str) -> Result<Arc<[i16]>, Error> {
        let found = text.chars().count();
        if found > TEXT_SIGNS_MAX {
            return Err(Error::TextLength {
                found,
                max: TEXT_SIGNS_MAX,
            });
        }
        let voice = match language {
            Language::English => &self.settings.english_voice,
            Language::Chinese => &self.settings.chinese_voice,
        };
        let words_each_minute = self.settings.words_each_minute;
        let key = cache::key(&[language.code(), voice, &words_each_minute.to_string(), text]);
        if let Some(sound) = self.cached(&key).await {
            return Ok(sound);
        }
        let unspeakable = || Error::Unspeakable {
            phrase: text.into(),
            source: None,
        };
        let program = self.settings.program.as_deref().ok_or_else(unspeakable)?;
        // It is never closed.
        let _speaker = self.speakers.acquire().await.map_err(|_| unspeakable())?;
        // Somebody else may have said it meanwhile.
        if let Some(sound) = self.cached(&key).await {
            return Ok(sound);
        }
        let file = espeak::speak(program, voice, words_each_minute, text).await?;
        let cache = Arc::clone(&self.cache);
        let spoken = off_the_runtime(move || {
            let sound = for_telephone(&file)?;
            cache.keep(&key, &sound);
            Ok(sound)
        });
        spoken.await.map_err(|message| Error::Speaker {
            program: program.into(),
            message,
        })
    }

    /// Whether a text can be spoken now. [`say`](Self::say) remembers what was spoken, and so would not notice that nothing
    /// speaks any more.
    ///
    /// # Errors
    /// When there is no program, or that fails.
    pub async fn check(&self, language: Language, text: &str) -> Result<(), Error> {
        let fresh = Speech::new(SpeechSettings {
            cache_folder: None,
            ..self.settings.clone()
        });
        fresh.say(language, text).await.map(drop)
    }

    /// Phrases one after the other, each by its clip where there is one that can be read. Cancel-safe.
    ///
    /// # Errors
    /// When a phrase has no such clip and cannot be spoken either.
    pub async fn join(
        &self,
        language: Language,
        phrases: &[Phrase<'_>],
    ) -> Result<Arc<[i16]>, Error> {
        let mut sound: Vec<i16> = Vec::new();
        for phrase in phrases {
            let clip = match phrase.clip {
                Some(name) => self.clip(language, name).await,
                None => Ok(None),
            };
            let part = match clip {
                Ok(Some(clip)) => clip,
                Ok(None) => self.say(language, phrase.text).await?,
                // Whoever is called hears another voice rather than nothing.
                Err(broken) => match self.say(language, phrase.text).await {
                    Ok(spoken) => {
                        tracing::warn!(error = &broken as &dyn std::error::Error, "spoken instead");
                        spoken
                    }
                    Err(_) => return Err(broken),
                },
            };
            if !sound.is_empty() {
                sound.resize(sound.len() + PAUSE_SAMPLES, 0);
            }
            sound.extend_from_slice(&part);
        }
        Ok(sound.into())
    }

    async fn cached(&self, key: &str) -> Option<Arc<[i16]>> {
        if let Some(sound) = self.cache.remembered(key) {
            return Some(sound);
        }
        let (cache, key) = (Arc::clone(&self.cache), key.to_owned());
        off_the_runtime(move || Ok(cache.kept(&key)))
            .await
            .ok()
            .flatten()
    }

    /// A recorded clip, if there is one of that name.
    async fn clip(&self, language: Language, name: &str) -> Result<Option<Arc<[i16]>>, Error> {
        let Some(folder) = &self.settings.clip_folder else {
            return Ok(None);
        };
        // A name that could lead elsewhere leads nowhere.
        let is_name = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Ok(None);
        }
        let path = folder.join(language.code()).join(format!("{name}.wav"));
        let key = format!("clip {}", path.display());
        if let Some(sound) = self.cache.remembered(&key) {
            return Ok(Some(sound));
        }
        let (cache, file) = (Arc::clone(&self.cache), path.clone());
        let read = off_the_runtime(move || {
            let Some(bytes) = read_file(&file)? else {
                return Ok(None);
            };
            let sound = for_telephone(&bytes)?;
            cache.remember(&key, &sound);
            Ok(Some(sound))
        });
        read.await.map_err(|message| Error::Clip { path, message })
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > wav::FILE_BYTES_MAX as u64 => {
            return Err(format!("expected at most {} bytes", wav::FILE_BYTES_MAX));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    std::fs::read(path)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// A WAV file as sound for a telephone line.
fn for_telephone(file: &[u8]) -> Result<Arc<[i16]>, String> {
    let wav = Wav::parse(file)?;
    let mut samples = shape::resample(&wav.samples, wav.samples_each_second);
    shape::level(&mut samples);
    Ok(samples.into())
}

/// Does what takes long away from the runtime's threads.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}
