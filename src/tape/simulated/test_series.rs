//! The ticks of the symbols for tests.

use crate::{
    tape::{Cursor, Series, TestSymbol, TopOfBook},
    tick::{Price, Sequence, Tick, Time},
};

/// The ticks of one symbol for tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct TestSeries(pub(super) TestSymbol);

struct TestCursor {
    series: TestSeries,
    sequence: Sequence,
}

impl Series for TestSeries {
    fn first(&self) -> Sequence {
        Sequence(0)
    }

    fn last(&self) -> Sequence {
        Sequence(u64::MAX)
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        Some(self.0.newest_at(time))
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        Tick { sequence, time: self.0.time(sequence), price: self.0.price(sequence), quantity: 1 }
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(TestCursor { series: *self, sequence: from })
    }

    /// The bid is the price, and the ask is one increment above. Where there is no such price, the ask is the price, and the bid
    /// is one increment below.
    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        let (price, increment) = (tick.price.nanos(), self.0.price_increment().nanos());
        let (bid, ask) = match price.checked_add(increment) {
            Some(above) => (price, above),
            None => (price - increment, price),
        };
        let [bid, ask] = [bid, ask].map(Price::from_nanos);
        Some(TopOfBook { bid: bid?, bid_quantity: 100, ask: ask?, ask_quantity: 200 })
    }
}

impl Cursor for TestCursor {
    fn tick(&self) -> Tick {
        self.series.tick(self.sequence)
    }

    fn advance(&mut self) {
        self.sequence = self.sequence.next();
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.series.top_of_book(&self.tick())
    }
}
