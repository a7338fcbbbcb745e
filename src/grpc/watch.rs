//! `ticker.v1.TickerStreamService/Watch`: one request, then a stream; or a replay of the past.

use std::{collections::BTreeMap, sync::Arc};

use tonic::Status;

use super::{
    Feed, MAX_SYMBOLS_PER_MESSAGE, MAX_SYMBOLS_PER_STREAM,
    outcome::{refused, refused_all, refused_symbol, strays, subscribed, too_many},
    replay::{Replay, Span},
    session::Session,
    status::Failure,
    terms::Terms,
    v1::{EVERYTHING, NO_SYMBOL, V1, result},
    wire,
};
use crate::{
    contract::v1::{
        Subscription, SymbolStatus, SymbolStatusCode as Code, TickerStreamResponse, WatchRequest,
    },
    tape::Instrument,
};

const TOO_MANY_TO_REPLAY: &str =
    "a replay has at most 10,000 symbols and there are more: name those you want";

impl V1 {
    /// Hears the one request of a watch. Returns why the stream must end when it can have nothing to say.
    pub(super) fn watch(&mut self, session: &mut Session, request: WatchRequest) -> Option<Status> {
        let statuses = self.begin(session, request);
        let refusal = match statuses.iter().all(|status| status.code() != Code::Subscribed) {
            true => statuses.first().map(|first| Failure::NothingToWatch(first.message.clone()).into()),
            false => None,
        };
        let event = result(session, 0, statuses);
        wire::put_message(&TickerStreamResponse { event: Some(event) }, &mut session.outbox);
        refusal
    }

    /// Subscribes the symbols of a watch, or begins their replay.
    fn begin(&mut self, session: &mut Session, request: WatchRequest) -> Vec<SymbolStatus> {
        let span = Span::of(&request);
        let mut subscription = Subscription::from(request);
        let span = match span {
            Ok(Some(span)) => span,
            Ok(None) => return self.subscribe(session, subscription),
            Err(objection) => return refused_all(&subscription.symbols, &objection),
        };
        let terms = match Terms::of(&session.feed, &mut subscription) {
            Ok(terms) => terms,
            Err(objection) => return refused_all(&subscription.symbols, &objection),
        };
        if subscription.symbols.is_empty() {
            return vec![refused("", Code::InvalidArgument, NO_SYMBOL)];
        }
        let (statuses, instruments) = replayed(&session.feed, &terms, &subscription.symbols);
        session.subscriber.hold(true);
        session.replay = Some(Box::new(Replay::new(&session.feed, span, terms, instruments)));
        statuses
    }
}

impl From<WatchRequest> for Subscription {
    fn from(request: WatchRequest) -> Self {
        let WatchRequest {
            symbols, delivery, min_interval, after_sequence, start_time, tape_id, detail, ..
        } = request;
        Self { symbols, delivery, min_interval, after_sequence, start_time, tape_id, detail }
    }
}

/// The instruments that a replay is asked for, each once, and what became of each symbol.
fn replayed(feed: &Feed, terms: &Terms, symbols: &[String]) -> (Vec<SymbolStatus>, Vec<Arc<Instrument>>) {
    let listed = feed.tape.instruments();
    let mut instruments = BTreeMap::new();
    let mut one = |symbol: &String| match symbol.as_str() {
        EVERYTHING if listed.len() > MAX_SYMBOLS_PER_STREAM => {
            refused(symbol, Code::LimitExceeded, TOO_MANY_TO_REPLAY)
        }
        EVERYTHING => {
            instruments.extend(listed.iter().map(|instrument| (instrument.symbol, instrument.clone())));
            subscribed(symbol, terms.interest, feed.clock)
        }
        name => match feed.instrument_for(name, terms.interest) {
            Ok(instrument) => {
                instruments.insert(instrument.symbol, instrument);
                subscribed(symbol, terms.interest, feed.clock)
            }
            Err(refusal) => refused_symbol(symbol, refusal),
        },
    };
    let (symbols, others) = symbols.split_at(symbols.len().min(MAX_SYMBOLS_PER_MESSAGE));
    let mut statuses: Vec<SymbolStatus> = symbols.iter().map(&mut one).collect();
    statuses.extend(too_many(others));
    statuses.extend(strays(feed, &terms.origin, symbols));
    (statuses, instruments.into_values().collect())
}
