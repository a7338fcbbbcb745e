//! A bounded cache of candles that are over.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use super::{
    candle::{Candle, CandleInterval},
    parts::Parts,
};
use crate::{
    tape::Series,
    tick::{Symbol, Time},
};

/// Candles that are over, of all instruments of one tape. Clones are the same cache.
///
/// The candle that is evicted is the one that is cheapest to make again, where a candle becomes cheaper the longer it is not asked
/// for. (The algorithm is known as GreedyDual.) So a long listing of short candles does not evict those of days.
#[derive(Clone, Default)]
pub struct CandleCache(Arc<Mutex<Kept>>);

/// The cached candles of one series. The default caches nothing.
#[derive(Clone, Default)]
pub struct CachedCandles(Option<Cached>);

#[derive(Clone)]
struct Cached {
    cache: CandleCache,
    symbol: Symbol,
    /// Largest cost of a candle of the series.
    largest_cost: u64,
}

#[derive(Default)]
struct Kept {
    candles: HashMap<Key, Entry>,
    /// The next one to evict first.
    order: BTreeMap<Rank, Key>,
    /// Worth of the last candle that was evicted.
    reached: u64,
    /// The last number of a rank.
    numbered: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    symbol: Symbol,
    interval: CandleInterval,
    open_time: Time,
}

struct Entry {
    candle: Candle,
    /// Cost of making it, in ticks read.
    cost: u64,
    rank: Rank,
}

/// Order of eviction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Cost of the candle, plus [`Kept::reached`] when it was last asked for.
    worth: u64,
    number: u64,
}

impl CandleCache {
    /// Largest number of candles. They take about 8 MB.
    pub const MOST: usize = 28_000;

    /// The cached candles of the series of a symbol. Nothing is cached of a growing tape, because its ticks may leave its
    /// window.
    pub fn of(&self, symbol: Symbol, series: &dyn Series) -> CachedCandles {
        let largest_cost = Parts::largest_cost(series);
        CachedCandles(series.is_complete().then(|| Cached { cache: self.clone(), symbol, largest_cost }))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().candles.len()
    }

    /// Whether it has a candle of the symbol `A`, without asking for it.
    #[cfg(test)]
    pub(super) fn holds(&self, interval: CandleInterval, second: u64) -> bool {
        let open_time = Time::from_nanos(second * 1_000_000_000);
        self.lock().candles.keys().any(|key| (key.interval, key.open_time) == (interval, open_time))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while another thread holds the lock.
    fn try_lock(&self) -> Option<MutexGuard<'_, Kept>> {
        match self.0.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl CachedCandles {
    /// Fewest ticks of a candle that is cached. One with fewer is made in 60 µs. Small in tests, which have few ticks.
    pub(super) const LEAST_TICKS: u64 = if cfg!(test) { 2 } else { 1_024 };

    pub(super) fn get(&self, interval: CandleInterval, open_time: Time) -> Option<Candle> {
        let Cached { cache, symbol, .. } = self.0.as_ref()?;
        cache.lock().get(Key { symbol: *symbol, interval, open_time })
    }

    /// As [`Self::get`], but does not wait for other threads: the threads that deliver live ticks must not wait for a thread
    /// of a lower priority.
    pub(super) fn get_without_waiting(&self, interval: CandleInterval, open_time: Time) -> Option<Candle> {
        let Cached { cache, symbol, .. } = self.0.as_ref()?;
        cache.try_lock()?.get(Key { symbol: *symbol, interval, open_time })
    }

    /// Caches a candle that has all ticks of its interval.
    pub(super) fn keep(&self, interval: CandleInterval, candle: &Candle) {
        if let Some((cache, key, cost)) = self.place_of(interval, candle) {
            cache.lock().keep(key, candle, cost);
        }
    }

    /// As [`Self::keep`], but does nothing while another thread uses the cache.
    pub(super) fn keep_without_waiting(&self, interval: CandleInterval, candle: &Candle) {
        if let Some((cache, key, cost)) = self.place_of(interval, candle)
            && let Some(mut kept) = cache.try_lock()
        {
            kept.keep(key, candle, cost);
        }
    }

    /// Where a candle is cached, and its cost.
    fn place_of(&self, interval: CandleInterval, candle: &Candle) -> Option<(&CandleCache, Key, u64)> {
        let Cached { cache, symbol, largest_cost } =
            self.0.as_ref().filter(|_| candle.tick_count >= Self::LEAST_TICKS)?;
        let key = Key { symbol: *symbol, interval, open_time: candle.open_time };
        Some((cache, key, candle.tick_count.min(*largest_cost)))
    }
}

impl Kept {
    fn get(&mut self, key: Key) -> Option<Candle> {
        let rank = self.rank(self.candles.get(&key)?.cost);
        let entry = self.candles.get_mut(&key)?;
        self.order.remove(&entry.rank);
        self.order.insert(rank, key);
        entry.rank = rank;
        Some(entry.candle)
    }

    fn keep(&mut self, key: Key, candle: &Candle, cost: u64) {
        let rank = self.rank(cost);
        if let Some(before) = self.candles.insert(key, Entry { candle: *candle, cost, rank }) {
            self.order.remove(&before.rank);
        }
        self.order.insert(rank, key);
        while self.candles.len() > CandleCache::MOST {
            let Some((rank, key)) = self.order.pop_first() else { return };
            self.reached = rank.worth;
            self.candles.remove(&key);
        }
    }

    fn rank(&mut self, cost: u64) -> Rank {
        self.numbered += 1;
        Rank { worth: self.reached.saturating_add(cost), number: self.numbered }
    }
}
