//! One request that names symbols, done in pieces: a request of a thousand
//! symbols takes several turns and delays nobody.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::{
    MAX_SYMBOLS_PER_MESSAGE, MAX_SYMBOLS_PER_STREAM, Turn, WorkerContext,
    replay::ReplaySpan,
    session::Session,
    status::Failure,
    subscribe_error::SubscribeError,
    subscribe_options::{CheckedOptions, InvalidOptions, StartPoint},
    symbol_status::{Statuses, refused, status, subscribed},
};
use crate::{
    contract::v1::{ALL_INSTRUMENTS, Subscription, SymbolStatusCode as Code},
    hub::Interest,
    tape::{Instrument, all_but_tests},
    tick::Symbol,
};

/// A request in progress.
pub(super) struct SymbolRequest {
    request_id: u64,
    symbols: Vec<String>,
    /// The first symbol that is not done.
    next: usize,
    step: Step,
    /// The next subscription to check for removal; `None` when all are checked.
    retained: Option<u32>,
    /// What was removed because the request does not name it.
    removed: Vec<Symbol>,
    /// The last entry of `after_sequence` that was looked at for strays.
    last_entry: Option<String>,
    /// Number of symbols that were refused for one reason.
    refused: usize,
    /// `*` of a replay is done: it is expensive, so a second one is skipped.
    replays_all: bool,
    /// The stream ends unless a symbol is subscribed.
    must_subscribe: bool,
    statuses: Statuses,
}

enum Step {
    /// Every symbol is refused.
    Refuse(InvalidOptions),
    /// Looks for a symbol that can be subscribed, before any other is removed.
    Check(CheckedOptions),
    /// Removes what is not wanted any more.
    Remove(CheckedOptions),
    Subscribe(CheckedOptions),
    /// Looks for entries of `after_sequence` that the request does not name.
    Strays(CheckedOptions),
    Replay(CheckedOptions, ReplaySpan, BTreeMap<Symbol, Arc<Instrument>>),
    /// Adds the statuses of removed symbols.
    Removed(CheckedOptions),
    /// Looks for strays of a replay.
    StraysOfReplay(CheckedOptions, ReplaySpan, BTreeMap<Symbol, Arc<Instrument>>),
    Unsubscribe,
    /// Removes what the caller may not see any more.
    Restrict,
    /// Adds the statuses of what was removed for that.
    Restricted,
    List(Listing),
    Done,
}

/// The progress of `list_subscriptions`.
struct Listing {
    /// The place of the next subscription to look at; `None` when all are found.
    from: Option<u32>,
    /// The subscriptions that are found and have no status yet, ordered by symbol.
    found: BTreeMap<Symbol, Interest>,
}

const NO_SYMBOL: &str = "the request names no symbol";
const TOO_MANY_TO_REPLAY: &str =
    "a replay has at most 10,000 symbols and there are more: name those you want";

/// Number of symbols between two checks whether the turn is over.
const PIECE: usize = 8;
/// Number of subscriptions between two checks whether the turn is over.
const RETAINED: usize = 64;
/// Number of statuses between two checks whether the turn is over.
const STATUSES: usize = 64;
/// Largest number of statuses for symbols that are refused for one reason. A request may name tens of thousands of empty
/// symbols.
const MAX_REFUSED: usize = 10_000;
const TOO_MANY_IN_MESSAGE: &str = "a message names at most 1,000 symbols: send the others in another one";

impl SymbolRequest {
    /// Adds symbols.
    pub(super) fn subscribe(worker: &WorkerContext, request_id: u64, mut subscription: Subscription) -> Self {
        let step = match CheckedOptions::of(worker, &mut subscription) {
            _ if subscription.symbols.is_empty() => Step::Refuse(InvalidOptions::invalid(NO_SYMBOL)),
            Ok(options) => Step::Subscribe(options),
            Err(invalid) => Step::Refuse(invalid),
        };
        Self::new(request_id, subscription.symbols, step)
    }

