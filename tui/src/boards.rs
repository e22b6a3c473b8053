//! Boards on this machine's serial ports: listed, told apart, written, read, erased. All of it is `switchyard-flasher`'s
//! work; here it is asked for and shown.

use crate::{
    cli::{Attached, FlashOrder, Verb},
    exit::{Exit, Failure},
    output,
    provision::confirm_off_mains,
    show::{Show, mac},
    stop::Heeding,
};
use serde_json::json;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use switchyard_flasher::{
    After, Approach, Attachment, Backup, Before, Board, Chip, Error, Expected, HeadPatch, Level,
    Order, Region, SerialLine, SerialPort, Stub, Written, flash, serial_ports, start,
};

/// How long a person may take to hold GPIO0 to ground and power a board.
const PATIENCE: Duration = Duration::from_secs(120);
/// The largest flash that this chip can have.
const FLASH_BYTES_MAX: u64 = 16 << 20;

/// Runs a command about boards. Blocks as long as it takes.
pub(crate) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Boards { output } => list(output.json),
        Verb::Identify { attached, output } => identify(&attached, output.json),
        Verb::Flash { order } => write(*order),
        Verb::Dump {
            attached,
            file,
            offset,
            bytes,
            output,
        } => dump(&attached, &file, offset, bytes, output.json),
        Verb::Erase {
            attached,
            part,
            all: _,
            output,
        } => erase(&attached, part, output.json),
        _ => unreachable!("`commands` brings no other"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = message_of(&error);
        if let Some(advice) = error.advice() {
            message.push_str(&format!("\n  {advice}"));
        }
        let exit = match error {
            Error::BadImage { .. }
            | Error::BadElf { .. }
            | Error::Overlap { .. }
            | Error::Unaligned { .. } => Exit::Usage,
            _ => exit_of(&error),
        };
        Failure::new(exit, message)
    }
}

/// An error with all that it comes from.
pub(crate) fn message_of(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        message.push_str(&format!(": {next}"));
        cause = next.source();
    }
    message
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Stopped => Exit::Interrupted,
        Error::RolledBack { cause, .. } => exit_of(cause),
        _ => Exit::Other,
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let found = serial_ports()?;
    if found.is_empty() && !json {
        output::aside("no serial ports; plug in a board or its adapter");
    }
    for serial_port in found {
        let usb = serial_port.usb();
        if json {
            output::line(json!({
                "path": serial_port.path,
                "usb": usb.map(|usb| json!({
                    "vendor_id": usb.vendor_id,
                    "product_id": usb.product_id,
                    "serial_number": usb.serial_number,
                    "manufacturer": usb.manufacturer,
                    "product": usb.product,
                })),
            }))?;
            continue;
        }
        let what = what_is_at(&serial_port);
        output::line(format_args!("{:<20} {what}", serial_port.path))?;
    }
    Ok(())
}

/// What a serial port is, in its device's own words.
pub(crate) fn what_is_at(serial_port: &SerialPort) -> String {
    match &serial_port.attachment {
        Attachment::Usb(usb) => {
            let product = usb.product.as_deref().unwrap_or("USB adapter");
            let number = usb.serial_number.as_deref();
            let number = number.map(|it| format!(", No. {it}")).unwrap_or_default();
            let (vendor, sort) = (usb.vendor_id, usb.product_id);
            format!("{product} ({vendor:04x}:{sort:04x}{number})")
        }
        Attachment::Pci => "on the machine's own bus".to_owned(),
        Attachment::Bluetooth => "over the air".to_owned(),
        _ => "unknown".to_owned(),
    }
}

impl Attached {
    pub(crate) fn approach(&self) -> Approach {
        let stub = if self.no_stub { None } else { Stub::built_in() };
        Approach {
            before: self.before.into(),
            baud: self.baud,
            patience: PATIENCE,
            stub,
            holds_dtr: holds_dtr(&self.serial_port),
        }
    }

    pub(crate) fn open(&self) -> Result<SerialLine, Failure> {
        Ok(SerialLine::open(&self.serial_port, self.baud)?)
    }
}

/// Silicon Labs' CP2102C resets its board when DTR is let go.
fn holds_dtr(path: &str) -> bool {
    let found = serial_ports().unwrap_or_default();
    let usb = found
        .iter()
        .find(|it| it.path == path)
        .and_then(|it| it.usb());
    usb.is_some_and(|usb| (usb.vendor_id, usb.product_id) == (0x10C4, 0xEA64))
}

