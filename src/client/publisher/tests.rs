//! Claims about a publisher at a server whose streams end, or go silent, at chosen moments.
#![cfg(feature = "server")]

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, async_trait, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::{
    client::{Connection, Endpoint, Network, Settings, Task, TokenProvider},
    contract::{
        Encoded,
        v1::{self, PublishStreamRequest, server::ticker_stream_service_server as generated},
    },
    tick::Price,
};

/// What a stream does.
#[derive(Clone, Debug)]
enum Script {
    /// Answers everything.
    Answer,
    /// Stores this many requests, the first of which has no ticks, and answers all but the last one. Then it ends.
    End(usize, Status),
    /// Stores this many requests, answers all but the last one, and then does nothing.
    Silence(usize),
}

/// What the streams of a service have stored, and what the next ones do.
#[derive(Default)]
struct State {
    /// The numbers and prices of the stored ticks, in order.
    stored: Vec<(u64, i64)>,
    scripts: VecDeque<Script>,
}

#[derive(Clone, Default)]
struct Feed(Arc<Mutex<State>>);

/// A network with one server.
#[derive(Clone)]
struct Wire(mpsc::UnboundedSender<io::Result<DuplexStream>>);

impl Feed {
    fn store(&self, request: &PublishStreamRequest) -> PublishStreamResponse {
        let stored = &mut self.0.lock().unwrap().stored;
        let mut answer = PublishStreamResponse { request_id: request.request_id, ..Default::default() };
        for (number, tick) in (request.first_number..).zip(&request.ticks) {
            if stored.last().is_some_and(|(last, _)| number <= *last) {
                answer.duplicates += 1;
            } else {
                stored.push((number, tick.price_nanos));
                answer.accepted += 1;
            }
        }
        answer
    }

    async fn serve(
        self,
        script: Script,
        mut requests: Streaming<PublishStreamRequest>,
        answers: mpsc::Sender<Result<PublishStreamResponse, Status>>,
    ) {
        let mut taken = 0;
        while let Ok(Some(request)) = requests.message().await {
            let answer = self.store(&request);
            taken += 1;
            match &script {
                Script::End(most, status) if *most == taken => {
                    let _ = answers.send(Err(status.clone())).await;
                    return;
                }
                Script::Silence(most) if *most == taken => future::pending().await,
                _ => drop(answers.send(Ok(answer)).await),
            }
        }
    }
}

/// The RPCs that a publisher does not call.
macro_rules! unimplemented_rpcs {
    ($($rpc:ident($request:ty) -> $response:ty;)*) => {
        #[async_trait]
        impl generated::TickerStreamService for Feed {
            type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<PublishStreamResponse, Status>> + Send>>;

            async fn publish_stream(
                &self,
                request: Request<Streaming<PublishStreamRequest>>,
            ) -> Result<Response<Self::PublishStreamStream>, Status> {
                let script = self.0.lock().unwrap().scripts.pop_front().unwrap_or(Script::Answer);
                if let Script::End(0, status) = script {
                    return Err(status);
                }
                let (answers, stream) = mpsc::channel(1);
                tokio::spawn(self.clone().serve(script, request.into_inner(), answers));
                Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
            }

            $(async fn $rpc(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not here"))
            })*
        }
    };
}

unimplemented_rpcs! {
    publish(Streaming<v1::PublishRequest>) -> v1::PublishResponse;
    list_instruments(v1::ListInstrumentsRequest) -> v1::ListInstrumentsResponse;
    get_last_prices(v1::GetLastPricesRequest) -> v1::GetLastPricesResponse;
    list_ticks(v1::ListTicksRequest) -> Encoded;
    list_candles(v1::ListCandlesRequest) -> Encoded;
    digest_ticks(v1::DigestTicksRequest) -> v1::DigestTicksResponse;
    get_tape(v1::GetTapeRequest) -> v1::GetTapeResponse;
}

