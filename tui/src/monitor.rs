//! Listening to a board: what is said on its serial line is shown, explained and kept, and what a person types is sent.
//! What lines mean, and at which rate they are read, is `switchyard-flasher`'s work.

mod show;

use crate::{cli::MonitorOrder, exit::Failure, output};
use show::{Note, Show};
use std::{
    fs::File,
    io::{self, BufRead, ErrorKind, Read},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};
use switchyard_flasher::{
    Error, Line, SerialLine,
    monitor::{BAUD_APPLICATION, ELF_BYTES_MAX, Listener, Monitor, MonitorOptions, Symbols},
};

/// How long the line is listened to before it is looked for something to send.
const TURN: Duration = Duration::from_millis(20);
/// How often it is looked whether an unplugged line is back. Systems tell, but each in another way.
const BACK_CHECK: Duration = Duration::from_millis(200);
/// How long a line that is back may not be opened, for its owner is set after it is there.
const BACK_PATIENCE: Duration = Duration::from_secs(3);
/// What is sent at a time; a longer line is sent in pieces.
const TYPED_BYTES_MAX: u64 = 4_096;
/// Lines that wait to be sent.
const TYPED_LINES_MAX: usize = 16;

/// Listens until interrupted, or with `--once` until the board is unplugged. Blocks as long as it takes.
pub(crate) fn run(order: &MonitorOrder) -> Result<(), Failure> {
    let symbols = order.elf.as_deref().map(read_elf).transpose()?;
    let mut listener = Listener::new(Monitor::new(MonitorOptions {
        baud: order.baud,
        gives_rows: order.hex,
        symbols,
    }));
    let mut line = SerialLine::open(&order.serial_port, listener.baud())?;
    let mut show = Show::new(order)?;
    show.note(Note::Listening {
        baud: listener.baud(),
    })?;
    if order.reset {
        reset(&mut listener, &mut line, &mut show)?;
    }
    let typed = typed()?;
    loop {
        let gone = hear(order, &mut listener, &mut line, &typed, &mut show)?;
        let end = Instant::now();
        show.all(listener.gone())?;
        show.note(Note::Unplugged { error: &gone })?;
        drop(line);
        if order.once {
            return Ok(());
        }
        line = wait_for_back(order, &typed);
        listener.back(&line, end.elapsed());
        show.note(Note::Back {
            baud: listener.baud(),
        })?;
    }
}

/// Listens until the line is gone, and gives what the system says about that.
fn hear(
    order: &MonitorOrder,
    listener: &mut Listener,
    line: &mut SerialLine,
    typed: &Receiver<Vec<u8>>,
    show: &mut Show,
) -> Result<io::Error, Failure> {
    loop {
        match listener.listen(line, TURN) {
            Ok(heard) => show.all(heard)?,
            Err(error) => return Ok(error),
        }
        while let Ok(mut bytes) = typed.try_recv() {
            bytes.extend_from_slice(order.eol.bytes());
            if let Err(error) = line.write(&bytes) {
                output::aside("not sent: the board is unplugged");
                return Ok(error);
            }
        }
    }
}

/// Resets the board. A line without the outputs for it is no reason to end.
fn reset(listener: &mut Listener, line: &mut SerialLine, show: &mut Show) -> Result<(), Failure> {
    match listener.reset(line) {
        Ok(heard) => show.all(heard),
        Err(error) if error.kind() == ErrorKind::Unsupported => show.note(Note::NoSignals),
        Err(error) => Err(Error::Line(error).into()),
    }
}

fn wait_for_back(order: &MonitorOrder, typed: &Receiver<Vec<u8>>) -> SerialLine {
    let mut refused_since = None;
    let mut was_told = false;
    loop {
        match SerialLine::open(&order.serial_port, order.baud.unwrap_or(BAUD_APPLICATION)) {
            Ok(line) => return line,
            Err(error) => {
                let is_there = Path::new(&order.serial_port).exists();
                let since = is_there.then(|| refused_since.unwrap_or_else(Instant::now));
                let is_over = since.is_some_and(|since| since.elapsed() >= BACK_PATIENCE);
                if is_over && !std::mem::replace(&mut was_told, true) {
                    output::aside(Failure::from(error).message().unwrap_or_default());
                }
                refused_since = since;
            }
        }
        while typed.try_recv().is_ok() {
            output::aside("not sent: the board is unplugged");
        }
        std::thread::sleep(BACK_CHECK);
    }
}

fn read_elf(path: &Path) -> Result<Symbols, Failure> {
    let about = |error: io::Error| Failure::usage(format!("reading {}: {error}", path.display()));
    let mut bytes = Vec::new();
    // One byte more than is taken, so that what is too long shows.
    let mut file = File::open(path).map_err(about)?.take(ELF_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(about)?;
    Ok(Symbols::read(&bytes)?)
}

/// What is typed, or comes by a pipe, line by line. A thread reads it, which ends with the program.
fn typed() -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(TYPED_LINES_MAX);
    let reading = move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(line)) = read_line(&mut input) {
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("typed".to_owned())
        .spawn(reading)?;
    Ok(receiver)
}

/// A line without its end, or a piece of a long one; `None`: there are no more.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.take(TYPED_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn lines_are_sent_without_their_own_ends_and_in_bounded_pieces() {
        let long = "x".repeat(TYPED_BYTES_MAX as usize + 1);
        let text = format!("one\r\n\ntwo\n{long}\nlast");
        let mut input = text.as_bytes();
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        let (long, rest) = long.split_at(TYPED_BYTES_MAX as usize);
        assert_eq!(lines, ["one", "", "two", long, rest, "last"]);
    }

    #[test]
    fn a_file_without_names_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware.bin");
        std::fs::write(&path, b"\xe9\x01\x02\x20").unwrap();
        let failure = read_elf(&path).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage as u8);
        let message = failure.message().unwrap();
        assert!(message.contains("expected an ELF file"), "{message}");
        assert!(read_elf(&folder.path().join("none")).is_err());
    }
}
