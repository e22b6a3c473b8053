//! Whether people can be called: something that speaks, and a trunk that answers.

use super::{Said, error, ok};
use crate::{
    alarm::{people::Language, probe_speech, probe_trunk},
    config::Settings,
};
use std::sync::Arc;

/// Nobody is called for that: a word is spoken into the void, and the trunk is asked whether it is there.
pub(super) async fn telephones(settings: Arc<Settings>) -> Vec<Said> {
    let Some(sip) = &settings.alarms.sip else {
        return vec![ok("no telephone trunk is set")];
    };
    let mut said = Vec::new();
    for (language, name) in [(Language::En, "English"), (Language::Zh, "Chinese")] {
        let spoken = probe_speech(&settings.alarms.speech, &settings.data, language).await;
        said.push(match spoken {
            Ok(()) => ok(format!("alarms are spoken in {name}")),
            Err(reason) => error(format!(
                "nothing speaks {name} to whoever is called: {reason}"
            ))
            .expected("espeak-ng, or the program of alarms.speech")
            .remedy("apt install espeak-ng"),
        });
    }
    said.push(match probe_trunk(sip).await {
        Ok(()) => ok(format!("the telephone trunk {} answers", sip.trunk.server)),
        Err(reason) => error(format!(
            "the telephone trunk {}: {reason}",
            sip.trunk.server
        ))
        .expected("a trunk that answers, and lets this gateway in")
        .remedy("look at alarms.sip, at the trunk's log, and whether a firewall lies between"),
    });
    said
}
