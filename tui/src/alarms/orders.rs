//! What is wrong: listed, watched, shown, acknowledged, shelved, commented on.

use super::{
    Desk,
    directory::Directory,
    file::Refusal,
    timeline::{self, Tone},
    when, words,
};
use crate::{
    cli::{AlarmsLine, AlarmsList, AlarmsVerb},
    config::Config,
    exit::{Exit, Failure},
    output,
    words::plain,
};
use jiff::tz::TimeZone;
use std::{collections::BTreeMap, time::Duration};
use switchyard_client::{
    Backoff, Error,
    alarms::{Alarm, AlarmPage, Done, ORDER_ALARMS_MAX, WAIT_MAX, Wanted},
};
use tokio::time::{Instant, sleep, sleep_until};

/// Alarms that a page has.
pub(crate) const PAGE_ALARMS: u32 = 1_000;
/// Rounds of a watch are this far apart at least.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// Alarms that are listed or watched at most: nobody reads more, and a faulty gateway must not go on for ever.
pub(crate) const ALARMS_MAX: usize = 5_000;

pub(super) async fn run(config: &Config, line: AlarmsLine) -> Result<(), Failure> {
    match line.verb {
        None => list(&Desk::open(config)?, line.list).await,
        Some(AlarmsVerb::List { list: wanted }) => list(&Desk::open(config)?, wanted).await,
        Some(AlarmsVerb::Show { id, output }) => show(&Desk::open(config)?, id, output.json).await,
        Some(AlarmsVerb::Acknowledge {
            ids,
            all,
            site,
            comment,
            output,
        }) => {
            let desk = Desk::open(config)?;
            let ids = match all {
                true => unacknowledged(&desk, site.as_deref()).await?,
                false => ids,
            };
            if ids.is_empty() {
                return match output.json {
                    true => Ok(()),
                    false => Ok(output::line("there is nothing to acknowledge")?),
                };
            }
            for part in ids.chunks(ORDER_ALARMS_MAX) {
                let done = desk.alarms.acknowledge(part, comment.as_deref()).await?;
                told(&desk, &done, output.json)?;
            }
            Ok(())
        }
        Some(AlarmsVerb::Shelve {
            ids,
            span,
            until,
            comment,
            output,
        }) => {
            let desk = Desk::open_with_clock(config).await?;
            let now_ms = desk.now_ms();
            let until_ms = match (span, until) {
                (Some(span), _) => {
                    now_ms.saturating_add(when::read_span_ms(&span).at("--for".into())?)
                }
                (None, Some(until)) => {
                    when::read_moment(&until, &TimeZone::system(), now_ms).at("--until".into())?
                }
                (None, None) => return Err(Failure::usage("expected --for or --until")),
            };
            if until_ms <= now_ms {
                return Err(Failure::usage("expected a time that is to come"));
            }
            let done = desk
                .alarms
                .shelve(&ids, until_ms, comment.as_deref())
                .await?;
            told(&desk, &done, output.json)
        }
        Some(AlarmsVerb::Unshelve { ids, output }) => {
            let desk = Desk::open(config)?;
            let done = desk.alarms.unshelve(&ids).await?;
            told(&desk, &done, output.json)
        }
        Some(AlarmsVerb::Comment { id, text, output }) => {
            let desk = Desk::open(config)?;
            let done = desk.alarms.comment(&[id], &text).await?;
            told(&desk, &done, output.json)
        }
    }
}

/// Every page of what is wanted, up to a number; of those that are open the gravest first, since pages go by number.
pub(crate) async fn pages(
    alarms: &switchyard_client::alarms::Alarms,
    wanted: Wanted,
    first: AlarmPage,
    count_max: usize,
) -> Result<AlarmPage, Error> {
    let mut all = first;
    while let Some(before) = all.next
        && all.alarms.len() < count_max
    {
        let wanted = Wanted {
            before: Some(before),
            ..wanted
        };
        let page = alarms.list(&wanted).await?;
        // A page that brings nothing would be asked for again and again.
        all.next = page
            .next
            .filter(|next| *next != before && !page.alarms.is_empty());
        all.alarms.extend(page.alarms);
    }
    if wanted.open == Some(true) {
        all.alarms
            .sort_by(|a, b| (&b.severity, b.since_ms, b.id).cmp(&(&a.severity, a.since_ms, a.id)));
    }
    all.alarms.truncate(count_max);
    Ok(all)
}