impl Network for Wire {
    fn resolve(&self, _: &str, _: u16) -> Task<io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![address()]) })
    }

    fn connect(&self, _: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
        let (ours, theirs) = duplex(1 << 16);
        let sent = self.0.send(Ok(theirs)).map_err(|_| io::ErrorKind::ConnectionRefused.into());
        Box::pin(async move { sent.map(|()| Box::new(ours) as Box<dyn Connection>) })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

fn tick(nanos: i64) -> NewTick {
    NewTick::new("A".parse().unwrap(), Price::from_nanos(nanos).unwrap(), 1)
}

/// A token that never changes.
#[derive(Debug)]
struct FixedToken;

impl TokenProvider for FixedToken {
    fn token(&self) -> Task<io::Result<String>> {
        Box::pin(async { Ok("token".to_owned()) })
    }
}

/// A service with these scripts, and a client of it.
async fn client_of(scripts: impl IntoIterator<Item = Script>) -> (Client, Feed) {
    client_with(Settings::default(), scripts).await
}

async fn client_with(settings: Settings, scripts: impl IntoIterator<Item = Script>) -> (Client, Feed) {
    let feed = Feed::default();
    feed.0.lock().unwrap().scripts.extend(scripts);
    let (wire, incoming) = mpsc::unbounded_channel();
    let service = generated::TickerStreamServiceServer::new(feed.clone());
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::wrappers::UnboundedReceiverStream::new(incoming)),
    );
    let settings = settings.with_network(Wire(wire)).with_seed(1);
    (Client::connect(&Endpoint::from(address()).into(), settings).await.unwrap(), feed)
}

/// What `count` ticks store that were published one request after the other, and their totals.
async fn publish(count: i64, scripts: impl IntoIterator<Item = Script>) -> (Vec<(u64, i64)>, PublishTotals) {
    let (client, feed) = client_of(scripts).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    for nanos in 1..=count {
        publisher.publish(vec![tick(nanos)]).await.unwrap();
    }
    let totals = publisher.finish().await.unwrap();
    let stored = feed.0.lock().unwrap().stored.clone();
    (stored, totals)
}

/// The ticks that are stored when each is stored once and in order.
fn each_once(count: i64) -> Vec<(u64, i64)> {
    (1..=count).map(|nanos| (nanos as u64, nanos)).collect()
}

fn later() -> Status {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(100)));
    Status::with_error_details(tonic::Code::ResourceExhausted, "the disk is full", details)
}

#[tokio::test(start_paused = true)]
async fn without_a_failure_every_tick_is_accepted() {
    let (stored, totals) = publish(100, []).await;
    assert_eq!(stored, each_once(100));
    assert_eq!(totals, PublishTotals { accepted: 100, ..Default::default() });
}

