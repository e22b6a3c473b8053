//! `switchyard-gateway doctor`: looks at everything that a gateway stands on, and says what to do.
//!
//! A check is a function from a [`Patient`] to findings; [`CHECKS`] lists them in the order in which they
//! are told. It changes nothing that it looks at: what it has to write, it takes back, and what it has to
//! start, it starts in a folder of its own.

mod certificate;
mod controller;
mod files;
mod integrations;
mod machine;
mod probe;
mod telephones;
mod trip;

use crate::config::{ConfigError, Settings};
use probe::Neighbour;
use serde::Serialize;
use std::{fmt, io, pin::Pin, sync::Arc, time::Duration};

/// How long one check may take: a store's own time limit is seconds, and looking through a large database
/// takes some more.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and most likely not as meant.
    Warning,
    /// It does not work.
    Error,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level:<8} {:<12} {}", self.check, self.found)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, "\n{:22}do: {remedy}", ""),
            None => Ok(()),
        }
    }
}

/// What a check says, before it bears the check's name.
#[derive(Debug)]
struct Said {
    level: Level,
    found: String,
    expected: Option<String>,
    remedy: Option<String>,
}

fn ok(found: impl Into<String>) -> Said {
    Said {
        level: Level::Ok,
        found: found.into(),
        expected: None,
        remedy: None,
    }
}

fn warning(found: impl Into<String>) -> Said {
    Said {
        level: Level::Warning,
        ..ok(found)
    }
}

fn error(found: impl Into<String>) -> Said {
    Said {
        level: Level::Error,
        ..ok(found)
    }
}

