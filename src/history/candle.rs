//! Candles: what was traded in intervals of time.

use std::{ops::Range, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{HistoryError, Past};
use crate::{
    tape::Cursor,
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
    /// How much was traded, in the instrument's quantity increments.
    pub volume: u64,
    /// How many trades there were.
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
    /// The start of the candle that follows, if there is one.
    pub next: Option<Time>,
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
            volume: tick.quantity.get(),
            tick_count: 1,
        }
    }

    /// Takes in the next tick of the interval.
    #[inline]
    pub fn take(&mut self, tick: &Tick) {
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        self.close = tick.price;
        self.volume = self.volume.saturating_add(tick.quantity.get());
        self.tick_count += 1;
    }
}

impl CandleInterval {
    /// The most ticks of a candle. A fold of so many takes some seconds.
    pub const MOST_TICKS: u64 = 100_000_000;
    const DAY: u64 = 24 * 60 * 60;

    /// `None` unless it is a whole number of seconds that divides a day.
    pub fn new(length: Duration) -> Option<Self> {
        let seconds = length.as_secs();
        let divides = seconds > 0 && Self::DAY.is_multiple_of(seconds);
        (divides && length.subsec_nanos() == 0).then_some(Self { seconds })
    }

    /// The start of the candle that holds a time.
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

    fn too_many(self, ticks: u64) -> HistoryError {
        let would_do = |seconds: &u64| {
            let ticks = u128::from(ticks) * u128::from(*seconds) / u128::from(self.seconds);
            Self::DAY.is_multiple_of(*seconds) && ticks <= u128::from(Self::MOST_TICKS)
        };
        HistoryError::TooManyTicks { ticks, longest: (1..self.seconds).rev().find(would_do).unwrap_or(1) }
    }
}

impl Past {
    /// The candles of a page are made of so many ticks, or it has only one: that takes less than half a second.
    const TICKS_OF_A_PAGE: u64 = 1 << 24;

    /// The candles that begin in a range of times, at most so many and fewer when they are made of many ticks. The first
    /// is the one that holds the start of the range. An interval without ticks has no candle.
    ///
    /// # Errors
    /// The candles are too long for so many ticks, or nobody waits for them any more.
    pub fn candles(
        &self,
        interval: CandleInterval,
        times: Range<Time>,
        most: usize,
        abandoned: &CancellationToken,
    ) -> Result<CandlePage, HistoryError> {
        let mut page = CandlePage::default();
        if times.is_empty() {
            return Ok(page);
        }
        let mut budget = Self::TICKS_OF_A_PAGE;
        let mut at = self.series.sequence_from(interval.open_time(times.start));
        let mut cursor = self.series.cursor(at);
        while at < self.ticks.end {
            let open_time = interval.open_time(cursor.tick().time);
            if open_time >= times.end {
                break;
            }
            let end = match interval.close_time(open_time) {
                // Time ends before the interval does: what is left is all of it.
                Time::MAX => self.ticks.end,
                close_time => self.series.sequence_from(close_time).max(at.next()),
            };
            let ticks = end.0 - at.0;
            if page.candles.len() >= most || !page.candles.is_empty() && ticks > budget {
                page.next = Some(open_time);
                break;
            }
            if ticks > CandleInterval::MOST_TICKS {
                return Err(interval.too_many(ticks));
            }
            budget = budget.saturating_sub(ticks);
            let taken_place = end.min(self.ticks.end).0 - at.0;
            page.candles.push(fold(open_time, &mut *cursor, taken_place, abandoned)?);
            at = end;
        }
        Ok(page)
    }
}

/// The candle of so many ticks, at least one; the cursor is left at the tick after them.
fn fold(
    open_time: Time,
    cursor: &mut dyn Cursor,
    ticks: u64,
    abandoned: &CancellationToken,
) -> Result<Candle, HistoryError> {
    let mut candle = Candle::open(open_time, &cursor.tick());
    cursor.advance();
    for _ in 1..ticks {
        let tick = cursor.tick();
        if tick.sequence.0.is_multiple_of(4_096) && abandoned.is_cancelled() {
            return Err(HistoryError::Abandoned);
        }
        candle.take(&tick);
        cursor.advance();
    }
    Ok(candle)
}
