//! Merges the ticks of several instruments in the order of their times.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Tick, Time},
};

/// Reads several series in the order of time. Ticks of the same time come in the order in which their series were added.
#[derive(Default)]
pub struct Merge {
    merged: Vec<MergedSeries>,
    /// The time of the next tick of each series that has more, and the index of the series.
    order: BinaryHeap<Reverse<(Time, usize)>>,
}

struct MergedSeries {
    cursor: Box<dyn Cursor>,
    next: Tick,
    last: Sequence,
}

impl Merge {
    /// Merges series, each from its own sequence on; see [`Self::add`].
    pub fn new<'a>(series: impl IntoIterator<Item = (&'a dyn Series, Sequence)>) -> Self {
        let mut merge = Self::default();
        for (series, from) in series {
            merge.add(series, from);
        }
        merge
    }

    /// Adds a series that is read from a sequence on, up to its newest tick. It has no ticks if it begins after that one.
    pub fn add(&mut self, series: &dyn Series, from: Sequence) {
        let cursor = series.cursor(from);
        let next = cursor.tick();
        if from <= series.last() {
            self.order.push(Reverse((next.time, self.merged.len())));
        }
        self.merged.push(MergedSeries { cursor, next, last: series.last() });
    }

    /// Frees at most `most` series of a merge that is not read any more. True when there are more.
    pub fn discard(&mut self, most: usize) -> bool {
        let left = self.merged.len().saturating_sub(most);
        self.merged.truncate(left);
        if left == 0 {
            self.order.clear();
        }
        left > 0
    }

    /// The next tick and the index of its series; `None` when there are no more.
    pub fn peek(&self) -> Option<(usize, &Tick)> {
        let Reverse((_, at)) = self.order.peek()?;
        Some((*at, &self.merged.get(*at)?.next))
    }

    /// Moves to the next tick.
    pub fn advance(&mut self) {
        self.advance_or_jump(|_| None);
    }

    /// Moves to the next tick. `jump` is given the next tick of the same series. It may return a cursor at a later tick
    /// of that series; the ticks before it are then skipped.
    pub fn advance_or_jump(&mut self, jump: impl FnOnce(&Tick) -> Option<Box<dyn Cursor>>) {
        let Some(mut first) = self.order.peek_mut() else { return };
        let Reverse((time, at)) = &mut *first;
        let Some(series) = self.merged.get_mut(*at) else { return };
        if series.next.sequence >= series.last {
            PeekMut::pop(first);
            return;
        }
        series.cursor.advance();
        series.next = series.cursor.tick();
        if let Some(cursor) = jump(&series.next) {
            series.cursor = cursor;
            series.next = series.cursor.tick();
        }
        *time = series.next.time;
    }
}
