//! The command about history: what a point was, or which points have any.

use super::moment::{Moment, Utc};
use crate::{
    history::{self, Chart, Question, start_of},
    store::ConfigStore,
};
use anyhow::bail;
use std::{fmt, io::Write};
use switchyard_protocol::{Address, message::Name};

/// Whose history is to be told, and how.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryTask {
    /// The controller's address
    controller: Address,
    /// The point's name; without it, the points of which there is history
    point: Option<Name>,
    /// From when on: how long ago, or a moment in UTC such as 2026-11-26T23:00Z
    #[arg(long, default_value = "24h")]
    from: Moment,
    /// Up to when
    #[arg(long, default_value = "now")]
    to: Moment,
    /// In how many pieces at most, of one length each; a minute is the shortest
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(history::BUCKETS_MAX)))]
    buckets: u32,
    /// As one JSON object, with numbers as the gateway has them
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As lines of values with commas between
    #[arg(long)]
    csv: bool,
}

/// Does it, and says what came of it.
pub(super) async fn run(
    task: HistoryTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let controller = task.controller;
    let Some(point) = task.point else {
        return list(&task, config, stdout).await;
    };
    let now = crate::clock::time();
    let question = Question {
        controller,
        point: point.clone(),
        from: task.from.time(now),
        to: task.to.time(now),
        buckets_max: task.buckets,
    };
    let Some(chart) = history::chart(config, &question).await? else {
        bail!(
            "there is no history of {point} at controller {controller}; `switchyard-gateway history {controller}` \
             lists what there is"
        );
    };
    if task.json {
        write_json(&question, &chart, stdout)
    } else {
        write_lines(&chart, task.csv, stdout)
    }
}

/// The points that there is anything of.
async fn list(
    task: &HistoryTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let recorded = config.recorded_points(task.controller).await?;
    if task.json {
        let points = recorded.iter().map(|it| {
            serde_json::json!({
                "point": it.series.point.as_str(),
                "type": it.series.point_type.name(),
                "first_ms": start_of(it.first).0,
                "last_ms": start_of(it.last).0,
            })
        });
        let points: Vec<_> = points.collect();
        let all = serde_json::json!({ "controller": task.controller.0, "points": points });
        return Ok(writeln!(stdout, "{all}")?);
    }
    if task.csv {
        writeln!(stdout, "point,type,first,last")?;
    }
    for it in recorded {
        let (point, point_type) = (&it.series.point, it.series.point_type.name());
        let (first, last) = (Utc(start_of(it.first)), Utc(start_of(it.last)));
        match task.csv {
            true => writeln!(stdout, "{point},{point_type},{first},{last}")?,
            false => writeln!(stdout, "{point:<24} {point_type:<15} {first} {last}")?,
        }
    }
    Ok(())
}

fn write_json(question: &Question, chart: &Chart, stdout: &mut impl Write) -> anyhow::Result<()> {
    let buckets = chart.buckets.iter().map(|bucket| {
        let summary = &bucket.summary;
        serde_json::json!({
            "from_ms": bucket.from.0,
            "min": summary.min,
            "max": summary.max,
            "mean_thousandths": summary.mean,
            "last": summary.last,
            "known_ms": summary.held.as_millis() as u64,
            "samples": summary.samples,
        })
    });
    let buckets: Vec<_> = buckets.collect();
    let all = serde_json::json!({
        "controller": question.controller.0,
        "point": question.point.as_str(),
        "type": chart.point_type.name(),
        "from_ms": chart.from.0,
        "bucket_ms": chart.bucket.as_millis() as u64,
        "buckets": buckets,
    });
    Ok(writeln!(stdout, "{all}")?)
}

fn write_lines(chart: &Chart, is_csv: bool, stdout: &mut impl Write) -> anyhow::Result<()> {
    let places = if chart.point_type.is_digital() { 0 } else { 3 };
    let head = ["from", "min", "mean", "max", "last", "known_s", "samples"];
    if is_csv {
        writeln!(stdout, "{}", head.join(","))?;
    } else {
        let [from, min, mean, max, last, known, samples] = head;
        writeln!(
            stdout,
            "{from:<20} {min:>12} {mean:>15} {max:>12} {last:>12} {known:>9} {samples:>8}"
        )?;
    }
    for bucket in &chart.buckets {
        let summary = &bucket.summary;
        let value = |value| Decimal(value, places).to_string();
        let (from, min, max) = (Utc(bucket.from), value(summary.min), value(summary.max));
        let mean = Decimal(summary.mean, places + 3).to_string();
        let last = value(summary.last);
        let known = Decimal(summary.held.as_millis() as i64, 3).to_string();
        let samples = summary.samples;
        match is_csv {
            true => writeln!(stdout, "{from},{min},{mean},{max},{last},{known},{samples}")?,
            false => writeln!(
                stdout,
                "{from} {min:>12} {mean:>15} {max:>12} {last:>12} {known:>9} {samples:>8}"
            )?,
        }
    }
    Ok(())
}

/// A whole number with a point before its last digits.
struct Decimal(i64, u32);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decimal(value, places) = *self;
        let sign = if value < 0 { "-" } else { "" };
        let (value, unit) = (value.unsigned_abs(), 10_u64.pow(places));
        write!(f, "{sign}{}", value / unit)?;
        match places {
            0 => Ok(()),
            places => write!(f, ".{:0width$}", value % unit, width = places as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Bucket, Summary};
    use std::time::Duration;
    use switchyard_protocol::message::{PointType, Time};

    fn chart(point_type: PointType, mean: i64) -> Chart {
        let summary = Summary {
            min: -1_500,
            max: 2,
            mean,
            last: 0,
            held: Duration::from_millis(59_500),
            samples: 3,
        };
        Chart {
            point_type,
            from: Time(0),
            bucket: Duration::from_secs(60),
            buckets: vec![Bucket {
                from: Time(60_000),
                summary,
            }],
        }
    }

    fn csv(point_type: PointType, mean: i64) -> String {
        let mut out = Vec::new();
        write_lines(&chart(point_type, mean), true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    #[test]
    fn numbers_stand_in_the_units_of_their_point() {
        assert_eq!(
            csv(PointType::AnalogueInput, -1_500),
            "1970-01-01T00:01:00.000Z,-1.500,-0.001500,0.002,0.000,59.500,3"
        );
        assert_eq!(
            csv(PointType::DigitalOutput, 250),
            "1970-01-01T00:01:00.000Z,-1500,0.250,2,0,59.500,3"
        );
    }
}