fn identify(attached: &Attached, json: bool) -> Result<(), Failure> {
    let _heeding = Heeding::begin();
    let mut show = Show::new(json);
    let board = Board::approach(attached.open()?, &attached.approach(), &mut show)?;
    show.end();
    let (chip, flash) = (&board.chip, board.flash);
    let bytes = flash.bytes();
    if json {
        let (maker, sort) = (flash.maker, flash.sort);
        output::line(json!({
            "event": "board", "chip": chip.name, "mac": mac(chip),
            "flash": { "maker": maker, "sort": sort, "bytes": bytes },
        }))?;
    } else {
        let size = bytes.map_or("an unknown size".to_owned(), |it| {
            format!("{} KiB", it >> 10)
        });
        let mac = mac(chip);
        output::line(format_args!("{}, {mac}, {size} of flash", chip.name))?;
    }
    board.leave(attached.after.into())?;
    Ok(())
}

/// Files as regions of a flash; `None` where there are none.
pub(crate) fn order_of(files: &[(u32, PathBuf)]) -> Result<Option<Order>, Failure> {
    let read = |(offset, path): &(u32, PathBuf)| -> Result<Region, Failure> {
        Ok(Region {
            offset: *offset,
            bytes: read_bounded(path)?,
        })
    };
    let regions: Result<Vec<_>, _> = files.iter().map(read).collect();
    let order = Order {
        regions: regions?,
        patch: HeadPatch::default(),
        detects_size: false,
        reads_back: false,
    };
    Ok(Some(order).filter(|order| !order.regions.is_empty()))
}

fn write(given: FlashOrder) -> Result<(), Failure> {
    confirm_off_mains(given.board.as_deref(), given.off_mains)?;
    let files = order_of(&given.regions)?;
    let files = files.ok_or_else(|| Failure::usage("expected ADDRESS=FILE"))?;
    let order = Order {
        patch: HeadPatch {
            mode: given.flash_mode.0,
            size: given.flash_size.size,
            rate: given.flash_freq.0,
        },
        detects_size: given.flash_size.detects,
        reads_back: given.read_back,
        ..files
    };
    let _heeding = Heeding::begin();
    let attached = &given.attached;
    let mut show = Show::new(given.json);
    let mut kept = Kept::new(given.backup);
    let mut keep = |chip: &Chip, offset: u32, bytes: &[u8]| kept.keep(chip, offset, bytes);
    let backup = (!given.no_backup).then_some(&mut keep as Backup<'_>);
    let begun = Instant::now();
    let mut was_checked = false;
    let mut line = attached.open()?;
    let outcome = flash(
        &mut line,
        &attached.approach(),
        &order,
        attached.after.into(),
        backup,
        &mut show,
    );
    show.end();
    let (written, was_reset) = outcome?;
    if given.check || given.board.is_some() || given.version.is_some() {
        let expected = Expected {
            profile: given.board,
            version: given.version,
        };
        let mut board = start(&mut line, &attached.approach(), was_reset, &mut show)?;
        board.check(&expected, &mut show)?;
        was_checked = true;
    }
    tell_written(
        &written,
        begun.elapsed(),
        &kept.files,
        was_reset || was_checked,
        given.json,
    )
}

fn tell_written(
    written: &Written,
    took: Duration,
    kept: &[PathBuf],
    was_reset: bool,
    json: bool,
) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    if json {
        output::line(json!({
            "event": "done", "chip": written.chip.name, "mac": mac(&written.chip),
            "bytes": written.bytes, "bytes_written": written.bytes_written,
            "line_errors": written.line_errors, "baud": written.baud, "seconds": seconds,
            "stub": written.level == Level::Stub, "was_reset": was_reset, "backup": kept,
        }))?;
        return Ok(());
    }
    for file in kept {
        output::aside(format_args!(
            "what was there before is in {}",
            file.display()
        ));
    }
    let (bytes, changed) = (written.bytes, written.bytes_written);
    output::line(format_args!(
        "{}: {bytes} bytes are there, {changed} of them written, in {seconds:.1} s",
        mac(&written.chip)
    ))?;
    if written.line_errors > 0 {
        output::aside(format_args!(
            "the cable dropped or changed {} answers; what they were about was done again",
            written.line_errors
        ));
    }
    if !was_reset {
        output::aside(
            "take GPIO0 off ground and power the board anew: it then runs what was written",
        );
    }
    Ok(())
}

