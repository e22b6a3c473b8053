//! The fleet: what many controllers are to run, and how they come to it.
//!
//! - [`plan`]: the fleet as files, what differs from them, and as a report.
//! - [`rollout`]: one release brought to a list of controllers, step by step, as a pure machine.
//! - `actual`, `folder`, `apply`: a plan's two sides, from the store and from disk, and what it changes at once.
//! - [`library`]: whether a script may come into the library.

pub(crate) mod actual;
pub(crate) mod apply;
pub(crate) mod folder;
pub mod library;
pub mod plan;
pub mod rollout;
