//! Jobs for batches of boards: signed, and shown. What a job is `switchyard-flasher` knows.

use crate::{
    cli::JobVerb,
    exit::{Exit, Failure, with_causes},
    output,
};
use serde_json::{Value, json};
use std::{fs, io::Read, path::Path};
use switchyard_flasher::{Check, Job, JobError, JobKey};

/// A key's digits, and what an editor leaves behind them.
const KEY_BYTES_MAX: u64 = 80;

/// Runs a command about a job.
pub(crate) fn run(verb: &JobVerb) -> Result<(), Failure> {
    match verb {
        JobVerb::Sign { file, key, output } => {
            let key = read_key(key)?;
            let job = Job::sign(file, &key)?;
            let trusted = key.trusted()?.to_string();
            if output.json {
                output::line(json!({"signed_by": trusted, "job": shown(&job)}))?;
            } else {
                let name = &job.name;
                output::line(format_args!(
                    "{name} is signed; those who run it trust {trusted}"
                ))?;
            }
        }
        JobVerb::Show {
            file,
            trust,
            output,
        } => {
            let job = Job::open(file, trust)?;
            if output.json {
                output::line(shown(&job))?;
            } else {
                show(&job)?;
            }
        }
    }
    Ok(())
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let advice = error.advice().map(|it| format!("\n  {it}"));
        let exit = match error {
            JobError::File { .. } => Exit::Other,
            JobError::Unsigned
            | JobError::Stranger { .. }
            | JobError::Changed
            | JobError::OtherFile { .. } => Exit::Refused,
            _ => Exit::Usage,
        };
        Failure::new(exit, with_causes(&error) + &advice.unwrap_or_default())
    }
}

fn read_key(file: &Path) -> Result<JobKey, Failure> {
    let mut text = String::new();
    let read = fs::File::open(file).and_then(|it| it.take(KEY_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        let what = format!("reading the key in {}: {error}", file.display());
        Failure::new(Exit::Other, what)
    })?;
    Ok(text.parse::<JobKey>()?)
}

/// A check as a job file names it, and its bound.
fn check(check: &Check) -> (&'static str, Value) {
    match check {
        Check::Banner => ("banner", json!(true)),
        Check::Describe => ("describe", json!(true)),
        Check::Wifi => ("wifi", json!(true)),
        Check::Gateway => ("gateway", json!(true)),
        Check::ScanMax(scan_us) => ("scan_us_max", json!(scan_us)),
        _ => ("unknown", json!(true)),
    }
}

/// The job for programs. Secrets are only said to be there.
fn shown(job: &Job) -> Value {
    let settings = job.settings.iter().map(|it| {
        let text = if it.setting.is_secret() {
            json!(true)
        } else {
            json!(it.text)
        };
        (it.setting.name().to_owned(), text)
    });
    let checks = job
        .checks
        .iter()
        .map(check)
        .map(|(name, bound)| (name.to_owned(), bound));
    json!({
        "name": job.name.as_str(),
        "profile": job.profile,
        "software": job.software.to_string(),
        "images": job.images.iter()
            .map(|it| json!({"offset": it.offset, "bytes": it.bytes.len()}))
            .collect::<Vec<_>>(),
        "settings": settings.collect::<serde_json::Map<_, _>>(),
        "naming": job.naming.as_str(),
        "first_number": job.first_number,
        "script_bytes": job.script.as_ref().map(String::len),
        "tests": checks.collect::<serde_json::Map<_, _>>(),
        "enrolment": job.enrolment.name(),
        "labels": job.labels.len(),
    })
}

fn show(job: &Job) -> Result<(), Failure> {
    let line = |what: &str, text: String| output::line(format_args!("{what:<12} {text}"));
    line("job", job.name.to_string())?;
    line(
        "boards",
        format!("{}, to run {}", job.profile, job.software),
    )?;
    for image in &job.images {
        let (offset, bytes) = (image.offset, image.bytes.len());
        line("image", format!("{bytes} bytes at {offset:#x}"))?;
    }
    for value in &job.settings {
        let text = if value.setting.is_secret() {
            "(secret)"
        } else {
            &value.text
        };
        line("setting", format!("{} {text}", value.setting.name()))?;
    }
    let first = job.naming.title(job.first_number, [0; 6]);
    let first = first.map(|it| it.to_string()).unwrap_or_default();
    line(
        "names",
        format!("{}, the first {first}", job.naming.as_str()),
    )?;
    if let Some(script) = &job.script {
        line("script", format!("{} bytes", script.len()))?;
    }
    let checks: Vec<_> = job
        .checks
        .iter()
        .map(check)
        .map(|(name, bound)| match bound {
            Value::Number(bound) => format!("{name} {bound}"),
            _ => name.to_owned(),
        })
        .collect();
    if !checks.is_empty() {
        line("tests", checks.join(", "))?;
    }
    line("enrolment", job.enrolment.name().to_owned())?;
    for label in &job.labels {
        let (width, height) = (label.size.width_mm(), label.size.height_mm());
        line("label", format!("{width} × {height} mm"))?;
    }
    Ok(())
}
