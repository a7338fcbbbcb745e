//! The ticks of one symbol that are available.

use std::{collections::VecDeque, sync::Arc};

use super::segment::{LEN, Segment};
use crate::{
    tape::TopOfBook,
    tick::{Sequence, Tick, Time},
};

/// The available ticks of one symbol, which follow one another. There is at least one.
pub(super) struct Window {
    /// The newest tick once more: most readers want no other, and this one is nearer.
    last: Tick,
    segments: VecDeque<Arc<Segment>>,
    /// The ticks after the segments: from one to [`LEN`].
    newest: Vec<Tick>,
    /// How many ticks the next segment has.
    next_len: usize,
    /// The books after them. Empty while none of them has one.
    books: Vec<Option<TopOfBook>>,
}

impl Window {
    /// Most bytes of the newest ticks.
    pub(super) const MOST_BYTES_OF_NEWEST: usize = LEN * (size_of::<Tick>() + size_of::<Option<TopOfBook>>());

    /// A window of one tick, whose first segment has so many, from 1 to [`LEN`].
    pub(super) fn new(first: Tick, book: Option<TopOfBook>, first_len: usize) -> Self {
        let mut window = Self {
            last: first,
            segments: VecDeque::new(),
            newest: Vec::new(),
            next_len: first_len,
            books: Vec::new(),
        };
        window.push(first, book);
        window
    }

    /// Adds a tick, which follows the newest one. Returns the bytes of the segment that has become full before it, if any has.
    pub(super) fn append(&mut self, tick: Tick, book: Option<TopOfBook>) -> Option<usize> {
        let is_full = self.newest.len() >= self.next_len;
        let full = is_full.then(|| Segment::pack(&self.newest, &self.books)).flatten();
        let bytes = full.as_ref().map(Segment::bytes);
        if let Some(full) = full {
            self.segments.push_back(Arc::new(full));
            self.newest.clear();
            self.books.clear();
            self.next_len = LEN;
        }
        self.push(tick, book);
        bytes
    }

    fn push(&mut self, tick: Tick, book: Option<TopOfBook>) {
        if book.is_some() && self.books.is_empty() {
            self.books.resize(self.newest.len(), None);
        }
        if book.is_some() || !self.books.is_empty() {
            self.books.push(book);
        }
        self.newest.push(tick);
        self.last = tick;
    }

    /// Removes the oldest segment, and returns it; `None` when there is none.
    pub(super) fn drop_oldest(&mut self) -> Option<Arc<Segment>> {
        self.segments.pop_front()
    }

    /// The oldest segment.
    pub(super) fn oldest(&self) -> Option<&Segment> {
        self.segments.front().map(|segment| &**segment)
    }

    pub(super) fn first(&self) -> Sequence {
        self.oldest().map_or(self.newest[0].sequence, Segment::first)
    }

    pub(super) fn last(&self) -> Tick {
        self.last
    }

    /// The segment that has the tick of a sequence; `None` when it is one of the newest. A sequence before the first is taken as the
    /// first.
    pub(super) fn segment(&self, sequence: Sequence) -> Option<&Arc<Segment>> {
        let oldest = self.oldest()?;
        // As if the oldest segment had ticks before its first one.
        let at = sequence.0.saturating_sub(oldest.first().0) as usize + LEN - oldest.len();
        self.segments.get(at / LEN)
    }

    /// The tick of a sequence, and the book after it. A sequence before the first is taken as the first, one after the last as the
    /// last.
    pub(super) fn get(&self, sequence: Sequence) -> (Tick, Option<TopOfBook>) {
        if sequence >= self.last.sequence {
            return (self.last, self.books.last().copied().flatten());
        }
        let sequence = sequence.max(self.first());
        let of_segment = self.segment(sequence).and_then(|segment| segment.get(sequence));
        of_segment.unwrap_or_else(|| {
            let at = sequence.0.saturating_sub(self.newest[0].sequence.0) as usize;
            (self.newest[at], self.books.get(at).copied().flatten())
        })
    }

    /// The sequence of the newest available tick that took place at or before a time.
    pub(super) fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let first_of_newest = self.newest[0];
        if first_of_newest.time <= time {
            let count = self.newest.partition_point(|tick| tick.time <= time);
            return Some(Sequence(first_of_newest.sequence.0 + count as u64 - 1));
        }
        let begun = self.segments.partition_point(|segment| segment.start() <= time);
        let segment = &self.segments[begun.checked_sub(1)?];
        Some(Sequence(segment.first().0 + segment.count_up_to(time) as u64 - 1))
    }
}
