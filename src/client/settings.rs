//! Timeouts and reconnects of a client, and the network that it connects through.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use super::{
    network::{Network, Tcp},
    tls::Tls,
    token::TokenProvider,
};

/// The settings of a [`Client`](super::Client). The defaults suit a service with the default heartbeat.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How long it may take to resolve the name of a server, and then to connect to it. 5 s.
    pub connect_timeout: Duration,
    /// How long a server may take to answer a call, or to begin a stream. 10 s.
    pub answer_timeout: Duration,
    /// A stream on which nothing arrives for this time is given up: three heartbeats and a little more, 16 s. Halfway
    /// the client sends a ping.
    pub silence_timeout: Duration,
    /// Flow control window of a stream, in bytes: one or two thousand ticks. Ticks that wait in the connection are old, and
    /// delay the newest. 128 KiB.
    pub stream_window: u32,
    /// Longest wait before the second attempt to reconnect, from which on it doubles with each attempt. The actual wait
    /// is random, from zero up to this backoff, so that the clients of a service do not come back all at once. 50 ms.
    pub first_backoff: Duration,
    /// Upper limit of the backoff, 5 s. While connections are refused at once, it is one second at most: such an attempt
    /// is cheap, and the server may listen again at any moment.
    pub longest_backoff: Duration,
    /// Attempts in a row that may fail before the client gives up. `None`, the default, means no limit, once a replica
    /// has answered.
    pub max_attempts: Option<NonZeroU32>,
    /// Whether to move to another replica when one says that it will stop, before its stream ends. The default is true.
    pub make_before_break: bool,
    /// Seed of the random waits and of the random order of replicas. Tests set it.
    pub seed: u64,
    /// How connections to `https://` endpoints are made.
    pub tls: Tls,
    /// Gets the token that is sent with each call. `None`, the default, sends none.
    pub token: Option<Arc<dyn TokenProvider>>,
    /// Resolves names and makes connections. The default is [`Tcp`].
    pub network: Arc<dyn Network>,
}

impl Settings {
    /// Sets how long it may take to resolve a name, and then to connect.
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Sets how long a server may take to answer a call, or to begin a stream.
    pub fn with_answer_timeout(self, answer_timeout: Duration) -> Self {
        Self { answer_timeout, ..self }
    }

    /// Sets how long nothing may arrive on a stream before it is given up.
    pub fn with_silence_timeout(self, silence_timeout: Duration) -> Self {
        Self { silence_timeout, ..self }
    }

    /// Sets the flow control window of a stream, in bytes.
    pub fn with_stream_window(self, stream_window: u32) -> Self {
        Self { stream_window, ..self }
    }

    /// Sets the first and the longest backoff.
    pub fn with_backoff(self, first_backoff: Duration, longest_backoff: Duration) -> Self {
        Self { first_backoff, longest_backoff, ..self }
    }

    /// Sets how many attempts in a row may fail.
    pub fn with_max_attempts(self, max_attempts: impl Into<Option<NonZeroU32>>) -> Self {
        Self { max_attempts: max_attempts.into(), ..self }
    }

    /// Sets whether to move to another replica before the stream of one that will stop ends.
    pub fn with_make_before_break(self, make_before_break: bool) -> Self {
        Self { make_before_break, ..self }
    }

    /// Sets the seed of what is random.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets how connections to `https://` endpoints are made.
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Sets what gets the token that is sent with each call. A token that travels over `http://` can be read on the way.
    pub fn with_token(self, provider: impl TokenProvider + 'static) -> Self {
        Self { token: Some(Arc::new(provider)), ..self }
    }

    /// Sets what resolves names and makes connections.
    pub fn with_network(self, network: impl Network + 'static) -> Self {
        Self { network: Arc::new(network), ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(16),
            stream_window: 128 * 1024,
            first_backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_secs(5),
            max_attempts: None,
            make_before_break: true,
            // The standard library seeds its hash maps at random.
            seed: RandomState::new().build_hasher().finish(),
            tls: Tls::default(),
            token: None,
            network: Arc::new(Tcp),
        }
    }
}
