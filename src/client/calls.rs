//! The calls that answer once.

use super::{Client, ClientError, Tape, replica::Replica};
use crate::contract::v1::{GetTapeRequest, Instrument, ListInstrumentsRequest};

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

    /// The tape that the server plays.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub async fn tape(&self) -> Result<Tape, ClientError> {
        self.replica.tape().await
    }
}

impl Replica {
    pub(super) async fn tape(&self) -> Result<Tape, ClientError> {
        let answer = self.answered(self.service().get_tape(GetTapeRequest {})).await?;
        Tape::of(answer).map_err(|malformed| self.malformed(malformed.0))
    }
}
