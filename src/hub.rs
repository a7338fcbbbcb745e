//! Subscriptions, and which ticks each of them has yet to be sent.
//!
//! Signals are pushed and data is pulled. When a tick is published the hub encodes it once per wire format and marks
//! the subscriptions that it concerns; a subscriber whose transport has room pulls the bytes of what it lacks. A
//! subscriber that is slow therefore has no queue: it only has marks, and what it missed is still on the tape.
//!
//! There is one hub per worker thread, and it serves the streams of that thread alone, so its lock is never
//! contended.

mod counters;
mod day_tracker;
mod departures;
mod dirty;
mod flush;
mod format;
mod idle;
mod ids;
mod interest;
mod pull;
mod quota;
mod subscriber;
mod subscription;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use counters::Counters;
pub use departures::DepartureTimes;
pub use flush::Flush;
pub use format::{Quote, TickMeta, WireFormat};
pub use interest::{Delivery, Interest, Start};
pub use pull::Sent;
pub use quota::{Quota, QuotaHold, StreamQuotas};
pub use subscriber::{Full, Pulled, Subscribed, Subscriber};

use crate::{
    history::CandleCache,
    tape::{Instrument, Series},
    tick::{Sequence, Symbol, Tick, Time},
};
use day_tracker::DayTracker;
use departures::Departures;
use dirty::Dirty;
use ids::{FreeList, IdChange, Ids};
use interest::{Slot, SlotState};

/// Largest number of wire formats of a hub.
pub const MAX_FORMATS: usize = 3;

/// Limits of a hub. All durations are in the time of its clock.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest lag of a reader of every tick. A reader that lags more is sent a gap.
    pub max_lag: Duration,
    /// Longest time without a message on a stream, after which a heartbeat is sent.
    pub heartbeat_interval: Duration,
    /// Idle timeout of a stream: time without a subscription and without a request.
    pub max_idle: Duration,
    /// While there are more idle streams than this, [`Self::crowded_max_idle`] is the idle timeout.
    pub max_idle_streams: usize,
    /// Idle timeout while there are more than [`Self::max_idle_streams`]. The streams that are idle longest end first.
    pub crowded_max_idle: Duration,
    /// Maximum age of a stream, ±10 % jitter.
    pub max_age: Option<Duration>,
    /// How long before the end of a stream that reaches its maximum age its client is warned.
    pub warning: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_lag: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(15),
            max_idle: Duration::from_secs(10 * 60),
            max_idle_streams: 1_000,
            crowded_max_idle: Duration::from_secs(10),
            max_age: None,
            warning: Duration::from_secs(1),
        }
    }
}

/// The subscribers of one worker thread.
pub struct Hub {
    state: Mutex<State>,
    /// Notified when the pacer has to look earlier than it planned.
    changed: Notify,
    /// Notified when [`Hub::sweep`] has something to do.
    left: Notify,
}

/// Something large, which is freed in pieces.
pub trait Discard: Send {
    /// Frees at most `most` of its parts. True when there are more.
    fn discard(&mut self, most: usize) -> bool;
}

/// A change of the set of watched instruments, for the pacer.
pub enum WatchChange {
    /// Publish the ticks of `series` from `from` on, under `id`.
    Watch {
        /// The number to publish under.
        id: u32,
        /// Where the ticks come from.
        series: Arc<dyn Series>,
        /// The first one to publish.
        from: Sequence,
    },
    /// Nobody watches `id` any more; the number may be used again.
    Unwatch {
        /// The number.
        id: u32,
    },
}

