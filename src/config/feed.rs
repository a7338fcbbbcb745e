//! The settings of a feed: where published ticks are stored, and how many are kept in memory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};

use super::{ConfigError, within};
use crate::{
    feed::{FeedSettings, Intake, Store, SyncPolicy},
    tape::{LoadProgress, Universe, WindowLimits},
};

/// Options of a service that plays what is published to it.
#[derive(Args, Clone, Debug)]
pub struct FeedArgs {
    /// Play the ticks that are published: `memory` keeps them in memory, a directory stores them in files as well
    #[arg(long, env = "TICKER_FEED", value_name = "memory|DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
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
}

impl FeedArgs {
    /// Whether the tape is a feed: a name of no length, as in a manifest that lists every variable, is none.
    pub(super) fn is_given(&self) -> bool {
        self.feed.as_deref().is_some_and(|place| !place.as_os_str().is_empty())
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
        let directory = self.feed.clone().unwrap_or_default();
        let store = match directory == Path::new("memory") {
            true => Store::Memory,
            false => Store::Files { directory, sync: self.feed_sync },
        };
        let window = WindowLimits { time: self.feed_window, bytes: self.feed_memory };
        let settings = FeedSettings { store, window, instruments: instruments.map(Arc::new) };
        Ok(Intake::start(settings, progress)?)
    }
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
