//! Sites, controllers, and the addresses of tools.

use super::{
    Tx,
    value::{Row, Value, params},
};
use crate::{
    digest::Digest,
    fleet::{
        plan::{Label, TAGS_MAX},
        rollout::ReleaseKind,
    },
    keys::{Keys, NextKey},
    store::{
        ControllerChange, ControllerEdit, ControllerEntry, ControllerKey, NewController, Revision,
        Sealer, Seen, Selection, Site, StoreError, TokenHash,
    },
};
use std::collections::HashMap;
use switchyard_protocol::{
    Address, SiteId,
    message::{Time, Title},
};

/// Addresses in one statement; each count is a statement that stays prepared.
const ADDRESSES_PER_STATEMENT: usize = 64;

/// Refuses a site that there is not.
pub(super) async fn check_site(tx: &mut Tx<'_>, site: SiteId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM site WHERE id = ?";
    let found = tx.row(sql, params![site]).await?;
    found.map(drop).ok_or_else(|| StoreError::Missing {
        what: "site",
        name: site.to_string(),
    })
}

pub(super) async fn add_site(
    tx: &mut Tx<'_>,
    name: &Title,
    max: u32,
    now: Time,
) -> Result<SiteId, StoreError> {
    super::check_name(name)?;
    let id = tx.count_up("site", 1).await?;
    if count(tx, "SELECT count(*) FROM site").await? >= u64::from(max) {
        return Err(StoreError::Full {
            what: "sites",
            max: max.into(),
        });
    }
    let sql = "INSERT INTO site (id, name, created_ms) VALUES (?, ?, ?)";
    if !tx.insert(sql, params![id, name, now]).await? {
        return Err(StoreError::Exists(name.to_string()));
    }
    let id = u32::try_from(id).map_err(|_| StoreError::Corrupt { what: "site" })?;
    Ok(SiteId(id))
}

async fn count(tx: &mut Tx<'_>, sql: &str) -> Result<u64, StoreError> {
    let row = tx.row(sql, params![]).await?;
    row.ok_or(StoreError::Corrupt { what: "count" })?.get(0)
}

pub(super) async fn sites(tx: &mut Tx<'_>) -> Result<Vec<Site>, StoreError> {
    let sql = "SELECT id, name, label, created_ms FROM site ORDER BY id";
    let rows = tx.rows(sql, params![]).await?;
    let rows = rows.iter().map(|row| {
        Ok(Site {
            id: row.get(0)?,
            name: row.get(1)?,
            label: row.get(2)?,
            created: row.get(3)?,
        })
    });
    rows.collect()
}

pub(super) async fn rename_site(
    tx: &mut Tx<'_>,
    site: SiteId,
    name: &Title,
) -> Result<bool, StoreError> {
    super::check_name(name)?;
    let sql = "SELECT id FROM site WHERE name = ? AND id <> ?";
    if tx.row(sql, params![name, site]).await?.is_some() {
        return Err(StoreError::Exists(name.to_string()));
    }
    let sql = "UPDATE site SET name = ? WHERE id = ?";
    Ok(tx.execute(sql, params![name, site]).await? > 0)
}

/// The site of a label and name: found by either, or made.
pub(super) async fn put_site(
    tx: &mut Tx<'_>,
    label: &Label,
    name: &Title,
    max: u32,
    now: Time,
) -> Result<SiteId, StoreError> {
    let known = match label.site_number() {
        // Told by its number, which nobody gives but the gateway.
        Some(number) => Some(SiteId(number)),
        None => {
            let sql = "SELECT id FROM site WHERE label = ?";
            let row = tx.row(sql, params![label]).await?;
            row.map(|row| row.get(0)).transpose()?
        }
    };
    if let Some(site) = known {
        let is_there = rename_site(tx, site, name).await?;
        return is_there.then_some(site).ok_or_else(|| StoreError::Missing {
            what: "site",
            name: site.to_string(),
        });
    }
    let sql = "SELECT id FROM site WHERE name = ? AND label IS NULL";
    let site = match tx.row(sql, params![name]).await? {
        Some(row) => row.get(0)?,
        None => add_site(tx, name, max, now).await?,
    };
    let sql = "UPDATE site SET label = ? WHERE id = ?";
    tx.execute(sql, params![label, site]).await?;
    Ok(site)
}

