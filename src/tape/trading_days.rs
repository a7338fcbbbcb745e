//! When the trading days of an instrument begin.

use std::time::Duration;

use super::hours::{Hours, TradingDay};
use crate::tick::Time;

const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

/// When the trading days of an instrument begin. One day follows the other without a pause.
#[derive(Clone, Debug, PartialEq)]
pub enum TradingDays {
    /// Every 24 hours, so long after 00:00 UTC.
    Every24Hours(Duration),
    /// When its market opens.
    Sessions(Hours),
}

impl TradingDays {
    /// The trading day that contains a time. The time before the first start in 1970 counts as a day. The last day ends with the
    /// last time there is, and contains it.
    pub fn day_of(&self, time: Time) -> TradingDay {
        match self {
            Self::Every24Hours(day_start) => {
                let Some(since_first) = time.before(*day_start).map(Time::nanos) else {
                    return TradingDay { start: Time::default(), end: Time::default() + *day_start };
                };
                let start = Time::from_nanos(time.nanos() - since_first % DAY);
                TradingDay { start, end: start + Duration::from_nanos(DAY) }
            }
            Self::Sessions(hours) => hours.trading_day(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The day of the National Stock Exchange of India begins at 09:15 IST.
    const OPENING: Duration = Duration::from_secs(3 * 3600 + 45 * 60);

    fn day(time: u64, day_start: Duration) -> (u64, u64) {
        let TradingDay { start, end } = TradingDays::Every24Hours(day_start).day_of(Time::from_nanos(time));
        (start.nanos(), end.nanos())
    }

    #[test]
    fn a_day_begins_at_midnight_and_ends_before_the_next() {
        let midnight = 20_000 * DAY;
        for time in [midnight, midnight + 1, midnight + DAY - 1] {
            assert_eq!(day(time, Duration::ZERO), (midnight, midnight + DAY));
        }
        assert_eq!(day(midnight + DAY, Duration::ZERO).0, midnight + DAY);
        assert_eq!(day(0, Duration::ZERO), (0, DAY));
        assert_eq!(day(u64::MAX, Duration::ZERO), (u64::MAX / DAY * DAY, u64::MAX));
    }

    #[test]
    fn a_day_that_begins_later_holds_the_hours_before_it_on_the_next_date() {
        let opening = 20_000 * DAY + OPENING.as_nanos() as u64;
        assert_eq!(day(opening, OPENING), (opening, opening + DAY));
        assert_eq!(day(opening - 1, OPENING), (opening - DAY, opening));
        assert_eq!(day(opening + DAY - 1, OPENING).0, opening);
        assert_eq!(day(u64::MAX, OPENING).0, u64::MAX / DAY * DAY + OPENING.as_nanos() as u64);
    }

    #[test]
    fn the_hours_before_the_first_beginning_of_all_are_a_day() {
        let opening = OPENING.as_nanos() as u64;
        assert_eq!((day(0, OPENING), day(opening - 1, OPENING)), ((0, opening), (0, opening)));
        assert_eq!(day(opening, OPENING).0, opening);
    }
}
