//! The gateway measured beside its peers: what the bench's programs share.
//!
//! - [`load`]: the generator, which plays controllers and operators in every peer's own protocol.
//! - [`bare`]: the bare protocol of the reference relays, on Switchyard's own 16-byte header.
//! - [`process`]: what a server uses, and where programs may run.
//! - [`report`]: what one measurement found.

pub mod bare;
pub mod load;
pub mod process;
pub mod report;
