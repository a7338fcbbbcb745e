//! What is known of an instrument besides its ticks.

use std::{any::Any, fmt, num::NonZeroU64, time::Duration};

use super::Hours;
use crate::tick::{Price, Symbol};

/// Reference data of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its full name.
    pub name: String,
    /// Its kind: `equity`, `index`, `currency`, `crypto`, or what the instruments file says.
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
    /// One tick takes place in each such interval; zero for a recorded instrument.
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
            tick_interval,
            day_start: Duration::ZERO,
            hours: None,
            closes: false,
            lease: Lease::default(),
        }
    }
}
