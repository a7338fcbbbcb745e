//! `ticker.v1.TickerStreamService/Watch`: one request, then a stream; or a replay of the past.

use tonic::Status;

use super::{
    Turn, replay::Span, session::Session, status::Failure, stream::StreamHandler,
    symbol_request::SymbolRequest, v1,
};
use crate::{
    contract::v1::{Subscription, WatchRequest},
    hub::Interest,
};

/// The handler of one watch.
#[derive(Default)]
pub(super) struct Watch {
    everything: Option<Interest>,
    request: Option<Box<SymbolRequest>>,
}

impl StreamHandler for Watch {
    type Request = WatchRequest;
    const ONE_REQUEST: bool = true;

    fn on_request(&mut self, session: &mut Session, request: WatchRequest) -> Result<(), Status> {
        let span = Span::of(&request).transpose();
        let subscription = Subscription::from(request);
        let request = match span {
            None => SymbolRequest::subscribe(&session.worker, 0, subscription),
            Some(span) => SymbolRequest::replay(&session.worker, subscription, span),
        };
        self.request = Some(Box::new(request));
        Ok(())
    }

    fn advance(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status> {
        let Some(request) = &mut self.request else { return Ok(true) };
        if !request.advance(session, &mut self.everything, turn)? {
            return Ok(false);
        }
        let statuses = request.statuses();
        if !statuses.has_subscribed() {
            return Err(Failure::NothingToWatch(statuses.first_refusal().to_owned()).into());
        }
        self.request = None;
        Ok(true)
    }

    fn has_request(&self) -> bool {
        self.request.is_some()
    }

    fn write_draining(&self, out: &mut Vec<u8>) {
        v1::write_draining(out);
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
