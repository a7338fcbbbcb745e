//! `ticker.v1.TickerStreamService/Watch`: one request, then a stream; or a replay of the past.

use tonic::Status;

use super::{
    Turn, replay::ReplaySpan, session::Session, stream::StreamHandler, symbol_request::SymbolRequest, v1::V1,
};
use crate::contract::v1::{Subscription, WatchRequest};

/// The handler of one watch: a v1 stream with one request.
#[derive(Default)]
pub(super) struct Watch(V1);

impl StreamHandler for Watch {
    type Request = WatchRequest;
    const ONE_REQUEST: bool = true;

    fn on_request(&mut self, session: &mut Session, request: WatchRequest) -> Result<(), Status> {
        let span = ReplaySpan::of(&request).transpose();
        let subscription = Subscription::from(request);
        let request = match span {
            None => SymbolRequest::subscribe(&session.worker, 0, subscription),
            Some(span) => SymbolRequest::replay(&session.worker, subscription, span),
        };
        self.0.begin(request.only());
        Ok(())
    }

    fn advance(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status> {
        self.0.advance(session, turn)
    }

    fn has_request(&self) -> bool {
        self.0.has_request()
    }

    fn write_draining(&self, out: &mut Vec<u8>) {
        self.0.write_draining(out);
    }

    fn write_expiring(&self, session: &mut Session) {
        self.0.write_expiring(session);
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
