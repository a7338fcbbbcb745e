//! Goes along a tree tick by tick, without a descent from the top for each.

use super::{
    calendar::Position,
    rhythm::FINE,
    tree::{Placed, Span, Tree},
};

/// The levels that a walk remembers, from the leaves up.
const REMEMBERED: u32 = 10;

/// A walk at one tick of a tree.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    tick: u64,
    /// The leaf of the tick.
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
    /// A walk that stands at a tick.
    pub(super) fn new(tree: &Tree, tick: u64) -> Self {
        let mut walk = Self {
            tick,
            start: 0,
            leaf: Span::default(),
            end: 0,
            has_edge: false,
            ahead: Default::default(),
        };
        walk.come_down(tree);
        walk
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// The leaf of the tick.
    #[inline]
    pub(super) fn leaf(&self) -> Placed {
        let first = self.end - self.leaf.ticks as u64;
        Placed { start: self.start, first, span: self.leaf, has_edge: self.has_edge }
    }

    /// Moves to the next tick. Those after the end of time are all at the last leaf.
    #[inline]
    pub(super) fn advance(&mut self, tree: &Tree) {
        self.tick = self.tick.saturating_add(1);
        if self.tick < self.end || self.tick >= tree.ticks() {
            return;
        }
        let (leaf, top) = (tree.leaf(), top(tree));
        loop {
            // The trailing ones of a leaf's number say how many right halves end with it.
            let level = leaf + (self.start >> leaf).trailing_ones();
            if level >= top {
                return self.come_down(tree);
            }
            self.start = (self.start >> level | 1) << level;
            self.leaf = self.ahead[(level - leaf) as usize];
            if self.leaf.ticks > 0.0 {
                for below in (leaf..level).rev() {
                    self.leaf = self.split(tree, below, 0.0);
                }
                self.end = self.tick + self.leaf.ticks as u64;
                return;
            }
            // Nothing happens in this half: go on after it.
            self.start |= (1 << level) - (1 << leaf);
        }
    }

    /// Splits the span where the walk is, and goes into the half that has a tick, counted from the first of the span.
    #[inline(always)]
    fn split(&mut self, tree: &Tree, below: u32, tick: f64) -> Span {
        let halves = tree.halves(&self.leaf, self.start, below, self.has_edge);
        self.ahead[(below - tree.leaf()) as usize] = halves.right;
        if tick < halves.left.ticks {
            return halves.left;
        }
        self.start |= 1 << below;
        halves.right
    }

    #[cold]
    fn come_down(&mut self, tree: &Tree) {
        // Ticks after the end of time are at the last leaf.
        let tick = self.tick.min(tree.ticks() - 1);
        let placed = tree.span_of(tick, top(tree));
        (self.start, self.leaf, self.has_edge) = (placed.start, placed.span, placed.has_edge);
        let mut first = placed.first;
        for below in (tree.leaf()..top(tree)).rev() {
            let ticks = self.leaf.ticks;
            let start = self.start;
            self.leaf = self.split(tree, below, (tick - first) as f64);
            if self.start > start {
                first += (ticks - self.leaf.ticks) as u64;
            }
        }
        self.end = first + self.leaf.ticks as u64;
    }
}

/// The level of the spans from which a walk comes down.
fn top(tree: &Tree) -> u32 {
    FINE.min(tree.leaf() + REMEMBERED)
}
