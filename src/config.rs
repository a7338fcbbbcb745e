//! The settings of `ticker serve`: flags, their environment variables, and what they make.

mod error;
mod feed;
mod recording;
mod security;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
pub use error::ConfigError;
pub use feed::FeedArgs;
pub use recording::{Playback, RecordingArgs};
pub use security::{ExampleFlags, SecurityArgs};

use crate::{
    duration,
    pacer::Clock,
    server::{self, CallerLimits, Drain, Origin, Origins, Timeouts, WebSettings},
    tape::{LoadProgress, Simulated, Tape, Universe},
    telemetry::LogFormat,
};

/// Default seed.
const SEED: u64 = 1;
/// Default address of the admin port.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Options of the service.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "TICKER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address and port for /livez, /readyz and /metrics over HTTP/1.1; port 0 takes a free one [default: 127.0.0.1:9090, if it
    /// is free]
    #[arg(long, env = "TICKER_ADMIN", value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// Number that the prices are made from; replicas of one service share it
    #[arg(long, env = "TICKER_SEED", value_name = "NUMBER", default_value_t = SEED)]
    pub seed: u64,
    /// TOML file of instruments to serve instead of the built-in ones; with --tape it names those of the tape, and with --feed
    /// only they may be published
    #[arg(long, env = "TICKER_INSTRUMENTS", value_name = "FILE")]
    pub instruments: Option<PathBuf>,
    /// Invent an instrument for any well-formed symbol that is not listed
    #[arg(long, env = "TICKER_ANY_SYMBOL", value_parser = BoolishValueParser::new())]
    pub any_symbol: bool,
    /// Close each market outside of its hours, as the file of instruments has them; without, all trade around the clock
    #[arg(long, env = "TICKER_SESSIONS", value_parser = BoolishValueParser::new())]
    pub sessions: bool,
    /// A recorded tape instead of a simulated one.
    #[command(flatten)]
    pub recording: RecordingArgs,
    /// A live feed instead of a simulated tape.
    #[command(flatten)]
    pub feed: FeedArgs,
    /// Encryption and authentication.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// Origin whose pages may use the service from a browser, such as https://example.com; repeat it for several; * allows
    /// every page
    #[arg(long, env = "TICKER_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<Origin>,
    /// Do not serve the board, the page at /
    #[arg(long, env = "TICKER_NO_BOARD", value_parser = BoolishValueParser::new())]
    pub no_board: bool,
    /// Batching interval: ticks that are due within it are sent together; a longer one costs less CPU time
    #[arg(long, env = "TICKER_FLUSH_INTERVAL", value_name = "DURATION", default_value = "10ms", value_parser = flush_interval)]
    pub flush_interval: Duration,
    /// Largest lag of a reader of every tick; one that is further behind gets a gap and continues with the newest tick
    #[arg(long, env = "TICKER_MAX_LAG", value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub max_lag: Duration,
    /// Time without a message after which a v1 stream gets a heartbeat
    #[arg(long, env = "TICKER_HEARTBEAT_INTERVAL", value_name = "DURATION", default_value = "5s", value_parser = heartbeat_interval)]
    pub heartbeat_interval: Duration,
    /// Threads that serve connections [default: one per core]
    #[arg(long, env = "TICKER_WORKERS", value_name = "NUMBER", value_parser = at_least_one)]
    pub workers: Option<NonZeroUsize>,
    /// Largest number of connections; an address may have half of them [default: the limit of open files less 64]
    #[arg(long, env = "TICKER_MAX_CONNECTIONS", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_connections: Option<NonZeroUsize>,
    /// Largest number of subscriptions; a connection may have a tenth of them, and at least 10,000
    #[arg(long, env = "TICKER_MAX_SUBSCRIPTIONS", value_name = "NUMBER", default_value = "1000000", value_parser = at_least_one)]
    pub max_subscriptions: NonZeroUsize,
    /// Largest number of streams of one caller: of the subject of its token, else of its certificate, else of its address
    #[arg(long, env = "TICKER_MAX_STREAMS_PER_CALLER", value_name = "NUMBER", default_value = "20000", value_parser = at_least_one)]
    pub max_streams_per_caller: NonZeroUsize,
    /// Largest number of subscriptions of one caller [default: half of --max-subscriptions]
    #[arg(long, env = "TICKER_MAX_SYMBOLS_PER_CALLER", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_symbols_per_caller: Option<NonZeroUsize>,
    /// Largest number of symbols that one caller, or a connection without authentication, subscribes or unsubscribes in a second
    #[arg(long, env = "TICKER_MAX_CHANGES_PER_CALLER", value_name = "NUMBER", default_value = "100000", value_parser = at_least_one)]
    pub max_changes_per_caller: NonZeroUsize,
    /// With --any-symbol: largest number of invented instruments in use
    #[arg(long, env = "TICKER_MAX_INVENTED_SYMBOLS", value_name = "NUMBER", default_value_t = Universe::MAX_INVENTED)]
    pub max_invented_symbols: usize,
    /// Idle timeout: a connection without streams is closed after this time
    #[arg(long, env = "TICKER_MAX_CONNECTION_IDLE", value_name = "DURATION", default_value = "5m", value_parser = timeout)]
    pub max_connection_idle: Duration,
    /// A stream whose answer the client does not read is reset after this time, and a connection that takes no data is
    /// closed
    #[arg(long, env = "TICKER_STALL_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub stall_timeout: Duration,
    /// Streams of ticks end after about this time (±10 %), so that their clients move to new replicas [default: never]
    #[arg(long, env = "TICKER_MAX_STREAM_AGE", value_name = "DURATION", value_parser = age)]
    pub max_stream_age: Option<Duration>,
    /// Connections get GOAWAY after about this time (±10 %), so that their clients look for new replicas [default: never]
    #[arg(long, env = "TICKER_MAX_CONNECTION_AGE", value_name = "DURATION", value_parser = age)]
    pub max_connection_age: Option<Duration>,
    /// On SIGTERM or Ctrl-C, streams end at random moments of this time [default: 5 ms for each stream, at most 5s]
    #[arg(long, env = "TICKER_DRAIN_SPREAD", value_name = "DURATION", value_parser = duration::parse)]
    pub drain_spread: Option<Duration>,
    /// What has not ended by this time after SIGTERM or Ctrl-C is cut
    #[arg(long, env = "TICKER_DRAIN_DEADLINE", value_name = "DURATION", default_value = "10s", value_parser = drain_deadline)]
    pub drain_deadline: Duration,
    /// How the log on standard error is written; TICKER_LOG chooses what is logged
    #[arg(long, env = "TICKER_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

