//! Whole jobs: signed, opened, and refused for whatever is wrong with them.

use super::*;
use switchyard_protocol::{limits::TRANSFER_BYTES_MAX, serial::Setting};
use tempfile::TempDir;

const JOB: &str = r#"# Pumps of hall 3
name = "Hall 3"
profile = "nodemcu"
software = "0.3.1"
naming = "Pump {n:03}"
first_number = 7
enrolment = "now"

[[image]]
offset = 0x1000
file = "images/user1.bin"
sha256 = "USER1"

[[image]]
offset = 0
file = "boot.bin"
sha256 = "BOOT"

[settings]
wifi = "Hall"
wifi_password = "secret-password"
gateway_1 = "gateway.example:7481"
zone = "CET-1CEST,M3.5.0,M10.5.0/3"

[script]
file = "pump.script"
sha256 = "SCRIPT"

[tests]
banner = true
describe = true
wifi = true
gateway = true
scan_us_max = 2000

[[label]]
format = "zpl"
size = "40x30mm"
page = "https://gateway.example/#/{address}"
"#;

fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

fn key() -> JobKey {
    "7".repeat(64).parse().unwrap()
}

/// A folder with all that the job names, and the job after a change.
fn folder(from: &str, to: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("images")).unwrap();
    fs::write(at("images/user1.bin"), [0xE9; 0x1800]).unwrap();
    fs::write(at("boot.bin"), [0xEA; 0x1000]).unwrap();
    fs::write(at("pump.script"), "RL1 = on\n").unwrap();
    assert!(JOB.contains(from), "{from}");
    let job = JOB.replacen(from, to, 1);
    let job = job.replace("USER1", &sha256(&[0xE9; 0x1800]));
    let job = job.replace("BOOT", &sha256(&[0xEA; 0x1000]));
    let job = job.replace("SCRIPT", &sha256(b"RL1 = on\n"));
    let path = at("hall3.toml");
    fs::write(&path, job).unwrap();
    (folder, path)
}

fn trusted() -> [TrustedKey; 1] {
    [key().trusted().unwrap()]
}

#[test]
fn a_signed_job_brings_all_that_it_names() {
    let (_folder, path) = folder("", "");
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        Job::open(&path, &trusted()),
        Err(JobError::Unsigned)
    ));
    let signed = Job::sign(&path, &key()).unwrap();
    let job = Job::open(&path, &trusted()).unwrap();
    assert_eq!(job, signed);
    assert!(fs::read(&path).unwrap().starts_with(&before));
    assert_eq!(job.name.as_str(), "Hall 3");
    assert_eq!(job.software, "0.3.1".parse().unwrap());
    let places: Vec<_> = job
        .images
        .iter()
        .map(|it| (it.offset, it.bytes.len()))
        .collect();
    assert_eq!(places, [(0, 0x1000), (0x1000, 0x1800)]);
    let settings: Vec<_> = job.settings.iter().map(|it| it.setting).collect();
    let expected = [
        Setting::Wifi,
        Setting::WifiPassword,
        Setting::Gateway1,
        Setting::Zone,
    ];
    assert_eq!(settings, expected);
    assert_eq!(
        job.naming.title(job.first_number, [0; 6]).unwrap().as_str(),
        "Pump 007"
    );
    assert_eq!(job.script.as_deref(), Some("RL1 = on\n"));
    let checks = [
        Check::Banner,
        Check::Describe,
        Check::Wifi,
        Check::Gateway,
        Check::ScanMax(2000),
    ];
    assert_eq!(job.checks, checks);
    let url = job.labels[0].url(Address(100_042));
    assert_eq!(url, "https://gateway.example/#/100042");
    let shown = format!("{job:?}");
    assert!(
        shown.contains("Hall") && !shown.contains("secret-password"),
        "{shown}"
    );
}

#[test]
fn a_job_that_was_changed_or_is_a_strangers_is_refused() {
    let (_folder, path) = folder("", "");
    Job::sign(&path, &key()).unwrap();
    let stranger: TrustedKey = "8".repeat(64).parse().unwrap();
    let error = Job::open(&path, &[stranger]).unwrap_err();
    assert!(matches!(error, JobError::Stranger { .. }));
    assert!(error.advice().unwrap().contains("--trust"));
    assert!(matches!(
        Job::open(&path, &[]),
        Err(JobError::Stranger { .. })
    ));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("0.3.1", "0.3.0")).unwrap();
    assert!(matches!(
        Job::open(&path, &trusted()),
        Err(JobError::Changed)
    ));
    // Signing it again is what mends it, and leaves one signature.
    Job::sign(&path, &key()).unwrap();
    assert!(Job::open(&path, &trusted()).is_ok());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("# signed").count(), 1);
}

