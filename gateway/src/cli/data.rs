//! The commands about all that is kept: `migrate`, `backup`, `restore`, `export`, `import`.

use crate::{
    config::Settings,
    hex, journal, private,
    store::{Database, DumpError, DumpSummary, SqlConfigStore},
};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

/// What is to be done with all that is kept.
#[derive(Debug, Subcommand)]
pub(super) enum DataTask {
    /// Bring the database up to this program, as its start does
    Migrate,
    /// Write all that is kept to a file, while the gateway may be running; of use only together with the master key
    Backup {
        /// The file, which must not be there yet
        file: PathBuf,
        /// Leave history out, which is most of what there is
        #[arg(long)]
        without_history: bool,
    },
    /// Fill an empty database from a backup
    Restore {
        /// The file
        file: PathBuf,
    },
    /// Write all that is kept to standard output, as lines of JSON
    Export {
        /// Leave history out
        #[arg(long)]
        without_history: bool,
    },
    /// Fill an empty database from standard input
    Import,
}

/// Does it, and says what came of it.
pub(super) async fn run(task: DataTask, settings: &Settings) -> anyhow::Result<()> {
    crate::server::make_private_folder(&settings.data)?;
    let (database, limit) = (&settings.database, settings.store_timeout);
    match task {
        DataTask::Migrate => {
            let sealer = settings.master_key.sealer()?;
            let version = SqlConfigStore::migrate(database, &sealer, limit).await?;
            let (found, known) = (version.found, version.known);
            if found == known {
                say(&format!(
                    "the database is of schema version {known} already"
                ))
            } else {
                say(&format!(
                    "brought the database from schema version {found} to {known}"
                ))
            }
        }
        DataTask::Backup {
            file: path,
            without_history,
        } => {
            let summary = backup((database, without_history), settings, &path).await?;
            say(&format!("{}: {}", path.display(), told(&summary)))
        }
        DataTask::Restore { file: path } => {
            let shown = path.display().to_string();
            // Looked at as a whole before anything is touched.
            let whole = SqlConfigStore::check_dump(&mut open(&path)?).await;
            whole.with_context(|| format!("cannot restore {shown}"))?;
            let _alone = journal::keep_gateways_off(&settings.data)?;
            let sealer = settings.master_key.sealer()?;
            let summary = SqlConfigStore::import(database, &sealer, limit, &mut open(&path)?).await;
            let summary = summary.with_context(|| format!("cannot restore {shown}"))?;
            say(&format!("restored {shown}: {}", told(&summary)))
        }
        DataTask::Export { without_history } => {
            let mut stdout = BufWriter::new(std::io::stdout().lock());
            export((database, without_history), settings, &mut stdout).await?;
            Ok(())
        }
        DataTask::Import => {
            let _alone = journal::keep_gateways_off(&settings.data)?;
            let sealer = settings.master_key.sealer()?;
            let mut stdin = BufReader::new(std::io::stdin());
            let summary = SqlConfigStore::import(database, &sealer, limit, &mut stdin).await?;
            say(&format!("imported {}", told(&summary)))
        }
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn told(summary: &DumpSummary) -> String {
    let rows = summary.rows;
    let digest = hex::encode(&summary.digest[..8]);
    format!(
        "{rows} rows of schema version {}, digest {digest}…",
        summary.schema
    )
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file))
}

/// Writes all there is, or all but history.
async fn export(
    (database, without_history): (&Database, bool),
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<DumpSummary, DumpError> {
    let limit = settings.store_timeout;
    match without_history {
        true => SqlConfigStore::export_without_history(database, limit, out).await,
        false => SqlConfigStore::export(database, limit, out).await,
    }
}

/// Writes a backup for its owner alone, reads it again, and only then gives it its name.
async fn backup(
    what: (&Database, bool),
    settings: &Settings,
    path: &Path,
) -> anyhow::Result<DumpSummary> {
    if path.exists() {
        bail!(
            "expected a file that is not there yet and found {}",
            path.display()
        );
    }
    let name = path.file_name().context("expected the name of a file")?;
    let unfinished = path.with_file_name({
        let mut unfinished = name.to_owned();
        unfinished.push(format!(".unfinished-{:08x}", rand::random::<u32>()));
        unfinished
    });
    let written = write_checked(what, settings, &unfinished).await;
    let summary = match written {
        Ok(summary) => summary,
        Err(error) => {
            // What is of no use does not stay; whether it goes changes nothing.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    // Unlike renaming, this leaves a file alone that came up meanwhile.
    let named = std::fs::hard_link(&unfinished, path);
    std::fs::remove_file(&unfinished)?;
    named.with_context(|| format!("cannot name the backup {}", path.display()))?;
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(summary)
}

async fn write_checked(
    what: (&Database, bool),
    settings: &Settings,
    path: &Path,
) -> anyhow::Result<DumpSummary> {
    let file =
        private::create_file(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = BufWriter::new(file);
    let summary = export(what, settings, &mut writer).await?;
    let file = writer.into_inner().context("cannot write the backup")?;
    file.sync_all().context("cannot write the backup")?;
    let read = SqlConfigStore::check_dump(&mut open(path)?).await?;
    anyhow::ensure!(
        read == summary,
        "expected to read what was written: the disk is unwell"
    );
    Ok(summary)
}
