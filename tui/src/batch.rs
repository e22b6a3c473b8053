//! Batches of boards. All of it is `switchyard-flasher`'s work; here it is asked for and shown.

mod view;

use crate::{
    cli::{BatchOrder, BatchVerb},
    exit::Failure,
    output,
    provision::confirm_off_mains,
    stop::{self, Heeding},
};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use switchyard_flasher::{
    After, Approach, Backups, Batch, BatchError, BatchOptions, Bench, Chip, EnrolmentTime, Error,
    Fonts, Gateway, Job, Naming, Plugged, Registry, RegistryError, Report, ReportError, SerialLine,
    SlotEvent, Stock, serial_ports,
};
use view::{View, yield_as_json, yield_words};

/// How long a person may take to take GPIO0 off ground and to power a board.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Whether a command about batches needs a gateway, and for which site.
pub(crate) fn wants_gateway(verb: &BatchVerb, job: Option<&Job>) -> bool {
    match verb {
        BatchVerb::Run { .. } => job.is_some_and(|it| it.enrolment == EnrolmentTime::Now),
        BatchVerb::Reserve { .. } | BatchVerb::Return { .. } => true,
        BatchVerb::Yield { .. } => false,
    }
}

/// The job of a batch that is to be run, if it is one.
///
/// # Errors
/// The job's.
pub(crate) fn job_of(verb: &BatchVerb) -> Result<Option<Job>, Failure> {
    match verb {
        BatchVerb::Run { order } => Ok(Some(Job::open(&order.job, &order.trust)?)),
        _ => Ok(None),
    }
}

