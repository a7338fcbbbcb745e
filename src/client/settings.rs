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
    /// About how long to wait before the second attempt to reconnect. Each further one waits up to twice as long as
    /// the one before, and how long of that is drawn by lot, so that clients do not come back all at once.
    pub first_back_off: Duration,
    /// The longest such wait.
    pub longest_back_off: Duration,
    /// Give up when so many attempts in a row have failed; without it never, once a replica has answered.
    pub attempts: Option<NonZeroU32>,
    /// Move to another replica as soon as one says that it will stop, before its stream ends.
    pub make_before_break: bool,
    /// Of the rng that are drawn: waits, and which replica is next. Tests set it.
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
            first_back_off: Duration::from_millis(50),
            longest_back_off: Duration::from_secs(5),
            attempts: None,
            make_before_break: true,
            // The standard library seeds its hash maps at random.
            seed: RandomState::new().build_hasher().finish(),
            network: Arc::new(Tcp),
        }
    }
}
