//! What lies on the disk: the data folder and its modes, the database, the certificate.

use super::{Said, certificate::Validity, error, ok, warning};
use crate::{
    config::{MasterKey, Settings},
    store::{Database, Examined, StoreError, examine_mysql, examine_sqlite},
    tls,
};
use rustix::{
    fs::{Access, access},
    process::geteuid,
};
use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Renewals come at 30 days before the end: with less than this left, one has failed.
const CERTIFICATE_LEFT_MIN: Duration = Duration::from_secs(21 * DAY);
const DAY: u64 = 24 * 3600;

/// Whether keys and passwords are for the gateway's user alone, and that user may write.
pub(super) fn modes(settings: &Settings) -> Vec<Said> {
    let data = &settings.data;
    let shown = data.display();
    let Ok(folder) = std::fs::metadata(data) else {
        return vec![ok(format!(
            "{shown} is not there yet; the first start makes it"
        ))];
    };
    if !folder.is_dir() {
        return vec![error(format!("{shown} is not a folder")).remedy("choose another `data`")];
    }
    let mut said = Vec::new();
    let (us, owner) = (geteuid().as_raw(), folder.uid());
    if us != owner {
        said.push(
            warning(format!(
                "{shown} belongs to user {owner}, and this is user {us}"
            ))
            .expected("to be asked as the gateway's own user")
            .remedy("run this as that user: runuser -u USER -- switchyard-gateway doctor"),
        );
    }
    if let Err(fault) = access(data.as_path(), Access::WRITE_OK | Access::EXEC_OK) {
        let remedy = format!("chown it to the gateway's user, and chmod 700 {shown}");
        said.push(error(format!("cannot write in {shown}: {fault}")).remedy(remedy));
    }
    let mut files = Vec::new();
    if let Database::Sqlite(path) = &settings.database {
        files.extend(["", "-wal", "-shm"].map(|end| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        }));
    }
    if let MasterKey::File(path) = &settings.master_key {
        files.push(path.clone());
    }
    let files = files.iter();
    said.extend(files.filter_map(|path| open_to_others(path, owner)));
    if said.is_empty() {
        said.push(ok(format!("{shown} is its owner's alone")));
    }
    said
}

fn open_to_others(path: &Path, owner: u32) -> Option<Said> {
    let found = std::fs::metadata(path).ok()?;
    let (shown, mode) = (path.display(), found.mode() & 0o777);
    if found.uid() != owner {
        return Some(
            error(format!("{shown} belongs to user {}", found.uid()))
                .expected(format!("user {owner}, as the folder"))
                .remedy(format!("stop the gateway and chown {owner} {shown}")),
        );
    }
    (mode & 0o077 != 0).then(|| {
        warning(format!("{shown} has mode {mode:04o}"))
            .expected("0600: it holds keys")
            .remedy(format!("chmod 600 {shown}"))
    })
}

/// Whether the database opens, is whole, and takes writes.
pub(super) async fn store(settings: Arc<Settings>) -> Vec<Said> {
    let shown = match &settings.database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::MySql(_) => "the database of mysql_url".to_owned(),
    };
    let examined = match &settings.database {
        Database::Sqlite(path) if !path.exists() => {
            return vec![ok(format!(
                "{shown} is not there yet; the first start makes it"
            ))];
        }
        Database::Sqlite(path) => {
            let path = path.clone();
            let looking = tokio::task::spawn_blocking(move || examine_sqlite(&path));
            let gone = |_| Err(StoreError::Gone("looking at it panicked"));
            looking.await.unwrap_or_else(gone)
        }
        Database::MySql(url) => examine_mysql(&url.0, settings.store_timeout).await,
    };
    match examined {
        Ok(Examined {
            schema,
            faults,
            took,
        }) if faults.is_empty() => vec![ok(format!(
            "{shown} has schema version {schema}, is whole, and took a write in {took:?} that was taken back"
        ))],
        Ok(Examined { faults, .. }) => vec![
            error(format!("{shown} is unwell: {}", faults.join("; "))).remedy(
                "of a file: stop the gateway, keep a copy of the folder, and go back to the latest backup; of a server: \
                 set what is named",
            ),
        ],
        Err(fault) => {
            let causes = std::error::Error::source(&fault).map(|it| format!(": {it}"));
            let told = format!("{shown}: {fault}{}", causes.unwrap_or_default());
            vec![match trouble(&fault) {
                Trouble::Busy => warning(told)
                    .remedy("somebody else was at it, or it is too large to look through: ask again"),
                Trouble::Elsewhere => error(told).remedy(
                    "look whether the server is up, and whether mysql_url and its user's rights are right",
                ),
                Trouble::Damaged => error(told).remedy(
                    "stop the gateway, keep a copy of the folder, and go back to the latest backup",
                ),
                Trouble::Other => error(told).remedy("run this as the gateway's user"),
            }]
        }
    }
}