pub(super) async fn remove_site(tx: &mut Tx<'_>, site: SiteId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM site WHERE id = ?";
    let removed = tx.execute(sql, params![site]).await?;
    let sql = "SELECT address FROM controller WHERE site = ? AND revoked_ms IS NULL LIMIT 1";
    if tx.row(sql, params![site]).await?.is_some() {
        return Err(StoreError::InUse { what: "the site" });
    }
    let sql = "UPDATE controller SET site = NULL WHERE site = ?";
    tx.execute(sql, params![site]).await?;
    let sql = "DELETE FROM account_role WHERE site = ?";
    tx.execute(sql, params![site]).await?;
    // Whoever is named in it may be removed then.
    super::alarms::remove_plan(tx, site.0).await?;
    super::accounts::bump_access(tx).await?;
    Ok(removed > 0)
}

pub(super) async fn enrol(
    tx: &mut Tx<'_>,
    controllers: &[NewController],
    max: u32,
    now: Time,
    sealer: &Sealer,
) -> Result<Vec<Address>, StoreError> {
    let more = controllers.len() as u64;
    let last = tx.count_up("controller", more as i64).await?;
    let there_are = count(
        tx,
        "SELECT count(*) FROM controller WHERE revoked_ms IS NULL",
    )
    .await?;
    if there_are + more > u64::from(max) || last > i64::from(Address::CONTROLLER_MAX.0) {
        return Err(StoreError::Full {
            what: "controllers",
            max: max.into(),
        });
    }
    let revision = tx.count_up("controller_revision", 1).await?;
    let mut addresses = Vec::with_capacity(controllers.len());
    let mut checked = None;
    for (new, number) in controllers.iter().zip(last - more as i64 + 1..) {
        if let Some(site) = new.site.filter(|&site| checked != Some(site)) {
            check_site(tx, site).await?;
            checked = Some(site);
        }
        // Not beyond the bound above.
        let address = Address(number as u32);
        let key = sealer.seal_controller_key(address, &new.key.0)?;
        let sql = "INSERT INTO controller (address, title, enrolled_ms, site, sealed_key, revision)
                   VALUES (?, ?, ?, ?, ?, ?)";
        let values = params![address, &new.title, now, new.site, &key, revision];
        tx.execute(sql, values).await?;
        addresses.push(address);
    }
    Ok(addresses)
}

const CONTROLLER: &str =
    "SELECT address, title, site, enrolled_ms, sealed_key, revoked_ms, revision, next_key
     FROM controller";

/// A controller as its row has it, without its tags.
fn entry(row: &Row, sealer: &Sealer) -> Result<(ControllerEntry, Keys), StoreError> {
    let address = row.get(0)?;
    let entry = ControllerEntry {
        address,
        title: row.get(1)?,
        site: row.get(2)?,
        tags: Vec::new(),
        enrolled: row.get(3)?,
    };
    let current = sealer.open_controller_key(address, &row.get::<Vec<u8>>(4)?)?;
    let next = row.get::<Option<Vec<u8>>>(7)?;
    let next = next.map(|sealed| sealer.open_next_key(address, &sealed));
    let keys = Keys {
        current: ControllerKey(current),
        next: next.transpose()?,
    };
    Ok((entry, keys))
}

/// Gives controllers, by their addresses, their tags.
async fn add_tags<'a>(
    tx: &mut Tx<'_>,
    entries: impl Iterator<Item = &'a mut ControllerEntry>,
) -> Result<(), StoreError> {
    let mut entries: HashMap<_, _> = entries.map(|entry| (entry.address, entry)).collect();
    let first = entries.keys().min().copied();
    let last = entries.keys().max().copied();
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(());
    };
    let sql = "SELECT controller, tag FROM controller_tag WHERE controller BETWEEN ? AND ?
               ORDER BY controller, tag";
    for row in tx.rows(sql, params![first, last]).await? {
        if let Some(entry) = entries.get_mut(&row.get(0)?) {
            entry.tags.push(row.get(1)?);
        }
    }
    Ok(())
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    address: Address,
    sealer: &Sealer,
) -> Result<Option<(ControllerEntry, Keys)>, StoreError> {
    let sql = format!("{CONTROLLER} WHERE address = ? AND revoked_ms IS NULL");
    let Some(row) = tx.row(&sql, params![address]).await? else {
        return Ok(None);
    };
    let (mut entry, keys) = entry(&row, sealer)?;
    add_tags(tx, std::iter::once(&mut entry)).await?;
    Ok(Some((entry, keys)))
}

