//! `ticker` with a live feed: what a publisher pushes is on its way to the subscribers with the next flush.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ticker::contract::v1::{
    self, PublishStreamRequest, PublishedTick, ticker_stream_service_client::TickerStreamServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::{
    Effort,
    look::Look,
    ours::{self, Package},
    pace::{Pace, ahead_of_monotonic},
    publisher::{self, Peer, Publisher},
    report::{median, progress},
    row::{self, Row, thousands},
    sample::{Running, undisturbed},
    stopwatch::{Latencies, Sorted},
};

/// Ticks of a request.
const TOGETHER: usize = 1_000;
/// Requests that may wait to be sent.
const WAITING: usize = 16;

/// Subscribers that share no symbol: so many ticks are published as are delivered.
pub(crate) const LOADS: [Row; 4] = [
    Row::new(100, 100, 10, 10).among(10_000),
    Row::new(100, 100, 25, 10).among(10_000),
    Row::new(100, 100, 50, 10).among(10_000),
    Row::new(100, 100, 100, 10).among(10_000),
];

/// The server, the clients of a row and their publisher.
pub(crate) fn start(row: &Row, look: &Look) -> Result<Running> {
    let server = ours::serve_feed(row.flush)?;
    // It returns when every symbol has a tick, so that it can be subscribed.
    let publisher = publisher::start(Peer::Ticker, server.address(), row)?;
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

/// How long a tick is under way from its publisher to its subscriber, at growing load, and what it costs.
pub(crate) fn report(rows: &[Row], effort: Effort) -> Result<()> {
    println!(
        "From the moment at which a tick is published to its arrival; 10,000 symbols, each with one subscriber:\n"
    );
    println!(
        "| published/s | connections × symbols × Hz | p50 | p99 | longest | delivered | server CPU per tick | server core |"
    );
    println!("| --: | --- | --: | --: | --: | --: | --: | --: |");
    for row in rows {
        let mut windows = Vec::new();
        for round in 1..=effort.rounds {
            let outcome = match undisturbed(|| look(row, effort)) {
                Ok(window) => {
                    windows.push(window);
                    format!("p99 {:.2} ms", windows[windows.len() - 1][1])
                }
                Err(error) => format!("{error:#}"),
            };
            progress(&format!("{row}, round {round}: {outcome}"));
        }
        let figure =
            |at: usize| median(windows.iter().map(|window| window[at]).collect()).unwrap_or(f64::NAN);
        println!(
            "| {} | {row} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} % | {:.0} ns | {:.0} % |",
            thousands(row.universe * row.hz),
            figure(0),
            figure(1),
            figure(2),
            figure(3) / row.offered() * 100.0,
            figure(4),
            figure(5) * 100.0,
        );
    }
    println!();
    Ok(())
}

/// The longest pause; and p50, p99 and the longest latency in milliseconds, ticks delivered a second, and the server's CPU time per
/// tick in nanoseconds and as a share of its core.
fn look(row: &Row, effort: Effort) -> Result<(Duration, [f64; 6])> {
    let latencies = Latencies::default();
    let mut running = start(row, &Look::at_once(&latencies))?;
    running.client.read_for(effort.warm_up)?;
    let before = running.server.cpu_time()?;
    latencies.borrow_mut().clear();
    let received = running.client.read_for(effort.window)?;
    let cpu = running.server.cpu_time()?.since(&before).as_secs_f64();
    let sorted = Sorted::new(&latencies)?;
    let (ticks, seconds) = (received.ticks as f64, received.elapsed.as_secs_f64());
    let [p50, p99, longest] = [0.5, 0.99, 1.0].map(|share| sorted.quantile(share));
    Ok((received.longest_pause, [p50, p99, longest, ticks / seconds, cpu * 1e9 / ticks, cpu / seconds]))
}
