//! `gogen.TickerStreamService/TickerStream`: every request adds one symbol, and only ticks are sent.

use tonic::Status;

use super::{session::Session, status::Failure, stream::Conversation};
use crate::{
    contract::gogen::TickerRequest,
    hub::{Delivery, Interest},
};

/// The conversation of one stream.
pub(super) struct Gogen;

impl Conversation for Gogen {
    type Request = TickerRequest;

    fn hear(&mut self, session: &mut Session, request: TickerRequest) -> Result<(), Status> {
        let interest = Interest { delivery: Delivery::default(), unnamed: false };
        let subscribed = session.subscribe(&request.symbol, interest);
        subscribed.map_err(|refusal| Failure::of_symbol(&request.symbol, refusal))?;
        Ok(())
    }

    fn say_draining(&self, _: &mut Vec<u8>) {}
}