/// Runs a command about batches. Blocks as long as it takes.
pub(crate) fn run(
    verb: BatchVerb,
    job: Option<Job>,
    gateway: Option<Gateway>,
) -> Result<(), Failure> {
    let logged_in = || gateway.clone().ok_or(BatchError::NoRegistry);
    match verb {
        BatchVerb::Run { order } => match job {
            Some(job) => make(&order, &job, gateway),
            None => unreachable!("`commands` brings the job of a run"),
        },
        BatchVerb::Reserve {
            count,
            into,
            site: _,
            title_pattern,
            output,
        } => reserve(count, &into, &title_pattern, logged_in()?, output.json),
        BatchVerb::Return { file, output } => give_back(&file, logged_in()?, output.json),
        BatchVerb::Yield { report, output } => {
            if !report.exists() {
                let error = io::Error::from(io::ErrorKind::NotFound);
                return Err(Failure::usage(format!(
                    "reading {}: {error}",
                    report.display()
                )));
            }
            let result = Report::open(&report)?.batch_yield();
            match output.json {
                true => output::line(yield_as_json(&result))?,
                false => output::line(yield_words(&result))?,
            }
            Ok(())
        }
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        Error::from(error).into()
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Error::from(error).into()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(order: &BatchOrder, job: &Job, gateway: Option<Gateway>) -> Result<(), Failure> {
    confirm_off_mains(Some(&job.profile), order.off_mains)?;
    if order.stock.is_some() && job.enrolment != EnrolmentTime::Stock {
        let said = job.enrolment.name();
        return Err(Failure::usage(format!(
            "the job says enrolment = \"{said}\": expected no --stock"
        )));
    }
    let stock = order.stock.as_deref().map(Stock::open).transpose()?;
    if let Some(folder) = &order.labels {
        fs::create_dir_all(folder)?;
    }
    let report = Report::open(&order.report)?;
    let mut numbers = order.report.clone().into_os_string();
    numbers.push(".numbers");
    let options = BatchOptions {
        slots: order.slots,
        takes_present: !order.serial_ports.is_empty(),
        again: order.again,
        replaces: order.replace,
        count: order.count,
        labels: order.labels.clone(),
        fonts: Fonts::default(),
    };
    let batch = Batch::new(job, &report, Path::new(&numbers), stock.as_ref(), options)?;
    let bench = Workbench {
        order,
        gateway,
        view: Mutex::new(View::new(
            order.json,
            job.name.as_str(),
            &report.batch_yield(),
        )),
        kept: Mutex::new(Backups::new(None)),
        last: Mutex::default(),
        report: &report,
    };
    let _heeding = Heeding::begin();
    lock(&bench.view).begin(order.serial_ports.is_empty());
    let outcome = batch.run(&bench);
    let result = outcome?;
    lock(&bench.view).end(&result)?;
    match stop::is_asked() {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}

/// This machine's serial ports, and the person before them.
struct Workbench<'a> {
    order: &'a BatchOrder,
    gateway: Option<Gateway>,
    view: Mutex<View>,
    kept: Mutex<Backups>,
    /// What the system listed last.
    last: Mutex<Vec<Plugged>>,
    report: &'a Report,
}

impl Bench for Workbench<'_> {
    type Line = SerialLine;

    fn plugged(&self) -> Vec<Plugged> {
        let named = &self.order.serial_ports;
        let is_file = |path: &String| fs::symlink_metadata(path).is_ok();
        // What is no file, as on Windows, is only known to the system's list; pseudo-terminals are only files.
        let listed = match named.iter().all(is_file) && !named.is_empty() {
            true => Vec::new(),
            false => match serial_ports() {
                Ok(listed) => listed,
                Err(_) => return lock(&self.last).clone(),
            },
        };
        let paths: Vec<String> = if named.is_empty() {
            let usb = listed.into_iter().filter(|it| it.usb().is_some());
            usb.map(|it| it.path).collect()
        } else {
            let is_listed = |path: &String| listed.iter().any(|it| it.path == *path);
            let there = named.iter().filter(|it| is_file(it) || is_listed(it));
            there.cloned().collect()
        };
        let plugged = paths.into_iter().map(|path| Plugged {
            identity: identity(&path),
            path,
        });
        let plugged: Vec<_> = plugged.collect();
        lock(&self.last).clone_from(&plugged);
        plugged
    }

    fn open(&self, path: &str) -> Result<SerialLine, Error> {
        SerialLine::open(path, self.order.how.baud)
    }

    fn approach(&self, path: &str) -> Approach {
        self.order.how.approach(path)
    }

    fn after(&self) -> After {
        self.order.how.after.into()
    }

    fn start_patience(&self) -> Duration {
        START_PATIENCE
    }

    fn keep(&self, chip: &Chip, offset: u32, bytes: &[u8]) -> io::Result<()> {
        if self.order.no_backup {
            return Ok(());
        }
        lock(&self.kept).keep(chip, offset, bytes)
    }

    fn registry(&self) -> Option<Box<dyn Registry>> {
        let gateway = self.gateway.clone()?;
        Some(Box::new(gateway))
    }

    fn event(&self, event: SlotEvent) {
        lock(&self.view).event(&event, || self.report.batch_yield());
    }

    fn is_stopped(&self) -> bool {
        stop::is_asked()
    }
}

/// Tells one plugging from the next, where the file system does: a device's file is made anew each time.
#[cfg(unix)]
fn identity(path: &str) -> u64 {
    use std::{
        hash::{DefaultHasher, Hash as _, Hasher as _},
        os::unix::fs::MetadataExt as _,
    };
    let Ok(about) = fs::symlink_metadata(path) else {
        return 0;
    };
    let mut hasher = DefaultHasher::new();
    // Not when it was changed: rights are given a moment after it has appeared, and each byte sent counts as a change.
    (about.dev(), about.ino(), about.created().ok()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(not(unix))]
fn identity(_: &str) -> u64 {
    0
}

fn reserve(
    count: u32,
    into: &Path,
    pattern: &Naming,
    mut gateway: Gateway,
    json: bool,
) -> Result<(), Failure> {
    let stock = Stock::begin(into, &gateway.url().to_string())?;
    let before = stock.count();
    let before = (before.free + before.handed_out + before.returned) as u32;
    let _heeding = Heeding::begin();
    for number in (1..=count).map(|it| before.saturating_add(it)) {
        if stop::is_asked() {
            return Err(Failure::interrupted());
        }
        let title = pattern.title(number, [0; 6]);
        let title = title.map_err(|error| Failure::usage(error.to_string()))?;
        let enrolment = gateway.enrol(title.as_str()).map_err(Error::Registry)?;
        if let Err(error) = stock.add(&enrolment) {
            // Nobody would ever have it.
            let _ = gateway.undo(&enrolment);
            return Err(error.into());
        }
    }
    let free = stock.count().free;
    let file: PathBuf = into.to_owned();
    if json {
        output::line(json!({ "event": "done", "file": file, "reserved": count, "free": free }))?;
    } else {
        let file = file.display();
        output::line(format_args!(
            "{count} reserved; {file} has {free} for boards to come"
        ))?;
        output::aside("the file has keys: keep it as secret as them");
    }
    Ok(())
}

fn is_nobodys(error: &RegistryError) -> bool {
    let error = error.downcast_ref::<switchyard_client::Error>();
    error.is_some_and(|it| it.code() == "unknown_address")
}

fn give_back(file: &Path, mut gateway: Gateway, json: bool) -> Result<(), Failure> {
    let stock = Stock::open(file)?;
    stock.expect_gateway(&gateway.url().to_string())?;
    let _heeding = Heeding::begin();
    let count = stock.give_back(|enrolment| -> Result<(), Failure> {
        if stop::is_asked() {
            return Err(Failure::interrupted());
        }
        match gateway.undo(enrolment) {
            // Withdrawn meanwhile, or at an earlier try whose answer was lost.
            Err(error) if is_nobodys(&error) => Ok(()),
            other => Ok(other.map_err(Error::Registry)?),
        }
    })?;
    let handed_out = stock.count().handed_out;
    if json {
        output::line(json!({ "event": "done", "returned": count, "handed_out": handed_out }))?;
    } else {
        output::line(format_args!(
            "{count} taken back; {handed_out} are boards' own and stay"
        ))?;
    }
    Ok(())
}
