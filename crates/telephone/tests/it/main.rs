//! Real calls over loopback: SIPp as a telephone system, baresip as a telephone.

mod sipp;
mod speech;