/// What kind of trouble a database is in.
enum Trouble {
    /// It will pass.
    Busy,
    /// It is the server's, or that of the way there.
    Elsewhere,
    /// The file is not what it was.
    Damaged,
    Other,
}

fn trouble(fault: &StoreError) -> Trouble {
    use rusqlite::ErrorCode;
    match fault {
        StoreError::Database(rusqlite::Error::SqliteFailure(failure, _)) => match failure.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted => Trouble::Busy,
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => Trouble::Damaged,
            _ => Trouble::Other,
        },
        StoreError::MySql(_) | StoreError::Gone(_) | StoreError::NotDone => Trouble::Elsewhere,
        _ => Trouble::Other,
    }
}

/// Whether TLS can be spoken, and for how long still.
pub(super) fn certificate(settings: &Settings) -> Vec<Said> {
    let Some(files) = &settings.tls else {
        return vec![ok("TLS is not spoken here")];
    };
    let shown = files.certificate.display();
    let chain = match tls::chain(files) {
        Ok(chain) => chain,
        Err(fault) => {
            let remedy = "see docs/operating.md, \"The certificate\"";
            return vec![error(format!("{fault:#}")).remedy(remedy)];
        }
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    chain
        .iter()
        .zip(1..)
        .map(|(certificate, number)| {
            let which = match number {
                1 => format!("the certificate in {shown}"),
                _ => format!("certificate {number} in {shown}"),
            };
            match Validity::of(certificate) {
                Some(validity) => judged(&which, validity, now),
                None => warning(format!("the dates of {which} cannot be read")),
            }
        })
        .collect()
}

fn judged(which: &str, validity: Validity, now: Duration) -> Said {
    let days = |span: Duration| span.as_secs() / DAY;
    let Validity {
        not_before,
        not_after,
    } = validity;
    if now < not_before {
        let found = format!("{which} holds only in {} days", days(not_before - now) + 1);
        return error(found).remedy("look at the clock, or wait");
    }
    let Some(left) = not_after.checked_sub(now) else {
        let found = format!("{which} ended {} days ago", days(now - not_after));
        return error(found).remedy("renew it; a running gateway takes it over by itself");
    };
    let found = format!("{which} holds for {} days", days(left));
    if left < CERTIFICATE_LEFT_MIN {
        let wanted = format!("{} days at least", days(CERTIFICATE_LEFT_MIN));
        let remedy = "look why it has not been renewed";
        return warning(found).expected(wanted).remedy(remedy);
    }
    ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn certificates_are_judged_by_the_day() {
        let day = |number: u64| Duration::from_secs(number * DAY);
        let validity = Validity {
            not_before: day(100),
            not_after: day(200),
        };
        for (now, level, words) in [
            (99, Level::Error, "holds only in 2 days"),
            (100, Level::Ok, "holds for 100 days"),
            (179, Level::Ok, "holds for 21 days"),
            (180, Level::Warning, "holds for 20 days"),
            (203, Level::Error, "ended 3 days ago"),
        ] {
            let said = judged("it", validity, day(now));
            assert_eq!(said.level, level, "{said:?}");
            assert!(said.found.contains(words), "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_database_that_is_damaged_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchyard.db");
        let settings = Arc::new(Settings {
            data: folder.path().into(),
            database: Database::Sqlite(path.clone()),
            ..Settings::defaults()
        });
        assert_eq!(store(Arc::clone(&settings)).await[0].level, Level::Ok);
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let said = store(Arc::clone(&settings)).await;
        assert_eq!(said[0].level, Level::Error, "{said:?}");
        assert!(said[0].found.contains("not a database"), "{said:?}");
        let said = modes(&settings);
        assert_eq!(said[0].level, Level::Warning, "{said:?}");
    }
}
