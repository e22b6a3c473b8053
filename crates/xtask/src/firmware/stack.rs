//! The deepest chain of calls of our own: from the call graphs that the compiler writes beside objects.
//!
//! A node has its frame in bytes, an edge is a call. What is called through a pointer the compiler does
//! not know: a table tells by the place of the call. A cycle is recursion, which the house forbids.

use super::toolchain::REDIRECTED;
use anyhow::{Context, Result, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// What every port's functions for the core are called.
const PORT: &[&str] = &[
    "send_bytes",
    "now_ms",
    "fill_random",
    "log_line",
    "dial",
    "hang_up",
    "read_input",
    "write_output",
];

/// Calls through pointers: the source in which one stands, and what it may reach. A name ending in `*`
/// stands for all that begin so; a name with a file for that file's static functions.
const THROUGH_POINTERS: &[(&str, &[&str])] = &[
    ("core/inside.h", PORT),
    ("core/link.c", PORT),
    ("core/send.c", PORT),
    ("core/send.c", &["core/device_kept.c:event"]),
    // What the link asks of whoever keeps things.
    (
        "core/answer.c",
        &[
            "core/device_kept.c:take",
            "core/device_kept.c:tell",
            "core/device_kept.c:detail",
            "core/device_kept.c:event_arrived",
        ],
    ),
    ("core/controller.c", PORT),
    (
        "core/flash.c",
        &["flash_read", "flash_program", "flash_erase"],
    ),
    // What a journal's owner still wants of its records.
    (
        "core/journal.c",
        &[
            "core/logbook.c:carry",
            "core/retain.c:carry",
            "core/slots.c:carry",
            "core/update.c:carry",
        ],
    ),
    (
        "core/cbor.c",
        &["fw_name_valid", "fw_title_valid", "fw_text_valid"],
    ),
    // The sinks of a compiled script.
    (
        "core/compile_base.c",
        &[
            "put_code",
            "put_table",
            "core/scripts.c:append_code",
            "core/scripts.c:append_table",
        ],
    ),
    // What the API asks of the device, and what is asked of the machine under that.
    (
        "core/api.c",
        &[
            "core/device_api.c:*",
            "core/api_work.c:*",
            "fw_device_verifier",
        ],
    ),
    (
        "core/api_show.c",
        &[
            "core/device_api.c:*",
            "fw_device_setting",
            "fw_device_verifier",
            RECORDING,
            "fw_device_shadow",
        ],
    ),
    (
        "core/api_work.c",
        &[
            "core/device_api.c:*",
            "fw_device_change_settings",
            "fw_device_verifier",
            RECORDING,
            "fw_device_keep_recording",
            "fw_device_breakpoint",
            "fw_device_step",
            "fw_device_let_go",
        ],
    ),
    (
        "core/serial.c",
        &["core/device_api.c:*", "fw_device_verifier"],
    ),
    (
        "core/serial_improv.c",
        &[
            "core/device_api.c:*",
            "fw_device_setting",
            "fw_device_change_settings",
        ],
    ),
    (
        "core/serial_request.c",
        &[
            "core/device_api.c:*",
            "fw_device_setting",
            "fw_device_change_settings",
            "fw_device_enrol",
            "fw_device_verifier",
        ],
    ),
    ("core/serial_line.c", &["serial_room", "serial_write"]),
    ("core/http_server.c", &["core/api.c:*", "http_*"]),
    ("core/device.c", MACHINE),
    ("core/device_api.c", MACHINE),
    ("core/device_kept.c", MACHINE),
    ("core/device_recorder.c", MACHINE),
    ("core/device_shadow.c", MACHINE),
    ("core/scripts.c", MACHINE),
    // The SDK's own handler.
    ("port/esp8266/exceptions.c", &[]),
];

/// What reads a kept recording.
const RECORDING: &str = "fw_device_recording";

/// What every port's functions for the device are called.
const MACHINE: &[&str] = &["now_ms", "fill_random", "flash_map", "machine_*"];

/// Frames of functions that are not compiled by us: the ROM's division, the C library's leaves. None of
/// them is deeper (read off the disassembly of libgcc's; the ROM's are as short).
const FOREIGN_BYTES: u32 = 64;

const UNKNOWN: &str = "__indirect_call";

/// The longest chain of calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) bytes: u32,
    /// From its beginning, each with its frame.
    pub(super) functions: Vec<(String, u32)>,
}

