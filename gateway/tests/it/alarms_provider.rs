//! Calls and texts by a provider over HTTP: the test kit's own, which behaves as Twilio does, and reaches the gateway under
//! a public URL that is another one than where it listens.

use crate::{
    alarms::{contact, history, plan, say, stands},
    support::{Controller, Gateway, api::told, now, request, until},
};
use serde_json::{Value, json};
use std::time::Duration;
use switchyard_gateway::{
    Settings,
    config::{RawAlarms, RawLimits, RawProvider, RawSettings, Secret, Span},
    store::{AlarmWish, WishedAlarms},
};
use switchyard_testkit::provider::{Answer, Delivery, Provider, Taking, Telephone};
use tokio::task::block_in_place;

const ACCOUNT: &str = "AC17";
const TOKEN: &str = "hush";
/// Where the provider is told to reach the gateway.
const PUBLIC: &str = "https://yard.test/behind";
const TEXTS: &str = "https://yard.test/behind/callbacks/provider/texts";

fn raw(provider: &Provider) -> RawProvider {
    RawProvider {
        base_url: Some(Secret(provider.url())),
        account: Some(ACCOUNT.into()),
        token: Some(Secret(TOKEN.into())),
        from: Some("+18005551212".into()),
        calls: Some(true),
        ring_limit: Some(Span(Duration::from_secs(5))),
        callback_url: Some(PUBLIC.into()),
        allow_private: Some(true),
        ..RawProvider::default()
    }
}

fn resolved(provider: RawProvider) -> Result<Settings, String> {
    let raw = RawSettings {
        alarms: Some(RawAlarms {
            provider: Some(provider),
            ..RawAlarms::default()
        }),
        ..RawSettings::default()
    };
    raw.resolve().map_err(|error| error.to_string())
}

/// A gateway that calls by a provider, which reaches it; and an admin's log-in.
async fn house_with(
    provider: &Provider,
    adjust: impl FnOnce(&mut RawProvider),
) -> (Gateway, String) {
    let mut raw = raw(provider);
    adjust(&mut raw);
    let gateway = Gateway::start_with(|settings| {
        settings.alarms = resolved(raw).unwrap().alarms;
        settings.api_requests_per_ip_per_minute_max = 100_000;
        settings.api_requests_per_account_per_minute_max = 100_000;
    })
    .await;
    provider.reach(PUBLIC, gateway.http);
    let token = gateway.log_in("admin").await;
    (gateway, token)
}

async fn house(provider: &Provider) -> (Gateway, String) {
    house_with(provider, |_| {}).await
}

fn provider() -> Provider {
    Provider::start(ACCOUNT, TOKEN).unwrap()
}

async fn high_water(gateway: &Gateway) -> Controller {
    let who = gateway.enrol("Pump house").await;
    let mut pump = Controller::online(gateway, who).await;
    say(&mut pump, 1, 0, true).await;
    pump
}

/// Waits until so many attempts have ended; they are told, the first one first.
async fn ended(gateway: &Gateway, token: &str, alarm: &Value, count: usize) -> Vec<Value> {
    until(&format!("{count} attempts to end"), async || {
        let history = history(gateway, token, alarm).await;
        let mut attempts = history["attempts"].as_array().unwrap().clone();
        attempts.reverse();
        let is_over = attempts.iter().all(|it| it["outcome"] != Value::Null);
        (attempts.len() >= count && is_over).then_some(attempts)
    })
    .await
}

