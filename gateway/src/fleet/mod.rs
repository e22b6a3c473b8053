//! The fleet: what many controllers are to run, and how they come to it.
//!
//! - [`rollout`]: one release brought to a list of controllers, step by step, as a pure machine.

pub mod rollout;
