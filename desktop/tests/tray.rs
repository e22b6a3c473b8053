//! The tray's icon over a bus of its own, the test being the tray: what it is told, and in which language.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{collections::HashMap, process::Command, time::Duration};

use switchyard_desktop::{AlarmCount, Desk, dto::Language, show_tray};
use switchyard_testkit::{PATIENCE, Program};
use tauri::{Manager, test::mock_builder};
use tokio::sync::mpsc;
use zbus::{
    Connection, Proxy, connection, interface,
    zvariant::{OwnedValue, Value},
};

/// What a tray gives programs to make themselves known by.
struct Watcher(mpsc::UnboundedSender<String>);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        let _ = self.0.send(service);
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
}

type ToolTip = (String, Vec<(i32, i32, Vec<u8>)>, String, String);
type Layout = (u32, (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>));

#[test]
fn the_tray_is_told_of_alarms_in_the_pages_language() {
    let mut daemon = Command::new("dbus-daemon");
    daemon.args(["--session", "--nofork", "--nopidfile", "--print-address"]);
    let mut daemon = Program::start("dbus-daemon", &mut daemon).unwrap();
    let address = daemon
        .wait_for_line("an address", |line| {
            line.starts_with("unix:").then(|| line.to_owned())
        })
        .unwrap();
    #[expect(
        unsafe_code,
        reason = "the environment is where a program finds its bus"
    )]
    // SAFETY: this binary's only test, and nothing else of it reads or writes the environment yet.
    unsafe {
        std::env::set_var("DBUS_SESSION_BUS_ADDRESS", &address);
    }
    let folder = tempfile::tempdir().unwrap();
    let app = switchyard_desktop::app(mock_builder(), Some(folder.path().into())).unwrap();
    // Before there is a tray: the icon waits for one.
    show_tray(app.handle());
    let told = async {
        let (sender, mut items) = mpsc::unbounded_channel();
        let bus = connection::Builder::address(&*address).unwrap();
        let bus = bus
            .serve_at("/StatusNotifierWatcher", Watcher(sender))
            .unwrap();
        let bus = bus.name("org.kde.StatusNotifierWatcher").unwrap();
        let bus = bus.build().await.unwrap();
        let item = items.recv().await.unwrap();
        let shown = (&bus, &*item);

        let calm = face(shown).await;
        assert_eq!((&*calm.0, &*calm.1), ("Switchyard", "Active"));
        assert_eq!(menu(shown).await, ["Open", "Alarms", "", "Quit"]);

        let count = |count, language| {
            let desk = app.state::<Desk>();
            desk.count_alarms(AlarmCount { count, language });
        };
        count(3, Language::Zh);
        let alarmed = until(shown, "Switchyard：3 个报警").await;
        assert_eq!(alarmed.1, "NeedsAttention");
        assert_ne!(alarmed.2, calm.2, "the picture");
        assert_eq!(menu(shown).await, ["打开", "报警", "", "退出"]);
        count(1, Language::En);
        until(shown, "Switchyard: 1 alarm").await;
        count(0, Language::En);
        assert_eq!(until(shown, "Switchyard").await, calm);
    };
    tauri::async_runtime::block_on(async {
        tokio::time::timeout(PATIENCE, told).await.unwrap();
    });
}

/// Words, status and pictures.
async fn face((bus, item): (&Connection, &str)) -> (String, String, Vec<(i32, i32, Vec<u8>)>) {
    let interface = "org.kde.StatusNotifierItem";
    let item = Proxy::new(bus, item, "/StatusNotifierItem", interface);
    let item = item.await.unwrap();
    let tooltip: ToolTip = item.get_property("ToolTip").await.unwrap();
    let status = item.get_property("Status").await.unwrap();
    (
        tooltip.2,
        status,
        item.get_property("IconPixmap").await.unwrap(),
    )
}

async fn until(
    shown: (&Connection, &str),
    words: &str,
) -> (String, String, Vec<(i32, i32, Vec<u8>)>) {
    loop {
        let face = face(shown).await;
        if face.0 == words {
            return face;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The menu's labels; a line between entries has none.
async fn menu((bus, item): (&Connection, &str)) -> Vec<String> {
    let menu = Proxy::new(bus, item, "/MenuBar", "com.canonical.dbusmenu");
    let menu = menu.await.unwrap();
    let wanted: (i32, i32, Vec<String>) = (0, -1, Vec::new());
    let (_, (_, _, entries)): Layout = menu.call("GetLayout", &wanted).await.unwrap();
    let labels = entries.into_iter().map(|entry| {
        let entry: (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>) = entry.try_into().unwrap();
        match entry.1.get("label").map(|label| &**label) {
            Some(Value::Str(label)) => label.to_string(),
            _ => String::new(),
        }
    });
    labels.collect()
}
