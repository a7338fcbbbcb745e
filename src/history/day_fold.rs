//! Follows the trading day of one instrument, in steps of a bounded number of ticks.

use std::sync::Arc;

use super::{
    candle::{Candle, CandleInterval},
    candle_cache::CachedCandles,
    day::Day,
};
use crate::{
    tape::{Cursor, Series, TopOfBook, TradingDay, TradingDays},
    tick::{Sequence, Tick, Time},
};

/// The figures of the day as of one tick. [`DayFold::reach`] moves to later ticks.
///
/// A fold keeps a checkpoint of the figures every 4,096 ticks, at most 512 per day. When there would be more, it drops every
/// second one and doubles the spacing. The checkpoints take at most 40 KiB, and half of that after a day at 100 ms.
///
/// Hours whose candle is cached are added without reading their ticks, and an hour that was read to its end is cached.
pub struct DayFold {
    series: Arc<dyn Series>,
    cached: CachedCandles,
    days: TradingDays,
    /// At the last tick that was added.
    cursor: Box<dyn Cursor>,
    now: DayAfterTick,
    /// The ticks of this hour so far, if all of them were added.
    hour: Option<Candle>,
    /// When this hour or this day ends, whichever is first.
    boundary: Time,
    checkpoints: Checkpoints,
}

/// The figures after a tick.
#[derive(Clone, Copy)]
struct DayAfterTick {
    sequence: Sequence,
    day: Day,
}

/// The figures after ticks of one day, from the tick at which the fold began.
struct Checkpoints {
    kept: Vec<DayAfterTick>,
    /// Number of ticks from one checkpoint to the next, or a few more.
    spacing: u64,
    next: Sequence,
}

impl DayFold {
    /// Cost of adding a cached hour, in ticks read.
    const COST_OF_HOUR: usize = 16;

    /// Whether the day that contains a time has at most as many ticks as a candle may have, so that all can be added.
    pub fn is_feasible(series: &dyn Series, days: &TradingDays, time: Time) -> bool {
        let day = days.day_of(time);
        let (first, end) = (series.sequence_from(day.start), series.sequence_from(day.end));
        end.0.saturating_sub(first.0) <= CandleInterval::MOST_TICKS
    }

    /// Begins with the first available tick of the day of the tick `upto`, or with its first hour if that is cached.
    pub fn new(series: Arc<dyn Series>, days: TradingDays, upto: Sequence, cached: CachedCandles) -> Self {
        let first = series.sequence_from(days.day_of(series.tick(upto).time).start);
        let before = first.0.checked_sub(1).filter(|_| first > series.first());
        let close = before.map(|before| series.tick(Sequence(before)).price);
        let open = series.tick(first);
        let day = days.day_of(open.time);
        let begins_hour = series.sequence_from(CandleInterval::HOUR.open_time(open.time)) == open.sequence;
        let now = DayAfterTick { sequence: open.sequence, day: Day::open(&open, close, &days) };
        let mut fold = Self::from(series, days, now, cached);
        let added = fold.enter(&open, day, begins_hour, upto);
        fold.now.sequence = last_of(&open, &added);
        fold.now.day = Day::of(day, &added, close);
        fold.checkpoints = Checkpoints::beginning(fold.now);
        fold
    }