    /// Makes the symbols exactly this set. A request of which every symbol is refused changes nothing.
    pub(super) fn set(worker: &WorkerContext, request_id: u64, mut subscription: Subscription) -> Self {
        let step = match CheckedOptions::of(worker, &mut subscription) {
            Ok(options) if subscription.symbols.is_empty() => Step::Remove(options),
            Ok(options) => Step::Check(options),
            Err(invalid) => Step::Refuse(invalid),
        };
        Self::new(request_id, subscription.symbols, step)
    }

    /// Begins a replay.
    pub(super) fn replay(
        worker: &WorkerContext,
        mut subscription: Subscription,
        span: Result<ReplaySpan, InvalidOptions>,
    ) -> Self {
        let step = match (CheckedOptions::of(worker, &mut subscription), span) {
            _ if subscription.symbols.is_empty() => Step::Refuse(InvalidOptions::invalid(NO_SYMBOL)),
            (Err(invalid), _) | (_, Err(invalid)) => Step::Refuse(invalid),
            (Ok(options), Ok(span)) => Step::Replay(options, span, BTreeMap::new()),
        };
        Self::new(0, subscription.symbols, step)
    }

    /// Removes symbols.
    pub(super) fn unsubscribe(request_id: u64, symbols: Vec<String>) -> Self {
        let step = match symbols.is_empty() {
            true => Step::Refuse(InvalidOptions::invalid(NO_SYMBOL)),
            false => Step::Unsubscribe,
        };
        Self::new(request_id, symbols, step)
    }

    /// Removes what the caller may not see any more. Without such a symbol there is no result.
    pub(super) fn restrict(request_id: u64) -> Self {
        Self::new(request_id, Vec::new(), Step::Restrict)
    }

    /// Lists the subscriptions: `*` first if `everything` is set, then the named symbols in order.
    pub(super) fn list(worker: &WorkerContext, request_id: u64, everything: Option<Interest>) -> Self {
        let listing = Listing { from: Some(0), found: BTreeMap::new() };
        let mut list = Self::new(request_id, Vec::new(), Step::List(listing));
        if let Some(interest) = everything {
            list.statuses.push(subscribed(ALL_INSTRUMENTS, interest, worker.clock));
        }
        list
    }

    fn new(request_id: u64, symbols: Vec<String>, step: Step) -> Self {
        Self {
            request_id,
            symbols,
            next: 0,
            step,
            retained: Some(0),
            removed: Vec::new(),
            last_entry: None,
            refused: 0,
            replays_all: false,
            must_subscribe: false,
            statuses: Statuses::new(),
        }
    }

    /// The same request, as the only one of its stream: the stream ends unless a symbol is subscribed.
    pub(super) fn only(self) -> Self {
        Self { must_subscribe: true, ..self }
    }

    /// Continues while the turn lasts; true when the result is in the outbox. `everything` is what is wanted of every
    /// instrument, when that was asked for.
    ///
    /// # Errors
    /// There is no room for a replay.
    pub(super) fn advance(
        &mut self,
        session: &mut Session,
        everything: &mut Option<Interest>,
        turn: Turn,
    ) -> Result<bool, Failure> {
        loop {
            match std::mem::replace(&mut self.step, Step::Done) {
                Step::Done => return Ok(true),
                Step::Refuse(invalid) => match self.refuse_rest(invalid.code, &invalid.message, turn) {
                    true => self.finish(session),
                    false => self.step = Step::Refuse(invalid),
                },
                Step::Check(options) => match self.check(session, &options, turn) {
                    None => self.step = Step::Check(options),
                    Some(false) => self.step = Step::Subscribe(options),
                    Some(true) => self.step = Step::Remove(options),
                },
                Step::Remove(options) => {
                    self.step = match self.remove(session, everything, &options, turn) {
                        true => Step::Subscribe(options),
                        false => Step::Remove(options),
                    }
                }
                Step::Subscribe(options) => match self.subscribe_named(session, &options, turn) {
                    true => self.step = Step::Strays(options),
                    false => self.step = Step::Subscribe(options),
                },
                Step::Strays(options) => match self.find_strays(session, &options.start_point, turn) {
                    true => {
                        self.order_removed();
                        self.step = Step::Removed(options);
                    }
                    false => self.step = Step::Strays(options),
                },
                Step::Removed(options) => match self.put_removed(turn) {
                    true => self.finish_subscribe(session, everything, options),
                    false => self.step = Step::Removed(options),
                },
                Step::Replay(options, span, mut instruments) => {
                    self.step = match self.find_replayed(session, &options, &mut instruments, turn) {
                        true => Step::StraysOfReplay(options, span, instruments),
                        false => Step::Replay(options, span, instruments),
                    }
                }
                Step::StraysOfReplay(options, span, instruments) => {
                    match self.find_strays(session, &options.start_point, turn) {
                        true => self.finish_replay(session, options, span, instruments)?,
                        false => self.step = Step::StraysOfReplay(options, span, instruments),
                    }
                }
                Step::Unsubscribe => match self.unsubscribe_named(session, everything, turn) {
                    true => self.finish(session),
                    false => self.step = Step::Unsubscribe,
                },
                Step::Restrict => {
                    let grant = session.caller.grant();
                    let is_done = self.retain(session, turn, |symbol, _| grant.may_read(symbol));
                    self.step = match is_done {
                        true if self.removed.is_empty() => Step::Done,
                        true => {
                            self.order_removed();
                            Step::Restricted
                        }
                        false => Step::Restrict,
                    };
                }
                Step::Restricted => match self.put_removed(turn) {
                    true => self.finish(session),
                    false => self.step = Step::Restricted,
                },
                Step::List(mut listing) => match self.list_some(session, &mut listing, turn) {
                    true => self.finish(session),
                    false => self.step = Step::List(listing),
                },
            }
            if turn.is_over() {
                return Ok(matches!(self.step, Step::Done));
            }
        }
    }

