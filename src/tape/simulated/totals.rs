//! The highest and the lowest price and the volume of many ticks, without reading most of them.
//!
//! Within a span the path stays near its ends, as no normal number is farther from zero than [`FARTHEST`]. So a span whose prices
//! cannot be beyond one that was found is left out (branch and bound: Land and Doig, *An automatic method of solving discrete
//! programming problems*, 1960). The prices that are found are those of ticks.

use std::{array, ops::Range};

use super::{
    calendar,
    keys::FARTHEST,
    model::Model,
    path::Path,
    rhythm::FINE,
    share::FINEST,
    span::Span,
    tree::{Placed, Tree},
};
use crate::{
    tape::Totals,
    tick::{Price, Time},
};

/// What some ticks amount to. `None` for no ticks, and for those at the end of time.
pub(super) fn of(model: &Model, ticks: Range<u64>) -> Option<Totals> {
    if ticks.is_empty() || ticks.end > model.tree.ticks() {
        return None;
    }
    let (low, high) = match model.legs.len() {
        0 => extremes::<0>(model, &ticks),
        1 => extremes::<1>(model, &ticks),
        2 => extremes::<2>(model, &ticks),
        _ => return None,
    };
    Some(Totals { high, low, volume: model.market.sizes().volume(ticks) })
}

/// The lowest and the highest price of some ticks of an instrument that follows so many others.
fn extremes<const LEGS: usize>(model: &Model, ticks: &Range<u64>) -> (Price, Price) {
    let [from, last] = [ticks.start, ticks.end - 1].map(|tick| model.tree.span_of(tick, FINE).start);
    let legs: [_; LEGS] = array::from_fn(|leg| model.legs[leg].fine_spans(from, last));
    let own = model.tree.fine_spans(from, last).into_iter().enumerate();
    let spans =
        own.map(|(n, own)| Spans::<LEGS> { level: FINE, own, legs: array::from_fn(|leg| legs[leg][n]) });
    let spans: Vec<_> = spans.filter(|spans| spans.own.span.ticks.count > 0).collect();
    let first = model.trade(ticks.start).0;
    let own = Reach::new(&model.tree);
    let legs: [_; LEGS] = array::from_fn(|leg| Reach::new(&model.legs[leg]));
    let [low, high] = [Side::Low, Side::High].map(|side| {
        let mut search =
            Search { model, ticks: ticks.clone(), side, found: first.price, own: &own, legs: &legs };
        // The better the first price that is found, the more is left out.
        let promising = spans.iter().max_by(|one, other| side.end_of(one).total_cmp(&side.end_of(other)));
        promising.into_iter().chain(&spans).for_each(|spans| search.visit(spans));
        search.found
    });
    (low, high)
}

/// A span of the clock, in the tree of the instrument and in those of the instruments that it follows.
#[derive(Clone, Copy)]
struct Spans<const LEGS: usize> {
    level: u32,
    own: Placed,
    legs: [Placed; LEGS],
}

/// The search for one of the two prices.
struct Search<'a, const LEGS: usize> {
    model: &'a Model,
    ticks: Range<u64>,
    side: Side,
    found: Price,
    own: &'a Reach,
    legs: &'a [Reach; LEGS],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Low,
    High,
}

/// What may happen in a span of a tree, by its level.
struct Reach {
    leaf: u32,
    /// How far the path gets from the ends of the span, in deviations of its rise.
    deviations: [f64; FINE as usize + 1],
    /// The greatest share of a leaf in the variance of the span.
    shares: [f64; FINE as usize + 1],
}

