//! Alarms over a gateway's HTTP API (`docs/http.md`): what is wrong, who was told of it, contacts, plans and rules. Each call
//! is an exchange of its own, so that one that waits holds up no other.

mod model;
mod people;
mod words;

pub use model::*;
pub use people::*;
pub use words::*;

use crate::{ApiAnswer, ApiCall, ApiMethod, Error, GatewayUrl, Token, call_api};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{fmt::Write as _, time::Duration};

/// The longest that a gateway holds back its answer until something changes.
pub const WAIT_MAX: Duration = Duration::from_secs(25);
/// Alarms that one order may name.
pub const ORDER_ALARMS_MAX: usize = 1_000;
/// The status of what is kept, and not done yet.
const ACCEPTED: u16 = 202;

/// Which alarms are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those that are open, or those that are over; `None` for both.
    pub open: Option<bool>,
    /// Those of this site.
    pub site: Option<u32>,
    /// Those of this controller.
    pub controller: Option<u32>,
    /// The page that begins behind this one, as the page before says.
    pub before: Option<u64>,
    /// At most so many; `None` for as many as the gateway likes.
    pub limit: Option<u32>,
}

impl Wanted {
    fn path(&self) -> String {
        let mut path = String::from("/api/alarms");
        let wanted = [
            ("open", self.open.map(|it| it.to_string())),
            ("site", self.site.map(|it| it.to_string())),
            ("controller", self.controller.map(|it| it.to_string())),
            ("before", self.before.map(|it| it.to_string())),
            ("limit", self.limit.map(|it| it.to_string())),
        ];
        for (name, value) in wanted {
            if let Some(value) = value {
                let sign = if path.contains('?') { '&' } else { '?' };
                let _ = write!(path, "{sign}{name}={value}");
            }
        }
        path
    }
}

/// What became of an order about alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The alarms as they are now.
    pub alarms: Vec<Alarm>,
    /// Whether the gateway in charge has taken it; otherwise it is kept, and will be.
    pub is_taken: bool,
}

/// The alarms of a gateway, as one account sees them.
#[derive(Clone, Debug)]
pub struct Alarms {
    gateway: GatewayUrl,
    token: Token,
}

#[derive(Deserialize)]
struct AlarmsAnswer {
    alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
struct AttemptsAnswer {
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct ContactsAnswer {
    contacts: Vec<KeptContact>,
}

#[derive(Deserialize)]
struct TestAnswer {
    alarm: Option<u64>,
}

#[derive(Deserialize)]
struct RulesAnswer {
    rules: Vec<KeptRule>,
}

#[derive(Deserialize)]
struct PlansAnswer {
    plans: Vec<KeptPlan>,
}

#[derive(Deserialize)]
struct CalendarAnswer {
    shifts: Vec<Shift>,
}

#[derive(Deserialize)]
struct SitesAnswer {
    items: Vec<Site>,
}

#[derive(Serialize)]
struct ContactBody<'a> {
    contact: &'a Contact,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<&'a str>,
}

/// Every call fails with [`Error::Http`] where the gateway refuses: `not_logged_in`, `forbidden`, `not_found` for what is
/// not there or not to be seen, `bad_request` with the field and what it should be; with [`Error::Unreachable`] where
/// nobody answers, and with [`Error::TimedOut`] where nobody does in time.
impl Alarms {
    /// Those that this log-in may see.
    pub fn new(gateway: GatewayUrl, token: Token) -> Self {
        Alarms { gateway, token }
    }

    /// A page of alarms: the gravest first of those that are open, the newest first of others.
    ///
    /// # Errors
    /// See above.
    pub async fn list(&self, wanted: &Wanted) -> Result<AlarmPage, Error> {
        self.read(&wanted.path()).await
    }

    /// The same as soon as the gateway's revision is above one that was told before, or after a wait of whole seconds,
    /// [`WAIT_MAX`] at most.
    ///
    /// # Errors
    /// See above.
    pub async fn list_after(
        &self,
        wanted: &Wanted,
        revision: u64,
        wait: Duration,
    ) -> Result<AlarmPage, Error> {
        let wait = wait.min(WAIT_MAX);
        let mut path = wanted.path();
        let sign = if path.contains('?') { '&' } else { '?' };
        let _ = write!(path, "{sign}revision={revision}&wait_s={}", wait.as_secs());
        let answer = self.call(ApiMethod::Get, &path, None, wait).await?;
        self.parse(&answer)
    }

