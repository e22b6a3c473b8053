//! One board of a batch, from its loader to its label.

use super::{Batch, Bench, SlotChange, lock, progress::SlotWatch, stock::OfStock};
use crate::{
    Approach, BatchStage, Before, Check, EnrolmentTime, Error, Expected, HeadPatch, Label, Order,
    Plan, Record, Registry, Result, RunningBoard, Written, line::Line, session::flash_admitted,
    start,
};
use std::{fs, io, path::Path, time::Duration, time::Instant};
use switchyard_protocol::{
    Address,
    serial::{Description, Password, Setting},
};

/// How long a person is waited for at a time: between two such times it is looked whether all is to end.
const ROUND: Duration = Duration::from_secs(2);

/// How the work on a board ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// A line was written on it, and told.
    Recorded {
        is_passed: bool,
        /// Its line is gone.
        is_lost: bool,
    },
    /// It passed before, and nothing was done.
    DoneBefore,
    /// Nobody is there.
    Nobody,
    /// It was to stop before anybody was there.
    Stopped,
}

/// What is known of a board by and by.
#[derive(Default)]
struct Known {
    mac: Option<[u8; 6]>,
    /// Nobody else works on it meanwhile.
    is_claimed: bool,
    number: Option<u32>,
    title: String,
    address: Option<Address>,
    software: String,
    written: Option<Written>,
}

