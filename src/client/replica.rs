//! A connection to one server.

use std::{error::Error, io, iter, net::SocketAddr, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status, Streaming, client::Grpc, codec::Codec, service::interceptor::InterceptedService,
    transport::Channel,
};
use tonic_prost::ProstCodec;

use super::{
    ClientError, Endpoint, RpcStatus, Settings, TokenProvider, connector::Connector, convert::Malformed,
    endpoints::Candidate, token::Authorization,
};
use crate::contract::{
    health::{HealthCheckRequest, HealthCheckResponse},
    v1::{
        PublishStreamRequest, PublishStreamResponse, TickerStreamRequest, TickerStreamResponse, WatchRequest,
        ticker_stream_service_client::TickerStreamServiceClient,
    },
};

/// A connection to one of several servers that play the same tape.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
    /// How long an answer may take.
    answer_timeout: Duration,
    token: Option<Arc<dyn TokenProvider>>,
}

/// A channel that sends a token with each call.
type Authorized = InterceptedService<Channel, Authorization>;

/// Interval of the HTTP/2 pings, which detect a peer that is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long the answer to an HTTP/2 ping may take.
const PING_ANSWER: Duration = Duration::from_secs(10);
/// Interval of the checks whether there is a fresh token.
const TOKEN_CHECKS: Duration = Duration::from_secs(1);

impl Replica {
    pub(super) async fn connect(candidate: &Candidate, settings: &Settings) -> Result<Self, ClientError> {
        let Candidate { address, .. } = *candidate;
        let endpoint = candidate.endpoint.at(address);
        let refused =
            |error| ClientError::Connect { endpoint: endpoint.clone(), source: connect_error(error) };
        let host = candidate.endpoint.host().to_owned();
        let tls = candidate.endpoint.is_https().then(|| (settings.tls.clone(), host));
        let connector = Connector { network: settings.network.clone(), address, tls };
        // The authority of requests is the name that the user wrote, not its address. TLS is made by the connector, so tonic
        // must not see `https` in the URL that it connects to.
        let origin = candidate.endpoint.to_string().parse().map_err(|_| ClientError::NoEndpoint)?;
        let transport = tonic::transport::Endpoint::from_shared(candidate.endpoint.without_tls().to_string())
            .map(|transport| transport.origin(origin))
            .and_then(|transport| transport.user_agent(concat!("ticker/", env!("CARGO_PKG_VERSION"))))
            .map_err(refused)?
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(settings.stream_window);
        let channel = timeout(settings.connect_timeout, transport.connect_with_connector(connector))
            .await
            .map_err(|_| ClientError::TimedOut {
                endpoint: endpoint.clone(),
                waited: settings.connect_timeout,
            })?
            .map_err(refused)?;
        Ok(Self {
            endpoint,
            address,
            channel,
            answer_timeout: settings.answer_timeout,
            token: settings.token.clone(),
        })
    }

    /// The service, with a token for one call.
    ///
    /// # Errors
    /// There is no token.
    pub(super) async fn service(&self) -> Result<TickerStreamServiceClient<Authorized>, ClientError> {
        Ok(TickerStreamServiceClient::new(self.authorized(self.token().await?)?))
    }

    /// A fresh token; `None` when the client sends none.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn token(&self) -> Result<Option<String>, ClientError> {
        let Some(provider) = &self.token else { return Ok(None) };
        provider.token().await.map(Some).map_err(|source| self.without_token(source))
    }

    /// Waits until there is another token than one that was used. A token that cannot be read may be about to be replaced.
    pub(super) async fn token_other_than(&self, used: Option<String>) -> Option<String> {
        loop {
            if let Ok(token) = self.token().await
                && token != used
            {
                return token;
            }
            sleep(TOKEN_CHECKS).await;
        }
    }

    fn authorized(&self, token: Option<String>) -> Result<Authorized, ClientError> {
        let authorization = Authorization::of(token);
        let authorization = authorization.map_err(|source| self.without_token(source))?;
        Ok(InterceptedService::new(self.channel.clone(), authorization))
    }

    fn without_token(&self, source: io::Error) -> ClientError {
        ClientError::Token { endpoint: self.endpoint.clone(), source }
    }

    /// Waits for the answer to a call, up to the timeout.
    pub(super) async fn answered<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, ClientError> {
        match timeout(self.answer_timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                Err(ClientError::Refused { endpoint: self.endpoint.clone(), status: RpcStatus::of(&status) })
            }
            Err(_) => Err(self.timed_out(self.answer_timeout)),
        }
    }

    pub(super) async fn ticker_stream(
        &self,
        token: Option<String>,
        requests: ReceiverStream<TickerStreamRequest>,
    ) -> Result<Streaming<TickerStreamResponse>, ClientError> {
        let mut service = TickerStreamServiceClient::new(self.authorized(token)?);
        self.answered(service.ticker_stream(requests)).await
    }

    pub(super) async fn publish_stream(
        &self,
        token: Option<String>,
        requests: ReceiverStream<PublishStreamRequest>,
    ) -> Result<Streaming<PublishStreamResponse>, ClientError> {
        let mut service = TickerStreamServiceClient::new(self.authorized(token)?);
        self.answered(service.publish_stream(requests)).await
    }

    pub(super) async fn health(
        &self,
        request: HealthCheckRequest,
    ) -> Result<HealthCheckResponse, ClientError> {
        let channel = self.authorized(self.token().await?)?;
        let call = async {
            let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
            ready(channel).await?.unary(Request::new(request), path, ProstCodec::default()).await
        };
        self.answered(call).await
    }

    /// Opens a watch. Its responses may be decoded as those of a stream, or as an outline of them: they have the same field
    /// numbers.
    pub(super) async fn watch<M>(
        &self,
        token: Option<String>,
        request: WatchRequest,
    ) -> Result<Streaming<M>, ClientError>
    where
        M: Send + Sync + 'static,
        ProstCodec<WatchRequest, M>: Codec<Encode = WatchRequest, Decode = M>,
    {
        let channel = self.authorized(token)?;
        let call = async {
            let path = PathAndQuery::from_static("/ticker.v1.TickerStreamService/Watch");
            ready(channel).await?.server_streaming(Request::new(request), path, ProstCodec::default()).await
        };
        self.answered(call).await
    }

    pub(super) fn timed_out(&self, waited: Duration) -> ClientError {
        ClientError::TimedOut { endpoint: self.endpoint.clone(), waited }
    }

    /// The error of a stream that has ended.
    pub(super) fn ended(&self, status: &Status) -> ClientError {
        ClientError::Ended { endpoint: self.endpoint.clone(), status: RpcStatus::of(status) }
    }

    pub(super) fn malformed(&self, Malformed(what): Malformed) -> ClientError {
        ClientError::Malformed { endpoint: self.endpoint.clone(), what }
    }
}

/// A channel that is ready for a call that no generated client makes.
async fn ready(channel: Authorized) -> Result<Grpc<Authorized>, Status> {
    let mut service = Grpc::new(channel);
    service.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(service)
}

/// The error of a connection attempt, with the kind of the I/O error that caused it.
fn connect_error(error: tonic::transport::Error) -> io::Error {
    let mut causes = iter::successors(error.source(), |&cause| cause.source());
    let kind = causes.find_map(|cause| cause.downcast_ref()).map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, error)
}
