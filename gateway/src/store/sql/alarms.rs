//! Alarms, attempts, what is written about them; contacts, plans, rules; what scripts said and what people want.
//!
//! Whoever writes of alarms does so through the row of the chore's lease, which is locked from then on: of two owners
//! one sees the other's token.

use super::{
    Tx,
    value::{Row, Value, params},
};
use crate::{
    alarm::{
        CHORE,
        model::{Alarm, AlarmId, Attempt, AttemptId, Note, Severity},
        people::ContactId,
        plan::{OVERRIDES_MAX, Override, Plan},
        rule::{Rule, RuleId},
    },
    store::{
        ALARM_WISHES_MAX, AlarmChanges, AlarmCounts, AlarmFilter, AlarmNumbers, AlarmPulse,
        AttemptFilter, CONTACTS_MAX, FencingToken, NewContact, RULES_MAX, SCRIPT_ALARMS_MAX,
        ScriptAlarm, Sealer, StoreError, StoredContact, StoredPlan, StoredRule, WishedAlarms,
    },
};

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

/// Rows in one statement: a server answers as fast as for one, and each count is a statement that stays prepared.
const ROWS_PER_STATEMENT: usize = 64;

/// More than there is of what is read all at once.
const EVERY: u32 = u32::MAX;

const CORRUPT: StoreError = StoreError::Corrupt { what: "alarm" };

fn written(what: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(what).map_err(|_| CORRUPT)
}

fn read<T: serde::de::DeserializeOwned>(row: &Row, at: usize) -> Result<T, StoreError> {
    serde_json::from_str(&row.get::<String>(at)?).map_err(|_| CORRUPT)
}

/// In which order rows are read.
#[derive(Clone, Copy)]
enum Order {
    /// From the least number on.
    Rising,
    /// From the highest number down.
    Falling,
}

