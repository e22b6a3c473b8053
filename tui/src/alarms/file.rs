//! Files that people write: TOML or JSON, by the look of their contents.

use crate::exit::Failure;
use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The longest file that is read: the longest plan has some tens of thousands of bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file's text, and what it is called.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    let (name, mut input): (String, Box<dyn Read>) = match path.as_os_str() == "-" {
        true => ("standard input".to_owned(), Box::new(io::stdin().lock())),
        false => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("opening {name}"))?;
            (name, Box::new(file))
        }
    };
    let mut text = String::new();
    let read = input
        .by_ref()
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text);
    let bytes = read.with_context(|| format!("reading {name}"))?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "expected at most {FILE_BYTES_MAX} bytes in {name}"
        )));
    }
    Ok(Source { name, text })
}

impl Source {
    fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    /// What it says, with the line of what is wrong.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let parsed = match self.is_json() {
            true => serde_json::from_str(&self.text).map_err(|error| error.to_string()),
            false => toml::from_str(&self.text).map_err(|error| error.to_string()),
        };
        parsed.map_err(|error| Failure::usage(format!("{}: {}", self.name, error.trim_end())))
    }

    /// What it says in the form of the API, as `--json` prints it: under a key, or bare where it has a field that people
    /// do not write.
    pub(crate) fn wire<T: for<'a> Deserialize<'a>>(&self, key: &str, field: &str) -> Option<T> {
        if !self.is_json() {
            return None;
        }
        let mut value: serde_json::Value = serde_json::from_str(&self.text).ok()?;
        let inner = value.get_mut(key).map(serde_json::Value::take);
        let value = inner.unwrap_or(value);
        value.get(field)?;
        serde_json::from_value(value).ok()
    }
}

/// The same in TOML.
pub(crate) fn write(value: &impl Serialize) -> Result<String, Failure> {
    Ok(toml::to_string(value).context("writing TOML")?)
}

/// A word of a list.
pub(crate) fn word<T: std::fmt::Display>(
    text: &str,
    known: &[T],
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    read(text).ok_or_else(|| {
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        format!("expected one of {} and found {text:?}", known.join(", "))
    })
}

/// Says where it is that something else was expected.
pub(crate) trait Refusal<T> {
    /// The same with the place.
    fn at(self, place: String) -> Result<T, Failure>;
}

impl<T> Refusal<T> for Result<T, String> {
    fn at(self, place: String) -> Result<T, Failure> {
        self.map_err(|why| Failure::usage(format!("{place}: {why}")))
    }
}
