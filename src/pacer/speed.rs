//! The speed at which a tape is played.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

use thiserror::Error;

use crate::{decimal, tick::Time};

/// Seconds of the tape per second of real time, as a whole number of millionths, so that all replicas compute the same
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    millionths: NonZeroU64,
}

/// Why a text is not a [`Speed`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "expected a number from 0.001 to 1000000 with at most 6 decimals, where 10 is ten times as fast, got {0}"
)]
pub struct SpeedError(String);

const ONE: u64 = 1_000_000;
const SLOWEST: u64 = ONE / 1_000;
const FASTEST: u64 = ONE * 1_000_000;

impl Speed {
    /// Real time.
    pub const REAL: Self = Self { millionths: NonZeroU64::new(ONE).unwrap() };

    /// How much time of the tape passes in a real duration.
    pub fn of(self, real: Duration) -> Duration {
        nanos(real.as_nanos().saturating_mul(self.millionths().into()) / u128::from(ONE))
    }

    /// The real time in which a duration of the tape passes.
    pub fn takes(self, tape: Duration) -> Duration {
        nanos(tape.as_nanos().saturating_mul(ONE.into()).div_ceil(self.millionths().into()))
    }

    /// The time on a tape that shows `tape` when the wall clock shows `wall`, when that shows `now`.
    pub(super) fn played(self, tape: Time, wall: Time, now: Time) -> Time {
        let since = i128::from(now.nanos()) - i128::from(wall.nanos());
        // Less than 2^64 nanoseconds times 2^40 millionths.
        let passed = (since * i128::from(self.millionths())).div_euclid(ONE.into());
        let time = (i128::from(tape.nanos()) + passed).clamp(0, u64::MAX.into());
        Time::from_nanos(time as u64)
    }

    /// The speed as a number.
    pub fn to_f64(self) -> f64 {
        self.millionths() as f64 / ONE as f64
    }

    fn millionths(self) -> u64 {
        self.millionths.get()
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        const NANOS_IN_A_MILLIONTH: i64 = 1_000;
        let nanos = decimal::nanos(text).ok().filter(|nanos| nanos % NANOS_IN_A_MILLIONTH == 0);
        nanos
            .and_then(|nanos| u64::try_from(nanos / NANOS_IN_A_MILLIONTH).ok())
            .filter(|millionths| (SLOWEST..=FASTEST).contains(millionths))
            .and_then(NonZeroU64::new)
            .map(|millionths| Self { millionths })
            .ok_or_else(|| SpeedError(text.to_owned()))
    }
}

/// The nearest speed in millionths.
impl TryFrom<f64> for Speed {
    type Error = SpeedError;

    fn try_from(speed: f64) -> Result<Self, SpeedError> {
        // The conversion makes NaN zero and limits large numbers, so both are out of range.
        let millionths = (speed * ONE as f64).round() as u64;
        let inside = (SLOWEST..=FASTEST).contains(&millionths).then(|| NonZeroU64::new(millionths)).flatten();
        inside.map(|millionths| Self { millionths }).ok_or_else(|| SpeedError(speed.to_string()))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A double holds every speed exactly enough to print it as it was written.
        self.to_f64().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speed(text: &str) -> Speed {
        text.parse().unwrap()
    }

    fn speeds() -> impl Strategy<Value = Speed> {
        (SLOWEST..=FASTEST).prop_map(|millionths| Speed { millionths: millionths.try_into().unwrap() })
    }

    #[test]
    fn a_speed_is_read_exactly_and_printed_as_it_was_written() {
        for text in ["1", "10", "0.5", "0.001", "1000000", "1.000001", "999999.999999"] {
            assert_eq!(speed(text).to_string(), text);
        }
        assert_eq!(speed("1.0"), Speed::REAL);
    }

    #[test]
    fn a_speed_out_of_range_is_refused_with_the_range() {
        for text in ["0", "0.0009", "1000000.1", "0.0010001", "-1", "fast", "", "nan", "1x"] {
            let error = text.parse::<Speed>().unwrap_err().to_string();
            assert!(error.contains("from 0.001 to 1000000") && error.ends_with(text), "{error}");
        }
    }

    #[test]
    fn a_number_becomes_the_nearest_speed() {
        for number in [0.001, 0.1, 1.0, 2.5, 1e6] {
            assert_eq!(Speed::try_from(number).unwrap().to_f64(), number);
        }
        for number in [0.0, -1.0, 0.0001, 1.1e6, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Speed::try_from(number).is_err(), "{number}");
        }
    }

    #[test]
    fn a_played_tape_runs_through_its_anchor_at_its_speed() {
        let at = |speed: &str, now| {
            self::speed(speed).played(Time::from_nanos(5_000), Time::from_nanos(1_000), Time::from_nanos(now))
        };
        assert_eq!(at("1", 1_000).nanos(), 5_000);
        assert_eq!(at("1", 1_700).nanos(), 5_700);
        assert_eq!(at("10", 1_700).nanos(), 12_000);
        assert_eq!(at("0.5", 701).nanos(), 4_850);
        assert_eq!(at("10", 0).nanos(), 0, "before the epoch it is the epoch");
        assert_eq!(at("1000000", u64::MAX), Time::MAX);
    }

    proptest! {
        #[test]
        fn the_time_of_a_tape_never_goes_back(
            speed in speeds(), tape: u64, wall: u64, now: u64, later: u64,
        ) {
            let at = |now| speed.played(Time::from_nanos(tape), Time::from_nanos(wall), Time::from_nanos(now));
            prop_assert!(at(now) <= at(now.saturating_add(later)));
        }

        #[test]
        fn after_what_it_takes_the_time_has_come_and_not_before(
            speed in speeds(), tape in 0..1u64 << 62, wall in 0..1u64 << 62, ahead in 1..1u64 << 61,
        ) {
            let (tape, wall) = (Time::from_nanos(tape), Time::from_nanos(wall));
            let takes = speed.takes(Duration::from_nanos(ahead));
            prop_assert!(speed.of(takes) >= Duration::from_nanos(ahead));
            prop_assume!(wall + takes < Time::MAX);
            let due = tape + Duration::from_nanos(ahead);
            prop_assert!(speed.played(tape, wall, wall + takes) >= due);
            let sooner = (wall + takes).before(Duration::from_nanos(1)).unwrap();
            prop_assert!(speed.played(tape, wall, sooner) < due);
        }
    }
}
