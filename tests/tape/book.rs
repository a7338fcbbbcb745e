//! The simulated book is one that a market could have.

use proptest::prelude::*;
use ticker::{
    tape::{Series, SimulatedSeries},
    tick::Sequence,
};

use super::{instruments, sequences};

/// Where there are two prices in 64 bits of nanos.
fn has_room(increment: i64) -> bool {
    increment <= i64::MAX / 2
}

proptest! {
    #[test]
    fn the_next_trade_is_at_the_bid_or_at_the_ask_of_a_book_that_is_not_crossed(
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
        prop_assert_eq!((book.bid.nanos() % increment, book.ask.nanos() % increment), (0, 0));
        prop_assert!(book.bid_quantity > 0 && book.ask_quantity > 0);
        let next = series.tick(tick.sequence.next());
        prop_assert!(next.price == book.bid || next.price == book.ask);
    }
}
