//! Espressif's stub: a better loader than the ROM's, for the chip's memory. It packs, compares, reads and changes its
//! rate, none of which the ROM can. It comes out of the npm package `esptool-js` (MIT or Apache-2.0) when this crate is
//! built.

/// A program for the chip's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    pub(crate) text: Vec<u8>,
    pub(crate) text_address: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) data_address: u32,
    pub(crate) entry: u32,
}

impl Stub {
    /// The one that was built in, if the package was there then.
    #[must_use]
    pub fn built_in() -> Option<Self> {
        include!(concat!(env!("OUT_DIR"), "/stub.rs"))
    }
}
