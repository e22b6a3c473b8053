//! What a failed call tells the page: a stable word to switch on, and a text for logs.

use serde::Serialize;
use ts_rs::TS;

/// A call that failed, as it crosses the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, thiserror::Error)]
#[ts(rename = "HostFault")]
#[error("{message} ({code})")]
pub struct Fault {
    /// One of docs/http.md, of docs/protocol.md section 9, of the client's own, or `settings_unavailable`,
    /// `serial_unavailable`, `board_busy` and `off_mains_needed`.
    pub code: String,
    /// For people and logs; never a secret.
    pub message: String,
}

impl Fault {
    /// A fault of that code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The page asked for something that no protocol message can hold.
    pub(crate) fn bad_field(expected: impl std::fmt::Display) -> Self {
        Self::new("bad_field", expected.to_string())
    }

    /// Nobody is logged in.
    pub(crate) fn not_logged_in() -> Self {
        Self::new("not_logged_in", "expected somebody to be logged in")
    }
}

impl From<switchyard_client::Error> for Fault {
    fn from(error: switchyard_client::Error) -> Self {
        match &error {
            // The page shows the gateway's own words beside the field that they are about.
            switchyard_client::Error::Http { code, detail, .. } => Self::new(code, detail.as_str()),
            error => Self::new(error.code(), with_causes(error)),
        }
    }
}

impl From<switchyard_flasher::Error> for Fault {
    fn from(error: switchyard_flasher::Error) -> Self {
        Self::new("serial_unavailable", with_causes(&error))
    }
}

impl From<crate::settings::Error> for Fault {
    fn from(error: crate::settings::Error) -> Self {
        Self::new("settings_unavailable", with_causes(&error))
    }
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_clients_and_the_text_names_the_cause() {
        let error = switchyard_client::Error::Unreachable {
            gateway: "yard.example:80".to_owned(),
            source: std::io::Error::other("connection refused"),
        };
        let fault = Fault::from(error);
        assert_eq!(fault.code, "gateway_gone");
        assert_eq!(
            fault.message,
            "could not reach the gateway at yard.example:80: connection refused"
        );
        let json = serde_json::to_string(&fault).expect("JSON");
        assert!(
            json.starts_with(r#"{"code":"gateway_gone","message":"#),
            "{json}"
        );
    }
}