    /// One alarm, with all that was written down about it.
    ///
    /// # Errors
    /// See above.
    pub async fn show(&self, alarm: u64) -> Result<AlarmHistory, Error> {
        self.read(&format!("/api/alarms/{alarm}")).await
    }

    /// Says that somebody heard.
    ///
    /// # Errors
    /// See above.
    pub async fn acknowledge(&self, alarms: &[u64], comment: Option<&str>) -> Result<Done, Error> {
        let mut body = json!({ "alarms": alarms });
        if let Some(comment) = comment {
            body["comment"] = comment.into();
        }
        self.order("acknowledge", &body).await
    }

    /// Has nobody told until a time.
    ///
    /// # Errors
    /// See above.
    pub async fn shelve(
        &self,
        alarms: &[u64],
        until_ms: u64,
        comment: Option<&str>,
    ) -> Result<Done, Error> {
        let mut body = json!({ "alarms": alarms, "until_ms": until_ms });
        if let Some(comment) = comment {
            body["comment"] = comment.into();
        }
        self.order("shelve", &body).await
    }

    /// Has people told again.
    ///
    /// # Errors
    /// See above.
    pub async fn unshelve(&self, alarms: &[u64]) -> Result<Done, Error> {
        self.order("unshelve", &json!({ "alarms": alarms })).await
    }

    /// Writes something down.
    ///
    /// # Errors
    /// See above.
    pub async fn comment(&self, alarms: &[u64], text: &str) -> Result<Done, Error> {
        self.order("comment", &json!({ "alarms": alarms, "text": text }))
            .await
    }

