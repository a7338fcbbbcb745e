//! Claims about the service, made to the real server on port 0 by clients that only know the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod admin;
mod bad_input;
mod client;
mod drain;
mod environment;
mod failover;
mod feed;
mod gogen;
mod growing;
mod history;
mod hours;
mod http1;
mod limits;
mod logs;
mod protocol;
mod quotes;
mod recorded;
mod replay;
mod resume;
mod security;
mod sets;
mod shutdown;
mod streams;
mod support;
mod test_symbols;
mod turns;
mod unary;
mod verify;
mod virtual_time;
mod watch;