/// Rows, each with its number, of a statement that selects that and JSON and ends in conditions: at most `limit` beyond
/// that number. One that cannot be read, written by a later gateway say, is passed over: it must not keep people from being
/// told of all the others.
async fn readable<T: serde::de::DeserializeOwned>(
    tx: &mut Tx<'_>,
    (select, values): (&str, &[Value]),
    (number, order): (&'static str, Order),
    beyond: Option<u64>,
    limit: u32,
) -> Result<Vec<(u64, T)>, StoreError> {
    let (sign, direction) = match order {
        Order::Rising => ('>', "ASC"),
        Order::Falling => ('<', "DESC"),
    };
    let mut beyond = beyond;
    let mut found = Vec::new();
    loop {
        let wanted = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        let mut values = values.to_vec();
        let condition = match beyond {
            Some(beyond) => {
                values.extend_from_slice(params![beyond]);
                format!(" AND {number} {sign} ?")
            }
            None => String::new(),
        };
        values.extend_from_slice(params![wanted]);
        let sql = format!("{select}{condition} ORDER BY {number} {direction} LIMIT ?");
        let rows = tx.rows(&sql, &values).await?;
        for row in &rows {
            let at: u64 = row.get(0)?;
            beyond = Some(at);
            match read(row, 1) {
                Ok(it) => found.push((at, it)),
                Err(_) => complain(select, at),
            }
        }
        if found.len() >= limit as usize || rows.len() < wanted as usize {
            return Ok(found);
        }
    }
}

/// Says that a row cannot be read, at most once a minute: it is met again with every look.
fn complain(select: &str, number: u64) {
    static LAST_MINUTE: AtomicU64 = AtomicU64::new(0);
    let minute = crate::clock::time().0 / 60_000;
    if LAST_MINUTE.swap(minute, Ordering::Relaxed) != minute {
        tracing::error!(number, select, "a row cannot be read and is passed over");
    }
}

/// Locks the row of the lease: nobody else becomes the owner until this is committed.
async fn fence(tx: &mut Tx<'_>, token: FencingToken) -> Result<(), StoreError> {
    let sql = "UPDATE lease SET token = ? WHERE name = ? AND token = ?";
    match tx.execute(sql, params![token.0, CHORE, token.0]).await? {
        0 => Err(StoreError::Fenced(CHORE.to_owned())),
        _ => Ok(()),
    }
}

/// Keeps what scripts said, each once.
pub(super) async fn put_script_alarms(
    tx: &mut Tx<'_>,
    told: &[ScriptAlarm],
) -> Result<(), StoreError> {
    if told.is_empty() {
        return Ok(());
    }
    let sql = "SELECT count(*) FROM script_alarm";
    let row = tx.row(sql, params![]).await?.ok_or(CORRUPT)?;
    if row.get::<u64>(0)? + told.len() as u64 > SCRIPT_ALARMS_MAX {
        return Err(StoreError::Full {
            what: "alarms of scripts that wait",
            max: SCRIPT_ALARMS_MAX,
        });
    }
    for told in told {
        let place = tx.count_up("script_alarm", 1).await?;
        let sql = "INSERT INTO script_alarm (place, controller, number, told) VALUES (?, ?, ?, ?)";
        let values = params![place, told.controller, told.number, &written(told)?];
        // A number that is there already was told before.
        tx.insert(sql, values).await?;
    }
    Ok(())
}

pub(super) async fn script_alarms(
    tx: &mut Tx<'_>,
    limit: u32,
) -> Result<Vec<(u64, ScriptAlarm)>, StoreError> {
    let select = "SELECT place, told FROM script_alarm WHERE 1 = 1";
    readable(tx, (select, &[]), ("place", Order::Rising), None, limit).await
}

pub(super) async fn add_wish(tx: &mut Tx<'_>, wished: &WishedAlarms) -> Result<u64, StoreError> {
    let place = tx.count_up("alarm_wish", 1).await?;
    let sql = "SELECT count(*) FROM alarm_wish";
    let row = tx.row(sql, params![]).await?.ok_or(CORRUPT)?;
    if row.get::<u64>(0)? >= ALARM_WISHES_MAX {
        return Err(StoreError::Full {
            what: "wishes that wait",
            max: ALARM_WISHES_MAX,
        });
    }
    let sql = "INSERT INTO alarm_wish (place, wished) VALUES (?, ?)";
    tx.insert(sql, params![place, &written(wished)?]).await?;
    u64::try_from(place).map_err(|_| CORRUPT)
}

pub(super) async fn wishes(
    tx: &mut Tx<'_>,
    limit: u32,
) -> Result<Vec<(u64, WishedAlarms)>, StoreError> {
    let select = "SELECT place, wished FROM alarm_wish WHERE 1 = 1";
    readable(tx, (select, &[]), ("place", Order::Rising), None, limit).await
}

pub(super) async fn pulse(tx: &mut Tx<'_>) -> Result<AlarmPulse, StoreError> {
    let sql = "SELECT name, value FROM counter
               WHERE name IN ('alarm_settings', 'script_alarm', 'alarm_wish', 'alarm_revision')";
    let mut pulse = AlarmPulse::default();
    for row in tx.rows(sql, params![]).await? {
        let value = row.get(1)?;
        match row.get::<String>(0)?.as_str() {
            "alarm_settings" => pulse.settings = value,
            "script_alarm" => pulse.script_alarms = value,
            "alarm_wish" => pulse.wishes = value,
            _ => pulse.alarms = value,
        }
    }
    Ok(pulse)
}

pub(super) async fn wish_waits(tx: &mut Tx<'_>, place: u64) -> Result<bool, StoreError> {
    let sql = "SELECT place FROM alarm_wish WHERE place = ?";
    Ok(tx.row(sql, params![place]).await?.is_some())
}

pub(super) async fn save(
    tx: &mut Tx<'_>,
    token: FencingToken,
    changes: &AlarmChanges,
) -> Result<u64, StoreError> {
    fence(tx, token).await?;
    let revision = tx.count_up("alarm_revision", 1).await?;
    for alarms in changes.alarms.chunks(ROWS_PER_STATEMENT) {
        let mut values = Vec::with_capacity(11 * ROWS_PER_STATEMENT);
        for alarm in alarms {
            let text = written(alarm)?;
            values.extend_from_slice(params![
                alarm.id.0,
                alarm.is_open(),
                alarm.site,
                alarm.controller,
                alarm.raised_ms,
                alarm.cleared_ms,
                revision,
                rank(alarm.severity),
                alarm.acknowledged.is_some(),
                alarm.part_of.is_some(),
                &text
            ]);
        }
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; alarms.len()].join(", ");
        let sql = format!(
            "REPLACE INTO alarm (id, is_open, site, controller, raised_ms, cleared_ms, revision,
                                 severity, is_heard, is_part, alarm)
             VALUES {rows}"
        );
        tx.execute(&sql, &values).await?;
    }
    for attempt in &changes.attempts {
        let sql = "REPLACE INTO alarm_attempt (id, is_open, contact, begun_ms, attempt)
                   VALUES (?, ?, ?, ?, ?)";
        let is_open = attempt.outcome.is_none();
        let text = written(attempt)?;
        let values = params![
            attempt.id.0,
            is_open,
            attempt.contact.0,
            attempt.begun_ms,
            &text
        ];
        tx.execute(sql, values).await?;
    }
    put_notes(tx, &changes.notes).await?;
    for places in changes.script_alarms_taken.chunks(ROWS_PER_STATEMENT) {
        let marks = vec!["?"; places.len()].join(", ");
        let sql = format!("DELETE FROM script_alarm WHERE place IN ({marks})");
        let places: Vec<Value> = places.iter().map(|it| Value::from(*it)).collect();
        tx.execute(&sql, &places).await?;
    }
    if let Some(place) = changes.wishes_until {
        let sql = "DELETE FROM alarm_wish WHERE place <= ?";
        tx.execute(sql, params![place]).await?;
    }
    if let Some(last) = changes.alarms.iter().map(|it| it.id.0).max() {
        raise_counter(tx, "alarm", last).await?;
    }
    if let Some(last) = changes.attempts.iter().map(|it| it.id.0).max() {
        raise_counter(tx, "alarm_attempt", last).await?;
    }
    u64::try_from(revision).map_err(|_| CORRUPT)
}

