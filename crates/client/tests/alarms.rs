//! The client of alarms over real HTTP, against a gateway that says what a test has set.
#![allow(clippy::unwrap_used, reason = "a panic here is a test's report")]

mod scripted;

use scripted::{Desk, Gateway, TOKEN, soon};
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_client::{
    Error, Token,
    alarms::{Alarms, Contact, Medium, Override, Wanted},
};

/// Runs a test beside its gateway.
async fn beside<T>(test: impl AsyncFnOnce(&Alarms, &Desk) -> T) -> T {
    let gateway = Gateway::bind().await;
    let alarms = Alarms::new(gateway.url().parse().unwrap(), Token::new(TOKEN));
    let desk = gateway.desk.clone();
    // Requests are served one after the other; two at a time need two of them.
    let serving = async { tokio::join!(gateway.accept(), gateway.accept()) };
    tokio::select! {
        _ = serving => panic!("a tool said hello"),
        done = soon("the test", test(&alarms, &desk)) => done,
    }
}

fn alarm(id: u64, state: &str) -> Value {
    json!({ "id": id, "state": state, "severity": "high", "text": "High water", "raised_ms": 1, "since_ms": 2 })
}

#[tokio::test]
async fn lists_by_pages_and_waits_for_what_changes() {
    beside(async |alarms, desk| {
        desk.set(
            "GET /api/alarms",
            200,
            json!({ "alarms": [alarm(3, "raised")], "next": 3 }),
        );
        let wanted = Wanted {
            open: Some(true),
            limit: Some(1),
            ..Wanted::default()
        };
        let page = alarms.list(&wanted).await.unwrap();
        assert_eq!((page.alarms[0].id, page.next), (3, Some(3)));
        let asked = &desk.asked("GET /api/alarms")[0];
        assert_eq!(asked.line, "GET /api/alarms?open=true&limit=1");
        assert!(asked.is_known, "it bears the token");
        let waiting = alarms.list_after(&wanted, page.revision, Duration::from_secs(600));
        let change = async {
            // Once it waits, there is something to hear of.
            while desk.asked("GET /api/alarms").len() < 2 {
                tokio::task::yield_now().await;
            }
            desk.set("GET /api/alarms", 200, json!({ "alarms": [] }));
        };
        let (told, ()) = tokio::join!(waiting, change);
        let told = told.unwrap();
        assert!(told.alarms.is_empty() && told.revision > page.revision);
        let line = &desk.asked("GET /api/alarms")[1].line;
        assert!(
            line.ends_with("&wait_s=25"),
            "no longer than a gateway waits: {line}"
        );
    })
    .await;
}

#[tokio::test]
async fn orders_say_what_is_meant_and_whether_they_were_taken() {
    beside(async |alarms, desk| {
        let answer = json!({ "alarms": [alarm(1, "acknowledged"), alarm(2, "returned")] });
        desk.set("POST /api/alarms/acknowledge", 200, answer.clone());
        desk.set("POST /api/alarms/shelve", 202, answer.clone());
        desk.set("POST /api/alarms/unshelve", 200, answer.clone());
        desk.set("POST /api/alarms/comment", 200, answer);
        let done = alarms.acknowledge(&[1, 2], Some("seen")).await.unwrap();
        assert!(done.is_taken && done.alarms.len() == 2);
        let done = alarms.shelve(&[1], 99, None).await.unwrap();
        assert!(!done.is_taken);
        alarms.unshelve(&[1]).await.unwrap();
        alarms.comment(&[1], "on my way").await.unwrap();
        for (route, body) in [
            (
                "POST /api/alarms/acknowledge",
                json!({ "alarms": [1, 2], "comment": "seen" }),
            ),
            (
                "POST /api/alarms/shelve",
                json!({ "alarms": [1], "until_ms": 99 }),
            ),
            ("POST /api/alarms/unshelve", json!({ "alarms": [1] })),
            (
                "POST /api/alarms/comment",
                json!({ "alarms": [1], "text": "on my way" }),
            ),
        ] {
            assert_eq!(desk.asked(route)[0].body, body, "{route}");
        }
    })
    .await;
}

#[tokio::test]
async fn contacts_keep_lose_and_get_their_pin() {
    beside(async |alarms, desk| {
        let kept =
            json!({ "id": 4, "has_pin": true, "contact": { "name": "Li", "telephone": "+49301" } });
        desk.set("POST /api/contacts", 200, kept.clone());
        desk.set("PUT /api/contacts/4", 200, kept);
        desk.set("DELETE /api/contacts/4", 204, Value::Null);
        desk.set("POST /api/contacts/4/test", 200, json!({ "alarm": 77 }));
        let mut contact = Contact::new("Li");
        contact.telephone = Some("+49301".into());
        let made = alarms.add_contact(&contact, Some("1234")).await.unwrap();
        assert_eq!((made.id, made.has_pin, &made.contact), (4, true, &contact));
        alarms.set_contact(4, &contact, None).await.unwrap();
        alarms.set_contact(4, &contact, Some("")).await.unwrap();
        assert_eq!(
            alarms.test_contact(4, &Medium::Call).await.unwrap(),
            Some(77)
        );
        alarms.remove_contact(4).await.unwrap();
        assert_eq!(desk.asked("POST /api/contacts")[0].body["pin"], "1234");
        let puts = desk.asked("PUT /api/contacts/4");
        assert_eq!(puts[0].body.get("pin"), None);
        assert_eq!(puts[1].body["pin"], "");
        assert_eq!(
            desk.asked("POST /api/contacts/4/test")[0].body,
            json!({ "medium": "call" })
        );
    })
    .await;
}

#[tokio::test]
async fn an_exception_names_its_turn() {
    beside(async |alarms, desk| {
        desk.set(
            "POST /api/alarm-plans/7/overrides",
            200,
            json!({ "site": 7, "plan": { "chain": [] } }),
        );
        let exception = Override {
            turn: "first".into(),
            contact: 4,
            from_ms: 1,
            until_ms: 2,
        };
        let kept = alarms.add_override(7, &exception).await.unwrap();
        assert_eq!((kept.site, kept.plan.again_s), (7, 900));
        let body = &desk.asked("POST /api/alarm-plans/7/overrides")[0].body;
        assert_eq!(
            *body,
            json!({ "turn": "first", "contact": 4, "from_ms": 1, "until_ms": 2 })
        );
    })
    .await;
}

#[tokio::test]
async fn refusals_are_exact_and_what_is_no_answer_is_none() {
    beside(async |alarms, desk| {
        desk.refuse(
            "GET /api/contacts",
            403,
            "forbidden",
            "this is for technicians",
        );
        let refused = alarms.contacts().await.unwrap_err();
        assert_eq!(refused.code(), "forbidden");
        assert!(refused.to_string().contains("this is for technicians"));
        desk.set("GET /api/alarm-rules", 200, json!({ "rule": [] }));
        let odd = alarms.rules().await.unwrap_err();
        assert!(matches!(odd, Error::NotAGateway { .. }), "{odd}");
        let long = "x".repeat(9 * 1024 * 1024);
        desk.set(
            "GET /api/alarm-overview",
            200,
            json!({ "warnings": [long] }),
        );
        let long = alarms.overview().await.unwrap_err();
        assert!(matches!(long, Error::NotAGateway { .. }), "{long}");
    })
    .await;
}
