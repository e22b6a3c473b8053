//! What every config store keeps to with the library: scripts in versions, firmwares, contents; a part of the contract.

use crate::{
    fleet_contract::{DAY_MS, NOW, label},
    support::title,
};
use bytes::Bytes;
use switchyard_gateway::{
    Digest,
    fleet::firmware::FirmwareName,
    store::{
        ConfigStore, Content, FIRMWARES_MAX, NOTE_BYTES_MAX, NewFirmware, NewScript, StoreError,
        UPDATE_BYTES_MAX,
    },
};
use switchyard_protocol::{firmware::FirmwareVersion, message::Time};

pub(crate) fn script(name: &str, source: &str) -> NewScript {
    NewScript {
        label: label(name),
        source: source.to_owned(),
        by: title("li"),
        note: format!("as {} bytes", source.len()),
    }
}

pub(crate) async fn library(store: &dyn ConfigStore) {
    let one = store.add_script(script("tank", "# 1\n"), Time(10)).await;
    let one = one.unwrap();
    assert_eq!((one.number, one.is_new), (1, true));
    assert_eq!(one.digest, Digest::of(b"# 1\n"));
    let again = store.add_script(script("tank", "# 1\n"), Time(11)).await;
    assert_eq!(
        (again.as_ref().unwrap().number, again.unwrap().is_new),
        (1, false)
    );
    let two = store.add_script(script("tank", "# 2\n"), Time(12)).await;
    assert_eq!(two.unwrap().number, 2);
    // One that was there before is a version of its own: what is newest is what counts.
    let three = store.add_script(script("tank", "# 1\n"), Time(13)).await;
    assert_eq!(three.unwrap().number, 3);
    store
        .add_script(script("a-fan", "# 1\n"), Time(9))
        .await
        .unwrap();
    store
        .add_script(script("zone", "# z\n"), Time(14))
        .await
        .unwrap();

    let names = async |after: Option<&str>, limit| {
        let page = store.scripts(after.map(label), limit).await.unwrap();
        let names = page.into_iter().map(|it| (it.label.to_string(), it.number));
        names.collect::<Vec<_>>()
    };
    let pair = |name: &str, number| (name.to_owned(), number);
    assert_eq!(
        names(None, 10).await,
        [pair("a-fan", 1), pair("tank", 3), pair("zone", 1)]
    );
    assert_eq!(names(Some("a-fan"), 1).await, [pair("tank", 3)]);
    assert_eq!(names(Some("zone"), 10).await, []);
    let versions = async |before, limit| {
        let page = store.script_versions(label("tank"), before, limit).await;
        let numbers = page.unwrap().into_iter().map(|it| it.number);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(versions(None, 10).await, [3, 2, 1]);
    assert_eq!(versions(Some(3), 1).await, [2]);
    let (version, source) = store.script(label("tank"), Some(2)).await.unwrap().unwrap();
    assert_eq!(source, "# 2\n");
    assert_eq!(version.note, "as 4 bytes");
    assert_eq!((version.added, version.by), (Time(12), title("li")));
    assert_eq!((version.number, version.bytes), (2, 4));
    let newest = store.script(label("tank"), None).await.unwrap().unwrap();
    assert_eq!((newest.0.number, &*newest.1), (3, "# 1\n"));
    assert!(
        store
            .script(label("tank"), Some(4))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.script(label("nobody"), None).await.unwrap().is_none());
    let known = [Digest::of(b"# 1\n"), Digest([9; 32]), Digest::of(b"# 2\n")];
    let found = store.scripts_of(known.to_vec()).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.label.as_str(), it.number))
        .collect();
    assert_eq!(found, [("tank", 2), ("tank", 3)]);
    assert!(store.scripts_of(Vec::new()).await.unwrap().is_empty());

    let long = store
        .add_script(script("tank", &"#".repeat(8_193)), Time(15))
        .await;
    assert!(
        matches!(long, Err(StoreError::TooLarge { max: 8_192, .. })),
        "{long:?}"
    );
    let mut wordy = script("tank", "# 4\n");
    wordy.note = "n".repeat(NOTE_BYTES_MAX + 1);
    let long = store.add_script(wordy, Time(15)).await;
    assert!(matches!(long, Err(StoreError::TooLarge { .. })), "{long:?}");

    assert!(store.remove_script(label("tank"), Time(16)).await.unwrap());
    assert!(!store.remove_script(label("tank"), Time(16)).await.unwrap());
    assert_eq!(versions(None, 10).await, [] as [u32; 0]);
    // What another script has is still there.
    assert!(store.content(Digest::of(b"# 1\n")).await.unwrap().is_some());
    for name in ["a-fan", "zone"] {
        assert!(store.remove_script(label(name), Time(16)).await.unwrap());
    }
}