impl ServeArgs {
    /// A flag that has no meaning for a recording or a feed and is not at its default. Flags at their defaults are accepted,
    /// because a manifest may list them all.
    fn of_a_simulation(&self) -> Option<&'static str> {
        let flags =
            [("--seed", self.seed != SEED), ("--any-symbol", self.any_symbol), ("--sessions", self.sessions)];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    /// Loads the tape that the settings name; for a recorded one, also how it plays. Reading a recording may take seconds;
    /// `progress` is called meanwhile.
    ///
    /// # Errors
    /// The instruments file or the recording cannot be used, or there is nothing to play.
    pub fn load(
        self,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(server::Config, Option<Playback>), ConfigError> {
        let is_recorded = self.recording.file().is_some();
        match self.of_a_simulation() {
            Some(flag) if is_recorded => return Err(ConfigError::NotWith("--tape", "a recording", flag)),
            Some(flag) if self.feed.is_given() => {
                return Err(ConfigError::NotWith("--feed", "what is published", flag));
            }
            _ if is_recorded && self.feed.is_given() => return Err(ConfigError::TapeAndFeed),
            _ => {}
        }
        if let Some(flag) = self.feed.unused() {
            return Err(ConfigError::OnlyWithFeed(flag));
        }
        if let Some(flag) = self.feed.unused_of_nats() {
            return Err(ConfigError::OnlyWithNats(flag));
        }
        let drain = Drain { spread: self.drain_spread, deadline: self.drain_deadline };
        if let Some(spread) = drain.spread.filter(|spread| *spread > drain.deadline) {
            return Err(ConfigError::SpreadPastDeadline { spread, deadline: drain.deadline });
        }
        let admin = self.admin.unwrap_or(ADMIN);
        if self.admin.is_some() && is_same_socket(admin, self.listen) {
            return Err(ConfigError::SameAddress { admin, listen: self.listen });
        }
        let listed = self.instruments.as_deref().map(Universe::read).transpose()?;
        let playback = self.recording.load(listed.as_ref(), progress)?;
        let mut intake = None;
        let (tape, clock): (Arc<dyn Tape>, Clock) = if let Some(playback) = &playback {
            (playback.tape.clone(), playback.clock())
        } else if self.feed.is_given() {
            (intake.insert(self.feed.start(listed, progress)?).tape(), Clock::Wall)
        } else {
            let universe = listed.map_or_else(Universe::builtin, Ok)?;
            let universe = if self.sessions { universe.with_sessions() } else { universe };
            let universe =
                if self.any_symbol { universe.with_any_symbol(self.max_invented_symbols) } else { universe };
            (Arc::new(Simulated::new(self.seed, universe)), Clock::Wall)
        };
        let config = server::Config {
            listen: self.listen,
            admin: Some(admin).filter(|admin| !is_same_socket(*admin, self.listen)),
            tls: self.security.tls(),
            auth: self.security.auth(),
            has_reflection: self.security.has_reflection(),
            caller_limits: CallerLimits {
                max_streams: self.max_streams_per_caller,
                max_symbols: self.max_symbols_per_caller.unwrap_or_else(|| {
                    NonZeroUsize::new(self.max_subscriptions.get() / 2).unwrap_or(NonZeroUsize::MIN)
                }),
                max_changes_per_second: self.max_changes_per_caller,
            },
            web: WebSettings {
                origins: Origins::new(self.cors_origin),
                has_board: !self.no_board,
                ..Default::default()
            },
            tape,
            intake,
            clock,
            flush_interval: self.flush_interval,
            max_lag: self.max_lag,
            heartbeat_interval: self.heartbeat_interval,
            max_connections: self.max_connections.unwrap_or_else(default_max_connections),
            max_subscriptions: self.max_subscriptions.get(),
            timeouts: Timeouts {
                max_idle: self.max_connection_idle,
                max_age: self.max_connection_age,
                stall_timeout: self.stall_timeout,
            },
            max_stream_age: self.max_stream_age,
            drain,
            collect_memory: None,
            workers: self
                .workers
                .or_else(|| thread::available_parallelism().ok())
                .unwrap_or(NonZeroUsize::MIN),
        };
        Ok((config, playback))
    }
}

/// Whether two sockets would take the same port of the same address.
fn is_same_socket(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && is_same_ip
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number from 1 on".to_owned())
}

fn flush_interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_secs(1))
}

