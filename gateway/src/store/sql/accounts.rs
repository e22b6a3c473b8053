//! Accounts, their rights, second factors, tokens, and keys for SSH.

use super::{Tx, value::params};
use crate::store::{
    Account, Login, NewToken, Sealer, SshKey, StoreError, TokenEntry, TokenHash, TokenId,
    TokenKind, sql::value::Row,
};
use std::collections::HashMap;
use switchyard_protocol::{
    Role, SiteId,
    message::{Time, Title},
};
use switchyard_relay::Rights;

/// Log-ins that one account may have at once: the oldest go first.
const SESSIONS_PER_ACCOUNT_MAX: i64 = 32;
/// Tokens for programs that one account may have: none goes by itself.
const ACCESS_TOKENS_PER_ACCOUNT_MAX: u64 = 64;
/// Keys for SSH that one account may have.
const SSH_KEYS_PER_ACCOUNT_MAX: u64 = 32;
/// Where a role holds everywhere: no site has this number.
const EVERYWHERE: SiteId = SiteId(0);

/// What a second factor is sealed with.
fn totp_owner(account: &Title) -> String {
    format!("totp {account}")
}

pub(super) async fn bump_access(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE counter SET value = value + 1 WHERE name = 'access_revision'";
    tx.execute(sql, params![]).await?;
    Ok(())
}

pub(super) async fn add(
    tx: &mut Tx<'_>,
    account: &Account,
    sealer: &Sealer,
) -> Result<(), StoreError> {
    super::check_name(&account.name)?;
    let totp = account.totp.as_ref();
    let totp = totp.map(|secret| sealer.seal(&totp_owner(&account.name), secret));
    let totp = totp.transpose()?;
    let sql = "INSERT INTO account (name, password_hash, totp, created_ms) VALUES (?, ?, ?, ?)";
    let (hash, created) = (&account.password_hash, account.created);
    let values = params![&account.name, hash, totp.as_ref(), created];
    if !tx.insert(sql, values).await? {
        return Err(StoreError::Exists(account.name.to_string()));
    }
    put_rights(tx, &account.name, &account.rights).await
}

pub(super) async fn add_first(
    tx: &mut Tx<'_>,
    account: &Account,
    sealer: &Sealer,
) -> Result<bool, StoreError> {
    // Locks a row that everybody who does this must have.
    bump_access(tx).await?;
    if tx
        .row("SELECT name FROM account LIMIT 1", params![])
        .await?
        .is_some()
    {
        return Ok(false);
    }
    add(tx, account, sealer).await?;
    Ok(true)
}

async fn put_rights(tx: &mut Tx<'_>, name: &Title, rights: &Rights) -> Result<(), StoreError> {
    let everywhere = rights.role_at(None).map(|role| (EVERYWHERE, role));
    for (site, role) in everywhere.into_iter().chain(rights.roles()) {
        if site != EVERYWHERE {
            super::controllers::check_site(tx, site).await?;
        }
        let sql = "INSERT INTO account_role (account, site, role) VALUES (?, ?, ?)";
        tx.execute(sql, params![name, site, role]).await?;
    }
    Ok(())
}

/// Gathers the rows of `account_role`.
#[derive(Default)]
struct Roles {
    everywhere: Option<Role>,
    sites: Vec<(SiteId, Role)>,
}

impl Roles {
    fn add(&mut self, site: SiteId, role: Role) {
        if site == EVERYWHERE {
            self.everywhere = Some(role);
        } else {
            self.sites.push((site, role));
        }
    }

    fn rights(self) -> Rights {
        Rights::new(self.everywhere, self.sites)
    }
}

async fn rights(tx: &mut Tx<'_>, name: &Title) -> Result<Rights, StoreError> {
    let sql = "SELECT site, role FROM account_role WHERE account = ?";
    let mut roles = Roles::default();
    for row in tx.rows(sql, params![name]).await? {
        roles.add(row.get(0)?, row.get(1)?);
    }
    Ok(roles.rights())
}

const ACCOUNT: &str = "SELECT name, password_hash, totp, created_ms FROM account";

