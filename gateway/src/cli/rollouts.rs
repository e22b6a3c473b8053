//! The commands about roll-outs. They work on the store, as all do: the gateway whose chore roll-outs are
//! takes up within seconds what they leave there.

use super::{ExitWith, command_line, moment::Utc};
use crate::{
    config::Span,
    digest::Digest,
    fleet::{
        order::{self, Chosen},
        plan::{Label, Value},
        rollout::{
            Bound, Control, Entry, Halt, Phase, Previous, Release, RollBackOn, Stage, Terms,
        },
        values::Values,
    },
    store::{ConfigStore, RolloutId, Selection, StoredRollout, select_all},
};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use std::{io::Write, time::Duration};
use switchyard_protocol::{
    Address, SiteId,
    message::{Name, Time, Title, ValueType},
};

/// Entries read from the store at once.
const ENTRIES_PER_PAGE: u32 = 1_000;
/// Roll-outs read from the store at once.
const ROLLOUTS_PER_PAGE: u32 = 100;
/// How often it is looked how a roll-out goes.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// The exit status of a roll-out that was followed and has come to something else than was wanted.
const OTHER_END: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum RolloutTask {
    /// Begin one: a script, values of parameters or a firmware to a site, a tag or a list of controllers; prints its number
    Start(Box<Start>),
    /// List them, the newest first: number, phase, how many controllers are done, title
    List {
        /// Those that have not ended alone
        #[arg(long)]
        open: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one
    Show {
        /// Its number
        rollout: RolloutId,
        /// Each of its controllers, too
        #[arg(long)]
        controllers: bool,
        /// One JSON object a line: the roll-out, then its controllers
        #[arg(long)]
        json: bool,
    },
    /// Begin with no further controllers; those that have begun go on
    Pause(Wanted),
    /// Go on, also after a halt: what has gone wrong so far is then forgiven
    Resume(Wanted),
    /// Break it off: trials are ended, what is kept stays
    Abort(Wanted),
    /// Bring every controller back to what it had
    Rollback(Wanted),
    /// Show how it goes until it ends or waits for a person; exit status 2 when it is not done
    Follow {
        /// Its number
        rollout: RolloutId,
    },
}

/// One roll-out, of which something is wanted.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Its number
    rollout: RolloutId,
    /// Show how it goes until it has come to that; exit status 2 when it comes to something else
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    to: To,
    /// What people will call the roll-out; by default what is rolled out
    #[arg(long)]
    title: Option<Title>,
    #[command(flatten)]
    terms: TermFlags,
    /// Say how many are outdated, as far as is known, and begin nothing
    #[arg(long)]
    dry_run: bool,
    /// Show how it goes until it ends or waits for a person; exit status 2 when it is not done
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
}

/// What goes there.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A script of the library, by its name, with `@` and a version where it is not the newest
    #[arg(long, value_name = "NAME[@VERSION]", value_parser = parse_script)]
    script: Option<Chosen>,
    /// A firmware of the library, by its board, with `@` and a version where it is not the newest; controllers with
    /// another board are passed over
    #[arg(long, value_name = "BOARD[@VERSION]", value_parser = Chosen::firmware)]
    firmware: Option<Chosen>,
    /// Values of parameters, such as `most=80.5`, `stay=1m30s`, `tries=3`, `quiet=true`; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_set)]
    set: Vec<(Name, ValueType, i64)>,
    /// What is kept already, by its digest: 64 hexadecimal digits
    #[arg(long)]
    digest: Option<Digest>,
}

/// Which controllers.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Those of a site, by its number
    #[arg(long)]
    site: Option<SiteId>,
    /// Those with a tag
    #[arg(long)]
    tag: Option<Title>,
    /// These, with commas between
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS,…")]
    controllers: Vec<Address>,
}

