//! flasher: being built.
