//! Ticks of one symbol that follow one another, in packed columns.

use crate::{
    tape::{TopOfBook, column::Column},
    tick::{Price, Sequence, Tick, Time},
};

/// Number of ticks of a segment that is not the first one of its symbol.
pub(super) const LEN: usize = 128;

/// Up to [`LEN`] ticks.
pub(super) struct Segment {
    first: Sequence,
    len: usize,
    start: Time,
    end: Time,
    times: Column,
    prices: Column,
    quantities: Column,
    /// `None` when no tick has a book.
    books: Option<Box<Books>>,
}

/// The books after the ticks. A bid of zero means that there is none.
struct Books {
    bids: Column,
    bid_quantities: Column,
    asks: Column,
    ask_quantities: Column,
}

impl Segment {
    /// Packs ticks and the books after them. `books` is empty or has one for each tick. `None` when there is no tick, or when there are
    /// more than [`LEN`].
    pub(super) fn pack(ticks: &[Tick], books: &[Option<TopOfBook>]) -> Option<Self> {
        let mut values = [0; LEN];
        let values = values.get_mut(..ticks.len())?;
        let mut column = |of: fn(&Tick) -> u64| {
            values.iter_mut().zip(ticks).for_each(|(value, tick)| *value = of(tick));
            Column::pack(values)
        };
        Some(Self {
            first: ticks.first()?.sequence,
            len: ticks.len(),
            start: ticks.first()?.time,
            end: ticks.last()?.time,
            times: column(|tick| tick.time.nanos()),
            prices: column(|tick| tick.price.nanos().unsigned_abs()),
            quantities: column(|tick| tick.quantity),
            books: books.iter().any(Option::is_some).then(|| Box::new(Books::pack(books))),
        })
    }

    /// Number of its ticks.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The sequence of its first tick.
    pub(super) fn first(&self) -> Sequence {
        self.first
    }

    /// The time of its first tick.
    pub(super) fn start(&self) -> Time {
        self.start
    }

    /// The time of its last tick.
    pub(super) fn end(&self) -> Time {
        self.end
    }

    /// The tick of a sequence, and the book after it; `None` when it is another segment's.
    pub(super) fn get(&self, sequence: Sequence) -> Option<(Tick, Option<TopOfBook>)> {
        let at = sequence.0.checked_sub(self.first.0)? as usize;
        if at >= self.len {
            return None;
        }
        let tick = Tick {
            sequence,
            time: Time::from_nanos(self.times.get(at)),
            price: price(self.prices.get(at))?,
            quantity: self.quantities.get(at),
        };
        Some((tick, self.books.as_ref().and_then(|books| books.get(at))))
    }

    /// Number of its ticks that took place at or before a time.
    pub(super) fn count_up_to(&self, time: Time) -> usize {
        self.times.count_up_to(time.nanos())
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        /// Of the allocation of a segment, besides the segment: its reference counts, and its place in two lists.
        const SHARED: usize = 4 * size_of::<usize>();
        let columns = [&self.times, &self.prices, &self.quantities];
        let books = self.books.as_ref().map_or(0, |books| size_of::<Books>() + books.heap_bytes());
        size_of::<Self>() + SHARED + columns.map(Column::heap_bytes).iter().sum::<usize>() + books
    }
}

impl Books {
    fn pack(books: &[Option<TopOfBook>]) -> Self {
        let column = |of: fn(&TopOfBook) -> u64| {
            let values: Vec<u64> = books.iter().map(|book| book.as_ref().map_or(0, of)).collect();
            Column::pack(&values)
        };
        Self {
            bids: column(|book| book.bid.nanos().unsigned_abs()),
            bid_quantities: column(|book| book.bid_quantity),
            asks: column(|book| book.ask.nanos().unsigned_abs()),
            ask_quantities: column(|book| book.ask_quantity),
        }
    }

    fn get(&self, at: usize) -> Option<TopOfBook> {
        Some(TopOfBook {
            bid: price(self.bids.get(at))?,
            bid_quantity: self.bid_quantities.get(at),
            ask: price(self.asks.get(at))?,
            ask_quantity: self.ask_quantities.get(at),
        })
    }

    fn heap_bytes(&self) -> usize {
        let columns = [&self.bids, &self.bid_quantities, &self.asks, &self.ask_quantities];
        columns.map(Column::heap_bytes).iter().sum()
    }
}

fn price(nanos: u64) -> Option<Price> {
    Price::from_nanos(nanos as i64)
}
