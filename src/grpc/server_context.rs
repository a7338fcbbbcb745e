//! What all connections of a server share: their settings and what they may hold together.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    Authentication, Limit, RpcMetrics, SymbolRefusals,
    budget::{Budget, Held},
    limit_log::LimitLog,
};

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
    limits: LimitLog,
    rpcs: RpcMetrics,
    refusals: Arc<SymbolRefusals>,
    authentication: Authentication,
    draining: CancellationToken,
    cut_streams: AtomicUsize,
}

impl ServerContext {
    /// Bytes of unsent answers of all connections. While there are more, further answers are not begun.
    const MAX_UNSENT: usize = 32 * 1024 * 1024;
    /// Bytes of ticks that wait for flow control, of all connections. While there are more, streams that are blocked are
    /// reset.
    const MAX_BLOCKED: usize = 128 * 1024 * 1024;

    /// A server without connections. `stall_timeout` is how long an answer may wait for the client to take some of it.
    pub fn new(
        max_subscriptions_per_connection: usize,
        stall_timeout: Duration,
        authentication: Authentication,
    ) -> Self {
        Self(Arc::new(Shared {
            max_subscriptions_per_connection,
            stall_timeout,
            unsent: Arc::new(Budget::new(Self::MAX_UNSENT)),
            blocked: Arc::new(Budget::new(Self::MAX_BLOCKED)),
            limits: LimitLog::new(),
            rpcs: RpcMetrics::new(),
            refusals: Arc::default(),
            authentication,
            draining: CancellationToken::new(),
            cut_streams: AtomicUsize::new(0),
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

    /// Counts and logs that a client has met a limit.
    pub fn note_limit(&self, limit: Limit, peer: Option<SocketAddr>) {
        self.0.limits.note(limit, peer);
    }

    /// Authenticates callers.
    pub fn authentication(&self) -> &Authentication {
        &self.0.authentication
    }

    /// The RPCs so far.
    pub fn rpcs(&self) -> &RpcMetrics {
        &self.0.rpcs
    }

    /// Says that the server stops.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Whether the server stops.
    pub fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// Completes when the server stops.
    pub(super) fn drained(&self) -> WaitForCancellationFutureOwned {
        self.0.draining.clone().cancelled_owned()
    }

    /// Bytes of answers that are made and not sent.
    pub fn unsent_bytes(&self) -> usize {
        self.0.unsent.used()
    }

    /// Bytes of ticks that wait for flow control.
    pub fn blocked_bytes(&self) -> usize {
        self.0.blocked.used()
    }

    /// How often clients have met each limit, by the name of the limit.
    pub fn limits_reached(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.limits.totals()
    }

    /// The symbols that were refused.
    pub fn refusals(&self) -> &Arc<SymbolRefusals> {
        &self.0.refusals
    }

    /// Counts a stream that was open when the server stopped.
    pub fn count_cut_stream(&self) {
        self.0.cut_streams.fetch_add(1, Relaxed);
    }

    /// How many streams were open when the server stopped.
    pub fn cut_streams(&self) -> usize {
        self.0.cut_streams.load(Relaxed)
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
