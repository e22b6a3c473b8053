//! What counts as an answer, and that nobody fills the store with what is none.

use super::*;
use crate::{
    alarm::people::ContactId,
    store::{Guard, Guarded, NewContact, SqlConfigStore, StoreFuture},
};
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn a_number_is_the_same_with_and_without_its_country() {
    assert!(is_same_number("+49 170 1234567", "01701234567"));
    assert!(is_same_number("+491701234567", "491701234567"));
    assert!(!is_same_number("+491701234567", "+491701234568"));
    assert!(is_same_number("110", "110"));
    assert!(!is_same_number("110", "0110"));
    assert!(!is_same_number("+491701234567", "Provider"));
}

#[test]
fn an_answer_is_a_code_and_a_digit() {
    for (text, expected) in [
        ("4711 1", Some((4_711, 1))),
        ("4711", Some((4_711, 1))),
        (" 4711-2!", Some((4_711, 2))),
        ("4711，1", Some((4_711, 1))),
        ("４７１１ ３。", Some((4_711, 3))),
        ("(4711) 1", Some((4_711, 1))),
        ("4711 3 of us are on the way", None),
        ("4711 2 min", None),
        ("4711: 3!", Some((4_711, 3))),
        ("4711 1 on my way", Some((4_711, 1))),
        ("4711 not me", None),
        ("4711 no, 1 of the others", None),
        ("4711 1st floor", None),
        ("Liked “Alarm: High water (81). Reply 4711 1 = heard”", None),
        ("4711 4", None),
        ("4711 11", None),
        ("heard", None),
        ("", None),
        ("99999999999 1", None),
    ] {
        let found = understood(text).map(|(code, decision)| (code, key(decision)));
        assert_eq!(found, expected, "{text}");
    }
    for number in 0..=9 {
        assert!(decision(number).is_none_or(|it| key(it) == number));
    }
}

/// A store with one contact of this number.
async fn store(folder: &tempfile::TempDir, number: &str) -> Arc<dyn ConfigStore> {
    use crate::store::{Database, Sealer};
    let (database, sealer) = (
        Database::Sqlite(folder.path().join("db")),
        Sealer::new(&[7; 32]),
    );
    let store = SqlConfigStore::open(&database, sealer, 64, Duration::from_secs(20)).await;
    let store: Arc<dyn ConfigStore> = Arc::new(store.unwrap());
    let contact = serde_json::json!({ "name": "Li", "sms": number });
    let new = NewContact {
        id: None::<ContactId>,
        contact: serde_json::from_value(contact).unwrap(),
        pin: None,
    };
    store.put_contact(new).await.unwrap();
    store
}

#[tokio::test]
async fn answers_of_those_who_are_told_are_kept_once_and_not_too_often() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, "+49 170 1234567").await;
    let (later, _) = received();
    let answers = Answers::new(Arc::clone(&store), Bell::default(), later);
    let take = async |from: &str, text: &str, name: Option<&str>| {
        let (from, text) = (from.to_owned(), text.to_owned());
        answers.take(&Received { from, text }, name).await.unwrap();
        store.alarm_wishes(100).await.unwrap().len()
    };
    assert_eq!(take("+491701234567", "hello", None).await, 0);
    assert_eq!(take("+491701234568", "4711 1", None).await, 0);
    assert_eq!(take("01701234567", "4711 2", Some("SM1")).await, 1);
    assert_eq!(take("01701234567", "4711 2", Some("SM1")).await, 1);
    let (_, kept) = store.alarm_wishes(1).await.unwrap().remove(0);
    let expected = AlarmWish::Answer {
        from: "01701234567".into(),
        code: 4_711,
        key: 2,
    };
    assert_eq!(kept.wish, expected);
    let mut count = 0;
    for code in 1_000..1_100 {
        count = take("+491701234567", &format!("{code} 1"), None).await;
    }
    assert!(count < 10, "{count}");
}

/// Fails so many times to keep an answer, and reads as ever.
struct Full(AtomicU32);

impl Guard for Full {
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let left = || {
            let less = |it: u32| it.checked_sub(1);
            self.0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        };
        match call == "add_alarm_wish" && left().is_ok() {
            true => Box::pin(async { Err(StoreError::Gone("a full disk")) }),
            false => future,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_as_long_as_the_store_cannot_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, "+49 170 1234567").await;
    let full = Guarded::new(Arc::clone(&store), Full(AtomicU32::new(50)));
    let (later, waiting) = received();
    let answers = Answers::new(Arc::new(full), Bell::default(), later);
    let stopping = CancellationToken::new();
    let answers = Arc::new(answers);
    let taking = tokio::spawn(Arc::clone(&answers).take_all(waiting, stopping.clone()));
    let text = || Received {
        from: "+491701234567".into(),
        text: "4711 1".into(),
    };
    // One that comes by a request is not left to whether the service brings it again.
    assert!(answers.take(&text(), Some("SM1")).await.is_err());
    assert!(answers.put_off(text()));
    while store.alarm_wishes(100).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stopping.cancel();
    taking.await.unwrap();
}