async fn put_notes(tx: &mut Tx<'_>, notes: &[(u64, Note)]) -> Result<(), StoreError> {
    for notes in notes.chunks(ROWS_PER_STATEMENT) {
        let mut values: Vec<Value> = Vec::with_capacity(3 * ROWS_PER_STATEMENT);
        for (place, note) in notes {
            let text = written(note)?;
            values.extend_from_slice(params![note.alarm.0, *place, &text]);
        }
        let rows = vec!["(?, ?, ?)"; notes.len()].join(", ");
        let sql = format!("REPLACE INTO alarm_note (alarm, place, note) VALUES {rows}");
        tx.execute(&sql, &values).await?;
    }
    match notes.last() {
        Some((last, _)) => raise_counter(tx, "alarm_note", *last).await,
        None => Ok(()),
    }
}

/// Numbers go on from there, also when what bore them is gone.
async fn raise_counter(tx: &mut Tx<'_>, name: &str, to: u64) -> Result<(), StoreError> {
    let sql = "UPDATE counter SET value = ? WHERE name = ? AND value < ?";
    tx.execute(sql, params![to, name, to]).await?;
    Ok(())
}

pub(super) async fn numbers(tx: &mut Tx<'_>) -> Result<AlarmNumbers, StoreError> {
    let number = |value: i64| u64::try_from(value).map_err(|_| CORRUPT);
    Ok(AlarmNumbers {
        alarm: AlarmId(number(tx.counter("alarm").await?)?),
        attempt: AttemptId(number(tx.counter("alarm_attempt").await?)?),
        note: number(tx.counter("alarm_note").await?)?,
    })
}

