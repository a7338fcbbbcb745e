//! Why settings make no server.

use std::{net::SocketAddr, time::Duration};

use thiserror::Error;

use crate::{
    feed::FeedStartError,
    pacer::Speed,
    tape::{RecordedError, UniverseError},
    tick::Time,
    timestamp,
};

/// Why the settings make no server.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The instruments cannot be used.
    #[error("cannot use the file of --instruments")]
    Instruments(#[from] UniverseError),
    /// The recording cannot be used.
    #[error("cannot play the file of --tape")]
    Tape(#[from] RecordedError),
    /// There is no recording.
    #[error("{0} is how a recording plays: name one with --tape FILE, or leave {0} out")]
    OnlyWithTape(&'static str),
    /// There is no feed.
    #[error("{0} is how a feed works: name one with --feed memory or --feed DIR, or leave {0} out")]
    OnlyWithFeed(&'static str),
    /// The feed uses no stream.
    #[error("{0} is how a feed uses NATS: name a server with --feed nats://HOST:4222, or leave {0} out")]
    OnlyWithNats(&'static str),
    /// The feed cannot be started.
    #[error("cannot use the feed of --feed")]
    Feed(#[from] FeedStartError),
    /// A recording or a feed needs nothing to make prices from.
    #[error("{0} plays {1} and {2} makes prices: leave one of them out")]
    NotWith(&'static str, &'static str, &'static str),
    /// A server has one tape.
    #[error("--tape plays a recording and --feed what is published: leave one of them out")]
    TapeAndFeed,
    /// Clients and operators would meet on one port.
    #[error("--admin is {admin} and --listen {listen}: they need different ports")]
    SameAddress {
        /// The admin port.
        admin: SocketAddr,
        /// The port of the service.
        listen: SocketAddr,
    },
    /// Streams would be cut before they have ended.
    #[error(
        "--drain-spread is {spread:?} and --drain-deadline {deadline:?}: streams must end before the deadline, so choose a \
         shorter spread or a longer deadline"
    )]
    SpreadPastDeadline {
        /// The spread.
        spread: Duration,
        /// The deadline.
        deadline: Duration,
    },
    /// Nothing of the recording is left to play.
    #[error(
        "the tape ends at {}: --tape-start must not be after that, and is {}",
        timestamp::show(*last), timestamp::show(*start)
    )]
    StartsAfterEnd {
        /// Where it should start.
        start: Time,
        /// Its last tick.
        last: Time,
    },
    /// The recording began too long ago: the time on the tape would be past the last one there is.
    #[error(
        "a tape that plays from {} at {} at speed {speed} is past the year 2554 by now: choose a later --play-at or a \
         lower --speed",
        timestamp::show(*start), timestamp::show(*play_at)
    )]
    AfterTime {
        /// A point of the tape.
        start: Time,
        /// When it plays.
        play_at: Time,
        /// How fast.
        speed: Speed,
    },
    /// The recording begins too far ahead: the time on the tape would be before 1970.
    #[error(
        "a tape that plays from {} at {} at speed {speed} is still before the year 1970: choose an earlier --play-at or \
         a lower --speed",
        timestamp::show(*start), timestamp::show(*play_at)
    )]
    BeforeTime {
        /// A point of the tape.
        start: Time,
        /// When it plays.
        play_at: Time,
        /// How fast.
        speed: Speed,
    },
}
