//! The ticks of several instruments as one, in the order of their times.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
};

use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Tick, Time},
};

/// Reads several series together. Ticks of the same time come in the order of their series.
pub struct Merge {
    lanes: Vec<Lane>,
    /// The next tick's time and the place of its series; a series that is over is not in it.
    order: BinaryHeap<Reverse<(Time, usize)>>,
}

struct Lane {
    cursor: Box<dyn Cursor>,
    next: Tick,
    last: Sequence,
}

impl Merge {
    /// Begins each series with a sequence of its own. One that begins after its last tick gives nothing.
    pub fn new(series: impl IntoIterator<Item = (Arc<dyn Series>, Sequence)>) -> Self {
        let mut merge = Self { lanes: Vec::new(), order: BinaryHeap::new() };
        for (at, (series, from)) in series.into_iter().enumerate() {
            let cursor = series.cursor(from);
            let next = cursor.tick();
            if from <= series.last() {
                merge.order.push(Reverse((next.time, at)));
            }
            merge.lanes.push(Lane { cursor, next, last: series.last() });
        }
        merge
    }

    /// The next tick and the place of its series; `None` when all are over.
    pub fn peek(&self) -> Option<(usize, &Tick)> {
        let Reverse((_, at)) = self.order.peek()?;
        Some((*at, &self.lanes.get(*at)?.next))
    }

    /// Moves to the next tick.
    pub fn advance(&mut self) {
        let Some(mut first) = self.order.peek_mut() else { return };
        let Reverse((time, at)) = &mut *first;
        let Some(lane) = self.lanes.get_mut(*at) else { return };
        if lane.next.sequence >= lane.last {
            PeekMut::pop(first);
            return;
        }
        lane.cursor.advance();
        lane.next = lane.cursor.tick();
        *time = lane.next.time;
    }
}
