//! What comes from outside is mutated, and whatever it becomes, it does no harm: mutations of valid inputs, in one process.
//!
//! A failure prints how to repeat it. `FUZZ_CASES` is the number of cases of each test, `FUZZ_SEED` the seed of the first one.
//! `just fuzz` runs many.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the seed is shown")]

mod access;
mod files;
mod fuzzer;
mod requests;
