//! Whole labels: their codes read back by a reader that knows nothing of us, and everything measured.

use super::*;
use std::io::Read as _;

const URL: &str = "https://gateway.example:7480/#/100042";
const LONGEST: &str = "Maschinenhaus Nordwest, Umwälzpumpe 7 hinter dem Öltank am Tor";

fn label(title: &str) -> Label {
    Label {
        address: Address(100_042),
        title: Title::new(title).unwrap(),
        url: URL.to_owned(),
        mac: Some([0x5C, 0xCF, 0x7F, 1, 2, 0xF3]),
        wifi_name: Some("Switchyard-0102F3".to_owned()),
        wifi_password: Some(Password("k7mw-r2xq-9fpd".to_owned())),
    }
}

fn size(text: &str) -> LabelSize {
    text.parse().unwrap()
}

/// All kinds of labels that are for sale, and every extreme that holds a label at all.
const SIZES: &[&str] = &[
    "40x30mm",
    "50x25",
    "57x32",
    "60x40",
    "62x29",
    "30x40",
    "38x38",
    "100x150",
    "63.5x38.1",
    "70x36",
    "150x40",
    "40x150",
    "80x20",
];

struct Picture {
    width: usize,
    height: usize,
    black: Vec<bool>,
}

impl Picture {
    fn of(png: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut rows = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rows).unwrap();
        assert_eq!(
            (info.color_type, info.bit_depth),
            (png::ColorType::Grayscale, png::BitDepth::One)
        );
        let (width, height) = (info.width as usize, info.height as usize);
        let bit = |y: usize, x: usize| rows[y * info.line_size + x / 8] >> (7 - x % 8) & 1 == 0;
        let black = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let black = black.map(|(y, x)| bit(y, x)).collect();
        Picture {
            width,
            height,
            black,
        }
    }

    /// The texts of all codes in it.
    fn codes(&self) -> Vec<String> {
        let grey = |x: usize, y: usize| {
            if self.black[y * self.width + x] {
                0
            } else {
                255
            }
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(self.width, self.height, grey);
        let grids = image.detect_grids();
        grids
            .iter()
            .filter_map(|it| it.decode().ok())
            .map(|(_, text)| text)
            .collect()
    }

    /// The code of a sticker of 70 × 36 mm, eight rows of which stand in the middle of their sheet.
    fn sticker(&self, column: usize, row: usize) -> Option<String> {
        let [left, top] = [column as f64 * 70.0, 4.5 + row as f64 * 36.0]
            .map(|place| (place * DOTS_PER_MM) as usize);
        let [width, height] = [70.0, 36.0].map(|side| (side * DOTS_PER_MM) as usize);
        let rows = (top..top + height).map(|y| y * self.width + left);
        let black = rows.flat_map(|start| &self.black[start..start + width]);
        let black = black.copied().collect();
        let sticker = Picture {
            width,
            height,
            black,
        };
        sticker.codes().pop()
    }

    fn is_white(&self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> bool {
        rows.clone()
            .all(|y| columns.clone().all(|x| !self.black[y * self.width + x]))
    }
}

#[test]
fn a_picture_has_exactly_the_labels_dots_and_its_code_leads_to_the_page() {
    for (density, sizes) in [(Density::Dots8, SIZES), (Density::Dots12, &SIZES[..3])] {
        for name in sizes {
            let label = label("Pump 007");
            let size = size(name);
            let png = label.png(size, density, &Fonts::default()).expect(name);
            let picture = Picture::of(&png);
            let dots = [size.width_mm(), size.height_mm()];
            let dots = dots.map(|side| (side * density.dots_per_mm()).round() as usize);
            assert_eq!([picture.width, picture.height], dots, "{name}");
            assert_eq!(picture.codes(), [URL], "{name} {density:?}");
        }
    }
}

#[test]
fn the_same_label_is_the_same_bytes() {
    let picture = || {
        label("Pump 007")
            .png(size("40x30"), Density::Dots8, &Fonts::default())
            .unwrap()
    };
    assert!(picture() == picture());
}

#[test]
fn a_picture_says_how_large_it_is_on_paper() {
    let png = label("Pump")
        .png(size("40x30"), Density::Dots12, &Fonts::default())
        .unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(&png))
        .read_info()
        .unwrap();
    let dimensions = reader.info().pixel_dims.unwrap();
    assert_eq!((dimensions.xppu, dimensions.yppu), (12_000, 12_000));
}

