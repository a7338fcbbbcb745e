//! The domain types: symbol, price, sequence, time and tick.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Add,
    str::FromStr,
    time::Duration,
};

use thiserror::Error;

/// The name of an instrument: 1 to 32 ASCII letters, digits or `& . _ - / : ^ =`, beginning with a letter, a
/// digit or `^`. Case matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    bytes: [u8; Symbol::MAX_LEN],
    len: u8,
}

/// Error: the text is not a [`Symbol`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SymbolError {
    /// It is empty.
    #[error("a symbol must not be empty")]
    Empty,
    /// It has more than 32 characters.
    #[error("a symbol has at most 32 characters and this one has {0}")]
    TooLong(usize),
    /// It holds a character that no symbol has.
    #[error(
        "a symbol is made of letters, digits and & . _ - / : ^ = and begins with a letter, a digit or ^; \
         this one has {0:?} at position {1}"
    )]
    BadCharacter(char, usize),
}

/// A price, exact, in units of 1e-9 of the instrument's currency. Always positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Price(i64);

/// The number of a tick on the tape of its symbol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Sequence(pub u64);

/// A point in time: nanoseconds since the Unix epoch, which reach to the year 2554.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Time(u64);

/// One trade of one symbol, or one value of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick {
    /// Its number.
    pub sequence: Sequence,
    /// When it took place.
    pub time: Time,
    /// The last traded price.
    pub price: Price,
    /// The traded quantity, in the quantity increments of the instrument; 0 for an index, which is not traded itself.
    pub quantity: u64,
}

impl Symbol {
    /// Largest number of characters of a symbol.
    pub const MAX_LEN: usize = 32;

    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so the conversion never falls back.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The symbol as ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        let begins = |c: char| c.is_ascii_alphanumeric() || c == '^';
        let goes_on = |c: char| begins(c) || matches!(c, '&' | '.' | '_' | '-' | '/' | ':' | '=');
        let ascii = text.as_bytes();
        if let [first, rest @ ..] = ascii
            && rest.len() < Self::MAX_LEN
            && begins(char::from(*first))
            && rest.iter().all(|byte| goes_on(char::from(*byte)))
        {
            let mut bytes = [0; Self::MAX_LEN];
            bytes[..ascii.len()].copy_from_slice(ascii);
            return Ok(Self { bytes, len: ascii.len() as u8 });
        }
        let characters = text.chars().count();
        let fits = |(at, c): &(usize, char)| if *at == 0 { begins(*c) } else { goes_on(*c) };
        Err(match text.chars().enumerate().find(|found| !fits(found)) {
            _ if characters > Self::MAX_LEN => SymbolError::TooLong(characters),
            Some((at, c)) => SymbolError::BadCharacter(c, at + 1),
            None => SymbolError::Empty,
        })
    }
}

/// Short symbols are hashed faster than long ones.
impl Hash for Symbol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(self.len);
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Price {
    /// A price in units of 1e-9; `None` unless it is positive.
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos > 0 { Some(Self(nanos)) } else { None }
    }

    /// The price in units of 1e-9.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The double nearest to the price: it prints as people write the price, `2930.55`.
    pub fn to_f64(self) -> f64 {
        const EXACT: i64 = 1 << 53;
        if self.0 <= EXACT {
            // Two exact doubles: the division rounds once, to the nearest.
            return self.0 as f64 / 1e9;
        }
        // A double cannot hold all the digits of such a price in nanos; its decimal text can be read correctly
        // rounded. Prices above nine million are rare.
        self.to_string().parse().unwrap_or(f64::MAX)
    }
}

/// Decimal without trailing zeros: `2930.55`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NANOS: i64 = 1_000_000_000;
        let (whole, mut fraction) = (self.0 / NANOS, self.0 % NANOS);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let mut digits = 9;
        while fraction % 10 == 0 {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        write!(f, "{whole}.{fraction:0digits$}")
    }
}

impl Sequence {
    /// The next sequence. The largest one is followed by itself.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The previous sequence. Zero is preceded by itself.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Time {
    /// The last time there is, in the year 2554.
    pub const MAX: Self = Self(u64::MAX);

    /// This number of nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Earlier by a duration; `None` before the Unix epoch.
    pub fn before(self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration.as_nanos().try_into().ok()?).map(Self)
    }

    /// Whole seconds since the Unix epoch and the nanoseconds after them, as protobuf has them.
    pub const fn parts(self) -> (i64, i32) {
        ((self.0 / 1_000_000_000) as i64, (self.0 % 1_000_000_000) as i32)
    }
}

/// Later by a duration; never past the last time there is.
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos().try_into().unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn symbols_that_people_use_are_well_formed() {
        for text in
            ["RELIANCE", "BTC-USD", "M&M", "BRK.B", "^NSEI", "EUR/USD", "NSE:TCS", "USDINR=X", "0700.HK", "a"]
        {
            assert_eq!(text.parse::<Symbol>().map(|symbol| symbol.to_string()), Ok(text.to_owned()));
        }
        assert!("A".repeat(32).parse::<Symbol>().is_ok());
    }

    #[test]
    fn what_is_no_symbol_is_refused_with_its_reason() {
        assert_eq!("".parse::<Symbol>(), Err(SymbolError::Empty));
        assert_eq!("A".repeat(33).parse::<Symbol>(), Err(SymbolError::TooLong(33)));
        assert_eq!("NIFTY 50".parse::<Symbol>(), Err(SymbolError::BadCharacter(' ', 6)));
        assert_eq!("*".parse::<Symbol>(), Err(SymbolError::BadCharacter('*', 1)));
        assert_eq!("-A".parse::<Symbol>(), Err(SymbolError::BadCharacter('-', 1)));
        assert_eq!("ÉCU".parse::<Symbol>(), Err(SymbolError::BadCharacter('É', 1)));
    }

    #[test]
    fn prices_print_as_people_write_them() {
        let show = |nanos| Price::from_nanos(nanos).unwrap().to_string();
        assert_eq!(show(2_930_550_000_000), "2930.55");
        assert_eq!(show(100_000_000_000), "100");
        assert_eq!(show(1), "0.000000001");
        assert_eq!(Price::from_nanos(0), None);
        assert_eq!(Price::from_nanos(-1), None);
    }

    proptest! {
        #[test]
        fn a_price_becomes_the_double_that_its_text_reads_as(nanos in 1..=i64::MAX) {
            let price = Price::from_nanos(nanos).unwrap();
            prop_assert_eq!(price.to_f64(), price.to_string().parse::<f64>().unwrap());
        }
    }
}
