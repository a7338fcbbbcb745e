//! From a point of the path to a price and a quantity.

use std::num::NonZeroU64;

use super::path::Point;
use crate::{tape::Instrument, tick::Price};

const YEAR: f64 = 365.0 * 86_400e9;

/// The log price stays within so many yearly deviations of the reference.
const REACH: f64 = 5.0;

/// The mean trade, in units of the instrument's currency.
const TRADE: f64 = 100_000.0;

/// What turns the path of one instrument into what is traded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Market {
    /// The deviation of the log price over one tick.
    deviation: f64,
    /// How far the log price may be from the reference.
    reach: f64,
    /// The reference price, in increments.
    reference: f64,
    increment: i64,
    least: Price,
    /// The mean trade, in quantity increments.
    trade: f64,
}

impl Market {
    pub(super) fn new(instrument: &Instrument, interval: u64) -> Self {
        // Not a number counts as zero, too.
        let volatility =
            if instrument.annual_volatility > 0.0 { instrument.annual_volatility.min(100.0) } else { 0.0 };
        let increment = instrument.price_increment.nanos();
        let reference = instrument.reference_price.nanos() as f64;
        let unit = instrument.quantity_increment_nanos.get() as f64;
        Self {
            deviation: volatility * (interval as f64 / YEAR).sqrt(),
            reach: REACH * volatility,
            reference: reference / increment as f64,
            increment,
            least: instrument.price_increment,
            trade: TRADE / (reference * 1e-9 * unit * 1e-9),
        }
    }

    /// The price: log-normal about the reference, rounded to the nearest increment, at least one.
    #[inline]
    pub(super) fn price(&self, point: Point) -> Price {
        let log = (point.value * self.deviation).max(-self.reach).min(self.reach);
        // The conversion rounds down and stops at the greatest number.
        let increments = (self.reference * libm::exp(log) + 0.5) as i64;
        let nanos = increments.clamp(1, i64::MAX / self.increment) * self.increment;
        Price::from_nanos(nanos).unwrap_or(self.least)
    }

    #[inline]
    pub(super) fn quantity(&self, point: Point, share: f64) -> NonZeroU64 {
        let size = 1.0 / share.sqrt() - 1.0;
        NonZeroU64::MIN
            .max(NonZeroU64::new((self.trade * point.activity * size) as u64).unwrap_or(NonZeroU64::MIN))
    }
}
