//! What a service is answered, and what it tells: texts in, texts out.

use super::*;
use proptest::prelude::*;

const TOKEN: &str = "12345";
const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const BODY: &str = "To=%2B18005551212&From=%2B14158675309&Digits=1234&CallSid=CA1234567890ABCDE&Caller=%2B14158675309";
/// By `openssl dgst -sha1 -hmac 12345 -binary | base64` of the URL and the pairs in order of their names.
const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

fn is_signed(token: &str, url: &str, body: &str, signature: &str) -> bool {
    callback::is_signed(token, url, &callback::form(body.as_bytes()), signature)
}

#[test]
fn what_the_service_signs_is_believed_and_nothing_else() {
    assert!(is_signed(TOKEN, URL, BODY, SIGNATURE));
    // In another order, and with a pair twice, it is the same form.
    let mut pairs: Vec<_> = BODY.split('&').collect();
    pairs.reverse();
    pairs.push(pairs[0]);
    assert!(is_signed(TOKEN, URL, &pairs.join("&"), SIGNATURE));
    for (token, url, body, signature) in [
        ("12346", URL, BODY, SIGNATURE),
        (
            TOKEN,
            "https://mycompany.com/myapp.php?foo=1&bar=3",
            BODY,
            SIGNATURE,
        ),
        (TOKEN, URL, &BODY.replace("1234&", "1235&"), SIGNATURE),
        (TOKEN, URL, &format!("{BODY}&A=b"), SIGNATURE),
        (TOKEN, URL, BODY, "RSOYDt4T1cUTdK1PDd93/VVr8B9="),
        (TOKEN, URL, BODY, "not base64"),
        (TOKEN, URL, BODY, ""),
    ] {
        assert!(
            !is_signed(token, url, body, signature),
            "{token} {url} {body} {signature}"
        );
    }
}

#[test]
fn a_url_is_the_same_with_and_without_its_tcp_port() {
    for (url, expected) in [
        ("https://a/b?c", "https://a:443/b?c"),
        ("http://a/b:1", "http://a:80/b:1"),
        ("https://a:8443/b", "https://a/b"),
        ("https://[::1]/b", "https://[::1]:443/b"),
        ("https://[::1]:8443/b", "https://[::1]/b"),
    ] {
        assert_eq!(callback::spellings(url), [url, expected]);
    }
}

fn read(body: &str) -> Option<Callback> {
    Callback::of(&callback::form(body.as_bytes()))
}

#[test]
fn calls_and_texts_are_told_apart() {
    let call = |status, digits: Option<&str>| {
        Some(Callback::Call {
            call: "CA1".into(),
            status,
            digits: digits.map(String::from),
            from: "+12".into(),
        })
    };
    for (body, expected) in [
        (
            "CallSid=CA1&CallStatus=ringing&From=%2B12",
            call(CallStatus::Ringing, None),
        ),
        (
            "CallSid=CA1&CallStatus=in-progress&From=%2B12&Digits=1%23x2",
            call(CallStatus::Answered, Some("1#2")),
        ),
        (
            "CallSid=CA1&CallStatus=in-progress&From=%2B12&Digits=",
            call(CallStatus::Answered, Some("")),
        ),
        (
            "CallSid=CA1&CallStatus=no-answer&From=%2B12",
            call(CallStatus::NoAnswer, None),
        ),
        (
            "CallSid=CA1&CallStatus=canceled&From=%2B12",
            call(CallStatus::Cancelled, None),
        ),
        ("CallSid=CA1&CallStatus=dancing&From=%2B12", None),
        (
            "MessageSid=SM1&SmsStatus=received&From=%2B12&To=%2B13&Body=ack+17+%E6%B0%B4",
            Some(Callback::Text {
                text: "SM1".into(),
                from: "+12".into(),
                body: "ack 17 水".into(),
            }),
        ),
        (
            "MessageSid=SM1&MessageStatus=delivered&To=%2B13",
            Some(Callback::TextSent {
                text: "SM1".into(),
                status: TextStatus::Delivered,
                error: None,
            }),
        ),
        (
            "SmsSid=SM1&SmsStatus=undelivered&ErrorCode=30003",
            Some(Callback::TextSent {
                text: "SM1".into(),
                status: TextStatus::Failed,
                error: Some(30_003),
            }),
        ),
        ("MessageSid=SM1", None),
        ("From=%2B12&Body=a", None),
        ("", None),
    ] {
        assert_eq!(read(body), expected, "{body}");
    }
}

#[test]
fn an_answer_says_and_asks_whatever_the_texts_are() {
    let gather = Gather {
        digits: 1,
        wait_seconds: 8,
        action: "https://yard/k?a=1&b=\"2\"",
    };
    let reply = Reply::new()
        .say("Pump <house> & \"others\"", "en-GB")
        .ask(gather)
        .say("水位低", "zh-CN")
        .pause(1)
        .go_on_at("https://yard/again?a=1&b=2")
        .hang_up();
    let expected = concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>",
        "<Say language=\"en-GB\">Pump &lt;house&gt; &amp; &quot;others&quot;</Say>",
        "<Gather input=\"dtmf\" numDigits=\"1\" finishOnKey=\"\" timeout=\"8\" method=\"POST\" ",
        "action=\"https://yard/k?a=1&amp;b=&quot;2&quot;\">",
        "<Say language=\"zh-CN\">水位低</Say><Pause length=\"1\"/></Gather>",
        "<Redirect method=\"POST\">https://yard/again?a=1&amp;b=2</Redirect>",
        "<Hangup/></Response>",
    );
    assert_eq!(reply.xml(), expected);
    // A question that nothing follows is ended all the same.
    let asking = Reply::new().ask(gather).say("a", "en").xml();
    assert!(asking.ends_with("</Say></Gather></Response>"), "{asking}");
    assert!(Reply::new().xml().ends_with("<Response></Response>"));
}

proptest! {
    #[test]
    fn no_text_breaks_out(text in ".{0,60}", language in ".{0,20}") {
        let xml = Reply::new().say(&text, &language).xml();
        let inner = xml.split_once("<Response><Say language=\"").unwrap().1;
        let inner = inner.strip_suffix("</Say></Response>").unwrap();
        let (language, text) = inner.split_once("\">").unwrap();
        let has_none = |part: &str| !part.contains(['<', '>', '"']);
        prop_assert!(has_none(language) && has_none(text));
        let control = |letter: char| letter.is_control() && !"\t\r\n".contains(letter);
        prop_assert!(!inner.contains(control));
    }

    #[test]
    fn nothing_that_comes_is_too_odd(body in prop::collection::vec(any::<u8>(), 0..300), signature in ".{0,40}") {
        let form = callback::form(&body);
        let _ = Callback::of(&form);
        prop_assert!(!callback::is_signed(TOKEN, URL, &form, &signature));
    }
}
