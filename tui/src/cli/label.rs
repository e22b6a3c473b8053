//! What is said on the command line about labels.

use clap::Args;
use std::path::{Path, PathBuf};
use switchyard_flasher::{Density, LabelForm, LabelSize};
use switchyard_protocol::{Address, message::Title};

/// A label that is to be made.
#[derive(Args, Clone, Debug)]
pub(crate) struct LabelOrder {
    /// The controller's number
    #[arg(long, value_name = "N", value_parser = super::controller)]
    pub(crate) address: Address,
    /// What people call it
    #[arg(long)]
    pub(crate) title: Title,
    /// The gateway's page or the controller's own; the code leads there
    #[arg(long)]
    pub(crate) url: String,
    /// The chip's own number, such as 5c:cf:7f:01:02:03
    #[arg(long, value_parser = mac)]
    pub(crate) mac: Option<[u8; 6]>,
    /// The name of the Wi-Fi that the board itself opens
    #[arg(long, value_name = "NAME")]
    pub(crate) wifi_name: Option<String>,
    /// Read the line with that Wi-Fi's password from standard input. It may also stand in
    /// SWITCHYARD_WIFI_PASSWORD; on a command line everybody could read it
    #[arg(long)]
    pub(crate) wifi_password_stdin: bool,
    /// The label's width and height
    #[arg(long, default_value = "40x30mm", value_parser = size)]
    pub(crate) size: LabelSize,
    /// How many dots the printer prints on a millimetre, for .png and .zpl: 8 (203 dpi) or 12 (300 dpi)
    #[arg(long, value_name = "N", default_value = "8", value_parser = density)]
    pub(crate) dots_per_mm: Density,
    /// For .pdf: put it on a sheet of A4 that has so many stickers beside and below each other
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = pair::<u32>)]
    pub(crate) sheet: Option<(u32, u32)>,
    /// From the sheet's left and top to the first sticker, in millimetres [default: in its middle]
    #[arg(long, value_name = "LEFTxTOP", value_parser = pair::<f64>, requires = "sheet")]
    pub(crate) sheet_margin: Option<(f64, f64)>,
    /// Between one sticker and the next, beside and below, in millimetres
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "0x0", value_parser = pair::<f64>, requires = "sheet")]
    pub(crate) sheet_gap: (f64, f64),
    /// How many stickers of the sheet are gone already
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sheet")]
    pub(crate) sheet_used: u32,
    /// A font file for letters that the built-in one lacks, such as Chinese
    #[arg(long, value_name = "FILE")]
    pub(crate) font: Option<PathBuf>,
    /// The file that is made: .png, .pdf or .zpl
    #[arg(long, short, value_name = "FILE", value_parser = made)]
    pub(crate) out: (PathBuf, LabelForm),
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let expected = || "expected six bytes such as 5c:cf:7f:01:02:03".to_owned();
    let byte = |part: &str| {
        let is_byte = part.len() == 2 && part.bytes().all(|it| it.is_ascii_hexdigit());
        is_byte.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
    bytes.and_then(|it| it.try_into().ok()).ok_or_else(expected)
}

fn size(text: &str) -> Result<LabelSize, String> {
    text.parse::<LabelSize>().map_err(|error| error.to_string())
}

fn density(text: &str) -> Result<Density, String> {
    match text {
        "8" => Ok(Density::Dots8),
        "12" => Ok(Density::Dots12),
        _ => Err("expected 8 or 12".to_owned()),
    }
}

fn pair<T: std::str::FromStr>(text: &str) -> Result<(T, T), String> {
    let read = || {
        let (one, other) = text.strip_suffix("mm").unwrap_or(text).split_once('x')?;
        Some((one.parse().ok()?, other.parse().ok()?))
    };
    read().ok_or_else(|| "expected two numbers such as 3x8".to_owned())
}

fn made(text: &str) -> Result<(PathBuf, LabelForm), String> {
    let extension = Path::new(text).extension().and_then(|it| it.to_str());
    let found = LabelForm::ALL
        .into_iter()
        .find(|(_, name)| extension.is_some_and(|extension| extension.eq_ignore_ascii_case(name)));
    found
        .map(|(form, _)| (PathBuf::from(text), form))
        .ok_or_else(|| "expected a file that ends in .png, .pdf or .zpl".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_refuses() {
        let bytes = [0x5C, 0xCF, 0x7F, 1, 2, 0xF3];
        assert_eq!(mac("5c:cf:7f:01:02:f3"), Ok(bytes));
        assert_eq!(mac("5C-CF-7F-01-02-F3"), Ok(bytes));
        for text in [
            "",
            "5c:cf:7f:01:02",
            "5c:cf:7f:01:02:f3:04",
            "5c:cf:7f:1:2:3",
            "+c:cf:7f:01:02:f3",
        ] {
            assert!(mac(text).is_err(), "{text}");
        }
        assert_eq!(pair("3x8"), Ok((3, 8)));
        assert_eq!(pair("2.5x0mm"), Ok((2.5, 0.0)));
        assert!(pair::<u32>("3").is_err() && pair::<u32>("3x-8").is_err());
        for (file, form) in [
            ("a.png", LabelForm::Png),
            ("b/a.PDF", LabelForm::Pdf),
            ("a.b.zpl", LabelForm::Zpl),
        ] {
            assert_eq!(made(file), Ok((PathBuf::from(file), form)));
        }
        assert!(made("png").is_err() && made("a.jpg").is_err());
    }
}