pub(super) async fn page(
    tx: &mut Tx<'_>,
    filter: &AlarmFilter,
    before: Option<AlarmId>,
    limit: u32,
) -> Result<Vec<Alarm>, StoreError> {
    let mut sql = String::from("SELECT id, alarm FROM alarm WHERE 1 = 1");
    let mut values: Vec<Value> = Vec::new();
    let mut narrow = |clause: &str, value: &[Value]| {
        sql.push_str(" AND ");
        sql.push_str(clause);
        values.extend_from_slice(value);
    };
    if let Some(is_open) = filter.is_open {
        narrow("is_open = ?", params![is_open]);
    }
    if let Some(sites) = &filter.sites {
        if sites.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; sites.len()].join(", ");
        let sites: Vec<Value> = sites.iter().map(|it| Value::from(*it)).collect();
        narrow(&format!("site IN ({marks})"), &sites);
    }
    if let Some(controller) = filter.controller {
        narrow("controller = ?", params![controller]);
    }
    if let Some(revision) = filter.after_revision {
        narrow("revision > ?", params![revision]);
    }
    if let Some(since_ms) = filter.cleared_since_ms {
        narrow(
            "(is_open = 1 OR (is_open = 0 AND cleared_ms >= ?))",
            params![since_ms],
        );
    }
    let before = before.map(|it| it.0);
    let found = readable(tx, (&sql, &values), ("id", Order::Falling), before, limit).await?;
    Ok(found.into_iter().map(|(_, alarm)| alarm).collect())
}

/// How many are open, but for those that are part of another, by severity.
pub(super) async fn counts(
    tx: &mut Tx<'_>,
    sites: Option<&BTreeSet<u32>>,
) -> Result<AlarmCounts, StoreError> {
    let mut counts = AlarmCounts::default();
    let mut sql = String::from(
        "SELECT severity, is_heard, count(*) FROM alarm WHERE is_open = 1 AND is_part = 0",
    );
    let mut values: Vec<Value> = Vec::new();
    if let Some(sites) = sites {
        if sites.is_empty() {
            return Ok(counts);
        }
        let marks = vec!["?"; sites.len()].join(", ");
        sql.push_str(&format!(" AND site IN ({marks})"));
        values.extend(sites.iter().map(|it| Value::from(*it)));
    }
    sql.push_str(" GROUP BY severity, is_heard");
    for row in tx.rows(&sql, &values).await? {
        let severity: u32 = row.get(0)?;
        let is_heard: bool = row.get(1)?;
        let count: u64 = row.get(2)?;
        let severity = match severity {
            0 => Severity::Low,
            1 => Severity::Medium,
            _ => Severity::High,
        };
        *counts.open.of(severity) += count;
        if !is_heard {
            *counts.unheard.of(severity) += count;
        }
    }
    Ok(counts)
}

/// How a severity is written where rows are counted.
const fn rank(severity: Severity) -> u32 {
    match severity {
        Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
    }
}

pub(super) async fn find(tx: &mut Tx<'_>, id: AlarmId) -> Result<Option<Alarm>, StoreError> {
    let sql = "SELECT alarm FROM alarm WHERE id = ?";
    let row = tx.row(sql, params![id.0]).await?;
    row.map(|row| read(&row, 0)).transpose()
}

pub(super) async fn notes(
    tx: &mut Tx<'_>,
    alarm: AlarmId,
    limit: u32,
) -> Result<Vec<Note>, StoreError> {
    // The latest of them, in their order.
    let sql = "SELECT note FROM alarm_note WHERE alarm = ? ORDER BY place DESC LIMIT ?";
    let rows = tx.rows(sql, params![alarm.0, limit]).await?;
    rows.iter().rev().map(|row| read(row, 0)).collect()
}

