//! A live market ticker over gRPC: clients subscribe to symbols and receive last traded prices (LTP).
//!
//! The crate is a client library, the service, and the `ticker` command. The service plays a *tape*, which is a pure
//! function of seed, symbol and sequence: every replica computes the same ticks, so a client resumes on any of them.
//!
//! ```no_run
//! use ticker::client::{Client, Endpoints, Event, Settings, SubscribeOptions};
//! use tokio_stream::StreamExt;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoints: Endpoints = "http://127.0.0.1:50051".parse()?;
//! let client = Client::connect(&endpoints, Settings::default()).await?;
//! let mut subscription = client.subscribe(SubscribeOptions::new(["RELIANCE", "TCS"])).await?;
//! while let Some(event) = subscription.next().await {
//!     if let Event::Tick(live) = event? {
//!         println!("{} {}", live.symbol, live.tick.price);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! Both are on by default. A program that only subscribes needs neither: `default-features = false`.
//!
//! - `server`: the service.
//! - `cli`: the `ticker` command, with its terminal and its argument parser.
//!
//! # Modules
//!
//! The way of a tick through the service, with the feature `server`:
//!
//! - [`tape`] says which tick a symbol has at a sequence, and which sequence is due at a time.
//! - [`pacer`] says which ticks of the watched instruments are due now.
//! - [`hub`] holds the subscriptions and encodes each due tick once for all of them.
//! - [`grpc`] answers the RPCs: requests, streams, history, errors.
//! - [`web`] answers browsers and `curl`: gRPC-Web, JSON, event streams and the board, as calls of gRPC.
//! - [`server`] accepts connections and runs the worker threads.
//! - [`feed`] takes the ticks that publishers push, and stores them on the tape of a live feed.
//! - [`facts`] measures how much a tape is like a market.
//! - [`history`] reads the past: pages of ticks, candles, digests, the figures of a day.
//!
//! The client and what both sides share:
//!
//! - [`client`] connects to a service, subscribes or publishes, and moves to another replica when one fails.
//! - [`contract`] is the generated code of the two gRPC packages.
//! - [`tick`] has the domain types: symbol, price, sequence, time, tick.
//! - [`decimal`], [`duration`] and [`timestamp`] read and write numbers, durations and times as text.
//!
//! The command, with the feature `cli`:
//!
//! - [`cli`] is the command line, [`commands`] are `watch`, `record`, `publish`, `list`, `verify`, `health`, `bench`,
//!   `market-report`, `certs` and `token`, and [`config`] has the options of `ticker serve`.
//! - [`telemetry`] sets up logs, and [`shutdown`] waits for signals.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "server")]
pub mod access;
pub mod causes;
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
pub mod facts;
#[cfg(feature = "server")]
pub mod feed;
#[cfg(feature = "server")]
pub mod grpc;
#[cfg(feature = "server")]
pub mod history;
#[cfg(feature = "server")]
pub mod hub;
#[cfg(feature = "server")]
pub mod jitter;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod pacer;
#[cfg(feature = "server")]
pub mod rate;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "cli")]
pub mod shutdown;
#[cfg(feature = "server")]
pub mod similar_name;
#[cfg(feature = "server")]
pub mod tape;
#[cfg(feature = "cli")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod thread_priority;
pub mod tick;
pub mod timestamp;
#[cfg(feature = "server")]
pub mod watched_files;
#[cfg(feature = "server")]
pub mod web;
