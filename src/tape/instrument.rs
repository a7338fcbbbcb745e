//! What is known of an instrument besides its ticks.

use std::{any::Any, fmt, num::NonZeroU64, sync::Arc, time::Duration};

use super::{Hours, TestSymbol, TradingDays};
use crate::tick::{Price, Symbol, Time};

/// Most factors of an instrument.
pub const MOST_FACTORS: usize = 3;

/// Reference data of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its full name.
    pub name: String,
    /// Its kind: `equity`, `index`, `currency`, `crypto`, `test` for a [symbol for tests](TestSymbol), or what the
    /// instruments file says.
    pub kind: String,
    /// The currency of its prices; empty when it has none.
    pub currency: String,
    /// The price around which a simulated tape moves.
    pub reference_price: Price,
    /// Every price is a multiple of this.
    pub price_increment: Price,
    /// The size of one unit of quantity, in 1e-9 of a share or coin.
    pub quantity_increment_nanos: NonZeroU64,
    /// Annualised standard deviation of the log returns of a day or less: 0.25 is 25 %.
    pub annual_volatility: f64,
    /// The quantity that is traded on a mean day of a simulated tape, in shares or coins; 0 when it is not known.
    pub daily_volume: f64,
    /// Drift of the log price in a year: 0.08 is 8 %.
    pub annual_drift: f64,
    /// What moves a simulated price together with others: the names of factors, each with the correlation with it, from −1 to 1. The
    /// sum of their squares is at most 1.
    pub factors: Vec<(String, f64)>,
    /// The instruments whose log prices add up to that of this one; empty if it has a path of its own.
    pub follows: Vec<Symbol>,
    /// Mean time between two ticks while it trades; zero for a recorded instrument.
    pub tick_interval: Duration,
    /// When its day begins, after 00:00 UTC. An instrument that closes has the days of its sessions instead.
    pub day_start: Duration,
    /// The hours of its market, which shape the day of a simulated tape. `None` when its market never closes.
    pub hours: Option<Hours>,
    /// Whether it trades only within its hours.
    pub closes: bool,
    /// Frees the place of an invented instrument when it is dropped.
    pub lease: Lease,
}

/// Whether an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentStatus {
    /// It trades.
    Open,
    /// Its market is closed.
    Closed,
    /// Its market is open, and its trading is interrupted.
    Halted,
}

/// Runs code when an instrument is not used any more, by dropping a guard. The default has no guard.
///
/// A clone of an instrument gets the default lease. All leases compare as equal, so that they do not affect the
/// comparison of instruments.
#[derive(Default)]
pub struct Lease(Option<Box<dyn Any + Send + Sync>>);

impl Lease {
    /// A lease that drops `guard` when it ends.
    pub(super) fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }
}

impl Instrument {
    /// An instrument whose ticks are not simulated, named by its symbol. It has no currency, and its days begin at 00:00 UTC.
    pub fn not_simulated(
        symbol: Symbol,
        kind: &str,
        reference_price: Price,
        price_increment: Price,
        quantity_increment_nanos: NonZeroU64,
    ) -> Self {
        Self {
            symbol,
            name: symbol.to_string(),
            kind: kind.to_owned(),
            currency: String::new(),
            reference_price,
            price_increment,
            quantity_increment_nanos,
            annual_volatility: 0.0,
            daily_volume: 0.0,
            annual_drift: 0.0,
            factors: Vec::new(),
            follows: Vec::new(),
            tick_interval: Duration::ZERO,
            day_start: Duration::ZERO,
            hours: None,
            closes: false,
            lease: Lease::default(),
        }
    }

    /// Whether it trades at a time; `None` when that is not known, as of a recorded instrument.
    pub fn status_at(&self, time: Time) -> Option<InstrumentStatus> {
        let is_known = !self.tick_interval.is_zero();
        let is_halted = self.test_symbol().is_some_and(|test| test.is_halted(time));
        let is_open = self.session().is_none_or(|session| session.is_open(time));
        is_known.then_some(match (is_halted, is_open) {
            (true, _) => InstrumentStatus::Halted,
            (false, true) => InstrumentStatus::Open,
            (false, false) => InstrumentStatus::Closed,
        })
    }

