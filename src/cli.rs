//! The command line.

mod bar;
mod environment;

use std::{
    env,
    ffi::{OsStr, OsString},
    iter,
};

pub use bar::Bar;
use clap::{Parser, Subcommand};
pub use environment::{UnknownVariable, unknown_variables};

use crate::{
    commands::{
        bench::BenchArgs, certs::CertsArgs, health::HealthArgs, list::ListArgs,
        market_report::MarketReportArgs, publish::PublishArgs, record::RecordArgs, token::TokenArgs,
        verify::VerifyArgs, watch::WatchArgs,
    },
    config::ServeArgs,
};

/// A live market ticker over gRPC.
///
/// Without a command it serves: `ticker --seed 7` is `ticker serve --seed 7`.
#[derive(Debug, Parser)]
#[command(version, about, override_usage = "ticker [COMMAND]")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve live prices. This is what `ticker` does without a command.
    Serve(Box<ServeArgs>),
    /// Watch live prices: a table on a terminal, lines, JSON or CSV in a pipe.
    Watch(WatchArgs),
    /// Record every tick to a file that `ticker serve --tape` can play.
    Record(RecordArgs),
    /// Publish ticks to a server with a feed, from a recording or from lines on standard input.
    Publish(PublishArgs),
    /// List the instruments of a server.
    List(ListArgs),
    /// Compare the ticks of replicas: exit 0 when they are the same and 1 when not.
    Verify(VerifyArgs),
    /// Load a server with streams and measure how fast and how completely ticks arrive.
    Bench(BenchArgs),
    /// Measure how much a tape, simulated or recorded, is like a market.
    MarketReport(MarketReportArgs),
    /// Check a server: exit 0 when it is serving and 1 when not.
    Health(HealthArgs),
    /// Make certificates for TLS: a private CA, a server and a client.
    Certs(CertsArgs),
    /// Make a token, and the public key that a server verifies it with.
    Token(TokenArgs),
}

impl Cli {
    /// Reads the arguments of this process. Bad usage ends it with exit code 2.
    pub fn from_env() -> Self {
        Self::parse_from(with_command(env::args_os()))
    }
}

/// The arguments with `serve` where the command is left out. Flags of `serve` next to the commands would have
/// their environment variables read, and refused, by every command.
fn with_command(arguments: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut arguments = arguments.into_iter();
    let name = arguments.next();
    let mut rest = arguments.peekable();
    let is_global = |first: &OsStr| ["-h", "--help", "-V", "--version"].iter().any(|flag| first == *flag);
    let left_out =
        rest.peek().is_none_or(|first| first.as_encoded_bytes().starts_with(b"-") && !is_global(first));
    let serve = left_out.then(|| OsString::from("serve"));
    iter::once(name.unwrap_or_else(|| "ticker".into())).chain(serve).chain(rest)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn read(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(with_command(line.split(' ').map(OsString::from))).map(|cli| cli.command)
    }

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let Ok(Command::Serve(serve)) = read("ticker") else { panic!("serves") };
        assert_eq!(serve.listen.to_string(), "127.0.0.1:50051");
        assert_eq!((serve.seed, serve.flush_interval), (1, Duration::from_millis(10)));
        let Ok(Command::Serve(serve)) = read("ticker --listen 127.0.0.1:0 --any-symbol") else {
            panic!("serves")
        };
        assert_eq!((serve.listen.port(), serve.any_symbol), (0, true));
        assert!(matches!(read("ticker serve --seed 7"), Ok(Command::Serve(serve)) if serve.seed == 7));
        assert!(matches!(read("ticker watch TCS"), Ok(Command::Watch(_))));
    }

    #[test]
    fn bad_usage_exits_with_2_and_help_with_0() {
        for (line, kind) in [
            ("ticker wacth", ErrorKind::InvalidSubcommand),
            ("ticker --sede 7", ErrorKind::UnknownArgument),
            ("ticker --max-lag 5", ErrorKind::ValueValidation),
            ("ticker watch", ErrorKind::MissingRequiredArgument),
            ("ticker record TCS", ErrorKind::MissingRequiredArgument),
            ("ticker record --out a.csv", ErrorKind::MissingRequiredArgument),
            ("ticker publish --speed 2", ErrorKind::MissingRequiredArgument),
            ("ticker publish --first-number 2", ErrorKind::MissingRequiredArgument),
            ("ticker publish --publisher-id a/b", ErrorKind::ValueValidation),
            ("ticker --tape a.csv --speed 0", ErrorKind::ValueValidation),
            ("ticker --tape a.csv --play-at soon", ErrorKind::ValueValidation),
            ("ticker watch TCS --endpoint localhost", ErrorKind::ValueValidation),
            ("ticker watch TCS --count 0", ErrorKind::ValueValidation),
            ("ticker --help", ErrorKind::DisplayHelp),
            ("ticker -V", ErrorKind::DisplayVersion),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(error.kind(), kind, "{line}");
            let help = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            assert_eq!(error.exit_code(), if help { 0 } else { 2 }, "{line}");
        }
    }

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        for command in Cli::command().get_subcommands() {
            let mut command = command.clone().term_width(80);
            for help in [command.render_help(), command.render_long_help()] {
                let help = help.to_string();
                let widest = help.lines().max_by_key(|line| line.chars().count()).unwrap();
                assert!(widest.chars().count() <= 80, "{}: {widest}", command.get_name());
            }
        }
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        let mut variables = BTreeSet::new();
        for command in Cli::command().get_subcommands() {
            for flag in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let variable = flag.get_env().and_then(OsStr::to_str).unwrap_or_default();
                assert!(variable.starts_with("TICKER_"), "{} --{}", command.get_name(), flag.get_id());
                variables.insert(variable.to_owned());
            }
        }
        assert!(variables.contains("TICKER_LISTEN"));
    }
}
