//! Real calls over loopback: SIPp as a telephone system, baresip as a telephone.

mod baresip;
mod broken;
mod callee;
mod sipp;
mod speech;
mod tls;
