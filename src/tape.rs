//! Which tick a symbol has at a sequence, and which sequence is due at a time.
//!
//! A tape is a pure function. Whoever holds one may ask for any tick at any time, in any order, on any thread,
//! and every replica of the same tape gives the same answer.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::tick::{Sequence, Symbol, Tick, Time};

mod book;
mod instrument;
mod recorded;
mod simulated;
mod universe;

pub use book::TopOfBook;
pub use instrument::{Instrument, Lease};
pub use recorded::{Compression, Extent, LoadProgress, Place, Recorded, RecordedError, RecordedSeries};
pub use simulated::{ENGINE_VERSION, Simulated, SimulatedSeries};
pub use universe::{Universe, UniverseError};

/// Ticks of many instruments.
pub trait Tape: Send + Sync {
    /// What tells this tape from any other.
    fn identity(&self) -> &Identity;

    /// The instruments that the tape lists, ordered by symbol.
    fn instruments(&self) -> &[Arc<Instrument>];

    /// The instrument of a symbol, listed or not.
    ///
    /// # Errors
    /// The tape has no such instrument, or no room for it now.
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing>;

    /// The symbol that somebody who asked for `text` is likely to have meant.
    fn suggest(&self, text: &str) -> Option<Symbol>;

    /// The ticks of one instrument, which must be one of this tape's.
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series>;
}

/// Why a tape gives no instrument for a symbol.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Missing {
    /// The tape has none of this symbol.
    #[error("the tape has no such instrument")]
    Unknown,
    /// The instrument would have to be invented, and the limit is reached.
    #[error(
        "the symbol is not listed, and {most} instruments are invented already, which is the limit: use a listed symbol, \
         or try again later"
    )]
    NoRoom {
        /// How many instruments may be invented at a time.
        most: usize,
    },
}

/// The ticks of one instrument: `time` never falls and `sequence` rises by one. There is at least one tick.
pub trait Series: Send + Sync {
    /// The sequence of the oldest tick.
    fn first(&self) -> Sequence;

    /// The sequence of the last tick that there will ever be.
    fn last(&self) -> Sequence;

    /// The sequence of the newest tick that took place at or before `time`; `None` when there is none yet.
    fn sequence_at(&self, time: Time) -> Option<Sequence>;

    /// The sequence of the first tick at or after `time`, which may be yet to come; one more than the last when there
    /// will be none.
    fn sequence_from(&self, time: Time) -> Sequence {
        let before = time.before(Duration::from_nanos(1)).and_then(|before| self.sequence_at(before));
        before.map_or_else(|| self.first(), Sequence::next)
    }

    /// The tick of a sequence; a sequence before the first is taken as the first, one after the last as the last.
    fn tick(&self, sequence: Sequence) -> Tick;

    /// Reads on from a sequence, faster than asking for each tick.
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor>;

    /// The best bid and ask after a tick of this series; `None` when the tape knows no book.
    fn top_of_book(&self, _tick: &Tick) -> Option<TopOfBook> {
        None
    }
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
    /// A digest of all that makes the ticks, in hexadecimal.
    pub tape_id: String,
    /// Where the ticks come from.
    pub kind: Kind,
    /// The seed of a simulated tape; zero for a recorded one.
    pub seed: u64,
    /// The version of the engine that makes the ticks.
    pub engine_version: &'static str,
}

/// The identity that a digest of all that makes the ticks gives to a tape: its first 16 bytes in hexadecimal.
fn tape_id(digest: Sha256) -> String {
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Where the ticks of a tape come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are computed.
    Simulated,
    /// They were recorded.
    Recorded,
}
