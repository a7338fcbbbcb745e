//! What became of a symbol: the statuses of a subscription result.

use std::time::Duration;

use prost::encoding::message;

use super::{
    Format, WorkerContext, convert,
    status::{Failure, Hint, cut},
    subscribe_error::SubscribeError,
    wire,
};
use crate::{
    contract::v1::{self, SymbolStatus, SymbolStatusCode as Code},
    hub::{Delivery, Interest},
    pacer::Clock,
    tick::Symbol,
};

const STRAY: &str = "after_sequence names it and symbols does not: add it there, or *";

/// The statuses of one result, encoded as they come.
pub(super) struct Statuses {
    encoded: Vec<u8>,
    texts: Texts,
    has_subscribed: bool,
    first_refusal: Option<String>,
    /// How many symbols have which code. Equal codes that follow each other are counted together.
    codes: Vec<(Code, u64)>,
}

/// Limits the texts of one answer: their size, and the time for suggestions.
pub(super) struct Texts {
    /// Number of bytes that further texts may have.
    bytes: usize,
    /// Number of further suggestions that may be searched.
    suggestions: usize,
    /// One bit for each code that a status had. The first status of each code always has its text.
    codes: u32,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Self::BYTES, suggestions: Self::SUGGESTIONS, codes: 0 }
    }
}

impl Texts {
    const BYTES: usize = 16 * 1024;
    const SUGGESTIONS: usize = 8;

    /// The status of a symbol that is refused.
    pub(super) fn refused(
        &mut self,
        worker: &WorkerContext,
        symbol: &str,
        refusal: SubscribeError,
    ) -> SymbolStatus {
        let (code, message) = match refusal {
            SubscribeError::Malformed(error) => (Code::InvalidArgument, error.to_string()),
            SubscribeError::Unknown(unknown) => {
                let hint = self.suggest(worker, &unknown);
                let message = format!("unknown symbol {symbol}; {}", Hint(&hint));
                (Code::UnknownSymbol, message)
            }
            SubscribeError::NoQuotes => (Code::InvalidArgument, Failure::NoQuotes.to_string()),
            SubscribeError::TooFarAhead(ahead) => (Code::InvalidArgument, ahead.to_string()),
            SubscribeError::TooManyChanges(limit) => {
                (Code::LimitExceeded, Failure::TooManyChanges(limit).to_string())
            }
            SubscribeError::Full(full) => (Code::LimitExceeded, Failure::from(full).to_string()),
            SubscribeError::NoRoom(missing) => (Code::LimitExceeded, missing.to_string()),
            SubscribeError::TooMany => (Code::LimitExceeded, Failure::TooManySymbols.to_string()),
        };
        self.cut(refused(symbol, code, &message))
    }

    /// The status, without its text if that does not fit any more and another status has had the same code.
    fn cut(&mut self, mut status: SymbolStatus) -> SymbolStatus {
        let code = 1 << (status.code as u32 % u32::BITS);
        let is_first = self.codes & code == 0;
        self.codes |= code;
        let left = self.bytes.checked_sub(status.message.len());
        if left.is_none() && !is_first {
            status.message.clear();
        }
        self.bytes = left.unwrap_or(0);
        status
    }

    fn suggest(&mut self, worker: &WorkerContext, symbol: &Symbol) -> Option<Symbol> {
        self.suggestions = self.suggestions.checked_sub(1)?;
        worker.tape.suggest(symbol.as_str())
    }
}

impl Statuses {
    /// Number of the field `statuses` in a subscription result.
    const FIELD: u32 = 3;

    pub(super) fn new() -> Self {
        Self {
            encoded: Vec::new(),
            texts: Texts::default(),
            has_subscribed: false,
            first_refusal: None,
            codes: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, status: SymbolStatus) {
        let status = self.texts.cut(status);
        self.put(&status, 1);
    }

    pub(super) fn refused(&mut self, worker: &WorkerContext, symbol: &str, refusal: SubscribeError) {
        let status = self.texts.refused(worker, symbol, refusal);
        self.put(&status, 1);
    }

    /// An entry of `after_sequence` whose symbol was left out: it is reported, not ignored.
    pub(super) fn stray(&mut self, symbol: &str) {
        self.push(refused(symbol, Code::InvalidArgument, STRAY));
    }

    /// Whether a symbol is subscribed.
    pub(super) fn has_subscribed(&self) -> bool {
        self.has_subscribed
    }

    /// The text of the first refusal.
    pub(super) fn first_refusal(&self) -> &str {
        self.first_refusal.as_deref().unwrap_or_default()
    }

    /// Appends the result that has these statuses.
    pub(super) fn finish(&self, worker: &WorkerContext, request_id: u64, out: &mut Vec<u8>) {
        for (code, symbols) in &self.codes {
            worker.refusals.add(*code, *symbols);
        }
        wire::put_subscription_result(request_id, &worker.tape.identity().tape_id, &self.encoded, out);
    }

    /// Adds one status, with its text, for all further symbols together.
    pub(super) fn others_refused(&mut self, count: usize, code: Code, message: &str) {
        let status = refused("", code, &format!("{message}; {count} more symbols are refused too"));
        self.put(&status, count as u64);
    }

    /// Adds a status that stands for this number of symbols.
    fn put(&mut self, status: &SymbolStatus, symbols: u64) {
        match self.codes.last_mut() {
            Some((code, count)) if *code == status.code() => *count += symbols,
            _ => self.codes.push((status.code(), symbols)),
        }
        match status.code() {
            Code::Subscribed => self.has_subscribed = true,
            _ if self.first_refusal.is_none() => self.first_refusal = Some(status.message.clone()),
            _ => {}
        }
        message::encode(Self::FIELD, status, &mut self.encoded);
    }
}

pub(super) fn refused(symbol: &str, code: Code, message: &str) -> SymbolStatus {
    SymbolStatus { message: message.to_owned(), ..status(symbol, code) }
}

/// The status has the options in real time, as in the request.
pub(super) fn subscribed(symbol: &str, interest: Interest, clock: Clock) -> SymbolStatus {
    let (delivery, min_interval) = match interest.delivery {
        Delivery::Latest { min_interval } => (v1::Delivery::Latest, min_interval),
        Delivery::EveryTick => (v1::Delivery::EveryTick, Duration::ZERO),
    };
    let min_interval =
        (!min_interval.is_zero()).then(|| convert::duration(clock.speed().takes(min_interval)));
    let detail = match Format::V1WithQuotes.is_of(&interest) {
        true => v1::Detail::Quote,
        false => v1::Detail::Ltp,
    };
    SymbolStatus {
        delivery: delivery.into(),
        min_interval,
        detail: detail.into(),
        ..status(symbol, Code::Subscribed)
    }
}

pub(super) fn status(symbol: &str, code: Code) -> SymbolStatus {
    SymbolStatus { symbol: cut(symbol), code: code.into(), ..SymbolStatus::default() }
}
