//! Core, Monocypher and a port, compiled as they stand in flash.

use super::toolchain::{self, Archive, Made, Rules};
use crate::{run::root, sources};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A path in the firmware's room.
pub(super) fn room(path: &str) -> PathBuf {
    root().join("firmware").join(path)
}

/// What a port adds.
#[derive(Default)]
pub(super) struct Port {
    pub(super) sources: Vec<PathBuf>,
    pub(super) includes: Vec<PathBuf>,
    /// Folders of headers that are not ours to judge.
    pub(super) foreign_includes: Vec<PathBuf>,
    pub(super) defines: Vec<String>,
}

pub(super) struct Parts {
    pub(super) core: Made,
    pub(super) monocypher: Made,
    pub(super) port: Made,
}

impl Parts {
    pub(super) fn make(folder: &Path, port: Port) -> Result<Self> {
        let monocypher = sources::monocypher()?;
        let mut includes = vec![
            room("core"),
            room("port"),
            monocypher.clone(),
            monocypher.join("optional"),
        ];
        includes.extend(port.includes);
        // Twelve rounds of BLAKE2b written out are 19 KB of flash.
        let mut defines = vec!["BLAKE2_NO_UNROLLING".to_owned()];
        defines.extend(port.defines);
        let archive = |name, sources, foreign_includes, rules| {
            toolchain::archive(
                folder,
                &Archive {
                    name,
                    sources,
                    includes: includes.clone(),
                    foreign_includes,
                    defines: defines.clone(),
                    rules,
                },
            )
        };
        // The first includes all of monocypher.c, and so it counts as Monocypher here.
        let x25519 = room("core/x25519.c");
        let mut core = toolchain::sources("core")?;
        core.retain(|path| *path != x25519);
        let foreign = vec![x25519, monocypher.join("optional/monocypher-ed25519.c")];
        core.extend(toolchain::sources("port/lx106")?);
        Ok(Parts {
            core: archive("core", core, Vec::new(), Rules::Ours)?,
            monocypher: archive("monocypher", foreign, Vec::new(), Rules::Foreign)?,
            port: archive("port", port.sources, port.foreign_includes, Rules::Ours)?,
        })
    }

    pub(super) fn all(&self) -> [&Made; 3] {
        [&self.core, &self.monocypher, &self.port]
    }

    pub(super) fn names(&self) -> [&str; 3] {
        self.all().map(|made| made.name.as_str())
    }

    /// The compiler's call graphs.
    pub(super) fn graphs(&self) -> Vec<PathBuf> {
        let graphs = self.all().map(|made| made.graphs.clone());
        graphs.into_iter().flatten().collect()
    }
}
