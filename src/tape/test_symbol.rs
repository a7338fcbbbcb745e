//! The symbols for tests of clients: when each of them ticks, at which price, and when it is halted.

use crate::tick::{Price, Sequence, Symbol, Time};

/// A symbol with a documented behaviour, which a client's test can assert to the tick. `docs/TEST_SYMBOLS.md` describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestSymbol {
    /// The price is the sequence.
    Counter,
    /// A square wave.
    Square,
    /// A tick a minute.
    Quiet,
    /// A thousand ticks at the same time.
    Burst,
    /// Halted in every odd minute.
    Halt,
    /// The smallest and the largest price in turn.
    Limits,
    /// The longest symbol.
    LongestName,
}

/// A pattern of ticks that repeats from the Unix epoch on.
struct Rhythm {
    /// Nanoseconds from the start of one pattern to the start of the next.
    period: u64,
    /// Ticks of a pattern. The first one takes place at its start.
    ticks: u64,
    /// Nanoseconds between two ticks of a pattern.
    spacing: u64,
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const CENT: i64 = 10_000_000;
const ONE: i64 = 1_000_000_000;

impl TestSymbol {
    /// All of them, ordered by symbol.
    pub const ALL: [Self; 7] =
        [Self::Burst, Self::Counter, Self::Halt, Self::Limits, Self::Quiet, Self::Square, Self::LongestName];

    /// How their symbols begin, and no other symbol of a simulated tape.
    pub const PREFIX: &str = "TEST.";

    /// Their kind as instruments, and that of no others.
    pub const KIND: &str = "test";

    /// The symbol as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "TEST.COUNTER",
            Self::Square => "TEST.SQUARE",
            Self::Quiet => "TEST.QUIET",
            Self::Burst => "TEST.BURST",
            Self::Halt => "TEST.HALT",
            Self::Limits => "TEST.LIMITS",
            Self::LongestName => "TEST.THE-LONGEST-NAME-IS-32-LONG",
        }
    }

    /// The test symbol of this name.
    pub fn named(symbol: &Symbol) -> Option<Self> {
        Self::ALL.into_iter().find(|test| test.as_str() == symbol.as_str())
    }

    /// When the tick of a sequence takes place. Ticks after the year 2554 have the last time there is.
    pub fn time(self, sequence: Sequence) -> Time {
        let Rhythm { period, ticks, spacing } = self.rhythm();
        let (pattern, place) = (sequence.0 / ticks, sequence.0 % ticks);
        Time::from_nanos(pattern.saturating_mul(period).saturating_add(place * spacing))
    }

    /// The newest tick at or before a time.
    pub fn newest_at(self, time: Time) -> Sequence {
        if time == Time::MAX {
            return Sequence(u64::MAX);
        }
        let Rhythm { period, ticks, spacing } = self.rhythm();
        let (pattern, since) = (time.nanos() / period, time.nanos() % period);
        let place = since.checked_div(spacing).unwrap_or(u64::MAX).min(ticks - 1);
        Sequence(pattern * ticks + place)
    }

    /// The price of the tick of a sequence.
    pub fn price(self, sequence: Sequence) -> Price {
        let place = (sequence.0 % self.rhythm().ticks) as i64;
        let nanos = match self {
            // Prices are positive, and 9,223,372,036 is the largest whole one.
            Self::Counter => sequence.0.clamp(1, (i64::MAX / ONE) as u64) as i64 * ONE,
            Self::Square if place < 50 => 101 * ONE,
            Self::Square => 99 * ONE,
            Self::Quiet | Self::LongestName => 100 * ONE,
            Self::Burst | Self::Halt => 100 * ONE + place * CENT,
            Self::Limits if place == 0 => 1,
            Self::Limits => i64::MAX,
        };
        Price::from_nanos(nanos).unwrap_or(self.price_increment())
    }

    /// Every price is a multiple of this.
    pub const fn price_increment(self) -> Price {
        const WHOLE: Price = Price::from_nanos(ONE).unwrap();
        const HUNDREDTH: Price = Price::from_nanos(CENT).unwrap();
        const LEAST: Price = Price::from_nanos(1).unwrap();
        match self {
            Self::Counter => WHOLE,
            Self::Limits => LEAST,
            Self::Square | Self::Quiet | Self::Burst | Self::Halt | Self::LongestName => HUNDREDTH,
        }
    }

    /// Nanoseconds from one tick to the next, on average.
    pub const fn mean_interval(self) -> u64 {
        let Rhythm { period, ticks, .. } = self.rhythm();
        period / ticks
    }

    /// Whether its trading is interrupted at a time.
    pub fn is_halted(self, time: Time) -> bool {
        self == Self::Halt && time.nanos() / MINUTE % 2 == 1
    }

    /// When its trading is interrupted or goes on next, after a time. `None` when it never is.
    pub fn next_change(self, time: Time) -> Option<Time> {
        let minute = (time.nanos() / MINUTE + 1).checked_mul(MINUTE)?;
        (self == Self::Halt).then_some(Time::from_nanos(minute))
    }

    const fn rhythm(self) -> Rhythm {
        match self {
            Self::Counter | Self::LongestName => Rhythm { period: SECOND, ticks: 1, spacing: 0 },
            Self::Square => Rhythm { period: 10 * SECOND, ticks: 100, spacing: 100 * MILLISECOND },
            Self::Quiet => Rhythm { period: MINUTE, ticks: 1, spacing: 0 },
            Self::Burst => Rhythm { period: 10 * SECOND, ticks: 1_000, spacing: 0 },
            Self::Halt => Rhythm { period: 2 * MINUTE, ticks: 600, spacing: 100 * MILLISECOND },
            Self::Limits => Rhythm { period: 2 * SECOND, ticks: 2, spacing: SECOND },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_ordered_and_well_formed_and_one_is_as_long_as_symbols_may_be() {
        assert!(TestSymbol::ALL.is_sorted_by_key(|test| test.as_str()));
        for test in TestSymbol::ALL {
            assert!(test.as_str().starts_with(TestSymbol::PREFIX));
            assert_eq!(TestSymbol::named(&test.as_str().parse().unwrap()), Some(test));
        }
        assert_eq!(TestSymbol::LongestName.as_str().len(), Symbol::MAX_LEN);
        assert_eq!(TestSymbol::named(&"TEST.OTHER".parse().unwrap()), None);
    }

    #[test]
    fn the_halt_lasts_for_every_odd_minute() {
        let at = |nanos| Time::from_nanos(nanos);
        for (time, is_halted) in
            [(0, false), (MINUTE - 1, false), (MINUTE, true), (2 * MINUTE - 1, true), (2 * MINUTE, false)]
        {
            assert_eq!(TestSymbol::Halt.is_halted(at(time)), is_halted, "{time}");
            let change = (time / MINUTE + 1) * MINUTE;
            assert_eq!(TestSymbol::Halt.next_change(at(time)), Some(at(change)), "{time}");
        }
        assert_eq!(TestSymbol::Halt.next_change(Time::MAX), None);
        assert!(!TestSymbol::Quiet.is_halted(at(MINUTE)));
        assert_eq!(TestSymbol::Quiet.next_change(at(MINUTE)), None);
    }
}
