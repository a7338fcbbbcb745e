//! The ticks of one simulated instrument.

use std::{ops::Range, sync::Arc};

use super::{
    common::Common,
    market::Quote,
    model::{Leaf, Model},
    sizes::{GROUP, Order},
    totals,
    walk::Walk,
};
use crate::{
    tape::{Cursor, Instrument, Series, TopOfBook, Totals},
    tick::{Sequence, Tick, Time},
};

const END_OF_TIME: Time = Time::from_nanos(u64::MAX);

/// The simulated ticks of one instrument. It holds no tick: every one is computed when it is asked for.
#[derive(Clone, Debug)]
pub struct SimulatedSeries(Arc<Model>);

struct SimulatedCursor {
    tick: Tick,
    /// The next tick, with the quote at which it trades: the book of the tick under the cursor.
    next: (Tick, Quote),
    model: Arc<Model>,
    /// At the next tick.
    walk: Walk,
    /// Of the leaf and of the group of sizes of the next tick.
    leaf: Leaf,
    order: Order,
    /// The same as `walk` for the paths of the instruments that it follows.
    legs: Vec<Walk>,
}

impl SimulatedSeries {
    /// The series of an instrument on the tape of a seed. If it follows others, it has a path of its own instead.
    pub fn new(seed: u64, instrument: &Instrument) -> Self {
        Self::following(instrument, &[], &Common::new(seed))
    }

    /// The series of an instrument that follows others.
    pub(super) fn following(instrument: &Instrument, legs: &[Arc<Instrument>], common: &Common) -> Self {
        Self(Arc::new(Model::new(instrument, legs, common)))
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
        if time == END_OF_TIME {
            return Some(Sequence(u64::MAX));
        }
        self.0.last_at(time).map(Sequence)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.0.trade(sequence.0).0
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(SimulatedCursor::new(self.0.clone(), from))
    }

    fn has_totals(&self) -> bool {
        true
    }

    fn totals(&self, ticks: Range<Sequence>) -> Option<Totals> {
        totals::of(&self.0, ticks.start.0..ticks.end.0)
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        let next = tick.sequence.next().0;
        let (_, quote) = self.0.trade(next);
        self.0.book(tick.sequence, quote)
    }
}

impl SimulatedCursor {
    fn new(model: Arc<Model>, from: Sequence) -> Self {
        let walk = Walk::new(&model.tree, from.0);
        let (leaf, order) = (model.leaf(&walk.leaf()), model.market.sizes().order(from.0));
        let next = model.trade_in(from.0, &walk.leaf());
        let legs = vec![Walk::nowhere(); model.legs.len()];
        let mut cursor = Self { tick: next.0, next, model, walk, leaf, order, legs };
        cursor.next = cursor.compute();
        cursor
    }

    /// Moves the walk to the next tick.
    #[inline(always)]
    fn compute(&mut self) -> (Tick, Quote) {
        let Self { model, walk, leaf, order, legs, .. } = self;
        if walk.advance(&model.tree) {
            *leaf = model.leaf(&walk.leaf());
        }
        if walk.tick() % GROUP == 0 {
            *order = model.market.sizes().order(walk.tick());
        }
        let legs = legs.iter_mut().zip(&model.legs);
        model.trade_at(walk.tick(), &walk.leaf(), *leaf, *order, |time| {
            legs.map(|(walk, leg)| walk.value_at(leg, time)).sum()
        })
    }
}

impl Cursor for SimulatedCursor {
    fn tick(&self) -> Tick {
        self.tick
    }

    fn advance(&mut self) {
        self.tick = self.next.0;
        self.next = self.compute();
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.model.book(self.tick.sequence, self.next.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_modest_in_memory() {
        assert!(size_of::<SimulatedCursor>() <= 704, "{}", size_of::<SimulatedCursor>());
    }
}
