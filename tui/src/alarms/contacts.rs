//! Contacts: who may be told of alarms, how, and when not; and whether they can be told.

use super::{
    Desk,
    directory::{Directory, Named},
    file::{self, Refusal},
    timeline, when, words,
};
use crate::{
    cli::{ContactOrder, ContactsVerb},
    exit::{Exit, Failure},
    output,
    words::plain,
};
use anyhow::Context;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, BufRead, Read},
    time::Duration,
};
use switchyard_client::alarms::{
    AlarmHistory, Contact, KeptContact, Language, Medium, OutcomeKind, Severity, State, Wanted,
};
use tokio::time::{Instant, sleep_until};

/// The longest PIN line that is read.
const PIN_BYTES_MAX: u64 = 64;
/// How long a change of a test may go unseen: the gateway's revision need not tell of every ring.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A contact as it stands in a file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactFile {
    name: String,
    #[serde(default = "english")]
    language: String,
    #[serde(default = "utc")]
    zone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    telephone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quiet: Vec<String>,
    #[serde(default = "high")]
    wakes_from: String,
    #[serde(default = "calls_per_hour")]
    calls_per_hour_max: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_test: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

fn english() -> String {
    "en".into()
}

fn utc() -> String {
    "UTC".into()
}

fn high() -> String {
    "high".into()
}

/// What a new contact has.
fn calls_per_hour() -> u8 {
    Contact::new("").calls_per_hour_max
}

/// Lists, shows, writes, removes and tests contacts.
pub(super) async fn run(desk: &Desk, verb: ContactsVerb) -> Result<(), Failure> {
    match verb {
        ContactsVerb::List { output } => list(desk, output.json).await,
        ContactsVerb::Show { contact, output } => {
            let kept = meant(desk, &contact).await?;
            match output.json {
                true => output::line(output::json(&kept))?,
                false => {
                    let pin = if kept.has_pin { "a PIN" } else { "no PIN" };
                    let text = file::write(&written(&kept.contact))?;
                    output::line(format!(
                        "# Contact {}, with {pin}.\n{}",
                        kept.id,
                        text.trim_end()
                    ))?;
                }
            }
            Ok(())
        }
        ContactsVerb::Set { order } => set(desk, *order).await,
        ContactsVerb::Remove { contact } => {
            let kept = meant(desk, &contact).await?;
            desk.alarms.remove_contact(kept.id).await?;
            Ok(output::line(format!(
                "{} is no contact any more",
                plain(&kept.contact.name)
            ))?)
        }
        ContactsVerb::Test {
            contact,
            by,
            output,
        } => test(desk, &contact, &by, output.json).await,
    }
}

/// The contact that somebody means. Whoever may not see all of them may give a number: their own.
async fn meant(desk: &Desk, contact: &str) -> Result<KeptContact, Failure> {
    let named = Named::from(contact);
    match desk.alarms.contacts().await {
        Ok(contacts) => {
            let directory = Directory {
                contacts,
                ..Directory::default()
            };
            directory.contact(&named).cloned()
        }
        Err(error) => match named {
            Named::Number(id) if error.code() == "forbidden" => Ok(desk.alarms.contact(id).await?),
            _ => Err(error.into()),
        },
    }
}

async fn list(desk: &Desk, json: bool) -> Result<(), Failure> {
    let contacts = desk.alarms.contacts().await?;
    if json {
        for kept in &contacts {
            output::line(output::json(kept))?;
        }
        return Ok(());
    }
    if contacts.is_empty() {
        return Ok(output::line(
            "No contacts yet. `switchyard contacts set NAME --telephone NUMBER` makes one.",
        )?);
    }
    let width = contacts.iter().map(|it| it.contact.name.chars().count());
    let width = width.max().unwrap_or(0).clamp(4, 32);
    output::line(format!(
        "{:>5}  {:<width$}  {:<16}  {:<3}  OTHERWISE",
        "No.", "NAME", "TELEPHONE", "PIN"
    ))?;
    for kept in &contacts {
        let contact = &kept.contact;
        let otherwise = [
            ("SMS ", &contact.sms),
            ("", &contact.email),
            ("push ", &contact.push_topic),
            ("", &contact.webhook_url),
        ];
        let otherwise = otherwise.iter().filter_map(|(before, it)| {
            let it = it.as_deref()?;
            Some(format!("{before}{}", plain(it)))
        });
        let otherwise = otherwise.collect::<Vec<_>>().join(", ");
        let line = format!(
            "{:>5}  {:<width$}  {:<16}  {:<3}  {otherwise}",
            kept.id,
            plain(&contact.name),
            contact.telephone.as_deref().map(plain).unwrap_or_default(),
            if kept.has_pin { "yes" } else { "no" },
        );
        output::line(line.trim_end())?;
    }
    Ok(())
}

