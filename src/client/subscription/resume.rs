//! What a subscription has received, and so what it must ask of the next replica. No I/O: the streams are around it.

mod requests;

use std::collections::{HashMap, HashSet};

pub(super) use requests::Requests;

use super::{Delivery, ReplayOptions, Wanted};
use crate::{
    client::{Event, LiveTick, RefusedSymbol, message::Message},
    contract::v1::{self, SymbolStatusCode as Code},
    tick::{Sequence, Symbol, Time},
};

/// All that is known of a subscription, whichever replica it came from.
pub(super) struct ResumeState {
    wanted: Wanted,
    /// The past is wanted first, or alone.
    replay: Option<ReplayOptions>,
    /// What became of each symbol that was asked for; `None` while it has no answer.
    answers: HashMap<String, Option<Answer>>,
    /// The last sequence of each symbol that came, or that is known never to come.
    seen: HashMap<Symbol, Sequence>,
    /// The time of the newest tick that came.
    newest: Option<Time>,
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
pub(super) struct Unsuitable(pub(super) String);

impl ResumeState {
    pub(super) fn new(mut wanted: Wanted, replay: Option<ReplayOptions>) -> Self {
        let mut known = HashSet::new();
        wanted.symbols.retain(|symbol| known.insert(symbol.clone()));
        let answers = known.into_iter().map(|symbol| (symbol, None)).collect();
        Self {
            wanted,
            replay,
            answers,
            seen: HashMap::new(),
            newest: None,
            tape_id: None,
            since: None,
            begun: false,
        }
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

    /// Whether the stream is to end by itself.
    pub(super) fn has_end(&self) -> bool {
        self.replay.is_some_and(|replay| replay.to.is_some())
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
    ) -> Result<(), Unsuitable> {
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
    ) -> Result<(), Unsuitable> {
        let v1::SubscriptionResult { tape_id, statuses, .. } = result;
        let own = self.tape_id.get_or_insert_with(|| tape_id.clone());
        if *own != tape_id {
            return Err(Unsuitable(format!(
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
                    refused.push(RefusedSymbol { symbol: status.symbol.clone(), message: reason(status) });
                }
                // It went on before, or came with the star.
                Some(Some(_)) | None if accepted => {}
                Some(Some(_)) | None => {
                    return Err(Unsuitable(format!("does not go on with {symbol}: {}", reason(status))));
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
        self.newest = self.newest.max(Some(tick.time));
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
}

fn reason(status: &v1::SymbolStatus) -> String {
    match status.message.as_str() {
        "" => format!("refused ({})", status.code().as_str_name()),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
