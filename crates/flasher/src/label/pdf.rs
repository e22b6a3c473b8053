//! Labels as a document: one a page in its true size, or many on sheets of stickers. Letters and codes are outlines, so
//! that they are sharp on every printer and need no font there.

use super::{
    Fonts, Label, LabelError, LabelSize,
    layout::Layout,
    text::{Faces, Step},
};
use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{Content, Filter, Finish, Pdf, Rect, Ref};
use std::io::Write as _;

const POINTS_PER_MM: f64 = 72.0 / 25.4;
/// Codes lie on this raster.
const DOTS_PER_MM: f64 = 40.0;
/// More would be a mistake, and would take all memory.
const LABELS_MAX: usize = 10_000;

/// What labels are printed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paper {
    /// Each on a page of its own size, as label printers have them.
    Single(LabelSize),
    /// Sheets of stickers.
    Sheet(Sheet),
}

/// How stickers lie on their sheet. They are filled from left to right, then downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sheet {
    /// The sheet's own size.
    pub page_width_mm: f64,
    /// From top to bottom.
    pub page_height_mm: f64,
    /// A sticker's size.
    pub label: LabelSize,
    /// Stickers in a row.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// From the sheet's left edge to the first sticker; `None`: as much as on the right.
    pub left_mm: Option<f64>,
    /// From its top; `None`: as much as at the bottom.
    pub top_mm: Option<f64>,
    /// Between one sticker and the next in its row.
    pub column_gap_mm: f64,
    /// Between one row and the next.
    pub row_gap_mm: f64,
    /// Stickers that are gone from the first sheet already.
    pub used: u32,
}

impl Sheet {
    /// A sheet of A4 with stickers side by side in its middle.
    #[must_use]
    pub fn a4(label: LabelSize, columns: u32, rows: u32) -> Self {
        Self {
            page_width_mm: 210.0,
            page_height_mm: 297.0,
            label,
            columns,
            rows,
            left_mm: None,
            top_mm: None,
            column_gap_mm: 0.0,
            row_gap_mm: 0.0,
            used: 0,
        }
    }

    /// Where the stickers begin.
    fn origin(&self) -> Result<[f64; 2], LabelError> {
        let expected = |expected| LabelError::Sheet { expected };
        if self.columns == 0 || self.rows == 0 || self.columns > 100 || self.rows > 100 {
            return Err(expected("a sheet of 1 to 100 columns and rows"));
        }
        let is_page = |side: f64| (10.0..=2000.0).contains(&side);
        let is_gap = |gap: f64| (0.0..=2000.0).contains(&gap);
        let given = [self.left_mm, self.top_mm].into_iter().flatten();
        let mut gaps = given.chain([self.column_gap_mm, self.row_gap_mm]);
        if !is_page(self.page_width_mm) || !is_page(self.page_height_mm) || !gaps.all(is_gap) {
            return Err(expected("a sheet's sides, margins and gaps in millimetres"));
        }
        let taken =
            |count: u32, side: f64, gap: f64| f64::from(count) * side + f64::from(count - 1) * gap;
        let start = |given: Option<f64>, page: f64, taken: f64| {
            let start = given.unwrap_or((page - taken) / 2.0);
            // Makers round: a tenth of a millimetre is none.
            (start > -0.1 && start + taken < page + 0.1).then_some(start)
        };
        let width = taken(self.columns, self.label.width_mm, self.column_gap_mm);
        let height = taken(self.rows, self.label.height_mm, self.row_gap_mm);
        let left = start(self.left_mm, self.page_width_mm, width);
        let top = start(self.top_mm, self.page_height_mm, height);
        left.zip(top)
            .map(|(left, top)| [left, top])
            .ok_or(expected("stickers that fit on their sheet"))
    }

    /// The place of a sticker on its sheet.
    fn place(&self, origin: [f64; 2], number: usize) -> [f64; 2] {
        let columns = self.columns as usize;
        let (column, row) = (number % columns, number / columns);
        [
            origin[0] + column as f64 * (self.label.width_mm + self.column_gap_mm),
            origin[1] + row as f64 * (self.label.height_mm + self.row_gap_mm),
        ]
    }
}

