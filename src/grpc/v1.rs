//! `ticker.v1.TickerStreamService/TickerStream`: verbs that change, list and test the subscriptions of a stream.

use tonic::Status;

use super::{
    Turn,
    change::Change,
    convert,
    outcome::{Statuses, refused},
    session::Session,
    stream::Conversation,
    wire,
};
use crate::{
    contract::v1::{
        Draining, Pong, SymbolStatusCode as Code, TickerStreamRequest, TickerStreamResponse,
        ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    hub::Interest,
};

/// Stands for every listed instrument.
pub(super) const EVERYTHING: &str = "*";

const NO_VERB: &str = "the request has no verb this server knows: set one of subscribe, unsubscribe, \
                       set_subscriptions, list_subscriptions, ping";

/// The conversation of one stream.
#[derive(Default)]
pub(super) struct V1 {
    /// What is wanted of every instrument, when that was asked for.
    everything: Option<Interest>,
    change: Option<Box<Change>>,
}

impl Conversation for V1 {
    type Request = TickerStreamRequest;

    fn hear(&mut self, session: &mut Session, request: TickerStreamRequest) -> Result<(), Status> {
        let (feed, id) = (&session.feed, request.request_id);
        match request.verb {
            Some(Verb::Subscribe(subscription)) => self.begin(Change::subscribe(feed, id, subscription)),
            Some(Verb::SetSubscriptions(subscription)) => self.begin(Change::set(feed, id, subscription)),
            Some(Verb::Unsubscribe(unsubscribe)) => self.begin(Change::unsubscribe(id, unsubscribe.symbols)),
            Some(Verb::ListSubscriptions(_)) => {
                self.begin(Change::list(feed, id, self.everything));
            }
            Some(Verb::Ping(_)) => {
                let time = Some(convert::timestamp(session.feed.clock.now()));
                put(Event::Pong(Pong { request_id: id, time }), &mut session.outbox);
            }
            None => {
                let mut statuses = Statuses::new();
                statuses.push(refused("", Code::InvalidArgument, NO_VERB));
                statuses.finish(&session.feed, id, &mut session.outbox);
            }
        }
        Ok(())
    }

    fn go_on(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status> {
        let Some(change) = &mut self.change else { return Ok(true) };
        let done = change.go_on(session, &mut self.everything, turn)?;
        if done {
            self.change = None;
        }
        Ok(done)
    }

    fn is_at_work(&self) -> bool {
        self.change.is_some()
    }

    fn say_draining(&self, out: &mut Vec<u8>) {
        say_draining(out);
    }
}

impl V1 {
    fn begin(&mut self, change: Change) {
        self.change = Some(Box::new(change));
    }
}

pub(super) fn say_draining(out: &mut Vec<u8>) {
    put(Event::Draining(Draining {}), out);
}

fn put(event: Event, out: &mut Vec<u8>) {
    wire::put_message(&TickerStreamResponse { event: Some(event) }, out);
}
