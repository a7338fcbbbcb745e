//! A channel to each replica, and unary calls that move on to the next one.

use std::{error::Error as _, fs, path::PathBuf, time::Duration};

use http::uri::Authority;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{
    Code, Request, Response, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error},
};

use crate::v1::ticker_stream_service_client::TickerStreamServiceClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_DEADLINE: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

pub type Client = TickerStreamServiceClient<InterceptedService<Channel, Bearer>>;

pub struct Replica {
    pub endpoint: String,
    pub client: Client,
    pub bearer: Bearer,
}

/// Sends the token of a file with every call.
#[derive(Clone)]
pub struct Bearer {
    file: Option<PathBuf>,
}

impl Replica {
    pub fn new(
        endpoint: Authority,
        ca: Option<&Certificate>,
        token_file: Option<&PathBuf>,
    ) -> Result<Self, Error> {
        let scheme = if ca.is_some() { "https" } else { "http" };
        let mut channel = Endpoint::from_shared(format!("{scheme}://{endpoint}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        if let Some(ca) = ca {
            // `connect_timeout` does not include the handshake.
            let tls = ClientTlsConfig::new().ca_certificate(ca.clone()).timeout(CONNECT_TIMEOUT);
            channel = channel.tls_config(tls)?;
        }
        let bearer = Bearer { file: token_file.cloned() };
        let client = TickerStreamServiceClient::with_interceptor(channel.connect_lazy(), bearer.clone());
        Ok(Self { endpoint: endpoint.to_string(), client, bearer })
    }
}

impl Bearer {
    /// The token that the file has now.
    pub fn token(&self) -> Result<Option<String>, Status> {
        let Some(file) = &self.file else { return Ok(None) };
        let token = fs::read_to_string(file)
            .map_err(|error| Status::unauthenticated(format!("{}: {error}", file.display())))?;
        Ok(Some(token.trim().to_owned()))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.token()? {
            let invalid = |_| Status::unauthenticated("the file of the token has no token");
            let value = format!("Bearer {token}").parse().map_err(invalid)?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Makes a unary call as docs/service-config.json says, which tonic does not read: calls are spread over the
/// replicas, and a call whose replica is unavailable goes to the next one, until the deadline.
pub async fn call<M: Clone, T>(
    replicas: &[Replica],
    message: M,
    rpc: impl AsyncFn(&mut Client, Request<M>) -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let deadline = Instant::now() + CALL_DEADLINE;
    let first = fastrand::usize(..replicas.len());
    let mut failures = 0;
    loop {
        let mut client = replicas[(first + failures) % replicas.len()].client.clone();
        let mut request = Request::new(message.clone());
        request.set_timeout(deadline - Instant::now());
        let answer = tokio::select! {
            // Checked first: at the same moment tonic ends the call with CANCELLED.
            biased;
            () = sleep_until(deadline) => Err(Status::deadline_exceeded("no answer within 5 s")),
            answer = rpc(&mut client, request) => answer,
        };
        let status = match answer {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => status,
        };
        failures += 1;
        let wait = backoff(failures, replicas.len());
        // A status with a source is tonic's own: UNKNOWN when the connection broke, CANCELLED after a GOAWAY.
        let retryable = status.code() == Code::Unavailable || status.source().is_some();
        if !retryable || Instant::now() + wait >= deadline {
            return Err(status);
        }
        sleep(wait).await;
    }
}

/// The wait after a number of failures in a row. Each replica is tried once without a wait; then each round of all
/// replicas begins with one. It has full jitter, so that clients do not come back at the same moment.
pub fn backoff(failures: usize, replicas: usize) -> Duration {
    // The first failure is that of the replica that was in use.
    let retries = failures - 1;
    if retries == 0 || !retries.is_multiple_of(replicas) {
        return Duration::ZERO;
    }
    let rounds = retries / replicas;
    let doubled = FIRST_BACKOFF * 2_u32.saturating_pow((rounds - 1) as u32);
    doubled.min(LONGEST_BACKOFF).mul_f64(fastrand::f64())
}