    /// Whether the stream goes on after this request, which is done.
    ///
    /// # Errors
    /// It is the only request of its stream, and no symbol is subscribed.
    pub(super) fn check_subscribed(&self) -> Result<(), Failure> {
        match self.must_subscribe && !self.statuses.has_subscribed() {
            true => Err(Failure::NothingToWatch(self.statuses.first_refusal().to_owned())),
            false => Ok(()),
        }
    }

    /// How many symbols of the request are looked at; those after them are refused.
    fn len(&self) -> usize {
        self.symbols.len().min(MAX_SYMBOLS_PER_MESSAGE)
    }

    /// Does each symbol that is left, as long as the turn lasts; true when all are done.
    fn each(&mut self, turn: Turn, mut act: impl FnMut(&mut Statuses, &str)) -> bool {
        let len = self.len();
        while self.next < len {
            let piece = self.next..len.min(self.next + PIECE);
            self.next = piece.end;
            for symbol in self.symbols.get(piece).unwrap_or_default() {
                act(&mut self.statuses, symbol);
            }
            if turn.is_over() {
                break;
            }
        }
        self.next == len
    }

    /// Whether a symbol can be subscribed; `None` when that is not known yet.
    fn check(&mut self, session: &Session, options: &CheckedOptions, turn: Turn) -> Option<bool> {
        let mut found = false;
        let all = self.each(turn, |_, symbol| {
            found = found || symbol == ALL_INSTRUMENTS || session.find(symbol, options).is_ok();
        });
        let known = found || all;
        if known {
            self.next = 0;
        }
        known.then_some(found)
    }

    /// Removes what is not wanted any more, while the turn lasts; true when all is done.
    fn remove(
        &mut self,
        session: &Session,
        everything: &mut Option<Interest>,
        options: &CheckedOptions,
        turn: Turn,
    ) -> bool {
        let wanted = &options.start_point.named;
        let all = self.names_everything();
        let keep = |symbol: &Symbol, interest: &Interest| {
            wanted.contains(symbol) || all && (interest.unnamed || session.worker.is_listed(symbol))
        };
        if !self.retain(session, turn, keep) {
            return false;
        }
        match all {
            // What the request does not name again counts as part of `*`.
            true => session.subscriber.unname_all(),
            false => *everything = None,
        }
        true
    }

    /// Removes what `keep` refuses, while the turn lasts; true when all is done.
    fn retain(
        &mut self,
        session: &Session,
        turn: Turn,
        mut keep: impl FnMut(&Symbol, &Interest) -> bool,
    ) -> bool {
        while let Some(from) = self.retained {
            self.retained = session.subscriber.retain_some(from, RETAINED, &mut keep, &mut self.removed);
            if turn.is_over() {
                break;
            }
        }
        self.retained.is_none()
    }