/// What may be other than usual.
#[derive(Debug, Args)]
struct TermFlags {
    /// How many controllers come first [default: 1]
    #[arg(long)]
    canary: Option<u32>,
    /// What part of the outdated ones has had it at the end of each step, in percent [default: 10,50,100]
    #[arg(long, value_delimiter = ',', value_name = "PERCENT,…")]
    steps: Option<Vec<u8>>,
    /// How long a controller is watched before it counts as kept [default: 5m]
    #[arg(long)]
    soak: Option<Span>,
    /// How many faults a controller may show in that time [default: 0]
    #[arg(long, value_name = "COUNT")]
    faults_max: Option<u32>,
    /// How many are changed at the same time [default: 8]
    #[arg(long, value_name = "COUNT")]
    in_flight_max: Option<u32>,
    /// How many sends begin in a minute [default: 60]
    #[arg(long, value_name = "COUNT")]
    per_minute_max: Option<u32>,
    /// How long absent controllers are waited for [default: 7d]
    #[arg(long)]
    deadline: Option<Span>,
    /// Halt behind the canary when more than so many controllers are faulty: a number or a percentage,
    /// or never [default: 0]
    #[arg(long, value_name = "BOUND", value_parser = parse_bound)]
    halt_faulty: Option<Bound>,
    /// The same of controllers that are lost [default: 10%]
    #[arg(long, value_name = "BOUND", value_parser = parse_bound)]
    halt_lost: Option<Bound>,
    /// The same of trials that end by themselves [default: 0]
    #[arg(long, value_name = "BOUND", value_parser = parse_bound)]
    halt_failed_trials: Option<Bound>,
    /// The same of controllers that refuse it [default: 0]
    #[arg(long, value_name = "BOUND", value_parser = parse_bound)]
    halt_refused: Option<Bound>,
    /// When a halt rolls back by itself [default: canary]
    #[arg(long, value_enum, value_name = "WHEN")]
    roll_back_on: Option<When>,
    /// Change controllers, too, that have nothing to go back to
    #[arg(long)]
    without_previous: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// Never
    Never,
    /// When it was the canary that halted it
    Canary,
    /// Always
    Always,
}

impl TermFlags {
    fn terms(self, release: Release) -> Terms {
        let mut terms = Terms::new(release);
        let set = |to: &mut u32, from: Option<u32>| *to = from.unwrap_or(*to);
        set(&mut terms.canary, self.canary);
        set(&mut terms.faults_max, self.faults_max);
        set(&mut terms.in_flight_max, self.in_flight_max);
        set(&mut terms.per_minute_max, self.per_minute_max);
        let set = |to: &mut u64, from: Option<Span>| {
            if let Some(Span(from)) = from {
                *to = u64::try_from(from.as_millis()).unwrap_or(u64::MAX);
            }
        };
        set(&mut terms.soak_ms, self.soak);
        set(&mut terms.deadline_ms, self.deadline);
        terms.steps = self.steps.unwrap_or(terms.steps);
        let halts = &mut terms.halts;
        for (bound, given) in [
            (&mut halts.faulty, self.halt_faulty),
            (&mut halts.lost, self.halt_lost),
            (&mut halts.failed_trials, self.halt_failed_trials),
            (&mut halts.refused, self.halt_refused),
        ] {
            *bound = given.unwrap_or(*bound);
        }
        terms.roll_back_on = match self.roll_back_on {
            None => terms.roll_back_on,
            Some(When::Never) => RollBackOn::Never,
            Some(When::Canary) => RollBackOn::Canary,
            Some(When::Always) => RollBackOn::Always,
        };
        terms.without_previous = self.without_previous;
        terms
    }
}

fn parse_script(text: &str) -> Result<Chosen, String> {
    let (label, number) = match text.split_once('@') {
        None => (text, None),
        Some((label, number)) => {
            let number = number
                .parse()
                .map_err(|_| format!("expected a version's number behind the @, got {number:?}"))?;
            (label, Some(number))
        }
    };
    Ok(Chosen::Script(label.parse::<Label>()?, number))
}

/// A value's type shows in how it is written, as in a fleet's files.
fn parse_set(text: &str) -> Result<(Name, ValueType, i64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected a name, = and a value, got {text:?}"))?;
    let name = Name::new(name).map_err(|_| format!("expected a parameter's name, got {name:?}"))?;
    // Whoever types it need not quote a time.
    let read = |value: &str| toml::from_str::<OneValue>(&format!("value = {value}"));
    let value = read(value).or_else(|error| read(&format!("{value:?}")).map_err(|_| error));
    let value = value.map_err(|error| error.message().to_owned())?.value;
    let (kind, value) = value.typed();
    Ok((name, kind, value))
}

#[derive(serde::Deserialize)]
struct OneValue {
    value: Value,
}

fn parse_bound(text: &str) -> Result<Bound, String> {
    let wanted =
        || format!("expected a number such as 3, a percentage such as 10%, or never, got {text:?}");
    if text == "never" {
        return Ok(Bound::default());
    }
    let bound = match text.strip_suffix('%') {
        Some(percent) => Bound {
            count: None,
            percent: Some(percent.parse().map_err(|_| wanted())?),
        },
        None => Bound {
            count: Some(text.parse().map_err(|_| wanted())?),
            percent: None,
        },
    };
    Ok(bound)
}

