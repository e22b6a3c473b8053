//! Bounded texts, made only by parsing.

use crate::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX};
use std::fmt;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not a point's or command's name.
    #[error("expected a name of 1 to 24 letters, digits or underscores, not starting with a digit")]
    Name,
    /// Not a title.
    #[error("expected a title of 1 to 64 bytes without control characters")]
    Title,
    /// Too long.
    #[error("expected a text of at most 200 bytes")]
    Text,
}

macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $error:ident, |$text:ident| $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Box<str>);

        impl $type {
            /// Takes the text if it is in range.
            ///
            /// # Errors
            /// [`TextError`] says what was expected.
            pub fn new($text: &str) -> Result<Self, TextError> {
                if $valid { Ok($type($text.into())) } else { Err(TextError::$error) }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
    };
}

text! {
    /// The name of a point or command: 1–24 bytes of `[A-Za-z0-9_]`, not starting with a digit.
    Name, Name, |text| (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

text! {
    /// What people call a thing: 1–64 bytes of UTF-8 without control characters (U+0000–U+001F,
    /// U+007F–U+009F).
    Title, Title, |text| (1..=TITLE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

text! {
    /// A sentence: at most 200 bytes of UTF-8.
    Text, Text, |text| text.len() <= TEXT_BYTES_MAX
}

impl Text {
    /// As much of `text` as fits, cut at a character's border.
    pub fn cut(text: &str) -> Self {
        Text(text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into())
    }
}
