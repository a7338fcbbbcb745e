//! A live market ticker: clients subscribe to symbols over gRPC and receive last traded prices.

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod contract;
pub mod decimal;
pub mod duration;
pub mod grpc;
pub mod history;
pub mod hub;
pub mod pacer;
pub mod server;
pub mod shutdown;
pub mod tape;
pub mod telemetry;
pub mod tick;
pub mod timestamp;
