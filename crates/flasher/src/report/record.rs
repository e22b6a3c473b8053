//! One board's line in a report.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The longest text of a line: what an error has to say.
const TEXT_CHARACTERS_MAX: usize = 500;
/// The end of the year 9998: RFC 3339 writes years with four digits.
const AT_MS_MAX: i64 = 253_370_764_799_999;

/// A part of what is done with a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchStage {
    /// The board's loader is come by.
    Connect,
    /// The images are written and verified.
    Flash,
    /// The firmware starts.
    Boot,
    /// The settings are set.
    Provision,
    /// The script is brought.
    Script,
    /// The board gets its address.
    Enrol,
    /// What the job asks for is looked at.
    Check,
    /// The labels are printed.
    Label,
}

impl BatchStage {
    /// All of them, in the order in which they are done.
    pub const ALL: [BatchStage; 8] = [
        BatchStage::Connect,
        BatchStage::Flash,
        BatchStage::Boot,
        BatchStage::Provision,
        BatchStage::Script,
        BatchStage::Enrol,
        BatchStage::Check,
        BatchStage::Label,
    ];

    /// As a report has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BatchStage::Connect => "connect",
            BatchStage::Flash => "flash",
            BatchStage::Boot => "boot",
            BatchStage::Provision => "provision",
            BatchStage::Script => "script",
            BatchStage::Enrol => "enrol",
            BatchStage::Check => "check",
            BatchStage::Label => "label",
        }
    }
}

/// What became of a board. Texts are cut at 500 characters, and what is no letter in them becomes a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was done, in milliseconds since 1970.
    pub at_ms: i64,
    /// The serial port, or what the slot is called that it belongs to.
    pub slot: String,
    /// The chip's own number; `None`: it never said so.
    pub mac: Option<[u8; 6]>,
    /// Its number in the batch.
    pub number: Option<u32>,
    /// The address that it was given.
    pub address: Option<u32>,
    /// What it is called; empty for a board that was not named.
    pub title: String,
    /// The software that it runs, as it says itself.
    pub software: String,
    /// Where it failed, and why; `None`: it passed.
    pub failure: Option<(BatchStage, String)>,
    /// How long each stage took, in whole milliseconds.
    pub durations: BTreeMap<BatchStage, Duration>,
    /// What was written into its flash.
    pub bytes_written: u64,
    /// What the line lost or changed.
    pub line_errors: u64,
}

const STAGES: usize = BatchStage::ALL.len();
/// Columns before those of the stages.
const HEAD: usize = 10;

impl Record {
    /// The columns of a table.
    pub(super) const COLUMNS: [&'static str; HEAD + STAGES + 2] = [
        "time",
        "slot",
        "mac",
        "number",
        "address",
        "title",
        "software",
        "result",
        "stage",
        "error",
        "connect_ms",
        "flash_ms",
        "boot_ms",
        "provision_ms",
        "script_ms",
        "enrol_ms",
        "check_ms",
        "label_ms",
        "bytes_written",
        "line_errors",
    ];

