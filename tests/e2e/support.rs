//! Fixtures: servers that stop when they are dropped, and a client that decides every byte.

pub(crate) mod issuer;
pub(crate) mod raw;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod virtual_time;
