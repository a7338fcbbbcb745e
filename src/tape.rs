//! Which tick a symbol has at a sequence, and which sequence is due at a time.
//!
//! A tape is a pure function. Whoever holds one may ask for any tick at any time, in any order, on any thread,
//! and every replica of the same tape gives the same answer.

use std::sync::Arc;

use crate::tick::{Sequence, Symbol, Tick, Time};

mod instrument;
mod simulated;
mod universe;

pub use instrument::Instrument;
pub use simulated::{ENGINE_VERSION, Simulated, SimulatedSeries};
pub use universe::{Universe, UniverseError};

/// Ticks of many instruments.
pub trait Tape: Send + Sync {
    /// What tells this tape from any other.
    fn identity(&self) -> &Identity;

    /// The instruments that the tape lists, ordered by symbol.
    fn instruments(&self) -> &[Arc<Instrument>];

    /// The instrument of a symbol, listed or not; `None` when the tape has none.
    fn instrument(&self, symbol: &Symbol) -> Option<Arc<Instrument>>;

    /// The symbol that somebody who asked for `text` is likely to have meant.
    fn suggest(&self, text: &str) -> Option<Symbol>;

    /// The ticks of one instrument, which must be one of this tape's.
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series>;
}

/// The ticks of one instrument: `time` never falls and `sequence` rises by one.
pub trait Series: Send + Sync {
    /// The sequence of the oldest tick.
    fn first(&self) -> Sequence;

    /// The sequence of the newest tick that took place at or before `time`; `None` when there is none yet.
    fn sequence_at(&self, time: Time) -> Option<Sequence>;

    /// The tick of a sequence; sequences before the first are taken as the first.
    fn tick(&self, sequence: Sequence) -> Tick;

    /// Reads on from a sequence, faster than asking for each tick.
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor>;
}

/// Reads the ticks of one instrument in order.
pub trait Cursor: Send {
    /// The tick under the cursor.
    fn tick(&self) -> Tick;

    /// Moves to the next tick. The last tick of all follows itself.
    fn advance(&mut self);
}

/// What tells one tape from another. Two replicas with the same identity give the same ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A digest of seed, instruments and engine version, in hexadecimal.
    pub tape_id: String,
    /// The seed.
    pub seed: u64,
    /// The version of the engine that makes the ticks.
    pub engine_version: &'static str,
}
