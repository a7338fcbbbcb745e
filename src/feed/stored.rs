//! Ticks that only the log has, because they have left the window.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::FeedError;
use crate::{
    tape::Instrument,
    tick::{Sequence, Symbol, Tick, Time},
};

/// Reads the ticks of the log, from the oldest that it keeps to the newest.
pub trait StoredTicks: Send + Sync {
    /// The sequence of the first stored tick of a symbol at or after a time; `None` when there is none.
    fn sequence_from(
        &self,
        symbol: Symbol,
        time: Time,
    ) -> oneshot::Receiver<Result<Option<Sequence>, FeedError>>;

    /// The stored ticks of a symbol in their order, from a sequence on, or from the oldest if that is later. Some ticks before it may come
    /// first. A reader that has enough drops the receiver.
    fn read(&self, symbol: Symbol, from: Sequence) -> mpsc::Receiver<Result<StoredPart, FeedError>>;

    /// The ticks of a group, which follow one another. A group that cannot be read has none, as on the tape.
    fn ticks(&self, group: &Bytes, instrument: &Instrument) -> Vec<Tick>;
}

/// Some of the ticks that are read.
pub struct StoredPart {
    /// Ticks that were stored together, as the log has them.
    pub groups: Vec<Bytes>,
    /// Whether no part comes after it.
    pub is_last: bool,
}
