//! A walk along a path: the next tick without a descent from the top.

use super::path::{Path, Point, Span};

/// The levels that a walk remembers. It comes down from the top every 2^12 ticks, which is then too rare to be felt, and
/// takes a third of the memory that all levels would.
const REMEMBERED: u32 = 12;

/// Goes along a path tick by tick.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    path: Path,
    tick: u64,
    here: Span,
    /// At each level the right half that is still ahead, if the walk is in the left one. It was found together with
    /// the left one, so that every span is split once and a step costs one split on average.
    ahead: [Span; REMEMBERED as usize],
}

impl Walk {
    /// A walk that stands at a tick.
    pub(super) fn new(path: Path, tick: u64) -> Self {
        let mut walk = Self { path, tick, here: Span::default(), ahead: Default::default() };
        walk.come_down();
        walk
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    #[inline]
    pub(super) fn point(&self) -> Point {
        self.here.point()
    }

    /// Moves to the next tick. The last of all is its own next one.
    #[inline]
    pub(super) fn advance(&mut self) {
        // A tick's trailing ones say how many right halves end with it.
        let level = self.tick.trailing_ones();
        if level < self.top() {
            self.tick += 1;
            self.here = self.ahead[level as usize];
            for below in (0..level).rev() {
                let (left, right) = self.path.halves(self.here, self.tick, below);
                self.ahead[below as usize] = right;
                self.here = left;
            }
        } else if self.tick < u64::MAX {
            self.tick += 1;
            self.come_down();
        }
    }

    fn top(&self) -> u32 {
        self.path.top().min(REMEMBERED)
    }

    #[cold]
    fn come_down(&mut self) {
        let top = self.top();
        self.here = self.path.span(self.tick, top);
        for below in (0..top).rev() {
            let (left, right) = self.path.halves(self.here, self.tick, below);
            self.ahead[below as usize] = right;
            self.here = if self.tick >> below & 1 == 0 { left } else { right };
        }
    }
}
