//! Ticks with the book after them, at random access and in order.

use crate::{
    tape::{Series, TopOfBook},
    tick::{Sequence, Tick},
};

/// A tick, and the book after it where the tape has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) tick: Tick,
    pub(super) book: Option<TopOfBook>,
}

impl Quoted {
    /// The tick of a sequence.
    pub(super) fn at(series: &dyn Series, sequence: Sequence) -> Self {
        let tick = series.tick(sequence);
        Self { tick, book: series.top_of_book(&tick) }
    }
}

/// Calls `take` with each tick from `first` to `last`.
pub(super) fn each(series: &dyn Series, first: Sequence, last: Sequence, mut take: impl FnMut(Quoted)) {
    let mut cursor = series.cursor(first);
    for _ in first.0..=last.0 {
        let tick = cursor.tick();
        take(Quoted { tick, book: cursor.top_of_book() });
        cursor.advance();
    }
}

/// The middle of the best bid and ask.
pub(super) fn middle(book: &TopOfBook) -> f64 {
    (book.bid.to_f64() + book.ask.to_f64()) / 2.0
}

/// The distance of the best bid and ask, in basis points of their middle.
pub(super) fn spread(book: &TopOfBook) -> f64 {
    (book.ask.to_f64() - book.bid.to_f64()) / middle(book) * 1e4
}
