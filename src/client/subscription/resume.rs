//! What a subscription has received, and thus what to ask of the next replica. A state machine without I/O.

mod requests;

use std::collections::{HashMap, HashSet};

pub(super) use requests::Requests;

use crate::{
    client::{Delivery, Event, LiveTick, RefusedSymbol, ReplayOptions, SubscribeOptions, message::Message},
    contract::v1::{self, SymbolStatusCode as Code},
    tick::{Sequence, Symbol, Time},
};

/// The state of a subscription, which is independent of the replica.
pub(super) struct ResumeState {
    options: SubscribeOptions,
    /// Set when the subscription is a replay.
    replay: Option<ReplayOptions>,
    /// The answer for each symbol of the options; `None` while there is no answer.
    answers: HashMap<String, Option<Answer>>,
    /// The last sequence of each symbol that was received, or that a gap has passed over.
    seen: HashMap<Symbol, Sequence>,
    /// The time of the newest tick that was received.
    newest: Option<Time>,
    /// The tape that the sequences belong to, once a replica has named it.
    tape_id: Option<String>,
    /// The time on the tape when the first stream was opened.
    since: Option<Time>,
    /// Whether any message other than an answer was received.
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Subscribed,
    Refused,
}

/// Why a replica cannot continue the subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsuitable(pub(super) String);

impl ResumeState {
    pub(super) fn new(mut options: SubscribeOptions, replay: Option<ReplayOptions>) -> Self {
        let mut known = HashSet::new();
        options.symbols.retain(|symbol| known.insert(symbol.clone()));
        let answers = known.into_iter().map(|symbol| (symbol, None)).collect();
        Self {
            options,
            replay,
            answers,
            seen: HashMap::new(),
            newest: None,
            tape_id: None,
            since: None,
            begun: false,
        }
    }

    /// Sets the time on the tape at which the first stream was opened. A symbol that had not traded by then is resumed
    /// from this time.
    pub(super) fn since(&mut self, time: Time) {
        self.since = Some(time);
    }

    /// Number of symbols without an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.answers.values().filter(|answer| answer.is_none()).count()
    }

    /// Whether the stream ends by itself.
    pub(super) fn has_end(&self) -> bool {
        self.replay.is_some_and(|replay| replay.to.is_some())
    }

    /// Takes in a message, and adds to `events` what the user has not received yet. `asked` returns the symbols of the
    /// request that a result answers.
    ///
    /// # Errors
    /// This replica cannot continue the subscription.
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
            Message::TokenExpiring | Message::Authenticated(_) | Message::Alive => {}
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
        if asked.is_empty() {
            self.removed(tape_id, &statuses, events);
            return Ok(());
        }
        // A request that is refused as a whole has one status for all its symbols.
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
                    refused.push(RefusedSymbol::of(status));
                }
                // Answered by an earlier replica, or part of `*`.
                Some(Some(_)) | None if accepted => {}
                Some(Some(_)) | None => {
                    let RefusedSymbol { message, .. } = RefusedSymbol::of(status);
                    return Err(Unsuitable(format!("does not go on with {symbol}: {message}")));
                }
            }
        }
        if !subscribed.is_empty() || !refused.is_empty() {
            events.push(Event::Answer { tape_id, subscribed, refused });
        }
        Ok(())
    }

    /// Takes in symbols that the server has removed, because a fresh token does not allow them.
    fn removed(&mut self, tape_id: String, statuses: &[v1::SymbolStatus], events: &mut Vec<Event>) {
        let removed = statuses.iter().filter(|status| status.code() == Code::Unsubscribed);
        let refused = removed.map(|status| RefusedSymbol {
            symbol: status.symbol.clone(),
            message: "the fresh token does not allow it any more".to_owned(),
        });
        let refused: Vec<_> = refused.collect();
        for RefusedSymbol { symbol, .. } in &refused {
            if let Some(answer) = self.answers.get_mut(symbol) {
                *answer = Some(Answer::Refused);
            }
        }
        if !refused.is_empty() {
            events.push(Event::Answer { tape_id, subscribed: Vec::new(), refused });
        }
    }

    fn tick(&mut self, mut live: LiveTick, events: &mut Vec<Event>) {
        let LiveTick { symbol, tick, .. } = live;
        self.newest = self.newest.max(Some(tick.time));
        if let Some(last) = self.seen.insert(symbol, tick.sequence) {
            if tick.sequence <= last {
                // An earlier replica sent it already.
                self.seen.insert(symbol, last);
                return;
            }
            live.conflated = tick.sequence.0 - last.0 - 1;
            if self.options.delivery == Delivery::EveryTick && live.conflated > 0 {
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

#[cfg(test)]
mod tests;
