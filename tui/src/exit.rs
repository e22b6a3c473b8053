//! Exit codes, stable for scripts, and the one failure type that carries them to `main`.

use switchyard_client::{Error, explain};
use switchyard_protocol::{
    Code,
    message::{Receipt, Stage},
};

/// What a script can rely on; the table in `cli::EXIT_CODES` and in the README says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Anything that has no number of its own.
    Other = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Nobody was ever given this address.
    UnknownAddress = 3,
    /// Known, but not there now.
    Offline = 4,
    /// Not accepted, or not allowed.
    Refused = 5,
    /// Its time passed first.
    Expired = 6,
    /// Log in first, or again.
    LogIn = 7,
    /// The gateway cannot be reached.
    GatewayGone = 8,
    /// Executed, but the feedback did not follow.
    NotConfirmed = 9,
    /// Nobody can tell what became of it.
    Unknown = 10,
    /// No answer in time.
    TimedOut = 11,
    /// Stopped by an interrupt, as shells number it.
    Interrupted = 130,
}

/// Why the program ends with something else than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: Option<String>,
}

impl Failure {
    /// Says what was expected and the next step.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: Some(message.into()),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    pub(crate) fn interrupted() -> Self {
        Failure {
            exit: Exit::Interrupted,
            message: None,
        }
    }

    /// The number for the shell.
    pub(crate) fn exit(&self) -> u8 {
        self.exit as u8
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The same failure, about this peer.
    pub(crate) fn about(error: Error, address: impl std::fmt::Display) -> Self {
        let failure = Failure::from(error);
        match failure.exit {
            Exit::UnknownAddress => Failure::new(
                failure.exit,
                format!("nobody was ever given No. {address}; `switchyard ls` shows who there is"),
            ),
            Exit::Offline => Failure::new(
                failure.exit,
                format!(
                    "No. {address} is off line; `switchyard watch {address}` shows when it comes back"
                ),
            ),
            _ => failure,
        }
    }
}

/// The exit code of a refusal's code.
fn exit_of(code: Code) -> Exit {
    match code {
        Code::UnknownAddress => Exit::UnknownAddress,
        Code::Offline => Exit::Offline,
        Code::Expired => Exit::Expired,
        Code::BadToken | Code::Revoked => Exit::LogIn,
        Code::ShuttingDown => Exit::GatewayGone,
        Code::TimedOut => Exit::TimedOut,
        Code::NotConfirmed => Exit::NotConfirmed,
        _ => Exit::Refused,
    }
}

/// The exit code of a command's last receipt; `None` for one that went well.
pub(crate) fn exit_of_receipt(receipt: &Receipt) -> Option<Exit> {
    match receipt.stage {
        Stage::Expired => Some(Exit::Expired),
        Stage::Refused => Some(receipt.reason.map_or(Exit::Refused, exit_of)),
        Stage::Failed => Some(Exit::NotConfirmed),
        Stage::Unknown => Some(Exit::Unknown),
        Stage::Queued | Stage::Sent | Stage::Delivered | Stage::Executed | Stage::Confirmed => None,
    }
}

/// A command that did not go well, with the next step.
pub(crate) fn failed_receipt(receipt: &Receipt, exit: Exit) -> Failure {
    let why = receipt.reason.map(explain).unwrap_or("no reason was given");
    let detail = receipt.detail.as_ref().map(|detail| format!(": {detail}"));
    let detail = detail.unwrap_or_default();
    let next = match exit {
        Exit::Unknown => "; look at `switchyard watch` before sending it again",
        Exit::Offline => "; with --wait it would wait for the controller until --timeout",
        Exit::Expired => "; send it again, with a longer --timeout if need be",
        _ => "",
    };
    let stage = receipt.stage.name();
    Failure::new(
        exit,
        format!("the command ended as {stage}: {why}{detail}{next}"),
    )
}

/// An error with all that it comes from.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.code() {
            "bad_credentials" | "code_needed" | "not_logged_in" | "bad_token" | "revoked" => {
                Exit::LogIn
            }
            "gateway_gone" | "not_a_gateway" | "shutting_down" => Exit::GatewayGone,
            "timed_out" => Exit::TimedOut,
            "bad_url" | "tls_unsupported" => Exit::Usage,
            "closed" | "unexpected_answer" => Exit::Other,
            _ => error.protocol_code().map_or(Exit::Refused, exit_of),
        };
        let mut message = with_causes(&error);
        let next = match (exit, error.code()) {
            (Exit::LogIn, "bad_credentials") => "",
            (Exit::LogIn, "code_needed") => "; add `--code DIGITS`",
            (Exit::LogIn, _) => "; run `switchyard login` again",
            (Exit::GatewayGone, _) => "; is it running, and is the address right?",
            (Exit::Refused, "forbidden") => "; ask an admin for a stronger role",
            _ => "",
        };
        message.push_str(next);
        Failure::new(exit, message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::new(Exit::Other, format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // `switchyard ls | head` closes the pipe: an end, not a complaint.
        let message = (error.kind() != std::io::ErrorKind::BrokenPipe).then(|| error.to_string());
        Failure {
            exit: Exit::Other,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_their_numbers() {
        for (code, exit) in [
            (Code::UnknownAddress, 3),
            (Code::Offline, 4),
            (Code::Forbidden, 5),
            (Code::NotManual, 5),
            (Code::Busy, 5),
            (Code::Expired, 6),
            (Code::BadToken, 7),
            (Code::TimedOut, 11),
        ] {
            let failure = Failure::from(Error::Refused { code, detail: None });
            assert_eq!(failure.exit(), exit, "{code}");
        }
        assert_eq!(Failure::from(Error::LinkLost).exit(), 8);
        let code_needed = Failure::from(Error::Http {
            status: 401,
            code: "code_needed".to_owned(),
            detail: "this account has a second factor".to_owned(),
        });
        assert_eq!(code_needed.exit(), 7);
        assert!(
            code_needed
                .message()
                .unwrap()
                .ends_with("add `--code DIGITS`")
        );
    }
}
