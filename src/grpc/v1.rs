//! `ticker.v1.TickerStreamService`: the conversations of `TickerStream` and `Watch`.

use tonic::Status;

use super::{
    MAX_SYMBOLS_PER_MESSAGE, convert,
    outcome::{refused, refused_all, refused_symbol, status, strays, subscribed, too_many},
    session::{Refusal, Session},
    stream::Conversation,
    terms::Terms,
    wire,
};
use crate::{
    contract::v1::{
        Draining, Pong, Subscription, SubscriptionResult, SymbolStatus, SymbolStatusCode as Code,
        TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb,
        ticker_stream_response::Event,
    },
    hub::Interest,
};

/// Stands for every listed instrument.
pub(super) const EVERYTHING: &str = "*";

/// The conversation of one stream. `Watch` is the same with its one request heard at the start.
pub(super) struct V1 {
    /// What is wanted of every instrument, when that was asked for.
    everything: Option<Interest>,
}

impl Conversation for V1 {
    type Request = TickerStreamRequest;

    fn hear(&mut self, session: &mut Session, request: TickerStreamRequest) -> Result<(), Status> {
        let id = request.request_id;
        let event = match request.verb {
            Some(Verb::Subscribe(subscription)) => {
                let statuses = self.subscribe(session, subscription);
                result(session, id, statuses)
            }
            Some(Verb::SetSubscriptions(subscription)) => {
                let statuses = self.set_subscriptions(session, subscription);
                result(session, id, statuses)
            }
            Some(Verb::Unsubscribe(unsubscribe)) => {
                let statuses = self.unsubscribe(session, unsubscribe.symbols);
                result(session, id, statuses)
            }
            Some(Verb::ListSubscriptions(_)) => {
                let statuses = self.list(session);
                result(session, id, statuses)
            }
            Some(Verb::Ping(_)) => {
                let time = Some(convert::timestamp(session.feed.clock.now()));
                Event::Pong(Pong { request_id: id, time })
            }
            None => {
                let message = "the request has no verb this server knows: set one of subscribe, unsubscribe, \
                               set_subscriptions, list_subscriptions, ping";
                result(session, id, vec![refused("", Code::InvalidArgument, message)])
            }
        };
        wire::put_message(&TickerStreamResponse { event: Some(event) }, &mut session.outbox);
        Ok(())
    }

    fn say_draining(&self, out: &mut Vec<u8>) {
        wire::put_message(&TickerStreamResponse { event: Some(Event::Draining(Draining {})) }, out);
    }
}

impl V1 {
    pub(super) fn new() -> Self {
        Self { everything: None }
    }

    pub(super) fn subscribe(
        &mut self,
        session: &mut Session,
        mut subscription: Subscription,
    ) -> Vec<SymbolStatus> {
        let terms = Terms::of(&session.feed, &mut subscription);
        let symbols = subscription.symbols;
        match terms {
            _ if symbols.is_empty() => vec![refused("", Code::InvalidArgument, NO_SYMBOL)],
            Ok(terms) => self.subscribe_on(terms, session, &symbols),
            Err(objection) => refused_all(&symbols, &objection),
        }
    }

    fn set_subscriptions(
        &mut self,
        session: &mut Session,
        mut subscription: Subscription,
    ) -> Vec<SymbolStatus> {
        let terms = match Terms::of(&session.feed, &mut subscription) {
            Ok(terms) => terms,
            // What is refused as a whole changes nothing.
            Err(objection) => return refused_all(&subscription.symbols, &objection),
        };
        let symbols = subscription.symbols;
        let everything = symbols.iter().any(|symbol| symbol == EVERYTHING);
        let wanted = &terms.origin.named;
        let mut removed = session
            .subscriber
            .retain(|symbol, interest| wanted.contains(symbol) || everything && interest.unnamed);
        removed.sort_unstable();
        if !everything {
            self.everything = None;
        }
        let mut statuses = self.subscribe_on(terms, session, &symbols);
        statuses.extend(removed.iter().map(|symbol| status(symbol.as_str(), Code::Unsubscribed)));
        statuses
    }

    fn subscribe_on(&mut self, terms: Terms, session: &mut Session, symbols: &[String]) -> Vec<SymbolStatus> {
        let Terms { interest, origin, .. } = terms;
        let clock = session.feed.clock;
        let (symbols, others) = symbols.split_at(symbols.len().min(MAX_SYMBOLS_PER_MESSAGE));
        let everything = symbols.iter().any(|symbol| symbol == EVERYTHING);
        let named = symbols.iter().map(|symbol| match symbol.as_str() {
            EVERYTHING => subscribed(symbol, Interest { unnamed: true, ..interest }, clock),
            symbol => match session.subscribe(symbol, interest, &origin) {
                Ok(_) => subscribed(symbol, interest, clock),
                Err(refusal) => refused_symbol(symbol, refusal),
            },
        });
        let mut statuses: Vec<SymbolStatus> = named.collect();
        statuses.extend(too_many(others));
        statuses.extend(strays(&session.feed, &origin, symbols));
        if everything {
            let interest = Interest { unnamed: true, ..interest };
            self.everything = Some(interest);
            session.subscribe_all(interest, origin);
        }
        statuses
    }

    fn unsubscribe(&mut self, session: &mut Session, symbols: Vec<String>) -> Vec<SymbolStatus> {
        if symbols.is_empty() {
            return vec![refused("", Code::InvalidArgument, NO_SYMBOL)];
        }
        let one = |symbol: &String| {
            if symbol == EVERYTHING {
                self.everything = None;
                let removed = session.subscriber.retain(|_, _| false);
                let code = if removed.is_empty() { Code::NotSubscribed } else { Code::Unsubscribed };
                return status(symbol, code);
            }
            match symbol.parse().map(|parsed| session.subscriber.unsubscribe(&parsed)) {
                Ok(true) => status(symbol, Code::Unsubscribed),
                Ok(false) => status(symbol, Code::NotSubscribed),
                Err(error) => refused_symbol(symbol, Refusal::Malformed(error)),
            }
        };
        let (symbols, others) = symbols.split_at(symbols.len().min(MAX_SYMBOLS_PER_MESSAGE));
        symbols.iter().map(one).chain(too_many(others)).collect()
    }

    fn list(&self, session: &Session) -> Vec<SymbolStatus> {
        let mut named = session.subscriber.interests();
        named.retain(|(_, interest)| !interest.unnamed);
        named.sort_unstable_by_key(|(symbol, _)| *symbol);
        let clock = session.feed.clock;
        let everything = self.everything.map(|interest| subscribed(EVERYTHING, interest, clock));
        everything
            .into_iter()
            .chain(named.iter().map(|(symbol, interest)| subscribed(symbol.as_str(), *interest, clock)))
            .collect()
    }
}

pub(super) const NO_SYMBOL: &str = "the request names no symbol";

pub(super) fn result(session: &Session, request_id: u64, statuses: Vec<SymbolStatus>) -> Event {
    let tape_id = session.feed.tape.identity().tape_id.clone();
    Event::SubscriptionResult(SubscriptionResult { request_id, tape_id, statuses })
}