impl Said {
    fn expected(self, expected: impl Into<String>) -> Self {
        Said {
            expected: Some(expected.into()),
            ..self
        }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Said {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// A gateway that is, or may be going to be.
#[derive(Clone, Debug)]
struct Patient {
    settings: Arc<Settings>,
    /// Who is there already where it listens.
    neighbour: Arc<Neighbour>,
}

type Findings = Pin<Box<dyn Future<Output = Vec<Said>> + Send>>;

/// A check: its name, and what it does.
struct Check {
    name: &'static str,
    run: fn(Patient) -> Findings,
}

/// Every check, in the order in which they are told.
const CHECKS: &[Check] = &[
    Check {
        name: "settings",
        run: |patient| Box::pin(settings(patient)),
    },
    Check {
        name: "clock",
        run: |_| blocking(machine::clock),
    },
    Check {
        name: "files",
        run: |patient| blocking(move || files::modes(&patient.settings)),
    },
    Check {
        name: "disk",
        run: |patient| blocking(move || machine::disk(&patient.settings)),
    },
    Check {
        name: "store",
        run: |patient| Box::pin(files::store(patient.settings)),
    },
    Check {
        name: "open files",
        run: |patient| blocking(move || machine::open_files(&patient.settings)),
    },
    Check {
        name: "certificate",
        run: |patient| blocking(move || files::certificate(&patient.settings)),
    },
    Check {
        name: "tcp ports",
        run: |patient| {
            Box::pin(async move { probe::listeners(&patient.settings, &patient.neighbour) })
        },
    },
    Check {
        name: "mqtt",
        run: |patient| Box::pin(integrations::mqtt(patient.settings)),
    },
    Check {
        name: "webhooks",
        run: |patient| Box::pin(integrations::webhooks(patient.settings)),
    },
    Check {
        name: "telephones",
        run: |patient| Box::pin(telephones::telephones(patient.settings)),
    },
    Check {
        name: "round trip",
        run: |patient| Box::pin(trip::round_trip(patient.settings, patient.neighbour)),
    },
];

/// Runs what blocks on a thread where that is allowed.
fn blocking(work: impl FnOnce() -> Vec<Said> + Send + 'static) -> Findings {
    Box::pin(async {
        let panicked = |_| vec![error("the check itself broke").remedy("report it with this line")];
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(panicked)
    })
}

async fn settings(patient: Patient) -> Vec<Said> {
    let warnings = patient.settings.warnings();
    if warnings.is_empty() {
        return vec![ok("the settings are in order")];
    }
    warnings.into_iter().map(warning).collect()
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        Report {
            ok: findings.iter().all(|it| it.level < Level::Error),
            findings,
        }
    }

    /// Of settings that cannot be read at all.
    pub(crate) fn without_settings(fault: &ConfigError) -> Self {
        let found = std::iter::successors(Some(fault as &dyn std::error::Error), |it| it.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        let said = error(found).remedy("mend the settings; nothing else was looked at");
        Self::new(vec![named("settings", said)])
    }

    /// How many findings are errors.
    pub(crate) fn errors(&self) -> usize {
        let is_error = |it: &&Finding| it.level == Level::Error;
        self.findings.iter().filter(is_error).count()
    }

    /// Writes it for people, or as one JSON object.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, as_json: bool, output: &mut impl io::Write) -> io::Result<()> {
        if as_json {
            serde_json::to_writer_pretty(&mut *output, self)?;
            return writeln!(output);
        }
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(output, "{finding}"))
    }
}

fn named(check: &'static str, said: Said) -> Finding {
    let Said {
        level,
        found,
        expected,
        remedy,
    } = said;
    Finding {
        check,
        level,
        found,
        expected,
        remedy,
    }
}

/// Runs every check, one after the other: they are about the same things.
pub(crate) async fn examine(settings: Settings) -> Report {
    let settings = Arc::new(settings);
    let looked_at = Arc::clone(&settings);
    let neighbour = tokio::task::spawn_blocking(move || probe::look(&looked_at)).await;
    let patient = Patient {
        settings,
        neighbour: Arc::new(neighbour.unwrap_or_default()),
    };
    let mut findings = Vec::new();
    for check in CHECKS {
        let late = |_| {
            let found = format!("took longer than {CHECK_TIMEOUT:?}");
            vec![error(found).remedy("look what hangs: the disk, or the database's host")]
        };
        let found = tokio::time::timeout(CHECK_TIMEOUT, (check.run)(patient.clone())).await;
        let found = found.unwrap_or_else(late);
        findings.extend(found.into_iter().map(|said| named(check.name, said)));
    }
    Report::new(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawSettings;

    fn settings(folder: &std::path::Path) -> Settings {
        let raw = RawSettings {
            data: Some(folder.join("data")),
            listen_tcp: Some("127.0.0.1:0".into()),
            listen_http: Some("127.0.0.1:0".into()),
            ..RawSettings::default()
        };
        raw.resolve().unwrap()
    }

    #[tokio::test]
    async fn a_host_that_is_well_has_no_errors_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let report = examine(settings(folder.path())).await;
        assert_eq!(report.errors(), 0, "{:#?}", report.findings);
        assert!(report.ok);
        for check in CHECKS {
            let is_told = report.findings.iter().any(|it| it.check == check.name);
            assert!(is_told, "{} says nothing", check.name);
        }
        let trip = report.findings.last().unwrap();
        assert!(trip.found.contains("a controller proved itself"), "{trip}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "looking makes nothing: {left:?}");
    }

    #[test]
    fn a_line_tells_what_was_expected_and_what_to_do() {
        let said = warning("the limit is 1024")
            .expected("16448")
            .remedy("raise it");
        let finding = named("open files", said);
        let text = "warning  open files   the limit is 1024; expected 16448\n                      do: raise it";
        assert_eq!(finding.to_string(), text);
        let report = Report::new(vec![finding]);
        let mut json = Vec::new();
        report.write(true, &mut json).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["ok"], true);
        assert_eq!(value["findings"][0]["level"], "warning");
        assert_eq!(value["findings"][0]["remedy"], "raise it");
    }

    #[test]
    fn bad_settings_are_a_finding() {
        let fault = RawSettings {
            shards: Some(3),
            ..RawSettings::default()
        };
        let report = Report::without_settings(&fault.resolve().unwrap_err());
        assert_eq!(report.errors(), 1);
        assert!(report.findings[0].found.starts_with("shards: expected"));
    }
}
