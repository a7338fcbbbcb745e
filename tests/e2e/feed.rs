//! A live feed: what is published is on the tape, and stays there.

mod log;
mod nats;
mod publish;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ticker::{
    contract::v1::{
        ListTicksRequest, PublishRequest, PublishResponse, PublishStreamRequest, PublishStreamResponse,
        PublishedTick, Tick, ticker_stream_service_client::TickerStreamServiceClient,
    },
    feed::{FeedSettings, FeedStartError, Intake, LogError, Store, SyncPolicy},
    tape::{Universe, WindowLimits},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, transport::Channel};

use crate::support::server::{Server, Talk};

const ROOMY: WindowLimits = WindowLimits { time: Duration::from_secs(24 * 3600), bytes: 1 << 30 };

fn in_memory() -> FeedSettings {
    FeedSettings { store: Store::Memory, window: ROOMY, instruments: None }
}

/// A feed whose log is in a directory.
fn in_files(directory: &Path, sync: SyncPolicy) -> FeedSettings {
    FeedSettings { store: Store::Files { directory: directory.to_owned(), sync }, ..in_memory() }
}

/// Starts a feed. Retries while the lock of its directory is held: the thread of the previous feed ends a moment after its server.
fn start_feed(settings: &FeedSettings) -> Intake {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Intake::start(settings.clone(), &mut |_| {}) {
            Err(FeedStartError::Log(LogError::InUse(_))) if Instant::now() < deadline => thread::yield_now(),
            started => return started.unwrap(),
        }
    }
}

/// A server that plays a feed.
fn serve(settings: FeedSettings) -> Server {
    let intake = start_feed(&settings);
    Server::start_with(|config| {
        config.tape = intake.tape();
        config.intake = Some(intake);
    })
}

/// A feed of two instruments that are fixed.
fn with_instruments() -> FeedSettings {
    let text = "[[instrument]]\nsymbol = 'TCS'\nreference_price = 3000\nprice_increment = 0.05\n\
                [[instrument]]\nsymbol = 'BTC'\nreference_price = 90000\nquantity_increment = 0.001\n";
    let universe = Universe::parse(text, "test").unwrap();
    FeedSettings { instruments: Some(universe.into()), ..in_memory() }
}

/// A tick at this many hundredths.
fn tick(symbol: &str, hundredths: i64) -> PublishedTick {
    PublishedTick {
        symbol: symbol.to_owned(),
        price_nanos: hundredths * 10_000_000,
        quantity: 5,
        ..PublishedTick::default()
    }
}

/// Ticks of `A` with the prices 1 to `count`.
fn ticks(count: i64) -> Vec<PublishedTick> {
    (1..=count).map(|price| tick("A", price)).collect()
}

type Client = TickerStreamServiceClient<Channel>;

async fn publish(client: &mut Client, requests: Vec<PublishRequest>) -> Result<PublishResponse, Status> {
    client.publish(tokio_stream::iter(requests)).await.map(tonic::Response::into_inner)
}

/// Publishes ticks, of which all must be accepted.
async fn publish_all(client: &mut Client, ticks: Vec<PublishedTick>) {
    let count = ticks.len() as u64;
    let response =
        publish(client, vec![PublishRequest { ticks, ..PublishRequest::default() }]).await.unwrap();
    assert_eq!((response.accepted, response.rejected), (count, 0), "{response:?}");
}

async fn publish_stream(client: &mut Client) -> Talk<PublishStreamRequest, PublishStreamResponse> {
    let (say, said) = mpsc::unbounded_channel();
    let heard = client.publish_stream(UnboundedReceiverStream::new(said)).await.unwrap().into_inner();
    Talk::new(say, heard)
}

/// The stored ticks of a symbol.
async fn stored(client: &mut Client, symbol: &str) -> Vec<Tick> {
    let request = ListTicksRequest { symbol: symbol.to_owned(), ..ListTicksRequest::default() };
    client.list_ticks(request).await.unwrap().into_inner().ticks
}

/// The sequences and the prices in hundredths of ticks.
fn sequences_and_prices(ticks: &[Tick]) -> Vec<(u64, i64)> {
    ticks.iter().map(|tick| (tick.sequence, tick.ltp_nanos / 10_000_000)).collect()
}
