//! Connects to a ticker service and receives its ticks; `ticker watch`, `record`, `list` and `health` are built on it.

use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::Channel;

use self::error::said;
use crate::contract::v1::{
    Instrument, ListInstrumentsRequest, ticker_stream_service_client::TickerStreamServiceClient,
};

mod endpoint;
mod error;
mod event;
pub mod health;
pub mod list;
mod output;
mod record;
pub mod recorder;
mod subscription;
pub mod watch;

pub use endpoint::{Endpoint, EndpointError};
pub use error::ClientError;
pub use event::{Event, LiveTick, Refusal};
pub use subscription::{Delivery, Subscription, Wanted};

/// A connection to one server.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    channel: Channel,
}

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may take to answer a call, or to begin a stream.
const ANSWER: Duration = Duration::from_secs(10);
/// A peer that is gone is noticed after these two, however quiet the stream is.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(10);
/// Ticks that wait in the connection are old ones in front of the newest: enough for a thousand or two.
const WINDOW: u32 = 128 * 1024;

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or the connection takes longer than five seconds.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let refused = |source| ClientError::Connect { endpoint: endpoint.clone(), source };
        let channel = tonic::transport::Endpoint::from_shared(endpoint.to_string())
            .and_then(|endpoint| endpoint.user_agent(concat!("ticker/", env!("CARGO_PKG_VERSION"))))
            .map_err(refused)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .connect()
            .await
            .map_err(refused)?;
        Ok(Self { endpoint: endpoint.clone(), channel })
    }

    /// The server's address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a stream and asks for symbols. The answer comes as an [`Event`].
    ///
    /// # Errors
    /// The server refuses the stream, or does not begin it within ten seconds.
    pub async fn subscribe(&self, wanted: &Wanted) -> Result<Subscription, ClientError> {
        Subscription::open(self, wanted).await
    }

    /// A page of instruments, ordered by symbol, and the token of the next page; the first page has no token,
    /// and after the last page there is an empty one.
    ///
    /// # Errors
    /// The server refuses, or does not answer within ten seconds.
    pub async fn instruments(&self, page_token: String) -> Result<(Vec<Instrument>, String), ClientError> {
        let request = ListInstrumentsRequest { page_token, ..Default::default() };
        let mut service = self.service();
        let page = self.answered(service.list_instruments(request)).await?;
        Ok((page.instruments, page.next_page_token))
    }

    fn service(&self) -> TickerStreamServiceClient<Channel> {
        TickerStreamServiceClient::new(self.channel.clone())
    }

    /// Waits for the answer to a call.
    async fn answered<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, ClientError> {
        match timeout(ANSWER, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                Err(ClientError::Refused { endpoint: self.endpoint.clone(), said: said(&status) })
            }
            Err(_) => Err(ClientError::Silent { endpoint: self.endpoint.clone(), waited: ANSWER }),
        }
    }
}
