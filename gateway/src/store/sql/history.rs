//! Minutes of history: a table of points, and a row for each of their minutes.

use super::{Tx, value::Value, value::params};
use crate::{
    history::{CHORE, Minute, Part, Recorded, Series, SeriesId, StoredMinute, Summary, Swept},
    store::{FencingToken, StoreError},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address,
    message::{Name, PointType},
};

/// Rows in one statement: a server answers as fast as for one, and each count is a statement that stays prepared.
const ROWS_PER_STATEMENT: usize = 64;
/// Points of one controller that are told: those of all the scripts that its days of history have seen.
const POINTS_TOLD_MAX: u32 = 4_096;
/// Points that one slice of deleting looks at.
const POINTS_PER_SLICE: u32 = 64;

/// Keeps minutes; one that is there already is replaced by itself.
pub(super) async fn append(tx: &mut Tx<'_>, minutes: &Arc<Vec<Minute>>) -> Result<(), StoreError> {
    let ids = ids(tx, minutes).await?;
    for minutes in minutes.chunks(ROWS_PER_STATEMENT) {
        let mut values = Vec::with_capacity(9 * ROWS_PER_STATEMENT);
        for minute in minutes {
            let series = *ids.get(&*minute.series).ok_or(NO_SERIES)?;
            let summary = &minute.summary;
            let held = summary.held.as_millis() as u64;
            values.extend_from_slice(params![
                series,
                minute.number,
                minute.part.number(),
                summary.min,
                summary.max,
                summary.mean,
                summary.last,
                held,
                summary.samples
            ]);
        }
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; minutes.len()].join(", ");
        let sql = format!(
            "REPLACE INTO history_minute
                 (series, minute, part, least, greatest, mean, latest, held_ms, samples)
             VALUES {rows}"
        );
        tx.execute(&sql, &values).await?;
    }
    Ok(())
}

const NO_SERIES: StoreError = StoreError::Corrupt {
    what: "point with history",
};

/// The numbers of the points that these minutes are of; new ones are given where there are none.
async fn ids(tx: &mut Tx<'_>, minutes: &[Minute]) -> Result<HashMap<Series, u64>, StoreError> {
    let mut wanted: Vec<&Series> = minutes.iter().map(|minute| &*minute.series).collect();
    wanted.sort_by_key(|it| (it.controller, &it.point, it.point_type as u8));
    wanted.dedup();
    let mut ids = HashMap::new();
    for wanted in wanted.chunks(ROWS_PER_STATEMENT) {
        let mut values = Vec::new();
        for it in wanted {
            values.extend_from_slice(params![it.controller, &it.point, it.point_type]);
        }
        let each = "(controller = ? AND point = ? AND point_type = ?)";
        let each = vec![each; wanted.len()].join(" OR ");
        let sql =
            format!("SELECT id, controller, point, point_type FROM history_series WHERE {each}");
        for row in tx.rows(&sql, &values).await? {
            let series = Series {
                controller: row.get(1)?,
                point: row.get(2)?,
                point_type: row.get(3)?,
            };
            ids.insert(series, row.get(0)?);
        }
        for it in wanted {
            if !ids.contains_key(*it) {
                ids.insert((*it).clone(), add_series(tx, it).await?);
            }
        }
    }
    Ok(ids)
}

/// Makes a point known; its number.
async fn add_series(tx: &mut Tx<'_>, series: &Series) -> Result<u64, StoreError> {
    let id = tx.count_up("history_series", 1).await?;
    let sql = "INSERT INTO history_series (id, controller, point, point_type) VALUES (?, ?, ?, ?)";
    let (controller, point, point_type) = (series.controller, &series.point, series.point_type);
    let values = params![id, controller, point, point_type];
    if tx.insert(sql, values).await? {
        return u64::try_from(id).map_err(|_| NO_SERIES);
    }
    // Another gateway has made it since it was looked for.
    let sql = "SELECT id FROM history_series WHERE controller = ? AND point = ? AND point_type = ?";
    let values = params![controller, point, point_type];
    let row = tx.row(sql, values).await?;
    row.ok_or(NO_SERIES)?.get(0)
}

/// The points of a controller of which there is history, by name.
pub(super) async fn points(
    tx: &mut Tx<'_>,
    controller: Address,
) -> Result<Vec<Recorded>, StoreError> {
    let sql = "SELECT id, point, point_type,
                   (SELECT min(minute) FROM history_minute WHERE series = history_series.id),
                   (SELECT max(minute) FROM history_minute WHERE series = history_series.id)
               FROM history_series WHERE controller = ? ORDER BY point, point_type LIMIT ?";
    let rows = tx.rows(sql, params![controller, POINTS_TOLD_MAX]).await?;
    let mut points = Vec::new();
    for row in rows {
        // A point without a minute is about to go.
        if let (Some(first), Some(last)) = (row.get(3)?, row.get(4)?) {
            points.push(Recorded {
                id: SeriesId(row.get(0)?),
                series: Series {
                    controller,
                    point: row.get(1)?,
                    point_type: row.get(2)?,
                },
                first,
                last,
            });
        }
    }
    Ok(points)
}