fn account(row: &Row, rights: Rights, sealer: &Sealer) -> Result<Account, StoreError> {
    let name: Title = row.get(0)?;
    let totp = row.get::<Option<Vec<u8>>>(2)?;
    let totp = totp.map(|sealed| sealer.open(&totp_owner(&name), &sealed));
    Ok(Account {
        rights,
        password_hash: row.get(1)?,
        totp: totp.transpose()?,
        created: row.get(3)?,
        name,
    })
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    name: &Title,
    sealer: &Sealer,
) -> Result<Option<Account>, StoreError> {
    let sql = format!("{ACCOUNT} WHERE name = ?");
    let Some(row) = tx.row(&sql, params![name]).await? else {
        return Ok(None);
    };
    let rights = rights(tx, name).await?;
    account(&row, rights, sealer).map(Some)
}

pub(super) async fn all(tx: &mut Tx<'_>, sealer: &Sealer) -> Result<Vec<Account>, StoreError> {
    let mut roles: HashMap<Title, Roles> = HashMap::new();
    let sql = "SELECT account, site, role FROM account_role";
    for row in tx.rows(sql, params![]).await? {
        roles
            .entry(row.get(0)?)
            .or_default()
            .add(row.get(1)?, row.get(2)?);
    }
    let rows = tx
        .rows(&format!("{ACCOUNT} ORDER BY name"), params![])
        .await?;
    let rows = rows.iter().map(|row| {
        let roles = roles.remove(&row.get::<Title>(0)?);
        account(row, roles.unwrap_or_default().rights(), sealer)
    });
    rows.collect()
}

/// Whether there is an account of this name; from then on nobody else changes it before we are done.
async fn lock(tx: &mut Tx<'_>, name: &Title) -> Result<bool, StoreError> {
    let sql = "UPDATE account SET created_ms = created_ms WHERE name = ?";
    Ok(tx.execute(sql, params![name]).await? > 0)
}

pub(super) async fn set_rights(
    tx: &mut Tx<'_>,
    name: &Title,
    rights: &Rights,
) -> Result<bool, StoreError> {
    if !lock(tx, name).await? {
        return Ok(false);
    }
    let sql = "DELETE FROM account_role WHERE account = ?";
    tx.execute(sql, params![name]).await?;
    put_rights(tx, name, rights).await?;
    bump_access(tx).await?;
    Ok(true)
}

/// Refuses what would leave nobody who is admin everywhere, and from then on nobody else takes that away before we
/// are done: of two that would leave each other the last one comes later.
async fn leaves_an_admin(tx: &mut Tx<'_>, name: &Title) -> Result<(), StoreError> {
    // Locks a row that everybody who does this must have.
    bump_access(tx).await?;
    let sql = "SELECT account FROM account_role WHERE site = ? AND role = ?";
    let admins = tx.rows(sql, params![EVERYWHERE, Role::Admin]).await?;
    let admins: Result<Vec<Title>, _> = admins.iter().map(|row| row.get(0)).collect();
    match &admins?[..] {
        [only] if only == name => Err(StoreError::LastAdmin(name.to_string())),
        _ => Ok(()),
    }
}

pub(super) async fn set_rights_but_of_last_admin(
    tx: &mut Tx<'_>,
    name: &Title,
    rights: &Rights,
) -> Result<bool, StoreError> {
    if rights.role_at(None) != Some(Role::Admin) {
        leaves_an_admin(tx, name).await?;
    }
    set_rights(tx, name, rights).await
}

pub(super) async fn remove_but_last_admin(
    tx: &mut Tx<'_>,
    name: &Title,
) -> Result<bool, StoreError> {
    leaves_an_admin(tx, name).await?;
    remove(tx, name).await
}

pub(super) async fn set_password(
    tx: &mut Tx<'_>,
    name: &Title,
    password_hash: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE account SET password_hash = ? WHERE name = ?";
    let changed = tx.execute(sql, params![password_hash, name]).await?;
    let sql = "DELETE FROM token WHERE account = ?";
    tx.execute(sql, params![name]).await?;
    bump_access(tx).await?;
    Ok(changed > 0)
}

pub(super) async fn set_totp(
    tx: &mut Tx<'_>,
    name: &Title,
    secret: Option<&Vec<u8>>,
    sealer: &Sealer,
) -> Result<bool, StoreError> {
    let sealed = secret.map(|secret| sealer.seal(&totp_owner(name), secret));
    let sealed = sealed.transpose()?;
    let sql = "UPDATE account SET totp = ?, totp_step = 0 WHERE name = ?";
    let changed = tx.execute(sql, params![sealed.as_ref(), name]).await?;
    Ok(changed > 0)
}

