//! The ticks of one simulated instrument.

use super::{
    book::Book,
    keys::Keys,
    market::Market,
    path::{Path, Point},
    slots::Slots,
    walk::Walk,
};
use crate::{
    tape::{Cursor, Instrument, Series, TopOfBook},
    tick::{Sequence, Tick, Time},
};

/// The simulated ticks of one instrument. It holds no tick: every one is computed when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedSeries {
    slots: Slots,
    path: Path,
    market: Market,
    book: Book,
}

struct SimulatedCursor {
    slots: Slots,
    market: Market,
    walk: Walk,
}

impl SimulatedSeries {
    /// The series of an instrument on the tape of a seed.
    pub fn new(seed: u64, instrument: &Instrument) -> Self {
        let keys = Keys::new(seed, &instrument.symbol);
        let slots = Slots::new(keys.slots, instrument.tick_interval);
        let path = Path::new(keys.path, slots.interval());
        let market = Market::new(instrument, slots.interval());
        Self { slots, path, market, book: Book::new(keys.book, instrument) }
    }
}

impl Series for SimulatedSeries {
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
        self.slots.newest_at(time)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        tick(&self.slots, &self.market, sequence, self.path.at(sequence.0))
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(SimulatedCursor {
            slots: self.slots,
            market: self.market,
            walk: Walk::new(self.path, from.0),
        })
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        self.book.after(tick, &self.market)
    }
}

impl Cursor for SimulatedCursor {
    fn tick(&self) -> Tick {
        tick(&self.slots, &self.market, Sequence(self.walk.tick()), self.walk.point())
    }

    fn advance(&mut self) {
        self.walk.advance();
    }
}

#[inline]
fn tick(slots: &Slots, market: &Market, sequence: Sequence, point: Point) -> Tick {
    let trade = slots.trade(sequence.0);
    Tick {
        sequence,
        time: trade.time,
        price: market.price(point),
        quantity: market.quantity(point, trade.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_modest_in_memory() {
        assert!(size_of::<SimulatedCursor>() <= 448, "{}", size_of::<SimulatedCursor>());
    }
}
