//! How long a tick is under way, from its time on the tape to its arrival, and what a shorter way costs.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    Effort,
    client::{Client, Received},
    look::Look,
    ours::{self, Package},
    row::{self, Row, UNIVERSE},
    sample::{Running, Sample, undisturbed},
    stopwatch::{Latencies, Sorted},
};

const FLUSH_INTERVALS: [u64; 5] = [1, 2, 5, 10, 20];

/// Measures and prints.
pub(crate) fn report(effort: Effort) -> Result<()> {
    let [row, ..] = Row::ALL;
    println!("From a tick's time to its arrival, `ticker.v1`, {row}:\n");
    println!("| flush interval | p50 | p99 | longest | server CPU per tick | server core |");
    println!("| --: | --: | --: | --: | --: | --: |");
    for millis in FLUSH_INTERVALS {
        let row = Row { flush: Duration::from_millis(millis), ..row };
        let (latencies, sample) = undisturbed(|| look(&row, effort))?;
        println!(
            "| {millis} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} ns | {:.1} % |",
            latencies.quantile(0.5),
            latencies.quantile(0.99),
            latencies.quantile(1.0),
            sample.cost,
            sample.server_busy * 100.0
        );
    }
    println!();
    Ok(())
}

/// What a client receives in a window, and its latencies.
pub(crate) fn measure(
    client: &mut Client,
    latencies: &Latencies,
    effort: Effort,
) -> Result<(Received, Sorted)> {
    // What arrives while subscriptions are set up says nothing about the hundredth second.
    client.read_for(effort.warm_up)?;
    latencies.borrow_mut().clear();
    let received = client.read_for(effort.window)?;
    Ok((received, Sorted::new(latencies)?))
}

/// The latencies of `ticker.v1` on a server of a row, and the longest pause.
pub(crate) fn of_v1(server: SocketAddr, row: &Row, effort: Effort) -> Result<(Duration, Sorted)> {
    let latencies = Latencies::default();
    let mut client = ours::subscribe(server, row, Package::V1, &Look::at_once(&latencies))?;
    let (received, latencies) = measure(&mut client, &latencies, effort)?;
    Ok((received.longest_pause, latencies))
}

/// The longest pause, the latencies, and the cost.
fn look(row: &Row, effort: Effort) -> Result<(Duration, (Sorted, Sample))> {
    let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
    let server = ours::serve(instruments.path(), row.flush, None)?;
    let (longest_pause, latencies) = of_v1(server.address(), row, effort)?;
    // A client that is woken for each write costs the server more: the cost is measured with one that is not.
    let client = ours::subscribe(server.address(), row, Package::V1, &Look::default())?;
    let sample = Running { client, server, publisher: None }.sample(row, effort)?;
    Ok((longest_pause.max(sample.longest_pause), (latencies, sample)))
}
