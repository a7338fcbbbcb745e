//! The next ticks of one instrument, read before they are due.

use std::{hint::black_box, task::Waker};

use crate::{tape::Cursor, tick::Tick};

/// Largest number of ticks that are read together.
///
/// Between two flushes the state of a cursor leaves the processor's caches. Loading it takes as long as computing several ticks, and
/// in memory the ticks that were read are beside those of other instruments.
const MOST: usize = 12;

/// A cursor, and ticks that it has read. On a growing tape they stay, also if they leave its window.
///
/// The fields are in the order of their use: handing out a tick reads the first cache line and the cache line of the tick.
#[repr(C, align(64))]
pub(super) struct Ahead {
    /// The place of the current tick.
    at: u32,
    /// Number of ticks that were read together.
    count: u32,
    end: End,
    /// As [`Self::waits`] says.
    waits: bool,
    /// At the last tick that was read.
    cursor: Box<dyn Cursor>,
    ticks: [Tick; MOST],
}

/// What is known of the ticks after those that were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// There may be some.
    Unknown,
    /// There were none.
    Reached,
    /// There were none, and the pacer is woken when there are.
    Wakes,
}

impl Ahead {
    /// Begins with the tick under the cursor.
    pub(super) fn new(cursor: Box<dyn Cursor>) -> Self {
        Self { at: 0, count: 1, end: End::Unknown, waits: false, ticks: [cursor.tick(); MOST], cursor }
    }

    /// The current tick.
    pub(super) fn tick(&self) -> &Tick {
        &self.ticks[self.at as usize]
    }

    /// Moves to the next tick. If there is none so far, nothing moves, and [`Self::waits`] is true.
    pub(super) fn advance(&mut self) {
        if self.at + 1 < self.count {
            self.at += 1;
            return;
        }
        self.waits = self.end == End::Wakes || !self.read();
    }

    /// Whether the last call of [`Self::advance`] found no later tick.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Reads the current tick and the next one from memory.
    pub(super) fn read_ticks_ahead(&self) {
        let next = self.ticks.get(self.at as usize + 1);
        black_box((self.tick().time, next.map(|next| next.time)));
    }

    /// Reads from memory what the next read of ticks needs.
    pub(super) fn read_cursor_ahead(&self) {
        self.cursor.read_ahead();
    }

    /// Whether no tick is known after those that were read, and nobody will be woken when there is one.
    pub(super) fn needs_waker(&self) -> bool {
        self.end == End::Reached
    }

    /// Wakes `waker` as [`Cursor::wake_on_arrival`] does.
    pub(super) fn wake_on_arrival(&mut self, waker: &Waker) {
        self.cursor.wake_on_arrival(waker);
        self.end = End::Wakes;
    }

    /// Notes that the waker was woken.
    pub(super) fn note_arrival(&mut self) {
        self.end = End::Unknown;
    }

    /// Reads twice as many ticks as the last time, so that many instruments which are watched together do not all read in the same
    /// flush.
    fn read(&mut self) -> bool {
        let mut last = *self.tick();
        let mut count = 0;
        self.end = End::Unknown;
        for place in self.ticks.iter_mut().take(2 * self.count as usize) {
            self.cursor.advance();
            let tick = self.cursor.tick();
            if tick.sequence == last.sequence {
                self.end = End::Reached;
                break;
            }
            (*place, last) = (tick, tick);
            count += 1;
        }
        if count == 0 {
            // The current tick stays in its place.
            return false;
        }
        (self.at, self.count) = (0, count);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::tick::{Price, Sequence, Time};

    /// The first and the last available sequence of a tape that grows.
    type Window = Arc<Mutex<(u64, u64)>>;

    struct WindowCursor {
        window: Window,
        at: u64,
    }

    impl Cursor for WindowCursor {
        fn tick(&self) -> Tick {
            let (time, price) = (Time::from_nanos(self.at), Price::from_nanos(1).unwrap());
            Tick { sequence: Sequence(self.at), time, price, quantity: 1 }
        }

        fn advance(&mut self) {
            let (first, last) = *self.window.lock().unwrap();
            self.at = (self.at + 1).clamp(first, last);
        }
    }

    proptest! {
        #[test]
        fn ticks_come_in_order_and_only_those_that_have_left_the_window_may_be_missing(
            steps in prop::collection::vec((0..40u64, 0..4u64, 0..30usize), 1..30),
        ) {
            let window: Window = Arc::new(Mutex::new((5, 5)));
            let mut ahead = Ahead::new(Box::new(WindowCursor { window: window.clone(), at: 5 }));
            let mut at = 5;
            for (arrived, left, advances) in steps {
                let (first, last) = {
                    let mut window = window.lock().unwrap();
                    window.1 += arrived;
                    window.0 = (window.0 + left * 10).min(window.1);
                    *window
                };
                for _ in 0..advances {
                    ahead.advance();
                    let moves = !ahead.waits();
                    prop_assert_eq!(moves, at < last);
                    let next = ahead.tick().sequence.0;
                    match moves {
                        true => prop_assert!(next == at + 1 || next > at && next <= first),
                        false => prop_assert_eq!(next, at),
                    }
                    at = next;
                }
            }
        }
    }
}
