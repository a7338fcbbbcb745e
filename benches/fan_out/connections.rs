//! What a tick costs with more and more connections.

use std::path::Path;

use anyhow::Result;

use crate::{
    Effort, cpu,
    picture::{Axis, Chart, Line},
    report,
    row::Row,
    subject::{Server, Subject},
};

/// The subjects, unless others are asked for.
pub(crate) const SUBJECTS: [Subject; 4] = [
    Subject::plain(Server::Floor),
    Subject::plain(Server::V1),
    Subject::plain(Server::Redis),
    Subject::plain(Server::Nats),
];

/// Measures, prints, and draws the picture into a folder.
pub(crate) fn report(
    mut rows: Vec<Row>,
    subjects: &[Subject],
    effort: Effort,
    pictures: Option<&Path>,
) -> Result<()> {
    for row in &mut rows {
        row.connections = cpu::connections_up_to(row.connections);
    }
    let costs = report::fan_out(&rows, subjects, effort)?;
    let Some(folder) = pictures else { return Ok(()) };
    let line = |subject: &Subject| Line {
        name: subject.to_string(),
        points: costs
            .iter()
            .filter(|cost| cost.subject == *subject && cost.row.hz == rows[0].hz)
            .map(|cost| (cost.row.connections as f64, cost.nanos))
            .collect(),
    };
    let chart = Chart {
        title: format!("Server CPU per delivered tick, {} symbols × {} Hz", rows[0].symbols, rows[0].hz),
        x: Axis { label: "connections".into(), logarithmic: true },
        y: Axis { label: "server CPU per tick (ns)".into(), logarithmic: true },
        lines: subjects.iter().map(line).collect(),
    };
    chart.write(&folder.join("cost.svg"))
}
