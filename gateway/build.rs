//! Takes the built page into the binary: writes a table of the files in `ui/dist`.
//!
//! Without npm there is no page, and the gateway builds all the same: an empty folder is made, a
//! warning given, and `GET /` says what to do.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let dist = manifest.join("../ui/dist");
    fs::create_dir_all(&dist).expect("ui/dist can be made");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &dist, &mut files);
    files.sort();
    if !files.iter().any(|(path, _)| path == "index.html") {
        println!("cargo:warning=ui/dist holds no page: run `npm ci && npm run build` in ui/");
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut table = String::from("static FILES: &[PageFile] = &[\n");
    for (number, (path, file)) in files.iter().enumerate() {
        let bytes = fs::read(file).expect("a file of the page can be read");
        // Taken from a copy: npm may build anew between this and the compiler's turn.
        let copy = out.join(format!("page_{number}"));
        fs::write(&copy, &bytes).expect("a file of the page can be copied");
        writeln!(
            table,
            "    PageFile {{ path: {path:?}, content_type: {:?}, etag: \"\\\"{:016x}\\\"\", \
             bytes: include_bytes!({:?}) }},",
            content_type(path),
            fingerprint(&bytes),
            copy,
        )
        .expect("a String takes every byte");
    }
    table.push_str("];\n");
    fs::write(out.join("page_files.rs"), table).expect("the table can be written");
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("cargo sets this")
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("ui/dist can be read") {
        let path = entry.expect("ui/dist can be read").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(relative) = path.strip_prefix(root) {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push((relative.to_string_lossy().replace('\\', "/"), path));
        }
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// FNV-1a over 64 bits: tells one build's file from another's, which is all that an ETag needs.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
