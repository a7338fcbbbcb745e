//! Answers in JSON.

use bytes::Bytes;
use http::Response;
use prost::Message;
use serde::Serialize;
use tonic::Status;

use super::{
    call::{Call, body_of},
    messages::{BodyError, Messages},
    query::{self, QueryError},
    refusal::{Refusal, failed},
    response::json,
};
use crate::{
    contract::{
        RpcCode,
        v1::{
            GetLastPricesResponse, GetTapeResponse, ListCandlesResponse, ListInstrumentsResponse,
            ListTicksResponse,
        },
    },
    grpc::{Reply, RequestBody, Rpc},
};

/// What is answered in JSON.
#[derive(Clone, Copy)]
pub(super) enum Resource {
    Instruments,
    Prices,
    Ticks,
    Candles,
    Tape,
}

impl Resource {
    /// The resource at a path.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/instruments" => Some(Self::Instruments),
            "/v1/prices" => Some(Self::Prices),
            "/v1/ticks" => Some(Self::Ticks),
            "/v1/candles" => Some(Self::Candles),
            "/v1/tape" => Some(Self::Tape),
            _ => None,
        }
    }

    /// The RPC that answers.
    pub(super) fn rpc(self) -> Rpc {
        match self {
            Self::Instruments => Rpc::ListInstruments,
            Self::Prices => Rpc::GetLastPrices,
            Self::Ticks => Rpc::ListTicks,
            Self::Candles => Rpc::ListCandles,
            Self::Tape => Rpc::GetTape,
        }
    }

    /// Answers a query.
    ///
    /// # Errors
    /// The query is none of this resource.
    pub(super) async fn answer<B: RequestBody>(
        self,
        query: &str,
        call: Call,
    ) -> Result<Response<Reply>, Refusal> {
        let request = self.request(query)?;
        let answered = call.answer::<B>(self.rpc(), request).await;
        let text = answered.and_then(|mut answer| {
            self.text(&mut answer).map_err(|error| Status::internal(error.to_string()))
        });
        Ok(match text {
            Ok(text) => json(text, RpcCode::Ok, &call.context),
            Err(status) => failed(&status, &call.context),
        })
    }

    /// The request that a query makes, as the body of a call.
    fn request(self, query: &str) -> Result<Bytes, QueryError> {
        Ok(match self {
            Self::Instruments => body_of(&query::list_instruments(query)?),
            Self::Prices => body_of(&query::get_last_prices(query)?),
            Self::Ticks => body_of(&query::list_ticks(query)?),
            Self::Candles => body_of(&query::list_candles(query)?),
            Self::Tape => body_of(&query::get_tape(query)?),
        })
    }

    /// The answer of a call in JSON.
    fn text(self, answer: &mut Messages) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Instruments => text_of::<ListInstrumentsResponse>(answer),
            Self::Prices => text_of::<GetLastPricesResponse>(answer),
            Self::Ticks => text_of::<ListTicksResponse>(answer),
            Self::Candles => text_of::<ListCandlesResponse>(answer),
            Self::Tape => text_of::<GetTapeResponse>(answer),
        }
    }
}

fn text_of<A: Message + Default + Serialize>(answer: &mut Messages) -> Result<Vec<u8>, BodyError> {
    let answer: A = answer.read()?.ok_or(BodyError::Missing)?;
    Ok(serde_json::to_vec(&answer)?)
}
