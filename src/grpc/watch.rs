//! `ticker.v1.TickerStreamService/Watch`: one request, then a stream; or a replay of the past.

use tonic::Status;

use super::{
    Turn, change::Change, replay::Span, session::Session, status::Failure, stream::Conversation, v1,
};
use crate::{
    contract::v1::{Subscription, WatchRequest},
    hub::Interest,
};

/// The conversation of one watch.
#[derive(Default)]
pub(super) struct Watch {
    everything: Option<Interest>,
    change: Option<Box<Change>>,
}

impl Conversation for Watch {
    type Request = WatchRequest;
    const HEARS_ONCE: bool = true;

    fn hear(&mut self, session: &mut Session, request: WatchRequest) -> Result<(), Status> {
        let span = Span::of(&request).transpose();
        let subscription = Subscription::from(request);
        let change = match span {
            None => Change::subscribe(&session.feed, 0, subscription),
            Some(span) => Change::replay(&session.feed, subscription, span),
        };
        self.change = Some(Box::new(change));
        Ok(())
    }

    fn go_on(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status> {
        let Some(change) = &mut self.change else { return Ok(true) };
        if !change.go_on(session, &mut self.everything, turn)? {
            return Ok(false);
        }
        let statuses = change.statuses();
        if !statuses.has_subscribed() {
            return Err(Failure::NothingToWatch(statuses.first_refusal().to_owned()).into());
        }
        self.change = None;
        Ok(true)
    }

    fn is_at_work(&self) -> bool {
        self.change.is_some()
    }

    fn say_draining(&self, out: &mut Vec<u8>) {
        v1::say_draining(out);
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