pub(super) async fn use_totp_step(
    tx: &mut Tx<'_>,
    name: &Title,
    step: u64,
) -> Result<bool, StoreError> {
    let sql = "UPDATE account SET totp_step = ? WHERE name = ? AND totp_step < ?";
    Ok(tx.execute(sql, params![step, name, step]).await? > 0)
}

pub(super) async fn remove(tx: &mut Tx<'_>, name: &Title) -> Result<bool, StoreError> {
    // Not left to foreign keys: MySQL before 9 takes those that stand beside a column for a remark.
    for table in ["token", "ssh_key", "account_role"] {
        let sql = format!("DELETE FROM {table} WHERE account = ?");
        tx.execute(&sql, params![name]).await?;
    }
    let sql = "DELETE FROM account WHERE name = ?";
    let removed = tx.execute(sql, params![name]).await? > 0;
    if removed {
        bump_access(tx).await?;
    }
    Ok(removed)
}

pub(super) async fn add_token(
    tx: &mut Tx<'_>,
    token: &NewToken,
    now: Time,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM token WHERE expires_ms <= ?";
    tx.execute(sql, params![now]).await?;
    let name = &token.account;
    if !lock(tx, name).await? {
        return Err(StoreError::Missing {
            what: "account",
            name: name.to_string(),
        });
    }
    let kind = token.kind as u8;
    if token.kind == TokenKind::Access {
        let sql = "SELECT count(*) FROM token WHERE account = ? AND kind = ?";
        check_room(
            tx,
            sql,
            params![name, kind],
            "access tokens",
            ACCESS_TOKENS_PER_ACCOUNT_MAX,
        )
        .await?;
    }
    let ordinal = tx.count_up("token", 1).await?;
    let sql = "INSERT INTO token (hash, account, expires_ms, created_ms, kind, title, ordinal)
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (hash, title, ends) = (token.hash.0, &token.title, token.expires);
    tx.execute(sql, params![hash, name, ends, now, kind, title, ordinal])
        .await?;
    // The oldest sessions go; those of before they were counted all have the same ordinal.
    let sql = "SELECT hash FROM token WHERE account = ? AND kind = 0
               ORDER BY ordinal DESC, created_ms DESC LIMIT 1000 OFFSET ?";
    let old = tx
        .rows(sql, params![name, SESSIONS_PER_ACCOUNT_MAX])
        .await?;
    for row in &old {
        let sql = "DELETE FROM token WHERE hash = ?";
        tx.execute(sql, params![row.get::<[u8; 32]>(0)?]).await?;
    }
    if !old.is_empty() {
        bump_access(tx).await?;
    }
    Ok(())
}

/// Whether one more is within a bound, by a query that counts those that there are.
async fn check_room(
    tx: &mut Tx<'_>,
    count: &str,
    params: &[super::value::Value],
    what: &'static str,
    max: u64,
) -> Result<(), StoreError> {
    let row = tx.row(count, params).await?;
    let count: u64 = row.ok_or(StoreError::Corrupt { what })?.get(0)?;
    if count >= max {
        return Err(StoreError::Full { what, max });
    }
    Ok(())
}

/// A log-in by its token's hash, if it holds after a moment. Not a join with the account's roles:
/// SQLite, as built here, plans one anew each time for the values that it is asked with, which costs
/// many times the look itself.
pub(super) const LOGIN: &str =
    "SELECT account, expires_ms FROM token WHERE hash = ? AND expires_ms > ?";

pub(super) async fn login(
    tx: &mut Tx<'_>,
    token: TokenHash,
    now: Time,
) -> Result<Option<Login>, StoreError> {
    let Some(row) = tx.row(LOGIN, params![token.0, now]).await? else {
        return Ok(None);
    };
    let account: Title = row.get(0)?;
    let rights = rights(tx, &account).await?;
    Ok(Some(Login {
        account,
        rights,
        expires: row.get(1)?,
    }))
}

