//! Who is on call: a sheet to be printed, and exceptions.

use super::{
    Desk,
    directory::{Directory, Named},
    file::Refusal,
    plan, when, words,
};
use crate::{
    cli::{OnCallLine, OnCallVerb},
    exit::Failure,
    output,
    words::plain,
};
use serde_json::json;
use std::ops::Range;
use switchyard_client::alarms::{HeardFrom, Override, Plan, Shift};

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

pub(super) async fn run(desk: &Desk, line: OnCallLine) -> Result<(), Failure> {
    let directory = Directory::fetch(&desk.alarms).await?;
    if let Some(verb) = line.verb {
        return add(desk, &directory, verb).await;
    }
    let mut plans = desk.alarms.plans().await?;
    if let Some(site) = &line.site {
        let site = directory.site_or_all(site)?;
        let own = plans.iter().any(|it| it.site == site);
        // A site without a plan of its own follows that of all of them.
        plans.retain(|it| it.site == if own { site } else { 0 });
    }
    plans.sort_by_key(|it| (it.site == 0, it.site));
    if plans.is_empty() && !line.output.json {
        return Ok(output::line(
            "Nobody is on call: there is no plan yet. `switchyard alarm-plan set all FILE` makes one.",
        )?);
    }
    let now_ms = desk.now_ms();
    let until_ms = now_ms.saturating_add(u64::from(line.weeks) * WEEK_MS);
    for (place, kept) in plans.iter().enumerate() {
        let mut shifts = desk.alarms.calendar(kept.site, now_ms, until_ms).await?;
        shifts.sort_by_key(|it| (it.from_ms, it.until_ms));
        if line.output.json {
            for shift in &shifts {
                let mut value = output::json(shift);
                value["site"] = kept.site.into();
                value["is_now"] = (shift.from_ms <= now_ms && now_ms < shift.until_ms).into();
                output::line(value)?;
            }
            continue;
        }
        if place > 0 {
            output::line("")?;
        }
        let span = now_ms..until_ms;
        // With a single plan for everything there are no other sites.
        let name = match plans[..] == [kept.clone()] && kept.site == 0 {
            true => "all sites".to_owned(),
            false => directory.site_name(kept.site),
        };
        for line in sheet(&name, &kept.plan, &shifts, &directory, &span) {
            output::line(line.trim_end())?;
        }
    }
    Ok(())
}

/// The sheet of a plan, as it is printed. What begins before the span or ends behind it is not known to its end.
fn sheet(
    name: &str,
    plan: &Plan,
    shifts: &[Shift],
    directory: &Directory,
    span: &Range<u64>,
) -> Vec<String> {
    let zone = when::zone_or_own(&plan.zone);
    let title = format!("On call at {name}  (times of {})", plain(&plan.zone));
    let mut lines = vec![
        title.clone(),
        "=".repeat(title.chars().count()),
        String::new(),
    ];
    let telephone = |contact: u32| {
        let known = directory.contacts.iter().find(|it| it.id == contact);
        let telephone = known.and_then(|it| it.contact.telephone.as_deref());
        telephone.map(plain).unwrap_or_default()
    };
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).clamp(4, 32);
    let turn_width = width(&mut shifts.iter().map(|it| plain(&it.turn).chars().count()));
    let name_width = width(
        &mut shifts
            .iter()
            .map(|it| plain(&it.contact_name).chars().count()),
    );
    match shifts.is_empty() {
        true => lines.push("Nobody takes turns here.".to_owned()),
        false => lines.push(format!(
            "     {:<turn_width$}  {:<name_width$}  {:<20}  {:<20}  TELEPHONE",
            "TURN", "WHO", "FROM", "UNTIL"
        )),
    }
    for shift in shifts {
        let is_now = shift.from_ms <= span.start && span.start < shift.until_ms;
        let from = match shift.from_ms == span.start {
            true => "earlier".to_owned(),
            false => when::write_day(shift.from_ms, &zone),
        };
        let until = match shift.until_ms == span.end {
            true => "later".to_owned(),
            false => when::write_day(shift.until_ms, &zone),
        };
        lines.push(format!(
            "{:<4} {:<turn_width$}  {:<name_width$}  {from:<20}  {until:<20}  {}{}",
            if is_now { "now" } else { "" },
            plain(&shift.turn),
            plain(&shift.contact_name),
            telephone(shift.contact),
            if shift.is_override {
                "  (exception)"
            } else {
                ""
            },
        ));
    }
    lines.extend([String::new(), "Who is told".to_owned()]);
    for (place, rung) in plan.chain.iter().enumerate() {
        lines.push(format!(
            "{:>3}. {}",
            place + 1,
            words::rung(rung, directory)
        ));
    }
    if plan.chain.is_empty() {
        lines.push("  ▲ Nobody: the chain has no rungs.".to_owned());
    } else {
        let again = when::write_span_s(plan.again_s);
        lines.push(format!(
            "     If nobody says that they heard, it begins anew after {again}."
        ));
    }
    lines.push(match &plan.heard_from {
        HeardFrom::Never => "     What is over is over: nobody is told of it any more.".to_owned(),
        HeardFrom::Low => {
            "     Somebody has to hear of every alarm, also when it is over.".to_owned()
        }
        severity => format!(
            "     Somebody has to hear of {} alarms{}, also when they are over.",
            plain(severity.name()),
            if *severity == HeardFrom::Medium {
                " and graver"
            } else {
                ""
            },
        ),
    });
    lines
}

async fn add(desk: &Desk, directory: &Directory, verb: OnCallVerb) -> Result<(), Failure> {
    let OnCallVerb::Override {
        site,
        turn,
        contact,
        from,
        until,
        output,
    } = verb;
    let site = directory.site_or_all(&site)?;
    let kept = plan::find(desk, site, directory).await?;
    let zone = when::zone_or_own(&kept.plan.zone);
    let now_ms = desk.now_ms();
    let from_ms = match &from {
        Some(from) => when::read_moment(from, &zone, now_ms).at("--from".into())?,
        None => now_ms,
    };
    // A time of day is the next one after the beginning.
    let until_ms = when::read_moment(&until, &zone, from_ms.max(now_ms)).at("--until".into())?;
    if until_ms <= from_ms {
        return Err(Failure::usage("expected --until to be after --from"));
    }
    let who = directory.contact(&Named::from(contact.as_str()))?;
    let exception = Override {
        turn,
        contact: who.id,
        from_ms,
        until_ms,
    };
    let kept = desk.alarms.add_override(site, &exception).await?;
    match output.json {
        true => output::line(json!({ "site": kept.site, "plan": kept.plan }))?,
        false => output::line(format!(
            "{} has {} from {} until {}",
            plain(&who.contact.name),
            plain(&exception.turn),
            when::write_day(from_ms, &zone),
            when::write_day(until_ms, &zone),
        ))?,
    }
    Ok(())
}
