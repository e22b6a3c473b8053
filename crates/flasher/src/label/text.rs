//! Letters as outlines: which font has them, how wide they are, and how a text is cut to fit.

use super::LabelError;
use ttf_parser::{GlyphId, OutlineBuilder};

/// The largest font file that is taken: those with all of Chinese have some 20 MiB.
const FONT_BYTES_MAX: usize = 64 << 20;

/// The fonts that labels are written in: DejaVu, which has Latin, Greek and Cyrillic, and one more of the caller's for
/// letters that DejaVu lacks.
///
/// Letters stand one after the other as the font has them: scripts that are written from right to left, or whose letters
/// change by their neighbours, are refused rather than written wrongly.
#[derive(Clone, Debug, Default)]
pub struct Fonts {
    more: Option<Vec<u8>>,
}

impl Fonts {
    /// With one more font, TrueType or OpenType (of a collection the first), for letters that the built-in one lacks.
    ///
    /// # Errors
    /// [`LabelError::Font`]: it is none.
    pub fn with(font: Vec<u8>) -> Result<Self, LabelError> {
        if font.len() > FONT_BYTES_MAX || ttf_parser::Face::parse(&font, 0).is_err() {
            return Err(LabelError::Font);
        }
        Ok(Self { more: Some(font) })
    }

    pub(super) fn faces(&self) -> Result<Faces<'_>, LabelError> {
        let face = |bytes| ttf_parser::Face::parse(bytes, 0).map_err(|_| LabelError::Font);
        Ok(Faces {
            bold: face(dejavu::sans_condensed::bold())?,
            fixed: face(dejavu::sans_mono::regular())?,
            more: self.more.as_deref().map(face).transpose()?,
        })
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Heavy and narrow, for what is read from afar.
    Bold,
    /// All letters of one width, with a dotted zero: for what is typed off.
    Fixed,
}

/// What became of a text that was broken into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// All of it is there, and every word in one piece.
    Whole,
    /// All of it is there, with a word broken in its middle.
    Broken,
    /// Its end is not there.
    Cut,
}

/// A step of an outline, in the unit of whoever asks, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Move([f64; 2]),
    Line([f64; 2]),
    Curve([[f64; 2]; 3]),
    Close,
}

/// Fonts that were looked at.
pub(super) struct Faces<'a> {
    bold: ttf_parser::Face<'a>,
    fixed: ttf_parser::Face<'a>,
    more: Option<ttf_parser::Face<'a>>,
}

/// Letters that stand in another order or another shape than one after the other.
const SHAPED: &[(char, char)] = &[
    ('\u{0590}', '\u{109F}'),
    ('\u{1780}', '\u{18AF}'),
    ('\u{1A00}', '\u{1CFF}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{202A}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{A800}', '\u{ABFF}'),
    ('\u{FB1D}', '\u{FDFF}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FE70}', '\u{FEFF}'),
    ('\u{10800}', '\u{11FFF}'),
    ('\u{1E900}', '\u{1EFFF}'),
    ('\u{E0000}', '\u{E0FFF}'),
];

