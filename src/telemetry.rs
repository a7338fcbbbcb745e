//! Logs, on standard error.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Begins to log. `TICKER_LOG` chooses what, for example `debug` or `ticker=debug,h2=trace`; the default is warnings.
pub fn start() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).with_env_var("TICKER_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
