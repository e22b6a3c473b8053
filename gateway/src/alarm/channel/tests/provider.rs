//! A service for texts and calls.

use super::*;
use crate::{
    alarm::channel::provider::{Provider, ProviderSettings},
    config::Secret,
};

fn settings(url: &str) -> ProviderSettings {
    ProviderSettings {
        base_url: Secret(url.to_owned()),
        account: "AC17".into(),
        token: Secret("hush".into()),
        from: "+18005551212".parse().unwrap(),
        allow_private: true,
        ca_file: None,
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn texts_and_calls_are_asked_for_as_the_service_wants_it() {
    let mut server = Server::start(&[
        (201, r#"{"sid":"SM1","status":"queued"}"#),
        (201, r#"{"sid":"CA1","status":"queued"}"#),
        (200, r#"{"sid":"CA1","status":"completed"}"#),
    ])
    .await;
    let provider = Provider::open(&settings(&format!("{}/behind/", server.url))).unwrap();
    let to = "+49 171 111".parse().unwrap();
    let name = provider
        .text(&to, "Pump & house: 水位低", Some("https://yard/t?a=1&b=2"))
        .await;
    assert_eq!(name.unwrap(), "SM1");
    let request = server.next().await;
    assert_eq!(
        request.path,
        "/behind/2010-04-01/Accounts/AC17/Messages.json"
    );
    // `printf AC17:hush | base64`.
    assert_eq!(request.header("authorization"), "Basic QUMxNzpodXNo");
    assert_eq!(
        request.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    let expected = [
        ("To", "+49171111"),
        ("From", "+18005551212"),
        ("Body", "Pump & house: 水位低"),
        ("StatusCallback", "https://yard/t?a=1&b=2"),
    ];
    assert_eq!(request.form(), pairs(&expected));

    let limits = (Duration::from_secs(1_000), Duration::from_secs(300));
    let name = provider
        .call(&to, "https://yard/c/1", "https://yard/s/1", limits)
        .await;
    assert_eq!(name.unwrap(), "CA1");
    let request = server.next().await;
    assert_eq!(request.path, "/behind/2010-04-01/Accounts/AC17/Calls.json");
    let expected = [
        ("To", "+49171111"),
        ("From", "+18005551212"),
        ("Url", "https://yard/c/1"),
        ("Timeout", "600"),
        ("TimeLimit", "300"),
        ("StatusCallback", "https://yard/s/1"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
    ];
    assert_eq!(request.form(), pairs(&expected));

    provider.end_call("CA1").await.unwrap();
    let request = server.next().await;
    assert_eq!(
        request.path,
        "/behind/2010-04-01/Accounts/AC17/Calls/CA1.json"
    );
    assert_eq!(request.form(), pairs(&[("Status", "completed")]));
    assert!(matches!(
        provider.end_call("../x").await,
        Err(Fault::Unfit(_))
    ));
    // A long text is cut between letters.
    provider
        .text(&to, &"水".repeat(3_000), None)
        .await
        .unwrap_err();
    let form = server.next().await.form();
    let body = &form.iter().find(|(name, _)| name == "Body").unwrap().1;
    assert!(body.chars().count() <= 1_600 && body.ends_with("水…"));
}

#[tokio::test]
async fn refusals_are_told_in_the_services_words() {
    let said = r#"{"code":21211,"message":"Invalid 'To' Phone Number","status":400}"#;
    let server = Server::start(&[
        (400, said),
        (401, r#"{"code":20003,"message":"Authenticate"}"#),
        (503, "busy"),
        (201, "{}"),
        (201, r#"{"sid":"../../x"}"#),
    ])
    .await;
    let provider = Provider::open(&settings(&server.url)).unwrap();
    let to = "12".parse().unwrap();
    for (expected, is_permanent) in [
        (
            "it was refused: 400 Bad Request: Invalid 'To' Phone Number (21211)",
            true,
        ),
        (
            "it was refused: 401 Unauthorized: Authenticate (20003)",
            true,
        ),
        ("it was put off: 503 Service Unavailable", false),
        ("it was refused: it does not say what it calls it", true),
        ("it was refused: it does not say what it calls it", true),
    ] {
        let fault = provider.text(&to, "a", None).await.unwrap_err();
        assert_eq!(
            (fault.to_string().as_str(), fault.is_permanent()),
            (expected, is_permanent)
        );
        assert!(!format!("{fault:?}").contains("hush"));
    }
}

#[tokio::test]
async fn an_account_is_looked_at() {
    let mut server = Server::start(&[
        (200, r#"{"sid":"AC17","status":"active"}"#),
        (200, r#"{"sid":"AC17","status":"suspended"}"#),
        (401, r#"{"code":20003,"message":"Authenticate"}"#),
    ])
    .await;
    let provider = Provider::open(&settings(&server.url)).unwrap();
    provider.account().await.unwrap();
    let request = server.next().await;
    assert_eq!(
        (request.method, &*request.path),
        (Method::GET, "/2010-04-01/Accounts/AC17.json")
    );
    for expected in ["suspended", "401"] {
        let fault = provider.account().await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
}

#[tokio::test]
async fn settings_that_could_not_work_are_refused() {
    let good = settings("https://api.example.org");
    assert!(!format!("{good:?}").contains("hush"));
    for bad in [
        settings("api.example.org"),
        ProviderSettings {
            account: "a/b".into(),
            ..good.clone()
        },
        ProviderSettings {
            account: String::new(),
            ..good.clone()
        },
        ProviderSettings {
            ca_file: Some("/nowhere".into()),
            ..good
        },
    ] {
        let error = Provider::open(&bad).err().unwrap();
        assert!(!format!("{error:#}").contains("hush"));
    }
    let server = Server::start(&[]).await;
    let guarded = ProviderSettings {
        allow_private: false,
        ..settings(&server.url)
    };
    let guarded = Provider::open(&guarded).unwrap();
    let fault = guarded
        .text(&"12".parse().unwrap(), "a", None)
        .await
        .unwrap_err();
    assert!(fault.is_permanent(), "{fault}");
}