#[test]
fn files_other_than_those_that_were_signed_are_refused() {
    for name in ["images/user1.bin", "boot.bin", "pump.script"] {
        let (folder, path) = folder("", "");
        Job::sign(&path, &key()).unwrap();
        let file = folder.path().join(name);
        let mut bytes = fs::read(&file).unwrap();
        bytes[0] ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = Job::open(&path, &trusted()).unwrap_err();
        assert!(
            matches!(&error, JobError::OtherFile { path } if *path == file),
            "{error}"
        );
        fs::remove_file(&file).unwrap();
        let error = Job::open(&path, &trusted()).unwrap_err();
        assert!(
            matches!(&error, JobError::File { path, .. } if *path == file),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_is_refused_before_it_is_signed() {
    for (from, to, said) in [
        ("name = \"Hall 3\"", "name = \"\"", "name"),
        ("\"nodemcu\"", "\"node mcu\"", "profile: expected"),
        ("0.3.1", "0.3", "software"),
        ("Pump {n:03}", "Pump", "naming"),
        (
            "first_number = 7",
            "first_number = -1",
            "reading the job, line 6",
        ),
        ("first_number", "first", "reading the job, line 6"),
        (
            "\"now\"",
            "\"soon\"",
            "enrolment: expected now, stock or none",
        ),
        ("\"now\"", "\"stock\"", "tests.gateway: expected"),
        (
            "0x1000",
            "0x1001",
            "offset of \"images/user1.bin\": expected",
        ),
        (
            "offset = 0\n",
            "offset = 0x2000\n",
            "image: expected images that do not touch",
        ),
        ("0x1000", "0x1000000", "offset of"),
        (
            "images/user1.bin",
            "../user1.bin",
            "file of \"../user1.bin\": expected",
        ),
        ("images/user1.bin", "/etc/passwd", "file of"),
        ("images/user1.bin", "", "file of"),
        ("\"BOOT\"", "\"00\"", "sha256 of \"boot.bin\": expected"),
        (
            "gateway.example:7481",
            "gateway.example",
            "settings.gateway_1: expected host:port",
        ),
        (
            "gateway.example:7481",
            "gateway.example:0",
            "settings.gateway_1",
        ),
        (
            "secret-password",
            "secret",
            "settings.wifi_password: expected a password",
        ),
        (
            "\"secret-password\"",
            "12345678",
            "settings.wifi_password: expected a text",
        ),
        ("zone =", "name =", "settings.name: expected wifi"),
        (
            "wifi = \"Hall\"\n",
            "",
            "tests.wifi: expected settings.wifi",
        ),
        ("scan_us_max = 2000", "scan_us_max = 0", "tests.scan_us_max"),
        ("banner = true", "baner = true", "reading the job"),
        ("\"zpl\"", "\"epl\"", "label.format"),
        ("40x30mm", "4x3mm", "label"),
        ("/{address}", "", "label.page"),
        ("[settings]", "[settings", "reading the job"),
    ] {
        let (_folder, path) = folder(from, to);
        let before = fs::read(&path).unwrap();
        let error = Job::sign(&path, &key()).expect_err(to);
        assert!(error.to_string().starts_with(said), "{to:?}: {error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{to}");
        let shown = format!("{error:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("12345678"),
            "{shown}"
        );
    }
}

#[test]
fn sizes_are_bounded() {
    let (folder, path) = folder("", "");
    let mut job = fs::read(&path).unwrap();
    job.resize((64 << 10) - 60, b'\n');
    fs::write(&path, &job).unwrap();
    assert!(matches!(
        Job::sign(&path, &key()),
        Err(JobError::TooLarge { .. })
    ));
    job.resize((64 << 10) + 1, b'\n');
    fs::write(&path, &job).unwrap();
    assert!(matches!(
        Job::open(&path, &trusted()),
        Err(JobError::TooLarge { .. })
    ));
    let script = folder.path().join("pump.script");
    fs::write(&script, vec![b'\n'; TRANSFER_BYTES_MAX as usize + 1]).unwrap();
    let read = read_beside(folder.path(), "pump.script", &"0".repeat(64), 1 << 20);
    assert!(matches!(read, Err(JobError::TooLarge { bytes_max, .. }) if bytes_max == 1 << 20));
}
