//! Whom a gateway speaks with besides peers: the MQTT broker, the targets of webhooks, a provider of calls and texts.

use super::{Said, error, ok, warning};
use crate::{alarm, bridge, config::Settings, endpoint, webhook};
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

/// Whether the provider of calls and texts knows the account, and could reach this gateway. Nobody is called for that.
pub(super) async fn provider(settings: Arc<Settings>) -> Vec<Said> {
    let Some(provider) = alarm::ProviderCheck::of(&settings.alarms) else {
        return vec![ok("no provider of calls and texts is set")];
    };
    let mut said = vec![match provider.account().await {
        Ok(()) => ok("the provider of calls and texts knows the account"),
        Err(fault) => error(format!("the provider of calls and texts: {fault}"))
            .expected("a provider that knows the account and its token")
            .remedy("look at base_url, account and token of [alarms.provider]"),
    }];
    let Some(url) = provider.callback_url() else {
        let found = "the provider has no URL of this gateway: answers to texts are not read, and nobody is called by it";
        said.push(
            ok(found)
                .remedy("set alarms.provider.callback_url if the Internet reaches this gateway"),
        );
        return said;
    };
    said.push(match provider.is_public().await {
        // That it is this host's own address is as it should be.
        Ok(()) | Err(endpoint::Fault::Own(_)) => ok(format!(
            "{url} is an address of the Internet; what is sent to {} has to go to {url}{}",
            provider.number(),
            alarm::TEXTS_PATH
        )),
        Err(fault @ endpoint::Fault::Private(_)) => warning(format!("{url}: {fault}"))
            .expected("a URL by which the provider reaches this gateway")
            .remedy("set alarms.provider.callback_url to the URL by which the Internet reaches this gateway"),
        Err(fault) => warning(format!("{url}: {fault}"))
            .remedy("look at alarms.provider.callback_url, and at this host's name servers"),
    });
    said
}
