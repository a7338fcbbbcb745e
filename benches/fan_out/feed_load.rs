//! How long a published tick is under way to its subscriber, at growing load, and what it costs.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Effort, feed,
    look::Look,
    report::{median, progress},
    row::{Row, thousands},
    sample::undisturbed,
    stopwatch::{Latencies, Sorted},
};

/// Subscribers that share no symbol: so many ticks are published as are delivered.
pub(crate) const LOADS: [Row; 4] = [
    Row::new(100, 100, 10, 10).among(10_000),
    Row::new(100, 100, 25, 10).among(10_000),
    Row::new(100, 100, 50, 10).among(10_000),
    Row::new(100, 100, 100, 10).among(10_000),
];

/// Measures and prints.
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
    let mut running = feed::start(row, &Look::at_once(&latencies))?;
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