async fn unacknowledged(desk: &Desk, site: Option<&str>) -> Result<Vec<u64>, Failure> {
    let site = match site {
        None => None,
        Some(site) => Some(Directory::fetch(&desk.alarms).await?.site(site)?),
    };
    let wanted = Wanted {
        open: Some(true),
        site,
        limit: Some(PAGE_ALARMS),
        ..Wanted::default()
    };
    let first = desk.alarms.list(&wanted).await?;
    let all = pages(&desk.alarms, wanted, first, ALARMS_MAX).await?.alarms;
    // What is a part of another one is acknowledged with it, and harms nobody when it is named too.
    let open = all.iter().filter(|it| it.state.is_unacknowledged());
    Ok(open.map(|it| it.id).collect())
}

/// What became of an order.
fn told(desk: &Desk, done: &Done, json: bool) -> Result<(), Failure> {
    for alarm in &done.alarms {
        match json {
            true => output::line(output::json(alarm))?,
            false => output::line(row(alarm, &Directory::default(), desk.now_ms()))?,
        }
    }
    if !done.is_taken {
        output::aside("the gateway in charge has not taken it yet; it is kept, and will be");
    }
    Ok(())
}

async fn list(desk: &Desk, wanted: AlarmsList) -> Result<(), Failure> {
    // Of contacts nothing is shown here.
    let directory = Directory {
        sites: desk.alarms.sites().await?,
        ..Directory::default()
    };
    let site = match &wanted.site {
        None => None,
        Some(site) => Some(directory.site(site)?),
    };
    let json = wanted.output.json;
    let count_max = match wanted.closed {
        true => wanted.count.min(ALARMS_MAX),
        false => ALARMS_MAX,
    };
    let asked = Wanted {
        open: Some(!wanted.closed),
        site,
        limit: Some(
            u32::try_from(count_max)
                .unwrap_or(PAGE_ALARMS)
                .clamp(1, PAGE_ALARMS),
        ),
        ..Wanted::default()
    };
    let first = desk.alarms.list(&asked).await?;
    let page = pages(&desk.alarms, asked, first, count_max).await?;
    for alarm in &page.alarms {
        match json {
            true => output::line(output::json(alarm))?,
            false => output::line(row(alarm, &directory, desk.now_ms()))?,
        }
    }
    if page.alarms.is_empty() && !json {
        let text = if wanted.closed {
            "No alarm is over yet."
        } else {
            "Nothing is wrong."
        };
        output::line(text)?;
    }
    if page.next.is_some() && !wanted.closed {
        output::aside(format!("there are more; these are the first {count_max}"));
    }
    match wanted.watch {
        true => watch(desk, &directory, asked, page, json).await,
        false => Ok(()),
    }
}

/// An alarm in a line: `▲ high    ALARM         12  14:02  No. 100042 Pump house 3: High water`.
fn row(alarm: &Alarm, directory: &Directory, now_ms: u64) -> String {
    let zone = TimeZone::system();
    let place = words::place(alarm, directory);
    let place = match place.is_empty() {
        true => String::new(),
        false => format!("{place}: "),
    };
    let mut line = format!(
        "{} {:<6}  {:<13.13}  {:>6}  {:<9}  {place}{}",
        words::sign(&alarm.state),
        plain(alarm.severity.name()),
        words::state(&alarm.state),
        alarm.id,
        when::write_near(alarm.since_ms, &zone, now_ms),
        words::what(alarm)
    );
    if let Some(it) = &alarm.shelved {
        line.push_str(&format!(
            "  [until {} by {}]",
            when::write_near(it.until_ms, &zone, now_ms),
            plain(&it.by)
        ));
    } else if let Some(it) = &alarm.acknowledged {
        line.push_str(&format!("  [{}]", plain(&it.by)));
    } else if let Some(next) = &alarm.next {
        line.push_str(&format!("  [{}]", words::next(next, &zone, now_ms)));
    }
    line
}