pub(super) async fn page(
    tx: &mut Tx<'_>,
    after: Address,
    limit: u32,
    sealer: &Sealer,
) -> Result<Vec<(ControllerEntry, Keys)>, StoreError> {
    let sql =
        format!("{CONTROLLER} WHERE address > ? AND revoked_ms IS NULL ORDER BY address LIMIT ?");
    let rows = tx.rows(&sql, params![after, limit]).await?;
    let page = rows.iter().map(|row| entry(row, sealer));
    let mut page = page.collect::<Result<Vec<_>, _>>()?;
    add_tags(tx, page.iter_mut().map(|(entry, _)| entry)).await?;
    Ok(page)
}

/// Notes that a controller changes now; false when there is none.
async fn touch(tx: &mut Tx<'_>, address: Address) -> Result<bool, StoreError> {
    let revision = tx.count_up("controller_revision", 1).await?;
    let sql = "UPDATE controller SET revision = ? WHERE address = ? AND revoked_ms IS NULL";
    Ok(tx.execute(sql, params![revision, address]).await? > 0)
}

pub(super) async fn edit(
    tx: &mut Tx<'_>,
    address: Address,
    edit: &ControllerEdit,
) -> Result<bool, StoreError> {
    if !touch(tx, address).await? {
        return Ok(false);
    }
    if let Some(title) = &edit.title {
        let sql = "UPDATE controller SET title = ? WHERE address = ?";
        tx.execute(sql, params![title, address]).await?;
    }
    if let Some(site) = edit.site {
        if let Some(site) = site {
            check_site(tx, site).await?;
        }
        let sql = "UPDATE controller SET site = ? WHERE address = ?";
        tx.execute(sql, params![site, address]).await?;
    }
    if let Some(tags) = &edit.tags {
        if tags.len() > TAGS_MAX {
            return Err(StoreError::Full {
                what: "tags",
                max: TAGS_MAX as u64,
            });
        }
        let sql = "DELETE FROM controller_tag WHERE controller = ?";
        tx.execute(sql, params![address]).await?;
        for tag in tags {
            super::check_name(tag)?;
            // One that is named twice is there once.
            let sql = "REPLACE INTO controller_tag (controller, tag) VALUES (?, ?)";
            tx.execute(sql, params![address, tag]).await?;
        }
    }
    Ok(true)
}

pub(super) async fn set_key(
    tx: &mut Tx<'_>,
    address: Address,
    key: ControllerKey,
    sealer: &Sealer,
) -> Result<bool, StoreError> {
    if !touch(tx, address).await? {
        return Ok(false);
    }
    let sealed = sealer.seal_controller_key(address, &key.0)?;
    let sql = "UPDATE controller SET sealed_key = ?, next_key = NULL WHERE address = ?";
    tx.execute(sql, params![&sealed, address]).await?;
    Ok(true)
}

/// The key that follows a controller's current one, if it has one; read by whoever has touched its row.
async fn next_key(
    tx: &mut Tx<'_>,
    address: Address,
    sealer: &Sealer,
) -> Result<Option<NextKey>, StoreError> {
    let sql = "SELECT next_key FROM controller WHERE address = ?";
    let row = tx.row(sql, params![address]).await?;
    let sealed = row.map(|row| row.get::<Option<Vec<u8>>>(0)).transpose()?;
    let next = sealed.flatten();
    next.map(|sealed| sealer.open_next_key(address, &sealed))
        .transpose()
}

pub(super) async fn replace_key(
    tx: &mut Tx<'_>,
    address: Address,
    next: NextKey,
    sealer: &Sealer,
) -> Result<Option<NextKey>, StoreError> {
    if !touch(tx, address).await? {
        return Ok(None);
    }
    let under_way = next_key(tx, address, sealer).await?;
    let next = under_way.map_or(next, |before| NextKey {
        forget_from: before.forget_from.min(next.forget_from),
        ..before
    });
    let sealed = sealer.seal_next_key(address, &next)?;
    let sql = "UPDATE controller SET next_key = ? WHERE address = ?";
    tx.execute(sql, params![&sealed, address]).await?;
    Ok(Some(next))
}

