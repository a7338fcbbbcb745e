//! What a subscription has received, and so what it must ask of the next replica. No I/O: the streams are around it.

use std::collections::{HashMap, HashSet};

use super::{Delivery, Wanted};
use crate::{
    client::{
        Event, LiveTick, Refusal,
        message::{Message, timestamp},
    },
    contract::v1::{self, SymbolStatusCode as Code},
    tick::{Sequence, Symbol, Time},
};

/// All that is known of a subscription, whichever replica it came from.
pub(super) struct Progress {
    wanted: Wanted,
    /// What became of each symbol that was asked for; `None` while it has no answer.
    answers: HashMap<String, Option<Answer>>,
    /// The last sequence of each symbol that came, or that is known never to come.
    seen: HashMap<Symbol, Sequence>,
    /// The tape that the sequences belong to, once a replica has said so.
    tape_id: Option<String>,
    /// The time on the tape when it was first subscribed to.
    since: Option<Time>,
    /// More than answers has come.
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Subscribed,
    Refused,
}

/// Why a replica cannot go on where another one has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) String);

/// Stands for every instrument.
const EVERYTHING: &str = "*";
/// The most symbols of one request.
const SYMBOLS: usize = 1000;
/// The most bytes that the symbols of one request take, each of them twice: the server allows 128 KiB in all.
const BYTES: usize = 120 * 1024;
/// What a symbol and its sequence take beside its text, at most.
const BESIDE: usize = 24;

impl Progress {
    pub(super) fn new(mut wanted: Wanted) -> Self {
        let mut known = HashSet::new();
        wanted.symbols.retain(|symbol| known.insert(symbol.clone()));
        let answers = known.into_iter().map(|symbol| (symbol, None)).collect();
        Self { wanted, answers, seen: HashMap::new(), tape_id: None, since: None, begun: false }
    }

    /// A stream was opened for the first time, at this time on the tape. The ticks of a symbol that has not traded
    /// yet are wanted from then on.
    pub(super) fn since(&mut self, time: Time) {
        self.since = Some(time);
    }

    /// How many symbols have no answer yet.
    pub(super) fn unanswered(&self) -> usize {
        self.answers.values().filter(|answer| answer.is_none()).count()
    }

    /// What to ask of a new stream, in this order: every symbol after its last sequence.
    pub(super) fn requests(&self) -> Vec<v1::Subscription> {
        let named = |answer| {
            let symbols = self.wanted.symbols.iter().map(String::as_str);
            symbols.filter(move |symbol| *symbol != EVERYTHING && self.answers.get(*symbol) == Some(&answer))
        };
        let since = self.missed_since();
        let mut requests = Vec::new();
        let mut known: Vec<&str> = named(Some(Answer::Subscribed)).collect();
        // First the star, which begins all of them; what is named after it goes on where it was.
        let star = self.answers.get(EVERYTHING).filter(|answer| **answer != Some(Answer::Refused));
        if let Some(answer) = star {
            let mut seen: Vec<&str> = self.seen.keys().map(Symbol::as_str).collect();
            seen.retain(|symbol| !self.answers.contains_key(*symbol));
            seen.sort_unstable();
            let (seen, more) = seen.split_at(chunks(&seen).first().map_or(0, |chunk| chunk.len()));
            requests.push(self.request(&[EVERYTHING], seen, since.filter(|_| answer.is_some())));
            known.extend(more);
        }
        let new: Vec<&str> = named(None).collect();
        requests.extend(chunks(&known).into_iter().map(|symbols| self.request(symbols, symbols, since)));
        requests.extend(chunks(&new).into_iter().map(|symbols| self.request(symbols, &[], None)));
        requests
    }

    /// Takes in what a replica said, and adds what the user has not been told yet. `asked` are the symbols of the
    /// request that a result answers.
    ///
    /// # Errors
    /// This replica cannot go on where the last one has stopped.
    pub(super) fn take(
        &mut self,
        message: Message,
        asked: impl FnOnce() -> Vec<String>,
        events: &mut Vec<Event>,
    ) -> Result<(), Unfit> {
        match message {
            Message::Result(result) => return self.answer(&asked(), result, events),
            Message::Tick(live) => self.tick(live, events),
            Message::Gap { symbol, first, last } => self.gap(symbol, first, last, events),
            Message::CaughtUp { symbol, sequence } => events.push(Event::CaughtUp { symbol, sequence }),
            Message::Draining => events.push(Event::Draining),
            Message::Alive => {}
        }
        self.begun = true;
        Ok(())
    }

    fn answer(
        &mut self,
        asked: &[String],
        result: v1::SubscriptionResult,
        events: &mut Vec<Event>,
    ) -> Result<(), Unfit> {
        let v1::SubscriptionResult { tape_id, statuses, .. } = result;
        let own = self.tape_id.get_or_insert_with(|| tape_id.clone());
        if *own != tape_id {
            return Err(Unfit(format!(
                "plays the tape {tape_id} and not {own}: its sequences mean other ticks"
            )));
        }
        // A request that is refused as a whole has one status for all of its symbols.
        let whole = if statuses.len() < asked.len() { statuses.first() } else { None };
        let (mut subscribed, mut refused) = (Vec::new(), Vec::new());
        for (at, symbol) in asked.iter().enumerate() {
            let Some(status) = whole.or_else(|| statuses.get(at)) else { continue };
            let accepted = status.code() == Code::Subscribed;
            match self.answers.get_mut(symbol) {
                Some(answer @ None) if accepted => {
                    *answer = Some(Answer::Subscribed);
                    subscribed.push(symbol.clone());
                }
                Some(answer @ None) => {
                    *answer = Some(Answer::Refused);
                    refused.push(Refusal { symbol: status.symbol.clone(), message: reason(status) });
                }
                // It went on before, or came with the star.
                Some(Some(_)) | None if accepted => {}
                Some(Some(_)) | None => {
                    return Err(Unfit(format!("does not go on with {symbol}: {}", reason(status))));
                }
            }
        }
        if !subscribed.is_empty() || !refused.is_empty() {
            events.push(Event::Answer { tape_id, subscribed, refused });
        }
        Ok(())
    }

    fn tick(&mut self, mut live: LiveTick, events: &mut Vec<Event>) {
        let LiveTick { symbol, tick, .. } = live;
        if let Some(last) = self.seen.insert(symbol, tick.sequence) {
            if tick.sequence <= last {
                // It came already, from another replica.
                self.seen.insert(symbol, last);
                return;
            }
            live.conflated = tick.sequence.0 - last.0 - 1;
            if self.wanted.delivery == Delivery::EveryTick && live.conflated > 0 {
                live.conflated = 0;
                events.push(Event::Gap { symbol, first: last.next(), last: Sequence(tick.sequence.0 - 1) });
            }
        }
        events.push(Event::Tick(live));
    }

    fn gap(&mut self, symbol: Symbol, first: Sequence, last: Sequence, events: &mut Vec<Event>) {
        let seen = self.seen.get(&symbol).copied();
        if seen.is_some_and(|seen| last <= seen) {
            return;
        }
        self.seen.insert(symbol, last);
        events.push(Event::Gap { symbol, first: seen.map_or(first, Sequence::next), last });
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
fn chunks<'a>(symbols: &'a [&'a str]) -> Vec<&'a [&'a str]> {
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

fn reason(status: &v1::SymbolStatus) -> String {
    match status.message.as_str() {
        "" => format!("refused ({})", status.code().as_str_name()),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
