//! `gogen.TickerStreamService/TickerStream`: every request adds one symbol, and only ticks are sent.

use tonic::Status;

use super::{
    Format,
    session::{Refusal, Session},
    status::{Failure, cut},
    stream::Conversation,
    terms::Origin,
};
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
        match session.subscribe(&request.symbol, interest, &Origin::default()) {
            Ok(_) => Ok(()),
            Err(Refusal::Malformed(error)) => {
                Err(Failure::MalformedSymbol(cut(&request.symbol), error).into())
            }
            Err(Refusal::Unknown(symbol, suggestion)) => {
                Err(Failure::UnknownSymbol(symbol, suggestion).into())
            }
            Err(Refusal::TooMany) => Err(Failure::TooManySymbols.into()),
        }
    }

    fn say_draining(&self, _: &mut Vec<u8>) {}
}
