//! Boards on this machine's serial ports: listed, told apart, written, read, erased. All of it is `switchyard-flasher`'s
//! work; here it is asked for and shown.

use crate::{
    cli::{Attached, FlashOrder, How, Verb},
    exit::{Exit, Failure, with_causes},
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
    After, Approach, Attachment, Backup, Backups, Before, Board, Chip, Error, Expected, HeadPatch,
    Level, Order, Region, SerialLine, SerialPort, Stub, Written, flash, holds_dtr, serial_ports,
    start,
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
        let mut message = with_causes(&error);
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

impl How {
    /// How a board on a serial port is come by.
    pub(crate) fn approach(&self, serial_port: &str) -> Approach {
        let stub = if self.no_stub { None } else { Stub::built_in() };
        Approach {
            before: self.before.into(),
            baud: self.baud,
            patience: PATIENCE,
            stub,
            holds_dtr: holds_dtr(serial_port),
        }
    }
}

impl Attached {
    pub(crate) fn approach(&self) -> Approach {
        self.how.approach(&self.serial_port)
    }

    pub(crate) fn open(&self) -> Result<SerialLine, Failure> {
        Ok(SerialLine::open(&self.serial_port, self.how.baud)?)
    }
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
    board.leave(attached.how.after.into())?;
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
        is_raw: false,
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
        is_raw: given.raw,
        ..files
    };
    let _heeding = Heeding::begin();
    let attached = &given.attached;
    let mut show = Show::new(given.json);
    let mut kept = Backups::new(given.backup);
    let mut keep = |chip: &Chip, offset: u32, bytes: &[u8]| kept.keep(chip, offset, bytes);
    let backup = (!given.no_backup).then_some(&mut keep as Backup<'_>);
    let begun = Instant::now();
    let mut line = attached.open()?;
    let outcome = flash(
        &mut line,
        &attached.approach(),
        &order,
        attached.how.after.into(),
        backup,
        &mut show,
    );
    show.end();
    let (written, was_reset) = outcome?;
    let is_checked = given.check || given.board.is_some() || given.version.is_some();
    tell_written(
        &written,
        begun.elapsed(),
        kept.files(),
        was_reset || is_checked,
        given.read_back,
        given.json,
    )?;
    if is_checked {
        let expected = Expected {
            profile: given.board,
            version: given.version,
            mac: Some(written.chip.mac),
        };
        let mut board = start(&mut line, &attached.approach(), was_reset, &mut show)?;
        board.check(&expected, &mut show)?;
        if given.json {
            output::line(json!({ "event": "checked" }))?;
        } else {
            output::line("it runs, and does as it should")?;
        }
    }
    Ok(())
}

fn tell_written(
    written: &Written,
    took: Duration,
    kept: &[PathBuf],
    is_started: bool,
    is_read_back: bool,
    json: bool,
) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    if json {
        output::line(json!({
            "event": "done", "chip": written.chip.name, "mac": mac(&written.chip),
            "bytes": written.bytes, "bytes_written": written.bytes_written,
            "line_errors": written.line_errors, "baud": written.baud, "seconds": seconds,
            "stub": written.level == Level::Stub, "read_back": is_read_back, "was_reset": is_started, "backup": kept,
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
    if written.level == Level::Rom && !is_read_back {
        output::aside(
            "the chip's own loader did it, and it was verified at both ends alone; --read-back looks at every byte",
        );
    }
    if written.line_errors > 0 {
        output::aside(format_args!(
            "the cable dropped or changed {} answers; what they were about was done again",
            written.line_errors
        ));
    }
    if !is_started {
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
    board.leave(attached.how.after.into())?;
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
    board.leave(attached.how.after.into())?;
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
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let mut part = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    part.write_all(content)?;
    part.persist(path)?;
    Ok(())
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
