//! The calls that answer once.

use super::{
    Client, ClientError, TapeInfo,
    message::{self, Malformed},
    replica::Replica,
};
use crate::{
    contract::v1::{
        DigestTicksRequest, DigestTicksResponse, GetTapeRequest, Instrument, ListInstrumentsRequest,
        ListTicksRequest,
    },
    tick::Tick,
};

impl Client {
    /// A page of instruments, ordered by symbol, and the token of the next page; the first page has no token,
    /// and after the last page there is an empty one.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn instruments(&self, page_token: String) -> Result<(Vec<Instrument>, String), ClientError> {
        let request = ListInstrumentsRequest { page_token, ..Default::default() };
        let mut service = self.replica.service();
        let page = self.replica.answered(service.list_instruments(request)).await?;
        Ok((page.instruments, page.next_page_token))
    }

    /// All instruments, ordered by symbol.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn every_instrument(&self) -> Result<Vec<Instrument>, ClientError> {
        let mut instruments = Vec::new();
        let collect = |page| {
            instruments.extend(page);
            Ok::<_, ClientError>(())
        };
        self.each_page_of_instruments(collect).await?;
        Ok(instruments)
    }

    /// Hands over all instruments, ordered by symbol, page by page: not all of a million at once.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time; or `take` fails.
    pub async fn each_page_of_instruments<E: From<ClientError>>(
        &self,
        mut take: impl FnMut(Vec<Instrument>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut token = String::new();
        loop {
            let (page, next) = self.instruments(token).await?;
            take(page)?;
            if next.is_empty() {
                return Ok(());
            }
            token = next;
        }
    }

    /// A page of past ticks of one symbol.
    ///
    /// # Errors
    /// The server refuses, does not answer in time, or breaks the contract.
    pub async fn ticks(&self, request: ListTicksRequest) -> Result<Vec<Tick>, ClientError> {
        let page = self.replica.answered(self.replica.service().list_ticks(request)).await?;
        let ticks: Result<_, Malformed> = page.ticks.iter().map(message::tick).collect();
        ticks.map_err(|malformed| self.replica.malformed(malformed.0))
    }

    /// A digest of past ticks of one symbol, and which ticks it is of.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn digest(&self, request: DigestTicksRequest) -> Result<DigestTicksResponse, ClientError> {
        self.replica.answered(self.replica.service().digest_ticks(request)).await
    }

    /// The tape that the server plays.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn tape(&self) -> Result<TapeInfo, ClientError> {
        self.replica.tape().await
    }
}

impl Replica {
    pub(super) async fn tape(&self) -> Result<TapeInfo, ClientError> {
        let answer = self.answered(self.service().get_tape(GetTapeRequest {})).await?;
        TapeInfo::of(answer).map_err(|malformed| self.malformed(malformed.0))
    }
}
