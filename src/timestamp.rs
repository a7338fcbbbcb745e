//! Points in time in the form that people write: RFC 3339, `2026-11-20T09:15:00.5Z`.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use thiserror::Error;

use crate::tick::Time;

/// Error: the text is not a point in time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected a time with its zone, from 1970 to 2554, such as 2026-11-20T09:15:00Z, got {0:?}")]
pub struct TimestampError(String);

/// Reads a date and a time of day with up to nine decimals and a zone: `Z`, or an offset such as `+05:30`.
///
/// # Errors
/// The text is something else, has no zone, or is before 1970 or after 2554.
pub fn parse(text: &str) -> Result<Time, TimestampError> {
    let parsed: Option<Timestamp> = text.parse().ok();
    let nanos = parsed.and_then(|timestamp| u64::try_from(timestamp.as_nanosecond()).ok());
    nanos.map(Time::from_nanos).ok_or_else(|| TimestampError(text.to_owned()))
}

/// Writes a time in UTC with as many decimals as it needs; [`parse`] reads it back.
pub fn show(time: Time) -> String {
    timestamp(time).to_string()
}

/// Writes a time in UTC with this number of decimals, at most nine.
pub fn show_with_decimals(time: Time, decimals: u8) -> String {
    DateTimePrinter::new().precision(Some(decimals)).timestamp_to_string(&timestamp(time))
}

fn timestamp(time: Time) -> Timestamp {
    // The calendar holds every time that 64 bits do.
    Timestamp::from_nanosecond(time.nanos().into()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_read_in_any_zone() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            ("2023-11-15T03:43:20+05:30", 1_700_000_000_000_000_000),
            ("2023-11-14 22:13:20.5z", 1_700_000_000_500_000_000),
            ("2554-07-21T23:34:33.709551615Z", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Time::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_and_told_how_to_write_one() {
        for text in
            ["", "now", "2026-11-20", "2026-11-20T09:15:00", "1969-12-31T23:59:59Z", "2555-01-01T00:00:00Z"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("T09:15:00Z") && error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_time_has_as_many_decimals_as_it_needs_or_as_it_was_told() {
        let time = Time::from_nanos(1_700_000_000_120_000_000);
        assert_eq!(show(time), "2023-11-14T22:13:20.12Z");
        assert_eq!(show(Time::from_nanos(1_700_000_000_000_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(show_with_decimals(time, 9), "2023-11-14T22:13:20.120000000Z");
    }

    proptest! {
        #[test]
        fn a_time_that_was_written_reads_as_the_same_time(nanos: u64) {
            prop_assert_eq!(parse(&show(Time::from_nanos(nanos))), Ok(Time::from_nanos(nanos)));
        }
    }
}
