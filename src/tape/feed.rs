//! The tape of a live feed: it grows while it is read, and keeps a window of recent ticks in memory.
//!
//! - `segment`: ticks that follow one another, in packed columns;
//! - `window`: the ticks of a symbol that are available: full segments, and the newest ticks as they came;
//! - `series`: the window of a symbol as a series, with the readers that wait for a tick.
//!
//! One thread appends. Any thread reads.

mod segment;
mod series;
#[cfg(test)]
mod tests;
mod window;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

pub use series::FeedSeries;

use super::{Identity, Instrument, Kind, Missing, Series, Tape, TopOfBook, nearest};
use crate::tick::{Symbol, Tick, Time};

/// Version of how published ticks become a tape.
const ENGINE_VERSION: &str = "feed/1";

/// The tape of a live feed.
pub struct Feed {
    identity: Identity,
    limits: WindowLimits,
    /// Instruments that are known before their first tick, ordered by symbol.
    known: Arc<[Arc<Instrument>]>,
    series: RwLock<HashMap<Symbol, (Arc<Instrument>, FeedSeries)>>,
    /// The instruments ordered by symbol; `None` when one has appeared since they were asked for.
    listed: Mutex<Option<Arc<[Arc<Instrument>]>>>,
    /// A series for each of its full segments, in the order in which they became full.
    full: Mutex<VecDeque<FeedSeries>>,
    ticks: AtomicU64,
    /// Of full segments.
    bytes: AtomicUsize,
}

/// How many ticks a feed keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Ticks that are older may leave the window. They leave in groups of [`WindowLimits::GROUP`] of one symbol.
    pub time: Duration,
    /// Bytes of memory for ticks. When there are more, the oldest groups leave the window.
    pub bytes: usize,
}

/// What a feed keeps now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Number of ticks.
    pub ticks: u64,
    /// Bytes of memory that they take.
    pub bytes: usize,
}

impl WindowLimits {
    /// Most ticks of a symbol that leave the window together. Its newest ticks, up to this number, never leave.
    pub const GROUP: usize = segment::LEN;
}

impl Feed {
    /// A feed without ticks. `tape_id` names its numbering: another one whenever sequences begin again. `known` are instruments that
    /// may get ticks, ordered by symbol.
    pub fn new(tape_id: String, limits: WindowLimits, known: Arc<[Arc<Instrument>]>) -> Self {
        let identity = Identity { tape_id, kind: Kind::Feed, seed: 0, engine_version: ENGINE_VERSION };
        Self {
            identity,
            limits,
            known,
            series: RwLock::default(),
            listed: Mutex::new(Some(Arc::default())),
            full: Mutex::default(),
            ticks: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Lists an instrument with its first tick. Its symbol must not be listed yet.
    pub fn list(&self, instrument: Arc<Instrument>, first: Tick, book: Option<TopOfBook>) -> FeedSeries {
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let series = FeedSeries::new(first, book, all.len());
        all.insert(instrument.symbol, (instrument, series.clone()));
        drop(all);
        self.ticks.fetch_add(1, Relaxed);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        series
    }

    /// Appends the next tick of a series of this feed. Its sequence must be the one after the newest, and its time neither
    /// before that of the newest nor in the future.
    pub fn append(&self, series: &FeedSeries, tick: Tick, book: Option<TopOfBook>) {
        self.ticks.fetch_add(1, Relaxed);
        if let Some(bytes) = series.append(tick, book) {
            self.bytes.fetch_add(bytes, Relaxed);
            self.full.lock().unwrap_or_else(PoisonError::into_inner).push_back(series.clone());
        }
    }

    /// Reads from memory what appending to these series reads. Of thousands of series, nothing is in the processor's caches; reads
    /// that do not depend on each other wait for memory at the same time.
    pub fn read_ahead<'a>(series: impl Iterator<Item = &'a FeedSeries>) {
        series.for_each(FeedSeries::read_ahead);
    }

    /// Lets ticks leave the window that are older than its time, at this time, or for which there is no memory.
    pub fn move_window(&self, now: Time) {
        let full = &mut *self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let too_old = now.before(self.limits.time);
        while let Some(series) = full.front() {
            let is_old = too_old.is_some_and(|too_old| series.oldest_group_ended() < too_old);
            if !is_old && self.size().bytes <= self.limits.bytes {
                return;
            }
            let left = series.drop_oldest_group();
            self.bytes.fetch_sub(left.bytes, Relaxed);
            self.ticks.fetch_sub(left.ticks, Relaxed);
            full.pop_front();
        }
    }

    /// What it keeps.
    pub fn size(&self) -> WindowSize {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner).len();
        WindowSize {
            ticks: self.ticks.load(Relaxed),
            bytes: self.bytes.load(Relaxed) + series * FeedSeries::MOST_BYTES_OF_NEWEST,
        }
    }
}

impl Tape for Feed {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
        let listed = &mut *self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let list = || {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            let mut all: Vec<_> = series.values().map(|(instrument, _)| instrument.clone()).collect();
            all.sort_unstable_by_key(|instrument| instrument.symbol);
            all.into()
        };
        listed.get_or_insert_with(list).clone()
    }

    fn known_instruments(&self) -> Arc<[Arc<Instrument>]> {
        let listed = self.instruments();
        let is_listed = |known: &&Arc<Instrument>| {
            listed.binary_search_by_key(&known.symbol, |instrument| instrument.symbol).is_ok()
        };
        let unlisted: Vec<_> = self.known.iter().filter(|known| !is_listed(known)).cloned().collect();
        if unlisted.is_empty() {
            return listed;
        }
        let mut all = [&listed, unlisted.as_slice()].concat();
        all.sort_unstable_by_key(|instrument| instrument.symbol);
        all.into()
    }

    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.get(symbol).map(|(instrument, _)| instrument.clone()).ok_or(Missing::Unknown)
    }

    fn suggest(&self, text: &str) -> Option<Symbol> {
        nearest(&self.instruments(), text)
    }

    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        match series.get(&instrument.symbol) {
            Some((_, series)) => Arc::new(series.clone()),
            // Of another tape. It gets a series that nobody appends to.
            None => Arc::new(FeedSeries::of_no_instrument(instrument)),
        }
    }
}
