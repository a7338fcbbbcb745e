//! What each caller holds, and the limits of that.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{CallerId, caller_name::CallerName};
use crate::{access::Plan, hub::Quota, rate::Rate};

/// Limits of one caller, however many connections it has.
#[derive(Clone, Copy, Debug)]
pub struct CallerLimits {
    /// Largest number of streams of ticks at the same time.
    pub max_streams: NonZeroUsize,
    /// Largest number of subscriptions at the same time.
    pub max_symbols: NonZeroUsize,
    /// Largest number of symbols that are subscribed or unsubscribed in a second.
    pub max_changes_per_second: NonZeroUsize,
}

/// What all callers hold.
pub(super) struct Usages {
    limits: CallerLimits,
    by_caller: Mutex<Callers>,
}

#[derive(Default)]
struct Callers {
    usages: HashMap<CallerName, Weak<Usage>>,
    /// Number of callers after which those that have left are removed.
    sweep_at: usize,
    next_id: u64,
}

/// What one caller holds.
pub(super) struct Usage {
    /// `Some` for a caller that has shown who it is.
    id: Option<u64>,
    streams: AtomicUsize,
    max_streams: AtomicUsize,
    symbols: Arc<Quota>,
    changes: Arc<Changes>,
    history: AtomicU64,
}

/// Limits how many subscriptions are changed in a second.
pub(super) struct Changes {
    rate: Mutex<Rate>,
    per_second: u64,
}

/// A stream that counts against the limit of its caller until this is dropped.
pub(super) struct StreamHold(Arc<Usage>);

/// A call for history that counts against the limit of its caller until this is dropped.
pub(super) struct HistoryHold(Arc<Usage>);

impl Default for CallerLimits {
    fn default() -> Self {
        let number = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            max_streams: number(20_000),
            max_symbols: number(500_000),
            max_changes_per_second: number(100_000),
        }
    }
}

impl Usages {
    pub(super) fn new(limits: CallerLimits) -> Self {
        Self { limits, by_caller: Mutex::default() }
    }

    /// What a caller holds. A plan narrows its limits; the plan that came last counts.
    pub(super) fn of(&self, name: &CallerName, plan: Plan) -> Arc<Usage> {
        let callers = &mut *self.by_caller.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = match callers.usages.get(name).and_then(Weak::upgrade) {
            Some(usage) => usage,
            None => {
                callers.sweep();
                callers.next_id += 1;
                let id = name.is_authenticated().then_some(callers.next_id);
                let usage = Arc::new(Usage::new(id, &self.limits));
                callers.usages.insert(name.clone(), Arc::downgrade(&usage));
                usage
            }
        };
        let narrow = |limit: NonZeroUsize, plan: Option<usize>| plan.unwrap_or(usize::MAX).min(limit.get());
        usage.max_streams.store(narrow(self.limits.max_streams, plan.max_streams), Relaxed);
        usage.symbols.set_limit(narrow(self.limits.max_symbols, plan.max_symbols));
        usage
    }

    /// Limits the subscription changes of one connection.
    pub(super) fn changes_of_connection(&self) -> Arc<Changes> {
        Arc::new(Changes::new(&self.limits))
    }

    /// How many callers hold something.
    pub(super) fn count(&self) -> usize {
        let callers = self.by_caller.lock().unwrap_or_else(PoisonError::into_inner);
        callers.usages.values().filter(|usage| usage.strong_count() > 0).count()
    }
}

impl Callers {
    /// Removes those that have left, when there are twice as many as after the last time.
    fn sweep(&mut self) {
        const FEW: usize = 1_024;
        if self.usages.len() >= self.sweep_at.max(FEW) {
            self.usages.retain(|_, usage| usage.strong_count() > 0);
            self.sweep_at = self.usages.len() * 2;
        }
    }
}

impl Usage {
    /// Calls for history of one caller that may wait: a quarter of those of the server.
    pub(super) const MAX_HISTORY: u64 = 1_000;

    fn new(id: Option<u64>, limits: &CallerLimits) -> Self {
        Self {
            id,
            streams: AtomicUsize::new(0),
            max_streams: AtomicUsize::new(limits.max_streams.get()),
            symbols: Quota::new(limits.max_symbols.get()),
            changes: Arc::new(Changes::new(limits)),
            history: AtomicU64::new(0),
        }
    }

    /// Counts its subscriptions.
    pub(super) fn symbols(&self) -> &Arc<Quota> {
        &self.symbols
    }

    /// Largest number of streams.
    pub(super) fn max_streams(&self) -> usize {
        self.max_streams.load(Relaxed)
    }

    /// Limits its subscription changes.
    pub(super) fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Counts a stream more; `None` when the limit is reached.
    pub(super) fn open_stream(self: &Arc<Self>) -> Option<StreamHold> {
        let hold = StreamHold(self.clone());
        (self.streams.fetch_add(1, Relaxed) < self.max_streams()).then_some(hold)
    }

    /// Counts a call for history more; `None` when the limit is reached.
    pub(super) fn wait_for_history(self: &Arc<Self>) -> Option<HistoryHold> {
        let hold = HistoryHold(self.clone());
        (self.history.fetch_add(1, Relaxed) < Self::MAX_HISTORY).then_some(hold)
    }

    /// Its identity in the history pool. Callers that have not authenticated are told apart by connection.
    pub(super) fn history_caller(&self, connection: u64) -> CallerId {
        const OF_CALLERS: u64 = 1 << 63;
        CallerId(self.id.map_or(connection, |id| id | OF_CALLERS))
    }
}

impl Changes {
    fn new(limits: &CallerLimits) -> Self {
        let per_second = limits.max_changes_per_second.get() as u64;
        Self { rate: Mutex::new(Rate::new(per_second as f64, 2.0 * per_second as f64)), per_second }
    }

    /// Counts subscription changes. False, and nothing is counted, when there were too many. A change of many symbols may
    /// exceed the limit once; the next ones wait for longer then.
    pub(super) fn take(&self, symbols: usize) -> bool {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(symbols as f64)
    }

    /// Largest number of subscription changes in a second.
    pub(super) fn per_second(&self) -> u64 {
        self.per_second
    }
}

impl Drop for StreamHold {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl Drop for HistoryHold {
    fn drop(&mut self) {
        self.0.history.fetch_sub(1, Relaxed);
    }
}
