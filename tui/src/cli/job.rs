//! What is said on the command line about jobs for batches of boards.

use super::Output;
use clap::Subcommand;
use std::path::PathBuf;
use switchyard_flasher::TrustedKey;

/// What to do with a job.
#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Look whether all about a job is right, and sign it in its place
    Sign {
        /// The job: TOML, as docs/batch.md has it
        file: PathBuf,
        /// The file with the secret key, 64 hexadecimal digits; `openssl rand -hex 32` makes one
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Look whether all about a signed job is right, and show what it does
    Show {
        /// The job
        file: PathBuf,
        /// A public key whose jobs are taken, 64 hexadecimal digits; may be said several times
        #[arg(
            long,
            value_name = "KEY",
            required = true,
            env = "SWITCHYARD_JOB_KEYS",
            value_delimiter = ',',
            value_parser = trusted
        )]
        trust: Vec<TrustedKey>,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) fn trusted(text: &str) -> Result<TrustedKey, String> {
    text.parse::<TrustedKey>()
        .map_err(|error| error.to_string())
}