    /// Attempts at telling people, the newest first; of one contact, or of all of them.
    ///
    /// # Errors
    /// See above.
    pub async fn attempts(
        &self,
        contact: Option<u32>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Attempt>, Error> {
        let mut path = format!("/api/attempts?limit={limit}");
        if let Some(contact) = contact {
            let _ = write!(path, "&contact={contact}");
        }
        if let Some(before) = before {
            let _ = write!(path, "&before={before}");
        }
        let answer: AttemptsAnswer = self.read(&path).await?;
        Ok(answer.attempts)
    }

    /// How things stand.
    ///
    /// # Errors
    /// See above.
    pub async fn overview(&self) -> Result<Overview, Error> {
        self.read("/api/alarm-overview").await
    }

    /// All contacts.
    ///
    /// # Errors
    /// See above.
    pub async fn contacts(&self) -> Result<Vec<KeptContact>, Error> {
        let answer: ContactsAnswer = self.read("/api/contacts").await?;
        Ok(answer.contacts)
    }

    /// One contact.
    ///
    /// # Errors
    /// See above.
    pub async fn contact(&self, id: u32) -> Result<KeptContact, Error> {
        self.read(&format!("/api/contacts/{id}")).await
    }

    /// Makes a contact.
    ///
    /// # Errors
    /// See above.
    pub async fn add_contact(
        &self,
        contact: &Contact,
        pin: Option<&str>,
    ) -> Result<KeptContact, Error> {
        self.write(
            ApiMethod::Post,
            "/api/contacts",
            &ContactBody { contact, pin },
        )
        .await
    }

    /// Writes a contact anew. Without a PIN it keeps the one that it has; an empty one takes that away.
    ///
    /// # Errors
    /// See above.
    pub async fn set_contact(
        &self,
        id: u32,
        contact: &Contact,
        pin: Option<&str>,
    ) -> Result<KeptContact, Error> {
        let path = format!("/api/contacts/{id}");
        self.write(ApiMethod::Put, &path, &ContactBody { contact, pin })
            .await
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// See above; also where a plan names it.
    pub async fn remove_contact(&self, id: u32) -> Result<(), Error> {
        self.remove(&format!("/api/contacts/{id}")).await
    }

    /// Has a contact told that all is well, now; answers with the alarm that tells of it, or with none while the gateway
    /// in charge has not taken it.
    ///
    /// # Errors
    /// See above.
    pub async fn test_contact(&self, id: u32, medium: &Medium) -> Result<Option<u64>, Error> {
        let path = format!("/api/contacts/{id}/test");
        let body = json!({ "medium": medium });
        let answer: TestAnswer = self.write(ApiMethod::Post, &path, &body).await?;
        Ok(answer.alarm)
    }

    /// All rules.
    ///
    /// # Errors
    /// See above.
    pub async fn rules(&self) -> Result<Vec<KeptRule>, Error> {
        let answer: RulesAnswer = self.read("/api/alarm-rules").await?;
        Ok(answer.rules)
    }

    /// Makes a rule.
    ///
    /// # Errors
    /// See above.
    pub async fn add_rule(&self, rule: &Rule) -> Result<KeptRule, Error> {
        self.write(ApiMethod::Post, "/api/alarm-rules", rule).await
    }

    /// Writes a rule anew.
    ///
    /// # Errors
    /// See above.
    pub async fn set_rule(&self, id: u32, rule: &Rule) -> Result<KeptRule, Error> {
        self.write(ApiMethod::Put, &format!("/api/alarm-rules/{id}"), rule)
            .await
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// See above.
    pub async fn remove_rule(&self, id: u32) -> Result<(), Error> {
        self.remove(&format!("/api/alarm-rules/{id}")).await
    }

    /// All plans.
    ///
    /// # Errors
    /// See above.
    pub async fn plans(&self) -> Result<Vec<KeptPlan>, Error> {
        let answer: PlansAnswer = self.read("/api/alarm-plans").await?;
        Ok(answer.plans)
    }

    /// Writes the plan of a site; 0 for all those that have none of their own.
    ///
    /// # Errors
    /// See above.
    pub async fn set_plan(&self, site: u32, plan: &Plan) -> Result<KeptPlan, Error> {
        self.write(ApiMethod::Put, &format!("/api/alarm-plans/{site}"), plan)
            .await
    }

    /// Removes the plan of a site.
    ///
    /// # Errors
    /// See above.
    pub async fn remove_plan(&self, site: u32) -> Result<(), Error> {
        self.remove(&format!("/api/alarm-plans/{site}")).await
    }

    /// Has somebody else take a turn for a while.
    ///
    /// # Errors
    /// See above.
    pub async fn add_override(&self, site: u32, exception: &Override) -> Result<KeptPlan, Error> {
        let path = format!("/api/alarm-plans/{site}/overrides");
        self.write(ApiMethod::Post, &path, exception).await
    }

    /// Who is on call when.
    ///
    /// # Errors
    /// See above.
    pub async fn calendar(
        &self,
        site: u32,
        from_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<Shift>, Error> {
        let path =
            format!("/api/alarm-plans/{site}/calendar?from_ms={from_ms}&until_ms={until_ms}");
        let answer: CalendarAnswer = self.read(&path).await?;
        Ok(answer.shifts)
    }

    /// The sites that the account may see, for their names.
    ///
    /// # Errors
    /// See above.
    pub async fn sites(&self) -> Result<Vec<Site>, Error> {
        let answer: SitesAnswer = self.read("/api/sites").await?;
        Ok(answer.items)
    }

    async fn call(
        &self,
        method: ApiMethod,
        path: &str,
        body: Option<String>,
        wait: Duration,
    ) -> Result<ApiAnswer, Error> {
        let call = ApiCall {
            method,
            path,
            body,
            wait,
        };
        call_api(&self.gateway, &self.token, call).await
    }

    fn parse<T: DeserializeOwned>(&self, answer: &ApiAnswer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|error| Error::NotAGateway {
            gateway: self.gateway.authority(),
            detail: format!("its answer about alarms: {error}"),
        })
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.call(ApiMethod::Get, path, None, Duration::ZERO);
        self.parse(&answer.await?)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: ApiMethod,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let answer = self.call(method, path, Some(written(body)), Duration::ZERO);
        self.parse(&answer.await?)
    }

    async fn remove(&self, path: &str) -> Result<(), Error> {
        let removed = self.call(ApiMethod::Delete, path, None, Duration::ZERO);
        removed.await.map(drop)
    }

    async fn order(&self, what: &str, body: &serde_json::Value) -> Result<Done, Error> {
        let path = format!("/api/alarms/{what}");
        let answer = self.call(
            ApiMethod::Post,
            &path,
            Some(body.to_string()),
            Duration::ZERO,
        );
        let answer = answer.await?;
        let AlarmsAnswer { alarms } = self.parse(&answer)?;
        Ok(Done {
            alarms,
            is_taken: answer.status != ACCEPTED,
        })
    }
}

fn written(body: &impl Serialize) -> String {
    serde_json::to_string(body)
        .unwrap_or_else(|_| unreachable!("numbers, texts, and maps under texts have a JSON form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_stands_in_the_path() {
        assert_eq!(Wanted::default().path(), "/api/alarms");
        let wanted = Wanted {
            open: Some(false),
            site: Some(7),
            controller: None,
            before: Some(12),
            limit: Some(100),
        };
        assert_eq!(
            wanted.path(),
            "/api/alarms?open=false&site=7&before=12&limit=100"
        );
    }
}
