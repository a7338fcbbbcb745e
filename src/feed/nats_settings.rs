//! Which stream of NATS JetStream a feed uses, and how.

use std::{fmt, path::PathBuf, time::Duration};

/// Which stream a feed uses, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// Addresses of servers, such as `nats://host:4222` or `tls://host:4222`.
    pub servers: Vec<String>,
    /// The name of the stream, with which its subjects begin.
    pub stream: String,
    /// A file of credentials.
    pub credentials: Option<PathBuf>,
    /// A file of certificates that sign those of the servers, instead of those of the system.
    pub ca: Option<PathBuf>,
    /// Number of servers that store the stream, if it is made.
    pub replicas: usize,
    /// How long ticks are stored, if the stream is made.
    pub retention: Duration,
}

impl fmt::Debug for NatsSettings {
    /// Without the addresses, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers: _, stream, credentials, ca, replicas, retention } = self;
        f.debug_struct("NatsSettings")
            .field("stream", stream)
            .field("credentials", credentials)
            .field("ca", ca)
            .field("replicas", replicas)
            .field("retention", retention)
            .finish_non_exhaustive()
    }
}
