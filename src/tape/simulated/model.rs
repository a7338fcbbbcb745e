//! The ticks of one instrument as a function of their number.

use std::sync::Arc;

use super::{
    calendar,
    common::Common,
    market::{Market, Quote},
    span::Span,
    tree::{Placed, Tree},
};
use crate::{
    tape::{Instrument, TopOfBook},
    tick::{Sequence, Tick, Time},
};

/// All that determines the ticks of one instrument.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) tree: Tree,
    pub(super) market: Market,
    /// The trees whose paths add up to the path of this instrument. Empty if it has its own.
    pub(super) legs: Vec<Tree>,
}

impl Model {
    pub(super) fn new(instrument: &Instrument, legs: &[Arc<Instrument>], common: &Common) -> Self {
        let tree = |instrument: &Instrument| Tree::new(instrument, common);
        let leg_volatility: f64 = legs.iter().map(|leg| leg.annual_volatility).sum();
        let legs = legs.iter().map(|leg| tree(leg)).collect();
        let tree = tree(instrument);
        let market =
            Market::new(instrument, tree.leaf_nanos(), tree.ticks_a_day(), leg_volatility, tree.keys().sizes);
        Self { tree, market, legs }
    }

    /// A tick of a leaf, and the quote at which it trades.
    #[inline]
    pub(super) fn trade(&self, tick: u64, leaf: &Placed) -> (Tick, Quote) {
        self.trade_at(tick, leaf, |time| self.legs.iter().map(|leg| leg.value_at(time)).sum())
    }

    /// The same with the sum of the paths that the instrument follows, if it follows some.
    #[inline(always)]
    pub(super) fn trade_at(&self, tick: u64, leaf: &Placed, legs: impl FnOnce(Time) -> f64) -> (Tick, Quote) {
        let Placed { start, first, span, has_edge } = leaf;
        let draw = self.tree.keys().trades.draw(tick);
        let number = tick.saturating_sub(*first) as f64;
        // Each tick has a slot of its own in the leaf.
        let part = ((number + draw.fraction()) / span.ticks as f64).min(1.0);
        let time = within(self.tree.bounds(*start, *has_edge), part);
        let value = if self.legs.is_empty() { span.path.value + span.path.rise * part } else { legs(time) };
        let quote = self.market.quote(value, span.path.variance, time);
        let price = self.market.price(quote, span.flow, draw);
        (Tick { sequence: Sequence(tick), time, price, quantity: self.market.sizes().of(tick) }, quote)
    }

    /// The last tick that took place at a time or before it, which is not the end of time.
    pub(super) fn last_at(&self, time: Time) -> Option<u64> {
        let tree = &self.tree;
        let Placed { start, first, span: Span { ticks, .. }, has_edge } =
            tree.leaf_at(calendar::position(time));
        let bounds = tree.bounds(start, has_edge);
        let has_passed = |number: u64| {
            let draw = tree.keys().trades.draw(first + number);
            within(bounds, (number as f64 + draw.fraction()) / ticks as f64) <= time
        };
        // Each tick has a slot of its own in the leaf.
        let slot =
            time.nanos().saturating_sub(bounds.0) as f64 / bounds.1.saturating_sub(bounds.0).max(1) as f64;
        let mut passed = ((slot * ticks as f64) as u64).min(ticks as u64);
        while passed > 0 && !has_passed(passed - 1) {
            passed -= 1;
        }
        while passed < ticks as u64 && has_passed(passed) {
            passed += 1;
        }
        (first + passed).checked_sub(1)
    }

    /// The leaf of a tick. Those after the end of time are all in the last one.
    #[inline]
    pub(super) fn leaf(&self, tick: u64) -> Placed {
        self.tree.leaf_of(tick.min(self.tree.ticks() - 1))
    }

    pub(super) fn book(&self, sequence: Sequence, quote: Quote) -> Option<TopOfBook> {
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
