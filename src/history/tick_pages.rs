//! The ticks that have taken place, in pages.

use std::{ops::Range, sync::Arc};

use crate::{
    tape::Series,
    tick::{Sequence, Tick, Time},
};

/// The ticks of one instrument that have taken place by some time. No other is ever read.
pub struct PastTicks {
    pub(super) series: Arc<dyn Series>,
    pub(super) ticks: Range<Sequence>,
}

/// In which order to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they took place.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// Some ticks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickPage {
    /// The ticks, in the order asked for.
    pub ticks: Vec<Tick>,
    /// The tick that follows in that order, if the range has more.
    pub next: Option<Sequence>,
}

impl PastTicks {
    /// What has taken place at or before `now`.
    pub fn new(series: Arc<dyn Series>, now: Time) -> Self {
        let first = series.first();
        let end = series.sequence_at(now).map_or(first, Sequence::next);
        Self { series, ticks: first..end }
    }

    /// The sequences of the ticks of a range of times, and of those that are yet to come.
    pub fn sequences(&self, times: Range<Time>) -> Range<Sequence> {
        self.series.sequence_from(times.start)..self.series.sequence_from(times.end)
    }

    /// A page of at most so many ticks of a range, of which those that have not taken place are left out.
    pub fn page(&self, range: Range<Sequence>, order: Order, most: usize) -> TickPage {
        let Range { start, end } = self.within(range);
        let left = end.0 - start.0;
        let count = left.min(most as u64);
        let first = match order {
            Order::OldestFirst => start.0,
            Order::NewestFirst => end.0 - count,
        };
        let mut cursor = self.series.cursor(Sequence(first));
        let read = |_| {
            let tick = cursor.tick();
            cursor.advance();
            tick
        };
        let mut ticks: Vec<_> = (0..count).map(read).collect();
        let next = match order {
            Order::OldestFirst => first + count,
            Order::NewestFirst => {
                ticks.reverse();
                // With more left below there is one.
                first.saturating_sub(1)
            }
        };
        TickPage { ticks, next: (left > count).then_some(Sequence(next)) }
    }

    /// The part of a range that has taken place; where there is none, an empty range.
    pub(super) fn within(&self, range: Range<Sequence>) -> Range<Sequence> {
        let start = range.start.max(self.ticks.start);
        start..range.end.min(self.ticks.end).max(start)
    }
}