    /// When its status changes next, after a time; `None` when it never does or that is not known.
    pub fn next_status_change(&self, time: Time) -> Option<Time> {
        match self.test_symbol() {
            Some(test) => test.next_change(time),
            None => self.session()?.next_change(time),
        }
    }

    /// Which of the symbols for tests it is.
    pub fn test_symbol(&self) -> Option<TestSymbol> {
        if self.is_for_tests() { TestSymbol::named(&self.symbol) } else { None }
    }

    /// Whether it is one of the symbols for tests, which `*` leaves out.
    pub fn is_for_tests(&self) -> bool {
        self.kind == TestSymbol::KIND
    }

    /// Its trading days.
    pub fn trading_days(&self) -> TradingDays {
        match self.session() {
            Some(session) => TradingDays::Sessions(session.clone()),
            None => TradingDays::Every24Hours(self.day_start),
        }
    }

    /// The hours outside of which it does not trade.
    fn session(&self) -> Option<&Hours> {
        self.hours.as_ref().filter(|_| self.closes)
    }
}

/// The instruments of a list that `*` stands for: all but the symbols for tests. The list is ordered by symbol. Counting them
/// takes no longer for a long list.
pub fn all_but_tests(listed: &[Arc<Instrument>]) -> impl Iterator<Item = &Arc<Instrument>> {
    let (before, rest) =
        listed.split_at(listed.partition_point(|instrument| instrument.symbol.as_str() < TestSymbol::PREFIX));
    let tests = rest.iter().take_while(|instrument| instrument.is_for_tests()).count();
    before.iter().chain(rest.get(tests..).unwrap_or_default())
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Lease {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Lease(..)" } else { "Lease" })
    }
}

#[cfg(test)]
impl Instrument {
    /// An instrument of which a test needs no more than this.
    pub(crate) fn named(symbol: &str, tick_interval: Duration) -> Self {
        let least = Price::from_nanos(1).unwrap();
        Self {
            symbol: symbol.parse().unwrap(),
            name: String::new(),
            kind: String::new(),
            currency: String::new(),
            reference_price: least,
            price_increment: least,
            quantity_increment_nanos: NonZeroU64::MIN,
            annual_volatility: 0.1,
            daily_volume: 0.0,
            annual_drift: 0.0,
            factors: Vec::new(),
            follows: Vec::new(),
            tick_interval,
            day_start: Duration::ZERO,
            hours: None,
            closes: false,
            lease: Lease::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp;

    fn instrument(closes: bool) -> Instrument {
        let hours = "09:15-15:30 Asia/Kolkata Mon-Fri".parse().ok();
        let day_start = Duration::from_secs(3600);
        Instrument { hours, closes, day_start, ..Instrument::named("A", Duration::from_millis(100)) }
    }

    fn time(text: &str) -> Time {
        timestamp::parse(text).unwrap()
    }

    #[test]
    fn an_instrument_that_closes_has_the_status_and_the_days_of_its_market() {
        let closing = instrument(true);
        let (noon, night) = (time("2026-11-20T06:30:00Z"), time("2026-11-20T20:00:00Z"));
        assert_eq!(closing.status_at(noon), Some(InstrumentStatus::Open));
        assert_eq!(closing.next_status_change(noon), Some(time("2026-11-20T10:00:00Z")));
        assert_eq!(closing.status_at(night), Some(InstrumentStatus::Closed));
        assert_eq!(closing.next_status_change(night), Some(time("2026-11-23T03:45:00Z")));
        assert_eq!(closing.trading_days().day_of(night).start, time("2026-11-20T03:45:00Z"));
    }

    #[test]
    fn an_instrument_that_does_not_close_is_open_at_night_and_has_days_of_24_hours() {
        let night = time("2026-11-21T00:00:00Z");
        for open in [instrument(false), Instrument { hours: None, ..instrument(true) }] {
            assert_eq!(open.status_at(night), Some(InstrumentStatus::Open));
            assert_eq!(open.next_status_change(night), None);
            assert_eq!(open.trading_days().day_of(night).start, time("2026-11-20T01:00:00Z"));
        }
    }

    #[test]
    fn whether_a_recorded_instrument_trades_is_not_known() {
        let recorded = Instrument { tick_interval: Duration::ZERO, ..instrument(false) };
        assert_eq!(
            (recorded.status_at(Time::MAX), recorded.next_status_change(Time::default())),
            (None, None)
        );
    }
}
