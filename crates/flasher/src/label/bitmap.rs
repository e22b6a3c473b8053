//! A picture of one bit a dot, and outlines filled in it.

use super::{Density, text::Step};

/// Each dot is looked at in so many places across and down.
const PARTS: usize = 4;
/// A dot is black from so many of its sixteen places on. Fewer than half: thin strokes stay whole when they fall between
/// two dots, and thermal paper takes small letters rather too faint than too heavy.
const BLACK_MIN: u8 = 6;
/// A curve is drawn in so many straight pieces, at the sizes of labels finer than dots.
const CURVE_PIECES: u32 = 8;

/// A picture, white at first.
pub(super) struct Bitmap {
    width: usize,
    height: usize,
    dots: Vec<bool>,
}

/// A straight piece of an outline, downwards or upwards.
struct Edge {
    from: [f64; 2],
    to: [f64; 2],
}

impl Bitmap {
    pub(super) fn new(width: usize, height: usize) -> Self {
        let dots = vec![false; width * height];
        Self {
            width,
            height,
            dots,
        }
    }

    #[cfg(test)]
    pub(super) fn is_black(&self, x: usize, y: usize) -> bool {
        self.dots[y * self.width + x]
    }

    /// Blackens what lies in the picture of a rectangle.
    pub(super) fn rectangle(&mut self, left: usize, top: usize, width: usize, height: usize) {
        let right = (left + width).min(self.width);
        for y in top..(top + height).min(self.height) {
            let row = y * self.width;
            if let Some(dots) = self.dots.get_mut(row + left.min(right)..row + right) {
                dots.fill(true);
            }
        }
    }

    /// Fills an outline wherever it winds around, in dots from the upper left corner.
    pub(super) fn fill(&mut self, outline: &[Step]) {
        let edges = edges(outline);
        let heights = edges.iter().flat_map(|it| [it.from[1], it.to[1]]);
        let (top, bottom) = heights.fold((f64::MAX, f64::MIN), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        let first = top.max(0.0).floor() as usize;
        let last = (bottom.max(0.0).ceil() as usize).min(self.height);
        let mut counts = vec![0_u8; self.width];
        for y in first..last {
            counts.fill(0);
            for part in 0..PARTS {
                let height = y as f64 + (part as f64 + 0.5) / PARTS as f64;
                count_inside(&edges, height, &mut counts);
            }
            let row = y * self.width;
            let dots = self.dots[row..row + self.width].iter_mut();
            for (dot, count) in dots.zip(&counts) {
                *dot |= *count >= BLACK_MIN;
            }
        }
    }

    /// The rows, each in whole bytes, the leftmost dot in the highest bit; a bit is 1 for black.
    pub(super) fn rows(&self) -> Vec<Vec<u8>> {
        let byte = |dots: &[bool]| {
            let bits = dots.iter().enumerate();
            bits.fold(0, |byte, (at, dot)| byte | u8::from(*dot) << (7 - at))
        };
        let rows = self.dots.chunks(self.width.max(1));
        rows.map(|row| row.chunks(8).map(byte).collect()).collect()
    }

    /// As a PNG file that knows how large it is on paper.
    pub(super) fn png(&self, density: Density) -> Option<Vec<u8>> {
        let mut file = Vec::new();
        let (width, height) = (self.width.try_into().ok()?, self.height.try_into().ok()?);
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let dots_per_metre = (density.dots_per_mm() * 1000.0) as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: dots_per_metre,
            yppu: dots_per_metre,
            unit: png::Unit::Meter,
        }));
        // In a grey picture 1 is white.
        let data: Vec<u8> = self.rows().concat().iter().map(|byte| !byte).collect();
        let mut writer = encoder.write_header().ok()?;
        writer.write_image_data(&data).ok()?;
        writer.finish().ok()?;
        Some(file)
    }
}