    /// A fold at the last checkpoint at or before `sequence`, or at the tick of this fold if that is not after it. `None` when
    /// there is none, as for a tick of an earlier day.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> Option<Self> {
        let figures = match self.now.sequence <= sequence {
            true => self.now,
            false => self.checkpoints.newest_at(sequence)?,
        };
        Some(Self::from(self.series.clone(), self.days.clone(), figures, self.cached.clone()))
    }

    /// Adds the ticks up to `upto` and returns the figures after it. Adds at most `left` ticks and subtracts their number from
    /// `left`; `None` when more are needed. A fold does not go back: when it is past `upto`, its figures are those of a later
    /// tick.
    pub fn reach(&mut self, upto: Sequence, left: &mut usize) -> Option<Day> {
        let upto = upto.min(self.series.last());
        if self.left_until(upto) > *left as u64 {
            self.skip_to_the_day_of(upto);
        }
        while self.now.sequence < upto && *left > 0 {
            *left = left.saturating_sub(self.take_next(upto));
        }
        (self.now.sequence >= upto).then_some(self.now.day)
    }

    /// The figures after the last tick that was added.
    #[cfg(test)]
    pub(super) fn day(&self) -> &Day {
        &self.now.day
    }

    /// The best bid and ask after the last tick that was added.
    pub fn top_of_book(&self) -> Option<TopOfBook> {
        self.cursor.top_of_book()
    }

    /// The last tick that was added.
    pub fn sequence(&self) -> Sequence {
        self.now.sequence
    }

    #[cfg(test)]
    pub(super) fn remembered_bytes(&self) -> usize {
        self.checkpoints.kept.capacity() * size_of::<DayAfterTick>()
    }

    fn from(series: Arc<dyn Series>, days: TradingDays, now: DayAfterTick, cached: CachedCandles) -> Self {
        let cursor = series.cursor(now.sequence);
        // The tick under the cursor may be one of a later day when the window of a growing tape has moved.
        let boundary = boundary_after(cursor.tick().time, now.day.end);
        Self {
            series,
            cached,
            days,
            cursor,
            now,
            hour: None,
            boundary,
            checkpoints: Checkpoints::beginning(now),
        }
    }

    fn left_until(&self, upto: Sequence) -> u64 {
        upto.0.saturating_sub(self.now.sequence.0)
    }

    /// The first tick of a later day is found without reading those before it.
    fn skip_to_the_day_of(&mut self, upto: Sequence) {
        if self.now.day.is_over_at(self.series.tick(upto).time, &self.days) {
            *self = Self::new(self.series.clone(), self.days.clone(), upto, self.cached.clone());
        }
    }

    /// Adds the next tick, or the whole hour that it begins if that is cached and ends by `upto`. Returns the cost, in
    /// ticks read.
    fn take_next(&mut self, upto: Sequence) -> usize {
        self.cursor.advance();
        let tick = self.cursor.tick();
        let start = self.now.day.start;
        let mut cost = 1;
        if tick.time < self.boundary {
            self.now.sequence = tick.sequence;
            self.now.day.add(&tick);
            if let Some(hour) = &mut self.hour {
                hour.take(&tick);
            }
        } else {
            cost = self.cross_boundary(&tick, upto);
        }
        if self.now.day.start > start {
            self.checkpoints = Checkpoints::beginning(self.now);
        } else if self.now.sequence >= self.checkpoints.next {
            self.checkpoints.keep(self.now);
        }
        cost
    }

    fn cross_boundary(&mut self, tick: &Tick, upto: Sequence) -> usize {
        let begins_hour = CandleInterval::HOUR.open_time(tick.time) >= self.boundary;
        if begins_hour && let Some(over) = self.hour.take() {
            self.cached.keep_without_waiting(CandleInterval::HOUR, &over);
        }
        let day = self.days.day_of(tick.time);
        let added = self.enter(tick, day, begins_hour, upto);
        self.now.sequence = last_of(tick, &added);
        match day.start > self.now.day.start {
            true => self.now.day = Day::of(day, &added, Some(self.now.day.last)),
            false => self.now.day.append(&added),
        }
        if added.tick_count > 1 { Self::COST_OF_HOUR } else { 1 }
    }

    /// Moves to a tick that begins an hour or a day, or to the end of the hour that it begins if that is cached. Returns what
    /// is to be added.
    fn enter(&mut self, tick: &Tick, day: TradingDay, begins_hour: bool, upto: Sequence) -> Candle {
        self.boundary = boundary_after(tick.time, day.end);
        if begins_hour && let Some(hour) = self.cached_hour(tick, day, upto) {
            self.cursor = self.series.cursor(last_of(tick, &hour));
            self.hour = None;
            return hour;
        }
        let added = Candle::open(CandleInterval::HOUR.open_time(tick.time), tick);
        match &mut self.hour {
            Some(hour) => hour.take(tick),
            none if begins_hour => *none = Some(added),
            _ => {}
        }
        added
    }

    /// The candle of the hour that begins with a tick, if it is cached, all of it belongs to the day and it has no
    /// tick after `upto`.
    fn cached_hour(&self, tick: &Tick, day: TradingDay, upto: Sequence) -> Option<Candle> {
        let hour = CandleInterval::HOUR;
        let open_time = hour.open_time(tick.time);
        let is_of_day = day.start <= open_time && hour.close_time(open_time) <= day.end;
        let candle = is_of_day.then(|| self.cached.get_without_waiting(hour, open_time))??;
        (last_of(tick, &candle) <= upto).then_some(candle)
    }
}

/// The last tick of a candle that begins with a tick.
fn last_of(first: &Tick, candle: &Candle) -> Sequence {
    Sequence(first.sequence.0.saturating_add(candle.tick_count - 1))
}

/// When the hour that contains a time ends, or its day, whichever is first.
fn boundary_after(time: Time, end_of_day: Time) -> Time {
    let hour = CandleInterval::HOUR;
    hour.close_time(hour.open_time(time)).min(end_of_day)
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
