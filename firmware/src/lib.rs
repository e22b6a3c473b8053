//! The controller's C core, compiled for this machine, and the virtual controller built on it.

#[doc(hidden)]
pub mod ffi;
