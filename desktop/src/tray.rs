//! What the tray shows of alarms: the picture and the words, out of how many nobody has acknowledged. How they get
//! there is `status_notifier`'s part, on Linux; elsewhere the window's icon bears the number alone.

#[cfg(target_os = "linux")]
pub(crate) mod status_notifier;

use crate::dto::Language;

/// The alarms that nobody has acknowledged, and in what language the page speaks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlarmCount {
    /// How many there are.
    pub count: u32,
    /// The page's.
    pub language: Language,
}

/// What the tray has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Face {
    /// Whether the picture bears the sign of an alarm.
    pub is_alarm: bool,
    pub tooltip: String,
    pub open: &'static str,
    pub alarms: &'static str,
    pub quit: &'static str,
}

impl Face {
    pub(crate) fn of(AlarmCount { count, language }: AlarmCount) -> Self {
        let said = match (language, count) {
            (_, 0) => String::new(),
            (Language::En, 1) => ": 1 alarm".to_owned(),
            (Language::En, count) => format!(": {count} alarms"),
            (Language::Zh, count) => format!("：{count} 个报警"),
        };
        let (open, alarms, quit) = match language {
            Language::En => ("Open", "Alarms", "Quit"),
            Language::Zh => ("打开", "报警", "退出"),
        };
        Self {
            is_alarm: count > 0,
            tooltip: format!("Switchyard{said}"),
            open,
            alarms,
            quit,
        }
    }
}

/// `#ff6b63`, the red of alarms on dark ground, and the ground of our own icon: with that around it the sign stands out
/// on any panel.
const ALARM: [u8; 3] = [0xff, 0x6b, 0x63];
const GROUND: [u8; 3] = [0x14, 0x17, 0x1a];
/// The corners of an alarm's triangle, clockwise, as parts of the icon's side.
const CORNERS: [(f32, f32); 3] = [(0.64, 0.36), (0.96, 0.94), (0.32, 0.94)];
/// How far the ground reaches around the triangle.
const RIM: f32 = 0.07;
/// Looks per pixel and direction: smooth edges.
const LOOKS: u32 = 4;

/// Draws the sign of an alarm into the lower right of a square icon of four bytes a pixel, red first, opacity last.
pub(crate) fn mark_alarm(pixels: &mut [u8], side: u32) {
    let looks = (0..LOOKS).map(|look| (look as f32 + 0.5) / LOOKS as f32);
    for (at, pixel) in (0..side * side).zip(pixels.chunks_exact_mut(4)) {
        let (x, y) = ((at % side) as f32, (at / side) as f32);
        let depths = looks.clone().flat_map(|down| {
            looks
                .clone()
                .map(move |right| depth((x + right) / side as f32, (y + down) / side as f32))
        });
        let (mut inside, mut around) = (0.0, 0.0);
        for depth in depths {
            inside += f32::from(u8::from(depth >= 0.0));
            around += f32::from(u8::from(depth >= -RIM));
        }
        let all = (LOOKS * LOOKS) as f32;
        lay_over(pixel, GROUND, around / all);
        lay_over(pixel, ALARM, inside / all);
    }
}

/// How deep within the triangle a place is; less than nothing outside of it.
fn depth(x: f32, y: f32) -> f32 {
    let edges = CORNERS.iter().zip(CORNERS.iter().cycle().skip(1));
    edges
        .map(|(from, to)| {
            let (right, down) = (to.0 - from.0, to.1 - from.1);
            (right * (y - from.1) - down * (x - from.0)) / right.hypot(down)
        })
        .fold(f32::INFINITY, f32::min)
}

fn lay_over(pixel: &mut [u8], colour: [u8; 3], cover: f32) {
    let mix = |below: u8, above: u8| {
        (f32::from(below) * (1.0 - cover) + f32::from(above) * cover).round() as u8
    };
    for (part, above) in pixel.iter_mut().zip(colour.into_iter().chain([0xff])) {
        *part = mix(*part, above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_face_says_how_many_in_the_pages_language() {
        for (count, language, is_alarm, tooltip, alarms) in [
            (0, Language::En, false, "Switchyard", "Alarms"),
            (1, Language::En, true, "Switchyard: 1 alarm", "Alarms"),
            (3, Language::En, true, "Switchyard: 3 alarms", "Alarms"),
            (0, Language::Zh, false, "Switchyard", "报警"),
            (1, Language::Zh, true, "Switchyard：1 个报警", "报警"),
            (500, Language::Zh, true, "Switchyard：500 个报警", "报警"),
        ] {
            let face = Face::of(AlarmCount { count, language });
            let shown = (face.is_alarm, &*face.tooltip, face.alarms);
            assert_eq!(shown, (is_alarm, tooltip, alarms));
        }
    }

    #[test]
    fn the_sign_is_red_within_a_rim_and_leaves_the_rest() {
        const SIDE: u32 = 32;
        let before = [0x40, 0x50, 0x60, 0x00].repeat((SIDE * SIDE) as usize);
        let mut pixels = before.clone();
        mark_alarm(&mut pixels, SIDE);
        let pixel = |pixels: &[u8], x: u32, y: u32| {
            let at = (4 * (y * SIDE + x)) as usize;
            <[u8; 4]>::try_from(&pixels[at..at + 4]).expect("a pixel")
        };
        assert_eq!(pixel(&pixels, 20, 26), [0xff, 0x6b, 0x63, 0xff], "inside");
        assert_eq!(pixel(&pixels, 8, 30), [0x14, 0x17, 0x1a, 0xff], "the rim");
        for (x, y) in [(0, 0), (31, 0), (0, 31), (12, 12), (30, 14)] {
            assert_eq!(pixel(&pixels, x, y), pixel(&before, x, y), "{x}, {y}");
        }
        let is_red = |x, y| pixel(&pixels, x, y)[0] == 0xff;
        let width = |y| (0..SIDE).filter(|&x| is_red(x, y)).count();
        assert!(
            width(14) < width(20) && width(20) < width(28),
            "it points up"
        );
    }
}
