//! Whether a script may come into the library: whether the compiler takes it, and for which boards.

use crate::compiler::{Compiler, CompilerError, Fault, Summary, Verdict};
use std::fmt;
use switchyard_firmware::script::Board;
use thiserror::Error;

/// A board that takes a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// As the firmware's profiles call it.
    pub board: String,
    /// What the script declares and costs there.
    pub summary: Summary,
}

/// Why a script may not come into the library.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It does not compile.
    #[error("line {}, column {}: {}", fault.line, fault.column, Told(fault))]
    Refused {
        /// For which board.
        board: String,
        /// Where, and why.
        fault: Fault,
    },
    /// Nothing is known of it.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
}

/// A fault in words, without its place.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a>(pub &'a Fault);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            expected,
            found,
            fix,
            other_line,
            ..
        } = self.0;
        write!(f, "expected {expected}")?;
        if let Some(found) = found {
            write!(f, " and found {found:?}")?;
        }
        if let Some(line) = other_line {
            write!(f, "; see line {line}")?;
        }
        fix.iter().try_for_each(|fix| write!(f, "; {fix}"))
    }
}

/// Compiles a script for each of these boards, all of which have to take it; or, where none is named, for every
/// board there is, of which one has to. Those that took it.
///
/// # Errors
/// [`CheckError`]; where boards refuse it for different reasons, that of the one that came furthest: the others
/// stumbled over pins that they do not have.
pub async fn check(
    compiler: &Compiler,
    boards: &[String],
    source: &str,
) -> Result<Vec<Taken>, CheckError> {
    let known = match boards {
        [] => Board::known().into_iter().map(|(name, _)| name).collect(),
        boards => boards.to_vec(),
    };
    let mut taken = Vec::new();
    let mut furthest: Option<(String, Fault)> = None;
    for board in known {
        match compiler.compile(&board, source).await? {
            Verdict::Compiled { summary, .. } => taken.push(Taken { board, summary }),
            Verdict::Refused(fault) => {
                let place = (fault.line, fault.column);
                let is_further = furthest
                    .as_ref()
                    .is_none_or(|(_, other)| place > (other.line, other.column));
                if is_further {
                    furthest = Some((board, fault));
                }
            }
        }
    }
    match furthest {
        Some((board, fault)) if taken.is_empty() || !boards.is_empty() => {
            Err(CheckError::Refused { board, fault })
        }
        _ => Ok(taken),
    }
}
