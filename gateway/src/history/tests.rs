//! The recorder beside a naive one that goes through every span of every point, and charts beside all minutes at once.

use super::{chart::Buckets, recorder::Recorder, *};
use proptest::{collection::vec, prelude::*};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use switchyard_protocol::message::{Cause, CauseKind, Full, Point, PointFlags, StatusHead};

/// The beginning of a minute.
const START: u64 = 28_000_000 * MINUTE_MS;
/// Points by index, one layout after the other; `d` is not chosen.
const LAYOUTS: [&[(u8, &str)]; 4] = [
    &[(0, "a"), (1, "b"), (2, "d")],
    &[(0, "b"), (5, "d")],
    &[(0, "c"), (1, "a"), (31, "b")],
    &[(3, "d")],
];

fn choice() -> Choice {
    "*/* -*/d".parse().unwrap()
}

fn full(layout: usize, pages: (u8, u8)) -> Full {
    let (page, pages) = pages;
    let points = LAYOUTS[layout].iter().enumerate();
    let points = points.filter(|(at, _)| at % usize::from(pages) == usize::from(page));
    Full {
        head: StatusHead::default(),
        page,
        pages,
        uptime_ms: 0,
        time: None,
        points: points
            .map(|(_, &(index, name))| Point {
                index,
                name: Name::new(name).unwrap(),
                point_type: PointType::AnalogueInput,
                value: 0,
                flags: PointFlags(0),
                cause: Cause::plain(CauseKind::Boot),
            })
            .collect(),
        layout: layout as u32,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Layout(usize, u8),
    Value(u8, Option<i64>),
    Away,
    Missed,
    MissedAll,
    Advance,
}

/// What happens, to which of two controllers, and how long after what came before; below zero it comes late.
fn steps() -> impl Strategy<Value = Vec<(i64, u32, Step)>> {
    let value = prop_oneof![
        3 => -5..5_i64,
        1 => Just((1_i64 << 53) - 1),
        1 => Just(1 - (1_i64 << 53)),
    ];
    let index = prop_oneof![8 => 0..3_u8, 1 => 0..40_u8];
    let step = prop_oneof![
        3 => (0..LAYOUTS.len(), 1..3_u8).prop_map(|(layout, pages)| Step::Layout(layout, pages)),
        12 => (index, proptest::option::weighted(0.9, value))
            .prop_map(|(index, value)| Step::Value(index, value)),
        1 => Just(Step::Away),
        1 => Just(Step::Missed),
        1 => Just(Step::MissedAll),
        2 => Just(Step::Advance),
    ];
    let wait = prop_oneof![
        3 => Just(0_i64),
        6 => 1..20_000_i64,
        1 => Just(60_000_i64),
        1 => 20_000..200_000_i64,
        1 => -30_000..0_i64,
    ];
    vec((wait, 1..3_u32, step), 0..80)
}

/// What was told of one point: from when on it was this, and whether that was a value that came.
type Told = Vec<(u64, Option<i64>)>;

/// A recorder that keeps everything, and works out each minute by going through it all.
#[derive(Default)]
struct Naive {
    told: BTreeMap<(u32, &'static str), Told>,
    layouts: HashMap<u32, &'static [(u8, &'static str)]>,
    now: u64,
}

impl Naive {
    fn forget(&mut self, whose: u32, keeps: impl Fn(&str) -> bool) {
        let now = self.now;
        for ((controller, name), told) in &mut self.told {
            if *controller == whose && !keeps(name) {
                told.push((now, None));
            }
        }
    }

    fn step(&mut self, whose: u32, step: &Step) {
        match step {
            Step::Layout(layout, _) => {
                let layout = LAYOUTS[*layout];
                self.forget(whose, |name| layout.iter().any(|(_, it)| *it == name));
                self.layouts.insert(whose, layout);
            }
            Step::Value(index, value) => {
                let layout = self.layouts.get(&whose).copied().unwrap_or_default();
                let point = layout.iter().find(|(it, name)| it == index && *name != "d");
                if let Some((_, name)) = point {
                    let told = self.told.entry((whose, name)).or_default();
                    told.push((self.now, *value));
                }
            }
            Step::Away => {
                self.forget(whose, |_| false);
                self.layouts.remove(&whose);
            }
            Step::Missed => self.forget(whose, |_| false),
            Step::MissedAll => {
                for whose in [1, 2] {
                    self.step(whose, &Step::Away);
                }
            }
            Step::Advance => {}
        }
    }

    /// What a minute of a point came to; nothing where nothing is known of it.
    fn minute(told: &Told, start: u64, end: u64, now: u64) -> Option<Summary> {
        let (mut seen, mut sum, mut held, mut samples) = (Vec::new(), 0_i128, 0, 0);
        for (at, &(from, value)) in told.iter().enumerate() {
            let to = told.get(at + 1).map_or(now, |(to, _)| *to);
            let Some(value) = value else { continue };
            if (start..end).contains(&from) {
                samples += 1;
                seen.push(value);
            }
            let ms = to.min(end).saturating_sub(from.max(start));
            if ms > 0 {
                seen.push(value);
                sum += i128::from(value) * i128::from(ms);
                held += ms;
            }
        }
        let last = *seen.last()?;
        let mean = match held {
            0 => last as f64,
            _ => sum as f64 / held as f64,
        };
        Some(Summary {
            min: *seen.iter().min()?,
            max: *seen.iter().max()?,
            mean: (mean * 1_000.0).round() as i64,
            last,
            held: Duration::from_millis(held),
            samples,
        })
    }
}

/// As good as the same: the naive one reckons in floating point.
fn agree(one: &Summary, other: &Summary) -> bool {
    let exactly = |it: &Summary| Summary { mean: 0, ..*it };
    let apart = (one.mean as f64 - other.mean as f64).abs();
    exactly(one) == exactly(other) && apart <= 1.0 + one.mean.unsigned_abs() as f64 * 1e-9
}

fn run(steps: &[(i64, u32, Step)]) -> (Vec<Minute>, Naive) {
    let mut recorder = Recorder::new(choice(), 1_000, 5, Time(START));
    let mut naive = Naive {
        now: START,
        ..Naive::default()
    };
    let mut time = START;
    for (wait, whose, step) in steps {
        time = time.saturating_add_signed(*wait);
        naive.now = naive.now.max(time);
        let (at, address) = (Time(time), Address(*whose));
        match step {
            Step::Layout(layout, pages) => {
                for page in 0..*pages {
                    recorder.page(at, address, &full(*layout, (page, *pages)));
                }
            }
            Step::Value(index, value) => {
                recorder.values(at, address, std::iter::once((*index, *value)));
            }
            Step::Away => recorder.away(at, address),
            Step::Missed => recorder.missed(at, address),
            Step::MissedAll => recorder.missed_all(at),
            Step::Advance => recorder.advance(at),
        }
        naive.step(*whose, step);
    }
    recorder.finish(Time(naive.now));
    (recorder.take_done(), naive)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn minutes_are_what_a_naive_recorder_makes_of_it(steps in steps()) {
        let (minutes, naive) = run(&steps);
        let mut found = HashMap::new();
        for minute in &minutes {
            let key = (minute.series.controller.0, minute.series.point.clone(), minute.number);
            prop_assert!(found.insert(key, minute.summary).is_none(), "told twice: {minute:?}");
        }
        for ((whose, name), told) in &naive.told {
            for number in minute_of(Time(START))..=minute_of(Time(naive.now)) {
                let (start, end) = (start_of(number).0, start_of(number + 1).0);
                let expected = Naive::minute(told, start, end, naive.now);
                let key = (*whose, Name::new(name).unwrap(), number);
                match (found.remove(&key), expected) {
                    (None, None) => {}
                    (Some(found), Some(expected)) => {
                        prop_assert!(agree(&found, &expected), "{key:?}: {found:?}, {expected:?}");
                    }
                    differ => prop_assert!(false, "{key:?}: {differ:?}"),
                }
            }
        }
        prop_assert!(found.is_empty(), "of nothing: {found:?}");
    }

    #[test]
    fn a_chart_loses_no_extreme_and_no_time(
        steps in steps(),
        buckets_max in 1..20_u32,
        skipped in 0..3_u64,
    ) {
        let (minutes, naive) = run(&steps);
        let first = minute_of(Time(START + skipped * MINUTE_MS));
        let question = Question {
            controller: Address(1),
            point: Name::new("a").unwrap(),
            from: Time(START + skipped * MINUTE_MS + 59_999),
            to: Time(naive.now.max(START + 4 * MINUTE_MS)),
            buckets_max,
        };
        let mut buckets = Buckets::new(&question).unwrap();
        let is_meant = |it: &&Minute| {
            it.series.controller == question.controller
                && it.series.point == question.point
                && it.number >= first
        };
        let meant: Vec<_> = minutes.iter().filter(is_meant).collect();
        for minute in &meant {
            buckets.add(minute.number, &minute.summary);
        }
        let width = u64::from(buckets.minutes) * MINUTE_MS;
        let buckets = buckets.done();
        prop_assert!(buckets.len() <= buckets_max as usize);
        for bucket in &buckets {
            let of_it: Vec<_> = meant
                .iter()
                .filter(|it| (bucket.from.0..bucket.from.0 + width).contains(&start_of(it.number).0))
                .map(|it| it.summary)
                .collect();
            let held: Duration = of_it.iter().map(|it| it.held).sum();
            let sum: f64 = of_it.iter().map(|it| it.mean as f64 * it.held.as_millis() as f64).sum();
            let last = of_it.last().unwrap().last;
            let expected = Summary {
                min: of_it.iter().map(|it| it.min).min().unwrap(),
                max: of_it.iter().map(|it| it.max).max().unwrap(),
                mean: match held.as_millis() {
                    0 => last * 1_000,
                    held => (sum / held as f64).round() as i64,
                },
                last,
                held,
                samples: of_it.iter().map(|it| it.samples).sum(),
            };
            let nearly = {
                let apart = (bucket.summary.mean as f64 - expected.mean as f64).abs();
                // Sums of numbers of that size, of both signs, are not exact in floating point.
                let size = of_it.iter().map(|it| it.mean.unsigned_abs()).max().unwrap() as f64;
                apart <= 1.0 + size * 1e-9
            };
            let mean = bucket.summary.mean;
            prop_assert!(nearly, "{:?}, {expected:?}", bucket.summary);
            prop_assert_eq!(bucket.summary, Summary { mean, ..expected });
        }
        let starts = buckets.iter().map(|it| it.from.0);
        let held_minutes = meant.iter().filter(|it| {
            let start = start_of(it.number).0;
            starts.clone().any(|from| (from..from + width).contains(&start))
        });
        prop_assert_eq!(held_minutes.count(), meant.len());
    }
}

fn value_at(recorder: &mut Recorder, ms: u64, index: u8, value: i64) {
    let value = std::iter::once((index, Some(value)));
    recorder.values(Time(START + ms), Address(1), value);
}

#[test]
fn a_controller_that_is_away_makes_a_gap() {
    let mut recorder = Recorder::new(choice(), 1_000, 5, Time(START));
    recorder.page(Time(START), Address(1), &full(1, (0, 1)));
    value_at(&mut recorder, 15_000, 0, 10);
    recorder.away(Time(START + 75_000), Address(1));
    recorder.page(Time(START + 200_000), Address(1), &full(1, (0, 1)));
    value_at(&mut recorder, 210_000, 0, 4);
    recorder.advance(Time(START + 240_000));
    let told = recorder.take_done();
    let told: Vec<_> = told
        .iter()
        .map(|it| {
            let minute = it.number - minute_of(Time(START));
            let begins = it.part.number() >> 15;
            (minute, begins, it.summary.mean, it.summary.held.as_millis())
        })
        .collect();
    let expected = [
        (0, 15_000, 10_000, 45_000),
        (1, 0, 10_000, 15_000),
        (3, 30_000, 4_000, 30_000),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_clock_that_is_set_makes_a_gap_and_another_part() {
    let mut recorder = Recorder::new(choice(), 1_000, 5, Time(START));
    recorder.page(Time(START), Address(1), &full(1, (0, 1)));
    value_at(&mut recorder, 0, 0, 10);
    recorder.advance(Time(START + 30_000));
    recorder.resume(Time(START + 10_000), 6);
    recorder.advance(Time(START + 60_000));
    recorder.resume(Time(START + 600_000), 7);
    recorder.finish(Time(START + 601_000));
    let told = recorder.take_done();
    let told: Vec<_> = told
        .iter()
        .map(|it| {
            (
                start_of(it.number).0 - START,
                it.part,
                it.summary.held.as_millis(),
            )
        })
        .collect();
    let expected = [
        (0, Part::new(0, 5), 30_000),
        (0, Part::new(10_000, 6), 50_000),
        (600_000, Part::new(0, 7), 1_000),
    ];
    assert_eq!(told, expected);
}

#[test]
fn there_is_a_bound_to_points() {
    let mut recorder = Recorder::new(choice(), 3, 5, Time(START));
    for controller in 1..5 {
        recorder.page(Time(START), Address(controller), &full(2, (0, 1)));
    }
    assert_eq!((recorder.points(), recorder.take_refused()), (3, 9));
    // Those that have gone make room.
    recorder.away(Time(START), Address(1));
    recorder.advance(Time(START + MINUTE_MS));
    assert_eq!(recorder.points(), 0);
    recorder.page(Time(START + MINUTE_MS), Address(2), &full(2, (0, 1)));
    assert_eq!((recorder.points(), recorder.take_refused()), (3, 0));

    // A controller with a new layout every moment has no more than two layouts' worth in a minute.
    let mut recorder = Recorder::new(choice(), 1_000, 5, Time(START));
    for number in 0..100 {
        let mut page = full(1, (0, 1));
        page.points[0].name = Name::new(&format!("p{number}")).unwrap();
        recorder.page(Time(START + number), Address(1), &page);
        value_at(&mut recorder, number, 0, 1);
    }
    assert_eq!(recorder.points(), 64);
    recorder.advance(Time(START + MINUTE_MS));
    assert_eq!(recorder.take_done().len(), 64);
}

#[test]
fn a_question_is_bounded() {
    let question = |from, to, buckets_max| Question {
        controller: Address(1),
        point: Name::new("a").unwrap(),
        from: Time(from),
        to: Time(to),
        buckets_max,
    };
    let day = 86_400_000;
    let widths =
        |from, to, buckets| Buckets::new(&question(from, to, buckets)).map(|it| it.minutes);
    assert_eq!(widths(START, START, 1).unwrap(), 1);
    assert_eq!(widths(START, START + day - 1, 1_440).unwrap(), 1);
    assert_eq!(widths(START, START + day, 1_440).unwrap(), 2);
    assert_eq!(
        widths(START, START + 400 * day, 1).unwrap(),
        400 * 1_440 + 1
    );
    for (from, to) in [(START, START - 1), (START, START + 400 * day + 60_000)] {
        assert!(matches!(widths(from, to, 10), Err(ChartError::BadRange)));
    }
    for buckets in [0, BUCKETS_MAX + 1] {
        assert!(matches!(
            widths(START, START, buckets),
            Err(ChartError::BadBuckets(_))
        ));
    }
}
