//! The settings of the service.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, thread::available_parallelism, time::Duration};

use clap::{Args, builder::BoolishValueParser};

use crate::duration;

/// The flags of `ticker serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, env = "TICKER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// The seed of the tape: replicas with the same seed and instruments send the same ticks.
    #[arg(long, env = "TICKER_SEED", default_value_t = 1)]
    pub seed: u64,

    /// A TOML file of instruments to use instead of the built-in ones.
    #[arg(long, env = "TICKER_INSTRUMENTS", value_name = "FILE")]
    pub instruments: Option<PathBuf>,

    /// Invent an instrument for any well-formed symbol that is not listed.
    #[arg(long, env = "TICKER_ANY_SYMBOL", value_parser = BoolishValueParser::new())]
    pub any_symbol: bool,

    /// Ticks that are due within this time leave together.
    #[arg(long, env = "TICKER_FLUSH_INTERVAL", value_name = "TIME", default_value = "10ms", value_parser = duration::parse)]
    pub flush_interval: Duration,

    /// How far a reader of every tick may fall behind before it gets a gap.
    #[arg(long, env = "TICKER_MAX_LAG", value_name = "TIME", default_value = "5m", value_parser = duration::parse)]
    pub max_lag: Duration,

    /// A stream that was silent for this long gets a sign of life.
    #[arg(long, env = "TICKER_HEARTBEAT_INTERVAL", value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub heartbeat_interval: Duration,

    /// How many threads serve clients.
    #[arg(long, env = "TICKER_WORKERS", value_name = "N", default_value_t = cores())]
    pub workers: NonZeroUsize,
}

fn cores() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
