//! `ticker.v1.TickerStreamService`: the conversations of `TickerStream` and `Watch`.

use std::{collections::HashSet, time::Duration};

use tonic::Status;

use super::{
    MAX_SYMBOLS_PER_MESSAGE, convert,
    session::{Refusal, Session},
    status::{Failure, Hint, cut},
    stream::Conversation,
    wire,
};
use crate::{
    contract::v1::{
        self, Draining, Pong, Subscription, SubscriptionResult, SymbolStatus, SymbolStatusCode as Code,
        TickerStreamRequest, TickerStreamResponse, WatchRequest, ticker_stream_request::Verb,
        ticker_stream_response::Event,
    },
    hub::{Delivery, Interest},
    tick::Symbol,
};

/// Stands for every listed instrument.
const EVERYTHING: &str = "*";
const LONGEST_MIN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

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

    /// Hears the one request of a watch. Returns why the stream must end when it can have nothing to say.
    pub(super) fn watch(&mut self, session: &mut Session, request: WatchRequest) -> Option<Status> {
        let statuses = self.subscribe(session, Subscription::from(request));
        let refusal = match statuses.iter().all(|status| status.code() != Code::Subscribed) {
            true => statuses.first().map(|first| Failure::NothingToWatch(first.message.clone()).into()),
            false => None,
        };
        let event = result(session, 0, statuses);
        wire::put_message(&TickerStreamResponse { event: Some(event) }, &mut session.outbox);
        refusal
    }

    fn subscribe(&mut self, session: &mut Session, subscription: Subscription) -> Vec<SymbolStatus> {
        if subscription.symbols.is_empty() {
            return vec![refused("", Code::InvalidArgument, NO_SYMBOL)];
        }
        let wanted = delivery_of(session, &subscription);
        let limited = subscription.symbols.iter().enumerate();
        limited
            .map(|(at, symbol)| match &wanted {
                _ if at >= MAX_SYMBOLS_PER_MESSAGE => {
                    refused(symbol, Code::LimitExceeded, TOO_MANY_IN_MESSAGE)
                }
                Err((code, message)) => refused(symbol, *code, message),
                Ok(_) if subscription.after_sequence.contains_key(symbol) => {
                    refused(symbol, Code::Unimplemented, "after_sequence is not available in this version")
                }
                Ok(delivery) => self.subscribe_one(session, symbol, *delivery),
            })
            .collect()
    }

    fn subscribe_one(&mut self, session: &mut Session, symbol: &str, delivery: Delivery) -> SymbolStatus {
        if symbol == EVERYTHING {
            let interest = Interest { delivery, unnamed: true };
            self.everything = Some(interest);
            session.subscribe_all(interest);
            return subscribed(symbol, interest);
        }
        let interest = Interest { delivery, unnamed: false };
        match session.subscribe(symbol, interest) {
            Ok(_) => subscribed(symbol, interest),
            Err(refusal) => refused_symbol(symbol, refusal),
        }
    }

    fn set_subscriptions(&mut self, session: &mut Session, subscription: Subscription) -> Vec<SymbolStatus> {
        let everything = subscription.symbols.iter().any(|symbol| symbol == EVERYTHING);
        if let Err((code, message)) = delivery_of(session, &subscription) {
            // What is refused as a whole changes nothing.
            let symbols = subscription.symbols.iter();
            return symbols.map(|symbol| refused(symbol, code, &message)).collect();
        }
        let wanted: HashSet<Symbol> =
            subscription.symbols.iter().filter_map(|symbol| symbol.parse().ok()).collect();
        let mut removed = session
            .subscriber
            .retain(|symbol, interest| wanted.contains(symbol) || everything && interest.unnamed);
        removed.sort_unstable();
        if !everything {
            self.everything = None;
        }
        let mut statuses = match subscription.symbols.is_empty() {
            true => Vec::new(),
            false => self.subscribe(session, subscription),
        };
        statuses.extend(removed.iter().map(|symbol| status(symbol.as_str(), Code::Unsubscribed)));
        statuses
    }

    fn unsubscribe(&mut self, session: &mut Session, symbols: Vec<String>) -> Vec<SymbolStatus> {
        if symbols.is_empty() {
            return vec![refused("", Code::InvalidArgument, NO_SYMBOL)];
        }
        let one = |(at, symbol): (usize, &String)| {
            if at >= MAX_SYMBOLS_PER_MESSAGE {
                return refused(symbol, Code::LimitExceeded, TOO_MANY_IN_MESSAGE);
            }
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
        symbols.iter().enumerate().map(one).collect()
    }

    fn list(&self, session: &Session) -> Vec<SymbolStatus> {
        let mut named = session.subscriber.interests();
        named.retain(|(_, interest)| !interest.unnamed);
        named.sort_unstable_by_key(|(symbol, _)| *symbol);
        let everything = self.everything.map(|interest| subscribed(EVERYTHING, interest));
        everything
            .into_iter()
            .chain(named.iter().map(|(symbol, interest)| subscribed(symbol.as_str(), *interest)))
            .collect()
    }
}

