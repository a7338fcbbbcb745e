//! The simulated book is one that a market could have.

use proptest::prelude::*;
use ticker::{
    tape::{Series, SimulatedSeries},
    tick::Sequence,
};

use super::{instruments, sequences, series};

/// Where there are two prices in 64 bits of nanos.
fn has_room(increment: i64) -> bool {
    increment <= i64::MAX / 2
}

proptest! {
    #[test]
    fn the_last_trade_is_at_the_bid_or_at_the_ask_of_a_book_that_is_not_crossed(
        seed: u64, n in sequences(), instrument in instruments(),
    ) {
        let series = SimulatedSeries::new(seed, &instrument);
        let tick = series.tick(Sequence(n));
        let increment = instrument.price_increment.nanos();
        let Some(book) = series.top_of_book(&tick) else {
            prop_assert!(!has_room(increment));
            return Ok(());
        };
        prop_assert!(book.bid < book.ask);
        prop_assert!(book.bid.nanos() >= increment);
        prop_assert!(tick.price == book.bid || tick.price == book.ask);
        prop_assert_eq!((book.bid.nanos() % increment, book.ask.nanos() % increment), (0, 0));
        prop_assert!(book.bid_quantity > 0 && book.ask_quantity > 0);
        prop_assert_eq!(series.top_of_book(&tick), Some(book));
    }
}

#[test]
fn trades_bounce_between_a_bid_and_an_ask_of_some_basis_points() {
    let (instrument, series) = series(7, "BTC-USD");
    let mut cursor = series.cursor(Sequence(89_600_000_000));
    let count = 100_000;
    let (mut at_bid, mut turns, mut basis_points, mut sizes) = (0, 0, 0.0, Vec::new());
    let mut before = None;
    for _ in 0..count {
        let tick = cursor.tick();
        let book = series.top_of_book(&tick).unwrap();
        let bid = tick.price == book.bid;
        at_bid += u32::from(bid);
        turns += u32::from(before.is_some_and(|before| before != bid));
        before = Some(bid);
        basis_points += (book.ask.to_f64() - book.bid.to_f64()) / tick.price.to_f64() * 1e4;
        sizes.extend([book.bid_quantity as f64, book.ask_quantity as f64]);
        cursor.advance();
    }
    let share = |of: u32| f64::from(of) / f64::from(count);
    let (spread, mean) = (basis_points / f64::from(count), sizes.iter().sum::<f64>() / sizes.len() as f64);
    sizes.sort_by(f64::total_cmp);
    let median = sizes[sizes.len() / 2];
    let trade = 100_000.0 / instrument.reference_price.to_f64() / 0.00001;
    println!(
        "at the bid {:.3}, side changes {:.3}, spread {spread:.2} basis points, mean size {:.2} trades, {:.2} times \
         the median",
        share(at_bid),
        share(turns),
        mean / trade,
        mean / median,
    );
    // Five deviations of a fair coin.
    assert!((share(at_bid) - 0.5).abs() < 0.008 && (share(turns) - 0.5).abs() < 0.008);
    // One, and four times the mean of the square of a uniform number.
    assert!((spread - 7.0 / 3.0).abs() < 0.02);
    // Few are good for very much: the mean is far above the median.
    assert!((3.0..5.0).contains(&(mean / trade)) && mean / median > 2.0);
}
