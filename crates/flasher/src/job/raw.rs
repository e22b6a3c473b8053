//! The text of a job, and how it becomes one: every name known, every value possible, every file there.

use super::{
    ADDRESS_PLACE, Check, EnrolmentTime, FLASH_BYTES_MAX, IMAGES_MAX, Job, JobError, LABELS_MAX,
    LabelWish, read_beside,
};
use crate::{Density, LabelForm, LabelSize, Region, loader::SECTOR_BYTES};
use serde::Deserialize;
use std::path::Path;
use switchyard_protocol::{
    Address,
    firmware::PROFILE_BYTES_MAX,
    limits::SCRIPT_SOURCE_BYTES_MAX,
    message::Title,
    serial::{Setting, SettingValue},
};

/// What any setting has at most.
const SETTING_BYTES_MAX: usize = 64;
/// What the name of a Wi-Fi has at most.
const WIFI_BYTES_MAX: usize = 32;
/// What passwords have at least.
const PASSWORD_BYTES_MIN: usize = 8;
/// What a label's page may take.
const PAGE_BYTES_MAX: usize = 200;

/// What may be set for a whole batch; names are for each board alone.
const SETTABLE: [Setting; 6] = [
    Setting::Wifi,
    Setting::WifiPassword,
    Setting::Gateway1,
    Setting::Gateway2,
    Setting::Zone,
    Setting::PagePassword,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJob {
    name: String,
    profile: String,
    software: String,
    naming: String,
    #[serde(default = "one")]
    first_number: u32,
    enrolment: String,
    #[serde(default)]
    image: Vec<RawImage>,
    // As it stands: what serde says of a wrong value shows the value, which may be a password.
    #[serde(default)]
    settings: toml::Table,
    script: Option<RawScript>,
    #[serde(default)]
    tests: RawTests,
    #[serde(default)]
    label: Vec<RawLabel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    offset: u32,
    file: String,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    file: String,
    sha256: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTests {
    banner: bool,
    describe: bool,
    wifi: bool,
    gateway: bool,
    scan_us_max: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel {
    format: String,
    size: String,
    page: String,
    #[serde(default = "eight")]
    dots_per_mm: u32,
}

fn one() -> u32 {
    1
}

fn eight() -> u32 {
    8
}

fn wrong(what: impl Into<String>, expected: &'static str) -> JobError {
    let what = what.into();
    JobError::Value { what, expected }
}

/// Reads a job whose signature was looked at.
pub(super) fn read(body: &[u8], folder: &Path) -> Result<Job, JobError> {
    let text = std::str::from_utf8(body).map_err(|_| wrong("job", "UTF-8"))?;
    let raw: RawJob = toml::from_str(text).map_err(|mut source: toml::de::Error| {
        let line = source.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            1 + before.matches('\n').count()
        });
        // It would show the line that it stumbles over, which may hold a password.
        source.set_input(None);
        let source = Box::new(source);
        JobError::Unparsable { line, source }
    })?;
    let is_profile = (1..=PROFILE_BYTES_MAX).contains(&raw.profile.len())
        && raw.profile.bytes().all(|it| it.is_ascii_graphic());
    if !is_profile {
        return Err(wrong("profile", "1 to 20 printable characters"));
    }
    let settings = settings(&raw.settings)?;
    let checks = checks(&raw.tests)?;
    let enrolment = EnrolmentTime::ALL
        .into_iter()
        .find(|(_, name)| *name == raw.enrolment);
    let (enrolment, _) = enrolment.ok_or_else(|| wrong("enrolment", "now, stock or none"))?;
    let has = |setting| {
        settings
            .iter()
            .any(|it: &SettingValue| it.setting == setting)
    };
    if checks.contains(&Check::Gateway) && enrolment != EnrolmentTime::Now {
        // Without an address and a key no board gets past the gateway's door, and with one of a stock there may be none.
        return Err(wrong(
            "tests.gateway",
            "enrolment = \"now\" for boards that are to reach it",
        ));
    }
    if checks.contains(&Check::Wifi) && !has(Setting::Wifi) {
        return Err(wrong(
            "tests.wifi",
            "settings.wifi for boards that are to join it",
        ));
    }
    let labels = labels(&raw.label)?;
    if !labels.is_empty() && enrolment == EnrolmentTime::None {
        return Err(wrong(
            "label",
            "enrolment = \"now\" or \"stock\": a label has the board's address",
        ));
    }
    // What is said is looked at before anything is read that it names.
    let job = Job {
        name: Title::new(&raw.name).map_err(JobError::Name)?,
        profile: raw.profile,
        software: raw.software.parse().map_err(JobError::Software)?,
        naming: raw.naming.parse().map_err(JobError::Naming)?,
        first_number: raw.first_number,
        images: Vec::new(),
        settings,
        script: None,
        checks,
        enrolment,
        labels,
    };
    let images = images(&raw.image, folder)?;
    let script = raw.script.map(|it| script(&it, folder)).transpose()?;
    if script.is_none() && job.checks.iter().any(|it| matches!(it, Check::ScanMax(_))) {
        return Err(wrong(
            "tests.scan_us_max",
            "a script, whose scans are to be measured",
        ));
    }
    Ok(Job {
        images,
        script,
        ..job
    })
}

fn settings(table: &toml::Table) -> Result<Vec<SettingValue>, JobError> {
    let mut settings = Vec::new();
    for (name, value) in table {
        let what = || format!("settings.{name}");
        let setting = SETTABLE.into_iter().find(|it| it.name() == name.as_str());
        let setting = setting.ok_or_else(|| {
            wrong(
                what(),
                "wifi, wifi_password, gateway_1, gateway_2, zone or page_password",
            )
        })?;
        let text = value
            .as_str()
            .ok_or_else(|| wrong(what(), "a text in quotes"))?;
        let bytes = text.len();
        let is_text =
            (1..=SETTING_BYTES_MAX).contains(&bytes) && !text.chars().any(char::is_control);
        if !is_text {
            return Err(wrong(what(), "1 to 64 bytes without control characters"));
        }
        match setting {
            Setting::Wifi if bytes > WIFI_BYTES_MAX => {
                return Err(wrong(what(), "a network's name of 1 to 32 bytes"));
            }
            Setting::WifiPassword | Setting::PagePassword if bytes < PASSWORD_BYTES_MIN => {
                return Err(wrong(what(), "a password of 8 to 64 bytes"));
            }
            Setting::Gateway1 | Setting::Gateway2 if !is_gateway(text) => {
                return Err(wrong(what(), "host:port"));
            }
            _ => {}
        }
        let text = text.to_owned();
        settings.push(SettingValue { setting, text });
    }
    // As a request wants them.
    settings.sort_by_key(|it| it.setting);
    Ok(settings)
}

fn is_gateway(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, tcp_port)| {
        let is_digits = tcp_port.bytes().all(|it| it.is_ascii_digit());
        let is_host = host.bytes().all(|it| it.is_ascii_graphic());
        let number = tcp_port.parse::<u16>();
        !host.is_empty() && is_host && is_digits && number.is_ok_and(|it| it > 0)
    })
}

