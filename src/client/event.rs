//! What a subscription brings.

use std::time::Duration;

use super::Endpoint;
use crate::tick::{Sequence, Symbol, Tick};

/// What happened on a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Symbols were answered: once each, however often the subscription moves to another replica.
    Answer {
        /// The tape that the replicas play.
        tape_id: String,
        /// The symbols that are subscribed, `*` among them, in the order of the request.
        subscribed: Vec<String>,
        /// The symbols that are not.
        refused: Vec<RefusedSymbol>,
    },
    /// A trade. The sequences of a symbol rise, and none comes twice.
    Tick(LiveTick),
    /// Ticks were left out although every one was asked for, or the tape begins after what was asked for.
    Gap {
        /// The symbol.
        symbol: Symbol,
        /// The first sequence that was left out.
        first: Sequence,
        /// The last sequence that was left out.
        last: Sequence,
    },
    /// What was missed of a resumed symbol has come: the ticks that follow are live.
    CaughtUp {
        /// The symbol.
        symbol: Symbol,
        /// The last sequence before the live ones.
        sequence: Sequence,
    },
    /// The replica is about to stop.
    Draining,
    /// There is no stream: it broke, or an attempt to open another one has failed. The next attempt begins.
    Disconnected {
        /// What happened, and at which replica.
        cause: String,
        /// The number of the attempt that begins, from 1 on.
        attempt: u32,
    },
    /// There is a stream again, or one to another replica than before. It goes on where the last one ended.
    Reconnected {
        /// The replica.
        replica: Endpoint,
        /// For how long there was no stream; zero when the subscription moved before its stream ended.
        without: Duration,
    },
    /// The replay has come to its end: this is the last event.
    End,
}

/// A tick and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTick {
    /// The symbol that traded.
    pub symbol: Symbol,
    /// The trade.
    pub tick: Tick,
    /// How many ticks of the symbol were left out before this one, since the last one that came.
    pub conflated: u64,
    /// True for the last price from before the subscription.
    pub snapshot: bool,
}

/// A symbol that was not subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSymbol {
    /// The symbol; empty when the request as a whole was refused.
    pub symbol: String,
    /// What was wrong and what to do.
    pub message: String,
}
