//! Candles: prices and volume of the trades in intervals of time.

use std::time::Duration;

use thiserror::Error;

use crate::{
    tape::Totals,
    tick::{Price, Tick, Time},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// The candle of the ticks from `first` to `last`, none of which is left out.
    pub(super) fn from_totals(open_time: Time, first: &Tick, last: &Tick, totals: Totals) -> Self {
        Self {
            open_time,
            open: first.price,
            high: totals.high,
            low: totals.low,
            close: last.price,
            volume: totals.volume,
            tick_count: last.sequence.0 - first.sequence.0 + 1,
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

    /// Adds the ticks that follow in the same interval.
    pub(super) fn append(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = self.volume.saturating_add(later.volume);
        self.tick_count += later.tick_count;
    }
}

impl CandleInterval {
    /// Largest number of ticks of a candle. Reading this many takes some seconds.
    pub const MOST_TICKS: u64 = 100_000_000;
    /// One hour.
    pub(super) const HOUR: Self = Self { seconds: 60 * 60 };
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

    pub(super) fn too_many(self, ticks: u64) -> CandleError {
        let would_do = |seconds: &u64| {
            let ticks = u128::from(ticks) * u128::from(*seconds) / u128::from(self.seconds);
            Self::DAY.is_multiple_of(*seconds) && ticks <= u128::from(Self::MOST_TICKS)
        };
        CandleError::TooManyTicks { ticks, longest: (1..self.seconds).rev().find(would_do).unwrap_or(1) }
    }
}
