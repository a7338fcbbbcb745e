//! A client for each replica, and unary calls that move on to the next one.

use std::{error::Error as _, fs, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{
    Code, Request, Response, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error},
};

use crate::{Arguments, v1::ticker_stream_service_client::TickerStreamServiceClient, watch::backoff};

const CALL_DEADLINE: Duration = Duration::from_secs(5);

pub type Client = TickerStreamServiceClient<InterceptedService<Channel, TokenFile>>;

pub struct Replicas {
    /// The endpoint of each, and its client.
    pub clients: Vec<(String, Client)>,
}

/// Sends the token that a file, if there is one, has now.
#[derive(Clone)]
pub struct TokenFile(Option<PathBuf>);

impl Interceptor for TokenFile {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(file) = &self.0 {
            let token = fs::read_to_string(file)
                .map_err(|error| Status::unauthenticated(format!("{}: {error}", file.display())))?;
            let bearer = format!("Bearer {}", token.trim()).parse();
            let bearer = bearer.map_err(|_| Status::unauthenticated("the token has more than one line"))?;
            request.metadata_mut().insert("authorization", bearer);
        }
        Ok(request)
    }
}

impl Replicas {
    pub fn new(arguments: &Arguments) -> Result<Self, Status> {
        let mut clients = Vec::new();
        for endpoint in &arguments.endpoints {
            let channel = connect(endpoint.as_str(), arguments.tls_ca.clone());
            let channel = channel.map_err(|error| Status::from_error(error.into()))?;
            let token = TokenFile(arguments.token_file.clone());
            let client = TickerStreamServiceClient::with_interceptor(channel, token);
            clients.push((endpoint.to_string(), client));
        }
        Ok(Self { clients })
    }

    /// Makes a unary call as docs/service-config.json says, which tonic does not read: calls are spread over
    /// the replicas, and a call whose replica is unavailable goes to the next one, until the deadline.
    pub async fn call<M: Clone, T>(
        &self,
        message: M,
        rpc: impl AsyncFn(&mut Client, Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let deadline = Instant::now() + CALL_DEADLINE;
        let late = |_| Err(Status::deadline_exceeded("no answer within 5 s"));
        // A status with a source is tonic's own: UNKNOWN when the connection broke, CANCELLED after a GOAWAY.
        let unavailable = |status: &Status| status.code() == Code::Unavailable || status.source().is_some();
        let first = fastrand::usize(..self.clients.len());
        let mut failures = 0;
        loop {
            let (_, client) = &self.clients[(first + failures) % self.clients.len()];
            let mut request = Request::new(message.clone());
            request.set_timeout(CALL_DEADLINE);
            let answer = timeout_at(deadline, rpc(&mut client.clone(), request)).await.unwrap_or_else(late);
            failures += 1;
            let next = Instant::now() + backoff(failures, self.clients.len());
            match answer {
                Err(status) if unavailable(&status) && next < deadline => sleep_until(next).await,
                answer => return answer.map(Response::into_inner),
            }
        }
    }
}

fn connect(endpoint: &str, ca: Option<Certificate>) -> Result<Channel, Error> {
    let scheme = if ca.is_some() { "https" } else { "http" };
    let mut channel = Endpoint::from_shared(format!("{scheme}://{endpoint}"))?
        .connect_timeout(Duration::from_secs(3))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5));
    if let Some(ca) = ca {
        channel = channel.tls_config(ClientTlsConfig::new().ca_certificate(ca))?;
    }
    Ok(channel.connect_lazy())
}
