//! Pages of candles.

use std::{ops::Range, sync::Arc};

use super::{
    candle::{Candle, CandleError, CandleInterval, CandlePage},
    candle_cache::CachedCandles,
    parts::{OpenPart, Part, Parts},
    tick_pages::PastTicks,
};
use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Time},
};

/// Makes a page of candles in steps of a bounded number of ticks. Other threads may [help](Parts::help).
///
/// Each step plans some candles, makes a part of what is planned, or both.
pub struct CandleFold {
    plan: Plan,
    parts: Arc<Parts>,
    own: Own,
    page: CandlePage,
}

/// Which candles the page has.
struct Plan {
    series: Arc<dyn Series>,
    cached: CachedCandles,
    interval: CandleInterval,
    /// The first tick that has not taken place.
    end: Sequence,
    /// The end of the times at which candles may begin.
    until: Time,
    /// Largest number of candles of the page.
    most: usize,
    /// What the rest of the page may cost, in ticks read.
    budget: u64,
    /// Largest cost of a candle. A candle of at least this many ticks is made from totals.
    largest_cost: u64,
    /// The first tick that is not planned.
    at: Sequence,
    /// The start of an interval that is before that tick, or contains it.
    open_time: Time,
    /// Number of candles.
    count: usize,
    /// The part to which candles are added.
    part: Part,
    /// Number of ticks of that part.
    ticks: u64,
    is_complete: bool,
    /// The start of the first candle of the next page.
    following: Option<Time>,
    /// The start of the last candle, if more ticks of it are to come.
    unfinished: Option<Time>,
}

/// What this thread makes itself.
#[derive(Default)]
struct Own {
    part: Option<OpenPart>,
    /// A cursor at this tick.
    cursor: Option<(Sequence, Box<dyn Cursor>)>,
}

/// The next candle of a page.
enum Planned {
    /// It is made already.
    Cached(Candle),
    /// It has these ticks.
    Ticks(Range<Sequence>),
    /// The page has no further candle.
    Nothing,
}

impl PastTicks {
    /// Largest cost of the candles of a page, in ticks read, unless the page has one candle. A cached candle costs
    /// nothing. One thread reads this many ticks in about two seconds.
    const TICKS_OF_A_PAGE: u64 = 1 << 25;

    /// The candles that begin in a range of times, at most `most` and fewer when they cost much. The first candle is
    /// the one that contains the start of the range. An interval without ticks has no candle. A candle has only the ticks that
    /// are available.
    pub fn candles(&self, interval: CandleInterval, times: Range<Time>, most: usize) -> CandleFold {
        let open_time = interval.open_time(times.start);
        let at = self.series.sequence_from(open_time);
        let plan = Plan {
            series: self.series.clone(),
            cached: self.cached.clone(),
            interval,
            // An empty range of times has no candles.
            end: if times.is_empty() { at } else { self.ticks.end },
            until: times.end,
            most,
            budget: Self::TICKS_OF_A_PAGE,
            largest_cost: Parts::largest_cost(&*self.series),
            at,
            open_time,
            count: 0,
            part: Part::default(),
            ticks: 0,
            is_complete: false,
            following: None,
            unfinished: None,
        };
        CandleFold {
            plan,
            parts: Arc::new(Parts::new(self.series.clone(), interval)),
            own: Own::default(),
            page: CandlePage::default(),
        }
    }
}

impl CandleFold {
    /// Cost of planning a candle, in ticks read: its end has to be looked up.
    const PLANNING: u64 = 8;
    /// Number of parts that wait to be made, from which on no further candles are planned.
    const AHEAD: usize = 256;

    /// What other threads may help with.
    pub fn parts(&self) -> Arc<Parts> {
        self.parts.clone()
    }

    /// Reads about `ticks` more ticks, or makes one candle from totals. Returns the page once it is complete.
    ///
    /// # Errors
    /// A candle would be made of too many ticks.
    pub fn step(&mut self, ticks: u64) -> Result<Option<CandlePage>, CandleError> {
        let mut left = ticks;
        while left > 0 {
            if !self.plan.is_complete && self.parts.waiting() < Self::AHEAD {
                self.plan_more(&mut left)?;
                continue;
            }
            self.own.step(&self.parts, &mut left);
            while let Some(candles) = self.parts.pop() {
                candles.into_iter().for_each(|candle| self.add(candle));
            }
            if self.plan.is_complete && self.parts.is_empty() {
                self.keep_last();
                self.page.next = self.plan.following;
                return Ok(Some(std::mem::take(&mut self.page)));
            }
        }
        Ok(None)
    }

    /// Makes the whole page in one step.
    ///
    /// # Errors
    /// A candle would be made of too many ticks.
    pub fn finish(mut self) -> Result<CandlePage, CandleError> {
        loop {
            if let Some(page) = self.step(u64::MAX)? {
                return Ok(page);
            }
        }
    }

    /// Changes what the candles of the page may cost.
    #[cfg(test)]
    pub(super) fn with_budget(mut self, ticks: u64) -> Self {
        self.plan.budget = ticks;
        self
    }