#[test]
fn the_longest_of_everything_stays_within_the_label() {
    let mut label = label(LONGEST);
    label.address = Address(2_147_483_647);
    for name in SIZES {
        let png = label
            .png(size(name), Density::Dots8, &Fonts::default())
            .expect(name);
        let picture = Picture::of(&png);
        // The smallest margin is a millimetre, of which a letter's edge may take a dot.
        let (width, height) = (picture.width, picture.height);
        for (columns, rows) in [
            (0..width, 0..6),
            (0..width, height - 6..height),
            (0..6, 0..height),
            (width - 6..width, 0..height),
        ] {
            assert!(
                picture.is_white(columns, rows),
                "{name}: something at its edge"
            );
        }
        assert_eq!(picture.codes(), [URL], "{name}");
    }
}

#[test]
fn what_has_no_room_is_refused_by_its_name() {
    let refused = |label: &Label, name: &str| {
        label
            .png(size(name), Density::Dots8, &Fonts::default())
            .unwrap_err()
    };
    let mut label = label("Pump");
    (label.mac, label.wifi_name, label.wifi_password) = (None, None, None);
    label.url = format!("https://gateway.example/{}", "page".repeat(40));
    let what = "the code of the page's address";
    assert_eq!(refused(&label, "12x40"), LabelError::TooSmall { what });
    label.wifi_password = Some(Password("w".repeat(64)));
    let what = "what is in small type";
    assert_eq!(refused(&label, "40x30"), LabelError::TooSmall { what });
    assert!(LabelError::TooSmall { what }.advice().is_some());
}

#[test]
fn what_cannot_be_on_a_label_is_refused() {
    let refused = |change: &dyn Fn(&mut Label)| {
        let mut label = label("Pump");
        change(&mut label);
        label
            .png(size("40x30"), Density::Dots8, &Fonts::default())
            .unwrap_err()
    };
    for url in [
        "",
        "gateway.example",
        "ftp://a.example",
        "https://a.example/ b",
        "https://ä.example",
    ] {
        assert_eq!(
            refused(&|label| label.url = url.to_owned()),
            LabelError::Url,
            "{url}"
        );
    }
    let url = format!("https://{}", "a".repeat(193));
    assert_eq!(
        refused(&|label| label.url.clone_from(&url)),
        LabelError::Url
    );
    let what = "the name of a Wi-Fi";
    assert_eq!(
        refused(&|label| label.wifi_name = Some(String::new())),
        LabelError::Wifi { what }
    );
    let character = '泵';
    let error = refused(&|label| label.title = Title::new("泵 7").unwrap());
    assert_eq!(error, LabelError::NoGlyph { character });
    assert!(error.advice().unwrap().contains("--font"));
    for text in [
        "", "40", "40x", "x30", "9x30", "40x301", "-40x30", "NaNx30", "40x30cm", "infx30",
    ] {
        assert_eq!(text.parse::<LabelSize>(), Err(LabelError::Size), "{text}");
    }
}

#[test]
fn a_password_is_on_the_label_and_in_no_debug_output() {
    let label = label("Pump");
    assert!(!format!("{label:?}").contains("k7mw"));
    let zpl = label
        .zpl(size("40x30"), Density::Dots8, &Fonts::default())
        .unwrap();
    assert!(zpl.contains("k7mw-r2xq-9fpd^FS"), "{zpl}");
}

#[test]
fn a_printer_is_told_all_of_it() {
    let mut label = label("Kühlhaus ^XZ~JA_5E\\");
    label.url = "https://gateway.example/a_b~c^d#/100042".to_owned();
    let zpl = label
        .zpl(size("60x40"), Density::Dots8, &Fonts::default())
        .unwrap();
    assert!(
        zpl.starts_with("^XA\n^CI28\n^LH0,0\n^PW480\n^LL320\n"),
        "{zpl}"
    );
    assert!(zpl.ends_with("^XZ\n"), "{zpl}");
    assert_eq!(zpl.matches("^XZ").count(), 1, "{zpl}");
    assert!(!zpl.contains('~'), "{zpl}");
    assert!(
        zpl.contains("Kühlhaus") && zpl.contains("_5EXZ_7EJA_5F5E_5C"),
        "{zpl}"
    );
    assert!(
        zpl.contains("^BQN,2,")
            && zpl.contains("^FDMA,https://gateway.example/a_5Fb_7Ec_5Ed#/100042^FS")
    );
    for field in zpl.lines().filter(|it| it.starts_with("^F")) {
        let (x, rest) = field[3..].split_once(',').unwrap();
        let (y, _) = rest.split_once('^').unwrap();
        assert!(
            x.parse::<u32>().unwrap() < 480 && y.parse::<u32>().unwrap() < 320,
            "{field}"
        );
    }
}

