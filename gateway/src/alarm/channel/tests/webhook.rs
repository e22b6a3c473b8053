//! Programs that are told.

use super::*;
use crate::alarm::channel::webhook::{Webhook, WebhookSettings};
use base64::Engine as _;

fn settings(allow_private: bool) -> WebhookSettings {
    WebhookSettings {
        secret: b"a secret that both know".to_vec(),
        allow_private,
        ca_file: None,
    }
}

#[tokio::test]
async fn a_program_is_told_and_can_tell_by_whom() {
    let mut server = Server::start(&[(204, "")]).await;
    let webhook = Webhook::open(settings(true)).unwrap();
    let url = format!("{}/hook?for=li", server.url);
    webhook
        .post(&url, "alarm-17-2", "{\"a\":1}".into())
        .await
        .unwrap();
    let request = server.next().await;
    assert_eq!(request.path, "/hook?for=li");
    assert_eq!(request.header("webhook-id"), "alarm-17-2");
    let seconds = request.header("webhook-timestamp");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a secret that both know");
    let signed = format!("alarm-17-2.{seconds}.{{\"a\":1}}");
    let tag = request
        .header("webhook-signature")
        .strip_prefix("v1,")
        .unwrap();
    let tag = base64::engine::general_purpose::STANDARD
        .decode(tag)
        .unwrap();
    ring::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    assert_eq!(&request.body[..], b"{\"a\":1}");
}

#[tokio::test]
async fn what_it_says_counts_and_where_it_is() {
    let mut server = Server::start(&[(410, ""), (503, ""), (307, "")]).await;
    let webhook = Webhook::open(settings(true)).unwrap();
    for is_permanent in [true, false, false] {
        let fault = webhook
            .post(&server.url, "1", "{}".into())
            .await
            .unwrap_err();
        assert_eq!(fault.is_permanent(), is_permanent, "{fault}");
        server.next().await;
    }
    let guarded = Webhook::open(settings(false)).unwrap();
    let fault = guarded
        .post(&server.url, "1", "{}".into())
        .await
        .unwrap_err();
    assert!(
        matches!(fault, Fault::Endpoint(endpoint::Fault::Private(_))),
        "{fault}"
    );
    assert!(server.requests.try_recv().is_err());
    let fault = webhook
        .post("gopher://a/", "1", "{}".into())
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Unfit(_)));
    assert!(!format!("{:?}", settings(true)).contains("both know"));
}