/// Counts, for each dot of a row, the places at one height that the edges wind around.
fn count_inside(edges: &[Edge], height: f64, counts: &mut [u8]) {
    let crossing = |edge: &Edge| {
        let ([x0, y0], [x1, y1]) = (edge.from, edge.to);
        let is_crossed = (y0 <= height) != (y1 <= height);
        let turn = if y0 < y1 { 1 } else { -1 };
        is_crossed.then(|| (x0 + (x1 - x0) * (height - y0) / (y1 - y0), turn))
    };
    let mut crossings: Vec<(f64, i32)> = edges.iter().filter_map(crossing).collect();
    crossings.sort_by(|one, other| one.0.total_cmp(&other.0));
    let places = (counts.len() * PARTS) as f64;
    // The first place whose middle is at or behind a point.
    let place = |x: f64| (x * PARTS as f64 - 0.5).ceil().clamp(0.0, places) as usize;
    let mut winding = 0;
    for pair in crossings.windows(2) {
        winding += pair[0].1;
        if winding != 0 {
            for at in place(pair[0].0)..place(pair[1].0) {
                counts[at / PARTS] += 1;
            }
        }
    }
}

fn edges(outline: &[Step]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let (mut start, mut at) = ([0.0; 2], [0.0; 2]);
    for step in outline {
        let (from, to) = match *step {
            Step::Move(to) => {
                (start, at) = (to, to);
                continue;
            }
            Step::Line(to) => (at, to),
            Step::Close => (at, start),
            Step::Curve(points) => {
                let piece = |number| curve(at, points, number);
                let ends = (0..CURVE_PIECES).map(|it| (piece(it), piece(it + 1)));
                edges.extend(ends.map(|(from, to)| Edge { from, to }));
                at = points[2];
                continue;
            }
        };
        edges.push(Edge { from, to });
        at = to;
    }
    edges
}

/// Where a piece of a curve begins.
fn curve(from: [f64; 2], [first, second, to]: [[f64; 2]; 3], piece: u32) -> [f64; 2] {
    let t = f64::from(piece) / f64::from(CURVE_PIECES);
    let s = 1.0 - t;
    let along = |axis: usize| {
        s * s * s * from[axis]
            + 3.0 * s * s * t * first[axis]
            + 3.0 * s * t * t * second[axis]
            + t * t * t * to[axis]
    };
    [along(0), along(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(left: f64, top: f64, side: f64) -> Vec<Step> {
        let (right, bottom) = (left + side, top + side);
        vec![
            Step::Move([left, top]),
            Step::Line([right, top]),
            Step::Line([right, bottom]),
            Step::Line([left, bottom]),
            Step::Close,
        ]
    }

    fn black(bitmap: &Bitmap) -> Vec<(usize, usize)> {
        let all = (0..bitmap.height).flat_map(|y| (0..bitmap.width).map(move |x| (x, y)));
        all.filter(|(x, y)| bitmap.is_black(*x, *y)).collect()
    }

    #[test]
    fn an_outline_is_filled_to_its_edges_and_not_beyond_the_picture() {
        let mut bitmap = Bitmap::new(10, 4);
        bitmap.fill(&square(2.0, 1.0, 2.0));
        assert_eq!(black(&bitmap), [(2, 1), (3, 1), (2, 2), (3, 2)]);
        assert_eq!(
            bitmap.rows(),
            [[0, 0], [0b0011_0000, 0], [0b0011_0000, 0], [0, 0]]
        );
        bitmap.fill(&square(-5.0, -5.0, 100.0));
        assert_eq!(black(&bitmap).len(), 40);
    }

    #[test]
    fn what_winds_the_other_way_is_a_hole() {
        let mut outline = square(0.0, 0.0, 6.0);
        let mut hole = square(2.0, 2.0, 2.0);
        hole[1..4].reverse();
        outline.extend(hole);
        let mut bitmap = Bitmap::new(6, 6);
        bitmap.fill(&outline);
        assert_eq!(black(&bitmap).len(), 32);
        assert!(!bitmap.is_black(2, 2) && !bitmap.is_black(3, 3));
    }

    #[test]
    fn a_stroke_between_two_dots_is_not_lost() {
        let mut bitmap = Bitmap::new(8, 8);
        let stroke = [[1.0, 2.5], [7.0, 2.5], [7.0, 3.5], [1.0, 3.5]];
        let mut outline = vec![Step::Move(stroke[0])];
        outline.extend(stroke[1..].iter().map(|point| Step::Line(*point)));
        outline.push(Step::Close);
        bitmap.fill(&outline);
        assert!(bitmap.is_black(4, 2) && bitmap.is_black(4, 3));
    }

    #[test]
    fn rectangles_are_cut_at_the_edges() {
        let mut bitmap = Bitmap::new(4, 4);
        bitmap.rectangle(3, 3, 9, 9);
        bitmap.rectangle(9, 0, 2, 2);
        assert_eq!(black(&bitmap), [(3, 3)]);
    }
}
