//! The pictures of docs/SCALE.md.

use std::path::Path;

use anyhow::Result;

use crate::{
    fleet::Fleet,
    measures::{Measures, Second, index},
    model::Scenario,
    picture::{Axis, Chart, Line},
};

/// Seconds of the change that the picture of reconnects has.
const RECONNECTS: usize = 120;
/// Minutes that the picture of the balance has.
const MINUTES: usize = 55;

/// Scenarios with what was measured.
pub(crate) type Measured<'a> = [(&'a Scenario, Measures)];

/// Draws streams that reconnect each second, and streams of the fullest and the emptiest replica.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn draw(measured: &Measured<'_>, folder: &Path) -> Result<()> {
    let lines =
        || measured.iter().filter_map(|(scenario, measures)| Some((scenario.line?, scenario, measures)));
    let seconds = |of: fn(&Second) -> f64, measures: &Measures, step: usize, most: usize| {
        let since = measures.seconds[index(Fleet::BEGIN)..].iter().step_by(step).take(most);
        since.zip(0_u32..).map(|(second, at)| (f64::from(at), of(second))).collect::<Vec<_>>()
    };
    // Without a maximum age most seconds have none, and zero has no place on a logarithmic axis.
    let with_age = lines().filter(|(_, scenario, _)| scenario.max_stream_age.is_some());
    let reconnects = with_age.map(|(name, _, measures)| {
        let mut points = seconds(|second| f64::from(second.opened), measures, 1, RECONNECTS);
        points.retain(|(_, opened)| *opened > 0.0);
        Line { name: name.to_owned(), points }
    });
    let chart = Chart {
        title: "A million streams, 100 replicas: reconnects during a rolling update".to_owned(),
        x: Axis { label: "since the update began (s)".to_owned(), logarithmic: false },
        y: Axis { label: "reconnects in a second".to_owned(), logarithmic: true },
        lines: reconnects.collect(),
    };
    chart.write(&folder.join("scale-reconnects.svg"))?;

    let is_long = |measures: &Measures| measures.seconds.len() > index(Fleet::BEGIN) + MINUTES * 30;
    let balance = lines().filter(|(.., measures)| is_long(measures)).flat_map(|(name, _, measures)| {
        let line = |which: &str, of| Line {
            name: format!("{name}: {which}"),
            points: seconds(of, measures, 60, MINUTES),
        };
        [line("fullest", |second| second.fullest as f64), line("emptiest", |second| second.emptiest as f64)]
    });
    let chart = Chart {
        title: "Streams of the fullest and of the emptiest replica".to_owned(),
        x: Axis { label: "since the update began (min)".to_owned(), logarithmic: false },
        y: Axis { label: "streams of a replica".to_owned(), logarithmic: false },
        lines: balance.collect(),
    };
    chart.write(&folder.join("scale-balance.svg"))
}