/// Does it, and says what came of it.
pub(super) async fn run(
    task: RolloutTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        RolloutTask::Start(task) => start(*task, config, stdout).await,
        RolloutTask::List { open, json } => list(open, json, config, stdout).await,
        RolloutTask::Show {
            rollout,
            controllers,
            json,
        } => show(rollout, (controllers, json), config, stdout).await,
        RolloutTask::Pause(wanted) => wish(wanted, Control::Pause, config, stdout).await,
        RolloutTask::Resume(wanted) => wish(wanted, Control::Resume, config, stdout).await,
        RolloutTask::Abort(wanted) => wish(wanted, Control::Abort, config, stdout).await,
        RolloutTask::Rollback(wanted) => wish(wanted, Control::RollBack, config, stdout).await,
        RolloutTask::Follow { rollout } => follow(rollout, None, config, stdout).await,
    }
}

async fn start(
    task: Start,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let chosen = match (task.what.script.or(task.what.firmware), task.what.digest) {
        (Some(chosen), _) => chosen,
        (None, Some(digest)) => Chosen::Digest(digest),
        (None, None) => {
            let mut names: Vec<_> = task
                .what
                .set
                .iter()
                .map(|(name, ..)| name.clone())
                .collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                bail!("expected each parameter once, and found {} twice", twice[0]);
            }
            Chosen::Values(Values::new(task.what.set))
        }
    };
    let goods = order::find(config, &chosen).await?;
    let controllers = select(task.to, config).await?;
    if task.dry_run {
        let forecast = order::forecast(config, &goods, &controllers).await?;
        writeln!(
            stdout,
            "{}: {} controllers; {} run something else, {} run it already, of {} it is not known",
            goods.name, forecast.controllers, forecast.outdated, forecast.current, forecast.unknown
        )?;
        return Ok(());
    }
    let title = match task.title {
        Some(title) => title,
        None => goods.title()?,
    };
    let (terms, now) = (task.terms.terms(goods.release), crate::clock::time());
    let about = (title, command_line());
    let rollout = order::place(config, goods, about, (terms, &controllers), now).await?;
    writeln!(stdout, "{rollout}")?;
    stdout.flush()?;
    if task.follow {
        follow(rollout, None, config, stdout).await?;
    }
    Ok(())
}

async fn select(to: To, config: &dyn ConfigStore) -> anyhow::Result<Vec<Address>> {
    let listed = to.controllers.clone();
    let (selection, what) = match (to.site, to.tag) {
        (Some(site), _) => (Selection::Site(site), format!("site {site}")),
        (None, Some(tag)) => (Selection::Tag(tag.clone()), format!("tag {tag}")),
        (None, None) => (Selection::List(to.controllers), "that list".to_owned()),
    };
    let found = select_all(config, selection).await?;
    let found: Vec<Address> = found.into_iter().map(|(address, _)| address).collect();
    if let Some(missing) = listed.iter().find(|it| found.binary_search(it).is_err()) {
        bail!("there is no controller {missing}");
    }
    if found.is_empty() {
        bail!("there is no controller in {what}");
    }
    // The order is the person's, where there is one: the first of the list come first.
    Ok(if listed.is_empty() { found } else { listed })
}

