//! Which tick a symbol has at a sequence, and which sequence is due at a time.
//!
//! A tape is a list of instruments with a series of ticks for each. Any tick may be asked for at any time, in any order, on
//! any thread. A tick never changes: replicas of a tape give the same tick for the same symbol and sequence.
//!
//! # Complete and growing tapes
//!
//! A *complete* tape is a pure function: the simulated and the recorded one. Every call with the same arguments gives the
//! same answer for ever, and a tick is due when the clock shows its time.
//!
//! A *growing* tape is still being written: that of a live feed ([`Feed`]). Other threads append ticks while it is read, and it may
//! keep only a window of recent ticks. It guarantees:
//!
//! - **Ticks**: a tick is appended with the sequence after the newest one of its series, and with a time that is neither
//!   before that of the tick before it nor after the time that the clock shows.
//! - **Newest**: [`Series::last`] is the newest tick so far. It rises and never falls.
//! - **Window**: [`Series::first`] is the oldest tick that is still available. It rises and never falls. At least one tick
//!   stays.
//! - **Instruments**: an instrument is listed from its first tick on. None is ever removed or changed.
//! - **Order**: once a call has shown that a tick or an instrument has arrived, or that a tick has left the window, every later
//!   call shows it, on any thread and through any method.
//! - **Arrival**: a cursor at the newest tick wakes its reader when there is another one ([`Cursor::wake_on_arrival`]). A tick of an
//!   instrument that no cursor waits for wakes nobody.
//! - **Identity**: it stays the same while the tape grows and its window moves.
//!
//! Nothing else holds from one call to the next: ticks may arrive and the window may move in between. So a reader compares
//! the sequence of each tick with the one that it expected. If the tick is a later one, those before it have left the window,
//! and the reader reports them or counts them.

use std::{ops::Range, sync::Arc, task::Waker, time::Duration};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::tick::{Price, Sequence, Symbol, Tick, Time};

mod book;
mod column;
mod feed;
mod hours;
mod instrument;
mod recorded;
mod simulated;
mod test_symbol;
mod trading_days;
mod universe;

pub use book::TopOfBook;
pub use feed::{Feed, FeedSeries, WindowLimits, WindowSize};
pub use hours::{Hours, HoursError, TZDB_VERSION, TradingDay};
pub use instrument::{Instrument, InstrumentStatus, Lease, MOST_FACTORS, all_but_tests};
pub use recorded::{Compression, Extent, LoadProgress, Place, Recorded, RecordedError, RecordedSeries};
pub use simulated::{ENGINE_VERSION, Simulated, SimulatedSeries};
pub use test_symbol::TestSymbol;
pub use trading_days::TradingDays;
pub use universe::{Universe, UniverseError, nearest};

/// Ticks of many instruments.
pub trait Tape: Send + Sync {
    /// Tells this tape from all others. It does not change.
    fn identity(&self) -> &Identity;

    /// The instruments that the tape lists now, ordered by symbol, with the [symbols for tests](TestSymbol) if it has them.
    ///
    /// A snapshot: the returned list does not change. While no instrument appears, every call returns the same `Arc`. Later
    /// lists contain all instruments of earlier lists.
    fn instruments(&self) -> Arc<[Arc<Instrument>]>;

    /// The listed instruments, and those that are known although they have no tick yet, ordered by symbol. The latter have no series.
    fn known_instruments(&self) -> Arc<[Arc<Instrument>]> {
        self.instruments()
    }

    /// The instrument of a symbol, listed or not.
    ///
    /// # Errors
    /// The tape has no such instrument, or no room for it now.
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing>;

    /// The symbol that `text` most likely means: a suggestion for an error message.
    fn suggest(&self, text: &str) -> Option<Symbol>;

    /// The ticks of one instrument, which must be one of this tape's.
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series>;
}

/// Why a tape has no instrument for a symbol.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Missing {
    /// The tape does not have this symbol.
    #[error("the tape has no such instrument")]
    Unknown,
    /// The instrument would have to be invented, and the limit is reached.
    #[error(
        "the symbol is not listed, and {most} instruments are invented already, which is the limit: use a listed symbol, \
         or try again later"
    )]
    NoRoom {
        /// Largest number of invented instruments at a time.
        most: usize,
    },
}

