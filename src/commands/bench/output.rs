//! Writes the report of a run.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::{
    report::{Percentiles, Received, Report},
    threshold::Outcome,
};
use crate::commands::phrases::counted;

/// The format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Lines to read
    Text,
    /// One JSON object
    Json,
}

/// The report in JSON.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    thresholds: &'a [Outcome],
}

/// From this share of a core on, in percent, the client may be what limits a run.
const BUSY: f64 = 80.0;

/// Writes the report as one JSON object in one line.
pub(super) fn write_json(report: &Report, thresholds: &[Outcome], mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut to, &Document { report, thresholds })?;
    writeln!(to)?;
    to.flush()
}

/// Writes the report as lines.
pub(super) fn write_text(report: &Report, mut to: impl Write) -> io::Result<()> {
    let Report { endpoints, tape_id, delivery, .. } = report;
    writeln!(to, "{}  tape {tape_id:.12}", endpoints.join(","))?;
    let of_all = report.streams.map(|streams| format!(" of {streams}")).unwrap_or_default();
    writeln!(
        to,
        "{}{of_all} streams open, {}, {} a stream, {delivery} delivery",
        report.open_streams,
        counted(report.connections as u64, "connection"),
        counted(report.symbols as u64, "symbol")
    )?;
    match report.ramp_seconds {
        Some(ramp) => writeln!(to, "opened in {ramp:.2} s, then measured for {:.2} s", report.seconds)?,
        None => writeln!(to, "measured for {:.2} s", report.seconds)?,
    }
    writeln!(to)?;
    if report.slow_readers.is_some() {
        writeln!(to, "{:<16}{:>14}{:>14}", "", "readers", "slow readers")?;
    }
    let kinds: Vec<_> = [Some(&report.readers), report.slow_readers.as_ref()].into_iter().flatten().collect();
    for (name, cell) in ROWS {
        let cells: String = kinds.iter().map(|kind| format!("{:>14}", cell(kind))).collect();
        writeln!(to, "{name:<16}{cells}")?;
    }
    writeln!(to, "{:<16}{:>14}", "errors", report.error_count)?;
    for (status, failures) in &report.errors {
        writeln!(to, "  {} {status}: {}", failures.count, failures.message)?;
    }
    let client = &report.client;
    let per_tick = client.nanos_per_tick.map(|nanos| format!(", {nanos:.0} ns a tick")).unwrap_or_default();
    writeln!(to, "client CPU      {:>12.1} % of one core{per_tick}", client.cpu_percent)?;
    writeln!(to, "{:<16}{:>11.2} ms", "client lag max", client.longest_lag_ms)?;
    for note in notes(report) {
        writeln!(to, "\nnote: {note}")?;
    }
    to.flush()
}

/// A row of the table: its name, and its cell for the streams of one kind.
type Row = (&'static str, fn(&Received) -> String);

const ROWS: [Row; 11] = [
    ("streams opened", |received| received.opened_streams.to_string()),
    ("first tick p50", |received| millis(received.first_tick_ms.as_ref(), |first_tick| first_tick.p50)),
    ("first tick p99", |received| millis(received.first_tick_ms.as_ref(), |first_tick| first_tick.p99)),
    ("ticks", |received| received.ticks.to_string()),
    ("ticks/s", |received| format!("{:.0}", received.ticks_per_second)),
    ("delay p50", |received| millis(received.delay_ms.as_ref(), |delay| delay.p50)),
    ("delay p99", |received| millis(received.delay_ms.as_ref(), |delay| delay.p99)),
    ("delay p99.9", |received| millis(received.delay_ms.as_ref(), |delay| delay.p99_9)),
    ("delay max", |received| millis(received.delay_ms.as_ref(), |delay| delay.max)),
    ("conflated", |received| received.conflated.to_string()),
    ("gaps", |received| received.gaps.to_string()),
];

fn millis(times: Option<&Percentiles>, of: fn(&Percentiles) -> f64) -> String {
    times.map_or_else(|| "-".to_owned(), |times| format!("{:.2} ms", of(times)))
}

/// What a reader of the figures has to know.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let smallest = report.readers.delay_ms.as_ref().map(|delay| delay.min).filter(|smallest| *smallest < 0.0);
    if let Some(smallest) = smallest {
        notes.push(format!(
            "the smallest delay is {smallest:.2} ms: the clock of this machine is behind that of the server, so all delays are \
             too small by as much or more"
        ));
    }
    if report.readers.ticks > 0 && report.readers.delay_ms.is_none() {
        notes.push(
            "the server plays a recording, whose ticks have the times of the past: no delay is measured"
                .to_owned(),
        );
    }
    if report.client.cpu_percent >= BUSY {
        notes.push(format!(
            "this client used {:.0} % of the one core that it can use: it may be the limit, not the server",
            report.client.cpu_percent
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(report: &Report) -> String {
        let mut text = Vec::new();
        write_text(report, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_text_has_a_line_for_each_figure() {
        let text = text(&Report::of_one_tick(5_000_000, true));
        assert!(text.starts_with(
            "http://a:1  tape 1714e9fc0bb0\n1 of 1 streams open, 1 connection, 1 symbol a stream"
        ));
        for line in [
            "opened in 0.50 s, then measured for 1.00 s",
            "delay p99              5.00 ms",
            "first tick p99               -",
            "client CPU               1.0 % of one core, 10000000 ns a tick",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("note:"), "{text}");
    }

    #[test]
    fn what_makes_the_figures_doubtful_is_noted() {
        let behind = Report::of_one_tick(-3_200_000, true);
        let recorded = Report::of_one_tick(0, false);
        let mut busy = Report::of_one_tick(0, true);
        busy.client.cpu_percent = 93.4;
        for (report, note) in [
            (behind, "\nnote: the smallest delay is -3.20 ms: the clock of this machine is behind"),
            (recorded, "\nnote: the server plays a recording"),
            (busy, "\nnote: this client used 93 % of the one core that it can use"),
        ] {
            assert!(text(&report).contains(note), "{note}: {}", text(&report));
        }
    }
}
