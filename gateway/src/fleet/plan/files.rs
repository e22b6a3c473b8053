//! A fleet's file, read and written.

use super::{
    CONTROLLERS_MAX, Controller, FILE_BYTES_MAX, Fleet, GROUPS_MAX, Label, PARAMETERS_MAX,
    TAGS_MAX, Value,
};
use crate::compiler::SOURCE_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_protocol::{
    Address,
    message::{Name, Title},
};
use thiserror::Error;
use toml::Spanned;

/// What is wrong with a fleet's files.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Something in the TOML file.
    #[error("line {line}: {message}")]
    At {
        /// Where, from 1.
        line: usize,
        /// What was expected.
        message: String,
    },
    /// The whole is too much.
    #[error("expected {what} of at most {most}, got {got}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
        /// What is there.
        got: usize,
    },
    /// A script is longer than any controller takes.
    #[error("expected a script of at most {SOURCE_BYTES_MAX} bytes, got {bytes} in {script}")]
    ScriptTooLong {
        /// Which.
        script: Label,
        /// Its length.
        bytes: usize,
    },
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<S> {
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    sites: BTreeMap<Label, SiteInFile>,
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    controllers: BTreeMap<NumberInFile, S>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteInFile {
    title: TextInFile<Bare>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllerInFile<L> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<TextInFile<Title>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<L>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeSet<TextInFile<Bare>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<L>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<TextInFile<Name>, Value>,
}

/// A controller's number, which TOML's keys have as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct NumberInFile(Address);

impl TryFrom<String> for NumberInFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.parse().ok().map(Address);
        number
            // Written in one way only, or one controller could stand there twice.
            .filter(|address| address.is_controller() && address.0.to_string() == text)
            .map(Self)
            .ok_or_else(|| format!("expected a controller's number, got {text:?}"))
    }
}

impl From<NumberInFile> for String {
    fn from(NumberInFile(address): NumberInFile) -> Self {
        address.0.to_string()
    }
}

/// The protocol's texts, which know nothing of files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TextInFile<T>(T);

/// What is read from and written to a file as text.
trait Text: Sized {
    fn of(text: &str) -> Result<Self, String>;
    fn text(&self) -> &str;
}

impl Text for Title {
    fn of(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

/// A title without white space around it: the store takes names of sites and tags in no other form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bare(Title);

impl Text for Bare {
    fn of(text: &str) -> Result<Self, String> {
        if text.trim() != text {
            return Err(format!(
                "expected a text without white space around it, got {text:?}"
            ));
        }
        Title::of(text).map(Self)
    }

    fn text(&self) -> &str {
        self.0.as_str()
    }
}

impl Text for Name {
    fn of(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl<T: Text> Serialize for TextInFile<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text())
    }
}

impl<'de, T: Text> Deserialize<'de> for TextInFile<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::of(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Fleet {
    /// Reads a fleet's file; `scripts` are those beside it, by name.
    pub fn parse(text: &str, scripts: BTreeMap<Label, String>) -> Result<Self, FilesError> {
        within("a fleet's file, in bytes,", text.len(), FILE_BYTES_MAX)?;
        within("a folder of scripts", scripts.len(), GROUPS_MAX)?;
        for (script, source) in &scripts {
            if source.len() > SOURCE_BYTES_MAX {
                return Err(FilesError::ScriptTooLong {
                    script: script.clone(),
                    bytes: source.len(),
                });
            }
        }
        let at = |from: usize, message: String| {
            let before = text.get(..from).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            FilesError::At { line, message }
        };
        let file: File<Spanned<ControllerInFile<Spanned<Label>>>> =
            toml::from_str(text).map_err(|error| {
                let from = error.span().map_or(0, |span| span.start);
                at(from, error.message().to_owned())
            })?;
        within("a list of sites", file.sites.len(), GROUPS_MAX)?;
        within(
            "a list of controllers",
            file.controllers.len(),
            CONTROLLERS_MAX,
        )?;
        let mut controllers = BTreeMap::new();
        for (NumberInFile(address), controller) in file.controllers {
            let from = controller.span().start;
            let controller = controller.into_inner();
            let bounded = |what: &str, count: usize, most: usize| {
                let is_bounded = count <= most;
                is_bounded
                    .then_some(())
                    .ok_or_else(|| at(from, format!("expected at most {most} {what}, got {count}")))
            };
            bounded("tags", controller.tags.iter().flatten().count(), TAGS_MAX)?;
            bounded("parameters", controller.parameters.len(), PARAMETERS_MAX)?;
            let known = |label: Option<Spanned<Label>>,
                         what: &str,
                         is_known: &dyn Fn(&Label) -> bool| {
                let Some(label) = label else {
                    return Ok(None);
                };
                if !is_known(label.get_ref()) {
                    let message = format!("expected {what}, got {:?}", label.get_ref().as_str());
                    return Err(at(label.span().start, message));
                }
                Ok(Some(label.into_inner()))
            };
            let site = known(controller.site, "a site of this file", &|label| {
                file.sites.contains_key(label)
            })?;
            let script = known(controller.script, "a script beside this file", &|label| {
                scripts.contains_key(label)
            })?;
            let parameters = controller.parameters.into_iter();
            let read = Controller {
                title: controller.title.map(|title| title.0),
                site,
                tags: controller
                    .tags
                    .map(|tags| tags.into_iter().map(|tag| tag.0.0).collect()),
                script,
                parameters: parameters.map(|(name, value)| (name.0, value)).collect(),
            };
            controllers.insert(address, read);
        }
        let sites = file.sites.into_iter();
        Ok(Self {
            sites: sites.map(|(site, told)| (site, told.title.0.0)).collect(),
            scripts,
            controllers,
        })
    }

    /// Writes the fleet's file; its scripts are written beside it.
    pub fn to_toml(&self) -> String {
        let sites = self.sites.iter().map(|(site, title)| {
            let title = TextInFile(Bare(title.clone()));
            (site.clone(), SiteInFile { title })
        });
        let controllers = self.controllers.iter().map(|(address, controller)| {
            let parameters = controller.parameters.iter();
            let in_file = |tag: &Title| TextInFile(Bare(tag.clone()));
            let tags = controller.tags.as_ref();
            let written = ControllerInFile {
                title: controller.title.clone().map(TextInFile),
                site: controller.site.clone(),
                tags: tags.map(|tags| tags.iter().map(in_file).collect()),
                script: controller.script.clone(),
                parameters: parameters
                    .map(|(name, value)| (TextInFile(name.clone()), *value))
                    .collect(),
            };
            (NumberInFile(*address), written)
        });
        let file = File {
            sites: sites.collect(),
            controllers: controllers.collect(),
        };
        match toml::to_string(&file) {
            Ok(text) => text,
            Err(error) => unreachable!("tables of texts and numbers are TOML: {error}"),
        }
    }
}

fn within(what: &'static str, got: usize, most: usize) -> Result<(), FilesError> {
    if got > most {
        return Err(FilesError::TooMany { what, most, got });
    }
    Ok(())
}
