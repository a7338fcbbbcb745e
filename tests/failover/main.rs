//! Claims about the client when the service fails: real processes that are killed, and a simulated network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]
#![allow(clippy::print_stdout, reason = "what was measured, and the seed of what failed")]

mod kill;
mod ledger;
mod network;
