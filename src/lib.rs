//! A live market ticker: clients subscribe to symbols over gRPC and receive last traded prices.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "cli")]
pub mod config;
pub mod contract;
pub mod decimal;
pub mod duration;
#[cfg(feature = "server")]
pub mod grpc;
#[cfg(feature = "server")]
pub mod history;
#[cfg(feature = "server")]
pub mod hub;
#[cfg(feature = "server")]
pub mod pacer;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "cli")]
pub mod shutdown;
#[cfg(feature = "server")]
pub mod tape;
#[cfg(feature = "cli")]
pub mod telemetry;
pub mod tick;
pub mod timestamp;
