//! Who watches what, and what each one still lacks.
//!
//! Signals are pushed and data is pulled. When a tick is published the hub encodes it once per wire format and marks
//! the subscriptions that it concerns; a subscriber whose transport has room pulls the bytes of what it lacks. A
//! subscriber that is slow therefore has no queue: it only has marks, and what it missed is still on the tape.
//!
//! There is one hub per worker thread, and it serves the streams of that thread alone, so its lock is never
//! contended.

mod dirty;
mod figures;
mod flush;
mod format;
mod interest;
mod pull;
mod subscriber;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use flush::Flush;
pub use format::{Mark, Quote, WireFormat};
pub use interest::{Delivery, Interest, Start};
pub use subscriber::{Pulled, Subscribed, Subscriber};

use crate::{
    tape::{Instrument, Series},
    tick::{Sequence, Symbol, Tick, Time},
};
use dirty::Dirty;
use figures::Figures;
use interest::{Slot, Terms};

/// How many wire formats a hub may serve.
pub const MAX_FORMATS: usize = 3;

/// What a hub needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A reader of every tick that is further behind than this gets a gap.
    pub max_lag: Duration,
    /// A stream on which nothing was sent for so long gets a heartbeat.
    pub heartbeat_interval: Duration,
}

/// The subscribers of one worker thread.
pub struct Hub {
    state: Mutex<State>,
    /// Told when an instrument becomes watched.
    watched: Notify,
}

/// What the pacer has to learn, in order.
pub enum Change {
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
    /// The number of the last flush.
    flush: u64,
    /// The time up to which ticks were published.
    now: Time,
    by_symbol: HashMap<Symbol, u32>,
    watched: Vec<Option<Watched>>,
    /// By number, beside `watched`: what a pull looks at, kept small.
    published: Vec<Published>,
    free_watched: Vec<u32>,
    subscribers: Vec<Option<Entry>>,
    free_subscribers: Vec<u32>,
    /// Who waits for a minimum interval to pass: until when, which subscriber, which slot.
    deferred: BTreeSet<(Time, u32, u32)>,
    changes: Vec<Change>,
    closed: bool,
}

/// An instrument that somebody watches.
struct Watched {
    instrument: Arc<Instrument>,
    series: Arc<dyn Series>,
    /// The newest tick that was published; `None` before the first one of all.
    latest: Option<Tick>,
    /// While somebody reads quotes: the figures of the day, up to the newest tick or on the way there.
    figures: Option<Figures>,
    watchers: Vec<Watcher>,
    /// How many of the watchers read each format.
    readers: [u32; MAX_FORMATS],
}

/// One interest in a watched instrument.
#[derive(Clone, Copy)]
struct Watcher {
    subscriber: u32,
    slot: u32,
    /// It waits for its minimum interval to pass and wants no signal.
    muted: bool,
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
    /// It was woken, or needs no waking, since it has not pulled everything yet.
    signalled: bool,
    dirty: Dirty,
    slots: Vec<Slot>,
    /// By slot.
    terms: Vec<Terms>,
    free_slots: Vec<u32>,
    by_watched: HashMap<u32, u32>,
    /// How many slots were asked for by name.
    named: usize,
    /// When something was last sent to it.
    heard: Time,
    heartbeat: bool,
}

impl Hub {
    /// A hub without subscribers. A subscriber names its wire format by its place in `formats`.
    pub fn new(limits: Limits, formats: Vec<Box<dyn WireFormat>>) -> Self {
        debug_assert!(formats.len() <= MAX_FORMATS);
        let state = State {
            limits,
            quotes: formats.iter().map(|format| format.quotes()).collect(),
            pages: vec![Vec::new(); formats.len()],
            formats,
            flush: 0,
            now: Time::default(),
            by_symbol: HashMap::new(),
            watched: Vec::new(),
            published: Vec::new(),
            free_watched: Vec::new(),
            subscribers: Vec::new(),
            free_subscribers: Vec::new(),
            deferred: BTreeSet::new(),
            changes: Vec::new(),
            closed: false,
        };
        Self { state: Mutex::new(state), watched: Notify::new() }
    }

    /// How long a stream may be silent before it gets a heartbeat.
    pub fn heartbeat_interval(&self) -> Duration {
        self.lock().limits.heartbeat_interval
    }

    /// Waits until an instrument becomes watched that was not. Cancel safe.
    pub async fn changed(&self) {
        self.watched.notified().await;
    }

    /// Begins a flush; see [`Flush`].
    pub fn begin_flush(&self) -> Flush<'_> {
        Flush::new(self.lock())
    }

    /// Signals a heartbeat to every subscriber to whom nothing was sent for the heartbeat interval.
    pub fn beat(&self, now: Time) {
        let state = &mut *self.lock();
        state.now = state.now.max(now);
        for entry in state.subscribers.iter_mut().flatten() {
            if entry.heard + state.limits.heartbeat_interval <= now {
                entry.heartbeat = true;
                entry.signal();
            }
        }
    }

    /// Ends every stream: from now on each pull says [`Pulled::Closed`].
    pub fn close(&self) {
        let state = &mut *self.lock();
        state.closed = true;
        for entry in state.subscribers.iter_mut().flatten() {
            entry.signal();
        }
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

#[cfg(test)]
mod tests;
