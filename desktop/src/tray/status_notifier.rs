//! The tray of Linux desktops: an item by the StatusNotifierItem specification, over the session's bus. No library of the
//! system is needed for it. Where there is no bus, or nothing that shows such items (plain GNOME, a bare X server), the
//! program goes on without; a tray that comes later finds the item.

use ksni::{MenuItem, OfflineReason, Status, ToolTip, TrayMethods as _, menu::StandardItem};
use tauri::{AppHandle, Runtime, image::Image};
use tokio::sync::watch;

use super::{AlarmCount, Face, mark_alarm};
use crate::app::bring_forward;

/// The page's place of alarms.
const ALARMS: &str = "/alarms";

/// Keeps the item as the count has it, for as long as the program runs.
pub(crate) async fn run<R: Runtime>(app: AppHandle<R>, mut counted: watch::Receiver<AlarmCount>) {
    let face = Face::of(*counted.borrow_and_update());
    let item = Item { app, face };
    let item = match item.assume_sni_available(true).spawn().await {
        Ok(item) => item,
        Err(error) => {
            tracing::warn!(%error, "goes on without an icon in the tray");
            return;
        }
    };
    while counted.changed().await.is_ok() {
        let face = Face::of(*counted.borrow_and_update());
        item.update(|item| item.face = face).await;
    }
}

struct Item<R: Runtime> {
    app: AppHandle<R>,
    face: Face,
}

impl<R: Runtime> Item<R> {
    fn pictures(&self) -> Vec<ksni::Icon> {
        let drawn: [Image<'_>; 2] = [
            tauri::include_image!("icons/32x32.png"),
            tauri::include_image!("icons/128x128.png"),
        ];
        drawn
            .into_iter()
            .map(|picture| {
                let mut pixels = picture.rgba().to_vec();
                if self.face.is_alarm {
                    mark_alarm(&mut pixels, picture.width());
                }
                // The specification wants opacity first.
                pixels
                    .chunks_exact_mut(4)
                    .for_each(|pixel| pixel.rotate_right(1));
                ksni::Icon {
                    width: picture.width().cast_signed(),
                    height: picture.height().cast_signed(),
                    data: pixels,
                }
            })
            .collect()
    }
}

impl<R: Runtime> ksni::Tray for Item<R> {
    fn id(&self) -> String {
        "switchyard".to_owned()
    }

    fn title(&self) -> String {
        self.face.tooltip.clone()
    }

    fn status(&self) -> Status {
        // Trays that fold items away unfold those that need attention.
        match self.face.is_alarm {
            true => Status::NeedsAttention,
            false => Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        self.pictures()
    }

    fn attention_icon_pixmap(&self) -> Vec<ksni::Icon> {
        self.pictures()
    }

    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: self.face.tooltip.clone(),
            ..ToolTip::default()
        }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        bring_forward(&self.app, self.face.is_alarm.then_some(ALARMS));
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        vec![
            entry(self.face.open, |app| bring_forward(app, None)),
            entry(self.face.alarms, |app| bring_forward(app, Some(ALARMS))),
            MenuItem::Separator,
            entry(self.face.quit, |app| app.exit(0)),
        ]
    }

    fn watcher_online(&self) {
        tracing::debug!("there is a tray");
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        tracing::info!(?reason, "there is no tray; waiting for one");
        true
    }
}

fn entry<R: Runtime>(
    label: &str,
    act: impl Fn(&AppHandle<R>) + Send + 'static,
) -> MenuItem<Item<R>> {
    StandardItem {
        label: label.to_owned(),
        activate: Box::new(move |item: &mut Item<R>| act(&item.app)),
        ..StandardItem::default()
    }
    .into()
}
