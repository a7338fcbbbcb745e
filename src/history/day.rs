//! The figures of one trading day of one instrument.

use super::candle::Candle;
use crate::{
    tape::{TradingDay, TradingDays},
    tick::{Price, Tick, Time},
};

/// The figures of a trading day up to one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// When the day began.
    pub start: Time,
    /// When the next one begins.
    pub end: Time,
    /// The first price.
    pub open: Price,
    /// The highest price so far.
    pub high: Price,
    /// The lowest price so far.
    pub low: Price,
    /// Volume so far, in the instrument's quantity increments; 0 for an index.
    pub volume: u64,
    /// The last price before the day; `None` on the first day of a tape.
    pub previous_close: Option<Price>,
    /// The last price so far.
    pub last: Price,
}

impl Day {
    /// The day that begins with the ticks of a candle.
    pub(super) fn of(day: TradingDay, first: &Candle, previous_close: Option<Price>) -> Self {
        Self {
            start: day.start,
            end: day.end,
            open: first.open,
            high: first.high,
            low: first.low,
            volume: first.volume,
            previous_close,
            last: first.close,
        }
    }

    /// Adds the ticks of a candle, which belong to this day.
    pub(super) fn append(&mut self, next: &Candle) {
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.volume = self.volume.saturating_add(next.volume);
        self.last = next.close;
    }

    /// The day that begins with a tick.
    pub fn open(tick: &Tick, previous_close: Option<Price>, days: &TradingDays) -> Self {
        Self::of(days.day_of(tick.time), &Candle::open(tick.time, tick), previous_close)
    }

    /// Whether a later day contains a time.
    pub fn is_over_at(&self, time: Time, days: &TradingDays) -> bool {
        // The last day of all contains its end.
        time >= self.end && days.day_of(time).start > self.start
    }

    /// Adds the next tick. If it belongs to a later day, the figures begin again.
    pub fn take(&mut self, tick: &Tick, days: &TradingDays) {
        if self.is_over_at(tick.time, days) {
            *self = Self::open(tick, Some(self.last), days);
            return;
        }
        self.add(tick);
    }

    /// Adds the next tick, which belongs to this day.
    pub(super) fn add(&mut self, tick: &Tick) {
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        self.volume = self.volume.saturating_add(tick.quantity);
        self.last = tick.price;
    }

    /// The last price against the previous close, in percent; `None` without one.
    pub fn change_percent(&self) -> Option<f64> {
        let close = self.previous_close?.nanos();
        Some((self.last.nanos() - close) as f64 / close as f64 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{tick::Sequence, timestamp};

    const HOUR: u64 = 60 * 60 * 1_000_000_000;
    const DAY: u64 = 24 * HOUR;
    const MIDNIGHT: TradingDays = TradingDays::Every24Hours(Duration::ZERO);

    fn tick(time: u64, price: i64) -> Tick {
        Tick {
            sequence: Sequence(0),
            time: Time::from_nanos(time),
            price: Price::from_nanos(price).unwrap(),
            quantity: 10,
        }
    }

    fn nanos(day: &Day) -> [i64; 4] {
        [day.open, day.high, day.low, day.last].map(Price::nanos)
    }

    #[test]
    fn the_figures_are_those_of_the_day_and_the_close_is_the_last_price_before_it() {
        let mut day = Day::open(&tick(0, 100), None, &MIDNIGHT);
        for (time, price) in [(HOUR, 120), (2 * HOUR, 90), (DAY - 1, 110)] {
            day.take(&tick(time, price), &MIDNIGHT);
        }
        assert_eq!((nanos(&day), day.volume, day.previous_close), ([100, 120, 90, 110], 40, None));
        assert_eq!(day.change_percent(), None);

        // Nothing is traded for three days.
        day.take(&tick(4 * DAY + HOUR, 99), &MIDNIGHT);
        assert_eq!((nanos(&day), day.volume), ([99; 4], 10));
        assert_eq!((day.start.nanos(), day.previous_close), (4 * DAY, Price::from_nanos(110)));
        assert_eq!(day.change_percent(), Some(-10.0));
    }

    #[test]
    fn with_sessions_a_day_opens_with_the_session_and_the_close_is_that_of_the_session_before() {
        let days = TradingDays::Sessions("09:15-15:30 Asia/Kolkata Mon-Fri".parse().unwrap());
        let at = |text: &str, price| tick(timestamp::parse(text).unwrap().nanos(), price);
        let mut day = Day::open(&at("2026-11-20T03:45:00Z", 100), None, &days);
        // The last trade of Friday, and the first one of Monday.
        day.take(&at("2026-11-20T09:59:59.9Z", 105), &days);
        assert_eq!(nanos(&day), [100, 105, 100, 105]);
        day.take(&at("2026-11-23T03:45:00Z", 110), &days);
        assert_eq!((nanos(&day), day.previous_close), ([110; 4], Price::from_nanos(105)));
        assert_eq!(timestamp::show(day.start), "2026-11-23T03:45:00Z");
    }

    #[test]
    fn a_volume_that_is_too_large_to_count_stays_the_largest() {
        let huge = Tick { quantity: u64::MAX, ..tick(0, 1) };
        let mut day = Day::open(&huge, None, &MIDNIGHT);
        day.take(&huge, &MIDNIGHT);
        assert_eq!(day.volume, u64::MAX);
    }

    #[test]
    fn the_day_of_an_index_has_prices_and_no_volume() {
        let value = |time, price| Tick { quantity: 0, ..tick(time, price) };
        let mut day = Day::open(&value(0, 100), None, &MIDNIGHT);
        day.take(&value(HOUR, 120), &MIDNIGHT);
        assert_eq!((nanos(&day), day.volume), ([100, 120, 100, 120], 0));
    }

    #[test]
    fn the_last_day_of_all_contains_the_last_time() {
        let last = tick(u64::MAX, 1);
        let mut day = Day::open(&last, None, &MIDNIGHT);
        day.take(&last, &MIDNIGHT);
        assert_eq!(day.volume, 20);
    }
}
