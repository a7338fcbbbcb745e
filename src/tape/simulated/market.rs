//! What is traded: quotes about the efficient price, trades at the quotes, and their sizes.

use wide::f64x2;

use super::{
    calendar::{DAY_NANOS, YEAR},
    factors::{variance, volatility},
    keys::{Draw, Key},
    sizes::Sizes,
};
use crate::{
    tape::{Instrument, TopOfBook},
    tick::{Price, Time},
};

/// The efficient price never leaves `reference × e^(±5 × volatility)`. That is about four deviations of the path, where it hardly
/// ever gets: the bound is a promise and not a part of the model.
const REACH: f64 = 5.0;

/// The day of the reference prices, 2025-12-31, and how many years before and after it a drift goes on.
const REFERENCE_DAY: f64 = 20_453.0 * DAY_NANOS as f64;
const DRIFT_YEARS: f64 = 20.0;

/// Distance of bid and ask at the mean volatility, for a volatility of 1.
const SPREAD: f64 = 3.2e-4;
/// The spread follows the volatility of the moment between these multiples.
const CALM: f64 = 0.5;
const STORMY: f64 = 4.0;

/// Prices of shares gather at multiples of so many increments (Harris, *Stock price clustering and discreteness*, 1991).
const ROUND: f64 = 10.0;
/// How far from such a multiple a price is drawn onto it.
const DRAWN: f64 = 0.5;

/// How much of the side of a trade is the order flow, and how much chance.
const PERSISTENCE: f64 = 0.45;

/// The mean trade when the daily volume is not known, in units of the instrument's currency at its reference price.
const MEAN_TRADE: f64 = 100_000.0;
/// How many mean trades the best bid or ask is good for, on average.
const MEAN_DEPTH: f64 = 4.0;

/// What turns the path of one instrument into quotes and trades.
#[derive(Debug)]
pub(super) struct Market {
    /// How far the log price may be from the reference.
    reach: f64,
    /// Rise of the log price in a nanosecond.
    drift: f64,
    /// The reference price, in increments.
    reference: f64,
    increment: Price,
    /// The greatest price, in increments.
    highest: i64,
    /// Half of the mean spread, as a share of the price.
    half_spread: f64,
    /// One over the mean variance of a leaf.
    per_variance: f64,
    /// Whether prices gather at round ones.
    clusters: bool,
    sizes: Sizes,
}

/// The best bid and ask, in price increments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) bid: i64,
    pub(super) ask: i64,
}

impl Market {
    /// The market of an instrument whose path is drawn in steps of `leaf` nanoseconds, and which has so many ticks on a mean day.
    /// Who makes a market in an instrument that follows others has to trade those, so its spread is at least that of their
    /// volatilities together. The key is that of the order of its sizes.
    pub(super) fn new(
        instrument: &Instrument,
        leaf: f64,
        ticks_a_day: f64,
        leg_volatility: f64,
        order: Key,
    ) -> Self {
        let (volatility, variance) = (volatility(instrument), variance(instrument, leaf));
        let increment = instrument.price_increment;
        let reference = instrument.reference_price.nanos() as f64;
        let unit = instrument.quantity_increment_nanos.get() as f64 * 1e-9;
        let is_traded = instrument.kind != "index";
        let trade = match instrument.daily_volume {
            volume if volume > 0.0 => volume / ticks_a_day,
            _ => MEAN_TRADE / (reference * 1e-9),
        };
        Self {
            reach: REACH * volatility,
            drift: instrument.annual_drift / YEAR,
            reference: reference / increment.nanos() as f64,
            increment,
            highest: i64::MAX / increment.nanos(),
            half_spread: 0.5 * SPREAD * volatility.max(leg_volatility),
            per_variance: if variance > 0.0 { 1.0 / variance } else { 0.0 },
            clusters: instrument.kind == "equity",
            sizes: Sizes::new(is_traded.then_some(trade / unit), order),
        }
    }

    /// The spread while the path has a variance over a leaf, in multiples of the mean one.
    #[inline(always)]
    pub(super) fn width(&self, variance: f64) -> f64 {
        least(greatest((variance * self.per_variance).sqrt(), CALM), STORMY)
    }