impl Batch<'_> {
    /// Does one board. `is_awaited`: a line on which nobody is yet is no failure.
    pub(super) fn work<B: Bench>(
        &self,
        bench: &B,
        path: &str,
        is_awaited: bool,
        claim: &mut Option<[u8; 6]>,
        watch: &mut SlotWatch<'_>,
    ) -> Result<Ended> {
        let mut known = Known::default();
        let mut line = None;
        let outcome = bench.open(path).and_then(|opened| {
            let line = line.insert(opened);
            self.treat(bench, path, line, &mut known, watch)
        });
        *claim = known.mac.filter(|_| known.is_claimed);
        let failure = match outcome {
            Ok(()) => None,
            Err(Error::DoneBefore { .. }) => return Ok(Ended::DoneBefore),
            Err(error) => Some(error),
        };
        if known.mac.is_none() {
            match &failure {
                Some(Error::Silent { .. } | Error::NotInLoader { .. }) if is_awaited => {
                    return Ok(Ended::Nobody);
                }
                Some(Error::Stopped) => return Ok(Ended::Stopped),
                _ => {}
            }
        }
        let stage = watch.stages.current();
        let stages = std::mem::replace(
            &mut watch.stages,
            super::progress::Stages::begin(Instant::now()),
        );
        let record = Record {
            at_ms: jiff::Timestamp::now().as_millisecond(),
            slot: path.to_owned(),
            mac: known.mac,
            number: known.number,
            address: known.address.map(|it| it.0),
            title: known.title,
            software: known.software,
            failure: failure.as_ref().map(|error| (stage, words(error))),
            durations: stages.end(Instant::now()),
            bytes_written: known
                .written
                .as_ref()
                .map_or(0, |it| it.bytes_written.into()),
            line_errors: known.written.as_ref().map_or(0, |it| it.line_errors.into()),
        };
        // On the disk before anybody takes the board off.
        self.report.append(&record)?;
        let is_lost = matches!(failure, Some(Error::Line(_)));
        let is_passed = failure.is_none();
        let record = Box::new(record);
        watch.tell(match failure {
            None => SlotChange::Passed { record },
            Some(error) => SlotChange::Failed {
                record,
                advice: error.advice(),
            },
        });
        Ok(Ended::Recorded { is_passed, is_lost })
    }

    fn treat<B: Bench>(
        &self,
        bench: &B,
        path: &str,
        line: &mut B::Line,
        known: &mut Known,
        watch: &mut SlotWatch<'_>,
    ) -> Result<()> {
        let approach = Approach {
            patience: ROUND,
            ..bench.approach(path)
        };
        let by_hand = approach.before == Before::NoReset;
        let order = Order {
            regions: self.job.images.clone(),
            patch: HeadPatch::default(),
            detects_size: false,
            reads_back: false,
            is_raw: false,
        };
        let mut keep =
            |chip: &crate::Chip, offset: u32, bytes: &[u8]| bench.keep(chip, offset, bytes);
        let (slot, tell) = (watch.slot, watch.tell);
        let mut admit = |chip: &crate::Chip| {
            let tell = |change| tell(super::SlotEvent { slot, change });
            self.admit(chip.mac, known, tell)
        };
        let after = bench.after();
        let (written, was_reset) = flash_admitted(
            line,
            &approach,
            &order,
            after,
            Some(&mut keep),
            watch,
            &mut admit,
        )?;
        known.written = Some(written);
        let mut approach = approach;
        if by_hand || !was_reset {
            approach.patience = bench.start_patience();
        }
        let mut board = start(line, &approach, was_reset, watch)?;
        watch.enter(BatchStage::Provision);
        let found = board.describe(watch)?;
        let who = self.provision(bench, &mut board, &found, known, watch)?;
        watch.enter(BatchStage::Check);
        self.check(&mut board, who, known, watch)?;
        watch.enter(BatchStage::Label);
        self.print(known)
    }

    /// Whether the board is to be worked on, and who it then is.
    fn admit(&self, mac: [u8; 6], known: &mut Known, tell: impl Fn(SlotChange)) -> Result<()> {
        if known.mac == Some(mac) {
            // The same one, found again at another rate.
            return Ok(());
        }
        if let Some(expected) = known.mac.replace(mac) {
            known.mac = Some(expected);
            return Err(Error::OtherBoard {
                expected,
                found: mac,
            });
        }
        if let Some(record) = self.report.find(mac)
            && record.failure.is_none()
            && !self.options.again
        {
            tell(SlotChange::DoneBefore {
                record: Box::new(record),
            });
            return Err(Error::DoneBefore { mac });
        }
        if !lock(&self.claimed).insert(mac) {
            return Err(Error::Twice { mac });
        }
        known.is_claimed = true;
        let number = self.numbers.of(mac)?;
        let title = self.job.naming.title(number, mac);
        let title = title.map_err(crate::JobError::Naming)?.to_string();
        known.number = Some(number);
        known.title.clone_from(&title);
        tell(SlotChange::Identified { mac, number, title });
        Ok(())
    }

    fn provision<B: Bench>(
        &self,
        bench: &B,
        board: &mut RunningBoard<&mut B::Line>,
        found: &Description,
        known: &mut Known,
        watch: &mut SlotWatch<'_>,
    ) -> Result<Description> {
        let mac = known.mac.unwrap_or_default();
        known.software.clone_from(&found.software);
        let is_checked = self.job.checks.contains(&Check::Describe);
        let page_password = self
            .job
            .settings
            .iter()
            .find(|it| it.setting == Setting::PagePassword);
        let plan = Plan {
            title: known.title.clone(),
            settings: self.job.settings.clone(),
            script: self.job.script.clone().map(String::into_bytes),
            // A board that is tried again has the password that it was given.
            password: page_password.map(|it| Password(it.text.clone())),
            expected: Expected {
                profile: Some(self.job.profile.clone()),
                version: is_checked.then_some(self.job.software.0),
                mac: known.mac,
            },
            replaces: self.options.replaces,
            is_off_line: self.job.enrolment == EnrolmentTime::Stock,
            // Nobody begins a batch of boards that are live there without having said so.
            is_off_mains: true,
        };
        let mut gateway;
        let mut stock;
        let is_online = self.job.enrolment == EnrolmentTime::Now;
        let is_ours = self.is_of_stock(mac, found.address)
            || (is_online && self.is_of_report(mac, found.address));
        let registry: Option<&mut dyn Registry> = if is_ours {
            // An earlier try got as far, and who it is stands.
            None
        } else {
            match (self.job.enrolment, self.stock) {
                (EnrolmentTime::None, _) => None,
                (EnrolmentTime::Stock, Some(of)) => {
                    if of.count().free == 0 && of.find(mac).is_none() {
                        return Err(super::BatchError::StockEmpty.into());
                    }
                    stock = OfStock { stock: of, mac };
                    Some(&mut stock)
                }
                (EnrolmentTime::Stock, None) => return Err(super::BatchError::NoStock.into()),
                (EnrolmentTime::Now, _) => {
                    gateway = bench.registry().ok_or(super::BatchError::NoRegistry)?;
                    Some(&mut *gateway)
                }
            }
        };
        let provisioned = board.provision(&plan, registry, watch)?;
        known.address = provisioned.description.address;
        if is_ours && is_online {
            watch.enter(BatchStage::Enrol);
            return board.check(&plan.expected, watch);
        }
        Ok(provisioned.description)
    }

    /// Whether a board is who this batch has made it on line.
    fn is_of_report(&self, mac: [u8; 6], address: Option<Address>) -> bool {
        address.is_some_and(|it| self.report.has(mac, it))
    }

    /// Whether a board is who the stock says.
    fn is_of_stock(&self, mac: [u8; 6], address: Option<Address>) -> bool {
        let known = self.stock.and_then(|it| it.find(mac));
        address.is_some() && known == address
    }

    /// What the job asks to be looked at.
    fn check<L: Line>(
        &self,
        board: &mut RunningBoard<&mut L>,
        found: Description,
        known: &Known,
        watch: &mut SlotWatch<'_>,
    ) -> Result<()> {
        let job = self.job;
        for check in &job.checks {
            match check {
                Check::Banner => {
                    let expected = format!("{} {}", job.software, job.profile);
                    let heard = watch.banner.as_ref();
                    let is_right = heard.is_some_and(|banner| {
                        let version = banner.software.split(' ').next();
                        version == Some(&job.software.to_string()) && banner.profile == job.profile
                    });
                    if !is_right {
                        let found = heard.map(|it| format!("{} {}", it.software, it.profile));
                        return Err(Error::OtherBanner { expected, found });
                    }
                }
                // Before anything was set, by what is expected of it.
                Check::Describe => {}
                Check::Wifi => {
                    board.await_joined(true, watch)?;
                }
                // Enrolling has waited for that already.
                Check::Gateway if known.address.is_none() => {
                    return Err(Error::NotReached { wifi: found.wifi });
                }
                Check::Gateway => {}
                Check::ScanMax(scan_us_max) => {
                    let scan_us = watch.scan_us.unwrap_or(u32::MAX);
                    if scan_us > *scan_us_max {
                        let scan_us_max = *scan_us_max;
                        return Err(Error::SlowScan {
                            scan_us,
                            scan_us_max,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Prints what the job wants for each board.
    fn print(&self, known: &Known) -> Result<()> {
        let (Some(folder), Some(address)) = (self.options.labels.as_deref(), known.address) else {
            return Ok(());
        };
        for (at, wish) in self.job.labels.iter().enumerate() {
            let label = Label {
                address,
                title: known.title.parse().map_err(crate::JobError::Name)?,
                url: wish.url(address),
                mac: known.mac,
                wifi_name: None,
                wifi_password: None,
            };
            let made = label.print(wish.form, wish.size, wish.density, &self.options.fonts)?;
            let ending = crate::LabelForm::ALL
                .iter()
                .find(|(form, _)| *form == wish.form);
            let ending = ending.map_or("label", |(_, name)| name);
            let before = &self.job.labels[..at];
            let copy = match before.iter().filter(|it| it.form == wish.form).count() {
                0 => String::new(),
                others => format!("-{}", others + 1),
            };
            let file = folder.join(format!("{address}{copy}.{ending}"));
            write_whole(&file, &made).map_err(|source| super::BatchError::File {
                what: "writing",
                path: file,
                source,
            })?;
        }
        Ok(())
    }
}

/// What failed, with its causes: a report is read far from where it was written.
fn words(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    causes.fold(error.to_string(), |words, cause| {
        format!("{words}: {cause}")
    })
}

/// A printer's folder may be watched: a file is there whole, or not at all.
fn write_whole(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    let written = fs::write(&part, content).and_then(|()| fs::rename(&part, file));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}
