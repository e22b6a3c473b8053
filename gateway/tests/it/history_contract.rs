//! What every config store keeps to with history; a part of the contract.

use crate::support::{now, title};
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    history::{self, CHORE, Minute, Part, Question, Series, SeriesId, Summary},
    store::{ConfigStore, FencingToken, StoreError},
};
use switchyard_protocol::{
    Address,
    message::{Name, PointType},
};

fn series(controller: u32, point: &str, point_type: PointType) -> Arc<Series> {
    Arc::new(Series {
        controller: Address(controller),
        point: Name::new(point).unwrap(),
        point_type,
    })
}

/// A minute of a value that held for all of it.
fn minute(series: &Arc<Series>, number: u32, part: Part, value: i64) -> Minute {
    Minute {
        series: Arc::clone(series),
        number,
        part,
        summary: Summary {
            min: value - 1,
            max: value + 1,
            mean: value.saturating_mul(1_000),
            last: value,
            held: Duration::from_secs(60),
            samples: 3,
        },
    }
}

async fn minutes_of(store: &dyn ConfigStore, id: SeriesId) -> Vec<(u32, i64)> {
    let all = store.history(id, (0, u32::MAX), None, 10_000).await;
    let all = all.unwrap().into_iter();
    all.map(|(number, _, it)| (number, it.last)).collect()
}

/// Minutes come back as they were, each once; those that are old go, by the owner of the chore.
pub(crate) async fn history_of_points(store: &dyn ConfigStore) {
    let level = series(0x7FFF_FFF0, "level", PointType::AnalogueInput);
    let other = series(0x7FFF_FFF0, "level", PointType::DigitalOutput);
    let pump = series(0x7FFF_FFF1, "pump", PointType::DigitalOutput);
    let append = async |minutes: Vec<Minute>| {
        store.append_history(Arc::new(minutes)).await.unwrap();
    };
    append(Vec::new()).await;
    let first = Part::FIRST;
    let largest = (1_i64 << 53) - 2;
    let mut minutes: Vec<_> = (100..300)
        .map(|at| minute(&level, at, first, at.into()))
        .collect();
    minutes.push(minute(&pump, 100, first, 1));
    minutes.push(minute(&pump, 101, first, largest));
    minutes.push(minute(&pump, 102, first, -largest));
    append(minutes.clone()).await;
    append(minutes.clone()).await;
    let points = store.recorded_points(level.controller).await.unwrap();
    let [point] = &points[..] else {
        panic!("{points:?}");
    };
    assert_eq!(
        (&point.series, point.first, point.last),
        (&*level, 100, 299)
    );
    let id = point.id;
    assert_eq!(minutes_of(store, id).await.len(), 200);
    let pumps = store.recorded_points(pump.controller).await.unwrap()[0].id;
    let found = store.history(pumps, (101, 103), None, 10).await.unwrap();
    let expected = &minutes[201..];
    let expected: Vec<_> = expected
        .iter()
        .map(|it| (it.number, it.part, it.summary))
        .collect();
    assert_eq!(found, expected);
    assert!(
        store
            .history(SeriesId(0), (0, u32::MAX), None, 10)
            .await
            .unwrap()
            .is_empty()
    );

    // Another part of a minute is another row; the same part again takes the place of what was.
    let (later, latest) = (Part::new(20_000, 7), Part::new(40_000, 3));
    append(vec![
        minute(&level, 110, latest, 3),
        minute(&level, 110, later, 1),
        minute(&level, 110, later, 2),
    ])
    .await;
    let mut after = None;
    let mut paged = Vec::new();
    loop {
        let page = store.history(id, (109, 112), after, 2).await.unwrap();
        after = page.last().map(|(number, part, _)| (*number, *part));
        paged.extend(page.iter().map(|(number, _, it)| (*number, it.last)));
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(
        paged,
        [(109, 109), (110, 110), (110, 2), (110, 3), (111, 111)]
    );

    // A chart is of the latest type that a name had.
    let question = |from: u32, to: u32, buckets_max| Question {
        controller: level.controller,
        point: level.point.clone(),
        from: history::start_of(from),
        to: history::start_of(to),
        buckets_max,
    };
    let chart = async |question| history::chart(store, &question).await.unwrap();
    let told = chart(question(105, 114, 5)).await.unwrap();
    assert_eq!(told.bucket, Duration::from_secs(120));
    let lasts: Vec<_> = told.buckets.iter().map(|it| it.summary.last).collect();
    assert_eq!(lasts, [106, 108, 3, 112, 114]);
    let third = told.buckets[2].summary;
    assert_eq!((third.min, third.max, third.samples), (1, 111, 12));
    append(vec![minute(&other, 400, first, 1)]).await;
    let told = chart(question(100, 500, 4_000)).await.unwrap();
    assert_eq!(told.point_type, PointType::DigitalOutput);
    assert_eq!(told.buckets.len(), 1);
    let unknown = Question {
        point: Name::new("nothing").unwrap(),
        ..question(100, 500, 1)
    };
    assert_eq!(chart(unknown).await, None);

    sweeping(store, (id, pumps), [&level, &pump]).await;
}

async fn sweeping(
    store: &dyn ConfigStore,
    (id, pumps): (SeriesId, SeriesId),
    [level, pump]: [&Series; 2],
) {
    let chore = title(CHORE);
    let ttl = Duration::from_secs(60);
    let owned = store
        .acquire_lease(chore.clone(), [9; 16], ttl, now())
        .await;
    let token = owned.unwrap().unwrap();
    let stranger = FencingToken(token.0 + 1);
    let refused = store.sweep_history(stranger, 200, None, 50).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert_eq!(minutes_of(store, id).await.len(), 202);
    let (mut after, mut slices) = (None, Vec::new());
    loop {
        let swept = store.sweep_history(token, 200, after, 50).await.unwrap();
        slices.push(swept.minutes);
        after = swept.next;
        if after.is_none() {
            break;
        }
    }
    assert!(slices.iter().all(|it| *it <= 50), "{slices:?}");
    assert_eq!(slices.iter().sum::<u64>(), 102 + 3);
    let left = minutes_of(store, id).await;
    assert_eq!((left.len(), left[0]), (100, (200, 200)));
    assert!(minutes_of(store, pumps).await.is_empty());
    assert!(
        store
            .recorded_points(pump.controller)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.recorded_points(level.controller).await.unwrap().len(),
        2
    );
    // More parts of one minute than a slice takes do not stop it.
    let one = Arc::new(level.clone());
    let parts = (0..9).map(|part| minute(&one, 201, Part::new(part, 1), 1));
    store
        .append_history(Arc::new(parts.collect()))
        .await
        .unwrap();
    let mut after = None;
    let mut gone = 0;
    for _ in 0..200 {
        let swept = store.sweep_history(token, 203, after, 4).await.unwrap();
        gone += swept.minutes;
        after = swept.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((gone, after), (3 + 9, None));
    assert!(store.release_lease(chore, [9; 16]).await.unwrap());
}
