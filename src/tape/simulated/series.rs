//! The ticks of one simulated instrument.

use std::sync::Arc;

use super::{
    calendar,
    market::{Market, Quote},
    rhythm::Rhythms,
    tree::{Placed, Tree},
    walk::Walk,
};
use crate::{
    tape::{Cursor, Instrument, Series, TopOfBook},
    tick::{Sequence, Tick, Time},
};

const END_OF_TIME: Time = Time::from_nanos(u64::MAX);

/// The simulated ticks of one instrument. It holds no tick: every one is computed when it is asked for.
#[derive(Clone, Debug)]
pub struct SimulatedSeries(Arc<Model>);

/// All that determines the ticks of one instrument.
#[derive(Debug)]
struct Model {
    tree: Tree,
    market: Market,
    /// The trees whose paths add up to the path of this instrument. Empty if it has its own.
    legs: Vec<Tree>,
}

struct SimulatedCursor {
    model: Arc<Model>,
    tick: Tick,
    /// The quote that stands after the tick, at which the next one trades.
    quote: Quote,
    /// At the next tick.
    ahead: Walk,
    /// When the next tick takes place.
    time: Time,
}

impl SimulatedSeries {
    /// The series of an instrument on the tape of a seed. If it follows others, it has a path of its own instead.
    pub fn new(seed: u64, instrument: &Instrument) -> Self {
        Self::following(seed, instrument, &[], &Rhythms::default())
    }

    /// The series of an instrument that follows others.
    pub(super) fn following(
        seed: u64,
        instrument: &Instrument,
        legs: &[Arc<Instrument>],
        rhythms: &Rhythms,
    ) -> Self {
        let tree = |instrument: &Instrument| Tree::new(seed, instrument, rhythms.of(instrument));
        let leg_volatility: f64 = legs.iter().map(|leg| leg.annual_volatility).sum();
        let legs = legs.iter().map(|leg| tree(leg)).collect();
        let tree = tree(instrument);
        let market = Market::new(instrument, tree.leaf_nanos(), tree.ticks_a_day(), leg_volatility);
        Self(Arc::new(Model { tree, market, legs }))
    }
}

impl Model {
    /// When a tick of a leaf takes place, and the quote at which it trades.
    #[inline]
    fn look(&self, tick: u64, leaf: &Placed) -> (Time, Quote) {
        let draw = self.tree.keys().trades.draw(tick);
        let number = tick.saturating_sub(leaf.first) as f64;
        // Each tick has a slot of its own in the leaf.
        let part = ((number + draw.fraction()) / leaf.span.ticks).min(1.0);
        let time = within(self.tree.bounds(leaf), part);
        let value = if self.legs.is_empty() {
            leaf.span.value + leaf.span.rise * part
        } else {
            self.legs.iter().map(|leg| leg.value_at(time)).sum()
        };
        (time, self.market.quote(value, leaf.span.variance, time))
    }

    #[inline]
    fn trade(&self, sequence: Sequence, time: Time, quote: Quote, flow: f64) -> Tick {
        let draw = self.tree.keys().trades.draw(sequence.0);
        let price = self.market.price(quote, flow, draw);
        Tick { sequence, time, price, quantity: self.market.quantity(draw) }
    }

    /// The leaf of a tick. Those after the end of time are all in the last one.
    #[inline]
    fn leaf(&self, tick: u64) -> Placed {
        self.tree.leaf_of(tick.min(self.tree.ticks() - 1))
    }

    fn book(&self, sequence: Sequence, quote: Quote) -> Option<TopOfBook> {
        self.market.book(quote, self.tree.keys().depth.draw(sequence.0))
    }
}

/// A point of time between two, as a part of the way.
#[inline]
fn within((from, to): (u64, u64), part: f64) -> Time {
    let length = to.saturating_sub(from);
    let since = ((length as f64 * part) as u64).min(length.saturating_sub(1));
    Time::from_nanos(from.saturating_add(since))
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
        let tree = &self.0.tree;
        let leaf = tree.leaf_at(calendar::position(time));
        let bounds = tree.bounds(&leaf);
        let Placed { first, span, .. } = leaf;
        let ticks = span.ticks as u64;
        let has_passed = |number: u64| {
            let draw = tree.keys().trades.draw(first + number);
            within(bounds, (number as f64 + draw.fraction()) / span.ticks) <= time
        };
        // Each tick has a slot of its own in the leaf.
        let slot =
            time.nanos().saturating_sub(bounds.0) as f64 / bounds.1.saturating_sub(bounds.0).max(1) as f64;
        let mut passed = ((slot * span.ticks) as u64).min(ticks);
        while passed > 0 && !has_passed(passed - 1) {
            passed -= 1;
        }
        while passed < ticks && has_passed(passed) {
            passed += 1;
        }
        (first + passed).checked_sub(1).map(Sequence)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        let leaf = self.0.leaf(sequence.0);
        let (time, quote) = self.0.look(sequence.0, &leaf);
        self.0.trade(sequence, time, quote, leaf.span.flow)
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let model = self.0.clone();
        let mut ahead = Walk::new(&model.tree, from.0);
        let (time, quote) = model.look(from.0, &ahead.leaf());
        let tick = model.trade(from, time, quote, ahead.leaf().span.flow);
        ahead.advance(&model.tree);
        let (time, quote) = model.look(ahead.tick(), &ahead.leaf());
        Box::new(SimulatedCursor { model, tick, quote, ahead, time })
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        let next = tick.sequence.next();
        let (_, quote) = self.0.look(next.0, &self.0.leaf(next.0));
        self.0.book(tick.sequence, quote)
    }
}

impl Cursor for SimulatedCursor {
    fn tick(&self) -> Tick {
        self.tick
    }

    fn advance(&mut self) {
        let next = self.tick.sequence.next();
        self.tick = self.model.trade(next, self.time, self.quote, self.ahead.leaf().span.flow);
        self.ahead.advance(&self.model.tree);
        (self.time, self.quote) = self.model.look(self.ahead.tick(), &self.ahead.leaf());
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.model.book(self.tick.sequence, self.quote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_modest_in_memory() {
        assert!(size_of::<SimulatedCursor>() <= 640, "{}", size_of::<SimulatedCursor>());
    }
}