#[test]
fn letters_that_a_printer_may_lack_go_as_a_picture() {
    let zpl = label("Насос")
        .zpl(size("60x40"), Density::Dots8, &Fonts::default())
        .unwrap();
    let field = zpl.lines().find(|it| it.contains("^GFA")).unwrap();
    let data = field
        .split_once("^GFA,")
        .unwrap()
        .1
        .strip_suffix("^FS")
        .unwrap();
    let parts: Vec<&str> = data.split(',').collect();
    let [bytes, same, row_bytes, hex] = parts[..] else {
        panic!("{field}")
    };
    let (bytes, row_bytes): (usize, usize) = (bytes.parse().unwrap(), row_bytes.parse().unwrap());
    assert_eq!(bytes, same.parse::<usize>().unwrap());
    assert_eq!((hex.len(), bytes % row_bytes), (bytes * 2, 0));
    // What is drawn are letters, not nothing.
    let black: u32 = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap().count_ones())
        .sum();
    assert!(black > 200, "{black} black dots");
}

/// How fine documents are looked at.
const DOTS_PER_MM: f64 = 10.0;

/// A document, looked at by a reader of just as much as is needed.
struct Document {
    media_boxes: Vec<[f64; 4]>,
    /// What is drawn on each page: numbers and operators.
    pages: Vec<Vec<String>>,
}

impl Document {
    fn of(pdf: &[u8]) -> Self {
        let text = String::from_utf8_lossy(pdf);
        assert!(text.starts_with("%PDF-1.") && text.trim_end().ends_with("%%EOF"));
        let find = |what: &[u8], from: usize| {
            let at = pdf[from..].windows(what.len()).position(|it| it == what);
            at.map(|at| from + at)
        };
        // The table of objects says where each of them begins.
        let table = text.rsplit_once("startxref").unwrap().1;
        let table: usize = table.split_whitespace().next().unwrap().parse().unwrap();
        assert!(pdf[table..].starts_with(b"xref"));
        let entries = String::from_utf8_lossy(&pdf[table..]).into_owned();
        let entries = entries.lines().skip(3).take_while(|it| it.contains(" n"));
        for (number, entry) in entries.enumerate() {
            let at: usize = entry.split(' ').next().unwrap().parse().unwrap();
            let head = format!("{} 0 obj", number + 1);
            assert!(
                pdf[at..].starts_with(head.as_bytes()),
                "object {}",
                number + 1
            );
        }
        let (mut media_boxes, mut pages, mut from) = (Vec::new(), Vec::new(), 0);
        while let Some(at) = find(b"/MediaBox [", from) {
            from = at + 11;
            let end = find(b"]", from).unwrap();
            let numbers = std::str::from_utf8(&pdf[from..end]).unwrap();
            let numbers: Vec<f64> = numbers
                .split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect();
            media_boxes.push(numbers.try_into().unwrap());
            let start = find(b"stream\n", from).unwrap() + 7;
            let end = find(b"\nendstream", start).unwrap();
            let mut content = String::new();
            let mut inflated = flate2::read::ZlibDecoder::new(&pdf[start..end]);
            inflated.read_to_string(&mut content).unwrap();
            pages.push(content.split_whitespace().map(ToOwned::to_owned).collect());
            from = end;
        }
        Document { media_boxes, pages }
    }

    /// The rectangles of a page drawn out, and the extremes of everything that is drawn.
    fn draw(&self, page: usize) -> (Picture, [f64; 4]) {
        let scale = DOTS_PER_MM;
        let [_, _, width, height] = self.media_boxes[page].map(|it| it / 72.0 * 25.4);
        let mut bitmap = Bitmap::new((width * scale) as usize, (height * scale) as usize);
        let (mut numbers, mut extremes) = (Vec::<f64>::new(), [f64::MAX, f64::MAX, 0.0, 0.0]);
        let mut see = |x: f64, y: f64| {
            let [left, top, right, bottom] = extremes;
            extremes = [left.min(x), top.min(y), right.max(x), bottom.max(y)];
        };
        for word in &self.pages[page] {
            if let Ok(number) = word.parse() {
                numbers.push(number);
                continue;
            }
            match (word.as_str(), &numbers[..]) {
                ("re", &[x, y, width, height]) => {
                    let dots = [x, y, width, height].map(|it| (it * scale).round() as usize);
                    bitmap.rectangle(dots[0], dots[1], dots[2], dots[3]);
                    see(x, y);
                    see(x + width, y + height);
                }
                ("m" | "l" | "c", points) => points.chunks(2).for_each(|it| see(it[0], it[1])),
                ("cm" | "h" | "f", _) => {}
                other => panic!("{other:?}"),
            }
            numbers.clear();
        }
        let (width, height) = ((width * scale) as usize, (height * scale) as usize);
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let black = all.map(|(x, y)| bitmap.is_black(x, y)).collect();
        (
            Picture {
                width,
                height,
                black,
            },
            extremes,
        )
    }
}