#[tokio::test(start_paused = true)]
async fn whichever_streams_are_lost_each_tick_is_stored_once_and_in_order() {
    let gone = || Status::unavailable("the server stops");
    let scripts =
        [Script::End(5, gone()), Script::End(1, gone()), Script::End(0, gone()), Script::End(20, later())];
    let (stored, totals) = publish(100, scripts).await;
    assert_eq!(stored, each_once(100));
    assert_eq!(totals.ticks(), 100);
    // The last tick that each stream has stored, unless it was the first request, which has no tick.
    assert_eq!(totals.duplicates, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_any_more_is_left() {
    let (stored, totals) = publish(40, [Script::Silence(10), Script::Silence(1)]).await;
    assert_eq!(stored, each_once(40));
    assert_eq!((totals.accepted, totals.duplicates), (39, 1));
}

#[tokio::test(start_paused = true)]
async fn a_silence_without_a_tick_to_answer_is_no_failure() {
    let (client, _) = client_of([]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    publisher.publish(vec![tick(1)]).await.unwrap();
    assert!(matches!(publisher.next_event().await, Ok(PublisherEvent::Receipt(_))));
    assert!(timeout(Duration::from_secs(3600), publisher.next_event()).await.is_err());
    // Nor is a caller that does not ask for answers for an hour.
    publisher.publish(vec![tick(2)]).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert!(matches!(publisher.next_event().await, Ok(PublisherEvent::Receipt(_))));
    assert_eq!(publisher.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_retryable_ends_it_at_once_and_on_the_way() {
    let refused = || Status::failed_precondition("there is no feed");
    for first in [Script::End(0, refused()), Script::End(1, refused())] {
        let (client, _) = client_of([first]).await;
        let error = client.publisher(PublisherOptions::default()).await.unwrap_err();
        assert_eq!(error.status().map(|status| status.code), Some(RpcCode::FailedPrecondition), "{error}");
    }
    let denied = Status::permission_denied("the token does not allow it");
    let (client, _) = client_of([Script::End(2, denied)]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    publisher.publish(vec![tick(1)]).await.unwrap();
    let error = publisher.next_event().await.unwrap_err();
    assert_eq!(error.status().map(|status| status.code), Some(RpcCode::PermissionDenied), "{error}");
    assert_eq!(publisher.pending(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_token_has_expired_is_followed_by_one_with_a_fresh_token() {
    let expired = || Status::unauthenticated("the token has expired");
    let with_token = || Settings::default().with_token(FixedToken);
    let (client, feed) = client_with(with_token(), [Script::End(2, expired())]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    publisher.publish(vec![tick(1)]).await.unwrap();
    assert_eq!(publisher.finish().await.unwrap().ticks(), 1);
    assert_eq!(feed.0.lock().unwrap().stored, each_once(1));
    // Without a fresh token there is no second stream.
    let scripts = [Script::End(2, expired()), Script::End(0, expired())];
    for (settings, tries) in [(with_token(), 2), (Settings::default(), 1)] {
        let (client, feed) = client_with(settings, scripts.clone()).await;
        let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
        publisher.publish(vec![tick(1)]).await.unwrap();
        let error = publisher.finish().await.unwrap_err();
        assert_eq!(error.status().map(|status| status.code), Some(RpcCode::Unauthenticated), "{error}");
        assert_eq!(feed.0.lock().unwrap().scripts.len(), 2 - tries);
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_wait_while_32_requests_have_no_answer() {
    let (client, _) = client_of([Script::Silence(2)]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    let moment = Duration::from_secs(1);
    for nanos in 1..=32 {
        timeout(moment, publisher.publish(vec![tick(nanos)])).await.expect("there is room").unwrap();
    }
    assert!(timeout(moment, publisher.publish(vec![tick(33)])).await.is_err());
    assert_eq!(publisher.pending(), 32);
}

#[tokio::test(start_paused = true)]
async fn receipts_that_are_not_read_are_counted_and_only_the_newest_are_kept() {
    let (client, _) = client_of([]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    for nanos in 1..=2000 {
        publisher.publish(vec![tick(nanos)]).await.unwrap();
    }
    assert_eq!(publisher.events.len(), MOST_EVENTS);
    assert_eq!(publisher.finish().await.unwrap().accepted, 2000);
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_told_and_receipts_cover_every_tick_in_order() {
    let (client, _) = client_of([Script::End(3, Status::unavailable("the server stops"))]).await;
    let mut publisher = client.publisher(PublisherOptions::default()).await.unwrap();
    publisher.publish((1..=2500).map(tick).collect()).await.unwrap();
    let (mut numbers, mut told) = (Vec::new(), Vec::new());
    while publisher.pending() > 0 {
        match publisher.next_event().await.unwrap() {
            PublisherEvent::Receipt(receipt) => numbers.push((receipt.first_number, receipt.ticks)),
            PublisherEvent::Disconnected { cause, attempt } => told.push(format!("{attempt} {cause}")),
            PublisherEvent::Reconnected { replica, .. } => told.push(replica.to_string()),
        }
    }
    assert_eq!(numbers, [(1, 1000), (1001, 1000), (2001, 500)]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("1 ") && told[0].contains("the server stops"), "{told:?}");
}
