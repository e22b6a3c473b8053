//! Labels for boards: the address large, the title, a QR code that leads to the controller's page, and in small type what
//! somebody needs who stands before the board. As a picture, as a document, or in the language of label printers.
//!
//! Pure: a [`Label`] becomes bytes, the same bytes each time.
//!
//! ```
//! use switchyard_flasher::{Density, Fonts, Label, LabelSize};
//! use switchyard_protocol::{Address, message::Title};
//!
//! let label = Label {
//!     address: Address(100042),
//!     title: Title::new("Pump 007")?,
//!     url: "https://gateway.example/#/100042".to_owned(),
//!     mac: Some([0x5C, 0xCF, 0x7F, 1, 2, 3]),
//!     wifi_name: None,
//!     wifi_password: None,
//! };
//! let size: LabelSize = "40x30mm".parse()?;
//! let picture = label.png(size, Density::Dots8, &Fonts::default())?;
//! assert!(picture.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bitmap;
mod layout;
mod pdf;
#[cfg(test)]
mod tests;
mod text;
mod zpl;

pub use pdf::{Paper, Sheet};
pub use text::Fonts;

use bitmap::Bitmap;
use layout::Layout;
use std::str::FromStr;
use switchyard_protocol::{Address, message::Title, serial::Password};

/// What a label's width and height may be, in millimetres.
const SIDE_MM: std::ops::RangeInclusive<f64> = 10.0..=300.0;
/// Beyond this a code has too many modules for a phone to read it from a label.
const URL_BYTES_MAX: usize = 200;
/// What the names and passwords of a Wi-Fi have at most.
const WIFI_BYTES_MAX: usize = 64;

/// What stands on a board's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The board's number.
    pub address: Address,
    /// What people call it. Written smaller when it is long, and cut with an ellipsis when that does not do.
    pub title: Title,
    /// The controller's page: `http://` or `https://`, in printable ASCII.
    pub url: String,
    /// The chip's own number.
    pub mac: Option<[u8; 6]>,
    /// The name of the Wi-Fi that the board itself opens.
    pub wifi_name: Option<String>,
    /// And what that asks for.
    pub wifi_password: Option<Password>,
}

/// How large a label is. Written `40x30mm`, width first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelSize {
    width_mm: f64,
    height_mm: f64,
}

impl LabelSize {
    /// # Errors
    /// [`LabelError::Size`]: both are from 10 to 300 mm.
    pub fn new(width_mm: f64, height_mm: f64) -> Result<Self, LabelError> {
        if SIDE_MM.contains(&width_mm) && SIDE_MM.contains(&height_mm) {
            Ok(Self {
                width_mm,
                height_mm,
            })
        } else {
            Err(LabelError::Size)
        }
    }

    /// From left to right.
    #[must_use]
    pub fn width_mm(self) -> f64 {
        self.width_mm
    }

    /// From top to bottom.
    #[must_use]
    pub fn height_mm(self) -> f64 {
        self.height_mm
    }

    /// The same in dots.
    fn dots(self, density: Density) -> [usize; 2] {
        [self.width_mm, self.height_mm].map(|side| (side * density.dots_per_mm()).round() as usize)
    }
}

impl FromStr for LabelSize {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let sides = text.strip_suffix("mm").unwrap_or(text).split_once('x');
        let (width, height) = sides.ok_or(LabelError::Size)?;
        let number = |digits: &str| digits.trim().parse().map_err(|_| LabelError::Size);
        Self::new(number(width)?, number(height)?)
    }
}

/// How fine a printer prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Density {
    /// 8 dots a millimetre, which makers call 203 dpi.
    #[default]
    Dots8,
    /// 12 dots a millimetre, 300 dpi.
    Dots12,
}

impl Density {
    fn dots_per_mm(self) -> f64 {
        match self {
            Density::Dots8 => 8.0,
            Density::Dots12 => 12.0,
        }
    }
}

/// What a label is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelForm {
    /// A picture.
    Png,
    /// A document of one page.
    Pdf,
    /// What label printers take.
    Zpl,
}

