//! A replica that says what a test tells it to say, when and only when it does.

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
};

use ticker::contract::v1::{
    GetTapeRequest, GetTapeResponse, Subscription, SubscriptionResult, SymbolStatus, SymbolStatusCode, Tick,
    TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb, ticker_stream_response::Event,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, StreamingService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::server::PATIENCE;

type Said = Result<TickerStreamResponse, Status>;

/// A server of streams whose other end is in the test. Stops when it is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Stream>,
    _stops_on_drop: DropGuard,
}

/// One stream, as its server sees it. The stream ends when it is dropped.
pub(crate) struct Stream {
    heard: Streaming<TickerStreamRequest>,
    say: mpsc::UnboundedSender<Said>,
}

#[derive(Clone)]
struct Script {
    tape_id: &'static str,
    opened: mpsc::UnboundedSender<Stream>,
}

impl Scripted {
    pub(crate) async fn start(tape_id: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, streams) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = Server::builder()
                .add_service(Script { tape_id, opened })
                .serve_with_incoming(TcpIncoming::from(listener));
            tokio::select! {
                ended = serving => ended.unwrap(),
                () = stopped.cancelled() => {}
            }
        });
        Self { address, streams, _stops_on_drop: stop.drop_guard() }
    }

    /// Waits for the next stream that a client opens.
    pub(crate) async fn stream(&mut self) -> Stream {
        timeout(PATIENCE, self.streams.recv()).await.expect("no stream is opened").unwrap()
    }
}

impl Stream {
    /// The next subscribe, with the symbols and what to resume them after.
    pub(crate) async fn asked(&mut self) -> Subscription {
        match self.verb().await {
            Verb::Subscribe(subscription) => subscription,
            other => panic!("not a subscribe: {other:?}"),
        }
    }

    /// The next request.
    pub(crate) async fn verb(&mut self) -> Verb {
        let request = timeout(PATIENCE, self.heard.next()).await.expect("nothing is asked");
        request.unwrap().unwrap().verb.unwrap()
    }

    pub(crate) fn say(&self, event: Event) {
        self.say.send(Ok(TickerStreamResponse { event: Some(event) })).ok();
    }

    /// Answers a subscribe of `TCS`.
    pub(crate) fn answer(&self, tape_id: &str, code: SymbolStatusCode) {
        let status = SymbolStatus { symbol: "TCS".to_owned(), code: code.into(), ..Default::default() };
        let (tape_id, statuses) = (tape_id.to_owned(), vec![status]);
        self.say(Event::SubscriptionResult(SubscriptionResult { request_id: 1, tape_id, statuses }));
    }

    /// Sends ticks of `TCS`.
    pub(crate) fn ticks(&self, sequences: impl IntoIterator<Item = u64>) {
        for sequence in sequences {
            self.say(Event::Tick(Tick {
                symbol: "TCS".to_owned(),
                time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                sequence,
                ltp_nanos: 1,
                last_quantity: 1,
                ..Default::default()
            }));
        }
    }

    pub(crate) fn fail(self, status: Status) {
        self.say.send(Err(status)).ok();
    }

    /// Waits until the client has left.
    pub(crate) async fn is_left(&self) {
        timeout(PATIENCE, self.say.closed()).await.expect("the client stays");
    }
}

impl NamedService for Script {
    const NAME: &'static str = "ticker.v1.TickerStreamService";
}

impl Service<http::Request<Body>> for Script {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/ticker.v1.TickerStreamService/GetTape" => {
                    Grpc::new(ProstCodec::default()).unary(script, request).await
                }
                _ => Grpc::new(ProstCodec::default()).streaming(script, request).await,
            })
        })
    }
}

impl UnaryService<GetTapeRequest> for Script {
    type Response = GetTapeResponse;
    type Future = BoxFuture<Response<GetTapeResponse>, Status>;

    fn call(&mut self, _: Request<GetTapeRequest>) -> Self::Future {
        let (tape_id, time) = (self.tape_id.to_owned(), Some(prost_types::Timestamp::default()));
        let tape = GetTapeResponse { tape_id, time, speed: 1.0, ..Default::default() };
        Box::pin(async { Ok(Response::new(tape)) })
    }
}

impl StreamingService<TickerStreamRequest> for Script {
    type Response = TickerStreamResponse;
    type ResponseStream = UnboundedReceiverStream<Said>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<TickerStreamRequest>>) -> Self::Future {
        let (say, said) = mpsc::unbounded_channel();
        self.opened.send(Stream { heard: request.into_inner(), say }).ok();
        Box::pin(async { Ok(Response::new(UnboundedReceiverStream::new(said))) })
    }
}
