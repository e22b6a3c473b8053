//! Whom a gateway speaks with besides peers: the MQTT broker, and the targets of webhooks.

use super::{Said, error, ok, warning};
use crate::{bridge, config::Settings, endpoint, webhook};
use std::sync::Arc;

/// Whether the broker lets this gateway in.
pub(super) async fn mqtt(settings: Arc<Settings>) -> Vec<Said> {
    let Some(mqtt) = &settings.mqtt else {
        return vec![ok("no MQTT broker is set")];
    };
    let broker = format!("{}:{}", mqtt.host, mqtt.tcp_port);
    let Err(fault) = bridge::probe(mqtt).await else {
        return vec![ok(format!(
            "the MQTT broker at {broker} lets this gateway in"
        ))];
    };
    let remedy = match fault.downcast_ref() {
        Some(bridge::Fault::Refused(_)) => {
            "set mqtt_user and mqtt_password to what the broker knows"
        }
        Some(bridge::Fault::Tls(_)) => {
            "name the file with the broker's authority in mqtt_ca_file, and the broker as its certificate does"
        }
        Some(bridge::Fault::Hung | bridge::Fault::Unreachable(_)) => {
            "see whether the broker runs, and whether a firewall lies between"
        }
        _ => "look at mqtt_url, and at the broker's log",
    };
    let found = format!("the MQTT broker at {broker}: {fault:#}");
    vec![
        error(found)
            .expected("a broker that lets this gateway in")
            .remedy(remedy),
    ]
}

/// Whether the names of targets lead where something may be told. Nothing is told to them: it would be taken for
/// an event.
pub(super) async fn webhooks(settings: Arc<Settings>) -> Vec<Said> {
    let mut said = Vec::new();
    for hook in &settings.webhooks {
        let target = hook.target();
        said.push(match webhook::probe(hook).await {
            Ok(()) => ok(format!("{target} leads where events may go")),
            Err(fault @ (endpoint::Fault::Private(_) | endpoint::Fault::Own(_))) => {
                error(format!("{target}: {fault}"))
                    .expected("an address of the Internet that is not this host's")
                    .remedy("set allow_private = true for this target if it is meant to be there")
            }
            Err(fault) => warning(format!("{target}: {fault}"))
                .remedy("look at the target's name, and at this host's name servers"),
        });
    }
    if said.is_empty() {
        said.push(ok("no webhooks are set"));
    }
    said
}
