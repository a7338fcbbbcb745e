//! How long a tick is under way at growing load, beside the peers.

use std::path::Path;

use anyhow::Result;

use crate::{
    Effort, latency,
    look::Look,
    picture::{Axis, Chart, Line},
    report::{median, progress},
    row::{Row, thousands},
    sample::undisturbed,
    stopwatch::Latencies,
    subject::{Server, Subject},
    tls::Tls,
};

/// 0.2, 1 and 3 million ticks a second. All have the shortest flush interval, so that the figures tell the delay of the
/// servers and not the wait for the flush, which is up to the operator. (A symbol at 300 Hz has no interval of whole
/// milliseconds, so the last row has more symbols in place of more ticks of each.)
const LOADS: [Row; 3] = [Row::new(100, 100, 20, 1), Row::new(100, 100, 100, 1), Row::new(100, 150, 200, 1)];

/// The subjects whose messages have a time.
const SUBJECTS: [Server; 6] =
    [Server::V1, Server::Feed, Server::Redis, Server::Nats, Server::Naive, Server::GrpcGo];

const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// What one window of one subject showed.
struct Window {
    /// In milliseconds, one for each of [`QUANTILES`].
    latencies: [f64; 3],
    /// Ticks delivered a second.
    rate: f64,
}

/// One subject at one load.
struct Cell {
    subject: Subject,
    row: Row,
    windows: Vec<Window>,
}

/// Measures, prints, and draws the picture into a folder.
pub(crate) fn report(subjects: &[Subject], effort: Effort, pictures: Option<&Path>) -> Result<()> {
    let tls = Tls::new()?;
    let has_times = |subject: &&Subject| SUBJECTS.contains(&subject.server) && !subject.tls;
    let subjects = subjects.iter().filter(has_times);
    let mut cells: Vec<_> =
        subjects.flat_map(|&subject| LOADS.map(|row| Cell { subject, row, windows: Vec::new() })).collect();
    // Loads outside and subjects inside: what is compared is measured one after the other.
    cells.sort_by_key(|cell| cell.row.offered() as usize);
    for round in 1..=effort.rounds {
        for cell in &mut cells {
            let outcome = match cell.look(&tls, effort) {
                Ok(Some(window)) => {
                    let outcome = format!("p99 {:.2} ms", window.latencies[1]);
                    cell.windows.push(window);
                    outcome
                }
                Ok(None) => "not installed".into(),
                Err(error) => format!("{error:#}"),
            };
            progress(&format!("{}, round {round}, {}: {outcome}", cell.row, cell.subject));
        }
    }
    println!(
        "From the time at which a tick was due to its arrival, the median of {} windows of {:?}:\n",
        effort.rounds, effort.window
    );
    println!("| ticks/s | connections × symbols × Hz | subject | p50 | p99 | p99.9 | delivered |");
    println!("| --: | --- | --- | --: | --: | --: | --: |");
    for cell in &cells {
        cell.print();
    }
    println!(
        "\nThe flush interval is 1 ms, for the publisher of Redis and NATS too, whose ticks are due at times spread over it; \
         the naive servers send each tick at once. The publisher shares the client's core.\n"
    );
    let Some(folder) = pictures else { return Ok(()) };
    let chart = Chart {
        title: "Latency of a tick, p99".into(),
        x: Axis { label: "ticks per second".into(), logarithmic: true },
        y: Axis { label: "from due to arrival, p99 (ms)".into(), logarithmic: true },
        lines: lines(&cells),
    };
    chart.write(&folder.join("latency.svg"))
}

fn lines(cells: &[Cell]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for cell in cells {
        let Some(p99) = cell.median(|window| window.latencies[1]) else { continue };
        let (name, point) = (cell.subject.to_string(), (cell.row.offered(), p99));
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    }
    lines
}

impl Cell {
    /// Nothing when the subject is not installed.
    fn look(&self, tls: &Tls, effort: Effort) -> Result<Option<Window>> {
        undisturbed(|| {
            let latencies = Latencies::default();
            let running = self.subject.start(&self.row, tls, &Look::at_once(&latencies))?;
            let Some(mut running) = running else { return Ok((Default::default(), None)) };
            let (received, sorted) = latency::measure(&mut running.client, &latencies, effort)?;
            let rate = received.ticks as f64 / received.elapsed.as_secs_f64();
            let latencies = QUANTILES.map(|share| sorted.quantile(share));
            Ok((received.longest_pause, Some(Window { latencies, rate })))
        })
    }

    fn print(&self) {
        let Cell { subject, row, .. } = self;
        let Some(rate) = self.median(|window| window.rate) else {
            println!("| {} | {row} | {subject} | not measured | | | |", thousands(row.offered() as usize));
            return;
        };
        let latency = |at: usize| self.median(|window| window.latencies[at]).unwrap_or_default();
        println!(
            "| {} | {row} | {subject} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} % |",
            thousands(row.offered() as usize),
            latency(0),
            latency(1),
            latency(2),
            rate / row.offered() * 100.0
        );
    }

    fn median(&self, figure: impl Fn(&Window) -> f64) -> Option<f64> {
        median(self.windows.iter().map(figure).collect())
    }
}