impl LabelForm {
    /// All of them with their names, which are also the endings of files.
    pub const ALL: [(LabelForm, &'static str); 3] = [
        (LabelForm::Png, "png"),
        (LabelForm::Pdf, "pdf"),
        (LabelForm::Zpl, "zpl"),
    ];
}

/// Why a label cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// No size, or one that no label has.
    #[error("expected a label's size such as 40x30mm, both sides from 10 to 300 mm")]
    Size,
    /// Something does not fit, however small it is written.
    #[error("expected a label that has room for {what}")]
    TooSmall {
        /// What does not fit.
        what: &'static str,
    },
    /// Not an address of a page.
    #[error(
        "expected a page's address that begins with http:// or https://, in at most {URL_BYTES_MAX} printable characters"
    )]
    Url,
    /// Neither a Wi-Fi's name nor its password.
    #[error("expected {what} in 1 to {WIFI_BYTES_MAX} bytes")]
    Wifi {
        /// Which of the two.
        what: &'static str,
    },
    /// No font has this letter.
    #[error("no font has the letter {character:?}")]
    NoGlyph {
        /// The letter.
        character: char,
    },
    /// A letter of a script that is more than letters in a row.
    #[error(
        "expected letters that stand in a row from left to right, and {character:?} is none of them"
    )]
    Script {
        /// The letter.
        character: char,
    },
    /// A font that is none.
    #[error("expected a TrueType or OpenType font of at most 64 MiB")]
    Font,
    /// Stickers that do not lie on their sheet, or none at all.
    #[error("expected {expected}")]
    Sheet {
        /// What was expected.
        expected: &'static str,
    },
    /// A picture could not be packed.
    #[error("packing a label's picture")]
    Packing,
}

impl LabelError {
    /// What a person can do about it, in plain words; `None` where the error says all there is.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::TooSmall { .. } => {
                Some("Take a larger label, a shorter address of the page, or leave things away.")
            }
            Self::NoGlyph { .. } => Some(
                "The built-in font has Latin, Greek and Cyrillic letters. Name a font file that has this one: --font FILE.",
            ),
            Self::Script { .. } => Some("Give the board a title in another script."),
            _ => None,
        }
    }
}

impl Label {
    /// The label in one of its forms, alone.
    ///
    /// # Errors
    /// What does not fit or cannot be written.
    pub fn print(
        &self,
        form: LabelForm,
        size: LabelSize,
        density: Density,
        fonts: &Fonts,
    ) -> Result<Vec<u8>, LabelError> {
        match form {
            LabelForm::Png => self.png(size, density, fonts),
            LabelForm::Pdf => Paper::Single(size).pdf(std::slice::from_ref(self), fonts),
            LabelForm::Zpl => Ok(self.zpl(size, density, fonts)?.into_bytes()),
        }
    }

    /// A picture of one bit a dot, black on white, exactly as many dots as the label has.
    ///
    /// # Errors
    /// What does not fit or cannot be written.
    pub fn png(
        &self,
        size: LabelSize,
        density: Density,
        fonts: &Fonts,
    ) -> Result<Vec<u8>, LabelError> {
        let faces = fonts.faces()?;
        let dots_per_mm = density.dots_per_mm();
        let layout = Layout::compose(self, size, dots_per_mm, &faces)?;
        let [width, height] = size.dots(density);
        let mut bitmap = Bitmap::new(width, height);
        for line in &layout.lines {
            let at = [line.x, line.y].map(|place| place * dots_per_mm);
            let outline = faces.outline(line.style, &line.text, line.size * dots_per_mm, at)?;
            bitmap.fill(&outline);
        }
        let code = &layout.code;
        let [left, top, module] =
            [code.x, code.y, code.module].map(|it| (it * dots_per_mm).round() as usize);
        for (x, y) in code.dark() {
            bitmap.rectangle(left + x * module, top + y * module, module, module);
        }
        bitmap.png(density).ok_or(LabelError::Packing)
    }

    /// ZPL II, as Zebra's printers and many others take it: the printer draws letters and code itself. A line with
    /// letters beyond Latin-1, which not every printer has, goes as a picture.
    ///
    /// # Errors
    /// What does not fit or cannot be written.
    pub fn zpl(
        &self,
        size: LabelSize,
        density: Density,
        fonts: &Fonts,
    ) -> Result<String, LabelError> {
        let faces = fonts.faces()?;
        let layout = Layout::compose(self, size, density.dots_per_mm(), &faces)?;
        zpl::print(&layout, &self.url, size, density, &faces)
    }

    /// Finds what cannot be before anything is drawn.
    fn check(&self) -> Result<(), LabelError> {
        let is_page = self.url.starts_with("https://") || self.url.starts_with("http://");
        let is_printable = self.url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_page || !is_printable || self.url.len() > URL_BYTES_MAX {
            return Err(LabelError::Url);
        }
        let password = self.wifi_password.as_ref().map(|it| it.0.as_str());
        for (text, what) in [
            (self.wifi_name.as_deref(), "the name of a Wi-Fi"),
            (password, "the password of a Wi-Fi"),
        ] {
            if text.is_some_and(|it| it.is_empty() || it.len() > WIFI_BYTES_MAX) {
                return Err(LabelError::Wifi { what });
            }
        }
        Ok(())
    }
}
