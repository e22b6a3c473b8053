//! A gateway that calls telephones: its settings, people, and what becomes of its alarms.

use crate::http::{call, log_in};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use switchyard_testkit::{Programs, Yard, YardOptions, callee::Callee};

/// A yard whose gateway calls a callee, and an admin's log-in there.
pub struct CallingYard {
    /// The yard.
    pub yard: Yard,
    admin: String,
    _settings: tempfile::TempDir,
}

impl CallingYard {
    /// Starts one, with a plan that calls one contact at `telephone`.
    ///
    /// # Errors
    /// What any of the programs complained of.
    pub fn start(callee: &Callee, telephone: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path: PathBuf = folder.path().join("gateway.toml");
        let server = callee.server();
        fs::write(
            &path,
            format!("[alarms.sip]\nserver = \"{server}\"\nuser = \"yard\"\n"),
        )?;
        let config = path.to_str().context("expected a path in UTF-8")?;
        let options = YardOptions {
            environment: vec![("SWITCHYARD_GATEWAY_CONFIG".into(), config.into())],
            flags: ["--api-requests-per-ip-per-minute-max", "1000000"]
                .into_iter()
                .chain(["--api-requests-per-account-per-minute-max", "1000000"])
                .map(String::from)
                .collect(),
            ..YardOptions::default()
        };
        let yard = Yard::start(&Programs::find()?, options)?;
        let admin = log_in(yard.http(), "admin")?;
        let calling = CallingYard {
            yard,
            admin,
            _settings: folder,
        };
        let body = json!({ "contact": { "name": "Li", "telephone": telephone, "calls_per_hour_max": 60 } });
        let contact = calling.ask("POST", "/api/contacts", &body)?;
        let rung =
            json!({ "whom": { "contact": contact["id"] }, "medium": "call", "wait_s": 3600 });
        calling.ask("PUT", "/api/alarm-plans/0", &json!({ "chain": [rung] }))?;
        Ok(calling)
    }

    /// Asks the gateway for something that it must not refuse.
    ///
    /// # Errors
    /// When it does, with its words.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = (!body.is_null()).then_some(body);
        let (status, said) = call(self.yard.http(), Some(&self.admin), (method, path), body)?;
        ensure!(
            (200..300).contains(&status),
            "{method} {path}: {status} {said}"
        );
        Ok(said)
    }

    /// The latest alarm, if there is any.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub fn latest(&self) -> Result<Option<Value>> {
        let page = self.ask("GET", "/api/alarms?limit=1", &Value::Null)?;
        Ok(page["alarms"].get(0).cloned())
    }

    /// An alarm with its history.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub fn history(&self, alarm: &Value) -> Result<Value> {
        self.ask("GET", &format!("/api/alarms/{alarm}"), &Value::Null)
    }
}
