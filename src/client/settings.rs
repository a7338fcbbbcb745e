//! How patient a client is, and what it connects through.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use super::network::{Network, Tcp};

/// The settings of a [`Client`](super::Client). The defaults suit a service with the default heartbeat.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long it may take to find a server's address, and then to connect to it.
    pub connect: Duration,
    /// How long a server may take to answer a call, or to begin a stream.
    pub answer: Duration,
    /// A stream on which nothing came for so long is taken for dead: three heartbeats, and a little. Half-way it is
    /// asked for a sign of life.
    pub silence: Duration,
    /// Longest wait before the second attempt to reconnect, from which on it doubles with each attempt. The actual wait
    /// is random, from zero up to this backoff, so that the clients of a service do not come back all at once.
    pub first_backoff: Duration,
    /// Upper limit of the backoff. While connections are refused at once, it is one second at most: such an attempt is
    /// cheap, and the server may listen again at any moment.
    pub longest_backoff: Duration,
    /// Attempts in a row that may fail before the client gives up. `None` means no limit, once a replica has answered.
    pub max_attempts: Option<NonZeroU32>,
    /// Move to another replica as soon as one says that it will stop, before its stream ends.
    pub make_before_break: bool,
    /// Seed of the random waits and of the random order of replicas. Tests set it.
    pub seed: u64,
    /// How addresses are found and connections made.
    pub network: Arc<dyn Network>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(16),
            first_backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_secs(5),
            max_attempts: None,
            make_before_break: true,
            // The standard library seeds its hash maps at random.
            seed: RandomState::new().build_hasher().finish(),
            network: Arc::new(Tcp),
        }
    }
}
