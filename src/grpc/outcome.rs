//! What became of a symbol: the statuses of a subscription result.

use std::time::Duration;

use super::{
    Format, convert,
    session::Refusal,
    status::{Failure, Hint, cut},
    terms::Objection,
};
use crate::{
    contract::v1::{self, SymbolStatus, SymbolStatusCode as Code},
    hub::{Delivery, Interest},
};

pub(super) fn refused_symbol(symbol: &str, refusal: Refusal) -> SymbolStatus {
    match refusal {
        Refusal::Malformed(error) => refused(symbol, Code::InvalidArgument, &error.to_string()),
        Refusal::Unknown(_, suggestion) => {
            let hint = Hint(&suggestion);
            refused(
                symbol,
                Code::UnknownSymbol,
                &format!("unknown symbol {symbol}{hint}; ListInstruments lists them"),
            )
        }
        Refusal::TooMany => refused(symbol, Code::LimitExceeded, &Failure::TooManySymbols.to_string()),
    }
}

/// Every symbol of a request, refused for the same reason.
pub(super) fn refused_all(symbols: &[String], objection: &Objection) -> Vec<SymbolStatus> {
    symbols.iter().map(|symbol| refused(symbol, objection.code, &objection.message)).collect()
}

pub(super) fn refused(symbol: &str, code: Code, message: &str) -> SymbolStatus {
    SymbolStatus { message: message.to_owned(), ..status(symbol, code) }
}

pub(super) fn subscribed(symbol: &str, interest: Interest) -> SymbolStatus {
    let (delivery, min_interval) = match interest.delivery {
        Delivery::Latest { min_interval } => (v1::Delivery::Latest, min_interval),
        Delivery::EveryTick => (v1::Delivery::EveryTick, Duration::ZERO),
    };
    let min_interval = (!min_interval.is_zero()).then(|| convert::duration(min_interval));
    let detail = match interest.format == Format::V1WithQuotes as u8 {
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
