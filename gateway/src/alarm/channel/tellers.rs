//! The ways of telling people that are set up, each behind [`Teller`]. They are opened once, with the gateway, and used whenever
//! it is in charge of alarms.

use super::{messages, modem, sip};
use crate::alarm::{
    desk::ChannelLimits,
    model::Channel,
    owner::Tellers,
    people::Language,
    settings::{AlarmSettings, RawSpeech},
    telling::{Report, Teller},
};
use anyhow::Context as _;
use std::{path::Path, sync::Arc};
use switchyard_telephone::speech::{self, Speech, SpeechSettings};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Opens what is set up. Answers to messages go to `reports`.
///
/// # Errors
/// When something cannot be as it is set up: an unreadable certificate, no socket.
pub(crate) async fn open(
    settings: &AlarmSettings,
    data: &Path,
    reports: &mpsc::Sender<Report>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) -> anyhow::Result<Tellers> {
    let mut tellers = Tellers::default();
    if let Some(sip) = &settings.sip {
        if let Some(folder) = &settings.speech.clip_folder {
            let read = tokio::fs::read_dir(folder).await;
            let _can_be_read = read.with_context(|| {
                let folder = folder.display();
                format!("cannot read the folder of recordings {folder} (alarms.speech.clip_folder)")
            })?;
        }
        let speech = Arc::new(Speech::new(speech_settings(&settings.speech, data)));
        let teller = sip::Sip::open(sip, speech).await;
        let teller = teller.context("cannot open the telephone trunk (alarms.sip)")?;
        add(&mut tellers, teller, sip.limits.clone());
    }
    if let Some(modem) = &settings.modem {
        let (calls, messages) = modem::open(modem, reports, tasks, stopping)
            .context("cannot start the modem (alarms.modem)")?;
        if let Some(calls) = calls {
            add(&mut tellers, calls, modem.limits.clone());
        }
        if let Some(messages) = messages {
            add(&mut tellers, messages, modem.limits.clone());
        }
    }
    let network = settings.network.clone();
    // It reads certificates.
    let opened = tokio::task::spawn_blocking(move || messages::open(&network));
    for (teller, limits) in opened.await.context("reading files panicked")?? {
        tellers.0.insert(teller.channel(), (teller, limits));
    }
    Ok(tellers)
}

fn add(tellers: &mut Tellers, teller: impl Teller, limits: ChannelLimits) {
    let channel: Channel = teller.channel();
    tellers.0.insert(channel, (Arc::new(teller), limits));
}

/// Whether a word can be spoken.
///
/// # Errors
/// Why not, in words for people.
pub(crate) async fn probe_speech(
    raw: &RawSpeech,
    data: &Path,
    language: Language,
) -> Result<(), String> {
    let word = match language {
        Language::En => "Alarm.",
        Language::Zh => "报警。",
    };
    let speech = Speech::new(speech_settings(raw, data));
    let checked = speech.check(spoken(language), word).await;
    checked.map_err(|error| error.to_string())
}

fn speech_settings(raw: &RawSpeech, data: &Path) -> SpeechSettings {
    let usual = SpeechSettings::default();
    SpeechSettings {
        program: raw.program.clone().or(usual.program),
        english_voice: raw.english_voice.clone().unwrap_or(usual.english_voice),
        chinese_voice: raw.chinese_voice.clone().unwrap_or(usual.chinese_voice),
        words_each_minute: raw.words_each_minute.unwrap_or(usual.words_each_minute),
        cache_folder: Some(data.join("speech")),
        cache_bytes_max: usual.cache_bytes_max,
        clip_folder: raw.clip_folder.clone(),
    }
}

pub(super) const fn spoken(language: Language) -> speech::Language {
    match language {
        Language::En => speech::Language::English,
        Language::Zh => speech::Language::Chinese,
    }
}
