//! What is traded: the price and the quantity at a point of the path.

use super::path::Point;
use crate::{tape::Instrument, tick::Price};

const YEAR: f64 = 365.0 * 86_400e9;

/// A price never leaves `reference × e^(±2.5 × volatility)`. That is about six deviations of the path, where it hardly
/// ever gets: the bound is a promise and not a part of the model.
const REACH: f64 = 2.5;

/// The mean trade, in units of the instrument's currency at its reference price.
const MEAN_TRADE: f64 = 100_000.0;

/// How many mean trades the best bid or ask is good for, on average.
const MEAN_DEPTH: f64 = 4.0;

/// What turns the path of one instrument into prices and quantities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Market {
    /// The deviation of the log return over one tick.
    deviation: f64,
    /// How far the log price may be from the reference.
    reach: f64,
    /// The reference price, in increments.
    reference: f64,
    increment: Price,
    /// The greatest price, in increments.
    highest: i64,
    /// The mean trade, in quantity increments; 0 for an index.
    trade: f64,
    /// The least trade, in quantity increments; 0 for an index.
    least: u64,
}

impl Market {
    /// The market of an instrument whose ticks are `interval` nanoseconds apart.
    pub(super) fn new(instrument: &Instrument, interval: u64) -> Self {
        // What is no volatility counts as none. Above 10,000 % a year the reach would not fit a double.
        let volatility =
            if instrument.annual_volatility > 0.0 { instrument.annual_volatility.min(100.0) } else { 0.0 };
        let increment = instrument.price_increment;
        let reference = instrument.reference_price.nanos() as f64;
        let unit = instrument.quantity_increment_nanos.get() as f64 * 1e-9;
        let is_index = instrument.kind == "index";
        Self {
            deviation: volatility * (interval as f64 / YEAR).sqrt(),
            reach: REACH * volatility,
            reference: reference / increment.nanos() as f64,
            increment,
            highest: i64::MAX / increment.nanos(),
            trade: if is_index { 0.0 } else { MEAN_TRADE / (reference * 1e-9 * unit) },
            least: u64::from(!is_index),
        }
    }

    /// The price: log-normal about the reference (Osborne, *Brownian motion in the stock market*, 1959; Black and
    /// Scholes, 1973), rounded to the nearest increment, at least one.
    #[inline]
    pub(super) fn price(&self, point: Point) -> Price {
        let log = (point.value * self.deviation).min(self.reach).max(-self.reach);
        // The conversion cuts off the fraction and stops at the greatest integer.
        let increments = (self.reference * libm::exp(log) + 0.5) as i64;
        // Not `clamp`, which would panic if the highest price were below one increment.
        let nanos = increments.min(self.highest).max(1) * self.increment.nanos();
        Price::from_nanos(nanos).unwrap_or(self.increment)
    }

    /// The quantity that a uniform number makes, at least one increment; 0 for an index, which is not traded itself.
    ///
    /// Volume grows with trading time, as volatility does (Clark, *A subordinated stochastic process model with
    /// finite variance for speculative prices*, 1973). Sizes have a power-law tail (Gopikrishnan, Plerou, Gabaix and
    /// Stanley, *Statistical properties of share volume traded in financial markets*, 2000): here the Lomax
    /// distribution `1/√u − 1`, whose mean is 1.
    #[inline]
    pub(super) fn quantity(&self, point: Point, uniform: f64) -> u64 {
        let size = 1.0 / uniform.sqrt() - 1.0;
        let quantity = self.trade * point.activity * size;
        // It is never negative, and by way of a signed integer the conversion costs less.
        (quantity as i64 as u64).max(self.least)
    }

    /// How much a uniform number makes that is bid for or offered at the best price, with the same tail as trades.
    pub(super) fn depth(&self, uniform: f64) -> u64 {
        self.quantity(Point { value: 0.0, activity: MEAN_DEPTH }, uniform)
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU64, time::Duration};

    use super::*;

    fn market(reference: i64, increment: i64, volatility: f64) -> Market {
        let instrument = Instrument {
            reference_price: Price::from_nanos(reference).unwrap(),
            price_increment: Price::from_nanos(increment).unwrap(),
            quantity_increment_nanos: NonZeroU64::new(1_000_000_000).unwrap(),
            annual_volatility: volatility,
            ..Instrument::named("A", Duration::from_millis(100))
        };
        Market::new(&instrument, 100_000_000)
    }

    fn at(value: f64) -> Point {
        Point { value, activity: 1.0 }
    }

    #[test]
    fn a_price_is_the_nearest_multiple_of_the_increment() {
        let market = market(2_930_550_000_000, 50_000_000, 0.25);
        assert_eq!(market.price(at(0.0)).nanos(), 2_930_550_000_000);
        // A move of one increment is log(1 + 0.05 / 2930.55); 0.4 of it is not enough and 0.6 is.
        let increment = 0.05 / 2930.55 / market.deviation;
        assert_eq!(market.price(at(0.4 * increment)).nanos(), 2_930_550_000_000);
        assert_eq!(market.price(at(0.6 * increment)).nanos(), 2_930_600_000_000);
        assert_eq!(market.price(at(-0.6 * increment)).nanos(), 2_930_500_000_000);
    }

    #[test]
    fn no_instrument_however_odd_has_a_price_that_is_not_one() {
        for reference in [1, 1_000_000_000, i64::MAX] {
            for increment in [1, 3, 1_000_000_000, i64::MAX] {
                for volatility in [0.0, 0.3, 1e9, f64::INFINITY, f64::NAN, -1.0] {
                    let market = market(reference, increment, volatility);
                    for value in [0.0, -0.0, 1e4, -1e4, 1e300, -1e300] {
                        let price = market.price(at(value)).nanos();
                        assert!(price > 0 && price % increment == 0);
                        assert!(market.quantity(at(value), 0.5) > 0);
                    }
                }
            }
        }
    }

    #[test]
    fn volume_grows_with_activity() {
        let market = market(100_000_000_000, 10_000_000, 0.25);
        let quantity = |activity| market.quantity(Point { value: 0.0, activity }, 0.25);
        assert_eq!((quantity(1.0), quantity(3.0), quantity(0.0)), (1000, 3000, 1));
    }

    #[test]
    fn an_index_has_no_quantity_and_no_depth() {
        let index = Instrument { kind: "index".to_owned(), ..Instrument::named("A", Duration::from_secs(1)) };
        let market = Market::new(&index, 1_000_000_000);
        for uniform in [f64::MIN_POSITIVE, 0.25, 1.0] {
            assert_eq!((market.quantity(at(1.0), uniform), market.depth(uniform)), (0, 0));
        }
    }
}