pub(super) async fn settle_key(
    tx: &mut Tx<'_>,
    address: Address,
    key: ControllerKey,
    sealer: &Sealer,
) -> Result<bool, StoreError> {
    if !touch(tx, address).await? {
        return Ok(false);
    }
    if next_key(tx, address, sealer).await?.map(|next| next.key) != Some(key) {
        return Ok(false);
    }
    set_key(tx, address, key, sealer).await
}

pub(super) async fn revoke(
    tx: &mut Tx<'_>,
    address: Address,
    now: Time,
) -> Result<bool, StoreError> {
    if !touch(tx, address).await? {
        return Ok(false);
    }
    let sql = "UPDATE controller SET revoked_ms = ? WHERE address = ?";
    tx.execute(sql, params![now, address]).await?;
    for kind in ReleaseKind::ALL {
        let sql = "DELETE FROM controller_seen WHERE kind = ? AND controller = ?";
        tx.execute(sql, params![kind, address]).await?;
    }
    Ok(true)
}

/// The enrolled controllers of a selection behind one.
pub(super) async fn selected(
    tx: &mut Tx<'_>,
    selection: &Selection,
    after: Address,
    limit: u32,
) -> Result<Vec<(Address, Option<SiteId>)>, StoreError> {
    let found = |row: &Row| Ok((row.get(0)?, row.get(1)?));
    let rows = match selection {
        Selection::Site(site) => {
            let sql = "SELECT address, site FROM controller
                       WHERE site = ? AND address > ? AND revoked_ms IS NULL
                       ORDER BY address LIMIT ?";
            tx.rows(sql, params![*site, after, limit]).await?
        }
        Selection::Tag(tag) => {
            let sql = "SELECT c.address, c.site FROM controller_tag t
                       JOIN controller c ON c.address = t.controller
                       WHERE t.tag = ? AND t.controller > ? AND c.revoked_ms IS NULL
                       ORDER BY t.controller LIMIT ?";
            tx.rows(sql, params![tag, after, limit]).await?
        }
        Selection::List(list) => {
            let mut list: Vec<_> = list.iter().filter(|it| **it > after).collect();
            list.sort_unstable();
            list.dedup();
            let mut rows = Vec::new();
            for part in list.chunks(ADDRESSES_PER_STATEMENT) {
                let marks = vec!["?"; part.len()].join(", ");
                let sql = format!(
                    "SELECT address, site FROM controller
                     WHERE address IN ({marks}) AND revoked_ms IS NULL ORDER BY address"
                );
                let values: Vec<Value> = part.iter().map(|it| (**it).into()).collect();
                rows.extend(tx.rows(&sql, &values).await?);
                if rows.len() >= limit as usize {
                    break;
                }
            }
            rows.truncate(limit as usize);
            rows
        }
    };
    rows.iter().map(found).collect()
}

/// Keeps what controllers said that they run, unless something later is kept.
pub(super) async fn put_seen(tx: &mut Tx<'_>, seen: &[Seen]) -> Result<(), StoreError> {
    for &Seen {
        controller,
        kind,
        running,
        at,
    } in seen
    {
        if kind == ReleaseKind::Script {
            forget_parameters(tx, controller, running, at).await?;
        }
        let sql = "UPDATE controller_seen SET content = ?, seen_ms = ?
                   WHERE kind = ? AND controller = ? AND seen_ms <= ?";
        let values = params![running, at, kind, controller, at];
        if tx.execute(sql, values).await? > 0 {
            continue;
        }
        let sql = "INSERT INTO controller_seen (kind, controller, content, seen_ms)
                   VALUES (?, ?, ?, ?)";
        tx.insert(sql, params![kind, controller, running, at])
            .await?;
    }
    Ok(())
}