fn heartbeat_interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(100), Duration::from_secs(60 * 60))
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(100), Duration::from_secs(24 * 60 * 60))
}

fn age(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), Duration::from_secs(365 * 24 * 60 * 60))
}

fn drain_deadline(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, Duration::from_secs(60 * 60))
}

/// The limit of open files less those that the server itself needs, or half of it if that is more.
fn default_max_connections() -> NonZeroUsize {
    const OWN: usize = 64;
    const MOST: usize = 100_000;
    #[cfg(target_os = "linux")]
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(target_os = "linux"))]
    let descriptors: Option<u64> = Some(1024);
    let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST);
    let connections = descriptors.saturating_sub(OWN).max(descriptors / 2).min(MOST);
    NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN)
}

fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("expected a duration from {least:?} to {most:?}, got {text}"))
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    /// Whether a server of these flags would play a recording.
    fn plays(flags: &[&str]) -> Result<bool, String> {
        let args =
            Line::try_parse_from(iter::once(&"ticker").chain(flags)).map_err(|error| error.to_string())?;
        let loaded = args.serve.load(&mut |_| {});
        loaded.map(|(_, playback)| playback.is_some()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_setting_of_a_recording_without_one_is_refused_unless_it_is_the_default() {
        for none in [&[][..], &["--tape", ""]] {
            let plays = |flags: &[&str]| plays(&[none, flags].concat());
            assert_eq!(plays(&["--speed", "1.0"]), Ok(false));
            for flags in [
                &["--loop"][..],
                &["--speed", "10"],
                &["--play-at", "2025-01-02T09:15:00Z"],
                &["--tape-start", "2025-01-02T09:15:00Z"],
            ] {
                let told = format!(
                    "{0} is how a recording plays: name one with --tape FILE, or leave {0} out",
                    flags[0]
                );
                assert_eq!(plays(flags), Err(told));
            }
        }
    }

    #[test]
    fn a_recording_with_a_setting_of_made_prices_is_refused_unless_it_is_the_default() {
        let tape = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
        let plays = |flags: &[&str]| plays(&[&["--tape", tape], flags].concat());
        assert_eq!(plays(&["--seed", "1"]), Ok(true));
        for flags in [&["--seed", "7"][..], &["--any-symbol"]] {
            let told =
                format!("--tape plays a recording and {} makes prices: leave one of them out", flags[0]);
            assert_eq!(plays(flags), Err(told));
        }
    }

    #[test]
    fn a_limit_that_is_no_number_from_one_on_is_refused_with_what_is_expected() {
        assert_eq!(at_least_one("2"), Ok(NonZeroUsize::new(2).unwrap()));
        for flag in ["--workers", "--max-connections", "--max-subscriptions"] {
            for value in ["0", "-1", "many", "1.5"] {
                let given = format!("{flag}={value}");
                let told = plays(&[given.as_str()]).unwrap_err();
                assert!(
                    told.ends_with(
                        ": expected a whole number from 1 on\n\nFor more information, try '--help'.\n"
                    ),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn settings_of_a_stop_and_of_the_admin_port_that_contradict_each_other_are_refused_with_their_flags() {
        let refused = |flags: &[&str], told: &str| assert_eq!(plays(flags).unwrap_err(), told);
        refused(
            &["--drain-spread", "11s"],
            "--drain-spread is 11s and --drain-deadline 10s: streams must end before the deadline, so choose a shorter \
             spread or a longer deadline",
        );
        for (admin, listen) in [
            ("127.0.0.1:50051", "127.0.0.1:50051"),
            ("0.0.0.0:50051", "127.0.0.1:50051"),
            ("127.0.0.1:50051", "[::]:50051"),
        ] {
            let told = format!("--admin is {admin} and --listen {listen}: they need different ports");
            refused(&["--admin", admin, "--listen", listen], &told);
        }
        for fine in [
            &["--drain-spread", "10s"][..],
            &["--drain-deadline", "0s"],
            &["--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"],
            &["--admin", "127.0.0.2:50051"],
            &["--listen", "127.0.0.1:9090"],
        ] {
            assert_eq!(plays(fine), Ok(false), "{fine:?}");
        }
        for flag in ["--drain-spread", "--drain-deadline", "--max-stream-age", "--max-connection-age"] {
            let told = plays(&[flag, "soon"]).unwrap_err();
            assert!(told.contains(flag) && told.contains("soon"), "{told}");
        }
    }

    #[test]
    fn intervals_out_of_range_are_refused_with_the_range() {
        assert_eq!(flush_interval("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(flush_interval("0ms"), Err("expected a duration from 1ms to 1s, got 0ms".to_owned()));
        assert!(flush_interval("2s").is_err() && flush_interval("ten").is_err());
        assert!(heartbeat_interval("1ms").is_err());
    }
}