    fn subscribe_named(&mut self, session: &Session, options: &CheckedOptions, turn: Turn) -> bool {
        let clock = session.worker.clock;
        self.each(turn, |statuses, symbol| match symbol {
            ALL_INSTRUMENTS => {
                statuses.push(subscribed(symbol, Interest { unnamed: true, ..options.interest }, clock));
            }
            symbol => match session.subscribe(symbol, options.interest, &options.start_point) {
                Ok(_) => statuses.push(subscribed(symbol, options.interest, clock)),
                Err(refusal) => statuses.refused(&session.worker, symbol, refusal),
            },
        })
    }

    fn finish_subscribe(
        &mut self,
        session: &mut Session,
        everything: &mut Option<Interest>,
        options: CheckedOptions,
    ) {
        if self.names_everything() {
            let interest = Interest { unnamed: true, ..options.interest };
            *everything = Some(interest);
            session.subscribe_all(interest, options.start_point);
        }
        self.finish(session);
    }

    /// The instruments that a replay is asked for, each once.
    fn find_replayed(
        &mut self,
        session: &Session,
        options: &CheckedOptions,
        instruments: &mut BTreeMap<Symbol, Arc<Instrument>>,
        turn: Turn,
    ) -> bool {
        let worker = &session.worker;
        let listed = worker.tape.instruments();
        let mut has_all = self.replays_all;
        let done = self.each(turn, |statuses, symbol| match symbol {
            ALL_INSTRUMENTS if all_but_tests(&listed).count() > MAX_SYMBOLS_PER_STREAM => {
                statuses.push(refused(symbol, Code::LimitExceeded, TOO_MANY_TO_REPLAY));
            }
            ALL_INSTRUMENTS => {
                if !std::mem::replace(&mut has_all, true) {
                    let all = all_but_tests(&listed);
                    instruments.extend(all.map(|instrument| (instrument.symbol, instrument.clone())));
                }
                statuses.push(subscribed(symbol, options.interest, worker.clock));
            }
            name => match session.find(name, options) {
                Ok(instrument) => {
                    instruments.insert(instrument.symbol, instrument);
                    statuses.push(subscribed(symbol, options.interest, worker.clock));
                }
                Err(refusal) => statuses.refused(worker, symbol, refusal),
            },
        });
        self.replays_all = has_all;
        done
    }

    fn finish_replay(
        &mut self,
        session: &mut Session,
        options: CheckedOptions,
        span: ReplaySpan,
        instruments: BTreeMap<Symbol, Arc<Instrument>>,
    ) -> Result<(), Failure> {
        let begun = match self.statuses.has_subscribed() {
            true => session.begin_replay(span, options, instruments.into_values().collect()),
            false => Ok(()),
        };
        self.finish(session);
        Ok(begun?)
    }

    fn unsubscribe_named(
        &mut self,
        session: &Session,
        everything: &mut Option<Interest>,
        turn: Turn,
    ) -> bool {
        let code = |was_subscribed| if was_subscribed { Code::Unsubscribed } else { Code::NotSubscribed };
        if self.next == 0 {
            // It is never refused, and may delay the next subscription.
            let _ = session.change(self.len());
        }
        while let Some(symbol) = self.symbols.get(self.next).filter(|_| self.next < self.len()).cloned() {
            if symbol == ALL_INSTRUMENTS {
                if !self.retain(session, turn, |_, _| false) {
                    return false;
                }
                *everything = None;
                self.statuses.push(status(&symbol, code(!self.removed.is_empty())));
                (self.retained, self.removed) = (Some(0), Vec::new());
            } else {
                match symbol.parse().map(|symbol| session.subscriber.unsubscribe(&symbol)) {
                    Ok(was_subscribed) => self.statuses.push(status(&symbol, code(was_subscribed))),
                    Err(error) => {
                        self.statuses.refused(&session.worker, &symbol, SubscribeError::Malformed(error))
                    }
                }
            }
            self.next += 1;
            if self.next.is_multiple_of(PIECE) && turn.is_over() {
                break;
            }
        }
        self.next >= self.len() && self.refuse_rest(Code::LimitExceeded, TOO_MANY_IN_MESSAGE, turn)
    }

