//! Labels in ZPL II, the language of Zebra's printers and of many others.

use super::{
    Density, LabelError, LabelSize,
    bitmap::Bitmap,
    layout::{Layout, Line},
    text::Faces,
};
use qrcodegen::QrCodeEcc;
use std::fmt::Write as _;

/// Printers set a QR code this many dots below where it is asked for.
const CODE_DOTS_LOWER: usize = 10;
/// The largest module that every printer takes.
const MODULE_DOTS_MAX: usize = 10;

pub(super) fn print(
    layout: &Layout,
    url: &str,
    size: LabelSize,
    density: Density,
    faces: &Faces<'_>,
) -> Result<String, LabelError> {
    let [width, height] = size.dots(density);
    let dots = |mm: f64| (mm * density.dots_per_mm()).round() as usize;
    // CI28: data are UTF-8. LH: nothing is shifted, whatever the printer was told before.
    let mut zpl = format!("^XA\n^CI28\n^LH0,0\n^PW{width}\n^LL{height}\n");
    for line in &layout.lines {
        zpl += &if line.text.chars().all(is_in_printer) {
            // FT stands on the line's own baseline, whatever height the printer's font has.
            let (x, y, size) = (dots(line.x), dots(line.y), dots(line.size));
            format!("^FT{x},{y}^A0N,{size}^FH^FD{}^FS\n", escaped(&line.text))
        } else {
            picture(line, density, faces)?
        };
    }
    let code = &layout.code;
    let (x, y) = (dots(code.x), dots(code.y).saturating_sub(CODE_DOTS_LOWER));
    let module = dots(code.module).min(MODULE_DOTS_MAX);
    let level = match code.matrix.error_correction_level() {
        QrCodeEcc::Low => 'L',
        _ => 'M',
    };
    // Model 2, then the level, and A: the printer sees itself which letters there are.
    let url = escaped(url);
    zpl += &format!("^FO{x},{y}^BQN,2,{module}^FH^FD{level}A,{url}^FS\n^XZ\n");
    Ok(zpl)
}

/// Letters that the printer's own font 0 has on every printer.
fn is_in_printer(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{A0}'..='\u{FF}')
}

/// Bytes that are commands, or the mark of an escape itself, by their numbers.
fn escaped(text: &str) -> String {
    let mut data = String::new();
    for character in text.chars() {
        match character {
            '^' | '~' | '\\' | '_' | '\0'..='\x1F' | '\x7F' => {
                // Writing to a string cannot fail.
                let _ = write!(data, "_{:02X}", u32::from(character));
            }
            _ => data.push(character),
        }
    }
    data
}

/// A line that the printer has no letters for.
fn picture(line: &Line, density: Density, faces: &Faces<'_>) -> Result<String, LabelError> {
    let dots_per_mm = density.dots_per_mm();
    let size = line.size * dots_per_mm;
    // Room above and below for whatever a letter has there, the line itself on a whole dot.
    let above = (size * 1.1).ceil();
    let (x, y) = (
        (line.x * dots_per_mm).round(),
        (line.y * dots_per_mm).round(),
    );
    let above = above.min(y);
    let width = (line.width * dots_per_mm).ceil() as usize + 1;
    let mut bitmap = Bitmap::new(width, (above + (size * 0.3).ceil()) as usize);
    bitmap.fill(&faces.outline(line.style, &line.text, size, [0.0, above])?);
    let rows = bitmap.rows();
    let row_bytes = rows.first().map_or(0, Vec::len);
    let bytes = row_bytes * rows.len();
    let hex: String = rows
        .concat()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let y = y - above;
    Ok(format!(
        "^FO{x},{y}^GFA,{bytes},{bytes},{row_bytes},{hex}^FS\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_a_command_is_escaped() {
        for (text, data) in [
            ("Pump 7", "Pump 7"),
            ("^XZ", "_5EXZ"),
            ("~JA", "_7EJA"),
            ("a\\&b", "a_5C&b"),
            ("A_5E", "A_5F5E"),
            ("a,b;c", "a,b;c"),
            ("\r\n\x7F", "_0D_0A_7F"),
            ("Kühlhaus", "Kühlhaus"),
        ] {
            assert_eq!(escaped(text), data);
        }
    }
}
