//! Follows the trading day of one instrument, in steps of a bounded number of ticks.

use std::sync::Arc;

use super::{candle::CandleInterval, day::Day};
use crate::{
    tape::{Cursor, Series, TradingDays},
    tick::{Sequence, Time},
};

/// The figures of the day as of one tick. [`DayFold::reach`] moves to later ticks.
///
/// A fold keeps a checkpoint of the figures every 4,096 ticks, at most 512 per day. When there would be more, it drops every
/// second one and doubles the spacing. The checkpoints take at most 40 KiB, and half of that after a day at 100 ms.
pub struct DayFold {
    series: Arc<dyn Series>,
    days: TradingDays,
    /// At the last tick that was added.
    cursor: Box<dyn Cursor>,
    now: DayAfterTick,
    checkpoints: Checkpoints,
}

/// The figures after a tick.
#[derive(Clone, Copy)]
struct DayAfterTick {
    sequence: Sequence,
    day: Day,
}

/// The figures after ticks of one day at equal distances, from the tick at which the fold began.
struct Checkpoints {
    kept: Vec<DayAfterTick>,
    /// Number of ticks from one checkpoint to the next.
    spacing: u64,
    next: Sequence,
}

impl DayFold {
    /// Whether the day that contains a time has at most as many ticks as a candle may have, so that all can be added.
    pub fn is_feasible(series: &dyn Series, days: &TradingDays, time: Time) -> bool {
        let day = days.day_of(time);
        let (first, end) = (series.sequence_from(day.start), series.sequence_from(day.end));
        end.0.saturating_sub(first.0) <= CandleInterval::MOST_TICKS
    }

    /// Begins with the first available tick of the day of the tick `upto`.
    pub fn new(series: Arc<dyn Series>, days: TradingDays, upto: Sequence) -> Self {
        let first = series.sequence_from(days.day_of(series.tick(upto).time).start);
        let before = first.0.checked_sub(1).filter(|_| first > series.first());
        let close = before.map(|before| series.tick(Sequence(before)).price);
        let open = series.tick(first);
        let day = Day::open(&open, close, &days);
        Self::from(series, days, DayAfterTick { sequence: open.sequence, day })
    }

    /// A fold at the last checkpoint at or before `sequence`, or at the tick of this fold if that is not after it. `None` when
    /// there is none, as for a tick of an earlier day.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> Option<Self> {
        let figures = match self.now.sequence <= sequence {
            true => self.now,
            false => self.checkpoints.newest_at(sequence)?,
        };
        Some(Self::from(self.series.clone(), self.days.clone(), figures))
    }

    /// Adds the ticks up to `upto`, at most `most` of them. True when all of them are added. A fold does not go back: when it
    /// is past `upto`, its figures are those of a later tick.
    pub(super) fn advance(&mut self, upto: Sequence, most: usize) -> bool {
        let upto = upto.min(self.series.last());
        if self.left_until(upto) > most as u64 {
            self.skip_to_the_day_of(upto);
        }
        for _ in 0..self.left_until(upto).min(most as u64) {
            self.take_next();
        }
        self.now.sequence >= upto
    }

    /// The figures after `upto`. Adds at most `left` ticks and subtracts their number from `left`; `None` when more are
    /// needed.
    pub fn reach(&mut self, upto: Sequence, left: &mut usize) -> Option<Day> {
        let before = self.sequence();
        let there = self.advance(upto, *left);
        *left = left.saturating_sub(self.sequence().0.saturating_sub(before.0) as usize);
        there.then_some(self.now.day)
    }

    /// The figures after the last tick that was added.
    #[cfg(test)]
    pub(super) fn day(&self) -> &Day {
        &self.now.day
    }

    /// The last tick that was added.
    pub fn sequence(&self) -> Sequence {
        self.now.sequence
    }

    #[cfg(test)]
    pub(super) fn remembered_bytes(&self) -> usize {
        self.checkpoints.kept.capacity() * size_of::<DayAfterTick>()
    }

    fn from(series: Arc<dyn Series>, days: TradingDays, now: DayAfterTick) -> Self {
        let cursor = series.cursor(now.sequence);
        Self { series, days, cursor, now, checkpoints: Checkpoints::beginning(now) }
    }

    fn left_until(&self, upto: Sequence) -> u64 {
        upto.0.saturating_sub(self.now.sequence.0)
    }

    /// The first tick of a later day is found without reading those before it.
    fn skip_to_the_day_of(&mut self, upto: Sequence) {
        if self.now.day.is_over_at(self.series.tick(upto).time, &self.days) {
            *self = Self::new(self.series.clone(), self.days.clone(), upto);
        }
    }

    fn take_next(&mut self) {
        self.cursor.advance();
        let tick = self.cursor.tick();
        let day = self.now.day.start;
        self.now.day.take(&tick, &self.days);
        self.now.sequence = tick.sequence;
        if self.now.day.start > day {
            self.checkpoints = Checkpoints::beginning(self.now);
        } else if self.now.sequence == self.checkpoints.next {
            self.checkpoints.keep(self.now);
        }
    }
}

impl Checkpoints {
    const SPACING: u64 = 4_096;
    const MOST: usize = 512;

    fn beginning(first: DayAfterTick) -> Self {
        let next = Sequence(first.sequence.0.saturating_add(Self::SPACING));
        Self { kept: vec![first], spacing: Self::SPACING, next }
    }

    fn keep(&mut self, figures: DayAfterTick) {
        if self.kept.len() == Self::MOST {
            let mut at = 0;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.spacing *= 2;
        }
        self.kept.push(figures);
        self.next = Sequence(figures.sequence.0.saturating_add(self.spacing));
    }

    fn newest_at(&self, sequence: Sequence) -> Option<DayAfterTick> {
        let after = self.kept.partition_point(|figures| figures.sequence <= sequence);
        self.kept.get(after.checked_sub(1)?).copied()
    }
}