/// The ticks of one instrument: `time` never falls and `sequence` rises by one. There is at least one tick.
pub trait Series: Send + Sync {
    /// The sequence of the oldest tick that is available. It rises when the window of a growing tape moves.
    fn first(&self) -> Sequence;

    /// The sequence of the newest tick so far, which is the last of all if the tape is complete.
    fn last(&self) -> Sequence;

    /// Whether its tape is complete. Then what was computed of its ticks may be kept for ever.
    fn is_complete(&self) -> bool {
        false
    }

    /// The sequence of the newest available tick that took place at or before `time`; `None` when there is none. For the
    /// same time, the answer of a growing tape may rise, and become `None` when the window has moved past that time.
    fn sequence_at(&self, time: Time) -> Option<Sequence>;

    /// The sequence of the first available tick at or after `time`; one more than the newest tick when there is none so
    /// far. On a growing tape the tick that arrives there may be earlier than `time`.
    fn sequence_from(&self, time: Time) -> Sequence {
        let before = time.before(Duration::from_nanos(1)).and_then(|before| self.sequence_at(before));
        before.map_or_else(|| self.first(), Sequence::next)
    }

    /// The tick of a sequence. A sequence before the first is taken as the first, a sequence after the last as the last;
    /// the sequence of the returned tick shows which.
    fn tick(&self, sequence: Sequence) -> Tick;

    /// Reads on from a sequence, faster than asking for each tick. A sequence that is not available is taken as the first or
    /// the last one, as by [`tick`](Self::tick).
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor>;

    /// What the ticks of a range amount to, where the series can tell without reading them one by one; `None` where it cannot, or if
    /// the range is empty. All of its ticks have to be available.
    fn totals(&self, _ticks: Range<Sequence>) -> Option<Totals> {
        None
    }

    /// Whether [`totals`](Self::totals) answers for every range that is not empty, except at the end of time, and takes no longer than
    /// reading about 10,000 ticks. Only a series of a complete tape may say so: ticks of a growing tape may leave its window.
    fn has_totals(&self) -> bool {
        false
    }

    /// The best bid and ask after a tick of this series; `None` when the tape knows no book.
    fn top_of_book(&self, _tick: &Tick) -> Option<TopOfBook> {
        None
    }
}

/// What some ticks amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The sum of the quantities, at most `u64::MAX`.
    pub volume: u64,
}

/// Reads the ticks of one instrument in order.
pub trait Cursor: Send {
    /// The tick under the cursor. It stays the same until the cursor moves, also if it leaves the window.
    fn tick(&self) -> Tick;

    /// Moves to the next tick, or to the oldest available one if that is later. Stays where it is when there is no later
    /// tick so far.
    fn advance(&mut self);

    /// The best bid and ask after the tick under the cursor; `None` when the tape knows no book.
    fn top_of_book(&self) -> Option<TopOfBook> {
        None
    }

    /// Reads from memory what [`advance`](Self::advance) reads, if it is far away.
    fn read_ahead(&self) {}

    /// Wakes `waker` once, from any thread, when [`advance`](Self::advance) has a tick to move to; at once if it has one.
    ///
    /// A cursor keeps the last waker that it was given and forgets it when it is dropped. The default never wakes: a complete
    /// tape has no tick after its last one.
    fn wake_on_arrival(&mut self, _waker: &Waker) {}
}

/// What tells one tape from another. Two replicas with the same identity never give different ticks for the same symbol and
/// sequence. Of a growing tape, one replica may have ticks that the other one does not have yet, or does not keep any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hexadecimal. For a complete tape, a digest of all that determines its ticks. For a growing tape, a name of its
    /// numbering: whenever sequences would begin again, it is another one.
    pub tape_id: String,
    /// Where the ticks come from.
    pub kind: Kind,
    /// The seed of a simulated tape; zero for any other.
    pub seed: u64,
    /// Version of the code that makes the ticks.
    pub engine_version: &'static str,
}

/// The `tape_id` of a digest of all that determines the ticks of a tape: its first 16 bytes in hexadecimal.
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
    /// They are published while the tape is read.
    Feed,
}

impl Kind {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Recorded => "recorded",
            Self::Feed => "feed",
        }
    }
}
