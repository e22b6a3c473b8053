//! The C core's bottom layers against independent implementations: the Rust codec, and `snow`.
//!
//! Both sides get the same bytes and must come to the same frames, faults, names and keys. What the
//! C code does alone is tested in C, next door.

use switchyard_firmware as _;

mod codec;
mod ffi;
mod noise;
