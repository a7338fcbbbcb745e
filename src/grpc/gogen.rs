//! `gogen.TickerStreamService/TickerStream`: every request adds one symbol, and only ticks are sent.

use tonic::Status;

use super::{Format, Turn, session::Session, status::Failure, stream::Conversation, terms::Origin};
use crate::{
    contract::gogen::TickerRequest,
    hub::{Delivery, Interest},
};

/// The conversation of one stream.
pub(super) struct Gogen;

impl Conversation for Gogen {
    type Request = TickerRequest;

    fn hear(&mut self, session: &mut Session, request: TickerRequest) -> Result<(), Status> {
        let interest =
            Interest { delivery: Delivery::default(), format: Format::Gogen as u8, unnamed: false };
        let subscribed = session.subscribe(&request.symbol, interest, &Origin::default());
        subscribed.map_err(|refusal| Failure::of_symbol(&session.feed, &request.symbol, refusal))?;
        Ok(())
    }

    fn go_on(&mut self, _: &mut Session, _: Turn) -> Result<bool, Status> {
        Ok(true)
    }

    fn is_at_work(&self) -> bool {
        false
    }

    fn say_draining(&self, _: &mut Vec<u8>) {}
}
