//! The calls that a server answers once, or in pages.

use std::{ops::RangeBounds, time::Duration};

use super::{
    Candle, Client, ClientError, Health, InstrumentInfo, Pages, RangeDigest, RefusedSymbol, RpcCode,
    TapeInfo, TickRange,
    chunks::chunks,
    convert::{self, Malformed, timestamp},
    history::{half_open, half_open_times, wire_sequences},
    pages::Page,
    replica::Replica,
};
use crate::{
    contract::{
        health::HealthCheckRequest,
        v1::{
            self, DigestTicksRequest, GetLastPricesRequest, GetTapeRequest, ListCandlesRequest,
            ListInstrumentsRequest,
        },
    },
    tick::{Sequence, Symbol, Tick, Time},
};

/// The answer of [`Client::last_prices`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastPrices {
    /// The newest tick of each symbol, in the order of the request.
    pub ticks: Vec<(Symbol, Tick)>,
    /// The symbols that are unknown or malformed.
    pub refused: Vec<RefusedSymbol>,
}

impl Client {
    /// The newest tick of each of these symbols.
    ///
    /// # Errors
    /// There is no symbol, or the server refuses or does not answer in time. A single symbol that is unknown is not an
    /// error.
    pub async fn last_prices(
        &self,
        symbols: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<LastPrices, ClientError> {
        let symbols: Vec<_> = symbols.into_iter().collect();
        let symbols: Vec<&str> = symbols.iter().map(AsRef::as_ref).collect();
        // In a request, no symbol stands for every instrument.
        if symbols.is_empty() {
            return Err(ClientError::NoSymbol);
        }
        let mut prices = LastPrices::default();
        for symbols in chunks(&symbols) {
            let symbols = symbols.iter().map(ToString::to_string).collect();
            let request = GetLastPricesRequest { symbols, ..Default::default() };
            let answer =
                self.replica.answered(self.replica.service().await?.get_last_prices(request)).await?;
            for tick in &answer.ticks {
                prices.ticks.push(last_price(tick).map_err(|malformed| self.replica.malformed(malformed))?);
            }
            prices.refused.extend(answer.statuses.iter().map(RefusedSymbol::of));
        }
        Ok(prices)
    }

    /// The newest tick of every instrument, ordered by symbol.
    pub fn all_last_prices(&self) -> Pages<(Symbol, Tick)> {
        self.pages(|replica, page_token| async move {
            let request = GetLastPricesRequest { page_token, ..Default::default() };
            let answer = replica.answered(replica.service().await?.get_last_prices(request)).await?;
            Page::of(&replica, &answer.ticks, last_price, answer.next_page_token)
        })
    }

    /// Every instrument on the tape, ordered by symbol.
    pub fn instruments(&self) -> Pages<InstrumentInfo> {
        self.pages(|replica, page_token| async move {
            let request = ListInstrumentsRequest { page_token, ..Default::default() };
            let answer = replica.answered(replica.service().await?.list_instruments(request)).await?;
            Page::of(&replica, &answer.instruments, InstrumentInfo::of, answer.next_page_token)
        })
    }

    /// Past ticks of one symbol.
    pub fn ticks(&self, symbol: impl Into<String>, range: TickRange) -> Pages<Tick> {
        let symbol = symbol.into();
        self.pages(move |replica, page_token| {
            let request = range.request(symbol.clone(), page_token);
            async move {
                let answer = replica.answered(replica.service().await?.list_ticks(request)).await?;
                Page::of(&replica, &answer.ticks, convert::tick, answer.next_page_token)
            }
        })
    }

    /// Candles of one symbol, oldest first. The interval is a whole number of seconds that divides a day. The first candle
    /// is the one that holds the start of the times; an interval without ticks has no candle. Times without an end end
    /// now.
    ///
    /// ```no_run
    /// # use std::{error::Error, time::Duration};
    /// # use ticker::client::Client;
    /// use tokio_stream::StreamExt;
    ///
    /// # async fn last_hour(client: &Client) -> Result<(), Box<dyn Error>> {
    /// let hour_ago = client.tape().await?.time.before(Duration::from_secs(3600)).unwrap_or_default();
    /// let mut candles = client.candles("RELIANCE", Duration::from_secs(60), hour_ago..);
    /// while let Some(candle) = candles.next().await {
    ///     println!("{}", candle?.close);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn candles(
        &self,
        symbol: impl Into<String>,
        interval: Duration,
        times: impl RangeBounds<Time>,
    ) -> Pages<Candle> {
        let (start, end) = half_open_times(&times);
        let symbol = symbol.into();
        self.pages(move |replica, page_token| {
            let request = ListCandlesRequest {
                symbol: symbol.clone(),
                // What protobuf cannot hold is longer than any server allows.
                interval: interval.try_into().ok(),
                start_time: Some(timestamp(start.unwrap_or_default())),
                end_time: end.map(timestamp),
                page_token,
                ..Default::default()
            };
            async move {
                let answer = replica.answered(replica.service().await?.list_candles(request)).await?;
                Page::of(&replica, &answer.candles, Candle::of, answer.next_page_token)
            }
        })
    }

    /// A digest of past ticks of one symbol: of the first 1,048,576 of a range, without those of the future.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn digest(
        &self,
        symbol: impl Into<String>,
        sequences: impl RangeBounds<Sequence>,
    ) -> Result<RangeDigest, ClientError> {
        let (start, end) = half_open(&sequences, Sequence::next);
        let (start_sequence, end_sequence) = wire_sequences(start, end);
        let request = DigestTicksRequest { symbol: symbol.into(), start_sequence, end_sequence };
        let answer = self.replica.answered(self.replica.service().await?.digest_ticks(request)).await?;
        RangeDigest::of(answer).map_err(|malformed| self.replica.malformed(malformed))
    }

    /// The tape that the server plays.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn tape(&self) -> Result<TapeInfo, ClientError> {
        self.replica.tape().await
    }

    /// Whether a service serves, such as `ticker.v1.TickerStreamService`; the empty name stands for the server as a whole.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn health(&self, service: &str) -> Result<Health, ClientError> {
        let request = HealthCheckRequest { service: service.to_owned() };
        match self.replica.health(request).await {
            Ok(answer) => Ok(Health::of(answer.status)),
            Err(ClientError::Refused { status, .. }) if status.code == RpcCode::NotFound => {
                Ok(Health::ServiceUnknown)
            }
            Err(error) => Err(error),
        }
    }

    fn pages<T, F>(&self, mut request: impl FnMut(Replica, String) -> F + Send + 'static) -> Pages<T>
    where
        F: Future<Output = Result<Page<T>, ClientError>> + Send + 'static,
    {
        let replica = self.replica.clone();
        Pages::new(move |token| request(replica.clone(), token))
    }
}

impl Replica {
    pub(super) async fn tape(&self) -> Result<TapeInfo, ClientError> {
        let answer = self.answered(self.service().await?.get_tape(GetTapeRequest {})).await?;
        TapeInfo::of(answer).map_err(|malformed| self.malformed(malformed))
    }
}

fn last_price(tick: &v1::Tick) -> Result<(Symbol, Tick), Malformed> {
    Ok((convert::symbol(&tick.symbol)?, convert::tick(tick)?))
}
