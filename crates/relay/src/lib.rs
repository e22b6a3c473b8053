//! relay: being built.
