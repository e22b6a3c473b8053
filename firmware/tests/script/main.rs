//! The script language, and the scan around a script, against a slow reference: a syntax tree of its
//! own, made at random and printed, and an evaluator that walks it, written from `docs/script.md`
//! alone.
//!
//! Compiler and runner get the text, the reference the tree; after every scan both know the same.

#![expect(
    clippy::unwrap_used,
    reason = "as in tests, so in what they share: a panic is the report"
)]

mod agreement;
mod causes;
mod clock;
mod documented;
mod evaluate;
mod examples;
mod expressions;
mod generate;
mod print;
mod refusals;
mod replays;
mod rules;
mod scan;
mod tree;
mod wrapper;
