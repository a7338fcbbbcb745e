//! The ticks of one instrument as a function of their number.

use std::sync::Arc;

use super::{
    calendar,
    common::Common,
    keys::Draw,
    market::{Market, Quote, least},
    sizes::Order,
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

/// What the ticks of a leaf have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    /// When the leaf begins, and how long it is, in nanoseconds.
    from: u64,
    length: i64,
    /// The spread, in multiples of the mean one.
    width: f64,
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

    /// A tick, and the quote at which it trades. Those after the end of time are all in the last leaf.
    #[inline]
    pub(super) fn trade(&self, tick: u64) -> (Tick, Quote) {
        self.trade_in(tick, &self.tree.leaf_of(tick.min(self.tree.ticks() - 1)))
    }

    /// A tick of a leaf, and the quote at which it trades.
    #[inline]
    pub(super) fn trade_in(&self, tick: u64, placed: &Placed) -> (Tick, Quote) {
        let legs = |time| self.legs.iter().map(|leg| leg.value_at(time)).sum();
        self.trade_at(tick, placed, self.leaf(placed), self.market.sizes().order(tick), legs)
    }

    /// What the ticks of a leaf have in common.
    #[inline(always)]
    pub(super) fn leaf(&self, placed: &Placed) -> Leaf {
        let (from, to) = self.tree.bounds(placed.start, placed.has_edge);
        let length = to.saturating_sub(from) as i64;
        Leaf { from, length, width: self.market.width(placed.span.path.variance) }
    }

    /// The same as [`trade_in`](Self::trade_in), with what the ticks of the leaf and those of the group of sizes have in common, and
    /// with the sum of the paths that the instrument follows, if it follows some.
    #[inline(always)]
    pub(super) fn trade_at(
        &self,
        tick: u64,
        placed: &Placed,
        leaf: Leaf,
        order: Order,
        legs: impl FnOnce(Time) -> f64,
    ) -> (Tick, Quote) {
        let Span { ticks, path, flow } = placed.span;
        let draw = self.tree.keys().trades.draw(tick);
        // Ticks after the end of time are in the last leaf as well, far beyond its own.
        let number = tick.saturating_sub(placed.first).min(ticks.count as u64) as i64;
        let part = part(number, ticks.count, draw);
        let time = leaf.time(part);
        let value = if self.legs.is_empty() { path.value + path.rise * part } else { legs(time) };
        let quote = self.market.quote(value, leaf.width, time);
        let price = self.market.price(quote, flow, draw);
        let quantity = self.market.sizes().of(tick, order);
        (Tick { sequence: Sequence(tick), time, price, quantity }, quote)
    }

    /// The last tick that took place at a time or before it, which is not the end of time.
    pub(super) fn last_at(&self, time: Time) -> Option<u64> {
        let placed = self.tree.leaf_at(calendar::position(time));
        let (first, ticks, leaf) = (placed.first, placed.span.ticks.count, self.leaf(&placed));
        let has_passed = |number: i64| {
            let draw = self.tree.keys().trades.draw(first + number as u64);
            leaf.time(part(number, ticks, draw)) <= time
        };
        let since = time.nanos().saturating_sub(leaf.from) as f64;
        let mut passed = ((since / leaf.length.max(1) as f64 * ticks as f64) as i64).min(ticks);
        while passed > 0 && !has_passed(passed - 1) {
            passed -= 1;
        }
        while passed < ticks && has_passed(passed) {
            passed += 1;
        }
        (first + passed as u64).checked_sub(1)
    }

    pub(super) fn book(&self, sequence: Sequence, quote: Quote) -> Option<TopOfBook> {
        self.market.book(quote, self.tree.keys().depth.draw(sequence.0))
    }
}

impl Leaf {
    /// The time when a part of the leaf has passed.
    #[inline(always)]
    fn time(self, part: f64) -> Time {
        let since = ((self.length as f64 * part) as i64).min(self.length - 1).max(0);
        Time::from_nanos(self.from.saturating_add(since as u64))
    }
}

/// The part of a leaf that has passed before one of its ticks, by its number. Each tick has a slot of its own.
#[inline(always)]
fn part(number: i64, ticks: i64, draw: Draw) -> f64 {
    least((number as f64 + draw.fraction()) / ticks as f64, 1.0)
}
