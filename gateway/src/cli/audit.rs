//! The command about the audit log: reading, exporting and checking it.

use super::moment::{Moment, Utc};
use crate::{
    audit::{
        AuditFilter, AuditRecord,
        chain::{self, Chained},
    },
    hex,
    store::ConfigStore,
};
use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};
use std::io::Write;
use switchyard_protocol::{Address, message::Title};

/// Records read from the store at once.
const RECORDS_PER_PAGE: u32 = 1_000;

/// What is to be shown of the audit log.
#[derive(Debug, Args)]
pub(super) struct AuditTask {
    /// Only what this account asked for
    #[arg(long, value_name = "NAME")]
    account: Option<Title>,
    /// Only what was for this controller
    #[arg(long, value_name = "ADDRESS")]
    controller: Option<Address>,
    /// Only from then on: how long ago (24h, 30d), or a moment such as 2026-11-26T08:00Z
    #[arg(long, value_name = "WHEN")]
    from: Option<Moment>,
    /// Only before then
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// One JSON object a line, with all that the chain of hashes is made of
    #[arg(long)]
    json: bool,
    /// Show nothing, but follow the chain of hashes through all records; exit code 1 where it does not hold
    #[arg(long, conflicts_with_all = ["account", "controller", "from", "until", "json"])]
    verify: bool,
}

/// Shows the log, or checks it.
pub(super) async fn run(
    task: AuditTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    if task.verify {
        return verify(config, stdout).await;
    }
    let now = crate::clock::time();
    let filter = AuditFilter {
        account: task.account,
        target: task.controller,
        from: task.from.map(|moment| moment.time(now)),
        until: task.until.map(|moment| moment.time(now)),
    };
    let mut after = 0;
    loop {
        let page = config
            .audit(filter.clone(), after, RECORDS_PER_PAGE)
            .await?;
        let Some(&(last, _)) = page.last() else {
            return Ok(());
        };
        after = last;
        for (number, chained) in &page {
            match task.json {
                true => writeln!(stdout, "{}", as_json(*number, chained))?,
                false => writeln!(stdout, "{}", as_line(&chained.record))?,
            }
        }
    }
}

/// Follows the chain from the first record that is kept to the last.
async fn verify(config: &dyn ConfigStore, stdout: &mut impl Write) -> anyhow::Result<()> {
    let (first, mut hash) = config.audit_start().await?;
    let mut after = first;
    loop {
        let page = config
            .audit(AuditFilter::default(), after, RECORDS_PER_PAGE)
            .await?;
        let Some(&(last, _)) = page.last() else {
            break;
        };
        for ((number, chained), expected) in page.iter().zip(after + 1..) {
            anyhow::ensure!(
                *number == expected,
                "the audit log is not whole: expected record {expected} and found {number}"
            );
            hash = chain::verify(hash, [chained])
                .with_context(|| format!("the audit log was changed at record {number}"))?;
        }
        after = last;
    }
    let count = after - first;
    writeln!(stdout, "{count} records hold, up to number {after}")?;
    // Whoever notes this elsewhere sees later whether the end was cut off.
    writeln!(stdout, "{}", hex::encode(&hash))?;
    Ok(())
}

/// One line for people: when, who, from where, for whom, what, and how it went.
fn as_line(record: &AuditRecord) -> String {
    let mut line = format!("{} {}", Utc(record.time), record.what.name());
    if let Some(account) = &record.account {
        line.push_str(&format!(" {:?}", account.as_str()));
    }
    if let Some(ip) = record.ip {
        line.push_str(&format!(" from {ip}"));
    }
    if let Some(target) = record.target {
        match target {
            Address::GATEWAY => line.push_str(" for the gateway"),
            target => line.push_str(&format!(" for No. {target}")),
        }
    }
    if !record.text.is_empty() {
        line.push_str(&format!(": {}", record.text));
    }
    if record.count > 0 {
        line.push_str(&format!(": {} records are missing", record.count));
    }
    let outcome = [
        record.stage.map(|stage| stage.name()),
        record.code.map(|code| code.name()),
    ];
    let outcome: Vec<_> = outcome.into_iter().flatten().collect();
    if !outcome.is_empty() {
        line.push_str(&format!(" ({})", outcome.join(", ")));
    }
    if let Some(key) = record.key {
        line.push_str(&format!(" key {key}"));
    }
    line
}

/// All of a record; what it does not have is left out.
fn as_json(number: u64, chained: &Chained) -> Value {
    let record = &chained.record;
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    put("number", Some(json!(number)));
    put("time", Some(json!(Utc(record.time).to_string())));
    put("time_ms", Some(json!(record.time.0)));
    put("what", Some(json!(record.what.name())));
    put(
        "account",
        record.account.as_ref().map(|it| json!(it.as_str())),
    );
    put("tool", record.tool.map(|it| json!(it.0)));
    put("ip", record.ip.map(|it| json!(it.to_string())));
    put("target", record.target.map(|it| json!(it.0)));
    put("key", record.key.map(|it| json!(it.to_string())));
    put("correlation", record.correlation.map(|it| json!(it)));
    put("stage", record.stage.map(|it| json!(it.name())));
    put("final", Some(json!(record.is_final)));
    put("code", record.code.map(|it| json!(it.name())));
    put("missing", (record.count > 0).then(|| json!(record.count)));
    put("text", Some(json!(record.text)));
    put("journal", Some(json!(hex::encode(&chained.at.0))));
    put("position", Some(json!(chained.at.1)));
    put("record", Some(json!(hex::encode(&record.encode()))));
    put("hash", Some(json!(hex::encode(&chained.hash))));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditWhat;
    use switchyard_protocol::{
        Code,
        message::{Key, Stage, Time},
    };

    #[test]
    fn a_record_reads_as_a_sentence() {
        let accepted = AuditRecord {
            account: Title::new("li").ok(),
            ip: Some([192, 0, 2, 7].into()),
            target: Some(Address(5)),
            key: Some(Key([0xab; 16])),
            text: "set RL1 = 1".into(),
            ..AuditRecord::new(Time(1_764_417_600_123), AuditWhat::Accepted)
        };
        assert_eq!(
            as_line(&accepted),
            "2025-11-29T12:00:00.123Z accepted \"li\" from 192.0.2.7 for No. 5: set RL1 = 1 \
             key abababababababababababababababab"
        );
        let lost = AuditRecord {
            count: 3,
            ..AuditRecord::new(Time(0), AuditWhat::Lost)
        };
        assert_eq!(
            as_line(&lost),
            "1970-01-01T00:00:00.000Z lost: 3 records are missing"
        );
        let ended = AuditRecord {
            stage: Some(Stage::Refused),
            code: Some(Code::Busy),
            is_final: true,
            ..AuditRecord::new(Time(0), AuditWhat::Reached)
        };
        assert_eq!(
            as_line(&ended),
            "1970-01-01T00:00:00.000Z reached (refused, busy)"
        );
    }
}
