//! Plans: who is told after whom, and who is on call; in a file as people write it.

use super::{
    Desk,
    directory::{Directory, Named},
    file::{self, Refusal},
    when,
};
use crate::{cli::PlanVerb, exit::Failure, output};
use serde::{Deserialize, Serialize};
use switchyard_client::alarms::{HeardFrom, Medium, Override, Plan, Rung, Severity, Turn, Whom};

/// A plan as it stands in a file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    #[serde(default = "utc")]
    zone: String,
    #[serde(default = "again")]
    again: String,
    #[serde(default = "high")]
    heard_from: String,
    #[serde(default)]
    chain: Vec<RungFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rota: Vec<TurnFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<OverrideFile>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RungFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    on_call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Named>,
    by: String,
    wait: String,
    #[serde(default = "low")]
    from: String,
    #[serde(default = "one")]
    attempts: u8,
    #[serde(default = "pause")]
    pause: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnFile {
    name: String,
    people: Vec<Named>,
    shift_days: u16,
    hand_over: String,
    starts: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideFile {
    turn: String,
    contact: Named,
    from: String,
    until: String,
}

fn utc() -> String {
    "UTC".into()
}

fn again() -> String {
    "15m".into()
}

fn high() -> String {
    "high".into()
}

fn low() -> String {
    "low".into()
}

const fn one() -> u8 {
    1
}

fn pause() -> String {
    "1m".into()
}

/// Shows, writes and removes plans.
pub(super) async fn run(desk: &Desk, verb: PlanVerb) -> Result<(), Failure> {
    let directory = Directory::fetch(&desk.alarms).await?;
    match verb {
        PlanVerb::Show { site, output } => {
            let site = directory.site_or_all(&site)?;
            let kept = find(desk, site, &directory).await?;
            match output.json {
                true => output::line(output::json(&kept))?,
                false => {
                    let text = file::write(&written(&kept.plan, &directory))?;
                    output::line(text.trim_end())?;
                }
            }
        }
        PlanVerb::Set { site, file, output } => {
            let site = directory.site_or_all(&site)?;
            let plan = read(&file::read(&file)?, &directory, desk.now_ms())?;
            let kept = desk.alarms.set_plan(site, &plan).await?;
            match output.json {
                true => output::line(output::json(&kept))?,
                false => {
                    let name = directory.site_name(site);
                    let rungs = kept.plan.chain.len();
                    let count = match rungs {
                        1 => "1 rung".to_owned(),
                        rungs => format!("{rungs} rungs"),
                    };
                    output::line(format!("the plan of {name} is set: {count}"))?;
                }
            }
        }
        PlanVerb::Remove { site } => {
            let site = directory.site_or_all(&site)?;
            desk.alarms.remove_plan(site).await?;
            output::line(format!(
                "{} has no plan of its own any more",
                directory.site_name(site)
            ))?;
        }
    }
    Ok(())
}

/// The plan of a site itself.
pub(super) async fn find(
    desk: &Desk,
    site: u32,
    directory: &Directory,
) -> Result<switchyard_client::alarms::KeptPlan, Failure> {
    let plans = desk.alarms.plans().await?;
    plans.into_iter().find(|it| it.site == site).ok_or_else(|| {
        let name = directory.site_name(site);
        Failure::usage(format!(
            "there is no plan for {name}; `switchyard alarm-plan set` makes one"
        ))
    })
}

/// A plan from a file: as people write it, or as `--json` printed it.
fn read(source: &file::Source, directory: &Directory, now_ms: u64) -> Result<Plan, Failure> {
    if let Some(plan) = source.wire("plan", "again_s") {
        return Ok(plan);
    }
    let written: PlanFile = source.parse()?;
    taken(written, directory, now_ms)
}

fn taken(written: PlanFile, directory: &Directory, now_ms: u64) -> Result<Plan, Failure> {
    let zone = when::zone_or_own(&written.zone);
    let moment = |field: String, text: &str| when::read_moment(text, &zone, now_ms).at(field);
    let contact = |named: &Named| directory.contact(named).map(|it| it.id);
    let mut chain = Vec::new();
    for (place, rung) in written.chain.into_iter().enumerate() {
        let field = |name: &str| format!("chain {}, {name}", place + 1);
        let whom = match (rung.on_call, &rung.contact) {
            (Some(turn), None) => Whom::OnCall(turn),
            (None, Some(named)) => Whom::Contact(contact(named)?),
            _ => {
                return Err(Failure::usage(format!(
                    "{}: expected either on_call, a turn's name, or contact",
                    field("whom")
                )));
            }
        };
        chain.push(Rung {
            whom,
            medium: file::word(&rung.by, Medium::ALL, Medium::from_name).at(field("by"))?,
            from: file::word(&rung.from, Severity::ALL, Severity::from_name).at(field("from"))?,
            wait_s: when::read_span_s(&rung.wait).at(field("wait"))?,
            attempts: rung.attempts,
            pause_s: when::read_span_s(&rung.pause).at(field("pause"))?,
        });
    }
    let mut rota = Vec::new();
    for (place, turn) in written.rota.into_iter().enumerate() {
        let field = |name: &str| format!("rota {}, {name}", place + 1);
        rota.push(Turn {
            people: turn.people.iter().map(contact).collect::<Result<_, _>>()?,
            shift_days: turn.shift_days,
            hand_over: when::read_weekly(&turn.hand_over).at(field("hand_over"))?,
            starts_ms: moment(field("starts"), &turn.starts)?,
            name: turn.name,
        });
    }
    let mut overrides = Vec::new();
    for (place, it) in written.overrides.into_iter().enumerate() {
        let field = |name: &str| format!("overrides {}, {name}", place + 1);
        overrides.push(Override {
            contact: contact(&it.contact)?,
            from_ms: moment(field("from"), &it.from)?,
            until_ms: moment(field("until"), &it.until)?,
            turn: it.turn,
        });
    }
    Ok(Plan {
        chain,
        again_s: when::read_span_s(&written.again).at("again".into())?,
        heard_from: file::word(&written.heard_from, HeardFrom::ALL, HeardFrom::from_name)
            .at("heard_from".into())?,
        zone: written.zone,
        rota,
        overrides,
    })
}

fn written(plan: &Plan, directory: &Directory) -> PlanFile {
    let zone = when::zone_or_own(&plan.zone);
    let rung = |rung: &Rung| RungFile {
        on_call: match &rung.whom {
            Whom::OnCall(turn) => Some(turn.clone()),
            Whom::Contact(_) => None,
        },
        contact: match &rung.whom {
            Whom::OnCall(_) => None,
            Whom::Contact(contact) => Some(directory.written(*contact)),
        },
        by: rung.medium.name().to_owned(),
        wait: when::write_span_s(rung.wait_s),
        from: rung.from.name().to_owned(),
        attempts: rung.attempts,
        pause: when::write_span_s(rung.pause_s),
    };
    let turn = |turn: &Turn| TurnFile {
        name: turn.name.clone(),
        people: turn
            .people
            .iter()
            .map(|it| directory.written(*it))
            .collect(),
        shift_days: turn.shift_days,
        hand_over: when::write_weekly(turn.hand_over),
        starts: when::write_moment(turn.starts_ms, &zone),
    };
    let exception = |it: &Override| OverrideFile {
        turn: it.turn.clone(),
        contact: directory.written(it.contact),
        from: when::write_moment(it.from_ms, &zone),
        until: when::write_moment(it.until_ms, &zone),
    };
    PlanFile {
        zone: plan.zone.clone(),
        again: when::write_span_s(plan.again_s),
        heard_from: plan.heard_from.name().to_owned(),
        chain: plan.chain.iter().map(rung).collect(),
        rota: plan.rota.iter().map(turn).collect(),
        overrides: plan.overrides.iter().map(exception).collect(),
    }
}
