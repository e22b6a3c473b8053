//! The fleet: what many controllers are to run, and how they come to it.
//!
//! - [`plan`]: the fleet as files, what differs from them, and as a report.
//! - [`rollout`]: one release brought to a list of controllers, step by step, as a pure machine.
//! - [`executor`]: what drives that machine in the running gateway.
//! - `order`: a roll-out as a person orders it; `values`: parameters as it brings them.
//! - `actual`, `folder`, `apply`: a plan's two sides, from the store and from disk, and what it changes at once.
//! - [`library`]: whether a script may come into the library; [`firmware`]: whether a firmware may.

pub(crate) mod actual;
pub(crate) mod apply;
pub mod executor;
pub mod firmware;
pub(crate) mod folder;
pub mod library;
pub(crate) mod order;
pub mod plan;
pub mod rollout;
pub(crate) mod values;
