//! The rules of the house that no other tool knows: who may depend on whom, what the controller's
//! core may include, how files begin, and what must never be committed.

use crate::run::{cargo, output, root};
use anyhow::{Context, Result, bail};
use std::{collections::BTreeSet, path::Path, process::Command};

/// Who may depend on whom, as drawn in ARCHITECTURE.md. Development dependencies may also be
/// `testkit` and anything that a room is tested against.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("relay", &["protocol"]),
    ("client", &["protocol"]),
    ("flasher", &["client", "protocol"]),
    ("firmware", &["protocol"]),
    ("telephone", &[]),
    ("gateway", &["relay", "protocol", "firmware", "telephone"]),
    ("tui", &["client", "flasher", "firmware", "protocol"]),
    ("desktop", &["client", "flasher", "firmware", "protocol"]),
    ("testkit", &["protocol", "firmware", "telephone"]),
    ("xtask", &["testkit"]),
    ("bench", &["protocol", "testkit"]),
    (
        "e2e",
        &[
            "client",
            "firmware",
            "gateway",
            "protocol",
            "relay",
            "telephone",
            "testkit",
        ],
    ),
];

/// What the controller's core may include besides its own headers.
const CORE_INCLUDES: &[&str] = &[
    "stdint.h",
    "stddef.h",
    "stdbool.h",
    "port.h",
    "monocypher.c",
    "monocypher.h",
    "monocypher-ed25519.h",
];

/// Lines past which a file wants to be two.
const LINES_MAX: usize = 800;

/// The house has one sign: in a browser's tab and on a desktop's task bar it is the same.
const SIGN: [&str; 2] = ["ui/public/switchyard.svg", "desktop/icons/icon.svg"];

/// Runs every rule and reports all that is wrong at once.
pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    for file in tracked()? {
        let path = root().join(&file);
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        judge(&file, &text, &mut faults);
    }
    dependencies(&mut faults)?;
    let [page, window] = SIGN.map(|file| std::fs::read(root().join(file)).ok());
    if page.is_none() || page != window {
        let [page, window] = SIGN;
        faults.push(format!("{page}: expected the same picture as {window}"));
    }
    if !faults.is_empty() {
        bail!("tidiness:\n  {}", faults.join("\n  "));
    }
    println!("tidy: nothing to mend");
    Ok(())
}

/// The files that git knows, also those not yet added.
fn tracked() -> Result<Vec<String>> {
    let listed = output(Command::new("git").current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .context("expected a git checkout")?;
    Ok(listed.lines().map(String::from).collect())
}

/// Judges one file by its name and text.
fn judge(file: &str, text: &str, faults: &mut Vec<String>) {
    let name = Path::new(file);
    let extension = name
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let mut fault = |message: String| faults.push(format!("{file}: {message}"));
    let is_generated = file.starts_with("ui/src/lib/bindings/") || file.ends_with("lock.json");
    let is_code = matches!(extension, "rs" | "c" | "h" | "ts" | "svelte");

    if is_code && !is_generated {
        let opening = text.trim_start();
        let opens_with_purpose = match extension {
            "rs" => opening.starts_with("//!"),
            "svelte" => opening.starts_with("<!--"),
            _ => opening.starts_with("//") || opening.starts_with("/*"),
        };
        if !opens_with_purpose {
            fault("expected it to open with its purpose and place".into());
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            fault(format!(
                "{lines} lines; past {LINES_MAX} it wants to be two files"
            ));
        }
        for (number, line) in text.lines().enumerate() {
            if line.trim_end() != line {
                fault(format!("line {} ends in white space", number + 1));
            }
        }
    }
    if is_code && !file.starts_with("crates/xtask/") {
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("XX", "X"),
        ] {
            if text.contains(word) {
                fault(format!("{word}: finish it, or write an issue"));
            }
        }
    }
    if file.starts_with("firmware/core/") {
        core_includes(file, text, faults);
    }
    if file.ends_with("package-lock.json") && text.contains("\"resolved\"") {
        faults.push(format!(
            "{file}: expected a lock file without download addresses"
        ));
    }
    if extension == "ts" || extension == "svelte" {
        let is_tauri_host = file.starts_with("ui/src/lib/host/tauri");
        if !is_tauri_host && text.contains("@tauri-apps/") {
            faults.push(format!("{file}: only the Tauri host imports @tauri-apps"));
        }
    }
    if extension == "md" {
        dead_links(name, text, faults);
    }
    if !text.is_empty() && !text.ends_with('\n') && is_code && !is_generated {
        faults.push(format!("{file}: expected a newline at its end"));
    }
}