    /// The quote about an efficient price, whose logarithm has a distance from the reference. The spread is in multiples of the mean one.
    #[inline]
    pub(super) fn quote(&self, value: f64, width: f64, time: Time) -> Quote {
        let mut log = greatest(least(value, self.reach), -self.reach);
        if self.drift != 0.0 {
            let since = (time.nanos() as f64 - REFERENCE_DAY).clamp(-DRIFT_YEARS * YEAR, DRIFT_YEARS * YEAR);
            log += self.drift * since;
        }
        let efficient = self.reference * libm::exp(log);
        let half = efficient * self.half_spread * width;
        let [bid, ask] = self.gathered(f64x2::new([efficient - half, efficient + half])).to_array();
        let (bid, ask) = ((bid + 0.5) as i64, (ask + 0.5) as i64);
        // Not `clamp`, which would panic if there were no two prices. With less than two, both are the same.
        let bid = bid.min(self.highest - 1).max(1);
        Quote { bid, ask: ask.min(self.highest).max(bid + 1) }
    }

    /// Two prices, each drawn to the next round one. It never falls when the price rises.
    #[inline(always)]
    fn gathered(&self, prices: f64x2) -> f64x2 {
        if !self.clusters {
            return prices;
        }
        let nearest = floor(prices * (1.0 / ROUND) + 0.5) * ROUND;
        let away = prices - nearest;
        let sign = away & f64x2::splat(-0.0);
        let left = (away.abs() - DRAWN).fast_max(f64x2::ZERO) * ((0.5 * ROUND) / (0.5 * ROUND - DRAWN));
        nearest + (left | sign)
    }

    /// The sizes of its trades.
    pub(super) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Whether prices rise over the years.
    pub(super) fn rises(&self) -> bool {
        self.drift > 0.0
    }

    /// The price of a trade at one of two quotes.
    #[inline]
    pub(super) fn price(&self, quote: Quote, flow: f64, draw: Draw) -> Price {
        let chance = f64::from((draw.bits() >> 16 & 0xffff) as i32 - 32_768) * (1.0 / 32_768.0);
        let buy = flow * PERSISTENCE + chance > 0.0;
        self.price_of(if buy { quote.ask } else { quote.bid })
    }

    pub(super) fn price_of(&self, increments: i64) -> Price {
        increments.checked_mul(self.increment.nanos()).and_then(Price::from_nanos).unwrap_or(self.increment)
    }

    /// The book of a quote; `None` when there are no two prices in 64 bits of nanos, which takes an increment that no instruments
    /// file may have.
    pub(super) fn book(&self, quote: Quote, draw: Draw) -> Option<TopOfBook> {
        if self.highest < 2 {
            return None;
        }
        let depth = |bits| self.sizes.ranked(bits, MEAN_DEPTH);
        Some(TopOfBook {
            bid: self.price_of(quote.bid),
            bid_quantity: depth(draw.bits()),
            ask: self.price_of(quote.ask),
            ask_quantity: depth(draw.bits() >> 16),
        })
    }
}

/// The floor of each of two numbers, which are not negative.
#[inline(always)]
fn floor(numbers: f64x2) -> f64x2 {
    // From here on doubles are whole numbers.
    const WHOLE: f64x2 = f64x2::splat((1_u64 << 52) as f64);
    let rounded = (numbers + WHOLE) - WHOLE;
    let floor = rounded - (rounded.simd_gt(numbers) & f64x2::ONE);
    numbers.simd_lt(WHOLE).bitselect(floor, numbers)
}

/// The least of two numbers; the second one if any is not a number. It is one instruction, and `f64::min` is four.
#[inline(always)]
pub(super) fn least(one: f64, other: f64) -> f64 {
    if one < other { one } else { other }
}

