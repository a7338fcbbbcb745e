//! The window of a symbol as a series.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
};

use super::{
    WindowSize,
    segment::{LEN, Segment},
    window::Window,
};
use crate::{
    tape::{Cursor, Instrument, Series, TopOfBook},
    tick::{Sequence, Tick, Time},
};

/// The ticks of one symbol of a feed. Clones are the same series.
#[derive(Clone)]
pub struct FeedSeries(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The sequence of the oldest available tick. It changes under the lock of `state`.
    first: AtomicU64,
}

struct State {
    window: Window,
    /// The cursors that have waited for a tick. There are few: one for each worker.
    waiters: Vec<Waiter>,
    /// Number of waiters so far.
    numbers: u64,
}

/// A cursor that waits for a tick, or has waited for one.
struct Waiter {
    number: u64,
    waker: Waker,
    waits: bool,
}

struct FeedCursor {
    series: FeedSeries,
    tick: Tick,
    book: Option<TopOfBook>,
    /// The segment of the tick, unless it is one of the newest.
    segment: Option<Arc<Segment>>,
    /// Its number as a waiter, once it has waited.
    number: Option<u64>,
}

impl FeedSeries {
    /// Most bytes of the newest ticks, which are not in full segments.
    pub(super) const MOST_BYTES_OF_NEWEST: usize = Window::MOST_BYTES_OF_NEWEST;

    /// A series of one tick. `number` tells it from other series, so that they do not all fill a segment at the same time.
    pub(super) fn new(first: Tick, book: Option<TopOfBook>, number: usize) -> Self {
        // Without a common divisor with the length, so that all lengths come.
        const APART: usize = 79;
        let first_len = LEN - number.wrapping_mul(APART) % LEN;
        let state = State { window: Window::new(first, book, first_len), waiters: Vec::new(), numbers: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), first: AtomicU64::new(first.sequence.0) }))
    }

    /// A series of one tick at the reference price.
    pub(super) fn of_no_instrument(instrument: &Instrument) -> Self {
        let (sequence, time) = (Sequence(1), Time::default());
        Self::new(Tick { sequence, time, price: instrument.reference_price, quantity: 0 }, None, 0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a tick, and wakes the cursors that wait for it. Returns the bytes of the segment that has become full before it.
    pub(super) fn append(&self, tick: Tick, book: Option<TopOfBook>) -> Option<usize> {
        let state = &mut *self.lock();
        for waiter in &mut state.waiters {
            if std::mem::take(&mut waiter.waits) {
                waiter.waker.wake_by_ref();
            }
        }
        state.window.append(tick, book)
    }

    /// Reads from memory what appending reads.
    pub(super) fn read_ahead(&self) {
        black_box(self.0.first.load(Relaxed));
    }

    /// When its oldest full segment ended; the last time there is when it has none.
    pub(super) fn oldest_group_ended(&self) -> Time {
        self.lock().window.oldest().map_or(Time::MAX, Segment::end)
    }

    /// Lets its oldest full segment leave the window. Returns what has left.
    pub(super) fn drop_oldest_group(&self) -> WindowSize {
        let state = &mut *self.lock();
        let oldest = state.window.drop_oldest();
        self.0.first.store(state.window.first().0, Relaxed);
        oldest.map_or(WindowSize::default(), |oldest| WindowSize {
            ticks: oldest.len() as u64,
            bytes: oldest.bytes(),
        })
    }
}

impl Series for FeedSeries {
    fn first(&self) -> Sequence {
        self.lock().window.first()
    }

    fn last(&self) -> Sequence {
        self.lock().window.last().sequence
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        self.lock().window.sequence_at(time)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.lock().window.get(sequence).0
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let (tick, book) = self.lock().window.get(from);
        Box::new(FeedCursor { series: self.clone(), tick, book, segment: None, number: None })
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        let (found, book) = self.lock().window.get(tick.sequence);
        book.filter(|_| found.sequence == tick.sequence)
    }
}

impl FeedCursor {
    /// Moves within the segment that it holds. False when the next tick is not there, or has left the window.
    fn advance_in_segment(&mut self, next: Sequence) -> bool {
        let is_available = next.0 >= self.series.0.first.load(Relaxed);
        let in_segment = self.segment.as_ref().filter(|_| is_available).and_then(|segment| segment.get(next));
        if let Some(found) = in_segment {
            (self.tick, self.book) = found;
        }
        in_segment.is_some()
    }
}

impl Cursor for FeedCursor {
    fn tick(&self) -> Tick {
        self.tick
    }

    fn advance(&mut self) {
        let next = self.tick.sequence.next();
        if self.advance_in_segment(next) {
            return;
        }
        let state = &*self.series.lock();
        let last = state.window.last().sequence;
        if last < next {
            return;
        }
        (self.tick, self.book) = state.window.get(next);
        // The newest tick is in no segment: the usual case, and nothing further away has to be read.
        self.segment = if last == next { None } else { state.window.segment(next).cloned() };
    }

    fn read_ahead(&self) {
        self.series.read_ahead();
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.book
    }

    fn wake_on_arrival(&mut self, waker: &Waker) {
        let state = &mut *self.series.lock();
        let waits = state.window.last().sequence <= self.tick.sequence;
        if !waits {
            waker.wake_by_ref();
        }
        let known =
            self.number.and_then(|number| state.waiters.iter_mut().find(|waiter| waiter.number == number));
        match known {
            Some(waiter) => {
                waiter.waits = waits;
                waiter.waker.clone_from(waker);
            }
            None => {
                state.numbers += 1;
                self.number = Some(state.numbers);
                state.waiters.push(Waiter { number: state.numbers, waker: waker.clone(), waits });
            }
        }
    }
}

impl Drop for FeedCursor {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.series.lock().waiters.retain(|waiter| waiter.number != number);
        }
    }
}
