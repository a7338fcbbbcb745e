//! Limits on the number of subscriptions.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the subscriptions of a connection, of a caller, or of the whole server, against a limit. Shared by all streams that it
/// covers.
#[derive(Debug)]
pub struct Quota {
    limit: AtomicUsize,
    used: AtomicUsize,
}

/// The quotas that the subscriptions of a stream count against, besides that of the server.
#[derive(Clone, Debug)]
pub struct StreamQuotas {
    /// The subscriptions of its caller.
    pub caller: Arc<Quota>,
    /// The subscriptions of its connection.
    pub connection: Arc<Quota>,
}

/// Part of a quota, given back when this is dropped.
#[derive(Debug)]
pub struct QuotaHold {
    quota: Arc<Quota>,
    amount: usize,
}

impl Drop for QuotaHold {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

/// The quota of a connection, for a caller without a limit.
impl From<Arc<Quota>> for StreamQuotas {
    fn from(connection: Arc<Quota>) -> Self {
        Self { caller: Quota::unlimited(), connection }
    }
}

impl StreamQuotas {
    /// Counts one subscription less in each.
    pub(super) fn give_back(&self) {
        self.caller.give_back();
        self.connection.give_back();
    }
}

impl Quota {
    /// A quota of `limit` subscriptions.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0) })
    }

    /// A quota without a limit.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// The largest number of subscriptions.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the largest number of subscriptions. Those that are over it stay.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Number of subscriptions, including those of subscribers that have left and are not swept yet.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts `amount` subscriptions until the returned guard is dropped; `None` when that would exceed the limit.
    pub fn hold(self: &Arc<Self>, amount: usize) -> Option<QuotaHold> {
        let add = |used: usize| used.checked_add(amount).filter(|used| *used <= self.limit());
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(QuotaHold { quota: self.clone(), amount })
    }

    /// Counts one subscription more. False when the limit is reached.
    pub(super) fn take(&self) -> bool {
        let taken = self.used.fetch_add(1, Ordering::Relaxed) < self.limit();
        if !taken {
            self.give_back();
        }
        taken
    }

    /// Counts one subscription less.
    pub(super) fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}