impl<const LEGS: usize> Search<'_, LEGS> {
    /// Looks for a price among the ticks of a span.
    fn visit(&mut self, spans: &Spans<LEGS>) {
        let (first, end) = (spans.own.first, spans.own.first + spans.own.span.ticks.count as u64);
        let ticks = first.max(self.ticks.start)..end.min(self.ticks.end);
        if ticks.is_empty() || !self.side.is_beyond(self.bound(spans), self.found) {
            return;
        }
        if spans.level > self.model.tree.leaf() {
            let [left, right] = spans.halves(self.model);
            let is_right_first = self.side.end_of(&right) > self.side.end_of(&left);
            let halves = if is_right_first { [right, left] } else { [left, right] };
            return halves.iter().for_each(|half| self.visit(half));
        }
        let leaf = self.model.leaf(&spans.own);
        for tick in ticks {
            let legs = |time| {
                let legs = spans.legs.iter().zip(&self.model.legs);
                legs.map(|(span, leg)| leg.value_below(span, spans.level.max(leg.leaf()), time)).sum()
            };
            let (tick, _) =
                self.model.trade_at(tick, &spans.own, leaf, self.model.market.sizes().order(tick), legs);
            if self.side.is_beyond(tick.price, self.found) {
                self.found = tick.price;
            }
        }
    }

    /// A price beyond which no tick of a span is.
    fn bound(&self, spans: &Spans<LEGS>) -> Price {
        // More than what the sums below are rounded by.
        const ROUNDING: f64 = 1e-12;
        let Spans { level, own, legs } = spans;
        let value = if LEGS == 0 {
            self.side.farthest(&own.span, self.own.deviations(*level, own))
        } else {
            let farthest = |(leg, reach): (&Placed, &Reach)| {
                self.side.farthest(&leg.span, reach.deviations(*level, leg))
            };
            legs.iter().zip(self.legs).map(farthest).sum()
        };
        let market = &self.model.market;
        let is_late = market.rises() == (self.side == Side::High);
        let at = own.start + if is_late { 1 << level } else { 0 };
        let time = Time::from_nanos(calendar::nanos(at));
        let widest = market.width(own.span.path.variance * self.own.share(*level, own));
        let price = match self.side {
            Side::Low => market.quote(value - ROUNDING, widest, time).bid,
            Side::High => {
                let ask = market.quote(value + ROUNDING, widest, time).ask;
                // An ask is at least one increment above its bid, which is the highest when the spread is the narrowest.
                ask.max(market.quote(value + ROUNDING, market.width(0.0), time).bid.saturating_add(1))
            }
        };
        market.price_of(price)
    }
}

impl<const LEGS: usize> Spans<LEGS> {
    fn halves(&self, model: &Model) -> [Self; 2] {
        let below = self.level - 1;
        let own = model.tree.halves_of(&self.own, below);
        let legs: [_; LEGS] = array::from_fn(|leg| {
            let tree = &model.legs[leg];
            if below < tree.leaf() { [self.legs[leg]; 2] } else { tree.halves_of(&self.legs[leg], below) }
        });
        [0, 1].map(|side| Self { level: below, own: own[side], legs: legs.map(|halves| halves[side]) })
    }
}

impl Side {
    fn is_beyond(self, price: Price, found: Price) -> bool {
        match self {
            Self::Low => price < found,
            Self::High => price > found,
        }
    }

    /// The value of a path within a span beyond which it does not get.
    fn farthest(self, span: &Span, deviations: f64) -> f64 {
        let Path { value, rise, variance } = span.path;
        let (end, reach) = (value + rise, deviations * variance.sqrt());
        match self {
            Self::Low => value.min(end) - reach,
            Self::High => value.max(end) + reach,
        }
    }

    /// How far on this side the path is at an end of a span.
    fn end_of<const LEGS: usize>(self, spans: &Spans<LEGS>) -> f64 {
        let paths = if LEGS == 0 { std::slice::from_ref(&spans.own) } else { &spans.legs };
        let end: f64 = paths.iter().map(|path| self.farthest(&path.span, 0.0)).sum();
        if self == Self::High { end } else { -end }
    }
}

/// The greatest share of a half in the variance.
const GREATEST: f64 = 0.5 + FINEST;

impl Reach {
    fn new(tree: &Tree) -> Self {
        let leaf = tree.leaf();
        let (mut deviations, mut shares) = ([0.0; FINE as usize + 1], [1.0; FINE as usize + 1]);
        // From the ends to the middle, and on from there. Within a leaf the path is straight.
        for level in leaf as usize + 1..deviations.len() {
            deviations[level] = 0.5 * FARTHEST + deviations[level - 1] * GREATEST.sqrt();
            shares[level] = shares[level - 1] * GREATEST;
        }
        Self { leaf, deviations, shares }
    }

    /// How far the path gets from the ends of a span of a level, in deviations of its rise.
    fn deviations(&self, level: u32, placed: &Placed) -> f64 {
        match placed.has_edge {
            // A half may have all of the variance.
            true => 0.5 * FARTHEST * f64::from(level.saturating_sub(self.leaf)),
            false => self.deviations[level as usize],
        }
    }

    /// The greatest share of a leaf in the variance of a span of a level.
    fn share(&self, level: u32, placed: &Placed) -> f64 {
        if placed.has_edge { 1.0 } else { self.shares[level as usize] }
    }
}
