//! Where callbacks come to, and how texts come out.

use super::*;
use crate::{alarm::channel::provider::ProviderSettings, config::Secret};

#[test]
fn a_callback_url_is_plain() {
    for (url, expected) in [
        ("https://yard.example.org", Some("https://yard.example.org")),
        (
            "https://yard.example.org:8443/behind/",
            Some("https://yard.example.org:8443/behind"),
        ),
        ("http://10.0.0.1/", Some("http://10.0.0.1")),
        ("https://yard.example.org/?a=b", None),
        ("https://yard.example.org/#a", None),
        ("https://li:hush@yard.example.org/", None),
        ("yard.example.org", None),
        ("", None),
    ] {
        assert_eq!(callback_base(url).ok().as_deref(), expected, "{url}");
    }
}

#[tokio::test]
async fn how_a_text_comes_out_is_told_once() {
    let settings = ProviderSettings {
        base_url: Secret("http://127.0.0.1:1".into()),
        account: "AC17".into(),
        token: Secret("hush".into()),
        from: "+18005551212".parse().unwrap(),
        allow_private: true,
        ca_file: None,
    };
    let provider = Arc::new(Provider::open(&settings).unwrap());
    let base = "https://yard.test".to_owned();
    let switchboard = Switchboard::new(provider, base, TaskTracker::new());
    let told = |status, error| Callback::TextSent {
        text: "SM1".into(),
        status,
        error,
    };
    let (token, mut outcome) = switchboard.expect_text();
    assert!(switchboard.text_status(&token, &told(TextStatus::Underway, None)));
    assert!(outcome.try_recv().is_err());
    assert!(switchboard.text_status(&token, &told(TextStatus::Failed, Some(30_003))));
    assert!(!switchboard.text_status(&token, &told(TextStatus::Delivered, None)));
    assert_eq!(outcome.await.unwrap(), Err(Some(30_003)));
    let (token, outcome) = switchboard.expect_text();
    switchboard.forget_text(&token);
    assert!(!switchboard.text_status(&token, &told(TextStatus::Delivered, None)));
    assert!(outcome.await.is_err());
}
