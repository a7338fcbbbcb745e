//! What all connections of a server share: their settings and what they may hold together.

use std::{sync::Arc, time::Duration};

use super::budget::{Budget, Held};

/// What all connections of a server share. Clones are the same.
#[derive(Clone)]
pub struct ServerContext(Arc<Shared>);

struct Shared {
    max_subscriptions_per_connection: usize,
    stall_timeout: Duration,
    /// Bytes of answers that are not sent.
    unsent: Arc<Budget>,
    /// Bytes of ticks that wait for flow control.
    blocked: Arc<Budget>,
}

impl ServerContext {
    /// Bytes of unsent answers of all connections. While there are more, further answers are not begun.
    const MAX_UNSENT: usize = 32 * 1024 * 1024;
    /// Bytes of ticks that wait for flow control, of all connections. While there are more, streams that are blocked are
    /// reset.
    const MAX_BLOCKED: usize = 128 * 1024 * 1024;

    /// A server without connections. `stall_timeout` is how long an answer may wait for the client to take some of it.
    pub fn new(max_subscriptions_per_connection: usize, stall_timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            max_subscriptions_per_connection,
            stall_timeout,
            unsent: Arc::new(Budget::new(Self::MAX_UNSENT)),
            blocked: Arc::new(Budget::new(Self::MAX_BLOCKED)),
        }))
    }

    /// Counts ticks that wait for flow control, until the returned guard is dropped.
    pub fn block(&self, bytes: usize) -> Held {
        self.0.blocked.hold(bytes)
    }

    /// Whether the limit of blocked ticks is reached. Then streams that are blocked are reset.
    pub fn is_blocked(&self) -> bool {
        !self.0.blocked.has_room()
    }

    pub(super) fn max_subscriptions_per_connection(&self) -> usize {
        self.0.max_subscriptions_per_connection
    }

    pub(super) fn stall_timeout(&self) -> Duration {
        self.0.stall_timeout
    }

    /// Counts the bytes of answers that are not sent.
    pub(super) fn unsent(&self) -> &Arc<Budget> {
        &self.0.unsent
    }
}
