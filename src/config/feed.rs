//! The settings of a feed: where published ticks are stored, and how many are kept in memory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{OsStringValueParser, RangedU64ValueParser, TypedValueParser},
};

use super::{ConfigError, within};
use crate::{
    feed::{FeedSettings, Intake, NatsSettings, Store, SyncPolicy},
    tape::{LoadProgress, Universe, WindowLimits},
};

/// Options of a service that plays what is published to it.
#[derive(Args, Clone, Debug)]
pub struct FeedArgs {
    /// Play the ticks that are published: `memory` keeps them in memory, a directory stores them in files as well, and
    /// nats://HOST:4222 in a stream of NATS JetStream, which many replicas share (tls:// for TLS; several addresses with
    /// commas)
    #[arg(long, env = "TICKER_FEED", value_name = "memory|DIR|nats://HOST:PORT", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub feed: Option<PathBuf>,
    /// With --feed: ticks are kept in memory for this time, if --feed-memory has room
    #[arg(long, env = "TICKER_FEED_WINDOW", value_name = "DURATION", default_value = "24h", value_parser = window)]
    pub feed_window: Duration,
    /// With --feed: memory for ticks, such as 512MiB or 4GiB; when it is full, the oldest ticks leave it
    #[arg(long, env = "TICKER_FEED_MEMORY", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub feed_memory: usize,
    /// With --feed DIR: how often files are synced, after which ticks are acknowledged; `always` syncs before a tick is sent to
    /// anybody
    #[arg(long, env = "TICKER_FEED_SYNC", value_name = "DURATION|always", default_value = "1s", value_parser = sync)]
    pub feed_sync: SyncPolicy,
    /// With --feed nats://…: the stream, which is made if it is not there; its subjects are NAME.SYMBOL
    #[arg(long, env = "TICKER_FEED_NATS_STREAM", value_name = "NAME", default_value = STREAM, value_parser = stream)]
    pub feed_nats_stream: String,
    /// With --feed nats://…: a file of credentials (.creds)
    #[arg(long, env = "TICKER_FEED_NATS_CREDENTIALS", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub feed_nats_credentials: Option<PathBuf>,
    /// With --feed nats://…: the certificates that sign those of the servers [default: those of the system]
    #[arg(long, env = "TICKER_FEED_NATS_CA", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub feed_nats_ca: Option<PathBuf>,
    /// With --feed nats://…: number of servers that store the stream, if it is made
    #[arg(long, env = "TICKER_FEED_NATS_REPLICAS", value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=5))]
    pub feed_nats_replicas: usize,
    /// With --feed nats://…: how long ticks are stored, if the stream is made
    #[arg(long, env = "TICKER_FEED_NATS_RETENTION", value_name = "DURATION", default_value = "7d", value_parser = retention)]
    pub feed_nats_retention: Duration,
}

/// The default stream.
const STREAM: &str = "ticker";

impl FeedArgs {
    /// Whether the tape is a feed: a name of no length, as in a manifest that lists every variable, is none.
    pub(super) fn is_given(&self) -> bool {
        self.feed.as_deref().is_some_and(|place| !place.as_os_str().is_empty())
    }

    /// The addresses of servers of NATS, if the feed has any.
    fn nats_servers(&self) -> Option<Vec<String>> {
        let text = self.feed.as_deref()?.to_str()?;
        let is_nats = text.starts_with("nats://") || text.starts_with("tls://");
        is_nats.then(|| text.split(',').map(|server| server.trim().to_owned()).collect())
    }

    /// A flag that only a stream of NATS has a use for, and that is not at its default although there is none.
    pub(super) fn unused_of_nats(&self) -> Option<&'static str> {
        let is_set =
            |path: &Option<PathBuf>| path.as_deref().is_some_and(|path| !path.as_os_str().is_empty());
        let flags = [
            ("--feed-nats-stream", self.feed_nats_stream != STREAM),
            ("--feed-nats-credentials", is_set(&self.feed_nats_credentials)),
            ("--feed-nats-ca", is_set(&self.feed_nats_ca)),
            ("--feed-nats-replicas", self.feed_nats_replicas != 1),
            ("--feed-nats-retention", self.feed_nats_retention != Duration::from_secs(7 * 24 * 60 * 60)),
        ];
        flags.into_iter().find_map(|(flag, given)| (given && self.nats_servers().is_none()).then_some(flag))
    }

    /// A flag that only a feed has a use for, and that is not at its default although there is none.
    pub(super) fn unused(&self) -> Option<&'static str> {
        let flags = [
            ("--feed-window", self.feed_window != Duration::from_secs(24 * 60 * 60)),
            ("--feed-memory", self.feed_memory != 512 << 20),
            ("--feed-sync", self.feed_sync != SyncPolicy::Every(Duration::from_secs(1))),
        ];
        flags.into_iter().find_map(|(flag, given)| (given && !self.is_given()).then_some(flag))
    }

    /// Starts the feed, which must be given. `instruments` are the only ones that may be published.
    pub(super) fn start(
        &self,
        instruments: Option<Universe>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Intake, ConfigError> {
        let place = self.feed.clone().unwrap_or_default();
        let store = match self.nats_servers() {
            Some(servers) => Store::Nats(self.nats(servers)),
            None if place == Path::new("memory") => Store::Memory,
            None => Store::Files { directory: place, sync: self.feed_sync },
        };
        let window = WindowLimits { time: self.feed_window, bytes: self.feed_memory };
        let settings = FeedSettings { store, window, instruments: instruments.map(Arc::new) };
        Ok(Intake::start(settings, progress)?)
    }

    fn nats(&self, servers: Vec<String>) -> NatsSettings {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        NatsSettings {
            servers,
            stream: self.feed_nats_stream.clone(),
            credentials: given(&self.feed_nats_credentials),
            ca: given(&self.feed_nats_ca),
            replicas: self.feed_nats_replicas,
            retention: self.feed_nats_retention,
        }
    }
}

fn stream(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match text.len() {
        1..=64 if text.bytes().all(is_name) => Ok(text.to_owned()),
        _ => Err(format!("expected a name of 1 to 64 letters, digits, hyphens and underscores, got {text}")),
    }
}

fn retention(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(60 * 60), Duration::from_secs(10 * 365 * 24 * 60 * 60))
}

fn window(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), Duration::from_secs(365 * 24 * 60 * 60))
}

fn sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        _ => within(text, Duration::from_millis(1), Duration::from_secs(60)).map(SyncPolicy::Every),
    }
}

/// Reads a number of bytes.
fn size(text: &str) -> Result<usize, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let bytes = units.into_iter().find_map(|(unit, shift)| {
        let number: usize = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes >= 1 << 20)
    });
    bytes.ok_or_else(|| format!("expected a size of at least 1MiB such as 512MiB or 4GiB, got {text}"))
}
