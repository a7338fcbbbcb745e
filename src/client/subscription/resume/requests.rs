//! The requests that resume a subscription: every symbol after its last sequence, within the limits of a request.

use super::{Answer, ResumeState};
use crate::{
    client::{Delivery, Detail, chunks::chunks, convert::timestamp},
    contract::v1::{self, ALL_INSTRUMENTS},
    tick::{Symbol, Time},
};

/// The requests of a new stream, and their RPC.
#[derive(Debug)]
pub(in crate::client::subscription) enum Requests {
    /// `TickerStream`, with these requests in this order.
    TickerStream(Vec<v1::Subscription>),
    /// `Watch`, which replays.
    Watch(v1::WatchRequest),
}

impl ResumeState {
    /// The requests of a new stream.
    pub(in crate::client::subscription) fn requests(&self) -> Requests {
        match self.replay {
            Some(replay) => {
                let symbols: Vec<&str> = self
                    .options
                    .symbols
                    .iter()
                    .map(String::as_str)
                    .filter(|symbol| self.is_open(symbol))
                    .collect();
                let mut seen: Vec<&str> = self.seen.keys().map(Symbol::as_str).collect();
                seen.sort_unstable();
                let seen = chunks(&seen).first().copied().unwrap_or_default();
                // Ticks come in the order of their times, so every tick before the newest was received.
                let request = self.request(&symbols, seen, Some(self.newest.unwrap_or(replay.from)));
                Requests::Watch(v1::WatchRequest {
                    symbols: request.symbols,
                    delivery: request.delivery,
                    min_interval: request.min_interval,
                    after_sequence: request.after_sequence,
                    start_time: request.start_time,
                    tape_id: request.tape_id,
                    detail: request.detail,
                    end_time: replay.to.map(timestamp),
                    speed: replay.speed,
                })
            }
            None => Requests::TickerStream(self.subscriptions()),
        }
    }

    /// The subscriptions of a new stream, in this order.
    pub(super) fn subscriptions(&self) -> Vec<v1::Subscription> {
        let named = |answer| {
            let symbols = self.options.symbols.iter().map(String::as_str);
            symbols.filter(move |symbol| {
                *symbol != ALL_INSTRUMENTS && self.answers.get(*symbol) == Some(&answer)
            })
        };
        let since = self.missed_since();
        let mut requests = Vec::new();
        let mut known: Vec<&str> = named(Some(Answer::Subscribed)).collect();
        // First `*`, which begins every symbol; the requests after it resume the symbols that they name.
        if self.is_open(ALL_INSTRUMENTS) {
            let answered = self.answers.get(ALL_INSTRUMENTS).is_some_and(Option::is_some);
            let mut seen: Vec<&str> = self.seen.keys().map(Symbol::as_str).collect();
            seen.retain(|symbol| !self.answers.contains_key(*symbol));
            seen.sort_unstable();
            let (seen, more) = seen.split_at(chunks(&seen).first().map_or(0, |chunk| chunk.len()));
            requests.push(self.request(&[ALL_INSTRUMENTS], seen, since.filter(|_| answered)));
            known.extend(more);
        }
        let new: Vec<&str> = named(None).collect();
        requests.extend(chunks(&known).into_iter().map(|symbols| self.request(symbols, symbols, since)));
        requests.extend(chunks(&new).into_iter().map(|symbols| self.request(symbols, &[], None)));
        requests
    }

    /// Whether a symbol was asked for and was not refused.
    fn is_open(&self, symbol: &str) -> bool {
        self.answers.get(symbol).is_some_and(|answer| *answer != Some(Answer::Refused))
    }

    /// The time from which symbols without a tick have missed ticks. With [`Delivery::Latest`] there are no missed ticks,
    /// and before the first message the last price may still arrive.
    fn missed_since(&self) -> Option<Time> {
        self.since.filter(|_| self.begun && self.options.delivery == Delivery::EveryTick)
    }

    /// A request for `symbols`. The symbols in `seen` continue after their last sequence.
    fn request(&self, symbols: &[&str], seen: &[&str], start: Option<Time>) -> v1::Subscription {
        let sequence = |symbol: &&str| Some((symbol.to_string(), self.seen.get(&symbol.parse().ok()?)?.0));
        let delivery = match self.options.delivery {
            Delivery::Latest => v1::Delivery::Latest,
            Delivery::EveryTick => v1::Delivery::EveryTick,
        };
        let detail = match self.options.detail {
            Detail::Ltp => v1::Detail::Ltp,
            Detail::Quote => v1::Detail::Quote,
        };
        v1::Subscription {
            symbols: symbols.iter().map(ToString::to_string).collect(),
            delivery: delivery.into(),
            // What protobuf cannot hold is longer than any server allows.
            min_interval: self.options.min_interval.map(|least| least.try_into().unwrap_or(FOREVER)),
            after_sequence: seen.iter().filter_map(sequence).collect(),
            start_time: start.map(timestamp),
            tape_id: self.tape_id.clone().unwrap_or_default(),
            detail: detail.into(),
        }
    }
}

/// The longest duration of protobuf.
const FOREVER: prost_types::Duration = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };
