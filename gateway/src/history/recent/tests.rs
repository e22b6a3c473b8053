//! Values in, samples out; samples in, charts out; and what happens where a store takes none.

use super::{
    chart::{RecentError, RecentQuestion, recent_chart},
    thinner::Thinner,
    *,
};
use crate::{
    history::Bucket,
    store::{Fault, Faults, Guarded, MemoryStatusStore},
};
use switchyard_protocol::message::{
    Cause, CauseKind, Name, Point, PointFlags, PointType, StatusHead,
};

/// The beginning of a second.
const START: u64 = 1_700_000_000_000;
const HERE: Address = Address(7);
const KEEP: Keep = Keep {
    count_max: 1_024,
    age_max: Duration::from_secs(900),
};

fn at(ms: u64) -> Time {
    Time(START + ms)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A page of a full status: points of these names, from this index on.
fn page((number, pages): (u8, u8), first: u8, names: &[&str]) -> Full {
    let points = names.iter().zip(first..).map(|(text, index)| Point {
        index,
        name: name(text),
        point_type: PointType::AnalogueInput,
        value: 0,
        flags: PointFlags(0),
        cause: Cause::plain(CauseKind::Boot),
    });
    Full {
        head: StatusHead::default(),
        page: number,
        pages,
        uptime_ms: 0,
        time: None,
        layout: 1,
        points: points.collect(),
    }
}

/// One whose only controller has these points.
fn thinner(names: &[&str]) -> Thinner {
    let mut thinner = Thinner::new(1_000, at(0));
    thinner.page(at(0), HERE, &page((0, 1), 0, names));
    thinner
}

fn value(thinner: &mut Thinner, ms: u64, point: u8, value: impl Into<Option<i64>>) {
    thinner.values(at(ms), HERE, std::iter::once((point, value.into())));
}

/// When, of which point, least, greatest and last, how many, and whether it is known from then on.
type Told = (u64, &'static str, [i64; 3], u32, bool);

fn check(thinner: &mut Thinner, expected: &[Told]) {
    let mut samples = thinner.take_done();
    samples.sort_by_key(|it| (it.at, it.series.point.to_string()));
    let found = samples.iter().map(|it| {
        let values = [it.min, it.max, it.last];
        let (at, point) = (it.at.0 - START, it.series.point.as_str());
        (at, point, values, it.values, it.is_known)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn what_came_in_a_second_is_one_sample() {
    let mut thinner = thinner(&["a", "b"]);
    for (ms, number) in [(100, 5), (200, -9), (300, 7), (999, 6)] {
        value(&mut thinner, ms, 0, number);
    }
    value(&mut thinner, 999, 1, 1);
    check(&mut thinner, &[]);
    value(&mut thinner, 1_000, 1, 2);
    check(
        &mut thinner,
        &[
            (999, "a", [-9, 7, 6], 4, true),
            (999, "b", [1, 1, 1], 1, true),
        ],
    );
    // A second without values is no sample, and of an index that there is not there is none.
    value(&mut thinner, 5_000, 9, 2);
    check(&mut thinner, &[(1_000, "b", [2, 2, 2], 1, true)]);
    thinner.advance(at(9_000));
    check(&mut thinner, &[]);
}

#[test]
fn what_holds_still_is_told_of_again() {
    let mut thinner = thinner(&["a", "b"]);
    value(&mut thinner, 500, 0, 5);
    thinner.advance(at(60_499));
    check(&mut thinner, &[(500, "a", [5, 5, 5], 1, true)]);
    thinner.advance(at(61_000));
    check(&mut thinner, &[(60_999, "a", [5, 5, 5], 0, true)]);
    thinner.advance(at(120_000));
    check(&mut thinner, &[]);
    thinner.advance(at(121_500));
    check(&mut thinner, &[(120_999, "a", [5, 5, 5], 0, true)]);
    // Longer pauses than that leave no gap behind that is made up later.
    thinner.advance(at(400_000));
    check(&mut thinner, &[(399_999, "a", [5, 5, 5], 0, true)]);
}

#[test]
fn what_nobody_knows_is_said_once() {
    let mut thinner = thinner(&["a", "b"]);
    value(&mut thinner, 100, 0, 5);
    value(&mut thinner, 200, 0, None);
    value(&mut thinner, 300, 0, None);
    value(&mut thinner, 1_100, 0, None);
    check(&mut thinner, &[(200, "a", [5, 5, 5], 1, false)]);
    thinner.advance(at(100_000));
    check(&mut thinner, &[]);
    value(&mut thinner, 100_100, 0, 6);
    value(&mut thinner, 101_100, 0, None);
    thinner.advance(at(102_000));
    check(
        &mut thinner,
        &[
            (100_100, "a", [6, 6, 6], 1, true),
            (101_100, "a", [0, 0, 0], 0, false),
        ],
    );
    // Something was missed: only what was known is not any more.
    value(&mut thinner, 103_000, 1, 1);
    thinner.missed(at(103_500), HERE);
    thinner.advance(at(104_000));
    check(&mut thinner, &[(103_500, "b", [1, 1, 1], 1, false)]);
}

#[test]
fn who_goes_has_no_points_any_more() {
    let mut thinner = thinner(&["a", "b"]);
    value(&mut thinner, 100, 0, 5);
    value(&mut thinner, 1_100, 1, 6);
    thinner.away(at(1_200), HERE);
    check(
        &mut thinner,
        &[
            (100, "a", [5, 5, 5], 1, true),
            (1_200, "a", [0, 0, 0], 0, false),
            (1_200, "b", [6, 6, 6], 1, false),
        ],
    );
    assert_eq!(thinner.points(), 0);
    // Until it tells its layout again, nobody knows what its values are of.
    value(&mut thinner, 1_300, 0, 7);
    thinner.page(at(1_400), HERE, &page((0, 1), 0, &["b"]));
    value(&mut thinner, 1_400, 0, 8);
    thinner.missed_all(at(1_500));
    check(&mut thinner, &[(1_500, "b", [8, 8, 8], 1, false)]);
    assert_eq!(thinner.points(), 0);
}

#[test]
fn a_point_is_known_by_its_name() {
    let mut thinner = thinner(&["a", "b", "c"]);
    for point in 0..3 {
        value(&mut thinner, 100, point, i64::from(point));
    }
    // Two pages: b comes first now, a has gone, and d is new.
    thinner.page(at(200), HERE, &page((0, 2), 0, &["b"]));
    check(&mut thinner, &[]);
    thinner.page(at(200), HERE, &page((1, 2), 1, &["c", "d"]));
    value(&mut thinner, 300, 0, 10);
    value(&mut thinner, 300, 2, 12);
    thinner.advance(at(1_000));
    check(
        &mut thinner,
        &[
            (100, "c", [2, 2, 2], 1, true),
            (200, "a", [0, 0, 0], 1, false),
            (300, "b", [1, 10, 10], 2, true),
            (300, "d", [12, 12, 12], 1, true),
        ],
    );
    assert_eq!(thinner.points(), 3);
    // One that never tells its last page leaves no more behind than one layout.
    for _ in 0..5 {
        thinner.page(at(1_100), HERE, &page((0, 2), 0, &["b"]));
    }
    assert_eq!(thinner.points(), 1);
    assert_eq!(thinner.take_refused(), 0);
}

#[test]
fn a_page_out_of_turn_leaves_nothing_known() {
    for pages in [&[(1, 3)][..], &[(0, 3), (2, 3)], &[(0, 3), (1, 3), (1, 3)]] {
        let mut thinner = thinner(&["a"]);
        value(&mut thinner, 100, 0, 5);
        for (number, first) in pages.iter().zip([0, 1, 2]) {
            thinner.page(at(200), HERE, &page(*number, first, &["a"]));
        }
        assert_eq!(thinner.points(), 0, "{pages:?}");
        value(&mut thinner, 300, 0, 6);
        thinner.advance(at(1_000));
        let ended = thinner.take_done();
        assert!(ended.iter().any(|it| !it.is_known), "{pages:?}");
        assert!(ended.iter().all(|it| it.at <= at(200)), "{pages:?}");
    }
}

#[test]
fn points_are_bounded() {
    let mut thinner = Thinner::new(3, at(0));
    thinner.page(at(0), HERE, &page((0, 1), 0, &["a", "b"]));
    thinner.page(at(0), Address(8), &page((0, 1), 0, &["a", "b"]));
    assert_eq!((thinner.points(), thinner.take_refused()), (3, 1));
    thinner.away(at(1), HERE);
    assert_eq!(thinner.points(), 1);
    // Nor may one controller call its points something else again and again.
    let mut thinner = Thinner::new(1_000, at(0));
    let rename = |thinner: &mut Thinner, ms, count: usize| {
        for number in 0..count {
            let text = format!("p{ms}_{number}");
            thinner.page(at(ms), HERE, &page((0, 1), 0, &[&text]));
        }
        thinner.take_refused()
    };
    assert_eq!(rename(&mut thinner, 0, 64), 0);
    assert_eq!(rename(&mut thinner, 5, 10), 10);
    // Nor does it help to dial again.
    thinner.away(at(6), HERE);
    assert_eq!(rename(&mut thinner, 7, 1), 1);
    assert_eq!(rename(&mut thinner, 60_000, 64), 0);
    assert!(thinner.points() <= 1);
}

#[test]
fn a_clock_that_is_behind_makes_no_false_seconds() {
    let mut thinner = thinner(&["a"]);
    value(&mut thinner, 100_100, 0, 1);
    value(&mut thinner, 50_000, 0, 2);
    value(&mut thinner, 51_000, 0, 3);
    check(&mut thinner, &[]);
    value(&mut thinner, 101_000, 0, 4);
    check(&mut thinner, &[(100_100, "a", [1, 3, 3], 3, true)]);
}

/// A chart of a point from samples that a thinner has made.
async fn chart_of(
    thinner: &mut Thinner,
    (from, to): (u64, u64),
    buckets_max: u32,
) -> Result<Option<crate::history::Chart>, RecentError> {
    let store = MemoryStatusStore::default();
    let samples = thinner.take_done();
    store.append_samples(samples, KEEP).await.unwrap();
    let question = RecentQuestion {
        controller: HERE,
        point: name("a"),
        from: at(from),
        to: at(to),
        buckets_max,
        now: at(200_000),
    };
    recent_chart(&store, &question).await
}

/// From when, least, greatest, mean and last, for how long known, how many values.
fn row(bucket: &Bucket) -> (u64, [i64; 4], u64, u64) {
    let it = bucket.summary;
    let values = [it.min, it.max, it.mean, it.last];
    (
        bucket.from.0 - START,
        values,
        it.held.as_millis() as u64,
        it.samples,
    )
}

/// 0 from 100 ms on, a peak of 10 in the second before 3 s, then 4 until it goes at 6.5 s.
fn peak() -> Thinner {
    let mut thinner = thinner(&["a"]);
    for (ms, number) in [(100, 0), (2_200, 10), (2_600, 4)] {
        value(&mut thinner, ms, 0, number);
    }
    thinner.away(at(6_500), HERE);
    thinner
}

#[tokio::test]
async fn a_chart_loses_no_peak_and_shows_gaps() {
    let chart = chart_of(&mut peak(), (0, 8_000), 8).await.unwrap().unwrap();
    assert_eq!(chart.point_type, PointType::AnalogueInput);
    assert_eq!((chart.from, chart.bucket), (at(0), Duration::from_secs(1)));
    let rows: Vec<_> = chart.buckets.iter().map(row).collect();
    let expected = [
        (0, [0, 0, 0, 0], 900, 1),
        (1_000, [0, 0, 0, 0], 1_000, 0),
        // What held within the second is not known more exactly than its last value.
        (2_000, [0, 10, 1_600, 4], 1_000, 2),
        (3_000, [4, 4, 4_000, 4], 1_000, 0),
        (4_000, [4, 4, 4_000, 4], 1_000, 0),
        (5_000, [4, 4, 4_000, 4], 1_000, 0),
        (6_000, [4, 4, 4_000, 4], 500, 0),
    ];
    assert_eq!(rows, expected);
    // In fewer pieces, and from the middle: what held then came before.
    let chart = chart_of(&mut peak(), (1_500, 8_000), 2)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (chart.from, chart.bucket),
        (at(1_000), Duration::from_secs(4))
    );
    let rows: Vec<_> = chart.buckets.iter().map(row).collect();
    let expected = [
        (1_000, [0, 10, 2_400, 4], 4_000, 2),
        (5_000, [4, 4, 4_000, 4], 1_500, 0),
    ];
    assert_eq!(rows, expected);
    // Of a time in which nothing is known the point is known all the same.
    let chart = chart_of(&mut peak(), (100_000, 110_000), 2).await.unwrap();
    assert_eq!(chart.unwrap().buckets, []);
}

#[tokio::test]
async fn a_value_is_not_believed_for_ever() {
    let mut thinner = thinner(&["a"]);
    value(&mut thinner, 0, 0, 5);
    thinner.advance(at(1_000));
    let chart = chart_of(&mut thinner, (0, 199_000), 1)
        .await
        .unwrap()
        .unwrap();
    // No sample followed, as where the gateway was killed.
    assert_eq!(chart.buckets[0].summary.held, HOLD_MAX);
    // Nor beyond the present.
    value(&mut thinner, 195_000, 0, 5);
    thinner.advance(at(196_000));
    let chart = chart_of(&mut thinner, (190_000, 300_000), 1).await.unwrap();
    let known = chart.unwrap().buckets[0].summary.held;
    // It was told of again as soon as anybody looked, at the end of the second before.
    assert_eq!(known, Duration::from_millis(5_001));
}

#[tokio::test]
async fn a_chart_says_what_it_wants() {
    let refused = async |range, buckets| {
        let error = chart_of(&mut peak(), range, buckets).await.unwrap_err();
        error.to_string()
    };
    for range in [(1_000, 1_000), (2_000, 1_000), (0, 3_602_000)] {
        assert_eq!(
            refused(range, 1).await,
            "expected a time of a second to 60 minutes, its end after its beginning"
        );
    }
    for buckets in [0, 4_097] {
        let expected = format!("expected 1 to 4096 buckets and found {buckets}");
        assert_eq!(refused((0, 1_000), buckets).await, expected);
    }
    let mut nothing = Thinner::new(1, at(0));
    assert_eq!(chart_of(&mut nothing, (0, 1_000), 1).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_takes_nothing_the_oldest_go_and_are_counted() {
    let settings = RecentSettings {
        is_in_redis: true,
        age: KEEP.age_max,
        points_max: 1_000,
    };
    let telemetry = Telemetry::new();
    let (mut recent, samples) = Recent::new(settings, Arc::clone(&telemetry), at(0));
    let faults = Arc::new(Faults::default());
    let store = Arc::new(Guarded::new(
        MemoryStatusStore::default(),
        Arc::clone(&faults),
    ));
    faults.set(Some(Fault::FailAfter));
    let keeping = keep_samples(
        Arc::clone(&store) as Arc<dyn StatusStore>,
        settings,
        Arc::clone(&telemetry),
        samples,
    );
    let keeping = tokio::spawn(keeping);
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    recent.page(at(0), HERE, &page((0, 1), 0, &["a"]));
    let second = |recent: &mut Recent, number: u64| {
        let values = std::iter::once((0, Some(number as i64)));
        recent.thinner.values(at(number * 1_000), HERE, values);
        recent.hand_over();
    };
    // The sample of the first second is under way; so many wait, and three more find no room.
    second(&mut recent, 0);
    second(&mut recent, 1);
    tokio::time::sleep(RETRY_PAUSE * 5 / 2).await;
    assert!(load(&telemetry.store_failures) >= 3);
    // One batch more finds a place in the channel.
    second(&mut recent, 2);
    for number in 0..WAITING_MAX as u64 + 3 {
        second(&mut recent, 3 + number);
    }
    assert_eq!(load(&telemetry.samples_dropped), 3);
    faults.set(None);
    recent.finish(at(1_000_000_000));
    tokio::time::sleep(RETRY_PAUSE * 2).await;
    drop(recent);
    tokio::time::timeout(RETRY_PAUSE * 10, keeping)
        .await
        .unwrap()
        .unwrap();
    let kept = store
        .samples(HERE, name("a"), Time(0), 10_000)
        .await
        .unwrap();
    // What was written twice is there once, as far as its age goes.
    assert!(kept.is_sorted_by(|one, next| one.at < next.at));
    assert!(load(&telemetry.samples_stored) > 1);
    assert_eq!(load(&telemetry.recent_points), 0);
}
