//! Which of the watched ticks are due now.
//!
//! A pacer holds one cursor per watched instrument in a timing wheel, so that an instrument costs nothing until
//! its next tick is due, and the instruments that nobody watches cost nothing at all.

mod alarm;
mod clock;
mod wheel;

use std::{sync::Arc, time::Duration};

pub use alarm::Alarm;
pub use clock::Clock;
use wheel::Wheel;

use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Tick, Time},
};

/// Hands out due ticks, one flush interval at a time.
pub struct Pacer {
    wheel: Wheel,
    paced: Vec<Option<Paced>>,
    due: Vec<u32>,
}

/// One watched instrument.
struct Paced {
    series: Arc<dyn Series>,
    cursor: Box<dyn Cursor>,
    /// The tick under the cursor: the next one to hand out.
    next: Tick,
}

impl Pacer {
    /// How far an instrument may be behind before its missed ticks are skipped: they can be read from the tape by
    /// who wants them, so a clock that leaps ahead costs no burst.
    const MAX_BEHIND: Duration = Duration::from_secs(1);

    /// A pacer that hands out ticks at the multiples of `flush_interval` since the Unix epoch.
    pub fn new(flush_interval: Duration) -> Self {
        Self { wheel: Wheel::new(flush_interval), paced: Vec::new(), due: Vec::new() }
    }

    /// Begins to hand out the ticks of `series` from the sequence `from` on, under the number `id`.
    pub fn watch(&mut self, id: u32, series: Arc<dyn Series>, from: Sequence) {
        let cursor = series.cursor(from);
        let mut next = cursor.tick();
        if next.sequence < from {
            // The tape is over: the last tick of all was handed out before.
            next.time = Time::MAX;
        }
        let at = id as usize;
        if self.paced.len() <= at {
            self.paced.resize_with(at + 1, || None);
        }
        self.paced[at] = Some(Paced { series, cursor, next });
        self.wheel.insert(id, next.time);
    }

    /// Ends it.
    pub fn unwatch(&mut self, id: u32) {
        if self.paced.get_mut(id as usize).and_then(Option::take).is_some() {
            self.wheel.remove(id);
        }
    }

    /// Hands out every tick that took place up to the last multiple of the flush interval before `now`, and returns
    /// that time. The ticks of one instrument come together and in order.
    pub fn advance(&mut self, now: Time, mut tick: impl FnMut(u32, &Tick)) -> Time {
        let boundary = self.wheel.advance(now, &mut self.due);
        // In the order of their numbers, which is the order in which they lie in memory, here and in every page.
        self.due.sort_unstable();
        for id in self.due.drain(..) {
            let Some(paced) = self.paced.get_mut(id as usize).and_then(Option::as_mut) else { continue };
            paced.skip_missed(boundary);
            while paced.next.time <= boundary {
                tick(id, &paced.next);
                paced.cursor.advance();
                let handed_out = paced.next.sequence;
                paced.next = paced.cursor.tick();
                if paced.next.sequence == handed_out {
                    // It was the last tick of all.
                    paced.next.time = Time::MAX;
                }
            }
            self.wheel.insert(id, paced.next.time);
        }
        boundary
    }

    /// When [`advance`](Self::advance) has something to do again; `None` when nothing is watched.
    pub fn next_due(&self) -> Option<Time> {
        self.wheel.next_due()
    }
}

impl Paced {
    fn skip_missed(&mut self, now: Time) {
        let behind = now.nanos().saturating_sub(self.next.time.nanos());
        if u128::from(behind) <= Pacer::MAX_BEHIND.as_nanos() {
            return;
        }
        if let Some(newest) = self.series.sequence_at(now).filter(|newest| *newest > self.next.sequence) {
            self.cursor = self.series.cursor(newest);
            self.next = self.cursor.tick();
        }
    }
}
