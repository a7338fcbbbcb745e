//! `gogen.TickerStreamService/TickerStream`: every request adds one symbol, and only ticks are sent.

use tonic::Status;

use super::{
    Format, Turn, session::Session, status::Failure, stream::StreamHandler, subscribe_options::StartPoint,
};
use crate::{
    contract::gogen::TickerRequest,
    hub::{Delivery, Interest},
};

/// The handler of one stream.
pub(super) struct Gogen;

impl StreamHandler for Gogen {
    type Request = TickerRequest;

    fn on_request(&mut self, session: &mut Session, request: TickerRequest) -> Result<(), Status> {
        let interest =
            Interest { delivery: Delivery::default(), format: Format::Gogen as u8, unnamed: false };
        let subscribed = session.subscribe(&request.symbol, interest, &StartPoint::default());
        subscribed.map_err(|error| Failure::of_symbol(&*session.worker.tape, &request.symbol, error))?;
        Ok(())
    }

    fn advance(&mut self, _: &mut Session, _: Turn) -> Result<bool, Status> {
        Ok(true)
    }

    fn has_request(&self) -> bool {
        false
    }

    fn write_draining(&self, _: &mut Vec<u8>) {}

    fn write_expiring(&self, _: &mut Session) {}
}
