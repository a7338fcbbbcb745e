//! What a subscription yields.

use std::time::Duration;

use super::{Endpoint, Quote};
use crate::{
    contract::v1,
    tick::{Sequence, Symbol, Tick},
};

/// What happened on a subscription.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server has answered for some symbols. Each symbol is answered once, however often the subscription moves to
    /// another replica; and once more, among `refused`, when a fresh token does not allow it any more.
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
    /// Ticks were left out although every tick was asked for, or the tape begins after what was asked for.
    Gap {
        /// The symbol.
        symbol: Symbol,
        /// The first sequence that was left out.
        first: Sequence,
        /// The last sequence that was left out.
        last: Sequence,
    },
    /// A resumed symbol has reached the present: the ticks that follow are live.
    CaughtUp {
        /// The symbol.
        symbol: Symbol,
        /// The last sequence before the live ones.
        sequence: Sequence,
    },
    /// The replica is about to stop.
    Draining,
    /// There is no stream: it ended, or an attempt to open another one has failed. The next attempt begins.
    Disconnected {
        /// What happened, and at which replica.
        cause: String,
        /// The number of the attempt that begins, from 1 on.
        attempt: u32,
    },
    /// There is a stream again, or a stream to another replica. It continues after the last tick of each symbol.
    Reconnected {
        /// The replica.
        replica: Endpoint,
        /// How long there was no stream; zero when the subscription moved before its stream ended.
        without: Duration,
    },
    /// The replay is complete. This is the last event.
    End,
}

/// A tick of a subscription.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LiveTick {
    /// The symbol that traded.
    pub symbol: Symbol,
    /// The trade.
    pub tick: Tick,
    /// How many ticks of the symbol were left out between the previous tick and this one.
    pub conflated: u64,
    /// Whether this is the last price from before the subscription.
    pub snapshot: bool,
    /// The state of the market after the trade, with [`Detail::Quote`](super::Detail::Quote).
    pub quote: Option<Quote>,
}

/// A symbol that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedSymbol {
    /// The symbol; empty when the request as a whole was refused.
    pub symbol: String,
    /// What was wrong and what to do.
    pub message: String,
}

impl LiveTick {
    /// A tick before which none was left out, without a quote.
    pub fn new(symbol: Symbol, tick: Tick) -> Self {
        Self { symbol, tick, conflated: 0, snapshot: false, quote: None }
    }
}

impl RefusedSymbol {
    pub(super) fn of(status: &v1::SymbolStatus) -> Self {
        let message = match status.message.as_str() {
            "" => format!("refused ({})", status.code().as_str_name()),
            message => message.to_owned(),
        };
        Self { symbol: status.symbol.clone(), message }
    }
}
