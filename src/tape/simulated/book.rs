//! The best bid and ask after a trade.

use super::{keys::Key, market::Market};
use crate::{
    tape::{Instrument, TopOfBook},
    tick::{Price, Tick},
};

/// The book of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Book {
    key: Key,
    increment: Price,
}

impl Book {
    pub(super) fn new(key: Key, instrument: &Instrument) -> Self {
        Self { key, increment: instrument.price_increment }
    }

    /// The book after a trade; `None` when there are no two prices in 64 bits of nanos, which takes an increment that no
    /// instruments file may have.
    ///
    /// A trade takes place at the bid or at the ask, with even chances whatever the last one did (Roll, *A simple implicit
    /// measure of the effective bid-ask spread in an efficient market*, 1984). There the middle walks and the trades
    /// bounce about it; here the trades walk and the book bounces about them.
    pub(super) fn after(&self, trade: &Tick, market: &Market) -> Option<TopOfBook> {
        let bits = self.key.draw(trade.sequence.0).bits();
        let uniform = |shift: u32| bits >> shift & 0xffff;
        let spread = self.spread(trade.price, uniform(32));
        let above = trade.price.nanos().checked_add(spread).and_then(Price::from_nanos);
        let below = trade.price.nanos().checked_sub(spread).and_then(Price::from_nanos);
        let (bid, ask) = match (below, above) {
            (Some(bid), Some(_)) if bits >> 63 == 1 => (bid, trade.price),
            (_, Some(ask)) => (trade.price, ask),
            (Some(bid), None) => (bid, trade.price),
            (None, None) => return None,
        };
        let depth = |uniform: u64| market.depth(f64::from(2 * uniform as i32 + 1) * (1.0 / 131_072.0));
        Some(TopOfBook { bid, bid_quantity: depth(uniform(0)), ask, ask_quantity: depth(uniform(16)) })
    }

    /// How far apart bid and ask are: 1 to 5 basis points of the price, the narrow more often than the wide, cut to a
    /// multiple of the increment and at least one.
    fn spread(&self, price: Price, uniform: u64) -> i64 {
        const ONE: u128 = 1 << 32;
        let increments = price.nanos() / self.increment.nanos();
        let basis_points = ONE + 4 * u128::from(uniform * uniform);
        let spread = increments as u128 * basis_points / (10_000 * ONE);
        // One increment, or less than the price: it fits.
        (spread as i64).max(1) * self.increment.nanos()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::keys::Keys, *};
    use crate::tick::{Sequence, Time};

    /// The books after trades at a price, one for each of many draws.
    fn books(price: i64, increment: i64) -> Vec<Option<TopOfBook>> {
        let price = Price::from_nanos(price).unwrap();
        let instrument = Instrument {
            reference_price: price,
            price_increment: Price::from_nanos(increment).unwrap(),
            ..Instrument::named("A", Duration::from_millis(100))
        };
        let market = Market::new(&instrument, 100_000_000);
        let book = Book::new(Keys::new(7, &instrument.symbol).book, &instrument);
        let trade = |n| Tick { sequence: Sequence(n), time: Time::MAX, price, quantity: 1 };
        (0..1_000).map(|n| book.after(&trade(n), &market)).collect()
    }

    #[test]
    fn the_spread_is_some_basis_points_and_at_least_one_increment() {
        for book in books(10_000_000_000_000, 10_000_000).into_iter().flatten() {
            assert!((1_000_000_000..=5_000_000_000).contains(&(book.ask.nanos() - book.bid.nanos())));
        }
        for book in books(100_000_000, 10_000_000).into_iter().flatten() {
            assert_eq!(book.ask.nanos() - book.bid.nanos(), 10_000_000);
        }
    }

    #[test]
    fn at_the_lowest_price_a_trade_is_at_the_bid_and_at_the_highest_at_the_ask() {
        for book in books(10_000_000, 10_000_000) {
            assert_eq!(book.unwrap().bid.nanos(), 10_000_000);
        }
        for book in books(i64::MAX, 1) {
            assert_eq!(book.unwrap().ask.nanos(), i64::MAX);
        }
    }

    #[test]
    fn where_no_two_prices_fit_there_is_no_book() {
        assert!(books(i64::MAX, i64::MAX).iter().all(Option::is_none));
        assert!(books(i64::MAX / 2, i64::MAX / 2).iter().all(Option::is_some));
    }
}