pub(super) async fn attempts(
    tx: &mut Tx<'_>,
    filter: AttemptFilter,
    before: Option<AttemptId>,
    limit: u32,
) -> Result<Vec<Attempt>, StoreError> {
    if let Some(alarm) = filter.alarm {
        return attempts_of(tx, alarm, limit).await;
    }
    let mut sql = String::from("SELECT id, attempt FROM alarm_attempt WHERE 1 = 1");
    let mut values: Vec<Value> = Vec::new();
    if let Some(contact) = filter.contact {
        sql.push_str(" AND contact = ?");
        values.extend_from_slice(params![contact.0]);
    }
    if let Some(since_ms) = filter.since_ms {
        sql.push_str(" AND (is_open = 1 OR (is_open = 0 AND begun_ms >= ?))");
        values.extend_from_slice(params![since_ms]);
    }
    let before = before.map(|it| it.0);
    let found = readable(tx, (&sql, &values), ("id", Order::Falling), before, limit).await?;
    Ok(found.into_iter().map(|(_, attempt)| attempt).collect())
}

/// An alarm's own: its notes name them.
async fn attempts_of(
    tx: &mut Tx<'_>,
    alarm: AlarmId,
    limit: u32,
) -> Result<Vec<Attempt>, StoreError> {
    use crate::alarm::model::Happened;
    let notes = notes(tx, alarm, limit.saturating_mul(8)).await?;
    let mut ids: Vec<_> = notes
        .iter()
        .filter_map(|note| match note.what {
            Happened::Attempted { attempt } => Some(attempt),
            _ => None,
        })
        .collect();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids.iter().rev().take(limit as usize) {
        let sql = "SELECT attempt FROM alarm_attempt WHERE id = ?";
        if let Some(row) = tx.row(sql, params![id.0]).await? {
            found.push(read(&row, 0)?);
        }
    }
    Ok(found)
}

/// Removes alarms that were over before a moment, and attempts that were begun before it; how many alarms.
pub(super) async fn trim(
    tx: &mut Tx<'_>,
    token: FencingToken,
    before_ms: u64,
    limit: u32,
) -> Result<u32, StoreError> {
    fence(tx, token).await?;
    let sql = "SELECT id FROM alarm WHERE is_open = 0 AND cleared_ms < ? ORDER BY id LIMIT ?";
    let rows = tx.rows(sql, params![before_ms, limit]).await?;
    for row in &rows {
        let id: u64 = row.get(0)?;
        for sql in [
            "DELETE FROM alarm_note WHERE alarm = ?",
            "DELETE FROM alarm WHERE id = ?",
        ] {
            tx.execute(sql, params![id]).await?;
        }
    }
    let sql = "DELETE FROM alarm_attempt WHERE is_open = 0 AND begun_ms < ?";
    tx.execute(sql, params![before_ms]).await?;
    u32::try_from(rows.len()).map_err(|_| CORRUPT)
}

/// What a contact's PIN is sealed for.
fn pin_owner(id: ContactId) -> String {
    format!("pin of contact {id}")
}

pub(super) async fn contacts(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
) -> Result<Vec<StoredContact>, StoreError> {
    let sql = "SELECT id, contact, pin FROM alarm_contact ORDER BY id";
    let rows = tx.rows(sql, params![]).await?;
    let contact = |row: &Row| {
        let id = ContactId(row.get(0)?);
        let pin: Option<Vec<u8>> = row.get(2)?;
        let pin = pin.map(|sealed| sealer.open(&pin_owner(id), &sealed));
        let pin = pin.transpose()?.map(String::from_utf8);
        Ok::<_, StoreError>(StoredContact {
            id,
            contact: read(row, 1)?,
            pin: pin.transpose().map_err(|_| CORRUPT)?,
        })
    };
    let mut contacts = Vec::with_capacity(rows.len());
    for row in &rows {
        match contact(row) {
            Ok(contact) => contacts.push(contact),
            // Also one whose PIN nobody knows: nothing is told to whoever cannot be asked for it.
            Err(_) => complain(sql, row.get(0)?),
        }
    }
    Ok(contacts)
}

