//! Parses the time of a trade in the forms that files have.

use thiserror::Error;

use crate::{tick::Time, timestamp};

/// Why a text is not a time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "must be a time with its zone such as 2026-11-20T09:15:00Z, or seconds, milliseconds, microseconds or nanoseconds \
     since 1970, not after 2554 and not finer than a nanosecond, got {0:?}"
)]
pub(super) struct WhenError(String);

/// Parses RFC 3339, or a number since the Unix epoch, with decimals down to a nanosecond. The number of digits before the
/// point tells the unit: up to 11 are seconds, up to 14 milliseconds, up to 17 microseconds, more are nanoseconds. In each
/// unit the years 1973 to 2554 can be written.
pub(super) fn parse(text: &str) -> Result<Time, WhenError> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains(|c: char| !c.is_ascii_digit() && c != '.');
    let time = if is_number { since_epoch(text) } else { timestamp::parse(text).ok() };
    time.ok_or_else(|| WhenError(text.to_owned()))
}

fn since_epoch(text: &str) -> Option<Time> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let number: u64 = whole.parse().ok()?;
    let unit: u64 = match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let fraction = match decimals.trim_end_matches('0') {
        "" => 0,
        decimals => {
            let parts = 10_u64.checked_pow(decimals.len().try_into().ok()?)?;
            let nanos = decimals.parse::<u64>().ok()?.checked_mul(unit)?;
            nanos.is_multiple_of(parts).then_some(nanos / parts)?
        }
    };
    number.checked_mul(unit)?.checked_add(fraction).map(Time::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOMENT: u64 = 1_700_000_000_123_456_789;

    #[test]
    fn a_time_is_told_from_its_form() {
        for (text, nanos) in [
            ("2023-11-14T22:13:20.123456789Z", MOMENT),
            ("1700000000123456789", MOMENT),
            ("1700000000123456.789", MOMENT),
            ("1700000000123.456789", MOMENT),
            ("1700000000.123456789", MOMENT),
            ("1700000000.1234567890000", MOMENT),
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000000", 1_700_000_000_000_000_000),
            ("1700000000000000", 1_700_000_000_000_000_000),
            ("0", 0),
            ("0.5", 500_000_000),
            ("18446744073", 18_446_744_073_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Time::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told() {
        for text in [
            "",
            ".",
            ".5",
            "-1",
            "+1",
            "1.5.2",
            "1e9",
            "1700000000.1234567891",
            "1700000000123456789.5",
            "18446744074",
            "99999999999",
            "18446744073709551616",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "yesterday",
            "1700000000.99999999999999999999",
        ] {
            assert_eq!(parse(text), Err(WhenError(text.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_unit_reads_the_same_time(seconds in 100_000_000u64..=18_446_744_073) {
            let time = Ok(Time::from_nanos(seconds * 1_000_000_000));
            for zeros in ["", "000", "000000", "000000000", ".0", "000.000"] {
                prop_assert_eq!(&parse(&format!("{seconds}{zeros}")), &time);
            }
        }
    }
}
