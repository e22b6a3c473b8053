//! Alarms: what is wrong, who has to know, and whether anybody does.
//!
//! What raises an alarm is a script, a rule on values, a controller's silence, or the gateway itself. It is kept in the
//! config store before anybody is told; then people are told in the order that their site has agreed on, by
//! telephone and otherwise, until one of them says that they have heard (`docs/alarms.md`).
//!
//! What does it: `channel`, the ways of telling people, set up by `settings`; `owner`, by a fenced lease; `telling`: one contact by one channel.
//!
//! Pure, with times as arguments:
//!
//! - `model`: an alarm, and what is written down about it.
//! - `people`: contacts, and when they are not to be woken. `plan`: who is on call at a site, and who is told after whom.
//! - `rule`: what raises an alarm, and the judge of values.
//! - `book`: the life of alarms. `pursuit`: who is to be told next.
//! - `watching`: what rules look at.
//! - `wording`: what they are told. `conversation`: a call, as whoever answers it hears it.

mod book;
mod channel;
mod conversation;
mod desk;
pub mod model;
mod owner;
pub mod people;
pub mod plan;
pub mod rule;
pub(crate) mod settings;
mod telling;
mod watching;
mod wording;

/// The chore whose owner keeps alarms and tells people of them.
pub const CHORE: &str = "alarms";

pub(crate) use channel::open;
pub(crate) use owner::{Context, Counters, Standing, own, reports};
