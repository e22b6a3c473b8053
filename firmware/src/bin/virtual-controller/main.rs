//! The binary `virtual-controller`: many controllers in one process.

fn main() {}