/// A token's number: the beginning of its hash, which says nothing of the token.
fn token_id(hash: &[u8; 32]) -> TokenId {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    TokenId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

pub(super) async fn tokens(tx: &mut Tx<'_>, name: &Title) -> Result<Vec<TokenEntry>, StoreError> {
    let sql = "SELECT hash, kind, title, created_ms, expires_ms FROM token WHERE account = ?
               ORDER BY ordinal DESC, created_ms DESC";
    let rows = tx.rows(sql, params![name]).await?;
    let rows = rows.iter().map(|row| {
        Ok(TokenEntry {
            id: token_id(&row.get(0)?),
            kind: match row.get::<u8>(1)? {
                0 => TokenKind::Session,
                _ => TokenKind::Access,
            },
            title: row.get(2)?,
            created: row.get(3)?,
            expires: row.get(4)?,
        })
    });
    rows.collect()
}

pub(super) async fn revoke_token(tx: &mut Tx<'_>, token: TokenHash) -> Result<bool, StoreError> {
    let sql = "DELETE FROM token WHERE hash = ?";
    let removed = tx.execute(sql, params![token.0]).await? > 0;
    // Not for what was none: whoever is a stranger could have every log-in looked up again.
    if removed {
        bump_access(tx).await?;
    }
    Ok(removed)
}

pub(super) async fn revoke_token_by_id(
    tx: &mut Tx<'_>,
    name: &Title,
    id: TokenId,
) -> Result<bool, StoreError> {
    let sql = "SELECT hash FROM token WHERE account = ?";
    for row in tx.rows(sql, params![name]).await? {
        let hash = row.get(0)?;
        if token_id(&hash) == id {
            return revoke_token(tx, TokenHash(hash)).await;
        }
    }
    Ok(false)
}

pub(super) async fn access_revision(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    Ok(tx.counter("access_revision").await?.unsigned_abs())
}

pub(super) async fn add_ssh_key(tx: &mut Tx<'_>, key: &SshKey) -> Result<(), StoreError> {
    if !lock(tx, &key.account).await? {
        return Err(StoreError::Missing {
            what: "account",
            name: key.account.to_string(),
        });
    }
    let sql = "SELECT count(*) FROM ssh_key WHERE account = ?";
    let what = "keys for SSH";
    check_room(
        tx,
        sql,
        params![&key.account],
        what,
        SSH_KEYS_PER_ACCOUNT_MAX,
    )
    .await?;
    let sql = "INSERT INTO ssh_key (fingerprint, account, title, public_key, created_ms)
               VALUES (?, ?, ?, ?, ?)";
    let values = params![
        key.fingerprint,
        &key.account,
        &key.title,
        &key.public_key,
        key.created
    ];
    if !tx.insert(sql, values).await? {
        return Err(StoreError::Exists(key.title.to_string()));
    }
    Ok(())
}

pub(super) async fn ssh_keys(tx: &mut Tx<'_>, name: &Title) -> Result<Vec<SshKey>, StoreError> {
    let sql = "SELECT fingerprint, account, title, public_key, created_ms FROM ssh_key
               WHERE account = ? ORDER BY created_ms, fingerprint";
    let rows = tx.rows(sql, params![name]).await?;
    let rows = rows.iter().map(|row| {
        Ok(SshKey {
            fingerprint: row.get(0)?,
            account: row.get(1)?,
            title: row.get(2)?,
            public_key: row.get(3)?,
            created: row.get(4)?,
        })
    });
    rows.collect()
}

pub(super) async fn remove_ssh_key(
    tx: &mut Tx<'_>,
    name: &Title,
    fingerprint: [u8; 32],
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM ssh_key WHERE fingerprint = ? AND account = ?";
    let removed = tx.execute(sql, params![fingerprint, name]).await?;
    bump_access(tx).await?;
    Ok(removed > 0)
}

pub(super) async fn ssh_login(
    tx: &mut Tx<'_>,
    fingerprint: [u8; 32],
) -> Result<Option<(Title, Rights)>, StoreError> {
    let sql = "SELECT account FROM ssh_key WHERE fingerprint = ?";
    let Some(row) = tx.row(sql, params![fingerprint]).await? else {
        return Ok(None);
    };
    let name: Title = row.get(0)?;
    let rights = rights(tx, &name).await?;
    Ok(Some((name, rights)))
}