/// The same for the greatest.
#[inline(always)]
fn greatest(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU64, time::Duration};

    use super::*;

    const HOUR: f64 = 3.6e12;

    fn instrument(kind: &str, reference: i64, increment: i64, annual_volatility: f64) -> Instrument {
        Instrument {
            kind: kind.to_owned(),
            reference_price: Price::from_nanos(reference).unwrap(),
            price_increment: Price::from_nanos(increment).unwrap(),
            quantity_increment_nanos: NonZeroU64::new(1_000_000_000).unwrap(),
            annual_volatility,
            ..Instrument::named("A", Duration::from_millis(100))
        }
    }

    #[test]
    fn no_instrument_however_odd_has_a_price_that_is_not_one() {
        for reference in [1, 1_000_000_000, i64::MAX] {
            for increment in [1, 3, 1_000_000_000, i64::MAX] {
                for volatility in [0.0, 0.3, 1e9, f64::INFINITY, f64::NAN, -1.0] {
                    let instrument = instrument("equity", reference, increment, volatility);
                    let market = Market::new(&instrument, HOUR, 24.0, 0.0, Key::default());
                    for value in [0.0, -0.0, 1e4, -1e4, 1e300, -1e300] {
                        let quote = market.quote(value, market.width(market.reach), Time::MAX);
                        for price in [quote.bid, quote.ask].map(|at| market.price_of(at).nanos()) {
                            assert!(price > 0 && price % increment == 0);
                        }
                        assert_eq!(market.book(quote, Draw::default()).is_some(), increment <= i64::MAX / 2);
                    }
                }
            }
        }
    }

    #[test]
    fn the_quote_stands_around_the_efficient_price_and_widens_with_volatility() {
        let market = Market::new(
            &instrument("crypto", 60_000_000_000_000, 10_000_000, 0.6),
            HOUR,
            24.0,
            0.0,
            Key::default(),
        );
        let mean = variance(&instrument("crypto", 1, 1, 0.6), HOUR);
        let spread = |variance| {
            let Quote { bid, ask } = market.quote(0.0, market.width(variance), Time::default());
            assert!((bid + ask - 2 * 6_000_000).abs() <= 1);
            ask - bid
        };
        // 3.2 basis points of 60,000.00 times 0.6; half and four times that are the limits.
        assert_eq!([1.0, 4.0, 0.0, 1e9].map(|times| spread(times * mean)), [1_152, 2_304, 576, 4_608]);
    }

    #[test]
    fn prices_of_shares_gather_at_round_ones_and_keep_their_order() {
        let market = |kind| {
            Market::new(&instrument(kind, 100_000_000_000, 10_000_000, 0.25), HOUR, 24.0, 0.0, Key::default())
        };
        let prices: Vec<f64> = (0..20_000).map(|n| 9_990.0 + f64::from(n) / 1_000.0).collect();
        let round = |kind| {
            let gathered = |pair: &[f64]| market(kind).gathered(f64x2::new([pair[0], pair[1]])).to_array();
            let gathered: Vec<f64> = prices.chunks(2).flat_map(gathered).collect();
            assert!(gathered.is_sorted());
            let round = gathered.iter().filter(|price| (*price + 0.5) as i64 % 10 == 0);
            round.count()
        };
        assert_eq!((round("crypto"), round("equity")), (2_000, 3_800));
    }

    #[test]
    fn a_floor_is_that_of_each_number() {
        let numbers = [
            0.0,
            0.49,
            0.5,
            1.0 - 1e-16,
            1.0,
            1.5,
            2.5,
            1e15 + 0.5,
            4_503_599_627_370_495.5,
            9e15 + 1.0,
            1e300,
        ];
        for pair in numbers.iter().flat_map(|one| numbers.iter().map(|other| [*one, *other])) {
            assert_eq!(floor(f64x2::new(pair)).to_array(), pair.map(f64::floor));
        }
    }

    #[test]
    fn an_index_has_no_quantity_and_no_depth() {
        let sizes = |kind| {
            let market = Market::new(
                &instrument(kind, 100_000_000_000, 10_000_000, 0.25),
                HOUR,
                24.0,
                0.0,
                Key::default(),
            );
            let book = market.book(Quote { bid: 1, ask: 2 }, Draw::default()).unwrap();
            [market.sizes().of(7, market.sizes().order(7)), book.bid_quantity, book.ask_quantity]
        };
        assert_eq!(sizes("index"), [0; 3]);
        assert!(sizes("equity").iter().all(|size| *size > 0));
    }

    #[test]
    fn a_drift_raises_prices_for_twenty_years() {
        let drifting = Instrument { annual_drift: 0.1, ..instrument("crypto", 100_000_000_000, 10_000, 0.0) };
        let market = Market::new(&drifting, HOUR, 24.0, 0.0, Key::default());
        let bid = |years: f64| {
            let quote = market.quote(0.0, CALM, Time::from_nanos((REFERENCE_DAY + years * YEAR) as u64));
            market.price_of(quote.bid).to_f64()
        };
        for (years, price) in
            [(0.0, 100.0), (1.0, 110.517_09), (-1.0, 90.483_74), (20.0, 738.905_61), (90.0, 738.905_61)]
        {
            assert!((bid(years) - price).abs() < 0.01, "{years}: {}", bid(years));
        }
    }
}
