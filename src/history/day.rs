//! The figures of one trading day of one instrument.

use std::time::Duration;

use crate::tick::{Price, Tick, Time};

const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

/// The figures of a trading day up to one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// When the day began.
    pub start: Time,
    /// The first price.
    pub open: Price,
    /// The highest price so far.
    pub high: Price,
    /// The lowest price so far.
    pub low: Price,
    /// Volume so far, in the instrument's quantity increments.
    pub volume: u64,
    /// The last price before the day; `None` on the first day of a tape.
    pub previous_close: Option<Price>,
    /// The last price so far.
    pub last: Price,
}

impl Day {
    /// Length of a day.
    pub(super) const LENGTH: Duration = Duration::from_nanos(DAY);

    /// The start of the day that contains a time, for an instrument whose days begin `day_start` after 00:00 UTC. The time
    /// before the first start in 1970 counts as a day.
    pub fn start_of(time: Time, day_start: Duration) -> Time {
        let since_first = time.before(day_start).map(Time::nanos);
        since_first.map_or_else(Time::default, |since| Time::from_nanos(time.nanos() - since % DAY))
    }

    /// The day that begins with a tick.
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

    /// Adds the next tick. If it belongs to a later day, the figures begin again.
    pub fn take(&mut self, tick: &Tick, day_start: Duration) {
        if Self::start_of(tick.time, day_start) > self.start {
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::tick::Sequence;

    const HOUR: u64 = DAY / 24;
    /// The day of the National Stock Exchange of India begins at 09:15 IST.
    const OPENING: Duration = Duration::from_secs(3 * 3600 + 45 * 60);

    fn tick(time: u64, price: i64) -> Tick {
        Tick {
            sequence: Sequence(0),
            time: Time::from_nanos(time),
            price: Price::from_nanos(price).unwrap(),
            quantity: NonZeroU64::new(10).unwrap(),
        }
    }

    fn start(time: u64, day_start: Duration) -> u64 {
        Day::start_of(Time::from_nanos(time), day_start).nanos()
    }

    #[test]
    fn a_day_begins_at_midnight_and_ends_before_the_next() {
        let midnight = 20_000 * DAY;
        for time in [midnight, midnight + 1, midnight + DAY - 1] {
            assert_eq!(start(time, Duration::ZERO), midnight);
        }
        assert_eq!(start(midnight + DAY, Duration::ZERO), midnight + DAY);
        assert_eq!(start(0, Duration::ZERO), 0);
        assert_eq!(start(u64::MAX, Duration::ZERO), u64::MAX / DAY * DAY);
    }

    #[test]
    fn a_day_that_begins_later_holds_the_hours_before_it_on_the_next_date() {
        let opening = 20_000 * DAY + OPENING.as_nanos() as u64;
        assert_eq!(start(opening, OPENING), opening);
        assert_eq!(start(opening - 1, OPENING), opening - DAY);
        assert_eq!(start(opening + DAY - 1, OPENING), opening);
        assert_eq!(start(u64::MAX, OPENING), u64::MAX / DAY * DAY + OPENING.as_nanos() as u64);
    }

    #[test]
    fn the_hours_before_the_first_beginning_of_all_are_a_day() {
        let opening = OPENING.as_nanos() as u64;
        assert_eq!((start(0, OPENING), start(opening - 1, OPENING)), (0, 0));
        assert_eq!(start(opening, OPENING), opening);
        let mut day = Day::open(&tick(HOUR, 5), None, OPENING);
        day.take(&tick(opening, 7), OPENING);
        assert_eq!((day.start.nanos(), day.open.nanos()), (opening, 7));
        assert_eq!(day.previous_close, Price::from_nanos(5));
    }

    #[test]
    fn the_figures_are_those_of_the_day_and_the_close_is_the_last_price_before_it() {
        let mut day = Day::open(&tick(0, 100), None, Duration::ZERO);
        for (time, price) in [(HOUR, 120), (2 * HOUR, 90), (DAY - 1, 110)] {
            day.take(&tick(time, price), Duration::ZERO);
        }
        let nanos = |day: &Day| [day.open, day.high, day.low, day.last].map(Price::nanos);
        assert_eq!((nanos(&day), day.volume, day.previous_close), ([100, 120, 90, 110], 40, None));
        assert_eq!(day.change_percent(), None);

        // Nothing is traded for three days.
        day.take(&tick(4 * DAY + HOUR, 99), Duration::ZERO);
        assert_eq!((nanos(&day), day.volume), ([99; 4], 10));
        assert_eq!((day.start.nanos(), day.previous_close), (4 * DAY, Price::from_nanos(110)));
        assert_eq!(day.change_percent(), Some(-10.0));
    }

    #[test]
    fn a_volume_that_is_too_large_to_count_stays_the_largest() {
        let huge = Tick { quantity: NonZeroU64::MAX, ..tick(0, 1) };
        let mut day = Day::open(&huge, None, Duration::ZERO);
        day.take(&huge, Duration::ZERO);
        assert_eq!(day.volume, u64::MAX);
    }
}
