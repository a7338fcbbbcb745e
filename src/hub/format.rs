//! Wire formats: how the hub gets encoded messages without knowing the contract.

use crate::{
    history::Day,
    tape::{Instrument, InstrumentStatus, TopOfBook},
    tick::{Sequence, Symbol, Tick, Time},
};

/// The fields of a delivered tick that differ between subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickMeta {
    /// Number of ticks before it that were left out.
    pub conflated: u64,
    /// It is the first tick after subscribing.
    pub snapshot: bool,
}

/// The state of the market after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The best bid and ask; `None` when the tape knows no book.
    pub book: Option<TopOfBook>,
    /// The figures of the day.
    pub day: Day,
    /// Whether the instrument trades; `None` when that is not known.
    pub status: Option<InstrumentStatus>,
}

impl Quote {
    /// The quote after a tick, with the figures of the day up to there, the best bid and ask, and the status at its time.
    pub fn after(tick: &Tick, instrument: &Instrument, (day, book): (Day, Option<TopOfBook>)) -> Self {
        Self { book, day, status: instrument.status_at(tick.time) }
    }
}

/// Appends the messages of one wire format to a buffer, each complete and ready to send.
pub trait WireFormat: Send {
    /// Whether its ticks come with quotes.
    fn quotes(&self) -> bool {
        false
    }

    /// One tick, with a quote if the format has them.
    fn tick(
        &mut self,
        instrument: &Instrument,
        tick: &Tick,
        meta: TickMeta,
        quote: Option<&Quote>,
        out: &mut Vec<u8>,
    );

    /// Ticks that were left out, by their first and last sequence.
    fn gap(&mut self, symbol: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>);

    /// A symbol that was resumed has reached the present, with this sequence as the last one.
    fn caught_up(&mut self, symbol: &Symbol, last: Sequence, out: &mut Vec<u8>);

    /// A heartbeat: the client learns that the stream is alive.
    fn heartbeat(&mut self, now: Time, out: &mut Vec<u8>);
}