/// Forgets which parameters a controller was seen to have before it ran another script: nobody knows what that makes of
/// them, or whether it has them.
async fn forget_parameters(
    tx: &mut Tx<'_>,
    controller: Address,
    running: Option<Digest>,
    at: Time,
) -> Result<(), StoreError> {
    let sql = "SELECT content FROM controller_seen WHERE kind = ? AND controller = ?";
    let row = tx
        .row(sql, params![ReleaseKind::Script, controller])
        .await?;
    let before: Option<Option<Digest>> = row.map(|row| row.get(0)).transpose()?;
    if before == Some(running) {
        return Ok(());
    }
    let sql = "DELETE FROM controller_seen WHERE kind = ? AND controller = ? AND seen_ms <= ?";
    let values = params![ReleaseKind::Parameters, controller, at];
    tx.execute(sql, values).await?;
    Ok(())
}

pub(super) async fn seen(
    tx: &mut Tx<'_>,
    kind: ReleaseKind,
    after: Address,
    limit: u32,
) -> Result<Vec<Seen>, StoreError> {
    let sql = "SELECT controller, content, seen_ms FROM controller_seen
               WHERE kind = ? AND controller > ? ORDER BY controller LIMIT ?";
    let rows = tx.rows(sql, params![kind, after, limit]).await?;
    let rows = rows.iter().map(|row| {
        Ok(Seen {
            controller: row.get(0)?,
            kind,
            running: row.get(1)?,
            at: row.get(2)?,
        })
    });
    rows.collect()
}

pub(super) async fn changes(
    tx: &mut Tx<'_>,
    after: Revision,
    limit: u32,
    sealer: &Sealer,
) -> Result<Vec<ControllerChange>, StoreError> {
    let sql = format!(
        "{CONTROLLER} WHERE revision > ? OR revision = ? AND address > ?
         ORDER BY revision, address LIMIT ?"
    );
    let (number, address) = (after.number, after.address);
    let rows = tx
        .rows(&sql, params![number, number, address, limit])
        .await?;
    let changes = rows.iter().map(|row| {
        let address: Address = row.get(0)?;
        let revision = Revision {
            number: row.get(6)?,
            address: address.0,
        };
        let is_withdrawn = row.get::<Option<u64>>(5)?.is_some();
        Ok(ControllerChange {
            revision,
            address,
            now: match is_withdrawn {
                true => None,
                false => Some(entry(row, sealer)?),
            },
        })
    });
    let mut changes = changes.collect::<Result<Vec<_>, StoreError>>()?;
    let entries = changes.iter_mut().filter_map(|change| change.now.as_mut());
    add_tags(tx, entries.map(|(entry, _)| entry)).await?;
    Ok(changes)
}

pub(super) async fn revision(tx: &mut Tx<'_>) -> Result<Revision, StoreError> {
    let number = tx.counter("controller_revision").await?.unsigned_abs();
    Ok(Revision {
        number,
        address: u32::MAX,
    })
}

pub(super) async fn installation(
    tx: &mut Tx<'_>,
    installation: TokenHash,
    account: &Title,
    max: u32,
    now: Time,
) -> Result<Address, StoreError> {
    let sql = "SELECT address FROM installation WHERE hash = ?";
    if let Some(row) = tx.row(sql, params![installation.0]).await? {
        return row.get(0);
    }
    let address = tx.count_up("installation", 1).await?;
    let sql = "SELECT count(*) FROM installation WHERE account = ?";
    let row = tx.row(sql, params![account]).await?;
    let count: u32 = row.ok_or(StoreError::Corrupt { what: "count" })?.get(0)?;
    if count >= max || address > i64::from(Address::INSTALLED_MAX.0) {
        return Err(StoreError::Full {
            what: "tool installations",
            max: max.into(),
        });
    }
    let sql = "INSERT INTO installation (hash, address, account, created_ms) VALUES (?, ?, ?, ?)";
    let values = params![installation.0, address, account, now];
    tx.execute(sql, values).await?;
    Ok(Address(address as u32))
}

pub(super) async fn lease_block(tx: &mut Tx<'_>, count: u32) -> Result<Address, StoreError> {
    let range = i64::from(Address::LEASED_MAX.0 - Address::LEASED_MIN.0) + 1;
    let mut end = tx.count_up("leased", count.into()).await?;
    // The range holds a billion; at its end it begins again rather than split a block.
    if end > range {
        let sql = "UPDATE counter SET value = ? WHERE name = 'leased'";
        tx.execute(sql, params![count]).await?;
        end = count.into();
    }
    Ok(Address(
        Address::LEASED_MIN.0 + (end - i64::from(count)) as u32,
    ))
}
