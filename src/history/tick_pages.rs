//! Past ticks, in pages.

use std::{ops::Range, sync::Arc};

use super::candle_cache::CachedCandles;
use crate::{
    tape::Series,
    tick::{Sequence, Tick, Time},
};

/// The available ticks of one instrument that have taken place by some time.
pub struct PastTicks {
    pub(super) series: Arc<dyn Series>,
    pub(super) ticks: Range<Sequence>,
    pub(super) cached: CachedCandles,
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of their sequences.
    OldestFirst,
    /// In the reverse order.
    NewestFirst,
}

/// A page of the ticks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickPage {
    /// The ticks, in the order asked for.
    pub ticks: Vec<Tick>,
    /// The first tick of the next page, if the range has more.
    pub next: Option<Sequence>,
}

impl PastTicks {
    /// The ticks that have taken place at or before `now`.
    pub fn new(series: Arc<dyn Series>, now: Time) -> Self {
        let first = series.first();
        let end = series.sequence_at(now).map_or(first, Sequence::next);
        Self { series, ticks: first..end, cached: CachedCandles::default() }
    }

    /// Takes candles from a cache of this series, and adds those that it makes.
    #[must_use]
    pub fn with_cache(self, cached: CachedCandles) -> Self {
        Self { cached, ..self }
    }

    /// The sequences of the ticks.
    pub fn available(&self) -> Range<Sequence> {
        self.ticks.clone()
    }

    /// The sequence of the first available tick at or after a time, also if it has not taken place.
    pub fn sequence_from(&self, time: Time) -> Sequence {
        self.series.sequence_from(time)
    }

    /// A page of at most `most` ticks of a range. Ticks that have not taken place, or are not available any more, are left
    /// out.
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
        // Later ticks come when the window of a growing tape has moved past the first ones.
        let is_of_page = |tick: &Tick| tick.sequence.0 < first + count;
        let mut ticks = Vec::with_capacity(count as usize);
        ticks.extend((0..count).map(read).take_while(is_of_page));
        let next = match order {
            Order::OldestFirst => first + count,
            Order::NewestFirst => {
                ticks.reverse();
                // Zero only when the page is the last one, which has no next tick.
                first.saturating_sub(1)
            }
        };
        TickPage { ticks, next: (left > count).then_some(Sequence(next)) }
    }

    /// The part of a range that has taken place; an empty range when there is none.
    pub(super) fn within(&self, range: Range<Sequence>) -> Range<Sequence> {
        let start = range.start.max(self.ticks.start);
        start..range.end.min(self.ticks.end).max(start)
    }
}
