//! Ticks that are published together.

use crate::client::NewTick;

/// Ticks of a source, and what could not be read between them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) ticks: Vec<NewTick>,
    /// The place of each tick in its source, counted from one.
    pub(super) places: Vec<u64>,
    /// The lines that are no ticks: number and what is wrong.
    pub(super) bad_lines: Vec<(u64, String)>,
}

impl Batch {
    /// Largest number of ticks and bad lines: one request.
    const MOST: usize = 1000;

    pub(super) fn push(&mut self, place: u64, tick: NewTick) {
        self.ticks.push(tick);
        self.places.push(place);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.bad_lines.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.ticks.len() + self.bad_lines.len() >= Self::MOST
    }
}
