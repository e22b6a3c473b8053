//! What is changed over HTTP of what the gateway keeps, with its two records in the audit log.

use super::{Api, problem::Problem};
use crate::{journal::Change, telemetry::count};
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};
use switchyard_protocol::{Address, Code, message::Title};

impl Api {
    /// Has something changed for an account, by `deed`, and has the audit log tell of it: before, in words, and
    /// of what became of it. What was begun is brought to its end, whatever becomes of the connection.
    ///
    /// # Errors
    /// The deed's, or that it cannot be written down where nothing is to be done without.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        who: (&Title, IpAddr),
        (target, text): (Address, String),
        deed: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut change = self.numbered(who, target, text);
        match self.yard.record(change.clone(), false).await {
            Some(true) => {}
            Some(false) if !self.settings.audit_required => {}
            Some(false) => {
                let detail = "it cannot be written down, and nothing is to be done without";
                return Err(Problem::of(Code::StoreUnavailable, detail));
            }
            None => return Err(Code::ShuttingDown.into()),
        }
        let yard = self.yard.clone();
        let done = self.tasks.spawn(async move {
            let outcome = deed.await;
            let refusal = outcome.as_ref().err().map_or("", Problem::code);
            tracing::info!(
                ip = ?change.ip, account = %change.account, outcome = refusal, "{}", change.text
            );
            change.text = refusal.into();
            yard.record(change, true).await;
            outcome
        });
        done.await.unwrap_or_else(|_| Err(Code::Internal.into()))
    }

    /// Writes down a change that an account may not make: the two records of one that was refused.
    pub(super) async fn record_denial(&self, who: (&Title, IpAddr), text: String) {
        if !self.yard.may_record_denial(who.0) {
            return count(&self.telemetry.journal_denials_skipped);
        }
        let mut change = self.numbered(who, Address::GATEWAY, text);
        self.yard.record(change.clone(), false).await;
        change.text = Code::Forbidden.name().into();
        self.yard.record(change, true).await;
    }

    fn numbered(&self, (account, ip): (&Title, IpAddr), target: Address, text: String) -> Change {
        Change {
            account: account.clone(),
            ip: Some(ip),
            number: self.changes.fetch_add(1, Ordering::Relaxed),
            target,
            text,
        }
    }
}
