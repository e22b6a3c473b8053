//! Declarations of the C core's functions, as the wrapper and the codec's tests call them.
//!
//! Hidden from the documentation: not an interface for other rooms.

#![expect(
    unsafe_code,
    reason = "a foreign function is declared in an unsafe extern block"
)]
#![allow(missing_docs, reason = "each function is documented in its C header")]

unsafe extern "C" {}