async fn list(
    open: bool,
    json: bool,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let mut before = None;
    loop {
        let page = config.rollouts(open, before, ROLLOUTS_PER_PAGE).await?;
        before = page.last().map(|it| it.id);
        let is_last = page.len() < ROLLOUTS_PER_PAGE as usize;
        for rollout in page {
            if json {
                writeln!(stdout, "{}", in_json(&rollout))?;
                continue;
            }
            let (ended, all) = (ended(&rollout), rollout.head.controllers());
            writeln!(
                stdout,
                "{} {:<12} {:>13} {}",
                rollout.id,
                rollout.head.phase().name(),
                format!("{ended}/{all}"),
                rollout.about.title
            )?;
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn show(
    id: RolloutId,
    (controllers, json): (bool, bool),
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let rollout = found(id, config).await?;
    if json {
        writeln!(stdout, "{}", in_json(&rollout))?;
    } else {
        write_rollout(&rollout, stdout)?;
    }
    if !controllers {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = config.rollout_entries(id, after, ENTRIES_PER_PAGE).await?;
        after = page.last().map(Entry::position);
        let is_last = page.len() < ENTRIES_PER_PAGE as usize;
        for entry in page {
            let reason = entry.reason();
            if json {
                let previous = entry.previous().and_then(Previous::digest);
                let it = serde_json::json!({
                    "controller": entry.address(),
                    "stage": entry.stage().name(),
                    "reason": reason.map(|it| it.name()),
                    "words": reason.and_then(|it| it.words()),
                    "previous": previous,
                    "touched": entry.was_touched(),
                });
                writeln!(stdout, "{it}")?;
                continue;
            }
            write!(stdout, "{} {}", entry.address(), entry.stage().name())?;
            if let Some(reason) = reason {
                write!(stdout, " {}", reason.name())?;
            }
            if let Some(words) = reason.and_then(|it| it.words()) {
                // They may be a controller's own.
                write!(stdout, ": {}", words.escape_debug())?;
            }
            writeln!(stdout)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn found(id: RolloutId, config: &dyn ConfigStore) -> anyhow::Result<StoredRollout> {
    let rollout = config.rollout(id).await?;
    rollout.with_context(|| format!("there is no roll-out {id}"))
}

fn ended(rollout: &StoredRollout) -> u32 {
    let ended = rollout.stages.iter().filter(|(stage, _)| stage.is_end());
    ended.map(|(_, count)| count).sum()
}

fn write_rollout(rollout: &StoredRollout, stdout: &mut impl Write) -> anyhow::Result<()> {
    let StoredRollout {
        id,
        about,
        head,
        stages,
    } = rollout;
    let terms = head.terms();
    let by = about.by.as_str().trim_start();
    writeln!(stdout, "roll-out {id}: {}", about.title)?;
    writeln!(stdout, "began {} by {by}", Utc(about.began))?;
    writeln!(stdout, "brings {}", terms.release.digest)?;
    writeln!(stdout, "is {}", standing(head.phase(), head.halt()))?;
    let (step, steps) = (head.step() as usize, &terms.steps);
    match step.checked_sub(1).and_then(|at| steps.get(at)) {
        None => writeln!(stdout, "at its canary of {}", terms.canary)?,
        Some(percent) => writeln!(stdout, "at {percent}%, step {step} of {}", steps.len())?,
    }
    writeln!(
        stdout,
        "waits for absent ones until {}",
        Utc(head.deadline())
    )?;
    writeln!(
        stdout,
        "{} controllers: {}",
        head.controllers(),
        counts(stages)
    )?;
    Ok(())
}

/// Where it stands, and why.
fn standing(phase: Phase, halt: Option<Halt>) -> String {
    let Some(halt) = halt else {
        return phase.name().to_owned();
    };
    let place = if halt.in_canary { " in the canary" } else { "" };
    let what = match halt.rule.name() {
        "failed_trials" => "trials failed",
        "refused" => "refused it",
        "lost" => "were lost",
        _ => "were faulty",
    };
    let (bad, of, phase) = (halt.bad, halt.of, phase.name());
    format!("{phase}; halted{place}: {bad} of {of} {what}")
}

fn counts(stages: &[(Stage, u32)]) -> String {
    let counts = stages.iter();
    let counts = counts.map(|(stage, count)| format!("{count} {}", stage.name().replace('_', " ")));
    counts.collect::<Vec<_>>().join(", ")
}

fn in_json(rollout: &StoredRollout) -> serde_json::Value {
    let StoredRollout {
        id,
        about,
        head,
        stages,
    } = rollout;
    let stages = stages.iter();
    let stages: serde_json::Map<_, _> = stages
        .map(|(stage, count)| (stage.name().to_owned(), (*count).into()))
        .collect();
    serde_json::json!({
        "rollout": id.0,
        "title": about.title.as_str(),
        "by": about.by.as_str().trim_start(),
        "began": about.began.0,
        "phase": head.phase(),
        "halt": head.halt(),
        "step": head.step(),
        "deadline": head.deadline().0,
        "controllers": head.controllers(),
        "stages": stages,
        "terms": head.terms(),
    })
}

async fn wish(
    wanted: Wanted,
    control: Control,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let id = wanted.rollout;
    // Said at once where that is clear; the owner judges it again.
    found(id, config).await?.head.phase().allows(control)?;
    config
        .add_wish(id, control, command_line(), crate::clock::time())
        .await?;
    writeln!(
        stdout,
        "asked roll-out {id} to {}",
        control.name().replace('_', " ")
    )?;
    stdout.flush()?;
    if wanted.follow {
        follow(id, Some(control), config, stdout).await?;
    }
    Ok(())
}

/// Shows how it goes, a line for each change, until it has ended or waits for a person; with a wish, not
/// before that was granted.
async fn follow(
    id: RolloutId,
    wanted: Option<Control>,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let mut shown = String::new();
    loop {
        // First: what is granted between the two is then in what is read.
        let is_granted = config.wishes(Some(id)).await?.is_empty();
        let rollout = found(id, config).await?;
        let (phase, halt) = (rollout.head.phase(), rollout.head.halt());
        let line = format!("{}: {}", standing(phase, halt), counts(&rollout.stages));
        if line != shown {
            writeln!(stdout, "{} {line}", Utc(now()))?;
            stdout.flush()?;
            shown = line;
        }
        let waits = matches!(phase, Phase::Halted | Phase::Paused);
        if is_granted && (phase.is_end() || waits) {
            let expected = match wanted {
                None | Some(Control::Resume) => Phase::Done,
                Some(Control::Pause) => Phase::Paused,
                Some(Control::Abort) => Phase::Aborted,
                Some(Control::RollBack) => Phase::RolledBack,
            };
            if phase == expected {
                return Ok(());
            }
            let said = format!("roll-out {id} is {}", standing(phase, halt));
            return Err(ExitWith(OTHER_END, said).into());
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn now() -> Time {
    crate::clock::time()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::rollout::{ReleaseKind, Rule};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        task: RolloutTask,
    }

    fn start_of(line: &str) -> Result<Start, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        match Line::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .task
        {
            RolloutTask::Start(start) => Ok(*start),
            other => panic!("{other:?}"),
        }
    }

    fn terms(flags: &str) -> Terms {
        let start = start_of(&format!("start --script tank --site 1 {flags}")).unwrap();
        let kind = ReleaseKind::Script;
        let digest = Digest::of(b"x");
        start.terms.terms(Release { kind, digest })
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let usual = terms("");
        assert_eq!(usual, Terms::new(usual.release));
        let other = terms(
            "--canary 2 --steps 50,100 --soak 90s --faults-max 3 --in-flight-max 4 --per-minute-max 9 \
             --deadline 1h --halt-faulty 7 --halt-lost never --halt-failed-trials 5% --halt-refused 1 \
             --roll-back-on always --without-previous",
        );
        let bound = |count, percent| Bound { count, percent };
        assert_eq!((other.canary, &*other.steps), (2, &[50, 100][..]));
        assert_eq!((other.soak_ms, other.deadline_ms), (90_000, 3_600_000));
        assert_eq!((other.in_flight_max, other.per_minute_max), (4, 9));
        assert_eq!(other.faults_max, 3);
        assert_eq!(other.halts.faulty, bound(Some(7), None));
        assert_eq!(other.halts.lost, bound(None, None));
        assert_eq!(other.halts.failed_trials, bound(None, Some(5)));
        assert_eq!(other.halts.refused, bound(Some(1), None));
        assert_eq!(other.roll_back_on, RollBackOn::Always);
        assert!(other.without_previous);
    }

    #[test]
    fn what_goes_where_is_said_once() {
        let start = start_of("start --script tank@3 --controllers 5,3").unwrap();
        let label: Label = "tank".parse().unwrap();
        assert_eq!(start.what.script, Some(Chosen::Script(label, Some(3))));
        assert_eq!(start.to.controllers, [Address(5), Address(3)]);
        for wrong in [
            "start --site 1",
            "start --script tank",
            "start --script tank --site 1 --tag pumps",
            "start --script Tank --site 1",
            "start --script tank@x --site 1",
            "start --script tank --site 1 --halt-lost some",
            "start --script tank --site 1 --dry-run --follow",
            "start --script tank --set most=1 --site 1",
            "start --set most --site 1",
            "start --set 1st=1 --site 1",
            "start --set most=much --site 1",
            "start --set most=1s1m --site 1",
        ] {
            assert!(start_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_shows_its_type() {
        let line =
            "start --set most=80.5 --set stay=1m30s --set tries=3 --set quiet=true --tag pumps";
        let values = Values::new(start_of(line).unwrap().what.set);
        let expected = "most num 80500\nquiet bool 1\nstay time 90000\ntries int 3\n";
        assert_eq!(values.encode(), expected);
    }

    #[test]
    fn a_halt_is_told_in_words() {
        let halt = Halt {
            rule: Rule::FailedTrials,
            in_canary: true,
            bad: 1,
            of: 2,
        };
        assert_eq!(
            standing(Phase::RolledBack, Some(halt)),
            "rolled back; halted in the canary: 1 of 2 trials failed"
        );
        assert_eq!(standing(Phase::Running, None), "running");
        let stages = [(Stage::OnTrial, 2), (Stage::Kept, 1)];
        assert_eq!(counts(&stages), "2 on trial, 1 kept");
    }
}
