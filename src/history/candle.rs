//! Candles: prices and volume of the trades in intervals of time.

use std::{ops::Range, sync::Arc, time::Duration};

use thiserror::Error;

use super::tick_pages::PastTicks;
use crate::{
    tape::{Cursor, Series},
    tick::{Price, Sequence, Tick, Time},
};

/// The trades of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The start of the interval.
    pub open_time: Time,
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price.
    pub close: Price,
    /// Volume, in the instrument's quantity increments; 0 for an index.
    pub volume: u64,
    /// Number of trades.
    pub tick_count: u64,
}

/// The length of a candle: whole seconds that divide a day, so that candles of any length begin at 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleInterval {
    seconds: u64,
}

/// Candles in a row, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandlePage {
    /// The candles.
    pub candles: Vec<Candle>,
    /// The start of the next candle, if the range has more.
    pub next: Option<Time>,
}

/// Why there are no candles.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CandleError {
    /// A candle would be made of too many ticks.
    #[error(
        "a candle would be made of {ticks} ticks and the most are {most}: ask for candles of {longest}s or less",
        most = CandleInterval::MOST_TICKS
    )]
    TooManyTicks {
        /// Number of ticks of one of the candles.
        ticks: u64,
        /// Longest interval that is possible, in seconds.
        longest: u64,
    },
}

impl Candle {
    /// The candle that begins with a tick.
    pub fn open(open_time: Time, tick: &Tick) -> Self {
        Self {
            open_time,
            open: tick.price,
            high: tick.price,
            low: tick.price,
            close: tick.price,
            volume: tick.quantity,
            tick_count: 1,
        }
    }

    /// Adds the next tick of the interval.
    #[inline]
    pub fn take(&mut self, tick: &Tick) {
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        self.close = tick.price;
        self.volume = self.volume.saturating_add(tick.quantity);
        self.tick_count += 1;
    }
}

impl CandleInterval {
    /// Largest number of ticks of a candle. Reading this many takes some seconds.
    pub const MOST_TICKS: u64 = 100_000_000;
    const DAY: u64 = 24 * 60 * 60;

    /// `None` unless it is a whole number of seconds that divides a day.
    pub fn new(length: Duration) -> Option<Self> {
        let seconds = length.as_secs();
        let divides = seconds > 0 && Self::DAY.is_multiple_of(seconds);
        (divides && length.subsec_nanos() == 0).then_some(Self { seconds })
    }

    /// The start of the candle that contains a time.
    pub fn open_time(self, time: Time) -> Time {
        Time::from_nanos(time.nanos() - time.nanos() % self.nanos())
    }

    /// The end of the candle that begins at a time: the start of the next one.
    pub fn close_time(self, open_time: Time) -> Time {
        open_time + Duration::from_secs(self.seconds)
    }

    fn nanos(self) -> u64 {
        self.seconds * 1_000_000_000
    }

    fn too_many(self, ticks: u64) -> CandleError {
        let would_do = |seconds: &u64| {
            let ticks = u128::from(ticks) * u128::from(*seconds) / u128::from(self.seconds);
            Self::DAY.is_multiple_of(*seconds) && ticks <= u128::from(Self::MOST_TICKS)
        };
        CandleError::TooManyTicks { ticks, longest: (1..self.seconds).rev().find(would_do).unwrap_or(1) }
    }
}

/// Makes a page of candles in steps of a bounded number of ticks.
pub struct CandleFold {
    series: Arc<dyn Series>,
    /// The first tick that has not taken place.
    end: Sequence,
    interval: CandleInterval,
    /// The end of the times at which candles may begin.
    until: Time,
    /// Largest number of candles of the page.
    most: usize,
    /// Number of ticks that the page may still read.
    budget: u64,
    /// A cursor at `at`.
    cursor: Box<dyn Cursor>,
    /// The next tick to add.
    at: Sequence,
    begun: Option<OpenCandle>,
    page: CandlePage,
}

/// The candle to which ticks are added.
struct OpenCandle {
    candle: Candle,
    /// Number of ticks still to be added.
    left: u64,
    /// The first tick of the next candle.
    end: Sequence,
}

impl PastTicks {
    /// Largest number of ticks that the candles of a page are made of, unless the page has one candle. Reading them takes
    /// less than half a second.
    const TICKS_OF_A_PAGE: u64 = 1 << 24;

    /// The candles that begin in a range of times, at most `most` and fewer when they have many ticks. The first candle is
    /// the one that contains the start of the range. An interval without ticks has no candle. A candle has only the ticks that
    /// are available.
    pub fn candles(&self, interval: CandleInterval, times: Range<Time>, most: usize) -> CandleFold {
        let at = self.series.sequence_from(interval.open_time(times.start));
        CandleFold {
            series: self.series.clone(),
            // An empty range of times has no candles.
            end: if times.is_empty() { at } else { self.ticks.end },
            interval,
            until: times.end,
            most,
            budget: Self::TICKS_OF_A_PAGE,
            cursor: self.series.cursor(at),
            at,
            begun: None,
            page: CandlePage::default(),
        }
    }
}

impl CandleFold {
    /// Cost of beginning a candle, in ticks read: its end has to be looked up.
    const BEGINNING: u64 = 8;

    /// Adds about `ticks` more ticks. Returns the page once it is complete.
    ///
    /// # Errors
    /// A candle would be made of too many ticks.
    pub fn step(&mut self, ticks: u64) -> Result<Option<CandlePage>, CandleError> {
        let mut left = ticks;
        loop {
            let Some(mut begun) = self.begun.take() else {
                if self.begin()? {
                    return Ok(Some(std::mem::take(&mut self.page)));
                }
                left = left.saturating_sub(Self::BEGINNING);
                continue;
            };
            let now = begun.left.min(left);
            let end = begun.end.min(self.end);
            for _ in 0..now {
                let tick = self.cursor.tick();
                if tick.sequence >= end {
                    // The window of a growing tape has moved past the other ticks of the candle.
                    begun.left = now;
                    break;
                }
                begun.candle.take(&tick);
                self.cursor.advance();
            }
            left -= now;
            begun.left -= now;
            if begun.left > 0 {
                self.begun = Some(begun);
                return Ok(None);
            }
            self.page.candles.push(begun.candle);
            self.at = begun.end;
            if left == 0 {
                return Ok(None);
            }
        }
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

    /// Begins the next candle with its first tick. True when the page has no further candle.
    fn begin(&mut self) -> Result<bool, CandleError> {
        let tick = self.cursor.tick();
        // It is a later one when the window of a growing tape has moved.
        self.at = self.at.max(tick.sequence);
        if self.at >= self.end {
            return Ok(true);
        }
        let open_time = self.interval.open_time(tick.time);
        if open_time >= self.until {
            return Ok(true);
        }
        let end = match self.interval.close_time(open_time) {
            // The interval ends after the last representable time, so it has all the ticks that are left.
            Time::MAX => self.end,
            close_time => self.series.sequence_from(close_time).max(self.at.next()),
        };
        let ticks = end.0 - self.at.0;
        if self.page.candles.len() >= self.most || !self.page.candles.is_empty() && ticks > self.budget {
            self.page.next = Some(open_time);
            return Ok(true);
        }
        if ticks > CandleInterval::MOST_TICKS {
            return Err(self.interval.too_many(ticks));
        }
        self.budget = self.budget.saturating_sub(ticks);
        let taken_place = end.min(self.end).0 - self.at.0;
        self.begun = Some(OpenCandle { candle: Candle::open(open_time, &tick), left: taken_place - 1, end });
        self.cursor.advance();
        Ok(false)
    }
}