struct State {
    limits: Limits,
    formats: Vec<Box<dyn WireFormat>>,
    /// Whether their ticks come with quotes, by format.
    quotes: Vec<bool>,
    /// The ticks of the last flush, encoded, by format.
    pages: Vec<Vec<u8>>,
    /// The length of the longest page of the flushes since memory of pages was last given back.
    longest_page: usize,
    /// The number of the last flush.
    flush: u64,
    /// The time up to which ticks were published.
    now: Time,
    by_symbol: HashMap<Symbol, u32>,
    /// The numbers that index `watched` and `published`.
    ids: Ids,
    watched: Vec<Option<Watched>>,
    /// By number, beside `watched`: what a pull looks at, kept small.
    published: Vec<Published>,
    subscribers: Vec<Option<Entry>>,
    free_subscribers: FreeList,
    /// Number of subscribers that have not left.
    joined: usize,
    /// The subscribers that have left and still have slots.
    leaving: VecDeque<u32>,
    /// Values that [`Hub::sweep`] frees in pieces.
    discarded: VecDeque<Box<dyn Discard>>,
    /// The subscribers without a subscription, by when they last sent a request.
    idle: BTreeSet<(Time, u32)>,
    /// The subscriber at which the last slice of heartbeats ended.
    beat_from: usize,
    /// Slots that wait for the end of a minimum interval: the end, the subscriber, the slot.
    deferred: BTreeSet<(Time, u32, u32)>,
    /// All subscriptions of the server.
    quota: Arc<Quota>,
    departures: Departures,
    counters: Arc<Counters>,
    /// Hours of the days of quotes.
    cached: CandleCache,
}

/// An instrument that somebody watches.
struct Watched {
    instrument: Arc<Instrument>,
    series: Arc<dyn Series>,
    /// The newest tick that was published; `None` before the first one of all.
    latest: Option<Tick>,
    /// While somebody reads quotes: the figures of the day, up to the newest tick or on the way there.
    figures: Option<Box<DayTracker>>,
    watchers: Vec<Watcher>,
    /// How many of the watchers read each format.
    readers: [u32; MAX_FORMATS],
}

/// One interest in a watched instrument.
#[derive(Clone, Copy)]
struct Watcher {
    subscriber: u32,
    /// The number of the slot. [`Self::MUTED`] is set while the slot waits for its minimum interval and gets no signals.
    slot: u32,
}

/// Where the ticks of one instrument stand in the pages of a flush.
#[derive(Clone, Copy, Default)]
struct Published {
    /// The flush that published last.
    flush: u64,
    /// The first sequence of that flush.
    first: u64,
    /// The last sequence of that flush.
    last: u64,
    /// From where to where, by format.
    span: [(u32, u32); MAX_FORMATS],
}

/// A subscriber as the hub sees it.
struct Entry {
    /// The format of its heartbeats.
    format: u8,
    waker: Option<std::task::Waker>,
    /// It was woken and has not pulled everything yet, so it needs no signal.
    signalled: bool,
    dirty: Dirty,
    slots: Vec<Slot>,
    /// By slot.
    slot_states: Vec<SlotState>,
    /// The first slot that is not in use.
    vacant: u32,
    /// The slot of each watched instrument; empty once the subscriber has left.
    by_watched: HashMap<u32, u32>,
    /// How many slots are in use.
    count: usize,
    /// How many of them were asked for by name.
    named: usize,
    /// Time of the last message to it.
    heard: Time,
    heartbeat: bool,
    /// Time at which it last sent a request or had a subscription.
    touched: Time,
    /// Exempt from the idle timeout.
    held: bool,
    /// Its idle timeout is over: the next pull ends the stream.
    timed_out: bool,
    /// It must leave soon or now: the next pull has to look at its departure.
    departs: bool,
    /// It has left, and its slots are to be swept.
    leaving: bool,
    quotas: StreamQuotas,
    sent: Sent,
}

