//! How the hub has bytes made without knowing what they mean.

use crate::{
    tape::Instrument,
    tick::{Sequence, Symbol, Tick, Time},
};

/// What a tick is for one subscriber, beyond what it is for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// How many ticks before it were left out.
    pub conflated: u64,
    /// It is the first one after subscribing.
    pub snapshot: bool,
}

/// Appends the messages of one wire format to a buffer, each complete and ready to send.
pub trait WireFormat: Send {
    /// One tick.
    fn tick(&mut self, instrument: &Instrument, tick: &Tick, mark: Mark, out: &mut Vec<u8>);

    /// Ticks that were left out, by their first and last sequence.
    fn gap(&mut self, symbol: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>);

    /// A symbol that was resumed has reached the present, with this sequence as the last one.
    fn caught_up(&mut self, symbol: &Symbol, last: Sequence, out: &mut Vec<u8>);

    /// A sign of life.
    fn heartbeat(&mut self, now: Time, out: &mut Vec<u8>);
}
