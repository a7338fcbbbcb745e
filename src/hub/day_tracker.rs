//! The figures of the day (open, high, low, volume) of one watched instrument, shared by all readers of its quotes.

use std::collections::VecDeque;

use crate::{
    history::{Day, DayFold},
    tape::TopOfBook,
    tick::Sequence,
};

/// What a quote after a tick tells: the figures of the day, and the best bid and ask.
pub(super) type Figures = (Day, Option<TopOfBook>);

/// Follows a day, and remembers its figures after the last few ticks for readers who are a moment behind.
pub(super) struct DayTracker {
    fold: DayFold,
    /// Of ticks that follow each other, up to the fold's own.
    recent: VecDeque<(Sequence, Figures)>,
}

impl DayTracker {
    const RECENT: usize = 64;

    pub(super) fn new(fold: DayFold) -> Self {
        Self { fold, recent: VecDeque::new() }
    }

    /// The last tick that was taken in.
    pub(super) fn sequence(&self) -> Sequence {
        self.fold.sequence()
    }

    /// Takes in the tick that follows; `None` when the fold has not got to the one before it.
    pub(super) fn follow(&mut self, sequence: Sequence) -> Option<Figures> {
        if self.sequence().next() != sequence {
            return None;
        }
        self.reach(sequence, &mut 1)
    }

    /// The figures after a tick, for which at most `left` ticks are taken in, and counted off; `None` when that was too
    /// few.
    pub(super) fn reach(&mut self, sequence: Sequence, left: &mut usize) -> Option<Figures> {
        let figures = (self.fold.reach(sequence, left)?, self.fold.top_of_book());
        let newest = self.recent.back().map(|(newest, _)| *newest);
        if newest != Some(sequence) {
            if newest.map(Sequence::next) != Some(sequence) {
                self.recent.clear();
            }
            if self.recent.len() == Self::RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((sequence, figures));
        }
        Some(figures)
    }

    /// The figures after a tick, if it is one of the last few.
    pub(super) fn recall(&self, sequence: Sequence) -> Option<Figures> {
        let (oldest, _) = self.recent.front()?;
        let at = usize::try_from(sequence.0.checked_sub(oldest.0)?).ok()?;
        self.recent.get(at).map(|(_, figures)| *figures)
    }

    /// A fold that is at a tick before this one, or on the way to it; `None` when that is too long ago.
    pub(super) fn fold_at(&self, sequence: Sequence) -> Option<DayFold> {
        self.fold.at(sequence)
    }
}
