//! A client for each replica, and unary calls that move on to the next one.

use std::{error::Error as _, fs, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{
    Code, Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error},
};

use crate::{Arguments, v1::ticker_stream_service_client::TickerStreamServiceClient};

const CALL_DEADLINE: Duration = Duration::from_secs(5);

pub type Client = TickerStreamServiceClient<Channel>;

pub struct Replicas {
    /// The endpoint of each, and its client.
    pub clients: Vec<(String, Client)>,
    token_file: Option<PathBuf>,
}

impl Replicas {
    pub fn new(arguments: &Arguments) -> Result<Self, Status> {
        let mut clients = Vec::new();
        for endpoint in &arguments.endpoints {
            let client = connect(endpoint.as_str(), arguments.tls_ca.clone());
            clients.push((endpoint.to_string(), client.map_err(|error| Status::from_error(error.into()))?));
        }
        Ok(Self { clients, token_file: arguments.token_file.clone() })
    }

    /// A request with the token that the file has now.
    pub fn request<M>(&self, message: M) -> Result<Request<M>, Status> {
        let mut request = Request::new(message);
        if let Some(file) = &self.token_file {
            let token = fs::read_to_string(file)
                .map_err(|error| Status::unauthenticated(format!("{}: {error}", file.display())))?;
            let bearer = format!("Bearer {}", token.trim()).parse();
            let bearer = bearer.map_err(|_| Status::unauthenticated("the token has more than one line"))?;
            request.metadata_mut().insert("authorization", bearer);
        }
        Ok(request)
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
            let mut request = self.request(message.clone())?;
            request.set_timeout(CALL_DEADLINE);
            let answer = timeout_at(deadline, rpc(&mut client.clone(), request)).await.unwrap_or_else(late);
            failures += 1;
            let next = Instant::now() + self.backoff(failures);
            match answer {
                Err(status) if unavailable(&status) && next < deadline => sleep_until(next).await,
                answer => return answer.map(Response::into_inner),
            }
        }
    }

    /// The wait after a number of failures in a row: none until each replica has failed, then up to 50 ms,
    /// then longer with each round, up to a second. It is random, so that clients do not come back together.
    pub fn backoff(&self, failures: usize) -> Duration {
        let rounds = failures / self.clients.len();
        let longest = Duration::from_millis(50) * (2_u32.saturating_pow(rounds as u32) - 1);
        longest.min(Duration::from_secs(1)).mul_f64(fastrand::f64())
    }
}

fn connect(endpoint: &str, ca: Option<Certificate>) -> Result<Client, Error> {
    let scheme = if ca.is_some() { "https" } else { "http" };
    let mut channel = Endpoint::from_shared(format!("{scheme}://{endpoint}"))?
        .connect_timeout(Duration::from_secs(3))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5));
    if let Some(ca) = ca {
        channel = channel.tls_config(ClientTlsConfig::new().ca_certificate(ca))?;
    }
    Ok(Client::new(channel.connect_lazy()))
}
