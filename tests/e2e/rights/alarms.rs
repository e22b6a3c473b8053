//! How operations on alarms are asked for, and what must be there for them.

use super::api::{Deed, Request};
use serde_json::{Value, json};
use switchyard_testkit::wait_until;

/// Whether an operation is about alarms.
pub(super) fn is_one(operation: &str) -> bool {
    ["alarm", "contact", "attempt", "turn", "calendar"]
        .iter()
        .any(|it| operation.contains(it))
}

impl Deed<'_, '_> {
    /// The request of an operation on alarms.
    pub(super) fn request_of_alarms(&self) -> Request {
        let (site, name) = (self.site(), self.scene.new_name("Alarm"));
        match self.operation {
            "list_alarms"
            | "show_alarm_overview"
            | "list_alarm_rules"
            | "list_alarm_plans"
            | "list_contacts"
            | "list_attempts" => Request::of(&[]),
            "show_alarm" => Request::of(&[("alarm", &self.alarm())]),
            "acknowledge_alarms" | "unshelve_alarms" => {
                Request::of(&[]).with(json!({ "alarms": [self.alarm()] }))
            }
            "shelve_alarms" => {
                let until_ms = super::in_seconds(600);
                Request::of(&[]).with(json!({ "alarms": [self.alarm()], "until_ms": until_ms }))
            }
            "comment_alarms" => {
                Request::of(&[]).with(json!({ "alarms": [self.alarm()], "text": "seen" }))
            }
            "add_contact" => Request::of(&[]).with(contact(&name)),
            "show_contact" | "remove_contact" => Request::of(&[("contact", &self.contact())]),
            "set_contact" => Request::of(&[("contact", &self.contact())]).with(contact(&name)),
            "test_contact" => {
                let request = Request::of(&[("contact", &self.contact())]);
                request.with(json!({ "medium": "call" }))
            }
            "add_alarm_rule" => Request::of(&[]).with(rule(&name, site)),
            "set_alarm_rule" | "remove_alarm_rule" => {
                let made = self.do_so("POST", "/api/alarm-rules", rule(&name, site), &[201]);
                let request = Request::of(&[("rule", &made["id"])]);
                match self.operation {
                    "set_alarm_rule" => request.with(rule(&name, site)),
                    _ => request,
                }
            }
            operation => {
                let plan = self.plan();
                let path = format!("/api/alarm-plans/{site}");
                self.do_so("PUT", &path, plan.clone(), &[200]);
                let request = Request::of(&[("site", &site)]);
                match operation {
                    "set_alarm_plan" => request.with(plan),
                    "override_turn" => request.with(json!({
                        "turn": "first", "contact": plan["rota"][0]["people"][0],
                        "from_ms": 1, "until_ms": super::in_seconds(600),
                    })),
                    "show_calendar" => {
                        request.asking("?from_ms=1795000000000&until_ms=1796000000000")
                    }
                    _ => request,
                }
            }
        }
    }

    /// An alarm of the controller at the place, by a rule that always holds.
    fn alarm(&self) -> u64 {
        let cast = self.scene.cast;
        let path = format!("/api/alarms?open=true&controller={}", self.address());
        let found = || cast.look(&path)["alarms"][0]["id"].as_u64();
        if found().is_none() {
            let rule = json!({
                "name": "always", "text": "Something", "severity": "low",
                "scope": { "controllers": [self.address()] },
                "condition": { "kind": "above", "point": "RL1", "limit": -1, "clear": -1 },
            });
            self.do_so("POST", "/api/alarm-rules", rule, &[201]);
        }
        wait_until("an alarm", found).unwrap()
    }

    fn contact(&self) -> Value {
        let body = contact(&self.scene.new_name("Contact"));
        self.do_so("POST", "/api/contacts", body, &[201])["id"].clone()
    }

    fn plan(&self) -> Value {
        let hand_over = json!({ "day": 1, "minute": 540 });
        json!({
            "chain": [{ "whom": { "on_call": "first" }, "medium": "call", "wait_s": 300 }],
            "rota": [{
                "name": "first", "people": [self.contact()], "shift_days": 7,
                "hand_over": hand_over, "starts_ms": 1,
            }],
        })
    }
}

fn contact(name: &str) -> Value {
    json!({ "contact": { "name": name, "telephone": "+4930123456" } })
}

fn rule(name: &str, site: u32) -> Value {
    json!({
        "name": name, "text": "Something", "scope": { "site": site },
        "condition": { "kind": "is", "point": "nothing", "value": 1 },
    })
}