impl Hub {
    /// A hub without subscribers. A subscriber names its wire format by its place in `formats`; `quota` counts the
    /// subscriptions of all hubs of the server.
    pub fn new(limits: Limits, formats: Vec<Box<dyn WireFormat>>, quota: Arc<Quota>) -> Self {
        debug_assert!(formats.len() <= MAX_FORMATS);
        let state = State {
            limits,
            quotes: formats.iter().map(|format| format.quotes()).collect(),
            pages: vec![Vec::new(); formats.len()],
            formats,
            longest_page: 0,
            flush: 0,
            now: Time::default(),
            by_symbol: HashMap::new(),
            ids: Ids::default(),
            watched: Vec::new(),
            published: Vec::new(),
            subscribers: Vec::new(),
            free_subscribers: FreeList::default(),
            joined: 0,
            leaving: VecDeque::new(),
            discarded: VecDeque::new(),
            idle: BTreeSet::new(),
            beat_from: 0,
            deferred: BTreeSet::new(),
            quota,
            departures: Departures::default(),
            counters: Arc::default(),
            cached: CandleCache::default(),
        };
        Self { state: Mutex::new(state), changed: Notify::new(), left: Notify::new() }
    }

    /// The same hub with a cache for the figures of quotes.
    #[must_use]
    pub fn with_cache(self, cached: CandleCache) -> Self {
        self.lock().cached = cached;
        self
    }

    /// The quota of all subscriptions of the server.
    pub fn quota(&self) -> Arc<Quota> {
        self.lock().quota.clone()
    }

    /// What its subscribers were sent.
    pub fn counters(&self) -> Arc<Counters> {
        self.lock().counters.clone()
    }

    /// Waits until [`Self::tell`], [`Self::beat`], [`Self::depart`] or [`Self::wake_deferred`] must be called earlier than planned.
    /// Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Reports at most `most` changes of the set of watched instruments, in order. True when there are more.
    pub fn tell(&self, most: usize, mut hear: impl FnMut(WatchChange)) -> bool {
        let state = &mut *self.lock();
        for _ in 0..most {
            match state.next_change() {
                Some(IdChange::Watched(id)) => {
                    if let Some(watched) = &state.watched[id as usize] {
                        // None of its ticks was published yet.
                        let from = watched
                            .latest
                            .map_or_else(|| watched.series.first(), |tick| tick.sequence.next());
                        hear(WatchChange::Watch { id, series: watched.series.clone(), from });
                    }
                }
                Some(IdChange::Free(id)) => hear(WatchChange::Unwatch { id }),
                Some(IdChange::Nothing) => {}
                None => return false,
            }
        }
        state.ids.has_changes()
    }

    /// Signals at most `most` interests whose minimum interval is over. Returns the end of the next minimum interval.
    /// When that is in the past, there are more to signal: call it again.
    pub fn wake_deferred(&self, most: usize) -> Option<Time> {
        self.lock().wake_deferred(most)
    }

    /// Waits until a subscriber has left and [`Self::sweep`] has something to do. Cancel safe.
    pub async fn left(&self) {
        self.left.notified().await;
    }

    /// Whether [`Self::sweep`] has something to do.
    pub fn has_leaving(&self) -> bool {
        self.lock().has_leaving()
    }

    /// Removes at most `most` subscriptions of subscribers that have left, or that many parts of what is discarded. True
    /// when there are more.
    pub fn sweep(&self, most: usize) -> bool {
        self.lock().sweep(most)
    }

    /// Leaves it to [`Self::sweep`] to free something large.
    pub fn discard(&self, large: Box<dyn Discard>) {
        self.lock().discarded.push_back(large);
        self.left.notify_one();
    }

    /// Begins a flush; see [`Flush`].
    pub fn begin_flush(&self) -> Flush<'_> {
        Flush::new(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, the streams of other clients go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Wakes the subscriber unless it is awake.
    fn signal(&mut self) {
        if !self.signalled {
            self.signalled = true;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }

    fn mark(&mut self, slot: u32) {
        self.dirty.set(slot);
        self.signal();
    }
}

impl Watcher {
    const MUTED: u32 = 1 << 31;

    fn is_muted(self) -> bool {
        self.slot & Self::MUTED != 0
    }

    fn number(self) -> u32 {
        self.slot & !Self::MUTED
    }

    fn mute(&mut self) {
        self.slot |= Self::MUTED;
    }

    fn unmute(&mut self) {
        self.slot &= !Self::MUTED;
    }
}

#[cfg(test)]
mod tests;