#[test]
fn a_document_has_a_page_of_true_size_for_each_label() {
    let labels = [label("Pump 007"), label(LONGEST)];
    let paper = Paper::Single(size("57x32"));
    let pdf = paper.pdf(&labels, &Fonts::default()).unwrap();
    assert!(pdf == paper.pdf(&labels, &Fonts::default()).unwrap());
    let document = Document::of(&pdf);
    assert_eq!(document.pages.len(), 2);
    for page in 0..2 {
        let [left, top, width, height] = document.media_boxes[page];
        assert_eq!((left, top), (0.0, 0.0));
        assert!(
            (width - 57.0 / 25.4 * 72.0).abs() < 0.001
                && (height - 32.0 / 25.4 * 72.0).abs() < 0.001
        );
        let (picture, [left, top, right, bottom]) = document.draw(page);
        assert_eq!(picture.codes(), [URL]);
        assert!(
            left > 0.9 && top > 0.9 && right < 56.1 && bottom < 31.1,
            "{right} {bottom}"
        );
    }
}

#[test]
fn a_sheet_is_filled_sticker_by_sticker() {
    let labels: Vec<Label> = (0..24)
        .map(|number| Label {
            url: format!("https://g.example/#/{number}"),
            ..label("Pump")
        })
        .collect();
    let sheet = Sheet {
        used: 2,
        ..Sheet::a4(size("70x36"), 3, 8)
    };
    let pdf = Paper::Sheet(sheet).pdf(&labels, &Fonts::default()).unwrap();
    let document = Document::of(&pdf);
    assert_eq!(document.pages.len(), 2);
    let (first, [left, top, right, bottom]) = document.draw(0);
    assert!(left > 0.0 && top > 4.5 && right < 210.0 && bottom < 292.5);
    // The first two stickers were used before.
    for (place, number) in [
        (0, None),
        (1, None),
        (2, Some(0)),
        (3, Some(1)),
        (23, Some(21)),
    ] {
        let url = number.map(|number| format!("https://g.example/#/{number}"));
        assert_eq!(first.sticker(place % 3, place / 3), url, "place {place}");
    }
    let (second, _) = document.draw(1);
    let found = (0..3).map(|column| second.sticker(column, 0));
    let expected = ["https://g.example/#/22", "https://g.example/#/23"];
    assert_eq!(found.flatten().collect::<Vec<_>>(), expected);
}

#[test]
fn stickers_that_do_not_lie_on_their_sheet_are_refused() {
    let sheet = Sheet::a4(size("70x36"), 3, 8);
    let is_refused = |sheet: Sheet| {
        let made = Paper::Sheet(sheet).pdf(&[label("Pump")], &Fonts::default());
        matches!(made, Err(LabelError::Sheet { .. }))
    };
    assert!(!is_refused(sheet));
    assert!(is_refused(Sheet {
        columns: 4,
        ..sheet
    }));
    assert!(is_refused(Sheet { rows: 9, ..sheet }));
    assert!(is_refused(Sheet { rows: 0, ..sheet }));
    assert!(is_refused(Sheet {
        column_gap_mm: 1.0,
        ..sheet
    }));
    assert!(is_refused(Sheet {
        row_gap_mm: f64::NAN,
        ..sheet
    }));
    assert!(is_refused(Sheet {
        left_mm: Some(0.5),
        ..sheet
    }));
    assert!(!is_refused(Sheet {
        top_mm: Some(0.0),
        ..sheet
    }));
    let nothing = Paper::Sheet(sheet).pdf(&[], &Fonts::default());
    assert!(matches!(nothing, Err(LabelError::Sheet { .. })));
}
