//! Claims about the service, made to the real server on port 0 by clients that only know the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod bad_input;
mod failover;
mod gogen;
mod history;
mod limits;
mod protocol;
mod quotes;
mod recorded;
mod replay;
mod resume;
mod sets;
mod shutdown;
mod streams;
mod support;
mod turns;
mod unary;
mod verify;
mod virtual_time;
mod watch;