#[derive(Default)]
struct Graph {
    /// Bytes of the frame; none where the function is not ours.
    frames: BTreeMap<String, Option<u32>>,
    calls: BTreeMap<String, BTreeSet<String>>,
    /// Caller and place of the calls through pointers.
    through_pointers: BTreeSet<(String, String)>,
}

/// Reads the graphs and finds the chain from any function that the image holds; the linker has left out
/// what nothing calls.
///
/// # Errors
/// On recursion, a frame whose size is known only when it runs, or a call through a pointer that the
/// table does not know.
pub(super) fn deepest(graphs: &[PathBuf], held: &BTreeSet<&str>) -> Result<Chain> {
    let mut graph = Graph::default();
    for path in graphs {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        graph.read(&text)?;
    }
    graph.resolve()?;
    graph.deepest(|name| {
        let function = name.rsplit(':').next().unwrap_or_default();
        held.contains(function.replace('$', ".").as_str())
    })
}

impl Graph {
    fn read(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            if line.starts_with("node:") {
                let title = name_of(quoted(line, "title")?);
                let label = quoted(line, "label")?;
                if label.contains("(dynamic)") {
                    bail!("{title}: its frame is known only when it runs");
                }
                let frame = label
                    .rsplit("\\n")
                    .find_map(|part| part.strip_suffix(" bytes (static)"))
                    .and_then(|bytes| bytes.parse().ok());
                let known = self.frames.entry(title).or_default();
                *known = (*known).max(frame);
            } else if line.starts_with("edge:") {
                let from = name_of(quoted(line, "sourcename")?);
                let to = name_of(quoted(line, "targetname")?);
                if to == UNKNOWN {
                    let place = short(quoted(line, "label")?);
                    self.through_pointers.insert((from, place));
                } else {
                    self.calls.entry(from).or_default().insert(to);
                }
            }
        }
        Ok(())
    }

    /// Puts in the calls through pointers.
    fn resolve(&mut self) -> Result<()> {
        for (caller, place) in &self.through_pointers {
            let file = place.split(':').next().unwrap_or_default();
            let mut is_known = false;
            for (at, targets) in THROUGH_POINTERS {
                if *at != file {
                    continue;
                }
                is_known = true;
                let reached = self
                    .frames
                    .keys()
                    .filter(|name| targets.iter().any(|target| is_meant(target, name)));
                let reached: Vec<String> = reached.cloned().collect();
                self.calls
                    .entry(caller.clone())
                    .or_default()
                    .extend(reached);
            }
            if !is_known {
                bail!(
                    "{place}: a call through a pointer; say in THROUGH_POINTERS (crates/xtask, \
                     stack) what it may reach"
                );
            }
        }
        Ok(())
    }

    fn deepest(&self, is_held: impl Fn(&str) -> bool) -> Result<Chain> {
        let mut found = BTreeMap::new();
        let mut longest = Chain {
            bytes: 0,
            functions: Vec::new(),
        };
        for name in self.frames.keys().filter(|name| is_held(name)) {
            if self.below(name, &mut Vec::new(), &mut found)? > longest.bytes {
                longest.bytes = found[name].0;
                longest.functions = self.walk(name, &found);
            }
        }
        Ok(longest)
    }

    /// Bytes from here on, by depth-first search. `found` has them, and the call that they go by.
    fn below(
        &self,
        name: &str,
        path: &mut Vec<String>,
        found: &mut BTreeMap<String, (u32, Option<String>)>,
    ) -> Result<u32> {
        if let Some((bytes, _)) = found.get(name) {
            return Ok(*bytes);
        }
        if path.iter().any(|above| above == name) {
            bail!("recursion: {} -> {name}", path.join(" -> "));
        }
        path.push(name.into());
        let mut deepest = (0, None);
        for callee in self.calls.get(name).into_iter().flatten() {
            let bytes = self.below(callee, path, found)?;
            if bytes > deepest.0 {
                deepest = (bytes, Some(callee.clone()));
            }
        }
        path.pop();
        let bytes = self.frame(name) + deepest.0;
        found.insert(name.into(), (bytes, deepest.1));
        Ok(bytes)
    }

    fn frame(&self, name: &str) -> u32 {
        self.frames
            .get(name)
            .copied()
            .flatten()
            .unwrap_or(FOREIGN_BYTES)
    }

    fn walk(
        &self,
        from: &str,
        found: &BTreeMap<String, (u32, Option<String>)>,
    ) -> Vec<(String, u32)> {
        let mut functions = Vec::new();
        let mut at = Some(from.to_owned());
        while let Some(name) = at {
            at = found.get(&name).and_then(|(_, next)| next.clone());
            functions.push((name.clone(), self.frame(&name)));
        }
        functions
    }
}

