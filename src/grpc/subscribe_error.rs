//! Why a symbol cannot be subscribed.

use thiserror::Error;

use crate::{
    hub::Full,
    tape::Missing,
    tick::{Sequence, Symbol, SymbolError},
};

/// Why a symbol is refused.
pub(super) enum SubscribeError {
    Malformed(SymbolError),
    Unknown(Symbol),
    TooMany,
    /// The caller has changed this many subscriptions in a second, which is its limit.
    TooManyChanges(u64),
    /// The limit of subscriptions of its caller, its connection or of the server is reached.
    Full(Full),
    /// The instrument would have to be invented, and the limit is reached.
    NoRoom(Missing),
    /// Quotes are asked for, and its day is too long to be read for them.
    NoQuotes,
    /// It should resume after a sequence of the far future.
    TooFarAhead(TooFarAhead),
}

/// The sequence that a symbol should resume after is too far in the future.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum TooFarAhead {
    #[error(
        "after_sequence {after} is not due within a day: the newest sequence is {newest}; send the last sequence that \
         you received, or leave it out to begin with the newest"
    )]
    OfNewest { after: u64, newest: Sequence },
    #[error(
        "after_sequence {after} is not due within a day: the tape has not begun, and its first sequence is {first}; \
         leave it out to begin there"
    )]
    OfFirst { after: u64, first: Sequence },
}
