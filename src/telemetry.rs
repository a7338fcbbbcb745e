//! Logs, on standard error.

use std::env;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Begins to log. `TICKER_LOG` chooses what, for example `debug` or `ticker=debug,h2=trace`; the default is warnings, but
/// none of h2, which has one for each connection that misbehaves.
pub fn start() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    let chosen = env::var("TICKER_LOG").unwrap_or_else(|_| "warn,h2=error".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(filter.parse_lossy(chosen))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
