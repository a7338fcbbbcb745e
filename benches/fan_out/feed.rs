//! `ticker` with a live feed, in memory or in a stream of NATS: what a publisher pushes is on its way to the subscribers with the next flush.

use anyhow::{Context, Result, ensure};
use ticker::contract::v1::{
    self, PublishStreamRequest, PublishedTick, ticker_stream_service_client::TickerStreamServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::{
    look::Look,
    ours::{self, Package},
    pace::{Pace, ahead_of_monotonic},
    process::Process,
    publisher::{self, PACE, Peer, Publisher},
    row::{self, Row},
    sample::Running,
};

/// Ticks of a request.
const TOGETHER: usize = 1_000;
/// Requests that may wait to be sent.
const WAITING: usize = 16;

/// The server, the clients of a row and their publisher. The log is a nats-server; without it, the feed is in memory.
pub(crate) fn start(row: &Row, log: Option<Process>, look: &Look) -> Result<Running> {
    let feed = log.as_ref().map_or("memory".into(), |log| format!("nats://{}", log.address()));
    let mut server = ours::serve_feed(row.flush, &feed)?;
    server.beside = log.map(Box::new);
    // It returns when every symbol has a tick, so that it can be subscribed.
    let publisher = publisher::start(Peer::Ticker, server.address(), &Row { flush: PACE, ..*row })?;
    let client = ours::subscribe(server.address(), row, Package::V1, look)?;
    Ok(Running { server, client, publisher: Some(publisher) })
}

/// Publishes until the server goes away.
pub(crate) fn publish(publisher: &Publisher) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (requests, queued) = mpsc::channel(WAITING);
    let row = publisher.row();
    let to = publisher.to();
    let answers = runtime.block_on(async move {
        let channel = Channel::from_shared(format!("http://{to}"))?.connect().await?;
        let mut client = TickerStreamServiceClient::new(channel);
        anyhow::Ok(client.publish_stream(ReceiverStream::new(queued)).await?.into_inner())
    })?;
    let (answered, first_answers) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let mut answers = answers;
        while let Ok(Some(answer)) = answers.message().await {
            // Nobody looks at the later ones.
            let _ = answered.send(answer);
        }
    });
    let send = |ticks| {
        let request = PublishStreamRequest { ticks, ..Default::default() };
        requests.blocking_send(request).context("the server has gone")
    };
    let symbols: Vec<_> = (0..row.universe).map(row::symbol).collect();
    for symbols in symbols.chunks(TOGETHER) {
        send(symbols.iter().map(|symbol| tick(symbol, None)).collect())?;
        let answer: v1::PublishStreamResponse = first_answers.recv()?;
        ensure!(answer.rejected == 0, "{:?}", answer.rejected_ticks.first());
    }
    println!("{to}");
    let mut flushes = vec![Vec::new(); row.flushes_per_interval()];
    for (index, symbol) in symbols.iter().enumerate() {
        flushes[row.flush_of(index)].push(symbol);
    }
    let mut pace = Pace::new(row.flush)?;
    let since_1970 = ahead_of_monotonic();
    for now in (0..flushes.len()).cycle() {
        let end = pace.wait()? + since_1970;
        for symbols in flushes[now].chunks(TOGETHER) {
            send(symbols.iter().map(|symbol| tick(symbol, Some(end))).collect())?;
        }
    }
    Ok(())
}

/// A tick at a time in nanoseconds since 1970.
fn tick(symbol: &str, time: Option<i64>) -> PublishedTick {
    let timestamp = |time: i64| prost_types::Timestamp {
        seconds: time / 1_000_000_000,
        nanos: (time % 1_000_000_000) as i32,
    };
    PublishedTick {
        symbol: symbol.to_owned(),
        time: time.map(timestamp),
        price_nanos: 1_000_050_000_000,
        quantity: 10,
        ..Default::default()
    }
}
