//! What is asked of a replica: every symbol after its last sequence, in requests that a server takes.

use super::{Answer, ResumeState};
use crate::{
    client::{Delivery, message::timestamp},
    contract::v1::{self, ALL_INSTRUMENTS},
    tick::{Symbol, Time},
};

/// What to ask, and with which RPC.
#[derive(Debug)]
pub(in crate::client::subscription) enum Requests {
    /// `TickerStream`, with these requests in this order.
    TickerStream(Vec<v1::Subscription>),
    /// `Watch`, which replays.
    Watch(v1::WatchRequest),
}

/// The most symbols of one request.
const SYMBOLS: usize = 1000;
/// The most bytes that the symbols of one request take, each of them twice: the server allows 128 KiB in all.
const BYTES: usize = 120 * 1024;
/// What a symbol and its sequence take beside its text, at most.
const BESIDE: usize = 24;

impl ResumeState {
    /// What to ask of a new stream.
    pub(in crate::client::subscription) fn requests(&self) -> Requests {
        match self.replay {
            Some(replay) => {
                let symbols: Vec<&str> = self
                    .wanted
                    .symbols
                    .iter()
                    .map(String::as_str)
                    .filter(|symbol| self.is_open(symbol))
                    .collect();
                let mut seen: Vec<&str> = self.seen.keys().map(Symbol::as_str).collect();
                seen.sort_unstable();
                let seen = chunks(&seen).first().copied().unwrap_or_default();
                // Ticks come in the order of their times: what is older than the newest has come.
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

    /// What to subscribe to, in this order.
    pub(super) fn subscriptions(&self) -> Vec<v1::Subscription> {
        let named = |answer| {
            let symbols = self.wanted.symbols.iter().map(String::as_str);
            symbols.filter(move |symbol| {
                *symbol != ALL_INSTRUMENTS && self.answers.get(*symbol) == Some(&answer)
            })
        };
        let since = self.missed_since();
        let mut requests = Vec::new();
        let mut known: Vec<&str> = named(Some(Answer::Subscribed)).collect();
        // First the star, which begins all of them; what is named after it goes on where it was.
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

    /// Whether a symbol is wanted and was not refused.
    fn is_open(&self, symbol: &str) -> bool {
        self.answers.get(symbol).is_some_and(|answer| *answer != Some(Answer::Refused))
    }

    /// From when on ticks are missed of symbols that have none yet. Whoever wants the latest only misses none; and
    /// before anything has come, their last price may still be on its way.
    fn missed_since(&self) -> Option<Time> {
        self.since.filter(|_| self.begun && self.wanted.delivery == Delivery::EveryTick)
    }

    /// A request for `symbols`; those that are `seen` go on after their last sequence.
    fn request(&self, symbols: &[&str], seen: &[&str], start: Option<Time>) -> v1::Subscription {
        let sequence = |symbol: &&str| Some((symbol.to_string(), self.seen.get(&symbol.parse().ok()?)?.0));
        let delivery = match self.wanted.delivery {
            Delivery::Latest => v1::Delivery::Latest,
            Delivery::EveryTick => v1::Delivery::EveryTick,
        };
        v1::Subscription {
            symbols: symbols.iter().map(ToString::to_string).collect(),
            delivery: delivery.into(),
            // More than protobuf can hold is more than any server allows.
            min_interval: self.wanted.min_interval.map(|least| least.try_into().unwrap_or(FOREVER)),
            after_sequence: seen.iter().filter_map(sequence).collect(),
            start_time: start.map(timestamp),
            tape_id: self.tape_id.clone().unwrap_or_default(),
            ..Default::default()
        }
    }
}

const FOREVER: prost_types::Duration = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };

/// Cuts symbols into requests that the server takes.
pub(super) fn chunks<'a>(symbols: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, symbol) in symbols.iter().enumerate() {
        let more = 2 * symbol.len() + BESIDE;
        if at > start && (at - start == SYMBOLS || bytes + more > BYTES) {
            chunks.push(&symbols[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += more;
    }
    if start < symbols.len() {
        chunks.push(&symbols[start..]);
    }
    chunks
}