impl Faces<'_> {
    fn glyph(
        &self,
        style: Style,
        character: char,
    ) -> Result<(&ttf_parser::Face<'_>, GlyphId), LabelError> {
        let is_shaped = SHAPED
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character));
        if is_shaped || character.is_control() {
            return Err(LabelError::Script { character });
        }
        let first = match style {
            Style::Bold => &self.bold,
            Style::Fixed => &self.fixed,
        };
        [Some(first), self.more.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|face| Some((face, face.glyph_index(character)?)))
            .ok_or(LabelError::NoGlyph { character })
    }

    /// How far a letter moves on, in parts of the letters' size.
    fn advance(&self, style: Style, character: char) -> Result<f64, LabelError> {
        let (face, glyph) = self.glyph(style, character)?;
        let units = face.glyph_hor_advance(glyph).unwrap_or_default();
        Ok(f64::from(units) / f64::from(face.units_per_em()))
    }

    /// How wide a text is at a size.
    pub(super) fn width(&self, style: Style, text: &str, size: f64) -> Result<f64, LabelError> {
        let mut width = 0.0;
        for character in text.chars() {
            width += self.advance(style, character)?;
        }
        Ok(width * size)
    }

    /// The outlines of a text that begins at `x` on a line at `y`.
    pub(super) fn outline(
        &self,
        style: Style,
        text: &str,
        size: f64,
        [x, y]: [f64; 2],
    ) -> Result<Vec<Step>, LabelError> {
        let mut outline = Outline::default();
        let mut pen = x;
        for character in text.chars() {
            let (face, glyph) = self.glyph(style, character)?;
            outline.scale = size / f64::from(face.units_per_em());
            outline.origin = [pen, y];
            face.outline_glyph(glyph, &mut outline);
            pen += self.advance(style, character)? * size;
        }
        Ok(outline.steps)
    }

    /// Breaks a text into lines of at most `width`, and cuts what is beyond `lines_max`, with an ellipsis.
    pub(super) fn wrap(
        &self,
        style: Style,
        text: &str,
        size: f64,
        width: f64,
        lines_max: usize,
    ) -> Result<(Vec<String>, Fit), LabelError> {
        let (mut lines, mut fit) = (Vec::<String>::new(), Fit::Whole);
        let mut rest = text.trim();
        while !rest.is_empty() {
            if lines.len() == lines_max {
                if let Some(last) = lines.last_mut() {
                    *last = self.cut(style, last, size, width)?;
                }
                return Ok((lines, Fit::Cut));
            }
            let (end, is_border) = self.line_end(style, rest, size, width)?;
            if !is_border {
                fit = Fit::Broken;
            }
            if end == 0 {
                // Not even one letter fits.
                return Ok((Vec::new(), Fit::Cut));
            }
            lines.push(rest[..end].trim_end().to_owned());
            rest = rest[end..].trim_start();
        }
        Ok((lines, fit))
    }

    /// How much of a text one line takes: up to a space or to the border of wide letters, which are written without
    /// any; else in the middle of a word. Tells which it was.
    fn line_end(
        &self,
        style: Style,
        text: &str,
        size: f64,
        width: f64,
    ) -> Result<(usize, bool), LabelError> {
        let (mut used, mut fits, mut breaks) = (0.0, 0, 0);
        let mut before = None;
        for (at, character) in text.char_indices() {
            let is_border = character == ' '
                || before.is_some_and(|it| it == '-' || is_wide(it) || is_wide(character));
            if at > 0 && is_border {
                breaks = at;
            }
            used += self.advance(style, character)? * size;
            if used > width && character != ' ' {
                return Ok(if breaks > 0 {
                    (breaks, true)
                } else {
                    (fits, false)
                });
            }
            fits = at + character.len_utf8();
            before = Some(character);
        }
        Ok((text.len(), true))
    }

    /// As much of a text as fits together with an ellipsis.
    fn cut(&self, style: Style, text: &str, size: f64, width: f64) -> Result<String, LabelError> {
        let mut kept = text.to_owned();
        loop {
            let shown = format!("{}…", kept.trim_end());
            if kept.is_empty() || self.width(style, &shown, size)? <= width {
                return Ok(shown);
            }
            kept.pop();
        }
    }
}

/// Letters of East Asia, which take a whole square each.
fn is_wide(character: char) -> bool {
    matches!(character, '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF00}'..='\u{FF60}' | '\u{20000}'..='\u{3FFFF}')
}

/// Collects what a font draws.
#[derive(Default)]
struct Outline {
    steps: Vec<Step>,
    at: [f64; 2],
    scale: f64,
    origin: [f64; 2],
}

impl Outline {
    fn point(&self, x: f32, y: f32) -> [f64; 2] {
        let [left, line] = self.origin;
        [
            left + f64::from(x) * self.scale,
            line - f64::from(y) * self.scale,
        ]
    }

    fn push(&mut self, step: Step) {
        if let Step::Move(to) | Step::Line(to) | Step::Curve([_, _, to]) = step {
            self.at = to;
        }
        self.steps.push(step);
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.push(Step::Move(self.point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.push(Step::Line(self.point(x, y)));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        // The same curve with the two middle points that a cubic one has.
        let (middle, to) = (self.point(x1, y1), self.point(x, y));
        let toward = |from: [f64; 2]| {
            let part = |axis: usize| from[axis] + (middle[axis] - from[axis]) * 2.0 / 3.0;
            [part(0), part(1)]
        };
        self.push(Step::Curve([toward(self.at), toward(to), to]));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let points = [self.point(x1, y1), self.point(x2, y2), self.point(x, y)];
        self.push(Step::Curve(points));
    }

    fn close(&mut self) {
        self.push(Step::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_where_it_may_be_and_cut_where_it_must_be() {
        let fonts = Fonts::default();
        let faces = fonts.faces().unwrap();
        let wrap = |text: &str, width: f64, lines_max| {
            let (lines, fit) = faces
                .wrap(Style::Fixed, text, 1.0, width * 0.6021, lines_max)
                .unwrap();
            (lines.join("|"), fit)
        };
        for (text, width, lines_max, lines, fit) in [
            ("Pump 7", 6.0, 1, "Pump 7", Fit::Whole),
            ("Pump 7", 5.0, 2, "Pump|7", Fit::Whole),
            ("Pump 7", 5.0, 1, "Pump…", Fit::Cut),
            ("Pump house", 4.0, 3, "Pump|hous|e", Fit::Broken),
            ("Pump house", 4.0, 2, "Pump|hou…", Fit::Cut),
            ("high-pressure", 8.0, 2, "high-|pressure", Fit::Whole),
            ("a  b", 1.0, 2, "a|b", Fit::Whole),
            ("Pump", 0.5, 2, "", Fit::Cut),
        ] {
            assert_eq!(
                wrap(text, width, lines_max),
                (lines.to_owned(), fit),
                "{text:?} in {width}"
            );
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let fonts = Fonts::default();
        let faces = fonts.faces().unwrap();
        let width = |text| faces.width(Style::Bold, text, 1.0);
        for text in ["Kühlhaus ÄÖÜß", "Насос", "Αντλία", "Čerpadlo №7 — 3½″"]
        {
            assert!(width(text).unwrap() > 1.0, "{text}");
        }
        assert_eq!(width("水泵"), Err(LabelError::NoGlyph { character: '水' }));
        let character = 'م';
        assert_eq!(width("مضخة"), Err(LabelError::Script { character }));
        let character = '\n';
        assert_eq!(width("\n"), Err(LabelError::Script { character }));
        assert_eq!(
            Fonts::with(b"no font".to_vec()).map(|_| ()),
            Err(LabelError::Font)
        );
    }

    #[test]
    fn a_font_of_the_callers_fills_the_gaps() {
        // Any other font will do to see that its letters are taken where the first has none.
        let fonts = Fonts::with(dejavu::sans::regular().to_vec()).unwrap();
        let faces = fonts.faces().unwrap();
        let without = Fonts::default();
        let without = without.faces().unwrap();
        let character = ('\u{2000}'..'\u{FFFF}').find(|it| {
            without.width(Style::Fixed, &it.to_string(), 1.0).is_err()
                && faces.width(Style::Fixed, &it.to_string(), 1.0).is_ok()
        });
        let text = character
            .expect("a letter that one of them lacks")
            .to_string();
        assert!(
            !faces
                .outline(Style::Fixed, &text, 1.0, [0.0, 0.0])
                .unwrap()
                .is_empty()
        );
    }
}
