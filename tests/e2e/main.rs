//! Claims about the service, made to the real server on port 0 by clients that only know the contract.

mod bad_input;
mod gogen;
mod protocol;
mod reference;
mod server;
mod shutdown;
mod streams;
mod watch;
