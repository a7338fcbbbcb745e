//! How long a published tick is under way to its subscriber, at growing load, and what it costs.

use std::{process, time::Duration};

use anyhow::Result;

use crate::{
    Effort,
    cpu::CpuTime,
    look::Look,
    numbered,
    report::{median, progress},
    row::{Row, thousands},
    sample::{Running, Sample, undisturbed},
    stopwatch::{Latencies, Sorted},
    subject::{Server, Subject},
    tls::Tls,
};

/// Subscribers that share no symbol: so many ticks are published as are delivered.
pub(crate) const LOADS: [Row; 5] = [
    Row::new(100, 100, 1, 10).among(10_000),
    Row::new(100, 100, 10, 10).among(10_000),
    Row::new(100, 100, 25, 10).among(10_000),
    Row::new(100, 100, 50, 10).among(10_000),
    Row::new(100, 100, 100, 10).among(10_000),
];

/// Feeds, and the logs without `ticker`.
pub(crate) const SUBJECTS: [Subject; 5] = [
    Subject::plain(Server::Feed),
    Subject::plain(Server::FeedNats),
    Subject::plain(Server::JetStream),
    Subject::plain(Server::JetStreamSplit),
    Subject::plain(Server::RedisStreams),
];

const QUANTILES: [f64; 3] = [0.5, 0.99, 1.0];

/// What one window of one subject showed.
struct Window {
    /// In milliseconds, one for each of [`QUANTILES`].
    latencies: [f64; 3],
    /// The publisher counts as a part of the client.
    sample: Sample,
    /// Ticks that were left out, from the first one on.
    lost: u64,
}

/// Measures and prints.
pub(crate) fn report(rows: &[Row], subjects: &[Subject], effort: Effort) -> Result<()> {
    let tls = Tls::new()?;
    println!(
        "From the moment at which a tick is published to its arrival; 10,000 symbols, each with one subscriber; the median of {} \
         windows of {:?}:\n",
        effort.rounds, effort.window
    );
    println!(
        "| published/s | connections × symbols × Hz | subject | p50 | p99 | longest | delivered | server CPU per tick | server core \
         | client core |"
    );
    println!("| --: | --- | --- | --: | --: | --: | --: | --: | --: | --: |");
    for row in rows {
        let mut windows: Vec<_> = subjects.iter().map(|subject| (subject, Vec::new())).collect();
        for round in 1..=effort.rounds {
            for (subject, windows) in &mut windows {
                let outcome = match undisturbed(|| look(**subject, row, &tls, effort)) {
                    Ok(Some(window)) => {
                        let outcome = format!("p99 {:.2} ms", window.latencies[1]);
                        windows.push(window);
                        outcome
                    }
                    Ok(None) => "not installed".into(),
                    Err(error) => format!("{error:#}"),
                };
                progress(&format!("{row}, round {round}, {subject}: {outcome}"));
            }
        }
        for (subject, windows) in &windows {
            print(row, subject, windows);
        }
    }
    println!(
        "\nThe CPU time of `ticker feed-nats` is that of `ticker` and of nats-server together, which share the server core. The \
         clients and the publisher share the client core. `jetstream` has one stream, and `jetstream-split` and `redis-streams` have one \
         for each connection. There a tick is its symbol and {} bytes, as a message of plain NATS is; a client acknowledges none, and a \
         publisher waits for acknowledgements of JetStream and for none of Redis.\n",
        numbered::LENGTH
    );
    Ok(())
}

fn print(row: &Row, subject: &Subject, windows: &[Window]) {
    let published = thousands(row.universe * row.hz);
    if windows.is_empty() {
        println!("| {published} | {row} | {subject} | not measured | | | | | | |");
        return;
    }
    let lost: u64 = windows.iter().map(|window| window.lost).sum();
    let lost = if lost > 0 { format!(", {lost} lost") } else { String::new() };
    let middle = |of: fn(&Window) -> f64| median(windows.iter().map(of).collect()).unwrap_or_default();
    println!(
        "| {published} | {row} | {subject} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} %{lost} | {:.0} ns | {:.0} % | {:.0} % |",
        middle(|window| window.latencies[0]),
        middle(|window| window.latencies[1]),
        middle(|window| window.latencies[2]),
        middle(|window| window.sample.rate) / row.offered() * 100.0,
        middle(|window| window.sample.cost),
        middle(|window| window.sample.server_busy) * 100.0,
        middle(|window| window.sample.client_busy) * 100.0,
    );
}

/// The longest pause, and one window; none when the subject is not installed.
fn look(subject: Subject, row: &Row, tls: &Tls, effort: Effort) -> Result<(Duration, Option<Window>)> {
    let latencies = Latencies::default();
    let Some(mut running) = subject.start(row, tls, &Look::at_once(&latencies))? else {
        return Ok(Default::default());
    };
    let earlier = running.client.read_for(effort.warm_up)?;
    let before = cpu_times(&running)?;
    latencies.borrow_mut().clear();
    let received = running.client.read_for(effort.window)?;
    let sample = Sample::new(received, &before, &cpu_times(&running)?);
    let sorted = Sorted::new(&latencies)?;
    let latencies = QUANTILES.map(|share| sorted.quantile(share));
    Ok((received.longest_pause, Some(Window { latencies, sample, lost: earlier.lost + received.lost })))
}

/// Those of the server, and of the clients with their publisher.
fn cpu_times(running: &Running) -> Result<(CpuTime, CpuTime)> {
    let mut client = CpuTime::of(process::id())?;
    if let Some(publisher) = &running.publisher {
        client = client.and(publisher.cpu_time()?);
    }
    Ok((running.server.cpu_time()?, client))
}