fn checks(tests: &RawTests) -> Result<Vec<Check>, JobError> {
    if tests.scan_us_max == Some(0) {
        return Err(wrong("tests.scan_us_max", "at least 1 microsecond"));
    }
    let asked = [
        (tests.banner, Check::Banner),
        (tests.describe, Check::Describe),
        (tests.wifi, Check::Wifi),
        (tests.gateway, Check::Gateway),
    ];
    let asked = asked
        .into_iter()
        .filter_map(|(is_asked, check)| is_asked.then_some(check));
    Ok(asked.chain(tests.scan_us_max.map(Check::ScanMax)).collect())
}

fn labels(raw: &[RawLabel]) -> Result<Vec<LabelWish>, JobError> {
    if raw.len() > LABELS_MAX {
        return Err(wrong("label", "at most 4 labels for a board"));
    }
    let label = |raw: &RawLabel| {
        let form = LabelForm::ALL
            .into_iter()
            .find(|(_, name)| *name == raw.format);
        let (form, _) = form.ok_or_else(|| wrong("label.format", "png, pdf or zpl"))?;
        let size: LabelSize = raw.size.parse().map_err(JobError::Label)?;
        let density = match raw.dots_per_mm {
            8 => Density::Dots8,
            12 => Density::Dots12,
            _ => return Err(wrong("label.dots_per_mm", "8 or 12")),
        };
        let wish = LabelWish {
            form,
            size,
            density,
            page: raw.page.clone(),
        };
        let url = wish.url(Address::CONTROLLER_MAX);
        let is_page = (url.starts_with("https://") || url.starts_with("http://"))
            && url.bytes().all(|it| it.is_ascii_graphic())
            && url.len() <= PAGE_BYTES_MAX
            && raw.page.contains(ADDRESS_PLACE);
        is_page.then_some(wish).ok_or_else(|| {
            wrong(
                "label.page",
                "http:// or https://, with {address} where the board's number belongs",
            )
        })
    };
    raw.iter().map(label).collect()
}

fn images(raw: &[RawImage], folder: &Path) -> Result<Vec<Region>, JobError> {
    if raw.is_empty() || raw.len() > IMAGES_MAX {
        return Err(wrong("image", "1 to 16 images"));
    }
    let mut images: Vec<Region> = Vec::new();
    for raw in raw {
        let what = || format!("offset of {:?}", raw.file);
        if raw.offset % SECTOR_BYTES != 0 {
            return Err(wrong(what(), "a multiple of 0x1000"));
        }
        let room = FLASH_BYTES_MAX.saturating_sub(u64::from(raw.offset));
        if room == 0 {
            return Err(wrong(
                what(),
                "less than 0x1000000, where the largest flash ends",
            ));
        }
        let bytes = read_beside(folder, &raw.file, &raw.sha256, room)?;
        if bytes.is_empty() {
            return Err(wrong(format!("image {:?}", raw.file), "some bytes"));
        }
        let offset = raw.offset;
        images.push(Region { offset, bytes });
    }
    images.sort_by_key(|it| it.offset);
    let end = |region: &Region| {
        region.offset + (region.bytes.len() as u32).next_multiple_of(SECTOR_BYTES)
    };
    if images.windows(2).any(|pair| end(&pair[0]) > pair[1].offset) {
        return Err(wrong("image", "images that do not touch the same sector"));
    }
    Ok(images)
}

fn script(raw: &RawScript, folder: &Path) -> Result<String, JobError> {
    let bytes = read_beside(
        folder,
        &raw.file,
        &raw.sha256,
        SCRIPT_SOURCE_BYTES_MAX as u64,
    )?;
    let what = || format!("script {:?}", raw.file);
    let script = String::from_utf8(bytes).map_err(|_| wrong(what(), "UTF-8"))?;
    if script.is_empty() {
        return Err(wrong(what(), "some lines"));
    }
    Ok(script)
}
