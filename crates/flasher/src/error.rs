//! What can go wrong on the serial side.

/// Why a serial operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system's device registry (udev, the Windows registry, IOKit) did not answer.
    #[error("listing serial ports: expected an answer from the system's device registry")]
    List(#[source] serialport::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_expected_and_keeps_the_cause() {
        let cause = serialport::Error::new(serialport::ErrorKind::Unknown, "udev is gone");
        let error = Error::List(cause);
        assert_eq!(
            error.to_string(),
            "listing serial ports: expected an answer from the system's device registry"
        );
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("udev is gone"));
    }
}
