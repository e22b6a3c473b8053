//! Compiles the controller's C core and Monocypher into one static library for this machine, with the
//! controller's own page if it has been built.
//!
//! Monocypher's C sources come out of the `monocypher-sys` crate, which is declared but never
//! compiled: `cargo metadata` tells where cargo keeps it.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

mod page;

/// Warnings that stop the build. Third-party C is compiled without them.
const STRICT: [&str; 7] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wvla",
    "-Werror",
];

fn main() -> Result<(), Box<dyn Error>> {
    let room = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let core = room.join("core");
    let port = room.join("port");
    let host = port.join("host");
    let monocypher = monocypher_sources(&room)?;

    for watched in ["core", "port", "build.rs", "page.rs", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let ui = room.join("../ui");
    for made in [page::PAGE, page::POLICY] {
        println!("cargo:rerun-if-changed={}", ui.join(made).display());
    }
    let page_source = PathBuf::from(env::var("OUT_DIR")?).join("page.c");
    fs::write(&page_source, page::render(&ui)?)?;

    // The rest of Monocypher is compiled where its field arithmetic is needed: see core/x25519.c.
    cc::Build::new()
        .std("c11")
        .opt_level(2)
        .include(&monocypher)
        .file(monocypher.join("optional/monocypher-ed25519.c"))
        .compile("monocypher");

    // Always optimised: a debug build's X25519 is too slow for thousands of controllers.
    let mut build = cc::Build::new();
    build
        .std("c11")
        .opt_level(2)
        .include(&core)
        .include(&port)
        .include(&monocypher)
        .include(monocypher.join("optional"))
        .include(&host)
        .file(host.join("device_host.c"))
        .file(host.join("host.c"))
        .file(host.join("http_host.c"))
        .file(host.join("replay.c"))
        .file(host.join("serial_host.c"))
        .file(page_source);
    // Laboratories and benchmarks may ask for the clear link; an image for a chip never has it.
    build.define("FW_CLEAR_LINK", "1");
    // Thousands of idle controllers cost nothing: see core/runner.h.
    build.define("FW_SKIPS_SCANS", "1");
    // A host has no scan that would wait for a handshake: see core/x25519.h.
    build.define("FW_X25519_AT_ONCE", "1");
    for flag in STRICT {
        build.flag(flag);
    }
    for source in c_sources(&core)? {
        build.file(source);
    }
    build.compile("fwcore");
    // Named again behind the core, which needs it: a linker reads archives from left to right.
    println!("cargo:rustc-link-lib=static=monocypher");
    Ok(())
}

/// Every `.c` file of the core, sorted so that two builds make the same archive.
fn c_sources(core: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(core)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

/// The folder with `monocypher.c` inside the downloaded `monocypher-sys` crate.
fn monocypher_sources(room: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // Offline first: it is quick, and right on every build but the first. The second may download
    // what other platforms would need, since metadata covers the whole lock file.
    let attempts: [&[&str]; 3] = [&["--locked", "--offline"], &["--locked"], &[]];
    let mut complaints = String::new();
    for options in attempts {
        match locate(room, options) {
            Ok(folder) => return Ok(folder),
            Err(error) => complaints.push_str(&format!("\n  with {options:?}: {error}")),
        }
    }
    Err(format!("expected to find Monocypher's sources by cargo metadata:{complaints}").into())
}

fn locate(room: &Path, options: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .arg("--manifest-path")
        .arg(room.join("Cargo.toml"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "monocypher-sys")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("no monocypher-sys among the packages")?;
    let folder = Path::new(manifest).with_file_name("Monocypher").join("src");
    if !folder.join("monocypher.c").is_file() {
        return Err(format!("no monocypher.c in {}", folder.display()).into());
    }
    Ok(folder)
}
