//! The fleet: what many controllers are to run, and how they come to it.
//!
//! - [`plan`]: the fleet as files, what differs from them, and as a report.
//! - [`rollout`]: one release brought to a list of controllers, step by step, as a pure machine.

pub mod plan;
pub mod rollout;