impl Paper {
    /// A document of labels. It names no time and no place, so that the same labels make the same bytes.
    ///
    /// # Errors
    /// What does not fit or cannot be written; no label at all, or more than ten thousand.
    pub fn pdf(&self, labels: &[Label], fonts: &Fonts) -> Result<Vec<u8>, LabelError> {
        if labels.is_empty() || labels.len() > LABELS_MAX {
            let expected = "1 to 10000 labels";
            return Err(LabelError::Sheet { expected });
        }
        let faces = fonts.faces()?;
        let (page_size, size) = match self {
            Paper::Single(size) => ([size.width_mm, size.height_mm], *size),
            Paper::Sheet(sheet) => ([sheet.page_width_mm, sheet.page_height_mm], sheet.label),
        };
        let mut pages: Vec<Content> = Vec::new();
        let origin = match self {
            Paper::Single(_) => [0.0; 2],
            Paper::Sheet(sheet) => sheet.origin()?,
        };
        for (number, label) in labels.iter().enumerate() {
            let (page, place) = match self {
                Paper::Single(_) => (number, [0.0; 2]),
                Paper::Sheet(sheet) => {
                    let stickers = sheet.columns as usize * sheet.rows as usize;
                    let number = number + sheet.used as usize % stickers;
                    (number / stickers, sheet.place(origin, number % stickers))
                }
            };
            if page == pages.len() {
                let mut content = Content::new();
                // From here on millimetres from the upper left corner, as everything is placed.
                let scale = POINTS_PER_MM as f32;
                let height = (page_size[1] * POINTS_PER_MM) as f32;
                content.transform([scale, 0.0, 0.0, -scale, 0.0, height]);
                pages.push(content);
            }
            if let Some(content) = pages.last_mut() {
                draw(label, size, place, &faces, content)?;
            }
        }
        assemble(&pages_streams(pages)?, page_size)
    }
}

fn pages_streams(pages: Vec<Content>) -> Result<Vec<Vec<u8>>, LabelError> {
    let pack = |content: Content| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content.finish()).ok()?;
        encoder.finish().ok()
    };
    let packed: Option<Vec<_>> = pages.into_iter().map(pack).collect();
    packed.ok_or(LabelError::Packing)
}

/// A label with its upper left corner at `place`.
fn draw(
    label: &Label,
    size: LabelSize,
    place: [f64; 2],
    faces: &Faces<'_>,
    content: &mut Content,
) -> Result<(), LabelError> {
    let layout = Layout::compose(label, size, DOTS_PER_MM, faces)?;
    let [left, top] = place;
    for line in &layout.lines {
        let at = [left + line.x, top + line.y];
        for step in faces.outline(line.style, &line.text, line.size, at)? {
            path(content, step);
        }
        content.fill_nonzero();
    }
    let code = &layout.code;
    let module = fine(code.module);
    for (x, y) in code.dark() {
        let [x, y] = [(left + code.x, x), (top + code.y, y)]
            .map(|(from, at)| fine(from + code.module * at as f64));
        content.rect(x, y, module, module);
    }
    // All modules in one go: what is filled one by one shows seams on screens.
    content.fill_nonzero();
    Ok(())
}

/// Micrometres are fine enough, and short to write.
fn fine(length: f64) -> f32 {
    ((length * 1000.0).round() / 1000.0) as f32
}

fn path(content: &mut Content, step: Step) {
    match step {
        Step::Move([x, y]) => content.move_to(fine(x), fine(y)),
        Step::Line([x, y]) => content.line_to(fine(x), fine(y)),
        Step::Curve(points) => {
            let [[x1, y1], [x2, y2], [x3, y3]] = points.map(|point| point.map(fine));
            content.cubic_to(x1, y1, x2, y2, x3, y3)
        }
        Step::Close => content.close_path(),
    };
}

fn assemble(streams: &[Vec<u8>], page_size: [f64; 2]) -> Result<Vec<u8>, LabelError> {
    let mut numbers = 1..;
    let mut number = || numbers.next().map(Ref::new).ok_or(LabelError::Packing);
    let (catalog, tree) = (number()?, number()?);
    let mut pages = Vec::new();
    for _ in streams {
        pages.push((number()?, number()?));
    }
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    let count = i32::try_from(pages.len()).map_err(|_| LabelError::Packing)?;
    pdf.pages(tree)
        .kids(pages.iter().map(|(page, _)| *page))
        .count(count);
    let [width, height] = page_size.map(|side| (side * POINTS_PER_MM) as f32);
    for ((page, content), stream) in pages.into_iter().zip(streams) {
        let mut writer = pdf.page(page);
        writer.parent(tree).contents(content);
        writer.media_box(Rect::new(0.0, 0.0, width, height));
        writer.resources();
        writer.finish();
        pdf.stream(content, stream).filter(Filter::FlateDecode);
    }
    Ok(pdf.finish())
}
