//! What publishers push, and what becomes of it.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    tape::TopOfBook,
    tick::{Price, Symbol, SymbolError, Time},
    timestamp,
};

/// Ticks that are pushed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The numbers of the ticks; `None` when they have none.
    pub numbers: Option<Numbers>,
    /// The ticks; those of one symbol in their order.
    pub ticks: Vec<NewTick>,
    /// Ticks that were rejected when they were read.
    pub rejected: Vec<Rejected>,
}

/// The numbers under which a publisher sends ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The publisher. Without commas and control characters.
    pub publisher: Arc<str>,
    /// The number of the tick with the index 0; the others count on from it.
    pub first: u64,
}

/// One tick that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTick {
    /// Its place in the batch, from 0. It rises from tick to tick.
    pub index: u64,
    /// What traded.
    pub symbol: Symbol,
    /// When; `None` for the time at which the feed takes it.
    pub time: Option<Time>,
    /// The price.
    pub price: Price,
    /// In quantity increments of the instrument.
    pub quantity: u64,
    /// The best bid and ask after the trade; quantities in quantity increments.
    pub book: Option<TopOfBook>,
}

/// What has become of a batch that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Number of ticks that are stored.
    pub accepted: u64,
    /// Number of ticks that were stored before.
    pub duplicates: u64,
    /// The others, in the order of their places.
    pub rejected: Vec<Rejected>,
}

/// A tick that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch.
    pub index: u64,
    /// Its symbol as it was sent, or the beginning of that.
    pub symbol: String,
    /// Why.
    pub rejection: Rejection,
}

/// Why a tick is rejected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// The symbol is malformed.
    #[error("the symbol is malformed: {0}")]
    Symbol(SymbolError),
    /// The instruments are fixed, and this is none of them.
    #[error(
        "the instruments of this server are fixed, and {0} is none of them: add it to the file of --instruments"
    )]
    Unknown(Symbol),
    /// A symbol that belongs to the symbols for tests.
    #[error("symbols that begin with TEST. are for tests of clients: choose another one")]
    ForTests,
    /// There are as many instruments as there may be.
    #[error("the feed has {most} instruments, which is the limit")]
    TooManyInstruments {
        /// The limit.
        most: usize,
    },
    /// The caller may not publish the symbol.
    #[error(
        "the token does not allow to publish {0}: it needs the scope ticker:publish, or one with a pattern of this symbol"
    )]
    Forbidden(Symbol),
    /// The price is not positive.
    #[error("price_nanos is {0}, and must be positive")]
    NoPrice(i64),
    /// A price is no multiple of the increment.
    #[error("the price {price} is no multiple of the instrument's price increment {increment}")]
    OffIncrement {
        /// The price.
        price: Price,
        /// The increment.
        increment: Price,
    },
    /// The bid or the ask is no multiple of the increment.
    #[error("bid {bid} and ask {ask} must be multiples of the instrument's price increment {increment}")]
    QuoteOffIncrement {
        /// The bid.
        bid: Price,
        /// The ask.
        ask: Price,
        /// The increment.
        increment: Price,
    },
    /// The quantity is too large.
    #[error("the quantity is {quantity}, and must be at most {most}")]
    TooLarge {
        /// The quantity.
        quantity: u64,
        /// The largest one of the instrument.
        most: u64,
    },
    /// The time is malformed.
    #[error(
        "the time is no timestamp: its seconds are from the year 1 to 9999, its nanos from 0 to 999999999"
    )]
    NoTime,
    /// The time is too long ago.
    #[error(
        "the time {} is {} before that of the server, and at most {most:?} are allowed: leave it out to get the server's \
         time, or correct the clock",
        timestamp::show(*time), millis(*ago)
    )]
    TooOld {
        /// The time.
        time: Time,
        /// How long ago it is.
        ago: Duration,
        /// The limit.
        most: Duration,
    },
    /// The time is too far ahead.
    #[error(
        "the time {} is {} after that of the server, and at most {most:?} are allowed: correct the clock",
        timestamp::show(*time), millis(*ahead)
    )]
    Ahead {
        /// The time.
        time: Time,
        /// How far it is ahead.
        ahead: Duration,
        /// The limit.
        most: Duration,
    },
    /// The time is before that of the last tick.
    #[error(
        "the time {} is {} before that of the last tick of the symbol, and at most {most:?} are allowed: publish the \
         ticks of a symbol in their order",
        timestamp::show(*time), millis(*back)
    )]
    GoesBack {
        /// The time.
        time: Time,
        /// How much earlier it is.
        back: Duration,
        /// The limit.
        most: Duration,
    },
    /// Only one of bid and ask is set, or one is negative.
    #[error("bid_nanos is {bid} and ask_nanos {ask}: set both to positive prices, or none")]
    HalfQuote {
        /// The bid.
        bid: i64,
        /// The ask.
        ask: i64,
    },
    /// The bid is not below the ask.
    #[error("the bid {bid} is not below the ask {ask}")]
    Crossed {
        /// The bid.
        bid: Price,
        /// The ask.
        ask: Price,
    },
}

impl Numbers {
    /// The publisher and the number of a tick of the batch.
    pub(super) fn of(&self, tick: &NewTick) -> (Arc<str>, u64) {
        (self.publisher.clone(), self.first.saturating_add(tick.index))
    }
}

impl Receipt {
    /// Counts a tick, of which `stored` says whether it is new.
    pub(super) fn note(&mut self, tick: &NewTick, stored: Result<bool, Rejection>) {
        match stored {
            Ok(true) => self.accepted += 1,
            Ok(false) => self.duplicates += 1,
            Err(rejection) => {
                let symbol = tick.symbol.to_string();
                self.rejected.push(Rejected { index: tick.index, symbol, rejection });
            }
        }
    }
}

/// A duration in whole milliseconds, as text.
fn millis(duration: Duration) -> String {
    format!("{:?}", Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX)))
}