fn dump(
    attached: &Attached,
    file: &Path,
    offset: u32,
    bytes: Option<u32>,
    json: bool,
) -> Result<(), Failure> {
    let _heeding = Heeding::begin();
    let mut show = Show::new(json);
    let mut board = Board::approach(attached.open()?, &attached.approach(), &mut show)?;
    let size = board.flash.bytes().ok_or(Error::FlashSilent)?;
    let bytes = bytes.unwrap_or(size.saturating_sub(offset));
    let end = u64::from(offset) + u64::from(bytes);
    if end > size.into() {
        let flash_bytes = size;
        return Err(Error::FlashTooSmall { flash_bytes, end }.into());
    }
    let content = board.read(offset, bytes, &mut show)?;
    show.end();
    write_secret(file, &content)?;
    board.leave(attached.after.into())?;
    if json {
        output::line(json!({ "event": "done", "file": file, "bytes": bytes }))?;
    } else {
        output::line(format_args!("{bytes} bytes are in {}", file.display()))?;
    }
    Ok(())
}

fn erase(attached: &Attached, part: Option<(u32, u32)>, json: bool) -> Result<(), Failure> {
    let mut show = Show::new(json);
    let mut board = Board::approach(attached.open()?, &attached.approach(), &mut show)?;
    board.erase(part)?;
    show.end();
    board.leave(attached.after.into())?;
    if json {
        output::line(json!({ "event": "done" }))?;
    } else {
        output::line("it is erased")?;
    }
    Ok(())
}

/// A file that may go into a flash.
fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let about = |error: io::Error| Failure::usage(format!("reading {}: {error}", path.display()));
    let size = fs::metadata(path).map_err(about)?.len();
    if size > FLASH_BYTES_MAX {
        return Err(Failure::usage(format!(
            "reading {}: expected at most 16 MiB, which is what a flash has",
            path.display()
        )));
    }
    fs::read(path).map_err(about)
}

/// Writes what may have keys in it, for this person alone, whoever could read the file that was there before.
fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let mut part = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    part.write_all(content)?;
    part.persist(path)?;
    Ok(())
}

/// Where copies of what is overwritten go.
pub(crate) struct Kept {
    folder: PathBuf,
    begun: String,
    files: Vec<PathBuf>,
}

impl Kept {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
        let state = state.or_else(home).unwrap_or_default();
        let now = jiff::Timestamp::now();
        Kept {
            folder: folder.unwrap_or_else(|| state.join("switchyard/backups")),
            begun: now.strftime("%Y%m%dT%H%M%SZ").to_string(),
            files: Vec::new(),
        }
    }

    /// Never over another: where a write is begun anew, the first copy is the one that counts.
    pub(crate) fn keep(&mut self, chip: &Chip, offset: u32, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let board = mac(chip).replace(':', "");
        let name = format!("{board}-{}-{offset:#08x}", self.begun);
        // Whole under its name, or not at all.
        let mut part = tempfile::NamedTempFile::new_in(&self.folder)?;
        part.write_all(bytes)?;
        part.as_file().sync_all()?;
        let mut part = part.into_temp_path();
        for copy in 1.. {
            let again = if copy > 1 {
                format!("-{copy}")
            } else {
                String::new()
            };
            let file = self.folder.join(format!("{name}{again}.bin"));
            match part.persist_noclobber(&file) {
                Ok(()) => {
                    self.files.push(file);
                    break;
                }
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                    part = failed.path;
                }
                Err(failed) => return Err(failed.error),
            }
        }
        Ok(())
    }
}

impl From<crate::cli::BeforeFlash> for Before {
    fn from(before: crate::cli::BeforeFlash) -> Self {
        use crate::cli::BeforeFlash;
        match before {
            BeforeFlash::Reset => Before::Reset,
            BeforeFlash::InvertedReset => Before::InvertedReset,
            BeforeFlash::NoReset => Before::NoReset,
        }
    }
}

impl From<crate::cli::AfterFlash> for After {
    fn from(after: crate::cli::AfterFlash) -> Self {
        use crate::cli::AfterFlash;
        match after {
            AfterFlash::Reset => After::Reset,
            AfterFlash::InvertedReset => After::InvertedReset,
            AfterFlash::NoReset => After::NoReset,
        }
    }
}