async fn set(desk: &Desk, order: ContactOrder) -> Result<(), Failure> {
    let contacts = desk.alarms.contacts().await?;
    let named = Named::from(order.contact.as_str());
    let directory = Directory {
        contacts,
        ..Directory::default()
    };
    let is_known = directory.contacts.iter().any(|it| match &named {
        Named::Number(id) => it.id == *id,
        Named::Name(name) => it.contact.name.to_lowercase() == name.to_lowercase(),
    });
    let before = match (&named, is_known) {
        // Of a number that is nobody's, no contact is made: that would be another number.
        (_, true) | (Named::Number(_), false) => Some(directory.contact(&named)?),
        (Named::Name(_), false) => None,
    };
    let mut contact = match (&order.file, before) {
        (Some(path), _) => {
            if path.as_os_str() == "-" && order.pin_stdin {
                return Err(Failure::usage(
                    "expected either a file or a PIN on standard input",
                ));
            }
            read(&file::read(path)?)?
        }
        (None, Some(before)) => before.contact.clone(),
        (None, None) => Contact::new(order.contact.clone()),
    };
    let pin = match (order.pin_stdin, order.no_pin) {
        (true, _) => Some(pin()?),
        (false, true) => Some(String::new()),
        (false, false) => None,
    };
    let json = order.output.json;
    change(&mut contact, order)?;
    let kept = match before {
        Some(before) => {
            desk.alarms
                .set_contact(before.id, &contact, pin.as_deref())
                .await?
        }
        None => desk.alarms.add_contact(&contact, pin.as_deref()).await?,
    };
    match json {
        true => output::line(output::json(&kept))?,
        false => output::line(format!(
            "contact {}  {}",
            kept.id,
            plain(&kept.contact.name)
        ))?,
    }
    Ok(())
}

/// The PIN's line of standard input. Never an argument: those stand in the shell's history, and in the list of processes.
fn pin() -> Result<String, Failure> {
    let mut line = String::new();
    let mut stdin = io::stdin().lock().take(PIN_BYTES_MAX);
    stdin.read_line(&mut line).context("reading the PIN")?;
    let pin = line.trim_end_matches(['\r', '\n']).to_owned();
    match pin.is_empty() {
        true => Err(Failure::usage(
            "expected a PIN on standard input; --no-pin takes it away",
        )),
        false => Ok(pin),
    }
}

fn change(contact: &mut Contact, order: ContactOrder) -> Result<(), Failure> {
    // An empty text takes a field away.
    let texts = [
        (&mut contact.telephone, order.telephone),
        (&mut contact.sms, order.sms),
        (&mut contact.email, order.email),
        (&mut contact.push_topic, order.push_topic),
        (&mut contact.webhook_url, order.webhook_url),
        (&mut contact.account, order.account),
    ];
    for (field, given) in texts {
        if let Some(given) = given {
            *field = Some(given).filter(|it| !it.is_empty());
        }
    }
    if let Some(name) = order.rename {
        contact.name = name;
    }
    if let Some(language) = order.language {
        contact.language = language;
    }
    if let Some(zone) = order.zone {
        contact.zone = zone;
    }
    if let Some(severity) = order.wakes_from {
        contact.wakes_from = severity;
    }
    if let Some(calls) = order.calls_per_hour_max {
        contact.calls_per_hour_max = calls;
    }
    match order.weekly_test.as_deref() {
        None => {}
        Some("") => contact.weekly_test = None,
        Some(text) => {
            contact.weekly_test = Some(when::read_weekly(text).at("--weekly-test".into())?)
        }
    }
    if !order.quiet.is_empty() {
        let spans = order.quiet.iter().filter(|it| !it.is_empty());
        let spans: Result<_, _> = spans
            .map(|it| when::read_quiet(it).at("--quiet".into()))
            .collect();
        contact.quiet = spans?;
    }
    Ok(())
}

/// A contact from a file: as people write it, or as `--json` printed it.
fn read(source: &file::Source) -> Result<Contact, Failure> {
    if let Some(contact) = source.wire("contact", "quiet") {
        return Ok(contact);
    }
    let it: ContactFile = source.parse()?;
    let quiet: Result<_, _> = it
        .quiet
        .iter()
        .map(|text| when::read_quiet(text).at("quiet".into()))
        .collect();
    let weekly_test = it
        .weekly_test
        .as_deref()
        .map(|text| when::read_weekly(text).at("weekly_test".into()));
    Ok(Contact {
        language: file::word(&it.language, Language::ALL, Language::from_name)
            .at("language".into())?,
        wakes_from: file::word(&it.wakes_from, Severity::ALL, Severity::from_name)
            .at("wakes_from".into())?,
        quiet: quiet?,
        weekly_test: weekly_test.transpose()?,
        name: it.name,
        zone: it.zone,
        telephone: it.telephone,
        sms: it.sms,
        email: it.email,
        push_topic: it.push_topic,
        webhook_url: it.webhook_url,
        calls_per_hour_max: it.calls_per_hour_max,
        account: it.account,
    })
}

