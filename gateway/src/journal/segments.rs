//! The journal's files: numbered segments in a folder of their own, read and made here alone.

use super::format::{BROKEN_AT, HEADER_BYTES, Header};
use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// The bytes of a segment: small enough that little is kept for the sake of one command, large enough
/// that a busy gateway begins one in a second and not ten.
pub(super) const SEGMENT_BYTES: u64 = 8 << 20;

const SUFFIX: &str = ".journal";

/// A segment's file.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}{SUFFIX}"))
}

/// The numbers of the segments that there are, ascending.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(SUFFIX))
            .filter(|number| number.len() == 16)
            .and_then(|number| u64::from_str_radix(number, 16).ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment's file, with all of its room: a full disk is found here and not in the middle.
pub(super) fn create(folder: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Who asked for what is for the owner alone.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let path = path_of(folder, number);
    let file = options.open(&path)?;
    if let Err(error) = take_room(&file) {
        // What is left of it would look like a segment that was never begun, and be in the way.
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

#[cfg(target_os = "linux")]
fn take_room(file: &File) -> io::Result<()> {
    use rustix::{fs, io::Errno};
    match fs::fallocate(file, fs::FallocateFlags::empty(), 0, SEGMENT_BYTES) {
        // A file system that cannot: it grows as it is written.
        Err(Errno::OPNOTSUPP) => file.set_len(SEGMENT_BYTES),
        outcome => Ok(outcome?),
    }
}

#[cfg(not(target_os = "linux"))]
fn take_room(file: &File) -> io::Result<()> {
    file.set_len(SEGMENT_BYTES)
}

/// Writes at an offset.
#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes at an offset.
#[cfg(not(unix))]
pub(super) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Opens a segment that is there, to write on.
pub(super) fn reopen(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().write(true).open(path_of(folder, number))
}

/// Notes in a segment that something which was to follow could not be written.
pub(super) fn mark_broken(folder: &Path, number: u64) -> io::Result<()> {
    write_at(&reopen(folder, number)?, &[1], BROKEN_AT)
}

/// A segment's header; `None` where it was never begun.
pub(super) fn header(folder: &Path, number: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    let file = File::open(path_of(folder, number))?;
    let count = read_at(&file, &mut bytes, 0)?;
    Ok(Header::decode(&bytes[..count]))
}

/// Reads up to `bytes.len()` bytes from an offset on; fewer at the file's end.
pub(super) fn read_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    let mut count = 0;
    while count < bytes.len() {
        match file.read(&mut bytes[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Deletes a segment.
pub(super) fn delete(folder: &Path, number: u64) -> io::Result<()> {
    std::fs::remove_file(path_of(folder, number))
}
