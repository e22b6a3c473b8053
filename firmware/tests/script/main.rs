//! The script language against a slow reference: a syntax tree of its own, made at random and
//! printed, and an evaluator that walks it, written from `docs/script.md` alone.
//!
//! Compiler and machine get the text, the reference the tree; after every scan both know the same.

#![expect(
    clippy::unwrap_used,
    reason = "as in tests, so in what they share: a panic is the report"
)]

mod agreement;
mod evaluate;
mod examples;
mod generate;
mod print;
mod refusals;
mod tree;
mod wrapper;