/// The core knows the language's freestanding headers, its own, and the port's.
fn core_includes(file: &str, text: &str, faults: &mut Vec<String>) {
    let folder = root().join("firmware/core");
    for line in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#include"))
    {
        let header = line.trim().trim_matches(['"', '<', '>']);
        if !CORE_INCLUDES.contains(&header) && !folder.join(header).exists() {
            faults.push(format!("{file}: the core must not include {header}"));
        }
    }
}

/// Links between our own documents must lead somewhere.
fn dead_links(file: &Path, text: &str, faults: &mut Vec<String>) {
    for target in text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let path = target.split('#').next().unwrap_or_default();
        let is_elsewhere = path.is_empty() || path.contains("://") || path.contains(' ');
        let from = root().join(file.parent().unwrap_or(Path::new("")));
        if !is_elsewhere && !from.join(path).exists() {
            faults.push(format!("{}: dead link to {target}", file.display()));
        }
    }
}

/// Compares what cargo knows with the drawing.
fn dependencies(faults: &mut Vec<String>) -> Result<()> {
    let json = output(cargo().current_dir(root()).args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))
    .context("asking cargo for its metadata")?;
    let metadata: serde_json::Value = serde_json::from_str(&json)?;
    let packages = metadata["packages"]
        .as_array()
        .context("expected packages in the metadata")?;
    let short = |name: &str| name.strip_prefix("switchyard-").map(String::from);
    let mut seen = BTreeSet::new();
    for package in packages {
        let Some(room) = package["name"].as_str().and_then(short) else {
            continue;
        };
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{room}: a room that the drawing does not show"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(other) = dependency["name"].as_str().and_then(short) else {
                continue;
            };
            let is_for_tests = dependency["kind"].as_str() == Some("dev");
            if !is_for_tests && !allowed.contains(&other.as_str()) {
                faults.push(format!("{room} must not depend on {other}"));
            }
        }
        seen.insert(room);
    }
    for (room, _) in MAY_DEPEND_ON {
        if !seen.contains(*room) {
            faults.push(format!("{room}: drawn, and not there"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(file: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        judge(file, text, &mut faults);
        faults
    }

    #[test]
    fn finds_each_fault() {
        for (file, text, expected) in [
            (
                "gateway/src/a.rs",
                "fn main() {}\n",
                "open with its purpose",
            ),
            ("gateway/src/a.rs", "//! A.\nlet a = 1; \n", "white space"),
            (
                "gateway/src/a.rs",
                concat!("//! A.\n// TO", "DO\n"),
                "finish it",
            ),
            ("gateway/src/a.rs", "//! A.", "newline"),
            (
                "firmware/core/a.c",
                "// A.\n#include <stdio.h>\n",
                "must not include stdio.h",
            ),
            (
                "ui/src/a.ts",
                "// A.\nimport '@tauri-apps/api';\n",
                "only the Tauri host",
            ),
            (
                "ui/package-lock.json",
                "{\"resolved\": \"\"}",
                "download addresses",
            ),
            ("docs/a.md", "[x](nowhere.md)", "dead link"),
        ] {
            let faults = faults_of(file, text);
            assert!(
                faults.iter().any(|fault| fault.contains(expected)),
                "{expected}: {faults:?}"
            );
        }
        let long = format!("//! A.\n{}", "x\n".repeat(LINES_MAX));
        assert!(faults_of("gateway/src/a.rs", &long)[0].contains("two files"));
    }

    #[test]
    fn lets_good_files_pass() {
        assert_eq!(
            faults_of("gateway/src/a.rs", "//! A.\nfn main() {}\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            faults_of("firmware/core/a.c", "// A.\n#include <stdint.h>\n"),
            Vec::<String>::new()
        );
    }
}