fn steps(attempt: &Value) -> Vec<&str> {
    let steps = attempt["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|it| it["step"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_acknowledges() {
    let provider = provider();
    provider.behave("+49301", Telephone::pressing(&["1"]));
    let (gateway, token) = house(&provider).await;
    let li = contact(&gateway, &token, "Li", "+49 30 1").await;
    plan(&gateway, &token, 0, &[li]).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Li");
    assert_eq!(alarm["acknowledged"]["how"], "call");
    let attempt = &ended(&gateway, &token, &alarm, 1).await[0];
    assert_eq!(attempt["channel"], "provider_call");
    assert_eq!(
        (&attempt["keys"], &attempt["outcome"]["kind"]),
        (&json!("1"), &json!("acknowledged"))
    );
    assert_eq!(steps(attempt), ["begun", "ringing", "answered", "told"]);
    let call = until("the call's end", async || {
        provider.calls().into_iter().find(|it| it.end.is_some())
    })
    .await;
    assert_eq!((call.ring_seconds, call.talk_seconds), (5, 300));
    assert_eq!(call.end.as_deref(), Some("completed"));
    assert!(!call.was_ended, "it hangs up by itself");
    assert_eq!(call.asked, [1]);
    assert!(
        call.said[0].starts_with("Alarm. Pump house: High water."),
        "{:?}",
        call.said
    );
    assert_eq!(call.said[1..], ["Acknowledged. Goodbye."]);
    assert_eq!(provider.faults(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_comes_first_and_silence_is_not_heard() {
    let provider = provider();
    // A voicemail: it is spoken to, and presses nothing.
    provider.behave("+492", Telephone::default());
    provider.behave("+491", Telephone::pressing(&["1234", "4711", "1"]));
    let (gateway, token) = house(&provider).await;
    let bo = contact(&gateway, &token, "Bo", "+492").await;
    let body = json!({ "contact": { "name": "Li", "telephone": "+491" }, "pin": "4711" });
    let li = told(&gateway, &token, ("POST", "/api/contacts"), &body, 201).await;
    let chain = json!([
        { "whom": { "contact": bo }, "medium": "call", "wait_s": 1 },
        { "whom": { "contact": li["id"] }, "medium": "call", "wait_s": 1 },
    ]);
    let body = json!({ "chain": chain, "again_s": 900 });
    told(&gateway, &token, ("PUT", "/api/alarm-plans/0"), &body, 200).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Li");
    let attempts = ended(&gateway, &token, &alarm, 2).await;
    assert_eq!(attempts[0]["outcome"]["kind"], "unanswered");
    assert_eq!(attempts[1]["keys"], "********1");
    let calls = provider.calls();
    assert_eq!(calls[0].said.len(), 3, "three times, and no more");
    assert_eq!(calls[1].asked, [4, 4, 1]);
    assert!(
        calls[1].said[..2]
            .iter()
            .all(|it| !it.contains("High water"))
    );
    assert_eq!(provider.faults(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_busy_is_tried_again_and_then_the_next_and_no_answer_counts_twice() {
    let provider = provider();
    let busy = Telephone {
        taking: Taking::Busy,
        ..Telephone::default()
    };
    provider.behave("+491", busy);
    let passes = Telephone {
        repeats: true,
        ..Telephone::pressing(&["2"])
    };
    provider.behave("+492", passes);
    provider.behave("+493", Telephone::pressing(&["1"]));
    let (gateway, token) = house(&provider).await;
    let mut people = Vec::new();
    for (name, number) in [
        ("Li", "+491"),
        ("Bo", "+492"),
        ("Wu", "+493"),
        ("An", "+494"),
    ] {
        people.push(contact(&gateway, &token, name, number).await);
    }
    plan(&gateway, &token, 0, &people).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    // Had "the next person" counted twice, it would be another one.
    assert_eq!(alarm["acknowledged"]["by"], "Wu");
    let attempts = ended(&gateway, &token, &alarm, 4).await;
    let outcomes: Vec<_> = attempts.iter().map(|it| &it["outcome"]["kind"]).collect();
    assert_eq!(outcomes, ["busy", "busy", "passed", "acknowledged"]);
    assert_eq!(attempts[2]["keys"], "2");
    let numbers: Vec<_> = provider.calls().into_iter().map(|it| it.to).collect();
    assert_eq!(numbers, ["+491", "+491", "+492", "+493"]);
    assert_eq!(provider.faults(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acknowledges_elsewhere_ends_a_call_that_rings() {
    let provider = provider();
    let rings = Telephone {
        taking: Taking::Rings,
        ..Telephone::default()
    };
    provider.behave("+491", rings);
    let (gateway, token) = house(&provider).await;
    let li = contact(&gateway, &token, "Li", "+491").await;
    plan(&gateway, &token, 0, &[li]).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "raised").await;
    until("it to ring", async || {
        let history = history(&gateway, &token, &alarm).await;
        let attempt = &history["attempts"][0];
        (attempt["steps"] != Value::Null && steps(attempt).contains(&"ringing")).then_some(())
    })
    .await;
    let body = json!({ "alarms": [alarm["id"]] });
    let path = ("POST", "/api/alarms/acknowledge");
    told(&gateway, &token, path, &body, 200).await;
    let call = until("the call's end", async || {
        provider.calls().into_iter().find(|it| it.end.is_some())
    })
    .await;
    assert!(call.was_ended);
    assert_eq!(call.end.as_deref(), Some("canceled"));
    let attempts = ended(&gateway, &token, &alarm, 1).await;
    assert_eq!(attempts[0]["outcome"]["kind"], "withdrawn");
    gateway.stop().await;
}

/// A call whose telephone says whatever it says, and nothing is believed of it: it ends by itself, and the next one is called.
async fn is_given_up(telephone: Telephone) -> (Provider, Gateway, Value) {
    let provider = provider();
    provider.behave("+491", telephone);
    provider.behave("+492", Telephone::pressing(&["1"]));
    let (gateway, token) = house(&provider).await;
    let li = contact(&gateway, &token, "Li", "+491").await;
    let bo = contact(&gateway, &token, "Bo", "+492").await;
    let rung = |contact| json!({ "whom": { "contact": contact }, "medium": "call", "wait_s": 300, "attempts": 1 });
    let body = json!({ "chain": [rung(li), rung(bo)], "again_s": 900 });
    told(&gateway, &token, ("PUT", "/api/alarm-plans/0"), &body, 200).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "raised").await;
    // That takes its twenty seconds.
    until("the call to be given up", async || {
        let history = history(&gateway, &token, &alarm).await;
        let attempt = history["attempts"].as_array().unwrap().last().cloned()?;
        (attempt["outcome"] != Value::Null).then_some(())
    })
    .await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Bo");
    let attempts = ended(&gateway, &token, &alarm, 2).await;
    let reason = attempts[0]["outcome"]["reason"].as_str().unwrap();
    assert!(reason.contains("callback_url"), "{reason}");
    (provider, gateway, attempts[0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_which_nothing_is_told_ends_by_itself() {
    let mute = Telephone {
        is_mute: true,
        ..Telephone::default()
    };
    let (provider, gateway, attempt) = is_given_up(mute).await;
    assert_eq!(steps(&attempt), ["begun"]);
    until("the call to be ended", async || {
        provider.calls()[0].was_ended.then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_changes_nothing() {
    let forged = Telephone {
        token: Some("another".into()),
        ..Telephone::pressing(&["1"])
    };
    let (provider, gateway, attempt) = is_given_up(forged).await;
    assert_eq!(steps(&attempt), ["begun"]);
    assert_eq!(attempt["keys"], "");
    let answers = &provider.calls()[0].answers;
    assert!(answers.iter().all(|it| it.ends_with(" 403")), "{answers:?}");
    assert!(answers.iter().any(|it| it == "turns/1 403"), "{answers:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_asked_for_is_told_nothing() {
    let provider = provider();
    let (gateway, _) = house(&provider).await;
    let unknown = "00000000000000000000000000000000";
    let base = format!("{PUBLIC}/callbacks/provider");
    let call = [
        ("CallSid", "CA1"),
        ("CallStatus", "in-progress"),
        ("Digits", "1"),
    ];
    let text = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
    let post = |path: &str, form: &[(&str, &str)], token: &str| {
        provider
            .post(&format!("{base}{path}"), form, token)
            .unwrap()
    };
    let statuses = block_in_place(|| {
        let turn = format!("/calls/{unknown}/turns/1");
        let answer: Answer = post(&turn, &call, TOKEN);
        // Somebody may listen, and is told politely that it is over.
        assert!(
            answer.body.contains("This call is over. Goodbye."),
            "{answer:?}"
        );
        assert!(answer.body.contains("<Hangup/>"), "{answer:?}");
        [
            answer.status,
            post(&turn, &call, "another").status,
            post(&format!("/calls/{unknown}/status"), &call, TOKEN).status,
            post(&format!("/calls/{unknown}/status"), &call, "another").status,
            post(&format!("/texts/{unknown}/status"), &text, TOKEN).status,
            post(&format!("/calls/{unknown}/turns/x"), &call, TOKEN).status,
            // Signed for where it listens, and not for where it is known to be.
            {
                provider.reach("http://gateway", gateway.http);
                let url = format!("http://gateway/callbacks/provider{turn}");
                provider.post(&url, &call, TOKEN).unwrap().status
            },
        ]
    });
    assert_eq!(statuses, [200, 403, 404, 403, 404, 404, 403]);
    let path = format!("/callbacks/provider/calls/{unknown}/status");
    let got = request(gateway.http, "GET", &path, &[], "").await;
    assert_eq!(got.status, 405);
    let bare = request(gateway.http, "POST", &path, &[], "CallSid=CA1").await;
    assert_eq!(
        (bare.status, bare.json()["code"].as_str()),
        (403, Some("not_signed"))
    );
    let large = "a".repeat(65 * 1024);
    let large = request(gateway.http, "POST", &path, &[], &large).await;
    assert_eq!(large.status, 413);
    // Whoever goes on guessing is slowed down.
    let mut last = 403;
    for _ in 0..100 {
        last = request(gateway.http, "POST", &path, &[], "").await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    gateway.stop().await;
    // And without a provider there is nothing at all.
    let gateway = Gateway::start().await;
    let none = request(gateway.http, "POST", &path, &[], "").await;
    assert_eq!(none.status, 404);
    gateway.stop().await;
}

/// A plan that texts one after the other, each of whom is waited for a while.
async fn texting(gateway: &Gateway, token: &str, people: &[(&str, &str)]) -> Vec<u64> {
    let mut contacts = Vec::new();
    for (name, number) in people {
        contacts.push(contact(gateway, token, name, number).await);
    }
    let rung = |contact: &u64| json!({ "whom": { "contact": contact }, "medium": "sms", "wait_s": 300, "attempts": 1 });
    let chain: Vec<_> = contacts.iter().map(rung).collect();
    let body = json!({ "chain": chain, "again_s": 900 });
    told(gateway, token, ("PUT", "/api/alarm-plans/0"), &body, 200).await;
    contacts
}

fn code(text: &str) -> u32 {
    let (_, behind) = text.split_once("Reply ").unwrap();
    behind.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_lost_goes_to_the_next_one_who_answers_it() {
    let provider = provider();
    let lost = Telephone {
        delivery: Delivery::Lost(30_003),
        ..Telephone::default()
    };
    provider.behave("+4917100000001", lost);
    let twice = Telephone {
        repeats: true,
        ..Telephone::default()
    };
    provider.behave("+4917100000002", twice);
    let (gateway, token) = house(&provider).await;
    let people = [("Li", "+4917100000001"), ("Bo", "+4917100000002")];
    texting(&gateway, &token, &people).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "notified").await;
    let attempts = ended(&gateway, &token, &alarm, 2).await;
    assert_eq!(attempts[0]["outcome"]["kind"], "failed");
    let reason = attempts[0]["outcome"]["reason"].as_str().unwrap();
    assert!(reason.contains("30003"), "{reason}");
    assert_eq!(steps(&attempts[0]), ["begun"], "nobody was told by that");
    assert_eq!(steps(&attempts[1]), ["begun", "told", "delivered"]);
    assert_eq!(attempts[1]["outcome"]["kind"], "sent");

    let texts = provider.texts();
    assert_eq!(texts.len(), 2);
    let code = code(&texts[1].body);
    let receive =
        |name: &str, from: &str, body: String| provider.receive(TEXTS, name, from, &body).unwrap();
    // From somebody else, with another code, and forged: nothing.
    let (other, wrong, forged) = block_in_place(|| {
        let body = format!("{code} 1");
        let form = [
            ("MessageSid", "SM9"),
            ("From", people[1].1),
            ("Body", body.as_str()),
        ];
        (
            receive("SM7", "+4915100000000", body.clone()).status,
            receive("SM8", people[1].1, format!("{} 1", code + 1)).status,
            provider.post(TEXTS, &form, "another").unwrap().status,
        )
    });
    assert_eq!((other, wrong, forged), (200, 200, 403));
    assert_eq!(
        stands(&gateway, &token, "notified").await["acknowledged"],
        Value::Null
    );
    let answer = block_in_place(|| receive("SM10", people[1].1, format!("{code} 1")));
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.ends_with("<Response></Response>"),
        "{}",
        answer.body
    );
    let alarm = stands(&gateway, &token, "acknowledged").await;
    assert_eq!(alarm["acknowledged"]["by"], "Bo");
    assert_eq!(alarm["acknowledged"]["how"], "message");
    assert_eq!(provider.faults(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_another_gateway_has_kept_is_taken() {
    let provider = provider();
    let (gateway, token) = house(&provider).await;
    texting(&gateway, &token, &[("Li", "+4917100000001")]).await;
    let _pump = high_water(&gateway).await;
    stands(&gateway, &token, "notified").await;
    // As the gateway does that is not in charge: it has nothing but the store.
    let wished = WishedAlarms {
        wish: AlarmWish::Answer {
            from: "017100000001".into(),
            code: code(&provider.texts()[0].body),
            key: 3,
        },
        comment: None,
        account: String::new(),
        at_ms: now().0,
    };
    gateway.stores.config.add_alarm_wish(wished).await.unwrap();
    let alarm = stands(&gateway, &token, "shelved").await;
    assert_eq!(alarm["shelved"]["by"], "Li", "{alarm}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_public_url_texts_promise_nothing_and_nobody_is_called() {
    let provider = provider();
    let (gateway, token) = house_with(&provider, |raw| {
        (raw.callback_url, raw.calls) = (None, None);
    })
    .await;
    texting(&gateway, &token, &[("Li", "+4917100000001")]).await;
    let _pump = high_water(&gateway).await;
    let alarm = stands(&gateway, &token, "notified").await;
    let attempts = ended(&gateway, &token, &alarm, 1).await;
    assert_eq!(steps(&attempts[0]), ["begun", "told"]);
    let texts = provider.texts();
    assert_eq!(texts[0].body, "Alarm: Pump house: High water");
    assert_eq!(texts[0].status_url, None);
    assert!(provider.calls().is_empty());
    gateway.stop().await;

    let no_url = RawProvider {
        callback_url: None,
        ..raw(&provider)
    };
    let error = resolved(no_url.clone()).unwrap_err();
    assert!(error.contains("alarms.provider.callback_url"), "{error}");
    assert!(error.contains("public URL"), "{error}");
    let bad_url = RawProvider {
        callback_url: Some("yard.example.org".into()),
        calls: Some(false),
        ..no_url.clone()
    };
    let error = resolved(bad_url).unwrap_err();
    assert!(error.contains("https://yard.example.org"), "{error}");
    let nothing = RawProvider {
        calls: Some(false),
        sms: Some(false),
        limits: RawLimits::default(),
        ..no_url
    };
    assert!(resolved(nothing).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_before_a_restart_says_goodbye_and_another_one_is_made() {
    let provider = provider();
    let held = Telephone {
        holds_at: Some(0),
        is_endless: true,
        ..Telephone::pressing(&["1"])
    };
    provider.behave("+491", held);
    let (gateway, token) = house(&provider).await;
    let li = contact(&gateway, &token, "Li", "+491").await;
    plan(&gateway, &token, 0, &[li]).await;
    let pump = high_water(&gateway).await;
    stands(&gateway, &token, "notified").await;
    drop(pump);
    // The service cannot end it meanwhile; whoever has taken it holds the telephone.
    provider.behave("+491", Telephone::pressing(&["9", "1"]));
    let gateway = gateway.restart().await;
    provider.reach(PUBLIC, gateway.http);
    let token = gateway.log_in("admin").await;
    let alarm = stands(&gateway, &token, "acknowledged").await;
    let attempts = ended(&gateway, &token, &alarm, 2).await;
    assert_eq!(attempts[0]["outcome"]["kind"], "interrupted");
    assert_eq!(attempts[1]["keys"], "91");
    provider.release("+491");
    let old = until("the former call's end", async || {
        let calls = provider.calls();
        calls[0].end.is_some().then(|| calls[0].clone())
    })
    .await;
    assert_eq!(provider.calls().len(), 2);
    // Its key does not count, and it is told so.
    assert!(!old.was_ended);
    assert_eq!(
        old.said[1..],
        ["This call is over. Goodbye.", "通话已结束。再见。"]
    );
    let history = history(&gateway, &token, &alarm).await;
    let notes = history["notes"].as_array().unwrap();
    let heard = notes
        .iter()
        .filter(|it| it["kind"] == "acknowledged")
        .count();
    assert_eq!(heard, 1);
    gateway.stop().await;
}
