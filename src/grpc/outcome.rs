//! What became of a symbol: the statuses of a subscription result.

use std::{collections::HashSet, time::Duration};

use super::{
    Feed, Format, MAX_SYMBOLS_PER_STREAM, convert,
    session::Refusal,
    status::{Failure, Hint, cut},
    terms::{Objection, Origin},
    v1::EVERYTHING,
};
use crate::{
    contract::v1::{self, SymbolStatus, SymbolStatusCode as Code},
    hub::{Delivery, Interest},
    pacer::Clock,
};

const TOO_MANY_IN_MESSAGE: &str = "a message names at most 1,000 symbols: send the others in another one";
const STRAY: &str = "after_sequence names it and symbols does not: add it there, or *";

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
        Refusal::NoQuotes => refused(symbol, Code::InvalidArgument, &Failure::NoQuotes.to_string()),
        Refusal::NoRoom(missing) => refused(symbol, Code::LimitExceeded, &missing.to_string()),
        Refusal::TooMany => refused(symbol, Code::LimitExceeded, &Failure::TooManySymbols.to_string()),
    }
}

/// Every symbol of a request, refused for the same reason; the request as a whole when it names none.
pub(super) fn refused_all(symbols: &[String], objection: &Objection) -> Vec<SymbolStatus> {
    let none = [String::new()];
    let symbols = if symbols.is_empty() { none.as_slice() } else { symbols };
    refused_each(symbols, objection.code, &objection.message)
}

/// The symbols of a message beyond the most that it may name.
pub(super) fn too_many(symbols: &[String]) -> Vec<SymbolStatus> {
    refused_each(symbols, Code::LimitExceeded, TOO_MANY_IN_MESSAGE)
}

/// A status for each symbol, and one for all those together that are more than an answer may hold: a request may name
/// tens of thousands that are empty.
fn refused_each(symbols: &[String], code: Code, message: &str) -> Vec<SymbolStatus> {
    let (listed, others) = symbols.split_at(symbols.len().min(MAX_SYMBOLS_PER_STREAM));
    let mut statuses: Vec<_> = listed.iter().map(|symbol| refused(symbol, code, message)).collect();
    if !others.is_empty() {
        statuses.push(refused(
            "",
            code,
            &format!("{message}; {} more symbols are refused too", others.len()),
        ));
    }
    statuses
}

/// The entries of `after_sequence` whose symbol was left out: they are not passed over in silence.
pub(super) fn strays(feed: &Feed, origin: &Origin, symbols: &[String]) -> Vec<SymbolStatus> {
    let asked: HashSet<&str> = symbols.iter().map(String::as_str).collect();
    let listed = feed.tape.instruments();
    let is_listed = |symbol: &str| listed.binary_search_by(|one| one.symbol.as_str().cmp(symbol)).is_ok();
    let mut strays: Vec<&str> = origin.after.keys().map(String::as_str).collect();
    strays.retain(|symbol| !(asked.contains(symbol) || asked.contains(EVERYTHING) && is_listed(symbol)));
    strays.sort_unstable();
    strays.into_iter().map(|symbol| refused(symbol, Code::InvalidArgument, STRAY)).collect()
}

pub(super) fn refused(symbol: &str, code: Code, message: &str) -> SymbolStatus {
    SymbolStatus { message: message.to_owned(), ..status(symbol, code) }
}

/// The options are told in real time, as they were asked for.
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
