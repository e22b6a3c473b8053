//! Real calls over loopback: SIPp as a telephone system, baresip as a telephone.

mod callee;
mod sipp;
mod speech;
