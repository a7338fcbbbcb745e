//! Logs, on standard error.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    prelude::*,
};

/// Begins to log. `TICKER_LOG` chooses what, for example `debug` or `ticker=debug,h2=trace`. A value that cannot be
/// read is warned about, and the default is used.
pub fn start() {
    let chosen = env::var("TICKER_LOG").unwrap_or_default();
    let (filter, problem) = match parse(&chosen) {
        Ok(filter) => (filter, None),
        Err(error) => (default_filter(), Some(error)),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()))
        .init();
    if let Some(error) = problem {
        tracing::warn!(
            "TICKER_LOG is {chosen:?}: {error}; expected levels such as debug or ticker=debug,h2=trace; using the default, \
             warn,h2=error"
        );
    }
}

/// Reads a list of levels (`debug`), targets (`ticker`) and levels of targets (`h2=trace`), separated by commas. An
/// empty list is the default.
fn parse(list: &str) -> Result<Targets, ParseError> {
    let directives: Vec<_> =
        list.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    if directives.is_empty() { Ok(default_filter()) } else { directives.join(",").parse() }
}

/// Warnings, but only errors of h2, which warns about each connection that misbehaves.
fn default_filter() -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_target("h2", LevelFilter::ERROR)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_and_targets_are_read() {
        for (list, ticker, h2) in [
            ("", Level::WARN, Level::ERROR),
            (" , ", Level::WARN, Level::ERROR),
            ("debug", Level::DEBUG, Level::DEBUG),
            ("WARN, h2=trace,", Level::WARN, Level::TRACE),
            ("ticker::server=info,h2=error", Level::INFO, Level::ERROR),
        ] {
            let filter = parse(list).unwrap();
            for (target, most) in [("ticker::server", ticker), ("h2::proto", h2)] {
                for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                    assert_eq!(
                        filter.would_enable(target, &level),
                        level <= most,
                        "{list}: {target} {level}"
                    );
                }
            }
        }
        assert!(!parse("ticker=debug").unwrap().would_enable("h2::proto", &Level::ERROR));
    }

    #[test]
    fn a_level_that_does_not_exist_is_an_error() {
        for list in ["ticker=loud", "ticker=debug=info"] {
            assert!(parse(list).is_err(), "{list}");
        }
    }
}