    /// Plans candles until a part of them can be made.
    fn plan_more(&mut self, left: &mut u64) -> Result<(), CandleError> {
        while *left > 0 {
            *left = left.saturating_sub(Self::PLANNING);
            let is_pushed = match self.plan.next()? {
                Planned::Nothing => {
                    self.plan.is_complete = true;
                    self.plan.push_part(&self.parts);
                    true
                }
                Planned::Cached(candle) => {
                    self.plan.push_part(&self.parts);
                    self.parts.push_made(candle);
                    true
                }
                Planned::Ticks(ticks) => self.plan.add(ticks, &self.parts),
            };
            if is_pushed {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds a candle to the page, or the rest of its last one.
    fn add(&mut self, candle: Candle) {
        match self.page.candles.last_mut() {
            Some(last) if last.open_time == candle.open_time => last.append(&candle),
            _ => {
                self.keep_last();
                self.page.candles.push(candle);
            }
        }
    }

    /// Caches the last candle of the page. No more ticks are added to it.
    fn keep_last(&self) {
        if let Some(last) = self.page.candles.last()
            && self.plan.unfinished != Some(last.open_time)
        {
            self.plan.cached.keep(self.plan.interval, last);
        }
    }
}

impl Plan {
    /// Plans the next candle.
    fn next(&mut self) -> Result<Planned, CandleError> {
        if self.at >= self.end {
            return Ok(Planned::Nothing);
        }
        let mut end = self.end_of_interval();
        if end <= self.at {
            // The interval is empty, and so may be those that follow.
            let tick = self.series.tick(self.at);
            // It is a later one when the window of a growing tape has moved.
            self.at = self.at.max(tick.sequence);
            if self.at >= self.end {
                return Ok(Planned::Nothing);
            }
            self.open_time = self.interval.open_time(tick.time);
            end = self.end_of_interval().max(self.at.next());
        }
        let (open_time, close_time) = (self.open_time, self.interval.close_time(self.open_time));
        if open_time >= self.until {
            return Ok(Planned::Nothing);
        }
        if self.count >= self.most {
            self.following = Some(open_time);
            return Ok(Planned::Nothing);
        }
        let ticks = end.0 - self.at.0;
        let is_over = end <= self.end && close_time < Time::MAX;
        let cached = match is_over && ticks >= CachedCandles::LEAST_TICKS {
            true => self.cached.get(self.interval, open_time),
            false => None,
        };
        if cached.is_none() {
            let cost = ticks.min(self.largest_cost);
            if self.count > 0 && cost > self.budget {
                self.following = Some(open_time);
                return Ok(Planned::Nothing);
            }
            if ticks > CandleInterval::MOST_TICKS {
                return Err(self.interval.too_many(ticks));
            }
            self.budget = self.budget.saturating_sub(cost);
        }
        if !is_over {
            self.unfinished = Some(open_time);
        }
        let start = self.at;
        (self.at, self.open_time) = (end, close_time);
        self.count += 1;
        Ok(cached.map_or(Planned::Ticks(start..end.min(self.end)), Planned::Cached))
    }

    /// The first tick of a later interval.
    fn end_of_interval(&self) -> Sequence {
        match self.interval.close_time(self.open_time) {
            // The interval ends after the last representable time, so it has all the ticks that are left.
            Time::MAX => self.end,
            close_time => self.series.sequence_from(close_time),
        }
    }

    /// Adds the ticks of a candle to the part, and to further parts when they are many. A candle that is made from totals is a part of
    /// its own. True when a part is complete.
    fn add(&mut self, ticks: Range<Sequence>, parts: &Parts) -> bool {
        if ticks.end.0 - ticks.start.0 >= self.largest_cost {
            self.push_part(parts);
            parts.push(Part { start: ticks.start, ends: vec![ticks.end], from_totals: true });
            return true;
        }
        if self.part.ends.is_empty() {
            self.part.start = ticks.start;
        }
        let mut is_pushed = false;
        let mut start = ticks.start.0;
        while ticks.end.0 - start >= Parts::TICKS - self.ticks {
            start += Parts::TICKS - self.ticks;
            self.part.ends.push(Sequence(start));
            self.push_part(parts);
            self.part.start = Sequence(start);
            is_pushed = true;
        }
        if start < ticks.end.0 {
            self.part.ends.push(ticks.end);
            self.ticks += ticks.end.0 - start;
        }
        is_pushed
    }

    fn push_part(&mut self, parts: &Parts) {
        self.ticks = 0;
        let part = std::mem::take(&mut self.part);
        if !part.ends.is_empty() {
            parts.push(part);
        }
    }
}

impl Own {
    /// Makes a part, or some of it, if there is one to make.
    fn step(&mut self, parts: &Parts, left: &mut u64) {
        let Some(mut part) = self.part.take().or_else(|| parts.take()) else { return };
        let cursor = self.cursor.take().filter(|(at, _)| *at == part.next());
        let mut cursor = cursor.map_or_else(|| parts.cursor(&part), |(_, cursor)| cursor);
        let is_made = parts.step(&mut part, &mut *cursor, left);
        self.cursor = Some((part.next(), cursor));
        match is_made {
            true => parts.close(part),
            false => self.part = Some(part),
        }
    }
}