pub(super) async fn put_contact(
    tx: &mut Tx<'_>,
    new: &NewContact,
    sealer: &Sealer,
) -> Result<ContactId, StoreError> {
    tx.count_up("alarm_settings", 1).await?;
    let name = &new.contact.name;
    let sql = "SELECT id FROM alarm_contact WHERE name = ?";
    if let Some(row) = tx.row(sql, params![name]).await?
        && Some(row.get(0)?) != new.id.map(|it| it.0)
    {
        return Err(StoreError::Exists(name.clone()));
    }
    let text = written(&new.contact)?;
    let id = match new.id {
        Some(id) => {
            let sql = "UPDATE alarm_contact SET name = ?, contact = ? WHERE id = ?";
            tx.execute(sql, params![name, &text, id.0]).await?;
            let sql = "SELECT id FROM alarm_contact WHERE id = ?";
            if tx.row(sql, params![id.0]).await?.is_none() {
                return Err(StoreError::Missing {
                    what: "contact",
                    name: id.to_string(),
                });
            }
            id
        }
        None => {
            room(tx, "alarm_contact", "contacts", CONTACTS_MAX).await?;
            let id = tx.count_up("alarm_contact", 1).await?;
            let id = ContactId(u32::try_from(id).map_err(|_| CORRUPT)?);
            let sql = "INSERT INTO alarm_contact (id, name, contact) VALUES (?, ?, ?)";
            tx.insert(sql, params![id.0, name, &text]).await?;
            id
        }
    };
    if let Some(pin) = &new.pin {
        let sealed = pin
            .as_ref()
            .map(|pin| sealer.seal(&pin_owner(id), pin.as_bytes()))
            .transpose()?;
        let sql = "UPDATE alarm_contact SET pin = ? WHERE id = ?";
        tx.execute(sql, params![sealed.as_deref(), id.0]).await?;
    }
    Ok(id)
}

async fn room(
    tx: &mut Tx<'_>,
    table: &str,
    what: &'static str,
    max: u64,
) -> Result<(), StoreError> {
    let sql = format!("SELECT count(*) FROM {table}");
    let row = tx.row(&sql, params![]).await?.ok_or(CORRUPT)?;
    match row.get::<u64>(0)? < max {
        true => Ok(()),
        false => Err(StoreError::Full { what, max }),
    }
}

pub(super) async fn remove_contact(tx: &mut Tx<'_>, id: ContactId) -> Result<bool, StoreError> {
    // Locks the row that every writer of a plan must have.
    tx.count_up("alarm_settings", 1).await?;
    if plans(tx)
        .await?
        .iter()
        .any(|it| it.plan.contacts().any(|named| named == id))
    {
        return Err(StoreError::InUse {
            what: "contact (no plan may name it)",
        });
    }
    let sql = "DELETE FROM alarm_contact WHERE id = ?";
    Ok(tx.execute(sql, params![id.0]).await? > 0)
}

pub(super) async fn rules(tx: &mut Tx<'_>) -> Result<Vec<StoredRule>, StoreError> {
    let select = "SELECT id, rule FROM alarm_rule WHERE 1 = 1";
    let rules = readable(tx, (select, &[]), ("id", Order::Rising), None, EVERY).await?;
    let rule = |(id, rule)| {
        let id = u32::try_from(id).map_err(|_| CORRUPT)?;
        Ok(StoredRule {
            id: RuleId(id),
            rule,
        })
    };
    rules.into_iter().map(rule).collect()
}

