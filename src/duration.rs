//! Durations in the form that people write: `100ms`, `10s`, `5m`, `1h30m`.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use thiserror::Error;

/// Error: the text is not a duration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected a duration with its unit, such as 250us, 100ms, 10s, 5m or 1h30m, got {0:?}")]
pub struct DurationError(String);

/// Reads a duration. The units are ns, us, ms, s, m and h, or whole days of 24 hours, such as `1d`.
///
/// # Errors
/// The text is not a duration, has no unit, or is negative.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(Duration::from_secs(24 * 60 * 60) * days);
    }
    SpanParser::new().parse_unsigned_duration(text).map_err(|_| DurationError(text.to_owned()))
}

/// Writes a duration in the largest unit that holds it without a remainder; [`parse`] reads it back.
pub fn show(duration: Duration) -> String {
    const UNITS: [(&str, u128); 6] = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let nanos = duration.as_nanos();
    let whole = UNITS.iter().find(|(_, unit)| nanos > 0 && nanos.is_multiple_of(*unit));
    whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", nanos / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, duration) in [
            ("250us", Duration::from_micros(250)),
            ("100ms", Duration::from_millis(100)),
            ("1s", Duration::from_secs(1)),
            ("1.5s", Duration::from_millis(1500)),
            ("0s", Duration::ZERO),
            ("5m", Duration::from_secs(300)),
            ("1h30m", Duration::from_secs(5400)),
            ("24h", Duration::from_secs(86400)),
            ("2d", Duration::from_secs(2 * 86400)),
        ] {
            assert_eq!(parse(text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_and_told_how_to_write_one() {
        for text in
            ["", "100", "ms", "-1s", "1s ago", "1 fortnight", "1.5d", "d", "-1d", "99999999999999999999h"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("100ms") && error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_duration_that_was_written_reads_as_the_same_duration() {
        for text in ["0s", "1ns", "250us", "100ms", "1500ms", "1s", "90s", "5m", "24h"] {
            assert_eq!(parse(text).map(show).as_deref(), Ok(text));
        }
    }
}
