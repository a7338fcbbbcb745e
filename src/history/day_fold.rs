//! Follows the trading day of one instrument, in pieces that hold up nobody.

use std::{sync::Arc, time::Duration};

use super::{candle::CandleInterval, day::Day};
use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Time},
};

/// The figures of the day as of one tick, which moves on with [`DayFold::reach`].
///
/// A fold remembers the figures every 4,096 ticks, 512 times a day at most: when there would be more it forgets every
/// other one and goes on twice as far apart. They take at most 36 KiB, and half of that after a day at 100 ms.
pub struct DayFold {
    series: Arc<dyn Series>,
    day_start: Duration,
    /// Stands at the last tick that was taken in.
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

/// DayAfterTick of one day, evenly spaced, from where its fold began.
struct Checkpoints {
    kept: Vec<DayAfterTick>,
    /// How many ticks they are apart.
    spacing: u64,
    next: Sequence,
}

impl DayFold {
    /// Whether the day that holds a time has few enough ticks to take them all in, at most as many as a candle may have.
    pub fn is_feasible(series: &dyn Series, day_start: Duration, time: Time) -> bool {
        let start = Day::start_of(time, day_start);
        let (first, end) = (series.sequence_from(start), series.sequence_from(start + Day::LENGTH));
        end.0.saturating_sub(first.0) <= CandleInterval::MOST_TICKS
    }

    /// Begins with the first tick of the day that holds the tick `upto`; days begin so long after 00:00 UTC.
    pub fn new(series: Arc<dyn Series>, day_start: Duration, upto: Sequence) -> Self {
        let first = series.sequence_from(Day::start_of(series.tick(upto).time, day_start));
        let before = first.0.checked_sub(1).filter(|_| first > series.first());
        let close = before.map(|before| series.tick(Sequence(before)).price);
        let day = Day::open(&series.tick(first), close, day_start);
        Self::from(series, day_start, DayAfterTick { sequence: first, day })
    }

    /// A fold that has yet to reach a tick which this one may have passed. It stands at the last tick up to there whose
    /// figures are remembered; `None` when none are, as of a day before.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> Option<Self> {
        let figures = match self.now.sequence <= sequence {
            true => self.now,
            false => self.checkpoints.newest_at(sequence)?,
        };
        Some(Self::from(self.series.clone(), self.day_start, figures))
    }

    /// Takes in the ticks up to `upto`, at most so many of them. True when the figures are those after `upto`, which
    /// they never are when it is earlier than [`Self::sequence`]: a fold does not go back.
    pub(super) fn advance(&mut self, upto: Sequence, most: usize) -> bool {
        let upto = upto.min(self.series.last());
        if self.left_until(upto) > most as u64 {
            self.skip_to_the_day_of(upto);
        }
        for _ in 0..self.left_until(upto).min(most as u64) {
            self.take_next();
        }
        self.now.sequence == upto
    }

    /// The figures after `upto`, for which at most `left` ticks are taken in, and counted off; `None` when that was too
    /// few.
    pub fn reach(&mut self, upto: Sequence, left: &mut usize) -> Option<Day> {
        let before = self.sequence();
        let there = self.advance(upto, *left);
        *left = left.saturating_sub(self.sequence().0.saturating_sub(before.0) as usize);
        there.then_some(self.now.day)
    }

    /// The figures after the last tick that was taken in.
    #[cfg(test)]
    pub(super) fn day(&self) -> &Day {
        &self.now.day
    }

    /// The last tick that was taken in.
    pub fn sequence(&self) -> Sequence {
        self.now.sequence
    }

    #[cfg(test)]
    pub(super) fn remembered_bytes(&self) -> usize {
        self.checkpoints.kept.capacity() * size_of::<DayAfterTick>()
    }

    fn from(series: Arc<dyn Series>, day_start: Duration, now: DayAfterTick) -> Self {
        let cursor = series.cursor(now.sequence);
        Self { series, day_start, cursor, now, checkpoints: Checkpoints::beginning(now) }
    }

    fn left_until(&self, upto: Sequence) -> u64 {
        upto.0.saturating_sub(self.now.sequence.0)
    }

    /// The first tick of a later day is found without reading those before it.
    fn skip_to_the_day_of(&mut self, upto: Sequence) {
        if Day::start_of(self.series.tick(upto).time, self.day_start) > self.now.day.start {
            *self = Self::new(self.series.clone(), self.day_start, upto);
        }
    }

    fn take_next(&mut self) {
        self.cursor.advance();
        let tick = self.cursor.tick();
        let day = self.now.day.start;
        self.now.day.take(&tick, self.day_start);
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
