//! Timeouts of connections.

use std::time::Duration;

use tokio::time::Instant;

use crate::jitter::Jitter;

/// Timeouts after which a connection is closed.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Time without a stream.
    pub max_idle: Duration,
    /// Maximum age of a connection, ±10 % jitter. Then it takes no new streams, and closes when those that are open have
    /// ended.
    pub max_age: Option<Duration>,
    /// Time in which the peer takes none of the bytes that wait to be sent. A stream whose answer stalls for this time is reset.
    pub stall_timeout: Duration,
}

impl Timeouts {
    /// When a connection that was accepted then reaches its maximum age.
    pub(super) fn ages_at(&self, accepted: Instant) -> Option<Instant> {
        self.max_age.map(|age| accepted + Jitter::new().age(age))
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { max_idle: Duration::from_secs(5 * 60), max_age: None, stall_timeout: Duration::from_secs(30) }
    }
}

/// Timeout for the TLS handshake, for the HTTP/2 preface and SETTINGS, and for the first bytes of HTTP/1.
pub(super) const OPENING: Duration = Duration::from_secs(5);
