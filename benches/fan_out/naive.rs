//! The server that most people write first: stock tonic, a broadcast channel per symbol, a task per subscription.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use clap::Args;
use http::Request as HttpRequest;
use jiff::Timestamp;
use ticker::contract::gogen::{TickerRequest, TickerResponse};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_stream::{
    StreamExt,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Service},
    server::{Grpc, NamedService, StreamingService},
    transport::Server,
};
use tonic_prost::ProstCodec;

use crate::{
    SERVER_CORE,
    look::Look,
    ours::{self, Package},
    process::{self, Process},
    row::{self, Row, UNIVERSE},
    sample::Running,
    stopwatch::now,
};

/// Large enough that a healthy subscriber misses nothing.
const CHANNEL: usize = 1_024;

/// The role of the naive server.
#[derive(Args)]
pub(crate) struct Naive {
    #[command(flatten)]
    row: Row,
}

/// A channel per symbol.
type Channels = Arc<HashMap<String, broadcast::Sender<TickerResponse>>>;

#[derive(Clone)]
struct TickerStreamService {
    channels: Channels,
}

/// The server and the clients of a row.
pub(crate) fn start(row: &Row, look: &Look) -> Result<Running> {
    let command = process::role("naive")?.into_iter().chain(row.options().map(Into::into));
    let server = Process::start(&[SERVER_CORE], command, Duration::from_secs(10), process::address_in)?;
    let client = ours::subscribe(server.address(), row, Package::Gogen, look)?;
    Ok(Running { server, client, publisher: None })
}

impl Naive {
    #[tokio::main]
    pub(crate) async fn run(self) -> Result<()> {
        let interval = self.row.interval();
        let channels: Channels = Arc::new(
            (0..UNIVERSE).map(|index| (row::symbol(index), broadcast::channel(CHANNEL).0)).collect(),
        );
        let start = Instant::now();
        for index in 0..UNIVERSE {
            // Symbols do not trade in step.
            let first = start + interval * index as u32 / UNIVERSE as u32;
            tokio::spawn(trade(row::symbol(index), channels.clone(), first, interval));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let server = Server::builder().add_service(TickerStreamService { channels });
        Ok(server.serve_with_incoming(TcpListenerStream::new(listener)).await?)
    }
}

/// Sends a tick of one symbol every interval. The price is the time at which the tick was due, in microseconds.
async fn trade(symbol: String, channels: Channels, first: Instant, interval: Duration) {
    let mut interval = interval_at(first, interval);
    // By default a late interval makes up for what it missed, in bursts that are cheap to send and never end.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (origin, origin_micros) = (Instant::now(), now() / 1_000);
    loop {
        let due = interval.tick().await;
        // The first tick may be due a little before the origin.
        let micros = origin_micros as f64 + due.duration_since(origin).as_micros() as f64;
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        // No one may be listening, and then there is nothing to do.
        let _ = channels[&symbol].send(TickerResponse {
            symbol: symbol.clone(),
            ltp: micros,
            timestamp: format!("{now:.3}"),
        });
    }
}

impl TickerStreamService {
    fn ticker_stream(
        &self,
        request: Request<Streaming<TickerRequest>>,
    ) -> Response<ReceiverStream<Result<TickerResponse, Status>>> {
        let mut requests = request.into_inner();
        let channels = self.channels.clone();
        let (responses, stream) = mpsc::channel(128);
        tokio::spawn(async move {
            while let Some(Ok(TickerRequest { symbol })) = requests.next().await {
                let Some(channel) = channels.get(&symbol) else { continue };
                tokio::spawn(forward(channel.subscribe(), responses.clone()));
            }
        });
        Response::new(ReceiverStream::new(stream))
    }
}

/// Passes the ticks of one symbol on to one subscriber.
async fn forward(
    mut ticks: broadcast::Receiver<TickerResponse>,
    responses: mpsc::Sender<Result<TickerResponse, Status>>,
) {
    loop {
        match ticks.recv().await {
            Ok(tick) => {
                if responses.send(Ok(tick)).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

// What `tonic-build` generates for the service; the build script leaves it out, as `ticker` does without it.

impl StreamingService<TickerRequest> for TickerStreamService {
    type Response = TickerResponse;
    type ResponseStream = ReceiverStream<Result<TickerResponse, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<TickerRequest>>) -> Self::Future {
        ready(Ok(self.ticker_stream(request)))
    }
}

impl Service<HttpRequest<Body>> for TickerStreamService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).streaming(service, request).await) })
    }
}

impl NamedService for TickerStreamService {
    const NAME: &'static str = "gogen.TickerStreamService";
}
