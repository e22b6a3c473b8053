//! Turns the controller's own page, as `ui/` builds it, into a C file for the core to serve.
//!
//! A module of `build.rs` and of `xtask`, which both make images; not part of the crate. The page
//! takes npm to build, and this crate must build without: a plain notice stands in then.

use std::{fs, io, path::Path};

/// What the page may weigh, compressed: it has to fit beside the rest of the firmware, and to come
/// quickly from a chip.
pub(crate) const PAGE_BYTES_MAX: usize = 20 * 1024;

const NOTICE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Switchyard</title>\
    <p>This build holds no page. Build it with <code>npm run build</code> in <code>ui/</code>, \
    then build the firmware again. The API under <code>/api/</code> works.\n";
const NOTICE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The files that `ui/` makes, below its folder.
pub(crate) const PAGE: &str = "controller/dist/index.html.gz";
/// Its Content-Security-Policy, which names the hashes of what is in it.
pub(crate) const POLICY: &str = "controller/dist/policy.txt";

/// The C file with the page that lies in this `ui/` folder, or with the notice.
pub(crate) fn render(ui: &Path) -> io::Result<String> {
    let read = |file: &str| match fs::read(ui.join(file)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let (bytes, policy, is_gzip) = match (read(PAGE)?, read(POLICY)?) {
        (Some(page), Some(policy)) => (page, String::from_utf8_lossy(&policy).into_owned(), true),
        _ => (NOTICE.as_bytes().to_vec(), NOTICE_POLICY.to_owned(), false),
    };
    if bytes.len() > PAGE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "{PAGE} has {} bytes; expected at most {PAGE_BYTES_MAX}",
            bytes.len()
        )));
    }
    let numbers: Vec<String> = bytes
        .chunks(20)
        .map(|line| line.iter().map(|byte| format!("{byte},")).collect())
        .collect();
    Ok(format!(
        "/* Generated of ui/controller; see firmware/page.rs. */\n\
         #include \"page.h\"\n\n\
         static const uint8_t bytes[] = {{\n{}\n}};\n\n\
         const fw_http_file_t fw_page = {{\n    \
         \"/\", \"text/html; charset=utf-8\", \"{}\", bytes, sizeof(bytes), 0x{:08x}u, {is_gzip},\n}};\n",
        numbers.join("\n"),
        policy.trim(),
        fnv1a(&bytes),
    ))
}

/// What the browser knows this page by: changes with its bytes.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
