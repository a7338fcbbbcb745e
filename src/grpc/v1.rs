//! `ticker.v1.TickerStreamService/TickerStream`: verbs that change, list and test the subscriptions of a stream.

use prost_types::Timestamp;
use tonic::Status;

use super::{
    Turn, convert,
    session::Session,
    stream::StreamHandler,
    symbol_request::SymbolRequest,
    symbol_status::{Statuses, refused},
    wire,
};
use crate::{
    contract::v1::{
        AuthenticationResult, Draining, Pong, SymbolStatusCode as Code, TickerStreamRequest,
        TickerStreamResponse, TokenExpiring, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    hub::Interest,
};

const NO_VERB: &str = "the request has no verb this server knows: set one of subscribe, unsubscribe, \
                       set_subscriptions, list_subscriptions, ping, authenticate";

/// The handler of one stream.
#[derive(Default)]
pub(super) struct V1 {
    /// What is wanted of every instrument; `Some` after a subscription to `*`.
    everything: Option<Interest>,
    request: Option<Box<SymbolRequest>>,
}

impl StreamHandler for V1 {
    type Request = TickerStreamRequest;

    fn on_request(&mut self, session: &mut Session, request: TickerStreamRequest) -> Result<(), Status> {
        let (worker, id) = (&session.worker, request.request_id);
        match request.verb {
            Some(Verb::Subscribe(subscription)) => {
                self.begin(SymbolRequest::subscribe(worker, id, subscription))
            }
            Some(Verb::SetSubscriptions(subscription)) => {
                self.begin(SymbolRequest::set(worker, id, subscription))
            }
            Some(Verb::Unsubscribe(unsubscribe)) => {
                self.begin(SymbolRequest::unsubscribe(id, unsubscribe.symbols))
            }
            Some(Verb::ListSubscriptions(_)) => {
                self.begin(SymbolRequest::list(worker, id, self.everything));
            }
            Some(Verb::Ping(_)) => {
                let time = Some(convert::timestamp(session.worker.clock.now()));
                put(Event::Pong(Pong { request_id: id, time }), &mut session.outbox);
            }
            Some(Verb::Authenticate(authenticate)) => self.authenticate(session, id, &authenticate.token),
            None => {
                let mut statuses = Statuses::new();
                statuses.push(refused("", Code::InvalidArgument, NO_VERB));
                statuses.finish(&session.worker, id, &mut session.outbox);
            }
        }
        Ok(())
    }

    fn advance(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status> {
        let Some(request) = &mut self.request else { return Ok(true) };
        if !request.advance(session, &mut self.everything, turn)? {
            return Ok(false);
        }
        request.check_subscribed()?;
        self.request = None;
        Ok(true)
    }

    fn has_request(&self) -> bool {
        self.request.is_some()
    }

    fn write_draining(&self, out: &mut Vec<u8>) {
        put(Event::Draining(Draining {}), out);
    }

    fn write_expiring(&self, session: &mut Session) {
        let expiring = TokenExpiring { expire_time: expire_time(session) };
        put(Event::TokenExpiring(expiring), &mut session.outbox);
    }
}

impl V1 {
    /// Begins a request; [`StreamHandler::advance`] does the work.
    pub(super) fn begin(&mut self, request: SymbolRequest) {
        self.request = Some(Box::new(request));
    }

    /// Answers with the result, and begins to remove what the fresh token does not allow.
    fn authenticate(&mut self, session: &mut Session, request_id: u64, token: &str) {
        let done = session.authenticate(token);
        let result = AuthenticationResult {
            request_id,
            authenticated: done.is_ok(),
            message: done.as_ref().err().map(ToString::to_string).unwrap_or_default(),
            expire_time: expire_time(session),
        };
        put(Event::AuthenticationResult(result), &mut session.outbox);
        if done.is_ok() && !session.caller.grant().reads_everything() {
            self.begin(SymbolRequest::restrict(request_id));
        }
    }
}

/// When the token of a stream expires.
fn expire_time(session: &Session) -> Option<Timestamp> {
    session.caller.token().map(|token| Timestamp::from(token.expires))
}

fn put(event: Event, out: &mut Vec<u8>) {
    wire::put_message(&TickerStreamResponse { event: Some(event) }, out);
}
