//! Logs, on standard error; with the feature `otel` also traces.

#[cfg(feature = "otel")]
mod traces;

use std::{
    env,
    io::{self, IsTerminal},
};

use clap::ValueEnum;
use tracing_subscriber::{
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    prelude::*,
};

#[cfg(feature = "otel")]
pub use traces::Traces;

/// The variable that chooses what is logged, for example `debug` or `ticker=debug,h2=trace`.
pub const VARIABLE: &str = "TICKER_LOG";

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Begins to log what [`VARIABLE`] chooses. A value that cannot be read is warned about, and the default is used: `info`,
/// and `warn` for text on a terminal.
pub fn start(format: LogFormat) {
    let is_terminal = io::stderr().is_terminal();
    let default = match format {
        LogFormat::Text if is_terminal => LevelFilter::WARN,
        _ => LevelFilter::INFO,
    };
    let chosen = env::var(VARIABLE).unwrap_or_default();
    let (filter, problem) = match parse(&chosen, default) {
        Ok(filter) => (filter, None),
        Err(error) => (with_errors_of_h2(Targets::new().with_default(default)), Some(error)),
    };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(is_terminal).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    if let Some(error) = problem {
        tracing::warn!(
            "{VARIABLE} is {chosen:?}: {error}; expected levels such as debug or ticker=debug,h2=trace; using the default, \
             {default}"
        );
    }
}

/// Reads a list of levels (`debug`), targets (`ticker`) and levels of targets (`h2=trace`), separated by commas. An
/// empty list is the default. h2 logs only errors unless the list names it: it warns about each connection that misbehaves,
/// and logs every frame at `debug`.
fn parse(list: &str, default: LevelFilter) -> Result<Targets, ParseError> {
    let directives: Vec<_> =
        list.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    if directives.is_empty() {
        return Ok(with_errors_of_h2(Targets::new().with_default(default)));
    }
    let filter = directives.join(",").parse()?;
    let names_h2 = directives.iter().any(|directive| directive.starts_with("h2"));
    Ok(if names_h2 { filter } else { with_errors_of_h2(filter) })
}

fn with_errors_of_h2(filter: Targets) -> Targets {
    filter.with_target("h2", LevelFilter::ERROR)
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
            ("debug", Level::DEBUG, Level::ERROR),
            ("ticker=debug", Level::DEBUG, Level::ERROR),
            ("WARN, h2=trace,", Level::WARN, Level::TRACE),
            ("ticker::server=info,h2=error", Level::INFO, Level::ERROR),
        ] {
            let filter = parse(list, LevelFilter::WARN).unwrap();
            for (target, most) in [("ticker::server", ticker), ("h2::proto", h2)] {
                for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                    let is_enabled = filter.would_enable(target, &level);
                    assert_eq!(is_enabled, level <= most, "{list}: {target} {level}");
                }
            }
        }
    }

    #[test]
    fn a_level_that_does_not_exist_is_an_error() {
        for list in ["ticker=loud", "ticker=debug=info"] {
            assert!(parse(list, LevelFilter::INFO).is_err(), "{list}");
        }
    }
}
