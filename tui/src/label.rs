//! Labels for boards, from the command line. How they look is `switchyard-flasher`'s work.

use crate::{
    boards::write_secret,
    cli::LabelOrder,
    exit::{Exit, Failure},
    output,
};
use std::{
    fs,
    io::{self, BufRead, Read},
    path::Path,
};
use switchyard_flasher::{Fonts, Label, LabelError, LabelForm, Paper, Sheet};
use switchyard_protocol::serial::Password;

/// Where the password of the board's own Wi-Fi may stand.
const PASSWORD_VARIABLE: &str = "SWITCHYARD_LABEL_PASSWORD";
/// The longest line that is read for a password.
const PASSWORD_BYTES_MAX: u64 = 1024;
/// The largest font file that is read.
const FONT_BYTES_MAX: u64 = 64 << 20;

/// Makes a label.
pub(crate) fn run(order: &LabelOrder) -> Result<(), Failure> {
    let fonts = match &order.font {
        Some(file) => Fonts::with(read_font(file)?)?,
        None => Fonts::default(),
    };
    let label = Label {
        address: order.address,
        title: order.title.clone(),
        url: order.url.clone(),
        mac: order.mac,
        wifi_name: order.wifi_name.clone(),
        wifi_password: password(order.wifi_password_stdin)?,
    };
    let (file, form) = &order.out;
    let made = match form {
        LabelForm::Pdf => paper(order).pdf(&[label], &fonts)?,
        _ => label.print(*form, order.size, order.dots_per_mm, &fonts)?,
    };
    // A password may stand on it.
    write_secret(file, &made).map_err(|error| {
        let what = format!("writing {}: {error}", file.display());
        Failure::new(Exit::Other, what)
    })?;
    output::line(file.display())?;
    Ok(())
}

fn paper(order: &LabelOrder) -> Paper {
    let Some((columns, rows)) = order.sheet else {
        return Paper::Single(order.size);
    };
    let (column_gap_mm, row_gap_mm) = order.sheet_gap;
    Paper::Sheet(Sheet {
        left_mm: order.sheet_margin.map(|(left, _)| left),
        top_mm: order.sheet_margin.map(|(_, top)| top),
        column_gap_mm,
        row_gap_mm,
        used: order.sheet_used,
        ..Sheet::a4(order.size, columns, rows)
    })
}

impl From<LabelError> for Failure {
    fn from(error: LabelError) -> Self {
        let advice = error.advice().map(|it| format!("\n  {it}"));
        let message = format!("{error}{}", advice.unwrap_or_default());
        Failure::new(Exit::Usage, message)
    }
}

/// The password of the board's own Wi-Fi, if there is one.
fn password(reads_line: bool) -> Result<Option<Password>, Failure> {
    let password = if reads_line {
        let mut line = String::new();
        let mut input = io::stdin().lock().take(PASSWORD_BYTES_MAX);
        input.read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(password) => password,
            Err(_) => return Ok(None),
        }
    };
    Ok(Some(Password(password)))
}

fn read_font(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut font = Vec::new();
    let opened =
        fs::File::open(file).and_then(|it| it.take(FONT_BYTES_MAX + 1).read_to_end(&mut font));
    opened.map_err(|error| {
        let what = format!("reading {}: {error}", file.display());
        Failure::new(Exit::Other, what)
    })?;
    Ok(font)
}
