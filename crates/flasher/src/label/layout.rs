//! Where everything stands on a label. All lengths are millimetres from the upper left corner, y downwards; codes lie on
//! whole dots, so that a printer draws their modules all alike.

use super::{
    Label, LabelError, LabelSize,
    text::{Faces, Fit, Style},
};
use qrcodegen::{QrCode, QrCodeEcc};

/// How high capitals and digits are, in parts of the letters' size.
const CAPITAL: f64 = 0.73;
/// How far letters reach up, with what stands above a capital.
const ASCENT: f64 = 0.95;
/// How far they reach down.
const DESCENT: f64 = 0.24;
/// From line to line.
const PITCH: f64 = 1.18;
/// White modules around a code, which its readers need.
const QUIET: f64 = 4.0;
/// Phones read smaller modules only from close by.
const MODULE_MM_MIN: f64 = 0.25;
/// Larger ones are black areas that printers smear.
const MODULE_MM_MAX: f64 = 2.0;
/// The smallest letters that can be read: titles, and what is in small type.
const TITLE_MM_MIN: f64 = 1.8;
const SMALL_MM_MIN: f64 = 1.3;
/// Below this, captions get lines of their own rather than make what they stand before smaller.
const SMALL_MM_GOOD: f64 = 1.6;
const ADDRESS_MM_MIN: f64 = 2.2;
/// A step in the search for the size of a title.
const STEP_MM: f64 = 0.1;
const TITLE_LINES_MAX: usize = 4;
/// To this part of their size letters may shrink to save a line.
const FEWER_LINES_SIZE: f64 = 0.7;

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) text: String,
    pub(super) x: f64,
    /// What its letters stand on.
    pub(super) y: f64,
    /// The letters' size.
    pub(super) size: f64,
    pub(super) width: f64,
}

/// A code that was placed.
pub(super) struct Code {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) module: f64,
    pub(super) matrix: QrCode,
}

impl Code {
    /// Its dark modules, column and row.
    pub(super) fn dark(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let side = self.matrix.size();
        let all = (0..side).flat_map(move |y| (0..side).map(move |x| (x, y)));
        let dark = all.filter(|(x, y)| self.matrix.get_module(*x, *y));
        dark.map(|(x, y)| (x as usize, y as usize))
    }

    fn side(&self) -> f64 {
        f64::from(self.matrix.size()) * self.module
    }
}

/// A label of which everything has its place.
pub(super) struct Layout {
    pub(super) lines: Vec<Line>,
    pub(super) code: Code,
}

/// A part of a label.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn width(self) -> f64 {
        self.right - self.left
    }

    fn height(self) -> f64 {
        self.bottom - self.top
    }
}

/// How the parts of a label lie to each other.
#[derive(Clone, Copy)]
enum Arrangement {
    /// The code fills the left side, everything else stands on its right.
    Side,
    /// The address stands over all, below it the code, and beside that the rest.
    Below,
    /// Everything stands one below the other.
    Stack,
}

/// Whoever places things.
struct Setter<'a> {
    label: &'a Label,
    faces: &'a Faces<'a>,
    /// The label's size.
    width: f64,
    height: f64,
    margin: f64,
    dots_per_mm: f64,
    code: QrCode,
}

