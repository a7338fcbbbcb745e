//! What instruments cost that nobody watches: the same ten subscribers among few instruments and among a million.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    Effort,
    look::Look,
    ours::{self, Package},
    row::{self, Row, thousands},
    sample::{Running, undisturbed},
};

const FEW: usize = 60;
const MANY: usize = 1_000_000;
const WINDOW: Duration = Duration::from_secs(10);

/// Measures and prints.
pub(crate) fn report(effort: Effort) -> Result<()> {
    let row = Row { universe: FEW, connections: 10, symbols: 6, hz: 10, flush: Row::ALL[0].flush };
    println!("Ten subscribers of six symbols at {} Hz, `gogen`:\n", row.hz);
    println!("| instruments | ready after | resident | server CPU in {WINDOW:?} | ticks |");
    println!("| --: | --: | --: | --: | --: |");
    let mut used = Vec::new();
    for count in [FEW, MANY] {
        let instruments = row::instruments((0..count).map(row::symbol), row.interval())?;
        let (ready, resident, sample) = undisturbed(|| {
            let start = Instant::now();
            let server = ours::serve(instruments.path(), row.flush, None)?;
            let ready = start.elapsed();
            let client = ours::subscribe(server.address(), &row, Package::Gogen, &Look::default())?;
            let resident = server.resident()?;
            let running = Running { client, server, publisher: None };
            let sample = running.sample(&row, Effort { window: WINDOW, ..effort })?;
            Ok((sample.longest_pause, (ready, resident, sample)))
        })?;
        let cpu = sample.server_busy * WINDOW.as_secs_f64();
        used.push(cpu);
        println!(
            "| {} | {:.3} s | {} MiB | {:.1} ms | {} |",
            thousands(count),
            ready.as_secs_f64(),
            thousands((resident >> 20) as usize),
            cpu * 1e3,
            thousands((sample.rate * WINDOW.as_secs_f64()) as usize),
        );
    }
    println!("\nA million instruments cost {:.2} times as much CPU as {FEW}.\n", used[1] / used[0]);
    Ok(())
}
