//! Checks of arguments that clap does not make by itself.

use std::{fmt::Display, num::NonZeroU64, time::Duration};

use clap::error::ErrorKind;

use crate::{client::TapeInfo, duration, tick::Time, timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ends the process as clap does after bad usage: the message on standard error and exit code 2.
pub(super) fn exit_with_error(message: impl Display) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).exit()
}

/// Parses a symbol. The server checks the rest of its syntax.
pub(super) fn parse_symbol(text: &str) -> Result<String, String> {
    let symbols: Vec<_> = text.split(',').map(str::trim).filter(|symbol| !symbol.is_empty()).collect();
    match text.contains(',') {
        true => Err(format!("separate symbols with spaces, not commas: {}", symbols.join(" "))),
        false => Ok(text.to_owned()),
    }
}

/// Parses a limit.
pub(super) fn parse_count(text: &str) -> Result<NonZeroU64, String> {
    text.parse()
        .map_err(|_| "expected a whole number from 1 on; leave it out to go on without a limit".to_owned())
}

/// Parses the number of the first tick of a publisher.
pub(super) fn parse_first_number(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "expected a whole number from 1 on".to_owned())
}

/// Parses the name of a publisher.
pub(super) fn parse_publisher_id(text: &str) -> Result<String, String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match (1..=64).contains(&text.len()) && text.chars().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 64 letters, digits, dots, underscores and hyphens".to_owned()),
    }
}

/// Parses a duration longer than zero.
pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(Duration::ZERO) => Err("expected a duration longer than zero, such as 10s".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Parses the time until a token expires, in which a whole second is the least.
pub(super) fn parse_ttl(text: &str) -> Result<Duration, String> {
    /// The largest, ten years.
    const LONGEST: Duration = Duration::from_secs(87_600 * 60 * 60);
    let parsed = duration::parse(text).map_err(|error| error.to_string())?;
    match (Duration::from_secs(1)..=LONGEST).contains(&parsed) {
        true => Ok(parsed),
        false => Err("expected a duration from 1s to 87600h, such as 12h".to_owned()),
    }
}

/// Parses a minimum interval.
pub(super) fn parse_min_interval(text: &str) -> Result<Duration, String> {
    let parsed = duration::parse(text).map_err(|error| error.to_string())?;
    if parsed > DAY {
        Err("expected a duration of at most one day, such as 1s".to_owned())
    } else {
        Ok(parsed)
    }
}

/// Parses the speed of a replay.
pub(super) fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed: &f64| *speed == 0.0 || (0.001..=1e6).contains(speed));
    speed.ok_or_else(|| {
        "expected a number from 0.001 to 1000000, where 1 is real time and 10 is ten times as fast, or 0 for as fast as \
         possible"
            .to_owned()
    })
}

/// Checks that a replay begins at most a day after the present of its tape, as the server demands.
pub(super) fn check_start(from: Time, tape: &TapeInfo) -> Result<(), String> {
    let present = tape.now();
    let day = Duration::try_from_secs_f64(DAY.as_secs_f64() * tape.speed).unwrap_or(Duration::MAX);
    if from <= present + day {
        return Ok(());
    }
    let [from, present] = [from, present].map(|time| timestamp::show_with_decimals(time, 0));
    Err(format!("--from {from} is more than a day ahead: the tape is at {present}"))
}

/// Checks that --from is before --to, where both are given.
pub(super) fn check_times(from: Option<Time>, to: Option<Time>) -> Result<(), String> {
    let Some((from, to)) = from.zip(to) else { return Ok(()) };
    let [shown_from, shown_to] = [from, to].map(timestamp::show);
    if to < from {
        return Err(format!("--from {shown_from} is after --to {shown_to}: swap them"));
    }
    if to == from {
        return Err(format!(
            "--from and --to are both {shown_from}, and --to is exclusive: choose a later --to"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_separated_by_spaces() {
        for symbol in ["RELIANCE", "*", "NIFTY 50"] {
            assert_eq!(parse_symbol(symbol).as_deref(), Ok(symbol));
        }
        for (text, hint) in [("RELIANCE,TCS", ": RELIANCE TCS"), ("TCS,", ": TCS"), ("A, ,B", ": A B")] {
            let error = parse_symbol(text).unwrap_err();
            assert!(error.starts_with("separate symbols with spaces") && error.ends_with(hint), "{error}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_refused_with_what_is_allowed() {
        assert_eq!(parse_count("1"), Ok(NonZeroU64::MIN));
        for text in ["0", "-1", "1.5", "many", "", "99999999999999999999"] {
            assert!(parse_count(text).unwrap_err().contains("from 1 on"), "{text}");
        }
        assert_eq!(parse_positive_duration("1ms"), Ok(Duration::from_millis(1)));
        assert!(parse_positive_duration("0s").unwrap_err().contains("longer than zero"));
        assert!(parse_positive_duration("10").unwrap_err().contains("with its unit"));
    }

    #[test]
    fn the_name_of_a_publisher_has_the_letters_that_the_contract_allows() {
        let longest = "a".repeat(64);
        for text in ["nse-1", "A.b_c", longest.as_str()] {
            assert_eq!(parse_publisher_id(text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "é", "a/b", &"a".repeat(65)] {
            assert!(parse_publisher_id(text).unwrap_err().contains("1 to 64"), "{text}");
        }
        assert_eq!(parse_first_number("7").map(NonZeroU64::get), Ok(7));
        assert!(parse_first_number("0").is_err());
    }

    #[test]
    fn a_speed_is_zero_or_in_the_range_of_the_server() {
        for (text, speed) in [("0", 0.0), ("0.001", 0.001), ("2.5", 2.5), ("1000000", 1e6)] {
            assert_eq!(parse_speed(text), Ok(speed));
        }
        for text in ["-1", "0.0009", "1000001", "nan", "inf", "fast"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_minimum_interval_is_at_most_a_day() {
        assert_eq!(parse_min_interval("24h"), Ok(DAY));
        assert!(parse_min_interval("25h").unwrap_err().contains("at most one day"));
        assert!(parse_min_interval("1").unwrap_err().contains("with its unit"));
    }

    #[test]
    fn times_in_the_wrong_order_are_named_with_what_to_do() {
        let [early, late] =
            ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"].map(|text| timestamp::parse(text).ok());
        assert_eq!(check_times(early, late), Ok(()));
        assert_eq!(check_times(late, None).and(check_times(None, early)), Ok(()));
        let reversed = "--from 2026-02-01T00:00:00Z is after --to 2026-01-01T00:00:00Z: swap them";
        assert_eq!(check_times(late, early), Err(reversed.to_owned()));
        let equal =
            "--from and --to are both 2026-01-01T00:00:00Z, and --to is exclusive: choose a later --to";
        assert_eq!(check_times(early, early), Err(equal.to_owned()));
    }
}
