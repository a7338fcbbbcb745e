//! Places on the clock: days since 1970, each of which is halved down to 2^-32 of a day.

use crate::tick::Time;

/// Level of a day: a span of level *k* has 2^k units, and a unit is 2^-32 of a day, 20 µs.
pub(super) const DAY: u32 = 32;
/// Level of a block: 2^10 days.
pub(super) const TOP: u32 = 42;
/// Number of blocks that begin in 64 bits of nanoseconds.
pub(super) const BLOCKS: u64 = 209;
/// Length of a day in nanoseconds.
pub(super) const DAY_NANOS: u64 = 86_400_000_000_000;
/// Length of a unit in nanoseconds.
pub(super) const UNIT_NANOS: f64 = DAY_NANOS as f64 / (1_u64 << DAY) as f64;
/// Length of a year in nanoseconds.
pub(super) const YEAR: f64 = 365.0 * DAY_NANOS as f64;
/// Length of a day in minutes.
pub(super) const DAY_MINUTES: u32 = 1_440;
/// Nanoseconds of 2^16 units. It is a whole number, which a unit is not.
const NANOS_OF_65536: u64 = DAY_NANOS >> 16;

/// A place on the clock, in units since 1970.
pub(super) type Position = u64;

/// The unit that contains a time.
#[inline]
pub(super) fn position(time: Time) -> Position {
    let (day, nanos) = (time.nanos() / DAY_NANOS, time.nanos() % DAY_NANOS);
    (day << DAY) | ((nanos << 16) / NANOS_OF_65536)
}

/// The first nanosecond that is not before a position; the end of time for what nanoseconds in 64 bits cannot hold.
#[inline]
pub(super) fn nanos(position: Position) -> u64 {
    let (day, unit) = (position >> DAY, position & ((1 << DAY) - 1));
    let in_day = (unit * NANOS_OF_65536 + 0xffff) >> 16;
    day.checked_mul(DAY_NANOS).map_or(u64::MAX, |start| start.saturating_add(in_day))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_in_the_unit_that_begins_before_it(nanos: u64) {
            let unit = position(Time::from_nanos(nanos));
            prop_assert!(super::nanos(unit) <= nanos);
            let next = super::nanos(unit + 1);
            prop_assert!(nanos < next || next == u64::MAX);
        }
    }

    #[test]
    fn days_begin_at_midnight_and_time_ends() {
        assert_eq!(nanos(20_000 << DAY), 20_000 * DAY_NANOS);
        assert_eq!(nanos((20_000 << DAY) + (1 << 31)), 20_000 * DAY_NANOS + DAY_NANOS / 2);
        assert_eq!(nanos(u64::MAX), u64::MAX);
    }
}
