//! Exact decimals: text to units of 1e-9, without the noise of a float.

use thiserror::Error;

/// Error: the decimal has no exact value in units of 1e-9.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecimalError {
    /// It is not a number.
    #[error("must be a decimal number such as 2930.55, got {0}")]
    Malformed(String),
    /// It has a digit beyond the ninth decimal.
    #[error("must have at most 9 decimals, got {0}")]
    TooFine(String),
    /// It does not fit into 64 bits.
    #[error("must be below 9223372036, got {0}")]
    TooLarge(String),
}

/// The decimals of a unit.
const SCALE: i32 = 9;

/// Reads `[+-]digits[.digits][e[+-]digits]` as units of 1e-9.
///
/// # Errors
/// The text is not such a number, is finer than 1e-9, or does not fit into 64 bits.
pub fn nanos(text: &str) -> Result<i64, DecimalError> {
    plain(text).map_or_else(|| general(text), Ok)
}

/// Writes units of 1e-9 as a decimal without trailing zeros; [`nanos`] reads it back.
pub fn show(nanos: u64) -> String {
    const ONE: u64 = 1_000_000_000;
    let mut text = format!("{}.{:09}", nanos / ONE, nanos % ONE);
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    text
}

/// The form that nearly all have, read fast: digits, perhaps with a point, and few enough that nothing overflows.
fn plain(text: &str) -> Option<i64> {
    const LONGEST: usize = 18;
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let (mut value, mut point) = (0, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() && text.len() > 1 => point = Some(at + 1),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |after| text.len() - after) as u32;
    let shift = (SCALE as u32).checked_sub(decimals)?;
    value.checked_mul(10_i64.pow(shift))
}

fn general(text: &str) -> Result<i64, DecimalError> {
    let malformed = || DecimalError::Malformed(text.to_owned());
    let too_large = || DecimalError::TooLarge(text.to_owned());

    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| malformed())?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0
        || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit())
    {
        return Err(malformed());
    }

    // Zeros at either end only move the point.
    let all = format!("{whole}{fraction}");
    let significant = all.trim_end_matches('0');
    let value = match significant.trim_start_matches('0') {
        "" => return Ok(0),
        digits => digits.parse::<i64>().map_err(|_| too_large())?,
    };
    let fraction = i32::try_from(fraction.len()).map_err(|_| malformed())?;
    let zeros = i32::try_from(all.len() - significant.len()).map_err(|_| malformed())?;
    let shift = SCALE + i32::from(exponent) - fraction + zeros;
    let shift = u32::try_from(shift).map_err(|_| DecimalError::TooFine(text.to_owned()))?;
    let nanos = 10_i64.checked_pow(shift).and_then(|power| value.checked_mul(power)).ok_or_else(too_large)?;
    Ok(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tick::Price;

    #[test]
    fn decimals_are_exact() {
        for (text, value) in [
            ("2930.55", 2_930_550_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("-1", -1_000_000_000),
            ("+1.10", 1_100_000_000),
            ("1e3", 1_000_000_000_000),
            ("25E-4", 2_500_000),
            ("0.0000000010000", 1),
            ("0.000", 0),
            ("9223372036.854775807", i64::MAX),
        ] {
            assert_eq!(nanos(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn decimals_are_written_as_people_write_them() {
        for (value, text) in [(0, "0"), (100_000_000_000, "100"), (15_000_000, "0.015"), (1, "0.000000001")] {
            assert_eq!(show(value), text);
        }
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        let text = |text: &str| text.to_owned();
        assert_eq!(nanos("0.0000000001"), Err(DecimalError::TooFine(text("0.0000000001"))));
        assert_eq!(nanos("9223372036.854775808"), Err(DecimalError::TooLarge(text("9223372036.854775808"))));
        assert_eq!(nanos("1e300"), Err(DecimalError::TooLarge(text("1e300"))));
        for wrong in ["", ".", "-", "1.2.3", "1,000", "0x10", "inf", "nan", "1e", "1e99999", "--1", "१"] {
            assert_eq!(nanos(wrong), Err(DecimalError::Malformed(text(wrong))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_price_that_was_printed_reads_as_the_same_price(value in 1..=i64::MAX) {
            let price = Price::from_nanos(value).unwrap();
            prop_assert_eq!(nanos(&price.to_string()), Ok(value));
        }

        #[test]
        fn a_decimal_that_was_written_reads_as_the_same_one(value in 0..=i64::MAX) {
            prop_assert_eq!(nanos(&show(value as u64)), Ok(value));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = nanos(&text);
        }

        #[test]
        fn the_fast_way_reads_what_the_other_one_does(text in "[0-9]{0,20}[.]?[0-9]{0,11}") {
            if let Some(fast) = plain(&text) {
                prop_assert_eq!(Ok(fast), general(&text));
            }
        }
    }
}