pub(super) async fn put_rule(
    tx: &mut Tx<'_>,
    id: Option<RuleId>,
    rule: &Rule,
) -> Result<RuleId, StoreError> {
    tx.count_up("alarm_settings", 1).await?;
    let text = written(rule)?;
    if let Some(id) = id {
        let sql = "SELECT id FROM alarm_rule WHERE id = ?";
        if tx.row(sql, params![id.0]).await?.is_none() {
            return Err(StoreError::Missing {
                what: "rule",
                name: id.0.to_string(),
            });
        }
        let sql = "UPDATE alarm_rule SET rule = ? WHERE id = ?";
        tx.execute(sql, params![&text, id.0]).await?;
        return Ok(id);
    }
    room(tx, "alarm_rule", "rules", RULES_MAX).await?;
    let id = tx.count_up("alarm_rule", 1).await?;
    let id = RuleId(u32::try_from(id).map_err(|_| CORRUPT)?);
    let sql = "INSERT INTO alarm_rule (id, rule) VALUES (?, ?)";
    tx.insert(sql, params![id.0, &text]).await?;
    Ok(id)
}

pub(super) async fn remove_rule(tx: &mut Tx<'_>, id: RuleId) -> Result<bool, StoreError> {
    tx.count_up("alarm_settings", 1).await?;
    let sql = "DELETE FROM alarm_rule WHERE id = ?";
    Ok(tx.execute(sql, params![id.0]).await? > 0)
}

pub(super) async fn plans(tx: &mut Tx<'_>) -> Result<Vec<StoredPlan>, StoreError> {
    let select = "SELECT site, plan FROM alarm_plan WHERE 1 = 1";
    let plans = readable(tx, (select, &[]), ("site", Order::Rising), None, EVERY).await?;
    let plan = |(site, plan)| {
        let site = u32::try_from(site).map_err(|_| CORRUPT)?;
        Ok(StoredPlan { site, plan })
    };
    plans.into_iter().map(plan).collect()
}

pub(super) async fn put_plan(tx: &mut Tx<'_>, site: u32, plan: &Plan) -> Result<(), StoreError> {
    tx.count_up("alarm_settings", 1).await?;
    let sql = "SELECT id FROM site WHERE id = ?";
    if site != 0 && tx.row(sql, params![site]).await?.is_none() {
        return Err(StoreError::Missing {
            what: "site",
            name: site.to_string(),
        });
    }
    for contact in plan.contacts() {
        let sql = "SELECT id FROM alarm_contact WHERE id = ?";
        if tx.row(sql, params![contact.0]).await?.is_none() {
            return Err(StoreError::Missing {
                what: "contact",
                name: contact.to_string(),
            });
        }
    }
    let sql = "REPLACE INTO alarm_plan (site, plan) VALUES (?, ?)";
    tx.execute(sql, params![site, &written(plan)?]).await?;
    Ok(())
}

/// Adds an exception to a plan, without those that are over; the plan then.
pub(super) async fn add_override(
    tx: &mut Tx<'_>,
    site: u32,
    exception: &Override,
    now_ms: u64,
) -> Result<Option<Plan>, StoreError> {
    // Locks the row that every writer of a plan must have: two exceptions at once are two.
    tx.count_up("alarm_settings", 1).await?;
    let plans = plans(tx).await?;
    let Some(mut plan) = plans
        .into_iter()
        .find(|it| it.site == site)
        .map(|it| it.plan)
    else {
        return Ok(None);
    };
    plan.overrides.retain(|it| it.until_ms > now_ms);
    if plan.overrides.len() >= OVERRIDES_MAX {
        return Err(StoreError::Full {
            what: "exceptions of a plan",
            max: OVERRIDES_MAX as u64,
        });
    }
    plan.overrides.push(exception.clone());
    put_plan(tx, site, &plan).await?;
    Ok(Some(plan))
}

pub(super) async fn remove_plan(tx: &mut Tx<'_>, site: u32) -> Result<bool, StoreError> {
    tx.count_up("alarm_settings", 1).await?;
    let sql = "DELETE FROM alarm_plan WHERE site = ?";
    Ok(tx.execute(sql, params![site]).await? > 0)
}