const NO_SYMBOL: &str = "the request names no symbol";
const TOO_MANY_IN_MESSAGE: &str = "a message names at most 1,000 symbols: send the others in another one";

impl From<WatchRequest> for Subscription {
    fn from(request: WatchRequest) -> Self {
        let WatchRequest {
            symbols, delivery, min_interval, after_sequence, start_time, tape_id, detail, ..
        } = request;
        Self { symbols, delivery, min_interval, after_sequence, start_time, tape_id, detail }
    }
}

/// How a request wants its symbols delivered, or why each of them is refused.
fn delivery_of(session: &Session, subscription: &Subscription) -> Result<Delivery, (Code, String)> {
    let refuse = |code, message: String| Err((code, message));
    let own = &session.feed.tape.identity().tape_id;
    if !subscription.tape_id.is_empty() && subscription.tape_id != *own {
        return refuse(
            Code::ForeignTape,
            format!("this replica plays the tape {own}, so its sequences mean other ticks"),
        );
    }
    if subscription.start_time.is_some() {
        return refuse(Code::Unimplemented, "start_time is not available in this version".to_owned());
    }
    let asked = subscription.min_interval.unwrap_or_default();
    let min_interval = match convert::positive_duration(asked)
        .filter(|interval| *interval <= LONGEST_MIN_INTERVAL)
    {
        Some(interval) => interval,
        None => return refuse(Code::InvalidArgument, "min_interval must be from 0 to one day".to_owned()),
    };
    match v1::Delivery::try_from(subscription.delivery) {
        Ok(v1::Delivery::Unspecified | v1::Delivery::Latest) => Ok(Delivery::Latest { min_interval }),
        Ok(v1::Delivery::EveryTick) if min_interval.is_zero() => Ok(Delivery::EveryTick),
        Ok(v1::Delivery::EveryTick) => refuse(
            Code::InvalidArgument,
            "min_interval goes only with DELIVERY_LATEST: it leaves ticks out".to_owned(),
        ),
        Err(_) => {
            let unknown = subscription.delivery;
            refuse(
                Code::InvalidArgument,
                format!("delivery {unknown} is unknown: use DELIVERY_LATEST or DELIVERY_EVERY_TICK"),
            )
        }
    }
}

fn result(session: &Session, request_id: u64, statuses: Vec<SymbolStatus>) -> Event {
    let tape_id = session.feed.tape.identity().tape_id.clone();
    Event::SubscriptionResult(SubscriptionResult { request_id, tape_id, statuses })
}

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

fn refused(symbol: &str, code: Code, message: &str) -> SymbolStatus {
    SymbolStatus { message: message.to_owned(), ..status(symbol, code) }
}

fn subscribed(symbol: &str, interest: Interest) -> SymbolStatus {
    let (delivery, min_interval) = match interest.delivery {
        Delivery::Latest { min_interval } => (v1::Delivery::Latest, min_interval),
        Delivery::EveryTick => (v1::Delivery::EveryTick, Duration::ZERO),
    };
    let min_interval = (!min_interval.is_zero()).then(|| convert::duration(min_interval));
    SymbolStatus { delivery: delivery.into(), min_interval, ..status(symbol, Code::Subscribed) }
}

fn status(symbol: &str, code: Code) -> SymbolStatus {
    SymbolStatus { symbol: cut(symbol), code: code.into(), ..SymbolStatus::default() }
}
