//! Speech by the real espeak-ng, and by clips.

use anyhow::{Context, Result};
use std::{path::PathBuf, time::Duration};
use switchyard_telephone::{
    Error,
    media::tones::{Heard, ToneDetector},
    speech::{Language, Phrase, Speech, SpeechSettings, TEXT_SIGNS_MAX},
};

fn seconds(sound: &[i16]) -> f64 {
    sound.len() as f64 / 8_000.0
}

#[tokio::test]
async fn both_languages_are_spoken() -> Result<()> {
    let speech = Speech::new(SpeechSettings::default());
    for (language, text, least, most) in [
        (
            Language::English,
            "Boiler seven: the temperature is too high.",
            2.0,
            6.0,
        ),
        (
            Language::Chinese,
            "七号锅炉温度过高，请立即处理。",
            2.0,
            8.0,
        ),
        // Nothing of it is an option, a file or a phoneme.
        (
            Language::English,
            "--version -w /tmp/x [[h@l'oU]] $(id)",
            2.0,
            15.0,
        ),
    ] {
        let sound = speech.say(language, text).await?;
        let seconds = seconds(&sound);
        assert!((least..most).contains(&seconds), "{text}: {seconds} s");
        let loudest = sound
            .iter()
            .map(|it| it.unsigned_abs())
            .max()
            .unwrap_or_default();
        assert!((8_000..32_000).contains(&loudest), "{text}: {loudest}");
    }
    Ok(())
}

/// Talk-off: what is spoken for minutes must be no key.
#[tokio::test]
async fn speech_is_no_key() -> Result<()> {
    let english = "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. \
        Press one to acknowledge, two for the next person, three to mute for an hour, nine to repeat. \
        Pressure in the main line has been above its limit of six point five bar for twelve minutes. \
        We are now leaving; ooh, aah, eee. Please leave a message after the tone. ";
    let chinese =
        "七号锅炉温度过高，请立即处理。按一确认，按二通知下一个人，按三静音一小时，按九重听。";
    let mut heard_seconds = 0.0;
    for (language, text) in [(Language::English, english), (Language::Chinese, chinese)] {
        for words_each_minute in [110, 145, 200] {
            for voice in ["en-gb", "en-us", "en-us+f3", "en-gb-scotland"] {
                let speech = Speech::new(SpeechSettings {
                    words_each_minute,
                    english_voice: voice.into(),
                    ..SpeechSettings::default()
                });
                let sound = speech.say(language, text).await?;
                heard_seconds += seconds(&sound);
                let mut detector = ToneDetector::default();
                let mut found = Vec::new();
                detector.hear(&sound, |heard| {
                    if let Heard::Pressed(key) = heard {
                        found.push(key);
                    }
                });
                assert_eq!(found, [], "{voice} at {words_each_minute}");
                if language == Language::Chinese {
                    break;
                }
            }
        }
    }
    assert!(heard_seconds > 240.0, "{heard_seconds}");
    Ok(())
}

#[tokio::test]
async fn what_was_spoken_once_is_kept() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = SpeechSettings {
        cache_folder: Some(folder.path().join("speech")),
        ..SpeechSettings::default()
    };
    let speech = Speech::new(settings.clone());
    let first = speech.say(Language::English, "Pump two.").await?;
    assert_eq!(speech.say(Language::English, "Pump two.").await?, first);
    // Another run, on a host whose program is gone.
    let silent = Speech::new(SpeechSettings {
        program: None,
        ..settings
    });
    assert_eq!(silent.say(Language::English, "Pump two.").await?, first);
    for (language, text) in [
        (Language::English, "Pump three."),
        (Language::Chinese, "Pump two."),
    ] {
        let error = silent
            .say(language, text)
            .await
            .err()
            .context("expected an error")?;
        assert!(
            matches!(error, Error::Unspeakable { source: None, .. }),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn clips_speak_where_there_are_some() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let english = folder.path().join("en");
    std::fs::create_dir(&english)?;
    // Two seconds of 16,000 samples, as somebody would record them.
    let mut file =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data"
            .to_vec();
    file.extend_from_slice(&64_000_u32.to_le_bytes());
    for place in 0..32_000 {
        let value = ((f64::from(place) / 9.0).sin() * 3_000.0) as i16;
        file.extend_from_slice(&value.to_le_bytes());
    }
    std::fs::write(english.join("press-one.wav"), file)?;
    std::fs::write(english.join("broken.wav"), b"RIFF")?;
    let speech = Speech::new(SpeechSettings {
        program: None,
        clip_folder: Some(folder.path().into()),
        ..SpeechSettings::default()
    });
    let press = Phrase::clip("press-one", "Press one.");
    let sound = speech
        .join(Language::English, &[press.clone(), press.clone()])
        .await?;
    assert!((seconds(&sound) - 4.2).abs() < 0.01, "{}", seconds(&sound));
    // There is none for Chinese, none of that name, and none outside of the folder.
    for (language, phrase) in [
        (Language::Chinese, press.clone()),
        (Language::English, Phrase::clip("press-two", "Press two.")),
        (
            Language::English,
            Phrase::clip("../en/press-one", "Press one."),
        ),
        (Language::English, Phrase::text("Press one.")),
    ] {
        let error = speech
            .join(language, &[phrase])
            .await
            .err()
            .context("expected an error")?;
        assert!(matches!(error, Error::Unspeakable { .. }), "{error}");
    }
    let broken = speech
        .join(Language::English, &[Phrase::clip("broken", "x")])
        .await;
    assert!(matches!(broken, Err(Error::Clip { .. })));
    // Where there is a program too, it says the rest.
    let both = Speech::new(SpeechSettings {
        clip_folder: Some(folder.path().into()),
        ..SpeechSettings::default()
    });
    let spoken = both
        .join(
            Language::English,
            &[Phrase::clip("broken", "Boiler seven.")],
        )
        .await?;
    assert_eq!(spoken, both.say(Language::English, "Boiler seven.").await?);
    let sound = both
        .join(Language::English, &[press, Phrase::text("Boiler seven.")])
        .await?;
    assert!(seconds(&sound) > 2.8, "{}", seconds(&sound));
    Ok(())
}

#[tokio::test]
async fn a_speaker_that_fails_says_why() -> Result<()> {
    let cases: [(&str, &str, &str); 3] = [
        ("/nonexistent/espeak-ng", "en-gb", "nothing says"),
        ("false", "en-gb", "ended with"),
        ("true", "en-gb", "expected a WAV file"),
    ];
    for (program, voice, words) in cases {
        let speech = Speech::new(SpeechSettings {
            program: Some(PathBuf::from(program)),
            english_voice: voice.into(),
            ..SpeechSettings::default()
        });
        let said = tokio::time::timeout(
            Duration::from_secs(30),
            speech.say(Language::English, "Pump."),
        );
        let error = said.await?.err().context("expected an error")?;
        assert!(
            error.to_string().contains(words),
            "{program} {voice}: {error}"
        );
    }
    let speech = Speech::new(SpeechSettings::default());
    let long = "a".repeat(TEXT_SIGNS_MAX + 1);
    let error = speech.say(Language::English, &long).await;
    assert!(matches!(error, Err(Error::TextLength { .. })));
    Ok(())
}
