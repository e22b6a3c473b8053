//! What is said on the command line about batches of boards.

use super::{Output, boards::How, job::trusted};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use switchyard_flasher::{Naming, TrustedKey};
use switchyard_protocol::SiteId;

/// What to do about a batch.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchVerb {
    /// Do a signed job to boards as they are plugged in, several at once, until interrupted
    Run {
        #[command(flatten)]
        order: Box<BatchOrder>,
    },
    /// Make addresses and keys at the gateway, for boards that are made where there is none
    Reserve {
        /// How many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
        /// The file that they are kept in, or added to. It has keys: keep it as secret as them
        #[arg(long, value_name = "FILE")]
        into: PathBuf,
        /// The site that they belong to
        #[arg(long, value_name = "N")]
        site: Option<SiteId>,
        /// What the gateway calls them until somebody gives them other titles
        #[arg(long, value_name = "PATTERN", default_value = "Reserved {n:04}", value_parser = naming)]
        title_pattern: Naming,
        #[command(flatten)]
        output: Output,
    },
    /// Take back at the gateway what no board was given
    Return {
        /// The file of `batch reserve`
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Show how well a batch goes
    Yield {
        /// Its report
        report: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

/// A batch that is to be made.
#[derive(Args, Clone, Debug)]
pub(crate) struct BatchOrder {
    /// The job
    pub(crate) job: PathBuf,
    /// A public key whose jobs are taken, 64 hexadecimal digits; may be said several times
    #[arg(
        long,
        value_name = "KEY",
        required = true,
        env = "SWITCHYARD_JOB_KEYS",
        value_delimiter = ',',
        value_parser = trusted
    )]
    pub(crate) trust: Vec<TrustedKey>,
    /// What became of each board is added to this file: .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) report: PathBuf,
    /// A serial port that boards are on; may be said several times [default: each USB one that is plugged in from now on]
    #[arg(long = "port", short = 'p', value_name = "PATH")]
    pub(crate) serial_ports: Vec<String>,
    #[command(flatten)]
    pub(crate) how: How,
    /// How many boards at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = slots)]
    pub(crate) slots: usize,
    /// The folder for the labels that the job prints
    #[arg(long, value_name = "DIR")]
    pub(crate) labels: Option<PathBuf>,
    /// Do boards again that passed before
    #[arg(long)]
    pub(crate) again: bool,
    /// Make other controllers of boards that somebody else has enrolled
    #[arg(long)]
    pub(crate) replace: bool,
    /// Take addresses and keys from this file of `batch reserve`; it is for jobs that say so
    #[arg(long, value_name = "FILE")]
    pub(crate) stock: Option<PathBuf>,
    /// The site that new controllers belong to
    #[arg(long, value_name = "N", conflicts_with = "stock")]
    pub(crate) site: Option<SiteId>,
    /// End once so many boards have passed
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) count: Option<usize>,
    /// Keep no copy of what is overwritten
    #[arg(long)]
    pub(crate) no_backup: bool,
    /// Say that the boards are off mains, where nobody can be asked
    #[arg(long)]
    pub(crate) off_mains: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// More threads than that no bench has cables for.
fn slots(text: &str) -> Result<usize, String> {
    let number = positive(text)?;
    (number <= 64)
        .then_some(number)
        .ok_or_else(|| "expected 1 to 64".to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|it| *it > 0);
    number.ok_or_else(|| "expected a number from 1 on".to_owned())
}

fn naming(text: &str) -> Result<Naming, String> {
    let naming = text.parse::<Naming>().map_err(|error| error.to_string())?;
    // Which board gets it nobody knows by then.
    if !naming.has_number() || text.contains("{mac") {
        return Err("expected a pattern with {n}, such as \"Reserved {n:04}\"".to_owned());
    }
    Ok(naming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(slots("64"), Ok(64));
        for text in ["0", "65", "-1", "", "x"] {
            assert!(slots(text).is_err(), "{text}");
        }
        assert!(naming("Spare {n}").is_ok());
        for text in ["Spare", "Spare {mac}", "Spare {n} {mac:4}"] {
            assert!(naming(text).is_err(), "{text}");
        }
    }
}
