//! The RPCs of `ticker.v1` that generated code serves: all but the streams of ticks.

use tonic::{Request, Response, Status, Streaming};

use super::{
    MAX_SYMBOLS_PER_MESSAGE, WorkerContext,
    call::Call,
    convert, history, instrument_pages,
    publish::{self, PublishStream},
    status::Failure,
    symbol_status::Texts,
};
use crate::{
    contract::{
        Encoded,
        v1::{
            self, DigestTicksRequest, DigestTicksResponse, GetLastPricesRequest, GetLastPricesResponse,
            GetTapeRequest, GetTapeResponse, ListCandlesRequest, ListInstrumentsRequest,
            ListInstrumentsResponse, ListTicksRequest, PublishRequest, PublishResponse, PublishStreamRequest,
            server::ticker_stream_service_server::TickerStreamService,
        },
    },
    tape::Instrument,
};

/// Answers from the worker of each call.
pub(super) struct Unary;

#[tonic::async_trait]
impl TickerStreamService for Unary {
    async fn list_instruments(
        &self,
        request: Request<ListInstrumentsRequest>,
    ) -> Result<Response<ListInstrumentsResponse>, Status> {
        let call = call(&request)?;
        let ListInstrumentsRequest { page_size, page_token, search } = request.into_inner();
        let (page, next_page_token) = match search.as_str() {
            "" => {
                let known = call.worker().tape.known_instruments();
                instrument_pages::page(&known, page_size, &page_token, |_| true)?
            }
            text => instrument_pages::search(&call, text, page_size, &page_token).await?,
        };
        let now = call.worker().clock.now();
        let instruments = page.iter().map(|instrument| convert::instrument(instrument, now)).collect();
        Ok(Response::new(ListInstrumentsResponse { instruments, next_page_token }))
    }

    async fn get_last_prices(
        &self,
        request: Request<GetLastPricesRequest>,
    ) -> Result<Response<GetLastPricesResponse>, Status> {
        let call = call(&request)?;
        let worker = call.worker();
        let GetLastPricesRequest { symbols, page_size, page_token } = request.into_inner();
        if symbols.len() > MAX_SYMBOLS_PER_MESSAGE {
            return Err(Failure::TooManySymbolsInRequest(symbols.len()).into());
        }
        let mut response = GetLastPricesResponse::default();
        if symbols.is_empty() {
            let is_in_all = |instrument: &Instrument| !instrument.is_for_tests();
            let (page, next_page_token) =
                instrument_pages::page(&worker.tape.instruments(), page_size, &page_token, is_in_all)?;
            response.ticks = page.iter().filter_map(|instrument| last_price(worker, instrument)).collect();
            response.next_page_token = next_page_token;
        }
        let mut texts = Texts::default();
        for symbol in symbols {
            match worker.instrument(&symbol) {
                Ok(instrument) => response.ticks.extend(last_price(worker, &instrument)),
                Err(error) => {
                    let status = texts.refused(worker, &symbol, error);
                    worker.refusals.add(status.code(), 1);
                    response.statuses.push(status);
                }
            }
        }
        Ok(Response::new(response))
    }

    async fn get_tape(&self, request: Request<GetTapeRequest>) -> Result<Response<GetTapeResponse>, Status> {
        let call = call(&request)?;
        let worker = call.worker();
        let identity = worker.tape.identity();
        Ok(Response::new(GetTapeResponse {
            tape_id: identity.tape_id.clone(),
            // Whoever knows the seed can compute every tick, also those of instruments that it may not see.
            seed: if call.is_admin() { identity.seed } else { 0 },
            engine_version: identity.engine_version.to_owned(),
            time: Some(convert::timestamp(worker.clock.now())),
            kind: convert::kind(identity.kind).into(),
            speed: worker.clock.speed().to_f64(),
        }))
    }

    async fn list_ticks(&self, request: Request<ListTicksRequest>) -> Result<Response<Encoded>, Status> {
        let call = call(&request)?;
        Ok(Response::new(history::list_ticks(&call, request.into_inner()).await?))
    }

    async fn list_candles(&self, request: Request<ListCandlesRequest>) -> Result<Response<Encoded>, Status> {
        let call = call(&request)?;
        Ok(Response::new(history::list_candles(&call, request.into_inner()).await?))
    }

    async fn digest_ticks(
        &self,
        request: Request<DigestTicksRequest>,
    ) -> Result<Response<DigestTicksResponse>, Status> {
        let call = call(&request)?;
        Ok(Response::new(history::digest_ticks(&call, request.into_inner()).await?))
    }

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<PublishResponse>, Status> {
        let call = call(&request)?;
        Ok(Response::new(publish::publish(&call, request.into_inner()).await?))
    }

    type PublishStreamStream = PublishStream;

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<PublishStream>, Status> {
        let call = call(&request)?;
        Ok(Response::new(PublishStream::new(&call, request.into_inner())?))
    }
}

/// `None` when the tape has no tick yet.
fn last_price(worker: &WorkerContext, instrument: &Instrument) -> Option<v1::Tick> {
    let series = worker.tape.series(instrument);
    let newest = series.sequence_at(worker.clock.now())?;
    Some(convert::tick(instrument.symbol.as_str(), &series.tick(newest)))
}

/// The call that a request belongs to.
fn call<T>(request: &Request<T>) -> Result<Call, Status> {
    let call = request.extensions().get::<Call>().cloned();
    call.ok_or_else(|| Status::internal("the request came without its connection"))
}