impl Layout {
    /// # Errors
    /// What does not fit or cannot be written.
    pub(super) fn compose(
        label: &Label,
        size: LabelSize,
        dots_per_mm: f64,
        faces: &Faces<'_>,
    ) -> Result<Self, LabelError> {
        label.check()?;
        let (width, height) = (size.width_mm, size.height_mm);
        let order = match width / height {
            ratio if ratio >= 1.8 => [Arrangement::Side, Arrangement::Below, Arrangement::Stack],
            ratio if ratio >= 1.0 => [Arrangement::Below, Arrangement::Side, Arrangement::Stack],
            _ => [Arrangement::Stack, Arrangement::Below, Arrangement::Side],
        };
        let mut first_failure = None;
        // A code that bears fewer faults is smaller, and better than none.
        for level in [QrCodeEcc::Medium, QrCodeEcc::Low] {
            let setter = Setter {
                label,
                faces,
                width,
                height,
                margin: (width.min(height) * 0.04).clamp(1.0, 3.0),
                dots_per_mm,
                code: QrCode::encode_text(&label.url, level).map_err(|_| LabelError::Url)?,
            };
            for arrangement in order {
                match setter.arrange(arrangement) {
                    Ok(layout) => return Ok(layout),
                    Err(error @ LabelError::TooSmall { .. }) => {
                        first_failure.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(first_failure.unwrap_or(LabelError::Size))
    }
}

impl Setter<'_> {
    fn arrange(&self, arrangement: Arrangement) -> Result<Layout, LabelError> {
        let mut area = Area {
            left: self.margin,
            top: self.margin,
            right: self.width - self.margin,
            bottom: self.height - self.margin,
        };
        let mut lines = Vec::new();
        let code = match arrangement {
            Arrangement::Side => {
                let side = Area {
                    left: 0.0,
                    top: 0.0,
                    right: self.width * 0.5,
                    bottom: self.height,
                };
                let code = self.place_code(side, false)?;
                area.left = code.x + code.side() + QUIET * code.module;
                lines.push(self.address(&mut area, self.height * 0.24)?);
                lines.extend(self.small(&mut area)?);
                lines.extend(self.title(area)?);
                code
            }
            Arrangement::Below => {
                lines.push(self.address(&mut area, self.height * 0.2)?);
                let below = Area {
                    left: 0.0,
                    top: lines[0].y,
                    right: self.width * 0.56,
                    bottom: self.height,
                };
                let code = self.place_code(below, false)?;
                // What stands in one column begins at one edge, if it can.
                if code.x + lines[0].width <= area.right {
                    lines[0].x = code.x;
                }
                area.left = code.x + code.side() + QUIET * code.module;
                // The title's first capitals are level with the code's upper edge.
                area.top = (code.y - (ASCENT - CAPITAL) * TITLE_MM_MIN).max(area.top);
                lines.extend(self.small(&mut area)?);
                lines.extend(self.title(area)?);
                code
            }
            Arrangement::Stack => {
                lines.push(self.address(&mut area, self.height * 0.16)?);
                lines.extend(self.small(&mut area)?);
                let mut head = area;
                head.bottom = head.top + (self.height * 0.2).min(area.height() * 0.4);
                let title = self.title(head)?;
                let end = title.last().map_or(head.top, |it| it.y + it.size * DESCENT);
                lines.extend(title);
                let rest = Area {
                    left: 0.0,
                    top: end,
                    right: self.width,
                    bottom: area.bottom,
                };
                self.place_code(rest, true)?
            }
        };
        let layout = Layout { lines, code };
        self.is_inside(&layout)
            .then_some(layout)
            .ok_or(LabelError::TooSmall {
                what: "all that is to stand on it",
            })
    }

    /// Whatever the sums above did: nothing is drawn beyond the label.
    fn is_inside(&self, layout: &Layout) -> bool {
        let code = &layout.code;
        let fits = |from: f64, to: f64, side: f64| from >= 0.0 && to <= side;
        layout.lines.iter().all(|line| {
            let reaches = |part: f64| line.size * part;
            fits(line.x, line.x + line.width, self.width)
                && fits(
                    line.y - reaches(CAPITAL),
                    line.y + reaches(DESCENT),
                    self.height,
                )
        }) && fits(code.x, code.x + code.side(), self.width)
            && fits(code.y, code.y + code.side(), self.height)
    }

    /// To the nearest dot.
    fn snap(&self, place: f64) -> f64 {
        (place * self.dots_per_mm).round() / self.dots_per_mm
    }

    fn line(
        &self,
        style: Style,
        text: &str,
        size: f64,
        x: f64,
        y: f64,
    ) -> Result<Line, LabelError> {
        Ok(Line {
            style,
            text: text.to_owned(),
            x: self.snap(x),
            y: self.snap(y),
            size,
            width: self.faces.width(style, text, size)?,
        })
    }

    /// The code as large as it can be, white around it included.
    fn place_code(&self, area: Area, centres: bool) -> Result<Code, LabelError> {
        let modules = f64::from(self.code.size());
        let room = area.width().min(area.height()) / (modules + 2.0 * QUIET);
        let dots = (room.min(MODULE_MM_MAX) * self.dots_per_mm + 1e-9).floor();
        let module = dots / self.dots_per_mm;
        if module < MODULE_MM_MIN {
            return Err(LabelError::TooSmall {
                what: "the code of the page's address",
            });
        }
        let side = modules * module;
        let middle = |from: f64, room: f64| self.snap(from + (room - side) / 2.0);
        let x = if centres {
            middle(area.left, area.width())
        } else {
            self.snap(area.left + (QUIET * module).max(self.margin))
        };
        Ok(Code {
            x,
            y: middle(area.top, area.height()),
            module,
            matrix: self.code.clone(),
        })
    }

    /// The address, and what is left below it.
    fn address(&self, area: &mut Area, height_max: f64) -> Result<Line, LabelError> {
        let text = self.label.address.to_string();
        let width = self.faces.width(Style::Bold, &text, 1.0)?;
        let size = (height_max / CAPITAL).min(area.width() / width);
        if size < ADDRESS_MM_MIN {
            return Err(LabelError::TooSmall {
                what: "the address",
            });
        }
        let y = area.top + size * CAPITAL;
        let line = self.line(Style::Bold, &text, size, area.left, y)?;
        area.top = line.y + size * 0.15;
        Ok(line)
    }

    /// What is in small type, and what is left above it.
    fn small(&self, area: &mut Area) -> Result<Vec<Line>, LabelError> {
        let mut said: Vec<(&str, String)> = Vec::new();
        if let Some(mac) = self.label.mac {
            said.push(("", crate::mac_text(mac)));
        }
        let name = self.label.wifi_name.as_ref();
        if let Some(name) = name {
            said.push(("Wi-Fi", name.clone()));
        }
        if let Some(password) = &self.label.wifi_password {
            let caption = if name.is_some() { "Key" } else { "Wi-Fi key" };
            said.push((caption, password.0.clone()));
        }
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let beside = said
            .iter()
            .map(|(caption, text)| format!("{caption} {text}"));
        let beside: Vec<_> = beside.map(|it| it.trim_start().to_owned()).collect();
        let over = said
            .iter()
            .flat_map(|(caption, text)| [(*caption).to_owned(), text.clone()]);
        let over: Vec<_> = over.filter(|it| !it.is_empty()).collect();
        let mut size = self.small_size(&beside, *area)?;
        let mut texts = beside;
        if size < SMALL_MM_GOOD {
            let other = self.small_size(&over, *area)?;
            if other > size {
                (size, texts) = (other, over);
            }
        }
        if size < SMALL_MM_MIN {
            return Err(LabelError::TooSmall {
                what: "what is in small type",
            });
        }
        let last = area.bottom - size * DESCENT;
        let first = last - size * PITCH * (texts.len() - 1) as f64;
        let place = |(at, text): (usize, &String)| {
            let y = first + size * PITCH * at as f64;
            self.line(Style::Fixed, text, size, area.left, y)
        };
        let lines = texts.iter().enumerate().map(place).collect();
        // A little air above, so that it is no part of the title.
        area.bottom = first - size * (ASCENT + 0.35);
        lines
    }

    /// The size in which all of these lines fit, and leave some room for a title.
    fn small_size(&self, texts: &[String], area: Area) -> Result<f64, LabelError> {
        let mut size = (self.height * 0.075).clamp(1.7, 3.2);
        for text in texts {
            size = size.min(area.width() / self.faces.width(Style::Fixed, text, 1.0)?);
        }
        let room = area.height() - TITLE_MM_MIN * PITCH;
        Ok(size.min(room / (PITCH * texts.len() as f64 + 0.35)))
    }

    /// The title in the largest letters in which all of it fits; failing that, as much of it as there is room for.
    fn title(&self, area: Area) -> Result<Vec<Line>, LabelError> {
        let too_small = LabelError::TooSmall { what: "the title" };
        let title = self.label.title.as_str();
        let mut size = (self.height * 0.15).clamp(2.4, 9.0);
        let mut broken = None;
        let mut last = Vec::new();
        while size > TITLE_MM_MIN - STEP_MM / 2.0 {
            let lines_max = ((area.height() / size - ASCENT - DESCENT) / PITCH + 1.0).floor();
            let lines_max = (lines_max.max(0.0) as usize).min(TITLE_LINES_MAX);
            let (texts, fit) =
                self.faces
                    .wrap(Style::Bold, title, size, area.width(), lines_max)?;
            match fit {
                Fit::Whole => {
                    let (texts, size) = self.fewer_lines(texts, size, area)?;
                    return self.title_lines(&texts, size, area);
                }
                // The smaller, the fewer words are broken.
                Fit::Broken => broken = Some((texts, size)),
                Fit::Cut => last = texts,
            }
            size -= STEP_MM;
        }
        match broken {
            Some((texts, size)) => self.title_lines(&texts, size, area),
            None if last.is_empty() => Err(too_small),
            None => self.title_lines(&last, TITLE_MM_MIN, area),
        }
    }

    /// Rather a line less in somewhat smaller letters than a last line of one letter.
    fn fewer_lines(
        &self,
        texts: Vec<String>,
        size: f64,
        area: Area,
    ) -> Result<(Vec<String>, f64), LabelError> {
        let least = (size * FEWER_LINES_SIZE).max(TITLE_MM_MIN);
        let mut smaller = size - STEP_MM;
        while texts.len() > 1 && smaller >= least {
            let (title, lines_max) = (self.label.title.as_str(), texts.len() - 1);
            let wrapped = self
                .faces
                .wrap(Style::Bold, title, smaller, area.width(), lines_max)?;
            if let (fewer, Fit::Whole) = wrapped {
                return Ok((fewer, smaller));
            }
            smaller -= STEP_MM;
        }
        Ok((texts, size))
    }

    fn title_lines(
        &self,
        texts: &[String],
        size: f64,
        area: Area,
    ) -> Result<Vec<Line>, LabelError> {
        let place = |(at, text): (usize, &String)| {
            let y = area.top + size * (ASCENT + PITCH * at as f64);
            self.line(Style::Bold, text, size, area.left, y)
        };
        texts.iter().enumerate().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fonts;
    use switchyard_protocol::{Address, message::Title};

    /// The lines of a title on a label of 40 × 30 mm, and the size of its letters.
    fn title(text: &str) -> (Vec<String>, f64) {
        let label = Label {
            address: Address(7),
            title: Title::new(text).unwrap(),
            url: "https://gateway.example/#/7".to_owned(),
            mac: None,
            wifi_name: None,
            wifi_password: None,
        };
        let fonts = Fonts::default();
        let faces = fonts.faces().unwrap();
        let size = "40x30mm".parse().unwrap();
        let layout = Layout::compose(&label, size, 8.0, &faces).unwrap();
        let lines = &layout.lines[1..];
        (
            lines.iter().map(|it| it.text.clone()).collect(),
            lines[0].size,
        )
    }

    #[test]
    fn a_title_is_as_large_as_it_can_be_in_few_lines() {
        assert_eq!(title("Pump").0, ["Pump"]);
        let (short, long) = (title("Pump").1, title("Pump 007 in hall").1);
        assert!(short > long && long > TITLE_MM_MIN);
        // Not with the number alone on a second line.
        assert_eq!(title("Pump 007").0, ["Pump 007"]);
        assert_eq!(title("Kühlhaus Süd").0, ["Kühlhaus", "Süd"]);
        let (lines, size) = title(&"Wasserwerk ".repeat(4));
        assert!(lines.len() == 4 && size > TITLE_MM_MIN, "{lines:?} {size}");
        let (lines, size) = title(&"W".repeat(64));
        assert!(
            lines[3].ends_with('…') && size == TITLE_MM_MIN,
            "{lines:?} {size}"
        );
    }
}
