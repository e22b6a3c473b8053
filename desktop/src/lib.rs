//! The desktop app: the page of `ui/` in a window of its own, with the relay dialled by `switchyard-client` instead of the
//! browser, and this machine's serial ports within reach.
//!
//! - [`Desk`]: what the app does, without a window.
//! - [`dto`]: what crosses the bridge to the page.
//! - [`events`]: what the page is told, in batches.
//! - [`settings`]: what is kept between runs.
//! - [`AlarmCount`]: what title, icon and tray tell of alarms.
//! - [`app`]: the Tauri app around them, on any runtime.

mod app;
mod board;
mod commands;
mod desk;
pub mod dto;
mod error;
pub mod events;
pub mod settings;
mod tray;

pub use app::{app, finish, show_tray};
pub use desk::Desk;
pub use error::Fault;
pub use tray::AlarmCount;
