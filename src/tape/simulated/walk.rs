//! Goes along a tree from leaf to leaf, without a descent from the top for each.

use super::{
    calendar::{self, Position},
    rhythm::FINE,
    span::Span,
    tree::{At, Goal, OfTick, Placed, Tree},
};
use crate::tick::Time;

/// The levels that a walk remembers, from the leaves up.
const REMEMBERED: u32 = 10;

/// A walk at one leaf of a tree.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    tick: u64,
    /// Where the leaf is.
    start: Position,
    leaf: Span,
    /// The tick after the last one of the leaf.
    end: u64,
    /// Whether the market opens or closes near by.
    has_edge: bool,
    /// At each level the right half that is still ahead, if the walk is in the left one.
    ahead: [Span; REMEMBERED as usize],
}

impl Walk {
    /// A walk that has not begun.
    pub(super) fn nowhere() -> Self {
        Self {
            tick: 0,
            start: Position::MAX,
            leaf: Span::default(),
            end: 0,
            has_edge: false,
            ahead: Default::default(),
        }
    }

    /// A walk that stands at a tick.
    pub(super) fn new(tree: &Tree, tick: u64) -> Self {
        let mut walk = Self { tick, ..Self::nowhere() };
        // Ticks after the end of time are at the last leaf.
        let tick = tick.min(tree.ticks() - 1);
        walk.come_down(tree, tree.span_of(tick, top(tree)), OfTick(tick));
        walk
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// The leaf of the tick.
    #[inline]
    pub(super) fn leaf(&self) -> Placed {
        let first = self.end - self.leaf.ticks.count as u64;
        Placed { start: self.start, first, span: self.leaf, has_edge: self.has_edge }
    }

    /// Moves to the next tick, and says whether it is in another leaf. Those after the end of time are all in the last one.
    #[inline(always)]
    pub(super) fn advance(&mut self, tree: &Tree) -> bool {
        self.tick = self.tick.saturating_add(1);
        let is_in_another = self.tick >= self.end && self.tick < tree.ticks();
        if is_in_another {
            self.find_leaf(tree);
        }
        is_in_another
    }

    /// Goes to the leaf of the tick, which is after this one.
    #[inline(never)]
    fn find_leaf(&mut self, tree: &Tree) {
        let (leaf, top) = (tree.leaf(), top(tree));
        loop {
            // The trailing ones of a leaf's number say how many right halves end with it.
            let level = leaf + (self.start >> leaf).trailing_ones();
            if level >= top {
                return self.come_down(tree, tree.span_of(self.tick, top), OfTick(self.tick));
            }
            self.start = (self.start >> level | 1) << level;
            self.leaf = self.ahead[(level - leaf) as usize];
            if self.leaf.ticks.count > 0 {
                self.end = self.tick;
                return self.descend(tree, level, OfTick(self.tick));
            }
            // Nothing happens in this half: go on after it.
            self.start |= (1 << level) - (1 << leaf);
        }
    }

    /// The path at a time, which is not before that of the last call. The numbers of ticks are not kept.
    #[inline]
    pub(super) fn value_at(&mut self, tree: &Tree, time: Time) -> f64 {
        let position = calendar::position(time);
        let level = u64::BITS - ((position ^ self.start) >> tree.leaf() << tree.leaf()).leading_zeros();
        if level > top(tree) {
            self.come_down(tree, tree.span_at(position, top(tree)), At(position));
        } else if let Some(right) = level.checked_sub(1) {
            // The walk was in the left half of the span of this level, and goes on in the right one.
            self.start = position >> right << right;
            self.leaf = self.ahead[(right - tree.leaf()) as usize];
            self.descend(tree, right, At(position));
        }
        tree.value_in(self.start, &self.leaf, time)
    }

    #[cold]
    fn come_down(&mut self, tree: &Tree, top: Placed, goal: impl Goal) {
        (self.start, self.leaf, self.has_edge, self.end) = (top.start, top.span, top.has_edge, top.first);
        self.descend(tree, self::top(tree), goal);
    }

    /// Goes from a span of a level, whose first tick is [`Self::end`], to the leaf in which the goal is.
    #[inline(always)]
    fn descend(&mut self, tree: &Tree, level: u32, goal: impl Goal) {
        for below in (tree.leaf()..level).rev() {
            let halves = tree.halves(&self.leaf, self.start, below, self.has_edge);
            self.ahead[(below - tree.leaf()) as usize] = halves.right;
            let right = self.end + halves.left.ticks.count as u64;
            if goal.side(right, below) == 0 {
                self.leaf = halves.left;
            } else {
                (self.leaf, self.end) = (halves.right, right);
                self.start |= 1 << below;
            }
        }
        self.end += self.leaf.ticks.count as u64;
    }
}

/// The level of the spans from which a walk comes down.
fn top(tree: &Tree) -> u32 {
    FINE.min(tree.leaf() + REMEMBERED)
}