/// `target` as [`THROUGH_POINTERS`] has it.
fn is_meant(target: &str, name: &str) -> bool {
    match target.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == target || name.rsplit(':').next() == Some(target),
    }
}

/// A function's name as the linker will have it, its file's path from the room on.
fn name_of(title: &str) -> String {
    REDIRECTED
        .iter()
        .find(|(from, _)| *from == title)
        .map_or_else(|| short(title), |(_, to)| (*to).into())
}

fn short(path: &str) -> String {
    ["/firmware/", "/src/"]
        .iter()
        .find_map(|room| path.rsplit_once(room))
        .map_or(path, |(_, within)| within)
        .into()
}

fn quoted<'a>(line: &'a str, field: &str) -> Result<&'a str> {
    let opening = format!("{field}: \"");
    line.split_once(&opening)
        .and_then(|(_, rest)| rest.split('"').next())
        .with_context(|| format!("expected {field} in a call graph's line: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, bytes: u32) -> String {
        format!(
            "node: {{ title: \"{name}\" label: \"{name}\\nx.c:1:2\\n{bytes} bytes (static)\" }}\n"
        )
    }

    fn edge(from: &str, to: &str) -> String {
        format!(
            "edge: {{ sourcename: \"{from}\" targetname: \"{to}\" label: \
             \"/x/firmware/core/link.c:1:2\" }}\n"
        )
    }

    fn chain(text: &str) -> Result<Chain> {
        let mut graph = Graph::default();
        graph.read(text)?;
        graph.resolve()?;
        graph.deepest(|name| name != "left_out")
    }

    #[test]
    fn adds_up_the_deepest_chain() {
        let text = [
            node("a", 16),
            node("b", 100),
            node("/x/firmware/core/c.c:c", 32),
            edge("a", "b"),
            edge("a", "/x/firmware/core/c.c:c"),
            edge("/x/firmware/core/c.c:c", "memcpy"),
            node("fw_memcpy", 80),
            node("left_out", 1000),
        ];
        let found = chain(&text.concat()).unwrap();
        assert_eq!(found.bytes, 16 + 32 + 80);
        let names: Vec<_> = found
            .functions
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["a", "core/c.c:c", "fw_memcpy"]);
    }

    #[test]
    fn goes_through_pointers_by_the_table() {
        let port = node("/x/firmware/port/qemu/main.c:send_bytes", 48);
        let text = [node("a", 16), port, edge("a", UNKNOWN)];
        assert_eq!(chain(&text.concat()).unwrap().bytes, 64);
        let elsewhere = text.concat().replace("link.c", "elsewhere.c");
        let error = chain(&elsewhere).unwrap_err().to_string();
        assert!(error.contains("core/elsewhere.c:1:2"), "{error}");
    }

    #[test]
    fn refuses_recursion_and_frames_of_unknown_size() {
        let text = [node("a", 16), node("b", 16), edge("a", "b"), edge("b", "a")];
        assert!(
            chain(&text.concat())
                .unwrap_err()
                .to_string()
                .contains("recursion")
        );
        let dynamic = node("a", 16).replace("(static)", "(dynamic)");
        assert!(chain(&dynamic).is_err());
    }
}