/// At most `limit` minutes of a point, from the first of a range to before its end, behind one if any is given.
pub(super) async fn page(
    tx: &mut Tx<'_>,
    series: SeriesId,
    (first, end): (u32, u32),
    after: Option<(u32, Part)>,
    limit: u32,
) -> Result<Vec<StoredMinute>, StoreError> {
    let (minute, part) = after.map_or((first, -1), |(minute, part)| {
        (minute.max(first), i64::from(part.number()))
    });
    let sql = "SELECT minute, part, least, greatest, mean, latest, held_ms, samples
               FROM history_minute
               WHERE series = ? AND minute >= ? AND minute < ? AND (minute > ? OR part > ?)
               ORDER BY minute, part LIMIT ?";
    let values = params![series.0, minute, end, minute, part, limit];
    let rows = tx.rows(sql, values).await?;
    let rows = rows.iter().map(|row| {
        let summary = Summary {
            min: row.get(2)?,
            max: row.get(3)?,
            mean: row.get(4)?,
            last: row.get(5)?,
            held: Duration::from_millis(row.get(6)?),
            samples: row.get(7)?,
        };
        Ok((row.get(0)?, Part::from_number(row.get(1)?), summary))
    });
    rows.collect()
}

/// Deletes at most `limit` minutes before one, of the points behind one, and points that have none left; by the owner
/// of the chore alone.
pub(super) async fn sweep(
    tx: &mut Tx<'_>,
    token: FencingToken,
    before: u32,
    after: Option<SeriesId>,
    limit: u32,
) -> Result<Swept, StoreError> {
    // Locks the row: nobody else becomes the owner until this is committed.
    let sql = "UPDATE lease SET token = ? WHERE name = ? AND token = ?";
    let owned = tx.execute(sql, params![token.0, CHORE, token.0]).await?;
    if owned == 0 {
        return Err(StoreError::Fenced(CHORE.to_owned()));
    }
    let after = after.map_or(0, |SeriesId(id)| id);
    let sql = "SELECT id FROM history_series WHERE id > ? ORDER BY id LIMIT ?";
    let rows = tx.rows(sql, params![after, POINTS_PER_SLICE]).await?;
    let mut swept = Swept {
        minutes: 0,
        next: None,
    };
    let mut looked_at = after;
    for row in &rows {
        let series: u64 = row.get(0)?;
        let left = u64::from(limit).saturating_sub(swept.minutes);
        let (gone, is_all) = sweep_series(tx, series, before, left).await?;
        swept.minutes += gone;
        if !is_all {
            swept.next = Some(SeriesId(looked_at));
            return Ok(swept);
        }
        looked_at = series;
    }
    if rows.len() == POINTS_PER_SLICE as usize {
        swept.next = Some(SeriesId(looked_at));
    }
    Ok(swept)
}

/// The same of one point; how many went, and whether that was all there is to do.
async fn sweep_series(
    tx: &mut Tx<'_>,
    series: u64,
    before: u32,
    limit: u64,
) -> Result<(u64, bool), StoreError> {
    // The first minute that is too many for one slice, if any is.
    let sql = "SELECT minute FROM history_minute WHERE series = ? AND minute < ?
               ORDER BY minute, part LIMIT 1 OFFSET ?";
    let row = tx.row(sql, params![series, before, limit]).await?;
    let until = row.as_ref().map(|row| row.get::<u32>(0)).transpose()?;
    let sql = "DELETE FROM history_minute WHERE series = ? AND minute < ?";
    let end = until.unwrap_or(before);
    let mut gone = tx.execute(sql, params![series, end]).await?;
    if until.is_some() {
        if gone == 0 && limit > 0 {
            // One minute of more parts than that: it goes as a whole, for something must.
            gone = tx.execute(sql, params![series, end + 1]).await?;
        }
        return Ok((gone, false));
    }
    let sql = "SELECT 1 FROM history_minute WHERE series = ? LIMIT 1";
    if tx.row(sql, params![series]).await?.is_none() {
        let sql = "DELETE FROM history_series WHERE id = ?";
        tx.execute(sql, params![series]).await?;
    }
    Ok((gone, true))
}

impl super::value::FromValue for Name {
    const WHAT: &'static str = "point's name";
    fn from_value(value: &Value) -> Option<Self> {
        Name::new(&String::from_value(value)?).ok()
    }
}

impl super::value::FromValue for PointType {
    const WHAT: &'static str = "point's type";
    fn from_value(value: &Value) -> Option<Self> {
        PointType::from_number(u8::from_value(value)?)
    }
}

impl From<&Name> for Value {
    fn from(name: &Name) -> Self {
        Value::Text(name.as_str().to_owned())
    }
}

impl From<PointType> for Value {
    fn from(point_type: PointType) -> Self {
        Value::Int((point_type as u8).into())
    }
}