    /// How long all of it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.durations.values().sum()
    }

    /// As it is written: a line is one line.
    pub(super) fn tidy(mut self) -> Self {
        let tidy = |text: &mut String| {
            let shown = text.chars().take(TEXT_CHARACTERS_MAX);
            *text = shown
                .map(|it| if it.is_control() { ' ' } else { it })
                .collect();
        };
        tidy(&mut self.slot);
        tidy(&mut self.title);
        tidy(&mut self.software);
        if let Some((_, error)) = &mut self.failure {
            tidy(error);
        }
        for duration in self.durations.values_mut() {
            *duration = Duration::from_millis(duration.as_millis() as u64);
        }
        self.at_ms = self.at_ms.clamp(0, AT_MS_MAX);
        self
    }

    pub(super) fn fields(&self) -> Vec<String> {
        let row = Row::of(self);
        let number = |it: Option<u32>| it.map(|it| it.to_string()).unwrap_or_default();
        let mut fields = vec![
            row.time,
            row.slot,
            row.mac.unwrap_or_default(),
            number(row.number),
            number(row.address),
            row.title,
            row.software,
            row.result,
            row.stage.map(|it| it.name().to_owned()).unwrap_or_default(),
            row.error.unwrap_or_default(),
        ];
        let took = |stage| row.durations_ms.get(stage).map(u64::to_string);
        fields.extend(
            BatchStage::ALL
                .iter()
                .map(|stage| took(stage).unwrap_or_default()),
        );
        fields.extend([row.bytes_written.to_string(), row.line_errors.to_string()]);
        fields
    }

    /// Reads a row of a table; else says what was expected.
    pub(super) fn of_fields(fields: &[String]) -> Result<Self, &'static str> {
        let fields: &[String; HEAD + STAGES + 2] = fields
            .try_into()
            .map_err(|_| "as many fields as there are columns")?;
        let [
            time,
            slot,
            mac,
            number,
            address,
            title,
            software,
            result,
            stage,
            error,
            ..,
        ] = fields;
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        let small = |text: &String| some(text).map(|it| it.parse::<u32>()).transpose();
        let large = |text: &String| text.parse::<u64>().map_err(|_| "a number");
        let stage = match stage.as_str() {
            "" => None,
            name => {
                let found = BatchStage::ALL.into_iter().find(|it| it.name() == name);
                Some(found.ok_or("a stage's name")?)
            }
        };
        let mut durations_ms = BTreeMap::new();
        for (stage, text) in BatchStage::ALL
            .into_iter()
            .zip(&fields[HEAD..HEAD + STAGES])
        {
            if !text.is_empty() {
                durations_ms.insert(stage, large(text)?);
            }
        }
        Row {
            time: time.clone(),
            slot: slot.clone(),
            mac: some(mac),
            number: small(number).map_err(|_| "a number")?,
            address: small(address).map_err(|_| "an address")?,
            title: title.clone(),
            software: software.clone(),
            result: result.clone(),
            stage,
            // A board may fail without a word.
            error: stage.map(|_| error.clone()),
            durations_ms,
            bytes_written: large(&fields[HEAD + STAGES])?,
            line_errors: large(&fields[HEAD + STAGES + 1])?,
        }
        .record()
    }

    pub(super) fn json(&self) -> String {
        // Texts and numbers alone: that cannot fail.
        serde_json::to_string(&Row::of(self)).unwrap_or_default()
    }

    pub(super) fn of_json(line: &str) -> Result<Self, &'static str> {
        let row: Row = serde_json::from_str(line).map_err(|_| "an object of a report")?;
        row.record()
    }
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Row {
    time: String,
    slot: String,
    mac: Option<String>,
    number: Option<u32>,
    address: Option<u32>,
    title: String,
    software: String,
    result: String,
    stage: Option<BatchStage>,
    error: Option<String>,
    durations_ms: BTreeMap<BatchStage, u64>,
    bytes_written: u64,
    line_errors: u64,
}

impl Row {
    fn of(record: &Record) -> Self {
        let time = Timestamp::from_millisecond(record.at_ms).unwrap_or_default();
        let mac = crate::mac_text;
        let (stage, error) = record.failure.clone().unzip();
        let result = if stage.is_none() { "pass" } else { "fail" };
        let durations = record.durations.iter();
        Row {
            time: format!("{time:.3}"),
            slot: record.slot.clone(),
            mac: record.mac.map(mac),
            number: record.number,
            address: record.address,
            title: record.title.clone(),
            software: record.software.clone(),
            result: result.to_owned(),
            stage,
            error,
            durations_ms: durations
                .map(|(stage, it)| (*stage, it.as_millis() as u64))
                .collect(),
            bytes_written: record.bytes_written,
            line_errors: record.line_errors,
        }
    }

    fn record(self) -> Result<Record, &'static str> {
        let time: Timestamp = self
            .time
            .parse()
            .map_err(|_| "a time such as 2026-07-01T12:00:00.000Z")?;
        let failure = self.stage.zip(self.error);
        if self.result != if failure.is_some() { "fail" } else { "pass" } {
            return Err("pass, or fail with a stage");
        }
        let durations = self.durations_ms.into_iter();
        Ok(Record {
            at_ms: time.as_millisecond(),
            slot: self.slot,
            mac: self.mac.as_deref().map(mac).transpose()?,
            number: self.number,
            address: self.address,
            title: self.title,
            software: self.software,
            failure,
            durations: durations
                .map(|(stage, it)| (stage, Duration::from_millis(it)))
                .collect(),
            bytes_written: self.bytes_written,
            line_errors: self.line_errors,
        })
    }
}

fn mac(text: &str) -> Result<[u8; 6], &'static str> {
    let byte = |part: &str| {
        let is_byte = part.len() == 2 && part.bytes().all(|it| it.is_ascii_hexdigit());
        is_byte.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let bytes = bytes.and_then(|it| it.try_into().ok());
    bytes.ok_or("a MAC address such as 5c:cf:7f:01:02:03")
}