    /// Orders the removed symbols. Their statuses are made from the end.
    fn order_removed(&mut self) {
        self.removed.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Adds the statuses of removed symbols while the turn lasts; true when all are added.
    fn put_removed(&mut self, turn: Turn) -> bool {
        loop {
            for symbol in self.removed.drain(self.removed.len().saturating_sub(STATUSES)..).rev() {
                self.statuses.push(status(symbol.as_str(), Code::Unsubscribed));
            }
            if self.removed.is_empty() || turn.is_over() {
                return self.removed.is_empty();
            }
        }
    }

    /// Finds subscriptions and adds their statuses while the turn lasts; true when all are added.
    fn list_some(&mut self, session: &Session, listing: &mut Listing, turn: Turn) -> bool {
        while let Some(from) = listing.from {
            let mut some = Vec::new();
            listing.from = session.subscriber.interests_some(from, RETAINED, &mut some);
            listing.found.extend(some.into_iter().filter(|(_, interest)| !interest.unnamed));
            if turn.is_over() {
                return false;
            }
        }
        loop {
            for _ in 0..STATUSES {
                let Some((symbol, interest)) = listing.found.pop_first() else { return true };
                self.statuses.push(subscribed(symbol.as_str(), interest, session.worker.clock));
            }
            if turn.is_over() {
                return false;
            }
        }
    }

    /// Refuses the remaining symbols for one reason while the turn lasts; true when all are refused. A request without
    /// symbols is refused as a whole.
    fn refuse_rest(&mut self, code: Code, message: &str, turn: Turn) -> bool {
        if self.symbols.is_empty() {
            self.statuses.push(refused("", code, message));
        }
        while let Some(rest) = self.symbols.get(self.next..).filter(|rest| !rest.is_empty()) {
            let piece = rest.len().min(STATUSES).min(MAX_REFUSED - self.refused);
            if piece == 0 {
                self.statuses.others_refused(rest.len(), code, message);
                self.next = self.symbols.len();
                break;
            }
            for symbol in rest.iter().take(piece) {
                self.statuses.push(refused(symbol, code, message));
            }
            self.refused += piece;
            self.next += piece;
            if turn.is_over() {
                break;
            }
        }
        self.next == self.symbols.len()
    }

    /// Adds the statuses of symbols past 1,000, and of `after_sequence` entries without a symbol. Entries that `*` covers
    /// are used, unless they are too far ahead.
    fn find_strays(&mut self, session: &Session, start_point: &StartPoint, turn: Turn) -> bool {
        // A set without symbols is refused nothing.
        if !self.symbols.is_empty() && !self.refuse_rest(Code::LimitExceeded, TOO_MANY_IN_MESSAGE, turn) {
            return false;
        }
        let symbols = self.symbols.get(..self.len()).unwrap_or_default();
        let all = self.names_everything();
        let from = self.last_entry.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut entries =
            start_point.after.range::<str, _>((from, Bound::Unbounded)).map(|(symbol, _)| symbol);
        let mut last = None;
        for (at, symbol) in entries.by_ref().enumerate() {
            let listed = if all { session.worker.listed(symbol) } else { None };
            match listed.map(|instrument| start_point.start(&session.worker, &instrument)) {
                _ if start_point.names(symbol, symbols) => {}
                None => self.statuses.stray(symbol),
                Some(Ok(_)) => {}
                Some(Err(ahead)) => {
                    self.statuses.refused(&session.worker, symbol, SubscribeError::TooFarAhead(ahead));
                }
            }
            last = Some(symbol);
            if at % PIECE == PIECE - 1 && turn.is_over() {
                break;
            }
        }
        let all_done = entries.next().is_none();
        if let Some(last) = last {
            self.last_entry = Some(last.clone());
        }
        all_done
    }

    fn finish(&self, session: &mut Session) {
        self.statuses.finish(&session.worker, self.request_id, &mut session.outbox);
    }

    fn names_everything(&self) -> bool {
        self.symbols.iter().take(self.len()).any(|symbol| symbol == ALL_INSTRUMENTS)
    }
}
