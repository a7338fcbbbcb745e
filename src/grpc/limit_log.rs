//! The limits of the server that clients meet, and their lines in the log: at most one for each limit in ten seconds, however
//! many clients meet it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use super::history_pool::Overload;
use crate::hub::Full;

/// A limit of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections of the server. A new one is refused.
    Connections,
    /// Connections of one address. A new one is refused.
    ConnectionsPerAddress,
    /// Idle connections are closed for new ones.
    IdleConnections,
    /// A connection that takes no data is closed.
    StalledConnections,
    /// A connection that exceeds a limit of HTTP/2 is closed.
    Http2,
    /// Streams that ask for nothing are ended.
    IdleStreams,
    /// Subscriptions of the server. More are refused.
    Subscriptions,
    /// Subscriptions of one connection. More are refused.
    SubscriptionsPerConnection,
    /// Subscriptions of one caller. More are refused.
    SubscriptionsPerCaller,
    /// Streams of one caller. Another one is refused.
    StreamsPerCaller,
    /// Subscription changes of one caller in a second. More are refused.
    ChangesPerCaller,
    /// Failed authentications of one address. Tokens of it are not verified for a while.
    FailedAuthentications,
    /// Invented instruments. More are refused.
    InventedSymbols,
    /// Calls for history that wait. One is refused.
    HistoryCalls,
    /// Calls for history of one connection that wait. One is refused.
    HistoryCallsPerConnection,
    /// Calls for history of one caller that wait. One is refused.
    HistoryCallsPerCaller,
    /// Answers that the client does not take. Their stream is reset, or the call fails.
    UnreadAnswers,
    /// Ticks that wait for flow control. Their stream is reset.
    BlockedTicks,
}

/// Counts how often each limit is met, and logs it.
pub(super) struct LimitLog {
    began: Instant,
    /// By limit.
    met: [Met; Limit::ALL.len()],
}

#[derive(Default)]
struct Met {
    total: AtomicU64,
    /// How often since the last line.
    count: AtomicU64,
    /// When the next line may follow, in milliseconds since the log began.
    next_line: AtomicU64,
}

impl Limit {
    const ALL: [Self; 18] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::IdleConnections,
        Self::StalledConnections,
        Self::Http2,
        Self::IdleStreams,
        Self::Subscriptions,
        Self::SubscriptionsPerConnection,
        Self::SubscriptionsPerCaller,
        Self::StreamsPerCaller,
        Self::ChangesPerCaller,
        Self::FailedAuthentications,
        Self::InventedSymbols,
        Self::HistoryCalls,
        Self::HistoryCallsPerConnection,
        Self::HistoryCallsPerCaller,
        Self::UnreadAnswers,
        Self::BlockedTicks,
    ];

    /// Its name in the log and in the metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::IdleConnections => "idle_connections",
            Self::StalledConnections => "stalled_connections",
            Self::Http2 => "http2",
            Self::IdleStreams => "idle_streams",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionsPerConnection => "subscriptions_per_connection",
            Self::SubscriptionsPerCaller => "subscriptions_per_caller",
            Self::StreamsPerCaller => "streams_per_caller",
            Self::ChangesPerCaller => "changes_per_caller",
            Self::FailedAuthentications => "failed_authentications",
            Self::HistoryCallsPerCaller => "history_calls_per_caller",
            Self::InventedSymbols => "invented_symbols",
            Self::HistoryCalls => "history_calls",
            Self::HistoryCallsPerConnection => "history_calls_per_connection",
            Self::UnreadAnswers => "unread_answers",
            Self::BlockedTicks => "blocked_ticks",
        }
    }

    /// What happens to clients that meet it, and what allows more.
    fn message(self) -> &'static str {
        match self {
            Self::Connections => {
                "connections are refused: the server has as many connections as it may, and none is idle; raise \
                 --max-connections to allow more"
            }
            Self::ConnectionsPerAddress => {
                "connections are refused: their address has half of --max-connections, which is the limit of one address, \
                 and none is idle"
            }
            Self::IdleConnections => {
                "idle connections are closed to make room for new ones; raise --max-connections to keep them"
            }
            Self::StalledConnections => {
                "connections are closed: their clients took no data for --stall-timeout"
            }
            Self::Http2 => "connections are closed: their clients exceed the limits of HTTP/2",
            Self::IdleStreams => "streams are ended: they subscribe to nothing for too long",
            Self::Subscriptions => {
                "subscriptions are refused: the server has as many as it may; raise --max-subscriptions to allow more"
            }
            Self::SubscriptionsPerConnection => {
                "subscriptions are refused: their connection has as many as one may; raise --max-subscriptions, of which a \
                 connection may have a tenth"
            }
            Self::SubscriptionsPerCaller => {
                "subscriptions are refused: their caller has as many as one may; raise --max-symbols-per-caller, or the \
                 claim max_symbols of its token, to allow more"
            }
            Self::StreamsPerCaller => {
                "streams are refused: their caller has as many as one may; raise --max-streams-per-caller, or the claim \
                 max_streams of its token, to allow more"
            }
            Self::ChangesPerCaller => {
                "subscriptions are refused: their caller changes too many in a second; raise --max-changes-per-caller to \
                 allow more"
            }
            Self::FailedAuthentications => {
                "calls are refused: too many authentications of their address have failed"
            }
            Self::HistoryCallsPerCaller => "calls for history are refused: too many of their caller wait",
            Self::InventedSymbols => {
                "symbols are refused: as many invented instruments are in use as may be; raise --max-invented-symbols to \
                 allow more"
            }
            Self::HistoryCalls => "calls for history are refused: too many wait on the server",
            Self::HistoryCallsPerConnection => {
                "calls for history are refused: too many of their connection wait"
            }
            Self::UnreadAnswers => "streams are reset: their clients do not read the answers",
            Self::BlockedTicks => {
                "streams are reset: their clients do not read the ticks, and too many wait on the server"
            }
        }
    }
}

