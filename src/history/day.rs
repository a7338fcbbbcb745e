//! The figures of one trading day of one instrument.

use std::time::Duration;

use crate::tick::{Price, Tick, Time};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A trading day up to some tick, which is the last one that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// When it began.
    pub start: Time,
    /// The first price.
    pub open: Price,
    /// The highest price so far.
    pub high: Price,
    /// The lowest price so far.
    pub low: Price,
    /// How much was traded so far, in the instrument's quantity increments.
    pub volume: u64,
    /// The last price before the day; `None` on the first day of a tape.
    pub previous_close: Option<Price>,
    /// The last price so far.
    pub last: Price,
}

impl Day {
    /// When the day of a time began, on an instrument whose days begin so long after 00:00 UTC.
    pub fn start_of(time: Time, day_start: Duration) -> Time {
        let since = time.before(day_start).map_or(0, Time::nanos);
        let days = since / DAY.as_nanos() as u64;
        match time.before(day_start) {
            Some(_) => Time::from_nanos(days * DAY.as_nanos() as u64) + day_start,
            // Before the first day of all.
            None => Time::default(),
        }
    }

    /// The day that begins with a tick, after a close.
    pub fn open(tick: &Tick, previous_close: Option<Price>, day_start: Duration) -> Self {
        Self {
            start: Self::start_of(tick.time, day_start),
            open: tick.price,
            high: tick.price,
            low: tick.price,
            volume: tick.quantity.get(),
            previous_close,
            last: tick.price,
        }
    }

    /// Takes in the next tick, with which another day may begin.
    pub fn take(&mut self, tick: &Tick, day_start: Duration) {
        if tick.time >= self.start + DAY && Self::start_of(tick.time, day_start) > self.start {
            *self = Self::open(tick, Some(self.last), day_start);
            return;
        }
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        self.volume = self.volume.saturating_add(tick.quantity.get());
        self.last = tick.price;
    }

    /// The last price against the previous close, in percent; `None` without one.
    pub fn change_percent(&self) -> Option<f64> {
        let close = self.previous_close?.nanos();
        Some((self.last.nanos() - close) as f64 / close as f64 * 100.0)
    }
}
