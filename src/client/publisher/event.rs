//! What a publisher yields.

use std::time::Duration;

use crate::{client::Endpoint, contract::v1};

/// What happened to a [`Publisher`](super::Publisher).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublisherEvent {
    /// The server has answered: the accepted ticks of a request are stored.
    Receipt(Receipt),
    /// There is no stream: it ended, or an attempt to open another one has failed. The next attempt begins.
    Disconnected {
        /// What happened, and at which replica.
        cause: String,
        /// The number of the attempt that begins, from 1 on.
        attempt: u32,
    },
    /// There is a stream again. The ticks without an answer are sent again.
    Reconnected {
        /// The replica.
        replica: Endpoint,
        /// How long there was no stream.
        without: Duration,
    },
}

/// What became of the ticks of one request. Receipts come in the order in which the ticks were published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The number of the first tick of the request; the others count on from it.
    pub first_number: u64,
    /// Number of ticks of the request: those that were accepted, rejected and stored before.
    pub ticks: u64,
    /// Number of ticks that were accepted and are stored.
    pub accepted: u64,
    /// Number of ticks that were stored before under the same numbers: by an earlier publisher of this name, or by this one
    /// over a connection that was lost before the answer came.
    pub duplicates: u64,
    /// The ticks that were rejected, in their order.
    pub rejected: Vec<Rejection>,
}

/// A tick that the server rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The number of the tick.
    pub number: u64,
    /// Its symbol.
    pub symbol: String,
    /// Why, for programs.
    pub code: RejectionCode,
    /// Why, for people, and what to do.
    pub message: String,
}

/// Why the server rejected a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionCode {
    /// The symbol is malformed.
    InvalidSymbol,
    /// The instruments of the server are fixed, and this is none of them.
    UnknownSymbol,
    /// The price is no multiple of the instrument's price increment.
    InvalidPrice,
    /// The quantity is too large.
    InvalidQuantity,
    /// The time is too far from the time of the server, or too far before the last tick of the symbol.
    InvalidTime,
    /// Bid or ask is no multiple of the price increment, or the bid is not below the ask.
    InvalidQuote,
    /// The caller has no scope to publish this symbol.
    PermissionDenied,
    /// There are as many instruments as there may be.
    LimitExceeded,
    /// A newer server has a reason that this client does not know.
    Unknown,
}

/// What became of all ticks that were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishTotals {
    /// Number of ticks that were accepted and are stored.
    pub accepted: u64,
    /// Number of ticks that were rejected.
    pub rejected: u64,
    /// Number of ticks that were stored before; see [`Receipt::duplicates`].
    pub duplicates: u64,
}

impl Rejection {
    pub(super) fn of(tick: v1::RejectedTick, first_number: u64) -> Self {
        Self {
            number: first_number.saturating_add(tick.index),
            code: RejectionCode::of(tick.code()),
            symbol: tick.symbol,
            message: tick.message,
        }
    }
}

impl RejectionCode {
    fn of(code: v1::RejectionCode) -> Self {
        match code {
            v1::RejectionCode::Unspecified => Self::Unknown,
            v1::RejectionCode::InvalidSymbol => Self::InvalidSymbol,
            v1::RejectionCode::UnknownSymbol => Self::UnknownSymbol,
            v1::RejectionCode::InvalidPrice => Self::InvalidPrice,
            v1::RejectionCode::InvalidQuantity => Self::InvalidQuantity,
            v1::RejectionCode::InvalidTime => Self::InvalidTime,
            v1::RejectionCode::InvalidQuote => Self::InvalidQuote,
            v1::RejectionCode::PermissionDenied => Self::PermissionDenied,
            v1::RejectionCode::LimitExceeded => Self::LimitExceeded,
        }
    }
}

impl PublishTotals {
    /// Number of ticks that were answered.
    pub fn ticks(self) -> u64 {
        self.accepted + self.rejected + self.duplicates
    }

    /// Adds what became of the ticks of a request.
    pub fn add(&mut self, receipt: &Receipt) {
        self.accepted += receipt.accepted;
        self.rejected += receipt.rejected.len() as u64;
        self.duplicates += receipt.duplicates;
    }
}