/// What changes, a line each, until interrupted. A gateway that is gone for a while is asked again.
async fn watch(
    desk: &Desk,
    directory: &Directory,
    wanted: Wanted,
    first: AlarmPage,
    json: bool,
) -> Result<(), Failure> {
    let by_id = |alarms: Vec<Alarm>| -> BTreeMap<u64, Alarm> {
        alarms.into_iter().map(|it| (it.id, it)).collect()
    };
    let mut revision = first.revision;
    let mut known = by_id(first.alarms);
    let mut backoff = Backoff::default();
    loop {
        // In a storm each round would bring one alarm more, and a gateway counts requests.
        let next_round = Instant::now() + ROUND_INTERVAL;
        let asked = match desk.alarms.list_after(&wanted, revision, WAIT_MAX).await {
            Ok(page) => pages(&desk.alarms, wanted, page, ALARMS_MAX).await,
            Err(error) => Err(error),
        };
        let page = match asked {
            Ok(page) => page,
            Err(error) if is_passing(&error) => {
                let delay = backoff.next_wait(rand::random());
                output::aside(format!("{error}; retrying in {} s", delay.as_secs() + 1));
                sleep(delay).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        backoff = Backoff::default();
        revision = page.revision;
        let now = by_id(page.alarms);
        for (id, alarm) in &now {
            if known.get(id) != Some(alarm) {
                change(desk, directory, alarm, json)?;
            }
        }
        for id in known.keys().filter(|id| !now.contains_key(id)) {
            match desk.alarms.show(*id).await {
                Ok(history) => change(desk, directory, &history.alarm, json)?,
                // It is gone, or not to be seen any more.
                Err(error) if error.code() == "not_found" => {}
                Err(error) => return Err(error.into()),
            }
        }
        known = now;
        sleep_until(next_round).await;
    }
}

/// Whether asking again may help.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.code(),
        "gateway_gone"
            | "timed_out"
            | "rate_limited"
            | "store_unavailable"
            | "shutting_down"
            | "busy"
    )
}

fn change(desk: &Desk, directory: &Directory, alarm: &Alarm, json: bool) -> Result<(), Failure> {
    match json {
        true => output::line(output::json(alarm))?,
        false => {
            let at = when::write_clock(desk.now_ms(), &TimeZone::system());
            output::line(format!("{at}  {}", row(alarm, directory, desk.now_ms())))?;
        }
    }
    Ok(())
}

async fn show(desk: &Desk, id: u64, json: bool) -> Result<(), Failure> {
    let history = desk.alarms.show(id).await.map_err(|error| match error.code() {
        "not_found" => Failure::new(
            Exit::Refused,
            format!("there is no alarm {id}, or it is not to be seen; `switchyard alarms` lists them"),
        ),
        _ => error.into(),
    })?;
    if json {
        return Ok(output::line(output::json(&history))?);
    }
    let zone = TimeZone::system();
    let directory = Directory {
        sites: desk.alarms.sites().await?,
        ..Directory::default()
    };
    for line in timeline::heading(&history, &directory, &zone, desk.now_ms()) {
        output::line(line)?;
    }
    output::line("")?;
    for entry in timeline::timeline(&history, &zone) {
        let sign = match entry.tone {
            Tone::Plain => " ",
            Tone::Wrong => "▲",
            Tone::Heard => "✓",
        };
        output::line(format!(
            "{}  {sign} {}",
            when::write_line(entry.at_ms, &zone),
            entry.what
        ))?;
    }
    Ok(())
}