pub(crate) async fn firmwares(store: &dyn ConfigStore) {
    let name = |text: &str| text.parse::<FirmwareName>().unwrap();
    let new = |text: &str, bytes: &'static [u8]| NewFirmware {
        name: name(text),
        lowest: FirmwareVersion(0x0100),
        content: Content::firmware(vec![Bytes::from_static(bytes)]).unwrap(),
        by: title("li"),
        note: "as made".to_owned(),
    };
    let one = new("nodemcu@0.2.0", b"two");
    let digest = one.content.digest();
    let added = store.add_firmware(one.clone(), Time(NOW)).await.unwrap();
    assert_eq!((added.digest, added.is_new), (digest, true));
    let added = store.add_firmware(one, Time(NOW + 1)).await.unwrap();
    assert_eq!((added.digest, added.is_new), (digest, false));
    let other = store.add_firmware(new("nodemcu@0.2.0", b"other"), Time(NOW));
    let other = other.await;
    assert!(matches!(other, Err(StoreError::Exists(_))), "{other:?}");
    for (text, bytes) in [("nodemcu@0.10.0", &b"ten"[..]), ("a-board@0.1.0", b"one")] {
        store
            .add_firmware(new(text, bytes), Time(NOW))
            .await
            .unwrap();
    }
    let mut wordy = new("nodemcu@0.3.0", b"three");
    wordy.note = "n".repeat(NOTE_BYTES_MAX + 1);
    let long = store.add_firmware(wordy, Time(NOW)).await;
    assert!(matches!(long, Err(StoreError::TooLarge { .. })), "{long:?}");

    let all = store.firmwares().await.unwrap();
    let names: Vec<_> = all.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["a-board@0.1.0", "nodemcu@0.10.0", "nodemcu@0.2.0"]);
    let newest = store.newest_firmware(label("nodemcu")).await.unwrap();
    assert_eq!(newest.unwrap().name, name("nodemcu@0.10.0"));
    assert_eq!(store.newest_firmware(label("none")).await.unwrap(), None);
    let found = store
        .firmware(name("nodemcu@0.2.0"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.digest, found.bytes, found.lowest),
        (digest, 3, FirmwareVersion(0x0100))
    );
    assert_eq!((found.added, found.by.as_str()), (Time(NOW), "li"));
    assert_eq!(store.firmware_of(digest).await.unwrap(), Some(found));
    assert_eq!(store.firmware_of(Digest([9; 32])).await.unwrap(), None);
    assert_eq!(store.firmware(name("nodemcu@0.2.1")).await.unwrap(), None);

    // As long as the library has it, it stays.
    let later = Time(NOW + 2 * DAY_MS);
    assert!(
        store
            .remove_firmware(name("a-board@0.1.0"), later)
            .await
            .unwrap()
    );
    assert!(
        !store
            .remove_firmware(name("a-board@0.1.0"), later)
            .await
            .unwrap()
    );
    let gone = store.content(Digest::of(b"one")).await.unwrap();
    assert_eq!(gone, None, "nothing needs it");
    assert!(store.content(digest).await.unwrap().is_some());
    for text in ["nodemcu@0.2.0", "nodemcu@0.10.0"] {
        assert!(store.remove_firmware(name(text), later).await.unwrap());
    }
    assert_eq!(store.firmwares().await.unwrap(), []);
}

pub(crate) async fn contents(store: &dyn ConfigStore) {
    let contents = [
        Content::script("# kept\n").unwrap(),
        Content::parameters(Bytes::from_static(b"\x01\x02\x00")).unwrap(),
        Content::firmware(vec![
            Bytes::from(vec![0xF1; UPDATE_BYTES_MAX]),
            Bytes::from(vec![0xF2; 200]),
        ])
        .unwrap(),
    ];
    for content in contents {
        let digest = store.put_content(content.clone(), Time(NOW)).await.unwrap();
        assert_eq!(digest, content.digest());
        let again = store.put_content(content.clone(), Time(NOW)).await.unwrap();
        assert_eq!(again, digest, "may be repeated");
        assert_eq!(store.content(digest).await.unwrap(), Some(content));
    }
    assert_eq!(store.content(Digest([7; 32])).await.unwrap(), None);
    let same = Content::parameters(Bytes::from_static(b"# kept\n")).unwrap();
    let same = store.put_content(same, Time(NOW)).await;
    assert!(matches!(same, Err(StoreError::Exists(_))), "{same:?}");
    for (long, max) in [
        (Content::script(&"#".repeat(8_193)), 8_192),
        (Content::parameters(vec![0; 65_537].into()), 65_536),
        (
            Content::firmware(vec![Bytes::from(vec![0; UPDATE_BYTES_MAX + 1])]),
            2 * UPDATE_BYTES_MAX,
        ),
        (
            Content::firmware(vec![Bytes::from_static(b"x"); 3]),
            2 * UPDATE_BYTES_MAX,
        ),
    ] {
        let error = long.unwrap_err();
        let StoreError::TooLarge { max: told, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(told, max);
    }
    // Firmware is bounded by number; what nobody needs makes room a day later.
    let put = async |number: u64, at| {
        let update = Bytes::from(format!("update {number}"));
        let content = Content::firmware(vec![update]).unwrap();
        store.put_content(content, Time(at)).await
    };
    for number in 1..FIRMWARES_MAX {
        put(number, NOW).await.unwrap();
    }
    let full = put(100, NOW + DAY_MS).await;
    assert!(
        matches!(
            full,
            Err(StoreError::Full {
                max: FIRMWARES_MAX,
                ..
            })
        ),
        "{full:?}"
    );
    put(1, NOW + DAY_MS).await.unwrap();
    let kept = put(100, NOW + DAY_MS + 1).await.unwrap();
    assert!(store.content(kept).await.unwrap().is_some());
    let one = Digest::of(b"update 1");
    assert!(store.content(one).await.unwrap().is_some(), "put once more");
    let two = Digest::of(b"update 2");
    assert!(store.content(two).await.unwrap().is_none());
}