impl LimitLog {
    const INTERVAL: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        Self { began: Instant::now(), met: Default::default() }
    }

    /// Counts that a client has met a limit, and logs it if the last line about the limit is old enough.
    pub(super) fn note(&self, limit: Limit, peer: Option<SocketAddr>) {
        if let Some(count) = self.count(limit) {
            info!(limit = limit.name(), count, last_peer = peer.map(display), "{}", limit.message());
        }
    }

    /// How often each limit was met so far, by its name.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Limit::ALL.into_iter().map(|limit| (limit.name(), self.met[limit as usize].total.load(Relaxed)))
    }

    /// Counts one more. Returns the count for the next line when that line is due.
    fn count(&self, limit: Limit) -> Option<u64> {
        let met = &self.met[limit as usize];
        met.total.fetch_add(1, Relaxed);
        met.count.fetch_add(1, Relaxed);
        let (now, next) = (self.began.elapsed(), met.next_line.load(Relaxed));
        let after = (now + Self::INTERVAL).as_millis() as u64;
        let is_due = now.as_millis() as u64 >= next
            && met.next_line.compare_exchange(next, after, Relaxed, Relaxed).is_ok();
        is_due.then(|| met.count.swap(0, Relaxed))
    }
}

impl From<Full> for Limit {
    fn from(full: Full) -> Self {
        match full {
            Full::Caller => Self::SubscriptionsPerCaller,
            Full::Connection => Self::SubscriptionsPerConnection,
            Full::Server => Self::Subscriptions,
        }
    }
}

impl From<Overload> for Limit {
    fn from(overload: Overload) -> Self {
        match overload {
            Overload::Caller(_) => Self::HistoryCallsPerConnection,
            Overload::Server(_) => Self::HistoryCalls,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_has_one_line_in_ten_seconds_that_counts_all_since_the_last() {
        let log = LimitLog::new();
        assert_eq!(log.count(Limit::Connections), Some(1));
        for _ in 0..100 {
            assert_eq!(log.count(Limit::Connections), None);
        }
        tokio::time::advance(LimitLog::INTERVAL - Duration::from_millis(1)).await;
        assert_eq!(log.count(Limit::Connections), None);
        assert_eq!(log.count(Limit::Subscriptions), Some(1), "each limit has its own lines");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(log.count(Limit::Connections), Some(102));
        tokio::time::advance(LimitLog::INTERVAL).await;
        assert_eq!(log.count(Limit::Connections), Some(1));
    }

    #[test]
    fn every_limit_has_a_place_and_a_name_of_its_own() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place);
        }
        let names: BTreeSet<_> = Limit::ALL.into_iter().map(Limit::name).collect();
        assert_eq!(names.len(), Limit::ALL.len());
    }
}