fn written(contact: &Contact) -> ContactFile {
    ContactFile {
        name: contact.name.clone(),
        language: contact.language.name().to_owned(),
        zone: contact.zone.clone(),
        telephone: contact.telephone.clone(),
        sms: contact.sms.clone(),
        email: contact.email.clone(),
        push_topic: contact.push_topic.clone(),
        webhook_url: contact.webhook_url.clone(),
        quiet: contact.quiet.iter().map(when::write_quiet).collect(),
        wakes_from: contact.wakes_from.name().to_owned(),
        calls_per_hour_max: contact.calls_per_hour_max,
        weekly_test: contact.weekly_test.map(when::write_weekly),
        account: contact.account.clone(),
    }
}

/// Has somebody told that all is well, and shows what comes of it while it does.
async fn test(desk: &Desk, contact: &str, by: &Medium, json: bool) -> Result<(), Failure> {
    let kept = meant(desk, contact).await?;
    let name = plain(&kept.contact.name);
    let Some(alarm) = desk.alarms.test_contact(kept.id, by).await? else {
        return Err(Failure::new(
            Exit::Unknown,
            format!(
                "the gateway in charge has not taken it yet; it is kept, and {name} will be told"
            ),
        ));
    };
    if !json {
        let medium = words::medium(by);
        output::line(format!(
            "{name} is to be told by {medium}; it is alarm {alarm}"
        ))?;
    }
    let zone = TimeZone::system();
    let wanted = Wanted {
        limit: Some(1),
        ..Wanted::default()
    };
    let mut revision = desk.alarms.list(&wanted).await?.revision;
    let mut shown = 0;
    loop {
        // In a storm everything changes all the time, and a gateway counts requests.
        let next_look = Instant::now() + LOOK_INTERVAL / 2;
        let mut history = match desk.alarms.show(alarm).await {
            // Whoever tests himself need not have a role everywhere.
            Err(error) if matches!(error.code(), "not_found" | "forbidden") => {
                output::aside("this account may not see what comes of it");
                return Ok(());
            }
            history => history?,
        };
        // Whoever was tested before has the attempts of then under the same alarm.
        let since_ms = history.alarm.since_ms;
        history.attempts.retain(|it| it.begun_ms >= since_ms);
        history.notes.retain(|it| it.at_ms >= since_ms);
        let lines = timeline::timeline(&history, &zone);
        for entry in lines.iter().skip(shown) {
            let at = when::write_clock(entry.at_ms, &zone);
            match json {
                true => output::line(
                    serde_json::json!({ "alarm": alarm, "at_ms": entry.at_ms, "text": entry.what }),
                )?,
                false => output::line(format!("{at}  {}", entry.what))?,
            }
        }
        shown = lines.len().max(shown);
        if let Some(end) = end_of(&history) {
            if json {
                output::line(output::json(&history))?;
            }
            return end.map_err(|(exit, why)| {
                Failure::new(exit, format!("{name} was not reached: {why}"))
            });
        }
        let waited = desk
            .alarms
            .list_after(&wanted, revision, LOOK_INTERVAL)
            .await?;
        revision = waited.revision;
        sleep_until(next_look).await;
    }
}

/// What became of a test, once something has.
fn end_of(history: &AlarmHistory) -> Option<Result<(), (Exit, String)>> {
    let ended = |it: &switchyard_client::alarms::Attempt| it.outcome.clone().zip(it.ended_ms);
    if let Some((outcome, _)) = history
        .attempts
        .iter()
        .filter_map(ended)
        .max_by_key(|(_, at_ms)| *at_ms)
        && history.attempts.iter().all(|it| it.outcome.is_some())
    {
        let exit = match outcome.kind {
            OutcomeKind::Acknowledged
            | OutcomeKind::Sent
            | OutcomeKind::Passed
            | OutcomeKind::Muted => return Some(Ok(())),
            OutcomeKind::Unanswered | OutcomeKind::Busy | OutcomeKind::NoAnswer => {
                Exit::NotConfirmed
            }
            OutcomeKind::Limited => Exit::Refused,
            _ => Exit::Other,
        };
        return Some(Err((exit, words::outcome(&outcome))));
    }
    let skipped = history
        .notes
        .iter()
        .rev()
        .find(|note| note.kind == "skipped");
    if let Some(skipped) = skipped
        && history.attempts.is_empty()
    {
        let why = skipped.reason.as_deref().map(plain).unwrap_or_default();
        return Some(Err((Exit::Refused, why)));
    }
    match history.alarm.state {
        State::Acknowledged => Some(Ok(())),
        State::Cleared if history.attempts.iter().all(|it| it.outcome.is_some()) => Some(Err((
            Exit::NotConfirmed,
            "it ended before anybody was told".to_owned(),
        ))),
        _ => None,
    }
}
