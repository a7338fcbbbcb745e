//! The ticks of one simulated instrument.

use std::{ops::Range, sync::Arc};

use super::{common::Common, market::Quote, model::Model, totals, walk::Walk};
use crate::{
    tape::{Cursor, Instrument, Series, TopOfBook, Totals},
    tick::{Sequence, Tick, Time},
};

const END_OF_TIME: Time = Time::from_nanos(u64::MAX);

/// The simulated ticks of one instrument. It holds no tick: every one is computed when it is asked for.
#[derive(Clone, Debug)]
pub struct SimulatedSeries(Arc<Model>);

/// Number of ticks that a cursor holds: the current one, and the next one, whose quote is the book of the current one.
const FEW: usize = 2;
/// Number of ticks that a live cursor holds. Between two flushes the state of a cursor leaves the processor's cache. A live cursor
/// computes several ticks each time that it has loaded its state.
const MANY: usize = 8;

struct SimulatedCursor<const HELD: usize> {
    /// The place of the tick under the cursor. There is always another one after it.
    at: usize,
    /// The place of the last tick that is computed.
    last: usize,
    /// Ticks in a row, each with the quote that stands before it.
    ticks: [(Tick, Quote); HELD],
    model: Arc<Model>,
    /// At the last of them.
    walk: Walk,
    /// The same for the paths of the instruments that it follows.
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
        self.0.trade(sequence.0, &self.0.leaf(sequence.0)).0
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(SimulatedCursor::<FEW>::new(self.0.clone(), from))
    }

    fn live_cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(SimulatedCursor::<MANY>::new(self.0.clone(), from))
    }

    fn has_totals(&self) -> bool {
        true
    }

    fn totals(&self, ticks: Range<Sequence>) -> Option<Totals> {
        totals::of(&self.0, ticks.start.0..ticks.end.0)
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        let next = tick.sequence.next().0;
        let (_, quote) = self.0.trade(next, &self.0.leaf(next));
        self.0.book(tick.sequence, quote)
    }
}

impl<const HELD: usize> SimulatedCursor<HELD> {
    fn new(model: Arc<Model>, from: Sequence) -> Self {
        let walk = Walk::new(&model.tree, from.0);
        let first = model.trade(from.0, &walk.leaf());
        let legs = vec![Walk::nowhere(); model.legs.len()];
        let mut cursor = Self { at: 0, last: 1, ticks: [first; HELD], model, walk, legs };
        cursor.ticks[1] = cursor.compute();
        cursor
    }

    /// Moves the walk to the next tick.
    #[inline(always)]
    fn compute(&mut self) -> (Tick, Quote) {
        let Self { model, walk, legs, .. } = self;
        walk.advance(&model.tree);
        let legs = legs.iter_mut().zip(&model.legs);
        model.trade_at(walk.tick(), &walk.leaf(), |time| {
            legs.map(|(walk, leg)| walk.value_at(leg, time)).sum()
        })
    }

    /// Computes the next ticks: twice as many as the last time, so that many cursors which begin together do not all compute a full
    /// batch in the same flush.
    #[inline(never)]
    fn refill(&mut self) {
        (self.at, self.ticks[0]) = (0, self.ticks[self.last]);
        self.last = (2 * self.last).min(HELD - 1);
        for at in 1..=self.last {
            self.ticks[at] = self.compute();
        }
    }
}

impl<const HELD: usize> Cursor for SimulatedCursor<HELD> {
    fn tick(&self) -> Tick {
        self.ticks[self.at].0
    }

    fn advance(&mut self) {
        self.at += 1;
        if self.at == self.last {
            self.refill();
        }
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.model.book(self.tick().sequence, self.ticks[self.at + 1].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_modest_in_memory() {
        assert!(size_of::<SimulatedCursor<FEW>>() <= 704, "{}", size_of::<SimulatedCursor<FEW>>());
        assert!(size_of::<SimulatedCursor<MANY>>() <= 1_024, "{}", size_of::<SimulatedCursor<MANY>>());
    }
}
